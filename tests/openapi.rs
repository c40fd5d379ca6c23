//! What a contractor is told of its interface, and what an upstream's own document knows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use fieldgate::diagnostic::Source;
use fieldgate::model::{Country, SubjectKey};
use fieldgate::rules::openapi::Document;
use fieldgate::rules::{self, Loaded, Surroundings};
use serde_json::{Value, json};

const RULES: &str = include_str!("../rules/parcelco.toml");

/// The shop's own document, in the words of 3.0: with references, a cycle, and members that nobody discloses.
fn shop() -> Value {
    json!({
        "openapi": "3.0.3",
        "info": { "title": "Internal shop", "version": "7", "description": "at http://shop.internal" },
        "servers": [{ "url": "http://shop.internal:9001" }],
        "paths": {
            "/orders/{id}": { "get": { "responses": { "200": { "$ref": "#/components/responses/Order" } } } },
            "/orders/export": { "get": { "responses": { "200": { "content": { "application/json": { "schema":
                { "$ref": "#/components/schemas/Page" } } } } } } },
            "/orders": { "get": {
                "parameters": [{ "name": "cursor", "in": "query" }, { "name": "limit", "in": "query" }],
                "responses": { "200": { "content": { "application/json": { "schema":
                    { "$ref": "#/components/schemas/Page" } } } } } } },
        },
        "components": {
            "responses": { "Order": { "content": { "application/json": { "schema":
                { "$ref": "#/components/schemas/Order" } } } } },
            "schemas": {
                "Page": { "type": "object", "properties": {
                    "generated_at": { "type": "string", "format": "date-time" },
                    "next": { "type": "string", "nullable": true },
                    "secret_total": { "type": "integer" },
                    "data": { "type": "array", "items": { "$ref": "#/components/schemas/Order" } } } },
                "Order": { "allOf": [
                    { "$ref": "#/components/schemas/Base" },
                    { "type": "object", "properties": {
                        "carrier": { "type": "string" },
                        "status": { "type": "string" },
                        "margin_secret": { "type": "number" },
                        "parent_secret": { "$ref": "#/components/schemas/Order" },
                        "recipient": { "type": "object", "properties": {
                            "name": { "type": "string", "maxLength": 80 },
                            "phone": { "type": "integer" } } },
                        "customer": { "type": "object", "properties": {
                            "id": { "type": "integer" }, "vip_secret": { "type": "boolean" } } },
                        "shipping_address": { "type": "object", "properties": {
                            "street": { "type": "string" }, "city": { "type": "string" },
                            "postal_code": { "type": "string" }, "country": { "type": "string" } } } } } ] },
                "Base": { "allOf": [{ "$ref": "#/components/schemas/Base" }], "type": "object", "properties": {
                    "order_id": { "type": "integer", "minimum": 1 } } },
            },
        },
    })
}

fn compile(rules: &str, document: Option<&Value>) -> Loaded {
    let parse = |document: &Value| {
        let source = Source::new("shop.json", document.to_string());
        Arc::new(Document::parse(&source, "upstream.orders.openapi").unwrap())
    };
    let documents = document.map(|document| ("orders".to_owned(), parse(document)));
    rules::compile(
        vec![Source::new("rules/parcelco.toml", rules)],
        &Surroundings {
            jurisdiction: Country::new("US").unwrap(),
            upstreams: BTreeMap::from([("orders".to_owned(), vec!["http://shop.internal:9001".to_owned()])]),
            pseudonym_key: SubjectKey::new(&[0; SubjectKey::LENGTH]),
            home: "/etc/fieldgate".into(),
            documents: documents.into_iter().collect(),
        },
    )
}

fn interface(rules: &str, document: Option<&Value>) -> (String, Value) {
    let loaded = compile(rules, document);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    let text = String::from_utf8(plan.contractors[0].interface.to_vec()).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

fn answer<'v>(interface: &'v Value, path: &str) -> &'v Value {
    &interface["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
}

#[test]
fn the_schemas_of_an_upstream_are_narrowed_to_what_is_disclosed() {
    let (text, value) = interface(RULES, Some(&shop()));
    assert!(!text.contains("secret") && !text.contains("internal:") && !text.contains("9001"), "{text}");
    let order = &answer(&value, "/orders/{order_id}")["properties"];
    assert_eq!(order["order_id"], json!({ "type": "integer", "minimum": 1 }));
    assert_eq!(order["recipient"]["properties"]["name"], json!({ "type": "string", "maxLength": 80 }));
    assert_eq!(order["recipient"]["properties"]["phone"]["type"], "string", "after its transform");
    assert_eq!(order["customer"]["properties"]["id"]["x-fieldgate-transform"], "pseudonym");
    let page = answer(&value, "/orders");
    assert_eq!(page["properties"]["data"]["type"], "array");
    assert_eq!(page["properties"]["data"]["items"]["properties"]["order_id"]["type"], "integer");
    assert!(order.get("status").is_none(), "what a condition looks at is not disclosed by that");
}

