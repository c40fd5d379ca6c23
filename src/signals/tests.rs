//! Each detector with a clock that the test turns.

use super::thresholds::{DAY, HOUR, MINUTE, NETWORKS, NUMBERS};
use super::*;

/// 2026-11-23, a Monday, 10:00 UTC.
const START: i64 = 1_795_428_000;

struct Desk {
    detectors: Detectors,
    now: i64,
}

/// What most requests are like.
fn event(now: i64) -> Event<'static> {
    Event {
        id: RequestId::new(),
        time: now,
        contractor: "parcelco",
        credential: "gateway",
        task: Some("deliver"),
        route: Some("/orders/{order_id}"),
        source: IpAddr::from([192, 0, 2, 7]),
        outcome: Outcome::Disclosed,
        new_subjects: 0,
        fields: vec!["@.order_id"],
        met: vec!["@.order_id"],
        released: true,
        number: None,
    }
}

impl Desk {
    fn new() -> Desk {
        Desk { detectors: Detectors::default(), now: START }
    }

    /// A contractor that has called at this hour of each day for so many days.
    fn used_for(days: i64) -> Desk {
        let mut desk = Desk { detectors: Detectors::default(), now: START - days * DAY };
        while desk.now < START {
            assert_eq!(desk.see(|_| ()), []);
            desk.now += DAY;
        }
        desk
    }

    fn see(&mut self, change: impl FnOnce(&mut Event<'static>)) -> Vec<Details> {
        let mut event = event(self.now);
        change(&mut event);
        self.detectors.see(&event).into_iter().map(|signal| signal.details).collect()
    }

    /// What is kept goes into a file and back.
    fn restart(&mut self) {
        let kept = self.detectors.keep(self.now);
        self.detectors = Detectors::restore(&kept).unwrap();
    }

    /// Asks for numbers, a second apart.
    fn ask(&mut self, numbers: impl IntoIterator<Item = u64>) -> Vec<Details> {
        let mut found = Vec::new();
        for number in numbers {
            self.now += 1;
            found.extend(self.see(|event| event.number = Some(number)));
        }
        found
    }
}

fn names(found: &[Details]) -> Vec<&'static str> {
    found.iter().map(Details::name).collect()
}

fn sequential(numbers: usize, step: u64) -> Details {
    Details::Sequential { pattern: "sequential", numbers, step }
}

