//! The upstream request, built from allow-lists; the upstream's answer as it arrives, bounded in time.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HOST, HeaderName,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::filter::{Format, Outcome};
use crate::model::RequestId;
use crate::telemetry::{OfUpstream, TRACEPARENT};
use crate::transport::{AnswerBody, CallFault, Coding, DecodeLimits, Decoder, Endpoints};

use super::authorize::Permit;
use super::memory::{FREE, Share};
use super::{BodyLimits, Refusal};

/// How many times the size of a body that is wanted is taken in of one that is not.
const DRAINED: usize = 16;

/// How many bytes one coded byte may decode to, once a MiB is decoded. JSON that repeats itself much comes to
/// a tenth of this.
const RATIO: u64 = 600;

/// Coded bytes that are decoded at once: what they become is bounded by [`RATIO`], and leaves before more is
/// decoded.
const CODED: usize = 1 << 10;

/// One text, or one a line.
const ACCEPTED: &str = "application/json, application/x-ndjson;q=0.9, application/jsonl;q=0.9";

const REQUEST_ID: HeaderName = HeaderName::from_static("fieldgate-request-id");

/// One internal API, and how it is called.
pub struct Upstream {
    endpoints: Endpoints,
    /// What each path begins with there; no slash at its end.
    prefix: String,
    /// What each request has; with an empty place for what is its own.
    headers: ArcSwap<HeaderMap>,
    timeout: Duration,
    max_body: usize,
    /// Codings that its answers may have.
    codings: Vec<Coding>,
    /// Where its answers are counted.
    series: Option<Arc<OfUpstream>>,
}

/// What an upstream is told of the request, so that its own log leads to ours.
pub struct Ids {
    pub request: RequestId,
    /// `traceparent`.
    pub trace: Option<HeaderValue>,
}

/// A request that a permit allows. Only [`prepare`] makes one.
pub struct UpstreamRequest(Request<Full<Bytes>>);

/// What comes back, untouched and unseen: only the reduction takes it apart.
pub struct UpstreamResponse {
    pub(super) status: StatusCode,
    pub(super) format: Format,
    pub(super) body: UpstreamBody,
}

/// The body of an upstream's answer while it arrives, its codings undone.
pub struct UpstreamBody {
    body: AnswerBody,
    decoder: Option<Decoder>,
    /// What came and was not handed on yet.
    piece: Bytes,
    /// When the next bytes must be there.
    deadline: Instant,
    timeout: Duration,
    max_body: usize,
}

impl Upstream {
    /// `prefix` is what the URLs of the endpoints have behind the host, without a slash at its end.
    pub fn new(endpoints: Endpoints, prefix: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(""));
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(REQUEST_ID, HeaderValue::from_static(""));
        headers.insert(TRACEPARENT, HeaderValue::from_static(""));
        Upstream {
            endpoints,
            prefix,
            headers: ArcSwap::from_pointee(headers),
            timeout: Duration::from_secs(10),
            max_body: 16 << 20,
            codings: Vec::new(),
            series: None,
        }
    }

    /// Shows `secret` to the upstream from the next request on.
    ///
    /// # Errors
    /// Where it cannot stand in a header; what was shown before then still is.
    pub fn show_bearer(&self, secret: &str) -> Result<(), http::header::InvalidHeaderValue> {
        let text = Zeroizing::new(format!("Bearer {secret}"));
        let mut value = HeaderValue::from_str(&text)?;
        value.set_sensitive(true);
        self.insert(AUTHORIZATION, value);
        Ok(())
    }

    fn insert(&self, name: HeaderName, value: HeaderValue) {
        let mut headers = HeaderMap::clone(&self.headers.load());
        headers.insert(name, value);
        self.headers.store(Arc::new(headers));
    }

    /// The content codings that its answers may have; none by default.
    #[must_use]
    pub fn with_codings(mut self, codings: Vec<Coding>) -> Self {
        let words: Vec<&str> = codings.iter().map(|coding| coding.name()).collect();
        if let Some(value) =
            (!words.is_empty()).then(|| HeaderValue::from_str(&words.join(", ")).ok()).flatten()
        {
            self.insert(ACCEPT_ENCODING, value);
        }
        self.codings = codings;
        self
    }

    /// `timeout` is for the whole answer, or where it is passed on in parts for each wait; `max_body` in
    /// bytes, decoded.
    #[must_use]
    pub fn with_limits(mut self, timeout: Duration, max_body: usize) -> Self {
        self.timeout = timeout;
        self.max_body = max_body;
        self
    }

    /// Counts its answers there.
    pub(super) fn count_in(&mut self, series: Arc<OfUpstream>) {
        self.series = Some(series);
    }

    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Sends the request and waits for the head of the answer.
    ///
    /// # Errors
    /// Where the upstream cannot be reached, takes too long, or announces what cannot be taken.
    pub async fn call(&self, request: UpstreamRequest) -> Result<UpstreamResponse, Refusal> {
        let began = Instant::now();
        let deadline = began + self.timeout;
        let answer = self.endpoints.call(request.0, deadline).await;
        if let Some(series) = &self.series {
            series.called(began.elapsed(), answer.is_ok());
        }
        let answer = answer?;
        // The body of an answer that is refused anyway is not worth reading.
        let decoder = if answer.status.is_success() { self.decoder(&answer.headers)? } else { None };
        let body = UpstreamBody {
            body: answer.body,
            decoder,
            piece: Bytes::new(),
            deadline,
            timeout: self.timeout,
            max_body: self.max_body,
        };
        Ok(UpstreamResponse { status: answer.status, format: format(&answer.headers), body })
    }

    /// # Errors
    /// Where the answer has a coding that the operator does not allow: it is not the JSON that it should be.
    fn decoder(&self, headers: &HeaderMap) -> Result<Option<Decoder>, Refusal> {
        let codings = Coding::applied(headers.get_all(CONTENT_ENCODING)).map_err(Refusal::UpstreamCoding)?;
        if codings.is_empty() {
            return Ok(None);
        }
        if !codings.iter().all(|coding| self.codings.contains(coding)) {
            return Err(Refusal::UpstreamNotJson);
        }
        // The size is bounded where the body is held.
        let limits = DecodeLimits { ratio: RATIO, size: None };
        Decoder::new(&codings, limits).map(Some).map_err(Refusal::UpstreamCoding)
    }
}

