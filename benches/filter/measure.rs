//! Time per call, taken in turn: within a round every entrant has one sample, so that a change of the
//! machine's pace meets all of them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Least duration of one sample.
    pub sample: Duration,
}

/// Seconds per call, one a round.
pub struct Times(Vec<f64>);

impl Effort {
    pub fn in_turn(self, calls: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<Vec<Times>> {
        let mut repeats = Vec::new();
        for call in calls.iter_mut() {
            // The first call finds caches cold.
            let once = seconds(1, *call)?.min(seconds(2, *call)?).max(1e-9);
            repeats.push((self.sample.as_secs_f64() / once).ceil() as usize);
        }
        let mut times: Vec<Times> = calls.iter().map(|_| Times(Vec::new())).collect();
        for _ in 0..self.rounds {
            for ((call, repeat), times) in calls.iter_mut().zip(&repeats).zip(&mut times) {
                times.0.push(seconds(*repeat, *call)?);
            }
        }
        Ok(times)
    }
}

/// Seconds per call.
fn seconds(repeats: usize, call: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..repeats {
        call()?;
    }
    Ok(start.elapsed().as_secs_f64() / repeats as f64)
}

/// A call whose result is not optimised away.
pub fn kept<T>(mut call: impl FnMut() -> Result<T>) -> impl FnMut() -> Result<()> {
    move || {
        black_box(call()?);
        Ok(())
    }
}

impl Times {
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// How much longer this took than the other, paired by round.
    pub fn over(&self, other: &Times) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }

    /// The quickest round: other work on the machine only ever adds to it.
    pub fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// From the quickest to the slowest round, as a part of the median.
    pub fn spread(&self) -> f64 {
        let most = self.0.iter().copied().fold(0.0, f64::max);
        (most - self.least()) / self.median()
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// 10^6 bytes per second.
pub fn rate(bytes: usize, seconds: f64) -> f64 {
    bytes as f64 / 1e6 / seconds
}
