//! What the checks need of an entry, small enough to be handed from thread to thread.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{PoisonError, RwLock};

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;

use super::super::entry::{LEGAL_BASIS, OwnKind};
use super::super::view::{Stream, View};

/// Microseconds between the check of a grant and the time of its entry, at most.
const SLACK: i64 = 60_000_000;

/// What stands in one place of the log.
#[derive(Debug)]
pub enum Item {
    /// Its content was pruned.
    Pruned,
    /// Its bytes are not those of the tree, which was said already.
    Damaged,
    /// Its bytes are not an entry.
    Unreadable(String),
    Entry(Facts),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Disclosure,
    Subjects,
    Refusal,
    Signal,
    Rules,
    Started,
    Other,
    Unknown,
}

/// What the company's own people did with the ledger.
fn own(kind: &str) -> Kind {
    let kind: Result<OwnKind, Error> = OwnKind::deserialize(kind.into_deserializer());
    kind.map_or(Kind::Unknown, |_| Kind::Other)
}

/// What is wrong with the legal grant of a disclosure. It says no word of it: the entry may be anybody's.
fn grant(view: &View) -> Option<&'static str> {
    let needed = view.basis.as_deref() == Some(LEGAL_BASIS);
    let Some(legal) = &view.legal else {
        return needed.then_some("is disclosed because the law asks for it, and names no legal grant");
    };
    let [first, second] = &legal.approved_by[..] else {
        return Some("is a legal grant without two approvers");
    };
    if !needed {
        Some("has a legal grant, and another legal basis")
    } else if legal.case.is_empty() || legal.authority.is_empty() {
        Some("is a legal grant without a case or an authority")
    } else if first == second {
        Some("is a legal grant that one person approved alone")
    } else if legal.is_over(view.time - SLACK) {
        Some("was disclosed on a legal grant that had ended")
    } else {
        None
    }
}

/// Names are numbers here, see [`Names`].
#[derive(Debug)]
pub struct Facts {
    pub kind: Kind,
    pub index: u64,
    pub time: i64,
    /// A hash of the id.
    pub id: u64,
    pub contractor: Option<u32>,
    pub sequence: Option<u64>,
    pub rules: Option<u32>,
    pub part: Option<u64>,
    pub parts: u64,
    pub stream: Option<Stream>,
    /// What is wrong with its legal grant.
    pub grant: Option<&'static str>,
}

/// Contractors and digests of rules by number. There are few of them, however many entries.
#[derive(Debug, Default)]
pub struct Names {
    numbers: RwLock<HashMap<String, u32>>,
    hasher: RandomState,
}

impl Names {
    fn number(&self, name: &str) -> u32 {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        let next = numbers.len() as u32;
        *numbers.entry(name.to_owned()).or_insert(next)
    }

    /// The name with this number.
    pub fn name(&self, number: u32) -> String {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().find(|(_, known)| **known == number).map_or_else(String::new, |(name, _)| name.clone())
    }
}

/// Reads entries in one thread.
pub struct Reader<'n> {
    names: &'n Names,
    /// What this thread has met, so that it need not ask the others.
    known: HashMap<String, u32>,
}

impl<'n> Reader<'n> {
    pub fn new(names: &'n Names) -> Self {
        Reader { names, known: HashMap::new() }
    }

    pub fn item(&mut self, leaf: &[u8]) -> Item {
        if leaf.is_empty() {
            return Item::Pruned;
        }
        // The parser would take a list for an entry.
        if leaf.first() != Some(&b'{') {
            return Item::Unreadable("not an object".to_owned());
        }
        match View::parse(leaf) {
            Ok(view) => Item::Entry(self.facts(&view)),
            // The message of the parser could hold a word of the entry: its place is enough.
            Err(error) => Item::Unreadable(format!("line {}, column {}", error.line(), error.column())),
        }
    }

    fn facts(&mut self, view: &View) -> Facts {
        let kind = match view.kind.as_ref() {
            "disclosure" => Kind::Disclosure,
            "subjects" => Kind::Subjects,
            "refusal" => Kind::Refusal,
            "signal" => Kind::Signal,
            "rules" => Kind::Rules,
            "started" => Kind::Started,
            other => own(other),
        };
        Facts {
            kind,
            index: view.index,
            time: view.time,
            id: self.names.hasher.hash_one(view.id.as_ref()),
            contractor: view.contractor.as_deref().map(|name| self.number(name)),
            sequence: view.sequence,
            rules: view.rules.as_deref().map(|digest| self.number(digest)),
            part: view.part,
            parts: view.parts.unwrap_or(1),
            stream: view.stream,
            grant: if kind == Kind::Disclosure { grant(view) } else { None },
        }
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.known.get(name) {
            return *number;
        }
        let number = self.names.number(name);
        self.known.insert(name.to_owned(), number);
        number
    }
}
