//! Retention: the content of entries that need not be kept any more is deleted. Their hashes stay in the
//! tree, so every proof that was given holds, and every other entry can still be proved.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use super::archive::{self, BUNDLE};
use super::error::StoreError;
use super::files;
use super::index::{self, Gone};
use super::merkle;
use super::postings::{BLOCK, Set};
use super::query::{Order, Query, Search};
use super::tiles;

/// The kinds of entries that share a period, and until when their content goes.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    pub name: &'static str,
    pub kinds: &'static [&'static str],
    /// Microseconds since 1970-01-01T00:00:00Z, exclusive.
    pub until: i64,
}

/// What would be deleted.
#[derive(Debug)]
pub struct Pruning {
    pub classes: Vec<Tally>,
    /// Entries that are old enough and stay, because they are held.
    pub held: u64,
    /// Entries that are old enough and stay until their bundle of 256 is whole.
    pub waiting: u64,
    gone: Gone,
    /// Says exactly this: another time or another hold gives another one.
    pub token: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Tally {
    pub class: &'static str,
    pub until: i64,
    pub entries: u64,
    /// Of their content.
    pub bytes: u64,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pruned {
    pub entries: u64,
    pub bundles: u64,
    /// Bytes that the file system has back.
    pub bytes_given_back: u64,
}

/// Finds what can be deleted. What any of `holds` finds stays.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn plan(search: &Search, classes: &[Class], holds: &[Query]) -> Result<Pruning, StoreError> {
    let whole = search.log().archived() / BUNDLE * BUNDLE;
    let mut held = Gone::new();
    for hold in holds {
        search.each(hold, Order::OldestFirst, |position, _| {
            insert(&mut held, position);
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
    }
    let mut pruning =
        Pruning { classes: Vec::new(), held: 0, waiting: 0, gone: Gone::new(), token: String::new() };
    for class in classes {
        let mut tally = Tally { class: class.name, until: class.until, entries: 0, bytes: 0 };
        for kind in class.kinds {
            let query =
                Query { kind: Some((*kind).to_owned()), until: Some(class.until), ..Query::default() };
            search.each(&query, Order::OldestFirst, |position, leaf| {
                if has(&held, position) {
                    pruning.held += 1;
                } else if position >= whole {
                    pruning.waiting += 1;
                } else {
                    tally.entries += 1;
                    tally.bytes += leaf.len() as u64;
                    insert(&mut pruning.gone, position);
                }
                Ok::<_, StoreError>(ControlFlow::Continue(()))
            })?;
        }
        pruning.classes.push(tally);
    }
    pruning.token = token(&pruning);
    Ok(pruning)
}

fn insert(sets: &mut Gone, position: u64) {
    sets.entry(position / BLOCK).or_default().insert((position % BLOCK) as u16);
}

fn has(sets: &Gone, position: u64) -> bool {
    sets.get(&(position / BLOCK)).is_some_and(|set: &Set| set.contains((position % BLOCK) as u16))
}

fn token(pruning: &Pruning) -> String {
    let mut bytes = Vec::new();
    for (block, set) in &pruning.gone {
        bytes.extend(block.to_le_bytes());
        bytes.extend(set.to_bytes());
    }
    merkle::leaf_hash(&bytes).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

impl Pruning {
    pub fn entries(&self) -> u64 {
        self.classes.iter().map(|tally| tally.entries).sum()
    }

    /// Deletes the content. `path` is the index's. The entry that says so must be durable already.
    ///
    /// # Errors
    /// Where a file cannot be written; what is done stays done, and it can be tried again.
    pub fn execute(&self, path: &Path, folder: &Path) -> Result<Pruned, StoreError> {
        let before = disk_use(path);
        let mut pruned = Pruned { entries: 0, bundles: 0, bytes_given_back: 0 };
        for (number, offsets) in self.bundles() {
            let (entries, bytes) = blank(folder, number, &offsets)?;
            pruned.entries += entries;
            pruned.bytes_given_back += bytes;
            pruned.bundles += u64::from(entries > 0);
        }
        index::forget(path, &self.gone)?;
        pruned.bytes_given_back += before.saturating_sub(disk_use(path));
        Ok(pruned)
    }

    /// Offsets by bundle.
    fn bundles(&self) -> BTreeMap<u64, Vec<usize>> {
        let mut bundles: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (block, set) in &self.gone {
            for offset in set.offsets() {
                let position = block * BLOCK + u64::from(offset);
                bundles.entry(position / BUNDLE).or_default().push((position % BUNDLE) as usize);
            }
        }
        bundles
    }
}

/// Takes the content of some entries out of a bundle; how many had some, and the bytes that were given back.
fn blank(folder: &Path, number: u64, offsets: &[usize]) -> Result<(u64, u64), StoreError> {
    let path = folder.join(tiles::entries_path(number, None));
    let mut entries = archive::read_bundle(folder, number, BUNDLE)?;
    let mut blanked = 0;
    for entry in offsets.iter().filter_map(|offset| entries.get_mut(*offset).map(std::mem::take)) {
        blanked += u64::from(entry.is_some());
    }
    if blanked == 0 {
        return Ok((0, 0));
    }
    let before = file_use(&path);
    let bytes = tiles::encode_bundle(entries.iter().map(|entry| entry.as_deref().unwrap_or_default()));
    let bytes = bytes.map_err(|error| StoreError::Broken { path: path.clone(), what: error.to_string() })?;
    files::replace(&path, &bytes)?;
    Ok((blanked, before.saturating_sub(file_use(&path))))
}

/// Bytes that a file takes on the disk.
fn file_use(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}

/// The same of the index and its log.
fn disk_use(index: &Path) -> u64 {
    let mut log = index.as_os_str().to_owned();
    log.push("-wal");
    file_use(index) + file_use(Path::new(&log))
}
