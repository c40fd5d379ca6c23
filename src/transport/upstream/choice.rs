//! Power of two choices: of two endpoints picked at random, the one with less in work.
//!
//! It spreads load nearly as evenly as the least loaded of all, and does not send everybody to the same one
//! (M. Mitzenmacher, 2001).

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    static SEED: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

/// A number below `bound`; not for secrets (xorshift64*, S. Vigna, 2016).
fn random(bound: usize) -> usize {
    SEED.with(|seed| {
        let mut x = seed.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        seed.set(x);
        ((x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as usize * bound) >> 32
    })
}

/// One of `count` endpoints. `load` is what one has in work; `None` where it cannot be taken.
pub fn choose(count: usize, load: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    if count == 1 {
        return load(0).map(|_| 0);
    }
    let first = random(count);
    let second = (first + 1 + random(count - 1)) % count;
    match (load(first), load(second)) {
        (Some(a), Some(b)) => Some(if b < a { second } else { first }),
        (Some(_), None) => Some(first),
        (None, Some(_)) => Some(second),
        // The two of the draw are out: whoever is left.
        (None, None) => {
            let left = (0..count).map(|step| (first + step) % count);
            left.filter_map(|at| load(at).map(|load| (load, at))).min().map(|(_, at)| at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_spread_and_nobody_is_left_out() {
        let mut loads = [0; 5];
        for _ in 0..5000 {
            let at = choose(5, |at| Some(loads[at])).unwrap();
            loads[at] += 1;
        }
        // By pure chance it would be 28 to each side, as a standard deviation.
        assert!(loads.iter().all(|load| (990..=1010).contains(load)), "{loads:?}");
        let mut ties = [0; 2];
        (0..1000).for_each(|_| ties[choose(2, |_| Some(0)).unwrap()] += 1);
        assert!(ties.iter().all(|count| *count > 300), "{ties:?}");
    }

    #[test]
    fn whoever_is_out_is_not_chosen() {
        for _ in 0..1000 {
            assert_eq!(choose(7, |at| (at == 4).then_some(9)), Some(4));
        }
        assert_eq!(choose(7, |_| None), None);
        assert_eq!(choose(1, |_| None), None);
    }
}
