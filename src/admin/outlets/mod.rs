//! Alerts sent to where people are: a webhook, and syslog.
//!
//! **Guarantees.** Each alert that is severe enough, and was not muted when it came, goes out at least once and in
//! order, also over restarts: the queue is the store, and each outlet's place in it is kept there once it has the
//! alert. An outlet that is down or slow holds up nothing but itself; it is tried again, less and less often. What
//! goes out is what the alert says, so no personal value.
//!
//! **Trusts** who runs the receivers. **Must not** be waited for by anything.
//!
//! **Called by** `Admin` (runs them), the page of alerts (how they fare).

mod syslog;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use crate::config;
use crate::transport::Drain;

use super::alerts::{kind, sentence};
use super::store::{Alert, Severity, Store};
use syslog::Syslog;
use webhook::Webhook;

/// How often an outlet looks, and how long it waits after a failure.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks for something new.
    pub look: Duration,
    /// After the first failure; twice as long after each further one.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

pub const PACE: Pace =
    Pace { look: Duration::from_secs(1), first: Duration::from_secs(1), longest: Duration::from_secs(300) };

/// What goes out about an alert.
#[derive(Clone, Debug, Serialize)]
pub struct News {
    /// The alert's number; one that comes twice has the same. 0 where the fleet's database, which gives it one, cannot be
    /// reached: it comes again with its number.
    pub alert: u64,
    #[serde(serialize_with = "as_text")]
    pub time: i64,
    pub signal: String,
    pub severity: Severity,
    pub title: String,
    pub happened: String,
    pub matters: String,
    pub todo: String,
    pub contractor: Option<String>,
    pub credential: Option<String>,
    pub task: Option<String>,
    pub route: Option<String>,
    /// In a fleet, the node that raised it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    pub details: Value,
    /// The number of its entry in the ledger.
    pub entry: Option<u64>,
    /// Ids of the last requests behind it.
    pub requests: Vec<String>,
    /// Its page, where the address of the review side is known.
    pub link: Option<String>,
}

/// RFC 3339, in UTC.
fn as_text<S: serde::Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::from_microsecond(*micros).unwrap_or_default();
    serializer.collect_str(&format_args!("{time:.6}"))
}

impl News {
    fn of(alert: Alert, url: Option<&str>) -> Self {
        let Alert { number, raised, node, .. } = alert;
        let words = kind(&raised.kind);
        News {
            alert: number,
            time: raised.time,
            severity: raised.severity,
            title: words.title.to_owned(),
            happened: sentence(&raised.kind, &raised.details),
            matters: words.why.to_owned(),
            todo: words.advice.to_owned(),
            signal: raised.kind,
            contractor: raised.contractor,
            credential: raised.credential,
            task: raised.task,
            route: raised.route,
            node,
            details: raised.details,
            entry: raised.entry,
            requests: raised.requests,
            link: url.filter(|_| number > 0).map(|url| format!("{url}/alerts/{number}")),
        }
    }
}

/// Where alerts go.
enum Way {
    Webhook(Box<Webhook>),
    Syslog(Syslog),
}

/// One place that alerts go to.
pub struct Outlet {
    name: &'static str,
    way: Way,
    least: Severity,
    /// For one delivery.
    timeout: Duration,
    /// Of the review side, for links.
    url: Option<String>,
}

/// Those that the configuration names.
///
/// # Errors
/// Where a key or an authority's file cannot be used.
pub fn outlets(admin: &config::Admin) -> anyhow::Result<Vec<Outlet>> {
    let mut outlets = Vec::new();
    let mut add = |name, way, least, timeout| {
        outlets.push(Outlet { name, way, least, timeout, url: admin.url.clone() });
    };
    if let Some(terms) = &admin.webhook {
        let way = Webhook::new(terms).context("[admin.webhook]")?;
        add("webhook", Way::Webhook(Box::new(way)), severity(terms.least), terms.timeout);
    }
    if let Some(terms) = &admin.syslog {
        let way = Syslog::new(terms).context("[admin.syslog]")?;
        add("syslog", Way::Syslog(way), severity(terms.least), terms.timeout);
    }
    Ok(outlets)
}

