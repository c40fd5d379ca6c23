//! The witness as an HTTP server: C2SP tlog-witness over HTTP/1.1, or HTTP/2 where there is TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::ledger::witness::{Answer, MAX_REQUEST, Witness};
use crate::model::Rate;
use crate::transport::{self, Capacity, Doorway, Doubtful, Listener, Timeouts};

/// A log needs one connection.
const CAPACITY: Capacity = Capacity {
    connections: 256,
    handshakes: 64,
    connections_per_address: 64,
    handshakes_per_address: Rate::DEFAULT,
};
/// For the body of a request.
const BODY: Duration = Duration::from_secs(10);
const TIMEOUTS: Timeouts = Timeouts {
    handshake: Duration::from_secs(10),
    header: Duration::from_secs(10),
    idle: Duration::from_secs(60),
    drain: Duration::from_secs(10),
    header_size: 16 << 10,
};

/// A witness that listens and does not serve yet.
pub struct Server {
    listener: Listener,
    witness: Arc<Witness>,
}

impl Server {
    /// Binds the address; without `tls` it speaks plain HTTP.
    ///
    /// # Errors
    /// Where the address cannot be had.
    pub async fn bind(address: SocketAddr, tls: Option<Arc<Doorway>>, witness: Witness) -> io::Result<Self> {
        let socket = transport::bind(address).await?;
        let listener = Listener::new(socket, tls, TIMEOUTS, CAPACITY, Vec::new());
        Ok(Self { listener, witness: Arc::new(witness) })
    }

    /// The real address, also where port 0 was asked for.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Serves until `stop` is done, then finishes what is in work.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (tell, drain) = watch::channel(false);
        let witness = self.witness;
        let serving = self.listener.serve(move |_, request| answer(Arc::clone(&witness), request), drain);
        let stopping = async {
            stop.await;
            tracing::info!("draining");
            let _ = tell.send(true);
            // Dropped only when serving has ended: a vanished sender would look like a stop.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = stopping => {}
        }
        tracing::info!("stopped");
    }
}

async fn answer(witness: Arc<Witness>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.extensions().get::<Doubtful>().is_some() {
        return plain(StatusCode::BAD_REQUEST);
    }
    let path = request.uri().path();
    let origin = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
    let origin = origin.map(str::to_owned);
    let is_submission = path == "/add-checkpoint";
    match (request.method(), origin) {
        (&Method::POST, _) if is_submission => match read(request.into_body()).await {
            Ok(body) => work(move || witness.add_checkpoint(&body, now_seconds())).await,
            Err(status) => plain(status),
        },
        (&Method::GET | &Method::HEAD, Some(origin)) => work(move || witness.checkpoint(&origin)).await,
        (_, None) if is_submission => not_allowed("POST"),
        (_, Some(_)) => not_allowed("GET, HEAD"),
        (_, None) => plain(StatusCode::NOT_FOUND),
    }
}

/// The body, never more than the largest request.
async fn read(body: Incoming) -> Result<Bytes, StatusCode> {
    let read = tokio::time::timeout(BODY, Limited::new(body, MAX_REQUEST).collect()).await;
    match read.map_err(|_| StatusCode::REQUEST_TIMEOUT)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// The witness waits for the disk.
async fn work(job: impl FnOnce() -> Answer + Send + 'static) -> Response<Full<Bytes>> {
    let Ok(answer) = tokio::task::spawn_blocking(job).await else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let reason = answer.body.trim_end();
    match (&answer.failure, answer.status) {
        (Some(failure), _) => tracing::error!(failure, "the witness has failed"),
        (None, 422) => tracing::warn!(reason, "a checkpoint contradicts what the log has shown before"),
        (None, 200 | 409) => tracing::debug!(status = answer.status, "answered"),
        (None, status) => tracing::info!(status, reason, "a request was refused"),
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = status;
    let content_type = answer.content_type.unwrap_or("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
