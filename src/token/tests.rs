//! Tokens that stand, and all the ways in which they do not.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

mod changes;

const NOW: i64 = 1_800_000_000;

struct Issuer {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    fn new() -> Self {
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Issuer { ec, ed: Ed25519KeyPair::generate().unwrap() }
    }

    fn ec_jwk(&self, id: &str) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    fn set(&self) -> KeySet {
        let ed =
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key().as_ref()) });
        KeySet::parse(json!({ "keys": [self.ec_jwk("ec"), ed] }).to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
        let signature = if header.contains("EdDSA") {
            self.ed.sign(message.as_bytes()).as_ref().to_vec()
        } else {
            self.ec.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
        };
        format!("{message}.{}", b64(&signature))
    }
}

fn rule() -> TokenRule {
    TokenRule {
        issuer: "https://id.example".into(),
        audience: "fieldgate".into(),
        subject: "gateway".into(),
        source: Source::File("keys.json".into()),
        refresh: Duration::ZERO,
        algorithms: Algorithms::all(),
        typed: false,
        bound: false,
    }
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": "fieldgate", "sub": "gateway", "exp": NOW + 300, "iat": NOW, "jti": "1" })
}

const ES256: &str = r#"{"alg":"ES256","typ":"at+jwt","kid":"ec"}"#;

fn verdict(
    issuer: &Issuer,
    token: &str,
    rule: &TokenRule,
    certificate: Option<&[u8; 32]>,
) -> Result<(), TokenError> {
    Token::read(token.as_bytes())?.verify(rule, &issuer.set(), certificate, NOW)
}

fn with(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    claims.to_string()
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims.to_string()
}

#[test]
fn a_token_of_its_issuer_stands() {
    let issuer = Issuer::new();
    for header in [
        ES256,
        r#"{"alg":"ES256","kid":"ec"}"#,
        r#"{"alg":"ES256","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","typ":"application/at+JWT","kid":"ed","x":1}"#,
    ] {
        let token = issuer.sign(header, &claims().to_string());
        assert_eq!(verdict(&issuer, &token, &rule(), None), Ok(()), "{header}");
    }
    for claims in [
        with("aud", json!(["other", "fieldgate"])),
        with("exp", json!(NOW - 59)),
        with("exp", json!(NOW as f64 + 0.5)),
        with("nbf", json!(NOW + 59)),
        without("iat"),
    ] {
        assert_eq!(verdict(&issuer, &issuer.sign(ES256, &claims), &rule(), None), Ok(()), "{claims}");
    }
}

#[test]
fn rsa_and_the_larger_curve_verify_under_their_own_algorithms_only() {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let parts = PublicKeyComponents::<Vec<u8>>::from(rsa.public_key());
    let point = ec.public_key().as_ref();
    let keys = json!({ "keys": [
        { "kty": "RSA", "kid": "rsa", "n": b64(&parts.n), "e": b64(&parts.e) },
        { "kty": "EC", "crv": "P-384", "kid": "ec", "x": b64(&point[1..49]), "y": b64(&point[49..]) },
    ] });
    let keys = KeySet::parse(keys.to_string().as_bytes()).unwrap();
    let random = SystemRandom::new();
    for (algorithm, id) in [("RS256", "rsa"), ("PS256", "rsa"), ("ES384", "ec")] {
        let header = json!({ "alg": algorithm, "kid": id }).to_string();
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims().to_string().as_bytes()));
        let mut signature = vec![0; rsa.public_modulus_len()];
        match algorithm {
            "RS256" => rsa.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap(),
            "PS256" => rsa.sign(&RSA_PSS_SHA256, &random, message.as_bytes(), &mut signature).unwrap(),
            _ => signature = ec.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
        }
        let stands = |message: &str| {
            let token = format!("{message}.{}", b64(&signature));
            Token::read(token.as_bytes()).unwrap().verify(&rule(), &keys, None, NOW)
        };
        assert_eq!(stands(&message), Ok(()), "{algorithm}");
        // The same signature under the name of another algorithm.
        for other in ["RS256", "PS256", "RS512", "ES256"].into_iter().filter(|other| *other != algorithm) {
            let header = json!({ "alg": other, "kid": id }).to_string();
            let message = format!("{}.{}", b64(header.as_bytes()), b64(claims().to_string().as_bytes()));
            assert!(stands(&message).is_err(), "{algorithm} as {other}");
        }
    }
}

