//! Connections to the gateway from a chosen address, and the load of the well-behaved client.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fieldgate::transport::{ClientFiles, client_config};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;

/// Requests a second.
pub const RATE: u32 = 200;
pub const CONNECTIONS: usize = 4;

/// A contractor at one address.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    address: SocketAddr,
    source: SocketAddr,
    /// Connections that did not come to be.
    pub turned_away: Arc<AtomicUsize>,
    /// Requests that were answered, where an attack counts them.
    pub answered: Arc<AtomicUsize>,
}

pub type Sender = http2::SendRequest<Full<Bytes>>;

impl Client {
    pub fn new(folder: &Path, name: &str, address: SocketAddr, source: [u8; 4]) -> Result<Client, Failure> {
        let file = |name: String| folder.join("certs").join(name);
        let files = ClientFiles {
            ca: file("company-ca.pem".to_owned()),
            identity: Some((file(format!("{name}.pem")), file(format!("{name}.key")))),
            server_name: None,
        };
        let mut config = client_config(&files)?;
        // Each handshake costs all that it can.
        config.resumption = rustls::client::Resumption::disabled();
        let source = SocketAddr::new(IpAddr::from(source), 0);
        Ok(Client {
            config: Arc::new(config),
            address,
            source,
            turned_away: Arc::default(),
            answered: Arc::default(),
        })
    }

    /// One attempt.
    pub async fn try_raw(&self, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let socket = TcpSocket::new_v4()?;
        socket.bind(self.source)?;
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Attempts until there is a connection.
    pub async fn raw_with(&self, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        loop {
            match self.try_raw(protocol).await {
                Ok(stream) => return Ok(stream),
                Err(_) => _ = self.turned_away.fetch_add(1, Ordering::Relaxed),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub async fn connect(client: &Client) -> Result<Vec<Sender>, Failure> {
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = client.raw_with(b"h2").await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        senders.push(sender);
    }
    Ok(senders)
}

/// What the client noticed.
pub struct Load {
    waits: Vec<Duration>,
    pub failed: usize,
}

impl Load {
    /// In milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let at = (self.waits.len() as f64 * share) as usize;
        self.waits.get(at).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
    }
}

/// Asks on schedule for so long, then waits for the answers.
pub async fn load(senders: &[Sender], time: Duration) -> Load {
    let (began, pause) = (Instant::now(), Duration::from_secs(1) / RATE);
    let count = (time.as_secs_f64() * f64::from(RATE)) as u32;
    let mut asked = Vec::new();
    for n in 0..count {
        let due = began + pause * n;
        tokio::time::sleep_until(due).await;
        let sender = senders[n as usize % senders.len()].clone();
        asked.push(tokio::spawn(async move {
            let answer = tokio::time::timeout(Duration::from_secs(10), ask(sender)).await;
            matches!(answer, Ok(Ok(()))).then(|| due.elapsed())
        }));
    }
    let (mut waits, mut failed) = (Vec::new(), 0);
    for answer in asked {
        match answer.await {
            Ok(Some(wait)) => waits.push(wait),
            _ => failed += 1,
        }
    }
    waits.sort_unstable();
    Load { waits, failed }
}

async fn ask(mut sender: Sender) -> Result<(), Failure> {
    sender.ready().await?;
    let request = Request::get("https://localhost/orders/1").body(Full::<Bytes>::default())?;
    let response = sender.send_request(request).await?;
    if response.status() != 200 {
        return Err(response.status().to_string().into());
    }
    response.into_body().collect().await?;
    Ok(())
}
