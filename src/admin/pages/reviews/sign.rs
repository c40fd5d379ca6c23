//! Signs a review off: its entry in the ledger first, and then nothing changes any more.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::ledger::{OwnKind, Query, Search};

use super::super::super::guard::{Act, Fault, See, Who, blocking, rights};
use super::super::super::house::House;
use super::super::super::store::{Campaign, State, now};
use super::one::{self, One};
use super::{date, sha256};

/// Bytes of the decisions that the entry lists.
const ROOM: usize = 40 << 10;
/// Microseconds that an entry takes to be written at most; after that, it is there or never will be.
const PATIENCE: i64 = 60_000_000;
/// Sign-offs that are looked at for one whose end is not known.
const RECENT: usize = 50;

/// What is signed off.
#[derive(Deserialize, ToSchema)]
pub struct SignOff {
    /// The `seen` of the review: where something was decided since then, it is not signed off.
    seen: String,
}

/// What is kept of a review: its SHA-256 is in the ledger.
#[derive(Serialize, Deserialize)]
struct Evidence {
    /// What this is.
    document: String,
    version: u32,
    signed_by: String,
    role: String,
    /// When: in UTC.
    time: String,
    #[serde(flatten)]
    one: One,
}

/// A review as it was signed off.
pub fn signed(house: &House, review: Campaign) -> Result<One, Fault> {
    let text = house.store.evidence(review.id)?.unwrap_or_default();
    let kept: Evidence = serde_json::from_str(&text).map_err(|error| Fault::Inside(error.into()))?;
    Ok(One { review, is_late: false, ..kept.one })
}

fn entry(one: &One, sha256: &str) -> Value {
    let (mut listed, mut room) = (Vec::new(), ROOM);
    for item in one.items() {
        let Some(decided) = item.counts() else { continue };
        let mut line = json!({
            "task": item.task, "route": item.route, "path": item.path, "decision": decided.decision,
        });
        for (name, value) in [("transform", &item.transform), ("becomes", &decided.becomes)] {
            if !value.is_empty() {
                line[name] = json!(value);
            }
        }
        let size = line.to_string().len() + 1;
        if size > room {
            break;
        }
        room -= size;
        listed.push(line);
    }
    json!({
        "contractor": one.review.contractor, "review": one.review.id,
        "from": date(one.review.from_day), "to": date(one.review.to_day),
        "kept": one.kept, "reduced": one.reduced, "revoked": one.revoked,
        "rules": one.rules, "evidence_sha256": sha256,
        "not_listed": one.all() - listed.len(), "decisions": listed,
    })
}

/// Ends a sign-off that was broken off: its entry is in the ledger, which is this node's own, or not. `None` where it is
/// ended.
fn settle(house: &House, review: &Campaign) -> Result<Option<()>, Fault> {
    if let Some(node) = house.store.signed_elsewhere(review.id)? {
        return Err(Fault::Conflict(format!(
            "It is being signed off at node {node}. Where that was broken off, sign it off there."
        )));
    }
    let sha256 = review.evidence_sha256.as_deref().unwrap_or("none");
    let query = Query { kind: Some("review".to_owned()), ..Query::default() };
    let page = Search::open(&house.config.ledger.path)?.page(&query, RECENT)?;
    let is_it = |leaf: &str| {
        let leaf: Value = serde_json::from_str(leaf).unwrap_or_default();
        leaf["evidence_sha256"] == sha256
    };
    if let Some(row) = page.rows.iter().find(|row| is_it(&row.leaf)) {
        house.store.end_sign_off(review.id, row.position)?;
        return Ok(None);
    }
    if review.signed.is_some_and(|at| now() - at < PATIENCE) {
        return Err(Fault::Conflict("It is being signed off. Look again in a minute.".into()));
    }
    house.store.reopen_review(review.id)?;
    Ok(Some(()))
}

/// Makes the evidence of what is seen and keeps it; no decision is taken from here on. `None` where an earlier
/// sign-off turns out to be complete.
fn prepare(house: &House, who: &Who, id: i64, seen: &str) -> Result<Option<(One, String)>, Fault> {
    let review = house.store.review(id)?.ok_or(Fault::Missing("review"))?;
    match review.state {
        State::Signed => return Err(Fault::Conflict("It is signed off already.".into())),
        State::Signing if settle(house, &review)?.is_none() => return Ok(None),
        _ => {}
    }
    if !house.store.begin_sign_off(id, who.name())? {
        return Err(Fault::Conflict("It is being signed off by somebody else.".into()));
    }
    let made = evidence_of(house, who, id, seen);
    if made.is_err() {
        house.store.reopen_review(id)?;
    }
    made.map(Some)
}

fn evidence_of(house: &House, who: &Who, id: i64, seen: &str) -> Result<(One, String), Fault> {
    let review = house.store.review(id)?.ok_or(Fault::Missing("review"))?;
    let one = one::current(house, review)?;
    if one.undecided > 0 {
        return Err(Fault::Conflict(format!(
            "{} of {} permissions are not decided.",
            one.undecided,
            one.all()
        )));
    }
    if one.seen != seen {
        return Err(Fault::Conflict(
            "Something was decided, or the rules changed, since you looked. Look again.".into(),
        ));
    }
    if one.counted.is_none() {
        return Err(Fault::Conflict("Not all of the period is counted yet. Look again in a minute.".into()));
    }
    let evidence = Evidence {
        document: "Fieldgate review of a contractor's permissions".into(),
        version: 1,
        signed_by: who.name().to_owned(),
        role: who.session.role.as_str().to_owned(),
        time: super::words::time(now()),
        one: One { review: Campaign { state: State::Signed, ..one.review.clone() }, ..one.clone() },
    };
    let text = serde_json::to_string_pretty(&evidence).map_err(|error| Fault::Inside(error.into()))?;
    let hash = sha256(text.as_bytes());
    house.store.keep_evidence(id, &one.rules, &text, &hash)?;
    Ok((one, hash))
}

async fn sign_off(id: i64, act: Act<rights::Review, SignOff>) -> Result<One, Fault> {
    let Act { house, who, form, .. } = act;
    let (inside, by) = (house.clone(), who.clone());
    let prepared = blocking(move || prepare(&inside, &by, id, &form.seen)).await?;
    if let Some((one, hash)) = prepared {
        // Where that fails, nobody knows whether it is in the ledger: the next sign-off finds out.
        let position = house.note_as(OwnKind::Review, &who, "signed-off", entry(&one, &hash)).await?;
        let inside = house.clone();
        blocking(move || inside.store.end_sign_off(id, position)).await?;
    }
    blocking(move || one::load(&house, id)).await
}

pub async fn form(Path(id): Path<i64>, act: Act<rights::Review, SignOff>) -> Result<Response, Fault> {
    sign_off(id, act).await?;
    Ok(Redirect::to(&format!("/reviews/{id}")).into_response())
}

pub async fn model(Path(id): Path<i64>, act: Act<rights::Review, SignOff>) -> Result<Json<One>, Fault> {
    Ok(Json(sign_off(id, act).await?))
}

/// The bytes that the ledger has the SHA-256 of.
pub async fn evidence(see: See<rights::View>, Path(id): Path<i64>) -> Result<Response, Fault> {
    let house = see.house;
    let text = blocking(move || house.store.evidence(id)).await?;
    let text = text.ok_or(Fault::Missing("evidence: the review is not signed off"))?;
    let name = format!("attachment; filename=\"review-{id}.json\"");
    let headers = [(CONTENT_TYPE, "application/json".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, text).into_response())
}
