//! The journal: where an entry becomes durable. One write and one `fdatasync` for a batch, into space that
//! the file has already, so that the file system has nothing else to do.
//!
//! **Guarantees.** What [`Journal::commit`] has returned for is found by [`Journal::open`], in order and
//! without gaps, or the opening fails and says which entry is damaged. What a crash left of a batch that was
//! not acknowledged is dropped from its first incomplete entry on.
//!
//! A segment is a file of a fixed size that is used again once all its entries are in the archive. It begins
//! with a header, then frames follow: length, number of the entry, number of the batch's first entry, the
//! first bytes of the leaf hash, the entry; padded to eight bytes. What an earlier use left behind the last
//! frame is told by its numbers.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::StoreError;
use super::files;
use super::merkle::{self, Hash};

mod recent;
mod tail;

use recent::Known;
pub use recent::Recent;
pub use tail::Tail;

const MAGIC: &[u8; 24] = b"fieldgate journal v1\n\0\0\0";
/// Magic, number of the first entry, check.
const HEADER: usize = 64;
/// Length, zero, number, batch, check.
const FRAME: usize = 32;
/// Bytes of a segment.
const SEGMENT: u64 = 4 << 20;
/// Segments that are kept though no entry in them is needed.
const SPARE: usize = 32;
/// C2SP tlog-tiles bounds an entry.
pub const MAX_ENTRY: usize = 65_535;

/// How a file's bytes are brought onto the disk; tests have disks that fail.
pub type Sync = fn(&File) -> std::io::Result<()>;

/// The journal, open for writing.
pub struct Journal {
    folder: PathBuf,
    sync: Sync,
    segments: Vec<Segment>,
    /// The one that is written.
    current: usize,
    /// Where the next batch goes.
    offset: u64,
    /// The number of the next entry.
    next: u64,
    /// Entries that the archive has: a segment without others may be used again.
    archived: Arc<AtomicU64>,
    /// The batch in work, and the number of its first entry.
    batch: Vec<u8>,
    staged: u64,
    /// What is known of the batch's entries, and where that goes with it.
    known: Vec<Known>,
    recent: Arc<Recent>,
    segment_size: u64,
}

struct Segment {
    path: PathBuf,
    file: File,
    inode: u64,
    size: u64,
    /// The number of its first entry, and that after its last one.
    first: u64,
    end: u64,
    /// It may hold entries of an earlier use, or of this one.
    dirty: bool,
}

impl Journal {
    /// Opens the journal in `folder` or makes it, and gives the number of the next entry. `archived` says
    /// how many entries the archive has; those after them must be here.
    ///
    /// # Errors
    /// Where a file cannot be used, or an acknowledged entry is damaged or missing.
    pub fn open(folder: &Path, archived: Arc<AtomicU64>, sync: Sync) -> Result<Self, StoreError> {
        Journal::open_sized(folder, archived, sync, SEGMENT)
    }

    /// Tells `recent` what is committed from now on.
    #[must_use]
    pub fn telling(self, recent: Arc<Recent>) -> Self {
        Journal { recent, ..self }
    }

    fn open_sized(
        folder: &Path,
        archived: Arc<AtomicU64>,
        sync: Sync,
        size: u64,
    ) -> Result<Self, StoreError> {
        files::make_folder(folder)?;
        sync_all(folder, sync)?;
        let mut tail = Tail::new(folder, archived.load(Ordering::Acquire));
        tail.read(u64::MAX, |_, _, _| {})?;
        tail.check_end()?;
        let next = tail.next;
        let mut segments = Vec::new();
        for path in segment_files(folder)? {
            // What is there now is kept until the archive has it.
            segments.push(Segment::open(path, next)?);
        }
        let mut journal = Journal {
            folder: folder.to_owned(),
            sync,
            segments,
            current: usize::MAX,
            offset: 0,
            next,
            archived,
            batch: Vec::new(),
            staged: 0,
            known: Vec::new(),
            recent: Arc::default(),
            segment_size: size,
        };
        // Never behind what a crash may have left.
        journal.rotate(0)?;
        Ok(journal)
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next + self.staged
    }

    /// Adds an entry to the batch in work.
    pub fn stage(&mut self, leaf: &[u8]) {
        self.stage_written(|batch| batch.extend_from_slice(leaf));
    }

