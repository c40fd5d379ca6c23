//! Alerts as JSON, posted to an address of the company's own.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http_body_util::Full;

use crate::config::{Secret, WebhookTerms};
use crate::secrets;
use crate::transport::{BodyKey, ClientFiles, HttpClient, cause, client_config, http_client};

use super::News;

/// An address that takes alerts.
pub struct Webhook {
    url: String,
    key: BodyKey,
    client: HttpClient,
}

impl Webhook {
    /// # Errors
    /// Where the key or the authority's file cannot be used.
    pub fn new(terms: &WebhookTerms) -> anyhow::Result<Self> {
        let tls = match &terms.ca {
            None => None,
            Some(ca) => {
                Some(client_config(&ClientFiles { ca: ca.clone(), identity: None, server_name: None })?)
            }
        };
        let key = key(&terms.key).context("the key of [admin.webhook]")?;
        Ok(Webhook { url: terms.url.clone(), key, client: http_client(tls, terms.timeout) })
    }

    /// Posts one alert; a status from 200 to 299 says that it was taken.
    ///
    /// # Errors
    /// Where it was not.
    pub async fn send(&self, news: &News) -> anyhow::Result<()> {
        let body = serde_json::to_vec(news)?;
        let seconds = jiff::Timestamp::now().as_second().to_string();
        let request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "fieldgate")
            .header("fieldgate-alert", news.alert)
            .header("fieldgate-timestamp", &seconds)
            .header("fieldgate-signature", self.key.sign(&seconds, &body));
        // The client's own words name the address, whose path may be a secret: the cause says enough.
        let answer = self.client.request(request.body(Full::new(Bytes::from(body)))?).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{}", cause(&error)))?;
        // Redirects are not followed: the configuration says where alerts go.
        ensure!(answer.status().is_success(), "it answers with status {}", answer.status().as_u16());
        Ok(())
    }
}

fn key(secret: &Secret) -> anyhow::Result<BodyKey> {
    match secret {
        Secret::Environment(name) => {
            let text = std::env::var(name).ok().with_context(|| format!("{name} is not set"))?;
            BodyKey::new(zeroize::Zeroizing::new(text).as_bytes())
        }
        Secret::File(path) => BodyKey::new(&secrets::read(path)?),
    }
}
