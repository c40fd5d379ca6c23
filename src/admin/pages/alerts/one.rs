//! One alert, and the entries behind it.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::{Search, View};

use super::super::super::alerts::can_be_muted;
use super::super::super::guard::{Fault, Right, See, blocking, rights};
use super::super::super::house::House;
use super::super::super::store::{AlertState, Mute, now};
use super::super::super::words;
use super::super::{Shell, html};
use super::AlertShown;

/// Microseconds.
const DAY: i64 = 86_400_000_000;
/// Entries that are shown of those behind an alert.
const ENTRIES: usize = 40;

/// An alert with all that there is to know about it.
#[derive(Serialize, ToSchema)]
pub struct AlertInFull {
    #[serde(flatten)]
    alert: AlertShown,
    /// The entries behind it.
    entries: Vec<BehindAlert>,
    /// Requests behind it whose entries are gone: their content was deleted, or refusals were counted instead.
    missing: u64,
    /// Alerts of this signal about the same contractor in the last 30 days, this one too.
    alike: u64,
    /// Mutes that hold for it.
    mutes: Vec<Mute>,
}

/// An entry behind an alert.
#[derive(Serialize, ToSchema)]
struct BehindAlert {
    /// Its number in the ledger.
    index: u64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    time: i64,
    kind: String,
    /// `disclosed`, or the code of the refusal.
    outcome: String,
    task: Option<String>,
    route: Option<String>,
    /// Records that left.
    records: Option<u64>,
    /// Customers that it is about.
    subjects: Option<u64>,
}

/// Finds it. It blocks.
fn load(house: &House, number: u64) -> Result<AlertInFull, Fault> {
    let mut alert = house.store.alert(number)?.ok_or(Fault::Missing("alert"))?;
    if house.config.ledger.fleet.is_some() && alert.raised.entry.is_some() {
        // The node that raised it may have read its own entries only, which are numbered in another way.
        alert.raised.entry = house.search()?.with_id(&alert.raised.id)?.first().copied();
    }
    let (kind, contractor) = (&alert.raised.kind, &alert.raised.contractor);
    let mut mutes = house.store.mutes()?;
    mutes
        .retain(|mute| mute.signal == *kind && (mute.contractor.is_none() || mute.contractor == *contractor));
    let (mut entries, mut missing) = (Vec::new(), 0);
    if !alert.raised.requests.is_empty() {
        let search = house.search()?;
        for id in &alert.raised.requests {
            let found = behind(&search, id)?;
            missing += u64::from(found.is_empty());
            entries.extend(found);
        }
    }
    entries.sort_by_key(|entry| entry.index);
    entries.dedup_by_key(|entry| entry.index);
    entries.truncate(ENTRIES);
    let alike = house.store.alike(&alert, now() - 30 * DAY)?;
    Ok(AlertInFull { alert: AlertShown::of(&alert), entries, missing, alike, mutes })
}

/// The entries of a request.
fn behind(search: &Search, id: &str) -> Result<Vec<BehindAlert>, Fault> {
    let mut found = Vec::new();
    for index in search.with_id(id)? {
        let Some(leaf) = search.log().entry(index)? else { continue };
        let Ok(entry) = View::parse(&leaf) else { continue };
        let owned = |text: &Option<std::borrow::Cow<str>>| text.as_deref().map(str::to_owned);
        found.push(BehindAlert {
            index,
            time: entry.time,
            kind: entry.kind.to_string(),
            outcome: entry.outcome().to_owned(),
            task: owned(&entry.task),
            route: owned(&entry.route),
            records: entry.records.map(|records| records.released),
            subjects: entry.subjects_total,
        });
    }
    Ok(found)
}

/// The number in an address.
pub type Number = Result<Path<u64>, PathRejection>;

pub fn number(number: Number) -> Result<u64, Fault> {
    number.map(|Path(number)| number).map_err(|_| Fault::Missing("alert"))
}

pub async fn model(see: See<rights::View>, asked: Number) -> Result<Json<AlertInFull>, Fault> {
    let asked = number(asked)?;
    blocking(move || load(&see.house, asked)).await.map(Json)
}

#[derive(Template)]
#[template(path = "alert.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    full: AlertInFull,
    details: Vec<(String, String)>,
    may_decide: bool,
    can_be_muted: bool,
    /// Days, as forms write them.
    tomorrow: String,
    in_a_week: String,
    in_a_year: String,
}

pub async fn page(see: See<rights::View>, asked: Number) -> Result<Response, Fault> {
    let (house, asked) = (Arc::clone(&see.house), number(asked)?);
    let full = blocking(move || load(&house, asked)).await?;
    let told = &full.alert.told;
    html(&Page {
        shell: Shell::new(&see.house, &see.who, "/alerts"),
        details: details(&told.details),
        may_decide: see.who.may(Right::Acknowledge),
        can_be_muted: can_be_muted(&told.signal),
        tomorrow: words::day(now() + DAY),
        in_a_week: words::day(now() + 7 * DAY),
        in_a_year: words::day(now() + 365 * DAY),
        full,
    })
}

/// Names and values, as they are read.
fn details(details: &serde_json::Value) -> Vec<(String, String)> {
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) => {
            let texts = list.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned));
            texts.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    let members = details.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.replace('_', " "), plain(value))).collect()
}
