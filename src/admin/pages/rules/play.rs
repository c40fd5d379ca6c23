//! The play-ground: a JSON text in, what a contractor gets of it out. Nothing of it is kept.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::filter::{Fate, explain};
use crate::rules::fixture::Call;
use crate::rules::{Plan, reason};

use super::super::super::guard::{Act, Fault, See, blocking, rights};
use super::super::{Shell, html};

/// Values that are shown; the reduced body is whole.
const SHOWN: usize = 2000;
/// Bytes of a body: an explanation is thorough, not quick.
const MAX_BODY: usize = 128 << 10;

/// What somebody wants to see.
#[derive(Clone, Default, Deserialize, ToSchema)]
pub struct Try {
    contractor: String,
    /// As the contractor calls it: `/orders/504499`.
    path: String,
    #[serde(default)]
    task: String,
    #[serde(default)]
    method: String,
    /// What the upstream answers.
    body: String,
}

/// What the contractor would get.
#[derive(Serialize, ToSchema)]
pub struct Tried {
    task: String,
    purpose: String,
    route: String,
    /// The status of the answer.
    status: u16,
    /// The reduced body, where there is one.
    reduced: Option<String>,
    /// Why there is none, and what else is to be known.
    notes: Vec<String>,
    values: Vec<Value>,
    /// Values that are not listed.
    more: usize,
}

/// A value of the body, and what becomes of it.
#[derive(Serialize, ToSchema)]
struct Value {
    #[serde(skip)]
    indent: usize,
    name: String,
    text: String,
    fate: &'static str,
    /// What leaves in its place.
    to: Option<String>,
    why: String,
}

/// A contractor, and what it may call.
struct Choice {
    id: String,
    name: String,
    routes: Vec<String>,
}

#[derive(Template)]
#[template(path = "rules_try.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    choices: Vec<Choice>,
    asked: Try,
    tried: Option<Result<Tried, String>>,
}

fn choices(plan: &Plan) -> Vec<Choice> {
    let choice = |contractor: &Arc<crate::rules::Contractor>| Choice {
        id: contractor.id.to_string(),
        name: contractor.name.clone(),
        routes: contractor.routes.iter().map(|route| route.methods_and_path.clone()).collect(),
    };
    plan.contractors.iter().map(choice).collect()
}

pub async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    let choices = choices(&see.house.plan());
    let shell = Shell::new(&see.house, &see.who, "/rules");
    html(&Page { shell, choices, asked: Try::default(), tried: None })
}

pub async fn play(act: Act<rights::View, Try>) -> Result<Response, Fault> {
    let plan = act.house.plan();
    let (choices, asked) = (choices(&plan), act.form.clone());
    let tried = attempt(plan, act.form).await?;
    html(&Page { shell: Shell::new(&act.house, &act.who, "/rules"), choices, asked, tried: Some(tried) })
}

pub async fn model(act: Act<rights::View, Try>) -> Result<Json<Tried>, Fault> {
    attempt(act.house.plan(), act.form).await?.map(Json).map_err(Fault::Wrong)
}

async fn attempt(plan: Arc<Plan>, asked: Try) -> Result<Result<Tried, String>, Fault> {
    if asked.body.len() > MAX_BODY {
        return Ok(Err(format!(
            "At most {} KiB are tried here; `fieldgate explain` takes more.",
            MAX_BODY >> 10
        )));
    }
    blocking(move || Ok::<_, Fault>(run(&plan, &asked))).await
}

/// What would happen, or why nothing can be said.
fn run(plan: &Plan, asked: &Try) -> Result<Tried, String> {
    let method = if asked.method.is_empty() { "GET" } else { &asked.method };
    let call = Call {
        contractor: asked.contractor.clone(),
        path: asked.path.trim().to_owned(),
        method: method.to_owned(),
        task: (!asked.task.is_empty()).then(|| asked.task.clone()),
    };
    let (contractor, route) = call.route(plan).map_err(|error| format!("{error}: it would get 404"))?;
    let task = &contractor.tasks[route.task];
    let mut tried = Tried {
        task: task.id.to_string(),
        purpose: task.purpose.clone(),
        route: route.template.as_str().to_owned(),
        status: 200,
        reduced: None,
        notes: Vec::new(),
        values: Vec::new(),
        more: 0,
    };
    if !task.is_in_force() {
        tried
            .notes
            .push("The legal grant of this task is not in force: a request gets 404 today.".to_owned());
    }
    if task.basis == crate::model::Basis::Consent {
        tried.notes.push(format!("Shown as if the customers had consented to {}.", task.consent_purpose()));
    }
    let explanation = match explain(&route.filter, &route.selection, asked.body.as_bytes(), task.assumed()) {
        Ok(explanation) => explanation,
        Err(fault) => {
            tried.status = 502;
            tried.notes.push(format!("Nothing would leave: {fault}."));
            return Ok(tried);
        }
    };
    tried.more = explanation.values.len().saturating_sub(SHOWN);
    tried.values = explanation
        .values
        .iter()
        .take(SHOWN)
        .map(|value| {
            let (fate, to) = match &value.fate {
                Fate::Container => ("", None),
                Fate::Kept(_) => ("leaves", None),
                Fate::Changed(_, to) => ("changed", Some(to.clone())),
                Fate::Withheld(_)
                | Fate::Drifted(_)
                | Fate::Unlisted
                | Fate::Condition
                | Fate::NotAdmitted => ("stays", None),
            };
            Value {
                indent: value.depth.min(12),
                name: value
                    .name
                    .clone()
                    .or(value.index.map(|index| format!("[{index}]")))
                    .unwrap_or_default(),
                text: value.text.clone(),
                fate,
                to,
                why: reason(route, task.basis, value),
            }
        })
        .collect();
    tried.reduced = explanation.reduced.map(|body| String::from_utf8_lossy(&body).into_owned());
    if tried.reduced.is_none() {
        tried.status = 404;
        tried.notes.push(
            "The record's condition does not hold, or its customer is not let through: 404.".to_owned(),
        );
    }
    Ok(tried)
}
