//! What each contractor can see, and what it did see.

mod one;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ledger::{Suspension, SuspensionAction, SuspensionEvent};
use crate::rules::{Plan, today};

use super::super::api::Operation;
use super::super::guard::{Act, Asks, Entrance, Fault, Right, See, Who, blocking, rights};
use super::super::house::House;
use super::super::rollup::DAY;
use super::super::store::now;
use super::super::words;
use super::{Counted, Shell, html};

/// Bytes of what somebody says about an order.
const MAX_TEXT: usize = 2000;
/// Days that use is counted over.
const PERIOD: i64 = 30;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/contractors", get(page))
        .route("/contractors/{id}", get(one::page))
        .route("/contractors/{id}/suspend", post(suspend))
        .route("/contractors/{id}/resume", post(resume))
        .route("/api/v1/contractors", get(model))
        .route("/api/v1/contractors/{id}", get(one::model))
        .route("/api/v1/contractors/{id}/suspend", post(suspend_model))
        .route("/api/v1/contractors/{id}/resume", post(resume_model))
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get::<Contractors>("/api/v1/contractors", Right::View, "All contractors"),
        Operation::get::<one::One>(
            "/api/v1/contractors/{id}",
            Right::View,
            "What a contractor can see, and what it did see",
        )
        .with("days", "Over how many days back, 7 to 366; 90 where it is left out"),
        Operation::post::<Order, Done>(
            "/api/v1/contractors/{id}/suspend",
            Right::Suspend,
            "Give a contractor nothing any more",
        ),
        Operation::post::<Order, Done>(
            "/api/v1/contractors/{id}/resume",
            Right::Resume,
            "End a contractor's suspension",
        ),
    ]
}

/// All contractors.
#[derive(Serialize, ToSchema)]
struct Contractors {
    contractors: Vec<Summary>,
    /// Those that the ledger or a suspension knows, and the rules do not.
    former: Vec<Former>,
    counted: Counted,
}

#[derive(Serialize, ToSchema)]
struct Former {
    id: String,
    suspended: bool,
}

#[derive(Serialize, ToSchema)]
struct Summary {
    id: String,
    name: String,
    service: String,
    /// Where the data goes.
    country: String,
    agreement: String,
    /// From this day on (UTC) nothing leaves.
    expires: String,
    days_left: i64,
    suspended: bool,
    tasks: usize,
    /// In the last 30 days.
    disclosures: u64,
    /// About how many.
    customers: u64,
}

fn load(house: &House) -> Result<Contractors, Fault> {
    let (plan, suspended, counts) = (house.plan(), house.suspensions()?.contractors, house.counts()?);
    let day = now().div_euclid(DAY);
    let mut contractors = Vec::new();
    for contractor in &plan.contractors {
        let id = contractor.id.to_string();
        let (mut disclosures, mut customers) = (0, 0);
        if let Some(counts) = &counts {
            let days = counts.calendar(&id, day - PERIOD + 1, day + 1)?;
            disclosures = days.iter().map(|day| day.disclosures).sum();
            customers = counts.about_customers(&id, None, day - PERIOD + 1, day + 1)?;
        }
        contractors.push(Summary {
            name: contractor.name.clone(),
            service: contractor.service.clone(),
            country: contractor.jurisdictions.to.to_string(),
            agreement: contractor.agreement.reference.clone(),
            expires: contractor.agreement.expires.to_string(),
            days_left: i64::from((contractor.agreement.expires - today()).get_days()),
            suspended: suspended.contains_key(&id),
            tasks: contractor.tasks.len(),
            disclosures,
            customers,
            id,
        });
    }
    let former = former(house, &plan, &suspended)?;
    Ok(Contractors { contractors, former, counted: Counted::of(house, counts.as_ref()) })
}