#[test]
fn without_a_document_the_paths_alone_give_the_structure_and_the_same_rules_the_same_bytes() {
    let (text, value) = interface(RULES, None);
    assert_eq!(text, interface(RULES, None).0);
    assert_eq!(value["openapi"], "3.1.0");
    let order = answer(&value, "/orders/{order_id}");
    let names: Vec<&String> = order["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["customer", "order_id", "recipient", "shipping_address"]);
    let operation = &value["paths"]["/orders/{order_id}"]["get"];
    assert_eq!(operation["parameters"][0]["schema"]["pattern"], "^(?:[0-9]{1,12})$");
    assert_eq!(value["security"], json!([{ "clientCertificate": [] }]));
    assert_eq!(value["components"]["securitySchemes"]["clientCertificate"]["type"], "mutualTLS");
    for status in ["400", "401", "403", "404", "429", "502", "503", "504"] {
        let reference = operation["responses"][status]["$ref"].as_str().unwrap();
        assert!(value.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[test]
fn what_a_document_does_not_know_is_an_error_that_names_the_nearest() {
    let rules = RULES.replacen("\"@.recipient.name\"", "\"@.recipient.nmae\"", 1).replacen(
        "path     = \"/orders/export\"",
        "path     = \"/order/export\"",
        1,
    );
    let found: Vec<String> =
        compile(&rules, Some(&shop())).diagnostics.iter().map(ToString::to_string).collect();
    let text = found.join("\n");
    assert!(text.contains("names `nmae`, which shop.json does not know there"), "{text}");
    assert!(text.contains("the nearest member that it knows is `name`"), "{text}");
    assert!(text.contains("is not a path of shop.json"), "{text}");
    assert!(text.contains("the nearest path that it knows is \"/orders/export\""), "{text}");
    assert!(!text.contains("nmae`, which shop.json does not know there\n") || found.len() == 2, "{text}");
    let mut open = shop();
    open["components"]["schemas"]["Order"]["allOf"][1]["properties"]["recipient"]["additionalProperties"] =
        json!(true);
    let rules = RULES.replacen("\"@.recipient.name\"", "\"@.recipient.nmae\"", 1);
    assert!(compile(&rules, Some(&open)).plan.is_some(), "what is open is not known to be wrong");
}

#[test]
fn a_document_that_is_none_is_refused_with_its_place() {
    for (text, wrong) in [
        ("{\n  \"openapi\": 3.1.0\n}", "is not JSON from here on"),
        ("{ \"swagger\": \"2.0\" }", "is not an OpenAPI document of version 3.0 or 3.1"),
    ] {
        let source = Source::new("shop.json", text);
        let fault = Document::parse(&source, "upstream.orders.openapi").unwrap_err().to_string();
        assert!(fault.contains(wrong) && fault.contains("`upstream.orders.openapi` names it"), "{fault}");
    }
}

fn fieldgate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fieldgate")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn rules_made_from_a_document_disclose_nothing_and_pass_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert!(fieldgate(at, &["init", "."]).status.success());
    assert!(fieldgate(at, &["check"]).status.success());
    assert_eq!(fieldgate(at, &["init", "."]).status.code(), Some(2), "nothing is written over");
    std::fs::write(at.join("shop.json"), shop().to_string()).unwrap();
    let init = ["init", "--openapi", "shop.json", "--contractor", "swiftpost"];
    assert!(fieldgate(at, &init).status.success());
    assert_eq!(fieldgate(at, &init).status.code(), Some(2), "nothing is written over");
    let text = std::fs::read_to_string(at.join("rules/swiftpost.toml")).unwrap();
    assert!(
        text.contains("# \"$.recipient.phone\",  # integer; looks like personal data: phone number"),
        "{text}"
    );
    let check = fieldgate(at, &["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let told = fieldgate(at, &["openapi", "swiftpost"]);
    assert!(told.status.success() && !String::from_utf8_lossy(&told.stdout).contains("recipient"));
}

#[test]
fn the_record_of_processing_activities_says_what_the_rules_say() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    std::fs::create_dir(at.join("rules")).unwrap();
    let rules = RULES.replacen("category = \"user.name\"", "type = \"string\"", 1);
    std::fs::write(at.join("rules/parcelco.toml"), rules).unwrap();
    let gateway = "jurisdiction = \"US\"\n[organisation]\nname = \"A <b>shop</b>\"\n\
                   [upstream.orders]\nurl = \"http://127.0.0.1:9001\"\n";
    std::fs::write(at.join("fieldgate.toml"), gateway).unwrap();
    let report = |format| fieldgate(at, &["report", "processing", "--format", format]);
    let record: Value = serde_json::from_slice(&report("json").stdout).unwrap();
    assert_eq!(record["controller"]["name"], "A <b>shop</b>");
    assert!(record["controller"]["dpo"].as_str().unwrap().contains("to be filled in"));
    let activity = &record["activities"][0];
    assert_eq!(activity["purpose"], "Deliver the customer's parcel");
    assert_eq!(activity["transfer"]["mechanism"], "scc");
    let category = |name: &str| {
        let all = activity["categories"].as_array().unwrap();
        all.iter().find(|one| one["category"] == name).unwrap()["fields"].clone()
    };
    assert_eq!(category("user.contact.phone_number"), json!(["@.recipient.phone (last4)"]));
    let rest = category("not categorised");
    assert!(rest.as_array().unwrap().contains(&json!("@.recipient.name")), "{rest}");
    let page = String::from_utf8(report("html").stdout).unwrap();
    assert!(!page.contains("<b>") && !page.contains("<script") && page.contains("default-src 'none'"));
    let table = String::from_utf8(report("table").stdout).unwrap();
    assert!(table.contains("user.contact.phone_number") && table.contains("US to NL: scc"), "{table}");
}

#[test]
fn every_refusal_of_the_gateway_is_in_the_interface() {
    let source = include_str!("../src/proxy/refusal.rs");
    let codes = source.split_once("pub fn code(").unwrap().1.split_once("pub fn detail(").unwrap().0;
    let given: std::collections::BTreeSet<&str> = codes.split('"').skip(1).step_by(2).collect();
    let told = fieldgate::rules::openapi::PROBLEMS.iter().flat_map(|(_, codes, _)| codes.iter().copied());
    assert_eq!(given, told.collect());
}
