//! What the rules mean, ready to be asked: look-up tables, compiled filters, and a digest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use jiff::civil::Date;

use crate::diagnostic::Source;
use crate::filter::{FieldCount, Filter, Path, Selection};
use crate::model::{
    Admission, Basis, Canaries, ContractorId, Country, CredentialId, Jurisdictions, RulesDigest, Subject,
    SubjectKey, TaskId, TransferMechanism,
};
use crate::token::{KeyStore, TokenRule};

use super::access::Access;
use super::file::{Limits, Method, Proof};
use super::legal::Grant;
use super::openapi::Document;
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
    /// The upstreams' own documents, where the operator has them.
    pub documents: BTreeMap<String, Arc<Document>>,
}

/// All rules of a directory, compiled. Immutable: a request keeps the plan that it began with.
#[derive(Debug)]
pub struct Plan {
    pub digest: RulesDigest,
    /// What it was made of, for comparisons.
    pub sources: Vec<Arc<Source>>,
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
    /// How it can show them.
    pub(super) schemes: BTreeSet<Scheme>,
    /// Its interface, as an OpenAPI document in JSON. Made last, of a plan without errors.
    pub interface: Bytes,
    /// Planted customers: who sees one has looked where there is nothing to do.
    pub canaries: Canaries,
    /// For each credential, when the log was last told that its certificate ends soon.
    pub(super) endings: Vec<Ending>,
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
    /// Whose records alone leave, and until when.
    pub legal: Option<Grant>,
    /// What consent is asked for, where it has another name than the task.
    pub consent: Option<TaskId>,
    pub limits: Limits,
    pub access: Access,
}

#[derive(Debug)]
pub struct Route {
    /// Index into [`Contractor::tasks`].
    pub task: usize,
    /// Tells the routes of a task apart: `GET /orders/{order_id}`.
    pub methods_and_path: String,
    pub template: PathTemplate,
    pub(super) parameters: Parameters,
    /// Its request has a body.
    pub(super) has_body: bool,
    pub methods: Vec<Method>,
    pub upstream: String,
    pub query: Vec<String>,
    /// Reduces a response.
    pub filter: Filter,
    /// What the filter was made from, for explanations.
    pub selection: Selection,
    /// Checks a request body; `None`: the route takes no body.
    pub accept: Option<Filter>,
    /// What that was made from.
    pub accepted: Vec<Path>,
    /// What the filter's fields are called, in its order.
    pub fields: Vec<FieldLabel>,
    pub(super) drift: Told,
    pub(super) sampled: Told,
}

/// How a credential is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scheme {
    Certificate,
    ApiKey,
    Token,
}

/// The end of the certificate that a credential was shown with last.
#[derive(Debug, Default)]
pub(super) struct Ending {
    told: Told,
    /// Seconds since 1970-01-01T00:00:00Z; 0 where none was shown yet.
    at: AtomicU64,
}

/// When the log was last told of something that happens with many requests.
#[derive(Debug, Default)]
pub(super) struct Told(AtomicU64);

/// Seconds between two lines about one route whose upstream does not fit its rule.
const DRIFT_LOG: u64 = 60;
/// Seconds between two lines about one credential whose certificate ends soon.
const ENDING_LOG: u64 = 86_400;
/// Seconds.
const DAY: i64 = 86_400;
/// How long before its end.
const ENDING_DAYS: i64 = 30;

/// A disclosed field, as the ledger names it.
#[derive(Debug)]
pub struct FieldLabel {
    pub path: String,
    /// The transform's name, or `whole`, or nothing for a plain path.
    pub treatment: Option<&'static str>,
    /// A data category of fideslang.
    pub category: Option<&'static str>,
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
    /// When the certificate ends that a credential was shown with last, in seconds since 1970-01-01T00:00:00Z, to
    /// the day.
    pub fn certificate_end(&self, credential: usize) -> Option<i64> {
        let at = self.endings.get(credential)?.at.load(Ordering::Relaxed);
        (at > 0).then_some(at as i64)
    }

    /// When the certificate ends that a credential was shown with last, since these rules came into force; whole
    /// days from now.
    pub fn certificate_days_left(&self, credential: usize) -> Option<i64> {
        let at = self.endings.get(credential)?.at.load(Ordering::Relaxed);
        (at > 0).then(|| (at as i64 - super::now()).div_euclid(DAY))
    }

    /// Takes down when a credential's certificate that was shown ends, and tells the log, once a day, where that is
    /// soon.
    pub fn note_ending(&self, credential: usize, days_left: i64) {
        let ending = &self.endings[credential];
        // The second half of the day: it is read as so many whole days again for twelve hours at least.
        let at = super::now() + days_left * DAY + DAY / 2;
        ending.at.store(u64::try_from(at).unwrap_or_default(), Ordering::Relaxed);
        if days_left <= ENDING_DAYS && ending.told.is_due(ENDING_LOG) {
            let (contractor, credential) = (self.id.as_str(), self.credentials[credential].as_str());
            tracing::warn!(contractor, credential, days_left, "a contractor's certificate ends soon");
        }
    }

    /// Indexes of the routes that serve `path` today, whatever the method. A task whose grant is not in force is as
    /// if it were not written: it stands before no other one either.
    pub fn routes_for(&self, path: &RequestPath) -> Vec<usize> {
        self.routes_of(path, Task::is_in_force)
    }

    /// As [`routes_for`](Self::routes_for), of the tasks that `takes` takes.
    pub fn routes_of(&self, path: &RequestPath, takes: impl Fn(&Task) -> bool) -> Vec<usize> {
        let fits = |route: &Route| takes(&self.tasks[route.task]) && route.accepts(path);
        let accepting =
            |group: &[usize]| group.iter().copied().filter(|route| fits(&self.routes[*route])).collect();
        self.router
            .find(path)
            .into_iter()
            .map(accepting)
            .find(|routes: &Vec<usize>| !routes.is_empty())
            .unwrap_or_default()
    }
}

/// Lets all customers through.
#[derive(Debug)]
struct Everybody;

impl Admission for Everybody {
    fn admits(&self, subject: Option<Subject>) -> bool {
        subject.is_some()
    }
}

impl Task {
    /// False where it is a legal grant that has not begun, or that has ended.
    pub fn is_in_force(&self) -> bool {
        self.legal.as_ref().is_none_or(|grant| grant.is_in_force(super::today()))
    }

    /// What customers consent or object to, by name.
    pub fn consent_purpose(&self) -> &str {
        self.consent.as_ref().unwrap_or(&self.id).as_str()
    }

    /// Whose records may leave by a legal grant; `None` on another basis.
    pub fn granted(&self) -> Option<Arc<dyn Admission>> {
        self.legal.as_ref().map(Grant::admission)
    }

    /// Whose records would leave if every customer had consented: for examples, where nobody is to be asked.
    pub fn assumed(&self) -> Option<Arc<dyn Admission>> {
        match self.basis {
            Basis::Contract => None,
            Basis::Consent => Some(Arc::new(Everybody)),
            Basis::LegalObligation => self.granted(),
        }
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

    fn accepts(&self, path: &RequestPath) -> bool {
        self.template.accepts(path, &self.parameters)
    }
}
