//! One connection from its first byte to its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use ipnet::IpNet;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::framing::ReadAlong;
use super::super::{Doorway, Peer, Turn};
use super::frames::Counted;
use super::in_work::{Handling, InWork, Seen};
use super::proxied::{self, ProxyFault};
use super::seldom::Seldom;
use super::visitors::{Visit, Visitors};
use super::{Drain, Timeouts};

/// Streams of one HTTP/2 connection that may be open at once.
const MAX_STREAMS: u32 = 128;
/// Streams of one HTTP/2 connection that may break the protocol, or come over [`MAX_STREAMS`].
const MAX_BROKEN_STREAMS: usize = 256;
/// Bytes of request bodies that may wait in one stream, and in one connection.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes.
const MAX_SEND_BUFFER: usize = 128 << 10;

/// What all connections of a listener share.
pub struct Shared {
    pub tls: Option<Arc<Doorway>>,
    pub timeouts: Timeouts,
    /// Networks whose connections begin with a PROXY protocol header.
    pub proxies: Vec<IpNet>,
    pub visitors: Arc<Visitors>,
    /// Handshakes whose first half may be computed at once: the rest of the machine is for requests.
    pub beginning: Semaphore,
    /// The same for their second half: what much was spent on does not wait for those who only begin.
    pub finishing: Semaphore,
    pub turned_away: Seldom,
    pub failed: Seldom,
    pub flooded: Seldom,
}

pub struct Connection {
    pub shared: Arc<Shared>,
    pub drain: Drain,
    /// Its place among all connections.
    pub _slot: OwnedSemaphorePermit,
}

