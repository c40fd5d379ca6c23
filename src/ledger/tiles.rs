//! C2SP tlog-tiles on a folder: the paths, the entry bundles, and the hash tiles of one growing log.
//!
//! A log writes with [`Tiles`] and makes proofs with a [`TileReader`] at any size it once wrote. The two may
//! run at the same time; there must be one writer only.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::disk::{self, Failed, Replacing};
use super::merkle::{Frontier, Hash, Hashes};

mod bundle;

pub use bundle::{BundleError, bundle_entries, encode_bundle, push_entry, split_bundle};

/// The hashes of a full tile, and the entries of a full bundle.
pub const TILE_WIDTH: usize = 256;
/// How many levels of the tree a tile spans.
const TILE_HEIGHT: u8 = 8;
/// The tile levels that a tree with a 64-bit size can have.
const TILE_LEVELS: u8 = 8;
const HASH_LEN: usize = 32;
/// How many tiles a reader keeps: enough for the levels of two neighbouring proofs.
const CACHED: usize = 16;

/// Why tiles cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TileError {
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or the folder.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// No file holds the hashes of this tile.
    #[error("{path}: the tile is missing", path = .0.display())]
    Missing(PathBuf),
    /// The file has not the length that its name says.
    #[error("{path}: the tile has not the length of its name", path = .0.display())]
    Length(PathBuf),
    /// The full tile does not have the hash that stands for it in the tile above.
    #[error("{path}: the tile has another hash than the one above it says", path = .0.display())]
    Hash(PathBuf),
    /// The tree of the reader does not hold this subtree.
    #[error("{folder}: no subtree {index} at level {level} in a tree of size {size}", folder = folder.display())]
    Outside {
        /// The folder of the tiles.
        folder: PathBuf,
        /// The level asked for.
        level: u8,
        /// The index asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
}

/// The path of a hash tile below the log's prefix (c2sp.org/tlog-tiles, Merkle Tree). A partial tile has a
/// width from 1 to 255.
pub fn tile_path(level: u8, n: u64, width: Option<u8>) -> String {
    format!("tile/{level}/{}", index_path(n, width))
}

/// The path of an entry bundle below the log's prefix (c2sp.org/tlog-tiles, Log entries). A partial bundle
/// has a width from 1 to 255.
pub fn entries_path(n: u64, width: Option<u8>) -> String {
    format!("tile/entries/{}", index_path(n, width))
}

fn index_path(n: u64, width: Option<u8>) -> String {
    let mut path = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    width.map_or(path.clone(), |width| format!("{path}.p/{width}"))
}

/// The number of hashes at a tile level in a tree of this size: each stands for a full tile below.
pub(super) fn count_at(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or_default()
}

/// The number of full tiles among so many hashes of a level, and the width of the partial tile after them.
pub(super) fn full_and_width(count: u64) -> (u64, u8) {
    // The masked value is below 256.
    (count >> TILE_HEIGHT, (count & 0xff) as u8)
}

/// The root of a complete subtree over these hashes.
pub(super) fn subtree(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    hashes.iter().for_each(|hash| frontier.push(*hash));
    frontier.root()
}

/// A full tile that is not on the disk yet.
#[derive(Debug)]
struct FullTile {
    level: u8,
    n: u64,
    hashes: Vec<Hash>,
}

/// The hash tiles of one growing log. One writer only may have a folder open.
///
/// What is appended stays in memory until [`Tiles::write`]: about 32 bytes for each leaf.
#[derive(Debug)]
pub struct Tiles {
    folder: PathBuf,
    frontier: Frontier,
    /// The size at the last write.
    written: u64,
    /// For each tile level the hashes of its partial tile.
    edge: Vec<Vec<Hash>>,
    full: Vec<FullTile>,
}

