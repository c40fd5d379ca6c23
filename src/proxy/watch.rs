//! Hears what requests tell, asks the detectors, and writes their signals into the ledger: behind the
//! requests, of which none waits for it.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::ledger::{self, Draft, Ledger, StateFile};
use crate::model::{RequestId, SubjectKey};
use crate::rules::{Contractor, Plan, Route};
use crate::signals::drift::{Drift, RouteName};
use crate::signals::{Detectors, Signal};

use super::sighting::{Seen, Sighting, Watcher, now};

/// Sightings that are taken at once.
const AT_ONCE: usize = 256;
/// Between two looks at what is left to do.
const PACE: Duration = Duration::from_secs(10);
/// So many of these from one time that the memory is kept to the next.
const KEEP: u32 = 6;
/// Signals that may wait for a ledger that cannot be written.
const WAITING: usize = 1000;
/// What the file with the detectors' memory is called.
const FILE: &str = "signals.json";
/// And the one with what upstreams send.
const SHAPES: &str = "shapes.json";

/// The detectors at work.
pub struct Watch {
    watcher: Arc<Watcher>,
    sightings: Receiver<Sighting>,
    detectors: Detectors,
    drift: Drift,
    ledger: Arc<Ledger>,
    habits: Memory,
    shapes: Memory,
    /// Signals whose entries are not durable yet.
    waiting: VecDeque<Signal>,
    /// The last attempt to write one, or the file, has failed.
    is_stuck: bool,
}

/// A file, and what it holds.
struct Memory {
    file: StateFile,
    kept: Vec<u8>,
    /// The last attempt to write it has not failed.
    is_kept: bool,
}