    /// The same of one that `write` puts behind what is there.
    pub fn stage_written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let (number, at) = (self.next(), self.batch.len());
        self.batch.resize(at + FRAME, 0);
        write(&mut self.batch);
        let leaf = at + FRAME;
        // As long as the frame's head is empty, the leaf stands behind the zero that its hash begins with.
        let hash = merkle::marked_leaf_hash(&self.batch[leaf - 1..]);
        let length = (self.batch.len() - leaf) as u64;
        self.batch[at..leaf].copy_from_slice(&head(length, number, self.next, &hash));
        self.known.push(Known::new(&self.batch[leaf..], hash));
        self.batch.resize(padded(self.batch.len()), 0);
        self.staged += 1;
    }

    /// Forgets the batch in work.
    pub fn discard(&mut self) {
        self.batch.clear();
        self.staged = 0;
        self.known.clear();
    }

    /// Writes the batch. When this returns, it is on the disk.
    ///
    /// # Errors
    /// Where nothing is certain: the journal must be opened anew; after [`StoreError::Sync`], by another
    /// process.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        if self.staged == 0 {
            return Ok(());
        }
        let length = self.batch.len() as u64;
        let segment = self.segments.get(self.current).map_or(0, |segment| segment.size);
        if self.offset + length > segment {
            self.rotate(length)?;
        }
        let Some(segment) = self.segments.get_mut(self.current) else { return Ok(()) };
        let io = |source| StoreError::File { path: segment.path.clone(), source };
        segment.file.write_all_at(&self.batch, self.offset).map_err(io)?;
        // After a failed sync nobody knows what the disk has, and a second one would not tell.
        (self.sync)(&segment.file)
            .map_err(|source| StoreError::Sync { path: segment.path.clone(), source })?;
        // Entries in a file that has lost its name are gone with this process.
        segment.check_name()?;
        self.offset += length;
        self.recent.add(self.next, &self.known);
        self.next += self.staged;
        segment.end = self.next;
        segment.dirty = true;
        self.discard();
        Ok(())
    }

    /// Writes zeros over all that is left of entries before number `upto`, as far as the archive has them:
    /// false where it does not have them all yet.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn scrub(&mut self, upto: u64) -> Result<bool, StoreError> {
        if self.segments.get(self.current).is_some_and(|segment| segment.first < upto) {
            self.rotate(0)?;
        }
        let archived = self.archived.load(Ordering::Acquire);
        let mut all = true;
        for (at, segment) in self.segments.iter_mut().enumerate().filter(|(_, segment)| segment.dirty) {
            let from = match at == self.current {
                // Behind what is written now, an earlier use may have left something.
                true => self.offset,
                false if segment.end <= archived => 0,
                false => {
                    all &= segment.first >= upto;
                    continue;
                }
            };
            let wiped = zero(&segment.file, from, segment.size).and_then(|()| (self.sync)(&segment.file));
            wiped.map_err(|source| StoreError::Sync { path: segment.path.clone(), source })?;
            segment.dirty = false;
        }
        Ok(all)
    }

    /// Goes on in a segment with room for so many bytes: a free one, or a new one.
    fn rotate(&mut self, bytes: u64) -> Result<(), StoreError> {
        let needed = self.segment_size.max(bytes + HEADER as u64);
        let archived = self.archived.load(Ordering::Acquire);
        let free = (0..self.segments.len()).find(|at| {
            let segment = &self.segments[*at];
            *at != self.current && segment.end <= archived && segment.size >= needed
        });
        self.current = match free {
            Some(at) => at,
            None => {
                let mut names = (0..).map(|number| self.folder.join(format!("{number:06}.journal")));
                let unused = names.find(|path| self.segments.iter().all(|segment| segment.path != *path));
                self.segments.push(Segment::make(unused.unwrap_or_default(), needed)?);
                self.segments.len() - 1
            }
        };
        self.remove_spare(archived);
        let Some(segment) = self.segments.get_mut(self.current) else { return Ok(()) };
        let io = |source| StoreError::File { path: segment.path.clone(), source };
        // It becomes durable with the first batch, before which it says nothing.
        segment.file.write_all_at(&header(self.next), 0).map_err(io)?;
        (segment.first, segment.end) = (self.next, self.next);
        self.offset = HEADER as u64;
        Ok(())
    }
}

