//! What a token must not be: the gateway says 401 and nothing else, the log says why, the upstream hears nothing.

use std::io::ErrorKind;
use std::net::TcpListener;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// Sends a token that must be refused, and waits until the log says why.
async fn refused(house: &House, what: &str, token: &str, why: &str) {
    let before = (house.log().len(), house.told().len());
    let response = house.send_unknown(&with_token(house, None, token), Method::GET, "/orders/1", "").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (401, "bad-credential"), "{what}");
    assert_eq!(response.headers["www-authenticate"], "Bearer error=\"invalid_token\"", "{what}");
    assert!(!response.body.contains("token is") && house.told().len() == before.1, "{what}");
    let began = Instant::now();
    while !house.log()[before.0..].contains(why) {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what}: not {why} in {}",
            &house.log()[before.0..]
        );
        tokio::task::yield_now().await;
    }
    let log = house.log();
    let parts = token.split('.').filter(|part| part.len() > 8);
    parts.for_each(|part| assert!(!log.contains(part), "{what}: a part of the token is in the log"));
}

/// A header, and claims as text, for which no issuer of good faith has a use.
fn forged(issuer: &Issuer, header: Value, claims: &str) -> String {
    let mut whole = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "one" });
    for (name, value) in header.as_object().unwrap() {
        whole[name] = value.clone();
    }
    whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    issuer.sign(&whole, claims)
}

#[tokio::test]
async fn a_header_that_asks_for_more_is_refused_and_nothing_in_it_is_followed() {
    let issuer = Issuer::new("one");
    let house = house(FILE, &issuer.set()).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let elsewhere = format!("https://{}/keys", listener.local_addr().unwrap());
    let (asks, typ, key) = ("has crit, jku, jwk, x5u or x5c", "typ is not", "has no such key");
    for (header, why) in [
        (json!({ "jku": elsewhere }), asks),
        (json!({ "x5u": elsewhere }), asks),
        (json!({ "jwk": Issuer::new("one").jwk() }), asks),
        (json!({ "x5c": ["MIIB"] }), asks),
        (json!({ "crit": ["exp"] }), asks),
        (json!({ "typ": "id+jwt" }), typ),
        (json!({ "typ": "application/jwt" }), typ),
        (json!({ "kid": "two" }), key),
        (json!({ "kid": elsewhere }), key),
        (json!({ "kid": "../../certs/gateway.key" }), key),
        (json!({ "kid": "' OR 1=1 --" }), key),
        (json!({ "kid": 1 }), "is not three parts"),
        (json!({ "alg": "RS256" }), key),
        (json!({ "alg": "ES384" }), key),
    ] {
        refused(&house, &header.to_string(), &forged(&issuer, header.clone(), &claims(json!({}))), why).await;
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "an address was followed");
    assert!(house.upstream.requests().is_empty());
    house.assert_clean();
}

#[tokio::test]
async fn a_token_without_a_signature_or_under_a_secret_that_everybody_has_is_refused() {
    let (curve, rsa) = (Issuer::new("one"), Issuer::of("rsa", "RS256"));
    let house = house(FILE, &set(&[&curve, &rsa])).await;
    let algorithm = "algorithm is not one";
    for none in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": none, "kid": "one" }).to_string();
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims(json!({})).as_bytes()));
        refused(&house, none, &format!("{message}."), algorithm).await;
        refused(&house, none, &forged(&curve, json!({ "alg": none }), &claims(json!({}))), algorithm).await;
    }
    let crate::support::Key::Rsa(key) = &rsa.key else { unreachable!() };
    let der: PublicKeyX509Der = key.public_key().as_der().unwrap();
    let lines: Vec<String> = STANDARD
        .encode(der.as_ref())
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into())
        .collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    for secret in
        [der.as_ref(), pem.as_bytes(), pem.trim_end().as_bytes(), rsa.jwk().to_string().as_bytes(), b""]
    {
        for (name, digest) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
            let header = json!({ "alg": name, "typ": "JWT", "kid": "rsa" }).to_string();
            let message = format!("{}.{}", b64(header.as_bytes()), b64(claims(json!({})).as_bytes()));
            let tag = hmac::sign(&hmac::Key::new(digest, secret), message.as_bytes());
            refused(&house, name, &format!("{message}.{}", b64(tag.as_ref())), algorithm).await;
        }
    }
    let good = curve.token(json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    for changed in [String::new(), format!("{signature}A"), b64(&[0; 64]), format!("{signature}=")] {
        refused(&house, "signature", &format!("{message}.{changed}"), "signature is not right").await;
    }
    let stranger = Issuer::new("one").token(json!({}));
    refused(&house, "another key of that name", &stranger, "signature is not right").await;
    assert!(house.upstream.requests().is_empty());
    house.assert_clean();
}

