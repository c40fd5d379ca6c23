//! All detectors at once: what they are told, and the files that keep what they know.
//!
//! **Called by** `watch`; the demonstration asks it about a history that it makes up.

use std::path::Path;

use crate::ledger::{self, StateFile, StoreError};
use crate::model::{RequestId, SubjectKey};
use crate::rules::{Contractor, Plan, Route};
use crate::signals::drift::{Drift, RouteName};
use crate::signals::{Details, Detectors, Event, Signal};

use super::sample;

/// What the file with the detectors' memory is called.
const FILE: &str = "signals.json";
/// And the one with what upstreams send.
const SHAPES: &str = "shapes.json";

/// The detectors. They ask no clock.
pub struct Observer {
    detectors: Detectors,
    drift: Drift,
}

/// What is to be kept of it.
pub struct KeptMemory {
    pub habits: Vec<u8>,
    pub shapes: Vec<u8>,
}

/// Where that is kept, beside the ledger whose index is at `path`: habits and shapes.
pub fn files(path: &Path) -> [StateFile; 2] {
    [FILE, SHAPES].map(|name| StateFile::beside(path, name))
}

impl Observer {
    /// Knows nothing yet. Under `key`, names in what upstreams send are hashed.
    pub fn new(key: SubjectKey) -> Self {
        Observer { detectors: Detectors::default(), drift: Drift::new(key) }
    }

    /// With what is known from before.
    pub fn restore([habits, shapes]: &[StateFile; 2], key: SubjectKey) -> Self {
        Observer { detectors: restore(habits), drift: restore_drift(shapes, key) }
    }

    /// Rules come into force. Times are in seconds since 1970-01-01T00:00:00Z.
    pub fn know(&mut self, plan: &Plan, now: i64) {
        for contractor in &plan.contractors {
            let credentials = contractor.credentials.iter().map(|credential| credential.as_str());
            self.detectors.know(contractor.id.as_str(), credentials, now);
        }
        let routes = plan.contractors.iter().flat_map(|contractor| {
            contractor.routes.iter().map(|route| {
                let paths = route.fields.iter().map(|field| field.path.as_str()).collect();
                (name_of(contractor, route), paths)
            })
        });
        self.drift.know(routes, now);
    }

    /// Takes a request. `disclosing` is the route that data was disclosed by.
    pub fn see(&mut self, event: &Event, disclosing: Option<(&Contractor, &Route)>) -> Vec<Signal> {
        let mut found = self.detectors.see(event);
        if let Some((contractor, route)) = disclosing {
            found.extend(self.drift.see(name_of(contractor, route), event));
        }
        found
    }

    /// Takes a copy of what the upstream sent for a request, and drops it as soon as its shape is known.
    pub fn learn(
        &mut self,
        id: RequestId,
        (contractor, route): (&Contractor, &Route),
        sample: impl AsRef<[u8]>,
        now: i64,
    ) -> Vec<Signal> {
        sample::learn(&mut self.drift, id, (name_of(contractor, route), route), sample, now)
    }

    /// Forgets what is too old to matter.
    pub fn keep(&mut self, now: i64) -> KeptMemory {
        KeptMemory { habits: self.detectors.keep(now), shapes: self.drift.keep() }
    }

    /// Puts what it knows beside the ledger whose index is at `path`, where no gateway runs with it.
    ///
    /// # Errors
    /// Where that cannot be written.
    pub fn keep_beside(&mut self, path: &Path, now: i64) -> Result<(), StoreError> {
        let [habits, shapes] = files(path);
        let kept = self.keep(now);
        habits.replace(&kept.habits)?;
        shapes.replace(&kept.shapes)
    }
}

/// What the ledger is told of a signal.
pub fn signal_entry(signal: &Signal) -> ledger::Signal<'_, Details> {
    ledger::Signal {
        signal: signal.details.name(),
        contractor: &signal.contractor,
        credential: signal.credential.as_deref(),
        task: signal.task.as_deref(),
        route: signal.route.as_deref(),
        details: &signal.details,
        entries: signal.requests.iter().map(ToString::to_string).collect(),
    }
}

/// What cannot be read is not worth a gateway that does not start: the habits are learned anew.
fn restore(file: &StateFile) -> Detectors {
    let kept = match file.read() {
        Ok(None) => return Detectors::default(),
        Ok(Some(kept)) => Detectors::restore(&kept).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    kept.unwrap_or_else(|error| {
        let file = file.path().display();
        tracing::warn!(%file, error, "what contractors usually do is not known any more and is learned anew");
        Detectors::default()
    })
}

/// The same for what upstreams send.
fn restore_drift(file: &StateFile, key: SubjectKey) -> Drift {
    let kept = match file.read() {
        Ok(None) => return Drift::new(key),
        Ok(Some(kept)) => Drift::restore(key.clone(), &kept).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    kept.unwrap_or_else(|error| {
        let file = file.path().display();
        tracing::warn!(%file, error, "what upstreams usually send is not known any more and is learned anew");
        Drift::new(key)
    })
}

fn name_of<'n>(contractor: &'n Contractor, route: &'n Route) -> RouteName<'n> {
    RouteName {
        contractor: contractor.id.as_str(),
        task: contractor.tasks[route.task].id.as_str(),
        route: &route.methods_and_path,
    }
}
