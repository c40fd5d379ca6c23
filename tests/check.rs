//! What `fieldgate check` and `fieldgate explain-code` say, and how they end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const RULES: &str = include_str!("../rules/parcelco.toml");
const GATEWAY: &str = "jurisdiction = \"US\"\n[upstream.orders]\nurl = \"http://127.0.0.1:1\"\n";

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn house(rules: &str, gateway: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/parcelco.toml"), rules).unwrap();
    std::fs::write(folder.path().join("fieldgate.toml"), gateway).unwrap();
    folder
}

/// Code and message of all that is found, and the exit code.
fn found(house: &Path, arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let output = run(house, &[&["check", "--format", "json"], arguments].concat());
    let lines = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let said: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| said[key].as_str().unwrap().to_owned();
        format!("{} {} {}", text("code"), text("file"), text("message"))
    };
    (lines.lines().map(line).collect(), output.status.code())
}

#[test]
fn the_rules_of_the_repository_have_no_error_and_no_warning() {
    let output = run(Path::new("."), &["check", "--deny-warnings"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_warning_ends_with_0_and_with_1_where_warnings_are_denied() {
    let house = house(&RULES.replace("subject  = \"@.customer.id\"\n", ""), GATEWAY);
    let (said, code) = found(house.path(), &[]);
    assert!(said.len() == 3 && said.iter().all(|line| line.starts_with("W401")), "{said:?}");
    assert_eq!(code, Some(0));
    assert_eq!(found(house.path(), &["--deny-warnings"]), (said, Some(1)));
}

#[test]
fn sarif_names_the_rule_the_file_and_the_line() {
    let house = house(&RULES.replace("\"contract\"", "\"because\""), GATEWAY);
    let output = run(house.path(), &["check", "--format", "sarif"]);
    assert_eq!(output.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let result = &log["runs"][0]["results"][0];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &log["runs"][0]["tool"]["driver"]["rules"][index]["id"];
    assert_eq!(
        (&result["ruleId"], &result["level"], rule),
        (&"E105".into(), &"error".into(), &"E105".into())
    );
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "rules/parcelco.toml");
    let line = RULES.lines().position(|line| line.starts_with("basis")).unwrap() + 1;
    assert_eq!(place["region"]["startLine"], line);
}

#[test]
fn a_code_is_explained_and_an_unknown_one_ends_with_2() {
    let explained = run(Path::new("."), &["explain-code", "e103"]);
    let text = String::from_utf8(explained.stdout).unwrap();
    assert_eq!(explained.status.code(), Some(0));
    assert!(
        text.starts_with("E103 (error): ") && text.contains("Wrong:\n") && text.contains("Right:\n"),
        "{text}"
    );
    let unknown = run(Path::new("."), &["explain-code", "E193"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("E103"));
    let all = String::from_utf8(run(Path::new("."), &["explain-code"]).stdout).unwrap();
    assert!(all.lines().count() > 60 && all.lines().any(|line| line.starts_with("W421  ")), "{all}");
}

#[test]
fn an_agreement_that_ends_soon_is_told() {
    let today = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    for (days, told) in [(1, true), (30, true), (31, false)] {
        let day = today.checked_add(jiff::ToSpan::days(days)).unwrap();
        let house = house(&RULES.replace("2027-12-31", &day.to_string()), GATEWAY);
        let (said, code) = found(house.path(), &["--deny-warnings"]);
        assert_eq!(
            (said.iter().any(|line| line.starts_with("W221")), code),
            (told, Some(i32::from(told))),
            "{said:?}"
        );
    }
}

#[test]
fn bodies_that_use_up_the_memory_are_told_where_they_are_held_as_a_whole() {
    let large = format!("{GATEWAY}max_body = \"64MiB\"\n");
    let (said, _) = found(house(RULES, &large).path(), &[]);
    assert!(said.len() == 1 && said[0].starts_with("W611 fieldgate.toml "), "{said:?}");
    assert_eq!(
        found(house(RULES, &format!("{large}[limits]\nbody_memory = \"384MiB\"\n")).path(), &[]).0,
        [""; 0]
    );
    // What leaves record by record holds none of them.
    let one = RULES.find("[[task.route]]").unwrap();
    let lists = RULES.match_indices("[[task.route]]").nth(1).unwrap().0;
    let streams = RULES[..one].to_owned() + &RULES[lists..];
    assert_eq!(found(house(&streams, &large).path(), &[]).0, [""; 0]);
}

/// Saves an answer as an example whose outcome is what leaves now, and checks it.
fn with_fixture(upstream: &str) -> Vec<String> {
    let house = house(RULES, GATEWAY);
    std::fs::write(house.path().join("answer.json"), upstream).unwrap();
    let saved =
        run(house.path(), &["explain", "parcelco", "/orders/7", "--input", "answer.json", "--save", "one"]);
    assert_eq!(saved.status.code(), Some(0), "{saved:?}");
    found(house.path(), &[]).0
}

#[test]
fn an_example_that_the_rule_does_not_fit_is_named() {
    let order = |customer: &str, city: &str, phone: &str| {
        format!(
            r#"{{"order_id":7,"carrier":"parcelco","status":"ready_to_ship","customer":{customer},"shipping_address":{{"city":{city}}},"recipient":{{"phone":{phone}}}}}"#
        )
    };
    let (id, city, phone) = (r#"{"id":"c-1"}"#, r#""Lyon""#, r#""+31612345678""#);
    assert_eq!(with_fixture(&order(id, city, phone)), [""; 0]);
    for (answer, code) in [
        (order(id, r#"{"name":"Lyon"}"#, phone), "W511"),
        (order(id, city, "7"), "W512"),
        (order(r#"{"number":1}"#, city, phone), "W513"),
    ] {
        let said = with_fixture(&answer);
        let place = "rules/fixtures/one/fixture.toml ";
        assert!(said.len() == 1 && said[0].starts_with(code) && said[0].contains(place), "{said:?}");
        assert!(!said[0].contains("Lyon"), "a value is shown");
    }
}
