//! One contractor.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ledger::{Suspension, plain_field};
use crate::model::Basis;
use crate::rules::{Contractor, Task, today};

use super::super::super::chart::{self, Stack};
use super::super::super::guard::{Fault, Right, See, Who, blocking, rights};
use super::super::super::house::House;
use super::super::super::rollup::{Calendar, DAY, DayOfField, Permission, Refusals, Signals};
use super::super::super::store::now;
use super::super::super::words;
use super::super::{Counted, Shell, html};

/// Days of the calendar.
const YEAR: i64 = 182;
/// Fields in the chart; the others are one.
const FIELDS: usize = 5;

/// Over which time.
#[derive(Deserialize)]
pub struct Period {
    days: Option<i64>,
}

/// What a contractor can see, and what it did see.
#[derive(Serialize, ToSchema)]
pub struct One {
    id: String,
    name: String,
    service: String,
    contact: String,
    /// Where the data comes from and goes to.
    from: String,
    to: String,
    agreement: Agreement,
    suspension: Option<Suspended>,
    credentials: Vec<Credential>,
    tasks: Vec<TaskOf>,
    /// Days that the figures below are about, today included.
    days: i64,
    disclosures: u64,
    refusals: u64,
    /// About how many, in these days.
    customers: u64,
    /// Distinct customers in a day, at most.
    limit: u64,
    calendar: Calendar,
    fields: Vec<DayOfField>,
    /// Why it was refused, in these days.
    refused: Vec<Refusals>,
    /// What a reviewer should look at, in these days, the newest first.
    signals: Vec<Signals>,
    counted: Counted,
    #[serde(skip)]
    today: i64,
}

