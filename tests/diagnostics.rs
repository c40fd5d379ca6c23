//! Broken files and their exact messages: `tests/broken/NAME.toml` beside `NAME.txt`.
//!
//! A file whose name begins with `gateway` is a configuration, every other one a rule file. With
//! `BLESS=1` in the environment the messages are written anew, to be read before they are kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;

use fieldgate::diagnostic::{Diagnostic, Source};
use fieldgate::model::{Country, SubjectKey};
use fieldgate::rules::{self, Surroundings};

#[test]
fn every_broken_file_gets_exactly_its_messages() {
    let mut count = 0;
    let bless = std::env::var_os("BLESS").is_some();
    for entry in std::fs::read_dir("tests/broken").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let found = messages(&path);
        let expected = path.with_extension("txt");
        if bless {
            std::fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&expected).unwrap(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 9, "{count} broken files");
}

fn messages(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let diagnostics = if name.starts_with("gateway") {
        fieldgate::config::parse(&Source::new(name, text), Path::new("")).unwrap_err()
    } else {
        let loaded = rules::compile(vec![Source::new(format!("rules/{name}"), text)], &surroundings());
        assert!(loaded.plan.is_none(), "{name} has no error");
        loaded.diagnostics
    };
    let texts: Vec<String> = diagnostics.iter().map(Diagnostic::to_string).collect();
    texts.join("\n\n") + "\n"
}

fn surroundings() -> Surroundings {
    Surroundings {
        jurisdiction: Country::new("US").unwrap(),
        upstreams: BTreeMap::from([("orders".to_owned(), vec!["http://127.0.0.1:9001".to_owned()])]),
        pseudonym_key: SubjectKey::new(&[0; SubjectKey::LENGTH]),
        home: "/etc/fieldgate".into(),
        documents: BTreeMap::new(),
    }
}

const GOOD: &str = include_str!("../rules/parcelco.toml");

#[test]
fn the_sample_rules_have_no_errors() {
    let loaded = rules::compile(vec![Source::new("rules/parcelco.toml", GOOD)], &surroundings());
    assert!(loaded.plan.is_some() && loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
}

#[test]
fn two_files_do_not_share_an_id_or_a_credential() {
    let sources = vec![Source::new("rules/a.toml", GOOD), Source::new("rules/b.toml", GOOD)];
    let loaded = rules::compile(sources, &surroundings());
    let found: Vec<_> = loaded.diagnostics.iter().map(|d| (d.source.file_name(), d.key.as_str())).collect();
    assert_eq!(found, [("b.toml", "contractor.id"), ("b.toml", "contractor.credential[0].mtls_san")]);
}

#[test]
fn any_text_at_all_gets_an_answer_and_no_panic() {
    // Every cut of a good file, and every cut with something odd in its place.
    for (at, _) in GOOD.char_indices().step_by(7) {
        for odd in ["", "\"", "'''\n", "[", "é\u{1F600}", "\t\r\n", "= 1", "\u{0}"] {
            let text = format!("{}{odd}{}", &GOOD[..at], &GOOD[at..]);
            let loaded = rules::compile(vec![Source::new("rules/x.toml", text)], &surroundings());
            loaded.diagnostics.iter().for_each(|diagnostic| assert!(!diagnostic.to_string().is_empty()));
        }
    }
}
