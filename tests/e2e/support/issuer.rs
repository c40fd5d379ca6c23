//! Who signs tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Somebody who signs tokens, under one key and one algorithm.
pub struct Issuer {
    pub id: &'static str,
    pub algorithm: &'static str,
    pub key: Key,
}

pub enum Key {
    Curve(EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// As in tokens: RFC 4648, section 5, without padding.
pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    pub fn new(id: &'static str) -> Self {
        Issuer::of(id, "ES256")
    }

    pub fn of(id: &'static str, algorithm: &'static str) -> Self {
        let curve = |kind| Key::Curve(EcdsaKeyPair::generate(kind).unwrap());
        let key = match algorithm {
            "ES256" => curve(&ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => curve(&ECDSA_P384_SHA384_FIXED_SIGNING),
            "EdDSA" => Key::Edwards(Ed25519KeyPair::generate().unwrap()),
            _ => Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        };
        Issuer { id, algorithm, key }
    }

    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Curve(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "kid": self.id, "x": b64(x), "y": b64(y) })
            }
            Key::Edwards(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": b64(key.public_key().as_ref()) })
            }
            Key::Rsa(key) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
                json!({ "kty": "RSA", "use": "sig", "kid": self.id, "n": b64(&n), "e": b64(&e) })
            }
        }
    }

    pub fn sign(&self, header: &Value, claims: &str) -> String {
        self.sign_text(&header.to_string(), claims)
    }

    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match &self.key {
            Key::Curve(key) => key.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Key::Edwards(key) => key.sign(bytes).as_ref().to_vec(),
            Key::Rsa(key) => {
                let padding = if self.algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, bytes, &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", b64(&signature))
    }
}
