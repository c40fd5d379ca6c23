//! The archive: the entries and the hashes of the tree over them as C2SP tlog-tiles, and the signed head of
//! that tree. It is a folder of files that outside tools read as they are.
//!
//! **Guarantees.** When [`Archive::seal`] returns, all that was appended is on the disk and under the head.
//! A head is written after what it is about. An archive whose tree does not fit its own head is not opened.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint};
use super::disk::Replacing;
use super::error::StoreError;
use super::files;
use super::merkle::{self, Hash, Hashes};
use super::note::Signer;
use super::tiles::{self, BundleError, TileError, TileReader, Tiles};

mod pending;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;

use pending::Pending;

/// Entries in a bundle, and hashes in a tile.
pub const BUNDLE: u64 = 256;

/// The archive, open for writing.
pub struct Archive {
    folder: PathBuf,
    signer: Signer,
    tiles: Tiles,
    /// The bundles that are not on the disk as a whole, and the last ones that are.
    pending: Pending,
    head: Head,
}

/// The signed head of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub size: u64,
    pub root: Hash,
    /// The signed note; empty as long as there is none.
    pub note: String,
}

impl Archive {
    /// Opens the archive in `folder`, or makes it.
    ///
    /// # Errors
    /// Where a file cannot be used, or the tree is not that of its head.
    pub fn open(folder: &Path, signer: Signer) -> Result<Self, StoreError> {
        Archive::open_with(folder, signer, false)
    }

