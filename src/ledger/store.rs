//! Where entries become durable: files of this machine, or the database of a fleet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::archive::{Archive, Head};
use super::entry::{Draft, Part};
use super::error::StoreError;
use super::files;
use super::journal::{self, Recent, Sync};
use super::known::{Admitted, Known};
use super::log;
use super::merkle;
use super::postgres::{Asked, Changes, Committed, PostgresJournal, PostgresTail};

/// Which of them.
#[derive(Clone)]
pub enum Store {
    /// Files in a folder.
    Disk {
        folder: PathBuf,
        sync: Sync,
        /// What the writer tells who reads behind it.
        recent: Arc<Recent>,
    },
    Fleet(Arc<Changes>),
}

/// Open for writing.
pub enum Journal {
    Disk(journal::Journal),
    Fleet(Box<PostgresJournal>),
}

/// How a draft's customers are counted.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// As this node knows them.
    Here,
    /// As all nodes have counted them; `None`, and nothing counted, where they would be too many.
    All(Option<Admitted>),
}

/// Reads entries back, one after the other.
pub enum Tail {
    Disk(journal::Tail),
    Fleet(Box<PostgresTail>),
}

impl Store {
    /// That of the ledger whose index is at `path`, on this machine's disk.
    pub fn disk(path: &Path, sync: Sync) -> Self {
        Store::Disk { folder: log::journal_folder(&log::folder(path)), sync, recent: Arc::default() }
    }

    /// Opens it, with the number of the next entry; those behind the first `archived` must be there.
    ///
    /// # Errors
    /// Where it cannot be used.
    pub fn open(&self, archived: Arc<AtomicU64>) -> Result<Journal, StoreError> {
        match self {
            Store::Disk { folder, sync, recent } => {
                let journal = journal::Journal::open(folder, archived, *sync)?;
                Ok(Journal::Disk(journal.telling(Arc::clone(recent))))
            }
            Store::Fleet(changes) => {
                Ok(Journal::Fleet(Box::new(PostgresJournal::open(Arc::clone(changes))?)))
            }
        }
    }

    /// Begins to read at an entry.
    ///
    /// # Errors
    /// Where nobody can ask.
    pub fn tail(&self, next: u64) -> Result<Tail, StoreError> {
        match self {
            Store::Disk { folder, recent, .. } => {
                Ok(Tail::Disk(journal::Tail::new(folder, next).believing(Arc::clone(recent))))
            }
            Store::Fleet(changes) => Ok(Tail::Fleet(Box::new(PostgresTail::new(changes, next)?))),
        }
    }

    /// Makes durable what an earlier process may have left.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn settle(&self) -> Result<(), StoreError> {
        match self {
            Store::Disk { folder, sync, .. } => journal::sync_all(folder, *sync),
            Store::Fleet(_) => Ok(()),
        }
    }

    /// That it has fewer entries than are known.
    pub fn shorter(&self, found: u64, known: u64) -> StoreError {
        match self {
            Store::Disk { folder, .. } => StoreError::Shorter { path: folder.clone(), found, known },
            Store::Fleet(changes) => {
                StoreError::OlderDatabase { node: changes.name().to_owned(), found, known }
            }
        }
    }

    /// That an entry that it acknowledged is not there.
    pub fn gap(&self, entry: u64) -> StoreError {
        match self {
            Store::Disk { folder, .. } => {
                let what = format!("entry {entry} is not where it was written");
                StoreError::Broken { path: folder.clone(), what }
            }
            Store::Fleet(_) => StoreError::DamagedRow(entry),
        }
    }

    /// Sees that it goes on where the archive ends: files do by their numbers, a database may be another one.
    ///
    /// # Errors
    /// Where it does not.
    pub fn check(&self, archive: &Archive) -> Result<(), StoreError> {
        let Store::Fleet(changes) = self else { return Ok(()) };
        let Some(last) = archive.size().checked_sub(1) else { return Ok(()) };
        let node = changes.name().to_owned();
        match PostgresTail::new(changes, last)?.hash(last)? {
            Some(hash) if hash == archive.leaf_hash(last)? => Ok(()),
            Some(_) => Err(StoreError::OtherHistory { node, entry: last }),
            // A node that has written there remembers it.
            None if !changes.has_written() => Err(StoreError::NotMigrated { node, known: last + 1 }),
            None => Err(StoreError::OlderDatabase { node, found: last, known: last + 1 }),
        }
    }
}

