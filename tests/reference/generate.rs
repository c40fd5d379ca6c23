//! Bodies and rules at random: few names and small numbers, so that they meet.

use fieldgate::filter::Type;
use proptest::prelude::*;
use proptest::sample::select;

use super::rule::{Kind, Operand, Query, Rule, Selector, Step, Test};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "größe", "a b"];
/// Where each name is the same name, written in other ways.
const WRITTEN: [&[&str]; 6] = [
    &["\"a\"", "\"a\"", "\"a\"", "\"\\u0061\""],
    &["\"b\"", "\"b\"", "\"\\u0062\""],
    &["\"c\""],
    &["\"d\""],
    &["\"größe\"", "\"gr\\u00f6\\u00DFe\""],
    &["\"a b\"", "\"a\\u0020b\""],
];
const SCALARS: [&str; 30] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1.0",
    "-0",
    "0.10",
    "1e400",
    "1E+0",
    "-2.50e-1",
    "123456789012345678901234567890",
    "0.12345678901234567890123456789",
    "\"\"",
    "\"a\"",
    "\"\\u0061\"",
    "\"ab\"",
    "\"b\"",
    "\"bc\"",
    "\"x\\\\\"",
    "\"+31 6 1234 5678\"",
    "\"tab\\t\\\"quote\\\" \u{1F600}\"",
    "\"\\ud83d\\ude00\\/\"",
    "\"é\\u0000\"",
    "\"\u{7f}]},:[{\"",
    "\"  \"",
];
/// What has no certain meaning.
const UNCERTAIN: [&str; 3] = ["\"\\ud800\"", "\"x\\udc00\\ud800\"", "1e99999999999999999999"];

/// A body before white space is put into it.
#[derive(Clone, Debug)]
pub enum Body {
    Scalar(String),
    Array(Vec<Body>),
    Object(Vec<(String, Body)>),
}

/// White space before and behind a token, and for each level of a new line.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    around: &'static str,
    line: &'static str,
    indent: &'static str,
}

impl Body {
    pub fn text(&self, style: Style) -> String {
        let mut out = String::new();
        self.write(style, 0, &mut out);
        out
    }

    fn write(&self, style: Style, depth: usize, out: &mut String) {
        let line = |out: &mut String, depth: usize| {
            out.push_str(style.line);
            (0..depth).for_each(|_| out.push_str(style.indent));
        };
        let list = |out: &mut String, length: usize, write: &mut dyn FnMut(&mut String, usize)| {
            for at in 0..length {
                out.push_str(if at > 0 { "," } else { "" });
                line(out, depth + 1);
                write(out, at);
            }
            line(out, depth);
        };
        out.push_str(style.around);
        match self {
            Body::Scalar(raw) => out.push_str(raw),
            Body::Array(elements) => {
                out.push('[');
                list(out, elements.len(), &mut |out, at| elements[at].write(style, depth + 1, out));
                out.push(']');
            }
            Body::Object(members) => {
                out.push('{');
                list(out, members.len(), &mut |out, at| {
                    out.push_str(&members[at].0);
                    out.push_str(style.around);
                    out.push(':');
                    members[at].1.write(style, depth + 1, out);
                });
                out.push('}');
            }
        }
        out.push_str(style.around);
    }
}

pub fn style() -> impl Strategy<Value = Style> {
    const STYLES: [Style; 4] = [
        Style { around: "", line: "", indent: "" },
        Style { around: " ", line: "", indent: "" },
        Style { around: "", line: "\n", indent: "  " },
        Style { around: "\t\r\n ", line: "\r\n", indent: "\t" },
    ];
    select(&STYLES[..])
}

/// A small body.
pub fn body() -> impl Strategy<Value = Body> {
    let scalar = prop_oneof![
        120 => select(&SCALARS[..]),
        1 => select(&UNCERTAIN[..]),
    ];
    let inner = scalar.prop_map(|raw| Body::Scalar(raw.to_owned())).prop_recursive(3, 30, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Body::Array),
            members(inner).prop_map(Body::Object),
        ]
    });
    prop_oneof![
        1 => inner.clone(),
        3 => prop::collection::vec(inner.clone(), 0..6).prop_map(Body::Array),
        5 => members(inner).prop_map(Body::Object),
    ]
}

/// Members of different names, but for a few.
fn members(inner: impl Strategy<Value = Body>) -> impl Strategy<Value = Vec<(String, Body)>> {
    let name = prop_oneof![4 => 0..4usize, 1 => 0..NAMES.len()];
    let one = (name, any::<prop::sample::Index>(), inner);
    let odd = prop_oneof![60 => Just(0), 2 => Just(1), 1 => Just(2)];
    (prop::collection::vec(one, 0..6), odd).prop_map(|(list, odd)| {
        let mut seen = [false; NAMES.len()];
        let mut members: Vec<(String, Body)> = Vec::new();
        for (name, written, body) in list {
            let again = std::mem::replace(&mut seen[name], true);
            if !again || odd == 1 {
                members.push((written.get(WRITTEN[name]).to_string(), body));
            }
        }
        if let (2, Some(first)) = (odd, members.first_mut()) {
            first.0 = "\"\\ud800\"".to_owned();
        }
        members
    })
}

