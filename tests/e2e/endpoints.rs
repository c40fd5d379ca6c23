//! Several endpoints of one upstream, and the connections to them: who gets a request, what becomes of it
//! where one does not serve, and that nothing that was written is sent again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::sync::Notify;

use crate::support::{Answer, CONFIG, Client, House, RULES, StubUpstream, order, reduced_order};

const PATIENCE: Duration = Duration::from_secs(20);

/// A house whose upstream has these endpoints, and `more` in its table.
async fn house(endpoints: &[&StubUpstream], more: &str) -> House {
    for endpoint in endpoints {
        for id in 1..=2 {
            endpoint.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
        }
        endpoint.on("/orders/1/notes", Answer::json("{\"note_id\":7}"));
    }
    let urls: Vec<String> =
        endpoints.iter().map(|endpoint| format!("\"http://{}\"", endpoint.address)).collect();
    let config = CONFIG.replace("url = \"http://UPSTREAM\"", &format!("urls = [{}]\n{more}", urls.join(",")));
    House::with(&config, &[("parcelco", RULES)]).await
}

/// Status and code, of a refusal or of a success.
async fn get(client: &Client, target: &str) -> (u16, String) {
    send(client, Method::GET, target, "").await
}

async fn send(client: &Client, method: Method, target: &str, body: &str) -> (u16, String) {
    let response = client.try_send(method, target, body).await.unwrap();
    let code = if response.status.is_success() { String::new() } else { response.code() };
    (response.status.as_u16(), code)
}

