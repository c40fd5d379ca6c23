//! Clients: a pooled one for whole requests, and a raw TLS stream for the rest.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Clone)]
pub struct Client {
    pooled: Pooled<HttpsConnector<HttpConnector>, Full<Bytes>>,
    config: Arc<ClientConfig>,
    pub address: SocketAddr,
    headers: HeaderMap,
}

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Client {
    pub fn new(config: ClientConfig, address: SocketAddr) -> Client {
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config.clone()).https_only();
        let connector = connector.enable_http1().build();
        Client {
            pooled: Pooled::builder(TokioExecutor::new()).build(connector),
            config: Arc::new(config),
            address,
            headers: HeaderMap::new(),
        }
    }

    /// The same client, with a header on every request.
    pub fn with(&self, name: &'static str, value: &str) -> Client {
        let mut client = self.clone();
        client.headers.append(name, value.parse().unwrap());
        client
    }

    /// One request, to its last byte; an error where it does not come to that.
    pub async fn try_send(
        &self,
        method: Method,
        target: &str,
        body: &str,
    ) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
        let (head, body) = self.request(method, target, body).await?.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    /// One request, to the end of the head of its response.
    pub async fn begin(&self, method: Method, target: &str) -> Arriving {
        let (head, body) = self.request(method, target, "").await.unwrap().into_parts();
        Arriving {
            status: head.status,
            headers: head.headers,
            body,
            bytes: Vec::new(),
            pieces: 0,
            whole: false,
        }
    }

    async fn request(
        &self,
        method: Method,
        target: &str,
        body: &str,
    ) -> Result<http::Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::new(Full::from(body.to_owned()));
        *request.method_mut() = method;
        *request.uri_mut() = format!("https://localhost:{}{target}", self.address.port()).parse()?;
        *request.headers_mut() = self.headers.clone();
        Ok(self.pooled.request(request).await?)
    }

    /// A TLS connection, for bytes that no client library would send.
    pub async fn raw(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.raw_with(b"http/1.1").await
    }

    /// A TLS connection for another protocol.
    pub async fn raw_with(&self, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        self.raw_over(TcpStream::connect(self.address).await?, protocol).await
    }

    /// TLS over a connection that is there.
    pub async fn raw_over(
        &self,
        stream: TcpStream,
        protocol: &[u8],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = (*self.config).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

/// A response while it arrives.
#[derive(Debug)]
pub struct Arriving {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    /// What has arrived.
    pub bytes: Vec<u8>,
    /// In how many pieces.
    pub pieces: usize,
    /// It came to its own end.
    pub whole: bool,
}

impl Arriving {
    /// Waits for more; false where there is no more, be that its own end or not.
    pub async fn more(&mut self) -> bool {
        match self.body.frame().await {
            Some(Ok(frame)) => self.bytes.extend(frame.into_data().unwrap()),
            end => {
                self.whole = end.is_none();
                return false;
            }
        }
        self.pieces += 1;
        true
    }

    pub async fn until_end(mut self) -> Arriving {
        while self.more().await {}
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn disclosure_id(&self) -> String {
        self.headers["fieldgate-disclosure-id"].to_str().unwrap().to_owned()
    }
}

impl Response {
    /// The `type` of a problem, without its prefix.
    pub fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        for member in ["title", "detail", "instance"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {problem}");
        }
        problem["type"].as_str().unwrap().strip_prefix("urn:fieldgate:problem:").unwrap().to_owned()
    }

    pub fn disclosure_id(&self) -> String {
        self.headers["fieldgate-disclosure-id"].to_str().unwrap().to_owned()
    }
}