#[test]
fn what_a_token_must_not_be_is_refused_by_its_reason() {
    let issuer = Issuer::new();
    let good = claims().to_string();
    let twice = good.replace("\"sub\":\"gateway\"", "\"sub\":\"gateway\",\"sub\":\"gateway\"");
    let deep = good.replace("\"jti\":\"1\"", "\"jti\":{\"a\":1,\"\\u0061\":2}");
    let huge = good.replace("\"exp\":1800000300", "\"exp\":1e400");
    for (header, claims, error) in [
        (r#"{"alg":"none"}"#, good.clone(), TokenError::Algorithm),
        (r#"{"alg":"None"}"#, good.clone(), TokenError::Algorithm),
        (r#"{"alg":"HS256","kid":"ec"}"#, good.clone(), TokenError::Algorithm),
        (r#"{"kid":"ec"}"#, good.clone(), TokenError::Algorithm),
        (r#"{"alg":"es256"}"#, good.clone(), TokenError::Algorithm),
        (r#"{"alg":"RS256","kid":"ec"}"#, good.clone(), TokenError::Key),
        (r#"{"alg":"ES384","kid":"ec"}"#, good.clone(), TokenError::Key),
        (r#"{"alg":"ES256","kid":"ed"}"#, good.clone(), TokenError::Key),
        (r#"{"alg":"ES256","kid":"../ec"}"#, good.clone(), TokenError::Key),
        (r#"{"alg":"ES256","kid":7}"#, good.clone(), TokenError::Malformed),
        (r#"{"alg":"ES256","alg":"ES256"}"#, good.clone(), TokenError::Malformed),
        (r#"{"alg":"ES256","typ":"id+jwt"}"#, good.clone(), TokenError::Type),
        (r#"{"alg":"ES256","typ":"application/jwt"}"#, good.clone(), TokenError::Type),
        (r#"{"alg":"ES256","typ":""}"#, good.clone(), TokenError::Type),
        (r#"{"alg":"ES256","typ":1}"#, good.clone(), TokenError::Type),
        (r#"{"alg":"ES256","crit":["exp"]}"#, good.clone(), TokenError::Header),
        (r#"{"alg":"ES256","jku":"https://evil.example/keys"}"#, good.clone(), TokenError::Header),
        (r#"{"alg":"ES256","jwk":{"kty":"EC"}}"#, good.clone(), TokenError::Header),
        (r#"{"alg":"ES256","x5u":"x"}"#, good.clone(), TokenError::Header),
        (r#"{"alg":"ES256","x5c":[]}"#, good.clone(), TokenError::Header),
        (r#"["ES256"]"#, good.clone(), TokenError::Malformed),
        (ES256, twice, TokenError::Malformed),
        (ES256, deep, TokenError::Malformed),
        (ES256, huge, TokenError::Malformed),
        (ES256, "[]".into(), TokenError::Malformed),
        (ES256, format!("{good} {good}"), TokenError::Malformed),
        (ES256, with("iss", json!("https://id.example/")), TokenError::Unknown),
        (ES256, with("sub", json!("Gateway")), TokenError::Unknown),
        (ES256, with("sub", json!(["gateway"])), TokenError::Unknown),
        (ES256, without("sub"), TokenError::Unknown),
        (ES256, with("aud", json!("fieldgate2")), TokenError::Audience),
        (ES256, with("aud", json!([])), TokenError::Audience),
        (ES256, with("aud", json!(["fieldgate", 1])), TokenError::Audience),
        (ES256, without("aud"), TokenError::Audience),
        (ES256, without("exp"), TokenError::Time),
        (ES256, with("exp", json!("1800000300")), TokenError::Time),
        (ES256, with("exp", json!(null)), TokenError::Time),
        (ES256, with("exp", json!(NOW - 60)), TokenError::Expired),
        (ES256, with("nbf", json!(NOW + 61)), TokenError::NotYet),
        (ES256, with("iat", json!(NOW + 61)), TokenError::NotYet),
        (ES256, with("nbf", json!("now")), TokenError::Time),
        (ES256, with("cnf", json!({ "jkt": "x" })), TokenError::Binding),
        (ES256, with("cnf", json!({ "x5t#S256": b64(&[7; 32]) })), TokenError::Binding),
        (ES256, with("cnf", json!(null)), TokenError::Binding),
        (ES256, with("cnf", json!({})), TokenError::Binding),
    ] {
        let token = issuer.sign(header, &claims);
        assert_eq!(verdict(&issuer, &token, &rule(), None), Err(error), "{header} {claims}");
    }
    let good = issuer.sign(ES256, &good);
    let parts: Vec<&str> = good.split('.').collect();
    for (token, error) in [
        (format!("{}.{}.", parts[0], parts[1]), TokenError::Signature),
        (format!("{good}="), TokenError::Signature),
        (format!("{}=.{}.{}", parts[0], parts[1], parts[2]), TokenError::Malformed),
        (format!("{good}.x"), TokenError::Malformed),
        (format!("{} .{}.{}", parts[0], parts[1], parts[2]), TokenError::Malformed),
        ("..".into(), TokenError::Malformed),
        ("x".repeat(8193), TokenError::TooLarge),
        (Issuer::new().sign(ES256, &claims().to_string()), TokenError::Signature),
    ] {
        assert_eq!(verdict(&issuer, &token, &rule(), None), Err(error), "{token}");
    }
}

#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let issuer = Issuer::new();
    for secret in [issuer.ec.public_key().as_ref().to_vec(), issuer.ec_jwk("ec").to_string().into_bytes()] {
        let message =
            format!("{}.{}", b64(br#"{"alg":"HS256","kid":"ec"}"#), b64(claims().to_string().as_bytes()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", b64(tag.as_ref()));
        assert_eq!(verdict(&issuer, &token, &rule(), None), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_rule_may_ask_for_an_algorithm_a_type_and_a_binding() {
    let issuer = Issuer::new();
    let plain = issuer.sign(r#"{"alg":"ES256","kid":"ec"}"#, &claims().to_string());
    let only = TokenRule { algorithms: Algorithms::of(["EdDSA"]), ..rule() };
    assert_eq!(verdict(&issuer, &plain, &only, None), Err(TokenError::Algorithm));
    assert_eq!(verdict(&issuer, &plain, &TokenRule { typed: true, ..rule() }, None), Err(TokenError::Type));
    let bound = TokenRule { bound: true, ..rule() };
    assert_eq!(verdict(&issuer, &plain, &bound, Some(&[7; 32])), Err(TokenError::Binding));
    let token = issuer.sign(ES256, &with("cnf", json!({ "x5t#S256": b64(&[7; 32]) })));
    for rule in [rule(), bound] {
        assert_eq!(verdict(&issuer, &token, &rule, Some(&[7; 32])), Ok(()));
        assert_eq!(verdict(&issuer, &token, &rule, Some(&[8; 32])), Err(TokenError::Binding));
    }
}

#[test]
fn without_a_key_id_one_key_must_be_the_only_one() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let two = json!({ "keys": [issuer.ec_jwk("a"), other.ec_jwk("b")] }).to_string();
    let two = KeySet::parse(two.as_bytes()).unwrap();
    let token = issuer.sign(r#"{"alg":"ES256"}"#, &claims().to_string());
    let read = Token::read(token.as_bytes()).unwrap();
    assert_eq!(read.verify(&rule(), &two, None, NOW), Err(TokenError::Key));
}

#[test]
fn a_key_set_is_read_strictly_and_only_for_what_can_verify() {
    let issuer = Issuer::new();
    let (ec, point) = (issuer.ec_jwk("ec"), issuer.ec.public_key().as_ref());
    let change = |name: &str, value: Value| {
        let mut key = issuer.ec_jwk("other");
        key[name] = value;
        key
    };
    for unused in [
        json!({ "kty": "oct", "k": "AAAA", "kid": "s" }),
        change("use", json!("enc")),
        change("key_ops", json!(["sign"])),
        change("alg", json!("ES384")),
        change("alg", json!("HS256")),
        change("d", json!("AAAA")),
        change("crv", json!("P-521")),
        change("kty", json!("XX")),
        // Not on the curve, and coordinates of other sizes that are 64 bytes together.
        change("x", json!(b64(&[1; 32]))),
        json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..32]), "y": b64(&point[32..]) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(&[1; 31]) }),
        json!({ "kty": "OKP", "crv": "X25519", "x": b64(&[1; 32]) }),
        json!({ "kty": "RSA", "e": "AQAB", "n": b64(&[0xff; 255]) }),
        json!({ "kty": "RSA", "e": "AQAB", "n": b64(&[&[0; 8][..], &[0x7f; 256]].concat()) }),
        json!({ "kty": "RSA", "e": "AQAB", "n": b64(&[0xff; 1025]) }),
        json!({ "kty": "RSA", "e": "AQAB", "n": "" }),
        json!("key"),
    ] {
        let set = KeySet::parse(json!({ "keys": [ec, unused] }).to_string().as_bytes()).unwrap();
        assert_eq!(set.counts(), (1, 1), "{unused}");
        let alone = KeySet::parse(json!({ "keys": [unused] }).to_string().as_bytes());
        assert_eq!(alone.err(), Some(KeySetError::Empty), "{unused}");
    }
    for (text, error) in [
        ("[]".to_owned(), KeySetError::Malformed),
        ("{}".to_owned(), KeySetError::Malformed),
        ("{\"keys\":[],\"keys\":[]}".to_owned(), KeySetError::Malformed),
        (json!({ "keys": vec![ec.clone(); 101] }).to_string(), KeySetError::TooMany),
        (json!({ "keys": [ec, ec] }).to_string(), KeySetError::SameId),
        (" ".repeat((1 << 20) + 1), KeySetError::TooLarge),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()).err(), Some(error));
    }
}

#[test]
fn debug_shows_nothing_of_a_token() {
    let token = Issuer::new().sign(ES256, &with("secret", json!("PLANTED")));
    let shown = format!("{:?}", Token::read(token.as_bytes()).unwrap());
    assert!(!shown.contains("PLANTED") && !shown.contains("gateway"), "{shown}");
}

#[test]
fn a_binding_must_be_to_one_certificate_in_one_way() {
    let (issuer, print) = (Issuer::new(), [7; 32]);
    let padded = base64::engine::general_purpose::URL_SAFE.encode(print);
    for confirmation in [
        json!({ "x5t#S256": padded }),
        json!({ "x5t#S256": b64(&print[..31]) }),
        json!({ "x5t#S256": [b64(&print)] }),
        json!({ "x5t#s256": b64(&print) }),
        json!({ "x5t#S256": b64(&print), "jkt": "x" }),
        json!(b64(&print)),
    ] {
        let token = issuer.sign(ES256, &with("cnf", confirmation.clone()));
        let verdict = verdict(&issuer, &token, &rule(), Some(&print));
        assert_eq!(verdict, Err(TokenError::Binding), "{confirmation}");
    }
}
