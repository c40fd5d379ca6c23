//! What an entry says, and the bytes that stand for it.
//!
//! An entry is one JSON object with a fixed order of members and whole numbers only. These bytes are
//! stored, hashed and exported as they are; nothing ever writes them again from parts.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::model::{Hex, SubjectPseudonym};

mod disclosure;
mod legal;
mod salt;
mod signal;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests;
mod text;

pub use disclosure::{Disclosed, Disclosure, FieldEntry, MaskedEntry, RecordCounts, StreamPart};
pub use legal::{Legal, LegalHold};
use salt::Salt;
pub use signal::Signal;
use text::{member, push_number};

/// Version of the entry format.
const VERSION: u32 = 1;

/// Bytes that an entry's numbers and the name of its node take at most.
const NUMBERS: usize = 144;

/// Bytes that an entry takes mostly, and those of one more customer in it.
const USUAL: usize = 1024;
const NAME: usize = 35;

/// The basis of a use of a legal grant, and of nothing else.
pub const LEGAL_BASIS: &str = "legal-obligation";

/// Subjects in one entry; more go into entries that follow it. C2SP tlog-tiles bounds an entry to
/// 65,535 bytes.
pub const SUBJECTS_PER_ENTRY: usize = 500;

/// Who asked, and on what ground.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Parties<'a> {
    pub contractor: &'a str,
    pub credential: &'a str,
}

/// What was asked: never a raw path, query or value.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Request<'a> {
    pub method: &'a str,
    /// The path template of the route.
    pub route: Option<&'a str>,
}

/// A request of a known contractor that got nothing, or not all.
#[derive(Debug, Serialize)]
pub struct Refused<'a> {
    pub task: Option<&'a str>,
    pub status: u16,
    pub code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    /// Refusals of this credential since the last entry that were counted instead of written.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_written: u64,
    /// Parts of the response that had left before; their entries have the same id.
    #[serde(skip_serializing_if = "is_zero")]
    pub after_parts: u64,
}

/// The gateway began to serve.
#[derive(Debug, Serialize)]
pub struct Started<'a> {
    pub version: &'a str,
}

/// Rules came into force.
#[derive(Debug, Serialize)]
pub struct ActivatedRules<'a> {
    pub rules: &'a str,
    pub contractors: Vec<&'a str>,
    /// Against those before; nothing at the start.
    #[serde(flatten)]
    pub change: Option<RulesChange<'a>>,
}

/// What other rules change for contractors.
#[derive(Debug, Serialize)]
pub struct RulesChange<'a> {
    /// Digest of the rules before.
    pub before: &'a str,
    /// How many differences let a contractor have more.
    pub widen: usize,
    /// How many may do so.
    pub may_widen: usize,
    /// How many let one have less.
    pub narrow: usize,
    /// How many of them are not listed: words, and what there is no room for.
    pub not_listed: usize,
    pub changes: Vec<RuleChange<'a>>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub struct RuleChange<'a> {
    pub effect: &'a str,
    pub contractor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    pub what: &'a str,
}

/// What the company's own people do with the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnKind {
    /// Somebody looked up a customer, or exported entries.
    Access,
    /// A subject key was made or destroyed.
    Key,
    /// Entries are held back from deletion, or no longer.
    Hold,
    /// The content of entries was deleted.
    Prune,
    /// A contractor was suspended, or no longer is.
    Suspension,
    /// Customers consented, withdrew or objected.
    Consent,
    /// Somebody acknowledged or muted alerts.
    Alert,
    /// What a contractor may see was reviewed, and signed off.
    Review,
}

impl OwnKind {
    pub fn as_str(self) -> &'static str {
        match self {
            OwnKind::Access => "access",
            OwnKind::Key => "key",
            OwnKind::Hold => "hold",
            OwnKind::Prune => "prune",
            OwnKind::Suspension => "suspension",
            OwnKind::Consent => "consent",
            OwnKind::Alert => "alert",
            OwnKind::Review => "review",
        }
    }
}

