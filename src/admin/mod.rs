//! The admin side, as far as there is one: is it alive, is it ready, and figures for Prometheus.
//!
//! **Guarantees.** No figure holds a value, a path or a customer. It listens on an address of its own, and
//! knows nothing of requests.
//!
//! **Trusts** whoever can reach the address: only this machine can. **Must not** change anything.
//!
//! **Called by** `app`.

mod figures;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::ledger::Ledger;
use crate::model::Rate;
use crate::transport::{self, Capacity, Drain, Listener, Timeouts};

pub use figures::Figures;

const TIMEOUTS: Timeouts = Timeouts {
    handshake: Duration::from_secs(5),
    header: Duration::from_secs(5),
    idle: Duration::from_secs(30),
    drain: Duration::from_secs(1),
    header_size: 8 << 10,
};
const CAPACITY: Capacity = Capacity {
    connections: 64,
    handshakes: 64,
    connections_per_address: 64,
    handshakes_per_address: Rate::DEFAULT,
};

/// An admin side that listens and does not serve yet.
pub struct Admin {
    listener: Listener,
    state: Arc<State>,
}

struct State {
    figures: Arc<Figures>,
    ledger: Arc<Ledger>,
    draining: Drain,
}

impl Admin {
    /// Binds the address.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub async fn bind(
        address: SocketAddr,
        figures: Arc<Figures>,
        ledger: Arc<Ledger>,
        draining: Drain,
    ) -> io::Result<Self> {
        let socket = transport::bind(address).await?;
        let listener = Listener::new(socket, None, TIMEOUTS, CAPACITY, Vec::new());
        Ok(Admin { listener, state: Arc::new(State { figures, ledger, draining }) })
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
        let state = self.state;
        let handler = move |_, request: Request<Incoming>| {
            let answer = state.answer(request.method(), request.uri().path());
            async move { answer }
        };
        self.listener.serve(handler, stop).await;
    }
}

impl State {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/healthz" => text(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" => match self.unready() {
                None => text(StatusCode::OK, "ready\n".to_owned()),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            },
            "/metrics" => {
                self.figures.set_ledger(self.ledger.is_healthy());
                let mut response = text(StatusCode::OK, self.figures.text());
                let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
                response
            }
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz, /metrics\n".to_owned()),
        }
    }

    /// Why no requests should be sent here now.
    fn unready(&self) -> Option<&'static str> {
        if *self.draining.borrow() {
            return Some("draining");
        }
        (!self.ledger.is_healthy()).then_some("the ledger cannot be written")
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}
