//! An issuer's public keys (RFC 7517, section 5).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::json;

/// Bytes of a set.
const MAX_SIZE: usize = 1 << 20;
const MAX_KEYS: usize = 100;
/// Bits of an RSA key (RFC 7518, section 3.3, and what the library verifies by).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The keys of a set that can verify tokens.
#[derive(Debug, Default)]
pub struct KeySet {
    pub(super) keys: Vec<Key>,
    /// Keys of the set that are not used: symmetric, private, for encryption, of an unknown kind, too weak, or
    /// none at all.
    unused: usize,
}

pub(super) struct Key {
    pub id: Option<String>,
    /// The algorithms that it may verify.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

/// Why a text is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("is larger than 1 MiB")]
    TooLarge,
    #[error("is not a JSON Web Key Set (RFC 7517, section 5), or has a name twice in one object")]
    Malformed,
    #[error("has more than 100 keys")]
    TooMany,
    #[error("has two keys with one `kid`")]
    SameId,
    #[error("has no key that can verify a signature by one of RS, PS, ES256, ES384 or EdDSA")]
    Empty,
}

impl KeySet {
    /// # Errors
    /// Where it is not a key set, or has no key that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        if text.len() > MAX_SIZE {
            return Err(KeySetError::TooLarge);
        }
        let mut members = json::object(text).ok_or(KeySetError::Malformed)?;
        let Some(Value::Array(written)) = members.remove("keys") else { return Err(KeySetError::Malformed) };
        if written.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let all = written.len();
        let keys: Vec<Key> = written.into_iter().filter_map(key).collect();
        let same =
            |at: usize, key: &Key| keys[..at].iter().any(|other| key.id.is_some() && other.id == key.id);
        if keys.iter().enumerate().any(|(at, key)| same(at, key)) {
            return Err(KeySetError::SameId);
        }
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        let unused = all - keys.len();
        Ok(KeySet { keys, unused })
    }

    /// How many keys can verify tokens, and how many are not used.
    pub fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.unused)
    }
}

fn key(written: Value) -> Option<Key> {
    let Value::Object(members) = &written else { return None };
    if is_private(members) {
        return None;
    }
    let jwk: Jwk = serde_json::from_value(written).ok()?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let mut algorithms = fitting(&jwk.algorithm)?;
    if let Some(own) = &common.key_algorithm {
        let own = own.to_string().parse().ok()?;
        algorithms.retain(|algorithm| *algorithm == own);
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (!algorithms.is_empty()).then_some(Key { id: jwk.common.key_id, algorithms, key })
}

/// A set that holds what only its issuer may know is a mistake of somebody's.
fn is_private(members: &Map<String, Value>) -> bool {
    ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|name| members.contains_key(*name))
}

/// What a key of this kind and curve can have signed: never more than its family. Nothing where it is no key
/// of that kind, or a weak one.
fn fitting(parameters: &AlgorithmParameters) -> Option<Vec<Algorithm>> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(key) => {
            RSA_BITS.contains(&bits(&key.n)?).then(|| vec![RS256, RS384, RS512, PS256, PS384, PS512])
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => {
                is_point(&key.x, &key.y, 32, &ECDSA_P256_SHA256_FIXED).then(|| vec![ES256])
            }
            EllipticCurve::P384 => {
                is_point(&key.x, &key.y, 48, &ECDSA_P384_SHA384_FIXED).then(|| vec![ES384])
            }
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => match key.curve {
            EllipticCurve::Ed25519 => is_key(&decoded(&key.x)?, &ED25519).then(|| vec![EdDSA]),
            _ => None,
        },
        _ => None,
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Of a number (RFC 7518, section 2: Base64urlUInt).
fn bits(text: &str) -> Option<usize> {
    let number = decoded(text)?;
    let first = number.iter().position(|byte| *byte != 0)?;
    Some((number.len() - first) * 8 - number[first].leading_zeros() as usize)
}

/// Whether two coordinates of so many bytes (RFC 7518, section 6.2.1.2) are a point of the curve.
fn is_point(x: &str, y: &str, size: usize, curve: &'static dyn VerificationAlgorithm) -> bool {
    let (Some(x), Some(y)) = (decoded(x), decoded(y)) else { return false };
    x.len() == size && y.len() == size && is_key(&[&[4], &x[..], &y[..]].concat(), curve)
}

fn is_key(bytes: &[u8], algorithm: &'static dyn VerificationAlgorithm) -> bool {
    ParsedPublicKey::new(algorithm, bytes).is_ok()
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}
