//! What a request tells the detectors of signals, once it is answered: a few numbers, put into a queue.
//! Nothing is waited for, locked or copied; where the queue is full, it is counted and goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::filter::FieldCount;
use crate::ledger::Receipt;
use crate::model::RequestId;
use crate::rules::{Contractor, Route};
use crate::signals::{Event, Outcome};

use super::Refused;
use super::authenticate::Caller;
use super::authorize::Permit;
use super::reduce::Disclosure;
use super::ruling::Ruling;
use super::sample::{Sample, Sampled, Sampler};

/// Sightings that may wait for the detectors; together about a megabyte.
const QUEUE: usize = 8192;

/// Told by requests.
pub struct Watcher {
    queue: Sender<Sighting>,
    missed: AtomicU64,
    sampler: Sampler,
}

pub enum Sighting {
    /// Rules came into force.
    Rules(Arc<Ruling>),
    Request(Seen),
    /// The request that it is of was told before.
    Sample(Sampled),
}

/// One request, or a further part of its response. No `Debug`: its number can name somebody.
pub struct Seen {
    id: RequestId,
    /// Seconds since 1970-01-01T00:00:00Z.
    time: i64,
    caller: Caller,
    /// Index into the contractor's routes.
    route: Option<usize>,
    outcome: Outcome,
    new_subjects: u64,
    fields: FieldSet,
    /// Of those, and of those that were withheld.
    met: FieldSet,
    released: bool,
    number: Option<u64>,
}

/// Which of a route's fields were disclosed: the first 128, and behind them those of the few larger routes.
#[derive(Debug, Default, PartialEq, Eq)]
struct FieldSet(u128, Vec<u128>);

impl Watcher {
    pub fn new() -> (Arc<Self>, Receiver<Sighting>) {
        let (queue, sightings) = channel(QUEUE);
        let sampler = Sampler::new();
        (Arc::new(Watcher { queue, missed: AtomicU64::new(0), sampler }), sightings)
    }

    /// Rules come into force.
    pub fn rules(&self, ruling: &Arc<Ruling>) {
        self.tell(Sighting::Rules(Arc::clone(ruling)));
    }

    /// A disclosure, or a part of one, is in the ledger.
    pub fn disclosed(&self, permit: &Permit, id: RequestId, disclosure: &Disclosure, receipt: &Receipt) {
        let is_first = disclosure.part.is_none_or(|part| part.number == 1);
        let tally = disclosure.tally();
        let counts = tally.map_or(&[][..], |tally| &tally.fields);
        self.tell(Sighting::Request(Seen {
            id,
            time: now(),
            caller: permit.caller().clone(),
            route: Some(permit.route_index()),
            outcome: if is_first { Outcome::Disclosed } else { Outcome::Continued },
            new_subjects: receipt.new_subjects(),
            fields: FieldSet::of(counts, |count| count.disclosed > 0),
            met: FieldSet::of(counts, |count| count.disclosed + count.withheld > 0),
            released: tally.is_some_and(|tally| tally.records_released > 0),
            number: permit.number(),
        }));
    }

    pub fn refused(&self, caller: &Caller, id: RequestId, refused: &Refused) {
        let is_missing = refused.refusal.status() == StatusCode::NOT_FOUND;
        let outcome = if is_missing { Outcome::NotFound } else { Outcome::Other };
        self.tell(Sighting::Request(Seen {
            route: refused.route,
            number: refused.number,
            ..Seen::of(caller, id, outcome)
        }));
    }

    /// A request for something else than data.
    pub fn other(&self, caller: &Caller, id: RequestId) {
        self.tell(Sighting::Request(Seen::of(caller, id, Outcome::Other)));
    }

    /// Room for samples.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// A disclosure is in the ledger, and what the upstream sent for it can be looked at.
    pub fn sampled(&self, permit: &Permit, id: RequestId, sample: Box<Sample>) {
        let (caller, route) = (permit.caller().clone(), permit.route_index());
        self.tell(Sighting::Sample(Sampled { id, caller, route, sample }));
    }

    /// Sightings that were not told since this was asked last.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }

    fn tell(&self, sighting: Sighting) {
        if self.queue.try_send(sighting).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Seen {
    fn of(caller: &Caller, id: RequestId, outcome: Outcome) -> Self {
        Seen {
            id,
            time: now(),
            caller: caller.clone(),
            route: None,
            outcome,
            new_subjects: 0,
            fields: FieldSet::default(),
            met: FieldSet::default(),
            released: false,
            number: None,
        }
    }

    /// The route that data was disclosed by: its contractor and index.
    pub fn disclosing(&self) -> Option<(&Contractor, &Route)> {
        let contractor = self.caller.contractor();
        let is_disclosure = matches!(self.outcome, Outcome::Disclosed | Outcome::Continued);
        Some((contractor, &contractor.routes[self.route.filter(|_| is_disclosure)?]))
    }

    /// What the detectors are told.
    pub fn event(&self) -> Event<'_> {
        let contractor = self.caller.contractor();
        let route = self.route.map(|route| &contractor.routes[route]);
        let labels = route.map_or(&[][..], |route| &route.fields);
        let paths = |set: &FieldSet| {
            let mut paths = Vec::with_capacity(labels.len());
            let labels = labels.iter().enumerate();
            paths.extend(labels.filter(|(at, _)| set.has(*at)).map(|(_, label)| &*label.path));
            paths
        };
        Event {
            id: self.id,
            time: self.time,
            contractor: contractor.id.as_str(),
            credential: self.caller.credential(),
            task: route.map(|route| contractor.tasks[route.task].id.as_str()),
            route: route.map(|route| route.template.as_str()),
            source: self.caller.address(),
            outcome: self.outcome,
            new_subjects: self.new_subjects,
            fields: paths(&self.fields),
            met: paths(&self.met),
            released: self.released,
            number: self.number,
        }
    }
}

impl FieldSet {
    fn of(counts: &[FieldCount], is_in: impl Fn(&FieldCount) -> bool) -> Self {
        let bits = |chunk: &[FieldCount]| {
            let bits = chunk.iter().enumerate();
            bits.fold(0, |set, (bit, count)| set | u128::from(is_in(count)) << bit)
        };
        let mut sets = counts.chunks(128).map(bits);
        FieldSet(sets.next().unwrap_or_default(), sets.collect())
    }

    fn has(&self, at: usize) -> bool {
        let set = match at / 128 {
            0 => Some(&self.0),
            more => self.1.get(more - 1),
        };
        set.is_some_and(|set| set >> (at % 128) & 1 == 1)
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_set_knows_each_field_of_routes_of_any_size() {
        for size in [0, 1, 127, 128, 129, 400] {
            let disclosed = |at: usize| u64::from(at.is_multiple_of(3) || at == 127);
            let counts: Vec<FieldCount> = (0..size)
                .map(|at| FieldCount { disclosed: disclosed(at), ..FieldCount::default() })
                .collect();
            let set = FieldSet::of(&counts, |count| count.disclosed > 0);
            assert!((0..size).all(|at| set.has(at) == (disclosed(at) > 0)), "{size}");
            assert!(!set.has(size) && !set.has(10_000));
        }
    }
}
