//! What the ledger is told of a reduced answer.
//!
//! **Guarantees.** Whoever writes an entry of a disclosure makes it here: paths as the rules write them, counts, and
//! keyed names of customers. **Must not** write it, or let anything leave: `record` does. **Called by** `record`;
//! the demonstration makes entries of a history that it makes up.

use crate::filter::{FieldCount, Tally};
use crate::ledger::{
    self, FieldEntry, Legal, LegalHold, MaskedEntry, Parties, RecordCounts, Request, StreamPart,
};
use crate::model::{KeyEpoch, RequestId};
use crate::rules::{Contractor, Grant, Route};

/// A reduced answer, for whom, and by which rule.
pub struct Released<'a> {
    pub id: RequestId,
    pub contractor: &'a Contractor,
    pub credential: &'a str,
    pub method: &'a str,
    pub route: &'a Route,
    /// Digest of the rules.
    pub rules: &'a str,
    pub status: u16,
    /// Size of the reduced body.
    pub bytes: u64,
    /// `None` where there was nothing to reduce.
    pub tally: Option<&'a Tally>,
    /// Which part it is, of an answer that leaves in parts.
    pub part: Option<StreamPart>,
    /// The generation of the consent registry that it was decided by, where that was asked.
    pub decided: Option<u64>,
    /// Names the customers.
    pub epoch: &'a KeyEpoch,
}

impl<'a> Released<'a> {
    /// Records about planted customers.
    pub fn canaries(&self) -> u64 {
        self.tally.map_or(0, |tally| self.contractor.canaries.count(&tally.subjects))
    }

    pub fn entry(&self) -> ledger::Disclosure<'a> {
        let task = &self.contractor.tasks[self.route.task];
        ledger::Disclosure {
            id: self.id.to_string(),
            parties: Parties { contractor: self.contractor.id.as_str(), credential: self.credential },
            request: Request { method: self.method, route: Some(self.route.template.as_str()) },
            rules: self.rules,
            disclosed: self.disclosed(),
            epoch: self.epoch.number,
            subjects: self
                .tally
                .iter()
                .flat_map(|tally| tally.subjects.iter())
                .map(|subject| self.epoch.key.pseudonym(subject))
                .collect(),
            subjects_per_day: task.limits.subjects_per_day,
            decided: self.decided,
        }
    }

    fn disclosed(&self) -> ledger::Disclosed<'a> {
        let Released { contractor, route, tally, .. } = *self;
        let task = &contractor.tasks[route.task];
        let counts = tally.map_or(&[][..], |tally| &tally.fields);
        let met = route.fields.iter().zip(counts).filter(|(_, count)| count.disclosed + count.withheld > 0);
        let fields = met.map(|(label, count)| FieldEntry {
            path: &label.path,
            transform: label.treatment,
            disclosed: count.disclosed,
            withheld: count.withheld,
            drifted: count.drifted,
            masked: masked(count),
        });
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
            status: self.status,
            bytes: self.bytes,
            records: RecordCounts {
                released: tally.map_or(0, |tally| tally.records_released),
                withheld: tally.map_or(0, |tally| tally.records_withheld),
                not_admitted: tally.map_or(0, |tally| tally.not_admitted),
                without_subject: tally.map_or(0, |tally| tally.without_subject),
            },
            members_withheld: tally.map_or(0, |tally| tally.members_withheld),
            canaries: self.canaries(),
            fields: fields.collect(),
            stream: self.part,
        }
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
