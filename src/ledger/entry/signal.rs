//! Signals: entries that a reviewer should look at. They count among their contractor's entries, so that one
//! that is taken away leaves a gap.

use serde::Serialize;

use super::{Disclosure, Draft, Head, Part, now};

/// Something that a reviewer should look at. `D` says what: counts, paths of the rules, networks.
#[derive(Clone, Debug, Serialize)]
pub struct Signal<'a, D> {
    /// Its name, such as `enumeration`.
    pub signal: &'a str,
    pub contractor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<&'a str>,
    /// The path template of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    pub details: &'a D,
    /// Ids of the last requests behind it.
    pub entries: Vec<String>,
}

/// The name of the signal that a planted customer was disclosed.
const CANARY: &str = "canary";

#[derive(Serialize)]
struct Touched {
    /// Planted customers in the response, or in this part of it.
    records: u64,
}

#[derive(Serialize)]
struct SignalBody<'a, D> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    signal: &'a Signal<'a, D>,
}

impl Draft {
    pub fn signal(id: String, signal: &Signal<impl Serialize>) -> Draft {
        Draft::signal_at(id, signal, now())
    }

    pub(super) fn signal_at(id: String, signal: &Signal<impl Serialize>, time: i64) -> Draft {
        Draft {
            parts: vec![part(&id, time, signal)],
            contractor: Some(signal.contractor.to_owned()),
            subjects_per_day: u64::MAX,
            decided: None,
            withdrawn: None,
            discloses: false,
            time,
        }
    }
}

/// The entry that stands behind a disclosure about a planted customer, in the same commit.
pub(super) fn of_canary(entry: &Disclosure, time: i64) -> Part {
    let signal = Signal {
        signal: CANARY,
        contractor: entry.parties.contractor,
        credential: Some(entry.parties.credential),
        task: Some(entry.disclosed.task),
        route: entry.request.route,
        details: &Touched { records: entry.disclosed.canaries },
        entries: vec![entry.id.clone()],
    };
    // An id of its own: by that of the disclosure its contractor may ask for a receipt.
    part(&uuid::Uuid::now_v7().to_string(), time, &signal)
}

fn part(id: &str, time: i64, signal: &Signal<impl Serialize>) -> Part {
    Part::new(&[], &SignalBody { head: Head::new("signal", id, time), signal })
}