/// Names of the outlets that the configuration has, with what is severe enough for each.
pub fn named(admin: &config::Admin) -> impl Iterator<Item = (&'static str, Severity)> {
    let webhook = admin.webhook.as_ref().map(|terms| ("webhook", severity(terms.least)));
    let syslog = admin.syslog.as_ref().map(|terms| ("syslog", severity(terms.least)));
    webhook.into_iter().chain(syslog)
}

fn severity(least: config::Least) -> Severity {
    match least {
        config::Least::Low => Severity::Low,
        config::Least::Medium => Severity::Medium,
        config::Least::High => Severity::High,
        config::Least::Critical => Severity::Critical,
    }
}

impl Outlet {
    /// Sends what comes, until `stop` says so.
    pub async fn run(self, store: Arc<Store>, pace: Pace, mut stop: Drain) {
        let (mut wait, mut told) = (pace.first, false);
        loop {
            let pause = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                step = self.step(&store) => match step {
                    Ok(true) => {
                        (wait, told) = (pace.first, false);
                        continue;
                    }
                    Ok(false) => pace.look,
                    Err(error) => {
                        if !told {
                            let (outlet, error) = (self.name, format!("{error:#}"));
                            tracing::warn!(outlet, error, "alerts cannot be sent: they wait, and are tried again");
                        }
                        told = true;
                        let pause = wait;
                        wait = pace.longest.min(wait * 2);
                        pause
                    }
                },
            };
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends the next one; whether there was one.
    async fn step(&self, store: &Arc<Store>) -> anyhow::Result<bool> {
        let (name, least) = (self.name, self.least);
        let next = on_a_thread(store, move |store| match store.untold_for(name, least) {
            Some(alert) => Ok(Some(alert)),
            None => store.next_for(name, least),
        });
        let Some(alert) = next.await? else { return Ok(false) };
        let (number, id) = (alert.number, alert.raised.id.clone());
        let news = News::of(alert, self.url.as_deref());
        let sent = match tokio::time::timeout(self.timeout, self.send(&news)).await {
            Ok(sent) => sent,
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", self.timeout.as_secs_f32())),
        };
        if let Err(error) = &sent {
            let words = format!("{error:#}");
            on_a_thread(store, move |store| store.not_delivered(name, &words)).await?;
        }
        sent?;
        match number {
            0 => store.untold_was_sent(name, &id),
            number => on_a_thread(store, move |store| store.delivered(name, number)).await?,
        }
        Ok(true)
    }

    async fn send(&self, news: &News) -> anyhow::Result<()> {
        match &self.way {
            Way::Webhook(webhook) => webhook.send(news).await,
            Way::Syslog(syslog) => syslog.send(news).await,
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    store: &Arc<Store>,
    work: impl FnOnce(&Store) -> Result<T, super::store::ReviewError> + Send + 'static,
) -> anyhow::Result<T> {
    let store = Arc::clone(store);
    Ok(tokio::task::spawn_blocking(move || work(&store)).await??)
}

#[cfg(test)]
impl News {
    fn sample() -> Self {
        News {
            alert: 7,
            time: 1_795_696_024_239_000,
            signal: "canary".into(),
            severity: Severity::Critical,
            title: "A planted customer was disclosed".into(),
            happened: "It happened.".into(),
            matters: "It matters.".into(),
            todo: "Do this.".into(),
            contractor: Some("parcelco".into()),
            credential: Some("parcelco-batch".into()),
            task: Some("deliver-order".into()),
            route: Some("/orders/{order_id}".into()),
            node: None,
            details: serde_json::json!({ "records": 1 }),
            entry: Some(4),
            requests: Vec::new(),
            link: None,
        }
    }
}
