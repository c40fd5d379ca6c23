//! Every wait has an end, and a gateway that is told to stop finishes what it began.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::support::h2_raw::{self, kind};
use crate::support::{Answer, CONFIG, House, RULES, SOON, order, until_closed};

async fn impatient() -> House {
    let config = format!(
        "{CONFIG}\n[limits]\nhandshake_timeout = \"300ms\"\nheader_timeout = \"300ms\"\nidle_timeout = \"600ms\"\nbody_timeout = \"900ms\"\n"
    );
    House::with(&config, &[("parcelco", RULES)]).await
}

#[tokio::test]
async fn a_stalled_handshake_is_closed() {
    let house = impatient().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(&[0x16, 0x03]).await.unwrap();
    until_closed(&mut stream).await;
}

#[tokio::test]
async fn a_stalled_request_head_is_closed() {
    let house = impatient().await;
    let mut stream = house.parcelco().raw().await.unwrap();
    stream.write_all(b"GET /orders/1 HTTP/1.1\r\nHost: local").await.unwrap();
    until_closed(&mut stream).await;
    assert!(house.upstream.requests().is_empty());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let house = impatient().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let mut stream = house.parcelco().raw().await.unwrap();
    stream.write_all(b"GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(until_closed(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_silent_http_2_connection_is_closed() {
    let house = impatient().await;
    let mut stream = house.client(None).raw_with(b"h2").await.unwrap();
    until_closed(&mut stream).await;
    // Also one that begins as it should, and then only answers what it must.
    let mut stream = house.client(None).raw_with(b"h2").await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    until_closed(&mut stream).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection_and_its_place() {
    let config = format!("{CONFIG}\n[limits]\nheader_timeout = \"300ms\"\nidle_timeout = \"600ms\"\n")
        .replace("64KiB", "64MiB");
    let rules = RULES.replace("requests = \"100000/s\"", "concurrent = 1\nrequests = \"100000/s\"");
    let house = House::with(&config, &[("parcelco", &rules)]).await;
    let orders: Vec<String> = (0..30_000)
        .map(|id| order(id, "parcelco", "ready_to_ship").replace("Anna", &"Anna".repeat(100)))
        .collect();
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", orders.join(","))));
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let mut stream = house.parcelco().raw().await.unwrap();
    let arrival = house.upstream.arrival();
    stream.write_all(b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    arrival.await;
    let client = house.parcelco();
    let began = Instant::now();
    let place = || async { client.try_send(Method::GET, "/orders/1", "").await.unwrap().status };
    assert_eq!(place().await, 429, "its place is taken while the answer waits to be read");
    while place().await == 429 {
        assert!(began.elapsed() < 4 * SOON);
    }
    assert!(!until_closed(&mut stream).await.ends_with("}"), "the answer was cut");
}

#[tokio::test]
async fn a_stalled_request_body_is_a_refusal() {
    let house = impatient().await;
    let mut stream = house.parcelco().raw().await.unwrap();
    let head = "POST /orders/1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"note\":";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request-timeout"), "{answer}");
    assert!(house.upstream.requests().is_empty());
}

#[tokio::test]
async fn what_is_in_work_is_finished_before_the_gateway_stops() {
    let mut house = House::new().await;
    let go = Arc::new(Notify::new());
    house.upstream.on(
        "/orders/1",
        Answer::Held(go.clone(), Box::new(Answer::json(order(1, "parcelco", "ready_to_ship")))),
    );
    let (client, arrival) = (house.parcelco(), house.upstream.arrival());
    // An idle connection must not hold the gateway up.
    let mut idle = house.parcelco().raw().await.unwrap();
    let begun = client.clone();
    let request =
        tokio::spawn(
            async move { begun.try_send(Method::GET, "/orders/1", "").await.unwrap().disclosure_id() },
        );
    arrival.await;
    house.signal("-TERM");
    until_closed(&mut idle).await;
    assert!(
        TcpStream::connect(house.address).await.is_err() || client.raw().await.is_err(),
        "nobody new is let in"
    );
    go.notify_one();
    let id = request.await.unwrap();
    let began = Instant::now();
    assert!(house.wait().success());
    assert!(began.elapsed() < SOON);
    assert_eq!(house.told().pop().unwrap()["id"], id);
}

/// A connection that rests, and closes some time after draining has begun.
async fn until_draining(house: &House, idle: &mut TlsStream<TcpStream>) {
    house.signal("-TERM");
    until_closed(idle).await;
    let began = Instant::now();
    while TcpStream::connect(house.address).await.is_ok() {
        assert!(began.elapsed() < SOON, "nobody new is let in");
    }
}

/// With an upstream that may take long.
async fn patient() -> House {
    House::with(&CONFIG.replace("\"2s\"", "\"60s\""), &[("parcelco", RULES)]).await
}

#[tokio::test]
async fn over_http_1_the_answer_that_is_in_work_is_the_last_of_its_connection() {
    let mut house = patient().await;
    let go = Arc::new(Notify::new());
    let whole = Answer::json(order(1, "parcelco", "ready_to_ship"));
    house.upstream.on("/orders/1", whole.clone());
    house.upstream.on("/orders/2", Answer::held(&go, whole));
    let (mut idle, mut stream) =
        (house.parcelco().raw().await.unwrap(), house.parcelco().raw().await.unwrap());
    stream.write_all(b"GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = Vec::new();
    while !first.ends_with(b"}}") {
        assert!(stream.read_buf(&mut first).await.unwrap() > 0);
    }
    let arrival = house.upstream.arrival();
    stream.write_all(b"GET /orders/2 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    arrival.await;
    until_draining(&house, &mut idle).await;
    go.notify_one();
    let last = until_closed(&mut stream).await;
    assert!(last.starts_with("HTTP/1.1 200 ") && last.ends_with("}}"), "{last}");
    let says = |answer: &str| answer.contains("\r\nconnection: close\r\n");
    assert!(says(&last) && !says(str::from_utf8(&first).unwrap()), "{last}");
    assert!(house.wait().success());
    house.verify();
}

#[tokio::test]
async fn over_http_2_goaway_comes_first_and_what_is_in_work_is_answered() {
    let mut house = patient().await;
    let go = Arc::new(Notify::new());
    house.upstream.on("/orders/1", Answer::held(&go, Answer::json(order(1, "parcelco", "ready_to_ship"))));
    let (mut idle, mut wire) =
        (house.parcelco().raw().await.unwrap(), h2_raw::Wire::open(&house.parcelco()).await);
    let arrival = house.upstream.arrival();
    assert!(wire.send(&h2_raw::get_frame(1, "/orders/1")).await);
    arrival.await;
    until_draining(&house, &mut idle).await;
    // The first one says that there is a last request, the second which one that was (RFC 9113, section 6.8).
    let last = |frame: &h2_raw::Frame| u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
    assert_eq!(last(&wire.wait_for(kind::GOAWAY).await), u32::MAX >> 1);
    let ping = wire.wait_for(kind::PING).await;
    assert!(wire.send(&h2_raw::frame(kind::PING, h2_raw::ACK, 0, &ping.payload)).await);
    assert_eq!(last(&wire.wait_for(kind::GOAWAY).await), 1);
    assert!(wire.send(&h2_raw::get_frame(3, "/orders/1")).await);
    go.notify_one();
    let ended = wire.until_closed().await;
    assert_eq!(ended.code(), Some(h2_raw::NO_ERROR));
    assert!(ended.frames.iter().all(|frame| frame.stream != 3), "{ended:?}");
    let ends = |frame: &h2_raw::Frame| frame.kind == kind::DATA && frame.flags & h2_raw::END_STREAM != 0;
    assert!(ended.frames.iter().any(|frame| frame.stream == 1 && ends(frame)), "{ended:?}");
    assert!(house.wait().success());
    assert_eq!(house.upstream.requests().len(), 1);
    assert_eq!(house.told().pop().unwrap()["status"], 200);
}

#[tokio::test]
async fn whoever_does_not_finish_does_not_keep_the_gateway_beyond_its_time() {
    let config = format!("{CONFIG}\n[limits]\ndrain_timeout = \"700ms\"\n").replace("\"2s\"", "\"60s\"");
    let mut house = House::with(&config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::Silence);
    let mut stalled = TcpStream::connect(house.address).await.unwrap();
    stalled.write_all(&[0x16, 0x03]).await.unwrap();
    let (mut head, mut body, mut whole) = (
        house.parcelco().raw().await.unwrap(),
        house.parcelco().raw().await.unwrap(),
        house.parcelco().raw().await.unwrap(),
    );
    head.write_all(b"GET /orders/1 HTTP/1.1\r\nHost: local").await.unwrap();
    let post = "POST /orders/1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"note\":";
    body.write_all(post.as_bytes()).await.unwrap();
    let mut wire = h2_raw::Wire::open(&house.parcelco()).await;
    let arrival = house.upstream.arrival();
    assert!(wire.send(&h2_raw::get_frame(1, "/orders/1")).await);
    arrival.await;
    let arrival = house.upstream.arrival();
    whole.write_all(b"GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    arrival.await;
    let began = Instant::now();
    house.signal("-TERM");
    assert!(house.wait().success());
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(700) && took < SOON, "{took:?}");
    house.logged("connections are cut").await;
    house.logged("stopped").await;
    house.verify();
}

#[tokio::test]
async fn more_than_the_gateway_can_do_is_refused_at_once() {
    const TOGETHER: usize = 40;
    const IN_WORK: usize = 4;
    let config = format!("{CONFIG}\n[limits]\nrequests = {IN_WORK}\n").replace("2s", "60s");
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    let go = Arc::new(Notify::new());
    let answer = Answer::json(order(1, "parcelco", "ready_to_ship"));
    house.upstream.on("/orders/1", Answer::held(&go, answer));
    let (client, before) = (house.parcelco(), house.told().len());
    let mut requests: FuturesUnordered<_> =
        (0..TOGETHER).map(|_| house.send_unknown(&client, Method::GET, "/orders/1", "")).collect();
    for _ in 0..TOGETHER - IN_WORK {
        let refused = timeout(4 * SOON, requests.next()).await.expect("at once").unwrap();
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
        assert_eq!(refused.headers["retry-after"], "1");
    }
    // Before it is asked who sends it, and without an entry.
    let stranger = house.send_unknown(&house.client(None), Method::GET, "/orders/1", "").await;
    assert_eq!(stranger.code(), "overloaded");
    assert_eq!(house.told().len(), before);
    let began = Instant::now();
    while !requests.is_empty() {
        assert!(began.elapsed() < 4 * SOON);
        go.notify_waiters();
        if let Ok(served) = timeout(Duration::from_millis(20), requests.next()).await {
            assert_eq!(served.unwrap().status, 200);
        }
    }
    assert_eq!((house.told().len() - before, house.upstream.requests().len()), (IN_WORK, IN_WORK));
}
