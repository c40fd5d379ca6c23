//! How feeds stand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::config;
use crate::ledger::{Head, Log, View};

use super::place::{Contradiction, Place, PlaceFile};

/// How a feed stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeedState {
    pub name: String,
    /// `file`, `syslog`, `http` or `nats`.
    pub kind: String,
    /// Entries before this number were delivered, or are not for it.
    pub next: u64,
    /// Entries under the signed head that were not.
    pub lag_entries: u64,
    /// Seconds since the oldest of them was written.
    pub lag_seconds: u64,
    /// Events that were delivered since the gateway started.
    pub delivered: u64,
    /// Attempts that failed since the gateway started.
    pub failures: u64,
    /// Entries whose content was pruned before it could be delivered.
    pub gone: u64,
    /// When something was last delivered: microseconds since 1970-01-01T00:00:00Z.
    pub delivered_at: Option<i64>,
    /// Why nothing is delivered now.
    pub error: Option<String>,
    /// Its place is not in this ledger.
    pub contradicts: bool,
}

/// One feed, as its thread tells it. Nobody holds the lock for longer than a few moves.
pub(super) struct Standing {
    name: String,
    kind: &'static str,
    now: Mutex<Now>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    next: u64,
    /// When the oldest entry that is not delivered was written.
    oldest: Option<i64>,
    delivered: u64,
    failures: u64,
    gone: u64,
    delivered_at: Option<i64>,
    error: Option<String>,
    contradicts: bool,
}

/// Tells where the thread that delivers has panicked.
pub(super) struct Watched(pub Arc<Standing>);

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fails("it has stopped: the log says where", false);
        }
    }
}

impl Standing {
    pub fn new(name: &str, kind: &'static str) -> Self {
        Standing { name: name.to_owned(), kind, now: Mutex::default() }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_at(&self, place: &Place) {
        let mut now = self.now();
        (now.next, now.gone, now.delivered_at) = (place.next, place.gone, place.delivered_at);
    }

    pub fn is_done(&self) {
        self.now().oldest = None;
    }

    pub fn is_at_work(&self, oldest: Option<i64>) {
        self.now().oldest = oldest;
    }

    pub fn has_delivered(&self, after: &Place, events: u64) {
        self.is_at(after);
        let mut now = self.now();
        now.delivered += events;
    }

    /// Whether there was something to recover from.
    pub fn recovers(&self) -> bool {
        let mut now = self.now();
        now.contradicts = false;
        now.error.take().is_some()
    }

    /// Whether that is news.
    pub fn fails(&self, words: &str, contradicts: bool) -> bool {
        let mut now = self.now();
        now.failures += 1;
        let is_news = now.error.as_deref() != Some(words);
        (now.error, now.contradicts) = (Some(words.to_owned()), contradicts);
        is_news
    }

    fn state(&self, size: u64, at: i64) -> FeedState {
        let now = self.now().clone();
        let age = now.oldest.map_or(0, |oldest| at.saturating_sub(oldest).max(0) / 1_000_000);
        FeedState {
            name: self.name.clone(),
            kind: self.kind.to_owned(),
            next: now.next,
            lag_entries: size.saturating_sub(now.next),
            lag_seconds: age as u64,
            delivered: now.delivered,
            failures: now.failures,
            gone: now.gone,
            delivered_at: now.delivered_at,
            error: now.error,
            contradicts: now.contradicts,
        }
    }
}

/// How all of them stand, for whoever asks.
pub struct Board {
    standings: Vec<Arc<Standing>>,
    heads: watch::Receiver<Head>,
}

impl Board {
    pub(super) fn new(standings: Vec<Arc<Standing>>, heads: watch::Receiver<Head>) -> Self {
        Board { standings, heads }
    }

    pub fn states(&self) -> Vec<FeedState> {
        let size = self.heads.borrow().size;
        let at = jiff::Timestamp::now().as_microsecond();
        self.standings.iter().map(|standing| standing.state(size, at)).collect()
    }
}

/// How a feed stands by its file and the ledger's, without the gateway.
#[derive(Clone, Debug, Serialize)]
pub struct KeptPlace {
    pub name: String,
    pub kind: &'static str,
    /// None as long as it has no place.
    pub next: Option<u64>,
    pub lag_entries: u64,
    pub lag_seconds: u64,
    pub gone: u64,
    pub delivered_at: Option<i64>,
    /// Why its place is none of this ledger, or cannot be read.
    pub error: Option<String>,
}

/// How a feed stands in a ledger, by its file.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn kept(feed: &config::Feed, log: &Log, ledger: &Path) -> anyhow::Result<KeptPlace> {
    let size = log.archived();
    let mut kept = KeptPlace {
        name: feed.name.clone(),
        kind: feed.to.kind(),
        next: None,
        lag_entries: size,
        lag_seconds: 0,
        gone: 0,
        delivered_at: None,
        error: None,
    };
    let place = match PlaceFile::of(ledger, &feed.name).read() {
        Ok(Some(place)) => place,
        // Where it will begin, its configuration says.
        Ok(None) => {
            if feed.from == config::FeedFrom::Now {
                kept.lag_entries = 0;
            }
            return Ok(kept);
        }
        Err(error) => {
            kept.error = Some(format!("{error:#}"));
            return Ok(kept);
        }
    };
    (kept.next, kept.gone, kept.delivered_at) = (Some(place.next), place.gone, place.delivered_at);
    kept.lag_entries = size.saturating_sub(place.next);
    match place.check(log) {
        Ok(()) => {}
        Err(error) if error.is::<Contradiction>() => kept.error = Some(error.to_string()),
        Err(error) => return Err(error),
    }
    if place.next < size
        && let Some(leaf) = log.entry(place.next)?
        && let Ok(view) = View::parse(&leaf)
    {
        let age = jiff::Timestamp::now().as_microsecond().saturating_sub(view.time).max(0);
        kept.lag_seconds = (age / 1_000_000) as u64;
    }
    Ok(kept)
}

/// Forgets the place of a feed that contradicts its ledger: it begins anew, as one that has sent nothing yet. The file
/// that held it.
///
/// # Errors
/// Where the place is one of this ledger, which nobody must forget by mistake.
pub fn forget(feed: &config::Feed, log: &Log, ledger: &Path) -> anyhow::Result<PathBuf> {
    let file = PlaceFile::of(ledger, &feed.name);
    let path = file.path().to_owned();
    let contradicts = match file.read() {
        Ok(place) => {
            let place = place.context("the feed has no place yet")?;
            matches!(place.check(log), Err(error) if error.is::<Contradiction>())
        }
        // A damaged file says nothing.
        Err(_) => true,
    };
    ensure!(
        contradicts,
        "the feed's place is one of this ledger; to have all of it sent again, stop the gateway and remove {}",
        path.display()
    );
    file.forget()?;
    Ok(path)
}