fn former(
    house: &House,
    plan: &Plan,
    suspended: &BTreeMap<String, Suspension>,
) -> Result<Vec<Former>, Fault> {
    let mut ids: BTreeSet<String> = house.search()?.contractors()?.into_iter().collect();
    ids.extend(suspended.keys().cloned());
    ids.retain(|id| plan.contractors.iter().all(|known| known.id.as_str() != id));
    let former = ids.into_iter().map(|id| Former { suspended: suspended.contains_key(&id), id });
    Ok(former.collect())
}

async fn loaded(see: &See<rights::View>) -> Result<Contractors, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || load(&house)).await
}

async fn model(see: See<rights::View>) -> Result<Json<Contractors>, Fault> {
    Ok(Json(loaded(&see).await?))
}

#[derive(Template)]
#[template(path = "contractors.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    all: Contractors,
    who: Who,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    let all = loaded(&see).await?;
    html(&Page { shell: Shell::new(&see.house, &see.who, "/contractors"), all, who: see.who })
}

/// Why.
#[derive(Deserialize, ToSchema)]
struct Order {
    reason: String,
}

/// What was done is this entry of the ledger.
#[derive(Serialize, ToSchema)]
struct Done {
    entry: u64,
}

async fn suspend(Path(id): Path<String>, act: Act<rights::Suspend, Order>) -> Result<Response, Fault> {
    let back = back(&act.house, &id);
    order(&id, act, SuspensionAction::Suspended).await?;
    Ok(back.into_response())
}

async fn resume(Path(id): Path<String>, act: Act<rights::Resume, Order>) -> Result<Response, Fault> {
    let back = back(&act.house, &id);
    order(&id, act, SuspensionAction::Resumed).await?;
    Ok(back.into_response())
}

/// What rules do not name any more has no page of its own.
fn back(house: &House, id: &str) -> Redirect {
    let is_known = house.plan().contractors.iter().any(|known| known.id.as_str() == id);
    if is_known { Redirect::to(&format!("/contractors/{id}")) } else { Redirect::to("/contractors") }
}

async fn suspend_model(
    Path(id): Path<String>,
    act: Act<rights::Suspend, Order>,
) -> Result<Json<Done>, Fault> {
    Ok(Json(order(&id, act, SuspensionAction::Suspended).await?))
}

async fn resume_model(Path(id): Path<String>, act: Act<rights::Resume, Order>) -> Result<Json<Done>, Fault> {
    Ok(Json(order(&id, act, SuspensionAction::Resumed).await?))
}

async fn order<R: Asks>(id: &str, act: Act<R, Order>, action: SuspensionAction) -> Result<Done, Fault> {
    let Act { house, who, form: Order { reason }, .. } = act;
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.len() > MAX_TEXT {
        return Err(Fault::Wrong(format!("Say why, in at most {MAX_TEXT} bytes.")));
    }
    // What rules do not name any more can still be suspended; a slip must not pass for a suspension.
    let is_known = house.plan().contractors.iter().any(|known| known.id.as_str() == id);
    let (asked, name) = (Arc::clone(&house), id.to_owned());
    let (is_seen, is_suspended) = blocking(move || {
        let suspended = asked.suspensions()?.contractors.contains_key(&name);
        let seen = is_known || suspended || asked.search()?.contractors()?.contains(&name);
        Ok::<_, Fault>((seen, suspended))
    })
    .await?;
    if !is_seen {
        return Err(Fault::Missing("contractor"));
    }
    match action {
        SuspensionAction::Resumed if !is_suspended => {
            return Err(Fault::Conflict("It is not suspended.".into()));
        }
        SuspensionAction::Suspended | SuspensionAction::Resumed => {}
    }
    let by = who.name().to_owned();
    let event = SuspensionEvent { contractor: id.to_owned(), action, by, reason };
    let entry = house.orders.suspend(event).await.map_err(|error| match action {
        // What keeps data in does not wait for its entry.
        SuspensionAction::Suspended => Fault::HalfDone(error),
        SuspensionAction::Resumed => Fault::Ledger(error),
    })?;
    Ok(Done { entry })
}
