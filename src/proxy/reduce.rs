//! From the upstream's answer to what may leave of it.

use http::StatusCode;

use crate::filter::{Outcome, Tally};

use super::Refusal;
use super::authorize::Permit;
use super::forward::UpstreamResponse;
use super::refusal::Missing;

/// From this size on, a body is reduced where it cannot hold up other requests.
const LARGE: usize = 512 << 10;

/// A reduced answer that nobody has seen yet. Only [`reduce`] makes one.
pub struct Disclosure {
    pub status: StatusCode,
    /// `None` for 204.
    pub body: Option<Vec<u8>>,
    pub tally: Option<Tally>,
}

/// # Errors
/// Where the answer is not one that the rule can be applied to, or its condition does not hold.
pub fn reduce(permit: &Permit, response: UpstreamResponse) -> Result<Disclosure, Refusal> {
    let UpstreamResponse { status, body } = response;
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => {}
        // Without a body nobody can say that the condition holds.
        StatusCode::NO_CONTENT if permit.route().filter.has_condition() => {
            return Err(Refusal::NotFound(Missing::Condition));
        }
        StatusCode::NO_CONTENT => {
            return Ok(Disclosure { status, body: None, tally: None });
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Refusal::NotFound(Missing::Upstream)),
        other => return Err(Refusal::UpstreamError(other.as_u16())),
    }
    let filter = &permit.route().filter;
    // A write that answers nothing, on a route that discloses nothing.
    if body.is_empty() && permit.route().fields.is_empty() && !filter.has_condition() {
        return Ok(Disclosure { status, body: Some(b"{}".to_vec()), tally: None });
    }
    let outcome = if body.len() < LARGE {
        filter.reduce(&body)
    } else {
        tokio::task::block_in_place(|| filter.reduce(&body))
    };
    match outcome {
        Ok(Outcome::Reduced { body, tally }) => {
            Ok(Disclosure { status, body: Some(body), tally: Some(tally) })
        }
        Ok(Outcome::Withheld) => Err(Refusal::NotFound(Missing::Condition)),
        Err(fault) => Err(Refusal::from(fault)),
    }
}
