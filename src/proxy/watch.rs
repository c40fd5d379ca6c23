//! Hears what requests tell, asks the detectors, and writes their signals into the ledger: behind the
//! requests, of which none waits for it.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::ledger::{Draft, Ledger, StateFile};
use crate::model::{RequestId, SubjectKey};
use crate::signals::Signal;

use super::observer::{self, KeptMemory, Observer, signal_entry};
use super::sample::Sampled;
use super::sighting::{Sighting, Watcher, now};

/// Sightings that are taken at once.
const AT_ONCE: usize = 256;
/// Between two looks at what is left to do.
const PACE: Duration = Duration::from_secs(10);
/// So many of these from one time that the memory is kept to the next.
const KEEP: u32 = 6;
/// Signals that may wait for a ledger that cannot be written.
const WAITING: usize = 1000;
/// The detectors at work.
pub struct Watch {
    watcher: Arc<Watcher>,
    sightings: Receiver<Sighting>,
    observer: Observer,
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
    let files = observer::files(ledger.path());
    let observer = Observer::restore(&files, key);
    let [habits, shapes] = files.map(Memory::of);
    let (watcher, sightings) = Watcher::new();
    let watch = Watch {
        watcher: Arc::clone(&watcher),
        sightings,
        observer,
        ledger,
        habits,
        shapes,
        waiting: VecDeque::new(),
        is_stuck: false,
    };
    (watcher, watch)
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
            Sighting::Rules(ruling) => self.observer.know(&ruling.plan, now()),
            Sighting::Request(seen) => {
                let found = self.observer.see(&seen.event(), seen.disclosing());
                self.raise(found);
            }
            Sighting::Sample(Sampled { id, caller, route, sample }) => {
                let contractor = caller.contractor();
                let route = &contractor.routes[route];
                let found = self.observer.learn(id, (contractor, route), *sample, now());
                self.raise(found);
            }
        }
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
            let recorded = self.ledger.record(draft(signal)).await;
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
        let KeptMemory { habits, shapes } = self.observer.keep(now());
        self.habits.keep(habits, "what contractors usually do").await;
        self.shapes.keep(shapes, "what upstreams usually send").await;
    }

    fn tell_missed(&self) {
        let missed = self.watcher.take_missed();
        if missed > 0 {
            tracing::warn!(missed, "requests were too many for the detectors of signals");
        }
    }
}

fn draft(signal: &Signal) -> Draft {
    Draft::signal(RequestId::new().to_string(), &signal_entry(signal))
}
