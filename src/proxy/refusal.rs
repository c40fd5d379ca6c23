//! Everything that a request can be refused for: one list, each with its public face and its cause.

use std::time::Duration;

use http::StatusCode;

use crate::filter::Fault;
use crate::transport::DecodeError;

use super::limits::RateHeaders;

/// All codes; the last one is also that of what is not in the list.
pub const CODES: [&str; 32] = [
    "bad-request",
    "parameter-not-permitted",
    "field-not-permitted",
    "no-credential",
    "bad-credential",
    "suspended",
    "agreement-inactive",
    "no-such-task",
    "outside-network",
    "outside-hours",
    "not-found",
    "method-not-allowed",
    "not-acceptable",
    "request-timeout",
    "content-too-large",
    "uri-too-long",
    "unsupported-media-type",
    "expectation-failed",
    "misdirected-request",
    "request-header-fields-too-large",
    "rate-limited",
    "subject-limit",
    "upstream-not-json",
    "upstream-malformed",
    "upstream-too-large",
    "upstream-ambiguous",
    "upstream-error",
    "upstream-unreachable",
    "upstream-timeout",
    "ledger-unavailable",
    "overloaded",
    "internal-error",
];

/// Why a request gets nothing. No variant can hold a byte of an upstream or of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What is malformed, in fixed words.
    BadRequest(&'static str),
    ParameterNotPermitted,
    FieldNotPermitted,
    NoCredential,
    BadCredential,
    Suspended,
    AgreementInactive,
    NoSuchTask,
    OutsideNetwork,
    /// Until when to wait.
    OutsideHours(Duration),
    NotFound(Missing),
    /// The methods that the route has, for `Allow`.
    MethodNotAllowed(String),
    NotAcceptable,
    RequestTimeout,
    ContentTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    ExpectationFailed,
    /// For a host that the gateway is not.
    MisdirectedRequest,
    HeaderFieldsTooLarge,
    RateLimited(Limited),
    SubjectLimit(Limited),
    UpstreamNotJson,
    UpstreamMalformed(Fault),
    /// Its content coding is broken, unknown, or expands too much.
    UpstreamCoding(DecodeError),
    UpstreamAmbiguous,
    UpstreamTooLarge,
    /// The upstream's status.
    UpstreamError(u16),
    UpstreamUnreachable,
    UpstreamTimeout,
    LedgerUnavailable,
    Overloaded,
    Internal,
}

/// How long to wait for more, and how the response says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    pub wait: Duration,
    /// Boxed: a refusal travels far, and this is rare.
    pub rate: Option<Box<RateHeaders>>,
}

