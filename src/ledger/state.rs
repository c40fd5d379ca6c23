//! What the ledger's threads tell each other and everybody who asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::telemetry::Commits;

use super::archive::Head;

/// A commit that runs for longer than this makes the ledger count as sick.
const SLOW: Duration = Duration::from_secs(1);
/// So long the archive and the index may fall behind.
const BEHIND: Duration = Duration::from_secs(10);

pub struct State {
    /// The last commit succeeded.
    writes: AtomicBool,
    /// There is a keeper.
    keeper_lives: AtomicBool,
    since: Instant,
    /// Milliseconds after `since` at which the running commit began; 0 while none runs.
    began: AtomicU64,
    /// The same for the time from which on the archive or the index could not be kept.
    behind: AtomicU64,
    /// The same for the time from which on entries count as not witnessed for too long.
    refused_from: AtomicU64,
    /// Entries that are durable.
    pub committed: AtomicU64,
    /// Entries that are in the archive.
    pub archived: Arc<AtomicU64>,
    pub commits: Arc<Commits>,
    pub heads: watch::Sender<Head>,
    /// The keeper has nothing to do.
    idle: AtomicBool,
    stopping: AtomicBool,
    keeper: OnceLock<Thread>,
    /// The inode of the index.
    index_file: u64,
}

impl State {
    pub fn new(index_file: u64) -> Self {
        State {
            writes: AtomicBool::new(true),
            keeper_lives: AtomicBool::new(true),
            since: Instant::now(),
            began: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            refused_from: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            archived: Arc::default(),
            commits: Arc::default(),
            heads: watch::Sender::new(Head::default()),
            idle: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            keeper: OnceLock::new(),
            index_file,
        }
    }

    pub fn set_writes(&self, writes: bool) {
        self.writes.store(writes, Ordering::Release);
    }

    pub fn set_keeps(&self, lives: bool) {
        self.keeper_lives.store(lives, Ordering::Release);
    }

    pub fn begin(&self) {
        self.began.store(self.now(), Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    /// The archive and the index are kept.
    pub fn keeps(&self) {
        self.behind.store(0, Ordering::Relaxed);
    }

    /// The archive or the index is not kept.
    pub fn keeps_not(&self) {
        let _ = self.behind.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// From when on nothing is served, because entries are not witnessed; never, for `None`.
    pub fn refuse_from(&self, moment: Option<Instant>) {
        let millis = moment.map(|moment| moment.saturating_duration_since(self.since).as_millis() as u64);
        self.refused_from.store(millis.map_or(0, |millis| millis.max(1)), Ordering::Relaxed);
    }

    /// Whether the last commit succeeded, none hangs, the archive and the index follow, and entries are
    /// witnessed in time.
    pub fn is_healthy(&self) -> bool {
        self.writes.load(Ordering::Acquire)
            && self.keeper_lives.load(Ordering::Acquire)
            && !self.is_longer_ago(&self.began, SLOW)
            && !self.is_longer_ago(&self.behind, BEHIND)
            && !self.is_longer_ago(&self.refused_from, Duration::ZERO)
    }

    fn is_longer_ago(&self, moment: &AtomicU64, time: Duration) -> bool {
        let moment = moment.load(Ordering::Relaxed);
        moment > 0 && self.now().saturating_sub(moment) > time.as_millis() as u64
    }

    fn now(&self) -> u64 {
        (self.since.elapsed().as_millis() as u64).max(1)
    }

    /// The inode that the index had when it was opened.
    pub fn index_file(&self) -> u64 {
        self.index_file
    }

    /// Entries have become durable.
    pub fn commit(&self, size: u64) {
        // In one order with the keeper's, or both could miss each other.
        self.committed.store(size, Ordering::SeqCst);
        if self.idle.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn wake(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    /// Waits until `end`; where the keeper is idle, not for longer than there are `known` entries.
    pub fn wait(&self, end: Instant, idle: bool, known: u64) {
        self.keeper.get_or_init(std::thread::current);
        while !self.stopping() {
            // Each time: who woke it took that back, perhaps for nothing new.
            self.idle.swap(idle, Ordering::SeqCst);
            let left = end.saturating_duration_since(Instant::now());
            let more = idle && self.committed.load(Ordering::SeqCst) > known;
            if left.is_zero() || more {
                break;
            }
            std::thread::park_timeout(left);
        }
        self.idle.store(false, Ordering::Release);
    }
}
