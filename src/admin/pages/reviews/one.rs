//! One review: each permission, how it was used, and what becomes of it.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::diagnostic::Source;
use crate::ledger;
use crate::rules::suggest::{Stricter, permissions, source_of};
use crate::rules::{Plan, today};

use super::super::super::guard::{Fault, Right, See, Who, blocking, rights};
use super::super::super::house::House;
use super::super::super::rollup;
use super::super::super::store::{Campaign, Decision, State, now};
use super::super::super::words;
use super::super::{Shell, html};
use super::change::Changed;
use super::{date, name_of, number, sha256, sign};

/// Microseconds that the counts of a ledger that is written to may be behind.
const LAG: i64 = 600_000_000;

/// A review.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct One {
    pub review: Campaign,
    /// The contractor's.
    pub name: String,
    /// The digest of the rules that it is about.
    pub rules: String,
    /// SHA-256 of the contractor's rule file.
    pub file: String,
    pub is_late: bool,
    /// Entries that the counts are made of; none where not all of the period is counted yet.
    pub counted: Option<u64>,
    pub tasks: Vec<Task>,
    pub kept: usize,
    pub reduced: usize,
    pub revoked: usize,
    pub undecided: usize,
    /// What was decided, as one word: it is shown again with the sign-off.
    pub seen: String,
    /// What becomes of the rule file; none where all is kept.
    pub change: Option<Changed>,
}

/// What somebody may see to do a task.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Task {
    pub id: String,
    pub purpose: String,
    pub basis: String,
    /// Distinct customers in the period, about.
    pub customers: Option<u64>,
    pub items: Vec<Item>,
}

/// A permission.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Item {
    pub id: String,
    pub task: String,
    pub methods: Vec<String>,
    pub route: String,
    /// The path of the field, as the rule writes it; empty for a route that takes a body and gives nothing.
    pub path: String,
    /// A transform, `whole`, or empty.
    pub transform: String,
    pub category: Option<String>,
    /// What it can be reduced to.
    pub stricter: Vec<Stricter>,
    /// None where it is not counted.
    pub usage: Option<Usage>,
    pub decision: Option<Decided>,
    /// What somebody tried to decide, and why it is not taken.
    #[serde(skip)]
    pub problem: Option<String>,
}

/// How it was used.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Answers that had it, in the period.
    pub answers: u64,
    /// Values that left, in the period.
    pub values: u64,
    /// When it left last, ever: microseconds since 1970-01-01T00:00:00Z; 0 where it never did.
    pub last: i64,
}

/// What somebody decided.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    /// `keep`, `reduce` or `revoke`.
    pub decision: String,
    /// The transform that it is reduced to.
    pub becomes: String,
    pub reason: String,
    pub by: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// The rule file is another one since then: it does not count.
    pub is_stale: bool,
}

impl Item {
    pub fn counts(&self) -> Option<&Decided> {
        self.decision.as_ref().filter(|decided| !decided.is_stale)
    }

    pub fn was_used(&self) -> bool {
        self.usage.as_ref().is_some_and(|used| used.answers > 0)
    }

    /// The choice that is shown as made.
    pub fn choice(&self) -> String {
        match &self.decision {
            Some(decided) if decided.decision == "reduce" => format!("reduce:{}", decided.becomes),
            Some(decided) => decided.decision.clone(),
            None => String::new(),
        }
    }

    pub fn reason(&self) -> &str {
        self.decision.as_ref().map_or("", |decided| &decided.reason)
    }
}

impl One {
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.tasks.iter().flat_map(|task| &task.items)
    }

    pub fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.tasks.iter_mut().flat_map(|task| &mut task.items)
    }

    pub fn is_signed(&self) -> bool {
        self.review.state == State::Signed
    }

    pub fn is_signing(&self) -> bool {
        self.review.state == State::Signing
    }

    pub fn all(&self) -> usize {
        self.items().count()
    }

    pub fn period(&self) -> String {
        format!("{} to {}", date(self.review.from_day), date(self.review.to_day))
    }

    pub fn due(&self) -> String {
        date(self.review.due)
    }
}

/// A review as it stands: of the rules in force, or, once it is signed off, as it was.
pub fn load(house: &House, id: i64) -> Result<One, Fault> {
    let review = house.store.review(id)?.ok_or(Fault::Missing("review"))?;
    if review.state == State::Signed {
        return sign::signed(house, review);
    }
    current(house, review)
}

/// The same of the rules in force.
pub fn current(house: &House, review: Campaign) -> Result<One, Fault> {
    let plan = house.plan();
    let source = source_of(&plan, &review.contractor);
    let file = source.map(|source| sha256(source.text.as_bytes())).unwrap_or_default();
    let decisions = house.store.decisions(review.id)?;
    let (counted, tasks) = match source {
        Some(source) => tasks(house, &plan, source, &review)?,
        None => (counts(house, &review)?.map(|counts| counts.upto), Vec::new()),
    };
    let mut one = One {
        name: name_of(house, &review.contractor),
        rules: plan.digest.as_str().to_owned(),
        is_late: review.is_late(number(today())),
        file,
        counted,
        tasks,
        kept: 0,
        reduced: 0,
        revoked: 0,
        undecided: 0,
        seen: String::new(),
        change: None,
        review,
    };
    let file = one.file.clone();
    one.items_mut().for_each(|item| item.take(&decisions, &file));
    one.count();
    one.change = Changed::of(house, &plan, &one)?;
    Ok(one)
}

