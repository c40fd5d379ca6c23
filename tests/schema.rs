//! The schemas that `fieldgate schema` prints, held against the readers and the files of the repository.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use fieldgate::diagnostic::{Diagnostic, Source};
use fieldgate::model::{Basis, Country, SubjectKey, TransferMechanism};
use fieldgate::rules::{self, Method, Surroundings};
use regex::Regex;
use serde_json::Value;

/// A key that no reader asks for; no known one looks like it.
const STRANGER: &str = "stranger_of_nobody";

fn printed(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    let output = command.arg("schema").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Keys by the table that they are in.
type Keys = BTreeMap<String, BTreeSet<String>>;

/// `task[0].route[1]` is `task[].route[]`, and `upstream.orders` is `upstream.*`.
fn place(key: &str) -> String {
    let key = Regex::new(r"\[\d+\]").unwrap().replace_all(key, "[]");
    Regex::new(r"^upstream\.\w+").unwrap().replace(&key, "upstream.*").into_owned()
}

/// What the readers ask for: their complaint of a stranger lists it.
fn asked(found: &[Diagnostic]) -> Keys {
    let mut keys = Keys::new();
    for found in found.iter().filter(|found| found.key.ends_with(STRANGER)) {
        let known = found.help.strip_prefix("known here: ").unwrap();
        let table = found.key.trim_end_matches(STRANGER).trim_end_matches('.');
        keys.entry(place(table)).or_default().extend(known.split(", ").map(str::to_owned));
    }
    keys
}

/// What the schema knows.
fn described(schema: &Value, at: &str, keys: &mut Keys) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    if let Some(properties) = schema["properties"].as_object() {
        assert_eq!(schema["additionalProperties"], false, "{at}");
        keys.insert(at.to_owned(), properties.keys().cloned().collect());
        properties.iter().for_each(|(name, schema)| described(schema, &below(name), keys));
    }
    if schema["additionalProperties"].is_object() {
        described(&schema["additionalProperties"], &below("*"), keys);
    }
    if schema["items"].is_object() {
        described(&schema["items"], &format!("{at}[]"), keys);
    }
    for branch in schema["oneOf"].as_array().into_iter().flatten() {
        described(branch, at, keys);
    }
}

const RULES_OF_STRANGERS: &str = r#"
S = 1
[contractor]
S = 1
agreement = { S = 1 }
[[contractor.credential]]
S = 1
jwt = { S = 1 }
[[task]]
S = 1
limits = { S = 1, hours = { S = 1 } }
legal = { S = 1, hold_until = 2099-01-01 }
[[task.route]]
S = 1
disclose = [
  { S = 1, path = "@.a" },
  { S = 1, path = "@.b", transform = "mask" },
  { S = 1, path = "@.c", transform = "truncate", length = 1 },
]
"#;

const GATEWAY_OF_STRANGERS: &str = r#"
S = 1
listen = { S = 1 }
admin = { S = 1, oidc = { S = 1, client_secret = { S = 1 } }, webhook = { S = 1, key = { S = 1 } }, syslog = { S = 1 } }
organisation = { S = 1 }
ledger = { S = 1, store = "postgres://u@localhost/d", postgres = { S = 1 }, retention = { S = 1 }, witness = [{ S = 1 }] }
feed = [
  { S = 1, kind = "file" },
  { S = 1, kind = "http", key = { S = 1 }, bearer = { S = 1 } },
  { S = 1, kind = "nats", token = { S = 1 }, password = { S = 1 }, credentials = { S = 1 } },
]
limits = { S = 1 }
process = { S = 1 }
telemetry = { S = 1 }
[upstream.one]
S = 1
bearer = { S = 1 }
[upstream.two]
S = 1
urls = ["http://127.0.0.1:1"]
"#;

#[test]
fn the_schemas_know_each_key_that_the_readers_ask_for_and_no_other() {
    let source = |text: &str| Source::new("x.toml", text.replace("S =", &format!("{STRANGER} =")));
    let surroundings = Surroundings {
        jurisdiction: Country::new("US").unwrap(),
        upstreams: BTreeMap::new(),
        pseudonym_key: SubjectKey::new(&[0; SubjectKey::LENGTH]),
        home: "/etc/fieldgate".into(),
        documents: BTreeMap::new(),
    };
    let rules = rules::compile(vec![source(RULES_OF_STRANGERS)], &surroundings).diagnostics;
    let gateway = fieldgate::config::parse(&source(GATEWAY_OF_STRANGERS), Path::new("")).unwrap_err();
    for (schema, found, tables) in [(printed(&[]), rules, 10), (printed(&["--gateway"]), gateway, 10)] {
        let mut keys = Keys::new();
        described(&schema, "", &mut keys);
        assert_eq!(keys, asked(&found));
        assert!(keys.len() >= tables, "{}", keys.len());
    }
}

