//! The memory that the bodies of all requests may take together. Who needs more than there is is refused;
//! nobody waits for it.
//!
//! **Guarantees.** What the shares of a budget have taken is never more than the budget, and all of it comes
//! back when they are dropped. A contractor among others never takes the last of it: what it has stays as much
//! as what is left, so that one alone comes to a half of the budget, two to a third each. **Trusts** its callers to say what they hold before they hold it.
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

/// Bytes that the requests of one contractor have taken together.
#[derive(Debug, Default)]
pub struct Account(AtomicUsize);

/// What one request has taken of it.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    /// Of the contractor, where it is one of several.
    account: Option<Arc<Account>>,
    taken: usize,
}

impl Budget {
    /// `size` in bytes.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Budget(AtomicUsize::new(size)))
    }

    /// The share of one request; it has taken nothing yet.
    pub fn share(self: &Arc<Self>, account: Option<Arc<Account>>) -> Share {
        Share { budget: Arc::clone(self), account, taken: 0 }
    }

    /// Gives back what is left.
    fn take(&self, bytes: usize) -> Result<usize, Refusal> {
        let take = |left: usize| left.checked_sub(bytes);
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        before.map(|before| before - bytes).map_err(|_| Refusal::Overloaded)
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Account {
    /// Where so much is left of the budget afterwards.
    fn take(&self, bytes: usize, left: usize) -> Result<(), Refusal> {
        let own = self.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if own > left {
            self.give_back(bytes);
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Share {
    /// Says that the request holds `bytes` in all, or is about to. A share does not shrink: buffers do
    /// not either.
    ///
    /// # Errors
    /// Where other bodies leave too little, or the contractor would have more than it leaves to others.
    pub fn hold(&mut self, bytes: usize) -> Result<(), Refusal> {
        let wanted = bytes.saturating_sub(FREE).div_ceil(STEP).saturating_mul(STEP);
        if wanted > self.taken {
            let more = wanted - self.taken;
            let left = self.budget.take(more)?;
            if let Some(account) = &self.account {
                account.take(more, left).inspect_err(|_| self.budget.give_back(more))?;
            }
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
        let share = Share { budget: Arc::clone(&self.budget), account: self.account.clone(), taken };
        Bytes::from_owner(Counted { bytes, _share: share })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.taken > 0 {
            self.budget.give_back(self.taken);
            self.account.iter().for_each(|account| account.give_back(self.taken));
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
        let mut share = budget.share(None);
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
        let (mut one, mut other) = (budget.share(None), budget.share(None));
        assert_eq!(one.hold(FREE + 3 * STEP), Ok(()));
        assert_eq!(other.hold(FREE + 2 * STEP), Err(Refusal::Overloaded));
        assert_eq!(one.hold(usize::MAX), Err(Refusal::Overloaded));
        assert_eq!((other.hold(FREE + STEP), left(&budget)), (Ok(()), 0));
        drop(one);
        assert_eq!((other.hold(FREE + 4 * STEP), left(&budget)), (Ok(()), 0));
    }

    #[test]
    fn a_contractor_leaves_others_as_much_as_it_has() {
        let budget = Budget::new(6 * STEP);
        let (one, other) = (Arc::new(Account::default()), Arc::new(Account::default()));
        let share = |account: &Arc<Account>, steps: usize| {
            let mut share = budget.share(Some(Arc::clone(account)));
            share.hold(FREE + steps * STEP).map(|()| share)
        };
        assert!(share(&one, 4).is_err());
        let first = share(&one, 3).unwrap();
        assert!(share(&one, 1).is_err());
        let second = share(&other, 1).unwrap();
        assert!(share(&other, 1).is_err() && share(&one, 1).is_err());
        drop(first);
        let third = share(&other, 2).unwrap();
        assert_eq!(left(&budget), 3 * STEP);
        drop((second, third));
        assert_eq!(
            (left(&budget), one.0.load(Ordering::Relaxed), other.0.load(Ordering::Relaxed)),
            (6 * STEP, 0, 0)
        );
    }

    #[test]
    fn bytes_keep_their_part_of_a_share_until_the_last_slice_is_gone() {
        let budget = Budget::new(4 * STEP);
        let mut share = budget.share(None);
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
                let mut share = budget.share(None);
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
