//! Retention: the content of entries that need not be kept any more is deleted. Their hashes stay in the
//! tree, so every proof that was given holds, and every other entry can still be proved.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;

use super::archive::{self, BUNDLE};
use super::entry::{self, LEGAL_BASIS};
use super::error::StoreError;
use super::files;
use super::index::{Forgetting, Gone, Keys};
use super::log;
use super::merkle;
use super::postings::{BLOCK, Set};
use super::query::{Order, Query, Search};
use super::tiles;
use super::view::View;

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
    /// Entries before this number may be in the journal's old space.
    pub upto: u64,
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

/// Finds what can be deleted. What any of `holds` finds stays, with all entries about the same response; and so
/// do uses of legal grants of which the customer is not told yet, and the newest entry of each contractor, which says how many there were.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn plan(search: &Search, classes: &[Class], holds: &[Query]) -> Result<Pruning, StoreError> {
    let whole = search.log().archived() / BUNDLE * BUNDLE;
    let (held, newest) = (held(search, holds)?, newest(search)?);
    let mut pruning = Pruning {
        classes: Vec::new(),
        held: 0,
        waiting: 0,
        upto: search.log().size(),
        gone: Gone::new(),
        token: String::new(),
    };
    for class in classes {
        let mut tally = Tally { class: class.name, until: class.until, entries: 0, bytes: 0 };
        for kind in class.kinds {
            let all = Query { kind: Some((*kind).to_owned()), ..Query::default() };
            // What a deletion that broke off has left.
            search.gone(&all)?.into_iter().for_each(|position| insert(&mut pruning.gone, position));
            let old = Query { until: Some(class.until), ..all };
            search.each(&old, Order::OldestFirst, |position, leaf| {
                if has(&held, position) {
                    pruning.held += 1;
                } else if position >= whole || newest.contains(&position) {
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

fn held(search: &Search, holds: &[Query]) -> Result<Gone, StoreError> {
    let mut held = Gone::new();
    let now = entry::now();
    // What the customer is not told yet must still be there when the day comes.
    let untold = Query { basis: Some(LEGAL_BASIS.to_owned()), ..Query::default() };
    for (hold, all) in holds.iter().map(|hold| (hold, true)).chain([(&untold, false)]) {
        search.each(hold, Order::OldestFirst, |position, leaf| {
            // Of one that cannot be read nobody knows what it asks for.
            let Ok(entry) = View::parse(leaf) else {
                insert(&mut held, position);
                return Ok(ControlFlow::Continue(()));
            };
            if !all && !entry.legal.as_ref().is_some_and(|legal| legal.is_held(now)) {
                return Ok(ControlFlow::Continue(()));
            }
            let first = position.saturating_sub(entry.part.map_or(0, |part| part.saturating_sub(1)));
            let count = entry.parts.unwrap_or(1).clamp(1, BLOCK);
            (first..first + count).for_each(|position| insert(&mut held, position));
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
    }
    Ok(held)
}

fn newest(search: &Search) -> Result<HashSet<u64>, StoreError> {
    let mut newest = HashSet::new();
    for contractor in search.contractors()? {
        let query = Query { contractor: Some(contractor), ..Query::default() };
        search.each(&query, Order::NewestFirst, |position, leaf| {
            // What the company's own people did with a contractor is not one of its entries.
            if View::parse(leaf).is_ok_and(|entry| entry.sequence.is_none()) {
                return Ok(ControlFlow::Continue(()));
            }
            newest.insert(position);
            Ok::<_, StoreError>(ControlFlow::Break(()))
        })?;
    }
    Ok(newest)
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

    /// There is something to do, and be it the rest of a deletion that broke off.
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty()
    }

    /// The numbers of the entries.
    pub fn positions(&self) -> Vec<u64> {
        let of = |(block, set): (&u64, &Set)| {
            let first = block * BLOCK;
            set.offsets().into_iter().map(move |offset| first + u64::from(offset)).collect::<Vec<_>>()
        };
        self.gone.iter().flat_map(of).collect()
    }

    /// Deletes the content. `path` is the index's. The entry that says so must be durable already.
    ///
    /// # Errors
    /// Where a file cannot be written; what is done stays done, and it can be tried again.
    pub fn execute(&self, path: &Path, folder: &Path) -> Result<Pruned, StoreError> {
        delete(&self.gone, path, folder)
    }
}

/// Deletes the content of these entries, all of which are in whole bundles.
///
/// # Errors
/// As [`Pruning::execute`].
pub fn delete_all(
    entries: impl Iterator<Item = u64>,
    path: &Path,
    folder: &Path,
) -> Result<Pruned, StoreError> {
    let mut gone = Gone::new();
    entries.for_each(|position| insert(&mut gone, position));
    delete(&gone, path, folder)
}

fn delete(gone: &Gone, path: &Path, folder: &Path) -> Result<Pruned, StoreError> {
    let before = disk_use(path);
    let mut pruned = Pruned { entries: 0, bundles: 0, bytes_given_back: 0 };
    let mut index = Forgetting::open(path)?;
    index.begin()?;
    for (block, set) in gone {
        let mut keys = Keys::default();
        for (number, offsets) in bundles(*block, set) {
            let (entries, bytes) = blank(folder, number, &offsets, &mut keys)?;
            pruned.entries += entries;
            pruned.bytes_given_back += bytes;
            pruned.bundles += u64::from(entries > 0);
        }
        index.forget(*block, set, &keys)?;
    }
    index.finish()?;
    pruned.bytes_given_back += before.saturating_sub(disk_use(path));
    Ok(pruned)
}

/// Offsets by bundle.
fn bundles(block: u64, set: &Set) -> BTreeMap<u64, Vec<usize>> {
    let mut bundles: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for offset in set.offsets() {
        let position = block * BLOCK + u64::from(offset);
        bundles.entry(position / BUNDLE).or_default().push((position % BUNDLE) as usize);
    }
    bundles
}

/// Takes the content of some entries out of a bundle; how many had some, and the bytes that were given back.
fn blank(folder: &Path, number: u64, offsets: &[usize], keys: &mut Keys) -> Result<(u64, u64), StoreError> {
    let path = folder.join(tiles::entries_path(number, None));
    let mut entries = archive::read_bundle(folder, number, BUNDLE)?;
    let mut blanked = 0;
    for offset in offsets {
        let position = number * BUNDLE + *offset as u64;
        match entries.get_mut(*offset).and_then(Option::take) {
            Some(leaf) => {
                keys.note(position, &leaf);
                blanked += 1;
            }
            None => _ = keys.unknown.insert(position),
        }
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

/// Held while entries are deleted, and while a hold is placed: a hold that is in force is never overlooked.
pub struct RetentionLock(#[allow(dead_code, reason = "the open file is the lock")] File);

impl RetentionLock {
    /// Waits for it. `path` is the index's.
    ///
    /// # Errors
    /// Where its file cannot be made.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let path = log::folder(path).join("retention.lock");
        let io = |source| StoreError::File { path: path.clone(), source };
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(RetentionLock(file))
    }
}
