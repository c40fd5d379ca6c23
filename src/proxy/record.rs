//! From a disclosure to a recorded one: the entry is durable, or nothing leaves.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::filter::{FieldCount, Format, Tally};
use crate::ledger::{
    self, Consents, Draft, FieldEntry, Ledger, Legal, LegalHold, MaskedEntry, Parties, Receipt, RecordCounts,
    RecordError,
};
use crate::model::{KeyEpoch, RequestId};
use crate::rules::{Contractor, Grant, Route};

use super::authenticate::Caller;
use super::authorize::Permit;
use super::limits::{Lease, until_tomorrow};
use super::parts::{self, Parts};
use super::reduce::Disclosure;
use super::refusal::{Limited, Missing};
use super::{Refusal, Refused, Suspended, Watcher, admitted};

/// A disclosure with its entry on the disk. Only [`record`] makes one.
pub struct Recorded {
    pub id: RequestId,
    pub status: StatusCode,
    pub format: Format,
    /// `None` for 204.
    pub body: Option<Bytes>,
    /// What follows, each part recorded before it comes out.
    pub parts: Option<Parts>,
    pub lease: Lease,
    receipt: Receipt,
}

impl Recorded {
    /// The number of the disclosure's entry in the ledger.
    pub fn entry(&self) -> u64 {
        self.receipt.position()
    }

    /// Distinct customers that the contractor may still see today.
    pub fn subjects_left(&self) -> u64 {
        self.receipt.subjects_left()
    }
}

/// A part of a disclosure with its entry on the disk. Only [`Recorder::part`] makes one.
#[derive(Debug)]
pub struct RecordedPart {
    bytes: Bytes,
    last: bool,
    _receipt: Receipt,
}

