//! Who is signed in: sessions, tokens, password.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::api::Operation;
use super::super::guard::{Act, Entrance, Fault, Right, See, blocking, rights};
use super::super::store::{Role, Session, SessionKind, now};
use super::super::words;
use super::{Shell, html};

/// Days that a token lasts at most.
const LONGEST: u32 = 365;
/// Microseconds.
const DAY: i64 = 86_400_000_000;

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/you", get(page))
        .route("/you/sessions/end", post(end))
        .route("/you/password", post(password))
        .route("/you/tokens", post(token))
        .route("/api/v1/you", get(model))
}

pub fn operations() -> Vec<Operation> {
    vec![Operation::get::<You>("/api/v1/you", Right::View, "Who is signed in, and what the role allows")]
}

/// Somebody who is signed in, and how.
#[derive(Serialize, ToSchema)]
struct You {
    name: String,
    role: Role,
    /// What the role allows.
    may: Vec<Right>,
    sessions: Vec<Session>,
}

#[derive(Template)]
#[template(path = "you.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    you: You,
    this: String,
    has_password: bool,
    /// A token that was just made: it is shown once.
    made: Option<String>,
}

const RIGHTS: [Right; 9] = [
    Right::View,
    Right::LookUp,
    Right::Export,
    Right::Suspend,
    Right::Resume,
    Right::Acknowledge,
    Right::Review,
    Right::Consent,
    Right::Verify,
];

async fn load(see: &See<rights::View>) -> Result<(You, bool), Fault> {
    let (store, name) = (see.house.store.clone(), see.who.name().to_owned());
    let role = see.who.session.role;
    blocking(move || {
        let has_password = store.account(&name)?.is_some_and(|account| account.has_password);
        let sessions = store.sessions_of(&name)?;
        let may = RIGHTS.into_iter().filter(|right| role.may(*right)).collect();
        Ok::<_, Fault>((You { name, role, may, sessions }, has_password))
    })
    .await
}

async fn model(see: See<rights::View>) -> Result<Json<You>, Fault> {
    Ok(Json(load(&see).await?.0))
}

async fn page(see: See<rights::View>) -> Result<Response, Fault> {
    show(&see, None).await
}

async fn show(see: &See<rights::View>, made: Option<String>) -> Result<Response, Fault> {
    let (you, has_password) = load(see).await?;
    let shell = Shell::new(&see.house, &see.who, "/you");
    html(&Page { shell, you, this: see.who.session.id.clone(), has_password, made })
}

#[derive(Deserialize)]
struct End {
    id: String,
}

async fn end(act: Act<rights::View, End>) -> Result<Response, Fault> {
    let Act { house, who, form, .. } = act;
    let ended = blocking(move || house.store.end_session(who.name(), &form.id)).await?;
    if ended { Ok(Redirect::to("/you").into_response()) } else { Err(Fault::Missing("session")) }
}

#[derive(Deserialize)]
struct Password {
    before: String,
    password: String,
}

/// Ends all other sessions.
async fn password(
    State(entrance): State<Entrance>,
    act: Act<rights::View, Password>,
) -> Result<Response, Fault> {
    let Act { house, who, form, .. } = act;
    let (before, password) = (Zeroizing::new(form.before), Zeroizing::new(form.password));
    // Who found an open session must not find the password too, by trying.
    let is_right = entrance.check_password(who.name(), before, None).await?.is_some();
    if !is_right || who.session.kind != SessionKind::Browser {
        return Err(Fault::Wrong("The password before is not right.".into()));
    }
    house.note(&who, "new-password", json!({})).await?;
    blocking(move || house.store.set_password(who.name(), &password, Some(&who.session.hash))).await?;
    Ok(Redirect::to("/you").into_response())
}

#[derive(Deserialize)]
struct NewToken {
    label: String,
    days: u32,
}

async fn token(act: Act<rights::View, NewToken>) -> Result<Response, Fault> {
    let Act { house, who, form: NewToken { label, days }, .. } = act;
    if who.session.kind != SessionKind::Browser || !(1..=LONGEST).contains(&days) || label.len() > 64 {
        return Err(Fault::Wrong(format!("A token lasts 1 to {LONGEST} days, and a browser asks for it.")));
    }
    house.note(&who, "new-token", json!({ "label": label, "days": days })).await?;
    let (store, name) = (house.store.clone(), who.name().to_owned());
    let expires = now() + i64::from(days) * DAY;
    let token = blocking(move || {
        // An account of the identity provider is not known here, and its role neither once the browser is gone.
        match store.account(&name)? {
            Some(_) => Ok(store.new_token(&name, &label, expires)?),
            None => Err(Fault::Wrong("Tokens are for accounts of this gateway: fieldgate admin add".into())),
        }
    })
    .await?;
    show(&See::again(house, who), Some(token.as_str().to_owned())).await
}
