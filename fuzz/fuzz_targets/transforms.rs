//! Any text through every transform and every scan: what comes out is a JSON string, a mask keeps the
//! number of characters, and no card number stays.

#![no_main]

use std::sync::LazyLock;

use fieldgate::filter::{Filter, Kinds, Path, Reduction, Selection, Transform, Treatment};
use libfuzzer_sys::fuzz_target;

const ALL: Kinds = Kinds { pan: true, iban: true, email: true, phone: true };

static SCANS: LazyLock<[Filter; 2]> =
    LazyLock::new(|| [Kinds::PAN, ALL].map(|kinds| filter(Treatment::plain().with_scan(kinds))));

static TRANSFORMS: LazyLock<Vec<(Transform, Filter, Filter)>> = LazyLock::new(|| {
    let all = [
        Transform::Last4,
        Transform::Mask { keep_first: 0, keep_last: 0 },
        Transform::Mask { keep_first: 2, keep_last: 3 },
        Transform::Initials,
        Transform::EmailDomain,
        Transform::Year,
        Transform::Truncate { length: 5 },
        Transform::Redact,
    ];
    let both = |transform: Transform| {
        let treatment = Treatment::transformed(transform.clone());
        (transform, filter(treatment.clone()), filter(treatment.with_scan(ALL)))
    };
    all.into_iter().map(both).collect()
});

fn filter(treatment: Treatment) -> Filter {
    let disclose = vec![(Path::parse("$.a").unwrap(), treatment)];
    Filter::compile(&Selection { disclose, ..Selection::default() }).unwrap()
}

fuzz_target!(|input: (bool, &str)| {
    let (escaped, text) = input;
    let body = body(text, escaped);
    for filter in SCANS.iter() {
        let masked = reduced(filter, &body).unwrap();
        only_masked(text, &masked);
        assert_eq!(reduced(filter, &self::body(text, !escaped)).unwrap(), masked, "escapes hide something");
        no_card_number(text, &masked);
    }
    for (transform, plain, scanned) in TRANSFORMS.iter() {
        let written = reduced(plain, &body);
        assert!(reduced(scanned, &body).is_some() <= written.is_some());
        let Some(written) = written else { continue };
        let length = text.chars().count();
        match transform {
            Transform::Mask { keep_first, keep_last } => {
                assert_eq!(written.chars().count(), length);
                let shown = written.chars().zip(text.chars()).filter(|(new, _)| *new != '*').count();
                assert!(shown <= keep_first + keep_last && (shown < length || length == 0));
            }
            Transform::Truncate { length } => {
                assert!(text.starts_with(&written) && written.chars().count() <= *length)
            }
            Transform::Last4 => {
                assert!(written.chars().count() == 4 && length > 4);
            }
            Transform::Year => assert!(written.len() == 4 && text.starts_with(&written)),
            Transform::EmailDomain => assert!(text.ends_with(&written) && !written.contains('@')),
            Transform::Redact => assert_eq!(written, "[redacted]"),
            _ => {}
        }
    }
});

/// The text as the value of `a`; with an escape for each character, if it is to be.
fn body(text: &str, escaped: bool) -> String {
    if !escaped {
        return format!("{{\"a\":{}}}", serde_json::to_string(text).unwrap());
    }
    let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("{{\"a\":\"{units}\"}}")
}

/// The value of `a` that leaves, which is a string.
fn reduced(filter: &Filter, body: &str) -> Option<String> {
    let mut reduction = Reduction::default();
    reduction.reduce(filter, body.as_bytes()).unwrap();
    let value: serde_json::Value = serde_json::from_slice(reduction.body()).unwrap();
    value.get("a").map(|text| text.as_str().unwrap().to_owned())
}

fn only_masked(text: &str, masked: &str) {
    assert_eq!(text.chars().count(), masked.chars().count());
    assert!(text.chars().zip(masked.chars()).all(|(old, new)| new == old || new == '*'));
}

/// Of each stretch of whole groups of digits that is a card number, no more than four digits stay. Where
/// there are letters it could be an account number, whose check is the stronger one.
fn no_card_number(text: &str, masked: &str) {
    if text.contains(|c: char| c.is_ascii_alphabetic()) {
        return;
    }
    let old: Vec<char> = text.chars().collect();
    let new: Vec<char> = masked.chars().collect();
    let digit = |at: usize| old.get(at).is_some_and(char::is_ascii_digit);
    let separator = |c: char| {
        matches!(c, ' ' | '-' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2010}'..='\u{2015}' | '\u{2212}')
    };
    for first in (0..old.len()).filter(|at| digit(*at) && !at.checked_sub(1).is_some_and(digit)) {
        let mut digits: Vec<u32> = Vec::new();
        for last in first..old.len() {
            match old[last].to_digit(10) {
                Some(value) if digits.len() < 19 => digits.push(value),
                None if separator(old[last]) && digit(last + 1) => continue,
                _ => break,
            }
            if !digit(last + 1) && digits.len() >= 13 && is_card_number(&digits) {
                let left = new[first..=last].iter().filter(|c| c.is_ascii_digit()).count();
                assert!(left <= 4, "{text:?} became {masked:?}");
            }
        }
    }
}

/// The Luhn formula of ISO/IEC 7812-1, Annex B. Zeros alone fulfil it, and are no number.
fn is_card_number(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit < 5 { digit * 2 } else { digit * 2 - 9 };
    let turned = digits.iter().rev().enumerate();
    let sum: u32 = turned.map(|(at, digit)| if at % 2 == 0 { *digit } else { doubled(*digit) }).sum();
    sum > 0 && sum.is_multiple_of(10)
}
