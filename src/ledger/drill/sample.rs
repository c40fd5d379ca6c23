//! Entries for the drill: of contractors that do not exist, and of all kinds that a gateway writes.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::model::{Country, Jurisdictions, SubjectPseudonym};

use super::super::entry::{
    ActivatedRules, Disclosed, Disclosure, Draft, Parties, RecordCounts, Refused, Request, Signal, Started,
    StreamPart,
};
use super::super::note::Signer;
use super::super::writer::Ledger;
use super::DrillError;

/// The digest of rules that do not exist.
const RULES: &str = "d111000000000000000000000000000000000000000000000000000000000000";
/// More customers than one entry takes.
const MANY: usize = 1200;
/// How often all kinds of entries come.
const ROUNDS: u64 = 40;
/// Entries of a ledger that is made for the drill, about.
const LEDGER: u64 = 3000;
/// Entries of one round, about.
const PER_ROUND: u64 = 9;

/// An entry without its numbers, and which contractor it is about.
type Numberless = (Draft, Option<usize>);

/// Entries about two contractors.
pub struct Sample {
    contractors: [&'static str; 2],
    country: Country,
}

impl Sample {
    /// # Errors
    /// Where the country is not one.
    pub fn new(contractors: [&'static str; 2]) -> Result<Self, DrillError> {
        let country = Country::new("NL").map_err(|error| DrillError::Sign(error.to_string()))?;
        Ok(Sample { contractors, country })
    }

    /// The entries as they would follow entry `first - 1`, whose contractors have none yet.
    pub fn entries(&self, first: u64) -> Vec<Vec<u8>> {
        let mut sequences = [0; 2];
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        let rounds = (0..ROUNDS).flat_map(|number| self.round(number));
        for (draft, contractor) in self.begin().into_iter().chain(rounds) {
            for part in &draft.parts {
                let sequence = contractor.and_then(|at| sequences.get_mut(at)).map(|sequence| {
                    *sequence += 1;
                    *sequence
                });
                leaves.push(part.leaf(first + leaves.len() as u64, sequence, None));
            }
        }
        leaves
    }

    /// Makes a ledger as a gateway does, through the writer.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn make_ledger(&self, index: &Path, signer: Signer) -> Result<(), DrillError> {
        let ledger = Ledger::open(index, signer, Duration::from_secs(60))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|source| DrillError::Copy { path: index.to_owned(), source })?;
        let rounds = (0..LEDGER / PER_ROUND).flat_map(|number| self.round(number));
        let mut drafts = self.begin().into_iter().chain(rounds).map(|(draft, _)| draft).peekable();
        // Some at once, as requests come: a commit is for many.
        while drafts.peek().is_some() {
            let batch: Vec<_> = drafts.by_ref().take(256).map(|draft| ledger.record(draft)).collect();
            let results = runtime.block_on(futures_util::future::join_all(batch));
            if let Some(error) = results.into_iter().find_map(Result::err) {
                return Err(DrillError::Sample(error));
            }
        }
        Ok(())
    }

    fn begin(&self) -> [Numberless; 2] {
        let rules = ActivatedRules { rules: RULES, contractors: self.contractors.to_vec(), change: None };
        let started = Started { version: env!("CARGO_PKG_VERSION") };
        [(Draft::started(id(), &started), None), (Draft::rules(id(), &rules), None)]
    }

    /// Single records, a list in two parts of which other entries stand between, a refusal, and now and
    /// then a response about very many customers.
    fn round(&self, number: u64) -> Vec<Numberless> {
        let (one, two) = ((number % 2) as usize, ((number + 1) % 2) as usize);
        let stream = id();
        let part = |part, last| Some(StreamPart { part, last });
        let single = |contractor| self.disclosure(id(), contractor, 1, number, None);
        let mut drafts = vec![
            (single(one), Some(one)),
            (self.disclosure(stream.clone(), two, 20, number, part(1, false)), Some(two)),
            (single(one), Some(one)),
            (self.refusal(one), Some(one)),
            (self.disclosure(stream, two, 20, number, part(2, true)), Some(two)),
            (single(two), Some(two)),
            (self.disclosure(id(), one, 20, number, None), Some(one)),
            (single(two), Some(two)),
            (self.signal(one), Some(one)),
        ];
        if number % 8 == 3 {
            drafts.push((self.disclosure(id(), one, MANY, number, None), Some(one)));
        }
        drafts
    }