impl RecordedPart {
    /// The response is whole with it.
    pub fn is_last(&self) -> bool {
        self.last
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Writes the entries of one response.
#[derive(Clone)]
pub struct Recorder {
    pub ledger: Arc<Ledger>,
    pub consents: Arc<Consents>,
    /// Names the subjects of the whole response.
    pub epoch: Arc<KeyEpoch>,
    pub suspended: Arc<Suspended>,
    pub watcher: Arc<Watcher>,
    pub id: RequestId,
}

/// How often it is decided anew about one response, because somebody withdrew or was suspended meanwhile.
const ROUNDS: u32 = 100;

/// Writes the entry and waits for it.
///
/// # Errors
/// Where it is not durable, or the contractor would see too many subjects.
pub async fn record(
    recorder: Recorder,
    permit: Permit,
    mut disclosure: Disclosure,
) -> Result<Recorded, Refused> {
    let receipt = match recorder.write(&permit, &mut disclosure).await {
        Ok(receipt) => receipt,
        Err(refusal) => return Err(permit.refused(refusal)),
    };
    let Disclosure { status, format, .. } = disclosure;
    let body = disclosure.copy();
    if let Some(sample) = disclosure.sample.take() {
        recorder.watcher.sampled(&permit, recorder.id, sample);
    }
    let id = recorder.id;
    let mut permit = permit;
    // There is one until a response has it.
    let Some(lease) = permit.take_lease() else { return Err(permit.refused(Refusal::Internal)) };
    let parts =
        disclosure.into_rest().map(|(rest, reduction)| parts::follow(recorder, permit, rest, reduction));
    Ok(Recorded { id, status, format, body, parts, lease, receipt })
}

impl Recorder {
    /// Writes the entry of a part that is not the first, and waits for it.
    ///
    /// # Errors
    /// Where it is not durable, the contractor would see too many subjects, or was suspended meanwhile.
    pub async fn part(&self, permit: &Permit, disclosure: &mut Disclosure) -> Result<RecordedPart, Refusal> {
        let receipt = self.write(permit, disclosure).await?;
        let bytes = disclosure.copy().unwrap_or_default();
        let last = disclosure.part.is_some_and(|part| part.last);
        Ok(RecordedPart { bytes, last, _receipt: receipt })
    }

    async fn write(&self, permit: &Permit, disclosure: &mut Disclosure) -> Result<Receipt, Refusal> {
        permit.route().note_drift(disclosure.tally().map_or(&[], |tally| &tally.fields));
        let subjects = disclosure.tally().map(|tally| &tally.subjects);
        let canaries = subjects.map_or(0, |subjects| permit.contractor().canaries.count(subjects));
        let (mut decided, mut rounds) = (disclosure.decided, 0);
        let receipt = loop {
            let draft = draft(&self.epoch, self.id, permit, disclosure, canaries, decided);
            disclosure.turn.pass_on().await;
            // Asked as late as can be: an upstream may have taken long, and while a long list leaves, a grant may
            // end.
            if !permit.task().is_in_force() {
                return Err(Refusal::NotFound(Missing::Route));
            }
            if self.suspended.contains(&permit.contractor().id) {
                return Err(Refusal::Suspended);
            }
            match self.ledger.record(draft).await {
                // Somebody has withdrawn or was suspended meanwhile, perhaps not one of these.
                Err(RecordError::Stale) if rounds < ROUNDS => {
                    decided = self.decide_again(permit, disclosure)?;
                    rounds += 1;
                }
                other => break other,
            }
        };
        let receipt = receipt.map_err(|error| match error {
            RecordError::Unavailable | RecordError::Stale => Refusal::LedgerUnavailable,
            RecordError::Overloaded => Refusal::Overloaded,
            RecordError::SubjectLimit => {
                Refusal::SubjectLimit(Limited { wait: until_tomorrow(), rate: permit.rate(0).map(Box::new) })
            }
        })?;
        if canaries > 0 {
            self.alert(permit, &receipt);
        }
        let task = permit.route().task;
        let seen = permit.task().limits.subjects_per_day.saturating_sub(receipt.subjects_left());
        permit.caller().series(Some(task)).subjects(seen);
        self.watcher.disclosed(permit, self.id, disclosure, &receipt);
        Ok(receipt)
    }

    /// By which generation the records are still let through.
    fn decide_again(&self, permit: &Permit, disclosure: &Disclosure) -> Result<Option<u64>, Refusal> {
        let subjects = disclosure.tally().map(|tally| &tally.subjects);
        let of_one = permit.route().selection.records.is_none()
            && disclosure.part.is_none()
            && disclosure.format == Format::Json;
        admitted::again(&self.consents, permit, subjects).ok_or(match of_one {
            true => Refusal::NotFound(Missing::Admission),
            // The others' records would leave at the next attempt.
            false => Refusal::Overloaded,
        })
    }

    /// Tells the log of a planted customer; the ledger has it with the disclosure.
    fn alert(&self, permit: &Permit, receipt: &Receipt) {
        let Parties { contractor, credential } = parties(permit.caller());
        let (disclosure, entry) = (self.id, receipt.position());
        tracing::warn!(code = "canary", contractor, credential, %disclosure, entry, "a planted customer was disclosed");
    }

    /// Writes that a response ended after so many parts and is not whole.
    pub async fn interrupted(&self, permit: &Permit, refusal: &Refusal, after_parts: u64) {
        let route = permit.route();
        let cause = refusal.cause();
        let entry = ledger::Refused {
            task: Some(permit.task().id.as_str()),
            status: refusal.status().as_u16(),
            code: refusal.code(),
            cause: cause.as_deref(),
            not_written: 0,
            after_parts,
        };
        let request =
            ledger::Request { method: permit.method.as_str(), route: Some(route.template.as_str()) };
        let rules = permit.caller().plan().digest.as_str();
        let draft = Draft::refusal(self.id.to_string(), parties(permit.caller()), request, rules, &entry);
        if let Err(error) = self.ledger.record(draft).await {
            tracing::warn!(request = %self.id, %error, "the end of a response could not be recorded");
        }
    }
}

fn draft(
    epoch: &KeyEpoch,
    id: RequestId,
    permit: &Permit,
    disclosure: &Disclosure,
    canaries: u64,
    decided: Option<u64>,
) -> Draft {
    let (task, route, tally) = (permit.task(), permit.route(), disclosure.tally());
    let bytes = disclosure.body().map_or(0, <[u8]>::len) as u64;
    let part = disclosure.part.map(|part| ledger::StreamPart { part: part.number, last: part.last });
    let disclosed = disclosed(permit.contractor(), route, tally, disclosure.status.as_u16(), bytes);
    Draft::disclosure(ledger::Disclosure {
        id: id.to_string(),
        parties: parties(permit.caller()),
        request: ledger::Request { method: permit.method.as_str(), route: Some(route.template.as_str()) },
        rules: permit.caller().plan().digest.as_str(),
        disclosed: ledger::Disclosed { canaries, stream: part, ..disclosed },
        epoch: epoch.number,
        subjects: tally
            .iter()
            .flat_map(|tally| tally.subjects.iter())
            .map(|subject| epoch.key.pseudonym(subject))
            .collect(),
        subjects_per_day: task.limits.subjects_per_day,
        decided,
    })
}

/// What the ledger says of a response: on what ground, and how much.
pub fn disclosed<'a>(
    contractor: &'a Contractor,
    route: &'a Route,
    tally: Option<&Tally>,
    status: u16,
    bytes: u64,
) -> ledger::Disclosed<'a> {
    let task = &contractor.tasks[route.task];
    let counts = tally.map(|tally| tally.fields.as_slice()).unwrap_or_default();
    let met = route.fields.iter().zip(counts).filter(|(_, count)| count.disclosed + count.withheld > 0);
    // Mostly all of them.
    let mut fields = Vec::with_capacity(counts.len());
    fields.extend(met.map(|(label, count)| FieldEntry {
        path: &label.path,
        transform: label.treatment,
        disclosed: count.disclosed,
        withheld: count.withheld,
        drifted: count.drifted,
        masked: masked(count),
    }));
    ledger::Disclosed {
        task: task.id.as_str(),
        purpose: &task.purpose,
        consent_purpose: task.consent.as_ref().map(|purpose| purpose.as_str()),
        basis: task.basis.as_str(),
        legal: task.legal.as_ref().map(legal),
        agreement: &contractor.agreement.reference,
        jurisdictions: contractor.jurisdictions,
        transfer: contractor.agreement.transfer.map(|mechanism| mechanism.as_str()),
        upstream: &route.upstream,
        status,
        bytes,
        records: RecordCounts {
            released: tally.map_or(0, |tally| tally.records_released),
            withheld: tally.map_or(0, |tally| tally.records_withheld),
            not_admitted: tally.map_or(0, |tally| tally.not_admitted),
            without_subject: tally.map_or(0, |tally| tally.without_subject),
        },
        members_withheld: tally.map_or(0, |tally| tally.members_withheld),
        canaries: 0,
        fields,
        stream: None,
    }
}

