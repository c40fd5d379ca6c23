//! What needs somebody.

use serde::Serialize;
use utoipa::ToSchema;

use crate::rules::{Plan, today};

use super::super::super::guard::Fault;
use super::super::super::house::House;
use super::super::super::words;
use super::Overview;

/// Days ahead that an end is told.
pub const SOON: i64 = 30;
/// Seconds that a witness may be behind before it is told.
const UNWITNESSED: u64 = 3600;

/// Something that needs somebody.
#[derive(Clone, Serialize, ToSchema)]
pub struct Concern {
    pub gravity: Gravity,
    pub what: String,
    /// The page about it.
    pub page: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gravity {
    /// Now.
    Bad,
    /// Soon.
    Warn,
}

impl Gravity {
    pub fn class(self) -> &'static str {
        match self {
            Gravity::Bad => "bad",
            Gravity::Warn => "warn",
        }
    }
}

/// All of it, the gravest first.
pub fn of(house: &House, plan: &Plan, overview: &Overview) -> Result<Vec<Concern>, Fault> {
    let mut found = Vec::new();
    ledger(house, overview, &mut found)?;
    machinery(house, overview, &mut found);
    people(house, &mut found);
    contractors(plan, overview, &mut found);
    found.sort_by_key(|concern| concern.gravity);
    Ok(found)
}

fn add(found: &mut Vec<Concern>, gravity: Gravity, page: impl Into<String>, what: impl Into<String>) {
    found.push(Concern { gravity, what: what.into(), page: page.into() });
}

fn ledger(house: &House, overview: &Overview, found: &mut Vec<Concern>) -> Result<(), Fault> {
    if !overview.ledger.healthy {
        add(found, Gravity::Bad, "/ledger", "The ledger cannot be written: nothing is disclosed");
    }
    if let Some(fleet) = &overview.ledger.fleet {
        if let Some(trouble) = &fleet.trouble {
            add(
                found,
                Gravity::Bad,
                "/ledger#fleet",
                format!("Entries of other nodes do not come in: {trouble}"),
            );
        }
        if !fleet.gathered {
            add(found, Gravity::Warn, "/ledger#fleet", "These pages show the entries of this node alone");
        }
    }
    if let Some(last) = house.store.last_verification()?.filter(|last| last.found.errors > 0) {
        let errors = words::count(last.found.errors, "error", "errors");
        add(found, Gravity::Bad, "/ledger", format!("The last verification of the ledger found {errors}"));
    }
    if let Some(witnesses) = &overview.ledger.witnesses {
        let age = witnesses
            .at
            .map(|at| (overview.now / 1_000_000) as u64 - at.min((overview.now / 1_000_000) as u64));
        if witnesses.witnessed < overview.ledger.signed && age.is_none_or(|age| age > UNWITNESSED) {
            add(
                found,
                Gravity::Warn,
                "/ledger",
                "The witnesses have not cosigned the ledger for over an hour",
            );
        }
    }
    Ok(())
}

fn machinery(house: &House, overview: &Overview, found: &mut Vec<Concern>) {
    let reloads = [
        ("rules", "/rules", "Rule files were changed and cannot be taken in"),
        ("tls", "/ledger", "Certificates or revocation lists were changed and cannot be taken in"),
        ("upstreams", "/ledger", "What upstreams are shown was changed and cannot be taken in"),
    ];
    for (what, page, text) in reloads {
        if house.figures.has_failed(what) {
            add(found, Gravity::Bad, page, text);
        }
    }
    for upstream in &overview.upstreams {
        let out = upstream.endpoints.iter().filter(|endpoint| !endpoint.serves).count();
        match (out, upstream.endpoints.len()) {
            (0, _) => {}
            (out, all) if out == all => {
                add(
                    found,
                    Gravity::Bad,
                    "/#upstreams",
                    format!("The upstream {} is out of service", upstream.name),
                );
            }
            (out, all) => {
                let what =
                    format!("{out} of {all} endpoints of the upstream {} are out of service", upstream.name);
                add(found, Gravity::Warn, "/#upstreams", what);
            }
        }
    }
    for end in &overview.ending {
        let (gravity, when) = when(end.days_left);
        add(found, gravity, "/#ending", format!("The {} {} {when}", end.what, end.name));
    }
}

fn when(days: i64) -> (Gravity, String) {
    match days {
        ..0 => (Gravity::Bad, "has ended".to_owned()),
        0 => (Gravity::Bad, "ends today".to_owned()),
        1 => (Gravity::Warn, "ends tomorrow".to_owned()),
        days => (Gravity::Warn, format!("ends in {days} days")),
    }
}

fn people(house: &House, found: &mut Vec<Concern>) {
    let waiting = house.waiting();
    if waiting.alerts > 0 {
        let what = format!("{} not acknowledged", words::count(waiting.alerts, "alert is", "alerts are"));
        add(found, Gravity::Bad, "/alerts", what);
    }
    if waiting.late_reviews > 0 {
        let what = format!("{} late", words::count(waiting.late_reviews, "review is", "reviews are"));
        add(found, Gravity::Warn, "/reviews", what);
    }
}

fn contractors(plan: &Plan, overview: &Overview, found: &mut Vec<Concern>) {
    let today = today();
    for contractor in &plan.contractors {
        let page = format!("/contractors/{}", contractor.id);
        let left = (contractor.agreement.expires - today).get_days();
        if i64::from(left) <= SOON {
            // The agreement ends before that day.
            let (gravity, when) = when(i64::from(left) - 1);
            let what =
                format!("The agreement {} with {} {when}", contractor.agreement.reference, contractor.name);
            add(found, gravity, page, what);
        }
    }
    for one in &overview.contractors {
        let page = format!("/contractors/{}", one.id);
        if one.suspended {
            add(found, Gravity::Warn, page.clone(), format!("{} is suspended", one.name));
        }
        if one.is_unusual() {
            let (now, usual) = (words::number(one.disclosures), words::number(one.usual));
            let what = format!("{} has got {now} disclosures today; usual by now: {usual}", one.name);
            add(found, Gravity::Warn, page.clone(), what);
        }
        if one.is_refused_unusually() {
            let (now, usual) = (words::number(one.refusals), words::number(one.usual_refusals));
            let what = format!("{} was refused {now} times today; usual by now: {usual}", one.name);
            add(found, Gravity::Warn, page.clone(), what);
        }
        if one.limit > 0 && one.customers * 10 >= one.limit * 9 {
            let (seen, limit) = (words::number(one.customers), words::number(one.limit));
            add(
                found,
                Gravity::Warn,
                page,
                format!("{} has seen {seen} of at most {limit} customers today", one.name),
            );
        }
    }
}
