//! Upstreams: which endpoint a request goes to, on which connection, and what becomes of both.
//!
//! **Guarantees.** A request is written once, whatever happens then: only one of which nothing was written is
//! handed to another connection, and only where its method is idempotent (RFC 9110, section 9.2.2). A
//! connection takes the next request only after the answer before was read to its end, and only while not a
//! byte came since. Over TLS, each was verified when it was made. Every wait ends at the request's deadline;
//! connections and the requests that wait for one are bounded.
//!
//! **Trusts** hyper for HTTP/1.1, rustls for TLS, the configuration for where endpoints are.
//!
//! **Must not** look into bodies, follow a redirect, or go where a request says.
//!
//! **Called by** `proxy`; `app` runs what looks after it.

mod check;
mod choice;
mod connect;
mod health;
mod link;
mod place;
mod pool;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::task::JoinSet;
use tokio::time::Instant;

use connect::{Target, Tls};
use health::Health;
use place::{Place, Sent};
use pool::Pool;

pub use place::{Answer, AnswerBody};

/// Endpoints that are tried for one request.
const TRIES: usize = 3;
/// Between two looks at connections that rest.
const SWEEP: Duration = Duration::from_secs(5);
/// At most so many can be told apart while one request tries them.
pub const MAX_ENDPOINTS: usize = 64;

/// The terms on which endpoints are called.
#[derive(Clone, Debug)]
pub struct EndpointTerms {
    /// For a connection to be made, its name looked up and TLS included; and for one to come free where there
    /// can be no more.
    pub connect_timeout: Duration,
    /// How long a connection may rest and be used again.
    pub idle_timeout: Duration,
    /// To one endpoint.
    pub max_connections: usize,
    /// Of these, at rest.
    pub max_idle: usize,
    pub check: Option<Check>,
}

/// What says, besides requests, whether an endpoint serves: a GET that is answered with 2xx.
#[derive(Clone, Debug)]
pub struct Check {
    /// Behind the URL.
    pub path: String,
    pub interval: Duration,
}

/// The endpoints of one upstream: all serve the same.
pub struct Endpoints {
    all: Vec<Arc<Endpoint>>,
    tls: Option<Tls>,
    terms: EndpointTerms,
}

struct Endpoint {
    url: String,
    host: HeaderValue,
    target: Target,
    pool: Pool,
    health: Health,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// No endpoint is in service, none can be reached, or the connection broke.
    Unreachable,
    /// The deadline has passed.
    Timeout,
    /// No connection came free in time.
    Overloaded,
}

/// A URL that no endpoint can be at.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not a URL that an upstream can be at")]
pub struct InvalidEndpoint(String);

impl Endpoints {
    /// `urls` have no slash at their ends. With `tls` all are https, without it http; its name is what their
    /// certificates must say, where it is not the host in the URL.
    ///
    /// # Errors
    /// Where a URL is not one.
    pub fn new(
        urls: &[String],
        tls: Option<(ClientConfig, Option<ServerName<'static>>)>,
        terms: EndpointTerms,
    ) -> Result<Self, InvalidEndpoint> {
        let tls = tls.map(|(config, name)| Tls::new(config, name));
        let endpoint = |url: &String| Endpoint::new(url, tls.as_ref(), &terms).map(Arc::new);
        let all = urls.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
        Ok(Endpoints { all, tls, terms })
    }

    /// Puts other TLS terms in the place of those before; requests in work end on those that they began with.
    /// Nothing where the endpoints are called in the clear.
    pub fn renew(&self, config: ClientConfig) {
        if let Some(tls) = &self.tls {
            tls.renew(config);
        }
    }

    /// Looks after the endpoints, by tasks that run until they are dropped.
    pub fn tend(&self, tasks: &mut JoinSet<()>) {
        for endpoint in &self.all {
            let swept = Arc::clone(endpoint);
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(SWEEP).await;
                    swept.pool.sweep(Instant::now(), swept.target.generation());
                }
            });
            if let Some(check) = &self.terms.check {
                tasks.spawn(check::watch(Arc::clone(endpoint), check.clone()));
            }
        }
    }

    /// The URL of each endpoint, and whether requests go there now.
    pub fn states(&self) -> impl Iterator<Item = (String, bool)> {
        let now = Instant::now();
        self.all.iter().map(move |endpoint| (endpoint.url.clone(), endpoint.health.serves(now)))
    }

    /// Sends a request to one of the endpoints, and waits for the head of its answer. Its target is path and
    /// query; the header `Host` is set here.
    ///
    /// # Errors
    /// Where there is no answer by `deadline`.
    pub async fn call(&self, request: Request<Full<Bytes>>, deadline: Instant) -> Result<Answer, CallFault> {
        let (mut request, mut tried) = (request, 0_u64);
        for _ in 0..TRIES {
            let now = Instant::now();
            let Some(at) = self.choose(tried, now) else { break };
            tried |= 1 << at;
            let endpoint = &self.all[at];
            let Some(admission) = endpoint.health.admit(now) else { continue };
            let alone = !(0..self.all.len()).any(|other| other != at && self.all[other].health.serves(now));
            let free = deadline.min(now + self.terms.connect_timeout);
            let place = Place::take(Arc::clone(endpoint), admission, alone, free).await;
            let place = place.ok_or_else(|| match Instant::now() < deadline {
                true => CallFault::Overloaded,
                false => CallFault::Timeout,
            })?;
            request.headers_mut().insert(HOST, endpoint.host.clone());
            match place.send(request, deadline, self.terms.connect_timeout).await {
                Sent::Answered(answer) => return Ok(answer),
                Sent::Failed(fault) => return Err(fault),
                Sent::NotBegun(unsent) => request = *unsent,
            }
        }
        Err(CallFault::Unreachable)
    }

    /// An endpoint that is in service and was not tried; one with room, where there is one.
    fn choose(&self, tried: u64, now: Instant) -> Option<usize> {
        let serves = |at: usize| (tried & (1 << at) == 0 && self.all[at].health.serves(now)).then_some(at);
        let load = |at: usize| self.all[at].pool.load();
        let with_room = |at| serves(at).filter(|at| self.all[*at].pool.has_room()).map(load);
        let count = self.all.len();
        choice::choose(count, with_room).or_else(|| choice::choose(count, |at| serves(at).map(load)))
    }
}

impl Endpoint {
    fn new(url: &str, tls: Option<&Tls>, terms: &EndpointTerms) -> Result<Self, InvalidEndpoint> {
        let wrong = || InvalidEndpoint(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some(scheme)).ok_or_else(wrong)?;
        Ok(Endpoint {
            url: url.to_owned(),
            host: HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?,
            target: Target::new(&uri, tls)?,
            pool: Pool::new(terms),
            health: Health::new(url.to_owned()),
        })
    }
}
