//! One token in its compact form (RFC 7515, section 3.1), taken apart and held against a rule.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::json;
use super::keys::{Key, KeySet};
use super::rule::{Algorithms, TokenRule};

/// Bytes.
const MAX_SIZE: usize = 8192;
/// Seconds that clocks may differ.
const SKEW: f64 = 60.0;

/// A token that was read and not believed.
pub struct Token<'t> {
    /// What is signed: header and claims as they came.
    message: &'t str,
    signature: &'t str,
    algorithm: Algorithm,
    key_id: Option<String>,
    /// It says that it is an access token.
    typed: bool,
    claims: Map<String, Value>,
}

/// Why a token is not taken. The contractor is not told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is larger than 8 KiB")]
    TooLarge,
    #[error("the token is not three parts of base64url over JSON objects without repeated names")]
    Malformed,
    #[error("the token's header has crit, jku, jwk, x5u or x5c")]
    Header,
    #[error("the token's typ is not at+jwt or JWT")]
    Type,
    #[error("the token's algorithm is not one that the rule lists")]
    Algorithm,
    #[error("no rule names the token's issuer and subject")]
    Unknown,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token is for several audiences, and they belong to several contractors")]
    Ambiguous,
    #[error("the token has no time of expiry, or a time that is not a number")]
    Time,
    #[error("the token is expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token is bound to another certificate, to none that was shown, or in an unknown way")]
    Binding,
    #[error("the issuer's keys are not known")]
    NoKeys,
    #[error("the issuer has no such key")]
    Key,
    #[error("the signature is not right")]
    Signature,
}

impl<'t> Token<'t> {
    /// Whether a bearer credential is a token at all: API keys have no dots.
    pub fn is_one(text: &[u8]) -> bool {
        memchr::memchr_iter(b'.', text).count() == 2
    }

    /// Reads a token; nothing of it is true yet.
    ///
    /// # Errors
    /// Where it is not one, or its header asks for something that is never done.
    pub fn read(text: &'t [u8]) -> Result<Self, TokenError> {
        if text.len() > MAX_SIZE {
            return Err(TokenError::TooLarge);
        }
        let text = std::str::from_utf8(text).map_err(|_| TokenError::Malformed)?;
        let (message, signature) = text.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header = part(header)?;
        let claims = part(claims)?;
        if ["crit", "jku", "jwk", "x5u", "x5c"].iter().any(|name| header.contains_key(*name)) {
            return Err(TokenError::Header);
        }
        let algorithm = word(&header, "alg").and_then(Algorithms::one).ok_or(TokenError::Algorithm)?;
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(TokenError::Malformed),
        };
        let typed = typed(header.get("typ"))?;
        Ok(Token { message, signature, algorithm, key_id, typed, claims })
    }

    /// Who it says that it is from, and about whom: what a rule is looked up by.
    pub fn names(&self) -> Option<(&str, &str)> {
        Some((word(&self.claims, "iss")?, word(&self.claims, "sub")?))
    }

    /// Whether it is for this audience, among others.
    pub fn is_for(&self, audience: &str) -> bool {
        match self.claims.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(all)) => {
                all.iter().all(Value::is_string) && all.iter().any(|one| one.as_str() == Some(audience))
            }
            _ => false,
        }
    }

    /// Holds it against a rule, the keys of its source, and the certificate of the connection (its SHA-256).
    /// `now` is in seconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// Where it does not stand.
    pub fn verify(
        &self,
        rule: &TokenRule,
        keys: &KeySet,
        certificate: Option<&[u8; 32]>,
        now: i64,
    ) -> Result<(), TokenError> {
        if rule.typed && !self.typed {
            return Err(TokenError::Type);
        }
        if !rule.algorithms.0.contains(&self.algorithm) {
            return Err(TokenError::Algorithm);
        }
        if self.names() != Some((&rule.issuer, &rule.subject)) {
            return Err(TokenError::Unknown);
        }
        if !self.is_for(&rule.audience) {
            return Err(TokenError::Audience);
        }
        self.check_times(now as f64)?;
        self.check_binding(rule.bound, certificate)?;
        let key = self.key(keys)?;
        // What the library says of a key or signature that does not fit is not worth telling apart.
        match jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), &key.key, self.algorithm)
        {
            Ok(true) => Ok(()),
            _ => Err(TokenError::Signature),
        }
    }

    /// RFC 7519, sections 4.1.4 to 4.1.6.
    fn check_times(&self, now: f64) -> Result<(), TokenError> {
        let number = |name| match self.claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().filter(|value| value.is_finite()).map(Some).ok_or(TokenError::Time),
        };
        let end = number("exp")?.ok_or(TokenError::Time)?;
        if now >= end + SKEW {
            return Err(TokenError::Expired);
        }
        let begins = [number("nbf")?, number("iat")?];
        if begins.into_iter().flatten().any(|begin| now + SKEW < begin) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    /// RFC 8705, section 3.1. A confirmation that is not understood is none that was given.
    fn check_binding(&self, wanted: bool, certificate: Option<&[u8; 32]>) -> Result<(), TokenError> {
        let Some(confirmation) = self.claims.get("cnf") else {
            return if wanted { Err(TokenError::Binding) } else { Ok(()) };
        };
        let known = confirmation.as_object().filter(|members| members.len() == 1);
        let thumbprint = known.and_then(|members| members.get("x5t#S256")).and_then(Value::as_str);
        let thumbprint = thumbprint.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        match (thumbprint, certificate) {
            (Some(bound), Some(shown)) if bound == shown => Ok(()),
            _ => Err(TokenError::Binding),
        }
    }

    /// The one key that can have signed it.
    fn key<'k>(&self, keys: &'k KeySet) -> Result<&'k Key, TokenError> {
        let fits = |key: &&Key| key.algorithms.contains(&self.algorithm);
        let mut fitting = keys.keys.iter().filter(fits);
        match &self.key_id {
            Some(id) => fitting.find(|key| key.id.as_ref() == Some(id)).ok_or(TokenError::Key),
            None => match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(TokenError::Key),
            },
        }
    }
}

fn part(text: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)?;
    json::object(&bytes).ok_or(TokenError::Malformed)
}

fn word<'m>(members: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str)
}

/// Whether `typ` says that it is an access token (RFC 9068, sections 2.1 and 4).
fn typed(typ: Option<&Value>) -> Result<bool, TokenError> {
    let Some(typ) = typ else { return Ok(false) };
    let typ = typ.as_str().ok_or(TokenError::Type)?.to_ascii_lowercase();
    match typ.as_str() {
        "at+jwt" | "application/at+jwt" => Ok(true),
        "jwt" => Ok(false),
        _ => Err(TokenError::Type),
    }
}

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
