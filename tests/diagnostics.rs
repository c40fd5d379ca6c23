//! Broken files and their exact messages: `tests/broken/NAME.toml` beside `NAME.txt`.
//!
//! A file whose name begins with `gateway` is a configuration, every other one a rule file. With
//! `BLESS=1` in the environment the messages are written anew, to be read before they are kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fieldgate::diagnostic::{Diagnostic, Source, codes};
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

#[test]
fn ten_different_mistakes_are_all_told_in_one_run() {
    let text = std::fs::read_to_string("tests/broken/ten.toml").unwrap();
    let found = rules::compile(vec![Source::new("rules/ten.toml", text)], &surroundings()).diagnostics;
    let kinds: BTreeSet<&str> = found.iter().map(|found| found.code.id()).collect();
    assert_eq!((found.len(), kinds.len()), (10, 10), "{kinds:?}");
}

#[test]
fn what_stands_in_for_something_wrong_is_complained_of_by_nobody() {
    // Each of these takes away what later checks look at: one thing is wrong, and one is told.
    let cases = [
        ("id           = \"parcelco\"", "id = 7"),
        ("jurisdiction = \"NL\"", "jurisdiction = \"Netherlands\""),
        ("transfer  = \"scc\"", "transfer = \"handshake\""),
        ("expires   = 2027-12-31", "expires = \"2027-12-31\""),
        ("mtls_san = \"URI:", "mtls_san = \"UIR:"),
        ("basis   = \"contract\"", "basis = \"because\""),
        ("path     = \"/orders/{order_id}\"", "path = \"orders/{order_id}\""),
        ("records  = \"$.data[*]\"", "records = \"$.data[\""),
        ("subject  = \"@.customer.id\"", "subject = 7"),
        ("upstream = \"orders\"", "upstream = true"),
    ];
    for (good, bad) in cases {
        assert!(GOOD.contains(good), "{good}");
        let source = Source::new("rules/x.toml", GOOD.replacen(good, bad, 1));
        let loaded = rules::compile(vec![source], &surroundings());
        assert!(loaded.plan.is_none(), "{bad}");
        let found: Vec<String> = loaded.diagnostics.iter().map(Diagnostic::to_string).collect();
        assert_eq!(found.len(), 1, "{bad}\n{}", found.join("\n"));
    }
    let without_head = GOOD.replace("[contractor]", "[contractors]").replace("contractor.", "contractors.");
    let found = rules::compile(vec![Source::new("rules/x.toml", without_head)], &surroundings()).diagnostics;
    let keys: Vec<&str> = found.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(keys, ["contractor", "contractors"]);
}

/// E201 needs two files (see below), E5xx and W5xx need folders; E603 and E604 need true keys of several witnesses;
/// W221 and W312 are about the next days, x441 and E641 need a document, W611 about a gateway and its rules: see tests/check.rs.
const WITHOUT_A_FILE: [&str; 19] = [
    "E201", "W312", "E441", "E442", "E443", "E641", "W441", "E501", "E502", "E503", "E504", "E505", "E603",
    "E604", "W221", "W511", "W512", "W513", "W611",
];

#[test]
fn each_code_has_a_broken_file() {
    let mut shown = String::new();
    for entry in std::fs::read_dir("tests/broken").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            shown += &std::fs::read_to_string(path).unwrap();
        }
    }
    let missing = codes::all().map(|code| code.id()).filter(|id| !shown.contains(&format!("[{id}]")));
    assert_eq!(missing.collect::<Vec<_>>(), WITHOUT_A_FILE);
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
fn a_transfer_inside_the_economic_area_needs_no_mechanism_and_others_do() {
    let rules = GOOD.lines().filter(|line| !line.starts_with("transfer")).collect::<Vec<_>>().join("\n");
    for (home, keys) in
        [("NL", vec![]), ("DE", vec![]), ("NO", vec![]), ("US", vec!["contractor.jurisdiction"])]
    {
        let surroundings = Surroundings { jurisdiction: Country::new(home).unwrap(), ..surroundings() };
        let loaded = rules::compile(vec![Source::new("rules/x.toml", rules.clone())], &surroundings);
        let found: Vec<_> = loaded.diagnostics.iter().map(|found| found.key.as_str()).collect();
        assert_eq!(found, keys, "{home}");
    }
}

#[test]
fn a_derogation_carries_legal_grants_without_a_word_and_a_service_with_a_warning() {
    let grant = "basis = \"legal-obligation\"\n[task.legal]\ncase = \"1\"\nauthority = \"Court\"\n\
                 approved_by = [\"Anna\", \"Bram\"]\nsubjects = [1]\neffective = 2026-01-01\nexpires = 2026-01-02";
    let found = |rules: &str| {
        let loaded = rules::compile(vec![Source::new("rules/x.toml", rules)], &surroundings());
        assert!(loaded.plan.is_some(), "{:?}", loaded.diagnostics);
        loaded.diagnostics.into_iter().map(|found| found.key).collect::<Vec<_>>()
    };
    let service = GOOD.replace("\"scc\"", "\"derogation\"");
    assert_eq!(found(&service), ["contractor.agreement.transfer"]);
    let case = service.replace("basis   = \"contract\"", grant).replace("  \"$.generated_at\",\n", "");
    // That it is past is the one thing to say of it.
    assert_eq!(found(&case), ["task[0].legal.expires"]);
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
