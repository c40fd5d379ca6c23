use std::net::IpAddr;

use serde_json::{Value, json};

use super::*;
use crate::signals::Outcome;
use crate::signals::thresholds::{CONFIRMED, DAY, LEARNED_SAMPLES, NODES, PATHS, SIBLINGS, VANISHED};

const START: i64 = 1_800_000_000;
const ROUTE: RouteName = RouteName { contractor: "parcelco", task: "deliver", route: "GET /orders/{id}" };

/// Rules that disclose `@.name` and `@.phone`, and answers of their upstream.
struct Desk {
    drift: Drift,
    now: i64,
}

fn key() -> SubjectKey {
    SubjectKey::new(&[7; SubjectKey::LENGTH])
}

impl Desk {
    fn new() -> Desk {
        let mut drift = Drift::new(key());
        drift.know([(ROUTE, vec!["@.name", "@.phone"])].into_iter(), START);
        Desk { drift, now: START }
    }

    /// Answers of the same shape, until that is known.
    fn that_knows(answer: &Value) -> Desk {
        let mut desk = Desk::new();
        for _ in 0..=LEARNED_SAMPLES {
            assert_eq!(desk.learn(answer), []);
        }
        desk.now += DAY;
        assert_eq!(desk.learn(answer), []);
        desk
    }

    fn learn(&mut self, answer: &Value) -> Vec<Found> {
        self.now += 1;
        let disclosed = |trail: &[Segment]| ["$.name", "$.phone"].contains(&&*written('$', trail));
        self.drift.learn(ROUTE, Node::of(answer.to_string().as_bytes()), self.now, disclosed)
    }

    /// The paths of new fields in answers, in the order in which they are told.
    fn new_in(&mut self, answers: impl IntoIterator<Item = Value>) -> Vec<String> {
        let found: Vec<Found> = answers.into_iter().flat_map(|answer| self.learn(&answer)).collect();
        let path = |found| match found {
            Found::New { path, .. } => written('$', &path),
            Found::Retyped { .. } => panic!("{found:?}"),
        };
        found.into_iter().map(path).collect()
    }

    fn see(&mut self, met: &[&'static str], disclosed: &[&'static str]) -> Vec<Details> {
        self.now += 1;
        let event = Event {
            id: RequestId::new(),
            time: self.now,
            contractor: "parcelco",
            credential: "gateway",
            task: Some("deliver"),
            route: Some("/orders/{id}"),
            source: IpAddr::from([192, 0, 2, 7]),
            outcome: Outcome::Disclosed,
            new_subjects: 0,
            fields: disclosed.to_vec(),
            met: met.to_vec(),
            released: true,
            number: None,
        };
        self.drift.see(ROUTE, &event).into_iter().map(|signal| signal.details).collect()
    }
}

fn paths_of(text: &str) -> Vec<String> {
    fn walk(node: &Node, trail: &mut Vec<Segment>, out: &mut Vec<String>) {
        out.push(format!("{} {}", written('$', trail), node.types.names().join("|")));
        let members = node.members.iter().map(|(name, member)| (Segment::Name(name.clone()), member));
        let any = node.any.as_deref().map(|any| (Segment::AnyName, any));
        let element = node.element.as_deref().map(|element| (Segment::Element, element));
        for (segment, child) in members.chain(any).chain(element) {
            trail.push(segment);
            walk(child, trail, out);
            trail.pop();
        }
    }
    let mut out = Vec::new();
    walk(&Node::of(text.as_bytes()), &mut Vec::new(), &mut out);
    out
}

#[test]
fn a_shape_has_names_and_types_of_all_records() {
    let text = r#"{"data":[{"id":1,"tags":[]},{"id":"x","tags":["a",null],"first-name":true}],"next":null}"#;
    let expected = [
        "$ object",
        "$.data array",
        "$.data[*] object",
        "$.data[*]['first-name'] boolean",
        "$.data[*].id number|string",
        "$.data[*].tags array",
        "$.data[*].tags[*] null|string",
        "$.next null",
    ];
    assert_eq!(paths_of(text), expected);
}

