//! What `fieldgate explain` shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const ORDER: &str = r#"{"order_id":7,"carrier":"parcelco","status":"ready_to_ship","customer":{"id":"c-1"},"recipient":{"name":"Anna\u001b[2J","phone":"+31 6 1234 5678"},"shipping_address":{"city":{"name":"Lyon"}}}"#;

fn explain(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    command.arg("explain").args(arguments).current_dir(folder).output().unwrap()
}

fn house(order: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("rules/parcelco.toml", include_str!("../rules/parcelco.toml"));
    write("fieldgate.toml", "jurisdiction = \"US\"\n[upstream.orders]\nurl = \"http://127.0.0.1:1\"\n");
    write("order.json", order);
    folder
}

#[test]
fn each_value_has_its_reason_and_the_reduced_body_is_the_filters() {
    let house = house(ORDER);
    let output =
        explain(house.path(), &["parcelco", "/orders/7", "--input", "order.json", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fates: Vec<_> = said["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| format!("{} {}", value["path"].as_str().unwrap(), value["fate"].as_str().unwrap()))
        .collect();
    assert_eq!(
        fates,
        [
            "$['order_id'] kept",
            "$['carrier'] unlisted",
            "$['status'] unlisted",
            "$['customer']['id'] changed",
            "$['recipient']['name'] kept",
            "$['recipient']['phone'] changed",
            "$['shipping_address']['city'] drifted",
            "$['shipping_address']['city']['name'] drifted",
        ]
    );
    let reduced: Value = serde_json::from_str(said["reduced"].as_str().unwrap()).unwrap();
    assert_eq!(reduced["recipient"]["phone"], "5678");
    let body = explain(house.path(), &["parcelco", "/orders/7", "--input", "order.json", "--format", "body"]);
    assert_eq!(String::from_utf8(body.stdout).unwrap().trim_end(), said["reduced"].as_str().unwrap());
    let table = explain(house.path(), &["parcelco", "/orders/7", "--input", "order.json"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("phone: \"5678\"  @.recipient.phone (last4)"), "{table}");
    assert!(!table.contains('\u{1b}'), "an upstream's text steers the terminal");
}

#[test]
fn what_would_be_refused_ends_with_1_and_says_how() {
    for (order, path, said) in [
        (ORDER.replace("ready_to_ship", "packed"), "/orders/7", "404: the condition does not hold"),
        (ORDER.replace("\"carrier\"", "\"status\""), "/orders/7", "502: a member name occurs twice"),
        (ORDER.to_owned(), "/customers/1", "404"),
    ] {
        let house = house(&order);
        let output = explain(house.path(), &["parcelco", path, "--input", "order.json"]);
        let text = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(String::from_utf8_lossy(&text).contains(said), "{}", String::from_utf8_lossy(&text));
    }
    let house = house(ORDER);
    assert_eq!(
        explain(house.path(), &["nobody", "/orders/7", "--input", "order.json"]).status.code(),
        Some(2)
    );
    assert_eq!(
        explain(house.path(), &["parcelco", "/orders/7", "--input", "none.json"]).status.code(),
        Some(2)
    );
}

fn check(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fieldgate")).arg("check").current_dir(folder).output().unwrap()
}

#[test]
fn a_saved_fixture_is_run_by_check_and_a_rule_that_breaks_it_is_an_error() {
    let house = house(ORDER);
    let save = |name: &str| {
        explain(
            house.path(),
            &["parcelco", "/orders/7", "--input", "order.json", "--save", name, "--format", "body"],
        )
    };
    assert_eq!(save("one-order").status.code(), Some(0));
    assert_eq!(save("one-order").status.code(), Some(2), "it is there already");
    assert_eq!(save("../out").status.code(), Some(2));
    let packed = ORDER.replace("ready_to_ship", "packed");
    std::fs::write(house.path().join("order.json"), packed).unwrap();
    assert_eq!(save("not-ours").status.code(), Some(1));
    assert!(!house.path().join("rules/fixtures/not-ours/expected.json").exists());
    let good = check(house.path());
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(String::from_utf8_lossy(&good.stdout).contains("fixtures: 2; 0 errors"), "{good:?}");

    let rules = house.path().join("rules/parcelco.toml");
    let text = std::fs::read_to_string(&rules).unwrap();
    for (changed, said) in [
        (
            text.replacen("  { path = \"@.recipient.name\", category = \"user.name\" },\n", "", 1),
            "is not what leaves",
        ),
        (text.replacen("ready_to_ship", "packed", 1), "nothing leaves: the condition does not hold"),
        (
            text.replacen("path     = \"/orders/{order_id}\"", "path     = \"/order/{order_id}\"", 1),
            "parcelco has no route for GET /orders/7",
        ),
    ] {
        std::fs::write(&rules, changed).unwrap();
        let broken = check(house.path());
        assert_eq!(broken.status.code(), Some(1), "{said}");
        assert!(String::from_utf8_lossy(&broken.stderr).contains(said), "{broken:?}");
    }
}

const GRANT: &str = r#"
[[task]]
id = "court"
purpose = "Answer an order of the court"
basis = "legal-obligation"
[task.legal]
case = "2026/17"
authority = "District Court of Amsterdam"
approved_by = ["Anna Jansen", "Bram de Vries"]
expires = 2099-12-31
subjects = ["c-1", 7]
[[task.route]]
path = "/court"
upstream = "orders"
records = "$.data[*]"
subject = "@.customer.id"
when = "@.open"
disclose = ["@.name"]
[[task.route]]
path = "/court/{id}"
upstream = "orders"
subject = "@.customer.id"
disclose = ["@.name"]
"#;

#[test]
fn whom_a_grant_does_not_name_is_said_of_each_record() {
    let list = r#"{"data":[{"customer":{"id":"c-1"},"open":1,"name":"Ada"},{"customer":{"id":7.0},"open":1,"name":"Bo"},
        {"customer":{"id":7},"name":"Cy"},{"customer":{"id":"\u0037"},"open":1,"name":"Di"},{"open":1,"name":"Eve"}]}"#;
    let house = house(list);
    let write = |name: &str, text: &str| std::fs::write(house.path().join(name), text).unwrap();
    write("rules/parcelco.toml", &format!("{}{GRANT}", include_str!("../rules/parcelco.toml")));
    let output = explain(house.path(), &["parcelco", "/court", "--input", "order.json", "--format", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["reduced"], r#"{"data":[{"name":"Ada"},{"name":"Di"}]}"#);
    let names = said["values"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|value| value["path"].as_str().unwrap().ends_with("['name']"));
    let fates: Vec<_> = names.map(|value| value["fate"].as_str().unwrap()).collect();
    assert_eq!(fates, ["kept", "not-admitted", "condition", "kept", "not-admitted"]);

    write("order.json", r#"{"customer":{"id":"c-2"},"name":"Fay"}"#);
    let output = explain(house.path(), &["parcelco", "/court/1", "--input", "order.json"]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("404: the grant names somebody else, so nothing leaves"), "{table}");
    assert!(table.contains("the grant does not name the record's customer"), "{table}");

    // It can be looked at when it has ended too, and says so.
    let over = GRANT.replace("2099-12-31", "2026-06-30");
    write("rules/parcelco.toml", &format!("{}{over}", include_str!("../rules/parcelco.toml")));
    write("order.json", r#"{"customer":{"id":"c-1"},"name":"Ada"}"#);
    let arguments = ["parcelco", "/court/1", "--input", "order.json", "--format", "body", "--save", "named"];
    let output = explain(house.path(), &arguments);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"name\":\"Ada\"}\n");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("the legal grant of task court is not in force")
    );
    assert_eq!(check(house.path()).status.code(), Some(0), "a fixture holds also when the grant has ended");
    write("rules/fixtures/named/upstream.json", r#"{"customer":{"id":"c-2"},"name":"Ada"}"#);
    let broken = check(house.path());
    assert!(
        String::from_utf8_lossy(&broken.stderr).contains("or the customer is not let through"),
        "{broken:?}"
    );
}
