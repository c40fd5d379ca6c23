//! One customer: what was disclosed about them, and what they let us disclose.
//!
//! Customers' ids come in the bodies of POSTs only, go back to who sent them, and nowhere else.

mod account;
mod consent;
mod copy;

use askama::Template;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::customer;

use super::super::api::Operation;
use super::super::guard::{Act, Entrance, Fault, Right, See, Who, rights};
use super::super::house::House;
use super::super::words;
use super::{Shell, html};

use account::{CustomerAccount, CustomerStatements};
use consent::{CustomerSays, CustomerTaken};

/// Characters of an id, and of a reason.
const LONGEST: usize = 500;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/subject", get(page).post(look_up))
        .route("/subject/copy", post(copy::file))
        .route("/subject/consent", post(say))
        .route("/api/v1/subjects/account", post(account_model))
        .route("/api/v1/subjects/copy", post(copy::file))
        .route("/api/v1/subjects/statements", post(statements_model))
        .route("/api/v1/subjects/consent", post(say_model))
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post::<CustomerAsked, CustomerAccount>(
            "/api/v1/subjects/account",
            Right::LookUp,
            "What was disclosed about a customer, to whom, when and why",
        ),
        Operation::file::<CustomerAsked>(
            "/api/v1/subjects/copy",
            Right::LookUp,
            "The same as a page that can be handed to the customer",
            "text/html",
        ),
        Operation::post::<CustomerAsked, CustomerStatements>(
            "/api/v1/subjects/statements",
            Right::LookUp,
            "What is on file of a customer's consents and objections",
        ),
        Operation::post::<CustomerSays, CustomerTaken>(
            "/api/v1/subjects/consent",
            Right::Consent,
            "Take down what a customer consents or objects to",
        ),
    ]
}

/// A question about a customer. `Debug` is not derived: it holds the id.
#[derive(Clone, Default, Deserialize, ToSchema)]
pub struct CustomerAsked {
    /// As the upstream names the customer.
    customer: String,
    /// Why somebody asks; it is written to the ledger.
    reason: String,
    /// The first day, in UTC: `2026-01-31`. From the beginning where it is left out.
    #[serde(default)]
    from: String,
    /// The last day, in UTC. Until now where it is left out.
    #[serde(default)]
    to: String,
}

#[derive(Template)]
#[template(path = "subject.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    may_look_up: bool,
    may_consent: bool,
    asked: CustomerAsked,
    says: CustomerSays,
    /// What is wrong with what was asked.
    fault: Option<String>,
    found: Option<CustomerAccount>,
    taken: Option<CustomerTaken>,
    /// Ids, and what the rules write of them.
    purposes: Vec<(String, String)>,
    contractors: Vec<(String, String)>,
}

impl Page {
    fn new(house: &House, who: &Who) -> Self {
        let plan = house.plan();
        let contractors = plan.contractors.iter().map(|one| (one.id.to_string(), one.name.clone()));
        Page {
            shell: Shell::new(house, who, "/subject"),
            may_look_up: who.may(Right::LookUp),
            may_consent: who.may(Right::Consent),
            asked: CustomerAsked::default(),
            says: CustomerSays::default(),
            fault: None,
            found: None,
            taken: None,
            purposes: customer::purposes(&plan),
            contractors: contractors.collect(),
        }
    }

    /// With what came of a question; what is wrong with it is said beside the form.
    fn answer<T>(mut self, outcome: Result<T, Fault>, put: fn(&mut Page, T)) -> Result<Response, Fault> {
        match outcome {
            Ok(found) => put(&mut self, found),
            Err(Fault::Wrong(what)) => {
                self.fault = Some(what);
                return Ok((StatusCode::BAD_REQUEST, html(&self)?).into_response());
            }
            Err(other) => return Err(other),
        }
        html(&self)
    }
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    html(&Page::new(&see.house, &see.who))
}

async fn look_up(act: Act<rights::LookUp, CustomerAsked>) -> Result<Response, Fault> {
    let mut page = Page::new(&act.house, &act.who);
    page.asked = act.form.clone();
    let found = account::load(&act.house, &act.who, act.form).await;
    page.answer(found, |page, found| page.found = Some(found))
}

async fn account_model(act: Act<rights::LookUp, CustomerAsked>) -> Result<Json<CustomerAccount>, Fault> {
    Ok(Json(account::load(&act.house, &act.who, act.form).await?))
}

async fn statements_model(
    act: Act<rights::LookUp, CustomerAsked>,
) -> Result<Json<CustomerStatements>, Fault> {
    Ok(Json(account::statements(&act.house, &act.who, act.form).await?))
}

async fn say(act: Act<rights::Consent, CustomerSays>) -> Result<Response, Fault> {
    let mut page = Page::new(&act.house, &act.who);
    page.says = act.form.clone();
    let taken = consent::take(&act.house, &act.who, act.form).await;
    page.answer(taken, |page, taken| page.taken = Some(taken))
}

async fn say_model(act: Act<rights::Consent, CustomerSays>) -> Result<Json<CustomerTaken>, Fault> {
    Ok(Json(consent::take(&act.house, &act.who, act.form).await?))
}

/// What a form must say of the customer, and why. The reason stands in the ledger, so it must not name the customer.
fn check(customer: &str, reason: &str, beside: &[&str]) -> Result<(), Fault> {
    let wrong = |what: &str| Err(Fault::Wrong(what.to_owned()));
    if customer.is_empty() || customer.chars().count() > LONGEST {
        return wrong("Say which customer, by the id that the internal systems use.");
    }
    if reason.trim().is_empty() || reason.chars().count() > LONGEST {
        return wrong(
            "Say why, for example with the number of the customer's request; at most 500 characters.",
        );
    }
    let id = customer.to_lowercase();
    let mut texts = std::iter::once(&reason).chain(beside);
    // An id of one or two characters stands in many words.
    if id.chars().count() > 2 && texts.any(|text| text.to_lowercase().contains(&id)) {
        return wrong("The reason must not name the customer: it is written to the ledger in the clear.");
    }
    Ok(())
}