/// A body of many blocks: records with long names and strings, so that they lie across each border.
pub fn large() -> impl Strategy<Value = Body> {
    let around = |border: usize| border.saturating_sub(70)..border + 10;
    let length = prop_oneof![4 => 0..200usize, 2 => around(8192), 1 => around(16384), 1 => around(65536)];
    let pad = (select(&["x", "é", "\\\\", "\\\"", "\u{1F600}", "]}", "\\u0061", " "][..]), length)
        .prop_map(|(unit, length)| unit.repeat(length / unit.len()));
    let record = (body(), prop::option::weighted(0.4, pad.clone()), any::<bool>());
    let list = (prop::collection::vec(record, 1..8), 1..60usize, pad.clone());
    (list, body(), body(), pad, any::<bool>()).prop_map(|((records, times, pad), b, c, key, named)| {
        let record = |(body, pad, name): (Body, Option<String>, bool)| match (pad, name) {
            (Some(pad), true) => {
                Body::Object(vec![(format!("\"{pad}\""), body.clone()), ("\"a\"".into(), body)])
            }
            (Some(pad), false) => Body::Object(vec![
                ("\"a\"".to_owned(), body),
                ("\"b\"".to_owned(), Body::Scalar(format!("\"{pad}\""))),
            ]),
            (None, _) => body,
        };
        let records: Vec<Body> = records.into_iter().map(record).collect();
        let most = (1 << 17) / records.iter().map(|record| record.text(COMPACT).len() + 1).sum::<usize>();
        let records = std::iter::repeat_n(records, times.min(most + 1)).flatten().collect();
        let first = (format!("\"{key}-\""), Body::Scalar(format!("\"{pad}\"")));
        match named {
            true => Body::Object(vec![
                first,
                ("\"a\"".to_owned(), Body::Array(records)),
                ("\"b\"".to_owned(), b),
                ("\"c\"".to_owned(), c),
            ]),
            false => Body::Array(records),
        }
    })
}

const COMPACT: Style = Style { around: "", line: "", indent: "" };

// ---- rules ----

fn name() -> impl Strategy<Value = Selector> {
    prop_oneof![
        4 => select(&NAMES[..4]).prop_map(Selector::Name),
        1 => select(&NAMES[..]).prop_map(Selector::Name),
    ]
}

fn place() -> impl Strategy<Value = Selector> {
    let slice = (prop::option::of(-3..4i64), prop::option::of(-3..5i64), prop::option::of(-2..3i64));
    let bound = |bound: Option<i64>| bound.map_or(String::new(), |bound| bound.to_string());
    prop_oneof![
        2 => (0..3i64).prop_map(Selector::Index),
        1 => (-3..0i64).prop_map(Selector::Index),
        1 => select(&["-2:", "::-1", "1:-1", "::2", ":1", "1::3"][..]).prop_map(|text| Selector::Slice(text.to_owned())),
        1 => slice.prop_map(move |(start, end, step)| Selector::Slice(match step {
            Some(step) => format!("{}:{}:{step}", bound(start), bound(end)),
            None => format!("{}:{}", bound(start), bound(end)),
        })),
    ]
}

fn selector() -> BoxedStrategy<Selector> {
    prop_oneof![
        6 => name(),
        3 => Just(Selector::Wildcard),
        3 => place(),
        2 => filter().prop_map(|test| Selector::Filter(Box::new(test))),
    ]
    .boxed()
}

fn step(selector: BoxedStrategy<Selector>) -> impl Strategy<Value = Step> {
    let one = selector.clone().prop_map(|one| vec![one]);
    let selectors = prop_oneof![8 => one, 1 => prop::collection::vec(selector, 2..4)];
    selectors.prop_map(|selectors| Step { descendant: false, selectors })
}

fn steps(selector: BoxedStrategy<Selector>, most: usize) -> impl Strategy<Value = Vec<Step>> {
    let search = prop_oneof![5 => Just(None), 1 => (0..most).prop_map(Some)];
    (prop::collection::vec(step(selector), 1..=most), search).prop_map(|(mut steps, search)| {
        if let Some(step) = search.and_then(|at| steps.get_mut(at)) {
            step.descendant = true;
        }
        steps
    })
}

fn query(origin: char, most: usize) -> impl Strategy<Value = Query> {
    steps(selector(), most).prop_map(move |steps| Query { origin, steps })
}

