//! Tests of the history as it is planned; the demonstration's own test looks at what is written of it.

use std::collections::BTreeMap;

use super::plan::{Act, Happening, happenings};
use super::*;

/// 2026-11-26T20:00:00Z.
const NOW: i64 = 1_795_723_200 * SECOND;
const DAY: i64 = 86_400 * SECOND;

fn told() -> Vec<Happening> {
    happenings(&Shop::new("http://127.0.0.1:9001"), NOW)
}

#[test]
fn the_same_moment_has_the_same_history_in_order_and_up_to_now() {
    let paths = |told: Vec<Happening>| -> Vec<(i64, String)> {
        let path = |happening: Happening| match happening.act {
            Act::Call { path, .. } => (happening.time, path),
            _ => (happening.time, String::new()),
        };
        told.into_iter().map(path).collect()
    };
    let (first, second) = (paths(told()), paths(told()));
    assert_eq!(first, second);
    assert!(first.is_sorted_by_key(|(time, _)| *time));
    assert!(first.last().is_some_and(|(time, _)| *time < NOW));
}

#[test]
fn working_days_have_400_to_640_requests_weekends_few_and_what_nobody_needs_none() {
    let mut days: BTreeMap<i64, usize> = BTreeMap::new();
    for happening in told() {
        let Act::Call { path, .. } = happening.act else { continue };
        assert!(path != "/orders/export" && path.split('?').next() != Some("/tickets"), "{path}");
        *days.entry(happening.time.div_euclid(DAY)).or_default() += 1;
    }
    days.remove(&NOW.div_euclid(DAY));
    assert_eq!(days.len(), 42);
    for (day, count) in days {
        // 1970-01-01 was a Thursday.
        let expected = if matches!(day.rem_euclid(7), 2 | 3) { 100..220 } else { 400..640 };
        assert!(expected.contains(&count), "{count} requests on day {day}");
    }
}

#[test]
fn before_the_shop_sent_the_company_its_answers_were_whole_json_without_it() {
    let shop = Shop::new("http://127.0.0.1:9001");
    let sent = shop.respond("GET", "/orders", Some("limit=100"), b"").body;
    let before = without_company(&sent);
    let parsed: Value = serde_json::from_str(&before).expect("JSON");
    let orders = parsed["data"].as_array().expect("a list");
    assert_eq!(orders.len(), 100);
    assert!(sent.contains("\"company\"") && !before.contains("\"company\""));
    assert!(
        orders.iter().all(|order| order["recipient"]["phone"].is_string() && order["tracking"].is_object())
    );
}
