//! Entries of the ledger, sent on as OCSF events: to a file, a syslog server, an HTTP endpoint, or NATS JetStream.
//!
//! **Guarantees.** Each entry of the kinds that a feed takes is delivered at least once and in order, also over
//! restarts: the ledger is the queue, and a feed's place in it is kept beside it once the receiver has what comes
//! before. Where content was pruned first, an event says how many entries are gone. A place that the ledger does not
//! have, as after an older copy was put back, stops the feed and is told; nothing is skipped. An event holds what an
//! export of the same form does, so no personal value.
//!
//! **How.** Each feed has a thread of its own at low priority, and on it all that it does: `portion` reads what is under
//! the signed head, `way` delivers it, `place` keeps how far that went. Memory is that of one portion.
//!
//! **Trusts** who runs the receivers. **Must not** be waited for by anything, and a request least of all.
//!
//! **Called by** `app` (begins and ends them), the review side (shows how they stand), the command `ledger feeds`.

mod place;
mod portion;
mod standing;
#[cfg(test)]
mod tests;
mod way;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::config::{self, FeedFrom};
use crate::ledger::Head;

use place::{Contradiction, Place, PlaceFile};
use portion::Reader;
use standing::Standing;
use way::Way;

pub use standing::{Board, FeedState, KeptPlace, forget, kept};

/// How long a feed waits.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// After the first failure; twice as long after each further one.
    first: Duration,
    /// At most; and for a new head of the ledger, before it looks all the same.
    longest: Duration,
}