/// `@`, `@.a`, `@[0]` and `$.a`: at most one node.
fn singular() -> impl Strategy<Value = Query> {
    let selector = prop_oneof![5 => name(), 1 => (-2..2i64).prop_map(Selector::Index)];
    let step = selector.prop_map(|one| Step { descendant: false, selectors: vec![one] });
    (origin(), prop::collection::vec(step, 0..3)).prop_map(|(origin, steps)| Query { origin, steps })
}

fn origin() -> impl Strategy<Value = char> {
    prop_oneof![6 => Just('@'), 1 => Just('$')]
}

/// What filters and conditions ask for; `inner` is what may be in a filter of theirs.
fn asked(inner: BoxedStrategy<Selector>) -> impl Strategy<Value = Query> {
    (origin(), steps(inner, 2)).prop_map(|(origin, steps)| Query { origin, steps })
}

/// Whether two selectors of a step could take one child is plain to see: they are names, or the same.
fn plainly(mut query: Query) -> Query {
    for step in &mut query.steps {
        if !step.selectors.iter().all(|one| matches!(one, Selector::Name(_))) {
            let first = step.selectors[0].clone();
            step.selectors.fill(first);
        }
    }
    query
}

fn simple() -> BoxedStrategy<Selector> {
    prop_oneof![4 => name(), 2 => Just(Selector::Wildcard), 2 => place()].boxed()
}

fn test(inner: BoxedStrategy<Selector>) -> BoxedStrategy<Test> {
    let operand = prop_oneof![
        4 => singular().prop_map(Operand::Path),
        2 => (select(&["count", "value"][..]), asked(inner.clone()).prop_map(plainly)).prop_map(|(function, query)| Operand::Function(function, query)),
        1 => singular().prop_map(|query| Operand::Function("length", query)),
        3 => select(&["1", "0.5", "'a'", "true", "null", "0.1", "''"][..]).prop_map(Operand::Literal),
    ];
    let operator = select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let atom = prop_oneof![
        5 => (operand.clone(), operator, operand).prop_map(|(left, operator, right)| Test::Compare(left, operator, right)),
        3 => asked(inner).prop_map(Test::Exists),
        1 => singular().prop_map(|query| Test::Matches("match", query, "a.?")),
        1 => singular().prop_map(|query| Test::Matches("search", query, "[bc]")),
    ];
    let test = atom.prop_recursive(2, 4, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            inner.prop_map(|inner| Test::Not(Box::new(inner))),
            pair.clone().prop_map(|(left, right)| Test::Both(Box::new(left), Box::new(right))),
            pair.prop_map(|(left, right)| Test::Either(Box::new(left), Box::new(right))),
        ]
    });
    test.boxed()
}

/// The condition of a filter selector, perhaps with a filter inside.
fn filter() -> impl Strategy<Value = Test> {
    let nested = test(simple()).prop_map(|test| Selector::Filter(Box::new(test)));
    let inner = prop_oneof![6 => simple(), 1 => nested];
    test(inner.boxed())
}

pub fn condition() -> impl Strategy<Value = Test> {
    test(prop_oneof![6 => simple(), 1 => filter().prop_map(|test| Selector::Filter(Box::new(test)))].boxed())
}

pub fn rule() -> impl Strategy<Value = Rule> {
    const OTHERS: [Kind; 8] = [
        Kind::Whole,
        Kind::Last4,
        Kind::Redact,
        Kind::Truncate,
        Kind::Typed(&[Type::Integer, Type::Null]),
        Kind::Typed(&[Type::String, Type::Boolean]),
        Kind::Short(2),
        Kind::Matching("[a-z0-9]+"),
    ];
    let kind = prop_oneof![8 => Just(Kind::Plain), 1 => Just(Kind::Whole), 1 => select(&OTHERS[..])];
    let fields = move |origin| prop::collection::vec((query(origin, 3), kind.clone()), 0..4);
    let last = prop_oneof![4 => Just(Selector::Wildcard), 1 => selector()].prop_map(|last| vec![last]);
    let last = last.prop_map(|selectors| Step { descendant: false, selectors });
    let records = (prop::collection::vec(step(selector()), 0..2), last).prop_map(|(mut steps, last)| {
        steps.push(last);
        Query { origin: '$', steps }
    });
    let records = records.boxed();
    let heads = prop_oneof![
        4 => Just((None, None)),
        1 => condition().prop_map(|when| (None, Some(when))),
        2 => records.clone().prop_map(|records| (Some(records), None)),
        4 => (records, condition()).prop_map(|(records, when)| (Some(records), Some(when))),
    ];
    let subject = prop::option::weighted(0.3, singular().prop_map(|query| Query { origin: '@', ..query }));
    (heads, subject, fields('@'), fields('$'))
        .prop_map(|((records, when), subject, mut disclose, body)| {
            disclose.extend(body);
            Rule { records, subject, when, disclose }
        })
        .prop_filter("too long, or two searches on one way", Rule::is_within_limits)
}
