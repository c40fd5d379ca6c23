//! Signed tokens as credentials: the real gateway, keys in a file and from a server over TLS.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fieldgate::transport::{Doorway, ServerFiles};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Answer, CONFIG, Client, House, RULES, order, reduced_order};

struct Issuer {
    id: &'static str,
    key: EcdsaKeyPair,
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Issuer {
    fn new(id: &'static str) -> Self {
        Issuer { id, key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn set(&self) -> String {
        let point = self.key.public_key().as_ref();
        let (x, y) = (b64(&point[1..33]), b64(&point[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": self.id, "x": x, "y": y }] }).to_string()
    }

    /// A token with some claims changed; null takes one away.
    fn token(&self, changes: Value) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({ "iss": "https://id.parcelco.example", "aud": "fieldgate", "sub": "gateway", "iat": now, "exp": now + 300 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.id }).to_string();
        let message = format!("{}.{}", b64(header.as_bytes()), b64(claims.to_string().as_bytes()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", b64(signature.as_ref()))
    }
}

fn rules(jwks: &str) -> String {
    let names = "issuer = \"https://id.parcelco.example\", audience = \"fieldgate\", subject = \"gateway\"";
    let credential =
        format!("[[contractor.credential]]\nid = \"parcelco-oauth\"\njwt = {{ {names}, {jwks} }}\n[[task]]");
    RULES.replacen("[[task]]", &credential, 1)
}

async fn house(jwks: &str, set: &str) -> House {
    let mut house = House::closed(CONFIG, &[("parcelco", &rules(jwks))]).await;
    std::fs::write(house.path("certs/parcelco.jwks.json"), set).unwrap();
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

fn with_token(house: &House, name: Option<&str>, token: &str) -> Client {
    house.client(name).with("authorization", &format!("Bearer {token}"))
}

/// Asks until the answer has this status.
async fn until(house: &House, token: &str, status: StatusCode) {
    let (began, client) = (Instant::now(), with_token(house, None, token));
    while house.send_unknown(&client, Method::GET, "/orders/1", "").await.status != status {
        assert!(began.elapsed() < Duration::from_secs(40), "{}", house.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_token_opens_its_contractors_tasks_and_a_wrong_one_opens_nothing() {
    let issuer = Issuer::new("one");
    let house = house("jwks = \"certs/parcelco.jwks.json\"", &issuer.set()).await;
    let response = house.get(&with_token(&house, None, &issuer.token(json!({}))), "/orders/1").await;
    assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, reduced_order(1).as_str()));
    assert_eq!(house.entries().last().unwrap()["credential"], "parcelco-oauth");
    let good = issuer.token(json!({}));
    let wrong = [
        issuer.token(json!({ "aud": "other" })),
        issuer.token(json!({ "iss": "https://id.example" })),
        issuer.token(json!({ "exp": 1_000_000_000 })),
        issuer.token(json!({ "exp": "9999999999" })),
        issuer.token(json!({ "exp": null })),
        issuer.token(json!({ "nbf": 9_999_999_999_u64 })),
        Issuer::new("one").token(json!({})),
        Issuer::new("two").token(json!({})),
        format!("{good}x"),
        format!("{}.", good.rsplit_once('.').unwrap().0),
        "..".to_owned(),
    ];
    for token in &wrong {
        let client = with_token(&house, None, token);
        let response = house.send_unknown(&client, Method::GET, "/orders/1", "").await;
        assert_eq!((response.status, response.code().as_str()), (StatusCode::UNAUTHORIZED, "bad-credential"));
        assert!(!house.log().contains(token.as_str()), "a token is in the log");
    }
    assert_eq!(house.upstream.requests().len(), 1);
    assert!(house.log().contains("the token is expired"));
    house.assert_clean();
}

#[tokio::test]
async fn a_token_and_a_certificate_must_be_of_one_contractor() {
    let issuer = Issuer::new("one");
    let house = house("jwks = \"certs/parcelco.jwks.json\"", &issuer.set()).await;
    let token = issuer.token(json!({}));
    assert_eq!(house.get(&with_token(&house, Some("parcelco"), &token), "/orders/1").await.status, 200);
    let other = with_token(&house, Some("helpdesk"), &token);
    assert_eq!(house.send_unknown(&other, Method::GET, "/orders/1", "").await.code(), "bad-credential");
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_worth_nothing_without_it() {
    let issuer = Issuer::new("one");
    let house = house("jwks = \"certs/parcelco.jwks.json\", bind = \"certificate\"", &issuer.set()).await;
    let pem = std::fs::read(house.path("certs/parcelco.pem")).unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &block.contents);
    let bound = issuer.token(json!({ "cnf": { "x5t#S256": b64(print.as_ref()) } }));
    assert_eq!(house.get(&with_token(&house, Some("parcelco"), &bound), "/orders/1").await.status, 200);
    for (name, token) in
        [(None, bound.as_str()), (Some("helpdesk"), &bound), (Some("parcelco"), &issuer.token(json!({})))]
    {
        let client = with_token(&house, name, token);
        let response = house.send_unknown(&client, Method::GET, "/orders/1", "").await;
        assert_eq!(response.code(), "bad-credential", "{name:?}");
    }
}

#[tokio::test]
async fn keys_in_a_file_are_changed_without_a_restart_and_a_damaged_file_changes_nothing() {
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let house = house("jwks = \"certs/parcelco.jwks.json\"", &one.set()).await;
    let file = house.path("certs/parcelco.jwks.json");
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    std::fs::write(&file, "{\"keys\":[").unwrap();
    house.logged("token keys cannot be read anew").await;
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    std::fs::write(house.path("new.json"), two.set()).unwrap();
    std::fs::rename(house.path("new.json"), &file).unwrap();
    until(&house, &two.token(json!({})), StatusCode::OK).await;
    until(&house, &one.token(json!({})), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn without_its_keys_a_gateway_does_not_start_and_says_where_they_should_be() {
    let house = House::closed(CONFIG, &[("parcelco", &rules("jwks = \"certs/parcelco.jwks.json\""))]).await;
    let output = house.command(&["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("certs/parcelco.jwks.json"), "{output:?}");
    // `check` opens no keys.
    assert_eq!(house.command(&["check"]).status.code(), Some(0));
}

/// A server of key sets, under the company's certificate; it counts how often it is asked.
async fn key_server(house: &House, set: &Arc<Mutex<String>>) -> (u16, Arc<AtomicUsize>) {
    let file = |name: &str| house.path("certs").join(name);
    let files = ServerFiles {
        certificate: file("gateway.pem"),
        key: file("gateway.key"),
        client_ca: None,
        crl: Vec::new(),
    };
    let doorway = Doorway::open(files).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let (set, asked) = (Arc::clone(set), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let Ok(mut stream) = doorway.acceptor().accept(stream).await else { continue };
            let mut head = [0; 2048];
            let _ = stream.read(&mut head).await;
            count.fetch_add(1, Ordering::SeqCst);
            let text = set.lock().unwrap().clone();
            let status = if text.is_empty() { "500 Internal Server Error" } else { "200 OK" };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (port, asked)
}

#[tokio::test]
async fn keys_of_a_server_are_fetched_again_when_a_token_names_another_one_and_kept_when_it_fails() {
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let mut house = House::closed(CONFIG, &[]).await;
    let set = Arc::new(Mutex::new(one.set()));
    let (port, asked) = key_server(&house, &set).await;
    let source = format!(
        "jwks = \"https://localhost:{port}/keys\", jwks_ca = \"certs/company-ca.pem\", refresh = \"10s\""
    );
    std::fs::write(house.path("rules/parcelco.toml"), rules(&source)).unwrap();
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    set.lock().unwrap().clear();
    house.logged("answers with status 500").await;
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    *set.lock().unwrap() = two.set();
    until(&house, &two.token(json!({})), StatusCode::OK).await;
    until(&house, &one.token(json!({})), StatusCode::UNAUTHORIZED).await;
    // However many tokens with unknown keys come, the server is not asked by each.
    let before = asked.load(Ordering::SeqCst);
    for _ in 0..10 {
        let client = with_token(&house, None, &Issuer::new("three").token(json!({})));
        assert_eq!(house.send_unknown(&client, Method::GET, "/orders/1", "").await.code(), "bad-credential");
    }
    assert!(asked.load(Ordering::SeqCst) <= before + 2);
    house.assert_clean();
}

#[tokio::test]
async fn keys_of_a_server_that_another_authority_vouches_for_are_not_taken() {
    let issuer = Issuer::new("one");
    let mut house = House::closed(CONFIG, &[]).await;
    let (port, asked) = key_server(&house, &Arc::new(Mutex::new(issuer.set()))).await;
    let source = format!("jwks = \"https://localhost:{port}/keys\", jwks_ca = \"certs/contractor-ca.pem\"");
    std::fs::write(house.path("rules/parcelco.toml"), rules(&source)).unwrap();
    // A server that cannot be asked keeps nobody else from starting.
    house.open();
    assert!(house.log().contains("token keys cannot be fetched"), "{}", house.log());
    let client = with_token(&house, None, &issuer.token(json!({})));
    assert_eq!(house.send_unknown(&client, Method::GET, "/orders/1", "").await.code(), "bad-credential");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}