#[test]
fn the_schemas_know_the_words_that_the_rules_know() {
    let schema = printed(&[]);
    let task = &schema["properties"]["task"]["items"]["properties"];
    let agreement = &schema["properties"]["contractor"]["properties"]["agreement"]["properties"];
    for (words, known) in [
        (&task["basis"]["enum"], Basis::WORDS),
        (&agreement["transfer"]["enum"], TransferMechanism::WORDS),
        (&task["route"]["items"]["properties"]["methods"]["items"]["enum"], Method::WORDS),
    ] {
        assert_eq!(words, &Value::from(known.to_vec()));
    }
}

/// What is wrong with a value, as far as these schemas can say it; each keyword that they use is known here.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut wrong = |keyword: &str| found.push(format!("{at}: {keyword}"));
    let number = |bound: &Value| bound.as_f64().unwrap();
    let mut below = Vec::new();
    for (keyword, bound) in schema.as_object().unwrap() {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let target = root.pointer(bound.as_str().unwrap().strip_prefix('#').unwrap()).unwrap();
                below.extend(faults(root, target, value, at));
                true
            }
            "type" => match bound.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                other => panic!("the type {other}"),
            },
            "enum" => bound.as_array().unwrap().contains(value),
            "pattern" => {
                value.as_str().is_none_or(|text| Regex::new(bound.as_str().unwrap()).unwrap().is_match(text))
            }
            "maxLength" => value.as_str().is_none_or(|text| text.len() as f64 <= number(bound)),
            "minimum" => value.as_f64().is_none_or(|value| value >= number(bound)),
            "maximum" => value.as_f64().is_none_or(|value| value <= number(bound)),
            "minItems" => value.as_array().is_none_or(|list| list.len() as f64 >= number(bound)),
            "maxItems" => value.as_array().is_none_or(|list| list.len() as f64 <= number(bound)),
            "required" => {
                bound.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "oneOf" => {
                let fitting = bound.as_array().unwrap().iter();
                fitting.filter(|schema| faults(root, schema, value, at).is_empty()).count() == 1
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    below.extend(faults(root, bound, item, &format!("{at}[{index}]")));
                }
                true
            }
            "properties" => {
                for (key, item) in value.as_object().into_iter().flatten() {
                    if let Some(schema) = bound.get(key) {
                        below.extend(faults(root, schema, item, &format!("{at}.{key}")));
                    }
                }
                true
            }
            "additionalProperties" => {
                let known =
                    |key: &str| schema.get("properties").is_some_and(|known| known.get(key).is_some());
                let others = value.as_object().into_iter().flatten().filter(|(key, _)| !known(key));
                if bound.is_object() {
                    others.for_each(|(key, item)| {
                        below.extend(faults(root, bound, item, &format!("{at}.{key}")));
                    });
                    true
                } else {
                    others.count() == 0
                }
            }
            other => panic!("the keyword {other}"),
        };
        if !fits {
            wrong(keyword);
        }
    }
    found.extend(below);
    found
}

/// As editors show TOML to a schema: days are texts.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect())
        }
    }
}

fn check(schema: &Value, text: &str) -> Vec<String> {
    faults(schema, schema, &json(toml::Value::Table(text.parse().unwrap())), "")
}

const PARCELCO: &str = include_str!("../rules/parcelco.toml");
const GATEWAY: &str = include_str!("../fieldgate.toml");

#[test]
fn the_files_of_the_repository_fit_their_schemas() {
    let rules = printed(&[]);
    for text in [PARCELCO, include_str!("../rules/helpdesk.toml")] {
        assert_eq!(check(&rules, text), [""; 0]);
    }
    assert_eq!(check(&printed(&["--gateway"]), GATEWAY), [""; 0]);
}

#[test]
fn a_wrong_type_an_unknown_key_and_a_word_that_is_none_do_not_fit() {
    let (rules, gateway) = (printed(&[]), printed(&["--gateway"]));
    for (schema, text, good, bad, fault) in [
        (&rules, PARCELCO, "burst            = 100", "burst = \"100\"", ".task[0].limits.burst: type"),
        (&rules, PARCELCO, "purpose =", "porpoise =", ".task[0]: additionalProperties"),
        (&rules, PARCELCO, "= \"contract\"", "= \"because\"", ".task[0].basis: enum"),
        (&rules, PARCELCO, "\"50/s\"", "\"50 a second\"", ".task[0].limits.requests: pattern"),
        (&rules, PARCELCO, "\"last4\"", "\"last5\"", ".task[0].route[0].disclose[3]: oneOf"),
        (
            &rules,
            PARCELCO,
            "mtls_san =",
            "api_key_sha256 = \"00\" #",
            ".contractor.credential[0].api_key_sha256: pattern",
        ),
        (&gateway, GATEWAY, "\"http://127.0.0.1:9001\"", "9001", ".upstream.orders.url: type"),
        (&gateway, GATEWAY, "signing_key ", "signingkey ", ".ledger: additionalProperties"),
        (
            &gateway,
            GATEWAY,
            "[upstream.orders]",
            "[process]\nsandbox = \"maybe\"\n[upstream.orders]",
            ".process.sandbox: enum",
        ),
    ] {
        assert!(text.contains(good), "{good}");
        let found = check(schema, &text.replacen(good, bad, 1));
        assert!(found.iter().any(|found| found == fault), "{bad}: {found:?}");
    }
}