impl Item {
    fn take(&mut self, decisions: &[Decision], file: &str) {
        let own = |one: &&Decision| {
            (&one.task, &one.route, &one.path, &one.transform)
                == (&self.task, &self.route, &self.path, &self.transform)
        };
        self.decision = decisions.iter().find(own).map(|one| Decided {
            decision: one.decision.clone(),
            becomes: one.becomes.clone(),
            reason: one.reason.clone(),
            by: one.by.clone(),
            at: one.at,
            is_stale: one.file != file,
        });
    }
}

impl One {
    fn count(&mut self) {
        let (mut kept, mut reduced, mut revoked, mut undecided) = (0, 0, 0, 0);
        let mut seen = format!("{}\n{}\n", self.rules, self.review.id);
        for item in self.items() {
            let decided = item.counts();
            match decided.map(|decided| decided.decision.as_str()) {
                Some("keep") => kept += 1,
                Some("reduce") => reduced += 1,
                Some(_) => revoked += 1,
                None => undecided += 1,
            }
            if let Some(decided) = decided {
                seen += &format!("{} {} {} {:?}\n", item.id, item.choice(), decided.by, decided.reason);
            }
        }
        (self.kept, self.reduced, self.revoked, self.undecided) = (kept, reduced, revoked, undecided);
        self.seen = sha256(seen.as_bytes());
    }
}

/// The counts, where they are of the whole period: what is not counted yet must not look as if it was not used.
fn counts(house: &House, review: &Campaign) -> Result<Option<rollup::Reader>, Fault> {
    let Some(counts) = house.counts()? else { return Ok(None) };
    let size = ledger::Log::open(&house.read)?.size();
    let end = ((review.to_day + 1) * rollup::DAY).min(now() - LAG);
    Ok((counts.upto >= size || counts.time >= end).then_some(counts))
}

fn tasks(
    house: &House,
    plan: &Plan,
    source: &Arc<Source>,
    review: &Campaign,
) -> Result<(Option<u64>, Vec<Task>), Fault> {
    let counts = counts(house, review)?;
    let (from, to) = (review.from_day, review.to_day + 1);
    let used = match &counts {
        Some(counts) => counts.permissions(&review.contractor, from, to)?,
        None => Vec::new(),
    };
    let contractor = plan.contractors.iter().find(|known| known.id.as_str() == review.contractor);
    let permitted = permissions(source).unwrap_or_default();
    let mut tasks = Vec::new();
    for known in contractor.iter().flat_map(|contractor| &contractor.tasks) {
        let id = known.id.as_str();
        let customers = match &counts {
            Some(counts) => Some(counts.about_customers(&review.contractor, Some(id), from, to)?),
            None => None,
        };
        let own = permitted.iter().filter(|(permission, _)| permission.task == id);
        let items = own.map(|(permission, terms)| Item {
            id: sha256(format!("{permission:?}").as_bytes())[..16].to_owned(),
            task: permission.task.clone(),
            methods: terms.methods.iter().map(|method| (*method).to_owned()).collect(),
            route: permission.route.clone(),
            path: permission.path.clone(),
            transform: permission.treatment.to_owned(),
            category: terms.category.map(str::to_owned),
            stricter: terms.stricter.clone(),
            usage: (counts.is_some() && !permission.path.is_empty()).then(|| {
                let own = used.iter().find(|one: &&rollup::Permission| {
                    (&*one.task, &*one.route, &*one.path, &*one.transform)
                        == (&*permission.task, &*permission.route, &*permission.path, permission.treatment)
                });
                let (answers, values, last) =
                    own.map_or((0, 0, 0), |one| (one.answers, one.disclosed, one.last));
                Usage { answers, values, last }
            }),
            decision: None,
            problem: None,
        });
        tasks.push(Task {
            id: id.to_owned(),
            purpose: known.purpose.clone(),
            basis: known.basis.as_str().to_owned(),
            customers,
            items: items.collect(),
        });
    }
    Ok((counts.map(|counts| counts.upto), tasks))
}

async fn loaded(see: &See<rights::View>, id: i64) -> Result<One, Fault> {
    let house = Arc::clone(&see.house);
    blocking(move || load(&house, id)).await
}

pub async fn model(see: See<rights::View>, Path(id): Path<i64>) -> Result<Json<One>, Fault> {
    Ok(Json(loaded(&see, id).await?))
}

#[derive(Template)]
#[template(path = "review.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    one: One,
    /// Decisions can be changed by who is signed in.
    may: bool,
}

pub async fn page(see: See<rights::View>, Path(id): Path<i64>) -> Result<Response, Fault> {
    let one = loaded(&see, id).await?;
    show(&see.house, &see.who, one)
}

pub fn show(house: &House, who: &Who, one: One) -> Result<Response, Fault> {
    let may = who.may(Right::Review) && !one.is_signed();
    html(&Page { shell: Shell::new(house, who, "/reviews"), one, may })
}

/// What htmx gets back when an item was decided: its state, and how far the review is.
#[derive(Template)]
#[template(path = "review_item.html", config = ".askama.toml")]
pub struct Answer {
    pub one: One,
    pub id: String,
    pub problem: Option<String>,
}
