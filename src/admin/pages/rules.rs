//! The rules in force, those before, and a place to try them.

mod play;

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query as Parameters};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::diagnostic::Source;
use crate::ledger::{Query, View};
use crate::rules::diff::{self, Written};
use crate::rules::{Plan, shown};

use super::super::api::Operation;
use super::super::guard::{Entrance, Fault, Right, See, blocking, rights};
use super::super::house::House;
use super::super::store::KeptRules;
use super::super::words;
use super::{Shell, html};

/// Changes of rules that are shown.
const HISTORY: usize = 50;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/rules", get(page))
        .route("/rules/compare", get(compare_page))
        .route("/rules/try", get(play::page).post(play::play))
        .route("/rules/{digest}", get(digest_page))
        .route("/api/v1/rules", get(model))
        .route("/api/v1/rules/compare", get(compare_model))
        .route("/api/v1/rules/try", post(play::model))
        .route("/api/v1/rules/{digest}", get(digest_model))
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get::<Rules>("/api/v1/rules", Right::View, "The rules in force, and those before"),
        Operation::get::<Compared>(
            "/api/v1/rules/compare",
            Right::View,
            "Two states of the rules, compared in terms of data",
        )
        .with("from", "A digest of rules that were in force")
        .with("to", "Another one"),
        Operation::post::<play::Try, play::Tried>(
            "/api/v1/rules/try",
            Right::View,
            "What a contractor would get of a JSON text",
        ),
        Operation::get::<Kept>(
            "/api/v1/rules/{digest}",
            Right::View,
            "The rule files of a digest, without the customers that they name",
        ),
    ]
}

/// What is in force, and what was.
#[derive(Serialize, ToSchema)]
struct Rules {
    digest: String,
    /// Since when: microseconds since 1970-01-01T00:00:00Z.
    since: Option<i64>,
    /// Files that were changed since then cannot be taken in.
    reload_failed: bool,
    contractors: Vec<Summary>,
    history: Vec<Activation>,
}

/// A contractor in the rules.
#[derive(Serialize, ToSchema)]
struct Summary {
    id: String,
    name: String,
    tasks: usize,
    routes: usize,
    fields: usize,
}

/// Rules came into force.
#[derive(Serialize, ToSchema)]
struct Activation {
    /// The number of the entry.
    position: u64,
    time: i64,
    digest: String,
    before: Option<String>,
    widen: u64,
    may_widen: u64,
    narrow: u64,
    changes: Vec<Difference>,
    /// Differences that are not listed: words, and what there was no room for.
    not_listed: u64,
}

/// A difference in terms of data.
#[derive(Serialize, Deserialize, ToSchema)]
struct Difference {
    effect: String,
    contractor: String,
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    route: Option<String>,
    what: String,
}

/// What an entry about rules says.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    rules: String,
    before: Option<String>,
    widen: u64,
    may_widen: u64,
    narrow: u64,
    not_listed: u64,
    changes: Vec<Difference>,
}

impl Difference {
    fn colour(&self) -> &'static str {
        match self.effect.as_str() {
            "widens" => "bad",
            "may widen" => "warn",
            "narrows" => "good",
            _ => "",
        }
    }
}

impl Activation {
    fn of(position: u64, leaf: &str) -> Option<Self> {
        let time = View::parse(leaf.as_bytes()).ok()?.time;
        let said: Said = serde_json::from_str(leaf).ok()?;
        let Said { rules, before, widen, may_widen, narrow, not_listed, changes } = said;
        Some(Activation {
            position,
            time,
            digest: rules,
            before,
            widen,
            may_widen,
            narrow,
            changes,
            not_listed,
        })
    }
}

fn load(house: &House, plan: &Plan) -> Result<Rules, Fault> {
    let query = Query { kind: Some("rules".to_owned()), ..Query::default() };
    let page = house.search()?.page(&query, HISTORY)?;
    let history: Vec<Activation> =
        page.rows.iter().filter_map(|row| Activation::of(row.position, &row.leaf)).collect();
    let digest = plan.digest.as_str().to_owned();
    // The first of those that stand at the top with this digest: a restart announces it again.
    let running = history.iter().take_while(|activation| activation.digest == digest);
    let contractors = plan.contractors.iter().map(|contractor| Summary {
        id: contractor.id.to_string(),
        name: contractor.name.clone(),
        tasks: contractor.tasks.len(),
        routes: contractor.routes.len(),
        fields: contractor.routes.iter().map(|route| route.fields.len()).sum(),
    });
    Ok(Rules {
        since: running.last().map(|activation| activation.time),
        reload_failed: house.figures.has_failed("rules"),
        contractors: contractors.collect(),
        digest,
        history,
    })
}

