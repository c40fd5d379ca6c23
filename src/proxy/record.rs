//! From a disclosure to a recorded one: the entry is durable, or nothing leaves.

use std::time::Duration;

use crate::ledger::{self, Draft, FieldEntry, Ledger, Parties, Receipt, RecordCounts, RecordError};
use crate::model::{RequestId, SubjectKey};

use super::authenticate::Caller;
use super::authorize::Permit;
use super::limits::Lease;
use super::reduce::Disclosure;
use super::{Refusal, Refused};

/// A disclosure with its entry on the disk. Only [`record`] makes one.
pub struct Recorded {
    pub disclosure: Disclosure,
    pub id: RequestId,
    pub lease: Lease,
    receipt: Receipt,
}

impl Recorded {
    /// The number of the disclosure's entry in the ledger.
    pub fn entry(&self) -> u64 {
        self.receipt.position()
    }
}

/// Writes the entry and waits for it.
///
/// # Errors
/// Where it is not durable, or the contractor would see too many subjects.
pub async fn record(
    ledger: &Ledger,
    key: &SubjectKey,
    id: RequestId,
    permit: Permit,
    disclosure: Disclosure,
) -> Result<Recorded, Refused> {
    let draft = draft(key, id, &permit, &disclosure);
    match ledger.record(draft).await {
        Ok(receipt) => Ok(Recorded { disclosure, id, lease: permit.lease, receipt }),
        Err(error) => Err(permit.refused(match error {
            RecordError::Unavailable => Refusal::LedgerUnavailable,
            RecordError::Overloaded => Refusal::Overloaded,
            RecordError::SubjectLimit => Refusal::SubjectLimit(until_tomorrow()),
        })),
    }
}

fn draft(key: &SubjectKey, id: RequestId, permit: &Permit, disclosure: &Disclosure) -> Draft {
    let (contractor, task, route) = (permit.contractor(), permit.task(), permit.route());
    let tally = disclosure.tally.as_ref();
    let counts = tally.map(|tally| tally.fields.as_slice()).unwrap_or_default();
    let met = route.fields.iter().zip(counts).filter(|(_, count)| count.disclosed + count.withheld > 0);
    let fields = met.map(|(label, count)| FieldEntry {
        path: &label.path,
        transform: label.treatment,
        disclosed: count.disclosed,
        withheld: count.withheld,
    });
    Draft::disclosure(ledger::Disclosure {
        id: id.to_string(),
        parties: parties(permit.caller()),
        request: ledger::Request { method: permit.method.as_str(), route: Some(route.template.as_str()) },
        rules: permit.caller().plan().digest.as_str(),
        disclosed: ledger::Disclosed {
            task: task.id.as_str(),
            purpose: &task.purpose,
            basis: task.basis.as_str(),
            agreement: &contractor.agreement.reference,
            jurisdictions: contractor.jurisdictions,
            transfer: contractor.agreement.transfer.map(|mechanism| mechanism.as_str()),
            upstream: &route.upstream,
            status: disclosure.status.as_u16(),
            bytes: disclosure.body.as_ref().map_or(0, Vec::len) as u64,
            records: RecordCounts {
                released: tally.map_or(0, |tally| tally.records_released),
                withheld: tally.map_or(0, |tally| tally.records_withheld),
                without_subject: tally.map_or(0, |tally| tally.without_subject),
            },
            members_withheld: tally.map_or(0, |tally| tally.members_withheld),
            fields: fields.collect(),
        },
        subjects: tally
            .iter()
            .flat_map(|tally| tally.subjects.iter())
            .map(|subject| key.pseudonym(subject))
            .collect(),
        subjects_per_day: task.limits.subjects_per_day,
    })
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

/// Days end in UTC.
fn until_tomorrow() -> Duration {
    const DAY: u64 = 86_400;
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Duration::from_secs(DAY - now % DAY)
}
