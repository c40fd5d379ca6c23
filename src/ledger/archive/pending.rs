//! The bundles at the end of the archive as they are filled, and behind them those that somebody still reads: an entry
//! that has just been written need not be read back.

use std::collections::VecDeque;

use super::super::tiles::{BundleError, bundle_entries, push_entry};
use super::BUNDLE;

/// Bytes of written bundles that are kept at most.
const KEPT: usize = 16 << 20;

pub(super) struct Pending {
    /// The number of the first bundle that is here.
    first: u64,
    bundles: VecDeque<Filled>,
    /// How many of them, from the first on, are whole on the disk, and their bytes.
    written: usize,
    bytes: usize,
    /// An entry that no bundle can hold is in this one.
    unfit: Option<(u64, BundleError)>,
}

/// A bundle, whole or not, as its file has it.
#[derive(Default)]
pub(super) struct Filled {
    pub bytes: Vec<u8>,
    pub count: u64,
}

impl Pending {
    /// Begins with the entries of a bundle that is not whole.
    pub fn new(bundle: u64, entries: &[Vec<u8>]) -> Self {
        let mut pending =
            Pending { first: bundle, bundles: VecDeque::new(), written: 0, bytes: 0, unfit: None };
        entries.iter().for_each(|entry| pending.push(entry));
        pending
    }

    /// Adds an entry; one that was pruned is empty.
    pub fn push(&mut self, entry: &[u8]) {
        if self.bundles.back().is_none_or(Filled::is_whole) {
            // Entries are mostly about as long as those before.
            let size = self.bundles.back().map_or(0, |last| last.bytes.len() + last.bytes.len() / 16);
            self.bundles.push_back(Filled { bytes: Vec::with_capacity(size), count: 0 });
        }
        let number = self.first + self.bundles.len() as u64 - 1;
        let Some(last) = self.bundles.back_mut() else { return };
        if let Err(error) = push_entry(&mut last.bytes, entry) {
            self.unfit = self.unfit.or(Some((number, error)));
        }
        last.count += 1;
    }

    /// The bundles that are not on the disk as a whole, with their numbers.
    ///
    /// # Errors
    /// The number of one that has an entry which is too long.
    pub fn unwritten(&self) -> Result<impl Iterator<Item = (u64, &Filled)>, (u64, BundleError)> {
        let first = self.first + self.written as u64;
        self.unfit.map_or_else(|| Ok((first..).zip(self.bundles.iter().skip(self.written))), Err)
    }

    /// They are on the disk.
    pub fn wrote(&mut self) {
        let whole = self.bundles.iter().skip(self.written).take_while(|bundle| bundle.is_whole());
        let (count, bytes) =
            whole.fold((0, 0), |(count, bytes), bundle| (count + 1, bytes + bundle.bytes.len()));
        self.written += count;
        self.bytes += bytes;
        while self.bytes > KEPT {
            self.forget_first();
        }
    }

    /// Nobody reads entries before this number any more.
    pub fn release(&mut self, upto: u64) {
        while self.written > 0 && (self.first + 1) * BUNDLE <= upto {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(bundle) = self.bundles.pop_front() {
            self.bytes = self.bytes.saturating_sub(bundle.bytes.len());
            self.written = self.written.saturating_sub(1);
            self.first += 1;
        }
    }

    /// A bundle that is here.
    pub fn get(&self, number: u64) -> Option<&Filled> {
        let at = number.checked_sub(self.first)?;
        self.bundles.get(usize::try_from(at).ok()?)
    }
}

impl Filled {
    pub fn is_whole(&self) -> bool {
        self.count >= BUNDLE
    }

    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        bundle_entries(&self.bytes).map_while(Result::ok)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn numbers(pending: &Pending) -> Vec<u64> {
        pending.unwritten().unwrap().map(|(number, _)| number).collect()
    }

    #[test]
    fn a_written_bundle_is_there_until_it_is_released() {
        let mut pending = Pending::new(2, &[b"a".to_vec(), b"".to_vec()]);
        (2..3 * BUNDLE + 5).for_each(|number| pending.push(number.to_string().as_bytes()));
        assert_eq!(numbers(&pending), [2, 3, 4, 5]);
        pending.wrote();
        // The last one is not whole: it is written again.
        assert_eq!(numbers(&pending), [5]);
        let entries: Vec<&[u8]> = pending.get(2).unwrap().entries().take(3).collect();
        assert_eq!(entries, [&b"a"[..], b"", b"2"]);
        pending.release(4 * BUNDLE - 1);
        assert!(pending.get(2).is_none() && pending.get(3).is_some());
        pending.release(u64::MAX);
        assert!(pending.get(4).is_none());
        assert_eq!(pending.get(5).unwrap().entries().count(), 5);
        assert_eq!(numbers(&pending), [5]);
    }

    #[test]
    fn more_than_a_bound_of_written_bundles_is_not_kept() {
        let mut pending = Pending::new(0, &[]);
        let entry = vec![b'x'; 32 << 10];
        (0..4 * BUNDLE).for_each(|_| pending.push(&entry));
        // What is not written is never let go.
        assert!((0..4).all(|number| pending.get(number).is_some()));
        pending.wrote();
        let kept = (0..4).filter(|number| pending.get(*number).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), [3]);
        pending.push(b"next");
        assert_eq!(numbers(&pending), [4]);
    }

    #[test]
    fn an_entry_that_is_too_long_is_in_no_bundle() {
        let mut pending = Pending::new(0, &[]);
        (0..BUNDLE).for_each(|_| pending.push(b"x"));
        pending.push(&vec![0; 65_536]);
        assert_eq!(pending.unwritten().err(), Some((1, BundleError::TooLong)));
    }
}
