//! Entries of a time that is not now.

use serde::Serialize;

use super::{ActivatedRules, Disclosure, Draft, OwnKind, Parties, Refused, Request, Signal, Started, now};

/// Makes entries as of one time: for a history that is made up, as the demonstration's and that of benches. What
/// happens is written with the time of the clock, by [`Draft`]'s own functions.
///
/// The writer takes them in the order in which they come; a verification warns where times go back by more than a
/// minute. A contractor's limit of customers in a day counts those of earlier days to yesterday.
#[derive(Clone, Copy, Debug)]
pub struct Dated(i64);

impl Dated {
    /// `time` is in microseconds since 1970-01-01T00:00:00Z.
    pub fn as_of(time: i64) -> Self {
        Dated(time)
    }

    pub(super) fn now() -> Self {
        Dated(now())
    }

    /// As [`Draft::disclosure`].
    pub fn disclosure(self, entry: Disclosure) -> Draft {
        Draft::disclosure_at(self.0, entry)
    }

    /// As [`Draft::refusal`].
    pub fn refusal(
        self,
        id: String,
        parties: Parties,
        request: Request,
        rules: &str,
        refused: &Refused,
    ) -> Draft {
        Draft::refusal_at(self.0, id, parties, request, rules, refused)
    }

    /// As [`Draft::signal`].
    pub fn signal(self, id: String, signal: &Signal<impl Serialize>) -> Draft {
        Draft::signal_at(self.0, id, signal)
    }

    /// As [`Draft::started`].
    pub fn started(self, id: String, event: &Started) -> Draft {
        Draft::node(self.0, "started", id, event)
    }

    /// As [`Draft::rules`].
    pub fn rules(self, id: String, event: &ActivatedRules) -> Draft {
        Draft::node(self.0, "rules", id, event)
    }

    /// As [`Draft::own`].
    pub fn own(self, kind: OwnKind, id: String, event: &impl Serialize) -> Draft {
        Draft::node(self.0, kind.as_str(), id, event)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::view::View;
    use super::*;
    use crate::model::RequestId;

    #[test]
    fn an_entry_as_of_a_time_has_that_time_and_an_id_of_it() {
        let time = 1_795_413_600_123_456;
        let (id, other) = (RequestId::as_of(time).to_string(), RequestId::as_of(time).to_string());
        assert_ne!(id, other);
        // RFC 9562, section 5.7: the first 48 bits are milliseconds, and the version follows.
        assert_eq!(id.replace('-', "")[..13], format!("{:012x}7", time / 1000));
        let draft = Dated::as_of(time).started(id.clone(), &Started { version: "1" });
        let leaf = draft.parts[0].leaf(3, None);
        let entry = View::parse(&leaf).unwrap();
        assert_eq!((entry.time, entry.id.as_ref(), draft.time), (time, id.as_str(), time));
    }
}
