//! What a reviewer should look at: events about requests in, signals out.
//!
//! **Guarantees.** It asks no clock and touches no file: the same events give the same signals. Its memory is
//! bounded by the rules and by its own bounds, and what is kept of it holds no personal value: counts, times,
//! paths as the rules write them, and networks. Numbers out of a request's path stay for ten minutes, in
//! memory only. The same signal about the same credential comes once an hour at most, see [`thresholds`].
//!
//! **Trusts** whoever tells it of requests. **Must not** hold a request up: it is asked behind them.
//!
//! **Called by** `proxy::watch`.

mod contractor;
pub mod drift;
mod enumeration;
mod memory;
mod network;
#[cfg(test)]
mod tests;
pub mod thresholds;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::RequestId;

use contractor::Contractor;
use memory::{Kept, Memory};

pub use memory::Damaged;
pub use network::Network;

/// A request of a known contractor that was answered, or a further part of its answer.
pub struct Event<'e> {
    pub id: RequestId,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub contractor: &'e str,
    pub credential: &'e str,
    pub task: Option<&'e str>,
    /// The path template of the route.
    pub route: Option<&'e str>,
    pub source: IpAddr,
    pub outcome: Outcome,
    /// Customers that the contractor had not seen on that day before.
    pub new_subjects: u64,
    /// Paths of the disclosed fields, as the rule writes them.
    pub fields: Vec<&'e str>,
    /// Of those that were there at all, whether or not they left.
    pub met: Vec<&'e str>,
    /// A record was disclosed.
    pub released: bool,
    /// A number out of the request's path. No entry, no file and no log gets it.
    pub number: Option<u64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Disclosed,
    /// A part that is not the first.
    Continued,
    NotFound,
    /// Refused, or no request for data.
    Other,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    pub contractor: String,
    pub credential: Option<String>,
    pub task: Option<String>,
    pub route: Option<String>,
    pub details: Details,
    /// The last requests behind it.
    pub requests: Vec<RequestId>,
}

/// What it is, in numbers; no value of a request or a response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// Numbers in paths that follow each other.
    Sequential {
        pattern: &'static str,
        numbers: usize,
        step: u64,
    },
    /// Requests for what is not there.
    NotFound {
        pattern: &'static str,
        requests: u64,
        not_found: u64,
    },
    /// More customers in an hour than the contractor usually sees.
    Harvest {
        subjects: u64,
        median: u64,
    },
    /// A credential that nobody has used for long.
    Dormant {
        days: i64,
        used_before: bool,
    },
    /// Fields that this contractor never got by this route.
    NewFields {
        fields: Vec<String>,
    },
    NewNetwork {
        network: String,
    },
    /// An hour of the week in which this contractor never calls; in UTC.
    OffHours {
        weekday: &'static str,
        hour: i64,
    },
    /// A field that the upstream did not send before. It is withheld, unless a wildcard or `whole` discloses it.
    NewUpstreamField {
        path: String,
        types: Vec<&'static str>,
        /// The path of the rule by which it leaves.
        #[serde(skip_serializing_if = "Option::is_none")]
        disclosed_by: Option<String>,
        change: String,
    },
    /// A disclosed field is something else than before.
    FieldRetyped {
        path: String,
        from: Vec<&'static str>,
        to: Vec<&'static str>,
        change: String,
    },
    /// A disclosed field was not in so many answers.
    FieldVanished {
        path: String,
        answers: u64,
        change: String,
    },
    /// A disclosed field that nobody got.
    FieldUnused {
        path: String,
        days: i64,
        change: String,
    },
}

impl Details {
    /// The signal's name.
    pub fn name(&self) -> &'static str {
        match self {
            Details::Sequential { .. } | Details::NotFound { .. } => "enumeration",
            Details::Harvest { .. } => "harvest",
            Details::Dormant { .. } => "dormant-credential",
            Details::NewFields { .. } => "new-field",
            Details::NewNetwork { .. } => "new-network",
            Details::OffHours { .. } => "off-hours",
            Details::NewUpstreamField { .. } => "new-upstream-field",
            Details::FieldRetyped { .. } => "field-retyped",
            Details::FieldVanished { .. } => "field-vanished",
            Details::FieldUnused { .. } => "field-unused",
        }
    }
}

/// All detectors, for all contractors.
#[derive(Default)]
pub struct Detectors {
    contractors: BTreeMap<String, Contractor>,
}

impl Detectors {
    /// With what was kept when it ran last.
    ///
    /// # Errors
    /// Where that cannot be understood.
    pub fn restore(kept: &[u8]) -> Result<Self, Damaged> {
        let contractors = memory::read(kept)?.into_iter();
        let contractors = contractors.map(|(id, memory)| (id, Contractor::new(memory))).collect();
        Ok(Detectors { contractors })
    }

    /// What is to be kept of it. Forgets what is too old to matter.
    pub fn keep(&mut self, now: i64) -> Vec<u8> {
        self.contractors.values_mut().for_each(|contractor| contractor.memory.forget(now));
        let contractors = self.contractors.iter().map(|(id, known)| (id.as_str(), &known.memory)).collect();
        memory::write(&Kept { version: memory::VERSION, contractors })
    }

    /// There is a contractor with these credentials from now on.
    pub fn know<'c>(&mut self, contractor: &str, credentials: impl Iterator<Item = &'c str>, now: i64) {
        let known = self.contractor(contractor);
        credentials.for_each(|credential| known.memory.know(credential, now));
    }

    /// Takes an event; what it shows.
    pub fn see(&mut self, event: &Event) -> Vec<Signal> {
        self.contractor(event.contractor).see(event)
    }

    fn contractor(&mut self, id: &str) -> &mut Contractor {
        if !self.contractors.contains_key(id) {
            self.contractors.insert(id.to_owned(), Contractor::new(Memory::default()));
        }
        self.contractors.get_mut(id).expect("it was put there")
    }
}
