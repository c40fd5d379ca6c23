//! Makes a connection to an endpoint: its name looked up, TCP, and TLS where the URL says https.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use super::InvalidEndpoint;
use super::wire::{Ask, Socket, Wire};

/// TLS to the endpoints of an upstream.
#[derive(Clone)]
pub struct Tls {
    terms: Arc<TlsTerms>,
    /// What their certificates must say, where it is not the host of the URL.
    name: Option<ServerName<'static>>,
}

/// What is shown to an upstream and what it is held against, until others take its place.
struct TlsTerms {
    config: ArcSwap<ClientConfig>,
    /// Counts up behind each change: a connection that says an older number may be on the terms before.
    generation: AtomicU64,
}

/// Where an endpoint is.
pub struct Target {
    host: Host,
    port: u16,
    tls: Option<(Arc<TlsTerms>, ServerName<'static>)>,
}

enum Host {
    Address(IpAddr),
    /// Looked up for each connection: who serves under it may change.
    Name(String),
}

impl Tls {
    pub fn new(config: ClientConfig, name: Option<ServerName<'static>>) -> Self {
        let terms = TlsTerms { config: ArcSwap::new(for_http(config)), generation: AtomicU64::new(0) };
        Tls { terms: Arc::new(terms), name }
    }

    /// Puts `config` in the place of the one before: connections that rest are not used again, those in work
    /// end with their request.
    pub fn renew(&self, config: ClientConfig) {
        self.terms.config.store(for_http(config));
        self.terms.generation.fetch_add(1, Ordering::Release);
    }
}

fn for_http(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Target {
    /// # Errors
    /// Where the URL has no host, or its host cannot be in a certificate.
    pub fn new(url: &Uri, tls: Option<&Tls>) -> Result<Self, InvalidEndpoint> {
        let wrong = || InvalidEndpoint(url.to_string());
        let text = url.host().ok_or_else(wrong)?.trim_start_matches('[').trim_end_matches(']');
        let host = text.parse().map_or_else(|_| Host::Name(text.to_owned()), Host::Address);
        let tls = match tls {
            None => None,
            Some(Tls { terms, name: Some(name) }) => Some((Arc::clone(terms), name.clone())),
            Some(Tls { terms, name: None }) => {
                let name = ServerName::try_from(text.to_owned()).map_err(|_| wrong())?;
                Some((Arc::clone(terms), name))
            }
        };
        let port = url.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Target { host, port, tls })
    }

    /// The number of the terms that connections are made on now.
    pub fn generation(&self) -> u64 {
        self.tls.as_ref().map_or(0, |(terms, _)| terms.generation.load(Ordering::Acquire))
    }

    /// A connection that is ready for a request, within `time` for all of it.
    ///
    /// # Errors
    /// Where it does not come to that.
    pub async fn connect(&self, time: Duration) -> io::Result<(Wire, Ask)> {
        let until = Instant::now() + time;
        timeout_at(until, async {
            let (socket, ask) = Socket::new(self.reach(until).await?);
            let wire = match &self.tls {
                None => Wire::Plain(socket),
                Some((terms, name)) => {
                    let connector = TlsConnector::from(terms.config.load_full());
                    Wire::Tls(Box::new(connector.connect(name.clone(), socket).await?))
                }
            };
            Ok((wire, ask))
        })
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Tries the addresses in turn. One that does not answer leaves time for those behind it.
    async fn reach(&self, until: Instant) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = match &self.host {
            Host::Address(address) => vec![(*address, self.port).into()],
            Host::Name(name) => tokio::net::lookup_host((name.as_str(), self.port)).await?.collect(),
        };
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for (at, address) in addresses.iter().enumerate() {
            let share = (until - Instant::now()) / (addresses.len() - at) as u32;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    tcp.set_nodelay(true)?;
                    return Ok(tcp);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed)
    }
}
