//! The pages. Each has a model, which is shown as HTML, and under `/api/v1` as JSON.

mod alerts;
mod contractors;
mod disclosures;
mod entry;
mod ledger;
mod overview;
mod reviews;
mod rules;
mod subject;
mod you;

use askama::Template;
use axum::Router;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::api::Operation;
use super::assets;
use super::guard::{Entrance, Fault, Who};
use super::house::House;
use super::rollup::Reader;
use super::words;

pub use ledger::Prunable;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .merge(overview::routes())
        .merge(disclosures::routes())
        .merge(entry::routes())
        .merge(contractors::routes())
        .merge(subject::routes())
        .merge(alerts::routes())
        .merge(reviews::routes())
        .merge(rules::routes())
        .merge(ledger::routes())
        .merge(you::routes())
}

/// What programs can ask for.
pub fn operations() -> Vec<Operation> {
    let all = [
        overview::operations(),
        alerts::operations(),
        disclosures::operations(),
        entry::operations(),
        contractors::operations(),
        reviews::operations(),
        rules::operations(),
        ledger::operations(),
        subject::operations(),
        you::operations(),
    ];
    all.into_iter().flatten().collect()
}

/// What is around each page.
pub struct Shell {
    pub assets: &'static assets::Links,
    pub company: String,
    pub name: String,
    pub role: &'static str,
    /// What each form must show, as `form_token`.
    pub form_token: String,
    here: &'static str,
    /// The gateway is one of several: the numbers of entries that it wrote itself are not those of the pages.
    pub in_fleet: bool,
    /// Alerts and reviews that wait for somebody.
    waiting: Waiting,
}

/// Numbers beside the names of pages.
#[derive(Clone, Copy, Default)]
pub struct Waiting {
    pub alerts: u64,
    pub reviews: u64,
    /// Of those, the ones whose day has passed.
    pub late_reviews: u64,
}

/// How far the counts have come.
#[derive(Clone, Copy, Serialize, ToSchema)]
struct Counted {
    /// When the last entry that is counted was made: microseconds since 1970-01-01T00:00:00Z; 0 where none is.
    until: i64,
    /// Entries that are not counted yet.
    behind: u64,
}

impl Counted {
    /// A second's entries are not worth a word.
    const WORTH_TELLING: u64 = 500;

    fn new(size: u64, counts: Option<&Reader>) -> Self {
        let (upto, until) = counts.map_or((0, 0), |counts| (counts.upto, counts.time));
        Counted { until, behind: size.saturating_sub(upto) }
    }

    /// Of a page that does not read the ledger itself.
    fn of(house: &House, counts: Option<&Reader>) -> Self {
        Counted::new(house.signed(), counts)
    }

    /// What to say of it; nothing where the counts are as good as new.
    fn told(&self) -> Option<String> {
        if self.behind <= Counted::WORTH_TELLING {
            return None;
        }
        let behind = words::count(self.behind, "entry is", "entries are");
        Some(match self.until {
            0 => format!("The ledger is being counted: {behind} still to come."),
            until => {
                format!(
                    "Counted up to {}. {behind} still to come, so figures are too low.",
                    words::time(until)
                )
            }
        })
    }
}

/// A page in the list of pages.
pub struct Item {
    pub name: &'static str,
    pub path: &'static str,
    /// Leads there after `g`.
    pub key: char,
    pub is_here: bool,
    pub count: u64,
}

const PAGES: [(&str, &str, char); 8] = [
    ("Overview", "/", 'o'),
    ("Alerts", "/alerts", 'a'),
    ("Disclosures", "/disclosures", 'd'),
    ("Contractors", "/contractors", 'c'),
    ("Customer", "/subject", 's'),
    ("Reviews", "/reviews", 'r'),
    ("Rules", "/rules", 'u'),
    ("Ledger", "/ledger", 'l'),
];

impl Shell {
    /// Around the page in the list whose path is `here`.
    pub fn new(house: &House, who: &Who, here: &'static str) -> Self {
        Shell {
            assets: assets::links(),
            company: house.company().to_owned(),
            name: who.name().to_owned(),
            role: who.session.role.as_str(),
            form_token: who.form_token.clone(),
            here,
            in_fleet: house.config.ledger.fleet.is_some(),
            waiting: house.waiting(),
        }
    }

    pub fn items(&self) -> impl Iterator<Item = Item> {
        PAGES.into_iter().map(|(name, path, key)| {
            let count = match path {
                "/alerts" => self.waiting.alerts,
                "/reviews" => self.waiting.reviews,
                _ => 0,
            };
            Item { name, path, key, is_here: path == self.here, count }
        })
    }
}

/// A page, written.
fn html(page: &impl Template) -> Result<Response, Fault> {
    Ok(Html(page.render()?).into_response())
}
