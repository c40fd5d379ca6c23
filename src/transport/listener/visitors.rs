//! How many may come, by source address and in all, before anything is spent on them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::model::Rate;

/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 1 << 16;
/// How often those that rest are looked for, when there is no room for another.
const SWEEP: Duration = Duration::from_secs(1);
/// How long handshakes can be saved up, in seconds; and how many can at least.
const SAVED: f64 = 5.0;
const SAVED_AT_LEAST: f64 = 10.0;

/// How many may be there at once, and from one address.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Open connections.
    pub connections: usize,
    /// Handshakes that have not ended.
    pub handshakes: usize,
    pub connections_per_address: usize,
    pub handshakes_per_address: Rate,
}

/// Who is here. An address is an IPv4 address, or the /64 of an IPv6 address: a host has one of these to
/// choose addresses in.
pub struct Visitors {
    capacity: Capacity,
    table: Mutex<Table>,
}

struct Table {
    known: HashMap<Network, Entry>,
    /// All those for whom there is no room in the table.
    others: Entry,
    swept: Instant,
    /// Handshakes that have not ended, the oldest first.
    unfinished: BTreeMap<u64, Arc<Notify>>,
    next: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

/// One address.
#[derive(Clone, Copy)]
struct Entry {
    connections: u32,
    unfinished: u32,
    /// Handshakes that are left, as of `at`.
    left: f64,
    at: Instant,
}

/// Why somebody is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    #[error("the address has too many connections")]
    Connections,
    #[error("the address has begun too many handshakes")]
    Handshakes,
    #[error("the address has too many handshakes that do not end")]
    Unfinished,
}

/// One connection, until it is dropped.
pub struct Visit {
    visitors: Arc<Visitors>,
    /// `None` where it is counted among the others.
    network: Option<Network>,
    /// The handshake, until it has ended.
    handshake: Option<(u64, Arc<Notify>)>,
}

impl Visitors {
    pub fn new(capacity: Capacity) -> Arc<Self> {
        let now = Instant::now();
        let table = Table {
            known: HashMap::new(),
            others: Entry::new(&capacity, now),
            swept: now,
            unfinished: BTreeMap::new(),
            next: 0,
        };
        Arc::new(Visitors { capacity, table: Mutex::new(table) })
    }

    /// Lets a connection begin its handshake. Where as many as there may be have not ended theirs, the oldest
    /// of these has to go: who means it needs a round trip or two, who does not would block the rest.
    ///
    /// # Errors
    /// Where the address has had enough.
    pub fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Visit, TurnedAway> {
        let mut table = self.table();
        let own = Network::of(address);
        let network = table.place(own, &self.capacity, now);
        table.entry(network).enter(&self.capacity, now, own.is_here())?;
        if table.unfinished.len() >= self.capacity.handshakes
            && let Some((_, oldest)) = table.unfinished.pop_first()
        {
            oldest.notify_one();
        }
        let (number, overtaken) = (table.next, Arc::new(Notify::new()));
        table.next += 1;
        table.unfinished.insert(number, Arc::clone(&overtaken));
        drop(table);
        Ok(Visit { visitors: Arc::clone(self), network, handshake: Some((number, overtaken)) })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing in here can panic half way.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Where the address is counted.
    fn place(&mut self, network: Network, capacity: &Capacity, now: Instant) -> Option<Network> {
        if self.known.contains_key(&network) {
            return Some(network);
        }
        if self.known.len() >= MAX_ADDRESSES && now.saturating_duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.known.retain(|_, entry| !entry.rests(capacity, now));
        }
        if self.known.len() >= MAX_ADDRESSES {
            return None;
        }
        self.known.insert(network, Entry::new(capacity, now));
        Some(network)
    }

    /// An entry with a connection is never swept away, so it is there as long as somebody asks for it.
    fn entry(&mut self, network: Option<Network>) -> &mut Entry {
        match network {
            Some(network) => self.known.get_mut(&network).unwrap_or(&mut self.others),
            None => &mut self.others,
        }
    }
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Network::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl Network {
    /// `127.0.0.1` or `::1`. Whoever calls from there is a balancer beside the gateway, and stands for many
    /// clients.
    fn is_here(self) -> bool {
        self == Network::V4([127, 0, 0, 1]) || self == Network::V6([0; 8])
    }
}

impl Entry {
    fn new(capacity: &Capacity, now: Instant) -> Self {
        Entry { connections: 0, unfinished: 0, left: capacity.at_once(), at: now }
    }

    /// `free`: it is counted and not limited.
    fn enter(&mut self, capacity: &Capacity, now: Instant, free: bool) -> Result<(), TurnedAway> {
        self.left = self.left_at(capacity, now);
        self.at = now;
        if free {
            self.connections += 1;
            self.unfinished += 1;
            return Ok(());
        }
        if self.connections as usize >= capacity.connections_per_address {
            return Err(TurnedAway::Connections);
        }
        // One address cannot push the others' handshakes out.
        if self.unfinished as usize >= (capacity.handshakes / 4).max(1) {
            return Err(TurnedAway::Unfinished);
        }
        if self.left < 1.0 {
            return Err(TurnedAway::Handshakes);
        }
        self.left -= 1.0;
        self.connections += 1;
        self.unfinished += 1;
        Ok(())
    }

