//! One entry of the ledger: who, what, why, and the proof.

mod facts;
mod pretty;

use std::sync::Arc;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::ledger::{ProveError, View, prove};

use super::super::api::Operation;
use super::super::guard::{Entrance, Fault, Right, See, blocking, rights};
use super::super::house::House;
use super::super::store::KeptRules;
use super::super::words;
use super::disclosures::EntryRow;
use super::{Shell, html};

use facts::{Fact, FieldOf};

/// Entries of one response, or behind a signal, that are listed.
const LISTED: usize = 50;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/entries/{index}", get(page))
        .route("/entries/{index}/proof", get(proof))
        .route("/api/v1/entries/{index}", get(model))
}

pub fn operations() -> Vec<Operation> {
    vec![Operation::get::<Entry>(
        "/api/v1/entries/{index}",
        Right::View,
        "An entry, with what belongs to it and its proof",
    )]
}

/// An entry, and what belongs to it.
#[derive(Serialize, ToSchema)]
struct Entry {
    position: u64,
    /// Entries in the ledger.
    size: u64,
    /// None where the content was deleted; the hash is still in the tree.
    row: Option<EntryRow>,
    /// The entry as it is.
    #[schema(value_type = Object)]
    content: Option<Value>,
    /// The same for people, its members in their order.
    #[serde(skip)]
    pretty: Option<String>,
    facts: Vec<Fact>,
    fields: Vec<FieldOf>,
    /// Other entries about the same response.
    same: Vec<EntryRow>,
    /// Entries behind a signal.
    behind: Vec<EntryRow>,
    /// What signals found, or what changed in the rules, in words.
    findings: Vec<Fact>,
    /// Digest of the rules that it was decided by, or that came into force.
    rules: Option<String>,
    /// Digest of the rules before those.
    before: Option<String>,
    /// The rule file of the contractor as it was then, without the customers that it names.
    rule_file: Option<KeptRules>,
    /// A proof that the ledger holds the entry (C2SP tlog-proof); none as long as no signed head covers it.
    proof: Option<String>,
    proof_fault: Option<String>,
}

impl Entry {
    /// For who may not look customers up: nothing by which one could be recognised in other entries.
    fn forget_customers(&mut self) {
        let Some(content) = &mut self.content else { return };
        let named = content.as_object_mut().and_then(|members| members.remove("subjects"));
        if named.is_none() {
            return;
        }
        self.pretty = serde_json::to_string_pretty(content).ok();
        // It holds the entry as it is.
        self.proof = None;
        self.proof_fault = Some(
            "The entry names customers by their keys: who may look customers up gets its proof.".to_owned(),
        );
    }

    fn is_of(&self, kind: &str) -> bool {
        self.row.as_ref().is_some_and(|row| row.kind == kind)
    }

    fn previous(&self) -> Option<u64> {
        self.position.checked_sub(1)
    }

    fn next(&self) -> Option<u64> {
        Some(self.position + 1).filter(|next| *next < self.size)
    }
}

fn load(house: &House, position: u64) -> Result<Entry, Fault> {
    let search = house.search()?;
    let log = search.log();
    if position >= log.size() {
        return Err(Fault::Missing("entry"));
    }
    let leaf = log.entry(position)?;
    let (proof, proof_fault) = match prove(log, position) {
        Ok(proof) => (Some(proof.to_string()), None),
        Err(ProveError::NotCovered { .. }) => {
            (None, Some("No signed head covers it yet; look again in a second.".to_owned()))
        }
        Err(ProveError::Store(error)) => return Err(error.into()),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut entry = Entry {
        position,
        size: log.size(),
        row: None,
        content: None,
        pretty: None,
        facts: Vec::new(),
        fields: Vec::new(),
        same: Vec::new(),
        behind: Vec::new(),
        findings: Vec::new(),
        rules: None,
        before: None,
        rule_file: None,
        proof,
        proof_fault,
    };
    let Some(leaf) = leaf else { return Ok(entry) };
    let text = String::from_utf8_lossy(&leaf).into_owned();
    entry.row = Some(EntryRow::of(position, &text));
    entry.pretty = Some(pretty::pretty(&text));
    // What is not an entry is shown as what it is: that somebody changed it is what a reviewer must see.
    let (Ok(view), Ok(content)) = (View::parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) else {
        entry.content = Some(Value::String(text));
        return Ok(entry);
    };
    entry.facts = facts::all(&view, &content);
    entry.fields = facts::fields(&view, &content);
    let row = |position: u64| -> Result<Option<EntryRow>, Fault> {
        let leaf = log.entry(position)?;
        Ok(leaf.map(|leaf| EntryRow::of(position, &String::from_utf8_lossy(&leaf))))
    };
    let behind: Vec<&str> = view.entries.iter().take(LISTED).map(|id| id.as_ref()).collect();
    let mut found = search.with_ids(&[&[view.id.as_ref()], behind.as_slice()].concat())?.into_iter();
    let same = found.next().unwrap_or_default();
    for other in same.into_iter().filter(|other| *other != position).take(LISTED) {
        entry.same.extend(row(other)?);
    }
    for others in found {
        entry.behind.extend(others.first().map(|other| row(*other)).transpose()?.flatten());
    }
    entry.findings = facts::findings(&content);
    entry.before = content["before"].as_str().map(str::to_owned);
    if let Some(rules) = view.rules.as_deref() {
        let files = house.store.rules(rules)?;
        let is_of = |file: &KeptRules| view.contractor.as_deref().is_some_and(|id| names(file, id));
        entry.rule_file = files.into_iter().find(is_of);
        entry.rules = Some(rules.to_owned());
    }
    entry.content = Some(content);
    Ok(entry)
}

/// Whether it is the file of that contractor: its first `id` is that of the contractor.
fn names(file: &KeptRules, contractor: &str) -> bool {
    let parsed: Option<toml::Table> = file.text.parse().ok();
    parsed.is_some_and(|table| {
        table.get("contractor").and_then(|one| one.get("id")?.as_str()) == Some(contractor)
    })
}

/// That somebody opened it is an entry too.
async fn opened(see: &See<rights::View>, position: u64) -> Result<Entry, Fault> {
    let house = Arc::clone(&see.house);
    let size = blocking(move || Ok::<_, Fault>(house.search()?.log().size())).await;
    if size.is_ok_and(|size| position >= size) {
        return Err(Fault::Missing("entry"));
    }
    see.house.note(&see.who, "entry", json!({ "entry": position })).await?;
    let (house, names_customers) = (Arc::clone(&see.house), see.who.may(Right::LookUp));
    let mut entry = blocking(move || load(&house, position)).await?;
    if !names_customers {
        entry.forget_customers();
    }
    Ok(entry)
}

async fn model(see: See<rights::View>, Path(position): Path<u64>) -> Result<Json<Entry>, Fault> {
    Ok(Json(opened(&see, position).await?))
}

#[derive(Template)]
#[template(path = "entry.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    entry: Entry,
}

async fn page(see: See<rights::View>, Path(position): Path<u64>) -> Result<Response, Fault> {
    let entry = opened(&see, position).await?;
    html(&Page { shell: Shell::new(&see.house, &see.who, "/disclosures"), entry })
}

async fn proof(see: See<rights::View>, Path(position): Path<u64>) -> Result<Response, Fault> {
    let proof = opened(&see, position).await?.proof.ok_or(Fault::Missing("proof yet"))?;
    let name = format!("attachment; filename=\"entry-{position}.tlog-proof\"");
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, proof).into_response())
}