    /// The same of one that takes entries whose content was pruned before they came; its first head is signed at once.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_gathered(folder: &Path, signer: Signer) -> Result<Self, StoreError> {
        let mut archive = Archive::open_with(folder, signer, true)?;
        // Tiles without any head are what is left of a ledger that somebody tampered with.
        if archive.head.note.is_empty() {
            archive.seal()?;
        }
        Ok(archive)
    }

    fn open_with(folder: &Path, signer: Signer, pruned: bool) -> Result<Self, StoreError> {
        files::make_folder(folder)?;
        let head = read_head(folder, &signer)?;
        let tiles = Tiles::open(folder.to_owned(), head.size)?;
        if head.size > 0 && tiles.root() != head.root {
            return Err(StoreError::Forked(folder.to_owned()));
        }
        let pending = Pending::new(head.size / BUNDLE, &read_pending(folder, head.size, pruned)?);
        Ok(Archive { folder: folder.to_owned(), signer, tiles, pending, head })
    }

    /// Entries that were appended.
    pub fn size(&self) -> u64 {
        self.tiles.size()
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    pub fn append(&mut self, leaf: impl AsRef<[u8]>) {
        let leaf = leaf.as_ref();
        self.append_hashed(leaf, merkle::leaf_hash(leaf));
    }

    /// The same of an entry whose leaf hash is known; who gives it has made it from these bytes.
    pub fn append_hashed(&mut self, leaf: &[u8], hash: Hash) {
        self.tiles.append(hash);
        self.pending.push(leaf);
    }

    /// Appends an entry whose content was pruned where it comes from.
    pub fn append_pruned(&mut self, hash: Hash) {
        self.tiles.append(hash);
        self.pending.push(&[]);
    }

    /// The hash of an entry that was sealed.
    ///
    /// # Errors
    /// Where its tile cannot be read.
    pub fn leaf_hash(&self, position: u64) -> Result<Hash, StoreError> {
        Ok(TileReader::new(self.folder.clone(), self.head.size).node(0, position)?)
    }

    /// Entries that were sealed, from one number to another (exclusive). Those that were written last may be as they
    /// were then, also where their content was pruned since: whoever would keep something of them must ask again once
    /// that is known, after [`forget`](Self::forget).
    ///
    /// # Errors
    /// Where a bundle cannot be read.
    pub fn entries(&self, from: u64, end: u64) -> Result<Vec<Option<Cow<'_, [u8]>>>, StoreError> {
        let mut entries = Vec::with_capacity(end.saturating_sub(from) as usize);
        let mut at = from;
        while at < end {
            let until = ((at / BUNDLE + 1) * BUNDLE).min(end);
            let (offset, count) = ((at % BUNDLE) as usize, (until - at) as usize);
            if let Some(bundle) = self.pending.get(at / BUNDLE) {
                let kept = |leaf| (!<[u8]>::is_empty(leaf)).then_some(Cow::Borrowed(leaf));
                entries.extend(bundle.entries().skip(offset).take(count).map(kept));
            } else {
                let bundle = read_bundle(&self.folder, at / BUNDLE, BUNDLE)?;
                let read = bundle.into_iter().skip(offset).take(count);
                entries.extend(read.map(|leaf| leaf.map(Cow::Owned)));
            }
            at = until;
        }
        Ok(entries)
    }

    /// Says that entries before this number are not asked for again soon: they need not be in memory.
    pub fn release(&mut self, upto: u64) {
        self.pending.release(upto);
    }

    /// Forgets what it has in memory of entries that are on the disk.
    pub fn forget(&mut self) {
        self.release(u64::MAX);
    }

    /// Writes what was appended, signs the head, and writes that.
    ///
    /// # Errors
    /// Where a file cannot be written; it can be tried again.
    pub fn seal(&mut self) -> Result<(), StoreError> {
        if self.tiles.size() == self.head.size && !self.head.note.is_empty() {
            return Ok(());
        }
        self.check_head()?;
        self.write_bundles()?;
        self.tiles.write()?;
        let checkpoint = Checkpoint {
            origin: self.signer.verifier().name().to_owned(),
            size: self.tiles.size(),
            root: self.tiles.root(),
        };
        let note = self.sign(&checkpoint)?;
        files::replace(&head_path(&self.folder), note.as_bytes())?;
        self.head = Head { size: checkpoint.size, root: checkpoint.root, note };
        Ok(())
    }

    fn sign(&self, checkpoint: &Checkpoint) -> Result<String, StoreError> {
        let broken = |what: String| StoreError::Broken { path: head_path(&self.folder), what };
        let mut note = checkpoint.to_note().map_err(|error| broken(error.to_string()))?;
        note.sign(&self.signer).map_err(|error| broken(error.to_string()))?;
        Ok(note.to_string())
    }

    /// Nobody else writes here.
    fn check_head(&self) -> Result<(), StoreError> {
        let path = head_path(&self.folder);
        match std::fs::read_to_string(&path) {
            Ok(note) if note == self.head.note => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.head.note.is_empty() => Ok(()),
            _ => Err(StoreError::Replaced(path)),
        }
    }

    fn write_bundles(&mut self) -> Result<(), StoreError> {
        let unfit = |(number, error): (u64, BundleError)| StoreError::Broken {
            path: self.folder.join(tiles::entries_path(number, None)),
            what: error.to_string(),
        };
        let failed = |(path, source)| StoreError::File { path, source };
        let (mut files, mut written) = (Replacing::default(), Vec::new());
        for (number, bundle) in self.pending.unwritten().map_err(unfit)? {
            let width = if bundle.is_whole() { None } else { Some(bundle.count as u8) };
            let path = self.folder.join(tiles::entries_path(number, width));
            if let Some(folder) = path.parent() {
                files::make_folder(folder)?;
            }
            // Also those above: a folder that was made before a crash may not last yet.
            let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.folder));
            above.for_each(|folder| files.touch(folder));
            files.add(path.clone(), &bundle.bytes).map_err(failed)?;
            written.push((number, path));
        }
        files.finish().map_err(failed)?;
        self.pending.wrote();
        written.iter().for_each(|(number, path)| self.remove_partials(*number, path));
        Ok(())
    }

    /// Shorter versions of a bundle say nothing that a longer one does not.
    fn remove_partials(&self, number: u64, kept: &Path) {
        let mut folder = self.folder.join(tiles::entries_path(number, None)).into_os_string();
        folder.push(".p");
        let Ok(files) = std::fs::read_dir(&folder) else { return };
        let others = files.flatten().map(|file| file.path()).filter(|path| path != kept);
        // One that stays does no harm.
        others.for_each(|path| _ = std::fs::remove_file(path));
        let _ = std::fs::remove_dir(&folder);
    }
}

/// Where the signed head is.
pub fn head_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

