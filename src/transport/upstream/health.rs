//! Whether an endpoint is in service: by what became of its requests, and by checks where there are any.
//!
//! An endpoint that does not answer goes out of service for a second; then one request finds out whether it
//! is back, and where it is not, the time doubles.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// In a row: no connection, or no answer in time.
const MAX_SILENT: u32 = 3;
/// In a row: an answer of 5xx, or one that is not HTTP or breaks off.
const MAX_BROKEN: u32 = 5;
/// Checks in a row that fail.
const MAX_CHECKS: u32 = 2;
/// How long it is out of service at first, and at most.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

pub struct Health {
    /// For the log.
    url: String,
    /// Something has failed since the last success, or it is out of service. Where not, no request takes the
    /// lock.
    troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    silent: u32,
    broken: u32,
    checks: u32,
    /// Checks say that it does not serve.
    unfit: bool,
    out: Option<Out>,
}

/// Out of service.
struct Out {
    /// When the next request may find out whether it is back.
    probe: Instant,
    period: Duration,
}

/// Leave to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Usual,
    /// The request finds out whether the endpoint is back.
    Probe,
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection, or no answer in time.
    Silent,
    /// An answer of 5xx, or one that is not HTTP or breaks off. One bad record can do that: no contractor
    /// shall take an upstream from the others by asking for it.
    Broken,
}

impl Health {
    pub fn new(url: String) -> Self {
        Health { url, troubled: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Whether a request may go there.
    pub fn serves(&self, now: Instant) -> bool {
        !self.troubled.load(Ordering::Acquire) || self.state().serves(now)
    }

    /// Leave for a request; none where the endpoint is out of service, or another request finds out.
    pub fn admit(&self, now: Instant) -> Option<Admission> {
        if !self.troubled.load(Ordering::Acquire) {
            return Some(Admission::Usual);
        }
        let mut state = self.state();
        if !state.serves(now) {
            return None;
        }
        Some(match &mut state.out {
            None => Admission::Usual,
            Some(out) => {
                // The request may be given up and tell nothing.
                out.probe = now + out.period;
                Admission::Probe
            }
        })
    }

    /// An answer came, whole.
    pub fn succeeded(&self, admission: Admission) {
        if !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        // What was sent before it went out of service says nothing about now.
        if state.out.is_some() && admission == Admission::Usual {
            return;
        }
        (state.silent, state.broken) = (0, 0);
        if state.out.take().is_some() {
            self.log_back();
        }
        self.settle(&state);
    }

    /// A request failed. `spared`: no other endpoint serves, so that this one goes out of service only where
    /// it does not answer at all.
    pub fn failed(&self, admission: Admission, trouble: Trouble, spared: bool, now: Instant) {
        let mut state = self.state();
        match (&mut state.out, admission) {
            (Some(_), Admission::Usual) => return,
            (Some(out), Admission::Probe) => {
                out.period = (out.period * 2).min(LONGEST);
                out.probe = now + out.period;
                return;
            }
            (None, _) => {}
        }
        match trouble {
            Trouble::Silent => state.silent = state.silent.saturating_add(1),
            Trouble::Broken => (state.silent, state.broken) = (0, state.broken.saturating_add(1)),
        }
        if state.silent >= MAX_SILENT || (state.broken >= MAX_BROKEN && !spared) {
            state.out = Some(Out { probe: now + FIRST, period: FIRST });
            self.log_out(match trouble {
                Trouble::Silent => "no answer",
                Trouble::Broken => "broken answers",
            });
        }
        self.settle(&state);
    }

    /// What a check found.
    pub fn checked(&self, fit: bool, now: Instant) {
        if fit && !self.troubled.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        if fit {
            state.checks = 0;
            // The next request finds out.
            if let Some(out) = &mut state.out {
                out.probe = now;
            }
            if std::mem::take(&mut state.unfit) {
                self.log_back();
            }
        } else {
            state.checks = state.checks.saturating_add(1);
            if state.checks >= MAX_CHECKS && !std::mem::replace(&mut state.unfit, true) {
                self.log_out("checks");
            }
        }
        self.settle(&state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, state: &State) {
        let troubled = state.silent + state.broken + state.checks > 0 || state.unfit || state.out.is_some();
        self.troubled.store(troubled, Ordering::Release);
    }

    fn log_out(&self, cause: &str) {
        tracing::warn!(endpoint = %self.url, cause, "an upstream endpoint is out of service");
    }

    fn log_back(&self) {
        tracing::info!(endpoint = %self.url, "an upstream endpoint is back in service");
    }
}

impl State {
    fn serves(&self, now: Instant) -> bool {
        !self.unfit && self.out.as_ref().is_none_or(|out| now >= out.probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(health: &Health, trouble: Trouble, times: u32, now: Instant) {
        for _ in 0..times {
            health.failed(Admission::Usual, trouble, false, now);
        }
    }

    #[test]
    fn silence_three_times_in_a_row_ends_service_and_one_probe_decides() {
        let (health, start) = (Health::new("http://a".into()), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        failing(&health, Trouble::Silent, 2, start);
        health.succeeded(Admission::Usual);
        failing(&health, Trouble::Silent, 2, start);
        assert_eq!(health.admit(start), Some(Admission::Usual), "a success lies between");
        failing(&health, Trouble::Silent, 1, start);
        assert_eq!(health.admit(at(999)), None);
        assert_eq!(health.admit(at(1000)), Some(Admission::Probe));
        assert_eq!(health.admit(at(1001)), None, "one request finds out");
        // What was under way before tells nothing.
        failing(&health, Trouble::Silent, 50, at(1001));
        health.succeeded(Admission::Usual);
        health.failed(Admission::Probe, Trouble::Silent, false, at(1100));
        assert!(!health.serves(at(3099)) && health.serves(at(3100)));
        assert_eq!(health.admit(at(3100)), Some(Admission::Probe));
        assert_eq!(health.admit(at(5100)), Some(Admission::Probe), "the first one was given up");
        health.succeeded(Admission::Probe);
        assert_eq!(health.admit(at(5101)), Some(Admission::Usual));
    }

    #[test]
    fn the_time_out_of_service_doubles_up_to_half_a_minute() {
        let (health, mut now) = (Health::new("http://a".into()), Instant::now());
        failing(&health, Trouble::Silent, 3, now);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(!health.serves(now + Duration::from_millis(seconds * 1000 - 1)), "{seconds}");
            now += Duration::from_secs(seconds);
            assert_eq!(health.admit(now), Some(Admission::Probe), "{seconds}");
            health.failed(Admission::Probe, Trouble::Silent, false, now);
        }
    }

    #[test]
    fn broken_answers_shift_requests_and_never_end_the_last_service() {
        let (health, now) = (Health::new("http://a".into()), Instant::now());
        (0..100).for_each(|_| health.failed(Admission::Usual, Trouble::Broken, true, now));
        assert!(health.serves(now));
        health.failed(Admission::Usual, Trouble::Broken, false, now);
        assert!(!health.serves(now), "there is another one now");
    }

    #[test]
    fn two_failed_checks_end_service_and_one_good_one_gives_it_back() {
        let (health, now) = (Health::new("http://a".into()), Instant::now());
        health.checked(false, now);
        health.checked(true, now);
        health.checked(false, now);
        assert!(health.serves(now));
        health.checked(false, now);
        assert!(!health.serves(now + LONGEST));
        health.checked(true, now);
        assert_eq!(health.admit(now), Some(Admission::Usual));
        failing(&health, Trouble::Silent, 3, now);
        health.checked(true, now);
        assert_eq!(health.admit(now), Some(Admission::Probe), "a request decides, at once");
    }
}
