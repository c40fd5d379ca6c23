//! What takes events, and says when it has them.

mod file;
mod http;
mod nats;
mod syslog;

use anyhow::Context;
use zeroize::Zeroizing;

use crate::config::{Feed, FeedTo, Secret};
use crate::secrets;

use super::portion::Event;
use file::FileWay;
use http::HttpWay;
use nats::NatsWay;
use syslog::SyslogWay;

pub enum Way {
    File(FileWay),
    Syslog(SyslogWay),
    Http(Box<HttpWay>),
    Nats(Box<NatsWay>),
}

impl Way {
    /// # Errors
    /// Where a secret or an authority's file cannot be used.
    pub fn new(feed: &Feed) -> anyhow::Result<Self> {
        Ok(match &feed.to {
            FeedTo::File(path) => Way::File(FileWay::new(path)),
            FeedTo::Syslog { way, host, port, ca, facility } => {
                Way::Syslog(SyslogWay::new(*way, host, *port, ca.as_deref(), *facility, feed.timeout)?)
            }
            FeedTo::Http { url, ca, key, bearer } => Way::Http(Box::new(HttpWay::new(
                &feed.name,
                url,
                ca.as_deref(),
                key.as_ref(),
                bearer.as_ref(),
                feed.timeout,
            )?)),
            FeedTo::Nats(terms) => Way::Nats(Box::new(NatsWay::new(terms)?)),
        })
    }

    /// Delivers all of the events, in order; when this returns, the receiver has them as far as it can say so. Where
    /// it fails, or is given up in between, the receiver may have some.
    ///
    /// # Errors
    /// Why it has not.
    pub async fn send(&mut self, events: &[Event]) -> anyhow::Result<()> {
        match self {
            Way::File(file) => file.append(events),
            Way::Syslog(syslog) => syslog.send(events).await,
            Way::Http(http) => http.send(events).await,
            Way::Nats(nats) => nats.send(events).await,
        }
    }
}

/// Reads a secret; an error names its place only.
fn secret(secret: &Secret) -> anyhow::Result<Zeroizing<String>> {
    match secret {
        Secret::Environment(name) => {
            // The error of a value that is no text would hold the value.
            let text = std::env::var(name).ok();
            let text =
                text.with_context(|| format!("environment variable {name} is not set, or not text"))?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
        Secret::File(path) => {
            let bytes = secrets::read(path)?;
            let text =
                str::from_utf8(&bytes).ok().with_context(|| format!("{} is not text", path.display()))?;
            Ok(Zeroizing::new(text.trim().to_owned()))
        }
    }
}
