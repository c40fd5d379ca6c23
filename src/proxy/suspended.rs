//! Contractors that get nothing for now.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::model::ContractorId;

/// The suspended contractors. Asked at each request and before each part of a response.
#[derive(Debug, Default)]
pub struct Suspended(ArcSwap<HashSet<String>>);

impl Suspended {
    pub fn new(contractors: impl IntoIterator<Item = String>) -> Self {
        Suspended(ArcSwap::from_pointee(contractors.into_iter().collect()))
    }

    pub fn contains(&self, contractor: &ContractorId) -> bool {
        self.0.load().contains(contractor.as_str())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.load().len()
    }

    /// Puts these in the place of those before: the next request sees it.
    pub fn replace(&self, contractors: impl IntoIterator<Item = String>) {
        self.0.store(Arc::new(contractors.into_iter().collect()));
    }
}