#[derive(Serialize, ToSchema)]
struct Agreement {
    reference: String,
    effective: String,
    /// From this day on (UTC) nothing leaves.
    expires: String,
    days_left: i64,
    transfer: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct Suspended {
    since: i64,
    by: String,
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct Credential {
    id: String,
    /// It was used in these days.
    used: bool,
    /// Whole days until the certificate ends that it was shown with last; not known for keys and tokens, and until it
    /// is used.
    days_left: Option<i64>,
}

/// A task, in plain words.
#[derive(Serialize, ToSchema)]
struct TaskOf {
    id: String,
    purpose: String,
    basis: String,
    /// What the basis means.
    basis_words: String,
    limits: String,
    /// Of a legal grant: its case, its authority, and its last day.
    legal: Option<String>,
    in_force: bool,
    /// About how many customers, in these days.
    customers: u64,
    routes: Vec<RouteOf>,
}

#[derive(Serialize, ToSchema)]
struct RouteOf {
    /// `GET /orders/{order_id}`.
    call: String,
    upstream: String,
    /// Only records that fulfil a condition.
    conditional: bool,
    fields: Vec<FieldOf>,
}

/// A field that may leave, and whether it did.
#[derive(Serialize, ToSchema)]
struct FieldOf {
    path: String,
    /// In plain words.
    words: String,
    transform: Option<String>,
    /// Values that left in these days.
    disclosed: u64,
    /// When one left first and last: microseconds since 1970-01-01T00:00:00Z; 0 where none ever did.
    first: i64,
    last: i64,
}

impl One {
    fn heat(&self) -> String {
        let counts: Vec<(i64, u64)> = self.calendar.iter().map(|day| (day.day, day.disclosures)).collect();
        chart::heat(self.today, &counts, YEAR.max(self.days), "Disclosures on each day")
    }

    fn days(&self) -> impl Iterator<Item = i64> {
        self.today - self.days + 1..=self.today
    }

    fn names(&self) -> Vec<String> {
        self.days().map(|day| words::day(day * DAY).split_off(5)).collect()
    }

    /// Customers on each day.
    fn customers_chart(&self) -> String {
        let known: BTreeMap<i64, u64> = self.calendar.iter().map(|day| (day.day, day.customers)).collect();
        let values = self.days().map(|day| known.get(&day).copied().unwrap_or_default()).collect();
        let stack = Stack { name: "customers".to_owned(), values };
        chart::stacked(&self.names(), &[stack], "Distinct customers on each day")
    }

    fn most_customers(&self) -> u64 {
        self.calendar.iter().map(|day| day.customers).max().unwrap_or_default()
    }

    fn gauge(&self) -> String {
        let most = self.most_customers();
        let label = format!(
            "Busiest day: {} of at most {} customers",
            words::number(most),
            words::number(self.limit)
        );
        chart::gauge(most, self.limit, &label)
    }

    /// The fields that leave most, over time.
    fn fields_chart(&self) -> (String, Vec<String>) {
        let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
        for field in &self.fields {
            *totals.entry(&field.path).or_default() += field.disclosed;
        }
        let mut order: Vec<(&str, u64)> = totals.into_iter().collect();
        order.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        let mut names: Vec<String> = order.iter().take(FIELDS).map(|(path, _)| (*path).to_owned()).collect();
        if order.len() > FIELDS {
            names.push("others".to_owned());
        }
        let first = self.today - self.days + 1;
        let mut stacks: Vec<Stack> = names
            .iter()
            .map(|name| Stack { name: name.clone(), values: vec![0; self.days as usize] })
            .collect();
        for field in &self.fields {
            let at =
                names.iter().position(|name| *name == field.path).unwrap_or(names.len().saturating_sub(1));
            let day = usize::try_from(field.day - first).ok();
            if let Some(value) = day.and_then(|day| stacks.get_mut(at)?.values.get_mut(day)) {
                *value += field.disclosed;
            }
        }
        (chart::stacked(&self.names(), &stacks, "Values of each field that left on each day"), names)
    }

    fn refused_chart(&self) -> String {
        let rows: Vec<(String, u64)> = self.refused.iter().map(|one| (one.code.clone(), one.count)).collect();
        chart::rows(&rows, "Refusals by their reason")
    }

    fn unused(&self) -> usize {
        let fields = self.tasks.iter().flat_map(|task| &task.routes).flat_map(|route| &route.fields);
        fields.filter(|field| field.disclosed == 0).count()
    }

    fn has_ended(&self) -> bool {
        self.agreement.days_left <= 0
    }
}

fn load(house: &House, id: &str, days: i64) -> Result<One, Fault> {
    let plan = house.plan();
    let contractor =
        plan.contractors.iter().find(|known| known.id.as_str() == id).ok_or(Fault::Missing("contractor"))?;
    let day = now().div_euclid(DAY);
    let (mut calendar, mut fields, mut customers, mut permissions) = (Vec::new(), Vec::new(), 0, Vec::new());
    let (mut refused, mut signals, mut of_task) = (Vec::new(), Vec::new(), BTreeMap::new());
    let counts = house.counts()?;
    if let Some(counts) = &counts {
        calendar = counts.calendar(id, day - YEAR.max(days) + 1, day + 1)?;
        fields = counts.fields(id, day - days + 1, day + 1)?;
        refused = counts.refusals(Some(id), (day - days + 1) * 24, (day + 1) * 24)?;
        signals = counts.signals(Some(id), day - days + 1, day + 1)?;
        permissions = counts.permissions(id, day - days + 1, day + 1)?;
        customers = counts.about_customers(id, None, day - days + 1, day + 1)?;
        for task in &contractor.tasks {
            let about = counts.about_customers(id, Some(task.id.as_str()), day - days + 1, day + 1)?;
            of_task.insert(task.id.to_string(), about);
        }
    }
    let in_time = calendar.iter().filter(|one| one.day > day - days);
    let suspension = house.suspensions()?.contractors.remove(id);
    let used = used_credentials(house, id, days)?;
    Ok(One {
        id: id.to_owned(),
        name: contractor.name.clone(),
        service: contractor.service.clone(),
        contact: contractor.contact.clone(),
        from: contractor.jurisdictions.from.to_string(),
        to: contractor.jurisdictions.to.to_string(),
        agreement: agreement(contractor),
        suspension: suspension.map(|Suspension { since, by, reason }| Suspended { since, by, reason }),
        credentials: contractor
            .credentials
            .iter()
            .enumerate()
            .map(|(at, credential)| Credential {
                id: credential.to_string(),
                used: used.contains(credential.as_str()),
                days_left: contractor.certificate_days_left(at),
            })
            .collect(),
        tasks: contractor
            .tasks
            .iter()
            .enumerate()
            .map(|(at, task)| {
                task_of(
                    contractor,
                    at,
                    task,
                    &permissions,
                    of_task.get(task.id.as_str()).copied().unwrap_or_default(),
                )
            })
            .collect(),
        days,
        disclosures: in_time.clone().map(|day| day.disclosures).sum(),
        refusals: in_time.map(|day| day.refusals).sum(),
        customers,
        limit: contractor.tasks.iter().map(|task| task.limits.subjects_per_day).max().unwrap_or_default(),
        calendar,
        fields,
        refused,
        signals,
        counted: Counted::of(house, counts.as_ref()),
        today: day,
    })
}

fn agreement(contractor: &Contractor) -> Agreement {
    let agreement = &contractor.agreement;
    Agreement {
        reference: agreement.reference.clone(),
        effective: agreement.effective.to_string(),
        expires: agreement.expires.to_string(),
        days_left: i64::from((agreement.expires - today()).get_days()),
        transfer: agreement.transfer.map(|transfer| transfer.as_str().to_owned()),
    }
}

/// A search for each credential ends with the first entry.
fn used_credentials(house: &House, id: &str, days: i64) -> Result<BTreeSet<String>, Fault> {
    let (search, plan) = (house.search()?, house.plan());
    let contractor = plan.contractors.iter().find(|known| known.id.as_str() == id);
    let mut used = BTreeSet::new();
    for credential in contractor.map(|contractor| contractor.credentials.as_slice()).unwrap_or_default() {
        let query = crate::ledger::Query {
            contractor: Some(id.to_owned()),
            credential: Some(credential.to_string()),
            since: Some(now() - days * DAY),
            ..Default::default()
        };
        if !search.page(&query, 1)?.rows.is_empty() {
            used.insert(credential.to_string());
        }
    }
    Ok(used)
}

fn task_of(contractor: &Contractor, at: usize, task: &Task, used: &[Permission], customers: u64) -> TaskOf {
    let routes = contractor.routes.iter().filter(|route| route.task == at);
    let routes = routes.map(|route| {
        let fields = route.fields.iter().map(|field| {
            let is_it = |one: &&Permission| {
                one.task == task.id.as_str()
                    && one.route == route.template.as_str()
                    && one.path == field.path
                    && one.transform == field.treatment.unwrap_or_default()
            };
            let used = used.iter().find(is_it);
            FieldOf {
                path: field.path.clone(),
                words: plain_field(&field.path, None),
                transform: field.treatment.map(str::to_owned),
                disclosed: used.map_or(0, |used| used.disclosed),
                first: used.map_or(0, |used| used.first),
                last: used.map_or(0, |used| used.last),
            }
        });
        RouteOf {
            call: route.methods_and_path.clone(),
            upstream: route.upstream.clone(),
            conditional: route.filter.has_condition(),
            fields: fields.collect(),
        }
    });
    let limits = &task.limits;
    TaskOf {
        id: task.id.to_string(),
        purpose: task.purpose.clone(),
        basis: task.basis.as_str().to_owned(),
        basis_words: basis_of(task.basis).to_owned(),
        limits: format!(
            "At most {} requests, {} at once, {} customers a day",
            limits.requests,
            limits.concurrent,
            words::number(limits.subjects_per_day)
        ),
        legal: task
            .legal
            .as_ref()
            .map(|grant| format!("case {} of {}, until {}", grant.case, grant.authority, grant.expires)),
        in_force: task.is_in_force(),
        customers,
        routes: routes.collect(),
    }
}

fn basis_of(basis: Basis) -> &'static str {
    match basis {
        Basis::Contract => "Needed for the contract with the customer",
        Basis::Consent => "With the customer's consent",
        Basis::LegalObligation => "Required by law",
    }
}

async fn loaded(see: &See<rights::View>, id: String, period: Period) -> Result<One, Fault> {
    let (house, days) = (Arc::clone(&see.house), period.days.unwrap_or(90).clamp(7, 366));
    blocking(move || load(&house, &id, days)).await
}

pub async fn model(
    see: See<rights::View>,
    Path(id): Path<String>,
    Query(period): Query<Period>,
) -> Result<Json<One>, Fault> {
    Ok(Json(loaded(&see, id, period).await?))
}

#[derive(Template)]
#[template(path = "contractor.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    one: One,
    who: Who,
    fields: (String, Vec<String>),
}

pub async fn page(
    see: See<rights::View>,
    Path(id): Path<String>,
    Query(period): Query<Period>,
) -> Result<Response, Fault> {
    let one = loaded(&see, id, period).await?;
    let fields = one.fields_chart();
    html(&Page { shell: Shell::new(&see.house, &see.who, "/contractors"), one, who: see.who, fields })
}
