//! A ledger of files becomes that of a fleet's node: the same entries, the same tree, the same key.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::model::SubjectPseudonym;

use super::archive::{Archive, BUNDLE};
use super::entry;
use super::error::StoreError;
use super::index::Index;
use super::lock::WriterLock;
use super::log::{self, Log};
use super::merkle;
use super::note::Signer;
use super::postgres::{Asked, Changes, Committed, PostgresJournal, PostgresTail};
use super::view::View;

/// Entries, and about as many bytes of them, in one statement.
const BATCH: usize = 2048;
const BATCH_BYTES: usize = 1 << 20;
/// Customers that are told in one statement.
const CUSTOMERS: usize = 1000;

/// Copies the archive of the ledger whose index is at `path` into the database, from where an earlier attempt ended; how
/// many entries there are. Nothing may write it meanwhile. `progress` is told how many of how many are there.
///
/// # Errors
/// Where the database has other entries of this node, or cannot be written; what is there stays, and it can be tried
/// again.
pub fn take_over(
    path: &Path,
    signer: Signer,
    changes: &Arc<Changes>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, StoreError> {
    let _lock = WriterLock::take(path)?;
    let folder = log::folder(path);
    let archive = Archive::open(&folder, signer)?;
    let log = Log::open_archive(path)?;
    let all = log.archived();
    let there = Log::open(path)?.size();
    if there != all {
        // Somebody has written since.
        return Err(StoreError::Busy(folder));
    }
    let mut journal = PostgresJournal::open(Arc::clone(changes))?;
    let node = changes.name().to_owned();
    if journal.next() > all {
        return Err(StoreError::Shorter { path: folder, found: all, known: journal.next() });
    }
    let mut tail = PostgresTail::new(changes, 0)?;
    if let Some(last) = journal.next().checked_sub(1)
        && tail.hash(last)? != Some(archive.leaf_hash(last)?)
    {
        return Err(StoreError::OtherHistory { node, entry: last });
    }
    // Whom contractors have seen today counts on. Told twice, it counts once.
    let known = Index::open(path)?.known(entry::now())?;
    for ((day, contractor), names) in &known.subjects {
        let names: Vec<&SubjectPseudonym> = names.iter().collect();
        for some in names.chunks(CUSTOMERS) {
            let mut asked = Asked::default();
            asked.add(*day, contractor, u64::MAX, some.iter().copied());
            journal.admit(&asked)?;
        }
    }
    let mut time = 0;
    while journal.next() < all {
        let from = journal.next();
        // Changes of other nodes may come in between: it is staged again.
        journal.begin();
        let mut bytes = 0;
        for position in from..all.min(from + BATCH as u64) {
            let hash = archive.leaf_hash(position)?;
            match log.entry(position)? {
                Some(leaf) => {
                    if merkle::leaf_hash(&leaf) != hash {
                        return Err(StoreError::Damaged { path: folder, entry: position });
                    }
                    time = View::parse(&leaf).map_or(time, |entry| entry.time);
                    bytes += leaf.len();
                    journal.stage(leaf, time);
                }
                None => journal.stage_pruned(hash, time),
            }
            if bytes >= BATCH_BYTES && (position + 1).is_multiple_of(BUNDLE) {
                break;
            }
        }
        if journal.commit()? == Committed::Whole {
            progress(journal.next(), all);
        }
    }
    tail.publish(archive.head())?;
    // The node has none; what is left of entries there could not be deleted any more.
    let old = log::journal_folder(&folder);
    if old.is_dir() {
        wipe(&old).map_err(|source| StoreError::File { path: old.clone(), source })?;
    }
    Ok(all)
}

/// Zeros over all files of a folder, and then it is gone.
fn wipe(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let file = std::fs::File::options().write(true).open(&path)?;
        let zeros = vec![0; 1 << 16];
        let length = file.metadata()?.len();
        for at in (0..length).step_by(zeros.len()) {
            let count = (length - at).min(zeros.len() as u64) as usize;
            file.write_all_at(zeros.get(..count).unwrap_or_default(), at)?;
        }
        file.sync_all()?;
    }
    std::fs::remove_dir_all(folder)
}