/// The detectors for the requests that go into this ledger, with what they know from before.
///
/// Under `key`, names in what upstreams send are hashed.
pub fn watch(ledger: Arc<Ledger>, key: SubjectKey) -> (Arc<Watcher>, Watch) {
    let [habits, shapes] = [FILE, SHAPES].map(|name| Memory::of(StateFile::beside(ledger.path(), name)));
    let (watcher, sightings) = Watcher::new();
    let watch = Watch {
        watcher: Arc::clone(&watcher),
        sightings,
        detectors: restore(&habits.file),
        drift: restore_drift(&shapes.file, key),
        ledger,
        habits,
        shapes,
        waiting: VecDeque::new(),
        is_stuck: false,
    };
    (watcher, watch)
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

/// The routes of all contractors, and what each discloses.
fn routes(plan: &Plan) -> Vec<(&Contractor, &Route, String)> {
    let of = |contractor: &Arc<Contractor>| contractor.routes.len();
    let mut all = Vec::with_capacity(plan.contractors.iter().map(of).sum());
    for contractor in &plan.contractors {
        all.extend(contractor.routes.iter().map(|route| (&**contractor, route, route.methods_and_path())));
    }
    all
}

fn name_of<'n>(contractor: &'n Contractor, route: &Route, name: &'n str) -> RouteName<'n> {
    RouteName {
        contractor: contractor.id.as_str(),
        task: contractor.tasks[route.task].id.as_str(),
        route: name,
    }
}

impl Memory {
    fn of(file: StateFile) -> Self {
        Memory { file, kept: Vec::new(), is_kept: true }
    }

    /// Puts it on the disk, where it has changed; `what` is lost where that cannot be done.
    async fn keep(&mut self, known: Vec<u8>, what: &str) {
        if known == self.kept {
            return;
        }
        let (file, content) = (self.file.clone(), known.clone());
        let written = tokio::task::spawn_blocking(move || file.replace(&content)).await;
        let error = match written {
            Ok(Ok(())) => {
                (self.kept, self.is_kept) = (known, true);
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if std::mem::replace(&mut self.is_kept, false) {
            tracing::warn!(error, "{what} cannot be kept: a restart forgets it");
        }
    }
}

impl Watch {
    /// Works until `stop` is done; then it takes what is there, and keeps what it knows.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut pace = tokio::time::interval(PACE);
        let mut sightings = Vec::with_capacity(AT_ONCE);
        let mut until_kept = KEEP;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                _ = self.sightings.recv_many(&mut sightings, AT_ONCE) => {
                    sightings.drain(..).for_each(|sighting| self.take(sighting));
                    if !self.is_stuck {
                        self.write().await;
                    }
                }
                _ = pace.tick() => {
                    self.write().await;
                    until_kept -= 1;
                    if until_kept == 0 {
                        until_kept = KEEP;
                        self.keep().await;
                        self.tell_missed();
                    }
                }
                () = &mut stop => break,
            }
        }
        self.sightings.close();
        while let Some(sighting) = self.sightings.recv().await {
            self.take(sighting);
        }
        self.write().await;
        self.keep().await;
        if !self.waiting.is_empty() {
            tracing::error!(signals = self.waiting.len(), "signals are lost: the ledger cannot be written");
        }
    }

    fn take(&mut self, sighting: Sighting) {
        match sighting {
            Sighting::Rules(ruling) => {
                for contractor in &ruling.plan.contractors {
                    let credentials = contractor.credentials.iter().map(|credential| credential.as_str());
                    self.detectors.know(contractor.id.as_str(), credentials, now());
                }
                let routes = routes(&ruling.plan);
                let known = routes.iter().map(|(contractor, route, name)| {
                    let paths = route.fields.iter().map(|field| field.path.as_str()).collect();
                    (name_of(contractor, route, name), paths)
                });
                self.drift.know(known, now());
            }
            Sighting::Request(seen) => self.take_request(&seen),
            Sighting::Sample(sampled) => {
                let found = sampled.learn(&mut self.drift, now());
                self.raise(found);
            }
        }
    }

    fn take_request(&mut self, seen: &Seen) {
        let event = seen.event();
        let mut found = self.detectors.see(&event);
        if let Some((contractor, route)) = seen.disclosing() {
            let name = route.methods_and_path();
            found.extend(self.drift.see(name_of(contractor, route, &name), &event));
        }
        self.raise(found);
    }

    fn raise(&mut self, found: Vec<Signal>) {
        self.waiting.extend(found);
        while self.waiting.len() > WAITING {
            self.waiting.pop_front();
            tracing::error!("a signal was lost: the ledger cannot be written");
        }
    }

    /// Writes the entries of the signals. What the ledger does not take waits.
    async fn write(&mut self) {
        while let Some(signal) = self.waiting.front() {
            let name = signal.details.name();
            let recorded = self.ledger.record(draft(name, signal)).await;
            self.is_stuck = recorded.is_err();
            match recorded {
                Ok(receipt) => {
                    let (contractor, credential) = (&signal.contractor, signal.credential.as_deref());
                    let entry = receipt.position();
                    tracing::warn!(
                        code = "signal",
                        signal = name,
                        contractor,
                        credential,
                        entry,
                        "somebody should look at this"
                    );
                    self.waiting.pop_front();
                }
                Err(error) => {
                    tracing::warn!(signal = name, %error, "a signal cannot be recorded yet");
                    return;
                }
            }
        }
    }

    /// Puts what the detectors know on the disk, where it has changed.
    async fn keep(&mut self) {
        // What was learned counts as told: it must not outlive a signal that is not in the ledger.
        if !self.waiting.is_empty() {
            return;
        }
        let known = self.detectors.keep(now());
        self.habits.keep(known, "what contractors usually do").await;
        self.shapes.keep(self.drift.keep(), "what upstreams usually send").await;
    }

    fn tell_missed(&self) {
        let missed = self.watcher.take_missed();
        if missed > 0 {
            tracing::warn!(missed, "requests were too many for the detectors of signals");
        }
    }
}

fn draft(name: &str, signal: &Signal) -> Draft {
    let entry = ledger::Signal {
        signal: name,
        contractor: &signal.contractor,
        credential: signal.credential.as_deref(),
        task: signal.task.as_deref(),
        route: signal.route.as_deref(),
        details: &signal.details,
        entries: signal.requests.iter().map(ToString::to_string).collect(),
    };
    Draft::signal(RequestId::new().to_string(), &entry)
}
