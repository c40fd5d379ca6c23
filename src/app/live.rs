//! Asks an upstream as the gateway would, for somebody who writes rules. What comes back is shown to that one
//! alone, and only after an entry about it.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::config::{Config, Upstream};
use crate::transport::CallFault;

use super::upstreams;

/// What came back.
pub struct LiveAnswer {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

/// Sends a GET to an upstream of the configuration; `target` is path and query behind its host.
///
/// # Errors
/// Where there is no whole answer within the upstream's time and size.
pub fn ask(config: &Config, upstream: &Upstream, target: &str) -> anyhow::Result<LiveAnswer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(call(config, upstream, target))
}

async fn call(config: &Config, upstream: &Upstream, target: &str) -> anyhow::Result<LiveAnswer> {
    let endpoints = upstreams::endpoints(upstream, config)?;
    let mut request = Request::get(target).body(Full::<Bytes>::default())?;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(secret) = &upstream.bearer {
        let text = Zeroizing::new(format!("Bearer {}", &*upstreams::read_secret(secret)?));
        let value = HeaderValue::from_str(&text).context("the bearer token cannot stand in a header")?;
        headers.insert(AUTHORIZATION, value);
    }
    let deadline = Instant::now() + upstream.timeout;
    let mut answer = endpoints.call(request, deadline).await.map_err(said)?;
    if answer.headers.contains_key(CONTENT_ENCODING) {
        bail!("the upstream answers in a coding that was not asked for");
    }
    let mut body = Vec::new();
    while let Some(bytes) = answer.body.next(deadline).await.map_err(said)? {
        body.extend_from_slice(&bytes);
        if body.len() as u64 > upstream.max_body.0 as u64 {
            bail!("the answer is larger than max_body");
        }
    }
    Ok(LiveAnswer { status: answer.status, body })
}

fn said(fault: CallFault) -> anyhow::Error {
    anyhow::anyhow!(match fault {
        CallFault::Unreachable => "the upstream cannot be reached, or broke off",
        CallFault::Timeout => "the upstream does not answer in its time",
        CallFault::Overloaded => "there is no connection to the upstream",
    })
}
