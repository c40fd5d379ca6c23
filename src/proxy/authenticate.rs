//! Who is asking: a verified client certificate, an API key or signed token, or both where they agree.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::rules::{self, Contractor, Holder, Plan, Proof, TokenHolder};
use crate::telemetry::Series;
use crate::token::{Token, TokenError};
use crate::transport::{ClientIdentity, NotTrusted, Peer};

use super::Refusal;
use super::limits::LimitTable;
use super::ruling::Ruling;

/// A contractor that has proved who it is. Only [`authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    ruling: Arc<Ruling>,
    holder: Holder,
    address: IpAddr,
}

impl Caller {
    pub fn contractor(&self) -> &Arc<Contractor> {
        self.ruling.plan.contractor(self.holder)
    }

    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// Where it calls from.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn credential(&self) -> &str {
        self.contractor().credentials[self.holder.credential].as_str()
    }

    /// The rules that this request is decided by, to its end.
    pub fn plan(&self) -> &Plan {
        &self.ruling.plan
    }

    /// Where its requests are counted.
    pub fn series(&self, task: Option<usize>) -> &Series {
        self.ruling.series.of(self.holder, task)
    }

    pub fn limits(&self) -> &LimitTable {
        &self.ruling.limits
    }
}

/// # Errors
/// Where no credential is shown, one is unknown or expired, or two contradict each other.
pub fn authenticate(ruling: &Arc<Ruling>, peer: &Peer, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let plan = &ruling.plan;
    let identity = peer.identity().map_err(|NotTrusted| Refusal::BadCredential)?;
    let by_certificate = identity.map(|identity| certificate_holder(plan, identity)).transpose()?;
    let (by_key, by_token) = match bearer(headers)? {
        // A key of the company's own making may have two dots too.
        Some(token) if Token::is_one(token) && key_holder(plan, token).is_err() => {
            (None, Some(token_holder(plan, token, identity)?))
        }
        Some(key) => (Some(key_holder(plan, key)?), None),
        None => (None, None),
    };
    // Of two credentials, a token is the one that its issuer gave for this use.
    let mut shown = [by_token, by_certificate, by_key].into_iter().flatten();
    let holder = shown.next().ok_or(Refusal::NoCredential)?;
    if shown.any(|other| !holder.same_contractor(other)) {
        return Err(Refusal::BadCredential);
    }
    Ok(Caller { ruling: Arc::clone(ruling), holder, address: peer.address })
}

fn certificate_holder(plan: &Plan, identity: &ClientIdentity) -> Result<Holder, Refusal> {
    let mut found = plan.holder(&Proof::Fingerprint(identity.fingerprint));
    // A certificate with several URI names could speak for several parties (SPIFFE X.509-SVID, 2).
    if let [uri] = &identity.uri_names[..] {
        found = agreed(found, plan.holder(&Proof::SanUri(uri.clone())))?;
    }
    for name in &identity.dns_names {
        found = agreed(found, plan.holder(&Proof::SanDns(name.clone())))?;
    }
    let holder = found.ok_or(Refusal::BadCredential)?;
    plan.contractor(holder).note_ending(holder.credential, identity.days_left());
    Ok(holder)
}

/// The names of one certificate must not belong to two contractors.
fn agreed(first: Option<Holder>, second: Option<Holder>) -> Result<Option<Holder>, Refusal> {
    match (first, second) {
        (Some(first), Some(second)) if !first.same_contractor(second) => Err(Refusal::BadCredential),
        (first, second) => Ok(first.or(second)),
    }
}

/// The one bearer token (RFC 6750, section 2.1), if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let value = value.as_bytes();
    match value.split_at_checked("Bearer ".len()) {
        Some((scheme, key))
            if scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty() && values.next().is_none() =>
        {
            Ok(Some(key))
        }
        _ => Err(Refusal::BadCredential),
    }
}

fn token_holder(plan: &Plan, token: &[u8], identity: Option<&ClientIdentity>) -> Result<Holder, Refusal> {
    let certificate = identity.map(|identity| &identity.fingerprint);
    verified(plan, token, certificate).map_err(|error| {
        tracing::info!(why = %error, "a token was refused");
        Refusal::BadCredential
    })
}

fn verified(plan: &Plan, token: &[u8], certificate: Option<&[u8; 32]>) -> Result<Holder, TokenError> {
    let token = Token::read(token)?;
    let (issuer, subject) = token.names().ok_or(TokenError::Unknown)?;
    let holders = plan.token_holders(issuer, subject);
    let (mut stands, mut fault) = (None::<Holder>, None);
    for held in holders.iter().filter(|held| token.is_for(&held.rule.audience)) {
        match held_against(held, &token, certificate) {
            Ok(holder) if stands.is_some_and(|first| !first.same_contractor(holder)) => {
                return Err(TokenError::Ambiguous);
            }
            Ok(holder) => stands = stands.or(Some(holder)),
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    let none = if holders.is_empty() { TokenError::Unknown } else { TokenError::Audience };
    stands.ok_or(fault.unwrap_or(none))
}

fn held_against(
    held: &TokenHolder,
    token: &Token,
    certificate: Option<&[u8; 32]>,
) -> Result<Holder, TokenError> {
    let Some(keys) = held.keys.keys() else {
        held.keys.want();
        return Err(TokenError::NoKeys);
    };
    let verdict = token.verify(&held.rule, &keys, certificate, rules::now());
    if verdict == Err(TokenError::Key) {
        // The issuer may have begun to sign with another one. This request does not wait for it.
        held.keys.want();
    }
    verdict.map(|()| held.holder)
}

fn key_holder(plan: &Plan, key: &[u8]) -> Result<Holder, Refusal> {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, key).as_ref());
    plan.holder_of_key(&hash).ok_or(Refusal::BadCredential)
}