impl UpstreamBody {
    /// Waits for the next bytes; false where the body has ended.
    ///
    /// # Errors
    /// Where it breaks off, takes too long or cannot be decoded.
    pub(super) async fn wait(&mut self) -> Result<bool, Refusal> {
        if !self.piece.is_empty() {
            return Ok(true);
        }
        if let Some(data) = self.body.next(self.deadline).await? {
            self.piece = data;
            return Ok(true);
        }
        match self.decoder.take() {
            Some(decoder) => decoder.finish().map(|()| false).map_err(Refusal::UpstreamCoding),
            None => Ok(false),
        }
    }

    /// Hands on what has come, or the beginning of it: at `most` so many bytes, or what some coded ones decode to.
    ///
    /// # Errors
    /// Where it cannot be decoded, and what `sink` returns.
    pub(super) fn hand_on(
        &mut self,
        most: usize,
        sink: &mut (dyn FnMut(&[u8]) -> Result<(), Refusal> + Send),
    ) -> Result<(), Refusal> {
        match &mut self.decoder {
            Some(decoder) => {
                let coded = self.piece.split_to(self.piece.len().min(CODED));
                decoder.push(&coded, sink)
            }
            None => sink(&self.piece.split_to(self.piece.len().min(most))),
        }
    }

    /// What it is announced to have, in bytes; for a coded body nothing is known.
    pub(super) fn announced(&self) -> u64 {
        if self.decoder.is_some() { 0 } else { self.body.announced() }
    }

    /// Bytes that wait to be handed on, and that decoding takes.
    pub(super) fn held(&self) -> usize {
        self.piece.len() + self.decoder.as_ref().map_or(0, Decoder::held)
    }

    pub(super) fn max_body(&self) -> usize {
        self.max_body
    }

    /// So long nobody waited for the upstream.
    pub(super) fn wait_longer(&mut self, time: Duration) {
        self.deadline += time;
    }

    /// From now on, each wait has the whole time.
    pub(super) fn wait_anew(&mut self) {
        self.deadline = Instant::now() + self.timeout;
    }
}

/// By the label only: whatever the label, each text must be JSON.
fn format(headers: &HeaderMap) -> Format {
    const LINES: [&str; 5] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
    ];
    let label = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let label = label.split(';').next().unwrap_or("").trim();
    if LINES.iter().any(|lines| label.eq_ignore_ascii_case(lines)) { Format::Lines } else { Format::Json }
}

impl From<CallFault> for Refusal {
    fn from(fault: CallFault) -> Self {
        match fault {
            CallFault::Unreachable => Refusal::UpstreamUnreachable,
            CallFault::Timeout => Refusal::UpstreamTimeout,
            CallFault::Overloaded => Refusal::Overloaded,
        }
    }
}

