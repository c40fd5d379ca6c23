//! Who asks, and whether they may.
//!
//! **Guarantees.** A page gets at the [`House`] only through [`See`] or [`Act`], which name a [`Right`]: who is not
//! signed in, or has a role without it, gets nothing. What changes something is a POST that comes from our own pages
//! and shows the session's form token; a program's bearer token needs none, since no browser sends it by itself.
//! Each response, errors and files too, has the headers that keep a browser from running what is not ours.
//!
//! **Trusts** the store for who is signed in. **Must not** show why a sign-in failed.
//!
//! **Called by** the pages.

mod attempts;
mod fault;
mod headers;
mod oidc;
mod sign_in;

use std::marker::PhantomData;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

use crate::ledger::OwnKind;
use crate::transport::Peer;

use super::house::House;
use super::store::{Role, Session, SessionKind, Token, now};

pub use fault::Fault;
pub use headers::dress;
pub use oidc::Provider;
pub use sign_in::routes as sign_in_routes;

/// Bytes of a form.
const MAX_FORM: usize = 2 << 20;
/// Of somebody who is not signed in.
const MAX_STRANGERS_FORM: usize = 8 << 10;
/// For a form to arrive.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pages that are worked out at once, and sessions that are looked up: threads are left for what serves contractors.
const PAGES: usize = 8;
const LOOKUPS: usize = 16;

/// The door: what the router holds. The house is behind it.
#[derive(Clone)]
pub struct Entrance(Arc<Inside>);

struct Inside {
    house: Arc<House>,
    attempts: attempts::Attempts,
    /// Passwords that are hashed at once: each takes 19 MiB.
    hashing: Arc<Semaphore>,
    provider: Option<Provider>,
}

/// Something that roles may do or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// See what was disclosed, alerts, reviews, rules, the state of the ledger.
    View,
    /// Ask what was disclosed about one customer.
    LookUp,
    /// Take entries out of the house.
    Export,
    /// Suspend a contractor.
    Suspend,
    /// End a suspension.
    Resume,
    /// Acknowledge or mute alerts.
    Acknowledge,
    /// Begin, decide and sign off reviews.
    Review,
    /// Take down what customers consent and object to.
    Consent,
    /// Have the ledger verified, or what could be pruned worked out.
    Verify,
}

impl Role {
    /// Whether somebody with this role may do that.
    pub fn may(self, right: Right) -> bool {
        match right {
            Right::View | Right::Verify => true,
            Right::LookUp | Right::Export => matches!(self, Role::Reviewer | Role::Auditor),
            Right::Review => matches!(self, Role::Reviewer),
            Right::Suspend | Right::Acknowledge | Right::Consent => {
                matches!(self, Role::Reviewer | Role::Operator)
            }
            Right::Resume => matches!(self, Role::Operator),
        }
    }
}

/// Names a right in a type.
pub trait Asks: Send + Sync + 'static {
    const RIGHT: Right;
}

macro_rules! asks {
    ($($name:ident)+) => { $(
        pub struct $name;
        impl Asks for $name {
            const RIGHT: Right = Right::$name;
        }
    )+ };
}

/// Rights, as types.
pub mod rights {
    use super::{Asks, Right};
    asks!(View LookUp Export Suspend Resume Acknowledge Review Consent Verify);
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Who {
    pub session: Session,
    /// What forms must show.
    pub form_token: String,
}

/// Leave to see something.
pub struct See<R> {
    pub house: Arc<House>,
    pub who: Who,
    right: PhantomData<R>,
}

/// Leave to do something, and what was asked for.
pub struct Act<R, F> {
    pub house: Arc<House>,
    pub who: Who,
    pub form: F,
    right: PhantomData<R>,
}

impl Entrance {
    pub fn new(house: Arc<House>, provider: Option<Provider>) -> Self {
        let hashing = Arc::new(Semaphore::new(2));
        Entrance(Arc::new(Inside { house, attempts: attempts::Attempts::default(), hashing, provider }))
    }

