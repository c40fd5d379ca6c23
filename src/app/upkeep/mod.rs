//! What a gateway that runs takes in without a restart: rules, certificates, revocation lists, token keys, and
//! what it shows to upstreams. And what it says in time: which certificates end soon.
//!
//! Files are looked at twice a second, by what their folder says of them: that also works where a file is
//! swapped by a link, and on file systems that tell nobody of changes. What cannot be taken in leaves what was
//! before in force, and is tried again.

mod certificates;
mod look;
mod rules;
mod upstreams;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::admin::{Figures, Store};
use crate::config::Config;
use crate::diagnostic::Source;
use crate::ledger::Ledger;
use crate::model::SubjectKey;
use crate::proxy::{Gateway, Suspended};
use crate::token::KeyStore;
use crate::transport::Doorway;

pub use look::{Look, Watched};
pub use rules::{activated, changes, record_rules};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// Of threads that do not serve.
const NICENESS: i32 = 10;

/// Keeps a gateway up to date.
pub struct Upkeep {
    pub config: Config,
    pub pseudonym_key: SubjectKey,
    pub gateway: Arc<Gateway>,
    pub ledger: Arc<Ledger>,
    pub doorway: Arc<Doorway>,
    /// That of the admin side, where it speaks TLS.
    pub admin_doorway: Option<Arc<Doorway>>,
    /// Where rules are kept as they were, if somebody reviews what they let out.
    pub kept: Option<Arc<Store>>,
    /// The rules in force, and what they were made of.
    pub digest: String,
    pub sources: Vec<Arc<Source>>,
    /// The keys that they take tokens by.
    pub key_stores: Vec<Arc<KeyStore>>,
    pub suspended: Arc<Suspended>,
    pub figures: Arc<Figures>,
    /// Asks for all files to be taken in again. Without it, changes are still seen.
    pub hangup: Option<Signal>,
}

impl Upkeep {
    /// Works in tasks of its own until they are dropped. One that waits for a file system holds up no other.
    pub fn begin(self) -> JoinSet<()> {
        let (ask, asked) = watch::channel(());
        let mut tasks = JoinSet::new();
        tasks.spawn(certificates::keep(
            self.doorway,
            self.config.clone(),
            self.figures.clone(),
            asked.clone(),
        ));
        if let Some(doorway) = self.admin_doorway {
            tasks.spawn(certificates::keep_door(doorway, asked.clone()));
        }
        tasks.spawn(upstreams::keep(
            Arc::clone(&self.gateway),
            self.config.clone(),
            Arc::clone(&self.figures),
            asked.clone(),
        ));
        let rules = rules::Keeper {
            config: self.config,
            pseudonym_key: self.pseudonym_key,
            gateway: self.gateway,
            ledger: self.ledger,
            kept: self.kept,
            digest: self.digest,
            sources: self.sources,
            key_stores: self.key_stores,
            figures: Arc::clone(&self.figures),
        };
        tasks.spawn(rules.keep(asked));
        let (suspended, figures) = (self.suspended, self.figures);
        tasks.spawn(async move {
            loop {
                figures.set_suspended(suspended.count());
                tokio::time::sleep(LOOK).await;
            }
        });
        let mut hangup = self.hangup;
        tasks.spawn(async move {
            while let Some(signal) = &mut hangup {
                signal.recv().await;
                ask.send_replace(());
            }
            // Dropped, it would look like an end.
            let _ask = ask;
            std::future::pending::<()>().await;
        });
        tasks
    }
}

/// Does work that takes the processor for a while, on a thread that has it after those that serve.
///
/// # Errors
/// Where there is no thread, or it has panicked.
async fn behind_requests<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    let (done, outcome) = oneshot::channel();
    std::thread::Builder::new().name("upkeep".into()).spawn(move || {
        // Linux takes a thread's number for a process's here; a system that does not keeps the usual order.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
        let _ = done.send(work());
    })?;
    outcome.await.context("the thread has panicked")
}

/// SIGHUP, where it can be caught.
pub fn hangup() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}

/// Waits for the next look; true where somebody has asked for all to be taken in again.
async fn next_look(asked: &mut watch::Receiver<()>) -> bool {
    tokio::select! {
        () = tokio::time::sleep(LOOK) => false,
        changed = asked.changed() => changed.is_ok(),
    }
}
