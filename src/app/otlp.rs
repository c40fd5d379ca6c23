//! Sends traces as OTLP over HTTP, in its JSON encoding (OpenTelemetry protocol 1, `/v1/traces`).

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::config::{self, Otlp};
use crate::telemetry::{Finished, SpanId, Stage, Tracing};
use crate::transport::{self, ClientFiles, HttpClient};

/// Traces that are sent at once.
const BATCH: usize = 256;
/// Between two sendings.
const PACE: Duration = Duration::from_secs(1);
/// For a connection to a collector, for its answer, and for the last traces when the gateway stops.
const CONNECT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(5);
pub const LAST: Duration = Duration::from_secs(2);

/// Kinds of spans, as the protocol counts them.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// Hands traces to a collector, behind the requests. What a collector does not take is dropped and counted.
pub struct Exporter {
    tracing: Arc<Tracing>,
    finished: Receiver<Box<Finished>>,
    client: HttpClient,
    /// The collector, without `/v1/traces`.
    url: String,
}

/// What is traced, and what sends it where somebody takes it.
///
/// # Errors
/// Where the authority's file cannot be used.
pub fn tracing(terms: &config::Telemetry) -> anyhow::Result<(Arc<Tracing>, Option<Exporter>)> {
    let Some(Otlp { url, ca, sample }) = terms.otlp.clone() else {
        return Ok((Arc::new(Tracing::off(terms.trust_traceparent)), None));
    };
    let tls = ca.map(|ca| transport::client_config(&ClientFiles { ca, identity: None, server_name: None }));
    let client = transport::http_client(tls.transpose().context("telemetry.otlp_ca")?, CONNECT);
    let (tracing, finished) = Tracing::sampling(terms.trust_traceparent, sample);
    let tracing = Arc::new(tracing);
    Ok((Arc::clone(&tracing), Some(Exporter { tracing, finished, client, url })))
}

impl Exporter {
    /// Works until `stop` is done; then it sends what waits. Whoever stops it need not wait longer than [`LAST`].
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut fails = false;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                taken = self.finished.recv_many(&mut batch, BATCH) => if taken == 0 { return },
                () = &mut stop => break,
            }
            let sent = self.send(&batch).await;
            self.count(batch.len(), &sent, &mut fails);
            batch.clear();
            // More of them go in one.
            tokio::select! {
                () = tokio::time::sleep(PACE) => {}
                () = &mut stop => break,
            }
        }
        self.finished.close();
        while self.finished.recv_many(&mut batch, BATCH).await > 0 {}
        if !batch.is_empty() {
            let sent = self.send(&batch).await;
            self.count(batch.len(), &sent, &mut fails);
        }
    }

    fn count(&self, traces: usize, sent: &Result<(), String>, fails: &mut bool) {
        match sent {
            Ok(()) => self.tracing.exported(traces),
            Err(_) => self.tracing.dropped(traces),
        }
        // Once for each time that it begins or ends.
        let failed = std::mem::replace(fails, sent.is_err());
        match sent {
            Err(error) if !failed => {
                tracing::warn!(error, "traces are dropped: the collector does not take them")
            }
            Ok(()) if failed => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }

    /// # Errors
    /// Where the collector did not take them, in words without its address.
    async fn send(&self, batch: &[Box<Finished>]) -> Result<(), String> {
        let body = Full::new(Bytes::from(encoded(batch)));
        let request = Request::post(format!("{}/v1/traces", self.url))
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "fieldgate")
            .body(body)
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
            Err(_) => Err("it takes too long".to_owned()),
            Ok(Err(_)) => Err("it cannot be reached, or broke off".to_owned()),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("it answers with status {}", answer.status().as_u16())),
        }
    }
}

fn encoded(batch: &[Box<Finished>]) -> Vec<u8> {
    let spans: Vec<Value> = batch.iter().flat_map(|finished| spans(finished)).collect();
    let resource = [text("service.name", "fieldgate"), text("service.version", env!("CARGO_PKG_VERSION"))];
    let scope = json!({ "name": "fieldgate", "version": env!("CARGO_PKG_VERSION") });
    let all = json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] });
    // A value of strings and numbers always serialises.
    serde_json::to_vec(&all).unwrap_or_default()
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// The request's span, and those of the stages that it came to.
fn spans(finished: &Finished) -> Vec<Value> {
    let [own, stages @ ..] = &finished.spans;
    let mut attributes = vec![
        json!({ "key": "http.response.status_code", "value": { "intValue": finished.status.to_string() } }),
    ];
    for (key, value) in [
        ("fieldgate.contractor", finished.contractor.as_deref()),
        ("fieldgate.task", finished.task.as_deref()),
        ("http.route", finished.route.as_deref()),
        ("fieldgate.refusal", finished.code),
    ] {
        attributes.extend(value.map(|value| text(key, value)));
    }
    let mut request =
        span(finished, *own, finished.parent(), "request", SERVER, (Duration::ZERO, finished.took));
    request["attributes"] = attributes.into();
    // 2 is an error: a server's fault, as OpenTelemetry sees HTTP.
    request["status"] = if finished.status >= 500 { json!({ "code": 2 }) } else { json!({}) };
    let mut all = vec![request];
    for ((stage, id), ran) in Stage::ALL.into_iter().zip(stages).zip(finished.stages) {
        let Some(ran) = ran else { continue };
        let kind = if stage == Stage::Upstream { CLIENT } else { INTERNAL };
        let mut span = span(finished, *id, Some(*own), stage.name(), kind, ran);
        if let Some(name) = finished.upstream.as_deref().filter(|_| stage == Stage::Upstream) {
            span["attributes"] = json!([text("fieldgate.upstream", name)]);
        }
        all.push(span);
    }
    all
}

impl Finished {
    fn parent(&self) -> Option<SpanId> {
        self.trace.parent
    }
}

fn span(
    finished: &Finished,
    id: SpanId,
    parent: Option<SpanId>,
    name: &str,
    kind: u8,
    (from, to): (Duration, Duration),
) -> Value {
    let mut span = json!({
        "traceId": finished.trace.id.to_string(), "spanId": id.to_string(), "name": name, "kind": kind,
        "startTimeUnixNano": nanos(finished.began + from), "endTimeUnixNano": nanos(finished.began + to),
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.to_string().into();
    }
    span
}

/// 64-bit numbers are strings in the JSON encoding.
fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}
