//! Alerts as JSON, posted to an address of the company's own.

use anyhow::{Context, ensure};
use aws_lc_rs::hmac;
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http_body_util::Full;

use crate::config::{Secret, WebhookTerms};
use crate::secrets;
use crate::transport::{ClientFiles, HttpClient, client_config, http_client};

use super::News;

/// Bytes of a key.
const SHORTEST: usize = 16;

/// An address that takes alerts.
pub struct Webhook {
    url: String,
    key: hmac::Key,
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
            .header("fieldgate-signature", signature(&self.key, &seconds, &body));
        // The client's own words name the address, whose path may be a secret: the cause says enough.
        let answer = self.client.request(request.body(Full::new(Bytes::from(body)))?).await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{}", cause(&error)))?;
        // Redirects are not followed: the configuration says where alerts go.
        ensure!(answer.status().is_success(), "it answers with status {}", answer.status().as_u16());
        Ok(())
    }
}

/// The innermost cause, which names no address.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn key(secret: &Secret) -> anyhow::Result<hmac::Key> {
    let key = |bytes: &[u8]| {
        let bytes = bytes.trim_ascii();
        ensure!(bytes.len() >= SHORTEST, "it is shorter than {SHORTEST} bytes");
        Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    };
    match secret {
        Secret::Environment(name) => {
            let text = std::env::var(name).ok().with_context(|| format!("{name} is not set"))?;
            key(zeroize::Zeroizing::new(text).as_bytes())
        }
        Secret::File(path) => key(&secrets::read(path)?),
    }
}

/// HMAC-SHA-256 (RFC 2104) over the time, a full stop and the body: an old message cannot pass for a new one.
fn signature(key: &hmac::Key, seconds: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(seconds.as_bytes());
    context.update(b".");
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_says() {
        // printf '1795378915.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
        assert_eq!(
            signature(&key, "1795378915", br#"{"a":1}"#),
            "sha256=9642b52f38dc247f61f197a4ba8a42f02c210e926923b12c5e5d0e245d7f988a"
        );
    }
}
