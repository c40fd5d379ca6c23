//! `kill -9` under load, again and again: no complete response without its entry.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::support::{Answer, House, order};

const ROUNDS: usize = 50;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_that_a_client_received_has_its_entry_after_kill_9() {
    let mut house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let received = Arc::new(Mutex::new(HashSet::new()));
    for round in 0..ROUNDS {
        let before = received.lock().unwrap().len();
        let load = (0..CLIENTS).map(|_| {
            let (client, received) = (house.parcelco(), Arc::clone(&received));
            tokio::spawn(async move {
                while let Ok(response) = client.try_send(http::Method::GET, "/orders/1", "").await {
                    assert_eq!(response.status, 200);
                    received.lock().unwrap().insert(response.disclosure_id());
                }
            })
        });
        let load: Vec<_> = load.collect();
        // The moment of the kill is what this test varies: after some answers, each time another number.
        while received.lock().unwrap().len() < before + 20 + round * 37 % 100 {
            tokio::task::yield_now().await;
        }
        house.kill();
        for client in load {
            client.await.unwrap();
        }
        house.open();
    }
    let entries = house.entries();
    let recorded: HashSet<&str> = entries
        .iter()
        .filter(|entry| entry["kind"] == "disclosure")
        .filter_map(|entry| entry["id"].as_str())
        .collect();
    let received = received.lock().unwrap();
    assert!(received.len() >= 20 * ROUNDS);
    let missing: Vec<_> = received.iter().filter(|id| !recorded.contains(id.as_str())).collect();
    assert!(missing.is_empty(), "{} of {} responses have no entry", missing.len(), received.len());
    let sequence: Vec<u64> = entries.iter().filter_map(|entry| entry["sequence"].as_u64()).collect();
    assert!(
        sequence.iter().copied().eq(1..=sequence.len() as u64),
        "the contractor's own numbers have no gap"
    );
}
