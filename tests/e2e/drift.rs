//! What upstreams send is learned by names and types, and what is not as it was is a signal.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CONFIG, House, RULES, order};

const DAY: i64 = 86_400;

fn state(house: &House) -> std::path::PathBuf {
    house.path("ledger/fieldgate.shapes.json")
}

fn kept(house: &House) -> Value {
    serde_json::from_slice(&std::fs::read(state(house)).unwrap()).unwrap()
}

fn close(house: &mut House) {
    house.signal("-TERM");
    assert!(house.wait().success());
}

fn ready() -> String {
    order(1, "parcelco", "ready_to_ship")
}

/// A house whose gateway has seen so many orders, for so many days.
async fn house_that_knows(samples: u64, days: i64) -> House {
    let mut house = House::with(CONFIG, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(ready()));
    house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    let mut known = kept(&house);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64 - days * DAY;
    for route in known["routes"].as_object_mut().unwrap().values_mut() {
        for field in route["fields"].as_object_mut().unwrap().values_mut() {
            (field["known"], field["met"]) = (json!(began), json!(samples));
        }
        (route["shape"]["began"], route["shape"]["samples"]) = (json!(began), json!(samples));
        for path in route["shape"]["paths"].as_object_mut().unwrap().values_mut() {
            path["seen"] = json!(samples);
        }
    }
    std::fs::write(state(&house), known.to_string()).unwrap();
    house.open();
    house
}

/// Asks for the order until there are so many signals of a name.
async fn asked_until(house: &House, name: &str, count: usize) -> Vec<Value> {
    let (began, client) = (Instant::now(), house.parcelco());
    loop {
        let response = house.send_unknown(&client, Method::GET, "/orders/1", "").await;
        assert_eq!(response.status, 200);
        let found = signals(house, name);
        if found.len() >= count {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no {name}: {:?}", signals(house, ""));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Those of a name, or all.
fn signals(house: &House, name: &str) -> Vec<Value> {
    let mut entries = house.entries();
    entries.retain(|entry| entry["kind"] == "signal" && (name.is_empty() || entry["signal"] == name));
    entries
}

#[tokio::test]
async fn a_field_that_an_upstream_begins_to_send_is_told_within_seconds_and_withheld() {
    let mut house = house_that_knows(30, 2).await;
    // Beside it a member that is named by a value, and one of an object whose name is known.
    let grown = ready().replace(
        "\"customer\":{",
        "\"customer\":{\"PLANTED.anna@example.com\":{\"PLANTED\":1},\"vat_number\":\"PLANTED\",",
    );
    house.upstream.on("/orders/1", Answer::json(grown));
    let [signal] = &asked_until(&house, "new-upstream-field", 1).await[..] else { panic!() };
    let change = "it is withheld; if the task needs it, add \"@.customer.vat_number\" to `disclose`";
    let expected = json!({ "path": "@.customer.vat_number", "types": ["string"], "change": change });
    assert_eq!(signal["details"], expected);
    assert_eq!((&signal["task"], &signal["route"]), (&json!("deliver-order"), &json!("/orders/{order_id}")));
    let known = house.told().iter().any(|entry| entry["id"] == signal["entries"][0]);
    assert!(known, "{signal}");
    house.logged("\"signal\":\"new-upstream-field\"").await;
    let table = house.ledger(&["query", "--kind", "signal"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(
        table.contains("signal: new-upstream-field (path @.customer.vat_number, types string)"),
        "{table}"
    );

    // Once, also over a restart.
    close(&mut house);
    house.open();
    for _ in 0..3 {
        house.get(&house.parcelco(), "/orders/1").await;
    }
    close(&mut house);
    assert_eq!(signals(&house, "").len(), 1);
    house.open();
    house.assert_clean();
}

#[tokio::test]
async fn a_disclosed_field_that_changes_its_type_or_vanishes_is_told_with_what_to_change() {
    let house = house_that_knows(30, 2).await;
    let retyped = ready().replace("\"name\":\"Anna Jansen\"", "\"name\":{\"first\":\"PLANTED\"}");
    let changed = retyped.replace("\"phone\":\"+31 6 1234 5678\",", "");
    assert_ne!(retyped, changed);
    house.upstream.on("/orders/1", Answer::json(changed));
    let [signal] = &asked_until(&house, "field-retyped", 1).await[..] else { panic!() };
    let change =
        "an object is withheld; list the members that the task needs instead of \"@.recipient.name\"";
    let expected =
        json!({ "path": "@.recipient.name", "from": ["string"], "to": ["object"], "change": change });
    assert_eq!(signal["details"], expected);
    // What is there and withheld has not vanished.
    let [signal] = &asked_until(&house, "field-vanished", 1).await[..] else { panic!() };
    assert_eq!(signal["details"]["path"], "@.recipient.phone");
    assert_eq!(signal["details"]["answers"], 20);
    assert_eq!(signals(&house, "field-vanished").len(), 1);
    house.assert_clean();
}

#[tokio::test]
async fn a_field_that_nobody_received_for_90_days_is_told_where_its_route_is_used() {
    let mut house = house_that_knows(30, 91).await;
    house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    // All of them were received when the house was made; only what never was counts.
    assert_eq!(signals(&house, "field-unused").len(), 0);
    let mut known = kept(&house);
    for route in known["routes"].as_object_mut().unwrap().values_mut() {
        if let Some(field) = route["fields"].get_mut("@.recipient.phone") {
            field["disclosed"] = Value::Null;
        }
    }
    std::fs::write(state(&house), known.to_string()).unwrap();
    house.upstream.on("/orders/1", Answer::json(ready().replace("\"+31 6 1234 5678\"", "12345678")));
    house.open();
    house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    let [signal] = &signals(&house, "field-unused")[..] else { panic!("{:?}", signals(&house, "")) };
    let change = "remove \"@.recipient.phone\" from `disclose`";
    assert_eq!(signal["details"], json!({ "path": "@.recipient.phone", "days": 91, "change": change }));
    house.verify();
}

#[tokio::test]
async fn what_is_kept_of_shapes_has_no_name_that_no_rule_has_and_can_be_lost_or_damaged() {
    let mut house = house_that_knows(3, 0).await;
    house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    let text = std::fs::read_to_string(state(&house)).unwrap();
    assert!(text.contains("@.recipient.name"), "{text}");
    for word in ["PLANTED", "payment", "card", "Anna", "instructions", "c-1"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(state(&house)).unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::write(state(&house), "{\"version\":1,\"routes\":{\"PLANTED").unwrap();
    house.open();
    house.logged("what upstreams usually send is not known any more").await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    assert!(signals(&house, "").is_empty());
    house.assert_clean();
}
