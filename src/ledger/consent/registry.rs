//! What customers said, in memory.
//!
//! Requests read it without a lock: 256 sorted lists, each exchanged as a whole. What a request decides by may
//! change while it decides; so it first reads the generation, which its entry carries, and the ledger's writer
//! compares.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::model::{Admission, Subject, SubjectKey};

use super::statement::{ALL, Ground, Number, Scope, Statement, UNNAMED, lets};

/// Lists; a customer's is that of the first byte of the keyed name.
const SHARDS: usize = 256;

/// A customer's keyed name here.
pub type Name = [u8; 16];

/// One statement of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: Name,
    pub said: Statement,
}

impl Row {
    fn place(&self) -> (Name, Number, Number) {
        (self.name, self.said.purpose, self.said.contractor)
    }
}

/// The consent registry, as requests ask it.
pub struct Consents {
    state: State,
}

enum State {
    Known(Box<Registry>),
    /// What was said is lost, objections too.
    Unknown,
}

pub(super) struct Registry {
    key: SubjectKey,
    shards: Vec<ArcSwap<Vec<Row>>>,
    named: ArcSwap<Named>,
    /// Grows with each thing that is said.
    generation: AtomicU64,
}

/// Purposes and contractors that statements name, and those that somebody objects to.
#[derive(Clone, Default)]
pub(super) struct Named {
    numbers: HashMap<String, Number>,
    /// How many objections there are about each.
    objections: HashMap<(Number, Number), u64>,
}

/// Nobody knows who consents to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotKnown;

impl Consents {
    pub(super) fn known(registry: Registry) -> Self {
        Consents { state: State::Known(Box::new(registry)) }
    }

    /// For a gateway that cannot know what customers said: it lets nobody through.
    pub fn unknown() -> Self {
        Consents { state: State::Unknown }
    }

    pub(super) fn registry(&self) -> Option<&Registry> {
        match &self.state {
            State::Known(registry) => Some(registry),
            State::Unknown => None,
        }
    }

    /// It is known what customers said.
    pub fn is_known(&self) -> bool {
        self.registry().is_some()
    }

    /// How much was said so far. To be read before anything is decided.
    pub fn generation(&self) -> u64 {
        self.registry().map_or(0, Registry::generation)
    }

    /// Who decides about the records of a task.
    ///
    /// # Errors
    /// Where it is not known what customers said.
    pub fn admission(
        self: &Arc<Self>,
        ground: Ground,
        purpose: &str,
        contractor: &str,
    ) -> Result<Arc<dyn Admission>, NotKnown> {
        self.registry().ok_or(NotKnown)?;
        // By their names: somebody may speak of them for the first time while the response is in work.
        let (purpose, contractor) = (purpose.to_owned(), contractor.to_owned());
        Ok(Arc::new(Asked { consents: Arc::clone(self), ground, purpose, contractor }))
    }
}

impl Named {
    fn number(&self, name: &str) -> Number {
        self.numbers.get(name).copied().unwrap_or(UNNAMED)
    }

    fn is_objected_to(&self, purpose: Number, contractor: Number) -> bool {
        !self.objections.is_empty()
            && [(purpose, ALL), (ALL, contractor), (purpose, contractor)]
                .iter()
                .any(|scope| self.objections.contains_key(scope))
    }

    fn count(&mut self, said: &Statement, by: i64) {
        if !said.is_objection() {
            return;
        }
        let scope = (said.purpose, said.contractor);
        let count = self.objections.entry(scope).or_default();
        *count = count.saturating_add_signed(by);
        if *count == 0 {
            self.objections.remove(&scope);
        }
    }
}

impl Registry {
    /// `rows` are in the order of names and what they are about.
    pub fn new(key: SubjectKey, numbers: HashMap<String, Number>, rows: Vec<Row>, generation: u64) -> Self {
        let mut named = Named { numbers, ..Named::default() };
        rows.iter().for_each(|row| named.count(&row.said, 1));
        let mut rest = &rows[..];
        let shards = (0..SHARDS).map(|shard| {
            let (own, others) = rest.split_at(rest.partition_point(|row| usize::from(row.name[0]) <= shard));
            rest = others;
            ArcSwap::from_pointee(own.to_vec())
        });
        Registry {
            key,
            shards: shards.collect(),
            named: ArcSwap::from_pointee(named),
            generation: AtomicU64::new(generation),
        }
    }

