//! `[telemetry]`: what is logged, and where traces go.

use std::path::{Path, PathBuf};

use crate::diagnostic::table::Table;
use crate::diagnostic::{Report, codes};

use super::upstream::url;
use super::{log_filter, path};

#[derive(Clone, Debug)]
pub struct Telemetry {
    /// What is logged, as a filter of `tracing`: `info`, `debug`, `fieldgate::proxy=debug`.
    pub log: String,
    /// A contractor's `traceparent` is followed.
    pub trust_traceparent: bool,
    pub otlp: Option<Otlp>,
}

/// A collector of traces.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// Without `/v1/traces`.
    pub url: String,
    /// The authority of its certificate, for https.
    pub ca: Option<PathBuf>,
    /// Of all requests, so many are traced: from 0 to 1.
    pub sample: f64,
}

/// One in a hundred.
const SAMPLE: f64 = 0.01;

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry { log: "info".to_owned(), trust_traceparent: false, otlp: None }
    }
}

pub(super) fn read(table: &mut Table, report: &mut Report, home: &Path) -> Option<Telemetry> {
    let log = table.get("log").map(|value| value.parse(report, log_filter).map(|at| at.value));
    let trust = table.get("trust_traceparent").map(|value| value.boolean(report));
    let otlp = table.get("otlp").map(|value| value.parse(report, url));
    let ca = table.get("otlp_ca");
    let sample_at = table.get("sample");
    let sample = sample_at.as_ref().map(|value| value.fraction(report));
    if let Some(Some(at)) = &otlp {
        let wrong = match (ca.is_some(), at.value.starts_with("https://")) {
            (false, true) => Some((
                "stands without `otlp_ca`",
                "name the authority of its certificate: otlp_ca = \"certs/company-ca.pem\"",
            )),
            (true, false) => Some((
                "is not called over TLS, and `otlp_ca` stands beside it",
                "remove `otlp_ca`, or call it over https",
            )),
            _ => None,
        };
        if let Some((message, help)) = wrong {
            report.add(codes::OUTLET_CA, &at.span, &at.key, message, help);
        }
    }
    // They would seem to do something.
    for value in [ca.as_ref(), sample_at.as_ref()].into_iter().flatten().filter(|_| otlp.is_none()) {
        let help = "add otlp = \"http://127.0.0.1:4318\", or remove the key";
        report.add(codes::OUTLET_CA, &value.span(), value.key(), "stands without `otlp`", help);
    }
    let ca = ca.and_then(|value| path(&value, report, home));
    let sample = sample.map_or(Some(SAMPLE), |sample| sample);
    let otlp = match otlp {
        Some(url) => Some(Otlp { url: url?.value, ca, sample: sample? }),
        None => None,
    };
    let usual = Telemetry::default();
    Some(Telemetry {
        log: log.map_or(Some(usual.log), |log| log)?,
        trust_traceparent: trust.map_or(Some(false), |trust| trust)?,
        otlp,
    })
}
