//! The detectors of one contractor.

use std::collections::{HashMap, VecDeque};

use crate::model::RequestId;

use super::enumeration::{Guesses, Walk};
use super::memory::Memory;
use super::network::Network;
use super::thresholds::{
    HARVEST_FACTOR, HARVEST_SUBJECTS, HOUR, PAST_HOURS, QUIET, QUIET_OFF_HOURS, REQUESTS, USUAL_HOURS,
};
use super::{Details, Event, Outcome, Signal};

const THERE: &str = "it was put there";

/// Hours of a week.
const WEEK: i64 = 7 * 24;

/// 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday"];

#[derive(Default)]
pub struct Contractor {
    pub memory: Memory,
    /// By credential.
    credentials: HashMap<String, Credential>,
    harvest: Harvest,
}

/// What is not kept from one start to the next.
#[derive(Default)]
struct Credential {
    /// By the template of the route.
    walks: HashMap<String, Walk>,
    guesses: Guesses,
}

/// The hour that runs.
#[derive(Default)]
struct Harvest {
    hour: i64,
    /// Of the hours before.
    median: Option<u64>,
    /// The last disclosures about somebody new.
    requests: VecDeque<RequestId>,
}

impl Contractor {
    pub fn new(memory: Memory) -> Self {
        Contractor { memory, ..Contractor::default() }
    }

    pub fn see(&mut self, event: &Event) -> Vec<Signal> {
        self.memory.begin(event.time);
        let mut signals = Vec::new();
        if event.outcome != Outcome::Continued {
            signals.extend(self.dormant(event));
            signals.extend(self.network(event));
            signals.extend(self.off_hours(event));
            signals.extend(self.sequence(event));
            signals.extend(self.guesses(event));
        }
        signals.extend(self.fields(event));
        signals.extend(self.harvest(event));
        signals
    }

    fn dormant(&mut self, event: &Event) -> Option<Signal> {
        let (days, used_before) = self.memory.wake(event.credential, event.time)?;
        let signal = one(event, Details::Dormant { days, used_before });
        self.may_raise(event, &signal.details, QUIET).then_some(signal)
    }

    /// What may not be raised now is not learned either: the next request from there raises it.
    fn network(&mut self, event: &Event) -> Option<Signal> {
        let network = Network::of(event.source);
        if self.memory.knows_network(network, event.time) {
            return None;
        }
        let learning = self.memory.is_learning(event.time);
        let signal = one(event, Details::NewNetwork { network: network.to_string() });
        if learning || self.may_raise(event, &signal.details, QUIET) {
            self.memory.learn_network(network, event.time);
        } else {
            return None;
        }
        (!learning).then_some(signal)
    }

    /// Looks at the first request of an hour.
    fn off_hours(&mut self, event: &Event) -> Option<Signal> {
        let hour = event.time.div_euclid(HOUR);
        if self.memory.called(hour) {
            return None;
        }
        let usual = (1..=PAST_HOURS / WEEK).any(|weeks| self.memory.called(hour - weeks * WEEK));
        let has_hours = self.memory.hours_called(hour) >= USUAL_HOURS && self.memory.has_past(event.time);
        // It has called in this hour, also where nothing was disclosed.
        self.memory.count(hour, 0);
        if usual || !has_hours || !self.memory.may_raise("off-hours", QUIET_OFF_HOURS, event.time) {
            return None;
        }
        let day = WEEKDAYS.get(hour.div_euclid(24).rem_euclid(7) as usize).copied().unwrap_or_default();
        Some(one(event, Details::OffHours { weekday: day, hour: hour.rem_euclid(24) }))
    }

