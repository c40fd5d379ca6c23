//! The review side: pages and an interface for the company's own people; and for machines, is it alive, is it ready,
//! and figures for Prometheus.
//!
//! **Guarantees.** It listens on an address of its own, and knows nothing of requests. Nobody sees a page who is not
//! signed in with a role that may (`guard`); what they look up, take out or decide is an entry in the ledger first.
//! No page holds a value of a customer; figures hold no path or customer either.
//!
//! **How.** `house` is what the pages are about. `guard` is the only way to it. `store` keeps accounts, sessions and
//! decisions. `rollup` counts what is in the ledger. `pages` are server-rendered, one module each, with the same models as JSON under `/api/v1`.
//!
//! **Trusts** the gateway's hands for orders. **Must not** stand in the way of a request: what blocks runs on threads
//! of its own.
//!
//! **Called by** `app`; `fieldgate admin` uses the store.

mod alerts;
mod api;
mod assets;
mod chart;
mod figures;
mod guard;
mod house;
mod outlets;
mod pages;
pub mod rollup;
mod routine;
mod store;
mod words;
mod work;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::config;
use crate::model::Rate;
use crate::transport::{self, Capacity, Doorway, Doubtful, Drain, Listener, Peer, Timeouts};

use guard::{Entrance, Provider};
use outlets::Outlet;
use store::Verification;
use work::{Done, Outcome};

pub use figures::Figures;
pub use house::{EndpointState, House, Orders, Pending, UpstreamState};
pub use routine::{Routine, Stop};
pub use store::{Account, AccountError, ReviewError, Role, Session, Store, new_password};

const TIMEOUTS: Timeouts = Timeouts {
    handshake: Duration::from_secs(5),
    header: Duration::from_secs(5),
    idle: Duration::from_secs(30),
    drain: Duration::from_secs(1),
    header_size: 16 << 10,
};
const CAPACITY: Capacity = Capacity {
    connections: 256,
    handshakes: 64,
    connections_per_address: 128,
    handshakes_per_address: Rate::DEFAULT,
};

/// An admin side that listens and does not serve yet.
pub struct Admin {
    listener: Listener,
    router: Router,
    counts: Routine,
    alerts: Routine,
    outlets: Vec<Outlet>,
    store: Arc<Store>,
}

impl Admin {
    /// Binds the address. `doorway` is there where it speaks TLS.
    ///
    /// # Errors
    /// Where the address cannot be had, or the identity provider's authority cannot be used.
    pub async fn bind(
        admin: &config::Admin,
        doorway: Option<Arc<Doorway>>,
        house: Arc<House>,
    ) -> anyhow::Result<Self> {
        let provider = match &admin.oidc {
            Some(oidc) => Some(Provider::new(oidc, admin.url.as_deref())?),
            None => None,
        };
        if let Some(Verification { at, by, took, found }) = house.store.last_verification()? {
            house.verification.remember(Done { by, at, took, outcome: Outcome::Found(found) });
        }
        let socket = transport::bind(admin.address).await?;
        let listener = Listener::new(socket, doorway, TIMEOUTS, CAPACITY, Vec::new());
        let counts = rollup::follow(house.read.clone(), house.verifier.to_string())?;
        // They have their places before the first alert is found.
        let outlets = outlets::outlets(admin)?;
        outlets::named(admin).try_for_each(|(name, _)| house.store.open_outlet(name))?;
        let alerts = alerts::follow(Arc::clone(&house))?;
        let store = Arc::clone(&house.store);
        Ok(Admin { listener, router: router(house, provider), counts, alerts, outlets, store })
    }

    /// The real address, also where port 0 was asked for.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Serves until `stop` says so.
    pub async fn serve(self, stop: Drain) {
        let router = self.router;
        for outlet in self.outlets {
            tokio::spawn(outlet.run(Arc::clone(&self.store), outlets::PACE, stop.clone()));
        }
        let handler = move |peer: Arc<Peer>, request: Request<Incoming>| {
            let router = router.clone();
            async move {
                // What two servers could see in two ways; its connection ends with it.
                if request.extensions().get::<Doubtful>().is_some() {
                    return StatusCode::BAD_REQUEST.into_response();
                }
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                name_host(&mut request);
                router.oneshot(request).await.unwrap_or_else(|never: Infallible| match never {})
            }
        };
        self.listener.serve(handler, stop).await;
        drop(self.alerts);
        drop(self.counts);
    }
}

/// Where the request line has the name that it is for, that is what counts: HTTP/2 has it only there (RFC 9113,
/// section 8.3.1; RFC 9112, section 3.2.2).
fn name_host(request: &mut Request<Body>) {
    let named = request.uri().authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok());
    if let Some(name) = named {
        request.headers_mut().insert(HOST, name);
    }
}

fn router(house: Arc<House>, provider: Option<Provider>) -> Router {
    let machines = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::clone(&house));
    Router::new()
        .merge(pages::routes())
        .merge(guard::sign_in_routes())
        .merge(api::routes())
        .merge(assets::routes())
        .with_state(Entrance::new(house, provider))
        .merge(machines)
        .layer(from_fn(guard::dress))
}

async fn ready(State(house): State<Arc<House>>) -> Response {
    match house.unready() {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(house): State<Arc<House>>) -> Response {
    house.figures.set_feeds(&house.feeds.states());
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, format), (CACHE_CONTROL, "no-store")], house.figures.text(&house)).into_response()
}

impl House {
    /// Why no requests should be sent here now.
    fn unready(&self) -> Option<&'static str> {
        if *self.draining.borrow() {
            return Some("draining");
        }
        (!self.ledger.is_healthy()).then_some("the ledger cannot be written")
    }
}
