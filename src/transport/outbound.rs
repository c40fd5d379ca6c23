//! A client for what is called now and then: over http, or over https to a named authority's certificates.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;

/// Below the keep-alive of usual servers, so that a pooled connection is rarely dead.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Sends requests over HTTP/1.1 and keeps connections for the next ones.
pub type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// With `tls` only https is spoken.
pub fn http_client(tls: Option<ClientConfig>, connect_timeout: Duration) -> HttpClient {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect_timeout));
    let https_only = tls.is_some();
    let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls.unwrap_or_else(no_tls));
    let https = if https_only { https.https_only() } else { https.https_or_http() };
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .build(https.enable_http1().wrap_connector(http))
}

/// Not used for a connection: an `http` upstream has no TLS to configure.
fn no_tls() -> ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // The provider's own versions always fit it.
    verifier
        .expect("the provider supports TLS 1.3 and 1.2")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
