//! Tests of the history as it is told; the demonstration's own test looks at what is written of it.

use std::collections::BTreeMap;

use super::story::{What, tell};
use super::*;

/// 2026-11-26T20:00:00Z, a Thursday.
const NOW: i64 = 1_795_723_200;

#[test]
fn the_same_day_has_the_same_history_in_order_and_up_to_now() {
    let shop = Shop::new("http://127.0.0.1:9001");
    let [first, second] = [tell(&shop, NOW), tell(&shop, NOW)];
    let times = |told: &[story::Happening]| told.iter().map(|happening| happening.time).collect::<Vec<_>>();
    assert_eq!(times(&first), times(&second));
    assert!(times(&first).is_sorted());
    assert!(first.last().is_some_and(|last| last.time < NOW * 1_000_000));
}

#[test]
fn a_working_day_has_400_to_600_requests_a_weekend_few_and_the_routes_that_nobody_needs_none() {
    let shop = Shop::new("http://127.0.0.1:9001");
    let mut days: BTreeMap<i64, usize> = BTreeMap::new();
    for happening in tell(&shop, NOW) {
        let What::Request(request) = happening.what else { continue };
        assert_ne!(request.path, "/orders/export");
        assert_ne!(request.path, "/tickets");
        *days.entry(happening.time.div_euclid(86_400_000_000)).or_default() += 1;
    }
    let today = NOW.div_euclid(86_400);
    for (day, count) in days.into_iter().filter(|(day, _)| *day < today) {
        let expected = match (day.rem_euclid(7), today - day) {
            (2 | 3, _) => 60..200,
            // The two stories.
            (_, 3 | 10) => 700..1_100,
            _ => 400..640,
        };
        assert!(expected.contains(&count), "{count} requests {} days ago", today - day);
    }
}