    fn parties(&self, contractor: usize) -> Parties<'static> {
        let contractor = self.contractors.get(contractor).copied().unwrap_or_default();
        Parties { contractor, credential: "drill-key" }
    }

    fn disclosure(
        &self,
        id: String,
        contractor: usize,
        subjects: usize,
        seed: u64,
        stream: Option<StreamPart>,
    ) -> Draft {
        let name = |at: usize| SubjectPseudonym((u128::from(seed) << 64 | at as u128).to_be_bytes());
        Draft::disclosure(Disclosure {
            id,
            parties: self.parties(contractor),
            request: Request { method: "GET", route: Some("/drill") },
            rules: RULES,
            disclosed: Disclosed {
                task: "drill",
                purpose: "Show that tampering is found",
                consent_purpose: None,
                basis: "contract",
                legal: None,
                agreement: "DRILL-1",
                jurisdictions: Jurisdictions { from: self.country, to: self.country },
                transfer: None,
                upstream: "drill",
                status: 200,
                bytes: 64 * subjects as u64,
                records: RecordCounts {
                    released: subjects as u64,
                    withheld: 0,
                    not_admitted: 0,
                    without_subject: 0,
                },
                canaries: 0,
                members_withheld: 0,
                fields: Vec::new(),
                stream,
            },
            epoch: 1,
            subjects: (0..subjects).map(name).collect(),
            subjects_per_day: u64::MAX,
            decided: None,
        })
    }

    fn signal(&self, contractor: usize) -> Draft {
        let Parties { contractor, credential } = self.parties(contractor);
        let credential = Some(credential);
        let (task, route, entries) = (Some("drill"), Some("/drill"), vec![id()]);
        let (signal, details) = ("enumeration", &HashMap::from([("numbers", 20)]));
        Draft::signal(id(), &Signal { signal, contractor, credential, task, route, details, entries })
    }

    fn refusal(&self, contractor: usize) -> Draft {
        let (task, cause) = (None, None);
        let refused = Refused { task, status: 404, code: "not-found", cause, not_written: 0, after_parts: 0 };
        let request = Request { method: "GET", route: Some("/drill") };
        Draft::refusal(id(), self.parties(contractor), request, RULES, &refused)
    }
}

/// The entry with another content.
pub fn with(leaf: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut entry: Value = serde_json::from_slice(leaf).unwrap_or_default();
    change(&mut entry);
    serde_json::to_vec(&entry).unwrap_or_default()
}

/// The history without its entry `at`: those after it move up, and where the gap is hidden, the
/// contractor's entries are numbered anew too.
pub fn without(leaves: &[Vec<u8>], at: usize, hide_gap: bool) -> Vec<Vec<u8>> {
    let contractor = leaves.get(at).map(|leaf| text(leaf, "contractor")).unwrap_or_default();
    let up = |leaf: &Vec<u8>| {
        with(leaf, |entry| {
            let less = |member: &Value| Value::from(member.as_u64().unwrap_or_default().saturating_sub(1));
            entry["index"] = less(&entry["index"]);
            if hide_gap && entry["contractor"] == contractor.as_str() {
                entry["sequence"] = less(&entry["sequence"]);
            }
        })
    };
    let (before, after) = leaves.split_at(at);
    before.iter().cloned().chain(after.iter().skip(1).map(up)).collect()
}

/// A member of an entry as text.
pub fn text(leaf: &[u8], member: &str) -> String {
    let entry: Value = serde_json::from_slice(leaf).unwrap_or_default();
    entry.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn id() -> String {
    uuid::Uuid::now_v7().to_string()
}
