//! One entry of the ledger: who, what, why, and the proof.

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

use crate::ledger::{ProveError, View, plain_field, prove};

use super::super::api::Operation;
use super::super::guard::{Entrance, Fault, Right, See, blocking, rights};
use super::super::house::House;
use super::super::store::KeptRules;
use super::super::words;
use super::disclosures::EntryRow;
use super::{Shell, html};

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
    facts: Vec<Fact>,
    fields: Vec<FieldOf>,
    /// Other entries about the same response.
    same: Vec<EntryRow>,
    /// Entries behind a signal.
    behind: Vec<EntryRow>,
    /// What signals found, in words.
    findings: Vec<Fact>,
    rules: Option<String>,
    /// The rule file of the contractor as it was then, without the customers that it names.
    rule_file: Option<KeptRules>,
    /// A proof that the ledger holds the entry (C2SP tlog-proof); none as long as no signed head covers it.
    proof: Option<String>,
    proof_fault: Option<String>,
}

/// Something that an entry says, in words.
#[derive(Serialize, ToSchema)]
struct Fact {
    name: String,
    value: String,
}

/// A field, and how often it left.
#[derive(Serialize, ToSchema)]
struct FieldOf {
    path: String,
    words: String,
    transform: Option<String>,
    disclosed: u64,
    withheld: u64,
    /// Of the withheld ones, those that are not what the rule says.
    drifted: u64,
    /// What was masked in the values that left.
    masked: Option<String>,
}

