//! Hears what requests tell, asks the detectors, and writes their signals into the ledger: behind the
//! requests, of which none waits for it.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;

use crate::ledger::{self, Draft, Ledger, StateFile};
use crate::model::RequestId;
use crate::signals::{Detectors, Signal};

use super::sighting::{Sighting, Watcher, now};

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

/// The detectors at work.
pub struct Watch {
    watcher: Arc<Watcher>,
    sightings: Receiver<Sighting>,
    detectors: Detectors,
    ledger: Arc<Ledger>,
    file: StateFile,
    /// What the file holds.
    kept: Vec<u8>,
    /// Signals whose entries are not durable yet.
    waiting: VecDeque<Signal>,
    /// The last attempt to write one, or the file, has failed.
    is_stuck: bool,
    is_kept: bool,
}

/// The detectors for the requests that go into this ledger, with what they know from before.
pub fn watch(ledger: Arc<Ledger>) -> (Arc<Watcher>, Watch) {
    let file = StateFile::beside(ledger.path(), FILE);
    let (watcher, sightings) = Watcher::new();
    let watch = Watch {
        watcher: Arc::clone(&watcher),
        sightings,
        detectors: restore(&file),
        ledger,
        file,
        kept: Vec::new(),
        waiting: VecDeque::new(),
        is_stuck: false,
        is_kept: true,
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
                    sightings.drain(..).for_each(|sighting| self.take(&sighting));
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
            self.take(&sighting);
        }
        self.write().await;
        self.keep().await;
        if !self.waiting.is_empty() {
            tracing::error!(signals = self.waiting.len(), "signals are lost: the ledger cannot be written");
        }
    }

    fn take(&mut self, sighting: &Sighting) {
        match sighting {
            Sighting::Rules(ruling) => {
                for contractor in &ruling.plan.contractors {
                    let credentials = contractor.credentials.iter().map(|credential| credential.as_str());
                    self.detectors.know(contractor.id.as_str(), credentials, now());
                }
            }
            Sighting::Request(seen) => {
                let found = self.detectors.see(&seen.event());
                self.waiting.extend(found);
                while self.waiting.len() > WAITING {
                    self.waiting.pop_front();
                    tracing::error!("a signal was lost: the ledger cannot be written");
                }
            }
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
            tracing::warn!(error, "what contractors usually do cannot be kept: a restart forgets it");
        }
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
