//! Any bytes: they are accepted where serde_json accepts them, in UTF-8 and not too deep, and in pieces as
//! in one.

#![no_main]

#[path = "../../tests/reference/mod.rs"]
mod reference;

use std::sync::LazyLock;

use fieldgate::filter::{Filter, MAX_DEPTH};
use libfuzzer_sys::fuzz_target;
use reference::rule::{Kind, Query, Rule, Selector, Step};
use reference::run::{in_pieces, is_same, whole};
use serde::de::IgnoredAny;

static RULES: LazyLock<Vec<Filter>> = LazyLock::new(|| {
    let step = |descendant, selector| Step { descendant, selectors: vec![selector] };
    let rule = |records: Option<Vec<Step>>, disclose: Vec<(char, Vec<Step>, Kind)>| {
        let query = |(origin, steps, kind)| (Query { origin, steps }, kind);
        Rule {
            records: records.map(|steps| Query { origin: '$', steps }),
            subject: None,
            when: None,
            disclose: disclose.into_iter().map(query).collect(),
        }
        .compile()
        .unwrap()
    };
    vec![
        rule(None, Vec::new()),
        rule(None, vec![('$', Vec::new(), Kind::Whole)]),
        rule(None, vec![('$', vec![step(true, Selector::Name("a"))], Kind::Plain)]),
        rule(None, vec![('$', vec![step(true, Selector::Index(-1))], Kind::Plain)]),
        rule(
            Some(vec![step(false, Selector::Wildcard)]),
            vec![('@', vec![step(false, Selector::Name("a"))], Kind::Plain)],
        ),
    ]
});

fuzz_target!(|data: &[u8]| {
    let Some((choice, text)) = data.split_first() else { return };
    let accepted = whole(&RULES[0], text).is_ok();
    assert_eq!(accepted, is_json(text));
    assert_eq!(accepted, reference::Node::parse(text).is_some());
    let size = usize::from(choice >> 2) + 1;
    for filter in RULES.iter() {
        let one = whole(filter, text);
        let other = in_pieces(filter, text, (size..).step_by(size));
        assert!(is_same(&one, &other), "{one:?}\nin pieces of {size}: {other:?}");
    }
    if let Ok((_, body, _)) = whole(&RULES[1], text) {
        let value = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text).is_ok();
        assert!(value(&body) && body.len() <= text.len());
    }
});

fn is_json(text: &[u8]) -> bool {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text {
        match byte {
            _ if quoted => {
                quoted = escaped || *byte != b'"';
                escaped = !escaped && *byte == b'\\';
            }
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    std::str::from_utf8(text).is_ok()
        && deepest <= MAX_DEPTH
        && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