/// Builds the upstream request: nothing of the contractor's request is in it but the method, the
/// matched path, permitted parameters, and an accepted body.
///
/// # Errors
/// Where the request has a body that the route does not take.
pub async fn prepare(
    permit: &Permit,
    ids: Ids,
    upstream: &Upstream,
    head: &Parts,
    body: &mut Incoming,
    limits: BodyLimits,
    share: &mut Share,
) -> Result<UpstreamRequest, Refusal> {
    let body = accepted_body(permit, head, body, limits, share).await?;
    let target = format!("{}{}{}", upstream.prefix, permit.path.encode(), permit.query.encode());
    let uri = Uri::try_from(target).map_err(|_| Refusal::UriTooLong)?;
    let method = if head.method == Method::HEAD { Method::GET } else { head.method.clone() };
    let mut request = Request::new(Full::default());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = HeaderMap::clone(&upstream.headers.load());
    let headers = request.headers_mut();
    if let Ok(id) = HeaderValue::from_str(ids.request.encode(&mut [0; 36])) {
        headers.insert(REQUEST_ID, id);
    }
    match ids.trace {
        Some(trace) => _ = headers.insert(TRACEPARENT, trace),
        None => _ = headers.remove(TRACEPARENT),
    }
    if let Some(body) = body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Full::new(body);
    }
    Ok(UpstreamRequest(request))
}

/// The request body, where the route takes one and accepts all that is in it.
async fn accepted_body(
    permit: &Permit,
    head: &Parts,
    body: &mut Incoming,
    limits: BodyLimits,
    share: &mut Share,
) -> Result<Option<Bytes>, Refusal> {
    // A route may have methods with a body and others without.
    let takes_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    let Some(accept) = permit.route().accept.as_ref().filter(|_| takes_body) else {
        return if body.is_end_stream() {
            Ok(None)
        } else {
            Err(Refusal::BadRequest("This route takes no request body."))
        };
    };
    if !is_json(head) {
        return Err(Refusal::UnsupportedMediaType);
    }
    let read = tokio::time::timeout(limits.timeout, read(body, limits.size, share)).await;
    let body = read.map_err(|_| Refusal::RequestTimeout)?.map_err(|fault| match fault {
        ReadFault::TooLarge => Refusal::ContentTooLarge,
        ReadFault::Broken => Refusal::BadRequest("The request body did not arrive whole."),
        ReadFault::NoRoom => Refusal::Overloaded,
    })?;
    // What it is reduced to is not longer, and vectors grow to the double.
    share.hold(body.capacity() + 2 * body.len())?;
    match accept.reduce(&body) {
        Ok(Outcome::Reduced { body, tally }) => {
            let complete =
                tally.members_withheld == 0 && tally.fields.iter().all(|field| field.withheld == 0);
            if complete { Ok(Some(share.part_with(body))) } else { Err(Refusal::FieldNotPermitted) }
        }
        Ok(Outcome::Withheld) => Err(Refusal::FieldNotPermitted),
        Err(_) => Err(Refusal::BadRequest("The request body is not one unambiguous JSON object.")),
    }
}

/// Takes in what is left of a refused request's body: a client that is cut off while it sends may never
/// read its answer. Nothing of it is kept.
pub fn drain(head: &Parts, mut body: Incoming, limits: BodyLimits) {
    // Reading would invite the body of a client that waits for leave (RFC 9110, section 10.1.1).
    if !head.headers.contains_key(EXPECT) && !body.is_end_stream() {
        tokio::spawn(async move {
            tokio::time::timeout(limits.timeout, skip(&mut body, limits.size.saturating_mul(DRAINED)))
                .await
                .ok()
        });
    }
}

async fn skip(body: &mut Incoming, limit: usize) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, Bytes::len);
        if seen > limit {
            return;
        }
    }
}

fn is_json(head: &Parts) -> bool {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter().filter_map(|value| value.to_str().ok());
    let json = types.next().is_some_and(|value| {
        value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json")
    });
    json && types.next().is_none() && !head.headers.contains_key(CONTENT_ENCODING)
}

enum ReadFault {
    TooLarge,
    Broken,
    NoRoom,
}

/// Reads a body to its end, never more than `limit` bytes; trailers are dropped.
async fn read(body: &mut Incoming, limit: usize, share: &mut Share) -> Result<Vec<u8>, ReadFault> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(ReadFault::TooLarge);
    }
    let announced = announced as usize;
    // What is announced and does not come takes no room from others.
    let mut bytes = Vec::with_capacity(announced.min(FREE));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ReadFault::Broken)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Err(ReadFault::TooLarge);
        }
        if bytes.len() + data.len() > bytes.capacity() {
            let least = bytes.len() + data.len();
            let grown = least.max(announced.min(2 * bytes.capacity()));
            share.hold(grown).map_err(|_| ReadFault::NoRoom)?;
            bytes.reserve_exact(grown - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