    /// The names that requests may be for. Another name that leads here is somebody's trick to make a browser
    /// take their page for ours.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let admin = self.0.house.config.admin.as_ref();
        match admin.and_then(|admin| admin.url.as_deref()) {
            Some(url) if url.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(host)) => true,
            _ if admin.is_some_and(|admin| admin.tls.is_some() && admin.url.is_none()) => true,
            // Beside the name in the configuration: this machine itself.
            _ => {
                let name = host.rsplit_once(':').map_or(host, |(name, port)| {
                    if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
                });
                matches!(name, "localhost" | "127.0.0.1" | "[::1]")
            }
        }
    }

    fn cookie(&self) -> &'static str {
        let has_tls = self.0.house.config.admin.as_ref().is_some_and(|admin| admin.tls.is_some());
        // The prefix binds it to this host and to TLS (draft-ietf-httpbis-rfc6265bis, section 4.1.3.2).
        if has_tls { "__Host-fieldgate" } else { "fieldgate-review" }
    }

    async fn who(&self, headers: &HeaderMap) -> Result<Who, Fault> {
        if !self.is_ours(headers) {
            return Err(Fault::WrongHost);
        }
        let (token, is_program) = match bearer(headers) {
            Some(token) => (token, true),
            None => (cookie(headers, self.cookie()).ok_or(Fault::SignedOut)?, false),
        };
        let house = Arc::clone(&self.0.house);
        let token = Token::of(&token);
        briefly(move || {
            let session = house.store.session(&token)?.ok_or(Fault::SignedOut)?;
            if (session.kind == SessionKind::Program) != is_program || is_idle(&house, &session) {
                return Err(Fault::SignedOut);
            }
            // A disk that is full must not shut out who comes to see why.
            let _ = house.store.note_use(&session);
            house.count_reviews();
            Ok(Who { session, form_token: token.form_token() })
        })
        .await
    }

    async fn who_may(&self, right: Right, headers: &HeaderMap) -> Result<Who, Fault> {
        let who = self.who(headers).await?;
        if who.may(right) { Ok(who) } else { Err(Fault::NotYours(who.session.role)) }
    }
}

/// A browser that nobody sits at is no longer somebody.
fn is_idle(house: &House, session: &Session) -> bool {
    let idle = house.config.admin.as_ref().map_or(i64::MAX, |admin| admin.idle.as_micros() as i64);
    session.kind == SessionKind::Browser && now() - session.used > idle
}

impl Who {
    pub fn may(&self, right: Right) -> bool {
        self.session.role.may(right)
    }

    pub fn name(&self) -> &str {
        &self.session.account
    }
}

impl House {
    /// Writes that somebody looked something up, took it out or decided it: `action` says what, `event` the rest, an
    /// object without a personal value. First, so that nothing is shown without it.
    ///
    /// # Errors
    /// Where the entry is not durable.
    pub async fn note(&self, who: &Who, action: &str, event: Value) -> Result<u64, Fault> {
        self.note_as(OwnKind::Access, who, action, event).await
    }

    /// As [`House::note`], with an entry of another kind.
    ///
    /// # Errors
    /// Where the entry is not durable.
    pub async fn note_as(&self, kind: OwnKind, who: &Who, action: &str, event: Value) -> Result<u64, Fault> {
        let mut members = Map::new();
        members.insert("by".into(), json!(who.name()));
        members.insert("role".into(), json!(who.session.role));
        members.insert("action".into(), json!(action));
        if let Value::Object(event) = event {
            members.extend(event);
        }
        self.orders.record(kind, Value::Object(members)).await.map_err(Fault::Ledger)
    }
}

impl<R> See<R> {
    /// For the page that shows what was done.
    pub fn again(house: Arc<House>, who: Who) -> Self {
        See { house, who, right: PhantomData }
    }
}

impl<R: Asks> FromRequestParts<Entrance> for See<R> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, entrance: &Entrance) -> Result<Self, Fault> {
        let who = entrance.who_may(R::RIGHT, &parts.headers).await?;
        Ok(See { house: Arc::clone(&entrance.0.house), who, right: PhantomData })
    }
}

