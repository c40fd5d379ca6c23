//! Accepts connections and serves HTTP on them until it is told to drain.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::framing::ReadAlong;
use super::{Doorway, Peer};

/// How long to wait before the next `accept` when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams of one HTTP/2 connection that may be open at once.
const MAX_STREAMS: u32 = 128;
/// Bytes.
const MAX_SEND_BUFFER: usize = 128 << 10;

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
    tls: Option<Arc<Doorway>>,
    timeouts: Timeouts,
    slots: Arc<Semaphore>,
}

/// Tells a listener to stop: send `true`.
pub type Drain = watch::Receiver<bool>;

impl Listener {
    /// Binds `address`. At most `connections` are open at once. Without `tls` it speaks plain HTTP/1.1.
    ///
    /// # Errors
    /// Where the address cannot be had; the message names it.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<Doorway>>,
        timeouts: Timeouts,
        connections: usize,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))?;
        Ok(Listener { socket, tls, timeouts, slots: Arc::new(Semaphore::new(connections)) })
    }

    /// The real address, also where port 0 was asked for.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `drain` says stop, then until what is in work is done or the time for it is over.
    pub async fn serve<H, F, B>(self, handler: H, mut drain: Drain)
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
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
    tls: Option<Arc<Doorway>>,
    timeouts: Timeouts,
    drain: Drain,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    async fn run<H, F, B>(mut self, stream: TcpStream, address: SocketAddr, handler: H)
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.take() else {
            return self.converse(stream, Peer::stranger(address), false, handler).await;
        };
        let handshake = tokio::time::timeout(self.timeouts.handshake, tls.acceptor().accept(stream));
        let handshake = tokio::select! {
            handshake = handshake => handshake,
            _ = self.drain.wait_for(|stop| *stop) => return,
        };
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::info!(peer = %address.ip(), %error, "a handshake failed"),
            Err(_) => return tracing::info!(peer = %address.ip(), "a handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        let peer = match session.peer_certificates() {
            None => Peer::stranger(address),
            Some(chain) => match Peer::verified(address, chain, &tls) {
                Some(peer) => peer,
                None => return tracing::info!(peer = %address.ip(), "a client certificate cannot be read"),
            },
        };
        let http2 = session.alpn_protocol() == Some(b"h2");
        self.converse(stream, peer, http2, handler).await;
    }

    /// Serves requests until the connection ends.
    async fn converse<S, H, F, B>(mut self, stream: S, peer: Peer, http2: bool, handler: H)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let peer = Arc::new(peer);
        let address = peer.address;
        let in_work = Arc::new(InWork::default());
        let counted = Arc::clone(&in_work);
        let service = move |request| {
            let guard = Handling::new(&counted);
            let answer = handler(Arc::clone(&peer), request);
            let in_work = Arc::clone(&counted);
            async move {
                let answer = answer.await;
                drop(guard);
                Ok::<_, Infallible>(answer.map(|body| Watched::new(body, in_work)))
            }
        };
        let result = if http2 {
            let http = http2_builder(&self.timeouts);
            self.drive(http.serve_connection(TokioIo::new(stream), service_fn(service)), &in_work).await
        } else {
            let (stream, doubts) = ReadAlong::new(stream, self.timeouts.header_size);
            let service = service_fn(move |request| service(doubts.mark(request)));
            let http = http1_builder(&self.timeouts);
            self.drive(http.serve_connection(TokioIo::new(stream), service), &in_work).await
        };
        if let Err(error) = result {
            tracing::debug!(peer = %address, %error, "a connection ended early");
        }
    }

    /// Runs a connection; asks it to end when nothing has moved on it for too long, or when draining, and
    /// ends it where it does not.
    async fn drive<C: GracefulConnection>(
        &mut self,
        connection: C,
        in_work: &InWork,
    ) -> Result<(), C::Error> {
        let mut connection = std::pin::pin!(connection);
        let mut ending = false;
        let mut look = Instant::now() + self.timeouts.idle;
        loop {
            tokio::select! {
                result = connection.as_mut() => return result,
                _ = self.drain.wait_for(|stop| *stop), if !ending => {
                    ending = true;
                    look = Instant::now() + self.timeouts.header;
                    connection.as_mut().graceful_shutdown();
                }
                () = tokio::time::sleep_until(look) => {
                    if in_work.moved() {
                        look = Instant::now() + self.timeouts.idle;
                    } else if ending {
                        return Ok(());
                    } else {
                        ending = true;
                        // Once more as long where a response is on its way: kernels free their buffers in
                        // large steps.
                        let grace = if in_work.is_sending() { self.timeouts.idle } else { self.timeouts.header };
                        look = Instant::now() + grace;
                        connection.as_mut().graceful_shutdown();
                    }
                }
            }
        }
    }
}

/// What happens on one connection.
#[derive(Default)]
struct InWork {
    /// Requests without an answer yet.
    handling: AtomicUsize,
    /// Responses with pieces left.
    sending: AtomicUsize,
    /// Grows with each request and each piece of a response that the client took.
    steps: AtomicUsize,
    seen: AtomicUsize,
}

impl InWork {
    fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Relaxed) > 0
    }

    /// A request is in work, or something has moved since this was last asked.
    fn moved(&self) -> bool {
        let steps = self.steps.load(Ordering::Relaxed);
        self.seen.swap(steps, Ordering::Relaxed) != steps || self.handling.load(Ordering::Relaxed) > 0
    }
}

struct Handling(Arc<InWork>);

impl Handling {
    fn new(in_work: &Arc<InWork>) -> Self {
        in_work.handling.fetch_add(1, Ordering::Relaxed);
        in_work.steps.fetch_add(1, Ordering::Relaxed);
        Handling(Arc::clone(in_work))
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.handling.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body whose progress shows that the client reads.
struct Watched<B> {
    body: B,
    in_work: Arc<InWork>,
}

impl<B> Watched<B> {
    fn new(body: B, in_work: Arc<InWork>) -> Self {
        in_work.sending.fetch_add(1, Ordering::Relaxed);
        Watched { body, in_work }
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        self.in_work.sending.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B: Body + Unpin> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.in_work.steps.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
        // What a client that does not read can make us hold, for each of its streams.
        .max_send_buf_size(MAX_SEND_BUFFER);
    builder
}
