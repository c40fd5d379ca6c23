//! Connections that are made to cost more than they should: each ends, the gateway stays small, and whoever
//! is beside it is served.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;

use crate::support::h2_raw::{
    self, ACK, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Wire, fields, frame, get, get_frame, kind, stream,
};
use crate::support::{Answer, CONFIG, Client, House, RULES, memory, order, until_closed};

/// Frames of a flood: far more than a client needs, few enough for a test.
const MANY: usize = 100_000;
/// KiB that the gateway may grow by under one of these attacks. Its buffers and caches are warmed up by it.
const GROWTH: u64 = 24 << 10;

type Flood = (&'static str, usize, fn(usize) -> Vec<u8>);

async fn house(limits: &str) -> House {
    let config = format!("{CONFIG}\n[limits]\n{limits}\n").replace("\"debug\"", "\"info\"");
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

async fn is_served(client: &Client) -> bool {
    client.try_send(http::Method::GET, "/orders/1", "").await.unwrap().status == 200
}

/// The head of a request whose body is to come.
fn post(stream: u32) -> Vec<u8> {
    let head = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/orders/1/notes"),
        ("content-type", "application/json"),
    ];
    frame(kind::HEADERS, END_HEADERS, stream, &fields(&head))
}

/// A reset for a stream (CANCEL).
fn reset(stream: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &8u32.to_be_bytes())
}

