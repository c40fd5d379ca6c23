//! Reading the ledger, in a process of its own or beside the gateway that writes it: what is archived, and
//! behind it what is only in the journal yet.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use super::archive::{self, BUNDLE};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::error::StoreError;
use super::journal::Tail;
use super::merkle::{Hash, Hashes, leaf_hash};
use super::note::Note;
use super::tiles::TileReader;

/// The entries of a bundle; none where the content was pruned.
pub type Bundle = Vec<Option<Vec<u8>>>;

/// A ledger, as it was when it was opened.
pub struct Log {
    folder: PathBuf,
    /// Entries in the archive.
    archived: u64,
    /// The signed head, where there is one.
    head: Option<String>,
    /// Entries behind those.
    tail: Vec<Vec<u8>>,
    /// The bundle that was read last.
    bundle: RefCell<Option<(u64, Bundle)>>,
}

/// The journal's segments can be used again while they are read.
const ATTEMPTS: usize = 20;

impl Log {
    /// Opens the ledger whose index is at `path`; the path of its folder will do as well.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = folder(path);
        if !folder.is_dir() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        let mut log = Log::read(&folder)?;
        for _ in 0..ATTEMPTS {
            let again = Log::read(&folder)?;
            // No segment that was read can have been used again as long as the head was the same.
            if again.archived == log.archived {
                return Ok(log);
            }
            log = again;
        }
        Err(StoreError::Busy(folder))
    }

    /// Opens the archive of the same, without what is only in the journal yet: it only grows, and a crash takes
    /// nothing of it back.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn open_archive(path: &Path) -> Result<Self, StoreError> {
        let folder = folder(path);
        if !folder.is_dir() {
            return Err(StoreError::Missing(path.to_owned()));
        }
        Log::read_archive(&folder)
    }

    fn read(folder: &Path) -> Result<Self, StoreError> {
        let mut log = Log::read_archive(folder)?;
        let journal = journal_folder(folder);
        if journal.is_dir() {
            let tail = &mut log.tail;
            Tail::new(&journal, log.archived).read(u64::MAX, |_, leaf, _| tail.push(leaf.to_vec()))?;
        }
        Ok(log)
    }

    fn read_archive(folder: &Path) -> Result<Self, StoreError> {
        let head = match std::fs::read_to_string(archive::head_path(folder)) {
            Ok(head) => Some(head),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(StoreError::File { path: archive::head_path(folder), source }),
        };
        let archived = match &head {
            None => 0,
            Some(note) => {
                let parsed = Note::parse(note).map_err(CheckpointError::Note);
                let broken = |error: CheckpointError| StoreError::Broken {
                    path: archive::head_path(folder),
                    what: error.to_string(),
                };
                parsed.and_then(|note| Checkpoint::parse(&note)).map_err(broken)?.size
            }
        };
        Ok(Log { folder: folder.to_owned(), archived, head, tail: Vec::new(), bundle: RefCell::new(None) })
    }

    /// Entries in all.
    pub fn size(&self) -> u64 {
        self.archived + self.tail.len() as u64
    }

    /// Entries in the archive, under the signed head.
    pub fn archived(&self) -> u64 {
        self.archived
    }

    /// The signed head.
    pub fn head(&self) -> Option<&str> {
        self.head.as_deref()
    }

    /// The root of the tree under that head, in base64.
    pub fn root(&self) -> Option<String> {
        self.head()?.lines().nth(2).map(str::to_owned)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The entries behind the archive.
    pub fn tail(&self) -> &[Vec<u8>] {
        &self.tail
    }

    /// An entry's bytes; None where its content was pruned, or there is no such entry.
    ///
    /// # Errors
    /// Where its bundle cannot be read.
    pub fn entry(&self, position: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(behind) = position.checked_sub(self.archived) {
            return Ok(self.tail.get(behind as usize).cloned());
        }
        let number = position / BUNDLE;
        let mut bundle = self.bundle.borrow_mut();
        if bundle.as_ref().is_none_or(|(known, _)| *known != number) {
            *bundle = Some((number, self.bundle(number)?));
        }
        let entries = bundle.as_ref().map(|(_, entries)| entries.as_slice()).unwrap_or_default();
        Ok(entries.get((position % BUNDLE) as usize).cloned().flatten())
    }

    /// The hash of the leaf that an entry is, also where its content was pruned (RFC 6962 section 2.1); None where
    /// there is no such entry.
    ///
    /// # Errors
    /// Where its tile cannot be read.
    pub fn leaf_hash(&self, position: u64) -> Result<Option<Hash>, StoreError> {
        if let Some(behind) = position.checked_sub(self.archived) {
            return Ok(self.tail.get(behind as usize).map(|leaf| leaf_hash(leaf)));
        }
        let tiles = TileReader::new(self.folder.clone(), self.archived);
        tiles.node(0, position).map(Some).map_err(StoreError::Tile)
    }

    /// The entries of a bundle of the archive.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn bundle(&self, number: u64) -> Result<Bundle, StoreError> {
        let count = self.archived.saturating_sub(number * BUNDLE).min(BUNDLE);
        archive::read_bundle(&self.folder, number, count)
    }
}

/// The folder of the ledger whose index is at `path`.
pub fn folder(path: &Path) -> PathBuf {
    // A copy may have any name.
    let is_folder = ["checkpoint", "tile", "journal"].iter().any(|name| path.join(name).exists());
    if is_folder { path.to_owned() } else { path.with_extension("tlog") }
}

/// Where the journal is.
pub fn journal_folder(folder: &Path) -> PathBuf {
    folder.join("journal")
}

/// Where the gateway that writes the ledger takes orders.
pub fn control_socket(path: &Path) -> PathBuf {
    folder(path).join("control")
}
