//! An open container of the walk, and the names that were seen in it.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::automaton::StateId;

/// Up to this many names that no rule lists are compared one by one.
const FEW_NAMES: usize = 16;

/// One open container.
#[derive(Debug, Default)]
pub struct Frame {
    pub place: StateId,
    pub object: bool,
    /// It is on the way to an allowed field: its brackets are written.
    pub emits: bool,
    /// It stays although nothing in it is allowed.
    pub keeps: bool,
    /// Where it begins in the text.
    pub start: usize,
    /// Length of the output before its opening bracket.
    pub begin: usize,
    /// Length of the output before the member or element that is in work.
    pub before: usize,
    /// Something in it was written.
    pub any: bool,
    /// Elements before the next one.
    pub index: u64,
    /// Elements in all, where the rule counts from the end.
    pub length: Option<u64>,
    pub names: Names,
}

impl Frame {
    /// Begins another container in the same place of the stack; what was allocated stays.
    #[inline]
    pub fn begin(&mut self, place: StateId, object: bool, start: usize, begin: usize) {
        (self.place, self.object, self.start) = (place, object, start);
        (self.begin, self.before) = (begin, begin);
        (self.any, self.index, self.length) = (false, 0, None);
        self.names.clear();
    }
}

/// The names seen in one object, as far as a duplicate among them would matter. A name that no rule lists
/// is kept as a keyed hash: whoever does not know the key cannot make two names meet, and if two do meet,
/// the text is refused.
#[derive(Debug, Default)]
pub struct Names {
    /// Bit i: the i-th name that the rule lists.
    known: u64,
    few: Vec<u64>,
    many: HashSet<u64>,
}

impl Names {
    #[inline]
    fn clear(&mut self) {
        self.known = 0;
        if self.few.is_empty() {
            return;
        }
        self.few.clear();
        // A set that was large once does not make each later object pay for it.
        if !self.many.is_empty() {
            self.many = HashSet::new();
        }
    }

    /// `known` is the name's number among the names that the state lists.
    #[inline(always)]
    pub fn is_new(&mut self, name: &[u8], known: Option<usize>, hasher: &RandomState) -> bool {
        if let Some(place @ 0..64) = known {
            let bit = 1 << place;
            let new = self.known & bit == 0;
            self.known |= bit;
            return new;
        }
        self.is_new_unlisted(hasher.hash_one(name))
    }

    fn is_new_unlisted(&mut self, hash: u64) -> bool {
        if self.few.len() < FEW_NAMES {
            let new = !self.few.contains(&hash);
            self.few.push(hash);
            return new;
        }
        if self.many.is_empty() {
            self.many.extend(&self.few);
        }
        self.many.insert(hash)
    }
}
