//! One story; or of a gathered ledger, one for each node.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::super::error::StoreError;
use super::super::gathered::Walk;
use super::facts::{Item, Names};
use super::report::Findings;
use super::story::Story;

pub struct Stories<'n> {
    names: &'n Names,
    /// Whose entry the next one is; nobody asks in a ledger of one gateway.
    walk: Option<Walk>,
    nodes: BTreeMap<i32, Story<'n>>,
}

impl<'n> Stories<'n> {
    /// # Errors
    /// Where it cannot be read where entries came from.
    pub fn new(names: &'n Names, folder: &Path) -> Result<Self, StoreError> {
        Ok(Stories { names, walk: Walk::begin(folder)?, nodes: BTreeMap::new() })
    }

    /// The next entry. In a gathered ledger, findings have the number that it has in its node's own.
    pub fn take(&mut self, item: Item, findings: &mut Findings) {
        let node = self.walk.as_mut().map_or(0, Walk::next_node);
        self.nodes.entry(node).or_insert_with(|| Story::new(self.names)).take(item, findings);
    }

    /// There are no more.
    pub fn end(&mut self, findings: &mut Findings) {
        self.nodes.values_mut().for_each(|story| story.end(findings));
    }

    /// Entries of which only the hash is left.
    pub fn pruned(&self) -> u64 {
        self.nodes.values().map(|story| story.pruned).sum()
    }

    pub fn contractors(&self) -> u64 {
        self.nodes.values().flat_map(Story::contractors).collect::<HashSet<_>>().len() as u64
    }
}
