//! The thread behind the writer: takes durable entries from the journal into the archive, signs the head,
//! and keeps the index. Whatever it waits for, no request waits for it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::archive::{Archive, BUNDLE, Head};
use super::entry;
use super::error::StoreError;
use super::index::Index;
use super::known::Known;
use super::log;
use super::space::Space;
use super::state::State;
use super::store::{Store, Tail};

/// The shortest time from one head to the next, and from a failure to the next try.
const PACE: Duration = Duration::from_millis(500);
/// The niceness of the thread.
const BEHIND_REQUESTS: i32 = 10;
/// Entries that are taken at once: their bytes are held in memory.
const BATCH: u64 = 16_384;
/// Entries that go into the index in one transaction.
const INDEXED: u64 = 4096;

/// The archive and the index, kept up with the journal.
pub struct Keeper {
    archive: Archive,
    index: Option<Index>,
    path: PathBuf,
    store: Store,
    tail: Tail,
    state: Arc<State>,
    /// The last failure, so that each is logged once.
    trouble: String,
    space: Space,
}

impl Drop for Keeper {
    /// Also where it panics: nobody may believe that heads are still signed.
    fn drop(&mut self) {
        self.state.set_keeps(false);
    }
}

impl Keeper {
    /// Takes what the first version kept in the index, and what is in the journal already.
    ///
    /// # Errors
    /// Where the archive or the index cannot be written, or the index knows of more entries than there are.
    pub fn start(
        archive: Archive,
        index: Index,
        path: &Path,
        store: &Store,
        state: Arc<State>,
    ) -> Result<Self, StoreError> {
        let tail = store.tail(archive.size())?;
        let trouble = String::new();
        let mut keeper = Keeper {
            archive,
            index: Some(index),
            path: path.to_owned(),
            store: store.clone(),
            tail,
            state,
            trouble,
            space: Space::default(),
        };
        keeper.take_over_first_version()?;
        // What is archived from there was durable before.
        store.settle()?;
        store.check(&keeper.archive)?;
        keeper.tail = store.tail(keeper.archive.size())?;
        keeper.take(u64::MAX)?;
        keeper.archive.seal()?;
        keeper.publish();
        let found = keeper.archive.size();
        let known = keeper.index.as_ref().map_or(0, Index::indexed);
        if known > found {
            return Err(StoreError::Shorter { path: log::folder(path), found, known });
        }
        while !keeper.index_more()? {}
        Ok(keeper)
    }

    /// What the writer must know of all entries.
    ///
    /// # Errors
    /// Where the index cannot be read.
    pub fn known(&mut self) -> Result<Known, StoreError> {
        self.index.as_mut().map_or_else(|| Ok(Known::default()), |index| index.known(entry::now()))
    }

    /// The last entry.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn last(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let size = self.archive.size();
        Ok(self.archive.entries(size.saturating_sub(1), size)?.pop().flatten().map(Cow::into_owned))
    }

    /// Goes on until it is told to stop, and then to the end of the journal.
    ///
    /// # Errors
    /// Where there is no thread.
    pub fn spawn(mut self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("archive".into()).spawn(move || {
            // Where there is not enough processor for all, requests come first. Linux takes a thread's number
            // for a process's here; a system that does not keeps the usual order.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), BEHIND_REQUESTS);
            while !self.state.stopping() {
                let began = Instant::now();
                let idle = self.turn();
                let pause = if idle { Duration::from_secs(60) } else { PACE };
                self.state.wait(began + pause, idle, self.archive.size());
            }
            self.turn();
        })
    }

    /// Takes what is there; true where nothing is left to do.
    fn turn(&mut self) -> bool {
        self.space.look(&log::folder(&self.path));
        match self.try_turn() {
            Ok(idle) => {
                if !std::mem::take(&mut self.trouble).is_empty() {
                    tracing::warn!("the ledger's archive and index are kept again");
                }
                self.state.keeps();
                idle
            }
            Err(error) => {
                let trouble = error.to_string();
                if trouble != self.trouble {
                    tracing::error!(%error, "the ledger's archive and index cannot be kept");
                    self.trouble = trouble;
                }
                self.state.keeps_not();
                false
            }
        }
    }

    fn try_turn(&mut self) -> Result<bool, StoreError> {
        let committed = self.state.committed.load(Ordering::Acquire);
        self.take(committed)?;
        if self.archive.size() < committed {
            return Err(self.store.gap(self.archive.size()));
        }
        self.archive.seal()?;
        self.publish();
        // Kept up with, also where nobody elsewhere can see it for now.
        self.tail.publish(self.archive.head())?;
        self.reopen_index()?;
        let began = Instant::now();
        let mut indexed = self.index_more()?;
        while !indexed && began.elapsed() < PACE {
            indexed = self.index_more()?;
        }
        Ok(indexed && self.archive.size() >= self.state.committed.load(Ordering::Acquire))
    }

    /// Appends entries of the journal to the archive.
    fn take(&mut self, upto: u64) -> Result<(), StoreError> {
        let mut upto = upto;
        loop {
            let from = self.archive.size();
            // A head comes before the first whole tile: without one, that would be taken for a ledger whose head is gone.
            let batch = if self.archive.head().note.is_empty() { BUNDLE / 2 } else { BATCH };
            let end = upto.min(from + batch);
            self.tail.feed(end, &mut self.archive)?;
            let all = self.archive.size();
            // At the start nobody knows how many there are.
            if all < end {
                upto = upto.min(all);
            }
            if all >= upto || all == from {
                return Ok(());
            }
            self.archive.seal()?;
            self.publish();
        }
    }

    /// Says what may be forgotten of the journal.
    fn publish(&self) {
        let head: &Head = self.archive.head();
        self.state.archived.store(head.size, Ordering::Release);
        self.state.heads.send_if_modified(|known| {
            let newer = known.size != head.size || known.note != head.note;
            if newer {
                *known = head.clone();
            }
            newer
        });
    }

    /// Gives the index some of the entries that it does not have; true where it has all.
    fn index_more(&mut self) -> Result<bool, StoreError> {
        let Some(index) = &mut self.index else { return Ok(false) };
        index.check_name()?;
        let (from, size) = (index.indexed(), self.archive.head().size);
        if from >= size {
            return Ok(true);
        }
        let taken = index.take_from(&mut self.archive, INDEXED);
        let all = index.indexed() >= size;
        if taken.is_err() {
            self.index = None;
        }
        taken.map(|()| all)
    }

    fn reopen_index(&mut self) -> Result<(), StoreError> {
        if self.index.is_none() {
            // It cannot tell what was deleted before it was opened.
            self.archive.forget();
            self.index = Some(Index::reopen(&self.path, self.state.index_file())?);
        }
        Ok(())
    }

    fn take_over_first_version(&mut self) -> Result<(), StoreError> {
        let Some(index) = &self.index else { return Ok(()) };
        let Some(count) = index.first_version()? else { return Ok(()) };
        for position in self.archive.size()..count {
            self.archive.append(index.first_version_entry(position)?);
            if (position + 1).is_multiple_of(BATCH) {
                self.archive.seal()?;
            }
        }
        self.archive.seal()?;
        index.forget_first_version()
    }
}
