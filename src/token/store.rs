//! The newest keys of one source, for requests to read and one task to renew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::keys::KeySet;
use super::rule::Source;

/// How long keys from a server are used without hearing from it.
const STALE: Duration = Duration::from_secs(86_400);

#[derive(Debug)]
pub struct KeyStore {
    source: Source,
    /// The file whose rules name the source first.
    rule_file: String,
    /// Milliseconds between two fetches.
    refresh: AtomicU64,
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
    pub fn new(source: Source, rule_file: String) -> Self {
        KeyStore {
            source,
            rule_file,
            refresh: AtomicU64::new(u64::MAX),
            held: ArcSwapOption::empty(),
            wanted: AtomicBool::new(false),
        }
    }

    /// Asks for the keys to be fetched so often. Of several rules, the one that asks for more counts.
    pub fn renew_every(&self, refresh: Duration) {
        let refresh = u64::try_from(refresh.as_millis()).unwrap_or(u64::MAX);
        self.refresh.fetch_min(refresh, Ordering::Relaxed);
    }

    /// Between two fetches.
    pub fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh.load(Ordering::Relaxed))
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The file whose rules name the source, or one of them.
    pub fn rule_file(&self) -> &str {
        &self.rule_file
    }

    /// The keys, where there are some that are not too old.
    pub fn keys(&self) -> Option<Borrowed> {
        self.keys_at(Instant::now())
    }

    fn keys_at(&self, now: Instant) -> Option<Borrowed> {
        let held = self.held.load_full()?;
        let age = now.saturating_duration_since(held.since);
        (matches!(self.source, Source::File(_)) || age < STALE).then_some(Borrowed(held))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_server_are_used_for_a_day_and_those_of_a_file_for_good() {
        let https = Source::Https { url: "https://id.example".into(), ca: "ca.pem".into() };
        for (source, after) in [(https, false), (Source::File("keys.json".into()), true)] {
            let store = KeyStore::new(source, "rules/parcelco.toml".into());
            assert!(store.keys().is_none());
            store.put(KeySet::default());
            let now = Instant::now();
            assert!(store.keys_at(now + STALE - Duration::from_secs(1)).is_some());
            assert_eq!(store.keys_at(now + STALE).is_some(), after);
            // Who takes them over does not make them younger.
            let next = KeyStore::new(store.source().clone(), String::new());
            next.inherit(&store);
            assert_eq!(next.keys_at(now + STALE).is_some(), after);
        }
    }

    #[test]
    fn a_wish_for_other_keys_is_heard_once() {
        let store = KeyStore::new(Source::File("keys.json".into()), String::new());
        assert!(!store.was_wanted());
        store.want();
        store.want();
        assert!(store.was_wanted() && !store.was_wanted());
    }
}
