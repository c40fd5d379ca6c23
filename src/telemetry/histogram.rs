//! Counts by size, without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of times, in microseconds: from a decision to the patience of an upstream.
const TIMES: &[u64] = &[
    100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// Bounds of numbers of things that are done at once.
const COUNTS: &[u64] = &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1000];

/// How often what was how large.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// What the bounds and the sum are divided by for those who read them.
    per_unit: f64,
}

/// What a histogram held.
pub struct Reading {
    pub sum: f64,
    pub count: u64,
    /// Upper bounds and what is in each bucket alone.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Of times, in seconds.
    pub fn of_times() -> Self {
        Histogram::new(TIMES, 1e6)
    }

    pub fn of_counts() -> Self {
        Histogram::new(COUNTS, 1.0)
    }

    fn new(bounds: &'static [u64], per_unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0), per_unit }
    }

    pub fn time(&self, time: Duration) {
        self.count(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn count(&self, size: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < size);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// The count is that of the buckets, also while others count.
    pub fn read(&self) -> Reading {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.per_unit);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Reading {
            sum: self.sum.load(Ordering::Relaxed) as f64 / self.per_unit,
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_in_its_own_bucket_and_the_largest_in_the_last() {
        let histogram = Histogram::of_times();
        for micros in [0, 100, 101, 20_000_000] {
            histogram.time(Duration::from_micros(micros));
        }
        let Reading { sum, count, buckets } = histogram.read();
        assert_eq!((count, buckets[0], buckets[1]), (4, (0.0001, 2), (0.00025, 1)));
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 1)));
        assert!((sum - 20.000_201).abs() < 1e-9, "{sum}");
    }
}
