//! Reading the journal: in order, beside whoever writes it.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::error::StoreError;
use super::super::merkle::Hash;
use super::{FRAME, HEADER, Known, MAGIC, MAX_ENTRY, Recent, framed, header, padded, segment_files, u64_at};

/// Reads entries from the journal one after the other, also while it is written.
pub struct Tail {
    folder: PathBuf,
    /// The number of the next entry.
    pub next: u64,
    at: Option<Place>,
    recent: Arc<Recent>,
    /// What was taken from there, of the next entries.
    known: VecDeque<Known>,
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
    /// Bytes that are read at once, at least.
    ahead: usize,
}

/// Where an entry is in what was read.
struct Frame {
    start: usize,
    end: usize,
    /// Of the leaf.
    hash: Hash,
    /// Bytes of it all.
    length: u64,
}

/// Bytes that are read at once of the segment that the next entries are in, and of one that is looked at only.
const READ: usize = 1 << 18;
const LOOK: usize = 1 << 12;

impl Tail {
    /// Begins at an entry.
    pub fn new(folder: &Path, next: u64) -> Self {
        Tail { folder: folder.to_owned(), next, at: None, recent: Arc::default(), known: VecDeque::new() }
    }

    /// Takes the hashes of entries from `recent`, where they are there, instead of computing them.
    #[must_use]
    pub fn believing(self, recent: Arc<Recent>) -> Self {
        Tail { recent, ..self }
    }

    /// Shows the entries up to number `upto` (exclusive) and their leaf hashes, as far as they are there.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn read(&mut self, upto: u64, mut show: impl FnMut(u64, &[u8], Hash)) -> Result<(), StoreError> {
        if let Some(place) = &mut self.at {
            // More may have been written since.
            place.text.clear();
        }
        if self.known.is_empty() {
            self.known = self.recent.take(self.next);
        }
        while self.next < upto {
            if let Some(place) = &mut self.at
                && let Some(frame) = place.frame(self.next, self.known.front().copied())?
            {
                show(self.next, &place.text[frame.start..frame.end], frame.hash);
                place.offset += frame.length;
                self.next += 1;
                self.known.pop_front();
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
            let begun = place.frame(place.first, None)?.is_some();
            if best.as_ref().is_none_or(|(known, best)| (place.first, begun) > (best.first, *known)) {
                best = Some((begun, place));
            }
        }
        let Some((_, mut place)) = best else { return Ok(false) };
        if self.at.as_ref().is_some_and(|at| at.path == place.path && at.first == place.first) {
            return Ok(false);
        }
        place.ahead = READ;
        // Entries before the wanted one are stepped over.
        let mut number = place.first;
        while number < self.next {
            let Some(frame) = place.frame(number, None)? else { return Ok(false) };
            place.offset += frame.length;
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
            if place.first >= self.next && place.frame(place.first, None)?.is_some() {
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
        Ok(Some(Place { path: path.to_owned(), file, first: number, offset, text, from: 0, ahead: LOOK }))
    }

    /// A file as if it held anything.
    fn without_header(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let (offset, text) = (HEADER as u64, Vec::new());
        Ok(Place { path: path.to_owned(), file, first: 0, offset, text, from: 0, ahead: LOOK })
    }

    /// Where entry `number` is in `text`, and its hash, computed where it is not known.
    fn frame(&mut self, number: u64, known: Option<Known>) -> Result<Option<Frame>, StoreError> {
        if !self.see(FRAME)? {
            return Ok(None);
        }
        let at = (self.offset - self.from) as usize;
        let length = u64_at(&self.text, at) as usize;
        if length == 0 || length > MAX_ENTRY || !self.see(FRAME + length)? {
            return Ok(None);
        }
        let at = (self.offset - self.from) as usize;
        let (start, end) = (at + FRAME, at + FRAME + length);
        let hash = framed(&self.text[at..end], number, self.first, known);
        Ok(hash.map(|hash| Frame { start, end, hash, length: padded(FRAME + length) as u64 }))
    }

    /// Makes sure that so many bytes from the offset on are in `text`; false where the file ends before.
    fn see(&mut self, length: usize) -> Result<bool, StoreError> {
        let end = self.offset + length as u64;
        if self.offset >= self.from && end <= self.from + self.text.len() as u64 {
            return Ok(true);
        }
        let io = |source| StoreError::File { path: self.path.clone(), source };
        self.text.resize(self.ahead.max(length), 0);
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
            plausible && frame.is_some_and(|frame| framed(frame, number, self.first, None).is_some())
        }))
    }
}
