//! Canaries and signals: what a reviewer should look at is in the ledger, and the contractor sees nothing of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};

use crate::support::lists::{HEAD, chunk, list, record};
use crate::support::{Answer, CONFIG, Client, House, RULES, Response, files_below, order};

const DAY: i64 = 86_400;

/// A planted customer; no order of another test is about it.
const CANARY: u64 = 7_391_826_042;

fn rules(canaries: &str) -> String {
    RULES.replace("id = \"parcelco\"\n", &format!("id = \"parcelco\"\ncanaries = {canaries}\n"))
}

/// A house in which customer 7391826042 is planted, or nobody.
async fn house(canaries: &str) -> House {
    let house = House::with(CONFIG, &[("parcelco", &rules(canaries))]).await;
    let ready = |id| order(id, "parcelco", "ready_to_ship");
    house.upstream.on("/orders/1", Answer::json(ready(1)));
    house.upstream.on(&format!("/orders/{CANARY}"), Answer::json(ready(CANARY)));
    let numbered = ready(CANARY).replace(&format!("\"c-{CANARY}\""), &CANARY.to_string());
    house.upstream.on("/orders/2", Answer::json(numbered));
    house.upstream.on("/orders/3", Answer::json(order(CANARY, "swiftpost", "ready_to_ship")));
    let fifty = list((100..149).map(ready).chain([ready(CANARY)]));
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{fifty}]}}")));
    house
}

fn planted() -> String {
    format!("[\"c-{CANARY}\", {CANARY}, \"c-5\"]")
}

fn signals(house: &House, name: &str) -> Vec<Value> {
    let mut entries = house.entries();
    entries.retain(|entry| entry["kind"] == "signal" && entry["signal"] == name);
    entries
}