impl<R: Asks, F: DeserializeOwned> FromRequest<Entrance> for Act<R, F> {
    type Rejection = Fault;

    async fn from_request(request: Request, entrance: &Entrance) -> Result<Self, Fault> {
        if *request.method() != Method::POST {
            return Err(Fault::Method);
        }
        let (parts, body) = request.into_parts();
        let who = entrance.who_may(R::RIGHT, &parts.headers).await?;
        let body = read(body, MAX_FORM).await?;
        if who.session.kind == SessionKind::Browser {
            check_origin(&parts.headers, entrance)?;
            let shown = match parts.headers.get("x-form-token") {
                Some(shown) => shown.to_str().unwrap_or_default().to_owned(),
                None => form::<Shown>(&parts.headers, &body).await?.form_token,
            };
            let (shown, wanted) = (shown.as_bytes(), who.form_token.as_bytes());
            if aws_lc_rs::constant_time::verify_slices_are_equal(shown, wanted).is_err() {
                return Err(Fault::Foreign);
            }
        }
        let form = form::<F>(&parts.headers, &body).await?;
        Ok(Act { house: Arc::clone(&entrance.0.house), who, form, right: PhantomData })
    }
}

/// The member that proves that a form is ours.
#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    form_token: String,
}

async fn read(body: Body, most: usize) -> Result<axum::body::Bytes, Fault> {
    let body = tokio::time::timeout(PATIENCE, Limited::new(body, most).collect()).await;
    let body = body.map_err(|_| Fault::Form)?.map_err(|_| Fault::TooLarge)?;
    Ok(body.to_bytes())
}

/// What a stranger's form says: small, and soon.
async fn strangers_form<F: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<F, Fault> {
    form(headers, &read(body, MAX_STRANGERS_FORM).await?).await
}

/// What a form says; JSON where the request says so. What is wrong is said without its values.
async fn form<F: DeserializeOwned>(headers: &HeaderMap, body: &axum::body::Bytes) -> Result<F, Fault> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        return serde_json::from_slice(body).map_err(|_| Fault::Form);
    }
    let request = Request::post("/").header(CONTENT_TYPE, kind).body(Body::from(body.clone()));
    let request = request.map_err(|_| Fault::Form)?;
    Form::<F>::from_request(request, &()).await.map(|Form(form)| form).map_err(|_| Fault::Form)
}

/// Whether a browser says that one of our own pages sends this. Who is no browser says nothing.
fn check_origin(headers: &HeaderMap, entrance: &Entrance) -> Result<(), Fault> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_ours = match (text("sec-fetch-site"), text(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let url = entrance.0.house.config.admin.as_ref().and_then(|admin| admin.url.as_deref());
            let host = text(HOST.as_str()).unwrap_or_default();
            url == Some(origin) || origin.split_once("://").is_some_and(|(_, own)| own == host)
        }
        (None, None) => true,
    };
    if is_ours { Ok(()) } else { Err(Fault::Foreign) }
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// Does work that blocks on a thread for it; some at once, whoever asks, and also where nobody waits for it any more.
///
/// # Errors
/// What the work says.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Fault>
where
    T: Send + 'static,
    E: Into<Fault> + Send + 'static,
{
    static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(PAGES)));
    within(&ROOM, work).await
}

/// The same for what takes no time, so that it does not wait behind pages.
async fn briefly<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, Fault>
where
    T: Send + 'static,
    E: Into<Fault> + Send + 'static,
{
    static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(LOOKUPS)));
    within(&ROOM, work).await
}

async fn within<T, E>(
    room: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Fault>
where
    T: Send + 'static,
    E: Into<Fault> + Send + 'static,
{
    let permit = Arc::clone(room).acquire_owned().await.map_err(|error| Fault::Inside(error.into()))?;
    let work = move || {
        let _permit = permit;
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(_) => Err(Fault::Inside(anyhow::anyhow!("a page's work has panicked"))),
    }
}

/// The other end of the connection that a request came by.
fn peer(parts: &Parts) -> Option<&Arc<Peer>> {
    parts.extensions.get::<Arc<Peer>>()
}
