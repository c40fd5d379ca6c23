//! Legal grants: who is named leaves, until a day, and the customer is told when that is allowed. Customers here
//! carry the planted word: their ids are in no response, no log and no file of the ledger.

use std::process::Output;

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, CONFIG, House, PLANTED, RULES};

/// A task on a grant, with more lines of its table.
fn granted(id: &str, more: &str) -> String {
    format!(
        r#"
[[task]]
id = "{id}"
purpose = "Answer an order of the court"
basis = "legal-obligation"
[task.legal]
case = "2026/{id}"
authority = "District Court of Amsterdam"
approved_by = ["Anna Jansen", "Bram de Vries"]
subjects = ["PLANTED-7", 1007]
{more}
[[task.route]]
path = "/{id}/orders/{{order_id}}"
upstream = "orders"
subject = "@.customer"
disclose = ["@.name"]
[[task.route]]
path = "/{id}/orders"
query = ["cursor"]
upstream = "orders"
records = "$.data[*]"
subject = "@.customer"
disclose = ["@.name", {{ path = "$.next", transform = "rewrite-url" }}]
"#
    )
}

const OPEN: &str = "expires = 2099-12-31";
const HELD: &str = "expires = 2099-12-31\nhold_until = 2099-06-30\nhold_reference = \"letter of the court\"";
const TOLD: &str = "expires = 2099-12-31\nhold_until = 2026-01-02\nhold_reference = \"letter of the court\"";

async fn house(tasks: &[String]) -> House {
    House::with(CONFIG, &[("parcelco", &format!("{RULES}{}", tasks.concat()))]).await
}

