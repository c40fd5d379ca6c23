//! The demo as a newcomer meets it: one command, then the lines that it prints, word for word.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Demo {
    child: Child,
    /// What each printed command is about, and the command.
    lines: Vec<(String, String)>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(folder: &Path) -> Demo {
    start_with(folder, &[])
}

fn start_with(folder: &Path, more: &[&str]) -> Demo {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["demo", "--listen", "127.0.0.1:0", "--shop", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(more)
        .current_dir(folder)
        // What is handed over is for `serve`.
        .env("LISTEN_FDS", "2")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    let mut about = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(text) = line.strip_prefix("# ") {
            about = text.to_owned();
        } else if line.starts_with("Ctrl-C") {
            break;
        } else if !about.is_empty() && !line.is_empty() {
            lines.push((std::mem::take(&mut about), line));
        }
    }
    assert!(!lines.is_empty(), "the demo did not start: {:?}", child.try_wait());
    Demo { child, lines }
}

impl Demo {
    fn run(&self, folder: &Path, about: &str) -> String {
        let (_, command) = self
            .lines
            .iter()
            .find(|(text, _)| text.contains(about))
            .unwrap_or_else(|| panic!("{about} in {:?}", self.lines));
        let output = Command::new("sh").args(["-c", command]).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn stop(mut self) {
        assert!(
            Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap().success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn the_printed_lines_work_as_they_stand_and_a_second_start_reuses_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let demo = start(folder);
    let full = demo.run(folder, "as the shop has it");
    assert!(
        full.contains("\"card\"") && full.contains("\"risk_score\"") && full.contains("\"date_of_birth\""),
        "{full}"
    );
    let order = demo.run(folder, "for the shipping partner");
    let full: serde_json::Value = serde_json::from_str(&full).unwrap();
    let order: serde_json::Value = serde_json::from_str(&order).unwrap();
    assert_eq!(order["shipping_address"]["city"], full["shipping_address"]["city"]);
    assert_eq!(order["recipient"]["phone"].as_str().unwrap().len(), 4);
    let names: Vec<_> = order.as_object().unwrap().keys().collect();
    assert_eq!(names, ["customer", "order_id", "recipient", "shipping_address"]);
    assert!(demo.run(folder, "not the partner's").contains("urn:fieldgate:problem:not-found"));
    let page: serde_json::Value = serde_json::from_str(&demo.run(folder, "page of orders")).unwrap();
    assert!(
        !page["data"].as_array().unwrap().is_empty()
            && page["next"].as_str().unwrap().starts_with("/orders?"),
        "{page}"
    );
    assert!(demo.run(folder, "does not list").contains("parameter-not-permitted"));
    let ticket: serde_json::Value =
        serde_json::from_str(&demo.run(folder, "for the support vendor")).unwrap();
    assert!(
        ticket["customer"]["email"].is_string()
            && ticket["customer"].get("date_of_birth").is_none()
            && ticket.get("internal").is_none()
    );
    assert!(demo.run(folder, "vendor answers").contains("comment_id"));
    assert!(demo.run(folder, "Without a certificate").contains("no-credential"));
    let ledger = demo.run(folder, "What was disclosed");
    assert!(ledger.contains("helpdesk") && ledger.contains("200 disclosed"), "{ledger}");
    assert!(demo.run(folder, "about one customer").contains("ParcelCo Logistics"));
    assert!(demo.run(folder, "verified entry by entry").contains("all right"));
    demo.stop();
    let certificate = std::fs::read(folder.join("certs/parcelco.pem")).unwrap();
    let demo = start(folder);
    assert_eq!(std::fs::read(folder.join("certs/parcelco.pem")).unwrap(), certificate);
    assert!(demo.run(folder, "for the shipping partner").contains("shipping_address"));
    demo.stop();
}

#[test]
fn with_traffic_a_new_ledger_has_weeks_of_history_that_verify_and_two_stories_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let demo = start_with(folder, &["--traffic"]);
    assert!(demo.run(folder, "verified entry by entry").contains("all right: 0 errors, 0 warnings"));
    let query = |rest: &str| {
        let (_, command) = demo.lines.iter().find(|(about, _)| about.contains("What was disclosed")).unwrap();
        let command = format!("{command} {rest} --limit 1000");
        let output = Command::new("sh").args(["-c", &command]).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // The gateway that runs may have seen more by now, but not before today.
    let yesterday = jiff::Timestamp::now().as_second() / 86_400 * 86_400;
    let yesterday = jiff::Timestamp::from_second(yesterday - 1).unwrap();
    let signals = query(&format!("--kind signal --until {yesterday}"));
    let count = |name: &str| signals.matches(&format!("signal: {name}")).count();
    assert_eq!((count("canary"), count("enumeration"), count("harvest")), (1, 2, 1), "{signals}");
    assert!(count("off-hours") >= 1 && count("new-network") == 1, "{signals}");
    assert!(count("new-upstream-field") > 0 && signals.contains("@.recipient.company"), "{signals}");
    let rules = query("--kind rules --format json");
    assert!(rules.contains("\"effect\":\"narrows\"") && !rules.contains("\"effect\":\"widens\""), "{rules}");
    demo.stop();
    let known = std::fs::read_to_string(folder.join("ledger/fieldgate.signals.json")).unwrap();
    assert!(known.contains("127.0.0.0/24"), "{known}");
}

#[test]
fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (option, other) in [("--listen", "--shop"), ("--shop", "--listen")] {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        let output = demo
            .args(["demo", option, &address, other, "127.0.0.1:0"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(&address), "{option}: {error}");
    }
}

#[test]
fn keys_are_private_and_the_sample_rules_are_without_an_error() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path()).stop();
    for name in [
        "certs/company-ca.key",
        "certs/gateway.key",
        "certs/parcelco.key",
        "ledger/subject.key",
        "ledger/signing.key",
        "ledger/fieldgate.db",
    ] {
        let mode =
            std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.path().join(name)).unwrap());
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .arg("check")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("contractors: 2"));
}
