//! What the company's own people ask the ledger for.

use std::process::Output;

use serde_json::Value;

use crate::support::{Answer, House, has_word, order};

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn house_with_two_orders() -> House {
    let house = House::new().await;
    for id in 1..=2 {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
    }
    for id in [1, 1, 2] {
        house.get(&house.parcelco(), &format!("/orders/{id}")).await;
    }
    house
}

#[tokio::test]
async fn a_customer_is_told_what_was_disclosed_and_that_somebody_asked_is_an_entry() {
    let house = house_with_two_orders().await;
    let account = |format: &str| {
        text(&house.ledger(&["account", "c-1", "--by", "anna", "--reason", "request 17", "--format", format]))
    };
    let table = account("table");
    assert!(table.contains("2 disclosures") && table.contains("contract"), "{table}");
    let json: Value = serde_json::from_str(&account("json")).unwrap();
    assert_eq!(json["disclosures"], 2, "{json}");
    let page = account("html");
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("ParcelCo") && !page.contains("<script"),
        "{page}"
    );
    let asked: Vec<Value> = house.entries().into_iter().filter(|entry| entry["kind"] == "access").collect();
    assert_eq!(asked.len(), 3);
    assert_eq!((&asked[0]["by"], &asked[0]["action"]), (&"anna".into(), &"account".into()));
    assert!(!has_word(&asked[0].to_string(), "c-1"), "the customer is named as in all entries");
    let proofs = house.path("proofs");
    let began = std::time::Instant::now();
    loop {
        text(&house.ledger(&["account", "c-1", "--by", "anna", "--proofs", proofs.to_str().unwrap()]));
        let found = std::fs::read_dir(&proofs).unwrap().count();
        std::fs::remove_dir_all(&proofs).unwrap();
        if found == 2 {
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{found} proofs");
    }
    let nobody = text(&house.ledger(&["account", "c-3", "--by", "anna"]));
    assert!(nobody.contains("0 disclosures"), "{nobody}");
}

#[tokio::test]
async fn without_its_entry_nothing_is_told() {
    let mut house = house_with_two_orders().await;
    house.kill();
    std::fs::rename(house.path("ledger/signing.key"), house.path("away")).unwrap();
    std::fs::write(house.path("ledger/signing.key"), "damaged").unwrap();
    std::fs::set_permissions(
        house.path("ledger/signing.key"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    let output = house.ledger(&["account", "c-1", "--by", "anna"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    // With it, it is told without a gateway too.
    std::fs::rename(house.path("away"), house.path("ledger/signing.key")).unwrap();
    assert!(text(&house.ledger(&["account", "c-1", "--by", "anna"])).contains("2 disclosures"));
    assert_eq!(house.told().last().unwrap()["kind"], "access");
}

#[tokio::test]
async fn after_a_new_key_epoch_both_names_are_found_and_a_destroyed_one_is_not() {
    let house = house_with_two_orders().await;
    let disclosures = || text(&house.ledger(&["account", "c-1", "--by", "anna"]));
    let first = house.entries().iter().find(|entry| entry["kind"] == "disclosure").unwrap().clone();
    assert_eq!(
        text(&house.ledger(&["rotate-key", "--by", "anna", "--format", "json"])).trim(),
        "{\"epoch\":2}"
    );
    let response = house.get(&house.parcelco(), "/orders/1").await;
    let second = house.entries_of(&response.disclosure_id())[0].clone();
    assert_eq!((&first["epoch"], &second["epoch"]), (&1.into(), &2.into()));
    assert_ne!(first["subjects"], second["subjects"]);
    assert!(disclosures().contains("3 disclosures"));
    let told = house.ledger(&["destroy-key", "1", "--by", "anna"]);
    assert_eq!(told.status.code(), Some(1), "it only says what that means");
    assert!(String::from_utf8(told.stderr).unwrap().contains("cannot be undone"));
    assert!(disclosures().contains("3 disclosures"));
    text(&house.ledger(&["destroy-key", "1", "--by", "anna", "--yes"]));
    assert!(disclosures().contains("1 disclosures"));
    assert_eq!(house.ledger(&["destroy-key", "2", "--by", "anna", "--yes"]).status.code(), Some(2), "in use");
    let keys: Vec<Value> = house.entries().into_iter().filter(|entry| entry["kind"] == "key").collect();
    let actions: Vec<&str> = keys.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["rotated", "destroyed"]);
    // A gateway that starts again goes on with what is there.
    let mut house = house;
    house.kill();
    house.open();
    let response = house.get(&house.parcelco(), "/orders/1").await;
    assert_eq!(house.entries_of(&response.disclosure_id())[0]["epoch"], 2);
}

#[tokio::test]
async fn an_export_is_whole_has_its_manifest_and_is_an_entry() {
    let house = house_with_two_orders().await;
    let path = house.path("export.csv");
    let arguments = ["export", "--contractor", "parcelco", "--by", "anna", "--format", "csv", "--output"];
    text(&house.ledger(&[&arguments[..], &[path.to_str().unwrap()]].concat()));
    let csv = std::fs::read(&path).unwrap();
    assert_eq!(csv::Reader::from_reader(&csv[..]).records().count(), 3);
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(house.path("export.csv.manifest.json")).unwrap()).unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &csv);
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&manifest["rows"], &manifest["sha256"]), (&3.into(), &hash.into()));
    assert_eq!(house.told().last().unwrap()["action"], "export");
    // Nothing is written over.
    let again = house.ledger(&[&arguments[..], &[path.to_str().unwrap()]].concat());
    assert_eq!(again.status.code(), Some(2));
    let lines = text(&house.ledger(&["export", "--by", "anna", "--kind", "disclosure"]));
    assert_eq!(lines.lines().count(), 3);

    let events = text(&house.ledger(&["export", "--by", "anna", "--kind", "disclosure", "--format", "ocsf"]));
    assert!(events.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["class_uid"] == 6003));
    if cfg!(feature = "parquet") {
        let path = house.path("export.parquet");
        text(&house.ledger(&[
            "export",
            "--by",
            "anna",
            "--format",
            "parquet",
            "--output",
            path.to_str().unwrap(),
        ]));
        assert!(std::fs::read(&path).unwrap().starts_with(b"PAR1"));
    }
}
