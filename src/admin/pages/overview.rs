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
use super::super::rollup::{DAY, HOUR, Reader, Refusals, Total};
use super::super::store::now;
use super::super::words;
use super::ledger::LedgerState;
use super::{Counted, Shell, html};

use concerns::Concern;
use usual::Usual;

/// Days that "usual" is made from.
const BACK: i64 = 28;
/// Days of a sparkline.
const LINE: i64 = 14;
/// Fewer than this are not unusual, however few are usual.
const WORTH_TELLING: u64 = 50;
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
    /// Disclosures of the last 30 days by the country that they went to.
    countries: Vec<Total>,
    upstreams: Vec<UpstreamState>,
    ending: Vec<Ending>,
    ledger: LedgerState,
    rules: String,
    counted: Counted,
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
    /// The same of refusals.
    usual_refusals: u64,
    /// Distinct ones, today.
    customers: u64,
    /// The median of whole days like this one.
    usual_customers: u64,
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
        self.usual > 0 && self.disclosures >= WORTH_TELLING && self.disclosures > self.usual.saturating_mul(3)
    }

    /// The same of refusals, at a contractor that is known.
    fn is_refused_unusually(&self) -> bool {
        self.usual > 0
            && self.refusals >= WORTH_TELLING
            && self.refusals > self.usual_refusals.saturating_mul(3)
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

    fn countries_chart(&self) -> String {
        let bars: Vec<(String, u64)> =
            self.countries.iter().map(|one| (one.name.clone(), one.count)).collect();
        chart::rows(&bars, "Disclosures of the last 30 days by the country that they went to")
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

    fn usual_customers(&self) -> u64 {
        self.contractors.iter().map(|one| one.usual_customers).sum()
    }

    fn refused(&self) -> u64 {
        self.contractors.iter().map(|one| one.refusals).sum()
    }

    fn usual_refused(&self) -> u64 {
        self.contractors.iter().map(|one| one.usual_refusals).sum()
    }
}

fn load(house: &House) -> Result<Overview, Fault> {
    let (now, plan) = (now(), house.plan());
    let counts = house.counts()?;
    let ledger = super::ledger::state(house)?;
    let suspended = house.suspensions()?.contractors;
    let (mut contractors, mut hours) = (Vec::new(), Vec::new());
    let (mut refusals, mut countries) = (Vec::new(), Vec::new());
    if let Some(counts) = &counts {
        (contractors, hours) = counted(counts, &plan, now)?;
        refusals = counts.refusals(None, now.div_euclid(DAY) * 24, now.div_euclid(HOUR) + 1)?;
        refusals.truncate(REFUSALS);
        countries = counts.countries(now.div_euclid(DAY) - 29, now.div_euclid(DAY) + 1)?;
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
        countries,
        upstreams: house.orders.upstreams(),
        ending: ends.iter().filter(|end| end.days_left <= concerns::SOON).cloned().collect(),
        counted: Counted::of(house, counts.as_ref()),
        ledger,
        rules: plan.digest.as_str().to_owned(),
    };
    overview.concerns = concerns::of(house, &plan, &overview)?;
    Ok(overview)
}

/// What the counts say of each contractor, and of the last hours.
fn counted(counts: &Reader, plan: &Plan, now: i64) -> Result<(Vec<Today>, Vec<HourOfDay>), Fault> {
    let (this_hour, today) = (now.div_euclid(HOUR), now.div_euclid(DAY));
    let rows = counts.hours((today - BACK - 1) * 24, this_hour + 1)?;
    let mut all = Usual::default();
    let mut each: BTreeMap<&str, [Usual; 2]> = BTreeMap::new();
    for row in &rows {
        all.add(row.hour, row.disclosures);
        let [disclosures, refusals] = each.entry(&row.contractor).or_default();
        disclosures.add(row.hour, row.disclosures);
        refusals.add(row.hour, row.refusals);
    }
    let contractors = plan.contractors.iter().map(|contractor| {
        let id = contractor.id.as_str();
        let [usual, refusals] = each.remove(id).unwrap_or_default();
        let customers = counts.calendar(id, today - BACK, today + 1)?;
        let customers: BTreeMap<i64, u64> = customers.iter().map(|day| (day.day, day.customers)).collect();
        Ok::<_, Fault>(Today {
            id: id.to_owned(),
            name: contractor.name.clone(),
            suspended: false,
            disclosures: usual.so_far(today, this_hour),
            usual: usual.usual_so_far(today, this_hour),
            refusals: refusals.so_far(today, this_hour),
            usual_refusals: refusals.usual_so_far(today, this_hour),
            customers: customers.get(&today).copied().unwrap_or_default(),
            usual_customers: usual::of_days(today, &customers),
            limit: contractor.tasks.iter().map(|task| task.limits.subjects_per_day).max().unwrap_or_default(),
            days: (today - LINE + 1..=today).map(|day| usual.day(day)).collect(),
        })
    });
    let contractors = contractors.collect::<Result<Vec<_>, _>>()?;
    let hours = (this_hour - 23..=this_hour).map(|hour| HourOfDay {
        hour,
        disclosures: all.hour(hour),
        usual: all.usual_hour(hour),
    });
    Ok((contractors, hours.collect()))
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
