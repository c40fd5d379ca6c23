//! One rule file as it is written: every value typed, and remembered with its place.

use jiff::civil::Date;
use regex::Regex;

use crate::diagnostic::table::At;
use crate::filter::{Condition, Kinds, Path, Shape};
use crate::model::{Basis, Canaries, ContractorId, Country, CredentialId, Rate, TaskId, TransferMechanism};
use crate::token::TokenRule;

use super::access::Access;
use super::legal::Grant;
use super::template::PathTemplate;

#[derive(Debug)]
pub struct RuleFile {
    pub id: At<ContractorId>,
    pub name: String,
    pub service: String,
    pub jurisdiction: At<Country>,
    pub contact: String,
    pub agreement: Agreement,
    pub credentials: Vec<Credential>,
    /// Planted customers.
    pub canaries: Canaries,
    pub tasks: Vec<Task>,
}

/// The contract with the contractor.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub reference: String,
    pub effective: At<Date>,
    /// From this day on (UTC) every request is refused.
    pub expires: At<Date>,
    pub transfer: Option<At<TransferMechanism>>,
}

#[derive(Debug)]
pub struct Credential {
    pub id: At<CredentialId>,
    pub proof: At<Proof>,
}

/// How a credential is recognised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The one URI name of a verified client certificate.
    SanUri(String),
    /// A DNS name of a verified client certificate, in lower case.
    SanDns(String),
    /// SHA-256 of a verified client certificate.
    Fingerprint([u8; 32]),
    /// SHA-256 of an API key.
    ApiKey([u8; 32]),
    /// A signed token.
    Token(TokenRule),
}

#[derive(Debug)]
pub struct Task {
    pub id: At<TaskId>,
    pub purpose: String,
    pub basis: At<Basis>,
    /// There for basis `legal-obligation`, and for no other. Its place is that of `expires`.
    pub legal: Option<At<Grant>>,
    /// What consent is asked for, where it has another name than the task; of a contract task, what a customer
    /// may object to.
    pub consent: Option<TaskId>,
    /// It is for payment: card numbers leave as they are.
    pub payment: bool,
    /// It has a table [task.limits].
    pub says_limits: bool,
    pub limits: Limits,
    pub access: Access,
    pub routes: Vec<Route>,
}

/// How much a task may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Per credential.
    pub requests: Rate,
    pub burst: u32,
    /// Requests at the same time, per credential.
    pub concurrent: usize,
    /// Distinct subjects in a day (UTC), whole contractor.
    pub subjects_per_day: u64,
}

#[derive(Debug)]
pub struct Route {
    pub path: At<PathTemplate>,
    pub methods: Vec<At<Method>>,
    pub upstream: At<String>,
    pub query: Vec<String>,
    pub params: Vec<At<(String, Regex)>>,
    /// The members of a request body that the route takes; `None`: it takes no body.
    pub accept: Option<Vec<At<Path>>>,
    pub records: Option<At<Path>>,
    pub subject: Option<At<Path>>,
    pub when: Option<At<Condition>>,
    pub disclose: At<Vec<Field>>,
}

impl Route {
    /// Nothing stands in for where it leads and what its paths begin from.
    pub fn is_understood(&self) -> bool {
        let known = |path: &Option<At<Path>>| path.as_ref().is_none_or(|path| !path.stands_in);
        !self.path.stands_in && known(&self.records) && known(&self.subject)
    }

    /// There is a path and a method that both serve.
    pub fn shares_requests_with(&self, other: &Route) -> bool {
        let lists = |method: &At<Method>| {
            !method.stands_in && other.methods.iter().any(|own| !own.stands_in && own.value == method.value)
        };
        let known = !self.path.stands_in && !other.path.stands_in;
        known && self.path.value.overlaps(&other.path.value) && self.methods.iter().any(lists)
    }
}

/// A method that a route may list; HEAD follows GET (RFC 9110, section 9.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    pub const WORDS: &'static [&'static str] = &["GET", "POST", "PUT", "PATCH", "DELETE"];

    pub fn new(text: &str) -> Option<Self> {
        const ALL: [Method; 5] = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];
        ALL.into_iter().find(|method| method.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

#[derive(Debug)]
pub struct Field {
    /// The path as it is written: its name in the ledger.
    pub text: At<String>,
    pub path: Path,
    pub treatment: Written,
    /// What the field must be.
    pub shape: Option<Shape>,
    /// What is masked in its text, beside card numbers.
    pub scan: Kinds,
    /// A data category of fideslang, for the record of processing activities.
    pub category: Option<&'static str>,
}

/// A treatment as it is written, before it meets its contractor and upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Plain,
    Whole,
    Last4,
    Mask { keep_first: usize, keep_last: usize },
    Initials,
    EmailDomain,
    Year,
    Truncate { length: usize },
    Pseudonym,
    Redact,
    RewriteUrl,
}

impl Default for Limits {
    /// Generous: enough for a batch, too little for a harvest of everything in an hour.
    fn default() -> Self {
        Limits { requests: Rate::DEFAULT, burst: 200, concurrent: 64, subjects_per_day: 100_000 }
    }
}
