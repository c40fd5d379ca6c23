//! Whether something needs somebody: today against the usual.

mod concerns;
mod usual;

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use utoipa::ToSchema;

use crate::rules::Plan;

use super::super::api::Operation;
use super::super::chart::{self, Bar, Bars};
use super::super::figures::Ending;
use super::super::guard::{Entrance, Fault, Right, See, blocking, rights};
use super::super::house::{House, UpstreamState};
use super::super::rollup::{DAY, HOUR, Reader, Refusals};
use super::super::store::now;
use super::super::words;
use super::ledger::LedgerState;
use super::{Shell, html};

use concerns::Concern;
use usual::Usual;

/// Days that "usual" is made from.
const BACK: i64 = 28;
/// Days of a sparkline.
const LINE: i64 = 14;
/// Refusals that are listed.
const REFUSALS: usize = 8;

pub fn routes() -> Router<Entrance> {
    Router::new().route("/", get(page)).route("/api/v1/overview", get(model))
}

pub fn operations() -> Vec<Operation> {
    vec![Operation::get::<Overview>(
        "/api/v1/overview",
        Right::View,
        "Today against the usual, and what needs somebody",
    )]
}

/// How things are.
#[derive(Serialize, ToSchema)]
pub struct Overview {
    /// Microseconds since 1970-01-01T00:00:00Z.
    now: i64,
    /// What needs somebody, the gravest first; nothing where all is well.
    concerns: Vec<Concern>,
    contractors: Vec<Today>,
    /// The last 24 hours, the oldest first.
    hours: Vec<HourOfDay>,
    refusals: Vec<Refusals>,
    upstreams: Vec<UpstreamState>,
    ending: Vec<Ending>,
    ledger: LedgerState,
    rules: String,
    /// Entries that are not counted yet.
    behind: u64,
}

/// A contractor today (UTC).
#[derive(Serialize, ToSchema)]
struct Today {
    id: String,
    name: String,
    suspended: bool,
    disclosures: u64,
    /// By this time of such a day, the median of the last weeks; 0 in the first.
    usual: u64,
    refusals: u64,
    customers: u64,
    /// Of customers in a day.
    limit: u64,
    /// Disclosures of the last days, the oldest first.
    days: Vec<u64>,
}

/// An hour of the last day.
#[derive(Serialize, ToSchema)]
struct HourOfDay {
    /// Hours since 1970-01-01T00:00:00Z.
    hour: i64,
    disclosures: u64,
    /// In this hour of such a day, the median of the last weeks.
    usual: u64,
}

impl Today {
    fn spark(&self) -> String {
        let label = format!(
            "Disclosures of the last {LINE} days, today last: {}",
            self.days.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
        );
        chart::sparkline(&self.days, &label)
    }

    fn gauge(&self) -> String {
        let label = format!(
            "{} of at most {} customers today",
            words::number(self.customers),
            words::number(self.limit)
        );
        chart::gauge(self.customers, self.limit, &label)
    }

    /// Far more than usual.
    fn is_unusual(&self) -> bool {
        self.usual > 0 && self.disclosures >= 50 && self.disclosures > self.usual.saturating_mul(3)
    }
}

impl Overview {
    fn chart(&self) -> String {
        let bar = |hour: &HourOfDay| Bar {
            name: format!("{:02}:00", hour.hour.rem_euclid(24)),
            value: hour.disclosures,
            usual: Some(hour.usual),
        };
        let label = "Disclosures in each of the last 24 hours, and how many are usual";
        chart::bars(&Bars { bars: self.hours.iter().map(bar).collect(), unit: "disclosures", label })
    }

    fn total(&self) -> u64 {
        self.contractors.iter().map(|one| one.disclosures).sum()
    }

    fn usual_total(&self) -> u64 {
        self.contractors.iter().map(|one| one.usual).sum()
    }

    fn customers(&self) -> u64 {
        self.contractors.iter().map(|one| one.customers).sum()
    }

    fn refused(&self) -> u64 {
        self.contractors.iter().map(|one| one.refusals).sum()
    }
}

fn load(house: &House) -> Result<Overview, Fault> {
    let (now, plan) = (now(), house.plan());
    let counts = house.counts()?;
    let ledger = super::ledger::state(house)?;
    let suspended = house.suspensions()?.contractors;
    let (mut contractors, mut hours, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(counts) = &counts {
        (contractors, hours) = counted(counts, &plan, now)?;
        refusals = counts.refusals(now.div_euclid(DAY) * 24, now.div_euclid(HOUR) + 1)?;
        refusals.truncate(REFUSALS);
    }
    for one in &mut contractors {
        one.suspended = suspended.contains_key(&one.id);
    }
    let ends = house.figures.ends();
    let mut overview = Overview {
        now,
        concerns: Vec::new(),
        contractors,
        hours,
        refusals,
        upstreams: house.orders.upstreams(),
        ending: ends.iter().filter(|end| end.days_left <= concerns::SOON).cloned().collect(),
        behind: ledger.size.saturating_sub(counts.map_or(0, |counts| counts.upto)),
        ledger,
        rules: plan.digest.as_str().to_owned(),
    };
    overview.concerns = concerns::of(house, &plan, &overview)?;
    Ok(overview)
}

/// What the counts say of each contractor, and of the last hours.
fn counted(counts: &Reader, plan: &Plan, now: i64) -> Result<(Vec<Today>, Vec<HourOfDay>), Fault> {
    let (this_hour, today) = (now.div_euclid(HOUR), now.div_euclid(DAY));
    let rows = counts.hours((today - BACK) * 24, this_hour + 1)?;
    let customers = counts.customers(today)?;
    let mut all = Usual::default();
    let mut each: BTreeMap<&str, Usual> = BTreeMap::new();
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &rows {
        all.add(row.hour, row.disclosures);
        each.entry(&row.contractor).or_default().add(row.hour, row.disclosures);
        if row.hour >= today * 24 {
            *refused.entry(&row.contractor).or_default() += row.refusals;
        }
    }
    let contractors = plan.contractors.iter().map(|contractor| {
        let id = contractor.id.as_str();
        let usual = each.remove(id).unwrap_or_default();
        Today {
            id: id.to_owned(),
            name: contractor.name.clone(),
            suspended: false,
            disclosures: usual.so_far(today, this_hour),
            usual: usual.usual_so_far(today, this_hour),
            refusals: refused.get(id).copied().unwrap_or_default(),
            customers: customers.get(id).copied().unwrap_or_default(),
            limit: contractor.tasks.iter().map(|task| task.limits.subjects_per_day).max().unwrap_or_default(),
            days: (today - LINE + 1..=today).map(|day| usual.day(day)).collect(),
        }
    });
    let hours = (this_hour - 23..=this_hour).map(|hour| HourOfDay {
        hour,
        disclosures: all.hour(hour),
        usual: all.usual_hour(hour),
    });
    Ok((contractors.collect(), hours.collect()))
}

async fn loaded(see: &See<rights::View>) -> Result<Overview, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || load(&house)).await
}

async fn model(see: See<rights::View>) -> Result<Json<Overview>, Fault> {
    Ok(Json(loaded(&see).await?))
}

#[derive(Template)]
#[template(path = "overview.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    overview: Overview,
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    let overview = loaded(&see).await?;
    html(&Page { shell: Shell::new(&see.house, &see.who, "/"), overview })
}