/// Each is a flood of RFC 9113, section 10.5, or has a name of its own.
const FLOODS: [Flood; 16] = [
    ("PING", MANY, |_| frame(kind::PING, 0, 0, b"12345678")),
    ("answers to no PING", MANY, |_| frame(kind::PING, ACK, 0, b"12345678")),
    ("SETTINGS", MANY, |_| frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])),
    ("PRIORITY", MANY, |_| frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
    ("WINDOW_UPDATE", MANY, |_| frame(kind::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
    ("unknown frames", MANY, |_| frame(0xbb, 0, 0, b"")),
    ("RST_STREAM for a stream that has ended", MANY, |n| match n {
        0 => get_frame(1, "/orders/1"),
        _ => reset(1),
    }),
    ("rapid reset", MANY, |n| [get_frame(stream(n), "/orders/1"), reset(stream(n))].concat()),
    ("streams over the limit", MANY, |n| post(stream(n))),
    // Our side resets them (MadeYouReset).
    ("streams that break the protocol", MANY, |n| {
        [
            get_frame(stream(n), "/orders/1"),
            frame(kind::WINDOW_UPDATE, 0, stream(n), &(u32::MAX >> 1).to_be_bytes()),
        ]
        .concat()
    }),
    ("empty DATA", MANY, |n| if n == 0 { post(1) } else { frame(kind::DATA, 0, 1, b"") }),
    ("DATA of one byte", MANY, |n| if n == 0 { post(1) } else { frame(kind::DATA, 0, 1, b" ") }),
    ("CONTINUATION", MANY, |n| match n {
        0 => frame(kind::HEADERS, END_STREAM, 1, &get("/orders/1")),
        _ => frame(kind::CONTINUATION, 0, 1, &fields(&[("a", "b")])),
    }),
    ("empty CONTINUATION", MANY, |n| match n {
        0 => frame(kind::HEADERS, END_STREAM, 1, &get("/orders/1")),
        _ => frame(kind::CONTINUATION, 0, 1, b""),
    }),
    ("an HPACK bomb", 200, |n| {
        // One entry in the table, and 12,000 references to it: 36 MB.
        let mut block = get("/orders/1");
        block.push(0x40);
        block.extend_from_slice(&fields(&[("x", &"a".repeat(3000))])[1..]);
        block.extend_from_slice(&[0x80 | 62; 12_000]);
        frame(kind::HEADERS, END_STREAM | END_HEADERS, stream(n), &block)
    }),
    ("a field list of 1 MB", 64, |n| match n {
        0 => frame(kind::HEADERS, END_STREAM, 1, &get("/orders/1")),
        _ => frame(kind::CONTINUATION, 0, 1, &fields(&[("x", &"a".repeat(16_000))])),
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_frames_ends_with_goaway_and_costs_little() {
    let house = house("").await;
    let beside = house.parcelco();
    assert!(is_served(&beside).await);
    let before = memory(&house);
    for (name, count, make) in FLOODS {
        let ended = Wire::open(&house.parcelco()).await.flood(count, make).await;
        assert_eq!(ended.code(), Some(ENHANCE_YOUR_CALM), "{name}: {} of {count} were sent", ended.sent);
        assert!(is_served(&beside).await, "{name}");
    }
    let after = memory(&house);
    assert!(after < before + GROWTH, "{before} and {after} KiB");
    assert!(house.log().len() < 64 << 10, "{} bytes were logged", house.log().len());
}

#[tokio::test]
async fn a_request_that_its_client_resets_counts_against_its_rate() {
    const TOGETHER: usize = 50;
    let rules = RULES.replace(
        "requests = \"100000/s\"\nburst = 100000",
        "requests = \"1/h\"\nburst = 5000\nconcurrent = 1000",
    );
    let config = CONFIG.replace("2s", "60s");
    let house = House::with(&config, &[("parcelco", &rules)]).await;
    house.upstream.on("/orders/1", Answer::Silence);
    let mut wire = Wire::open(&house.parcelco()).await;
    let mut begun = 0;
    // Each has reached the upstream when it is reset: no queue of ours sees both at once.
    while wire.goes_on().await {
        let streams: Vec<u32> = (begun..begun + TOGETHER).map(stream).collect();
        wire.send(&streams.iter().flat_map(|id| get_frame(*id, "/orders/1")).collect::<Vec<_>>()).await;
        begun += TOGETHER;
        while house.upstream.requests().len() < begun {
            tokio::task::yield_now().await;
        }
        wire.send(&streams.iter().flat_map(|id| reset(*id)).collect::<Vec<_>>()).await;
    }
    assert_eq!(wire.until_closed().await.code(), Some(ENHANCE_YOUR_CALM));
    assert!((200..300).contains(&begun), "{begun} requests were begun");
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let response = house.send_unknown(&house.parcelco(), http::Method::GET, "/orders/1", "").await;
    let left = format!("r={};", 5000 - begun - 1);
    assert!(response.headers["ratelimit"].to_str().unwrap().contains(&left), "{response:?}");
}

#[tokio::test]
async fn a_busy_client_is_not_taken_for_a_flood() {
    let house = house("").await;
    let large = |id| order(id, "parcelco", "ready_to_ship").replace("Anna", &"Anna".repeat(1000));
    let list: Vec<String> = (0..300).map(large).collect();
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", list.join(","))));
    let tls = house.parcelco().raw_with(b"h2").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(32 << 10)
        .initial_connection_window_size(64 << 10)
        .handshake(TokioIo::new(tls))
        .await
        .unwrap();
    tokio::spawn(connection);
    // The large ones, 1.2 MB each, open windows some 2000 times.
    for n in 0..400 {
        let path = if n % 20 == 0 { "/orders" } else { "/orders/1" };
        let request =
            http::Request::get(format!("https://localhost{path}")).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{n}");
        response.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_is_not_kept_alive_by_pings() {
    let house = house("header_timeout = \"300ms\"\nidle_timeout = \"600ms\"").await;
    let mut wire = Wire::open(&house.client(None)).await;
    let began = Instant::now();
    while wire.send(&frame(kind::PING, 0, 0, b"12345678")).await {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(wire.until_closed().await.code(), Some(h2_raw::NO_ERROR));
}

#[tokio::test]
async fn a_head_or_body_that_comes_drop_by_drop_ends_in_time() {
    let house = house("header_timeout = \"500ms\"\nbody_timeout = \"500ms\"\nidle_timeout = \"600ms\"").await;
    let head = "POST /orders/1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n";
    for (at_once, status) in [("GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n", ""), (head, "HTTP/1.1 408 ")]
    {
        let (mut reader, mut writer) = tokio::io::split(house.parcelco().raw().await.unwrap());
        writer.write_all(at_once.as_bytes()).await.unwrap();
        let dripping = async {
            while writer.write_all(b"x").await.is_ok() && writer.flush().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let answer = tokio::select! {
            answer = until_closed(&mut reader) => answer,
            () = dripping => String::new(),
        };
        assert!(answer.starts_with(status), "{answer:?}");
    }
    // The same over HTTP/2: the answer comes although the request never ends.
    let mut wire = Wire::open(&house.parcelco()).await;
    wire.send(&post(1)).await;
    assert_eq!(wire.wait_for(kind::HEADERS).await.stream, 1);
    // A head that never ends.
    let mut wire = Wire::open(&house.parcelco()).await;
    wire.send(&frame(kind::HEADERS, END_STREAM, 1, &get("/orders/1"))).await;
    assert_eq!(wire.until_closed().await.code(), Some(h2_raw::NO_ERROR));
    assert!(house.upstream.requests().is_empty());
}

#[tokio::test]
async fn bodies_that_never_end_hold_no_memory_and_their_places_become_free() {
    let house = house("body_timeout = \"1s\"\nidle_timeout = \"2s\"").await;
    let before = memory(&house);
    let mut wires = Vec::new();
    for _ in 0..20 {
        let mut wire = Wire::open(&house.parcelco()).await;
        // As many bytes as the windows take.
        let body = |id| [post(id), frame(kind::DATA, 0, id, &[b' '; 4000])].concat();
        wire.send(&(0..60).map(stream).flat_map(body).collect::<Vec<_>>()).await;
        wires.push(wire);
    }
    let began = Instant::now();
    while !is_served(&house.parcelco()).await {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let after = memory(&house);
    assert!(after < before + GROWTH, "{before} and {after} KiB");
}
