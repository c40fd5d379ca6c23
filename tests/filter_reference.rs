//! The filter against a slow, obvious reference: parse to a tree, select with jsonpath-rust, rebuild.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use fieldgate::filter::{Condition, Filter, Outcome, Path, Selection, Transform, Treatment};
use jsonpath_rust::query::js_path;
use proptest::prelude::*;
use serde_json::Value;

/// One step from a container to a child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Name(String),
    Index(usize),
}

type Location = Vec<Key>;

/// A rule as text: what both sides are given.
#[derive(Clone, Debug)]
struct Rule {
    records: Option<String>,
    when: Option<Test>,
    disclose: Vec<(String, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Whole,
    Last4,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Body(Value),
    Withheld,
    Nothing,
}

// ---- the reference ----

struct Reference<'d> {
    document: &'d Value,
    leaves: BTreeSet<Location>,
    last4: BTreeSet<Location>,
    kept: BTreeSet<Location>,
}

fn reference(document: &Value, rule: &Rule) -> Expected {
    let records = match &rule.records {
        Some(path) => locations(document, path),
        None => vec![Location::new()],
    };
    let mut withheld = Vec::new();
    for record in &records {
        if rule.when.as_ref().is_some_and(|when| !when.holds(at(document, record).unwrap())) {
            withheld.push(record.clone());
        }
    }
    if withheld.contains(&Location::new()) {
        return Expected::Withheld;
    }
    let mut reference =
        Reference { document, leaves: BTreeSet::new(), last4: BTreeSet::new(), kept: BTreeSet::new() };
    for (path, kind) in &rule.disclose {
        let bases = if path.starts_with('@') { records.clone() } else { vec![Location::new()] };
        for base in bases {
            reference.field(&base, path, *kind);
        }
    }
    if let Some(records) =
        rule.records.as_ref().filter(|_| rule.disclose.iter().any(|(path, _)| path.starts_with('@')))
    {
        reference.way(&Location::new(), records);
    }
    if rule.disclose.is_empty() {
        return Expected::Body(Value::Object(serde_json::Map::new()));
    }
    match reference.rebuild(&mut Location::new(), &withheld) {
        Some(body) => Expected::Body(body),
        None => Expected::Nothing,
    }
}

impl Reference<'_> {
    fn field(&mut self, base: &Location, path: &str, kind: Kind) {
        self.way(base, path);
        let from = at(self.document, base).unwrap().clone();
        for relative in locations(&from, path) {
            let place: Location = base.iter().chain(&relative).cloned().collect();
            let value = at(self.document, &place).unwrap();
            match (kind, value) {
                (Kind::Whole, _) => self.whole(&place),
                (Kind::Plain, Value::Object(_)) => {}
                (Kind::Plain, Value::Array(elements)) => {
                    self.kept.insert(place.clone());
                    for (index, element) in elements.iter().enumerate() {
                        if !element.is_object() && !element.is_array() {
                            self.leaves.insert(child(&place, Key::Index(index)));
                        }
                    }
                }
                (Kind::Plain, _) => {
                    self.leaves.insert(place);
                }
                (Kind::Last4, Value::String(text))
                    if text.chars().filter(|c| c.is_alphanumeric()).count() > 4 =>
                {
                    self.last4.insert(place.clone());
                    self.leaves.insert(place);
                }
                (Kind::Last4, _) => {}
            }
        }
    }

    /// Containers that the path names on its way stay, where its next step could go on from them.
    fn way(&mut self, base: &Location, path: &str) {
        let steps = split(path);
        let from = at(self.document, base).unwrap().clone();
        for taken in 0..steps.len() {
            let next = &steps[taken];
            let prefix = format!("${}", steps[..taken].concat());
            for relative in locations(&from, &prefix) {
                let place: Location = base.iter().chain(&relative).cloned().collect();
                let fits = match at(self.document, &place).unwrap() {
                    Value::Object(_) => meets_objects(next),
                    Value::Array(_) => meets_arrays(next),
                    _ => false,
                };
                if fits {
                    self.kept.insert(place);
                }
            }
        }
    }

    fn whole(&mut self, place: &Location) {
        match at(self.document, place).unwrap() {
            Value::Object(members) => {
                self.kept.insert(place.clone());
                for name in members.keys() {
                    self.whole(&child(place, Key::Name(name.clone())));
                }
            }
            Value::Array(elements) => {
                self.kept.insert(place.clone());
                for index in 0..elements.len() {
                    self.whole(&child(place, Key::Index(index)));
                }
            }
            _ => {
                self.leaves.insert(place.clone());
            }
        }
    }

    fn rebuild(&self, place: &mut Location, withheld: &[Location]) -> Option<Value> {
        if withheld.contains(place) {
            return None;
        }
        match at(self.document, place).unwrap() {
            Value::Object(members) => {
                let mut out = serde_json::Map::new();
                for name in members.keys() {
                    place.push(Key::Name(name.clone()));
                    if let Some(value) = self.rebuild(place, withheld) {
                        out.insert(name.clone(), value);
                    }
                    place.pop();
                }
                (!out.is_empty() || self.kept.contains(place)).then_some(Value::Object(out))
            }
            Value::Array(elements) => {
                let mut out = Vec::new();
                for index in 0..elements.len() {
                    place.push(Key::Index(index));
                    out.extend(self.rebuild(place, withheld));
                    place.pop();
                }
                (!out.is_empty() || self.kept.contains(place)).then_some(Value::Array(out))
            }
            Value::String(text) if self.last4.contains(place) => {
                let significant: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
                Some(Value::String(significant[significant.len() - 4..].iter().collect()))
            }
            scalar => self.leaves.contains(place).then(|| scalar.clone()),
        }
    }
}