    fn sequence(&mut self, event: &Event) -> Option<Signal> {
        let (number, route) = (event.number?, event.route?);
        let walk = self.credential(event.credential).walk(route);
        let sequence = walk.see(number, event.id, event.time)?;
        let requests = walk.requests();
        let pattern = "sequential";
        let details = Details::Sequential { pattern, numbers: sequence.numbers, step: sequence.step };
        let signal = Signal { requests, ..one(event, details) };
        self.memory
            .may_raise(&format!("enumeration {pattern} {}", event.credential), QUIET, event.time)
            .then_some(signal)
    }

    fn guesses(&mut self, event: &Event) -> Option<Signal> {
        let guesses = &mut self.credential(event.credential).guesses;
        let guessed = guesses.see(event.outcome == Outcome::NotFound, event.id, event.time)?;
        let requests = guesses.requests();
        let pattern = "not-found";
        let details = Details::NotFound { pattern, requests: guessed.requests, not_found: guessed.not_found };
        // It is about all routes.
        let signal = Signal { task: None, route: None, requests, ..one(event, details) };
        self.memory
            .may_raise(&format!("enumeration {pattern} {}", event.credential), QUIET, event.time)
            .then_some(signal)
    }

    /// As with networks: what may not be raised now is raised when it is disclosed again.
    fn fields(&mut self, event: &Event) -> Option<Signal> {
        let (task, route) = (event.task?, event.route?);
        let fields = self.memory.unknown_fields(task, route, &event.fields);
        if fields.is_empty() {
            return None;
        }
        let learning = self.memory.is_learning(event.time);
        let signal = one(event, Details::NewFields { fields: fields.clone() });
        if learning || self.may_raise(event, &signal.details, QUIET) {
            self.memory.learn_fields(task, route, &fields);
        } else {
            return None;
        }
        (!learning).then_some(signal)
    }

    fn harvest(&mut self, event: &Event) -> Option<Signal> {
        if event.new_subjects == 0 {
            return None;
        }
        let hour = event.time.div_euclid(HOUR);
        let subjects = self.memory.count(hour, event.new_subjects);
        self.harvest.turn(hour);
        self.harvest.note(event.id);
        if subjects < HARVEST_SUBJECTS {
            return None;
        }
        let memory = &self.memory;
        let median = *self.harvest.median.get_or_insert_with(|| memory.median(hour));
        let many = subjects >= median.saturating_mul(HARVEST_FACTOR);
        if !many || !self.memory.may_raise("harvest", QUIET, event.time) {
            return None;
        }
        let requests = self.harvest.requests.iter().copied().collect();
        // It is about all that the contractor does.
        let signal = one(event, Details::Harvest { subjects, median });
        Some(Signal { credential: None, task: None, route: None, requests, ..signal })
    }

    fn may_raise(&mut self, event: &Event, details: &Details, quiet: i64) -> bool {
        self.memory.may_raise(&format!("{} {}", details.name(), event.credential), quiet, event.time)
    }

    fn credential(&mut self, id: &str) -> &mut Credential {
        if !self.credentials.contains_key(id) {
            self.credentials.insert(id.to_owned(), Credential::default());
        }
        self.credentials.get_mut(id).expect(THERE)
    }
}

impl Credential {
    fn walk(&mut self, route: &str) -> &mut Walk {
        if !self.walks.contains_key(route) {
            self.walks.insert(route.to_owned(), Walk::default());
        }
        self.walks.get_mut(route).expect(THERE)
    }
}

impl Harvest {
    fn turn(&mut self, hour: i64) {
        if self.hour != hour {
            *self = Harvest { hour, ..Harvest::default() };
        }
    }

    fn note(&mut self, id: RequestId) {
        // The parts of a response have one id.
        if self.requests.back() == Some(&id) {
            return;
        }
        if self.requests.len() >= REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(id);
    }
}

/// A signal about one request.
fn one(event: &Event, details: Details) -> Signal {
    Signal {
        contractor: event.contractor.to_owned(),
        credential: Some(event.credential.to_owned()),
        task: event.task.map(str::to_owned),
        route: event.route.map(str::to_owned),
        details,
        requests: vec![event.id],
    }
}