#[tokio::test]
async fn claims_that_are_wrong_stale_or_said_twice_are_refused() {
    let issuer = Issuer::new("one");
    let house = house(FILE, &issuer.set()).await;
    let good = claims(json!({}));
    let twice = |name: &str, other: &str| good.replacen('{', &format!("{{{name}:{other},"), 1);
    let (names, time) = ("names the token's issuer and subject", "no time of expiry");
    let (shape, early, bound) = ("without repeated names", "is not valid yet", "is bound to another");
    let now = jiff::Timestamp::now().as_second();
    for (claims, why) in [
        (claims(json!({ "iss": "https://id.parcelco.example/" })), names),
        (claims(json!({ "iss": null })), names),
        (claims(json!({ "sub": "gateway " })), names),
        (claims(json!({ "sub": ["gateway"] })), names),
        (claims(json!({ "aud": "other" })), "for another audience"),
        (claims(json!({ "aud": ["other", "Fieldgate"] })), "for another audience"),
        (claims(json!({ "aud": null })), "for another audience"),
        (claims(json!({ "exp": now - 61 })), "is expired"),
        (claims(json!({ "exp": (now + 300).to_string() })), time),
        (claims(json!({ "exp": [now + 300] })), time),
        (claims(json!({ "exp": null })), time),
        (claims(json!({ "nbf": (now - 300).to_string() })), time),
        (claims(json!({ "nbf": now + 120 })), early),
        (claims(json!({ "iat": now + 120 })), early),
        (claims(json!({ "cnf": { "jkt": "x" } })), bound),
        (claims(json!({ "cnf": { "x5t#S256": print(&house, "parcelco") } })), bound),
        (claims(json!({ "exp": 7_777_777_777_u64 })).replace("7777777777", "1e400"), shape),
        (twice("\"sub\"", "\"gateway\""), shape),
        (twice("\"sub\"", "\"other\""), shape),
        (twice("\"\\u0073ub\"", "\"other\""), shape),
        (twice("\"exp\"", "1"), shape),
        (format!("[{good}]"), shape),
        (format!("{good}{good}"), shape),
    ] {
        refused(&house, &claims, &forged(&issuer, json!({}), &claims), why).await;
    }
    let header = r#"{"alg":"none","alg":"ES256","kid":"one"}"#;
    refused(&house, "alg twice", &issuer.sign_text(header, &good), shape).await;
    for text in ["..", ".a.", "a.b.c", "e30.e30.e30"] {
        let client = with_token(&house, None, text);
        assert_eq!(house.send_unknown(&client, Method::GET, "/orders/1", "").await.code(), "bad-credential");
    }
    let large = forged(&issuer, json!({}), &self::claims(json!({ "x": "x".repeat(8192) })));
    refused(&house, "large", &large, "larger than 8 KiB").await;
    assert!(house.upstream.requests().is_empty());
    house.assert_clean();
}

#[tokio::test]
async fn a_rule_that_asks_for_more_refuses_what_another_one_takes() {
    let issuer = Issuer::new("one");
    let rules = rules_with(&[
        credential("access", "fieldgate", "access", &format!("{FILE}, type = \"at+jwt\"")),
        credential("edwards", "fieldgate", "edwards", &format!("{FILE}, algorithms = [\"EdDSA\"]")),
    ]);
    let edwards = Issuer::of("ed", "EdDSA");
    let house = house_of(&[("parcelco", &rules)], &set(&[&issuer, &edwards])).await;
    let about = |subject: &str| claims(json!({ "sub": subject }));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = forged(&issuer, json!({ "typ": typ }), &about("access"));
        assert_eq!(house.get(&with_token(&house, None, &token), "/orders/1").await.status, 200, "{typ}");
    }
    for typ in [json!("JWT"), json!(null)] {
        let token = forged(&issuer, json!({ "typ": typ }), &about("access"));
        refused(&house, "typ", &token, "typ is not").await;
    }
    let token = edwards.sign(&json!({ "alg": "EdDSA" }), &about("edwards"));
    assert_eq!(house.get(&with_token(&house, None, &token), "/orders/1").await.status, 200);
    let token = forged(&issuer, json!({}), &about("edwards"));
    refused(&house, "algorithm", &token, "algorithm is not one").await;
}

#[tokio::test]
async fn who_shows_nothing_is_asked_for_a_bearer_token_and_told_of_no_error() {
    let house = house(FILE, &Issuer::new("one").set()).await;
    let response = house.send_unknown(&house.client(None), Method::GET, "/orders/1", "").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (401, "no-credential"));
    assert_eq!(response.headers["www-authenticate"], "Bearer");
}
