//! An alert as others are told of it: by pages, by the interface for programs, by webhook and syslog.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::store::{Alert, Severity};
use super::kinds::{kind, sentence};

/// An alert, in words. It holds what its entry holds: no value of a customer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Told {
    /// Counts up from 1.
    pub number: u64,
    /// The same alert has the same id, however often it is sent.
    pub id: String,
    /// Such as `enumeration`.
    pub signal: String,
    pub severity: Severity,
    pub title: String,
    /// What happened.
    pub what: String,
    /// Why that matters.
    pub why: String,
    /// What to do about it.
    pub advice: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contractor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The path template of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// In a fleet, the node that raised it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it is, in numbers.
    #[schema(value_type = Object)]
    pub details: Value,
    /// The number of its entry in the ledger; trouble with the ledger has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Ids of the last requests behind it.
    pub requests: Vec<String>,
}

impl Told {
    pub fn of(alert: &Alert) -> Self {
        let raised = alert.raised.clone();
        let words = kind(&raised.kind);
        Told {
            number: alert.number,
            what: sentence(&raised.kind, &raised.details),
            title: words.title.to_owned(),
            why: words.why.to_owned(),
            advice: words.advice.to_owned(),
            id: raised.id,
            signal: raised.kind,
            severity: raised.severity,
            time: raised.time,
            contractor: raised.contractor,
            credential: raised.credential,
            task: raised.task,
            route: raised.route,
            node: alert.node.clone(),
            details: raised.details,
            entry: raised.entry,
            requests: raised.requests,
        }
    }
}