const PACE: Pace = Pace { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// Of threads that do not serve.
const NICENESS: i32 = 10;
/// For feeds to end what they are at, when the gateway stops.
const PATIENCE: Duration = Duration::from_secs(1);

/// The feeds at work. They stop where this is dropped.
pub struct Feeds {
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    board: Arc<Board>,
}

impl Feeds {
    /// Begins to deliver what is in the ledger whose index is at `ledger`, as its `heads` come.
    ///
    /// # Errors
    /// Where a secret or an authority's file cannot be used, or there is no thread.
    pub fn begin(
        feeds: &[config::Feed],
        ledger: &Path,
        heads: watch::Receiver<Head>,
    ) -> anyhow::Result<Self> {
        Feeds::begin_at(feeds, ledger, heads, PACE)
    }

    fn begin_at(
        feeds: &[config::Feed],
        ledger: &Path,
        heads: watch::Receiver<Head>,
        pace: Pace,
    ) -> anyhow::Result<Self> {
        let made = feeds.iter().map(|terms| {
            let named = || format!("feed {}", terms.name);
            let standing = Arc::new(Standing::new(&terms.name, terms.to.kind()));
            let feed = Feed {
                name: terms.name.clone(),
                way: Way::new(terms).with_context(named)?,
                reader: Reader::new(ledger, terms.kinds.clone(), terms.batch),
                file: PlaceFile::of(ledger, &terms.name),
                from: terms.from,
                // A file takes its time; the system says where it fails.
                timeout: (terms.to.kind() != "file").then_some(terms.timeout),
                place: None,
                untold: 0,
                standing,
            };
            anyhow::Ok(feed)
        });
        // All of them are known to be right before one begins.
        let made = made.collect::<anyhow::Result<Vec<Feed>>>()?;
        let standings = made.iter().map(|feed| Arc::clone(&feed.standing)).collect();
        let board = Arc::new(Board::new(standings, heads.clone()));
        let (stop, stopped) = watch::channel(false);
        let mut threads = Vec::new();
        for feed in made {
            let (heads, stopped) = (heads.clone(), stopped.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            threads.push(std::thread::Builder::new().name(format!("feed-{}", feed.name)).spawn(
                move || {
                    // Linux takes a thread's number for a process's here.
                    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
                    runtime.block_on(feed.run(heads, stopped, pace));
                    // A name that is still being looked up is not waited for.
                    runtime.shutdown_background();
                },
            )?);
        }
        Ok(Feeds { stop, threads, board })
    }

    /// How they stand.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Stops them, and waits a moment for what they are at: what is not acknowledged comes again.
    pub async fn end(self) {
        let _ = self.stop.send(true);
        let ended = async {
            while !self.threads.iter().all(JoinHandle::is_finished) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // A disk that hangs would hold the gateway's end up.
        let _ = tokio::time::timeout(PATIENCE, ended).await;
    }
}

struct Feed {
    name: String,
    way: Way,
    reader: Reader,
    file: PlaceFile,
    from: FeedFrom,
    timeout: Option<Duration>,
    /// As far as it is known.
    place: Option<Place>,
    /// Entries whose content was gone, and that the log does not know of.
    untold: u64,
    standing: Arc<Standing>,
}

impl Feed {
    async fn run(mut self, mut heads: watch::Receiver<Head>, mut stop: watch::Receiver<bool>, pace: Pace) {
        let mut wait = pace.first;
        let _watched = standing::Watched(Arc::clone(&self.standing));
        loop {
            // What comes while it looks wakes it.
            heads.mark_unchanged();
            let step = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                step = self.step() => step,
            };
            let is_new = match step {
                Ok(true) => {
                    wait = pace.first;
                    self.recovers();
                    continue;
                }
                Ok(false) => {
                    wait = pace.first;
                    self.recovers();
                    true
                }
                Err(error) => {
                    self.fails(&error);
                    false
                }
            };
            let pause = if is_new { pace.longest } else { wait };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = heads.changed(), if is_new => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
            }
            if !is_new {
                wait = pace.longest.min(wait * 2);
            }
        }
    }

    /// Delivers what is next; whether there was something.
    async fn step(&mut self) -> anyhow::Result<bool> {
        let place = self.place().context("its place in the ledger")?;
        self.standing.is_at(&place);
        let Some(portion) = self.reader.next(&place)? else {
            self.standing.is_done();
            if self.untold > 0 {
                let (feed, entries) = (&self.name, self.untold);
                tracing::warn!(feed, entries, "content was pruned before it could be delivered");
                self.untold = 0;
            }
            return Ok(false);
        };
        self.standing.is_at_work(portion.oldest);
        let mut after = portion.after;
        if !portion.events.is_empty() {
            let sent = self.way.send(&portion.events);
            match self.timeout {
                None => sent.await?,
                Some(timeout) => match tokio::time::timeout(timeout, sent).await {
                    Ok(sent) => sent?,
                    Err(_) => anyhow::bail!("no answer within {} s", timeout.as_secs_f32()),
                },
            }
            after.delivered_at = Some(jiff::Timestamp::now().as_microsecond());
        }
        self.untold += portion.gone;
        self.standing.has_delivered(&after, portion.events.len() as u64);
        self.place = Some(after.clone());
        // What is delivered is not sent again for this; after a restart it would be.
        self.file.keep(&after).context("its place in the ledger cannot be kept")?;
        Ok(true)
    }

    /// Where it stands, read from its file where it does not know.
    fn place(&mut self) -> anyhow::Result<Place> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let place = match self.file.read()? {
            Some(place) => {
                // It is told also where it is wrong.
                self.standing.is_at(&place);
                place
            }
            None => {
                let log = self.reader.open()?;
                let place = match self.from {
                    FeedFrom::Start => Place::start(),
                    FeedFrom::Now => Place::before(log.archived(), log)?,
                };
                self.file.keep(&place)?;
                place
            }
        };
        self.place = Some(place.clone());
        Ok(place)
    }

    fn recovers(&self) {
        if self.standing.recovers() {
            tracing::info!(feed = self.name, "entries are delivered again");
        }
    }

    fn fails(&mut self, error: &anyhow::Error) {
        let contradicts = error.chain().any(|cause| cause.is::<Contradiction>());
        let words = format!("{error:#}");
        if self.standing.fails(&words, contradicts) {
            let feed = &self.name;
            if contradicts {
                tracing::error!(
                    feed,
                    error = words,
                    "the feed stands still: its place is not in this ledger"
                );
            } else {
                tracing::warn!(
                    feed,
                    error = words,
                    "entries cannot be delivered: they wait, and are tried again"
                );
            }
        }
        if contradicts {
            // Somebody may put it right.
            self.place = None;
        }
    }
}