impl Journal {
    /// What a burst has needed is given back behind it.
    fn remove_spare(&mut self, archived: u64) {
        let mut spare = 0;
        let mut at = 0;
        while let Some(segment) = self.segments.get(at) {
            let free = at != self.current && segment.end <= archived;
            spare += usize::from(free);
            // One that cannot be removed stays what it is.
            if free && spare > SPARE && std::fs::remove_file(&segment.path).is_ok() {
                self.segments.remove(at);
                self.current -= usize::from(at < self.current);
            } else {
                at += 1;
            }
        }
    }
}

impl Segment {
    fn open(path: PathBuf, end: u64) -> Result<Self, StoreError> {
        let io = |source| StoreError::File { path: path.clone(), source };
        let file = File::options().read(true).write(true).open(&path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let inode = metadata.ino();
        Ok(Segment { file, inode, size: metadata.len(), first: 0, end, dirty: true, path })
    }

    /// A new one, all of its space taken.
    fn make(path: PathBuf, size: u64) -> Result<Self, StoreError> {
        let made = Segment::fill(&path, size);
        if made.is_err() {
            // Half of one would take space that is missing already.
            let _ = std::fs::remove_file(&path);
        }
        let file = made.map_err(|source| StoreError::File { path: path.clone(), source })?;
        files::sync_folder_of(&path)?;
        Ok(Segment { inode: files::inode(&path), path, file, size, first: 0, end: 0, dirty: false })
    }

    fn fill(path: &Path, size: u64) -> std::io::Result<File> {
        let mut options = File::options();
        let file = options.create(true).truncate(true).read(true).write(true).mode(0o600).open(path)?;
        zero(&file, 0, size)?;
        file.sync_all()?;
        Ok(file)
    }

    fn check_name(&self) -> Result<(), StoreError> {
        if files::inode(&self.path) == self.inode {
            Ok(())
        } else {
            Err(StoreError::Replaced(self.path.clone()))
        }
    }
}

fn zero(file: &File, from: u64, size: u64) -> std::io::Result<()> {
    let zeros = vec![0; 1 << 16];
    let mut at = from;
    while at < size {
        let length = zeros.len().min((size - at) as usize);
        file.write_all_at(&zeros[..length], at)?;
        at += length as u64;
    }
    Ok(())
}

/// Makes durable what the files say: an earlier process may have written it and not synced it.
///
/// # Errors
/// Where the disk does not take it.
pub fn sync_all(folder: &Path, sync: Sync) -> Result<(), StoreError> {
    for path in segment_files(folder)? {
        let file = File::open(&path).map_err(|source| StoreError::File { path: path.clone(), source })?;
        sync(&file).map_err(|source| StoreError::Sync { path: path.clone(), source })?;
    }
    if folder.is_dir() { files::sync_folder_of(&folder.join("x")) } else { Ok(()) }
}

fn header(first: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let (magic, rest) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(MAGIC);
    rest[..8].copy_from_slice(&first.to_le_bytes());
    let check = merkle::leaf_hash(&header[..MAGIC.len() + 8]);
    header[HEADER - 32..].copy_from_slice(&check);
    header
}

/// What stands before an entry: its length, its number, that of its batch, the check.
fn head(length: u64, number: u64, batch: u64, hash: &Hash) -> [u8; FRAME] {
    let mut head = [0; FRAME];
    for (place, number) in head.chunks_exact_mut(8).zip([length, number, batch]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    head[24..].copy_from_slice(&hash[..8]);
    head
}

/// The hash of the leaf in a frame, computed where it is not `known`; none where this is not the whole frame of entry
/// `number` in a segment that begins with entry `first`.
fn framed(frame: &[u8], number: u64, first: u64, known: Option<Known>) -> Option<Hash> {
    // A frame of an earlier use of the segment has an earlier batch.
    if u64_at(frame, 8) != number || !(first..=number).contains(&u64_at(frame, 16)) {
        return None;
    }
    let leaf = &frame[FRAME..];
    let hash = match known {
        Some(known) => known.hash_of(leaf)?,
        None => merkle::leaf_hash(leaf),
    };
    (frame[24..32] == hash[..8]).then_some(hash)
}

fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn segment_files(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let io = |source| StoreError::File { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // It is made with the ledger's first start.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(paths),
        Err(error) => return Err(io(error)),
    };
    for entry in entries {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
