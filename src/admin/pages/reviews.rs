//! Reviews of what contractors may see, and their sign-off.

mod change;
mod decide;
mod one;
mod sign;

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::ToSpan;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::rules::today;

use super::super::api::Operation;
use super::super::guard::{Act, Entrance, Fault, Right, See, Who, blocking, rights};
use super::super::house::House;
use super::super::rollup::DAY;
use super::super::store::{Campaign, State, now};
use super::super::words;
use super::{Shell, html};

/// Signed reviews that are listed.
const SIGNED: usize = 100;
/// Days that are looked at, and days until it is due, where the form says nothing else.
const PERIOD: i64 = 90;
const TERM: i64 = 14;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/reviews", get(page).post(begin))
        .route("/reviews/{id}", get(one::page))
        .route("/reviews/{id}/decisions", post(decide::form))
        .route("/reviews/{id}/items/{item}", post(decide::item))
        .route("/reviews/{id}/patch", get(change::file))
        .route("/reviews/{id}/sign-off", post(sign::form))
        .route("/reviews/{id}/evidence", get(sign::evidence))
        .route("/api/v1/reviews", get(model).post(begin_model))
        .route("/api/v1/reviews/{id}", get(one::model))
        .route("/api/v1/reviews/{id}/decisions", post(decide::model))
        .route("/api/v1/reviews/{id}/sign-off", post(sign::model))
}

pub fn operations() -> Vec<Operation> {
    let one = "/api/v1/reviews/{id}";
    vec![
        Operation::get::<Reviews>("/api/v1/reviews", Right::View, "Reviews of contractors"),
        Operation::post::<Begin, Campaign>("/api/v1/reviews", Right::Review, "Begin a review"),
        Operation::get::<one::One>(
            one,
            Right::View,
            "A review: each permission, its use, and what was decided",
        ),
        Operation::post::<decide::Decisions, one::One>(
            "/api/v1/reviews/{id}/decisions",
            Right::Review,
            "Keep, reduce or revoke permissions",
        ),
        Operation::post::<sign::SignOff, one::One>(
            "/api/v1/reviews/{id}/sign-off",
            Right::Review,
            "Sign a review off, when all of it is decided",
        ),
    ]
}

/// All reviews.
#[derive(Serialize, ToSchema)]
struct Reviews {
    /// The most urgent first.
    open: Vec<Listed>,
    /// The newest first.
    signed: Vec<Listed>,
    /// Of those that are open, the ones whose day has passed.
    late: usize,
}

/// A review in the list.
#[derive(Serialize, ToSchema)]
struct Listed {
    #[serde(flatten)]
    review: Campaign,
    /// The contractor's.
    name: String,
    is_late: bool,
}

impl Listed {
    fn from(&self) -> String {
        date(self.review.from_day)
    }

    fn to(&self) -> String {
        date(self.review.to_day)
    }

    fn due(&self) -> String {
        date(self.review.due)
    }
}

/// A review to begin.
#[derive(Deserialize, ToSchema)]
struct Begin {
    contractor: String,
    /// The first day, such as 2026-09-01; empty for 90 days before the last one.
    #[serde(default)]
    from: String,
    /// The last day; empty for today.
    #[serde(default)]
    to: String,
    /// Until when it is to be signed off; empty for in 14 days.
    #[serde(default)]
    due: String,
}

/// Days since 1970-01-01.
fn number(date: Date) -> i64 {
    let since = date.duration_since(Date::constant(1970, 1, 1));
    since.as_hours() / 24
}

/// `2026-11-26`, of such a day.
fn date(day: i64) -> String {
    words::day(day.saturating_mul(DAY))
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(house: &House, id: &str) -> String {
    let plan = house.plan();
    let known = plan.contractors.iter().find(|known| known.id.as_str() == id);
    known.map_or_else(|| id.to_owned(), |known| known.name.clone())
}

fn load(house: &House) -> Result<Reviews, Fault> {
    let today = number(today());
    let listed = |review: Campaign| {
        let (name, is_late) = (name_of(house, &review.contractor), review.is_late(today));
        Listed { review, name, is_late }
    };
    let all = house.store.reviews(SIGNED)?.into_iter().map(listed);
    let (signed, open): (Vec<Listed>, Vec<Listed>) = all.partition(|one| one.review.state == State::Signed);
    let late = open.iter().filter(|one| one.is_late).count();
    Ok(Reviews { open, signed, late })
}

async fn loaded(see: &See<rights::View>) -> Result<Reviews, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || load(&house)).await
}

async fn model(see: See<rights::View>) -> Result<Json<Reviews>, Fault> {
    Ok(Json(loaded(&see).await?))
}

#[derive(Template)]
#[template(path = "reviews.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    reviews: Reviews,
    /// Ids and names.
    contractors: Vec<(String, String)>,
    may: bool,
    from: String,
    to: String,
    due: String,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    let reviews = loaded(&see).await?;
    let plan = see.house.plan();
    let contractors = plan.contractors.iter().map(|one| (one.id.to_string(), one.name.clone())).collect();
    let today = number(today());
    html(&Page {
        shell: Shell::new(&see.house, &see.who, "/reviews"),
        reviews,
        contractors,
        may: see.who.may(Right::Review),
        from: date(today - PERIOD + 1),
        to: date(today),
        due: date(today + TERM),
    })
}

fn day(text: &str, otherwise: Date) -> Result<Date, Fault> {
    if text.is_empty() {
        return Ok(otherwise);
    }
    let day: Option<Date> = text.parse().ok();
    let day = day.filter(|day| (2000..=2200).contains(&day.year()));
    day.ok_or_else(|| Fault::Wrong("A day is written as 2026-11-26.".into()))
}

impl Begin {
    fn review(self, house: &House, who: &Who) -> Result<Campaign, Fault> {
        let plan = house.plan();
        if !plan.contractors.iter().any(|known| known.id.as_str() == self.contractor) {
            return Err(Fault::Missing("contractor"));
        }
        let today = today();
        let to = day(&self.to, today)?;
        let from = day(&self.from, to.saturating_sub((PERIOD - 1).days()))?;
        let due = day(&self.due, today.saturating_add(TERM.days()))?;
        if from > to {
            return Err(Fault::Wrong("The first day of the period is after its last one.".into()));
        }
        if due < today {
            return Err(Fault::Wrong("The day until which it is to be signed off has passed.".into()));
        }
        Ok(Campaign {
            id: 0,
            contractor: self.contractor,
            from_day: number(from),
            to_day: number(to),
            due: number(due),
            begun: now(),
            begun_by: who.name().to_owned(),
            rules: plan.digest.as_str().to_owned(),
            state: State::Open,
            signed: None,
            signed_by: None,
            position: None,
            evidence_sha256: None,
        })
    }
}

async fn begun(act: Act<rights::Review, Begin>) -> Result<Campaign, Fault> {
    let Act { house, who, form, .. } = act;
    let new = form.review(&house, &who)?;
    let about = json!({
        "reviewed": new.contractor, "from": date(new.from_day), "to": date(new.to_day), "due": date(new.due),
    });
    house.note(&who, "begin-review", about).await?;
    blocking(move || {
        let id = house.store.begin_review(&new)?;
        Ok::<_, Fault>(Campaign { id, ..new })
    })
    .await
}

async fn begin(act: Act<rights::Review, Begin>) -> Result<Response, Fault> {
    let review = begun(act).await?;
    Ok(Redirect::to(&format!("/reviews/{}", review.id)).into_response())
}

async fn begin_model(act: Act<rights::Review, Begin>) -> Result<Json<Campaign>, Fault> {
    Ok(Json(begun(act).await?))
}
