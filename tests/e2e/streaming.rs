//! Lists leave in parts while they arrive: each part is in the ledger before it leaves, and a fault in the
//! middle can be told by the client, in the ledger, and by nothing else.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fieldgate::model::{Subject, SubjectKey};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::lists::{
    END, HEAD, assert_parts_then_refusal, assert_recorded, chunk, faults, list, most_memory, numbers,
    of_kind, record, reduced, sum,
};
use crate::support::{Answer, Arriving, CONFIG, House, PLANTED, RULES, order, reduced_order};

/// Enough for the first part, and not for all that follows.
const FIRST: Range<u64> = 1000..1500;

/// Far more than any wait of these tests should take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that begins with so many records and then waits.
fn beginning(records: Range<u64>, go: &Arc<Notify>, then: Answer) -> Answer {
    let begun = format!("{{\"PLANTED\":1,\"data\":[\n{},", list(records.map(record)));
    Answer::begun(format!("{HEAD}{}", chunk(&begun)), Answer::held(go, then))
}

fn rest(records: Range<u64>) -> Answer {
    Answer::Raw(format!("{}{END}", chunk(&format!("{}]}}", list(records.map(record))))).into_bytes())
}

/// Entries of an answer that was cut off: numbered parts, then one refusal that counts them.
fn assert_interrupted(house: &House, response: &Arriving, code: &str, what: &str) {
    house.check(response);
    assert_eq!(response.status, 200, "{what}: {}", response.text());
    assert!(!response.whole && !response.bytes.is_empty(), "{what}: {}", house.log());
    let whole = format!(r#"{{"data":[{}"#, FIRST.map(reduced).collect::<Vec<_>>().join(","));
    assert!(whole.as_bytes().starts_with(&response.bytes), "{what}");
    assert_recorded(house, response);
    assert_parts_then_refusal(&house.entries_of(&response.disclosure_id()), code, what);
}

/// How many values of one field left.
fn disclosed(entries: &[Value], path: &str) -> u64 {
    let fields = entries.iter().filter_map(|entry| entry["fields"].as_array()).flatten();
    fields.filter(|field| field["path"] == path).map(|field| field["disclosed"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_long_list_leaves_in_parts_each_of_which_is_recorded_before() {
    let house = House::with(&CONFIG.replace("64KiB", "16MiB"), &[("parcelco", RULES)]).await;
    let (ours, all) = ((0..2000).filter(|id| id % 10 != 3), 0..2000);
    let records =
        all.map(|id| if id % 10 == 3 { order(id, "swiftpost", "ready_to_ship") } else { record(id) });
    let next = format!("http://{}/orders?cursor=o2", house.upstream.address);
    house
        .upstream
        .on("/orders", Answer::json(format!("{{\"data\":[{}],\"next\":\"{next}\"}}", list(records))));
    let expected = format!(
        r#"{{"data":[{}],"next":"/orders?cursor=o2"}}"#,
        ours.clone().map(reduced).collect::<Vec<_>>().join(",")
    );
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    while response.more().await {
        assert_recorded(&house, &response);
    }
    house.check(&response);
    assert!(response.whole && response.text() == expected, "{} bytes: {}", response.bytes.len(), house.log());
    assert!(!response.headers.contains_key("content-length"));
    assert_eq!(response.headers["content-type"], "application/json");
    let entries = house.entries_of(&response.disclosure_id());
    let parts = numbers(&entries);
    let most = parts.len() as u64;
    assert!(most >= 4 && parts.iter().copied().eq((1..=most).map(|part| (part, part == most))), "{parts:?}");
    assert_eq!((sum(&entries, "/records/released"), sum(&entries, "/records/withheld")), (1800, 200));
    assert_eq!(disclosed(&entries, "@.order_id"), 1800);
    assert_eq!(disclosed(&entries, "$.next"), 1);
    assert_eq!(sum(&entries, "/bytes"), expected.len() as u64);
    let key: [u8; 32] = std::fs::read(house.path("ledger/subject.key")).unwrap().try_into().unwrap();
    let key = SubjectKey::new(&key);
    let wanted: BTreeSet<_> =
        ours.map(|id| key.pseudonym(Subject::new(&format!("c-{id}"))).to_string()).collect();
    let subjects = entries.iter().flat_map(|entry| entry["subjects"].as_array().unwrap());
    assert_eq!(subjects.map(|subject| subject.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), wanted);
    house.assert_clean();
}

/// Large bodies wait for each other, but for none that itself waits for its upstream.
#[tokio::test]
async fn lists_that_stop_on_their_way_keep_no_other_from_its_turn() {
    let house = House::with(&CONFIG.replace("64KiB", "16MiB"), &[("parcelco", RULES)]).await;
    let go = Arc::new(Notify::new());
    house.upstream.on("/orders", beginning(FIRST, &go, rest(1500..1600)));
    let mut stopped = Vec::new();
    for _ in 0..=std::thread::available_parallelism().unwrap().get() {
        let mut response = house.parcelco().begin(Method::GET, "/orders").await;
        assert!(response.more().await);
        stopped.push(response);
    }
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", list((0..2000).map(record)))));
    let other = house.parcelco().begin(Method::GET, "/orders").await;
    let other = tokio::time::timeout(PATIENCE, other.until_end()).await.unwrap();
    assert!(other.whole && other.status == 200);
    assert_recorded(&house, &other);
    for response in stopped {
        go.notify_one();
        let response = response.until_end().await;
        assert!(response.whole, "{}", house.log());
        assert_recorded(&house, &response);
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_small_list_stays_one_entry_with_its_length() {
    let house = House::new().await;
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", list((0..20).map(record)))));
    let response = house.get(&house.parcelco(), "/orders").await;
    assert_eq!(response.headers["content-length"], response.body.len().to_string());
    let entry = house.told().pop().unwrap();
    assert_eq!((entry.get("stream"), &entry["records"]["released"]), (None, &json!(20)));
}

#[tokio::test]
async fn a_list_of_sixty_megabytes_passes_in_bounded_memory() {
    let house = House::new().await;
    // Each piece is about a MiB, and a fifth of it leaves.
    let wide =
        |id| record(id).replace("Zoë", &"Zoë".repeat(2500)).replace("PLANTED4", &"PLANTED".repeat(5800));
    let piece = format!("{},", list((0..20).map(wide)));
    let body = |times| {
        let end = format!("{}{}{END}", chunk(&record(9)), chunk("]}"));
        let pieces = Answer::repeated(chunk(&piece), times, Answer::Raw(end.into_bytes()));
        Answer::begun(format!("{HEAD}{}", chunk("{\"data\":[")), pieces)
    };
    house.upstream.on("/orders", body(3));
    let response = house.receive(&house.parcelco(), "/orders").await;
    assert!(response.whole && response.status == 200, "{}", response.text());
    let before = most_memory(&house);
    house.upstream.on("/orders", body(60));
    let response = house.receive(&house.parcelco(), "/orders").await;
    assert!(response.whole && response.bytes.len() > 10 << 20, "{}", response.bytes.len());
    let grown = most_memory(&house) - before;
    assert!(grown < 16 << 10, "{grown} KiB more");
    house.assert_clean();
}

#[tokio::test]
async fn a_fault_in_the_middle_ends_the_answer_without_its_end() {
    let house = House::new().await;
    for (what, fault, code) in faults() {
        let go = Arc::new(Notify::new());
        house.upstream.on("/orders", beginning(FIRST, &go, fault));
        let mut response = house.parcelco().begin(Method::GET, "/orders").await;
        assert!(response.more().await, "{what}");
        go.notify_one();
        assert_interrupted(&house, &response.until_end().await, code, what);
    }
    house.assert_clean();
}

#[tokio::test]
async fn over_http_2_a_fault_in_the_middle_resets_the_stream() {
    let house = House::new().await;
    let url = format!("https://localhost:{}/orders", house.address.port());
    for (what, fault, code) in faults() {
        let go = Arc::new(Notify::new());
        go.notify_one();
        house.upstream.on("/orders", beginning(FIRST, &go, fault));
        let output = house.curl(&[&url]).await;
        assert_eq!(output.status.code(), Some(92), "{what}: {:?}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(!text.contains(PLANTED) && !text.contains("problem"), "{what}");
        let id = house.told().pop().unwrap()["id"].as_str().unwrap().to_owned();
        let entries = house.entries_of(&id);
        assert!(output.stdout.len() as u64 <= sum(&entries, "/bytes"), "{what}");
        assert_parts_then_refusal(&entries, code, what);
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_fault_before_the_first_part_is_a_refusal_and_nothing_else() {
    let house = House::new().await;
    for (what, fault, code) in faults() {
        let go = Arc::new(Notify::new());
        go.notify_one();
        house.upstream.on("/orders", beginning(0..9, &go, fault));
        let response = house.get(&house.parcelco(), "/orders").await;
        assert_eq!(response.code(), code, "{what}");
        let entry = house.told().pop().unwrap();
        assert_eq!((&entry["kind"], entry.get("after_parts")), (&json!("refusal"), None), "{what}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_limit_on_customers_that_is_reached_in_the_middle_ends_the_answer() {
    let rules = RULES.replace("burst = 100000", "burst = 100000\nsubjects_per_day = 700");
    let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
    let go = Arc::new(Notify::new());
    house.upstream.on("/orders", beginning(FIRST, &go, rest(1500..2500)));
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    assert!(response.more().await);
    go.notify_one();
    let response = response.until_end().await;
    assert!(!response.whole);
    assert_recorded(&house, &response);
    let entries = house.entries_of(&response.disclosure_id());
    assert_parts_then_refusal(&entries, "subject-limit", "more than 700 customers");
    assert!(sum(&entries, "/subjects_total") <= 700);
}

#[tokio::test]
async fn a_ledger_that_fails_in_the_middle_lets_no_other_part_out() {
    let house = House::with(CONFIG, &[("parcelco", RULES)]).await;
    let go = Arc::new(Notify::new());
    house.upstream.on("/orders", beginning(FIRST, &go, rest(1500..2500)));
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    assert!(response.more().await);
    let (folder, away) = (house.path("ledger/fieldgate.tlog"), house.path("ledger/away"));
    house.rest().await;
    std::fs::rename(&folder, &away).unwrap();
    go.notify_one();
    let response = response.until_end().await;
    std::fs::rename(&away, &folder).unwrap();
    house.check(&response);
    assert!(!response.whole);
    assert!(!response.text().contains("\"order_id\":1999"), "{} bytes", response.bytes.len());
    assert_recorded(&house, &response);
    house.assert_clean();
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_upstream_and_others_are_served() {
    let house = House::with(&CONFIG.replace("2s", "10m"), &[("parcelco", RULES)]).await;
    let never = Arc::new(Notify::new());
    house.upstream.on("/orders", beginning(FIRST, &never, Answer::Silence));
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    assert!(response.more().await);
    let (id, hang_up) = (response.disclosure_id(), house.upstream.hang_up());
    drop(response);
    tokio::time::timeout(PATIENCE, hang_up).await.expect("the upstream's connection is closed");
    let entries = house.entries_of(&id);
    assert!(numbers(&entries).iter().all(|(_, last)| !last), "{entries:?}");
    assert_eq!(of_kind(&entries, "refusal").len(), 0, "nothing was refused");
    // A part that was on its way into the ledger may still arrive there.
    let other = house.send_unknown(&house.parcelco(), Method::GET, "/orders/1", "").await;
    assert_eq!(other.body, reduced_order(1));
}

#[tokio::test]
async fn head_of_a_long_list_has_no_body_and_does_not_wait_for_it() {
    let house = House::with(&CONFIG.replace("2s", "10m"), &[("parcelco", RULES)]).await;
    let never = Arc::new(Notify::new());
    house.upstream.on("/orders", beginning(FIRST, &never, Answer::Silence));
    let client = house.parcelco();
    let response = client.begin(Method::HEAD, "/orders").await.until_end().await;
    house.check(&response);
    assert!(response.status == 200 && response.whole && response.bytes.is_empty());
    assert!(!response.headers.contains_key("content-length"));
    tokio::time::timeout(PATIENCE, house.upstream.hang_up())
        .await
        .expect("the upstream's connection is closed");
    let entries = house.entries_of(&response.disclosure_id());
    assert_eq!((&entries[0]["method"], numbers(&entries)[0]), (&json!("HEAD"), (1, false)));
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let other = house.send_unknown(&client, Method::GET, "/orders/1", "").await;
    assert_eq!(other.body, reduced_order(1));
}

#[tokio::test]
async fn every_record_that_arrived_has_its_entry_after_kill_9_in_the_middle() {
    let mut house = House::with(CONFIG, &[("parcelco", RULES)]).await;
    let records = |range: Range<u64>| {
        Answer::repeated(chunk(&format!("{},", list(range.map(record)))), 9, Answer::Silence)
    };
    for round in 0..6 {
        house
            .upstream
            .on("/orders", Answer::begun(format!("{HEAD}{}", chunk("{\"data\":[")), records(0..600)));
        let mut response = house.parcelco().begin(Method::GET, "/orders").await;
        // The moment of the kill is what this test varies.
        while response.bytes.len() < 1 + round * 170_000 {
            assert!(response.more().await, "{}", response.bytes.len());
        }
        house.kill();
        let response = response.until_end().await;
        assert!(!response.whole);
        let arrived = response.text().matches(r#"{"order_id":"#).count().saturating_sub(1) as u64;
        house.open();
        let released = sum(&house.entries_of(&response.disclosure_id()), "/records/released");
        assert!((1..=released).contains(&arrived), "{arrived} records arrived, {released} are recorded");
        assert_recorded(&house, &response);
    }
}

#[tokio::test]
async fn a_gateway_that_is_told_to_stop_finishes_a_long_list_or_shows_that_it_did_not() {
    for finishes in [true, false] {
        let timeout = if finishes { "10m" } else { "300ms" };
        let config = format!("{CONFIG}\n[limits]\ndrain_timeout = \"{timeout}\"\n").replace("2s", "10m");
        let mut house = House::with(&config, &[("parcelco", RULES)]).await;
        let go = Arc::new(Notify::new());
        let then = if finishes { rest(1500..2500) } else { Answer::Silence };
        house.upstream.on("/orders", beginning(FIRST, &go, then));
        let mut response = house.parcelco().begin(Method::GET, "/orders").await;
        assert!(response.more().await);
        house.signal("-TERM");
        house.logged("\"draining\"").await;
        go.notify_one();
        let response = response.until_end().await;
        house.check(&response);
        assert_recorded(&house, &response);
        let last = numbers(&house.entries_of(&response.disclosure_id())).last().unwrap().1;
        assert_eq!((response.whole, last), (finishes, finishes));
        assert!(house.wait().success());
    }
}