/// A condition that can be written as text and decided by hand.
#[derive(Clone, Debug)]
enum Test {
    Exists(&'static str),
    Compare(Operand, &'static str, Operand),
    /// The function, the path, and the pattern.
    Matches(&'static str, &'static str, &'static str),
    Not(Box<Test>),
    Both(Box<Test>, Box<Test>),
    Either(Box<Test>, Box<Test>),
}

#[derive(Clone, Copy, Debug)]
enum Operand {
    Literal(&'static str),
    Path(&'static str),
    /// A function of a path.
    Function(&'static str, &'static str),
}

impl Test {
    fn text(&self) -> String {
        match self {
            Test::Exists(path) => (*path).to_owned(),
            Test::Compare(left, operator, right) => format!("{} {operator} {}", left.text(), right.text()),
            Test::Matches(function, path, pattern) => format!("{function}({path}, '{pattern}')"),
            Test::Not(inner) => format!("!({})", inner.text()),
            Test::Both(left, right) => format!("({}) && ({})", left.text(), right.text()),
            Test::Either(left, right) => format!("({}) || ({})", left.text(), right.text()),
        }
    }

    /// RFC 9535, section 2.3.5.2. Only the nodes are found by jsonpath-rust: it and serde_json_path
    /// both differ from the RFC where an operand is missing or is a container.
    fn holds(&self, record: &Value) -> bool {
        match self {
            Test::Exists(path) => !nodes(record, path).is_empty(),
            Test::Compare(left, operator, right) => {
                let (left, right) = (left.value(record), right.value(record));
                match *operator {
                    "==" => left == right,
                    "!=" => left != right,
                    "<" => less(&left, &right),
                    ">" => less(&right, &left),
                    "<=" => less(&left, &right) || left == right,
                    _ => less(&right, &left) || left == right,
                }
            }
            Test::Matches(function, path, pattern) => {
                let pattern =
                    if *function == "match" { format!("^(?:{pattern})$") } else { (*pattern).to_owned() };
                let regex = regex::Regex::new(&pattern).unwrap();
                matches!(&nodes(record, path)[..], [Value::String(text)] if regex.is_match(text))
            }
            Test::Not(inner) => !inner.holds(record),
            Test::Both(left, right) => left.holds(record) && right.holds(record),
            Test::Either(left, right) => left.holds(record) || right.holds(record),
        }
    }
}

impl Operand {
    fn text(&self) -> String {
        match self {
            Operand::Literal(text) | Operand::Path(text) => (*text).to_owned(),
            Operand::Function(function, path) => format!("{function}({path})"),
        }
    }

    /// `None`: nothing.
    fn value(&self, record: &Value) -> Option<Value> {
        match self {
            Operand::Literal(text) => Some(serde_json::from_str(&text.replace('\'', "\"")).unwrap()),
            Operand::Path(path) | Operand::Function("value", path) => match &nodes(record, path)[..] {
                [one] => Some((*one).clone()),
                _ => None,
            },
            Operand::Function("count", path) => Some(nodes(record, path).len().into()),
            Operand::Function(_, path) => match &nodes(record, path)[..] {
                [Value::String(text)] => Some(text.chars().count().into()),
                [Value::Array(elements)] => Some(elements.len().into()),
                [Value::Object(members)] => Some(members.len().into()),
                _ => None,
            },
        }
    }
}

fn less(left: &Option<Value>, right: &Option<Value>) -> bool {
    match (left, right) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => a.as_f64() < b.as_f64(),
        (Some(Value::String(a)), Some(Value::String(b))) => a < b,
        _ => false,
    }
}

fn nodes<'v>(record: &'v Value, path: &str) -> Vec<&'v Value> {
    let found = js_path(&format!("${}", &path[1..]), record).unwrap();
    found.into_iter().map(|found| found.val()).collect()
}

fn child(place: &Location, key: Key) -> Location {
    place.iter().cloned().chain([key]).collect()
}

fn at<'d>(document: &'d Value, place: &Location) -> Option<&'d Value> {
    place.iter().try_fold(document, |value, key| match key {
        Key::Name(name) => value.get(name),
        Key::Index(index) => value.get(index),
    })
}

