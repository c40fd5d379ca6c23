//! Signing in and out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::ledger::OwnKind;
use crate::transport::Peer;

use super::super::assets;
use super::super::store::{Account, Role, SessionKind, Token, now};
use super::{Act, Entrance, Fault, blocking, check_origin, oidc, peer, rights, strangers_form};

/// Where a sign-in leads when nothing else is said.
const HOME: &str = "/";

pub fn routes() -> Router<Entrance> {
    Router::new()
        .route("/sign-in", get(page).post(by_password))
        .route("/sign-in/certificate", post(by_certificate))
        .route("/sign-in/provider", get(oidc::begin))
        .route("/sign-in/callback", get(oidc::finish))
        .route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html", config = ".askama.toml")]
struct Page<'a> {
    assets: &'a assets::Links,
    company: &'a str,
    back: String,
    name: String,
    fault: Option<String>,
    has_accounts: bool,
    has_provider: bool,
    has_certificate: bool,
}

#[derive(Deserialize, Default)]
struct Back {
    #[serde(default)]
    back: String,
}

#[derive(Deserialize)]
struct Password {
    name: String,
    password: String,
    #[serde(default)]
    back: String,
}

async fn page(
    State(entrance): State<Entrance>,
    Query(Back { back }): Query<Back>,
    request: Request,
) -> Result<Response, Fault> {
    if !entrance.is_ours(request.headers()) {
        return Err(Fault::WrongHost);
    }
    let (parts, _) = request.into_parts();
    let page = show(&entrance, peer(&parts), back, String::new(), None).await?;
    Ok(Html(page).into_response())
}

async fn show(
    entrance: &Entrance,
    peer: Option<&Arc<Peer>>,
    back: String,
    name: String,
    fault: Option<String>,
) -> Result<String, Fault> {
    let house = Arc::clone(&entrance.0.house);
    let has_accounts =
        blocking(move || house.store.accounts()).await?.iter().any(|account| account.has_password);
    let has_certificate = peer.is_some_and(|peer| matches!(peer.identity(), Ok(Some(_))));
    let page = Page {
        assets: assets::links(),
        company: entrance.0.house.company(),
        back: way(&back),
        name,
        fault,
        has_accounts,
        has_provider: entrance.0.provider.is_some(),
        has_certificate,
    };
    Ok(page.render()?)
}

/// A path of ours, wherever a link tries to lead.
pub(super) fn way(back: &str) -> String {
    let is_path =
        back.starts_with('/') && !back.starts_with("//") && !back.contains(['\\', '\n', '\r', '\t']);
    if is_path && !back.starts_with("/sign-") { back.to_owned() } else { HOME.to_owned() }
}

async fn by_password(State(entrance): State<Entrance>, request: Request) -> Result<Response, Fault> {
    if !entrance.is_ours(request.headers()) {
        return Err(Fault::WrongHost);
    }
    check_origin(request.headers(), &entrance)?;
    let (parts, body) = request.into_parts();
    let peer = peer(&parts).cloned();
    let Password { name, password, back } = strangers_form(&parts.headers, body).await?;
    let password = Zeroizing::new(password);
    let address = peer.as_deref().map(|peer| peer.address);
    let account = entrance.check_password(&name, password, address).await?;
    let Some(account) = account else {
        tracing::warn!("a sign-in at the review side failed");
        let fault = Some("Name or password is wrong.".to_owned());
        // Not what was typed: it may be a password in the wrong field.
        let page = show(&entrance, peer.as_ref(), back, String::new(), fault).await?;
        return Ok((http::StatusCode::UNAUTHORIZED, Html(page)).into_response());
    };
    let headers = admit(&entrance, &account, "password").await?;
    Ok((headers, Redirect::to(&way(&back))).into_response())
}

async fn by_certificate(State(entrance): State<Entrance>, request: Request) -> Result<Response, Fault> {
    if !entrance.is_ours(request.headers()) {
        return Err(Fault::WrongHost);
    }
    check_origin(request.headers(), &entrance)?;
    let (parts, body) = request.into_parts();
    let peer = peer(&parts).cloned().ok_or(Fault::SignedOut)?;
    let Ok(Some(identity)) = peer.identity() else { return Err(Fault::SignedOut) };
    let uris = identity.uri_names.iter().map(|name| format!("URI:{name}"));
    let names: Vec<String> =
        uris.chain(identity.dns_names.iter().map(|name| format!("DNS:{name}"))).collect();
    let back = strangers_form::<Back>(&parts.headers, body).await.map(|form| form.back).unwrap_or_default();
    let house = Arc::clone(&entrance.0.house);
    let account = blocking(move || {
        for name in &names {
            if let Some(account) = house.store.account_of_certificate(name)? {
                return Ok(Some(account));
            }
        }
        Ok::<_, Fault>(None)
    })
    .await?;
    let Some(account) = account else {
        tracing::warn!("a certificate was shown to the review side that no account has");
        let fault = Some("No account has the names in your certificate.".to_owned());
        let page = show(&entrance, Some(&peer), back, String::new(), fault).await?;
        return Ok((http::StatusCode::UNAUTHORIZED, Html(page)).into_response());
    };
    let headers = admit(&entrance, &account, "certificate").await?;
    Ok((headers, Redirect::to(&way(&back))).into_response())
}

