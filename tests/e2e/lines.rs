//! Answers that are one JSON text a line, and conditions that need the whole body.

use std::ops::Range;

use http::Method;
use serde_json::json;

use crate::support::lists::{
    assert_parts_then_refusal, assert_recorded, list, numbers, record, reduced, sum,
};
use crate::support::{Answer, CONFIG, House, RULES, order, reduced_order};

/// Enough for the first part, and not for all that follows.
const FIRST: Range<u64> = 1000..1500;

/// Lines, as `/export` has them.
fn lines(records: impl IntoIterator<Item = String>) -> String {
    records.into_iter().map(|record| record.replace('\n', " ") + "\r\n\n").collect()
}

fn export() -> String {
    format!(
        "{RULES}\n[[task.route]]\npath = \"/export\"\nupstream = \"orders\"\nsubject = \"@.customer.id\"\n\
         when = \"@.carrier == 'parcelco'\"\ndisclose = [\"@.order_id\", \"@.recipient.name\"]\n"
    )
}

fn with_lines(body: impl Into<Vec<u8>>, label: &str) -> Answer {
    let headers = vec![("Content-Type".to_owned(), label.to_owned())];
    Answer::Http { status: "200 OK".into(), headers, body: body.into() }
}

#[tokio::test]
async fn lines_are_reduced_one_by_one_and_withheld_ones_vanish() {
    let house = House::with(CONFIG, &[("parcelco", &export())]).await;
    for label in ["application/x-ndjson", "application/jsonl; charset=utf-8", "Application/NDJSON"] {
        let few = [record(1), order(2, "swiftpost", "PLANTED"), record(3), "{}".to_owned()];
        house.upstream.on("/export", with_lines(lines(few), label));
        let response = house.get(&house.parcelco(), "/export").await;
        assert_eq!(response.headers["content-type"], "application/x-ndjson", "{label}");
        assert_eq!(response.headers["content-length"], response.body.len().to_string());
        assert_eq!(response.body, format!("{}\n{}\n", reduced(1), reduced(3)));
        let entry = house.told().pop().unwrap();
        assert_eq!((&entry["records"]["released"], &entry["records"]["withheld"]), (&json!(2), &json!(2)));
        assert_eq!((entry.get("stream"), &entry["subjects_total"]), (None, &json!(2)));
    }
    house.upstream.on("/export", with_lines("", "application/jsonl"));
    let response = house.get(&house.parcelco(), "/export").await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, ""));
    house.assert_clean();
}

#[tokio::test]
async fn many_lines_leave_in_parts() {
    let house = House::with(CONFIG, &[("parcelco", &export())]).await;
    house.upstream.on("/export", with_lines(lines((0..1500).map(record)), "application/x-ndjson"));
    let mut response = house.parcelco().begin(Method::GET, "/export").await;
    while response.more().await {
        assert_recorded(&house, &response);
    }
    house.check(&response);
    let expected: String = (0..1500).map(|id| reduced(id) + "\n").collect();
    assert!(response.whole && response.text() == expected, "{} bytes", response.bytes.len());
    let entries = house.entries_of(&response.disclosure_id());
    let most = numbers(&entries).len() as u64;
    assert!(most >= 3 && numbers(&entries).iter().copied().eq((1..=most).map(|part| (part, part == most))));
    assert_eq!((sum(&entries, "/records/released"), sum(&entries, "/bytes")), (1500, expected.len() as u64));
}

#[tokio::test]
async fn a_broken_line_ends_the_answer_and_one_before_the_first_part_refuses_it() {
    let house = House::with(CONFIG, &[("parcelco", &export())]).await;
    let planted = record(9).replace("Zoë", "PLANTED").replace('\n', " ");
    for (line, code) in [
        (planted.replace("\"total\":", "\"total\""), "upstream-malformed"),
        (format!("{planted}{planted}"), "upstream-malformed"),
        (planted[..1100].to_owned(), "upstream-malformed"),
        ("PLANTED".to_owned(), "upstream-not-json"),
        (planted.replace("\"total\"", "\"order_id\":7,\"total\""), "upstream-ambiguous"),
        (planted.replace("PLANTED4", &"PLANTED".repeat(300_000)), "upstream-too-large"),
    ] {
        house
            .upstream
            .on("/export", with_lines(format!("{}{line}\n", lines((0..9).map(record))), "application/jsonl"));
        assert_eq!(house.get(&house.parcelco(), "/export").await.code(), code, "{line:.80}");
        let many = lines(FIRST.map(record));
        house.upstream.on("/export", with_lines(format!("{many}{line}\n{many}"), "application/jsonl"));
        let response = house.receive(&house.parcelco(), "/export").await;
        assert!(response.status == 200 && !response.whole, "{line:.80}");
        assert_recorded(&house, &response);
        assert_parts_then_refusal(&house.entries_of(&response.disclosure_id()), code, code);
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_condition_on_the_whole_body_holds_it_up_to_its_limit() {
    let rules = RULES.replace("@.carrier == 'parcelco' &&", "@.carrier == $.ship_by &&");
    let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
    let good = |partner: &str| {
        order(1, "parcelco", "ready_to_ship").replacen('{', &format!("{{\"ship_by\":\"{partner}\","), 1)
    };
    house.upstream.on("/orders/1", Answer::json(good("parcelco")));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.body, reduced_order(1));
    house.upstream.on("/orders/1", Answer::json(good("PLANTED")));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.code(), "not-found");
    // What the condition asks for stands behind the records.
    let page = |records: u64| {
        let others = (0..records)
            .map(|id| if id == 3 { record(3).replacen("parcelco", "PLANTED", 1) } else { record(id) });
        Answer::json(format!("{{\"data\":[{}],\"ship_by\":\"parcelco\"}}", list(others)))
    };
    house.upstream.on("/orders", page(20));
    let response = house.get(&house.parcelco(), "/orders").await;
    let expected = (0..20).filter(|id| *id != 3).map(reduced).collect::<Vec<_>>().join(",");
    assert_eq!(response.body, format!("{{\"data\":[{expected}]}}"));
    house.upstream.on("/orders", page(100));
    assert_eq!(house.get(&house.parcelco(), "/orders").await.code(), "upstream-too-large");
    house.assert_clean();
}
