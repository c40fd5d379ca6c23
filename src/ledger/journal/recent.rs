//! The leaf hashes of the entries that were committed last: who takes them into the archive need not compute them
//! again. That the file still has the same bytes is seen by a checksum, which takes a twentieth of the time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::super::merkle::Hash;

/// So many are kept for whoever comes late.
const MOST: usize = 1 << 16;

/// What is known of an entry that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    hash: Hash,
    /// CRC-32 of its bytes.
    sum: u32,
}

/// What nobody has taken yet.
#[derive(Default)]
pub struct Recent(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    /// The number of the first one.
    first: u64,
    entries: VecDeque<Known>,
}

impl Known {
    pub fn new(leaf: &[u8], hash: Hash) -> Self {
        Known { hash, sum: sum(leaf) }
    }

    /// The hash of the entry, where these are its bytes.
    pub fn hash_of(&self, leaf: &[u8]) -> Option<Hash> {
        (sum(leaf) == self.sum).then_some(self.hash)
    }
}

fn sum(leaf: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(leaf);
    sum.sum()
}

impl Recent {
    /// Adds a committed batch whose first entry has this number.
    pub fn add(&self, number: u64, batch: &[Known]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.first + known.entries.len() as u64 != number {
            // What a failed commit has left in between was not seen here.
            known.entries.clear();
            known.first = number;
        }
        known.entries.extend(batch);
        let over = known.entries.len().saturating_sub(MOST);
        known.entries.drain(..over);
        known.first += over as u64;
    }

    /// Takes what is known from entry `number` on, without a gap; nothing where that one is not among them.
    pub fn take(&self, number: u64) -> VecDeque<Known> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = number.checked_sub(known.first).filter(|before| *before <= known.entries.len() as u64);
        let Some(before) = before else { return VecDeque::new() };
        known.entries.drain(..before as usize);
        known.first = number + known.entries.len() as u64;
        std::mem::take(&mut known.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(numbers: std::ops::Range<u64>) -> Vec<Known> {
        numbers.map(|number| Known::new(&number.to_le_bytes(), Hash::default())).collect()
    }

    #[test]
    fn each_is_given_out_once_and_by_the_numbers_of_their_entries() {
        let recent = Recent::default();
        recent.add(5, &known(5..8));
        recent.add(8, &known(8..10));
        assert!(recent.take(4).is_empty());
        assert!(recent.take(11).is_empty());
        assert_eq!(recent.take(7), known(7..10));
        assert!(recent.take(7).is_empty());
        recent.add(10, &known(10..12));
        assert_eq!(recent.take(10), known(10..12));
    }

    #[test]
    fn behind_a_gap_there_are_only_those_after_it() {
        let recent = Recent::default();
        recent.add(0, &known(0..3));
        recent.add(4, &known(4..6));
        assert!(recent.take(0).is_empty());
        assert_eq!(recent.take(4), known(4..6));
    }

    #[test]
    fn no_more_are_kept_than_a_reader_may_be_behind() {
        let recent = Recent::default();
        let most = MOST as u64;
        recent.add(0, &known(0..most));
        recent.add(most, &known(most..most + 2));
        assert!(recent.take(0).is_empty());
        assert_eq!(recent.take(2).len(), MOST);
    }
}
