//! The one place that builds a downstream response: from a recorded disclosure, or from a refusal.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::filter::Format;
use crate::model::RequestId;
use crate::telemetry::TraceId;

use super::Refusal;
use super::own::Own;
use super::parts::{Interrupted, Parts};
use super::record::Recorded;

const DISCLOSURE_ID: HeaderName = HeaderName::from_static("fieldgate-disclosure-id");
const PURPOSE: HeaderName = HeaderName::from_static("fieldgate-purpose");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The body of a response. It leaves in pieces, so that a client that reads slowly or not at all holds
/// its place among the contractor's requests until the last one.
#[derive(Debug)]
pub struct Outgoing {
    rest: Bytes,
    /// What comes behind it, where the response is released in parts.
    parts: Option<Parts>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// Bytes that a connection takes at once. A client that does not take as much in the time for idle
/// connections loses its own.
const PIECE: usize = 16 << 10;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Interrupted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, Interrupted>>> {
        while self.rest.is_empty() {
            let Some(parts) = &mut self.parts else { return Poll::Ready(None) };
            match ready!(parts.poll_next(context)) {
                Some(Ok(part)) => self.rest = part,
                Some(Err(interrupted)) => {
                    self.parts = None;
                    return Poll::Ready(Some(Err(interrupted)));
                }
                None => self.parts = None,
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.parts.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.parts {
            None => SizeHint::with_exact(self.rest.len() as u64),
            Some(_) => SizeHint::default(),
        }
    }
}

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
}

/// Releases what is recorded.
pub fn release(recorded: Recorded, trace: TraceId) -> Response<Outgoing> {
    let entry = recorded.entry();
    let left = recorded.subjects_left();
    let Recorded { id, status, format, body, parts, lease, .. } = recorded;
    tracing::debug!(request = %id, %trace, entry, status = status.as_u16(), "disclosed");
    let mut headers = HeaderMap::with_capacity(8);
    if body.is_some() {
        let label = match format {
            Format::Json => "application/json",
            Format::Lines => "application/x-ndjson",
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(label));
    }
    headers.insert(DISCLOSURE_ID, ascii(id.encode(&mut [0; 36])));
    headers.insert(PURPOSE, lease.purpose());
    let rate = lease.rate(left);
    headers.insert(RATE_LIMIT_POLICY, rate.policy);
    headers.insert(RATE_LIMIT, rate.state);
    build(status, headers, Outgoing { rest: body.unwrap_or_default(), parts, _slot: Some(lease.slot) })
}

/// Gives what is the gateway's own.
pub fn give(own: Own) -> Response<Outgoing> {
    let (label, rest) = match own {
        Own::Receipt(receipt) => ("text/plain; charset=utf-8", receipt.into_text().into()),
        Own::Interface(interface) => ("application/json", interface.into_bytes()),
    };
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(label));
    build(StatusCode::OK, headers, Outgoing { rest, parts: None, _slot: None })
}

/// Refuses, with a problem document that says nothing of the upstream or the request.
pub fn refuse(refusal: Refusal, id: RequestId, trace: TraceId) -> Response<Outgoing> {
    let (status, code) = (refusal.status(), refusal.code());
    tracing::info!(request = %id, %trace, status = status.as_u16(), code, cause = refusal.cause(), "refused");
    let problem = Problem {
        r#type: format!("urn:fieldgate:problem:{code}"),
        title: status.canonical_reason().unwrap_or("Refused"),
        status: status.as_u16(),
        detail: refusal.detail(),
        instance: format!("urn:uuid:{id}"),
    };
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(DISCLOSURE_ID, ascii(id.encode(&mut [0; 36])));
    match &refusal {
        Refusal::MethodNotAllowed(allow) => {
            headers.insert(ALLOW, ascii(allow));
        }
        Refusal::RateLimited(limited) | Refusal::SubjectLimit(limited) => {
            headers.insert(RETRY_AFTER, HeaderValue::from(limited.wait.as_secs() + 1));
            if let Some(rate) = &limited.rate {
                headers.insert(RATE_LIMIT_POLICY, rate.policy.clone());
                headers.insert(RATE_LIMIT, rate.state.clone());
            }
        }
        Refusal::OutsideHours(wait) => {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        Refusal::LedgerUnavailable | Refusal::Overloaded => {
            headers.insert(RETRY_AFTER, HeaderValue::from(1));
        }
        // RFC 6750, section 3.1: who has shown nothing gets no error code.
        Refusal::NoCredential => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refusal::BadCredential => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        Refusal::BadRequest(_)
        | Refusal::ParameterNotPermitted
        | Refusal::FieldNotPermitted
        | Refusal::Suspended
        | Refusal::AgreementInactive
        | Refusal::NoSuchTask
        | Refusal::OutsideNetwork
        | Refusal::NotFound(_)
        | Refusal::NotAcceptable
        | Refusal::RequestTimeout
        | Refusal::ContentTooLarge
        | Refusal::UriTooLong
        | Refusal::UnsupportedMediaType
        | Refusal::ExpectationFailed
        | Refusal::MisdirectedRequest
        | Refusal::HeaderFieldsTooLarge
        | Refusal::UpstreamNotJson
        | Refusal::UpstreamMalformed(_)
        | Refusal::UpstreamCoding(_)
        | Refusal::UpstreamAmbiguous
        | Refusal::UpstreamTooLarge
        | Refusal::UpstreamError(_)
        | Refusal::UpstreamUnreachable
        | Refusal::UpstreamTimeout
        | Refusal::Internal => {}
    }
    // A structure of strings and numbers always serialises.
    let rest = serde_json::to_vec(&problem).unwrap_or_default().into();
    build(status, headers, Outgoing { rest, parts: None, _slot: None })
}

/// Ends an HTTP/1.1 connection behind this response.
pub fn and_close(mut response: Response<Outgoing>) -> Response<Outgoing> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to HEAD: what GET would say, without its body (RFC 9110, section 9.3.2). hyper leaves the
/// body out on HTTP/1.1 only.
pub fn without_body(response: Response<Outgoing>) -> Response<Outgoing> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact().filter(|_| head.status != StatusCode::NO_CONTENT) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Outgoing { rest: Bytes::new(), parts: None, _slot: None })
}

fn build(status: StatusCode, headers: HeaderMap, body: Outgoing) -> Response<Outgoing> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn ascii(text: &str) -> HeaderValue {
    // Ids and method names are ASCII.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