/// Causes that the contractor must not be able to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Route,
    Upstream,
    Condition,
    /// The record's customer is not let through.
    Admission,
}

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::BadRequest(_) | Refusal::ParameterNotPermitted | Refusal::FieldNotPermitted => {
                StatusCode::BAD_REQUEST
            }
            Refusal::NoCredential | Refusal::BadCredential => StatusCode::UNAUTHORIZED,
            Refusal::Suspended
            | Refusal::AgreementInactive
            | Refusal::NoSuchTask
            | Refusal::OutsideNetwork
            | Refusal::OutsideHours(_) => StatusCode::FORBIDDEN,
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Refusal::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Refusal::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::UriTooLong => StatusCode::URI_TOO_LONG,
            Refusal::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Refusal::MisdirectedRequest => StatusCode::MISDIRECTED_REQUEST,
            Refusal::HeaderFieldsTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Refusal::RateLimited(_) | Refusal::SubjectLimit(_) => StatusCode::TOO_MANY_REQUESTS,
            Refusal::UpstreamNotJson
            | Refusal::UpstreamMalformed(_)
            | Refusal::UpstreamCoding(_)
            | Refusal::UpstreamAmbiguous
            | Refusal::UpstreamTooLarge
            | Refusal::UpstreamError(_)
            | Refusal::UpstreamUnreachable => StatusCode::BAD_GATEWAY,
            Refusal::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Refusal::LedgerUnavailable | Refusal::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Stable: contractors program against it.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::BadRequest(_) => "bad-request",
            Refusal::ParameterNotPermitted => "parameter-not-permitted",
            Refusal::FieldNotPermitted => "field-not-permitted",
            Refusal::NoCredential => "no-credential",
            Refusal::BadCredential => "bad-credential",
            Refusal::Suspended => "suspended",
            Refusal::AgreementInactive => "agreement-inactive",
            Refusal::NoSuchTask => "no-such-task",
            Refusal::OutsideNetwork => "outside-network",
            Refusal::OutsideHours(_) => "outside-hours",
            Refusal::NotFound(_) => "not-found",
            Refusal::MethodNotAllowed(_) => "method-not-allowed",
            Refusal::NotAcceptable => "not-acceptable",
            Refusal::RequestTimeout => "request-timeout",
            Refusal::ContentTooLarge => "content-too-large",
            Refusal::UriTooLong => "uri-too-long",
            Refusal::UnsupportedMediaType => "unsupported-media-type",
            Refusal::ExpectationFailed => "expectation-failed",
            Refusal::MisdirectedRequest => "misdirected-request",
            Refusal::HeaderFieldsTooLarge => "request-header-fields-too-large",
            Refusal::RateLimited(_) => "rate-limited",
            Refusal::SubjectLimit(_) => "subject-limit",
            Refusal::UpstreamNotJson => "upstream-not-json",
            Refusal::UpstreamMalformed(_) => "upstream-malformed",
            Refusal::UpstreamCoding(error) => match error {
                DecodeError::TooLarge(_) | DecodeError::Ratio(_) => "upstream-too-large",
                DecodeError::Unsupported | DecodeError::TooMany => "upstream-not-json",
                DecodeError::Malformed(_)
                | DecodeError::Truncated(_)
                | DecodeError::Trailing(_)
                | DecodeError::Memory(_)
                | DecodeError::Stopped => "upstream-malformed",
            },
            Refusal::UpstreamAmbiguous => "upstream-ambiguous",
            Refusal::UpstreamTooLarge => "upstream-too-large",
            Refusal::UpstreamError(_) => "upstream-error",
            Refusal::UpstreamUnreachable => "upstream-unreachable",
            Refusal::UpstreamTimeout => "upstream-timeout",
            Refusal::LedgerUnavailable => "ledger-unavailable",
            Refusal::Overloaded => "overloaded",
            Refusal::Internal => "internal-error",
        }
    }

    /// The code's place in `CODES`.
    pub fn number(&self) -> usize {
        let code = self.code();
        CODES.iter().position(|known| *known == code).unwrap_or(CODES.len() - 1)
    }

    /// For the contractor: what is wrong and what to do.
    pub fn detail(&self) -> &'static str {
        match self {
            Refusal::BadRequest(what) => what,
            Refusal::ParameterNotPermitted => "The query has a parameter that this route does not list.",
            Refusal::FieldNotPermitted => "The request body has a member that this route does not accept.",
            Refusal::NoCredential => {
                "Show a client certificate, or send an API key or a token as Authorization: Bearer."
            }
            Refusal::BadCredential => {
                "The credential is unknown, expired or revoked, or contradicts another one."
            }
            Refusal::Suspended => "Your access is suspended; ask the company that you work for.",
            Refusal::AgreementInactive => "The agreement is not in force today.",
            Refusal::NoSuchTask => "The Fieldgate-Task header names a task that is not yours on this path.",
            Refusal::OutsideNetwork => "The task may not be used from this network address.",
            Refusal::OutsideHours(_) => "The task may not be used at this time; see Retry-After.",
            Refusal::NotFound(_) => "There is nothing here for you.",
            Refusal::MethodNotAllowed(_) => "This path has other methods; see Allow.",
            Refusal::NotAcceptable => "Responses are application/json.",
            Refusal::RequestTimeout => "The request took too long to arrive.",
            Refusal::ContentTooLarge => "The request body is too large.",
            Refusal::UriTooLong => "The request target is too long.",
            Refusal::ExpectationFailed => "The only expectation is 100-continue.",
            Refusal::MisdirectedRequest => "This is not the host that the request is for.",
            Refusal::HeaderFieldsTooLarge => "The request has too many header fields.",
            Refusal::UnsupportedMediaType => "Send the body as application/json, without content coding.",
            Refusal::RateLimited(_) => "Too many requests; see Retry-After.",
            Refusal::SubjectLimit(_) => "You have seen as many distinct customers today as your task allows.",
            Refusal::UpstreamNotJson => "The upstream's answer is not JSON.",
            Refusal::UpstreamMalformed(_) => "The upstream's answer is not usable JSON.",
            Refusal::UpstreamCoding(_) => "The upstream's answer cannot be decoded.",
            Refusal::UpstreamAmbiguous => "The upstream's answer can be read in two ways.",
            Refusal::UpstreamTooLarge => "The upstream's answer is too large.",
            Refusal::UpstreamError(_) => "The upstream reported an error.",
            Refusal::UpstreamUnreachable => "The upstream cannot be reached.",
            Refusal::UpstreamTimeout => "The upstream took too long.",
            Refusal::LedgerUnavailable => {
                "The disclosure cannot be recorded now, so it is not made. Try again later."
            }
            Refusal::Overloaded => "The gateway has too much to do. Try again later.",
            Refusal::Internal => "Something went wrong in the gateway; the instance names this request.",
        }
    }

    /// For logs and the ledger: what the code does not tell.
    pub fn cause(&self) -> Option<String> {
        match self {
            Refusal::NotFound(Missing::Route) => Some("no route".into()),
            Refusal::NotFound(Missing::Upstream) => Some("not in the upstream".into()),
            Refusal::NotFound(Missing::Condition) => Some("the condition does not hold".into()),
            Refusal::NotFound(Missing::Admission) => Some("the customer is not let through".into()),
            Refusal::UpstreamMalformed(fault) => Some(fault.to_string()),
            Refusal::UpstreamCoding(error) => Some(error.to_string()),
            Refusal::UpstreamError(status) => Some(format!("upstream status {status}")),
            Refusal::BadRequest(what) => Some((*what).to_owned()),
            Refusal::ParameterNotPermitted
            | Refusal::FieldNotPermitted
            | Refusal::NoCredential
            | Refusal::BadCredential
            | Refusal::Suspended
            | Refusal::AgreementInactive
            | Refusal::NoSuchTask
            | Refusal::OutsideNetwork
            | Refusal::OutsideHours(_)
            | Refusal::MethodNotAllowed(_)
            | Refusal::NotAcceptable
            | Refusal::RequestTimeout
            | Refusal::ContentTooLarge
            | Refusal::UriTooLong
            | Refusal::UnsupportedMediaType
            | Refusal::ExpectationFailed
            | Refusal::MisdirectedRequest
            | Refusal::HeaderFieldsTooLarge
            | Refusal::RateLimited(_)
            | Refusal::SubjectLimit(_)
            | Refusal::UpstreamNotJson
            | Refusal::UpstreamAmbiguous
            | Refusal::UpstreamTooLarge
            | Refusal::UpstreamUnreachable
            | Refusal::UpstreamTimeout
            | Refusal::LedgerUnavailable
            | Refusal::Overloaded
            | Refusal::Internal => None,
        }
    }
}

impl From<Fault> for Refusal {
    /// A fault that the filter found in an upstream's body.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotJson => Refusal::UpstreamNotJson,
            Fault::Duplicate => Refusal::UpstreamAmbiguous,
            Fault::NotUtf8 { .. }
            | Fault::Syntax { .. }
            | Fault::TooDeep
            | Fault::LoneSurrogate
            | Fault::Shape => Refusal::UpstreamMalformed(fault),
        }
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Refusal::UpstreamCoding(error)
    }
}
