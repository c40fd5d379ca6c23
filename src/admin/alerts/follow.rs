//! Follows the ledger for signals.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::ledger::{Log, Order, Query, Search, StoreError, View};

use super::super::house::House;
use super::super::store::{Raised, Store, now};
use super::kinds::kind;
use super::trouble::Trouble;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// Of threads that do not serve.
const NICENESS: i32 = 10;
/// What is older when the ledger is read for the first time is history: 90 days, in microseconds.
const HISTORY: i64 = 90 * 86_400_000_000;

/// The thread that follows; it ends when this is dropped.
pub struct Follower {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows the house's ledger.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn begin(house: Arc<House>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("alerts".into()).spawn(move || {
            // Linux takes a thread's number for a process's here.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            follow(&house, &stopped);
        })?;
        Ok(Follower { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(house: &House, stopped: &Receiver<()>) {
    let (mut trouble, mut told) = (Trouble::default(), false);
    loop {
        // What is wrong with the ledger keeps nobody from saying so.
        let outcome = trouble.look(house).and(take(&house.config.ledger.path, &house.store));
        let pause = match outcome {
            Ok(()) => {
                told = false;
                LOOK
            }
            Err(error) => {
                if !told {
                    tracing::error!(error = format!("{error:#}"), "alerts are behind the ledger");
                }
                told = true;
                PAUSE
            }
        };
        if !matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

/// Keeps the signals that are new in the ledger whose index is at `ledger`.
pub(super) fn take(ledger: &Path, store: &Store) -> anyhow::Result<()> {
    // Mutes end by themselves.
    store.count_open()?;
    let known = store.followed()?;
    let size = Log::open(ledger)?.size();
    if known == Some(size) {
        return Ok(());
    }
    // A ledger that is shorter is another one. Ids tell what is known.
    let from = known.filter(|known| *known <= size);
    let search = Search::open(ledger)?;
    let mut found = Vec::new();
    let query = Query {
        kind: Some("signal".to_owned()),
        since: from.is_none().then(|| now() - HISTORY),
        ..Query::default()
    };
    search.each(&query, Order::NewestFirst, |position, leaf| {
        if from.is_some_and(|from| position < from) {
            return Ok(ControlFlow::Break(()));
        }
        found.extend(View::parse(leaf).ok().map(|entry| raised(position, &entry)));
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    found.reverse();
    store.raise(&found, search.log().size())?;
    Ok(())
}

fn raised(position: u64, entry: &View) -> Raised {
    let owned = |text: &Option<std::borrow::Cow<str>>| text.as_deref().map(str::to_owned);
    let name = entry.signal.as_deref().unwrap_or("signal");
    Raised {
        id: entry.id.to_string(),
        kind: name.to_owned(),
        severity: kind(name).severity,
        time: entry.time,
        entry: Some(position),
        contractor: owned(&entry.contractor),
        credential: owned(&entry.credential),
        task: owned(&entry.task),
        route: owned(&entry.route),
        details: entry.details.clone().unwrap_or_default(),
        requests: entry.entries.iter().map(|id| id.to_string()).collect(),
    }
}
