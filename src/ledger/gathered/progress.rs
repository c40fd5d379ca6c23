//! How far gathering is, and what it takes to check the next head of each node.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::archive::Archive;
use super::super::checkpoint::{decode_hash, encode_hash};
use super::super::disk;
use super::super::error::StoreError;
use super::super::files;
use super::super::log;
use super::super::merkle::{Frontier, Hash};
use super::super::postgres::Sealed;
use super::Runs;

/// How far a gathered ledger is, as its file says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Gathered {
    /// The last head that was taken, over all nodes.
    pub number: u64,
    /// Its node, and how many entries of it there were then.
    #[serde(default)]
    last: (i32, u64),
    /// The last deletion that was followed, over all nodes.
    #[serde(default)]
    pub pruned: u64,
    /// Entries in it.
    pub size: u64,
    pub nodes: Vec<GatheredNode>,
}

/// What was gathered of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GatheredNode {
    pub number: i32,
    pub name: String,
    /// By which its heads are verified.
    pub verifier: String,
    /// Its entries.
    pub size: u64,
    /// Of those, the ones that a head of it was held against.
    #[serde(default)]
    checked: u64,
    /// Roots of the complete subtrees of its tree, the largest first, in base64.
    pub(super) subtrees: Vec<String>,
}

/// How far the gathered ledger is whose index is at `path`; nowhere, where there is none.
///
/// # Errors
/// Where its file cannot be read.
pub fn gathered(path: &Path) -> Result<Gathered, StoreError> {
    read(&log::folder(path))
}

fn read(folder: &Path) -> Result<Gathered, StoreError> {
    let path = folder.join("nodes");
    let text = disk::read(&path).map_err(|source| StoreError::File { path: path.clone(), source })?;
    let Some(text) = text else { return Ok(Gathered::default()) };
    let broken = |_| StoreError::Broken { path, what: "is damaged".to_owned() };
    serde_json::from_slice(&text).map_err(broken)
}

/// The same, to go on with.
#[derive(Default)]
pub struct Progress {
    /// The last head that was taken.
    pub number: u64,
    /// Its node and size.
    last: (i32, u64),
    /// The last deletion that was followed.
    pub pruned: u64,
    nodes: Vec<Node>,
}

struct Node {
    number: i32,
    name: String,
    verifier: String,
    tree: Frontier,
    /// Entries that a head was held against.
    checked: u64,
}

impl Progress {
    /// Reads it, and goes over the entries that were written after it.
    ///
    /// # Errors
    /// Where it cannot be read, or does not fit the archive.
    pub fn open(folder: &Path, archive: &Archive, runs: &Runs) -> Result<Self, StoreError> {
        let kept = read(folder)?;
        let broken = || StoreError::Broken {
            path: folder.join("nodes"),
            what: "does not fit the gathered entries".to_owned(),
        };
        let mut progress =
            Progress { number: kept.number, last: kept.last, pruned: kept.pruned, nodes: Vec::new() };
        for node in &kept.nodes {
            let hashes: Option<Vec<Hash>> = node.subtrees.iter().map(|hash| decode_hash(hash)).collect();
            let tree =
                hashes.and_then(|hashes| Frontier::from_parts(node.size, hashes)).ok_or_else(broken)?;
            let (name, verifier) = (node.name.clone(), node.verifier.clone());
            progress.nodes.push(Node { number: node.number, name, verifier, tree, checked: node.checked });
        }
        if kept.size > archive.size() {
            return Err(broken());
        }
        for entry in kept.size..archive.size() {
            let (number, index) = runs.find(entry)?.ok_or_else(broken)?;
            let node = match progress.nodes.iter().position(|node| node.number == number) {
                Some(node) => node,
                // Its first entries: who it is, its next head says.
                None => progress.enter(number, String::new(), String::new()),
            };
            if progress.size_of(node) != index {
                return Err(broken());
            }
            progress.push(node, archive.leaf_hash(entry)?);
        }
        Ok(progress)
    }

    /// # Errors
    /// Where it cannot be written.
    pub fn store(&self, folder: &Path, size: u64) -> Result<(), StoreError> {
        let nodes = self.nodes.iter().map(|node| GatheredNode {
            number: node.number,
            name: node.name.clone(),
            verifier: node.verifier.clone(),
            size: node.tree.size(),
            checked: node.checked,
            subtrees: node.tree.hashes().iter().map(encode_hash).collect(),
        });
        let kept = Gathered {
            number: self.number,
            last: self.last,
            pruned: self.pruned,
            size,
            nodes: nodes.collect(),
        };
        let text = serde_json::to_vec(&kept).unwrap_or_default();
        files::replace(&folder.join("nodes"), &text)
    }

    /// The place of the node that signed a head; `None` where its key is not the one that it had.
    pub fn node(&mut self, sealed: &Sealed) -> Option<usize> {
        let Some(at) = self.nodes.iter().position(|node| node.number == sealed.node) else {
            return Some(self.enter(sealed.node, sealed.name.clone(), sealed.verifier.clone()));
        };
        let node = self.nodes.get_mut(at)?;
        if node.verifier.is_empty() {
            (node.name, node.verifier) = (sealed.name.clone(), sealed.verifier.clone());
        }
        (node.verifier == sealed.verifier).then_some(at)
    }

    fn enter(&mut self, number: i32, name: String, verifier: String) -> usize {
        self.nodes.push(Node { number, name, verifier, tree: Frontier::new(), checked: 0 });
        self.nodes.len() - 1
    }

    /// Whether a head is the last one that was taken.
    pub fn is_last(&self, sealed: &Sealed) -> bool {
        sealed.number == self.number && (sealed.node, sealed.size) == self.last
    }

    /// A head was taken.
    pub fn took(&mut self, sealed: &Sealed) {
        (self.number, self.last) = (sealed.number, (sealed.node, sealed.size));
    }

    /// All of a node so far is what its head says.
    pub fn checked(&mut self, node: usize) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.checked = node.tree.size();
        }
    }

    /// A node with entries that no head was held against, and how many it has.
    pub fn unchecked(&self) -> Option<(String, u64)> {
        let node = self.nodes.iter().find(|node| node.checked < node.tree.size())?;
        Some((node.name.clone(), node.tree.size()))
    }

    pub fn push(&mut self, node: usize, leaf: Hash) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.tree.push(leaf);
        }
    }

    /// Entries of a node so far.
    pub fn size_of(&self, node: usize) -> u64 {
        self.nodes.get(node).map_or(0, |node| node.tree.size())
    }

    /// The root of its tree.
    pub fn root_of(&self, node: usize) -> Hash {
        self.nodes.get(node).map(|node| node.tree.root()).unwrap_or_default()
    }
}
