//! A rule from the tests' own generator, under it a body from there or any text: the filter and the
//! reference agree, and in pieces it is as in one.

#![no_main]

#[path = "../../tests/reference/mod.rs"]
mod reference;

use libfuzzer_sys::fuzz_target;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reference::Node;
use reference::generate::{self, Body, Style};
use reference::rule::Rule;
use reference::run::{in_pieces, is_same, whole};

/// Bytes that choose the rule; the rest chooses the body, or is it.
const RULE: usize = 4;

thread_local! {
    static RULES: BoxedStrategy<Rule> = generate::rule().boxed();
    static BODIES: BoxedStrategy<(Body, Style)> = (generate::body(), generate::style()).boxed();
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, data)) = data.split_first() else { return };
    let (head, rest) = data.split_at(data.len().min(RULE));
    let Some(rule) = RULES.with(|rules| seeded(rules, head)) else { return };
    let Ok(filter) = rule.compile() else { return };
    let text = if choice & 1 == 0 {
        let Some((body, style)) = BODIES.with(|bodies| seeded(bodies, rest)) else { return };
        body.text(style).into_bytes()
    } else {
        rest.to_vec()
    };
    let found = whole(&filter, &text);
    match Node::parse(&text) {
        Some(node) => {
            let expected = reference::reduce(&node, &rule);
            assert!(
                expected.agrees(&found),
                "{}\nrule: {rule:?}\nreference: {expected:?}\nfilter: {found:?}",
                String::from_utf8_lossy(&text)
            );
        }
        None => assert!(found.is_err(), "{}", String::from_utf8_lossy(&text)),
    }
    let size = usize::from(choice >> 1) + 1;
    let pieces = in_pieces(&filter, &text, (size..).step_by(size));
    assert!(
        is_same(&found, &pieces),
        "{}\nrule: {rule:?}\n{found:?}\nin pieces of {size}: {pieces:?}",
        String::from_utf8_lossy(&text)
    );
});

/// What a strategy makes of a seed. Its bytes do not lead it step by step: proptest has a generator for
/// that, which halves what is left of the bytes at each choice and then gives zeros without end.
fn seeded<S: Strategy>(strategy: &S, bytes: &[u8]) -> Option<S::Value> {
    let mut state = bytes.iter().fold(0xCBF2_9CE4_8422_2325u64, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    let mut seed = [0; 32];
    for part in seed.chunks_mut(8) {
        part.copy_from_slice(&state.to_le_bytes());
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let config = Config { failure_persistence: None, ..Config::default() };
    Some(strategy.new_tree(&mut TestRunner::new_with_rng(config, rng)).ok()?.current())
}
