//! The pages about entries: what a search finds, what an entry says, what an export takes out of the house.

use std::collections::BTreeSet;
use std::time::Instant;

use http::Method;
use serde_json::{Value, json};

use crate::review::{closed, house, noted, open, signed_in};
use crate::support::{Answer, CONFIG, House, RULES, SOON, Visitor, has_word, order};

const ENTRIES: &str = "/api/v1/entries";
const EXPORTS: &str = "/api/v1/exports";

/// A house where `served` requests got something, and half as many nothing.
async fn busy(served: usize) -> House {
    let house = house().await;
    serve(&house, served).await;
    house
}

async fn serve(house: &House, served: usize) {
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.upstream.on("/orders/2", Answer::json(order(2, "swiftpost", "ready_to_ship")));
    let client = house.parcelco();
    for number in 0..served {
        assert_eq!(client.try_send(Method::GET, "/orders/1", "").await.unwrap().status, 200);
        if number % 2 == 0 {
            assert_eq!(client.try_send(Method::GET, "/orders/2", "").await.unwrap().status, 404);
        }
    }
}

fn positions(page: &Value) -> Vec<u64> {
    let entries = page["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["position"].as_u64().unwrap()).collect()
}

/// The numbers of all entries that a search finds, page by page.
async fn walk(visitor: &Visitor, query: &str) -> Vec<u64> {
    let (mut found, mut before) = (Vec::new(), String::new());
    loop {
        let page = visitor.get(&format!("{ENTRIES}?{query}{before}")).await.json();
        let here = positions(&page);
        assert!(here.len() <= 50 && (page["next"].is_null() || here.len() == 50), "{page}");
        found.extend(here);
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => return found,
        }
    }
}