/// Numbers without an order, always the same.
fn shuffled(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable_by_key(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    numbers
}

#[test]
fn twenty_numbers_one_after_the_other_are_an_enumeration() {
    for step in [1, 10] {
        let mut desk = Desk::new();
        assert_eq!(desk.ask((0..19).map(|number| 500 + number * step)), []);
        assert_eq!(desk.ask([500 + 19 * step]), [sequential(20, step)]);
    }
    let mut desk = Desk::new();
    assert_eq!(desk.ask((0..200).map(|number| 500 + number * 11)), [], "the step is too large");
}

#[test]
fn a_sequence_is_seen_backwards_shuffled_and_with_some_gaps() {
    assert_eq!(Desk::new().ask((1..=20).rev()), [sequential(20, 1)]);
    assert_eq!(Desk::new().ask(shuffled(1..=20)), [sequential(20, 1)]);
    // 38 numbers in two runs, with one gap of 30; and every fourth one left out, which is too many.
    assert_eq!(names(&Desk::new().ask((1..=19).chain(50..=69))), ["enumeration"]);
    assert_eq!(Desk::new().ask((1..=64).filter(|number| number % 4 != 0)), []);
}

#[test]
fn the_same_numbers_again_and_numbers_without_an_order_are_no_enumeration() {
    assert_eq!(Desk::new().ask((1..=10).cycle().take(500)), []);
    let scattered = (1..=300).map(|number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    assert_eq!(Desk::new().ask(scattered), []);
}

#[test]
fn numbers_of_more_than_ten_minutes_are_not_one_sequence() {
    let mut desk = Desk::new();
    for number in 0..100 {
        desk.now += 40;
        assert_eq!(desk.ask([number]), []);
    }
}

#[test]
fn routes_and_credentials_have_sequences_of_their_own() {
    let mut desk = Desk::new();
    for number in 0..60 {
        desk.now += 1;
        let found = desk.see(|event| {
            event.number = Some(number);
            event.credential = ["one", "two"][(number % 2) as usize];
            event.route = Some(["/a/{id}", "/b/{id}"][(number / 2 % 2) as usize]);
        });
        assert_eq!(found, [], "{number}");
    }
}

#[test]
fn half_of_fifty_requests_for_nothing_is_an_enumeration() {
    let mut desk = Desk::new();
    let ask = |desk: &mut Desk, outcome| {
        desk.now += 1;
        desk.see(|event| event.outcome = outcome)
    };
    for _ in 0..25 {
        assert_eq!(ask(&mut desk, Outcome::Disclosed), []);
    }
    for _ in 0..24 {
        assert_eq!(ask(&mut desk, Outcome::NotFound), []);
    }
    let guessed = Details::NotFound { pattern: "not-found", requests: 50, not_found: 25 };
    assert_eq!(ask(&mut desk, Outcome::NotFound), [guessed]);
    // Less than half, however many.
    let mut desk = Desk::new();
    for number in 0..3000 {
        let outcome = if number % 5 < 2 { Outcome::NotFound } else { Outcome::Other };
        assert_eq!(desk.see(|event| event.outcome = outcome), []);
    }
    // Too slow.
    let mut desk = Desk::new();
    for _ in 0..200 {
        desk.now += 14;
        assert_eq!(desk.see(|event| event.outcome = Outcome::NotFound), []);
    }
}

#[test]
fn a_signal_names_the_last_requests_behind_it() {
    let mut desk = Desk::new();
    let mut ids = Vec::new();
    let mut signals = Vec::new();
    for number in 0..20 {
        let event = Event { number: Some(number), ..event(desk.now) };
        ids.push(event.id);
        signals.extend(desk.detectors.see(&event));
        desk.now += 1;
    }
    let [signal] = &signals[..] else { panic!("{signals:?}") };
    assert_eq!(signal.requests, ids[10..]);
    assert_eq!(signal.route.as_deref(), Some("/orders/{order_id}"));
    assert_eq!(signal.credential.as_deref(), Some("gateway"));
}

#[test]
fn an_enumeration_that_goes_on_is_told_once_an_hour() {
    let mut desk = Desk::new();
    let mut told = Vec::new();
    // Three hours, a request each ten seconds.
    for number in 0..3 * 360 {
        desk.now += 10;
        let found = desk.see(|event| {
            event.number = Some(number);
            event.outcome = Outcome::NotFound;
        });
        told.extend(found.iter().map(|details| (details.name(), desk.now)));
    }
    assert_eq!(told.len(), 6, "two patterns, three times: {told:?}");
    assert!(told.windows(3).all(|pair| pair[2].1 - pair[0].1 >= HOUR), "{told:?}");
}

/// So many customers in an hour, each in a request of its own.
fn harvest(desk: &mut Desk, subjects: u64) -> Vec<Details> {
    let mut found = Vec::new();
    for _ in 0..subjects {
        found.extend(desk.see(|event| event.new_subjects = 1));
    }
    found
}

#[test]
fn five_times_the_usual_customers_in_an_hour_are_a_harvest() {
    let mut desk = Desk::new();
    for hour in 0..40 {
        // The median is 60; hours without anybody do not count.
        let usual = [60, 0, 20, 60, 90][hour % 5];
        assert_eq!(harvest(&mut desk, usual), []);
        desk.now += HOUR;
    }
    assert_eq!(harvest(&mut desk, 299), []);
    assert_eq!(harvest(&mut desk, 1), [Details::Harvest { subjects: 300, median: 60 }]);
    assert_eq!(harvest(&mut desk, 1000), [], "once an hour");
    desk.now += HOUR;
    assert_eq!(names(&harvest(&mut desk, 300)), ["harvest"]);
}

#[test]
fn a_hundred_customers_are_needed_for_a_harvest_and_all_parts_count() {
    let mut desk = Desk::new();
    assert_eq!(harvest(&mut desk, 99), []);
    let found = desk.see(|event| {
        event.outcome = Outcome::Continued;
        event.new_subjects = 41;
    });
    assert_eq!(found, [Details::Harvest { subjects: 140, median: 0 }]);
}

#[test]
fn a_credential_that_slept_for_thirty_days_is_told_once() {
    let mut desk = Desk::used_for(3);
    desk.now += 29 * DAY - 1;
    assert_eq!(names(&desk.see(|event| event.fields.clear())), [] as [&str; 0]);
    desk.now += 30 * DAY;
    let slept = Details::Dormant { days: 30, used_before: true };
    assert_eq!(desk.see(|event| event.outcome = Outcome::Other), [slept]);
    assert_eq!(desk.see(|_| ()), []);
}

#[test]
fn a_credential_that_was_never_used_sleeps_from_when_it_is_known() {
    let mut desk = Desk::new();
    desk.detectors.know("parcelco", ["gateway", "spare"].into_iter(), desk.now);
    desk.now += 5 * DAY;
    desk.detectors.know("parcelco", ["gateway", "spare"].into_iter(), desk.now);
    assert_eq!(desk.see(|_| ()), []);
    desk.restart();
    desk.now += 25 * DAY;
    let slept = Details::Dormant { days: 30, used_before: false };
    assert_eq!(desk.see(|event| event.credential = "spare"), [slept]);
    // One that came with this request did not sleep.
    assert_eq!(desk.see(|event| event.credential = "new"), []);
}

#[test]
fn a_field_that_a_contractor_never_got_is_told_after_a_week_of_learning() {
    let mut desk = Desk::used_for(6);
    assert_eq!(desk.see(|event| event.fields = vec!["@.learned"]), []);
    desk.now += 2 * DAY;
    assert_eq!(desk.see(|event| event.fields = vec!["@.learned", "@.order_id"]), []);
    let new =
        |fields: &[&str]| Details::NewFields { fields: fields.iter().map(ToString::to_string).collect() };
    assert_eq!(desk.see(|event| event.fields = vec!["@.a", "@.order_id", "@.b"]), [new(&["@.a", "@.b"])]);
    // The same path by another route or for another task is another field.
    desk.now += HOUR;
    assert_eq!(desk.see(|event| event.route = Some("/orders")), [new(&["@.order_id"])]);
    desk.now += HOUR;
    desk.restart();
    assert_eq!(desk.see(|event| event.task = Some("bill")), [new(&["@.order_id"])]);
    assert_eq!(desk.see(|event| event.route = Some("/orders")), []);
}

#[test]
fn what_must_wait_is_not_learned_meanwhile() {
    let mut desk = Desk::used_for(8);
    let from = |last: u8| move |event: &mut Event<'static>| event.source = IpAddr::from([198, 51, last, 1]);
    assert_eq!(names(&desk.see(from(1))), ["new-network"]);
    assert_eq!(desk.see(from(2)), []);
    assert_eq!(names(&desk.see(|event| event.fields = vec!["@.a"])), ["new-field"]);
    assert_eq!(desk.see(|event| event.fields = vec!["@.b"]), []);
    desk.now += HOUR;
    assert_eq!(desk.see(from(2)), [Details::NewNetwork { network: "198.51.2.0/24".into() }]);
    assert_eq!(
        desk.see(|event| event.fields = vec!["@.b"]),
        [Details::NewFields { fields: vec!["@.b".into()] }]
    );
}

#[test]
fn a_network_is_new_after_ninety_days_and_coarse() {
    let mut desk = Desk::used_for(8);
    let from = |text: &'static str| move |event: &mut Event<'static>| event.source = text.parse().unwrap();
    assert_eq!(desk.see(from("192.0.2.250")), [], "the same network");
    assert_eq!(desk.see(from("::ffff:192.0.2.9")), [], "the same, by an IPv6 socket");
    let new = |network: &str| Details::NewNetwork { network: network.into() };
    assert_eq!(desk.see(from("2001:db8:1:2::3")), [new("2001:db8:1::/48")]);
    desk.restart();
    assert_eq!(desk.see(from("2001:db8:1:ffff::1")), []);
    desk.now += 89 * DAY;
    assert_eq!(names(&desk.see(from("2001:db8:1::1"))), ["dormant-credential"]);
    desk.now += 20 * DAY;
    assert_eq!(desk.see(from("192.0.2.1")), [new("192.0.2.0/24")], "not seen for 109 days");
}

#[test]
fn networks_are_bounded_and_the_oldest_goes() {
    let mut desk = Desk::new();
    for number in 0..NETWORKS as u32 + 5 {
        desk.now += 1;
        let found =
            desk.see(|event| event.source = IpAddr::from((0x0A00_0000 + (number << 8)).to_be_bytes()));
        assert_eq!(found, [], "learning");
    }
    let kept = desk.detectors.keep(desk.now);
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let networks = kept["contractors"]["parcelco"]["networks"].as_object().unwrap();
    assert_eq!(networks.len(), NETWORKS);
    assert!(!networks.contains_key("10.0.0.0/24") && networks.contains_key("10.2.4.0/24"));
}

/// Calls from nine to five, Monday to Friday, for so many weeks.
fn office(weeks: i64) -> Desk {
    let mut desk = Desk { detectors: Detectors::default(), now: START - HOUR - weeks * 7 * DAY };
    for day in 0..weeks * 7 {
        let morning = desk.now;
        for _ in 0..if day % 7 < 5 { 9 } else { 0 } {
            assert_eq!(desk.see(|_| ()), []);
            desk.now += HOUR;
        }
        desk.now = morning + DAY;
    }
    desk
}

#[test]
fn an_hour_in_which_nobody_ever_calls_is_told_once_a_day() {
    let mut desk = office(4);
    assert_eq!(desk.see(|_| ()), [], "Monday at nine");
    desk.now += 12 * HOUR;
    assert_eq!(desk.see(|_| ()), [Details::OffHours { weekday: "monday", hour: 21 }]);
    desk.restart();
    for _ in 0..5 {
        desk.now += HOUR;
        assert_eq!(desk.see(|event| event.credential = "other"), [], "once a day");
    }
    desk.now = START + 5 * DAY + 3 * HOUR;
    assert_eq!(desk.see(|_| ()), [Details::OffHours { weekday: "saturday", hour: 13 }]);
}

#[test]
fn nobody_is_off_hours_before_four_weeks_or_without_usual_hours() {
    let mut desk = office(3);
    desk.now += 12 * HOUR;
    assert_eq!(desk.see(|_| ()), []);
    // A request a week makes no habit.
    let mut desk = Desk::new();
    for _ in 0..40 {
        assert_eq!(desk.see(|_| ()), []);
        desk.now += 7 * DAY + 5 * HOUR;
    }
}

#[test]
fn contractors_are_kept_apart() {
    let mut desk = Desk::used_for(8);
    let other = |event: &mut Event<'static>| {
        event.contractor = "helpdesk";
        event.fields = vec!["@.ticket"];
        event.source = IpAddr::from([203, 0, 113, 1]);
    };
    assert_eq!(desk.see(other), [], "it is learned for itself");
    assert_eq!(names(&desk.see(|event| event.source = IpAddr::from([203, 0, 113, 1]))), ["new-network"]);
}

#[test]
fn what_was_told_is_not_told_again_after_a_restart() {
    let mut desk = Desk::new();
    assert_eq!(names(&desk.ask(0..40)), ["enumeration"]);
    desk.restart();
    assert_eq!(desk.ask(40..80), []);
    desk.now += HOUR;
    assert_eq!(names(&desk.ask(80..120)), ["enumeration"]);
}

#[test]
fn a_clock_that_jumps_raises_no_flood() {
    let mut desk = office(4);
    desk.detectors.know("parcelco", ["spare"].into_iter(), desk.now);
    let mut told = 0;
    let jumps = [0, -1, -HOUR, -400 * DAY, 400 * DAY, i64::MIN / 2, i64::MAX / 2, -DAY, 5];
    for (round, jump) in (0..200).zip(jumps.into_iter().cycle()) {
        desk.now = START + round + jump;
        for number in 0..NUMBERS as u64 {
            let found = desk.see(|event| {
                event.number = Some(number);
                event.new_subjects = 3;
                event.credential = ["gateway", "spare"][(number % 2) as usize];
                event.source = IpAddr::from([198, 51, number as u8, round as u8]);
                event.outcome = [Outcome::NotFound, Outcome::Disclosed][(number % 3 / 2) as usize];
            });
            told += found.len();
        }
        desk.restart();
    }
    // Two credentials, six signals; the clock was ahead of itself in 66 rounds.
    assert!(told < 66 * 12, "{told}");
}

#[test]
fn a_clock_that_went_back_does_not_silence_for_longer_than_the_wait() {
    let mut desk = Desk::new();
    desk.now += 300 * DAY;
    assert_eq!(names(&desk.ask(0..40)), ["enumeration"]);
    desk.now = START;
    assert_eq!(desk.ask(0..40), []);
    desk.now += HOUR + 20 * MINUTE;
    assert_eq!(names(&desk.ask(0..40)), ["enumeration"]);
}

#[test]
fn what_is_kept_holds_no_number_of_a_path_and_no_address() {
    let mut desk = Desk::new();
    desk.ask((0..40).map(|number| 7_391_826_000 + number));
    desk.see(|event| event.source = IpAddr::from([198, 51, 100, 213]));
    let kept = String::from_utf8(desk.detectors.keep(desk.now)).unwrap();
    assert!(kept.contains("198.51.100.0/24") && kept.contains("@.order_id"));
    assert!(!kept.contains("7391826") && !kept.contains("213"), "{kept}");
}

#[test]
fn what_was_damaged_is_refused_and_not_quoted() {
    let whole = Desk::used_for(2).detectors.keep(START);
    assert!(Detectors::restore(&whole).is_ok());
    for cut in 0..whole.len() {
        assert!(Detectors::restore(&whole[..cut]).is_err());
    }
    for other in ["{\"version\":1,\"contractors\":{\"PLANTED\":{\"began\":\"PLANTED\"}}}", "[]", "PLANTED"] {
        let error = Detectors::restore(other.as_bytes()).err().unwrap().to_string();
        assert!(!error.contains("PLANTED"), "{error}");
    }
    let error = Detectors::restore(b"{\"version\":2,\"contractors\":{}}").err().unwrap();
    assert_eq!(error.to_string(), "version 2");
}
