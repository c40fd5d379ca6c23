//! What strangers can make happen as often as they like is logged at most once a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(1);

/// One kind of event.
#[derive(Default)]
pub struct Seldom(Mutex<State>);

#[derive(Default)]
struct State {
    told: Option<Instant>,
    since: u64,
}

impl Seldom {
    /// It has happened. Where it is time to say so: how often since it was said last.
    pub fn happened(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.since += 1;
        if state.told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_a_second_and_counted() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.happened(now), Some(1));
        assert!((0..1000).all(|_| seldom.happened(now).is_none()));
        assert_eq!(seldom.happened(now + PAUSE), Some(1001));
    }
}
