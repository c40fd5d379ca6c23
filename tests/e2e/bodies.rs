//! The memory for bodies is bounded for all requests together: who comes too late is told to come again, and
//! what was taken is given back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use crate::support::{Answer, CONFIG, Client, House, RULES, SOON, memory, order};

/// KiB that the gateway may grow by: the budget of these tests, what threads keep, and caches.
const GROWTH: u64 = 24 << 10;

async fn house(memory: &str) -> House {
    let config = format!("{CONFIG}\n[limits]\nbody_memory = \"{memory}\"\n");
    let config = config.replace("64KiB", "4MiB").replace("2s", "60s").replace("\"debug\"", "\"info\"");
    // What is asked for by `$` may stand anywhere: such an order is held as a whole.
    let rules = RULES.replacen("when = \"@.carrier", "when = \"$.carrier", 1);
    House::with(&config, &[("parcelco", &rules)]).await
}

/// An order with a name that is so long.
fn long(name: &str, bytes: usize) -> String {
    order(1, "parcelco", "ready_to_ship").replace(name, &name.repeat(bytes / name.len()))
}

#[tokio::test]
async fn bodies_over_the_budget_are_refused_and_those_that_wait_are_served_later() {
    const TOGETHER: usize = 16;
    // Each needs between 1.5 and 4.5 MiB, so that 1 to 5 of them find room.
    const AT_MOST: usize = 5;
    let house = house("8MiB").await;
    let go = Arc::new(Notify::new());
    let body = long("PLANTED name", 3 << 19).into_bytes();
    let (begin, end) = body.split_at(body.len() - 1000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let held = Answer::begun(
        [head.as_bytes(), begin].concat(),
        Answer::held(&go, Answer::begun(end, Answer::Raw(Vec::new()))),
    );
    house.upstream.on("/orders/1", held);
    let client = house.parcelco();
    let hang_up = house.upstream.hang_up();
    let before = memory(&house);
    let mut requests: FuturesUnordered<_> =
        (0..TOGETHER).map(|_| house.send_unknown(&client, Method::GET, "/orders/1", "")).collect();
    for _ in 0..TOGETHER - AT_MOST {
        let refused = tokio::time::timeout(4 * SOON, requests.next()).await.expect("at once").unwrap();
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "overloaded"));
        assert_eq!(refused.headers["retry-after"], "1");
    }
    hang_up.await;
    let held = memory(&house);
    assert!(held < before + GROWTH, "{before} and {held} KiB");
    // A small body has room beside them.
    house.upstream.on("/orders/2", Answer::json(order(2, "parcelco", "ready_to_ship")));
    assert_eq!(house.send_unknown(&client, Method::GET, "/orders/2", "").await.status, 200);
    let (mut served, began) = (0, Instant::now());
    while !requests.is_empty() {
        go.notify_waiters();
        assert!(began.elapsed() < 4 * SOON);
        if let Ok(response) = tokio::time::timeout(Duration::from_millis(20), requests.next()).await {
            served += usize::from(response.unwrap().status == 200);
        }
    }
    assert!(served > 0, "{}", house.log());
    drop(requests);
    house.upstream.on("/orders/1", Answer::json(body));
    for _ in 0..TOGETHER {
        assert_eq!(house.send_unknown(&client, Method::GET, "/orders/1", "").await.status, 200);
    }
    house.assert_clean();
}

/// Sends the head of a request and most of its body.
async fn post_most(client: &Client, sent: usize) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let mut stream = client.raw().await.unwrap();
    let head = "POST /orders/1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 620000\r\n\r\n{\"note\":\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; sent]).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

#[tokio::test]
async fn request_bodies_that_come_slowly_share_the_budget() {
    let house = house("2MiB").await;
    let answer = Answer::json("{\"note_id\":7}");
    house.upstream.on("/orders/1/notes", answer);
    let client = house.parcelco();
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(post_most(&client, 600_000).await);
    }
    let answered = begun.iter_mut().map(|stream| {
        Box::pin(async move {
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            String::from_utf8_lossy(&start).into_owned()
        })
    });
    let (first, ..) = tokio::time::timeout(SOON, select_all(answered)).await.expect("at once");
    assert_eq!(first, "HTTP/1.1 503");
    assert!(house.upstream.requests().is_empty());
    drop(begun);
    let note = format!("{{\"note\":\"{}\"}}", "x".repeat(500_000));
    let client = client.with("content-type", "application/json");
    let began = Instant::now();
    while house.send_unknown(&client, Method::POST, "/orders/1/notes", &note).await.status != 200 {
        assert!(began.elapsed() < SOON, "{}", house.log());
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_list_for_whose_next_record_there_is_no_room_is_interrupted() {
    let house = house("4MiB").await;
    let small: Vec<String> = (0..5000).map(|id| order(id, "parcelco", "ready_to_ship")).collect();
    let large = long("Anna Jansen", 3 << 20);
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{},{large}]}}", small.join(","))));
    let response = house.receive(&house.parcelco(), "/orders").await;
    assert!(response.status == 200 && !response.whole, "{}", house.log());
    let entries = house.entries_of(&response.disclosure_id());
    let last = entries.last().unwrap();
    assert_eq!((last["code"].as_str(), last["status"].as_u64()), (Some("overloaded"), Some(503)), "{last}");
    house.assert_clean();
}
