//! What fixtures tell of an answer: names and types, never values.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::fixture::{self, Call};
use super::super::plan::{Plan, Route};
use super::document::Document;

/// What leaves by one fixture.
pub struct Example {
    call: Call,
    expected: Value,
}

/// The fixtures of a folder of rules. One that cannot be read tells nothing; `check` says what is wrong.
pub fn examples(rules: &Path) -> Vec<Example> {
    let Ok(folders) = std::fs::read_dir(rules.join("fixtures")) else { return Vec::new() };
    let mut folders: Vec<_> = folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let read = |folder: &std::path::PathBuf| {
        let expected = std::fs::read_to_string(folder.join("expected.json")).ok()?;
        let call = fixture::call_of(folder)?;
        Some(Example { call, expected: serde_json::from_str(&expected).ok()? })
    };
    folders.iter().filter_map(read).collect()
}

/// What the examples of a route show of its answers.
pub(super) fn shown(examples: &[Example], plan: &Plan, route: &Route) -> Option<Arc<Document>> {
    let of_route = |example: &&Example| {
        let found = example.call.route(plan);
        found.is_ok_and(|(_, found)| std::ptr::eq(found, route))
    };
    let schemas = examples.iter().filter(of_route).map(|example| schema(&example.expected));
    let schema = schemas.reduce(both)?;
    Some(Arc::new(Document::of_schema(schema)))
}

fn schema(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({ "type": ["boolean"] }),
        // Whether each is whole, one does not tell.
        Value::Number(_) => json!({ "type": ["number"] }),
        Value::String(_) => json!({ "type": ["string"] }),
        Value::Array(items) => match items.iter().map(schema).reduce(both) {
            Some(items) => json!({ "type": ["array"], "items": items }),
            None => json!({ "type": ["array"] }),
        },
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), schema(value))).collect();
            json!({ "type": ["object"], "properties": members })
        }
    }
}

/// What holds for either.
fn both(one: Value, other: Value) -> Value {
    let (Value::Object(mut one), Value::Object(other)) = (one, other) else { return json!({}) };
    for (word, value) in other {
        let Some(known) = one.remove(&word) else {
            one.insert(word, value);
            continue;
        };
        let merged = match (word.as_str(), known, value) {
            ("type", Value::Array(mut all), Value::Array(more)) => {
                more.into_iter().for_each(|one| {
                    if !all.contains(&one) {
                        all.push(one)
                    }
                });
                Value::Array(all)
            }
            ("properties", Value::Object(mut all), Value::Object(more)) => {
                for (name, schema) in more {
                    let merged = match all.remove(&name) {
                        Some(known) => both(known, schema),
                        None => schema,
                    };
                    all.insert(name, merged);
                }
                Value::Object(all)
            }
            (_, known, value) => both(known, value),
        };
        one.insert(word, merged);
    }
    Value::Object(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_examples_are_told_by_one_schema_without_their_values() {
        let one = schema(&json!({ "a": "secret", "list": [{ "b": 1 }, { "c": null }] }));
        let told = both(one, schema(&json!({ "a": 5, "d": true, "list": [] })));
        assert_eq!(
            told,
            json!({ "type": ["object"], "properties": {
                "a": { "type": ["string", "number"] },
                "d": { "type": ["boolean"] },
                "list": { "type": ["array"], "items": { "type": ["object"], "properties": {
                    "b": { "type": ["number"] }, "c": {} } } },
            } })
        );
    }
}