/// Where a path leads to, by jsonpath-rust's normalised paths.
fn locations(document: &Value, path: &str) -> Vec<Location> {
    let found = js_path(&format!("${}", &path[1..]), document).unwrap();
    let found: BTreeSet<Location> = found.into_iter().map(|found| location(&found.path)).collect();
    found.into_iter().collect()
}

/// `$['a'][0]`; the names of these tests need no escapes.
fn location(normalised: &str) -> Location {
    let keys = normalised[1..].split(']').filter(|part| !part.is_empty()).map(|part| &part[1..]);
    keys.map(|key| match key.strip_prefix('\'') {
        Some(name) => Key::Name(name.trim_end_matches('\'').to_owned()),
        None => Key::Index(key.parse().unwrap()),
    })
    .collect()
}

/// The steps of a generated path, each as text.
fn split(path: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut bracket = false;
    for character in path[1..].chars() {
        let begins = !bracket && (character == '[' || character == '.');
        let second_dot = character == '.' && steps.last().is_some_and(|step| step == ".");
        let after_dots = character == '[' && steps.last().is_some_and(|step| step == "..");
        if begins && !second_dot && !after_dots {
            steps.push(String::new());
        }
        bracket = (bracket || character == '[') && character != ']';
        steps.last_mut().unwrap().push(character);
    }
    steps
}

fn meets_objects(step: &str) -> bool {
    step.starts_with('.') || step.contains('*') || step.contains('\'')
}

fn meets_arrays(step: &str) -> bool {
    step.starts_with("..") || step.contains('*') || step.contains(|c: char| c.is_ascii_digit() || c == ':')
}

// ---- what is generated ----

const NAMES: [&str; 6] = ["a", "b", "c", "d", "größe", "a b"];

fn document() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        (-3i64..4).prop_map(|n| Value::from(n as f64 + 0.5)),
        "[a-c]{0,2}".prop_map(Value::from),
        prop_oneof![Just("+31 6 1234 5678"), Just("tab\t\"quote\" \u{1F600}"), Just("é\u{0}")]
            .prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..5).prop_map(|members| {
                Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

fn step() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&NAMES[..]);
    prop_oneof![
        6 => prop::sample::select(&NAMES[..4]).prop_map(|name| format!(".{name}")),
        2 => name.prop_map(|name| format!("['{name}']")),
        2 => (prop::sample::select(&NAMES[..]), prop::sample::select(&NAMES[..])).prop_map(|(a, b)| format!("['{a}','{b}']")),
        3 => Just("[*]".to_owned()),
        2 => (0..3u8).prop_map(|index| format!("[{index}]")),
        1 => (0..2u8, 1..5u8, 1..3u8).prop_map(|(start, end, step)| format!("[{start}:{end}:{step}]")),
        1 => (0..3u8).prop_map(|index| format!("['a',{index}]")),
    ]
}

fn path(origin: char) -> impl Strategy<Value = String> {
    let searching = (
        prop::collection::vec(step(), 0..3),
        prop::sample::select(&NAMES[..4]),
        prop::collection::vec(step(), 0..2),
    );
    prop_oneof![
        5 => prop::collection::vec(step(), 1..4).prop_map(move |steps| format!("{origin}{}", steps.concat())),
        1 => searching.prop_map(move |(before, name, after)| format!("{origin}{}..{name}{}", before.concat(), after.concat())),
    ]
}

fn condition() -> impl Strategy<Value = Test> {
    const PATHS: [&str; 5] = ["@.a", "@.b", "@.a.b", "@[0]", "@"];
    const FUNCTIONS: [(&str, &str); 4] =
        [("length", "@.a"), ("count", "@.*"), ("count", "@..a"), ("value", "@..b")];
    let operand = prop_oneof![
        3 => prop::sample::select(&PATHS[..]).prop_map(Operand::Path),
        2 => prop::sample::select(&FUNCTIONS[..]).prop_map(|(function, path)| Operand::Function(function, path)),
        2 => prop::sample::select(&["1", "0.5", "'a'", "true", "null"][..]).prop_map(Operand::Literal),
    ];
    let operator = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let atom = prop_oneof![
        4 => (operand.clone(), operator, operand).prop_map(|(left, operator, right)| Test::Compare(left, operator, right)),
        2 => prop::sample::select(&["@.a", "@.b[*]", "@..c", "@['a','b']"][..]).prop_map(Test::Exists),
        1 => Just(Test::Matches("match", "@.a", "a.?")),
        1 => Just(Test::Matches("search", "@.b", "[bc]")),
    ];
    atom.prop_recursive(2, 6, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            inner.prop_map(|inner| Test::Not(Box::new(inner))),
            pair.clone().prop_map(|(left, right)| Test::Both(Box::new(left), Box::new(right))),
            pair.prop_map(|(left, right)| Test::Either(Box::new(left), Box::new(right))),
        ]
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let kind = prop_oneof![6 => Just(Kind::Plain), 1 => Just(Kind::Whole), 1 => Just(Kind::Last4)];
    let fields = move |origin| prop::collection::vec((path(origin), kind.clone()), 0..4);
    let records = prop::option::of(
        prop::collection::vec(step(), 1..3).prop_map(|steps| format!("${}", steps.concat())),
    );
    (records, prop::option::of(condition()), fields('@'), fields('$')).prop_map(
        |(records, when, mut disclose, body)| {
            disclose.extend(body);
            Rule { records, when, disclose }
        },
    )
}

