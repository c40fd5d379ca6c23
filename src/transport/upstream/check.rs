//! Asks an endpoint from time to time whether it serves.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request};
use http_body_util::Full;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::link::Link;
use super::{Check, Endpoint};

/// For a check.
const TIME: Duration = Duration::from_secs(2);

/// Checks until it is dropped.
pub async fn watch(endpoint: Arc<Endpoint>, check: Check) {
    let mut turns = interval(check.interval);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let fit = timeout(TIME, is_fit(&endpoint, &check.path)).await.unwrap_or(false);
        endpoint.health.checked(fit, Instant::now());
    }
}

/// By a connection of its own: those in the pool are for requests.
async fn is_fit(endpoint: &Endpoint, path: &str) -> bool {
    let Ok(uri) = path.parse() else { return false };
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    request.headers_mut().insert(HOST, endpoint.host.clone());
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let Ok(wire) = endpoint.target.connect(TIME).await else { return false };
    let Ok(mut link) = Link::new(wire, 0).await else { return false };
    link.send(request).await.is_ok_and(|answer| answer.status().is_success())
}
