//! The filter on cases written as data: `tests/cases/*.toml`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod reference;

use fieldgate::filter::{
    Condition, Filter, Path, Pattern, Selection, Shape, Tally, Treatment, Type, Verdict,
};
use reference::run;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Used by cases that do not say otherwise.
    #[serde(default)]
    disclose: Vec<String>,
    case: Vec<Case>,
}

/// In `input` and `output`, `%{x*3}` stands for `xxx`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    input: String,
    /// Or its bytes, where they are no text.
    input_hex: Option<String>,
    /// It is a text of lines, each a text of its own.
    #[serde(default)]
    lines: bool,
    /// The exact text that leaves.
    output: Option<String>,
    /// Or the fault, as its message begins.
    fault: Option<String>,
    /// Or: the one record is withheld.
    #[serde(default)]
    withheld: bool,
    /// How many values were not what the rule says that they are.
    drifted: Option<u64>,
    disclose: Option<Vec<String>>,
    #[serde(default)]
    whole: Vec<String>,
    #[serde(default)]
    shaped: Vec<Shaped>,
    records: Option<String>,
    when: Option<String>,
}

/// A plain path, and what its values must be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shaped {
    path: String,
    #[serde(default)]
    types: Vec<String>,
    max_length: Option<u64>,
    pattern: Option<String>,
}

#[test]
fn every_case_comes_out_as_it_is_written() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/cases").unwrap() {
        let path = entry.unwrap().path();
        let file: File = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for case in &file.case {
            check(&format!("{}: {}", path.display(), case.name), &file.disclose, case);
            count += 1;
        }
    }
    assert!(count > 400, "{count} cases");
}

fn check(place: &str, disclose: &[String], case: &Case) {
    let filter = compile(case, disclose);
    let input = match &case.input_hex {
        Some(hex) => hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
        None => expanded(&case.input).into_bytes(),
    };
    let in_pieces = |size: usize| {
        let borders = (size..).step_by(size);
        if case.lines {
            run::lines(&filter, &input, borders)
        } else {
            run::in_pieces(&filter, &input, borders)
        }
    };
    let found = if case.lines { in_pieces(input.len().max(1)) } else { run::whole(&filter, &input) };
    for size in [1, 7, 64] {
        let pieces = in_pieces(size);
        assert!(run::is_same(&pieces, &found), "{place}: in pieces of {size}: {pieces:?}, not {found:?}");
    }
    let (found, tally) = match found {
        Ok((Verdict::Reduced, body, counts)) => (String::from_utf8(body).unwrap(), counts.tally),
        Ok((Verdict::Withheld, ..)) => ("withheld".to_owned(), Tally::default()),
        Err(fault) => (format!("fault: {fault}"), Tally::default()),
    };
    match (&case.output, &case.fault) {
        (Some(output), None) => assert_eq!(found, expanded(output), "{place}"),
        (None, Some(fault)) => assert!(found.starts_with(&format!("fault: {fault}")), "{place}: {found}"),
        (None, None) if case.withheld => assert_eq!(found, "withheld", "{place}"),
        _ => panic!("{place}: say output, fault or withheld"),
    }
    if let Some(drifted) = case.drifted {
        assert_eq!(tally.fields.iter().map(|field| field.drifted).sum::<u64>(), drifted, "{place}");
    }
}

fn compile(case: &Case, disclose: &[String]) -> Filter {
    let plain = case.disclose.as_deref().unwrap_or(disclose);
    let field = |text: &String, treatment: Treatment| (Path::parse(text).unwrap(), treatment);
    let plain = plain.iter().map(|text| field(text, Treatment::plain()));
    let whole = case.whole.iter().map(|text| field(text, Treatment::whole()));
    let shaped = case.shaped.iter().map(|shaped| field(&shaped.path, shaped.treatment()));
    let selection = Selection {
        records: case.records.as_ref().map(|path| Path::parse(path).unwrap()),
        subject: None,
        when: case
            .when
            .as_ref()
            .map(|when| Condition::parse(when).unwrap_or_else(|error| panic!("{when}: {error:?}"))),
        disclose: plain.chain(whole).chain(shaped).collect(),
        ..Selection::default()
    };
    Filter::compile(&selection).unwrap()
}

impl Shaped {
    fn treatment(&self) -> Treatment {
        Treatment::plain().with_shape(Shape {
            types: self.types.iter().map(|word| Type::new(word).unwrap()).collect(),
            max_length: self.max_length,
            pattern: self.pattern.as_ref().map(|pattern| Pattern::parse(pattern).unwrap()),
        })
    }
}

fn expanded(text: &str) -> String {
    let run = regex::Regex::new(r"(?s)%\{(.+?)\*([0-9]+)\}").unwrap();
    let repeat = |found: &regex::Captures| found[1].repeat(found[2].parse().unwrap());
    run.replace_all(text, repeat).into_owned()
}
