//! Legal holds: entries that a query finds are kept, whatever their age. A hold is itself an entry, and so is
//! its end.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::model::SubjectPseudonym;

use super::error::StoreError;
use super::gathered::Origins;
use super::query::{Order, Query, Search};
use super::view::View;

/// The event of a `hold` entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    pub by: String,
    pub action: HoldAction,
    /// The case, by which it is lifted.
    pub name: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub filter: HoldFilter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldAction {
    Placed,
    Lifted,
}

/// A [`Query`], as an entry says it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HoldFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
    /// The names of one customer, in all key epochs that there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
}

impl From<&Query> for HoldFilter {
    fn from(query: &Query) -> Self {
        let words = [
            ("kind", &query.kind),
            ("contractor", &query.contractor),
            ("credential", &query.credential),
            ("task", &query.task),
            ("route", &query.route),
            ("field", &query.field),
            ("outcome", &query.outcome),
            ("basis", &query.basis),
            ("case", &query.case),
            ("country", &query.country),
        ];
        let words = words.into_iter().filter_map(|(name, word)| Some((name.to_owned(), word.clone()?)));
        let names = query.subject.as_ref().map(|names| names.iter().map(ToString::to_string).collect());
        HoldFilter { since: query.since, until: query.until, words: words.collect(), names }
    }
}

impl HoldFilter {
    pub fn query(&self) -> Query {
        let word = |name: &str| self.words.get(name).cloned();
        let names = self.names.as_ref();
        Query {
            since: self.since,
            until: self.until,
            kind: word("kind"),
            contractor: word("contractor"),
            credential: word("credential"),
            task: word("task"),
            route: word("route"),
            field: word("field"),
            outcome: word("outcome"),
            basis: word("basis"),
            case: word("case"),
            country: word("country"),
            subject: names
                .map(|names| names.iter().filter_map(|name| SubjectPseudonym::parse(name)).collect()),
            before: None,
        }
    }
}

/// The holds that are in force, by name: all that were placed under it since it was lifted last.
///
/// # Errors
/// Where the ledger cannot be read, or an entry about a hold cannot: nothing may then be deleted.
pub fn holds(search: &Search) -> Result<BTreeMap<String, Vec<Hold>>, StoreError> {
    let mut active: BTreeMap<String, Vec<(i64, Hold)>> = BTreeMap::new();
    // There, a lift may come behind a hold that was placed after it, on another node.
    let is_gathered = Origins::open(search.log().folder())?.is_some();
    let query = Query { kind: Some("hold".to_owned()), ..Query::default() };
    search.each(&query, Order::OldestFirst, |position, leaf| {
        let hold: Hold = serde_json::from_slice(leaf).map_err(|_| StoreError::Broken {
            path: search.log().folder().to_owned(),
            what: format!("entry {position} is about a hold and cannot be read"),
        })?;
        let time = View::parse(leaf).map_or(i64::MAX, |entry| entry.time);
        match hold.action {
            HoldAction::Placed => active.entry(hold.name.clone()).or_default().push((time, hold)),
            HoldAction::Lifted => {
                let placed = active.entry(hold.name.clone()).or_default();
                placed.retain(|(at, _)| is_gathered && *at > time);
                if placed.is_empty() {
                    active.remove(&hold.name);
                }
            }
        }
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    let without_times = |placed: Vec<(i64, Hold)>| placed.into_iter().map(|(_, hold)| hold).collect();
    Ok(active.into_iter().map(|(name, placed)| (name, without_times(placed))).collect())
}
