//! Keys from a server over TLS. It runs beside the test, which waits for the gateway to start: so each test has
//! several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use fieldgate::transport::{Doorway, ServerFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server of key sets, under the company's certificate.
struct KeyServer {
    port: u16,
    /// What it sends; at `/moved`, what [`KeyServer::moved`] says.
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

fn answer(status: &str, text: &str) -> String {
    let length = text.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nLocation: /moved\r\nConnection: close\r\n\r\n{text}"
    )
}

impl KeyServer {
    async fn start(house: &House, set: &str) -> KeyServer {
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
        let moved = answer("200 OK", set);
        let server = KeyServer { port, answer: Arc::new(Mutex::new(moved.clone())), asked: Arc::default() };
        let (sent, asked) = (Arc::clone(&server.answer), Arc::clone(&server.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let Ok(mut stream) = doorway.acceptor().accept(stream).await else { continue };
                let mut head = [0; 2048];
                let size = stream.read(&mut head).await.unwrap_or_default();
                asked.fetch_add(1, Ordering::SeqCst);
                let text = if head[..size].starts_with(b"GET /moved") {
                    moved.clone()
                } else {
                    sent.lock().unwrap().clone()
                };
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        server
    }

    /// What a rule says of it.
    fn source(&self, refresh: &str) -> String {
        let url = format!("https://localhost:{}/keys", self.port);
        format!("jwks = \"{url}\", jwks_ca = \"certs/company-ca.pem\", refresh = \"{refresh}\"")
    }

    fn sends(&self, status: &str, text: &str) {
        *self.answer.lock().unwrap() = answer(status, text);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Writes rules in one step, so that no half of them is read.
fn put_rules(house: &House, text: &str) {
    std::fs::write(house.path("new.toml"), text).unwrap();
    std::fs::rename(house.path("new.toml"), house.path("rules/parcelco.toml")).unwrap();
}

fn open(house: &mut House, rules: &str) {
    put_rules(house, rules);
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
}

async fn refused(house: &House, token: &str) {
    let response = house.send_unknown(&with_token(house, None, token), Method::GET, "/orders/1", "").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (401, "bad-credential"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_server_are_fetched_again_when_a_token_names_another_one_and_kept_when_it_fails() {
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let mut house = House::closed(CONFIG, &[]).await;
    let server = KeyServer::start(&house, &one.set()).await;
    open(&mut house, &rules(&server.source("10s")));
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    assert_eq!(server.asked(), 1);
    server.sends("500 Internal Server Error", "");
    house.logged("answers with status 500").await;
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    server.sends("200 OK", &two.set());
    until(&house, &two.token(json!({})), StatusCode::OK).await;
    until(&house, &one.token(json!({})), StatusCode::UNAUTHORIZED).await;
    // However many tokens with unknown keys come, the server is not asked by each.
    let before = server.asked();
    for _ in 0..10 {
        refused(&house, &Issuer::new("three").token(json!({}))).await;
    }
    assert!(server.asked() <= before + 2);
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_an_unknown_key_has_the_keys_fetched_long_before_their_time() {
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let mut house = House::closed(CONFIG, &[]).await;
    let server = KeyServer::start(&house, &one.set()).await;
    open(&mut house, &rules(&server.source("1h")));
    server.sends("200 OK", &set(&[&one, &two]));
    // Who is not even named by a rule has no keys fetched.
    refused(&house, &two.token(json!({ "sub": "other" }))).await;
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    assert_eq!(server.asked(), 1);
    until(&house, &two.token(json!({})), StatusCode::OK).await;
    assert_eq!(server.asked(), 2);
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_is_asked_once_for_all_rules_and_its_keys_outlive_a_change_of_them() {
    let issuer = Issuer::new("one");
    let mut house = House::closed(CONFIG, &[]).await;
    let server = KeyServer::start(&house, &issuer.set()).await;
    let two = |refresh: [&str; 2]| {
        let [first, second] = refresh.map(|refresh| server.source(refresh));
        rules_with(&[credential("a", "fieldgate", "a", &first), credential("b", "fieldgate", "b", &second)])
    };
    open(&mut house, &two(["1h", "2h"]));
    let tokens = ["a", "b"].map(|subject| issuer.token(json!({ "sub": subject })));
    for token in &tokens {
        until(&house, token, StatusCode::OK).await;
    }
    assert_eq!(server.asked(), 1);
    // The server is away while the rules change.
    server.sends("503 Service Unavailable", "");
    put_rules(&house, &two(["3h", "4h"]));
    house.logged("rules came into force").await;
    for token in &tokens {
        assert_eq!(house.get(&with_token(&house, None, token), "/orders/1").await.status, 200);
    }
    assert_eq!(server.asked(), 1);
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_plainly_a_key_set_of_that_server_is_not_taken() {
    let issuer = Issuer::new("one");
    let mut house = House::closed(CONFIG, &[]).await;
    let server = KeyServer::start(&house, &issuer.set()).await;
    let (set, large) = (issuer.set(), format!("{}{}", " ".repeat(1 << 20), issuer.set()));
    for (status, text, why) in [
        ("302 Found", "", "answers with status 302"),
        ("307 Temporary Redirect", set.as_str(), "answers with status 307"),
        ("203 Non-Authoritative Information", &set, "answers with status 203"),
        ("404 Not Found", &set, "answers with status 404"),
        ("200 OK", &large, "sends more than 1 MiB"),
        ("200 OK", "<html>", "is not a JSON Web Key Set"),
        ("200 OK", "{\"keys\":[],\"keys\":[]}", "is not a JSON Web Key Set"),
        ("200 OK", "{\"keys\":[]}", "has no key that can verify"),
    ] {
        server.sends(status, text);
        let before = (house.log().len(), server.asked());
        // A server that gives no keys keeps nobody else from starting.
        open(&mut house, &rules(&server.source("10m")));
        let log = house.log();
        assert!(log[before.0..].contains(why), "{status}: {}", &log[before.0..]);
        refused(&house, &issuer.token(json!({}))).await;
        assert_eq!(server.asked(), before.1 + 1, "{status}: one request, and no other address");
        house.kill();
    }
    assert!(house.upstream.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_holds_up_the_start_for_some_seconds_only() {
    let mut house = House::closed(CONFIG, &[]).await;
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/keys", socket.local_addr().unwrap().port());
    let began = Instant::now();
    open(&mut house, &rules(&format!("jwks = \"{url}\", jwks_ca = \"certs/company-ca.pem\"")));
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(house.log().contains("does not answer"), "{}", house.log());
    refused(&house, &Issuer::new("one").token(json!({}))).await;
    house.logged("the issuer's keys are not known").await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_server_that_another_authority_vouches_for_are_not_taken() {
    let issuer = Issuer::new("one");
    let mut house = House::closed(CONFIG, &[]).await;
    let server = KeyServer::start(&house, &issuer.set()).await;
    open(&mut house, &rules(&server.source("10m").replace("company-ca", "contractor-ca")));
    assert!(house.log().contains("token keys cannot be fetched"), "{}", house.log());
    refused(&house, &issuer.token(json!({}))).await;
    assert_eq!(server.asked(), 0);
}
