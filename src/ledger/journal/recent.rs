//! The leaf hashes of the entries that were committed last. Who takes them into the archive need not compute them
//! again, and the tree over them is of what was recorded: not of what somebody made of the file meanwhile.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use super::super::merkle::Hash;

/// So many are kept for whoever comes late.
const MOST: usize = 1 << 16;

/// Hashes that nobody has taken yet.
#[derive(Default)]
pub struct Recent(Mutex<Hashes>);

#[derive(Default)]
struct Hashes {
    /// The number of the first one's entry.
    first: u64,
    hashes: VecDeque<Hash>,
}

impl Recent {
    /// Adds those of a committed batch whose first entry has this number.
    pub fn add(&self, number: u64, batch: &[Hash]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.first + known.hashes.len() as u64 != number {
            // What a failed commit has left in between was not seen here.
            known.hashes.clear();
            known.first = number;
        }
        known.hashes.extend(batch);
        let over = known.hashes.len().saturating_sub(MOST);
        known.hashes.drain(..over);
        known.first += over as u64;
    }

    /// Takes those from entry `number` on, without a gap; none where that one is not among them.
    pub fn take(&self, number: u64) -> VecDeque<Hash> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) =
            number.checked_sub(known.first).filter(|before| *before <= known.hashes.len() as u64)
        else {
            return VecDeque::new();
        };
        known.hashes.drain(..before as usize);
        known.first = number + known.hashes.len() as u64;
        std::mem::take(&mut known.hashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> Hash {
        let mut hash = Hash::default();
        hash[..8].copy_from_slice(&number.to_le_bytes());
        hash
    }

    fn hashes(numbers: std::ops::Range<u64>) -> Vec<Hash> {
        numbers.map(hash).collect()
    }

    #[test]
    fn hashes_are_given_out_once_and_by_the_numbers_of_their_entries() {
        let recent = Recent::default();
        recent.add(5, &hashes(5..8));
        recent.add(8, &hashes(8..10));
        assert!(recent.take(4).is_empty());
        assert!(recent.take(11).is_empty());
        assert_eq!(recent.take(7), hashes(7..10));
        assert!(recent.take(7).is_empty());
        recent.add(10, &hashes(10..12));
        assert_eq!(recent.take(10), hashes(10..12));
    }

    #[test]
    fn behind_a_gap_there_are_only_those_after_it() {
        let recent = Recent::default();
        recent.add(0, &hashes(0..3));
        recent.add(4, &hashes(4..6));
        assert!(recent.take(0).is_empty());
        assert_eq!(recent.take(4), hashes(4..6));
    }

    #[test]
    fn no_more_are_kept_than_a_reader_may_be_behind() {
        let recent = Recent::default();
        let most = MOST as u64;
        recent.add(0, &hashes(0..most));
        recent.add(most, &hashes(most..most + 2));
        assert!(recent.take(0).is_empty());
        assert_eq!(recent.take(2).len(), MOST);
    }
}
