//! The memory that the bodies of all requests may take together. Who needs more than there is is refused;
//! nobody waits for it.
//!
//! **Guarantees.** What the shares of a budget have taken is never more than the budget, and all of it comes
//! back when they are dropped. **Trusts** its callers to say what they hold before they hold it.
//! **Must not** be touched by small bodies: what [`FREE`] is for. **Called by** `forward` and `reduce`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::Refusal;

/// Bytes that each request has beside the budget: small bodies share nothing.
pub const FREE: usize = 64 << 10;

/// Bytes; shares grow by multiples of it.
const STEP: usize = 64 << 10;

/// Bytes that are left for the bodies of all requests.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

/// What one request has taken of it.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    taken: usize,
}

impl Budget {
    /// `size` in bytes.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Budget(AtomicUsize::new(size)))
    }

    /// The share of one request; it has taken nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), taken: 0 }
    }

    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let take = |left: usize| left.checked_sub(bytes);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| Refusal::Overloaded)
    }
}

impl Share {
    /// Says that the request holds `bytes` in all, or is about to. A share does not shrink: buffers do
    /// not either.
    ///
    /// # Errors
    /// Where the bodies of others leave too little.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let wanted = bytes.saturating_sub(FREE).div_ceil(STEP).saturating_mul(STEP);
        if wanted > self.taken {
            self.budget.take(wanted - self.taken)?;
            self.taken = wanted;
        }
        Ok(())
    }

    /// The same bytes, which the request held. They take what they need of its share with them, until the last
    /// slice of them is gone.
    pub fn part_with(&mut self, bytes: Vec<u8>) -> Bytes {
        let taken = bytes.capacity().div_ceil(STEP).saturating_mul(STEP).min(self.taken);
        if taken == 0 {
            return bytes.into();
        }
        self.taken -= taken;
        let share = Share { budget: Arc::clone(&self.budget), taken };
        Bytes::from_owner(Counted { bytes, _share: share })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.budget.0.fetch_add(self.taken, Ordering::Relaxed);
        }
    }
}

/// Bytes with their share.
struct Counted {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(budget: &Budget) -> usize {
        budget.0.load(Ordering::Relaxed)
    }

    #[test]
    fn small_bodies_take_nothing_and_large_ones_what_they_hold_beyond() {
        let budget = Budget::new(4 * STEP);
        let mut share = budget.share();
        assert_eq!((share.hold(FREE), left(&budget)), (Ok(()), 4 * STEP));
        assert_eq!((share.hold(FREE + 1), left(&budget)), (Ok(()), 3 * STEP));
        assert_eq!((share.hold(FREE + STEP), left(&budget)), (Ok(()), 3 * STEP));
        assert_eq!((share.hold(1), left(&budget)), (Ok(()), 3 * STEP), "it does not shrink");
        drop(share);
        assert_eq!(left(&budget), 4 * STEP);
    }

    #[test]
    fn who_needs_more_than_is_left_is_refused_and_keeps_what_it_has() {
        let budget = Budget::new(4 * STEP);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert_eq!(one.hold(FREE + 3 * STEP), Ok(()));
        assert_eq!(other.hold(FREE + 2 * STEP), Err(Refusal::Overloaded));
        assert_eq!(one.hold(usize::MAX), Err(Refusal::Overloaded));
        assert_eq!((other.hold(FREE + STEP), left(&budget)), (Ok(()), 0));
        drop(one);
        assert_eq!((other.hold(FREE + 4 * STEP), left(&budget)), (Ok(()), 0));
    }

    #[test]
    fn bytes_keep_their_part_of_a_share_until_the_last_slice_is_gone() {
        let budget = Budget::new(4 * STEP);
        let mut share = budget.share();
        assert_eq!(share.hold(FREE + 3 * STEP), Ok(()));
        let mut bytes = share.part_with(vec![7; 2 * STEP]);
        drop(share);
        assert_eq!(left(&budget), 2 * STEP);
        let last = bytes.split_off(2 * STEP - 1);
        drop(bytes);
        assert_eq!((left(&budget), &last[..]), (2 * STEP, &[7][..]));
        drop(last);
        assert_eq!(left(&budget), 4 * STEP);
    }

    #[test]
    fn threads_together_never_take_more_than_there_is() {
        let budget = Budget::new(8 * STEP);
        let work = || {
            for round in 0..2000 {
                let mut share = budget.share();
                let _ = share.hold(FREE + (round % 9) * STEP);
                assert!(left(&budget) <= 8 * STEP - share.taken);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(work);
            }
        });
        assert_eq!(left(&budget), 8 * STEP);
    }
}