impl Journal {
    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        match self {
            Journal::Disk(journal) => journal.next(),
            Journal::Fleet(journal) => journal.next(),
        }
    }

    /// Begins a batch; what was decided by an earlier generation of the consent registry than this is stale.
    pub fn begin(&mut self) -> u64 {
        match self {
            Journal::Disk(_) => 0,
            Journal::Fleet(journal) => journal.begin(),
        }
    }

    /// Whether what a draft discloses is for a contractor that gets nothing, as another node was told.
    pub fn withholds(&self, draft: &Draft) -> bool {
        let (Journal::Fleet(journal), Some(contractor)) = (self, draft.contractor.as_deref()) else {
            return false;
        };
        draft.discloses && journal.suspends(contractor)
    }

    /// Counts the customers of a batch's drafts, in their order, where nodes count together.
    ///
    /// # Errors
    /// Where nobody can be asked.
    pub fn count(&mut self, known: &Known, drafts: &[&Draft]) -> Result<Vec<Count>, StoreError> {
        let mut counts = vec![Count::Here; drafts.len()];
        let Journal::Fleet(journal) = self else { return Ok(counts) };
        let (mut asked, mut places) = (Asked::default(), Vec::new());
        for (place, draft) in drafts.iter().enumerate() {
            let Some(contractor) = draft.contractor.as_deref() else { continue };
            // Of those whom this node has shown before the batch, the others know.
            if draft.subjects_per_day != u64::MAX && known.is_news(draft) {
                asked.add(known.day_of(draft), contractor, draft.subjects_per_day, draft.subjects());
                places.push(place);
            }
        }
        if places.is_empty() {
            return Ok(counts);
        }
        for (place, counted) in places.into_iter().zip(journal.admit(&asked)?) {
            counts[place] = Count::All(counted.map(|(new, left)| Admitted { new, left }));
        }
        Ok(counts)
    }

    /// Takes note of the draft's customers as they were counted; `None` where they would be too many.
    pub fn admit(&self, known: &mut Known, draft: &Draft, count: Count) -> Option<Admitted> {
        match count {
            Count::Here => known.admit(draft),
            // What all nodes have shown is no less than what this one has.
            Count::All(counted) => counted.filter(|_| known.admit(draft).is_some()),
        }
    }

    /// Adds an entry to the batch in work; `time` is in microseconds since 1970-01-01T00:00:00Z.
    pub fn stage(&mut self, part: &Part, sequence: Option<u64>, time: i64) {
        match self {
            Journal::Disk(journal) => {
                let number = journal.next();
                journal.stage_written(|batch| part.write_leaf(batch, number, sequence, None));
            }
            Journal::Fleet(journal) => {
                let leaf = part.leaf(journal.next(), sequence, Some(journal.node()));
                journal.stage(leaf, time);
            }
        }
    }

    /// Writes the batch. When this returns [`Committed::Whole`], it is durable.
    ///
    /// # Errors
    /// Where nothing is certain: it must be opened anew; after [`StoreError::Sync`], by another process.
    pub fn commit(&mut self) -> Result<Committed, StoreError> {
        match self {
            Journal::Disk(journal) => journal.commit().map(|()| Committed::Whole),
            Journal::Fleet(journal) => journal.commit(),
        }
    }

    /// Writes zeros over all that is left of entries before number `upto`; false where that must wait. Of a
    /// database, its owner prunes.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn scrub(&mut self, upto: u64) -> Result<bool, StoreError> {
        match self {
            Journal::Disk(journal) => journal.scrub(upto),
            Journal::Fleet(_) => Ok(true),
        }
    }
}

impl Tail {
    /// Gives the archive the entries up to number `upto` (exclusive), as far as they are there.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn feed(&mut self, upto: u64, archive: &mut Archive) -> Result<(), StoreError> {
        match self {
            Tail::Disk(tail) => tail.read(upto, |_, leaf, hash| archive.append_hashed(leaf, hash)),
            Tail::Fleet(tail) => {
                let mut damaged = None;
                tail.read(upto, |kept| match kept.leaf {
                    Some(leaf) if merkle::leaf_hash(leaf) == kept.hash => {
                        archive.append_hashed(leaf, kept.hash)
                    }
                    // What a prune has left of it.
                    None => archive.append_pruned(kept.hash),
                    Some(_) => damaged = damaged.or(Some(kept.position)),
                })?;
                damaged.map_or(Ok(()), |entry| Err(StoreError::DamagedRow(entry)))
            }
        }
    }

    /// Shows the entries up to number `upto` (exclusive), as far as they are there.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn read(&mut self, upto: u64, mut show: impl FnMut(&[u8])) -> Result<(), StoreError> {
        match self {
            Tail::Disk(tail) => tail.read(upto, |_, leaf, _| show(leaf)),
            Tail::Fleet(tail) => tail.read(upto, |kept| {
                kept.leaf.inspect(|leaf| show(leaf));
            }),
        }
    }

    /// Shows a signed head to who reads the store elsewhere.
    ///
    /// # Errors
    /// Where it is not taken; it can be tried again.
    pub fn publish(&mut self, head: &Head) -> Result<(), StoreError> {
        match self {
            Tail::Disk(_) => Ok(()),
            Tail::Fleet(tail) => tail.publish(head),
        }
    }
}

/// The file in which a node remembers how many changes were in force, beside the index at `path`.
pub fn memory(path: &Path) -> PathBuf {
    log::folder(path).join("fleet")
}

/// Makes the ledger's folder, for what is kept in it before the ledger is open.
///
/// # Errors
/// Where it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), StoreError> {
    files::make_folder(&log::folder(path))
}
