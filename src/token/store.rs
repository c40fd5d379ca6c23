//! The newest keys of one source, for requests to read and one task to renew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::keys::KeySet;
use super::rule::Source;

/// How long keys from a server are used without hearing from it.
const STALE: Duration = Duration::from_secs(86_400);

#[derive(Debug)]
pub struct KeyStore {
    source: Source,
    held: ArcSwapOption<Held>,
    /// A token named a key that is not there.
    wanted: AtomicBool,
}

#[derive(Debug)]
struct Held {
    keys: KeySet,
    since: Instant,
}

/// Keys, as long as a request looks at them.
pub struct Borrowed(Arc<Held>);

impl std::ops::Deref for Borrowed {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        &self.0.keys
    }
}

impl KeyStore {
    pub fn new(source: Source) -> Self {
        KeyStore { source, held: ArcSwapOption::empty(), wanted: AtomicBool::new(false) }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The keys, where there are some that are not too old.
    pub fn keys(&self) -> Option<Borrowed> {
        let held = self.held.load_full()?;
        let fresh = matches!(self.source, Source::File(_)) || held.since.elapsed() < STALE;
        fresh.then_some(Borrowed(held))
    }

    pub fn put(&self, keys: KeySet) {
        self.held.store(Some(Arc::new(Held { keys, since: Instant::now() })));
    }

    /// How long the keys are there.
    pub fn age(&self) -> Option<Duration> {
        Some(self.held.load().as_ref()?.since.elapsed())
    }

    /// Takes the keys of another store of the same source.
    pub fn inherit(&self, other: &KeyStore) {
        self.held.store(other.held.load_full());
    }

    /// Asks for the set to be renewed before its time.
    pub fn want(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether somebody has asked since this was called last.
    pub fn was_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }
}
