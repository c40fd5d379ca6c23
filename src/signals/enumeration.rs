//! Asking for one thing after the other, to see what there is.

use std::collections::VecDeque;

use crate::model::RequestId;

use super::thresholds::{
    GUESSED_PERCENT, GUESSED_REQUESTS, MINUTE, NUMBERS, REQUESTS, SEQUENTIAL_NUMBERS, SEQUENTIAL_PERCENT,
    SEQUENTIAL_STEP, WINDOW,
};

/// The last numbers that one credential asked for on one route. They are looked at in their own order: whoever
/// asks for several at once, or shuffles them, still asks for all of them.
#[derive(Default)]
pub struct Walk {
    asked: VecDeque<Asked>,
}

/// No `Debug`: a number can name somebody.
struct Asked {
    time: i64,
    number: u64,
    id: RequestId,
}

/// How many different numbers, by which step.
pub struct Sequence {
    pub numbers: usize,
    pub step: u64,
}

impl Walk {
    pub fn see(&mut self, number: u64, id: RequestId, now: i64) -> Option<Sequence> {
        self.asked.retain(|asked| is_within(asked.time, now));
        if self.asked.len() >= NUMBERS {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked { time: now, number, id });
        if self.asked.len() < SEQUENTIAL_NUMBERS {
            return None;
        }
        let mut numbers: Vec<u64> = self.asked.iter().map(|asked| asked.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() < SEQUENTIAL_NUMBERS {
            return None;
        }
        // How often each step occurs; no two numbers are the same.
        let mut steps = [0; SEQUENTIAL_STEP + 1];
        for pair in numbers.windows(2) {
            let step = usize::try_from(pair[1] - pair[0]).ok().and_then(|step| steps.get_mut(step));
            step.into_iter().for_each(|count| *count += 1);
        }
        let (step, count) = (0..).zip(steps).max_by_key(|(_, count)| *count)?;
        let is_sequence = count * 100 >= (numbers.len() - 1) * SEQUENTIAL_PERCENT;
        is_sequence.then_some(Sequence { numbers: numbers.len(), step })
    }

    /// The last requests.
    pub fn requests(&self) -> Vec<RequestId> {
        let skipped = self.asked.len().saturating_sub(REQUESTS);
        self.asked.iter().skip(skipped).map(|asked| asked.id).collect()
    }
}

/// How many requests of one credential were for something that is not there, by minutes.
#[derive(Default)]
pub struct Guesses {
    minutes: Vec<Minute>,
    /// The last of these requests.
    last: VecDeque<RequestId>,
}

struct Minute {
    at: i64,
    requests: u64,
    not_found: u64,
}

/// How many requests, and of these for something that is not there.
pub struct Guessed {
    pub requests: u64,
    pub not_found: u64,
}

impl Guesses {
    pub fn see(&mut self, is_not_found: bool, id: RequestId, now: i64) -> Option<Guessed> {
        let at = now.div_euclid(MINUTE);
        self.minutes.retain(|minute| is_within(minute.at.saturating_mul(MINUTE), now));
        let not_found = u64::from(is_not_found);
        match self.minutes.iter_mut().find(|minute| minute.at == at) {
            Some(minute) => {
                minute.requests += 1;
                minute.not_found += not_found;
            }
            None => self.minutes.push(Minute { at, requests: 1, not_found }),
        }
        if !is_not_found {
            return None;
        }
        if self.last.len() >= REQUESTS {
            self.last.pop_front();
        }
        self.last.push_back(id);
        let requests = self.minutes.iter().map(|minute| minute.requests).sum();
        let not_found: u64 = self.minutes.iter().map(|minute| minute.not_found).sum();
        let many = requests >= GUESSED_REQUESTS && not_found * 100 >= requests * GUESSED_PERCENT;
        many.then_some(Guessed { requests, not_found })
    }

    /// The last requests for something that is not there.
    pub fn requests(&self) -> Vec<RequestId> {
        self.last.iter().copied().collect()
    }
}

/// Both ways: what came a little later can be told a little earlier, and a clock can go back.
fn is_within(time: i64, now: i64) -> bool {
    now.abs_diff(time) < WINDOW.unsigned_abs()
}