fn record(customer: &str) -> String {
    format!(r#"{{"customer":{customer},"name":"Jan","email":"PLANTED@example.com"}}"#)
}

fn answers(house: &House, path: &str, customer: &str) {
    house.upstream.on(path, Answer::json(record(customer)));
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The entries about what was disclosed.
fn disclosures(house: &House) -> Vec<Value> {
    let entries = house.entries().into_iter();
    entries.filter(|entry| entry["kind"] == "disclosure").collect()
}

#[tokio::test]
async fn only_records_of_customers_whom_the_grant_names_leave_and_each_use_says_on_what_ground() {
    let house = house(&[granted("case-1", OPEN)]).await;
    let client = house.parcelco();
    for (id, customer) in [
        (1, "\"PLANTED-7\""),
        (2, "1007"),
        (3, "\"PLANTED-8\""),
        (4, "\"planted-7\""),
        (5, "null"),
        (6, "[1007]"),
    ] {
        let path = format!("/case-1/orders/{id}");
        answers(&house, &path, customer);
        let response = house.get(&client, &path).await;
        let named = id <= 2;
        assert_eq!(response.status, if named { StatusCode::OK } else { StatusCode::NOT_FOUND }, "{customer}");
        match named {
            true => assert_eq!(response.body, r#"{"name":"Jan"}"#),
            false => assert_eq!(response.code(), "not-found"),
        }
    }
    let unknown = house.get(&client, "/nothing-here").await;
    let other = house.get(&client, "/case-1/orders/3").await;
    let public = |response: &crate::support::Response| -> Value {
        let mut problem: Value = serde_json::from_str(&response.body).unwrap();
        problem["instance"] = Value::Null;
        problem
    };
    assert_eq!(public(&unknown), public(&other), "the answer tells nothing");

    let all = ["\"PLANTED-7\"", "\"PLANTED-9\"", "1007", "null"].map(record).join(",");
    house.upstream.on("/case-1/orders", Answer::json(format!(r#"{{"data":[{all}],"total":"PLANTED"}}"#)));
    let list = house.get(&client, "/case-1/orders").await;
    assert_eq!(list.body, r#"{"data":[{"name":"Jan"},{"name":"Jan"}]}"#);
    // No named customer, no record, and nothing beside it.
    house.upstream.on("/case-1/orders", Answer::json(format!(r#"{{"data":[{}]}}"#, record("\"PLANTED-9\""))));
    assert_eq!(house.get(&client, "/case-1/orders").await.body, r#"{"data":[]}"#);

    let entry = house.entries_of(&list.disclosure_id())[0].clone();
    assert_eq!(
        entry["legal"],
        json!({
            "case": "2026/case-1",
            "authority": "District Court of Amsterdam",
            "approved_by": ["Anna Jansen", "Bram de Vries"],
            "expires": "2099-12-31",
        })
    );
    assert_eq!((&entry["basis"], &entry["subjects_total"]), (&"legal-obligation".into(), &2.into()));
    assert_eq!(
        entry["records"],
        json!({"released": 2, "withheld": 2, "not_admitted": 2, "without_subject": 0})
    );
    let count = disclosures(&house).len();
    for filter in [["--basis", "legal-obligation"], ["--case", "2026/case-1"]] {
        let found = text(&house.ledger(&[&["query", "--format", "json"], &filter[..]].concat()));
        assert_eq!(found.lines().count(), count, "{filter:?}");
    }
    assert_eq!(text(&house.ledger(&["query", "--format", "json", "--case", "2026"])), "");
    assert!(text(&house.ledger(&["query"])).contains("200 disclosed, legal grant"));
    house.assert_clean();
}

#[tokio::test]
async fn an_answer_without_a_body_says_nothing_of_whom_it_is_about_and_is_refused() {
    let house = house(&[granted("case-1", OPEN)]).await;
    let empty = Answer::Http { status: "204 No Content".into(), headers: vec![], body: Vec::new() };
    house.upstream.on("/case-1/orders/1", empty);
    assert_eq!(house.get(&house.parcelco(), "/case-1/orders/1").await.status, StatusCode::NOT_FOUND);
    assert!(disclosures(&house).is_empty());
    house.assert_clean();
}

#[tokio::test]
async fn lines_and_long_lists_are_held_against_the_grant_record_by_record() {
    let house = house(&[granted("case-1", OPEN)]).await;
    let client = house.parcelco();
    let lines = ["\"PLANTED-7\"", "\"PLANTED-8\"", "1007", "null"].map(|id| record(id) + "\n").concat();
    let headers = vec![("Content-Type".to_owned(), "application/x-ndjson".to_owned())];
    let answer = Answer::Http { status: "200 OK".into(), headers, body: lines.into_bytes() };
    house.upstream.on("/case-1/orders/1", answer);
    assert_eq!(house.get(&client, "/case-1/orders/1").await.body, "{\"name\":\"Jan\"}\n".repeat(2));

    // Every other record is of somebody else; what leaves is more than one part takes.
    let name = "n".repeat(500);
    let long = |customer: &str| record(customer).replace("Jan", &name);
    let pair = format!("{},{}", long("1007"), long("\"PLANTED-8\""));
    let list = vec![pair; 1_000].join(",");
    house.upstream.on("/case-1/orders", Answer::json(format!(r#"{{"data":[{list}]}}"#)));
    let response = house.receive(&client, "/case-1/orders").await;
    assert!(response.whole);
    assert_eq!(
        response.text(),
        format!(r#"{{"data":[{}]}}"#, vec![format!(r#"{{"name":"{name}"}}"#); 1_000].join(","))
    );
    let entries = house.entries_of(&response.disclosure_id());
    assert!(entries.len() > 2 && entries.iter().all(|entry| entry["legal"]["case"] == "2026/case-1"));
    house.assert_clean();
}

#[tokio::test]
async fn a_grant_that_has_ended_or_not_begun_is_as_if_it_were_not_written() {
    let over = granted("over", "expires = 2026-06-30");
    let soon = granted("soon", "effective = 2099-01-01\nexpires = 2099-12-31");
    // Of the same path, and before the other task's: it must not stand in its way.
    let before = over.replace("/over/orders/{order_id}", "/customers/5/name");
    let before = before.replace("\"over\"", "\"before\"").replace("/over/", "/before/");
    let house = house(&[over, soon, before]).await;
    let client = house.parcelco();
    for task in ["over", "soon"] {
        let path = format!("/{task}/orders/1");
        answers(&house, &path, "\"PLANTED-7\"");
        let refused = house.get(&client, &path).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    }
    house.upstream.on("/customers/5/name", Answer::json(r#"{"id":"PLANTED-5","name":"Jan"}"#));
    assert!(house.get(&client, "/customers/5/name").await.body.contains("\"name\":\"Jan\""));
    let named = client.with("fieldgate-task", "before");
    let refused = house.get(&named, "/customers/5/name").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "no-such-task"));
    assert_eq!(house.upstream.requests().len(), 1, "nobody was asked");
    let checked = house.command(&["check"]);
    assert!(checked.status.success());
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("is past: nothing leaves by this task") && !said.contains(PLANTED), "{said}");
    house.assert_clean();
}

#[tokio::test]
async fn the_customer_is_told_of_a_use_when_its_hold_has_ended_and_until_then_nothing_shows_that_there_is_one()
 {
    let house = house(&[granted("held", HELD), granted("told", TOLD)]).await;
    let client = house.parcelco();
    let account = |format: &str| house.ledger(&["account", "PLANTED-7", "--by", "anna", "--format", format]);
    // What differs between two accounts that were given one after the other.
    let plain = |page: String| {
        let lines =
            page.lines().filter(|line| !line.contains("datetime=") && !line.contains("class=\"root\""));
        lines.filter(|line| !line.contains("This account was taken from")).collect::<Vec<_>>().join("\n")
    };
    let before = plain(text(&account("html")));
    answers(&house, "/held/orders/1", "\"PLANTED-7\"");
    let held = house.get(&client, "/held/orders/1").await;
    assert_eq!(held.status, StatusCode::OK);
    let entry = house.entries_of(&held.disclosure_id())[0].clone();
    assert_eq!(
        (&entry["legal"]["hold_until"], &entry["legal"]["hold_reference"]),
        (&"2099-06-30".into(), &"letter of the court".into())
    );
    assert_eq!(plain(text(&account("html"))), before, "an account with a held use is that without one");
    for format in ["table", "json", "html"] {
        let output = account(format);
        let copy = text(&output);
        assert!(!copy.contains("2026/held") && !copy.contains("hold") && !copy.contains("legal"), "{copy}");
        let beside = String::from_utf8(output.stderr).unwrap();
        assert!(beside.contains("For the company alone: 1 use of legal grants is left out"), "{beside}");
    }
    assert_eq!(serde_json::from_str::<Value>(&text(&account("json"))).unwrap()["disclosures"], 0);

    answers(&house, "/told/orders/1", "\"PLANTED-7\"");
    house.get(&client, "/told/orders/1").await;
    let json: Value = serde_json::from_str(&text(&account("json"))).unwrap();
    assert_eq!((&json["disclosures"], &json["groups"][0]["case"]), (&1.into(), &"2026/told".into()));
    assert!(
        !json.to_string().contains("letter of the court") && !json.to_string().contains("Bram"),
        "{json}"
    );
    for format in ["table", "html"] {
        let copy = text(&account(format));
        assert!(copy.contains("Required by law: case 2026/told, District Court of Amsterdam"), "{copy}");
        assert!(!copy.contains("2026/held"), "{copy}");
    }
    // The company itself sees both.
    let query = ["query", "--subject", "PLANTED-7", "--basis", "legal-obligation", "--format", "json"];
    assert_eq!(text(&house.ledger(&query)).lines().count(), 2);
    let csv = text(&house.ledger(&["export", "--by", "anna", "--format", "csv", "--kind", "disclosure"]));
    assert!(csv.contains("Anna Jansen; Bram de Vries,2099-06-30,letter of the court"), "{csv}");
    let events = text(&house.ledger(&["export", "--by", "anna", "--format", "ocsf", "--case", "2026/held"]));
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(event["unmapped"]["legal"]["case"], "2026/held");
    assert!(!csv.contains(PLANTED) && !events.contains(PLANTED));
    house.assert_clean();
}

#[tokio::test]
async fn a_hold_that_is_put_off_counts_for_earlier_uses_and_without_rules_no_use_is_told() {
    let house = house(&[granted("case-1", TOLD)]).await;
    answers(&house, "/case-1/orders/1", "\"PLANTED-7\"");
    house.get(&house.parcelco(), "/case-1/orders/1").await;
    let account = || house.ledger(&["account", "PLANTED-7", "--by", "anna"]);
    assert!(text(&account()).contains("1 disclosures"));
    let rules = house.path("rules/parcelco.toml");
    std::fs::write(&rules, format!("{RULES}{}", granted("case-1", HELD))).unwrap();
    let output = account();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("1 use of legal grants is left out"),
        "{output:?}"
    );
    assert!(text(&output).contains("0 disclosures"));
    std::fs::write(&rules, "broken").unwrap();
    let output = account();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    house.assert_clean();
}

#[tokio::test]
async fn the_contractor_is_told_nothing_of_the_grant() {
    let house = house(&[granted("case-1", HELD)]).await;
    answers(&house, "/case-1/orders/1", "\"PLANTED-7\"");
    let client = house.parcelco();
    let response = house.get(&client, "/case-1/orders/1").await;
    let receipt = format!("/.well-known/fieldgate/receipts/{}", response.disclosure_id());
    let receipt = house.send_unknown(&client, http::Method::GET, &receipt, "").await;
    assert_eq!(receipt.status, StatusCode::OK);
    for said in [&response, &receipt] {
        let all = format!("{:?} {}", said.headers, said.body);
        assert!(
            !all.contains("2026/case-1") && !all.contains("Court of") && !all.contains("Jansen"),
            "{all}"
        );
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_rule_file_that_lists_its_customers_wrong_says_so_without_showing_one() {
    let twice = granted("case-1", OPEN).replace("1007]", "1007, \"PLANTED-7\", \"PLANTED-8\" ]");
    let no_comma = granted("case-1", OPEN).replace("1007]", "1007,\n  \"PLANTED-8\"\n  \"PLANTED-9\"\n]");
    for (wrong, what) in [(twice, "is listed twice"), (no_comma, "this is not TOML")] {
        let house = House::closed(CONFIG, &[("parcelco", &format!("{RULES}{wrong}"))]).await;
        for format in ["table", "json"] {
            let output = house.command(&["check", "--format", format]);
            let said = format!("{output:?}");
            assert!(output.status.code() == Some(1) && said.contains(what), "{said}");
            assert!(!said.contains(PLANTED), "{said}");
        }
    }
}