async fn loaded(see: &See<rights::View>) -> Result<Rules, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || load(&house, &house.plan())).await
}

async fn model(see: See<rights::View>) -> Result<Json<Rules>, Fault> {
    Ok(Json(loaded(&see).await?))
}

#[derive(Template)]
#[template(path = "rules.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    rules: Rules,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    let rules = loaded(&see).await?;
    html(&Page { shell: Shell::new(&see.house, &see.who, "/rules"), rules })
}

/// Rules as they were.
#[derive(Serialize, ToSchema)]
struct Kept {
    digest: String,
    is_active: bool,
    files: Vec<KeptRules>,
}

#[derive(Template)]
#[template(path = "rules_digest.html", config = ".askama.toml")]
struct DigestPage {
    shell: Shell,
    kept: Kept,
}

/// A digest, or the beginning of one that is in force or was.
async fn kept(see: &See<rights::View>, digest: String) -> Result<Kept, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || {
        let files = files(&house, &digest)?;
        if files.is_empty() {
            return Err(Fault::Missing(
                "state of the rules: it was never in force, or before there was a review side",
            ));
        }
        Ok(Kept { is_active: house.plan().digest.as_str() == digest, digest, files })
    })
    .await
}

fn files(house: &House, digest: &str) -> Result<Vec<KeptRules>, Fault> {
    let plan = house.plan();
    if plan.digest.as_str() != digest {
        return Ok(house.store.rules(digest)?);
    }
    let file = |source: &Arc<Source>| KeptRules {
        file: source.name.rsplit('/').next().unwrap_or_default().to_owned(),
        text: shown(source),
    };
    Ok(plan.sources.iter().map(file).collect())
}

async fn digest_model(see: See<rights::View>, Path(digest): Path<String>) -> Result<Json<Kept>, Fault> {
    Ok(Json(kept(&see, digest).await?))
}

async fn digest_page(see: See<rights::View>, Path(digest): Path<String>) -> Result<Response, Fault> {
    let kept = kept(&see, digest).await?;
    html(&DigestPage { shell: Shell::new(&see.house, &see.who, "/rules"), kept })
}

#[derive(Deserialize)]
struct Two {
    from: String,
    to: String,
}

/// Two states of the rules, compared.
#[derive(Serialize, ToSchema)]
struct Compared {
    from: String,
    to: String,
    changes: Vec<Difference>,
}

#[derive(Template)]
#[template(path = "rules_compare.html", config = ".askama.toml")]
struct ComparePage {
    shell: Shell,
    compared: Compared,
}

/// Customers that files name are not kept, so that who is in a grant or a canary is not compared.
async fn compared(see: &See<rights::View>, Two { from, to }: Two) -> Result<Compared, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || {
        let written = |digest: &str| {
            let files = files(&house, digest)?;
            if files.is_empty() {
                return Err(Fault::Missing("state of the rules"));
            }
            let sources = files.into_iter().map(|file| Source::new(file.file, file.text)).collect();
            Written::read(sources).map_err(|_| {
                Fault::Wrong("These rules cannot be compared: without the customers that they name, they are not whole.".into())
            })
        };
        let mut changes = diff::diff(&written(&from)?, &written(&to)?);
        changes.sort_by_key(|change| change.effect);
        let changes = changes.into_iter().map(|change| Difference {
            effect: change.effect.as_str().to_owned(),
            contractor: change.contractor,
            task: change.task,
            route: change.route,
            what: change.what,
        });
        Ok::<_, Fault>(Compared { changes: changes.collect(), from, to })
    })
    .await
}

async fn compare_model(
    see: See<rights::View>,
    Parameters(two): Parameters<Two>,
) -> Result<Json<Compared>, Fault> {
    Ok(Json(compared(&see, two).await?))
}

async fn compare_page(see: See<rights::View>, Parameters(two): Parameters<Two>) -> Result<Response, Fault> {
    let compared = compared(&see, two).await?;
    html(&ComparePage { shell: Shell::new(&see.house, &see.who, "/rules"), compared })
}
