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

use super::api::Operation;
use super::assets;
use super::guard::{Entrance, Fault, Who};
use super::house::House;

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
        disclosures::operations(),
        entry::operations(),
        contractors::operations(),
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
