//! The entries of all nodes of a fleet as one ledger: an archive and an index beside the node's own, read and searched
//! as any other.
//!
//! **Guarantees.** The order of its entries is the same on every node that gathers: that in which nodes signed their
//! heads. Each entry is the one that its node's signed head covers: where the roots differ, gathering stops. What is
//! there once stays; an older copy of the database is told.
//!
//! **How.** A head that the database has not shown yet adds a run of its node's entries. `runs` remembers which entries
//! came from where, `progress` the trees so far, as far as it takes to check the next head.
//!
//! **Trusts** the database for the order, not for what an entry says, and the first key that a node shows.

mod progress;
mod runs;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::archive::{Archive, BUNDLE};
use super::checkpoint;
use super::entry;
use super::error::StoreError;
use super::index::Index;
use super::known::MICROS_PER_DAY;
use super::lock::WriterLock;
use super::log;
use super::merkle;
use super::note::{Signer, Verifier};
use super::postgres::{Database, Heads, PostgresTail, Sealed};
use super::prune;
use super::view::View;

use progress::Progress;
pub use progress::{Gathered, GatheredNode, gathered};
pub use runs::{Origin, Origins, Walk};
use runs::{Run, Runs};

/// Entries that are held in memory before they are written.
const BATCH: u64 = 16_384;
/// Entries that go into the index in one transaction.
const INDEXED: u64 = 4096;

/// The gathered ledger, open for writing.
pub struct Gathering {
    path: PathBuf,
    folder: PathBuf,
    archive: Archive,
    index: Index,
    heads: Heads,
    tail: PostgresTail,
    runs: Runs,
    /// Since the last time that all was written.
    fresh: Vec<Run>,
    progress: Progress,
    /// Since 1970-01-01; customers of days before yesterday are not kept in the index.
    day: i64,
    _lock: WriterLock,
}

/// What the names of gathered ledgers end with.
const NAME: &str = "/fleet";

/// The name under which the heads of a gathered ledger are signed, by a node whose own ledger has this name: no head of
/// one can pass for one of the other.
pub fn name(own: &str) -> String {
    format!("{own}{NAME}")
}

/// Whether a ledger of this name is a gathered one.
pub fn is_name(name: &str) -> bool {
    name.ends_with(NAME)
}

/// Where the index of the gathered ledger is, beside that of the node at `path`.
pub fn place(path: &Path) -> PathBuf {
    path.with_extension("fleet.db")
}

impl Gathering {
    /// Opens the one whose index is at `path`; its own heads are signed by `signer`.
    ///
    /// # Errors
    /// Where another process gathers there, or a file cannot be used.
    pub fn open(path: &Path, signer: Signer, database: Database) -> Result<Self, StoreError> {
        let lock = WriterLock::take(path)?;
        let folder = log::folder(path);
        let archive = Archive::open_gathered(&folder, signer)?;
        let index = Index::open(path)?;
        if index.indexed() > archive.size() {
            let (found, known) = (archive.size(), index.indexed());
            return Err(StoreError::Shorter { path: folder, found, known });
        }
        let runs = Runs::open(&folder, archive.size())?;
        let progress = Progress::open(&folder, &archive, &runs)?;
        let (heads, tail) = (Heads::new(database.clone())?, PostgresTail::of(database, 0, 0)?);
        let (fresh, day) = (Vec::new(), 0);
        let path = path.to_owned();
        let mut gathering =
            Gathering { path, folder, archive, index, heads, tail, runs, fresh, progress, day, _lock: lock };
        gathering.index()?;
        Ok(gathering)
    }

    /// Takes some of what nodes have signed; false where there may be more. After an error it must be opened anew.
    ///
    /// # Errors
    /// Where the database cannot be asked, a file cannot be written, or what a node's head covers is not there.
    pub fn turn(&mut self) -> Result<bool, StoreError> {
        let known = self.progress.number;
        // With the last one that is known: it must still be what it was.
        let (page, last) = self.heads.page(known.saturating_sub(1))?;
        let same = page.first().is_none_or(|first| known == 0 || self.progress.is_last(first));
        if last < known || !same {
            return Err(StoreError::OlderHeads { found: last, known });
        }
        for sealed in page.iter().filter(|sealed| sealed.number > known) {
            self.take(sealed)?;
        }
        let caught_up = self.progress.number >= last;
        // Who could change entries could take their head away too.
        if let Some((node, size)) = self.progress.unchecked().filter(|_| caught_up) {
            return Err(StoreError::OtherTree { node, size });
        }
        if self.progress.number > known {
            self.write()?;
        }
        if !caught_up {
            return Ok(false);
        }
        self.forget().map(|forgot| !forgot)
    }

