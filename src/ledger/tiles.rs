//! C2SP tlog-tiles on a folder: the paths, the entry bundles, and the hash tiles of one growing log.
//!
//! A log writes with [`Tiles`] and makes proofs with a [`TileReader`] at any size it once wrote. The two may
//! run at the same time; there must be one writer only.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::disk;
use super::merkle::{Frontier, Hash, Hashes};

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

/// Why an entry bundle is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// An entry has more than 65535 bytes.
    #[error("an entry has more than 65535 bytes")]
    TooLong,
    /// There are more than 256 entries.
    #[error("a bundle has more than 256 entries")]
    TooMany,
    /// The bundle ends within an entry.
    #[error("the bundle ends within an entry")]
    Cut,
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

/// The entries as one bundle: each after its length, a big-endian u16. An entry of length zero stands for one
/// whose content was pruned.
///
/// # Errors
/// [`BundleError::TooLong`] and [`BundleError::TooMany`].
pub fn encode_bundle<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, BundleError> {
    let mut bundle = Vec::new();
    for (at, entry) in entries.enumerate() {
        if at >= TILE_WIDTH {
            return Err(BundleError::TooMany);
        }
        let length = u16::try_from(entry.len()).map_err(|_| BundleError::TooLong)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// The entries of a bundle, in their order.
///
/// # Errors
/// [`BundleError::Cut`] and [`BundleError::TooMany`].
pub fn split_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let (mut entries, mut rest) = (Vec::new(), bundle);
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(BundleError::Cut)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(BundleError::Cut)?;
        if entries.len() >= TILE_WIDTH {
            return Err(BundleError::TooMany);
        }
        entries.push(entry);
        rest = after;
    }
    Ok(entries)
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
        self.frontier.push(leaf);
        let mut carried = Some(leaf);
        for level in 0..TILE_LEVELS {
            let Some(hash) = carried.take() else { return };
            if self.edge.len() <= usize::from(level) {
                self.edge.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(hashes) = self.edge.get_mut(usize::from(level)) else { return };
            hashes.push(hash);
            if hashes.len() == TILE_WIDTH {
                carried = Some(subtree(hashes));
                let n = (count_at(self.frontier.size(), level) >> TILE_HEIGHT).saturating_sub(1);
                self.full.push(FullTile { level, n, hashes: std::mem::take(hashes) });
            }
        }
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
        let mut folders = BTreeSet::new();
        for tile in &self.full {
            self.put(&tile_path(tile.level, tile.n, None), &tile.hashes, &mut folders)?;
        }
        for (level, hashes) in (0..TILE_LEVELS).zip(&self.edge) {
            let count = count_at(self.size(), level);
            let (n, width) = full_and_width(count);
            if width > 0 && count != count_at(self.written, level) {
                self.put(&tile_path(level, n, Some(width)), hashes, &mut folders)?;
            }
        }
        for folder in &folders {
            disk::sync_folder(folder).map_err(|source| at(folder, source))?;
        }
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
    fn put(&self, path: &str, hashes: &[Hash], folders: &mut BTreeSet<PathBuf>) -> Result<(), TileError> {
        let path = self.folder.join(path);
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.folder));
        folders.extend(above.map(Path::to_path_buf));
        if let Some(folder) = path.parent() {
            disk::create_folder(folder).map_err(|source| at(folder, source))?;
        }
        disk::replace(&path, hashes.as_flattened()).map_err(|source| at(&path, source))
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
mod tests {
    use super::super::merkle::{self, Leaves};
    use super::*;
    use tempfile::{TempDir, tempdir};

    fn folder(dir: &TempDir) -> PathBuf {
        dir.path().join("log")
    }

    /// A log that wrote at these sizes.
    fn grown(dir: &TempDir, leaves: &Leaves, sizes: &[u64]) -> Tiles {
        let mut tiles = Tiles::open(folder(dir), 0).unwrap();
        for size in sizes {
            grow(&mut tiles, leaves, *size);
        }
        tiles
    }

    fn grow(tiles: &mut Tiles, leaves: &Leaves, size: u64) {
        for index in tiles.size()..size {
            tiles.append(leaves.0[index as usize]);
        }
        tiles.write().unwrap();
    }

    /// The files below the folder, by their paths.
    fn files(dir: &TempDir) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![folder(dir)];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(path.strip_prefix(folder(dir)).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found
    }

    fn has(dir: &TempDir, path: String) -> bool {
        folder(dir).join(path).is_file()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path(0, 1_234_067, Some(8)), "tile/0/x001/x234/067.p/8");
        assert_eq!(tile_path(3, 0, None), "tile/3/000");
        assert_eq!(tile_path(0, 999, None), "tile/0/999");
        assert_eq!(tile_path(0, 1000, None), "tile/0/x001/000");
        assert_eq!(entries_path(1_000_000, Some(255)), "tile/entries/x001/x000/000.p/255");
        assert_eq!(entries_path(u64::MAX, None), "tile/entries/x018/x446/x744/x073/x709/x551/615");
    }

    #[test]
    fn a_bundle_is_split_into_what_it_was_made_of() {
        let long = vec![7; 65535];
        let entries: Vec<&[u8]> = vec![b"one", b"", &long, b"4"];
        let bundle = encode_bundle(entries.iter().copied()).unwrap();
        assert_eq!(bundle[..5], *b"\0\x03one");
        assert_eq!(split_bundle(&bundle), Ok(entries));
        assert_eq!(split_bundle(b""), Ok(vec![]));
        assert_eq!(split_bundle(b"\0\0"), Ok(vec![&b""[..]]));
    }

    #[test]
    fn a_malformed_bundle_is_refused() {
        assert_eq!(split_bundle(b"\0"), Err(BundleError::Cut));
        assert_eq!(split_bundle(b"\0\x03on"), Err(BundleError::Cut));
        assert_eq!(split_bundle(&[0; 512]).map(|entries| entries.len()), Ok(256));
        assert_eq!(split_bundle(&[0; 514]), Err(BundleError::TooMany));
        assert_eq!(encode_bundle(std::iter::repeat_n(&b""[..], 257)), Err(BundleError::TooMany));
        assert_eq!(encode_bundle(std::iter::once(&[0; 65536][..])), Err(BundleError::TooLong));
    }

    #[test]
    fn the_tiles_of_the_example_of_the_specification_are_written() {
        let dir = tempdir().unwrap();
        let mut tiles = Tiles::open(folder(&dir), 0).unwrap();
        (0..70_000u64).for_each(|number| tiles.append(merkle::leaf_hash(&number.to_be_bytes())));
        tiles.write().unwrap();
        let mut expected: BTreeSet<String> = (0..273).map(|n| tile_path(0, n, None)).collect();
        expected.insert(tile_path(0, 273, Some(112)));
        expected.insert(tile_path(1, 0, None));
        expected.insert(tile_path(1, 1, Some(17)));
        expected.insert(tile_path(2, 0, Some(1)));
        assert_eq!(files(&dir), expected);
        let reopened = Tiles::open(folder(&dir), 70_000).unwrap();
        assert_eq!((reopened.size(), reopened.root()), (70_000, tiles.root()));
        let reader = TileReader::new(folder(&dir), 70_000);
        for index in [0, 255, 256, 65_535, 65_536, 69_999] {
            let leaf = merkle::leaf_hash(&u64::to_be_bytes(index));
            let proof = merkle::inclusion(&reader, index, 70_000).unwrap();
            assert!(merkle::verify_inclusion(&leaf, index, 70_000, &proof, &tiles.root()));
        }
    }

    #[test]
    fn proofs_from_tiles_are_those_from_the_leaves() {
        let dir = tempdir().unwrap();
        let leaves = Leaves::numbers(600);
        let sizes = [1, 2, 255, 256, 257, 511, 512, 513, 600];
        let tiles = grown(&dir, &leaves, &sizes);
        assert_eq!((tiles.size(), tiles.root()), (600, leaves.root(600)));
        for size in sizes {
            let reader = TileReader::new(folder(&dir), size);
            for index in (0..size).step_by(7) {
                let proof = merkle::inclusion(&reader, index, size).unwrap();
                assert_eq!(Ok(proof), merkle::inclusion(&leaves, index, size));
                let proof = merkle::consistency(&reader, index, size).unwrap();
                assert_eq!(Ok(proof), merkle::consistency(&leaves, index, size));
            }
        }
    }

    #[test]
    fn a_log_goes_on_after_it_was_opened_again() {
        let dir = tempdir().unwrap();
        let leaves = Leaves::numbers(530);
        for (from, to) in [(0, 3), (3, 200), (200, 256), (256, 256), (256, 300), (300, 512), (512, 530)] {
            let mut tiles = Tiles::open(folder(&dir), from).unwrap();
            assert_eq!((tiles.size(), tiles.root()), (from, leaves.root(from)));
            grow(&mut tiles, &leaves, to);
            assert_eq!(tiles.root(), leaves.root(to));
        }
    }

    #[test]
    fn partial_tiles_go_when_the_full_one_is_there() {
        let dir = tempdir().unwrap();
        let leaves = Leaves::numbers(300);
        let mut tiles = grown(&dir, &leaves, &[10, 20]);
        assert!(has(&dir, tile_path(0, 0, Some(10))) && has(&dir, tile_path(0, 0, Some(20))));
        grow(&mut tiles, &leaves, 300);
        let expected = [tile_path(0, 0, None), tile_path(0, 1, Some(44)), tile_path(1, 0, Some(1))];
        assert_eq!(files(&dir), expected.into_iter().collect());
    }

    #[test]
    fn what_did_not_change_is_not_written_again() {
        let dir = tempdir().unwrap();
        let leaves = Leaves::numbers(302);
        let mut tiles = grown(&dir, &leaves, &[300]);
        for path in [tile_path(0, 0, None), tile_path(1, 0, Some(1)), tile_path(0, 1, Some(44))] {
            fs::remove_file(folder(&dir).join(path)).unwrap();
        }
        tiles.write().unwrap();
        assert!(files(&dir).is_empty());
        grow(&mut tiles, &leaves, 302);
        assert_eq!(files(&dir), [tile_path(0, 1, Some(46))].into_iter().collect());
    }

    #[test]
    fn a_missing_tile_at_the_edge_is_an_error() {
        for path in [tile_path(0, 0, None), tile_path(0, 1, Some(44)), tile_path(1, 0, Some(1))] {
            let dir = tempdir().unwrap();
            grown(&dir, &Leaves::numbers(300), &[300]);
            fs::remove_file(folder(&dir).join(&path)).unwrap();
            let error = Tiles::open(folder(&dir), 300).unwrap_err();
            assert!(matches!(&error, TileError::Missing(at) if at.ends_with(&path)), "{error}");
            assert!(error.to_string().contains(&path));
        }
        let dir = tempdir().unwrap();
        assert!(matches!(Tiles::open(folder(&dir), 5), Err(TileError::Missing(_))));
    }

    #[test]
    fn a_short_or_long_tile_is_an_error() {
        for (path, length) in [
            (tile_path(0, 0, None), 8191),
            (tile_path(0, 1, Some(44)), 43 * 32),
            (tile_path(1, 0, Some(1)), 64),
        ] {
            let dir = tempdir().unwrap();
            grown(&dir, &Leaves::numbers(300), &[300]);
            fs::write(folder(&dir).join(&path), vec![0; length]).unwrap();
            assert!(
                matches!(Tiles::open(folder(&dir), 300), Err(TileError::Length(at)) if at.ends_with(&path))
            );
        }
    }

    #[test]
    fn a_full_tile_that_does_not_fit_the_one_above_is_an_error() {
        let dir = tempdir().unwrap();
        grown(&dir, &Leaves::numbers(300), &[300]);
        fs::write(folder(&dir).join(tile_path(0, 0, None)), [7; 8192]).unwrap();
        assert!(matches!(Tiles::open(folder(&dir), 300), Err(TileError::Hash(_))));
    }

    #[test]
    fn a_size_whose_partial_tile_is_gone_is_read_from_a_wider_one() {
        let dir = tempdir().unwrap();
        let leaves = Leaves::numbers(300);
        let mut tiles = grown(&dir, &leaves, &[10, 20, 30]);
        fs::remove_file(folder(&dir).join(tile_path(0, 0, Some(10)))).unwrap();
        assert_eq!(Tiles::open(folder(&dir), 10).unwrap().root(), leaves.root(10));
        grow(&mut tiles, &leaves, 300);
        let reader = TileReader::new(folder(&dir), 10);
        assert_eq!(merkle::inclusion(&reader, 3, 10).unwrap(), merkle::inclusion(&leaves, 3, 10).unwrap());
    }

    #[test]
    fn writes_that_were_lost_do_not_disturb_what_comes_after() {
        let dir = tempdir().unwrap();
        let (lost, mut kept) = (Leaves::numbers(600), Leaves::numbers(600));
        kept.0[200..].iter_mut().for_each(|hash| hash[0] ^= 1);
        // The log wrote 600 leaves and then failed before the checkpoint: it is opened at 200 again.
        let mut tiles = grown(&dir, &lost, &[200]);
        grow(&mut tiles, &lost, 600);
        let mut tiles = Tiles::open(folder(&dir), 200).unwrap();
        assert_eq!(tiles.root(), kept.root(200));
        for size in [210, 256, 300, 512, 520] {
            grow(&mut tiles, &kept, size);
            assert_eq!(Tiles::open(folder(&dir), size).unwrap().root(), kept.root(size));
            let reader = TileReader::new(folder(&dir), size);
            let proof = merkle::consistency(&reader, 200, size).unwrap();
            assert!(merkle::verify_consistency(200, &kept.root(200), size, &kept.root(size), &proof));
        }
    }

    #[test]
    fn a_subtree_outside_of_the_tree_is_an_error() {
        let dir = tempdir().unwrap();
        grown(&dir, &Leaves::numbers(300), &[300]);
        let reader = TileReader::new(folder(&dir), 300);
        for (level, index) in
            [(0, 300), (8, 1), (9, 0), (63, 0), (64, 0), (255, 0), (0, u64::MAX), (63, u64::MAX)]
        {
            assert!(matches!(reader.node(level, index), Err(TileError::Outside { .. })), "{level} {index}");
        }
        assert!(reader.node(8, 0).is_ok() && reader.node(0, 299).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn files_and_folders_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempdir().unwrap();
        grown(&dir, &Leaves::numbers(3), &[3]);
        let mode = |path: &str| fs::metadata(folder(&dir).join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("tile/0"), mode("tile/0/000.p/3")), (0o700, 0o700, 0o600));
    }
}