    fn left_at(&self, capacity: &Capacity, now: Instant) -> f64 {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * capacity.per_second();
        (self.left + earned).min(capacity.at_once())
    }

    /// Nothing would be forgotten with it.
    fn rests(&self, capacity: &Capacity, now: Instant) -> bool {
        self.connections == 0 && self.left_at(capacity, now) >= capacity.at_once()
    }
}

impl Capacity {
    fn per_second(&self) -> f64 {
        f64::from(self.handshakes_per_address.count.get()) / self.handshakes_per_address.per.as_secs_f64()
    }

    fn at_once(&self) -> f64 {
        (SAVED * self.per_second()).max(SAVED_AT_LEAST)
    }
}

impl Visit {
    /// Done when the handshake has to make room for another.
    pub async fn overtaken(&self) {
        match &self.handshake {
            Some((_, notify)) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// The handshake has ended.
    pub fn came_in(&mut self) {
        if let Some((number, _)) = self.handshake.take() {
            let mut table = self.visitors.table();
            table.unfinished.remove(&number);
            table.entry(self.network).unfinished -= 1;
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.came_in();
        self.visitors.table().entry(self.network).connections -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use futures_util::FutureExt;

    use super::*;

    const CAPACITY: fn() -> Capacity = || Capacity {
        connections: 1000,
        handshakes: 8,
        connections_per_address: 4,
        handshakes_per_address: Rate::parse("2/s").unwrap(),
    };

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn admit_in(visitors: &Arc<Visitors>, address: IpAddr, now: Instant) -> Result<Visit, TurnedAway> {
        visitors.admit(address, now).map(|mut visit| {
            visit.came_in();
            visit
        })
    }

    #[test]
    fn an_address_has_so_many_connections_and_another_address_has_its_own() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        let mut here: Vec<_> = (0..4).map(|_| admit_in(&visitors, v4(1), now).ok().unwrap()).collect();
        assert_eq!(visitors.admit(v4(1), now).err(), Some(TurnedAway::Connections));
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
        assert_eq!(visitors.admit(mapped, now).err(), Some(TurnedAway::Connections));
        assert!(visitors.admit(v4(2), now).is_ok());
        here.pop();
        assert!(visitors.admit(v4(1), now).is_ok());
    }

    #[test]
    fn a_balancer_beside_the_gateway_stands_for_many() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        for address in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()] {
            let all: Vec<_> = (0..100).map(|_| visitors.admit(address, now).ok().unwrap()).collect();
            drop(all);
        }
        assert!(visitors.table().known.values().all(|entry| entry.connections == 0 && entry.unfinished == 0));
    }

    #[test]
    fn handshakes_of_an_address_come_at_its_rate() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        let comes = |at| admit_in(&visitors, v4(1), at).map(drop);
        assert!((0..10).all(|_| comes(now).is_ok()));
        assert_eq!(comes(now), Err(TurnedAway::Handshakes));
        let later = now + Duration::from_secs(1);
        assert!(comes(later).is_ok() && comes(later).is_ok() && comes(later).is_err());
    }

    #[test]
    fn the_addresses_of_one_ipv6_host_are_one() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        let host = |last| Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, last).into();
        let _here: Vec<_> = (0..4).map(|last| admit_in(&visitors, host(last), now).ok().unwrap()).collect();
        assert_eq!(visitors.admit(host(9), now).err(), Some(TurnedAway::Connections));
    }

    #[test]
    fn the_oldest_handshake_makes_room_and_one_address_has_a_quarter() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        let first = visitors.admit(v4(1), now).ok().unwrap();
        let _second = visitors.admit(v4(1), now).ok().unwrap();
        assert_eq!(visitors.admit(v4(1), now).err(), Some(TurnedAway::Unfinished));
        let mut others: Vec<_> = (2..8).map(|last| visitors.admit(v4(last), now).ok().unwrap()).collect();
        assert!(first.overtaken().now_or_never().is_none());
        others.push(visitors.admit(v4(9), now).ok().unwrap());
        assert!(first.overtaken().now_or_never().is_some());
        assert!(others.iter().all(|other| other.overtaken().now_or_never().is_none()));
        drop(first);
        assert_eq!(visitors.table().unfinished.len(), 8);
    }

    #[test]
    fn the_table_is_bounded_and_who_rests_is_forgotten() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        let many = |at: Instant| {
            for n in 0..MAX_ADDRESSES as u32 + 100 {
                let _ = admit_in(&visitors, Ipv4Addr::from_bits(n).into(), at);
            }
            visitors.table().known.len()
        };
        assert_eq!(many(now), MAX_ADDRESSES);
        assert!(visitors.table().others.left < CAPACITY().at_once(), "who found no room shares one entry");
        let later = now + Duration::from_secs(60);
        assert!(admit_in(&visitors, v4(1), later).is_ok());
        assert_eq!(visitors.table().known.len(), 1);
    }

    #[test]
    fn whoever_has_gone_is_not_counted() {
        let (visitors, now) = (Visitors::new(CAPACITY()), Instant::now());
        for _ in 0..5 {
            drop((visitors.admit(v4(1), now), admit_in(&visitors, v4(2), now)));
        }
        let table = visitors.table();
        assert!(table.unfinished.is_empty());
        assert!(table.known.values().all(|entry| entry.connections == 0 && entry.unfinished == 0));
    }
}