/// An entry that waits for its number: all its bytes but the end.
pub struct Draft {
    pub(super) parts: Vec<Part>,
    pub(super) contractor: Option<String>,
    pub(super) subjects_per_day: u64,
    /// The generation of the consent registry that it was decided by.
    pub(super) decided: Option<u64>,
    /// From this generation on, what was decided by an earlier one is stale.
    pub(super) withdrawn: Option<u64>,
    /// Something leaves by it.
    pub(super) discloses: bool,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(super) time: i64,
}

/// One row to be.
pub(super) struct Part {
    pub subjects: Vec<SubjectPseudonym>,
    /// A JSON object without its closing brace.
    open: Vec<u8>,
}

#[derive(Serialize)]
struct Head<'a> {
    v: u32,
    kind: &'a str,
    id: &'a str,
    time: i64,
    salt: Salt,
}

#[derive(Serialize)]
struct SubjectsBody<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    contractor: &'a str,
    task: &'a str,
    part: usize,
    parts: usize,
    epoch: u32,
    subjects: &'a [Name],
}

#[derive(Serialize)]
struct RefusalBody<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    parties: Parties<'a>,
    #[serde(flatten)]
    request: Request<'a>,
    rules: &'a str,
    #[serde(flatten)]
    refused: &'a Refused<'a>,
}

#[derive(Serialize)]
struct NodeBody<'a, T> {
    #[serde(flatten)]
    head: Head<'a>,
    #[serde(flatten)]
    event: &'a T,
}

/// A pseudonym, as text.
struct Name(SubjectPseudonym);

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Hex::of(&self.0.0))
    }
}

/// Entries of a time that has passed: for histories that are made up, in a demonstration or a measurement. A ledger
/// takes them only one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Dated(
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub i64,
);

impl Dated {
    pub fn disclosure(self, entry: Disclosure) -> Draft {
        Draft::disclosure_at(entry, self.0)
    }

    pub fn refusal(
        self,
        id: String,
        parties: Parties,
        request: Request,
        rules: &str,
        refused: &Refused,
    ) -> Draft {
        Draft::refusal_at(id, parties, request, rules, refused, self.0)
    }

    pub fn signal(self, id: String, signal: &Signal<impl Serialize>) -> Draft {
        Draft::signal_at(id, signal, self.0)
    }

    pub fn started(self, id: String, event: &Started) -> Draft {
        Draft::node_at("started", id, event, self.0)
    }

    pub fn rules(self, id: String, event: &ActivatedRules) -> Draft {
        Draft::node_at("rules", id, event, self.0)
    }

    pub fn own(self, kind: OwnKind, id: String, event: &impl Serialize) -> Draft {
        Draft::node_at(kind.as_str(), id, event, self.0)
    }
}

impl Draft {
    /// A disclosure; with many subjects, also the entries that list the rest of them; with a planted one, also
    /// the signal about it.
    pub fn disclosure(entry: Disclosure) -> Draft {
        Draft::disclosure_at(entry, now())
    }

    fn disclosure_at(mut entry: Disclosure, time: i64) -> Draft {
        entry.subjects.sort_unstable();
        entry.subjects.dedup();
        let (contractor, task) = (entry.parties.contractor, entry.disclosed.task);
        let count = entry.subjects.len().div_ceil(SUBJECTS_PER_ENTRY).max(1);
        let mut chunks = entry.subjects.chunks(SUBJECTS_PER_ENTRY);
        let first = chunks.next().unwrap_or_default();
        let open = entry.open(first, count, time);
        let mut parts = vec![Part { subjects: first.to_vec(), open }];
        for (index, chunk) in chunks.enumerate() {
            let head = Head::new("subjects", &entry.id, time);
            let body = SubjectsBody {
                head,
                contractor,
                task,
                part: index + 2,
                parts: count,
                epoch: entry.epoch,
                subjects: &names(chunk),
            };
            parts.push(Part::new(chunk, &body));
        }
        if entry.disclosed.canaries > 0 {
            parts.push(signal::of_canary(&entry, time));
        }
        Draft {
            parts,
            contractor: Some(contractor.to_owned()),
            subjects_per_day: entry.subjects_per_day,
            decided: entry.decided,
            withdrawn: None,
            discloses: true,
            time,
        }
    }