impl Entry {
    fn pretty(&self) -> String {
        self.content
            .as_ref()
            .and_then(|content| serde_json::to_string_pretty(content).ok())
            .unwrap_or_default()
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
        Err(error) => (None, Some(error.to_string())),
    };
    let mut entry = Entry {
        position,
        size: log.size(),
        row: None,
        content: None,
        facts: Vec::new(),
        fields: Vec::new(),
        same: Vec::new(),
        behind: Vec::new(),
        findings: Vec::new(),
        rules: None,
        rule_file: None,
        proof,
        proof_fault,
    };
    let Some(leaf) = leaf else { return Ok(entry) };
    let text = String::from_utf8_lossy(&leaf).into_owned();
    let view = View::parse(text.as_bytes()).map_err(|error| Fault::Inside(error.into()))?;
    let content: Value = serde_json::from_str(&text).unwrap_or_default();
    entry.row = EntryRow::of(position, &text);
    entry.facts = facts(&view, &content);
    entry.fields = fields(&view, &content);
    let row = |position: u64| -> Result<Option<EntryRow>, Fault> {
        let leaf = log.entry(position)?;
        Ok(leaf.and_then(|leaf| EntryRow::of(position, &String::from_utf8_lossy(&leaf))))
    };
    for other in search.with_id(&view.id)?.into_iter().filter(|other| *other != position).take(LISTED) {
        entry.same.extend(row(other)?);
    }
    for id in view.entries.iter().take(LISTED) {
        for other in search.with_id(id)?.into_iter().take(1) {
            entry.behind.extend(row(other)?);
        }
    }
    if let Some(details) = content["details"].as_object() {
        entry.findings =
            details.iter().map(|(name, value)| Fact { name: spaced(name), value: plain(value) }).collect();
    }
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

fn fields(view: &View, content: &Value) -> Vec<FieldOf> {
    let masked = |at: usize| {
        let kinds = content["fields"][at]["masked"].as_object()?;
        let kinds = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
        Some(kinds.collect::<Vec<_>>().join(", "))
    };
    let fields = view.fields.iter().enumerate();
    fields
        .map(|(at, field)| FieldOf {
            path: field.path.to_string(),
            words: plain_field(&field.path, None),
            transform: field.transform.as_deref().map(str::to_owned),
            disclosed: field.disclosed,
            withheld: field.withheld,
            drifted: field.drifted,
            masked: masked(at),
        })
        .collect()
}

/// What an entry says, in the order in which somebody asks.
fn facts(view: &View, content: &Value) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        facts.extend(
            value.filter(|value| !value.is_empty()).map(|value| Fact { name: name.to_owned(), value }),
        );
    };
    let text = |value: &Option<std::borrow::Cow<str>>| value.as_deref().map(str::to_owned);
    fact("When", Some(words::time(view.time)));
    fact("Who", text(&view.by));
    fact("With the role", content["role"].as_str().map(str::to_owned));
    fact("Did what", text(&view.action));
    fact("Reason", text(&view.reason));
    fact("Contractor", text(&view.contractor));
    fact("Credential", text(&view.credential));
    fact("Task", text(&view.task));
    fact("Purpose", text(&view.purpose));
    fact("Legal basis", text(&view.basis));
    fact(
        "Legal grant",
        view.legal.as_ref().map(|legal| {
            format!(
                "case {} of {}, approved by {}, until {}",
                legal.case,
                legal.authority,
                legal.approved_by.join(" and "),
                legal.expires
            )
        }),
    );
    fact("Agreement", text(&view.agreement));
    fact("From where to where", text(&view.jurisdictions));
    fact("Transfer by", text(&view.transfer));
    let call =
        view.route.as_deref().map(|route| format!("{} {route}", view.method.as_deref().unwrap_or_default()));
    fact("Called", call);
    fact("Upstream", text(&view.upstream));
    fact("Status", view.status.map(|status| status.to_string()));
    fact("Refused because", text(&view.code));
    fact("Cause", content["cause"].as_str().map(str::to_owned));
    fact("Size of the answer", view.bytes.map(words::bytes));
    if let Some(records) = view.records {
        fact("Records that left", Some(words::number(records.released)));
        let not_admitted = content["records"]["not_admitted"].as_u64().unwrap_or_default();
        let withheld = match (records.withheld, not_admitted) {
            (0, _) => None,
            (all, 0) => Some(format!("{}: the condition of the rule does not hold", words::number(all))),
            (all, no) => Some(format!(
                "{}, of which {} because of the customer: no consent, an objection, or not named by the grant",
                words::number(all),
                words::number(no)
            )),
        };
        fact("Records that stayed", withheld);
        fact(
            "Records without a customer",
            (records.without_subject > 0).then(|| words::number(records.without_subject)),
        );
    }
    fact("Customers", view.subjects_total.map(words::number));
    fact("Members beside allowed ones that stayed", view.members_withheld.map(words::number));
    fact(
        "Part",
        view.stream.map(|stream| format!("{}{}", stream.part, if stream.last { ", the last" } else { "" })),
    );
    fact("Planted customer", view.canary.then(|| "yes: nobody has a reason to ask for it".to_owned()));
    fact("Signal", text(&view.signal));
    fact("Consent purpose", text(&view.consent_purpose));
    fact("Towards", text(&view.towards));
    fact("Key epoch", view.epoch.map(|epoch| epoch.to_string()));
    fact("Number among the contractor's entries", view.sequence.map(words::number));
    fact("Id", Some(view.id.to_string()));
    // What this page does not know by name.
    let known = [
        "v",
        "kind",
        "id",
        "time",
        "salt",
        "index",
        "sequence",
        "contractor",
        "credential",
        "method",
        "route",
        "rules",
        "task",
        "purpose",
        "consent_purpose",
        "towards",
        "basis",
        "legal",
        "agreement",
        "jurisdictions",
        "transfer",
        "upstream",
        "status",
        "code",
        "cause",
        "bytes",
        "records",
        "members_withheld",
        "canary",
        "fields",
        "stream",
        "subjects_total",
        "part",
        "parts",
        "epoch",
        "subjects",
        "signal",
        "details",
        "entries",
        "by",
        "role",
        "action",
        "reason",
        "changes",
    ];
    let others =
        content.as_object().into_iter().flatten().filter(|(name, _)| !known.contains(&name.as_str()));
    for (name, value) in others {
        facts.push(Fact { name: spaced(name), value: plain(value) });
    }
    facts
}

fn spaced(name: &str) -> String {
    let text = name.replace('_', " ");
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}: {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// That somebody opened it is an entry too.
async fn opened(see: &See<rights::View>, position: u64) -> Result<Entry, Fault> {
    see.house.note(&see.who, "entry", json!({ "entry": position })).await?;
    let house = Arc::clone(&see.house);
    blocking(move || load(&house, position)).await
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