/// The numbers of the entries that `fits` says of.
fn wanted(house: &House, fits: impl Fn(&Value) -> bool) -> Vec<u64> {
    let entries = house.entries().into_iter().rev();
    entries.filter(|entry| fits(entry)).map(|entry| entry["index"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_pages_of_a_search_hold_each_entry_once_while_others_come() {
    let house = busy(90).await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let all = wanted(&house, |_| true);
    assert!(all.len() > 120);
    let first = visitor.get(ENTRIES).await.json();
    assert_eq!(first["size"], all.len());
    let mut found = positions(&first);
    let client = house.parcelco();
    let mut next = first["next"].as_u64();
    while let Some(before) = next {
        client.try_send(Method::GET, "/orders/1", "").await.unwrap();
        let page = visitor.get(&format!("{ENTRIES}?before={before}")).await.json();
        found.extend(positions(&page));
        next = page["next"].as_u64();
    }
    assert_eq!(found, all);

    // The page leads on by itself, and keeps the filter.
    let page = visitor.get("/disclosures?outcome=disclosed").await.body;
    let older = page.split_once("rel=\"next\" href=\"").unwrap().1.split_once('"').unwrap().0;
    let older = older.replace("&#38;", "&").replace("&amp;", "&");
    assert!(older.starts_with("/disclosures?outcome=disclosed&before="), "{older}");
    let second = visitor.get(&older).await.body;
    assert!(second.contains("Newest") && second.contains("deliver-order"), "{second}");
    house.assert_clean();
}

#[tokio::test]
async fn each_part_of_a_filter_finds_what_it_says_and_nothing_else() {
    let house = busy(30).await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let is = |name: &'static str, value: &'static str| move |entry: &Value| entry[name] == value;
    let has_field = |entry: &Value| entry["fields"].to_string().contains("@.recipient.phone");
    let disclosed = is("kind", "disclosure");
    type Fits<'f> = Box<dyn Fn(&Value) -> bool + 'f>;
    let searches: Vec<(&str, Fits)> = vec![
        ("kind=refusal", Box::new(is("kind", "refusal"))),
        ("contractor=parcelco", Box::new(is("contractor", "parcelco"))),
        ("credential=parcelco-gateway", Box::new(is("credential", "parcelco-gateway"))),
        ("credential=parcelco-batch", Box::new(|_| false)),
        ("task=deliver-order&kind=disclosure", Box::new(disclosed)),
        ("route=%2Forders%2F%7Border_id%7D&outcome=disclosed", Box::new(disclosed)),
        ("field=recipient.phone", Box::new(has_field)),
        ("outcome=not-found", Box::new(is("code", "not-found"))),
        ("country=NL", Box::new(disclosed)),
        ("country=IE", Box::new(|_| false)),
        ("basis=contract", Box::new(is("basis", "contract"))),
        ("basis=consent", Box::new(|_| false)),
        ("from=1h&outcome=disclosed", Box::new(disclosed)),
        ("until=2020-01-01", Box::new(|_| false)),
        ("from=2020-01-01&until=1970-01-02", Box::new(|_| false)),
        ("outcome=+not-found+", Box::new(is("code", "not-found"))),
    ];
    for (query, fits) in &searches {
        if query.starts_with("from=2020") {
            assert_eq!(visitor.get(&format!("{ENTRIES}?{query}")).await.status, 400);
            continue;
        }
        assert_eq!(walk(&visitor, query).await, wanted(&house, fits), "{query}");
    }
    let nothing = visitor.get("/disclosures?country=IE").await;
    assert!(nothing.body.contains("No entry fits") && nothing.body.contains("Clear the filter"));
    house.assert_clean();
}

#[tokio::test]
async fn a_search_is_an_entry_once_and_holds_only_words_that_are_known() {
    let house = busy(120).await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    visitor.get("/disclosures").await;
    visitor.get(ENTRIES).await;
    assert!(noted(&house, "search").is_empty(), "nothing was looked for");
    assert!(walk(&visitor, "outcome=disclosed").await.len() > 100);
    let searches = noted(&house, "search");
    assert_eq!(searches.len(), 3, "further pages are asked for too");
    assert_eq!(searches[0]["by"], "anna");
    assert_eq!(searches[0]["filter"], json!({ "outcome": "disclosed" }));

    let odd = "contractor=c-17&credential=c-17&task=c-17&route=c-17&field=c-17&outcome=anna-jansen&country=c-17\
               &basis=c-17&kind=anna";
    assert!(visitor.get(&format!("/disclosures?{odd}")).await.body.contains("No entry fits"));
    let entry = noted(&house, "search").pop().unwrap();
    for (name, value) in entry["filter"].as_object().unwrap() {
        assert_eq!(value, "(other)", "{name}");
    }
    assert_eq!(entry["filter"].as_object().unwrap().len(), 9);
    visitor.get("/disclosures?from=2026-11-24T10:00&until=2099-01-01&field=phone&route=%2Forders").await;
    let entry = noted(&house, "search").pop().unwrap();
    let filter = json!({
        "from": "2026-11-24T10:00:00Z", "until": "2099-01-02T00:00:00Z", "field": "phone", "route": "/orders",
    });
    assert_eq!(entry["filter"], filter);
    assert!(!has_word(&house.log(), "c-17") && !house.log().contains("anna-jansen"));
    house.assert_clean();
}

#[tokio::test]
async fn a_filter_that_is_not_understood_says_why_and_finds_nothing() {
    let house = busy(1).await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let before = house.entries().len();
    let long = "x".repeat(201);
    for (query, says) in [
        ("from=yesterday", "From: a time is a day (2026-11-24)"),
        ("until=2026-13-01", "Until: a time is a day"),
        ("from=2026-11-25&until=2026-11-23", "no entry can fit"),
        ("before=%3Cscript%3E", "the number of an entry"),
        (&format!("task={long}"), "at most 200 bytes"),
    ] {
        let page = visitor.get(&format!("/disclosures?{query}")).await;
        assert_eq!(page.status, 200, "{query}");
        assert!(page.body.contains(says) && page.body.contains("role=\"alert\""), "{query}: {}", page.body);
        assert!(!page.body.contains("/entries/") && !page.body.contains("Export what"), "{query}");
        assert!(!page.body.contains("<script>"), "{query}");
        let reply = visitor.get(&format!("{ENTRIES}?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.json()["detail"].as_str().unwrap().contains(says), "{query}: {reply:?}");
    }
    assert_eq!(house.entries().len(), before);
}

/// A house with entries of many kinds; a customer is planted.
async fn told() -> House {
    let mut house = closed().await;
    let rules = RULES.replace("id = \"parcelco\"\n", "id = \"parcelco\"\ncanaries = [\"c-9\"]\n");
    std::fs::write(house.path("rules/parcelco.toml"), rules).unwrap();
    open(&mut house, "");
    serve(&house, 2).await;
    house.upstream.on("/orders/9", Answer::json(order(9, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    assert_eq!(client.try_send(Method::GET, "/orders/9", "").await.unwrap().status, 200);
    for command in [
        vec!["suspend", "parcelco", "--by", "otto", "--reason", "a test"],
        vec!["resume", "parcelco", "--by", "otto", "--reason", "it is over"],
        vec!["ledger", "hold", "place", "case-7", "--contractor", "parcelco", "--by", "counsel"],
    ] {
        let output = house.command(&command);
        assert!(output.status.success(), "{command:?}: {output:?}");
    }
    house
}

#[tokio::test]
async fn each_kind_of_entry_has_a_page_that_says_what_it_is_in_words() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let entries = house.entries();
    let mut kinds = BTreeSet::new();
    for entry in &entries {
        let kind = entry["kind"].as_str().unwrap();
        kinds.insert(kind);
        let page = visitor.get(&format!("/entries/{}", entry["index"])).await;
        assert_eq!(page.status, 200, "{entry}");
        let words: &[&str] = match kind {
            "disclosure" => &[
                "Deliver the customer&#39;s parcel",
                "contract (GDPR, Article 6(1)(b))",
                "US to NL",
                "DPA-1",
                "scc",
                "Recipient name",
                "last4",
                "The rule as it was then: parcelco.toml",
                "Members beside allowed ones that stayed",
            ],
            "refusal" => &["Refused because", "not-found", "404"],
            "signal" => &["canary", "What was found", "Requests behind it", "/orders/{order_id}"],
            "rules" => &["Rules since then", "Contractors", "parcelco"],
            "started" => &["Version"],
            "access" => &["anna", "reviewer", "Did what"],
            "suspension" => &["otto", "parcelco"],
            "hold" => &["counsel", "case-7"],
            other => panic!("{other}"),
        };
        for word in words {
            assert!(page.body.contains(word), "{word} of {kind} in {}", page.body);
        }
        let id = entry["id"].as_str().unwrap();
        assert!(page.body.contains(id) && page.body.contains("The entry as it is"), "{kind}");
        // Who is planted is not for a page.
        assert!(!has_word(&page.body, "c-9"), "{kind}");
        let rules = entry["rules"].as_str();
        assert_eq!(rules.is_some(), page.body.contains("href=\"/rules/") && rules.is_some(), "{kind}");
    }
    let known = ["access", "disclosure", "hold", "refusal", "rules", "signal", "started", "suspension"];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), known);
    let opened: Vec<Value> = noted(&house, "entry").iter().map(|entry| entry["entry"].clone()).collect();
    assert_eq!(opened, (0..entries.len()).map(Value::from).collect::<Vec<_>>(), "each was an entry first");
    house.assert_clean();
}

#[tokio::test]
async fn an_entry_leads_to_its_neighbours_its_signal_and_the_rules_of_then() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let entries = house.entries();
    let of = |kind: &str| entries.iter().rfind(|entry| entry["kind"] == kind).unwrap();
    let (signal, canary) = (of("signal"), of("disclosure"));
    let model = visitor.get(&format!("{ENTRIES}/{}", signal["index"])).await.json();
    assert_eq!(model["content"], *signal);
    assert_eq!(model["behind"][0]["position"], canary["index"]);
    assert_eq!((&model["behind"][0]["canary"], &model["row"]["outcome"]), (&json!(true), &json!("canary")));
    let first = visitor.get("/entries/0").await.body;
    assert!(first.contains("href=\"/entries/1\"") && !first.contains(">Before<"), "{first}");
    let model = visitor.get(&format!("{ENTRIES}/{}", canary["index"])).await.json();
    assert_eq!(model["content"], *canary);
    let file = model["rule_file"]["text"].as_str().unwrap();
    assert!(file.contains("Deliver the customer's parcel") && !has_word(file, "c-9"), "{file}");
    let digest = model["rules"].as_str().unwrap();
    assert_eq!(visitor.get(&format!("/rules/{digest}")).await.status, 200);
    for (path, status) in [("/entries/99999", 404), ("/entries/-1", 400), ("/entries/x", 400)] {
        assert_eq!(visitor.get(path).await.status, status, "{path}");
        assert_eq!(visitor.get(&format!("/api/v1{path}")).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_proof_from_the_page_is_checked_without_the_ledger() {
    let house = busy(1).await;
    let visitor = signed_in(&house, "anna", "auditor").await;
    let entry = house.entries().into_iter().find(|entry| entry["kind"] == "disclosure").unwrap();
    house.rest().await;
    let reply = visitor.get(&format!("/entries/{}/proof", entry["index"])).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.header("content-disposition").ends_with(".tlog-proof\""), "{reply:?}");
    let file = house.path("from-the-page").display().to_string();
    std::fs::write(&file, &reply.body).unwrap();
    let key = visitor.get("/api/v1/ledger").await.json()["key"].as_str().unwrap().to_owned();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_fieldgate"));
    let output =
        check.args(["ledger", "verify-proof", &file, "--key", &key, "--format", "json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&shown["valid"], &shown["entry"]), (&json!(true), &entry), "{shown}");
}

#[tokio::test]
async fn an_export_is_what_the_command_writes_for_the_same_filter_and_an_entry_first() {
    let house = busy(200).await;
    let visitor = signed_in(&house, "anna", "auditor").await;
    for (form, format, kind) in [
        ("csv", "csv", "text/csv; charset=utf-8"),
        ("jsonl", "json", "application/jsonl"),
        ("ocsf", "ocsf", "application/jsonl"),
    ] {
        for (fields, arguments) in [
            (vec![("outcome", "not-found")], vec!["--outcome", "not-found"]),
            (
                vec![("contractor", "parcelco"), ("field", "phone")],
                vec!["--contractor", "parcelco", "--field", "phone"],
            ),
            (vec![("kind", "hold")], vec!["--kind", "hold"]),
            // A further page on the screen is no less of the export.
            (vec![("kind", "refusal"), ("before", "20")], vec!["--kind", "refusal"]),
        ] {
            let fields = [&[("form", form), ("reason", "audit 7")], fields.as_slice()].concat();
            let reply = visitor.post("/disclosures/export", &fields).await;
            assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, kind), "{reply:?}");
            let name = reply.header("content-disposition");
            assert!(name.starts_with("attachment; filename=\"fieldgate-20"), "{name}");
            let arguments = [&["export", "--format", format, "--by", "test"], arguments.as_slice()].concat();
            let output = house.ledger(&arguments);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(reply.body, String::from_utf8(output.stdout).unwrap(), "{fields:?}");
        }
    }
    let exports: Vec<Value> =
        noted(&house, "export").into_iter().filter(|entry| entry["by"] == "anna").collect();
    assert_eq!(exports.len(), 12);
    assert_eq!((&exports[0]["form"], &exports[0]["reason"]), (&json!("csv"), &json!("audit 7")));
    assert_eq!(exports[0]["filter"], json!({ "outcome": "not-found" }));
    // Programs ask in JSON for the same.
    let token = visitor.form_token().await;
    let headers = [("content-type", "application/json"), ("x-form-token", token.as_str())];
    let body = json!({ "form": "jsonl", "reason": "audit 7", "kind": "disclosure" }).to_string();
    let reply = visitor.send(Method::POST, EXPORTS, &headers, &body).await;
    assert_eq!(reply.body.lines().count(), 200);
    for body in [json!({ "form": "xml" }), json!({ "form": "csv", "from": "yesterday" }), json!({})] {
        let before = house.entries().len();
        let reply = visitor.send(Method::POST, EXPORTS, &headers, &body.to_string()).await;
        assert_eq!((reply.status.as_u16(), house.entries().len()), (400, before), "{body}: {reply:?}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn an_operator_sees_no_button_and_gets_no_export() {
    let house = busy(1).await;
    let operator = signed_in(&house, "otto", "operator").await;
    let auditor = signed_in(&house, "anna", "auditor").await;
    assert!(auditor.get("/disclosures").await.body.contains("/disclosures/export"));
    assert!(!operator.get("/disclosures").await.body.contains("/disclosures/export"));
    let before = house.entries().len();
    let reply = operator.post("/disclosures/export", &[("form", "csv"), ("reason", "why")]).await;
    assert!(reply.status == 403 && !reply.body.contains("deliver-order"), "{reply:?}");
    assert_eq!(house.entries().len(), before);
}

#[tokio::test]
async fn without_the_entry_about_it_nothing_is_shown() {
    let house = busy(3).await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let token = visitor.form_token().await;
    house.rest().await;
    let (folder, away) = (house.path("ledger/fieldgate.tlog"), house.path("ledger/away"));
    std::fs::rename(&folder, &away).unwrap();
    // The first that writes finds out; all of them are told.
    let paths = ["/disclosures?outcome=disclosed", "/entries/2", "/entries/2/proof"];
    let models = ["/api/v1/entries?outcome=disclosed", "/api/v1/entries/2"];
    for path in paths.into_iter().chain(models) {
        let reply = visitor.get(path).await;
        assert_eq!(reply.status, 503, "{path}: {reply:?}");
        assert!(!reply.body.contains("deliver-order") && !reply.body.contains("parcelco"), "{path}");
    }
    let fields = [("form", "jsonl"), ("reason", "why"), ("form_token", token.as_str())];
    for path in ["/disclosures/export", EXPORTS] {
        let reply = visitor.post_bare(path, &fields, &[]).await;
        assert!(reply.status == 503 && !reply.body.contains("deliver-order"), "{path}: {reply:?}");
    }
    std::fs::rename(&away, &folder).unwrap();
    let began = Instant::now();
    while visitor.get("/entries/2").await.status != 200 {
        assert!(began.elapsed() < 4 * SOON, "not shown again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_entry_whose_content_was_deleted_says_so_and_is_proved_all_the_same() {
    let mut house = crate::retention::house_of_the_first_version().await;
    assert!(CONFIG.contains("[ledger]"));
    open(&mut house, "");
    serve(&house, 60).await;
    let began = Instant::now();
    let plan: Value = loop {
        let output = house.ledger(&["prune", "--format", "json"]);
        let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
        if plan["waiting"] == 0 {
            break plan;
        }
        assert!(began.elapsed() < 4 * SOON, "{plan}");
    };
    let (at, token) = (plan["at"].as_str().unwrap(), plan["plan"].as_str().unwrap());
    let output = house.ledger(&[
        "prune",
        "--at",
        at,
        "--execute",
        token,
        "--by",
        "dora",
        "--approved-by",
        "anna",
        "--approved-by",
        "bert",
    ]);
    assert!(output.status.success(), "{output:?}");
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let page = visitor.get("/entries/1").await;
    assert!(page.status == 200 && page.body.contains("The content of this entry was deleted"), "{page:?}");
    assert!(!page.body.contains("deliver-order") && page.body.contains("The proof"), "{}", page.body);
    let model = visitor.get(&format!("{ENTRIES}/1")).await.json();
    assert_eq!((&model["row"], &model["content"]), (&Value::Null, &Value::Null));
    let prune = walk(&visitor, "kind=prune").await;
    assert_eq!(prune.len(), 1);
    let page = visitor.get(&format!("/entries/{}", prune[0])).await.body;
    assert!(page.contains("dora") && page.contains("anna, bert"), "{page}");
    let kept = walk(&visitor, "until=2020-01-01").await;
    assert_eq!(kept, [0], "only the rules are kept so long");
}
