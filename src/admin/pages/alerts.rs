//! What somebody should look at: a list, each alert with what is behind it, and what people say about it.

mod decide;
mod one;

use std::sync::Arc;

use askama::Template;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::alerts::{Told, kind};
use super::super::api::{Nothing, Operation};
use super::super::guard::{Entrance, Fault, Right, See, blocking, rights};
use super::super::house::House;
use super::super::outlets;
use super::super::store::{Acknowledged, Alert, AlertFilter, AlertState, Mark, Mute, Outgoing, Severity};
use super::super::words;
use super::{Shell, html};

use decide::{AlertNote, MuteAsked};
use one::AlertInFull;

/// Alerts on a page.
const PAGE: usize = 50;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/alerts", get(page))
        .route("/alerts/{number}", get(one::page))
        .route("/alerts/{number}/acknowledge", post(decide::acknowledge))
        .route("/alerts/mutes", post(decide::mute))
        .route("/alerts/mutes/{number}/end", post(decide::unmute))
        .route("/api/v1/alerts", get(model))
        .route("/api/v1/alerts/{number}", get(one::model))
        .route("/api/v1/alerts/{number}/acknowledge", post(decide::acknowledge_model))
        .route("/api/v1/alerts/mutes", post(decide::mute_model))
        .route("/api/v1/alerts/mutes/{number}/end", post(decide::unmute_model))
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get::<Alerts>("/api/v1/alerts", Right::View, "Alerts, and the mutes that hold")
            .with("state", "open, acknowledged, muted or all; open where it is left out")
            .with("severity", "critical, high, medium or low")
            .with("contractor", "A contractor's id")
            .with("signal", "Such as enumeration")
            .with("after", "Where the page before ended: its `next`"),
        Operation::get::<AlertInFull>(
            "/api/v1/alerts/{number}",
            Right::View,
            "An alert, with the entries behind it",
        ),
        Operation::post::<AlertNote, AlertShown>(
            "/api/v1/alerts/{number}/acknowledge",
            Right::Acknowledge,
            "Acknowledge an alert, with a note",
        ),
        Operation::post::<MuteAsked, Mute>(
            "/api/v1/alerts/mutes",
            Right::Acknowledge,
            "Mute alerts of one signal until a day; critical ones cannot be muted",
        ),
        Operation::post::<Nothing, Mute>(
            "/api/v1/alerts/mutes/{number}/end",
            Right::Acknowledge,
            "End a mute before its time",
        ),
    ]
}

/// An alert, and what was said about it.
#[derive(Clone, Serialize, ToSchema)]
pub struct AlertShown {
    #[serde(flatten)]
    told: Told,
    state: AlertState,
    /// Trouble that has ended: when, in microseconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Acknowledged>,
}

impl AlertShown {
    fn of(alert: &Alert) -> Self {
        AlertShown {
            told: Told::of(alert),
            state: alert.state,
            over: alert.over,
            acknowledged: alert.acknowledged.clone(),
        }
    }

    /// The class of its severity.
    fn colour(&self) -> &'static str {
        match self.told.severity {
            Severity::Critical => "bad",
            Severity::High => "warn",
            Severity::Medium => "accent",
            Severity::Low => "",
        }
    }
}

/// Alerts: open ones by severity, others newest first.
#[derive(Serialize, ToSchema)]
pub struct Alerts {
    /// Open ones in all.
    open: u64,
    alerts: Vec<AlertShown>,
    /// Goes on behind these, as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// Those that hold.
    mutes: Vec<Mute>,
    /// Where alerts are sent, and how that goes.
    outlets: Vec<Outgoing>,
}

/// Which ones; what is empty is left out.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    state: String,
    severity: String,
    contractor: String,
    signal: String,
    after: String,
}

impl Asked {
    fn filter(&self) -> Result<AlertFilter, Fault> {
        let wrong = |what: &str| Fault::Wrong(format!("{what} is not understood."));
        let set = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Ok(AlertFilter {
            state: match self.state.as_str() {
                "" => Some(AlertState::Open),
                "all" => None,
                name => Some(AlertState::named(name).ok_or_else(|| wrong("The state"))?),
            },
            severity: match self.severity.as_str() {
                "" => None,
                name => Some(Severity::named(name).ok_or_else(|| wrong("The severity"))?),
            },
            contractor: set(&self.contractor),
            kind: set(&self.signal),
            after: match self.after.as_str() {
                "" => None,
                text => Some(mark(text).ok_or_else(|| wrong("Where the page begins"))?),
            },
        })
    }

    /// The address of the page with these filters that begins behind `next`.
    fn address(&self, next: &str) -> String {
        let pairs = [
            ("state", self.state.as_str()),
            ("severity", &self.severity),
            ("contractor", &self.contractor),
            ("signal", &self.signal),
            ("after", next),
        ];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect();
        if pairs.is_empty() { "/alerts".to_owned() } else { format!("/alerts?{}", pairs.join("&")) }
    }

    /// The same filters, of another state.
    fn of_state(&self, state: &str) -> String {
        Asked { state: state.to_owned(), ..self.clone() }.address("")
    }
}

fn mark(text: &str) -> Option<Mark> {
    let (severity, number) = text.split_once('-')?;
    Some(Mark { severity: severity.parse().ok()?, number: number.parse().ok()? })
}

/// What is asked for. It blocks.
fn load(house: &House, asked: &Asked) -> Result<Alerts, Fault> {
    let mut found = house.store.alerts(&asked.filter()?, PAGE + 1)?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().filter(|_| more);
    Ok(Alerts {
        open: house.store.open_alerts(),
        next: last.map(|last| format!("{}-{}", last.raised.severity as i64, last.number)),
        alerts: found.iter().map(AlertShown::of).collect(),
        mutes: house.store.mutes()?,
        outlets: outgoing(house)?,
    })
}

fn outgoing(house: &House) -> Result<Vec<Outgoing>, Fault> {
    let mut found = Vec::new();
    for (name, least) in house.config.admin.iter().flat_map(outlets::named) {
        found.extend(house.store.outgoing(name, least)?);
    }
    Ok(found)
}

type Wanted = Result<Query<Asked>, QueryRejection>;

async fn model(see: See<rights::View>, asked: Wanted) -> Result<Json<Alerts>, Fault> {
    let Query(asked) = asked.map_err(|_| Fault::Form)?;
    blocking(move || load(&see.house, &asked)).await.map(Json)
}

#[derive(Template)]
#[template(path = "alerts.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    asked: Asked,
    list: Alerts,
    contractors: Vec<String>,
    kinds: Vec<String>,
    may_unmute: bool,
}

async fn page(see: See<rights::View>, asked: Wanted) -> Result<Response, Fault> {
    let Query(asked) = asked.map_err(|_| Fault::Form)?;
    let (house, wanted) = (Arc::clone(&see.house), asked.clone());
    let (list, (contractors, kinds)) =
        blocking(move || Ok::<_, Fault>((load(&house, &wanted)?, house.store.alerted()?))).await?;
    let shell = Shell::new(&see.house, &see.who, "/alerts");
    let may_unmute = see.who.may(Right::Acknowledge);
    html(&Page { shell, asked, list, contractors, kinds, may_unmute })
}

impl Page {
    /// What a signal is, in words.
    fn title(&self, signal: &str) -> &'static str {
        kind(signal).title
    }

    fn is_state(&self, state: &str) -> bool {
        self.asked.state == state || (state.is_empty() && self.asked.state == AlertState::Open.as_str())
    }
}