impl Tiles {
    /// Opens the tiles of a log at the size of its last checkpoint, and makes the folder for a new log.
    ///
    /// It reads the right edge back: at every level the partial tile, and the last full tile, which must have
    /// the hash that stands for it above. Tiles of a write that came after this size are not looked at; they
    /// are replaced as the log grows over them.
    ///
    /// # Errors
    /// [`TileError`], where a tile of the edge is missing, short or does not fit.
    pub fn open(folder: PathBuf, size: u64) -> Result<Self, TileError> {
        if size == 0 {
            create_and_sync(&folder)?;
        }
        let reader = TileReader::new(folder.clone(), size);
        let mut edge = Vec::new();
        for level in (0..TILE_LEVELS).take_while(|level| count_at(size, *level) > 0) {
            let (n, width) = full_and_width(count_at(size, level));
            let mut hashes = if width > 0 { reader.read(level, n)? } else { Vec::new() };
            hashes.truncate(usize::from(width));
            edge.push(hashes);
            if let Some(last) = n.checked_sub(1)
                && subtree(&reader.read(level, last)?) != reader.node((level + 1) * TILE_HEIGHT, last)?
            {
                return Err(TileError::Hash(folder.join(tile_path(level, last, None))));
            }
        }
        let frontier = Frontier::load(&reader, size)?;
        Ok(Self { folder, frontier, written: size, edge, full: Vec::new() })
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let size = self.size().saturating_add(1);
        let Tiles { frontier, edge, full, .. } = self;
        frontier.push_and_show(leaf, |height, hash| {
            // A full tile is a complete subtree, and its root a hash of the tile above.
            if !height.is_multiple_of(TILE_HEIGHT) {
                return;
            }
            let level = height / TILE_HEIGHT;
            if edge.len() <= usize::from(level) {
                edge.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(hashes) = edge.get_mut(usize::from(level)) else { return };
            hashes.push(hash);
            if hashes.len() == TILE_WIDTH {
                let n = (count_at(size, level) >> TILE_HEIGHT).saturating_sub(1);
                let hashes = std::mem::replace(hashes, Vec::with_capacity(TILE_WIDTH));
                full.push(FullTile { level, n, hashes });
            }
        });
    }

    /// Writes every tile that changed since the last write, and returns when they last on the disk: only then
    /// may a checkpoint of this size be signed.
    ///
    /// A full tile is written once; a partial one for the current size at every level where the level grew.
    /// Then the partial tiles of the new full ones are deleted. Those of a tile that is still partial stay:
    /// earlier checkpoints need them (c2sp.org/tlog-tiles, Partial Tiles).
    ///
    /// # Errors
    /// [`TileError::Io`]. The write may then be tried again.
    pub fn write(&mut self) -> Result<(), TileError> {
        let mut files = Replacing::default();
        for tile in &self.full {
            self.put(&tile_path(tile.level, tile.n, None), &tile.hashes, &mut files)?;
        }
        for (level, hashes) in (0..TILE_LEVELS).zip(&self.edge) {
            let count = count_at(self.size(), level);
            let (n, width) = full_and_width(count);
            if width > 0 && count != count_at(self.written, level) {
                self.put(&tile_path(level, n, Some(width)), hashes, &mut files)?;
            }
        }
        files.finish().map_err(failed)?;
        for tile in &self.full {
            let partials = self.folder.join(tile_path(tile.level, tile.n, None) + ".p");
            match fs::remove_dir_all(&partials) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(at(&partials, source)),
                _ => {}
            }
        }
        self.full.clear();
        self.written = self.size();
        Ok(())
    }

    /// Writes one tile, and notes the folders whose names changed or may be new.
    fn put(&self, path: &str, hashes: &[Hash], files: &mut Replacing) -> Result<(), TileError> {
        let path = self.folder.join(path);
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.folder));
        above.for_each(|folder| files.touch(folder));
        if let Some(folder) = path.parent() {
            disk::create_folder(folder).map_err(|source| at(folder, source))?;
        }
        files.add(path, hashes.as_flattened()).map_err(failed)
    }

    /// The number of leaves, those not written yet too.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over these leaves.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

fn at(path: &Path, source: io::Error) -> TileError {
    TileError::Io { path: path.to_owned(), source }
}

fn failed((path, source): Failed) -> TileError {
    TileError::Io { path, source }
}

/// Makes the folder of a new log, and makes its name last.
fn create_and_sync(folder: &Path) -> Result<(), TileError> {
    disk::create_folder(folder).map_err(|source| at(folder, source))?;
    // The parent of a relative name is the empty path, which cannot be opened.
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), |parent| disk::sync_folder(parent).map_err(|source| at(parent, source)))
}

