//! The tree: each entry against its hash, each tile against the one above it, the root against the head.

use std::collections::HashMap;
use std::path::Path;

use super::super::archive::{self, BUNDLE};
use super::super::checkpoint::Checkpoint;
use super::super::merkle::{self, Frontier, Hash, Hashes};
use super::super::tiles::{self, TileReader};
use super::facts::{Item, Names, Reader};
use super::report::{Check, Finding};

/// Entries that stand in another place are named one by one up to so many.
const NAMED: usize = 4;

/// Checks bundles in one thread.
pub struct Bundles<'a> {
    folder: &'a Path,
    head: &'a Checkpoint,
    tiles: TileReader,
    reader: Reader<'a>,
}

/// A bundle that was checked: what stands in its places, and what is wrong.
pub struct Checked {
    pub items: Vec<Item>,
    pub findings: Vec<Finding>,
}

impl<'a> Bundles<'a> {
    pub fn new(folder: &'a Path, head: &'a Checkpoint, names: &'a Names) -> Self {
        let tiles = TileReader::new(folder.to_owned(), head.size);
        Bundles { folder, head, tiles, reader: Reader::new(names) }
    }

    pub fn check(&mut self, number: u64) -> Checked {
        let first = number * BUNDLE;
        let count = (self.head.size - first).min(BUNDLE);
        let mut findings = Vec::new();
        let tile = self.tile(number, count, &mut findings);
        let bytes = match archive::bundle_bytes(self.folder, number, count) {
            Ok((_, bytes)) => bytes,
            Err(error) => {
                let what = format!("it and those up to {} cannot be read: {error}", first + count - 1);
                findings.push(Finding::error(Check::Bundle, first, what));
                return Checked { items: (0..count).map(|_| Item::Damaged).collect(), findings };
            }
        };
        let mut entries = tiles::split_bundle(&bytes).unwrap_or_else(|error| {
            let path = tiles::entries_path(number, None);
            findings.push(Finding::error(Check::Bundle, first, format!("{path}: {error}")));
            salvage(&bytes)
        });
        // What a crash left may be longer than the head says.
        entries.truncate(count as usize);
        let hashes: Vec<Option<Hash>> =
            entries.iter().map(|entry| (!entry.is_empty()).then(|| merkle::leaf_hash(entry))).collect();
        let items = match tile {
            Some(tile) if fit(&hashes, &tile) || self.is_vouched(number, &hashes, count, &mut findings) => {
                entries.iter().map(|entry| self.reader.item(entry)).collect()
            }
            Some(tile) => self.align(first, &entries, &hashes, &tile, &mut findings),
            None => {
                let mut items: Vec<Item> = entries.iter().map(|entry| self.reader.item(entry)).collect();
                items.resize_with(count as usize, || Item::Damaged);
                items
            }
        };
        Checked { items, findings }
    }

    /// The hashes of the entries; a whole tile is checked against the one above it.
    fn tile(&self, number: u64, count: u64, findings: &mut Vec<Finding>) -> Option<Vec<Hash>> {
        let mut hashes = match self.tiles.read(0, number) {
            Ok(hashes) => hashes,
            Err(error) => {
                findings.push(Finding::error(Check::Tile, number * BUNDLE, error.to_string()));
                return None;
            }
        };
        hashes.truncate(count as usize);
        // What is wrong with the one above is said when that is checked.
        if count == BUNDLE
            && let Ok(above) = self.tiles.node(8, number)
            && tiles::subtree(&hashes) != above
        {
            let path = tiles::tile_path(0, number, None);
            let what = format!("{path} does not have the hash that the tile above it says");
            findings.push(Finding::error(Check::Tile, number * BUNDLE, what));
        }
        Some(hashes)
    }

    /// Whether the entries are those of the tree although the tile says otherwise: then the tile is wrong.
    fn is_vouched(
        &self,
        number: u64,
        hashes: &[Option<Hash>],
        count: u64,
        findings: &mut Vec<Finding>,
    ) -> bool {
        let Some(hashes) = hashes.iter().copied().collect::<Option<Vec<Hash>>>() else { return false };
        let is_right = if hashes.len() as u64 != count {
            false
        } else if count == BUNDLE {
            self.tiles.node(8, number).is_ok_and(|above| above == tiles::subtree(&hashes))
        } else {
            Frontier::load(&self.tiles, number * BUNDLE).is_ok_and(|mut frontier| {
                hashes.iter().for_each(|hash| frontier.push(*hash));
                frontier.root() == self.head.root
            })
        };
        if is_right {
            let path = tiles::tile_path(0, number, (count < BUNDLE).then_some(count as u8));
            let what =
                format!("{path} has other hashes than its entries, which are those of the signed head");
            findings.push(Finding::error(Check::Tile, number * BUNDLE, what));
        }
        is_right
    }

