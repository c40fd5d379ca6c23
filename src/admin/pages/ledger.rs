//! The state of the ledger: its head, its witnesses, whether it verifies, what could be pruned.

use std::sync::Arc;

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::feed::FeedState;
use crate::ledger::{self, Finding, Pruning, Report, Severity, Witnessed};

use super::super::api::{Nothing, Operation};
use super::super::guard::{Act, Entrance, Fault, Right, See, blocking, rights};
use super::super::house::House;
use super::super::store::{Verification, Verified, now};
use super::super::words;
use super::super::work::{Outcome, Standing};
use super::{Shell, html};

/// Findings that are kept in words.
const FIRST: usize = 20;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/ledger", get(page))
        .route("/ledger/work", get(part))
        .route("/ledger/verify", post(verify))
        .route("/ledger/prune", post(prune))
        .route("/api/v1/ledger", get(model))
        .route("/api/v1/ledger/verify", post(verify_model))
        .route("/api/v1/ledger/prune", post(prune_model))
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get::<LedgerState>("/api/v1/ledger", Right::View, "How the ledger is"),
        Operation::post::<Nothing, Jobs>(
            "/api/v1/ledger/verify",
            Right::Verify,
            "Have the ledger verified; ask for its state to learn what came of it",
        ),
        Operation::post::<Nothing, Jobs>(
            "/api/v1/ledger/prune",
            Right::Verify,
            "Have it worked out what could be pruned; nothing is deleted",
        ),
    ]
}

/// How the ledger is.
#[derive(Serialize, ToSchema)]
pub struct LedgerState {
    /// Entries can be made durable.
    pub healthy: bool,
    /// Entries in all.
    pub size: u64,
    /// Of those, under the signed head.
    pub signed: u64,
    /// The key that heads are verified by (C2SP signed-note).
    key: String,
    /// The signed head (C2SP tlog-checkpoint).
    head: Option<String>,
    /// Bytes on the disk, entries, hashes and index, where they are counted already.
    bytes: Option<u64>,
    pub witnesses: Option<Witnesses>,
    retention: Retention,
    /// Where its entries are sent to.
    feeds: Vec<FeedState>,
    #[serde(flatten)]
    work: Jobs,
    /// The fleet, where this gateway is a node of one.
    pub fleet: Option<FleetState>,
}

impl LedgerState {
    /// Entries of a fleet, where they are gathered here.
    pub fn of_all_nodes(&self) -> Option<u64> {
        self.fleet.as_ref().filter(|fleet| fleet.gathered).map(|fleet| fleet.size)
    }
}

/// The nodes of a fleet, as they are known here.
#[derive(Serialize, ToSchema)]
pub struct FleetState {
    /// The name of this one.
    node: String,
    /// The pages show entries of all nodes; else of this one alone.
    pub gathered: bool,
    /// Entries of all nodes, where they are gathered.
    size: u64,
    nodes: Vec<FleetNode>,
    /// What keeps entries of other nodes from being gathered.
    pub trouble: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct FleetNode {
    name: String,
    /// Entries under signed heads, all of which were checked against the last one.
    entries: u64,
    /// The key of its heads.
    key: String,
}

/// Work on the ledger.
#[derive(Serialize, ToSchema)]
struct Jobs {
    verification: Standing<Verified>,
    prunable: Standing<Prunable>,
}

/// Who else vouches for it.
#[derive(Serialize, ToSchema)]
pub struct Witnesses {
    pub names: Vec<String>,
    quorum: usize,
    /// Entries under the last head that they cosigned.
    pub witnessed: u64,
    /// When: seconds since 1970-01-01T00:00:00Z, of the latest cosignature.
    pub at: Option<u64>,
}

/// Days that content is kept.
#[derive(Serialize, ToSchema)]
struct Retention {
    disclosures: u32,
    refusals: u32,
    access: u32,
}

/// What could be deleted.
#[derive(Clone, Serialize, ToSchema)]
pub struct Prunable {
    classes: Vec<Class>,
    held: u64,
    waiting: u64,
    /// The commands that do it need it.
    plan: String,
    /// As of when: microseconds since 1970-01-01T00:00:00Z.
    at: i64,
}

#[derive(Clone, Serialize, ToSchema)]
struct Class {
    name: String,
    until: i64,
    entries: u64,
    bytes: u64,
}

impl Prunable {
    fn of(pruning: &Pruning, at: i64) -> Self {
        let class = |tally: &ledger::Tally| Class {
            name: tally.class.to_owned(),
            until: tally.until,
            entries: tally.entries,
            bytes: tally.bytes,
        };
        Prunable {
            classes: pruning.classes.iter().map(class).collect(),
            held: pruning.held,
            waiting: pruning.waiting,
            plan: pruning.token.clone(),
            at,
        }
    }