impl Entrance {
    /// The account, where the password is right. After some that were wrong, none is taken for a while.
    ///
    /// # Errors
    /// Where there were too many, or the accounts cannot be read.
    pub async fn check_password(
        &self,
        name: &str,
        password: Zeroizing<String>,
        address: Option<IpAddr>,
    ) -> Result<Option<Account>, Fault> {
        let Entrance(inside) = self;
        if let Err(wait) = inside.attempts.begin(name, address, Instant::now()) {
            return Err(Fault::TooMany(wait.as_secs().max(1)));
        }
        let hashing = Arc::clone(&inside.hashing);
        let permit = hashing.acquire_owned().await.map_err(|error| Fault::Inside(error.into()))?;
        let (house, given) = (Arc::clone(&inside.house), name.to_owned());
        // The permit is the work's, not the request's: whoever leaves does not make room for another one.
        let account = blocking(move || {
            let _permit = permit;
            house.store.check_password(&given, &password)
        })
        .await?;
        if account.is_some() {
            inside.attempts.succeeded(name, address);
        }
        Ok(account)
    }
}

/// Begins a session of an account, once the ledger has an entry about it.
async fn admit(entrance: &Entrance, account: &Account, by: &'static str) -> Result<HeaderMap, Fault> {
    note(entrance, &account.name, account.role, by).await?;
    let (house, name) = (Arc::clone(&entrance.0.house), account.name.clone());
    let expires = expires(entrance);
    let token = blocking(move || house.store.begin_session(&name, SessionKind::Browser, expires)).await?;
    cookie(entrance, &token)
}

/// As [`admit`], for somebody whom the provider vouches for.
pub(super) async fn admit_foreign(entrance: &Entrance, name: String, role: Role) -> Result<HeaderMap, Fault> {
    note(entrance, &name, role, "provider").await?;
    let (house, expires) = (Arc::clone(&entrance.0.house), expires(entrance));
    let token = blocking(move || house.store.begin_foreign_session(&name, role, expires)).await?;
    cookie(entrance, &token)
}

async fn note(entrance: &Entrance, name: &str, role: Role, by: &str) -> Result<(), Fault> {
    let event = json!({ "by": name, "role": role, "action": "sign-in", "with": by });
    entrance.0.house.orders.record(OwnKind::Access, event).await.map_err(Fault::Ledger)?;
    Ok(())
}

fn expires(entrance: &Entrance) -> i64 {
    let lasts = entrance.0.house.config.admin.as_ref().map_or(0, |admin| admin.session.as_micros() as i64);
    now().saturating_add(lasts)
}

fn cookie(entrance: &Entrance, token: &Token) -> Result<HeaderMap, Fault> {
    set_cookie(entrance, token.as_str(), "")
}

fn set_cookie(entrance: &Entrance, value: &str, end: &str) -> Result<HeaderMap, Fault> {
    let name = entrance.cookie();
    let secure = if name.starts_with("__Host-") { "; Secure" } else { "" };
    let line = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{end}");
    let line = HeaderValue::from_str(&line).map_err(|error| Fault::Inside(error.into()))?;
    Ok(HeaderMap::from_iter([(SET_COOKIE, line)]))
}

#[derive(Deserialize)]
struct Nothing {}

async fn sign_out(
    State(entrance): State<Entrance>,
    act: Act<rights::View, Nothing>,
) -> Result<Response, Fault> {
    let Act { house, who, form: Nothing {}, .. } = act;
    blocking(move || house.store.end_session(who.name(), &who.session.id)).await?;
    let headers = set_cookie(&entrance, "", "; Max-Age=0")?;
    Ok((headers, Redirect::to("/sign-in")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_a_page_of_ours_only() {
        assert_eq!(way("/disclosures?outcome=not-found"), "/disclosures?outcome=not-found");
        for elsewhere in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/sign-out", "/\t/evil"]
        {
            assert_eq!(way(elsewhere), "/", "{elsewhere}");
        }
    }
}
