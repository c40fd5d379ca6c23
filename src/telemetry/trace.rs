//! Traces of requests: ids in and out as W3C Trace Context says, and spans for whoever collects them.
//!
//! A stranger's `traceparent` is not followed unless the configuration says so: who sends it would choose what is
//! sampled, and could tie requests together that are not. Its `tracestate` and `baggage` go nowhere.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::{RequestId, write_hex};

use super::Stage;
use super::encode::{counter, metric};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Traces that may wait to be sent.
const QUEUE: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// What a request is traced as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    pub id: TraceId,
    /// Of the request itself: a trusted trace may have several.
    request: [u8; 16],
    pub parent: Option<SpanId>,
    /// Its spans are sent.
    pub sampled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// What is traced, and where traces go.
#[derive(Debug)]
pub struct Tracing {
    trusts: bool,
    /// Of 2³² ids, those below this are sampled.
    threshold: u64,
    ids: RandomState,
    queue: Option<Sender<Box<Finished>>>,
    exported: AtomicU64,
    dropped: AtomicU64,
}

/// A request that has ended. It holds names out of rules, and nothing that came with the request.
#[derive(Debug)]
pub struct Finished {
    pub trace: Trace,
    /// Of the request, then of its stages.
    pub spans: [SpanId; 1 + Stage::ALL.len()],
    pub began: SystemTime,
    pub took: Duration,
    /// From where to where, behind the beginning.
    pub stages: [Option<(Duration, Duration)>; Stage::ALL.len()],
    pub contractor: Option<String>,
    pub task: Option<String>,
    pub route: Option<String>,
    pub upstream: Option<String>,
    pub status: u16,
    /// The code of a refusal.
    pub code: Option<&'static str>,
}

impl Tracing {
    /// Ids only.
    pub fn off(trusts: bool) -> Self {
        Tracing {
            trusts,
            threshold: 0,
            ids: RandomState::new(),
            queue: None,
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Of all requests, so many (from 0 to 1) are sampled; what takes their traces is handed out.
    pub fn sampling(trusts: bool, sample: f64) -> (Self, Receiver<Box<Finished>>) {
        let (sender, receiver) = channel(QUEUE);
        let threshold = (sample.clamp(0.0, 1.0) * (1_u64 << 32) as f64) as u64;
        (Tracing { threshold, queue: Some(sender), ..Tracing::off(trusts) }, receiver)
    }

    /// How a request is traced that came with these headers. An id of our own is that of the request: what one knows,
    /// leads to the other.
    pub fn begin(&self, request: RequestId, headers: &HeaderMap) -> Trace {
        let request = request.bytes();
        if let Some((id, parent, sampled)) = self.trusts.then(|| parent(headers)).flatten() {
            let sampled = sampled && self.queue.is_some();
            return Trace { id, request, parent: Some(parent), sampled };
        }
        // The last bytes of an id are random (RFC 9562, section 5.7).
        let [.., a, b, c, d] = request;
        let sampled = u64::from(u32::from_be_bytes([a, b, c, d])) < self.threshold;
        Trace { id: TraceId(request), request, parent: None, sampled }
    }

    /// The header that an upstream gets.
    pub fn header(&self, trace: &Trace) -> Option<HeaderValue> {
        let span = self.span(trace, 1 + Stage::Upstream as u8);
        let mut text = *b"00-________________________________-________________-00";
        write_hex(&trace.id.0, &mut text[3..35]);
        write_hex(&span.0, &mut text[36..52]);
        write_hex(&[u8::from(trace.sampled)], &mut text[53..55]);
        HeaderValue::from_bytes(&text).ok()
    }

    /// The ids of a request's spans: its own, then those of its stages.
    pub fn spans(&self, trace: &Trace) -> [SpanId; 1 + Stage::ALL.len()] {
        std::array::from_fn(|at| self.span(trace, at as u8))
    }

    fn span(&self, trace: &Trace, number: u8) -> SpanId {
        // All zeros stand for none.
        SpanId(self.ids.hash_one((trace.request, number)).max(1).to_be_bytes())
    }

    /// Hands on what has ended; where too many wait, it is dropped and counted.
    pub fn ended(&self, finished: Box<Finished>) {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(finished).is_ok());
        if !taken {
            self.dropped(1);
        }
    }

    /// So many went to nobody.
    pub fn dropped(&self, traces: usize) {
        self.dropped.fetch_add(traces as u64, Ordering::Relaxed);
    }

    /// A collector took so many.
    pub fn exported(&self, traces: usize) {
        self.exported.fetch_add(traces as u64, Ordering::Relaxed);
    }
}

impl From<RequestId> for TraceId {
    fn from(id: RequestId) -> Self {
        TraceId(id.bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The one valid `traceparent` (W3C Trace Context, section 3.2.2): trace, span, and whether it is sampled.
fn parent(headers: &HeaderMap) -> Option<(TraceId, SpanId, bool)> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
    let version = hex::<1>(value.get(..2)?)?[0];
    // Versions to come may have more behind; the first one has not.
    let ends = value.len() == 55 || (version > 0 && value.get(55) == Some(&b'-'));
    let parted = [2, 35, 52].iter().all(|at| value.get(*at) == Some(&b'-'));
    if version == 0xff || !ends || !parted {
        return None;
    }
    let (trace, span) = (hex(&value[3..35])?, hex(&value[36..52])?);
    let [flags] = hex::<1>(&value[53..55])?;
    let is_some = trace != [0; 16] && span != [0; 8];
    is_some.then_some((TraceId(trace), SpanId(span), flags & 1 == 1))
}

/// Lower case only.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (text.len() == 2 * N).then_some(bytes)
}

impl Collector for Tracing {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let help = "Traces of requests that a collector took";
        let mut exported = metric(encoder, "traces_exported", help, MetricType::Counter)?;
        counter(&mut exported, &[], self.exported.load(Ordering::Relaxed))?;
        let help = "Traces of requests that were dropped: too many waited, or no collector took them";
        let mut dropped = metric(encoder, "traces_dropped", help, MetricType::Counter)?;
        counter(&mut dropped, &[], self.dropped.load(Ordering::Relaxed))
    }
}

/// Tracing that says nothing, as long as nobody has asked for more.
impl Default for Tracing {
    fn default() -> Self {
        Tracing::off(false)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        values.iter().for_each(|value| _ = headers.append(TRACEPARENT, value.parse().unwrap()));
        headers
    }

