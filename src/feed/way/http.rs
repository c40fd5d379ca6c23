//! Events posted to an HTTP endpoint, one a line.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::Full;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::transport::{BodyKey, ClientFiles, HttpClient, cause, client_config, http_client};

use super::super::portion::Event;
use super::secret;

pub struct HttpWay {
    feed: String,
    url: String,
    key: Option<BodyKey>,
    bearer: Option<HeaderValue>,
    client: HttpClient,
}

impl HttpWay {
    /// # Errors
    /// Where a secret or the authority's file cannot be used.
    pub fn new(
        feed: &str,
        url: &str,
        ca: Option<&Path>,
        key: Option<&Secret>,
        bearer: Option<&Secret>,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let tls = match ca {
            None => None,
            Some(ca) => {
                Some(client_config(&ClientFiles { ca: ca.to_owned(), identity: None, server_name: None })?)
            }
        };
        let key = key.map(|key| BodyKey::new(secret(key)?.as_bytes())).transpose().context("its key")?;
        let bearer = bearer.map(shown).transpose().context("its bearer token")?;
        Ok(HttpWay {
            feed: feed.to_owned(),
            url: url.to_owned(),
            key,
            bearer,
            client: http_client(tls, timeout),
        })
    }

    /// Posts the events; a status from 200 to 299 says that they were taken.
    ///
    /// # Errors
    /// Where they were not.
    pub async fn send(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let mut body = Vec::new();
        for event in events {
            body.extend_from_slice(&event.json);
            body.push(b'\n');
        }
        let mut request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(USER_AGENT, "fieldgate")
            .header("fieldgate-feed", &self.feed)
            .header("fieldgate-events", events.len());
        if let Some(key) = &self.key {
            let seconds = jiff::Timestamp::now().as_second().to_string();
            let signature = key.sign(&seconds, &body);
            request = request.header("fieldgate-timestamp", seconds).header("fieldgate-signature", signature);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer);
        }
        let answer = self.client.request(request.body(Full::new(Bytes::from(body)))?).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{}", cause(&error)))?;
        // Redirects are not followed: the configuration says where events go.
        ensure!(answer.status().is_success(), "it answers with status {}", answer.status().as_u16());
        Ok(())
    }
}

fn shown(bearer: &Secret) -> anyhow::Result<HeaderValue> {
    let text = Zeroizing::new(format!("Bearer {}", secret(bearer)?.as_str()));
    // The error holds no value, and the header is not shown in debug output.
    let mut value = HeaderValue::from_str(&text).ok().context("it cannot stand in a header")?;
    value.set_sensitive(true);
    Ok(value)
}