/// What is left to do when a connection has come in. It is held by every idle connection: boxed, for a future
/// has room for all that it was ever moved through.
type Conversation = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Handshake(#[from] io::Error),
    #[error(transparent)]
    Proxy(#[from] ProxyFault),
    #[error("it took too long")]
    TimedOut,
    #[error("it was the oldest of too many")]
    Overtaken,
    #[error("the gateway stops")]
    Draining,
    #[error("the client certificate cannot be read")]
    Certificate,
}

impl Shared {
    pub fn is_proxy(&self, address: SocketAddr) -> bool {
        let address = address.ip().to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// Counts the connection by its source.
    pub fn admit(&self, address: SocketAddr) -> Option<Visit> {
        let now = std::time::Instant::now();
        match self.visitors.admit(address.ip(), now) {
            Ok(visit) => Some(visit),
            Err(why) => {
                if let Some(times) = self.turned_away.happened(now) {
                    tracing::warn!(peer = %address.ip(), %why, times, "a connection is turned away");
                }
                None
            }
        }
    }

    /// `None`, for whoever ends with it.
    fn note_failure<T>(&self, address: SocketAddr, error: &Failed) -> Option<T> {
        let peer = address.ip();
        match self.failed.happened(std::time::Instant::now()) {
            Some(times) => tracing::info!(%peer, %error, times, "a handshake failed"),
            None => tracing::debug!(%peer, %error, "a handshake failed"),
        }
        None
    }

    fn note_end(&self, error: &hyper::Error, peer: IpAddr, in_work: &InWork) {
        let told = in_work.is_flooded().then(|| self.flooded.happened(std::time::Instant::now())).flatten();
        match told {
            Some(times) => {
                tracing::warn!(%peer, times, "a connection sends more frames than its requests need")
            }
            None => tracing::debug!(%peer, %error, "a connection ended early"),
        }
    }
}

impl Connection {
    /// `visit` is missing where a balancer is to say first who comes.
    pub async fn run<H, F, B>(self, stream: TcpStream, address: SocketAddr, visit: Option<Visit>, handler: H)
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        // What a beginning needs is given back, and not held by every connection as long as it lasts.
        let begun = Box::pin(self.begin(stream, address, visit, handler)).await;
        if let Some((_visit, conversation)) = begun {
            conversation.await;
        }
    }

    /// Up to the first request; nothing where it does not come to that.
    async fn begin<H, F, B>(
        self,
        mut stream: TcpStream,
        mut address: SocketAddr,
        visit: Option<Visit>,
        handler: H,
    ) -> Option<(Visit, Conversation)>
    where
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let deadline = Instant::now() + self.shared.timeouts.handshake;
        let mut visit = match visit {
            Some(visit) => visit,
            None => {
                match tokio::time::timeout_at(deadline, source(&mut stream)).await {
                    Ok(Ok(source)) => address = source.unwrap_or(address),
                    Ok(Err(error)) => return self.shared.note_failure(address, &error),
                    Err(_) => return self.shared.note_failure(address, &Failed::TimedOut),
                }
                self.shared.admit(address)?
            }
        };
        let Some(tls) = self.shared.tls.clone() else {
            visit.came_in();
            return Some((visit, self.converse(stream, Peer::stranger(address), false, handler)));
        };
        match self.secure(&tls, stream, address, deadline, &visit).await {
            Ok((stream, peer)) => {
                visit.came_in();
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Some((visit, self.converse(stream, peer, http2, handler)))
            }
            Err(error) => self.shared.note_failure(address, &error),
        }
    }

    async fn secure(
        &self,
        tls: &Arc<Doorway>,
        stream: TcpStream,
        address: SocketAddr,
        deadline: Instant,
        visit: &Visit,
    ) -> Result<(TlsStream<TcpStream>, Peer), Failed> {
        let moment = tls.moment();
        let mut drain = self.drain.clone();
        let stream = tokio::select! {
            stream = self.handshake(tls, stream) => stream?,
            () = tokio::time::sleep_until(deadline) => return Err(Failed::TimedOut),
            () = visit.overtaken() => return Err(Failed::Overtaken),
            () = async {
                let _ = drain.wait_for(|stop| *stop).await;
                tokio::time::sleep(self.shared.timeouts.linger()).await;
            } => return Err(Failed::Draining),
        };
        let peer = match stream.get_ref().1.peer_certificates() {
            None => Peer::stranger(address),
            Some(chain) => Peer::verified(address, chain, tls, moment).ok_or(Failed::Certificate)?,
        };
        Ok((stream, peer))
    }

    async fn handshake(&self, tls: &Doorway, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        // What a stranger can make us spend is mostly in here, computed without a pause: key exchange and
        // signature first, then what the client's certificate takes.
        let mut turn = Turn::of(&self.shared.beginning);
        turn.take().await;
        let accept = hello.into_stream(Arc::clone(tls.acceptor().config()));
        turn.pass_on().await;
        Turn::of(&self.shared.finishing).work(accept).await
    }

    /// Serves requests until the connection ends.
    fn converse<S, H, F, B>(self, stream: S, peer: Peer, http2: bool, handler: H) -> Conversation
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(Arc<Peer>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (address, peer) = (peer.address, Arc::new(peer));
        let in_work = Arc::new(InWork::default());
        let closing = Arc::new(AtomicBool::new(false));
        let (counted, last) = (Arc::clone(&in_work), Arc::clone(&closing));
        let service = move |request| {
            let guard = Handling::new(&counted);
            let answer = handler(Arc::clone(&peer), request);
            let last = Arc::clone(&last);
            async move {
                let mut answer = answer.await.map(|body| guard.answered(body));
                if last.load(Ordering::Relaxed) {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        };
        let timeouts = self.shared.timeouts;
        if http2 {
            let io = TokioIo::new(Counted::new(stream, Arc::clone(&in_work)));
            let http = Box::pin(http2_builder(&timeouts).serve_connection(io, service_fn(service)));
            Box::pin(self.until_end(http, address, in_work, None))
        } else {
            let (stream, doubts) = ReadAlong::new(stream, timeouts.header_size);
            let service = service_fn(move |request| service(doubts.mark(request)));
            let io = TokioIo::new(stream);
            let http = Box::pin(http1_builder(&timeouts).serve_connection(io, service));
            Box::pin(self.until_end(http, address, in_work, Some(closing)))
        }
    }

    /// To the end of the connection.
    async fn until_end<C: GracefulConnection<Error = hyper::Error>>(
        self,
        connection: Pin<Box<C>>,
        peer: IpAddr,
        in_work: Arc<InWork>,
        closing: Option<Arc<AtomicBool>>,
    ) {
        let shared = Arc::clone(&self.shared);
        if let Err(error) = self.drive(connection, &in_work, closing.as_deref()).await {
            shared.note_end(&error, peer, &in_work);
        }
    }
}

impl Connection {
    /// Runs a connection; asks it to end when nothing has moved on it for too long, or when draining, and
    /// ends it where it does not.
    ///
    /// HTTP/2 says in GOAWAY which requests still count. HTTP/1.1 cannot: where `closing` is there, a request
    /// that is on its way when draining begins is answered, and that answer says that it is the last.
    async fn drive<C: GracefulConnection>(
        mut self,
        mut connection: Pin<Box<C>>,
        in_work: &InWork,
        closing: Option<&AtomicBool>,
    ) -> Result<(), C::Error> {
        let timeouts = self.shared.timeouts;
        let (mut draining, mut ending, mut seen) = (false, false, Seen::default());
        let (mut wait, mut began) = (timeouts.idle, Instant::now());
        loop {
            tokio::select! {
                result = connection.as_mut() => return result,
                _ = self.drain.wait_for(|stop| *stop), if !draining => {
                    draining = true;
                    began = Instant::now();
                    match closing {
                        Some(closing) if !ending => {
                            closing.store(true, Ordering::Relaxed);
                            wait = timeouts.linger();
                            continue;
                        }
                        _ => wait = timeouts.header,
                    }
                }
                () = tokio::time::sleep_until(began + wait) => {
                    let moved = in_work.moved(&mut seen, wait);
                    began = Instant::now();
                    if moved && !draining {
                        wait = timeouts.idle;
                        continue;
                    }
                    if ending && !moved {
                        return Ok(());
                    }
                    // Once more as long where a response is on its way: kernels free their buffers in
                    // large steps.
                    wait = if moved || in_work.is_sending() { timeouts.idle } else { timeouts.header };
                }
            }
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Reads the header that a balancer sends first.
async fn source(stream: &mut TcpStream) -> Result<Option<SocketAddr>, Failed> {
    let (mut fixed, mut rest) = ([0; proxied::FIXED], [0; proxied::MAX_REST]);
    stream.read_exact(&mut fixed).await?;
    let rest = &mut rest[..proxied::rest(&fixed)?];
    stream.read_exact(rest).await?;
    Ok(proxied::source(&fixed, rest)?)
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
        .max_local_error_reset_streams(MAX_BROKEN_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // What a client that does not read can make us hold, for each of its streams.
        .max_send_buf_size(MAX_SEND_BUFFER);
    builder
}
