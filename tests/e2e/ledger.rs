//! The ledger decides: what it cannot hold does not leave.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Answer, CONFIG, Client, House, RULES, entries_at, order};

/// Far more than any of these tests should need.
const PATIENCE: Duration = Duration::from_secs(20);

async fn status(client: &Client) -> (u16, String) {
    let response = client.try_send(http::Method::GET, "/orders/1", "").await.unwrap();
    let code = if response.status.is_success() { String::new() } else { response.code() };
    (response.status.as_u16(), code)
}

fn unavailable() -> (u16, String) {
    (503, "ledger-unavailable".to_owned())
}

/// Asks until it is served again: the ledger is tried anew every quarter of a second.
async fn served_again(client: &Client) {
    let began = Instant::now();
    while status(client).await.0 != 200 {
        assert!(began.elapsed() < PATIENCE, "not served again");
    }
}

#[tokio::test]
async fn a_ledger_that_is_away_releases_nothing_and_recovers_by_itself() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    assert_eq!(status(&client).await.0, 200);
    let (folder, away) = (house.path("ledger/fieldgate.tlog"), house.path("ledger/away"));
    house.rest().await;
    std::fs::rename(&folder, &away).unwrap();
    assert_eq!(status(&client).await, unavailable());
    // Now it is known to be sick: the upstream is not even asked.
    let asked = house.upstream.requests().len();
    assert_eq!(status(&client).await, unavailable());
    assert_eq!(house.upstream.requests().len(), asked);
    std::fs::rename(&away, &folder).unwrap();
    served_again(&client).await;
    house.entries();
    house.assert_clean();
}

#[tokio::test]
async fn an_index_that_stays_locked_stops_disclosures_until_it_is_free() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    let other = rusqlite::Connection::open(house.ledger_path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let began = Instant::now();
    // Entries are durable without it, so that nobody waits; it may not fall behind for long.
    while status(&client).await != unavailable() {
        assert!(began.elapsed() < PATIENCE, "still served");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    served_again(&client).await;
    house.entries();
    house.assert_clean();
}

#[tokio::test]
async fn a_deleted_ledger_releases_nothing_and_is_not_made_anew() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    assert_eq!(status(&client).await.0, 200);
    std::fs::remove_file(house.ledger_path()).unwrap();
    for _ in 0..3 {
        assert_eq!(status(&client).await, unavailable());
    }
    assert!(!house.ledger_path().exists());
}

#[tokio::test]
async fn a_ledger_whose_journal_was_removed_releases_nothing_and_is_not_made_anew() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    assert_eq!(status(&client).await.0, 200);
    let folder = house.path("ledger/fieldgate.tlog");
    house.rest().await;
    std::fs::remove_dir_all(folder).unwrap();
    for _ in 0..3 {
        assert_eq!(status(&client).await, unavailable());
    }
    assert!(!house.path("ledger/fieldgate.tlog").exists());
}

#[tokio::test]
async fn an_emptied_ledger_is_not_written_on() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    assert_eq!(status(&client).await.0, 200);
    for suffix in ["", "-wal", "-shm"] {
        let path = house.path(&format!("ledger/fieldgate.db{suffix}"));
        std::fs::rename(&path, path.with_extension("away")).unwrap();
    }
    std::fs::write(house.ledger_path(), "").unwrap();
    // Also after it was tried anew, which the log says.
    let began = Instant::now();
    while !house.log().contains("the ledger still cannot be written") {
        assert_eq!(status(&client).await, unavailable());
        assert!(began.elapsed() < PATIENCE, "{}", house.log());
    }
    assert_eq!(status(&client).await, unavailable());
    assert!(house.log().contains("deleted or replaced while it was open"));
}

#[tokio::test]
async fn a_lost_subject_key_is_not_made_anew() {
    let mut house = House::new().await;
    house.kill();
    std::fs::remove_file(house.path("ledger/subject.key")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["serve", "--config"])
        .arg(house.path("fieldgate.toml"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && error.contains("subject.key is missing"), "{error}");
}

#[tokio::test]
async fn a_full_disk_releases_nothing() {
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    // The ledger's folder is a small disk of its own, seen by this gateway only.
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "bash", "-c"]);
    command.arg("mount -t tmpfs -o size=9m,mode=700 none \"$2\" && exec \"$0\" serve --config \"$1\"");
    command.arg(env!("CARGO_BIN_EXE_fieldgate")).arg(house.path("fieldgate.toml"));
    std::fs::create_dir_all(house.path("ledger")).unwrap();
    command.arg(house.path("ledger"));
    house.open_as(command);
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    let mut received = Vec::new();
    for _ in 0..20_000 {
        let response = client.try_send(http::Method::GET, "/orders/1", "").await.unwrap();
        if response.status != 200 {
            assert_eq!(response.code(), "ledger-unavailable");
            break;
        }
        received.push(response.disclosure_id());
    }
    assert!((1..20_000).contains(&received.len()), "{} before the disk was full", received.len());
    assert_eq!(status(&client).await.0, 503);
    let inside = format!("/proc/{}/root{}", house.process(), house.ledger_path().display());
    let entries = entries_at(Path::new(&inside));
    let known: HashSet<&str> = entries.iter().filter_map(|entry| entry["id"].as_str()).collect();
    for id in &received {
        assert!(known.contains(id.as_str()), "{id} has its entry");
    }
}

#[tokio::test]
async fn two_gateways_do_not_share_a_ledger() {
    let house = House::new().await;
    let output = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["serve", "--config"])
        .arg(house.path("fieldgate.toml"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("in use by another gateway"), "{error}");
}

#[tokio::test]
async fn entries_are_found_by_time_contractor_task_and_subject() {
    let house = House::with(&CONFIG.replace("64KiB", "4MiB"), &[("parcelco", RULES)]).await;
    for id in 1..=2 {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
        house.get(&house.parcelco(), &format!("/orders/{id}")).await;
    }
    let query = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
            .args(["ledger", "query", "--config"])
            .arg(house.path("fieldgate.toml"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let count = |arguments: &[&str]| query(&[arguments, &["--format", "json"]].concat()).lines().count();
    assert_eq!(count(&[]), 4, "started, rules, two disclosures");
    assert_eq!(count(&["--contractor", "parcelco"]), 2);
    assert_eq!(count(&["--contractor", "helpdesk"]), 0);
    assert_eq!(count(&["--task", "deliver-order", "--since", "1h"]), 2);
    assert_eq!(count(&["--until", "2026-01-01"]), 0);
    assert_eq!(
        count(&["--subject", "c-2", "--contractor", "parcelco", "--kind", "disclosure", "--since", "1h"]),
        1
    );
    assert_eq!(count(&["--subject", "c-3"]), 0);
    assert_eq!(count(&["--limit", "1", "--before", "3"]), 1);
    // What is about very many customers is found by each of them.
    let many: Vec<String> = (100..1300).map(|id| order(id, "parcelco", "ready_to_ship")).collect();
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", many.join(","))));
    house.send_unknown(&house.parcelco(), http::Method::GET, "/orders", "").await;
    assert!((100..1300).step_by(111).all(|id| count(&[
        "--subject",
        &format!("c-{id}"),
        "--kind",
        "disclosure"
    ]) == 1));
    let line = query(&["--subject", "c-2", "--format", "json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), house.entries()[3]);
    let table = query(&[]);
    assert!(table.contains("200 disclosed") && table.contains("/orders/{order_id}"), "{table}");
}
