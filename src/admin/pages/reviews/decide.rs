//! Decides permissions: one, some, or all that were used.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::rules::suggest::Stricter;

use super::super::super::guard::{Act, Fault, Who, blocking, rights};
use super::super::super::house::House;
use super::super::super::store::{Decision, State, now};
use super::super::html;
use super::one::{self, Answer, Decided, Item, One};

/// Bytes of a reason.
const MAX_REASON: usize = 500;

/// Decisions about permissions of a review; all of them are taken, or none.
#[derive(Deserialize, ToSchema)]
pub struct Decisions {
    decisions: Vec<Decide>,
}

/// A decision about one permission.
#[derive(Deserialize, ToSchema)]
struct Decide {
    /// The `id` of the permission in the review.
    item: String,
    /// `keep`, `reduce` or `revoke`.
    decision: String,
    /// The transform that it is reduced to.
    #[serde(default)]
    becomes: String,
    /// Needed to reduce and to revoke. Without anything about a customer.
    #[serde(default)]
    reason: String,
}

impl Decide {
    /// `keep`, `reduce:last4`, `revoke`: as forms have it.
    fn of(item: &str, choice: &str, reason: &str) -> Self {
        let (decision, becomes) = choice.split_once(':').unwrap_or((choice, ""));
        Decide {
            item: item.to_owned(),
            decision: decision.to_owned(),
            becomes: becomes.to_owned(),
            reason: reason.trim().to_owned(),
        }
    }

    /// Why it cannot be taken.
    fn problem(&self, item: &Item) -> Option<String> {
        let fits = || Stricter::new(&self.becomes).is_some_and(|to| item.stricter.contains(&to));
        let known = match self.decision.as_str() {
            "keep" | "revoke" => self.becomes.is_empty(),
            "reduce" => fits(),
            _ => false,
        };
        if !known {
            return Some("Keep it, revoke it, or reduce it to what is offered.".into());
        }
        if self.decision != "keep" && self.reason.trim().is_empty() {
            return Some("Say why.".into());
        }
        if self.reason.len() > MAX_REASON || self.reason.chars().any(char::is_control) {
            return Some(format!("A reason is one line of at most {MAX_REASON} bytes."));
        }
        None
    }

    fn decision(&self, item: &Item, who: &Who, file: &str) -> Decision {
        Decision {
            task: item.task.clone(),
            route: item.route.clone(),
            path: item.path.clone(),
            transform: item.transform.clone(),
            decision: self.decision.clone(),
            becomes: self.becomes.clone(),
            reason: self.reason.clone(),
            by: who.name().to_owned(),
            at: now(),
            file: file.to_owned(),
        }
    }
}

fn open(house: &House, id: i64) -> Result<One, Fault> {
    let one = one::load(house, id)?;
    if one.review.state == State::Open { Ok(one) } else { Err(closed()) }
}

fn closed() -> Fault {
    Fault::Conflict(
        "The review is signed off, or is being signed off: its decisions do not change any more.".into(),
    )
}

fn find<'o>(one: &'o One, decide: &Decide) -> Result<&'o Item, Fault> {
    one.items().find(|item| item.id == decide.item).ok_or(Fault::Missing("permission; load the page again"))
}

/// Takes those that can be taken; why the others cannot, by their permission.
fn take(house: &House, who: &Who, one: &One, asked: &[Decide]) -> Result<HashMap<String, String>, Fault> {
    let (mut problems, mut taken) = (HashMap::new(), Vec::new());
    for decide in asked {
        let item = find(one, decide)?;
        match decide.problem(item) {
            Some(problem) => _ = problems.insert(item.id.clone(), problem),
            None => taken.push(decide.decision(item, who, &one.file)),
        }
    }
    if house.store.decide(one.review.id, &taken)? { Ok(problems) } else { Err(closed()) }
}

pub async fn model(Path(id): Path<i64>, act: Act<rights::Review, Decisions>) -> Result<Json<One>, Fault> {
    let Act { house, who, form, .. } = act;
    blocking(move || {
        let one = open(&house, id)?;
        for decide in &form.decisions {
            if let Some(problem) = decide.problem(find(&one, decide)?) {
                return Err(Fault::Wrong(format!("{}: {problem}", decide.item)));
            }
        }
        take(&house, &who, &one, &form.decisions)?;
        Ok(Json(one::load(&house, id)?))
    })
    .await
}

/// What a form says: `decision-…` and `reason-…` for each permission.
type Fields = HashMap<String, String>;

/// What a form asks for one permission; nothing where it chooses nothing, or what is decided already.
fn asked(fields: &Fields, item: &Item) -> Option<Decide> {
    let field = |name: &str| fields.get(&format!("{name}-{}", item.id)).map_or("", String::as_str);
    let decide = Decide::of(&item.id, field("decision"), field("reason"));
    let is_known =
        item.counts().is_some() && item.choice() == field("decision") && item.reason() == decide.reason;
    (!decide.decision.is_empty() && !is_known).then_some(decide)
}

/// All permissions at once, as a page without script sends them.
pub async fn form(Path(id): Path<i64>, act: Act<rights::Review, Fields>) -> Result<Response, Fault> {
    let Act { house, who, form, .. } = act;
    let inside = (Arc::clone(&house), who.clone());
    let failed = blocking(move || {
        let (house, who) = inside;
        let one = open(&house, id)?;
        let mut asks: Vec<Decide> = one.items().filter_map(|item| asked(&form, item)).collect();
        if form.get("action").is_some_and(|action| action == "keep-used") {
            let free = |item: &&Item| {
                item.was_used()
                    && item.counts().is_none()
                    && !asks.iter().any(|decide| decide.item == item.id)
            };
            let used: Vec<_> =
                one.items().filter(free).map(|item| Decide::of(&item.id, "keep", "")).collect();
            asks.extend(used);
        }
        let problems = take(&house, &who, &one, &asks)?;
        if problems.is_empty() {
            return Ok::<_, Fault>(None);
        }
        let mut one = one::load(&house, id)?;
        for item in one.items_mut() {
            let Some(problem) = problems.get(&item.id) else { continue };
            item.problem = Some(problem.clone());
            if let Some(decide) = asks.iter().find(|decide| decide.item == item.id) {
                item.decision = Some(decide.shown(&who));
            }
        }
        Ok(Some(one))
    })
    .await?;
    match failed {
        None => Ok(Redirect::to(&format!("/reviews/{id}")).into_response()),
        Some(one) => one::show(&house, &who, one),
    }
}

impl Decide {
    /// What was asked for and is not taken, so that nobody has to write it again.
    fn shown(&self, who: &Who) -> Decided {
        Decided {
            decision: self.decision.clone(),
            becomes: self.becomes.clone(),
            reason: self.reason.clone(),
            by: who.name().to_owned(),
            at: now(),
            is_stale: true,
        }
    }
}

/// One permission, as it is decided on the page.
pub async fn item(
    Path((id, item)): Path<(i64, String)>,
    act: Act<rights::Review, Fields>,
) -> Result<Response, Fault> {
    let Act { house, who, form, .. } = act;
    let answer = blocking(move || {
        let one = open(&house, id)?;
        let asked = match one.items().find(|known| known.id == item) {
            Some(known) => asked(&form, known),
            None => return Err(Fault::Missing("permission; load the page again")),
        };
        let problems = take(&house, &who, &one, asked.as_slice())?;
        let problem = problems.get(&item).cloned();
        Ok(Answer { one: one::load(&house, id)?, id: item, problem })
    })
    .await?;
    html(&answer)
}