fn answer(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Asks until it holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn where_one_endpoint_dies_no_request_fails_and_it_is_used_again_when_it_is_back() {
    let (a, b) = (StubUpstream::start().await, StubUpstream::start().await);
    let house = house(&[&a, &b], "").await;
    let client = house.parcelco();
    until("both are used", async || {
        assert_eq!(get(&client, "/orders/1").await.0, 200);
        !a.requests().is_empty() && !b.requests().is_empty()
    })
    .await;
    a.close(false).await;
    for _ in 0..20 {
        assert_eq!(get(&client, "/orders/1").await, answer(200, ""));
        let written = client.with("content-type", "application/json");
        assert_eq!(send(&written, Method::POST, "/orders/1/notes", "{}").await, answer(200, ""));
    }
    house.logged("an upstream endpoint is out of service").await;
    let back = StubUpstream::start_at(a.address, None).await;
    back.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    until("it is used again", async || {
        assert_eq!(get(&client, "/orders/1").await.0, 200);
        !back.requests().is_empty()
    })
    .await;
    house.logged("an upstream endpoint is back in service").await;
    house.assert_clean();
}

#[tokio::test]
async fn where_all_are_dead_requests_are_refused_without_a_connection_until_one_is_back() {
    let (a, b) = (StubUpstream::start().await, StubUpstream::start().await);
    let house = house(&[&a, &b], "").await;
    let client = house.parcelco();
    // A machine that hangs for a second at the wrong time shows nothing.
    for _ in 0..10 {
        a.close(false).await;
        b.close(false).await;
        for _ in 0..3 {
            assert_eq!(get(&client, "/orders/1").await, answer(502, "upstream-unreachable"));
        }
        let back = StubUpstream::start_at(a.address, None).await;
        back.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
        let refused = get(&client, "/orders/1").await == answer(502, "upstream-unreachable");
        let untouched = back.accepted() == 0;
        until("it is back", async || get(&client, "/orders/1").await.0 == 200).await;
        if refused && untouched {
            return;
        }
        back.close(false).await;
    }
    panic!("it was connected to each time");
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_soon_not_asked_any_more() {
    let a = StubUpstream::start().await;
    let config = CONFIG.replace("UPSTREAM", &a.address.to_string()).replace("\"2s\"", "\"150ms\"");
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    let client = house.parcelco();
    a.on("/orders/1", Answer::Silence);
    for _ in 0..3 {
        assert_eq!(get(&client, "/orders/1").await, answer(504, "upstream-timeout"));
    }
    let asked = a.requests().len();
    until("it is out of service", async || {
        get(&client, "/orders/1").await == answer(502, "upstream-unreachable")
    })
    .await;
    assert!(a.requests().len() <= asked + 3, "only probes");
    a.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    until("it is back", async || get(&client, "/orders/1").await.0 == 200).await;
}

#[tokio::test]
async fn an_endpoint_that_is_busy_gets_no_more_while_another_is_free() {
    let (a, b) = (StubUpstream::start().await, StubUpstream::start().await);
    let house = house(&[&a, &b], "").await;
    let client = house.parcelco();
    let go = Arc::new(Notify::new());
    a.on("/orders/2", Answer::held(&go, Answer::json(order(2, "parcelco", "ready_to_ship"))));
    let mut held = Vec::new();
    let began = Instant::now();
    while a.requests().iter().all(|request| !request.contains("/orders/2 ")) {
        let client = client.clone();
        let arrivals = a.requests().len() + b.requests().len();
        held.push(tokio::spawn(async move { get(&client, "/orders/2").await }));
        until("it arrived", async || a.requests().len() + b.requests().len() > arrivals).await;
        assert!(began.elapsed() < PATIENCE);
    }
    let before = a.requests().len();
    for _ in 0..20 {
        assert_eq!(get(&client, "/orders/1").await.0, 200);
    }
    assert_eq!(a.requests().len(), before);
    go.notify_one();
    for request in held {
        assert_eq!(request.await.unwrap(), answer(200, ""));
    }
}

#[tokio::test]
async fn errors_move_requests_to_another_endpoint_and_never_close_the_last_one() {
    let (a, b) = (StubUpstream::start().await, StubUpstream::start().await);
    let house = house(&[&a, &b], "").await;
    let client = house.parcelco();
    let failing = || Answer::status("500 PLANTED", "PLANTED");
    a.on("/orders/1", failing());
    let mut failed = 0;
    for _ in 0..60 {
        failed += usize::from(get(&client, "/orders/1").await == answer(502, "upstream-error"));
    }
    // Five in a row, and a probe a second.
    assert!((1..=20).contains(&failed), "{failed} of 60 went to the one that fails");
    b.on("/orders/1", failing());
    for _ in 0..30 {
        assert_eq!(get(&client, "/orders/1").await, answer(502, "upstream-error"), "somebody is asked");
    }
    assert_eq!(get(&client, "/orders/2").await, answer(200, ""));
    house.assert_clean();
}

#[tokio::test]
async fn a_check_takes_an_endpoint_out_of_service_and_brings_it_back() {
    let (a, b) = (StubUpstream::start().await, StubUpstream::start().await);
    let checks = |status: &str| Answer::status(status, "PLANTED");
    a.on("/healthz", checks("204 PLANTED"));
    b.on("/healthz", checks("200 PLANTED"));
    let house = house(&[&a, &b], "health = \"/healthz\"\nhealth_interval = \"50ms\"").await;
    let client = house.parcelco();
    let orders =
        |stub: &StubUpstream| stub.requests().iter().filter(|text| text.contains("/orders/")).count();
    a.on("/healthz", checks("503 PLANTED"));
    house.logged("an upstream endpoint is out of service").await;
    let before = orders(&a);
    for _ in 0..20 {
        assert_eq!(get(&client, "/orders/1").await.0, 200);
    }
    assert_eq!(orders(&a), before);
    b.on("/healthz", checks("404 PLANTED"));
    until("none is left", async || get(&client, "/orders/1").await == answer(502, "upstream-unreachable"))
        .await;
    a.on("/healthz", checks("200 PLANTED"));
    until("one is back", async || get(&client, "/orders/1").await.0 == 200).await;
    assert!(orders(&a) > before);
    house.assert_clean();
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_rested_is_not_used() {
    let a = StubUpstream::start().await;
    let house = house(&[&a], "").await;
    let client = house.parcelco();
    let writer = client.with("content-type", "application/json");
    for round in 1..=10 {
        assert_eq!(get(&client, "/orders/1").await.0, 200);
        a.close(true).await;
        assert_eq!(send(&writer, Method::POST, "/orders/1/notes", "{}").await, answer(200, ""));
        a.close(true).await;
        let posts = a.requests().iter().filter(|text| text.starts_with("POST ")).count();
        assert_eq!((a.requests().len(), posts, a.accepted()), (2 * round, round, 2 * round));
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let a = StubUpstream::start().await;
    let house = house(&[&a], "").await;
    let client = house.parcelco();
    let writer = client.with("content-type", "application/json");
    for _ in 0..5 {
        assert_eq!(get(&client, "/orders/1").await.0, 200);
        assert_eq!(send(&writer, Method::POST, "/orders/1/notes", "{}").await.0, 200);
        // What is refused is read to its end all the same where it is there.
        assert_eq!(get(&client, "/orders/404").await.0, 404);
    }
    assert_eq!(a.accepted(), 1);
}

#[tokio::test]
async fn what_was_written_is_not_sent_again() {
    let (a, b) = (StubUpstream::start().await, StubUpstream::start().await);
    let house = house(&[&a, &b], "").await;
    let client = house.parcelco().with("content-type", "application/json");
    for stub in [&a, &b] {
        stub.on("/orders/3", Answer::HangUp);
        stub.on("/orders/3/notes", Answer::HangUp);
    }
    let arrived = || a.requests().len() + b.requests().len();
    // The first on a new connection, the others on one that was used.
    for round in 0..3 {
        let before = arrived();
        assert_eq!(get(&client, "/orders/3").await, answer(502, "upstream-unreachable"), "{round}");
        assert_eq!(arrived(), before + 1);
        let sent = send(&client, Method::POST, "/orders/3/notes", "{\"note\":\"x\"}").await;
        assert_eq!(sent, answer(502, "upstream-unreachable"), "{round}");
        assert_eq!(arrived(), before + 2);
        for _ in 0..4 {
            assert_eq!(get(&client, "/orders/1").await.0, 200);
        }
    }
}

#[tokio::test]
async fn connections_are_bounded_and_so_are_those_who_wait() {
    let a = StubUpstream::start().await;
    let house = house(&[&a], "max_connections = 2").await;
    let client = house.parcelco();
    let go = Arc::new(Notify::new());
    a.on("/orders/1", Answer::held(&go, Answer::json(order(1, "parcelco", "ready_to_ship"))));
    let (told, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..7 {
        let (client, told) = (client.clone(), told.clone());
        tokio::spawn(async move { told.send(get(&client, "/orders/1").await) });
    }
    for _ in 0..3 {
        assert_eq!(outcomes.recv().await.unwrap(), answer(503, "overloaded"), "two are called, two wait");
    }
    for _ in 0..4 {
        until("it came", async || a.requests().len() > a.answered()).await;
        go.notify_one();
        assert_eq!(outcomes.recv().await.unwrap(), answer(200, ""));
    }
    assert_eq!((a.most(), a.requests().len()), (2, 4));
}

#[tokio::test]
async fn whoever_waits_too_long_for_a_connection_is_refused() {
    let a = StubUpstream::start().await;
    let house = house(&[&a], "max_connections = 1\nconnect_timeout = \"200ms\"").await;
    let client = house.parcelco();
    let go = Arc::new(Notify::new());
    a.on("/orders/1", Answer::held(&go, Answer::json(order(1, "parcelco", "ready_to_ship"))));
    let (first, arrival) = (client.clone(), a.arrival());
    let first = tokio::spawn(async move { get(&first, "/orders/1").await });
    arrival.await;
    assert_eq!(get(&client, "/orders/2").await, answer(503, "overloaded"));
    go.notify_one();
    assert_eq!(first.await.unwrap(), answer(200, ""));
    assert_eq!(get(&client, "/orders/2").await, answer(200, ""));
}

#[tokio::test]
async fn what_follows_an_answer_is_nobodys_answer() {
    let a = StubUpstream::start().await;
    let house = house(&[&a], "").await;
    let client = house.parcelco();
    let response = |id: u64| {
        let body = order(id, "parcelco", "ready_to_ship");
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let forged = || response(666);
    let go = Arc::new(Notify::new());
    let cases: Vec<(&str, Answer)> = vec![
        ("at once", Answer::Bytes([response(1), forged()].concat())),
        ("a line end", Answer::Bytes([response(1), b"\r\n".to_vec()].concat())),
        ("later", Answer::begun(response(1), Answer::held(&go, Answer::Bytes(forged())))),
    ];
    for (what, surplus) in cases {
        let accepted = a.accepted();
        a.on("/orders/1", surplus);
        assert_eq!(house.get(&client, "/orders/1").await.body.replace([' ', '\n'], ""), compact(1), "{what}");
        go.notify_one();
        until("all is written", async || a.answered() == a.requests().len()).await;
        let body = house.get(&client, "/orders/2").await.body;
        assert_eq!(body.replace([' ', '\n'], ""), compact(2), "{what}");
        assert_eq!(a.accepted(), accepted + 1 + usize::from(accepted == 0), "{what}: on a new connection");
        // A permit that nobody took would let the next one pass.
        let _ = tokio::time::timeout(Duration::from_millis(1), go.notified()).await;
    }
    house.assert_clean();
}

fn compact(id: u64) -> String {
    reduced_order(id).replace([' ', '\n'], "")
}

#[tokio::test]
async fn a_name_is_resolved_and_its_addresses_are_tried_in_turn() {
    let a = StubUpstream::start().await;
    a.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let url = format!("localhost:{}", a.address.port());
    let house = House::with(&CONFIG.replace("UPSTREAM", &url), &[("parcelco", RULES)]).await;
    assert_eq!(get(&house.parcelco(), "/orders/1").await, answer(200, ""));
    assert!(a.requests()[0].contains(&format!("host: {url}\r\n")), "{:?}", a.requests());
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_no_connection() {
    // The system takes the connection, and nobody speaks on it.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    let config = over_tls(&address.to_string(), "connect_timeout = \"200ms\"\nserver_name = \"localhost\"");
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    assert_eq!(get(&house.parcelco(), "/orders/1").await, answer(502, "upstream-unreachable"));
}

fn over_tls(address: &str, more: &str) -> String {
    let url = format!("url = \"https://{address}\"\nca = \"certs/company-ca.pem\"\n{more}");
    CONFIG.replace("url = \"http://UPSTREAM\"", &url)
}

/// What a server of the company speaks, with a certificate that `change` has made another one.
fn tls_of(house: &House, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
    let read = |name: &str| std::fs::read_to_string(house.path(&format!("certs/{name}"))).unwrap();
    let key = KeyPair::from_pem(&read("company-ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("company-ca.pem"), key).unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
    change(&mut params);
    let own = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&own, &issuer).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(read("contractor-ca.pem").as_bytes()).unwrap()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

#[tokio::test]
async fn an_upstream_over_tls_must_be_whom_its_certificate_names_today() {
    // The gateway shows ParcelCo's certificate, which this server knows.
    let more = "server_name = \"localhost\"\nclient_certificate = \"certs/parcelco.pem\"\nclient_key = \"certs/parcelco.key\"";
    let past = |params: &mut CertificateParams| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    };
    let other = |params: &mut CertificateParams| {
        params.subject_alt_names = vec![SanType::DnsName("other.example".try_into().unwrap())];
    };
    type Change = Box<dyn FnOnce(&mut CertificateParams)>;
    let cases: [(&str, Change, u16); 3] = [
        ("good", Box::new(|_| {}), 200),
        ("expired", Box::new(past), 502),
        ("another", Box::new(other), 502),
    ];
    for (what, change, status) in cases {
        let mut house = House::closed("", &[("parcelco", RULES)]).await;
        let stub = StubUpstream::start_tls(tls_of(&house, change)).await;
        stub.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
        let config = over_tls(&stub.address.to_string(), more);
        std::fs::write(house.path("fieldgate.toml"), config).unwrap();
        house.open();
        let client = house.parcelco();
        assert_eq!(get(&client, "/orders/1").await.0, status, "{what}");
        assert_eq!(get(&client, "/orders/1").await.0, status, "{what}");
        let shown = std::fs::read(house.path("certs/parcelco.pem")).unwrap();
        let shown = CertificateDer::from_pem_slice(&shown).unwrap().to_vec();
        let seen = if status == 200 { vec![shown] } else { Vec::new() };
        assert_eq!(stub.certificates(), seen, "{what}: on one connection");
        assert_eq!(stub.requests().len(), 2 * usize::from(status == 200), "{what}");
    }
}
