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

const MAGIC: &[u8; 24] = b"fieldgate journal v1\n\0\0\0";
/// Magic, number of the first entry, check.
const HEADER: usize = 64;
/// Length, zero, number, batch, check.
const FRAME: usize = 32;
/// Bytes of a segment.
const SEGMENT: u64 = 4 << 20;
/// Segments that are kept though no entry in them is needed.
const SPARE: usize = 4;
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

    fn open_sized(
        folder: &Path,
        archived: Arc<AtomicU64>,
        sync: Sync,
        size: u64,
    ) -> Result<Self, StoreError> {
        files::make_folder(folder)?;
        sync_all(folder, sync)?;
        let mut tail = Tail::new(folder, archived.load(Ordering::Acquire));
        tail.read(u64::MAX, |_, _| {})?;
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
        let hash = merkle::leaf_hash(leaf);
        frame(&mut self.batch, self.next + self.staged, self.next, leaf, &hash);
        self.staged += 1;
    }

    /// Forgets the batch in work.
    pub fn discard(&mut self) {
        self.batch.clear();
        self.staged = 0;
    }

    /// Bytes of the batch in work.
    pub fn staged_bytes(&self) -> usize {
        self.batch.len()
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

/// Reads entries from the journal one after the other, also while it is written.
pub struct Tail {
    folder: PathBuf,
    /// The number of the next entry.
    pub next: u64,
    at: Option<Place>,
}

struct Place {
    path: PathBuf,
    file: File,
    /// The number of the segment's first entry.
    first: u64,
    offset: u64,
    /// What was read of the file, from `from` on.
    text: Vec<u8>,
    from: u64,
}

/// Bytes of a segment that are read at once.
const READ: usize = 1 << 18;

impl Tail {
    /// Begins at an entry.
    pub fn new(folder: &Path, next: u64) -> Self {
        Tail { folder: folder.to_owned(), next, at: None }
    }

    /// Shows the entries up to number `upto` (exclusive), as far as they are there.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn read(&mut self, upto: u64, mut show: impl FnMut(u64, &[u8])) -> Result<(), StoreError> {
        if let Some(place) = &mut self.at {
            // More may have been written since.
            place.text.clear();
        }
        while self.next < upto {
            if let Some(place) = &mut self.at
                && let Some((start, end, frame)) = place.frame(self.next)?
            {
                show(self.next, &place.text[start..end]);
                place.offset += frame;
                self.next += 1;
                continue;
            }
            if !self.turn_page()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Goes to the segment that the next entry is in; false where there is none.
    fn turn_page(&mut self) -> Result<bool, StoreError> {
        let mut best: Option<(bool, Place)> = None;
        for path in segment_files(&self.folder)? {
            let Some(mut place) = Place::open(&path)? else { continue };
            if place.first > self.next {
                continue;
            }
            // One that a failed write has begun holds nothing.
            let begun = place.frame(place.first)?.is_some();
            if best.as_ref().is_none_or(|(known, best)| (place.first, begun) > (best.first, *known)) {
                best = Some((begun, place));
            }
        }
        let Some((_, mut place)) = best else { return Ok(false) };
        if self.at.as_ref().is_some_and(|at| at.path == place.path && at.first == place.first) {
            return Ok(false);
        }
        // Entries before the wanted one are stepped over.
        let mut number = place.first;
        while number < self.next {
            let Some((_, _, frame)) = place.frame(number)? else { return Ok(false) };
            place.offset += frame;
            number += 1;
        }
        self.at = Some(place);
        Ok(true)
    }

    /// Where reading ended, nothing may follow that was written after the next entry.
    ///
    /// # Errors
    /// Where something does: the next entry is damaged.
    pub fn check_end(&mut self) -> Result<(), StoreError> {
        let damaged = |path: &Path, entry| StoreError::Damaged { path: path.to_owned(), entry };
        for path in segment_files(&self.folder)? {
            let Some(mut place) = Place::open(&path)? else {
                // Its header says nothing; its frames may.
                if Place::without_header(&path)?.holds_later_batch(self.next)? {
                    return Err(damaged(&path, self.next));
                }
                continue;
            };
            if place.first >= self.next && place.frame(place.first)?.is_some() {
                return Err(damaged(&path, self.next));
            }
            if place.first <= self.next && place.holds_later_batch(self.next)? {
                return Err(damaged(&path, self.next));
            }
        }
        Ok(())
    }
}

impl Place {
    /// None where the file is not a segment in use.
    fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let io = |source| StoreError::File { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let mut bytes = [0; HEADER];
        if file.metadata().map_err(io)?.len() < HEADER as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        let number = u64_at(&bytes, MAGIC.len());
        if bytes != header(number) {
            return Ok(None);
        }
        let (offset, text) = (HEADER as u64, Vec::new());
        Ok(Some(Place { path: path.to_owned(), file, first: number, offset, text, from: 0 }))
    }

    /// A file as if it held anything.
    fn without_header(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let (offset, text) = (HEADER as u64, Vec::new());
        Ok(Place { path: path.to_owned(), file, first: 0, offset, text, from: 0 })
    }

    /// Where entry `number` begins and ends in `text`, and the length of its frame.
    fn frame(&mut self, number: u64) -> Result<Option<(usize, usize, u64)>, StoreError> {
        if !self.see(FRAME)? {
            return Ok(None);
        }
        let at = (self.offset - self.from) as usize;
        let length = u64_at(&self.text, at) as usize;
        if length == 0 || length > MAX_ENTRY || !self.see(FRAME + length)? {
            return Ok(None);
        }
        let at = (self.offset - self.from) as usize;
        let frame = &self.text[at..at + FRAME + length];
        if !is_frame(frame, number, self.first) {
            return Ok(None);
        }
        Ok(Some((at + FRAME, at + FRAME + length, padded(FRAME + length) as u64)))
    }

    /// Makes sure that so many bytes from the offset on are in `text`; false where the file ends before.
    fn see(&mut self, length: usize) -> Result<bool, StoreError> {
        let end = self.offset + length as u64;
        if self.offset >= self.from && end <= self.from + self.text.len() as u64 {
            return Ok(true);
        }
        let io = |source| StoreError::File { path: self.path.clone(), source };
        self.text.resize(READ.max(length), 0);
        self.from = self.offset;
        let mut filled = 0;
        while filled < self.text.len() {
            let read = self.file.read_at(&mut self.text[filled..], self.offset + filled as u64);
            match read.map_err(io)? {
                0 => break,
                count => filled += count,
            }
        }
        self.text.truncate(filled);
        Ok(filled >= length)
    }

    /// Whether anything behind the offset was written in a batch after the one that entry `next` would be in.
    fn holds_later_batch(&mut self, next: u64) -> Result<bool, StoreError> {
        let io = |source| StoreError::File { path: self.path.clone(), source };
        let size = self.file.metadata().map_err(io)?.len() as usize;
        let mut text = vec![0; size];
        self.file.read_exact_at(&mut text, 0).map_err(io)?;
        let mut places = (HEADER..size.saturating_sub(FRAME)).step_by(8);
        Ok(places.any(|at| {
            let (length, number, batch) =
                (u64_at(&text, at) as usize, u64_at(&text, at + 8), u64_at(&text, at + 16));
            let plausible = (1..=MAX_ENTRY).contains(&length) && batch > next && number >= batch;
            let frame = text.get(at..at + FRAME + length);
            plausible && frame.is_some_and(|frame| is_frame(frame, number, self.first))
        }))
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

fn frame(out: &mut Vec<u8>, number: u64, batch: u64, leaf: &[u8], hash: &Hash) {
    out.extend_from_slice(&(leaf.len() as u64).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&batch.to_le_bytes());
    out.extend_from_slice(&hash[..8]);
    out.extend_from_slice(leaf);
    out.resize(padded(out.len()), 0);
}

/// Whether this is the whole frame of entry `number` in a segment that begins with entry `first`.
fn is_frame(frame: &[u8], number: u64, first: u64) -> bool {
    let leaf = &frame[FRAME..];
    // A frame of an earlier use of the segment has an earlier batch.
    u64_at(frame, 8) == number
        && (first..=number).contains(&u64_at(frame, 16))
        && frame[24..32] == merkle::leaf_hash(leaf)[..8]
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
mod tests {
    use super::*;

    const SMALL: u64 = 4096;

    struct Desk {
        folder: tempfile::TempDir,
        archived: Arc<AtomicU64>,
    }

    impl Desk {
        fn new() -> Self {
            Desk { folder: tempfile::tempdir().unwrap(), archived: Arc::default() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("journal")
        }

        fn open(&self) -> Result<Journal, StoreError> {
            Journal::open_sized(&self.path(), Arc::clone(&self.archived), File::sync_data, SMALL)
        }

        fn entries(&self) -> Vec<String> {
            let mut entries = Vec::new();
            let mut tail = Tail::new(&self.path(), self.archived.load(Ordering::Relaxed));
            tail.read(u64::MAX, |_, leaf| entries.push(String::from_utf8(leaf.to_vec()).unwrap())).unwrap();
            entries
        }

        /// The file that holds the entry, and where in it.
        fn find(&self, entry: &str) -> (PathBuf, usize) {
            segment_files(&self.path())
                .unwrap()
                .into_iter()
                .find_map(|path| {
                    let bytes = std::fs::read(&path).unwrap();
                    let at = bytes.windows(entry.len()).position(|window| window == entry.as_bytes())?;
                    Some((path, at))
                })
                .unwrap()
        }

        fn change(&self, entry: &str, change: impl FnOnce(&mut [u8])) {
            let (path, at) = self.find(entry);
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes[at - FRAME..at + entry.len()]);
            std::fs::write(&path, bytes).unwrap();
        }
    }

    fn entry(number: u64) -> String {
        format!("<entry {number} {}>", "x".repeat(number as usize % 90))
    }

    fn batch(journal: &mut Journal, count: u64) {
        for _ in 0..count {
            let number = journal.next();
            journal.stage(entry(number).as_bytes());
        }
        journal.commit().unwrap();
    }

    fn expected(range: std::ops::Range<u64>) -> Vec<String> {
        range.map(entry).collect()
    }

    #[test]
    fn what_was_committed_is_there_again_over_many_segments() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        for count in [1, 30, 2, 500, 1] {
            batch(&mut journal, count);
        }
        assert_eq!(desk.entries(), expected(0..534));
        drop(journal);
        let mut journal = desk.open().unwrap();
        assert_eq!(journal.next(), 534);
        batch(&mut journal, 3);
        assert_eq!(desk.entries(), expected(0..537));
    }

    #[test]
    fn segments_are_used_again_when_the_archive_has_their_entries() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        for _ in 0..200 {
            batch(&mut journal, 10);
            desk.archived.store(journal.next(), Ordering::Relaxed);
        }
        batch(&mut journal, 1);
        assert_eq!(desk.entries(), expected(2000..2001));
        let files = segment_files(&desk.path()).unwrap();
        assert!(files.len() <= 3, "{files:?}");
        // What a burst takes is given back.
        for _ in 0..300 {
            batch(&mut journal, 10);
        }
        assert!(segment_files(&desk.path()).unwrap().len() > 2 * SPARE);
        desk.archived.store(5001, Ordering::Relaxed);
        batch(&mut journal, 80);
        assert!(segment_files(&desk.path()).unwrap().len() <= SPARE + 2);
        assert_eq!(desk.entries(), expected(5001..5081));
        drop(journal);
        desk.archived.store(5001, Ordering::Relaxed);
        assert_eq!(desk.open().unwrap().next(), 5081);
    }

    #[test]
    fn what_the_archive_has_can_be_wiped() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        batch(&mut journal, 60);
        assert!(!journal.scrub(60).unwrap(), "nothing is archived");
        assert_eq!(desk.entries(), expected(0..60));
        desk.archived.store(60, Ordering::Relaxed);
        assert!(journal.scrub(60).unwrap());
        batch(&mut journal, 2);
        let left =
            segment_files(&desk.path()).unwrap().into_iter().flat_map(|path| std::fs::read(path).unwrap());
        let left = String::from_utf8_lossy(&left.collect::<Vec<u8>>()).into_owned();
        assert!(!left.contains("<entry 59") && left.contains("<entry 61"));
        drop(journal);
        let mut journal = desk.open().unwrap();
        assert_eq!(journal.next(), 62);
        // Also what an earlier use has left in a segment that is written again; and it stays whole.
        assert!(!journal.scrub(62).unwrap());
        desk.archived.store(62, Ordering::Relaxed);
        assert!(journal.scrub(62).unwrap());
        batch(&mut journal, 1);
        let left =
            segment_files(&desk.path()).unwrap().into_iter().flat_map(|path| std::fs::read(path).unwrap());
        let left = String::from_utf8_lossy(&left.collect::<Vec<u8>>()).into_owned();
        assert!(!left.contains("<entry 61") && left.contains("<entry 62"));
    }

    #[test]
    fn a_segment_that_a_failed_write_has_begun_hides_no_entry() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        batch(&mut journal, 5);
        drop(journal);
        // Two openings without an entry leave two segments that begin with the next number.
        drop(desk.open().unwrap());
        let mut journal = desk.open().unwrap();
        batch(&mut journal, 3);
        assert_eq!(desk.entries(), expected(0..8));
        drop(journal);
        assert_eq!(desk.open().unwrap().next(), 8);
    }

    #[test]
    fn a_damaged_header_is_found() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        for _ in 0..5 {
            batch(&mut journal, 3);
        }
        drop(journal);
        let (path, _) = desk.find(&entry(4));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[MAGIC.len()] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(desk.open(), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_reader_that_follows_the_writer_misses_nothing() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        let mut tail = Tail::new(&desk.path(), 0);
        let mut read = 0;
        for round in 0..300 {
            batch(&mut journal, 1 + round % 7);
            let upto = journal.next();
            tail.read(upto, |number, leaf| {
                assert_eq!(leaf, entry(number).as_bytes());
                read += 1;
            })
            .unwrap();
            assert_eq!(read, upto);
            desk.archived.store(upto, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_a_crash_left_of_the_last_batch_is_dropped() {
        for broken in 10..14 {
            let desk = Desk::new();
            let mut journal = desk.open().unwrap();
            batch(&mut journal, 10);
            batch(&mut journal, 4);
            drop(journal);
            desk.change(&entry(broken), |frame| *frame.last_mut().unwrap() ^= 1);
            let mut journal = desk.open().unwrap();
            assert_eq!(journal.next(), broken);
            assert_eq!(desk.entries(), expected(0..broken));
            // What is left of it never comes back.
            batch(&mut journal, 1);
            drop(journal);
            assert_eq!(desk.open().unwrap().next(), broken + 1);
        }
    }

    #[test]
    fn a_changed_byte_in_an_acknowledged_entry_is_found_and_located() {
        let width = FRAME + entry(4).len();
        for byte in 0..width {
            let desk = Desk::new();
            let mut journal = desk.open().unwrap();
            batch(&mut journal, 3);
            batch(&mut journal, 3);
            batch(&mut journal, 3);
            drop(journal);
            desk.change(&entry(4), |frame| frame[byte] ^= 0x10);
            match desk.open() {
                Err(StoreError::Damaged { entry: 4, .. }) => {}
                // The batch's number says something only where there is damage.
                Ok(_) if (16..24).contains(&byte) => {}
                other => panic!("byte {byte}: {:?}", other.map(|journal| journal.next())),
            }
        }
    }

    #[test]
    fn a_missing_segment_is_found() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        for _ in 0..30 {
            batch(&mut journal, 10);
        }
        drop(journal);
        let (path, _) = desk.find(&entry(150));
        std::fs::remove_file(path).unwrap();
        assert!(matches!(desk.open(), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn a_segment_that_was_deleted_or_replaced_takes_nothing_more() {
        let desk = Desk::new();
        let mut journal = desk.open().unwrap();
        batch(&mut journal, 1);
        let (path, _) = desk.find(&entry(0));
        std::fs::remove_file(&path).unwrap();
        journal.stage(b"lost");
        assert!(matches!(journal.commit(), Err(StoreError::Replaced(_))));
        std::fs::write(&path, "another").unwrap();
        assert!(matches!(journal.commit(), Err(StoreError::Replaced(_))));
    }
}
