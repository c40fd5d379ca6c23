//! Follows the ledger.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::ledger::Log;

use super::fill::{Rollup, Source};
use super::path_of;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// Entries in one transaction.
const BATCH: u64 = 16_384;
/// Of threads that do not serve.
const NICENESS: i32 = 10;

/// The thread that follows; it ends when this is dropped.
pub struct Follower {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Follows the ledger whose index is at `ledger` and whose heads `origin` signs.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn begin(ledger: PathBuf, origin: String) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("rollup".into()).spawn(move || {
            // Linux takes a thread's number for a process's here.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS);
            follow(&ledger, &origin, &stopped);
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

fn follow(ledger: &std::path::Path, origin: &str, stopped: &Receiver<()>) {
    let (mut rollup, mut told) = (None, false);
    loop {
        let pause = match step(ledger, origin, &mut rollup, stopped) {
            Ok(()) => {
                told = false;
                LOOK
            }
            Err(error) => {
                // What is not sure is opened anew.
                rollup = None;
                if !told {
                    tracing::warn!(error = format!("{error:#}"), "the review side's counts are behind");
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

/// Counts what is new.
fn step(
    ledger: &std::path::Path,
    origin: &str,
    rollup: &mut Option<Rollup>,
    stopped: &Receiver<()>,
) -> anyhow::Result<()> {
    let log = Log::open(ledger)?;
    let size = log.size();
    let rollup = match rollup {
        Some(rollup) if rollup.upto <= size => rollup,
        _ => rollup.insert(Rollup::open(&path_of(ledger), Source { origin, log: &log })?),
    };
    while rollup.upto < size {
        // Asked between batches, so that a stop does not wait for a year to be counted.
        if stopped.try_recv().is_ok() {
            return Ok(());
        }
        let end = size.min(rollup.upto + BATCH);
        let entries =
            (rollup.upto..end).map(|position| log.entry(position)).collect::<Result<Vec<_>, _>>()?;
        let last = log.leaf_hash(end - 1)?.context("an entry without a hash")?;
        rollup.add(&entries, &last)?;
    }
    Ok(())
}

/// Counts all there is, once.
///
/// # Errors
/// Where the ledger cannot be read, or the counts not be written.
#[cfg(test)]
pub fn catch_up(ledger: &std::path::Path, origin: &str) -> anyhow::Result<u64> {
    let (_keep, stopped) = channel();
    let mut rollup = None;
    step(ledger, origin, &mut rollup, &stopped)?;
    Ok(rollup.map_or(0, |rollup| rollup.upto))
}