    pub fn refusal(id: String, parties: Parties, request: Request, rules: &str, refused: &Refused) -> Draft {
        Draft::refusal_at(id, parties, request, rules, refused, now())
    }

    fn refusal_at(
        id: String,
        parties: Parties,
        request: Request,
        rules: &str,
        refused: &Refused,
        time: i64,
    ) -> Draft {
        let body = RefusalBody { head: Head::new("refusal", &id, time), parties, request, rules, refused };
        let part = Part::new(&[], &body);
        Draft {
            parts: vec![part],
            contractor: Some(parties.contractor.to_owned()),
            subjects_per_day: u64::MAX,
            decided: None,
            withdrawn: None,
            discloses: false,
            time,
        }
    }

    pub fn started(id: String, event: &Started) -> Draft {
        Draft::node("started", id, event)
    }

    pub fn rules(id: String, event: &ActivatedRules) -> Draft {
        Draft::node("rules", id, event)
    }

    /// What the company's own people did with the ledger.
    pub fn own(kind: OwnKind, id: String, event: &impl Serialize) -> Draft {
        Draft::node(kind.as_str(), id, event)
    }

    /// The customers that it is about.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &SubjectPseudonym> {
        self.parts.iter().flat_map(|part| &part.subjects)
    }

    /// Says that what was decided by an earlier generation of the consent registry is stale from this entry on.
    #[must_use]
    pub fn withdrawing(self, generation: u64) -> Draft {
        Draft { withdrawn: Some(generation), ..self }
    }

    fn node<T: Serialize>(kind: &'static str, id: String, event: &T) -> Draft {
        Draft::node_at(kind, id, event, now())
    }

    fn node_at<T: Serialize>(kind: &'static str, id: String, event: &T, time: i64) -> Draft {
        let body = NodeBody { head: Head::new(kind, &id, time), event };
        Draft {
            parts: vec![Part::new(&[], &body)],
            contractor: None,
            subjects_per_day: u64::MAX,
            decided: None,
            withdrawn: None,
            discloses: false,
            time,
        }
    }
}

impl Part {
    fn new(subjects: &[SubjectPseudonym], body: &impl Serialize) -> Part {
        let mut open = Vec::with_capacity(USUAL + subjects.len() * NAME);
        // Structures of strings and numbers always serialise.
        if serde_json::to_writer(&mut open, body).is_err() {
            open.clear();
        }
        open.pop();
        Part { subjects: subjects.to_vec(), open }
    }

    /// Bytes that the entry takes at most.
    pub fn size(&self) -> usize {
        self.open.len() + NUMBERS
    }

    /// The entry's bytes. `index` is its number in the ledger, `sequence` its number among its
    /// contractor's entries, `node` the name of the one of a fleet that writes it.
    pub fn leaf(&self, index: u64, sequence: Option<u64>, node: Option<&str>) -> Vec<u8> {
        let mut leaf = Vec::with_capacity(self.size());
        self.write_leaf(&mut leaf, index, sequence, node);
        leaf
    }

    /// Puts the same bytes behind those that are there.
    pub fn write_leaf(&self, leaf: &mut Vec<u8>, index: u64, sequence: Option<u64>, node: Option<&str>) {
        leaf.reserve(self.size());
        leaf.extend_from_slice(&self.open);
        leaf.extend_from_slice(member!("index").as_bytes());
        push_number(leaf, index);
        if let Some(sequence) = sequence {
            leaf.extend_from_slice(member!("sequence").as_bytes());
            push_number(leaf, sequence);
        }
        // A name has no letter that JSON would write in another way.
        if let Some(node) = node {
            for part in [member!("node"), "\"", node, "\""] {
                leaf.extend_from_slice(part.as_bytes());
            }
        }
        leaf.push(b'}');
    }
}

impl<'a> Head<'a> {
    fn new(kind: &'a str, id: &'a str, time: i64) -> Head<'a> {
        Head { v: VERSION, kind, id, time, salt: Salt::new() }
    }
}

fn names(subjects: &[SubjectPseudonym]) -> Vec<Name> {
    subjects.iter().map(|subject| Name(*subject)).collect()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Microseconds since 1970-01-01T00:00:00Z.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