    /// Follows a deletion, where there is one of entries that are here, and in bundles that are whole.
    fn forget(&mut self) -> Result<bool, StoreError> {
        let Some(deleted) = self.heads.deletion(self.progress.pruned)? else { return Ok(false) };
        let mut positions = deleted.positions;
        positions.sort_unstable();
        positions.dedup();
        let size = self.archive.head().size;
        let places = self.runs.places(deleted.node, &positions, size)?;
        // What is gathered later comes without its content.
        if places.last().is_some_and(|last| *last >= size / BUNDLE * BUNDLE) {
            return Ok(false);
        }
        prune::delete_all(places.into_iter(), &self.path, &self.folder)?;
        self.progress.pruned = deleted.number;
        self.progress.store(&self.folder, size)?;
        Ok(true)
    }

    fn take(&mut self, sealed: &Sealed) -> Result<(), StoreError> {
        let other = || StoreError::OtherTree { node: sealed.name.clone(), size: sealed.size };
        let node = self.progress.node(sealed).ok_or_else(other)?;
        while self.progress.size_of(node) < sealed.size {
            let (from, first) = (self.progress.size_of(node), self.archive.size());
            let upto = sealed.size.min(from + BATCH);
            self.fresh.push(Run { first, node: sealed.node, index: from });
            self.tail.seek(sealed.node, from);
            let mut damaged = None;
            let (archive, progress) = (&mut self.archive, &mut self.progress);
            let read = self.tail.read(upto, |kept| {
                match kept.leaf {
                    // What nobody can read is no entry, whoever signed it.
                    Some(leaf) if merkle::leaf_hash(leaf) == kept.hash && View::parse(leaf).is_ok() => {
                        archive.append_hashed(leaf, kept.hash)
                    }
                    Some(_) => damaged = damaged.or(Some(kept.position)),
                    None => archive.append_pruned(kept.hash),
                }
                progress.push(node, kept.hash);
            });
            match read {
                Err(StoreError::DamagedRow(_)) => return Err(other()),
                read => read?,
            }
            if damaged.is_some() || self.tail.next < upto {
                return Err(other());
            }
            if self.archive.size() - self.archive.head().size >= BATCH {
                self.write()?;
            }
        }
        if let Some(note) = &sealed.note {
            let verifier = Verifier::parse(&sealed.verifier).map_err(|_| other())?;
            let (head, _) = checkpoint::open(note, &verifier).map_err(|_| other())?;
            // A node's tree only grows: a smaller head is not its newest.
            let same = head.size == self.progress.size_of(node) && head.root == self.progress.root_of(node);
            if !same {
                return Err(other());
            }
            self.progress.checked(node);
        }
        self.progress.took(sealed);
        Ok(())
    }

    /// Where entries came from is written first, how far it is last: what a crash leaves in between is found again.
    fn write(&mut self) -> Result<(), StoreError> {
        self.runs.append(&std::mem::take(&mut self.fresh))?;
        self.archive.seal()?;
        self.progress.store(&self.folder, self.archive.size())?;
        self.index()
    }

    fn index(&mut self) -> Result<(), StoreError> {
        self.index.check_name()?;
        let now = entry::now();
        if self.day != now.div_euclid(MICROS_PER_DAY) {
            // Reading them takes the older ones away.
            self.index.known(now)?;
            self.day = now.div_euclid(MICROS_PER_DAY);
        }
        let size = self.archive.head().size;
        while self.index.indexed() < size {
            self.index.take_from(&mut self.archive, INDEXED)?;
        }
        Ok(())
    }

    /// Entries of all nodes so far.
    pub fn size(&self) -> u64 {
        self.archive.size()
    }

    /// Where its index is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// How gathering goes, for who shows it.
#[derive(Default)]
pub struct GatherState(ArcSwapOption<String>);

impl GatherState {
    /// What keeps entries of other nodes from being gathered, if something does.
    pub fn trouble(&self) -> Option<Arc<String>> {
        self.0.load_full()
    }

    pub fn is(&self, trouble: Option<String>) {
        self.0.store(trouble.map(Arc::new));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::*;

    /// Of an entry that was pruned before it came, the hash is all there is; the bundle that it is in may be the last.
    #[test]
    fn an_archive_with_pruned_entries_is_opened_again_wherever_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let signer =
            || Signer::log("a/fleet", Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()).unwrap();
        let mut archive = Archive::open_gathered(folder.path(), signer()).unwrap();
        for number in 0..300u64 {
            match number % 3 {
                0 => archive.append_pruned(merkle::leaf_hash(&number.to_le_bytes())),
                _ => archive.append(format!("{{\"index\":{number}}}").into_bytes()),
            }
        }
        archive.seal().unwrap();
        let root = archive.head().root;
        drop(archive);
        let mut archive = Archive::open_gathered(folder.path(), signer()).unwrap();
        assert_eq!((archive.size(), archive.head().root), (300, root));
        archive.append(b"{}");
        archive.seal().unwrap();
        assert_eq!(
            archive.entries(299, 301).unwrap(),
            [Some(b"{\"index\":299}".to_vec().into()), Some(b"{}".to_vec().into())]
        );
        // In a gateway's own ledger, nothing is missing there.
        assert!(matches!(Archive::open(folder.path(), signer()), Err(StoreError::Broken { .. })));
    }
}
