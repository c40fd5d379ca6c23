//! The same entries on both stores give the same answers, byte for byte, apart from salts, and what is made of them, and
//! from the name of the node.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use fieldgate::ledger::{Form, Search};
use serde_json::{Value, json};
use tokio::task::block_in_place;

use super::desk::{Desk, Kind};
use super::drafts;
use super::recovery::{answer, queries};
use crate::support::{CONFIG, RULES};

/// Without the random salts, and without the name of the node, which only a fleet's entries have.
fn comparable(text: &str) -> String {
    let mut parts = text.split("\"salt\":\"");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        rest.push_str(part.split_once('"').unwrap().1);
    }
    let rest = rest.replace(",\"node\":\"node-0\"", "").replace(",node-0\r\n", ",\r\n");
    let line = |line: &str| {
        let name = [" NODE", " node-0"].iter().find_map(|name| line.strip_suffix(name));
        name.map_or_else(|| line.to_owned(), |line| line.trim_end().to_owned())
    };
    rest.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A disk and a node of a fleet with the same keys and the same history.
async fn both() -> [Desk; 2] {
    let desks = [Desk::new(Kind::Disk), Desk::new(Kind::Fleet)];
    desks[0].signer();
    for file in ["subject.key", "pseudonym.key"] {
        std::fs::write(desks[0].file(file), drafts::KEY).unwrap();
        std::fs::set_permissions(desks[0].file(file), PermissionsExt::from_mode(0o600)).unwrap();
    }
    for file in ["signing.key", "subject.key", "pseudonym.key"] {
        std::fs::copy(desks[0].file(file), desks[1].file(file)).unwrap();
    }
    let began = jiff::Timestamp::now().as_microsecond() - 10_000_000;
    for desk in &desks {
        let opened = desk.open().await;
        opened.record_all(drafts::history(began)).await;
        drop(opened);
        // What is archived last is indexed at the next start at the latest.
        drop(desk.open().await);
    }
    desks
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_and_exports_are_the_same_on_both_stores() {
    let desks = both().await;
    let searches = desks.each_ref().map(|desk| Search::open(&desk.path()).unwrap());
    let mut found = 0;
    for query in queries() {
        for form in [Form::JsonLines, Form::Csv, Form::Ocsf, Form::Table] {
            let [disk, fleet] = searches.each_ref().map(|search| comparable(&answer(search, &query, form)));
            assert_eq!(disk, fleet, "{query:?}");
            found += disk.lines().count();
        }
    }
    assert!(found > 2000, "{found}");
    let [disk, fleet] = desks.each_ref().map(|desk| {
        let mut report = serde_json::to_value(desk.verify(None)).unwrap();
        report["root"].take();
        report
    });
    assert_eq!(disk, fleet);
    assert_eq!((&disk["size"], &disk["findings"]["errors"]), (&json!(302), &json!(0)));
}

/// A configuration for the commands.
fn configure(desk: &Desk) {
    let (store, table) = match &desk.fleet {
        None => ("store = \"sqlite:fieldgate.db\"\n".to_owned(), String::new()),
        Some(fleet) => fleet.configuration(),
    };
    let keys =
        "signing_key = \"signing.key\"\nsubject_key = \"subject.key\"\npseudonym_key = \"pseudonym.key\"\n";
    let ledger = format!("[ledger]\n{store}{keys}{table}");
    let config = CONFIG.replace("[ledger]\n", &ledger).replace("UPSTREAM", "127.0.0.1:1");
    std::fs::write(desk.file("fieldgate.toml"), config).unwrap();
    std::fs::create_dir(desk.file("rules")).unwrap();
    std::fs::write(desk.file("rules/parcelco.toml"), RULES).unwrap();
}

fn run(desk: &Desk, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.arg("ledger").args(arguments).arg("--config").arg(desk.file("fieldgate.toml"));
    let output = block_in_place(|| command.output().unwrap());
    // The history has disclosures after a withdrawal, which is what this question is for.
    let code = i32::from(arguments.contains(&"--after-withdrawal"));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_the_same_on_both_stores() {
    let desks = both().await;
    desks.iter().for_each(configure);
    for arguments in [
        &["query", "--format", "json", "--limit", "1000"][..],
        &["query", "--subject", "c-3", "--format", "json", "--limit", "1000"],
        &["query", "--contractor", "helpdesk", "--outcome", "not-found"],
        &["query", "--after-withdrawal", "--format", "json"],
        &["export", "--format", "ocsf", "--by", "anna"],
        &["export", "--format", "csv", "--task", "deliver-order", "--by", "anna"],
    ] {
        let [disk, fleet] = desks.each_ref().map(|desk| comparable(&run(desk, arguments)));
        assert_eq!(disk, fleet, "{arguments:?}");
        assert!(!disk.is_empty(), "{arguments:?}");
    }
    let [disk, fleet] = desks.each_ref().map(|desk| {
        let account = run(desk, &["account", "c-3", "--format", "json", "--by", "anna"]);
        let mut account: Value = serde_json::from_str(&account).unwrap();
        account["prepared"].take();
        account["ledger"]["root"].take();
        account
    });
    assert_eq!(disk, fleet);
    assert!(disk["disclosures"].as_u64().unwrap() > 15, "{disk}");
    let [disk, fleet] = desks.each_ref().map(|desk| {
        let report = run(desk, &["verify", "--format", "json"]);
        let mut report: Value = serde_json::from_str(&report).unwrap();
        report["root"].take();
        report
    });
    assert_eq!(disk, fleet);
    assert_eq!((&disk["clean"], &disk["size"]), (&json!(true), &json!(305)));
}
