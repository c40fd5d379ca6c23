//! What is known of a contractor from one start to the next, and the file that keeps it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::thresholds::{DAY, DORMANT, HOUR, LEARNING, NETWORK_KNOWN, NETWORKS, PAST_HOURS};

/// Version of the file.
pub const VERSION: u32 = 1;

/// What is kept, of which nothing can be used. It begins anew then, and learns again.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    // The parser's own message could hold a word of the file.
    #[error("line {line}, column {column}")]
    Syntax { line: usize, column: usize },
    #[error("version {0}")]
    Version(u32),
    #[error("it was written under another key")]
    Key,
}

#[derive(Serialize)]
pub struct Kept<'k> {
    pub version: u32,
    pub contractors: BTreeMap<&'k str, &'k Memory>,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    contractors: BTreeMap<String, Memory>,
}

/// Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Its first request.
    began: Option<i64>,
    credentials: BTreeMap<String, Use>,
    /// By task and route, the fields that it got.
    fields: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// When each was seen last.
    networks: BTreeMap<Network, i64>,
    /// By hours since 1970, the customers that it had not seen on that day before. An hour without a request is
    /// not there.
    hours: BTreeMap<i64, u64>,
    /// When each signal was raised last.
    raised: BTreeMap<String, i64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Use {
    known: i64,
    used: Option<i64>,
}

/// # Errors
/// Where the bytes are not what [`write`] makes.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Memory>, Damaged> {
    let syntax = |error: serde_json::Error| Damaged::Syntax { line: error.line(), column: error.column() };
    let read: Read = serde_json::from_slice(bytes).map_err(syntax)?;
    if read.version == VERSION { Ok(read.contractors) } else { Err(Damaged::Version(read.version)) }
}

pub fn write(kept: &Kept) -> Vec<u8> {
    // Maps with text and numbers as keys always serialise.
    serde_json::to_vec(kept).unwrap_or_default()
}

impl Memory {
    pub fn know(&mut self, credential: &str, now: i64) {
        if !self.credentials.contains_key(credential) {
            self.credentials.insert(credential.to_owned(), Use { known: now, used: None });
        }
    }

    /// Notes that a credential is used. Where it slept: for how many days, and whether it was ever used before.
    pub fn wake(&mut self, credential: &str, now: i64) -> Option<(i64, bool)> {
        self.know(credential, now);
        let known = self.credentials.get_mut(credential)?;
        let before = known.used.replace(now);
        let rest = now.saturating_sub(before.unwrap_or(known.known));
        (rest >= DORMANT).then_some((rest / DAY, before.is_some()))
    }

    /// It calls. Where the clock went back before its first request, its history begins anew.
    pub fn begin(&mut self, now: i64) {
        self.began = Some(self.began.map_or(now, |began| began.min(now)));
    }

    /// Its fields and networks are not known yet.
    pub fn is_learning(&self, now: i64) -> bool {
        self.history(now) < LEARNING
    }

    /// It has been calling for as long as hours are looked back to.
    pub fn has_past(&self, now: i64) -> bool {
        self.history(now) >= PAST_HOURS * HOUR
    }

    fn history(&self, now: i64) -> i64 {
        self.began.map_or(0, |began| now.saturating_sub(began))
    }

    /// Of the fields, those that it never got by this route.
    pub fn unknown_fields(&self, task: &str, route: &str, fields: &[&str]) -> Vec<String> {
        let known = self.fields.get(task).and_then(|routes| routes.get(route));
        let is_new = |path: &&&str| known.is_none_or(|known| !known.contains(**path));
        fields.iter().filter(is_new).map(|path| (*path).to_owned()).collect()
    }

    pub fn learn_fields(&mut self, task: &str, route: &str, fields: &[String]) {
        let routes = self.fields.entry(task.to_owned()).or_default();
        routes.entry(route.to_owned()).or_default().extend(fields.iter().cloned());
    }

    /// Whether a network is known; it is seen now.
    pub fn knows_network(&mut self, network: Network, now: i64) -> bool {
        match self.networks.get_mut(&network) {
            Some(seen) if now.saturating_sub(*seen) < NETWORK_KNOWN => {
                *seen = now;
                true
            }
            Some(_) | None => false,
        }
    }

    pub fn learn_network(&mut self, network: Network, now: i64) {
        if self.networks.len() >= NETWORKS {
            let oldest = self.networks.iter().min_by_key(|(_, seen)| **seen).map(|(network, _)| *network);
            oldest.map(|network| self.networks.remove(&network));
        }
        self.networks.insert(network, now);
    }

    /// Whether it called in an hour since 1970.
    pub fn called(&self, hour: i64) -> bool {
        self.hours.contains_key(&hour)
    }

    /// In how many hours of those that are looked back to it called.
    pub fn hours_called(&self, hour: i64) -> usize {
        self.past(hour).count()
    }

    /// Adds to an hour; how many there are in it now.
    pub fn count(&mut self, hour: i64, new_subjects: u64) -> u64 {
        let count = self.hours.entry(hour).or_default();
        *count = count.saturating_add(new_subjects);
        *count
    }

    /// The median of the hours before this one in which it saw anybody; 0 where there is none.
    pub fn median(&self, hour: i64) -> u64 {
        let mut counts: Vec<u64> = self.past(hour).filter(|count| *count > 0).collect();
        counts.sort_unstable();
        counts.get(counts.len() / 2).copied().unwrap_or_default()
    }

    fn past(&self, hour: i64) -> impl Iterator<Item = u64> + '_ {
        self.hours.range(hour.saturating_sub(PAST_HOURS)..hour).map(|(_, count)| *count)
    }

    /// Whether a signal may be raised now, and so is. A clock that went back begins the wait anew.
    pub fn may_raise(&mut self, what: &str, quiet: i64, now: i64) -> bool {
        match self.raised.get_mut(what) {
            Some(last) if now < *last => {
                *last = now;
                false
            }
            Some(last) if now.saturating_sub(*last) < quiet => false,
            _ => {
                self.raised.insert(what.to_owned(), now);
                true
            }
        }
    }

    /// Forgets what is too old to matter, and hours that have not come yet.
    pub fn forget(&mut self, now: i64) {
        let hour = now.div_euclid(HOUR);
        self.hours.retain(|at, _| *at >= hour.saturating_sub(PAST_HOURS) && *at <= hour);
        self.networks.retain(|_, seen| now.saturating_sub(*seen) < NETWORK_KNOWN);
        self.raised.retain(|_, last| now.saturating_sub(*last) < DAY);
    }
}