// ---- the properties ----

fn compile(rule: &Rule) -> Option<Filter> {
    let treatment = |kind| match kind {
        Kind::Plain => Treatment::plain(),
        Kind::Whole => Treatment::whole(),
        Kind::Last4 => Treatment::transformed(Transform::Last4),
    };
    let selection = Selection {
        records: rule.records.as_ref().map(|path| Path::parse(path).unwrap()),
        subject: None,
        when: rule.when.as_ref().map(|when| Condition::parse(&when.text()).unwrap()),
        disclose: rule
            .disclose
            .iter()
            .map(|(path, kind)| (Path::parse(path).unwrap(), treatment(*kind)))
            .collect(),
    };
    // Two treatments of one value, or too many selectors at one place: such a rule is never loaded.
    Filter::compile(&selection).ok()
}

fn reduced(filter: &Filter, text: &str) -> (Expected, String) {
    match filter.reduce(text.as_bytes()) {
        Ok(Outcome::Reduced { body, .. }) => {
            let body = String::from_utf8(body).unwrap();
            (Expected::Body(serde_json::from_str(&body).unwrap()), body)
        }
        Ok(Outcome::Withheld) => (Expected::Withheld, String::new()),
        Err(fieldgate::filter::Fault::Shape) => (Expected::Nothing, String::new()),
        Err(fault) => panic!("{fault:?} for {text}"),
    }
}

/// The scalars and names of a text, as they are written.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        if quoted {
            current.push(character);
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        if "{}[],: \n".contains(character) {
            found.extend((!current.is_empty()).then(|| std::mem::take(&mut current)));
        } else {
            quoted = character == '"';
            current.push(character);
        }
    }
    found.extend((!current.is_empty()).then_some(current));
    found
}

fn is_subsequence(part: &[String], whole: &[String]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|token| rest.any(|other| other == token))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_filter_and_the_reference_agree(document in document(), rule in rule()) {
        let Some(filter) = compile(&rule) else { return Ok(()) };
        let text = serde_json::to_string(&document).unwrap();
        prop_assert_eq!(reduced(&filter, &text).0, reference(&document, &rule));
    }

    #[test]
    fn the_output_is_written_as_the_input_was(document in document(), mut rule in rule()) {
        rule.disclose.retain(|(_, kind)| *kind != Kind::Last4);
        let Some(filter) = compile(&rule) else { return Ok(()) };
        let text = serde_json::to_string_pretty(&document).unwrap();
        let (_, output) = reduced(&filter, &text);
        prop_assert!(is_subsequence(&tokens(&output), &tokens(&text)), "{} from {}", output, text);
    }

    #[test]
    fn the_order_of_the_list_changes_nothing(document in document(), rule in rule()) {
        let mut reversed = rule.clone();
        reversed.disclose.reverse();
        let (Some(filter), Some(other)) = (compile(&rule), compile(&reversed)) else { return Ok(()) };
        let text = serde_json::to_string(&document).unwrap();
        prop_assert_eq!(reduced(&filter, &text).1, reduced(&other, &text).1);
    }

    #[test]
    fn filtering_twice_is_filtering_once(document in document(), paths in prop::collection::vec(prop::sample::subsequence(&NAMES[..4], 1..4), 1..4)) {
        // Names and wildcards only: an element that vanishes moves the ones after it.
        let disclose = paths.iter().map(|names| (format!("$.{}", names.join("[*].")), Kind::Plain)).collect();
        let filter = compile(&Rule { records: None, when: None, disclose }).unwrap();
        let (first, text) = reduced(&filter, &serde_json::to_string(&document).unwrap());
        if matches!(first, Expected::Body(_)) {
            prop_assert_eq!(reduced(&filter, &text).1, text);
        }
    }
}