    fn is_empty(&self) -> bool {
        self.classes.iter().all(|class| class.entries == 0)
    }

    /// RFC 3339, as the command takes it.
    fn moment(&self) -> String {
        jiff::Timestamp::from_microsecond(self.at).map(|time| format!("{time:.0}")).unwrap_or_default()
    }
}

/// What there is to say without the ledger's work. It blocks.
pub fn state(house: &House) -> Result<LedgerState, Fault> {
    let path = &house.config.ledger.path;
    let log = ledger::Log::open(path)?;
    let retention = house.config.ledger.retention;
    Ok(LedgerState {
        healthy: house.ledger.is_healthy(),
        size: log.size(),
        signed: log.archived(),
        key: house.verifier.to_string(),
        head: log.head().map(str::to_owned),
        bytes: bytes(house),
        witnesses: witnesses(house)?,
        retention: Retention {
            disclosures: retention.disclosures,
            refusals: retention.refusals,
            access: retention.access,
        },
        feeds: house.feeds.states(),
        work: jobs(house),
        fleet: fleet(house)?,
    })
}

fn fleet(house: &House) -> Result<Option<FleetState>, Fault> {
    let Some(fleet) = &house.config.ledger.fleet else { return Ok(None) };
    let mut state = FleetState {
        node: fleet.node.clone(),
        gathered: house.gathering.is_some(),
        size: 0,
        nodes: Vec::new(),
        trouble: None,
    };
    if let Some(gathering) = &house.gathering {
        let gathered = ledger::gathered(&house.read)?;
        let node = |node: ledger::GatheredNode| FleetNode {
            name: node.name,
            entries: node.size,
            key: node.verifier,
        };
        state.size = gathered.size;
        state.nodes = gathered.nodes.into_iter().map(node).collect();
        state.nodes.sort_by(|one, other| one.name.cmp(&other.name));
        state.trouble = gathering.trouble().map(|trouble| String::clone(&trouble));
    }
    Ok(Some(state))
}

fn jobs(house: &House) -> Jobs {
    Jobs { verification: house.verification.standing(), prunable: house.prunable.standing() }
}

fn witnesses(house: &House) -> Result<Option<Witnesses>, Fault> {
    let config = &house.config.ledger;
    if config.witnesses.is_empty() {
        return Ok(None);
    }
    let kept = Witnessed::new(&config.path, house.verifier.clone()).kept()?;
    let at = kept.as_ref().and_then(|(_, note)| {
        let times = config.witnesses.iter().filter_map(|witness| note.verified_by(&witness.key)?.at);
        times.max()
    });
    Ok(Some(Witnesses {
        names: config.witnesses.iter().map(|witness| witness.key.name().to_owned()).collect(),
        quorum: config.quorum,
        witnessed: kept.map_or(0, |(size, _)| size),
        at,
    }))
}

/// How old a count of bytes may be, in microseconds.
const COUNTED: i64 = 600_000_000;

/// Ten million entries are many files: they are counted beside the page.
fn bytes(house: &House) -> Option<u64> {
    let standing = house.bytes.standing();
    if standing.last.as_ref().is_none_or(|last| now() - last.at > COUNTED) {
        let path = house.config.ledger.path.clone();
        let count =
            move |_: &mut dyn FnMut(u64, u64)| Ok(size_of(&path) + size_of(&ledger::ledger_folder(&path)));
        // Somebody else's page may have begun it.
        let _ = house.bytes.begin("", count, |_| {});
    }
    match standing.last?.outcome {
        Outcome::Found(bytes) => Some(bytes),
        Outcome::Failed(_) => None,
    }
}

/// Bytes of a file, or of what is in a folder.
fn size_of(path: &std::path::Path) -> u64 {
    let Ok(metadata) = path.symlink_metadata() else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of(&entry.path())).sum()
}

async fn loaded(see: &See<rights::View>) -> Result<LedgerState, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || state(&house)).await
}