    #[test]
    fn a_parent_is_followed_where_it_is_trusted_and_valid() {
        let request = RequestId::new();
        let trace = Tracing::off(true).begin(request, &with(&[VALID]));
        assert_eq!(trace.id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(trace.parent.is_some_and(|span| span.to_string() == "b7ad6b7169203331"));
        assert!(!trace.sampled, "nobody takes it");
        let (sampling, _receiver) = Tracing::sampling(true, 0.0);
        assert!(sampling.begin(request, &with(&[VALID])).sampled);
        assert!(!sampling.begin(request, &with(&[&VALID.replace("-01", "-02")])).sampled);
        assert!(sampling.begin(request, &with(&[&format!("cc{}-what", &VALID[2..])])).parent.is_some());
        let strange = [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-what"),
            &format!("ff{}", &VALID[2..]),
            &VALID.to_uppercase(),
            &VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            &VALID.replace('-', "_"),
            &VALID.replacen("0a", "0g", 1),
        ];
        for value in strange {
            assert_eq!(sampling.begin(request, &with(&[value])).id, request.into(), "{value}");
        }
        assert_eq!(sampling.begin(request, &with(&[VALID, VALID])).id, request.into());
        let trace = Tracing::off(false).begin(request, &with(&[VALID]));
        assert_eq!((trace.id, trace.parent), (request.into(), None));
    }

    #[test]
    fn so_many_are_sampled_as_asked_for() {
        let count = |sample| {
            let (tracing, _receiver) = Tracing::sampling(false, sample);
            (0..2000).filter(|_| tracing.begin(RequestId::new(), &HeaderMap::new()).sampled).count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 2000));
        assert!((800..1200).contains(&count(0.5)));
    }

    #[test]
    fn spans_differ_and_the_upstream_gets_its_own() {
        let tracing = Tracing::off(false);
        let trace = tracing.begin(RequestId::new(), &HeaderMap::new());
        let spans = tracing.spans(&trace).map(|span| span.to_string());
        assert_eq!(std::collections::HashSet::from(spans.clone()).len(), 5);
        let header = tracing.header(&trace).unwrap();
        assert_eq!(header.to_str().unwrap(), format!("00-{}-{}-00", trace.id, spans[2]));
        assert!(parent(&with(&[header.to_str().unwrap()])).is_some());
    }
}