    pub fn name(&self, subject: Subject) -> Name {
        self.key.consent_name(subject)
    }

    pub fn receipt(&self, parts: &[&[u8]]) -> Name {
        self.key.receipt_name(parts)
    }

    /// The numbers of a scope; what it leaves out is all.
    pub fn numbers(&self, scope: &Scope) -> (Number, Number) {
        let named = self.named.load();
        let number = |name: &Option<String>| name.as_ref().map_or(ALL, |name| named.number(name));
        (number(&scope.purpose), number(&scope.contractor))
    }

    pub fn knows(&self, name: &str) -> bool {
        self.named.load().numbers.contains_key(name)
    }

    /// What a statement is about.
    pub fn scope(&self, said: &Statement) -> Scope {
        let named = self.named.load();
        let name = |number: Number| {
            let found = named.numbers.iter().find(|(_, known)| **known == number);
            found.map(|(name, _)| name.clone())
        };
        Scope { purpose: name(said.purpose), contractor: name(said.contractor) }
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The number of a name; one that is new gets the next. None where there are too many. One at a time.
    pub fn number_or_new(&self, name: &str) -> Option<Number> {
        let known = self.named.load().numbers.get(name).copied();
        if known.is_some() {
            return known;
        }
        let next =
            Number::try_from(self.named.load().numbers.len() + 1).ok().filter(|next| *next != UNNAMED)?;
        self.learn(name, next);
        Some(next)
    }

    pub fn learn(&self, name: &str, number: Number) {
        let mut named = Named::clone(&self.named.load());
        named.numbers.insert(name.to_owned(), number);
        self.named.store(Arc::new(named));
    }

    /// What a customer said.
    pub fn said(&self, name: &Name, look: impl FnOnce(&[Row])) {
        let shard = self.shards[usize::from(name[0])].load();
        let begin = shard.partition_point(|row| row.name < *name);
        let count = shard[begin..].partition_point(|row| row.name == *name);
        look(&shard[begin..begin + count]);
    }

    /// Puts statements in the place of older ones. Only one at a time may call this.
    pub fn put(&self, rows: &[Row], generation: u64) {
        let mut named = Named::clone(&self.named.load());
        let mut sorted = rows.to_vec();
        sorted.sort_unstable_by_key(Row::place);
        for group in sorted.chunk_by(|one, next| one.name[0] == next.name[0]) {
            let shard = &self.shards[usize::from(group[0].name[0])];
            let mut list = Vec::clone(&shard.load());
            for row in group {
                match list.binary_search_by_key(&row.place(), Row::place) {
                    Ok(at) => {
                        named.count(&list[at].said, -1);
                        list[at] = *row;
                    }
                    Err(at) => list.insert(at, *row),
                }
                named.count(&row.said, 1);
            }
            shard.store(Arc::new(list));
        }
        self.named.store(Arc::new(named));
        // Last: whoever reads this number sees what is above.
        self.generation.store(generation, Ordering::Release);
    }

    fn lets(&self, subject: Subject, ground: Ground, purpose: &str, contractor: &str) -> bool {
        let named = self.named.load();
        let (purpose, contractor) = (named.number(purpose), named.number(contractor));
        if ground == Ground::Contract && !named.is_objected_to(purpose, contractor) {
            return true;
        }
        let mut answer = false;
        self.said(&self.name(subject), |rows| {
            answer = match rows {
                [] => ground == Ground::Contract,
                [row] => lets(&[row.said], ground, purpose, contractor),
                rows => {
                    let said: Vec<Statement> = rows.iter().map(|row| row.said).collect();
                    lets(&said, ground, purpose, contractor)
                }
            };
        });
        answer
    }
}

/// Decides about the records of one request.
#[derive(Debug)]
struct Asked {
    consents: Arc<Consents>,
    ground: Ground,
    purpose: String,
    contractor: String,
}

impl Admission for Asked {
    fn admits(&self, subject: Option<Subject>) -> bool {
        match (self.consents.registry(), subject) {
            (Some(registry), Some(subject)) => {
                registry.lets(subject, self.ground, &self.purpose, &self.contractor)
            }
            // Of a record about nobody, nobody can have consented to it, and nobody objects.
            (Some(_), None) => self.ground == Ground::Contract,
            (None, _) => false,
        }
    }
}

impl fmt::Debug for Consents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Known(_) => write!(f, "Consents(generation {})", self.generation()),
            State::Unknown => f.write_str("Consents(unknown)"),
        }
    }
}