async fn model(see: See<rights::View>) -> Result<Json<LedgerState>, Fault> {
    Ok(Json(loaded(&see).await?))
}

#[derive(Template)]
#[template(path = "ledger.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    ledger: LedgerState,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    let ledger = loaded(&see).await?;
    html(&Page { shell: Shell::new(&see.house, &see.who, "/ledger"), ledger })
}

/// The part of the page that changes while work goes on.
#[derive(Template)]
#[template(path = "ledger_work.html", config = ".askama.toml")]
struct Part {
    shell: Shell,
    work: Jobs,
}

async fn part(see: See<rights::View>) -> Result<Response, Fault> {
    let work = jobs(&see.house);
    html(&Part { shell: Shell::new(&see.house, &see.who, "/ledger"), work })
}

async fn verify(act: Act<rights::Verify, Nothing>) -> Result<Response, Fault> {
    begin_verification(act).await?;
    Ok(Redirect::to("/ledger#work").into_response())
}

async fn verify_model(act: Act<rights::Verify, Nothing>) -> Result<Json<Jobs>, Fault> {
    let house = Arc::clone(&act.house);
    begin_verification(act).await?;
    Ok(Json(jobs(&house)))
}

async fn begin_verification(act: Act<rights::Verify, Nothing>) -> Result<(), Fault> {
    let Act { house, who, form: Nothing {}, .. } = act;
    house.note(&who, "verify", json!({})).await?;
    let (path, key) = (house.config.ledger.path.clone(), house.verifier.clone());
    let store = Arc::clone(&house.store);
    let work =
        move |progress: &mut dyn FnMut(u64, u64)| Ok(verified(&ledger::verify(&path, &key, None, progress)?));
    let keep = move |done: &super::super::work::Done<Verified>| {
        let Outcome::Found(found) = &done.outcome else { return };
        if found.errors > 0 {
            tracing::error!(
                errors = found.errors,
                "a verification found that something is wrong with the ledger"
            );
        }
        let verification =
            Verification { at: done.at, by: done.by.clone(), took: done.took, found: found.clone() };
        if let Err(error) = store.keep_verification(&verification) {
            tracing::error!(%error, "what a verification found cannot be kept");
        }
    };
    let begun = house.verification.begin(who.name(), work, keep);
    begun.map_err(|_| Fault::Conflict("The ledger is being verified already.".into()))
}

fn verified(report: &Report) -> Verified {
    let all = report.findings.list.iter();
    let of = |severity| all.clone().filter(move |finding| finding.severity == severity);
    let words = |finding: &Finding| match finding.entry {
        Some(entry) => format!("entry {entry}: {}", finding.what),
        None => finding.what.clone(),
    };
    Verified {
        size: report.size,
        root: report.root.clone(),
        behind: report.behind,
        pruned: report.pruned,
        errors: report.findings.errors,
        warnings: report.findings.warnings,
        first: of(Severity::Error).chain(of(Severity::Warning)).take(FIRST).map(words).collect(),
    }
}

async fn prune(act: Act<rights::Verify, Nothing>) -> Result<Response, Fault> {
    begin_pruning(&act)?;
    Ok(Redirect::to("/ledger#work").into_response())
}

async fn prune_model(act: Act<rights::Verify, Nothing>) -> Result<Json<Jobs>, Fault> {
    begin_pruning(&act)?;
    Ok(Json(jobs(&act.house)))
}

/// A dry run: two people approve the deletion, by the command.
fn begin_pruning(act: &Act<rights::Verify, Nothing>) -> Result<(), Fault> {
    let house = Arc::clone(&act.house);
    // Whole seconds, so that the command can say them again.
    let at = now() / 1_000_000 * 1_000_000;
    let work = move |_: &mut dyn FnMut(u64, u64)| {
        // Each node deletes its own; holds may be on any.
        if house.config.ledger.fleet.is_some() && house.gathering.is_none() {
            anyhow::bail!("holds of other nodes are not known here: fieldgate ledger prune knows them");
        }
        let own = ledger::Search::open(&house.config.ledger.path)?;
        let pruning = house.config.ledger.retention.look(&own, &house.search()?, at)?;
        Ok(Prunable::of(&pruning, at))
    };
    let begun = act.house.prunable.begin(act.who.name(), work, |_| {});
    begun.map_err(|_| Fault::Conflict("It is being worked out already.".into()))
}