#[test]
fn a_text_that_is_cut_has_the_shape_of_what_is_there() {
    let text = r#"{"data":[{"id":1,"name":"Anna"},{"id":2,"na"#;
    assert_eq!(paths_of(text), paths_of(r#"{"data":[{"id":1,"name":"x"}]}"#));
    assert_eq!(paths_of("{\"a\":1e999,\"b\":2}").len(), 2);
    assert_eq!(paths_of(""), ["$ "]);
}

#[test]
fn a_name_that_could_be_a_value_is_not_taken() {
    for name in [
        "c-10797",
        "anna@example.com",
        "+31612345678",
        "4111111111111111",
        "Anna Jansen",
        "01a20b8d",
        "ü",
        "",
        "a\\u0022b",
        "this_is_a_name_of_more_than_forty_characters",
    ] {
        assert_eq!(
            paths_of(&format!("{{\"{name}\":{{\"x\":1}}}}")),
            ["$ object", "$.* object", "$.*.x number"],
            "{name}"
        );
    }
    for name in ["order_id", "_links", "line2", "first-name", "postalCode", "iso3166"] {
        let taken = paths_of(&format!("{{\"{name}\":1}}"))[1].contains(name);
        assert_eq!(taken, name != "iso3166", "{name}");
    }
    let many: Vec<String> = (0..=SIBLINGS).map(|at| format!("\"{}\":1", letters(at))).collect();
    assert_eq!(paths_of(&format!("{{{}}}", many.join(","))), ["$ object", "$.* number"]);
}

fn letters(at: usize) -> String {
    ["a", "b", "c", "d"]
        .iter()
        .enumerate()
        .map(|(place, _)| char::from(b'a' + (at >> (4 * place) & 15) as u8))
        .collect()
}

#[test]
fn what_is_looked_at_and_what_is_known_is_bounded() {
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    assert!(paths_of(&deep).len() < 20);
    let wide = |from: usize| {
        let group = |group: usize| {
            let names: Vec<String> = (0..60).map(|at| format!("\"{}\":1", letters(from + at))).collect();
            format!("\"{}\":{{{}}}", letters(group), names.join(","))
        };
        format!("{{{}}}", (0..60).map(group).collect::<Vec<_>>().join(","))
    };
    assert!(paths_of(&wide(0)).len() <= NODES + 1);
    let mut desk = Desk::new();
    for from in 0..10 {
        desk.drift.learn(ROUTE, Node::of(wide(from * 60).as_bytes()), START, |_| false);
    }
    let kept: Value = serde_json::from_slice(&desk.drift.keep()).unwrap();
    let (_, route) = kept["routes"].as_object().unwrap().iter().next().unwrap();
    assert!(route["shape"]["paths"].as_object().unwrap().len() <= PATHS);
}

#[test]
fn a_new_field_is_told_once_when_several_answers_have_it() {
    let mut desk = Desk::that_knows(&json!({ "name": "x", "customer": { "id": 1 } }));
    let grown = json!({ "name": "x", "customer": { "id": 1, "vat": "NL1" } });
    assert_eq!(desk.new_in([grown.clone(), grown.clone()]), [""; 0]);
    assert_eq!(desk.new_in(vec![grown; 20]), ["$.customer.vat"]);
}

#[test]
fn what_a_new_object_holds_is_told_with_it() {
    let mut desk = Desk::that_knows(&json!({ "name": "x" }));
    let grown = json!({ "name": "x", "billing": { "iban": "x", "lines": [{ "amount": 1 }] } });
    assert_eq!(desk.new_in(vec![grown; 20]), ["$.billing"]);
}

#[test]
fn nothing_is_told_while_a_shape_is_learned() {
    let mut desk = Desk::new();
    let answers = (0..100).map(|at| json!({ letters(at): 1 }));
    assert_eq!(desk.new_in(answers), [""; 0], "many samples, and not a day");
    let mut desk = Desk::new();
    desk.learn(&json!({}));
    desk.now += 30 * DAY;
    assert_eq!(desk.new_in(vec![json!({ "name": 1 }); LEARNED_SAMPLES as usize - 1]), [""; 0], "few samples");
}

#[test]
fn names_that_change_from_answer_to_answer_are_told_nobody() {
    // An object keyed by people, each of whom is asked for a few times in a row.
    let mut desk = Desk::new();
    let customer = |at: usize| json!({ "name": "x", "by": { letters(at * 17): { "seen": true } } });
    for at in 0..LEARNED_SAMPLES as usize + 1 {
        desk.learn(&customer(at));
    }
    desk.now += DAY;
    for at in 100..200 {
        let answers = vec![customer(at); CONFIRMED as usize + 2];
        assert_eq!(desk.new_in(answers), [""; 0], "{at}");
    }
}

#[test]
fn a_disclosed_field_of_another_type_is_told_once() {
    let mut desk = Desk::that_knows(&json!({ "name": "x", "other": 1 }));
    assert_eq!(desk.learn(&json!({ "name": null, "other": "x" })), [], "no rule discloses `other`");
    let name = vec![Segment::Name("name".into())];
    let retyped = Found::Retyped { path: name, from: vec!["string"], to: vec!["object"] };
    assert_eq!(desk.learn(&json!({ "name": { "first": "x" } })), [retyped]);
    assert_eq!(desk.learn(&json!({ "name": { "first": "x" } })), []);
}

#[test]
fn a_disclosed_field_that_is_away_for_much_longer_than_before_has_vanished() {
    let mut desk = Desk::new();
    for at in 0..60 {
        // The phone is missing in two of three answers: that is nothing new.
        let met: &[&'static str] = if at % 3 == 0 { &["@.name", "@.phone"] } else { &["@.name"] };
        assert_eq!(desk.see(met, met), []);
    }
    desk.now += DAY;
    let gone: Vec<Details> = (0..200).flat_map(|_| desk.see(&["@.phone"], &[])).collect();
    let [Details::FieldVanished { path, answers, change }] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!((path.as_str(), *answers), ("@.name", VANISHED));
    assert!(change.contains("remove \"@.name\" from `disclose`"), "{change}");
    // Back again, and away again.
    desk.see(&["@.name", "@.phone"], &[]);
    assert_eq!((0..2000).flat_map(|_| desk.see(&["@.phone"], &[])).count(), 1);
}

#[test]
fn a_field_that_nobody_got_for_90_days_is_told_where_the_route_is_used() {
    let mut desk = Desk::new();
    desk.see(&["@.name", "@.phone"], &["@.name"]);
    desk.now += 89 * DAY;
    assert_eq!(desk.see(&["@.name", "@.phone"], &["@.name"]), []);
    desk.now += DAY;
    let found = desk.see(&["@.name", "@.phone"], &["@.name"]);
    let change = "remove \"@.phone\" from `disclose`".to_owned();
    assert_eq!(found, [Details::FieldUnused { path: "@.phone".into(), days: 90, change }]);
    assert_eq!(desk.see(&["@.name", "@.phone"], &["@.name"]), [], "once");
}

#[test]
fn what_is_kept_names_no_field_that_no_rule_names() {
    let answer = json!({ "name": "Anna", "secret_clinic": { "anna": 1 }, "phone": "+31612345678" });
    let mut desk = Desk::that_knows(&answer);
    let kept = desk.drift.keep();
    let text = String::from_utf8(kept.clone()).unwrap();
    for word in ["secret", "anna", "Anna", "3161"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert!(text.contains("@.phone"));
    desk.drift = Drift::restore(key(), &kept).unwrap();
    assert_eq!(desk.learn(&answer), [], "known from before");
    assert_eq!(desk.drift.keep(), desk.drift.keep());
    let other = SubjectKey::new(&[8; SubjectKey::LENGTH]);
    assert!(matches!(Drift::restore(other, &kept), Err(Damaged::Key)));
    assert!(matches!(Drift::restore(key(), b"{\"version\":1,\"secret"), Err(Damaged::Syntax { .. })));
}

#[test]
fn a_route_or_field_that_the_rules_no_longer_have_is_forgotten() {
    let mut desk = Desk::that_knows(&json!({ "name": "x" }));
    desk.drift.know([(ROUTE, vec!["@.name"])].into_iter(), desk.now);
    assert!(!String::from_utf8(desk.drift.keep()).unwrap().contains("@.phone"));
    desk.drift.know(std::iter::empty(), desk.now);
    assert!(String::from_utf8(desk.drift.keep()).unwrap().contains("\"routes\":{}"));
}
