//! Accepts connections and serves HTTP on them until it is told to drain.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::Peer;

/// How long to wait before the next `accept` when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams of one HTTP/2 connection that may be open at once.
const MAX_STREAMS: u32 = 128;

/// How long each wait may take, and how large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    pub handshake: Duration,
    pub header: Duration,
    pub idle: Duration,
    pub drain: Duration,
    /// Bytes.
    pub header_size: usize,
}

/// A bound socket.
pub struct Listener {
    socket: TcpListener,
    tls: TlsAcceptor,
    timeouts: Timeouts,
    slots: Arc<Semaphore>,
}

/// Tells a listener to stop: send `true`.
pub type Drain = watch::Receiver<bool>;

impl Listener {
    /// Binds `address`. At most `connections` are open at once.
    ///
    /// # Errors
    /// Where the address cannot be had; the message names it.
    pub async fn bind(
        address: SocketAddr,
        tls: ServerConfig,
        timeouts: Timeouts,
        connections: usize,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        Ok(Listener {
            socket,
            tls: TlsAcceptor::from(Arc::new(tls)),
            timeouts,
            slots: Arc::new(Semaphore::new(connections)),
        })
    }

    /// The real address, also where port 0 was asked for.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `drain` says stop, then until what is in work is done or the time for it is over.
    pub async fn serve<H, F>(self, handler: H, mut drain: Drain)
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        while let Some((stream, address, slot)) = self.next(&mut drain, &mut connections).await {
            let connection = Connection {
                tls: self.tls.clone(),
                timeouts: self.timeouts,
                drain: drain.clone(),
                _slot: slot,
            };
            connections.spawn(connection.run(stream, address, handler.clone()));
        }
        drop(self.socket);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.timeouts.drain, finished).await.is_err() {
            tracing::warn!("connections are cut: they did not end in the time for draining");
        }
    }

    /// The next connection; `None` when it is time to stop.
    async fn next(
        &self,
        drain: &mut Drain,
        connections: &mut JoinSet<()>,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        loop {
            let slot = tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => slot.ok()?,
                _ = drain.wait_for(|stop| *stop) => return None,
            };
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, address)) => return Some((stream, address, slot)),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                _ = drain.wait_for(|stop| *stop) => return None,
            }
        }
    }
}

struct Connection {
    tls: TlsAcceptor,
    timeouts: Timeouts,
    drain: Drain,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn run<H, F>(mut self, stream: TcpStream, address: SocketAddr, handler: H)
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let stream = match tokio::time::timeout(self.timeouts.handshake, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::info!(peer = %address.ip(), %error, "a handshake failed"),
            Err(_) => return tracing::info!(peer = %address.ip(), "a handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let peer = Arc::new(Peer::new(address, certificate.map(AsRef::as_ref)));
        let http2 = session.alpn_protocol() == Some(b"h2");
        let in_work = Arc::new(InWork::default());
        let counted = Arc::clone(&in_work);
        let service = service_fn(move |request| {
            let guard = InWorkGuard::new(&counted);
            let answer = handler(Arc::clone(&peer), request);
            async move {
                let answer = answer.await;
                drop(guard);
                Ok::<_, Infallible>(answer)
            }
        });
        let io = TokioIo::new(stream);
        let result = if http2 {
            self.drive(http2_builder(&self.timeouts).serve_connection(io, service), &in_work).await
        } else {
            self.drive(http1_builder(&self.timeouts).serve_connection(io, service), &in_work).await
        };
        if let Err(error) = result {
            tracing::debug!(peer = %address.ip(), %error, "a connection ended early");
        }
    }

    /// Runs a connection; asks it to end when it has been idle for too long, or when draining.
    async fn drive<C: GracefulConnection>(
        &mut self,
        connection: C,
        in_work: &InWork,
    ) -> Result<(), C::Error> {
        let mut connection = std::pin::pin!(connection);
        let mut ending = false;
        let mut idle_since = Instant::now();
        loop {
            tokio::select! {
                result = connection.as_mut() => return result,
                _ = self.drain.wait_for(|stop| *stop), if !ending => {
                    ending = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep_until(idle_since + self.timeouts.idle), if !ending => {
                    if in_work.since_last_look() {
                        idle_since = Instant::now();
                    } else {
                        ending = true;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

/// Requests in work on one connection, and how many there ever were.
#[derive(Default)]
struct InWork {
    now: AtomicUsize,
    begun: AtomicUsize,
    seen: AtomicUsize,
}

impl InWork {
    /// Something is in work, or began since this was last asked.
    fn since_last_look(&self) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        self.seen.swap(begun, Ordering::Relaxed) != begun || self.now.load(Ordering::Relaxed) > 0
    }
}

struct InWorkGuard(Arc<InWork>);

impl InWorkGuard {
    fn new(in_work: &Arc<InWork>) -> Self {
        in_work.now.fetch_add(1, Ordering::Relaxed);
        in_work.begun.fetch_add(1, Ordering::Relaxed);
        InWorkGuard(Arc::clone(in_work))
    }
}

impl Drop for InWorkGuard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

fn http1_builder(timeouts: &Timeouts) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Without a timer hyper's own timeout is silently off.
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.header)
        // hyper wants at least 8 KiB.
        .max_buf_size(timeouts.header_size.max(8192));
    builder
}

fn http2_builder(timeouts: &Timeouts) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(timeouts.header_size as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(timeouts.idle)
        .keep_alive_timeout(timeouts.header);
    builder
}
