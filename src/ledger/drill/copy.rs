//! Copies of a ledger's folder, and the hand that changes them.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::super::archive::{self, BUNDLE, head_path};
use super::super::checkpoint::{self, Checkpoint};
use super::super::error::StoreError;
use super::super::files;
use super::super::log;
use super::super::note::{Note, Signer, Verifier};
use super::super::tiles;
use super::DrillError;

/// A folder that goes with its value.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one that only its owner can read, below `parent`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn new(parent: &Path) -> Result<Self, DrillError> {
        let path = parent.join(format!("fieldgate-drill-{}", uuid::Uuid::now_v7()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|source| DrillError::Copy { path: path.clone(), source })?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies a ledger that may be in use: the head first, then what it covers.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn copy_ledger(from: &Path, to: &Path) -> Result<(), DrillError> {
    make(to)?;
    for name in ["checkpoint", "checkpoint.witnessed"] {
        if from.join(name).exists() {
            let failed = |source| DrillError::Copy { path: from.join(name), source };
            fs::copy(from.join(name), to.join(name)).map_err(failed)?;
        }
    }
    for name in ["journal", "tile"] {
        if from.join(name).is_dir() {
            copy_folder(&from.join(name), &to.join(name), &|from, to| fs::copy(from, to).map(drop))?;
        }
    }
    Ok(())
}

/// A copy whose files are those of `from` as long as nobody puts others in their place.
///
/// # Errors
/// Where a file cannot be linked or copied.
pub fn link(from: &Path, to: &Path) -> Result<(), DrillError> {
    copy_folder(from, to, &|from, to| fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)))
}

fn copy_folder(
    from: &Path,
    to: &Path,
    copy: &dyn Fn(&Path, &Path) -> io::Result<()>,
) -> Result<(), DrillError> {
    let failed = |path: &Path, source| DrillError::Copy { path: path.to_owned(), source };
    make(to)?;
    for entry in fs::read_dir(from).map_err(|source| failed(from, source))? {
        let entry = entry.map_err(|source| failed(from, source))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &target, copy)?;
            continue;
        }
        match copy(&path, &target) {
            // The gateway replaces shorter files by longer ones.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(|source| failed(&path, source))?,
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), DrillError> {
    files::make_folder(folder).map_err(DrillError::Store)
}

/// Changes a copy as somebody would who can write the files.
pub struct Hand<'f> {
    folder: &'f Path,
    size: u64,
}

impl<'f> Hand<'f> {
    /// # Errors
    /// Where the copy has no head.
    pub fn new(folder: &'f Path) -> Result<Self, DrillError> {
        Ok(Hand { folder, size: head_of(folder)?.size })
    }

    /// Changes the file of a tile or of a bundle.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn file(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<(), DrillError> {
        let failed = |source| DrillError::Copy { path: path.to_owned(), source };
        let mut bytes = fs::read(path).map_err(failed)?;
        change(&mut bytes);
        // A new file: the old one may be that of another copy too.
        fs::remove_file(path).map_err(failed)?;
        fs::write(path, bytes).map_err(failed)
    }

    /// Changes the entries of the bundle that an entry is in.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn bundle(&self, position: u64, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Result<(), DrillError> {
        let number = position / BUNDLE;
        let count = (self.size - number * BUNDLE).min(BUNDLE);
        let (path, bytes) = archive::bundle_bytes(self.folder, number, count)?;
        let broken = |what: String| StoreError::Broken { path: path.clone(), what };
        let entries = tiles::split_bundle(&bytes).map_err(|error| broken(error.to_string()))?;
        let mut entries: Vec<Vec<u8>> = entries.into_iter().map(<[u8]>::to_vec).collect();
        change(&mut entries);
        let encoded = tiles::encode_bundle(entries.iter().map(Vec::as_slice));
        let encoded = encoded.map_err(|error| broken(error.to_string()))?;
        self.file(&path, |bytes| *bytes = encoded)
    }

    /// Flips a bit in a tile.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn tile(&self, level: u8, number: u64) -> Result<(), DrillError> {
        let (full, width) = tiles::full_and_width(tiles::count_at(self.size, level));
        let width = (number >= full).then_some(width);
        let path = self.folder.join(tiles::tile_path(level, number, width));
        self.file(&path, |bytes| bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1))
    }

    /// Puts another head in the place of that of the copy.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn head(&self, note: &str) -> Result<(), DrillError> {
        files::replace(&head_path(self.folder), note.as_bytes()).map_err(DrillError::Store)
    }

    /// Removes the files that hold the last entries.
    ///
    /// # Errors
    /// Where they cannot be removed.
    pub fn cut(&self) -> Result<(), DrillError> {
        let (number, count) = ((self.size - 1) / BUNDLE, (self.size - 1) % BUNDLE + 1);
        let (path, _) = archive::bundle_bytes(self.folder, number, count)?;
        let width = (count < BUNDLE).then_some(count as u8);
        let tile = self.folder.join(tiles::tile_path(0, number, width));
        for path in [path, tile] {
            fs::remove_file(&path).map_err(|source| DrillError::Copy { path, source })?;
        }
        Ok(())
    }
}

/// What the head of a copy says; its signature is not looked at.
///
/// # Errors
/// Where there is none.
pub fn head_of(folder: &Path) -> Result<Checkpoint, DrillError> {
    let note = note_of(folder)?;
    let parsed = Note::parse(&note).ok().and_then(|note| Checkpoint::parse(&note).ok());
    parsed.ok_or_else(|| DrillError::NoHead(folder.to_owned()))
}

/// The text of the head.
///
/// # Errors
/// Where there is none.
pub fn note_of(folder: &Path) -> Result<String, DrillError> {
    fs::read_to_string(head_path(folder)).map_err(|_| DrillError::NoHead(folder.to_owned()))
}

/// The same head, signed by somebody else.
///
/// # Errors
/// Where it cannot be signed.
pub fn sign(head: &Checkpoint, signer: &Signer) -> Result<String, DrillError> {
    let mut note = head.to_note().map_err(|error| DrillError::Sign(error.to_string()))?;
    note.sign(signer).map_err(|error| DrillError::Sign(error.to_string()))?;
    Ok(note.to_string())
}

/// The head with what an older one is signed with: the best that somebody without the key can do.
///
/// # Errors
/// Where one of them is not a note.
pub fn forge(head: &Checkpoint, signed: &str, key: &Verifier) -> Result<String, DrillError> {
    let failed = |error: checkpoint::CheckpointError| DrillError::Sign(error.to_string());
    let (_, signed) = checkpoint::open(signed, key).map_err(failed)?;
    let text = head.to_note().map_err(failed)?.text;
    Ok(Note { text, ..signed }.to_string())
}

/// Where the files of the journal are.
pub fn journal_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(log::journal_folder(folder)).into_iter().flatten();
    files.flatten().map(|file| file.path()).collect()
}