fn legal(grant: &Grant) -> Legal<'_> {
    let [first, second] = &grant.approved_by;
    Legal {
        case: &grant.case,
        authority: &grant.authority,
        approved_by: [first, second],
        expires: grant.expires,
        hold: grant.hold.as_ref().map(|hold| LegalHold { until: hold.until, reference: &hold.reference }),
    }
}

fn masked(count: &FieldCount) -> MaskedEntry {
    let masked = count.masked;
    MaskedEntry { pan: masked.pan, iban: masked.iban, email: masked.email, phone: masked.phone }
}

/// Writes the entry of a refusal.
///
/// # Errors
/// Where it is not durable; the refusal stands all the same.
pub async fn refusal(
    ledger: &Ledger,
    id: RequestId,
    caller: &Caller,
    head: &http::request::Parts,
    refused: &Refused,
    not_written: u64,
) -> Result<Receipt, RecordError> {
    let contractor = caller.contractor();
    let route = refused.route.map(|route| contractor.routes[route].template.as_str());
    let cause = refused.refusal.cause();
    let entry = ledger::Refused {
        task: refused.task.map(|task| contractor.tasks[task].id.as_str()),
        status: refused.refusal.status().as_u16(),
        code: refused.refusal.code(),
        cause: cause.as_deref(),
        not_written,
        after_parts: 0,
    };
    let request = ledger::Request { method: method_name(&head.method), route };
    let rules = caller.plan().digest.as_str();
    ledger.record(Draft::refusal(id.to_string(), parties(caller), request, rules, &entry)).await
}

fn parties(caller: &Caller) -> Parties<'_> {
    Parties { contractor: caller.contractor().id.as_str(), credential: caller.credential() }
}

/// A method is text that the contractor chose; only well-known ones are written down.
fn method_name(method: &http::Method) -> &str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
