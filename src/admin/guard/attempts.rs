//! Sign-ins that failed: after some, no further ones are taken for a while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in [`WINDOW`]: of one account from one address, of one account from anywhere (so that nobody is kept
/// out by a stranger who mistypes their password), of one address.
const OF_BOTH: u32 = 5;
const OF_ACCOUNT: u32 = 50;
const OF_ADDRESS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Accounts and addresses that are kept in mind.
const MOST: usize = 10_000;

/// In memory: who can restart the gateway needs no password.
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<Key, Failures>>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Both(String, Option<IpAddr>),
    Account(String),
    Address(IpAddr),
}

struct Failures {
    since: Instant,
    count: u32,
}

impl Attempts {
    /// Counts an attempt before it is made, so that many at once are no more than one after the other.
    ///
    /// # Errors
    /// Where there were too many: for how long none is taken.
    pub fn begin(&self, account: &str, address: Option<IpAddr>, now: Instant) -> Result<(), Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, failures| now.duration_since(failures.since) < WINDOW);
        // The oldest are forgotten, so that nobody shuts others out by many names.
        if known.len() >= MOST {
            let mut ages: Vec<Instant> = known.values().map(|failures| failures.since).collect();
            ages.sort_unstable();
            let newest_of_old = ages[ages.len() / 2];
            known.retain(|_, failures| failures.since > newest_of_old);
        }
        let keys = keys(account, address);
        for (key, most) in &keys {
            if let Some(failures) = known.get(key).filter(|failures| failures.count >= *most) {
                return Err(WINDOW.saturating_sub(now.duration_since(failures.since)));
            }
        }
        for (key, _) in keys {
            known.entry(key).or_insert(Failures { since: now, count: 0 }).count += 1;
        }
        Ok(())
    }

    /// It was right: it does not count.
    pub fn succeeded(&self, account: &str, address: Option<IpAddr>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in keys(account, address) {
            match &key {
                Key::Both(..) => _ = known.remove(&key),
                Key::Account(_) | Key::Address(_) => {
                    if let Some(failures) = known.get_mut(&key) {
                        failures.count = failures.count.saturating_sub(1);
                    }
                }
            }
        }
    }
}

fn keys(account: &str, address: Option<IpAddr>) -> Vec<(Key, u32)> {
    // Names that no account can have are one.
    let name = if account.len() <= 64 { account.to_lowercase() } else { String::new() };
    let mut keys = vec![(Key::Both(name.clone(), address), OF_BOTH), (Key::Account(name), OF_ACCOUNT)];
    // Behind a proxy on this machine, all share one address.
    let address = address.filter(|address| !address.is_loopback()).map(network);
    keys.extend(address.map(|address| (Key::Address(address), OF_ADDRESS)));
    keys
}

/// Of IPv6, a /64 is one: whoever has an address has them all.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_failures_none_is_taken_for_a_while() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let (one, other) = ("192.0.2.1".parse().ok(), "192.0.2.2".parse().ok());
        for _ in 0..OF_BOTH {
            attempts.begin("anna", one, now).unwrap();
        }
        assert!(attempts.begin("anna", one, now).is_err() && attempts.begin("ANNA", one, now).is_err());
        attempts.begin("bert", one, now).unwrap();
        attempts.succeeded("bert", one);
        attempts.begin("anna", one, now + WINDOW).unwrap();
        for name in 0..OF_ADDRESS {
            attempts.begin(&format!("n{name}"), other, now + WINDOW).ok();
        }
        assert!(attempts.begin("somebody", other, now + WINDOW).is_err());
        attempts.begin("somebody", one, now + WINDOW).unwrap();
        let from = |last: u32| Some(IpAddr::from([198, 51, 100, last as u8]));
        let taken = (0..60).filter(|last| attempts.begin("carla", from(*last), now + WINDOW).is_ok()).count();
        assert_eq!(taken, OF_ACCOUNT as usize);
    }
}