/// Reads the subtrees of a log at one size from its tiles, and keeps the last few tiles.
#[derive(Debug)]
pub struct TileReader {
    folder: PathBuf,
    size: u64,
    cache: RefCell<Vec<CachedTile>>,
}

#[derive(Debug)]
struct CachedTile {
    level: u8,
    n: u64,
    hashes: Vec<Hash>,
}

impl TileReader {
    /// A reader of the tree that the first `size` leaves make, a size that was once written. It reads nothing
    /// yet.
    pub fn new(folder: PathBuf, size: u64) -> Self {
        Self { folder, size, cache: RefCell::default() }
    }

    /// The hashes of a tile: at least those that the tree of this size has.
    ///
    /// A tile that is full at this size is read as such. A partial one is read from the file of its width; if
    /// that is gone, from the full tile that came after it, or from any wider one. The order matters: after a
    /// crash a full tile of the writes that were lost may lie ahead of the log, and only what the last
    /// checkpoint covers is true in it.
    pub(super) fn read(&self, level: u8, n: u64) -> Result<Vec<Hash>, TileError> {
        let (full, width) = full_and_width(count_at(self.size, level));
        let whole = self.folder.join(tile_path(level, n, None));
        if n < full {
            return read_tile(&whole, TILE_WIDTH)?.ok_or(TileError::Missing(whole));
        }
        let exact = self.folder.join(tile_path(level, n, Some(width)));
        if let Some(hashes) = read_tile(&exact, usize::from(width))? {
            return Ok(hashes);
        }
        if let Some(hashes) = read_tile(&whole, TILE_WIDTH)? {
            return Ok(hashes);
        }
        if let Some((wider, width)) = wider(&exact, width)?
            && let Some(hashes) = read_tile(&wider, width)?
        {
            return Ok(hashes);
        }
        // The writer may have put the full tile in the place of the partial ones in the meantime.
        read_tile(&whole, TILE_WIDTH)?.ok_or(TileError::Missing(exact))
    }

    /// The root over `count` hashes of a tile from `start`, where the tile holds so many.
    fn within(&self, level: u8, n: u64, start: usize, count: usize) -> Result<Option<Hash>, TileError> {
        let mut cache = self.cache.borrow_mut();
        let tile = match cache.iter().position(|tile| (tile.level, tile.n) == (level, n)) {
            Some(found) => cache.remove(found),
            None => CachedTile { level, n, hashes: self.read(level, n)? },
        };
        let hash = tile.hashes.get(start..start.saturating_add(count)).map(subtree);
        if cache.len() >= CACHED {
            cache.remove(0);
        }
        cache.push(tile);
        Ok(hash)
    }
}

impl Hashes for TileReader {
    type Error = TileError;

    /// Node `index` of level `8k + j` is made from `2^j` hashes of one tile of level `k`.
    fn node(&self, level: u8, index: u64) -> Result<Hash, TileError> {
        let outside = || TileError::Outside { folder: self.folder.clone(), level, index, size: self.size };
        let held = level < 64 && (u128::from(index) + 1) << level <= u128::from(self.size);
        if !held {
            return Err(outside());
        }
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let (n, start) = full_and_width(index << height);
        self.within(tile_level, n, usize::from(start), 1 << height)?.ok_or_else(outside)
    }
}

/// The hashes of a tile file of this width, or nothing where there is no such file.
fn read_tile(path: &Path, width: usize) -> Result<Option<Vec<Hash>>, TileError> {
    let Some(bytes) = disk::read(path).map_err(|source| at(path, source))? else { return Ok(None) };
    let (hashes, rest) = bytes.as_chunks::<HASH_LEN>();
    if hashes.len() != width || !rest.is_empty() {
        return Err(TileError::Length(path.to_owned()));
    }
    Ok(Some(hashes.to_vec()))
}

/// The narrowest partial file beside this one that is wider, and its width.
fn wider(exact: &Path, width: u8) -> Result<Option<(PathBuf, usize)>, TileError> {
    let Some(folder) = exact.parent() else { return Ok(None) };
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(folder, error)),
    };
    let widths = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse::<u8>().ok());
    let next = widths.filter(|other| *other > width).min();
    Ok(next.map(|next| (folder.join(next.to_string()), usize::from(next))))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
