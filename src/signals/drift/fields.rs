//! One disclosed field: whether it is still met, and whether anybody still gets it.

use serde::{Deserialize, Serialize};

use crate::signals::Details;
use crate::signals::thresholds::{DAY, GAP_FACTOR, LEARNED_SAMPLES, LEARNED_TIME, UNUSED, VANISHED};

/// Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldUse {
    known: i64,
    /// When it was disclosed last.
    disclosed: Option<i64>,
    /// Answers that it was met in.
    met: u64,
    /// Answers in a row, up to now, without it; and the most of them before it was met again.
    gap: u64,
    longest: u64,
    told_vanished: bool,
    told_unused: bool,
}

impl FieldUse {
    pub fn since(now: i64) -> Self {
        FieldUse { known: now, ..FieldUse::default() }
    }

    /// An answer of which something was disclosed: whether the field was met in it, and disclosed.
    pub fn see(&mut self, path: &str, met: bool, disclosed: bool, now: i64) -> Vec<Details> {
        if disclosed {
            (self.disclosed, self.told_unused) = (Some(now), false);
        }
        if met {
            self.met += 1;
            self.longest = self.longest.max(std::mem::take(&mut self.gap));
            self.told_vanished = false;
        } else {
            self.gap += 1;
        }
        self.vanished(path, now).into_iter().chain(self.unused(path, now)).collect()
    }

    /// Some fields are seldom there; so it counts how long it was away before.
    fn vanished(&mut self, path: &str, now: i64) -> Option<Details> {
        let enough = VANISHED.max(self.longest.saturating_mul(GAP_FACTOR));
        let was_known = self.met >= LEARNED_SAMPLES && now.saturating_sub(self.known) >= LEARNED_TIME;
        if !was_known || self.gap < enough || std::mem::replace(&mut self.told_vanished, true) {
            return None;
        }
        let change = format!(
            "ask the upstream's team where it went; if it stays away, remove \"{path}\" from `disclose`"
        );
        Some(Details::FieldVanished { path: path.to_owned(), answers: self.gap, change })
    }

    fn unused(&mut self, path: &str, now: i64) -> Option<Details> {
        let since = self.disclosed.unwrap_or(self.known).max(self.known);
        let idle = now.saturating_sub(since);
        if idle < UNUSED || std::mem::replace(&mut self.told_unused, true) {
            return None;
        }
        let change = format!("remove \"{path}\" from `disclose`");
        Some(Details::FieldUnused { path: path.to_owned(), days: idle / DAY, change })
    }
}