/// The head that was signed last; of no entries where there is none.
fn read_head(folder: &Path, signer: &Signer) -> Result<Head, StoreError> {
    let path = head_path(folder);
    let note = match std::fs::read_to_string(&path) {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return if has_tiles(folder) {
                Err(StoreError::Broken { path, what: "the signed head is missing".to_owned() })
            } else {
                Ok(Head::default())
            };
        }
        Err(source) => return Err(StoreError::File { path, source }),
    };
    match checkpoint::open(&note, signer.verifier()) {
        Ok((checkpoint, _)) => Ok(Head { size: checkpoint.size, root: checkpoint.root, note }),
        Err(error) => Err(StoreError::Broken {
            path,
            what: format!("is not a head that this ledger's key and origin have signed ({error})"),
        }),
    }
}

/// The first head may not have been written yet when the first tile was.
fn has_tiles(folder: &Path) -> bool {
    folder.join(tiles::tile_path(0, 0, None)).exists()
}

/// The entries of the last bundle, where it is not whole: those that the tree has the hashes of. A crash may
/// have left another version of it. Where entries can come `pruned`, the hash is all there is to some.
fn read_pending(folder: &Path, size: u64, pruned: bool) -> Result<Vec<Vec<u8>>, StoreError> {
    let (number, width) = (size / BUNDLE, size % BUNDLE);
    if width == 0 {
        return Ok(Vec::new());
    }
    let tiles = TileReader::new(folder.to_owned(), size);
    let mut hashes = Vec::new();
    for offset in 0..width {
        hashes.push(tiles.node(0, number * BUNDLE + offset)?);
    }
    let widths = (width..BUNDLE).map(|width| Some(width as u8)).chain([None]);
    let paths = widths.map(|width| folder.join(tiles::entries_path(number, width)));
    for path in paths.filter(|path| path.exists()) {
        let bytes = std::fs::read(&path).map_err(|source| StoreError::File { path: path.clone(), source })?;
        let entries = tiles::split_bundle(&bytes).unwrap_or_default();
        let fits = entries.len() >= hashes.len()
            && entries
                .iter()
                .zip(&hashes)
                .all(|(entry, hash)| pruned && entry.is_empty() || merkle::leaf_hash(entry) == *hash);
        if fits {
            return Ok(entries.into_iter().take(width as usize).map(<[u8]>::to_vec).collect());
        }
    }
    let path = folder.join(tiles::entries_path(number, Some(width as u8)));
    Err(StoreError::Broken {
        path,
        what: "the last entries are missing, or others than the tree has".to_owned(),
    })
}

/// The first `count` entries of a bundle; None for one whose content was pruned.
///
/// # Errors
/// Where it has fewer, or is damaged.
pub fn read_bundle(folder: &Path, number: u64, count: u64) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    let (path, bytes) = bundle_bytes(folder, number, count)?;
    let broken = |what: String| StoreError::Broken { path: path.clone(), what };
    let entries = tiles::split_bundle(&bytes).map_err(|error| broken(error.to_string()))?;
    if (entries.len() as u64) < count {
        return Err(broken(format!("holds {} entries instead of {count}", entries.len())));
    }
    let some = |entry: &[u8]| (!entry.is_empty()).then(|| entry.to_vec());
    Ok(entries.into_iter().take(count as usize).map(some).collect())
}

/// The file of a bundle that has at least its first `count` entries, and what is in it.
///
/// # Errors
/// Where it cannot be read.
pub fn bundle_bytes(folder: &Path, number: u64, count: u64) -> Result<(PathBuf, Vec<u8>), StoreError> {
    let mut path = bundle_file(folder, number, count);
    let mut bytes = std::fs::read(&path);
    if bytes.is_err() {
        // A longer version may have taken its place in between.
        path = bundle_file(folder, number, count);
        bytes = std::fs::read(&path);
    }
    match bytes {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(StoreError::File { path, source }),
    }
}

/// The whole bundle, or the shortest part of it that has so many entries.
fn bundle_file(folder: &Path, number: u64, count: u64) -> PathBuf {
    let whole = folder.join(tiles::entries_path(number, None));
    if whole.exists() {
        return whole;
    }
    let parts =
        (count.max(1)..BUNDLE).map(|width| folder.join(tiles::entries_path(number, Some(width as u8))));
    parts.into_iter().find(|path| path.exists()).unwrap_or(whole)
}

impl From<TileError> for StoreError {
    fn from(error: TileError) -> Self {
        StoreError::Tile(error)
    }
}
