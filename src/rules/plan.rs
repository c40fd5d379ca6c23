//! What the rules mean, ready to be asked: look-up tables, compiled filters, and a digest.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::civil::Date;

use crate::filter::{FieldCount, Filter, Selection};
use crate::model::{
    Basis, Canaries, ContractorId, Country, CredentialId, Jurisdictions, RulesDigest, SubjectKey, TaskId,
    TransferMechanism,
};
use crate::token::{KeyStore, TokenRule};

use super::access::Access;
use super::file::{Limits, Method, Proof};
use super::template::{Parameters, PathTemplate, RequestPath, Router};

/// What rules stand in: they name upstreams, cross borders, and make pseudonyms.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where the data comes from.
    pub jurisdiction: Country,
    /// Each upstream's URLs, without a slash at their ends; they differ in host and port only.
    pub upstreams: BTreeMap<String, Vec<String>>,
    /// Makes contractors' names for customers.
    pub pseudonym_key: SubjectKey,
    /// What paths in rule files are relative to.
    pub home: PathBuf,
}

/// All rules of a directory, compiled. Immutable: a request keeps the plan that it began with.
#[derive(Debug)]
pub struct Plan {
    pub digest: RulesDigest,
    pub contractors: Vec<Arc<Contractor>>,
    pub(super) holders: HashMap<Proof, Holder>,
    pub(super) api_keys: Vec<([u8; 32], Holder)>,
    /// By issuer, then by subject.
    pub(super) tokens: HashMap<String, HashMap<String, Vec<TokenHolder>>>,
    /// The keys of issuers, one store for each source. The plan is made without them.
    pub key_stores: Vec<Arc<KeyStore>>,
}

/// Whose credential a token is, and what it is held against.
#[derive(Debug)]
pub struct TokenHolder {
    pub rule: TokenRule,
    pub keys: Arc<KeyStore>,
    pub holder: Holder,
}

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub contractor: usize,
    pub credential: usize,
}

#[derive(Debug)]
pub struct Contractor {
    pub id: ContractorId,
    pub name: String,
    pub service: String,
    pub contact: String,
    pub jurisdictions: Jurisdictions,
    pub agreement: Agreement,
    pub credentials: Vec<CredentialId>,
    /// Planted customers: who sees one has looked where there is nothing to do.
    pub canaries: Canaries,
    /// For each credential, when the log was last told that its certificate ends soon.
    pub(super) endings: Vec<Told>,
    pub tasks: Vec<Task>,
    pub routes: Vec<Route>,
    pub(super) router: Router,
}

#[derive(Debug)]
pub struct Agreement {
    pub reference: String,
    pub effective: Date,
    pub expires: Date,
    pub transfer: Option<TransferMechanism>,
}

#[derive(Debug)]
pub struct Task {
    pub id: TaskId,
    pub purpose: String,
    pub basis: Basis,
    pub limits: Limits,
    pub access: Access,
}

#[derive(Debug)]
pub struct Route {
    /// Index into [`Contractor::tasks`].
    pub task: usize,
    pub template: PathTemplate,
    pub(super) parameters: Parameters,
    pub methods: Vec<Method>,
    pub upstream: String,
    pub query: Vec<String>,
    /// Reduces a response.
    pub filter: Filter,
    /// What the filter was made from, for explanations.
    pub selection: Selection,
    /// Checks a request body; `None`: the route takes no body.
    pub accept: Option<Filter>,
    /// What the filter's fields are called, in its order.
    pub fields: Vec<FieldLabel>,
    pub(super) drift: Told,
    pub(super) sampled: Told,
}

/// When the log was last told of something that happens with many requests.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicU64);

/// Seconds between two lines about one route whose upstream does not fit its rule.
const DRIFT_LOG: u64 = 60;
/// Seconds between two lines about one credential whose certificate ends soon.
const ENDING_LOG: u64 = 86_400;
/// How long before its end.
const ENDING_DAYS: i64 = 30;

