//! The filter on cases written as data: `tests/cases/*.toml`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use fieldgate::filter::{Condition, Filter, Outcome, Path, Selection, Treatment};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Used by cases that do not say otherwise.
    #[serde(default)]
    disclose: Vec<String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    input: String,
    /// The exact text that leaves.
    output: Option<String>,
    /// Or the fault, as its message begins.
    fault: Option<String>,
    /// Or: the one record is withheld.
    #[serde(default)]
    withheld: bool,
    disclose: Option<Vec<String>>,
    #[serde(default)]
    whole: Vec<String>,
    records: Option<String>,
    when: Option<String>,
}

#[test]
fn every_case_comes_out_as_it_is_written() {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/cases").unwrap() {
        let path = entry.unwrap().path();
        let file: File = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for case in &file.case {
            check(&path.display().to_string(), &file.disclose, case);
            count += 1;
        }
    }
    assert!(count > 100, "{count} cases");
}

fn check(file: &str, disclose: &[String], case: &Case) {
    let plain = case.disclose.as_deref().unwrap_or(disclose);
    let field = |text: &String, treatment: Treatment| (Path::parse(text).unwrap(), treatment);
    let selection = Selection {
        records: case.records.as_ref().map(|path| Path::parse(path).unwrap()),
        subject: None,
        when: case
            .when
            .as_ref()
            .map(|when| Condition::parse(when).unwrap_or_else(|error| panic!("{when}: {error:?}"))),
        disclose: plain
            .iter()
            .map(|text| field(text, Treatment::plain()))
            .chain(case.whole.iter().map(|text| field(text, Treatment::whole())))
            .collect(),
    };
    let filter = Filter::compile(&selection).unwrap();
    let found = match filter.reduce(case.input.as_bytes()) {
        Ok(Outcome::Reduced { body, .. }) => String::from_utf8(body).unwrap(),
        Ok(Outcome::Withheld) => "withheld".to_owned(),
        Err(fault) => format!("fault: {fault}"),
    };
    let place = format!("{file}: {}", case.name);
    match (&case.output, &case.fault) {
        (Some(output), None) => assert_eq!(&found, output, "{place}"),
        (None, Some(fault)) => assert!(found.starts_with(&format!("fault: {fault}")), "{place}: {found}"),
        (None, None) if case.withheld => assert_eq!(found, "withheld", "{place}"),
        _ => panic!("{place}: say output, fault or withheld"),
    }
}
