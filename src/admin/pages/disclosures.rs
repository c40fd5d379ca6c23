//! What was disclosed, by what a reviewer asks for.

mod export;
mod filter;
mod known;
mod row;

use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::Query as Parameters;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::Query;
use crate::rules::Plan;

use super::super::api::Operation;
use super::super::guard::{Entrance, Fault, Right, See, Who, blocking, rights};
use super::super::house::House;
use super::super::store::now;
use super::super::words;
use super::{Shell, html};

pub use filter::Filter;
pub use row::EntryRow;

use known::{BASES, KINDS};

/// Entries on a page.
const PAGE: usize = 50;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/disclosures", get(page))
        .route("/disclosures/export", post(export::export))
        .route("/api/v1/entries", get(model))
        .route("/api/v1/exports", post(export::export))
}

pub fn operations() -> Vec<Operation> {
    let entries =
        Operation::get::<Entries>("/api/v1/entries", Right::View, "Entries that fit, the newest first");
    let entries = filter::NAMES.iter().fold(entries, |entries, (name, what)| entries.with(name, what));
    vec![
        entries.with("before", "Only entries before this number: `next` of the page before"),
        Operation::file::<export::Export>(
            "/api/v1/exports",
            Right::Export,
            "Entries that fit, the oldest first",
            "application/octet-stream",
        ),
    ]
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
struct Entries {
    entries: Vec<EntryRow>,
    /// `before` of the next page, where there is one.
    next: Option<u64>,
    /// Entries in the ledger: the answer is complete up to there.
    size: u64,
}

/// What can be chosen.
struct Choices {
    contractors: Vec<(String, String)>,
    tasks: BTreeSet<String>,
    fields: BTreeSet<String>,
    routes: BTreeSet<String>,
    countries: BTreeSet<String>,
    outcomes: Vec<&'static str>,
}

impl Choices {
    fn of(plan: &Plan, seen: &[String]) -> Self {
        let all = plan.contractors.iter();
        let mut contractors: Vec<(String, String)> =
            all.clone().map(|contractor| (contractor.id.to_string(), contractor.name.clone())).collect();
        for id in seen {
            if !contractors.iter().any(|(known, _)| known == id) {
                contractors.push((id.clone(), format!("{id} (no longer in the rules)")));
            }
        }
        let routes = all.clone().flat_map(|contractor| &contractor.routes);
        Choices {
            contractors,
            tasks: all.clone().flat_map(|one| &one.tasks).map(|task| task.id.to_string()).collect(),
            fields: routes.clone().flat_map(|route| &route.fields).map(|field| field.path.clone()).collect(),
            routes: routes.map(|route| route.template.as_str().to_owned()).collect(),
            countries: all.map(|contractor| contractor.jurisdictions.to.to_string()).collect(),
            outcomes: known::outcomes(),
        }
    }
}

#[derive(Template)]
#[template(path = "disclosures.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    who: Who,
    filter: Filter,
    choices: Choices,
    /// What is found, or what is wrong with the filter.
    found: Result<Entries, String>,
    /// Days of quick ranges, and when they begin.
    ranges: Vec<(&'static str, String)>,
}

/// Searches, once the ledger has an entry about it where something was asked for; further pages are asked for too.
async fn search(see: &See<rights::View>, filter: &Filter) -> Result<Result<Entries, String>, Fault> {
    let query = match filter.query(now()) {
        Ok(query) => query,
        Err(wrong) => return Ok(Err(wrong)),
    };
    if !filter.before.is_empty() || !filter.is_empty() {
        let described = described(&see.house, filter, &query).await?;
        see.house.note(&see.who, "search", described).await?;
    }
    let house = Arc::clone(&see.house);
    blocking(move || found(&house, &query)).await.map(Ok)
}

fn found(house: &House, query: &Query) -> Result<Entries, Fault> {
    let page = house.search()?.page(query, PAGE)?;
    let next = page.rows.last().map(|row| row.position).filter(|_| page.more);
    let entries = page.rows.iter().map(|row| EntryRow::of(row.position, &row.leaf)).collect();
    Ok(Entries { entries, next, size: page.size })
}

/// A filter, for the entry about a search or an export.
async fn described(house: &Arc<House>, filter: &Filter, query: &Query) -> Result<serde_json::Value, Fault> {
    let (house, filter, query) = (Arc::clone(house), filter.clone(), query.clone());
    blocking(move || {
        let plan = house.plan();
        let seen = match &query.contractor {
            Some(_) => house.search()?.contractors()?,
            None => Vec::new(),
        };
        Ok::<_, Fault>(filter.described(&query, &plan, &seen))
    })
    .await
}

async fn model(
    see: See<rights::View>,
    Parameters(filter): Parameters<Filter>,
) -> Result<Json<Entries>, Fault> {
    search(&see, &filter).await?.map(Json).map_err(Fault::Wrong)
}

async fn page(see: See<rights::View>, Parameters(filter): Parameters<Filter>) -> Result<Response, Fault> {
    let found = search(&see, &filter).await?;
    let house = Arc::clone(&see.house);
    let choices = blocking(move || choices(&house)).await?;
    let day = |days: i64| words::day(now() - days * super::super::rollup::DAY);
    let ranges = vec![("today", day(0)), ("the last 7 days", day(6)), ("the last 30 days", day(29))];
    let shell = Shell::new(&see.house, &see.who, "/disclosures");
    html(&Page { shell, who: see.who, filter, choices, found, ranges })
}

fn choices(house: &House) -> Result<Choices, Fault> {
    let seen = house.search()?.contractors()?;
    Ok(Choices::of(&house.plan(), &seen))
}
