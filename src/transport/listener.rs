//! Accepts connections and serves HTTP on them until it is told to drain.

mod connection;
mod frames;
mod in_work;
mod proxied;
mod seldom;
mod visitors;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::{Doorway, Peer};
use connection::{Connection, Shared};
use seldom::Seldom;
use visitors::Visitors;

pub use visitors::Capacity;

/// How long to wait before the next `accept` when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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

impl Timeouts {
    /// For what was on its way when the gateway was told to stop.
    fn linger(&self) -> Duration {
        (self.drain / 4).min(Duration::from_secs(1))
    }
}

/// A socket that listens.
pub struct Listener {
    socket: TcpListener,
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    full: Seldom,
    broken: Seldom,
}

/// Tells a listener to stop: send `true`.
pub type Drain = watch::Receiver<bool>;

impl Listener {
    /// Serves on `socket`. Without `tls` it speaks plain HTTP/1.1. Connections from `proxies` must begin with
    /// a PROXY protocol header.
    pub fn new(
        socket: TcpListener,
        tls: Option<Arc<Doorway>>,
        timeouts: Timeouts,
        capacity: Capacity,
        proxies: Vec<IpNet>,
    ) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Shared {
            tls,
            timeouts,
            proxies,
            visitors: Visitors::new(capacity),
            beginning: Semaphore::new((cores / 2).max(1)),
            finishing: Semaphore::new((cores / 2).max(1)),
            turned_away: Seldom::default(),
            failed: Seldom::default(),
            flooded: Seldom::default(),
        };
        Listener {
            socket,
            shared: Arc::new(shared),
            slots: Arc::new(Semaphore::new(capacity.connections)),
            full: Seldom::default(),
            broken: Seldom::default(),
        }
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
        while let Some((stream, address)) = self.next(&mut drain, &mut connections).await {
            // Whoever is turned away learns it at once, and may try elsewhere.
            let Some(slot) = self.slot(address) else { continue };
            let visit = if self.shared.is_proxy(address) {
                None
            } else {
                let Some(visit) = self.shared.admit(address) else { continue };
                Some(visit)
            };
            let connection =
                Connection { shared: Arc::clone(&self.shared), drain: drain.clone(), _slot: slot };
            connections.spawn(connection.run(stream, address, visit, handler.clone()));
        }
        drop(self.socket);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.shared.timeouts.drain, finished).await.is_err() {
            tracing::warn!("connections are cut: they did not end in the time for draining");
        }
    }

    /// The next connection; `None` when it is time to stop.
    async fn next(
        &self,
        drain: &mut Drain,
        connections: &mut JoinSet<()>,
    ) -> Option<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                accepted = self.socket.accept() => match accepted {
                    Ok(accepted) => return Some(accepted),
                    Err(error) => {
                        if let Some(times) = self.broken.happened(std::time::Instant::now()) {
                            tracing::warn!(%error, times, "a connection could not be accepted");
                        }
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                () = told(drain) => return None,
            }
        }
    }

    fn slot(&self, address: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        if slot.is_none()
            && let Some(times) = self.full.happened(std::time::Instant::now())
        {
            tracing::warn!(peer = %address.ip(), times, "a connection is turned away: there are as many as there may be");
        }
        slot
    }
}

/// Waits until it is time to stop.
async fn told(drain: &mut Drain) {
    let _ = drain.wait_for(|stop| *stop).await;
}

/// Listens on `address`.
///
/// # Errors
/// Where the address cannot be had; the message names it.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}
