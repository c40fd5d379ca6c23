//! The same through the program: what a gateway has answered and what it was told outlast its end and its store's.

use std::collections::HashSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::json;
use tokio::task::block_in_place;

use super::desk::Kind;
use crate::fleet::{CONSENT, config};
use crate::support::postgres::Postgres;
use crate::support::{Answer, CONFIG, Client, House, RULES, entries_at, order};

super::on_both_stores!(
    every_answer_has_its_entry_after_kill_9,
    a_suspension_and_a_withdrawal_outlast_the_gateway,
    a_store_that_takes_nothing_releases_nothing_and_is_used_again,
);

/// A company with a gateway that does not run yet.
async fn company(kind: Kind) -> (House, Option<Postgres>) {
    let postgres = (kind == Kind::Fleet).then(|| block_in_place(Postgres::start));
    let config =
        postgres.as_ref().map_or(CONFIG.to_owned(), |postgres| config(postgres, postgres.port, "node-0"));
    let house = House::closed(&config, &[("parcelco", &format!("{RULES}{CONSENT}"))]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.upstream.on("/persons/1", Answer::json(json!({ "id": "PLANTED-1", "name": "Anna" }).to_string()));
    (house, postgres)
}

/// All that can be made anew.
fn lose_the_disk(house: &House) {
    std::fs::remove_dir_all(house.path("ledger/fieldgate.tlog")).unwrap();
    for file in ["fieldgate.db", "fieldgate.db-wal", "fieldgate.db-shm"] {
        let _ = std::fs::remove_file(house.path("ledger").join(file));
    }
}

async fn every_answer_has_its_entry_after_kill_9(kind: Kind) {
    let (mut house, postgres) = company(kind).await;
    block_in_place(|| house.open());
    let received = Arc::new(Mutex::new(HashSet::new()));
    for round in 0..3 {
        let before = received.lock().unwrap().len();
        let load = (0..8).map(|_| {
            let (client, received) = (house.parcelco(), Arc::clone(&received));
            tokio::spawn(async move {
                while let Ok(response) = client.try_send(Method::GET, "/orders/1", "").await {
                    assert_eq!(response.status, StatusCode::OK, "{response:?}");
                    received.lock().unwrap().insert(response.disclosure_id());
                }
            })
        });
        let load: Vec<_> = load.collect();
        while received.lock().unwrap().len() < before + 20 + round * 37 % 100 {
            tokio::task::yield_now().await;
        }
        house.kill();
        for client in load {
            client.await.unwrap();
        }
        // Of a node, the database is all that is left.
        if kind == Kind::Fleet {
            lose_the_disk(&house);
        }
        block_in_place(|| house.open());
    }
    let entries = house.entries();
    let recorded: HashSet<&str> = entries.iter().filter_map(|entry| entry["id"].as_str()).collect();
    let received = received.lock().unwrap().clone();
    assert!(received.len() >= 60);
    let missing = received.iter().filter(|id| !recorded.contains(id.as_str())).count();
    assert_eq!(missing, 0, "of {} answers", received.len());
    let sequence = entries.iter().filter_map(|entry| entry["sequence"].as_u64());
    assert!(sequence.clone().eq(1..=sequence.count() as u64), "the contractor's own numbers have no gap");
    house.assert_clean();
    drop(postgres);
}

async fn answer(client: &Client, path: &str) -> (u16, String) {
    let response = client.try_send(Method::GET, path, "").await.unwrap();
    let code = if response.status.is_success() { String::new() } else { response.code() };
    (response.status.as_u16(), code)
}

fn tell(house: &House, arguments: &[&str]) {
    let output = block_in_place(|| house.command(arguments));
    assert!(output.status.success(), "{output:?}");
}

async fn a_suspension_and_a_withdrawal_outlast_the_gateway(kind: Kind) {
    let (mut house, postgres) = company(kind).await;
    block_in_place(|| house.open());
    let by = ["--purpose", "marketing-mail", "--by", "anna", "--source", "form"];
    tell(&house, &[&["subject", "grant", "PLANTED-1"], &by[..]].concat());
    assert_eq!(answer(&house.parcelco(), "/persons/1").await.0, 200);
    tell(&house, &[&["subject", "withdraw", "PLANTED-1"], &by[..]].concat());
    let withheld = (404, "not-found".to_owned());
    assert_eq!(answer(&house.parcelco(), "/persons/1").await, withheld);
    house.kill();
    if kind == Kind::Fleet {
        lose_the_disk(&house);
    }
    block_in_place(|| house.open());
    assert_eq!(answer(&house.parcelco(), "/persons/1").await, withheld);
    assert_eq!(answer(&house.parcelco(), "/orders/1").await.0, 200);
    tell(&house, &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
    house.kill();
    if kind == Kind::Fleet {
        lose_the_disk(&house);
    }
    block_in_place(|| house.open());
    assert_eq!(answer(&house.parcelco(), "/orders/1").await, (403, "suspended".to_owned()));
    tell(&house, &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    let began = Instant::now();
    while answer(&house.parcelco(), "/orders/1").await.0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(2), "still suspended");
    }
    // A node's own copy is up to a second behind.
    let kinds = |kind: &str| house.entries().iter().filter(|entry| entry["kind"] == kind).count();
    while (kinds("consent"), kinds("suspension")) != (2, 2) {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", house.entries());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    house.assert_clean();
    drop(postgres);
}

/// The node's disk is full, or the database is away.
async fn a_store_that_takes_nothing_releases_nothing_and_is_used_again(kind: Kind) {
    let (mut house, mut postgres) = company(kind).await;
    let filler = match &postgres {
        Some(_) => {
            block_in_place(|| house.open());
            None
        }
        None => {
            // The ledger's folder is a small disk of its own, seen by this gateway only.
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "bash", "-c"]);
            command.arg(
                "mount -t tmpfs -o size=14m,mode=700 none \"$2\" && head -c 8M /dev/zero > \"$2/filler\" &&
                exec \"$0\" serve --config \"$1\"",
            );
            command.arg(env!("CARGO_BIN_EXE_fieldgate")).arg(house.path("fieldgate.toml"));
            std::fs::create_dir_all(house.path("ledger")).unwrap();
            command.arg(house.path("ledger"));
            block_in_place(|| house.open_as(command));
            Some(format!("/proc/{}/root{}/filler", house.process(), house.path("ledger").display()))
        }
    };
    let client = house.parcelco();
    let mut received = Vec::new();
    // Customers take most of an entry.
    let record = |number| {
        format!(
            "{{\"order_id\":{number},\"carrier\":\"parcelco\",\"status\":\"ready_to_ship\",\"customer\":{{\"id\":\"c-{number}\"}}}}"
        )
    };
    let records: Vec<String> = (0..400).map(record).collect();
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", records.join(","))));
    if let Some(postgres) = &mut postgres {
        for _ in 0..20 {
            received.push(client.try_send(Method::GET, "/orders/1", "").await.unwrap().disclosure_id());
        }
        block_in_place(|| postgres.end());
    }
    for _ in 0..20_000 {
        let response = client.try_send(Method::GET, "/orders", "").await.unwrap();
        if response.status != StatusCode::OK {
            assert_eq!(response.code(), "ledger-unavailable");
            break;
        }
        received.push(response.disclosure_id());
    }
    let before = received.len();
    assert!((1..20_000).contains(&before), "{before} before it took nothing");
    let unavailable = (503, "ledger-unavailable".to_owned());
    for _ in 0..20 {
        assert_eq!(answer(&client, "/orders/1").await, unavailable);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    match (&mut postgres, &filler) {
        (Some(postgres), _) => block_in_place(|| postgres.begin()),
        (None, Some(filler)) => std::fs::remove_file(filler).unwrap(),
        (None, None) => {}
    }
    let began = Instant::now();
    while received.len() < before + 20 {
        let response = client.try_send(Method::GET, "/orders/1", "").await.unwrap();
        if response.status == StatusCode::OK {
            received.push(response.disclosure_id());
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come back");
    }
    println!("{before} answers before, served again after {:?}", began.elapsed());
    let index = house.ledger_path();
    let inside = filler.as_ref().map(|_| format!("/proc/{}/root{}", house.process(), index.display()));
    let index = inside.map_or(index, Into::into);
    // A node's own copy is up to a second behind.
    loop {
        let entries = entries_at(&index);
        let known: HashSet<&str> = entries.iter().filter_map(|entry| entry["id"].as_str()).collect();
        if received.iter().all(|id| known.contains(id.as_str())) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "an answer has no entry");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
