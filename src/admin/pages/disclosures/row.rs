//! An entry in a list.

use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::View;

/// An entry, in a line.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryRow {
    /// Its number in the ledger.
    pub position: u64,
    pub id: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub kind: String,
    /// `disclosed`, the code of a refusal, the name of a signal, or the kind.
    pub outcome: String,
    pub contractor: Option<String>,
    pub task: Option<String>,
    pub method: Option<String>,
    pub route: Option<String>,
    pub country: Option<String>,
    /// Fields of which values left.
    pub fields: Vec<String>,
    pub records: Option<u64>,
    /// Distinct customers.
    pub customers: Option<u64>,
    /// It is about a planted customer.
    pub canary: bool,
    /// In words: what a signal found, who did what.
    pub note: Option<String>,
}

impl EntryRow {
    /// None where the bytes are not an entry.
    pub fn of(position: u64, leaf: &str) -> Option<Self> {
        let entry = View::parse(leaf.as_bytes()).ok()?;
        let owned = |text: &Option<std::borrow::Cow<str>>| text.as_deref().map(str::to_owned);
        let left = entry.fields.iter().filter(|field| field.disclosed > 0);
        let note = match (&entry.by, &entry.action) {
            (Some(by), Some(action)) => Some(format!("{by}: {action}")),
            (Some(by), None) => Some(by.to_string()),
            _ => entry.findings(),
        };
        Some(EntryRow {
            position,
            id: entry.id.to_string(),
            time: entry.time,
            kind: entry.kind.to_string(),
            outcome: entry.outcome().to_owned(),
            contractor: owned(&entry.contractor),
            task: owned(&entry.task),
            method: owned(&entry.method),
            route: owned(&entry.route),
            country: entry.country().map(str::to_owned),
            fields: left.map(|field| field.path.to_string()).collect(),
            records: entry.records.map(|records| records.released),
            customers: entry.subjects_total,
            canary: entry.canary,
            note,
        })
    }

    /// How an outcome is shown.
    pub fn class(&self) -> &'static str {
        match self.kind.as_str() {
            "disclosure" if self.canary => "bad",
            "disclosure" => "good",
            "signal" if self.outcome == "canary" => "bad",
            "signal" => "warn",
            "refusal" => "",
            _ => "accent",
        }
    }
}