/// Waits until there are so many signals of a name.
async fn raised(house: &House, name: &str, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let found = signals(house, name);
        if found.len() >= count {
            assert_eq!(found.len(), count, "{found:?}");
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}\n{}", house.entries(), house.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends the gateway in good order, with all that it was told in the ledger.
fn close(house: &mut House) {
    house.signal("-TERM");
    assert!(house.wait().success());
}

fn state(house: &House) -> std::path::PathBuf {
    house.path("ledger/fieldgate.signals.json")
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn text(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// All of a response but what is another one each time.
fn shown(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let changing = ["date", "fieldgate-disclosure-id", "ratelimit"];
    let headers = response.headers.iter().filter(|(name, _)| !changing.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let body = response.body.replace(&response.disclosure_id(), "ID");
    (response.status.as_u16(), headers.collect(), body)
}

async fn get(house: &House, client: &Client, target: &str) -> Response {
    house.send_unknown(client, Method::GET, target, "").await
}

#[tokio::test]
async fn a_planted_customer_raises_an_alert_that_its_contractor_sees_nothing_of() {
    let (with, without) = (house(&planted()).await, house("[]").await);
    let targets = [
        format!("/orders/{CANARY}"),
        "/orders".into(),
        "/orders/2".into(),
        "/orders/3".into(),
        "/orders/1".into(),
    ];
    let mut ids = Vec::new();
    for target in &targets {
        let response = get(&with, &with.parcelco(), target).await;
        assert_eq!(shown(&response), shown(&get(&without, &without.parcelco(), target).await), "{target}");
        ids.push(response.disclosure_id());
    }

    // A single record, one of fifty, and one whose number is not a text; not the one that is withheld.
    let entries = with.entries();
    let marked: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["canary"] == true)
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    assert_eq!(marked, ids[..3]);
    assert!(without.entries().iter().all(|entry| entry.get("canary").is_none() && entry["kind"] != "signal"));
    let alerts = signals(&with, "canary");
    assert_eq!(alerts.len(), 3, "each in the commit of its disclosure");
    for (alert, id) in alerts.iter().zip(&ids) {
        let disclosure = entries.iter().find(|entry| entry["id"] == id.as_str()).unwrap();
        assert_eq!(alert["entries"], json!([id]));
        assert_eq!(alert["index"], disclosure["index"].as_u64().unwrap() + 1);
        assert_eq!(alert["sequence"], disclosure["sequence"].as_u64().unwrap() + 1);
        assert_eq!(
            (&alert["contractor"], &alert["credential"]),
            (&json!("parcelco"), &json!("parcelco-gateway"))
        );
        assert_eq!(alert["details"], json!({ "records": 1 }));
        with.logged(id).await;
        assert_ne!(alert["id"], id.as_str());
    }
    let lines = with.log();
    let line = lines.lines().find(|line| line.contains("\"code\":\"canary\"")).unwrap();
    assert!(line.contains("\"level\":\"WARN\"") && line.contains("\"contractor\":\"parcelco\""), "{line}");
    assert!(!without.log().contains("\"code\":\"canary\""));

    // By the id of an alert nobody gets a receipt; by that of its disclosure, the disclosure's.
    let receipt = |id: &str| format!("/.well-known/fieldgate/receipts/{id}");
    let alert = get(&with, &with.parcelco(), &receipt(alerts[0]["id"].as_str().unwrap())).await;
    assert_eq!(alert.code(), "not-found");
    assert_eq!(get(&with, &with.parcelco(), &receipt(&ids[0])).await.status, 200);

    let mut with = with;
    close(&mut with);
    with.verify();
    assert!(!with.log().contains(&CANARY.to_string()), "{}", with.log());
    for path in files_below(&with.path("ledger")) {
        let (bytes, mark) = (std::fs::read(&path).unwrap(), CANARY.to_string());
        assert!(!bytes.windows(mark.len()).any(|window| window == mark.as_bytes()), "{}", path.display());
    }
    without.assert_clean();
}

#[tokio::test]
async fn each_part_of_a_long_response_says_whether_a_planted_customer_is_in_it() {
    let house = house(&planted()).await;
    let records = (1..400).map(|id| record(if id == 300 { CANARY } else { id + 1000 }));
    let body = format!("{{\"data\":[{}]}}", list(records));
    house.upstream.on("/orders", Answer::Raw(format!("{HEAD}{}0\r\n\r\n", chunk(&body)).into_bytes()));
    let response = house.receive(&house.parcelco(), "/orders").await;
    assert!(response.whole);
    let parts = house.entries_of(&response.disclosure_id());
    let marked: Vec<usize> = (0..parts.len()).filter(|at| parts[*at]["canary"] == true).collect();
    assert!(parts.len() > 2 && marked.len() == 1 && marked[0] > 0, "{marked:?} of {}", parts.len());
    let alert = &signals(&house, "canary")[0];
    assert_eq!(alert["index"], parts[marked[0]]["index"].as_u64().unwrap() + 1);
    house.assert_clean();
}

#[tokio::test]
async fn an_enumeration_is_an_entry_once_and_stays_one_after_a_restart() {
    let mut house = house("[]").await;
    let client = house.parcelco();
    for id in 500..520 {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
        assert_eq!(house.get(&client, &format!("/orders/{id}")).await.status, 200);
    }
    let [signal] = &raised(&house, "enumeration", 1).await[..] else { panic!() };
    assert_eq!(signal["details"], json!({ "pattern": "sequential", "numbers": 20, "step": 1 }));
    assert_eq!((&signal["task"], &signal["route"]), (&json!("deliver-order"), &json!("/orders/{order_id}")));
    let told = house.told();
    let last: Vec<&Value> = told.iter().rev().take(10).rev().map(|entry| &entry["id"]).collect();
    assert_eq!(signal["entries"].as_array().unwrap().iter().collect::<Vec<_>>(), last);
    house.logged("\"signal\":\"enumeration\"").await;

    // What was told is not told again within the hour, also after a restart; the entry stays.
    close(&mut house);
    house.open();
    let client = house.parcelco();
    for id in 520..560 {
        get(&house, &client, &format!("/orders/{id}")).await;
    }
    close(&mut house);
    assert_eq!(signals(&house, "enumeration").len(), 1, "{:?}", signals(&house, "enumeration"));
    house.verify();
}

#[tokio::test]
async fn many_requests_for_what_is_not_there_are_an_enumeration() {
    let house = house("[]").await;
    let client = house.parcelco();
    for id in 0..50u64 {
        // Half of them are there; none stands beside another.
        let target = if id % 2 == 0 { "/orders/1".into() } else { format!("/orders/{}", 9000 + id * 97) };
        get(&house, &client, &target).await;
    }
    let [signal] = &raised(&house, "enumeration", 1).await[..] else { panic!() };
    assert_eq!(signal["details"], json!({ "pattern": "not-found", "requests": 50, "not_found": 25 }));
    assert_eq!(signal["entries"].as_array().unwrap().len(), 10);
    let table = text(&house.ledger(&["query", "--kind", "signal"]));
    assert!(table.contains("signal: enumeration (not_found 25, pattern not-found, requests 50)"), "{table}");
    assert_eq!(
        text(&house.ledger(&["query", "--outcome", "enumeration", "--format", "json"])).lines().count(),
        1
    );
    for format in ["csv", "ocsf", "json", "table"] {
        let export = text(&house.ledger(&["export", "--by", "anna", "--kind", "signal", "--format", format]));
        assert!(export.contains("enumeration"), "{format}: {export}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn more_customers_than_usual_in_an_hour_are_a_harvest() {
    let house = House::with(&CONFIG.replace("64KiB", "1MiB"), &[("parcelco", RULES)]).await;
    let many = list((1000..1120).map(|id| order(id, "parcelco", "ready_to_ship")));
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{many}]}}")));
    get(&house, &house.parcelco(), "/orders").await;
    let [signal] = &raised(&house, "harvest", 1).await[..] else { panic!() };
    assert_eq!(signal["details"], json!({ "subjects": 120, "median": 0 }));
    assert_eq!(signal.get("credential"), None);
    house.assert_clean();
}

/// What an older gateway could have kept: from another network, at other times, of other fields.
fn habits(days: i64, used: i64) -> String {
    let (now, hour) = (now(), now() / 3600);
    // Each hour of the last four weeks but those of this hour of the week, and of those around it.
    let hours = (hour - 672..hour - 1).filter(|at| (hour - at + 2) % 168 > 4);
    let hours: serde_json::Map<String, Value> = hours.map(|at| (at.to_string(), json!(40))).collect();
    json!({ "version": 1, "contractors": { "parcelco": {
        "began": now - days * DAY,
        "credentials": { "parcelco-gateway": { "known": now - 400 * DAY, "used": now - used * DAY } },
        "fields": { "deliver-order": { "/orders/{order_id}": ["@.order_id"] } },
        "networks": { "192.0.2.0/24": now - DAY },
        "hours": hours,
        "raised": {},
    } } })
    .to_string()
}

/// A house whose gateway has run for so many days.
async fn house_with_habits(days: i64, used: i64) -> House {
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    std::fs::create_dir(house.path("ledger")).unwrap();
    std::fs::write(state(&house), habits(days, used)).unwrap();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.open();
    house
}

#[tokio::test]
async fn what_a_contractor_never_did_before_is_told() {
    let mut house = house_with_habits(60, 45).await;
    let response = house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    let of = |name: &str| {
        let [signal] = &signals(&house, name)[..] else { panic!("{name}: {:?}", house.entries()) };
        assert_eq!(signal["entries"], json!([response.disclosure_id()]), "{name}");
        signal["details"].clone()
    };
    assert_eq!(of("dormant-credential"), json!({ "days": 45, "used_before": true }));
    assert_eq!(of("new-network"), json!({ "network": "127.0.0.0/24" }));
    let fields = [
        "@.recipient.name",
        "@.shipping_address['street','city','postal_code','country']",
        "@.recipient.phone",
    ];
    assert_eq!(of("new-field"), json!({ "fields": fields }));
    assert!(of("off-hours")["weekday"].is_string());
    house.verify();

    // All this is usual now.
    house.open();
    house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    assert_eq!(house.entries().iter().filter(|entry| entry["kind"] == "signal").count(), 4);
}

#[tokio::test]
async fn a_contractor_that_is_new_is_learned_and_nothing_is_told() {
    let mut house = house_with_habits(6, 1).await;
    house.get(&house.parcelco(), "/orders/1").await;
    close(&mut house);
    assert!(house.entries().iter().all(|entry| entry["kind"] != "signal"), "{:?}", house.entries());
    let kept: Value = serde_json::from_slice(&std::fs::read(state(&house)).unwrap()).unwrap();
    let known = &kept["contractors"]["parcelco"];
    assert!(known["networks"].get("127.0.0.0/24").is_some(), "{kept}");
    assert!(known["credentials"].get("parcelco-batch").is_some(), "known from the rules: {kept}");
}

#[tokio::test]
async fn what_is_kept_of_habits_holds_no_value_and_can_be_lost_or_damaged() {
    let mut house = house(&planted()).await;
    let marked = order(CANARY, "parcelco", "ready_to_ship").replace("Anna", "PLANTED");
    house.upstream.on("/orders/98765432101", Answer::json(marked));
    for target in ["/orders/98765432101", "/orders/1", "/orders"] {
        house.parcelco().try_send(Method::GET, target, "").await.unwrap();
    }
    close(&mut house);
    let kept = std::fs::read_to_string(state(&house)).unwrap();
    assert!(kept.contains("127.0.0.0/24") && kept.contains("@.recipient.name"), "{kept}");
    for value in ["98765432101", "c-", &CANARY.to_string(), "PLANTED", "Jansen", "127.0.0.1"] {
        assert!(!kept.contains(value), "{value} in {kept}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(state(&house)).unwrap().permissions().mode() & 0o777, 0o600);

    std::fs::write(state(&house), "{\"version\":1,\"contractors\":{\"PLANTED").unwrap();
    house.open();
    house.logged("is learned anew").await;
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    close(&mut house);
    assert!(std::fs::read_to_string(state(&house)).unwrap().contains("127.0.0.0/24"));
    assert!(!house.log().contains("PLANTED"));
}