/// A disclosed field, as the ledger names it.
#[derive(Debug)]
pub struct FieldLabel {
    pub path: String,
    /// The transform's name, or `whole`, or nothing for a plain path.
    pub treatment: Option<&'static str>,
}

impl Plan {
    /// Who holds the credential that a verified certificate proves.
    pub fn holder(&self, proof: &Proof) -> Option<Holder> {
        self.holders.get(proof).copied()
    }

    /// Who holds an API key, by its SHA-256. Each known key is compared, each in constant time.
    pub fn holder_of_key(&self, hash: &[u8; 32]) -> Option<Holder> {
        let mut found = None;
        for (known, holder) in &self.api_keys {
            if aws_lc_rs::constant_time::verify_slices_are_equal(known, hash).is_ok() {
                found = Some(*holder);
            }
        }
        found
    }

    /// Who may hold a token that says it is from `issuer` and about `subject`.
    pub fn token_holders(&self, issuer: &str, subject: &str) -> &[TokenHolder] {
        let holders = self.tokens.get(issuer).and_then(|subjects| subjects.get(subject));
        holders.map_or(&[], Vec::as_slice)
    }

    pub fn contractor(&self, holder: Holder) -> &Arc<Contractor> {
        &self.contractors[holder.contractor]
    }
}

impl Told {
    /// True at most once in so many seconds.
    fn is_due(&self, pause: u64) -> bool {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = since.map_or(1, |since| since.as_secs());
        let last = self.0.load(Ordering::Relaxed);
        let due = now >= last.saturating_add(pause);
        due && self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Holder {
    /// Two credentials of the same contractor.
    pub fn same_contractor(self, other: Holder) -> bool {
        self.contractor == other.contractor
    }
}

impl Contractor {
    /// Tells the log, once a day, of a credential whose certificate was shown and ends soon.
    pub fn note_ending(&self, credential: usize, days_left: i64) {
        if days_left <= ENDING_DAYS && self.endings[credential].is_due(ENDING_LOG) {
            let (contractor, credential) = (self.id.as_str(), self.credentials[credential].as_str());
            tracing::warn!(contractor, credential, days_left, "a contractor's certificate ends soon");
        }
    }

    /// Indexes of the routes that serve `path`, whatever the method.
    pub fn routes_for(&self, path: &RequestPath) -> Vec<usize> {
        let accepting = |group: &[usize]| {
            group.iter().copied().filter(|route| self.routes[*route].accepts(path)).collect()
        };
        self.router
            .find(path)
            .into_iter()
            .map(accepting)
            .find(|routes: &Vec<usize>| !routes.is_empty())
            .unwrap_or_default()
    }
}

impl Route {
    /// Tells the log where fields are not what the rule says that they are, for each route once a minute.
    pub fn note_drift(&self, counts: &[FieldCount]) {
        if counts.iter().all(|count| count.drifted == 0) {
            return;
        }
        if self.drift.is_due(DRIFT_LOG) {
            let drifted = self.fields.iter().zip(counts).filter(|(_, count)| count.drifted > 0);
            for (field, count) in drifted {
                tracing::warn!(
                    code = "shape-drift",
                    route = self.template.as_str(),
                    path = field.path,
                    values = count.drifted,
                    "values were withheld that are not what the rule says"
                );
            }
        }
    }

    /// True at most once in so many seconds: then an answer of the upstream is looked at for its shape.
    pub fn is_sample_due(&self, pause: u64) -> bool {
        self.sampled.is_due(pause)
    }

    /// Tells the routes of a task apart: `GET /orders/{order_id}`.
    pub fn methods_and_path(&self) -> String {
        let methods: Vec<&str> = self.methods.iter().map(|method| method.as_str()).collect();
        format!("{} {}", methods.join(","), self.template.as_str())
    }

    fn accepts(&self, path: &RequestPath) -> bool {
        self.template.accepts(path, &self.parameters)
    }
}
