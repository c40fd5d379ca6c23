//! Salts of entries. To ask the generator costs much the same for one as for many.

use std::cell::RefCell;

use aws_lc_rs::rand;
use serde::{Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::model::Hex;

/// Bytes of a salt.
const LENGTH: usize = 16;
/// Salts that a thread asks for at once.
const COUNT: usize = 64;

/// Keeps the hash of a pruned entry from being confirmed by guessing its content.
pub(super) struct Salt(pub [u8; LENGTH]);

/// Salts that were not given out: nobody else may know them.
struct Stock {
    salts: Zeroizing<[[u8; LENGTH]; COUNT]>,
    left: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = RefCell::new(Stock { salts: Zeroizing::new([[0; LENGTH]; COUNT]), left: 0 });
}

impl Stock {
    /// None where there is no randomness.
    fn take(&mut self) -> Option<[u8; LENGTH]> {
        if self.left == 0 {
            rand::fill(self.salts.as_flattened_mut()).ok()?;
            self.left = COUNT;
        }
        self.left -= 1;
        let place = self.salts.get_mut(self.left)?;
        let salt = *place;
        place.zeroize();
        Some(salt)
    }
}

impl Salt {
    pub fn new() -> Self {
        // Without randomness there is no TLS either; a zero salt is then the least of it.
        Salt(STOCK.with_borrow_mut(Stock::take).unwrap_or_default())
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Hex::of(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_entries_have_the_same_salt_whichever_thread_makes_them() {
        let some = || (0..3 * COUNT).map(|_| Salt::new().0).collect::<Vec<_>>();
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(some)).collect();
        let salts: Vec<_> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).chain(some()).collect();
        let distinct: HashSet<_> = salts.iter().copied().collect();
        assert_eq!(distinct.len(), 12 * COUNT);
        assert!(!distinct.contains(&[0; LENGTH]));
    }

    #[test]
    fn a_salt_that_was_given_out_is_nowhere_else() {
        let mut stock = Stock { salts: Zeroizing::new([[0; LENGTH]; COUNT]), left: 0 };
        let salt = stock.take().unwrap();
        assert!(!stock.salts.contains(&salt));
        assert_eq!(stock.salts.iter().filter(|salt| **salt == [0; LENGTH]).count(), 1);
    }
}