    /// Puts the entries of a bundle in the places that the tile gives them, and says which are not there.
    fn align(
        &mut self,
        first: u64,
        entries: &[&[u8]],
        hashes: &[Option<Hash>],
        tile: &[Hash],
        findings: &mut Vec<Finding>,
    ) -> Vec<Item> {
        let places: HashMap<&Hash, usize> = tile.iter().enumerate().map(|(at, hash)| (hash, at)).collect();
        let mut items: Vec<Option<Item>> = tile.iter().map(|_| None).collect();
        let (mut moved, mut foreign) = (Vec::new(), Vec::new());
        for (at, (entry, hash)) in entries.iter().zip(hashes).enumerate() {
            let Some(hash) = hash else { continue };
            match places.get(hash) {
                Some(place) => {
                    items[*place] = Some(self.reader.item(entry));
                    if *place != at {
                        moved.push((at as u64, *place as u64));
                    }
                }
                None => foreign.push(at),
            }
        }
        for (at, item) in items.iter_mut().enumerate().filter(|(_, item)| item.is_none()) {
            let is_pruned = hashes.get(at).is_some_and(Option::is_none);
            if is_pruned {
                *item = Some(Item::Pruned);
                continue;
            }
            let what = if foreign.contains(&at) {
                "was changed: its bytes do not have the hash that the tree has for it"
            } else {
                "is missing: no entry of its bundle has the hash that the tree has for it"
            };
            findings.push(Finding::error(Check::Entry, first + at as u64, what.to_owned()));
        }
        let strangers = foreign.iter().filter(|at| !matches!(items.get(**at), Some(None)));
        for at in strangers {
            let what = "has bytes in its place that the tree has no hash for".to_owned();
            findings.push(Finding::error(Check::Entry, first + *at as u64, what));
        }
        findings.extend(displaced(first, &moved));
        items.into_iter().map(|item| item.unwrap_or(Item::Damaged)).collect()
    }

    /// The tiles above those of the entries, and the root; and whether older heads are of this tree.
    pub fn check_above(&self, findings: &mut Vec<Finding>) {
        for level in 1..8 {
            let (full, _) = tiles::full_and_width(tiles::count_at(self.head.size, level));
            for number in 0..full {
                let hashes = self.tiles.read(level, number);
                let above = self.tiles.node((level + 1) * 8, number);
                let path = tiles::tile_path(level, number, None);
                match (hashes, above) {
                    (Ok(hashes), Ok(above)) if tiles::subtree(&hashes) == above => {}
                    (Ok(_), Ok(_)) => {
                        let what = format!("{path} does not have the hash that the tile above it says");
                        findings.push(Finding::error(Check::Tile, None, what));
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        findings.push(Finding::error(Check::Tile, None, format!("{path}: {error}")));
                    }
                }
            }
        }
        match self.root(self.head.size) {
            Ok(root) if root == self.head.root => {}
            Ok(_) => {
                let what = "the tiles make another tree than the one that the head signs".to_owned();
                findings.push(Finding::error(Check::Root, None, what));
            }
            Err(what) => findings.push(Finding::error(Check::Root, None, what)),
        }
    }

    /// The root that the tree had when it was smaller.
    pub fn root(&self, size: u64) -> Result<Hash, String> {
        Frontier::load(&self.tiles, size).map(|frontier| frontier.root()).map_err(|error| error.to_string())
    }
}

fn fit(hashes: &[Option<Hash>], tile: &[Hash]) -> bool {
    // A pruned entry has left its hash only.
    hashes.len() == tile.len()
        && hashes.iter().zip(tile).all(|(hash, expected)| hash.is_none_or(|hash| hash == *expected))
}

/// The whole entries of a bundle that is cut.
fn salvage(bundle: &[u8]) -> Vec<&[u8]> {
    let (mut entries, mut rest) = (Vec::new(), bundle);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((entry, after)) = after.split_at_checked(length) else { break };
        entries.push(entry);
        rest = after;
    }
    entries
}

/// Entries that stand in the places of others.
fn displaced(first: u64, moved: &[(u64, u64)]) -> Vec<Finding> {
    let error = |at: u64, what| Finding::error(Check::Entry, first + at, what);
    match moved {
        [] => Vec::new(),
        [(at, _), ..] if moved.len() > NAMED => {
            let what = format!("from here on, {} entries stand in the places of others", moved.len());
            vec![error(*at, what)]
        }
        _ => {
            let what = |place: &u64| format!("in its place stands entry {}", first + place);
            moved.iter().map(|(at, place)| error(*at, what(place))).collect()
        }
    }
}
