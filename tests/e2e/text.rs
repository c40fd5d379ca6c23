//! What is in the text of allowed fields: card numbers and the like are masked, and what is not what the rule
//! says stays. And what `check` says that a path costs.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Answer, CONFIG, House, RULES};

/// The rules of ParcelCo and one more route, `/notes/{id}`.
fn rules(disclose: &str) -> String {
    format!(
        "{RULES}\n[[task.route]]\npath = \"/notes/{{id}}\"\nupstream = \"orders\"\nsubject = \"@.id\"\n\
         disclose = [{disclose}]\n"
    )
}

async fn house(disclose: &str) -> House {
    House::with(CONFIG, &[("parcelco", &rules(disclose))]).await
}

/// The answer to one note, and the fields of its entry.
async fn note(house: &House, body: &str) -> (String, Value) {
    house.upstream.on("/notes/1", Answer::json(body));
    let response = house.get(&house.parcelco(), "/notes/1").await;
    assert_eq!(response.status, 200, "{response:?}");
    (response.body, house.told().pop().unwrap()["fields"].take())
}

const PAYMENT: &str = "basis = \"contract\"\npayment = true";

const CARDS: &str = concat!(
    r#"{"id":1,"#,
    r#""plain":"4111111111111111","#,
    r#""spaced":"card 5555 5555 5555 4444, thanks","#,
    r#""dashed":"3782-822463-10005","#,
    r#""escaped":"\u0034111\u00201111\u002d1111 1111\n","#,
    r#""odd":"№6011000990139424—ok; 6011\u00a00009\u00a09013\u00a09424","#,
    r#""list":["4000 0566 5566 5556","x",["PLANTED"]],"#,
    r#""tree":{"a":[{"b":"x4222222222222"}],"c":{"d":["30569309025904"]}},"#,
    r#""short":"4111111111111111 and more","#,
    r#""last":"4111111111111111","other":"PLANTED4111111111111111"}"#
);

const CARD_FIELDS: &str = r#""@['plain','spaced','dashed','escaped','odd','list']",
    { path = "@.tree", whole = true }, { path = "@.short", transform = "truncate", length = 16 },
    { path = "@.last", transform = "last4" }"#;

#[tokio::test]
async fn card_numbers_are_masked_in_every_text_that_leaves() {
    let house = house(CARD_FIELDS).await;
    let (body, fields) = note(&house, CARDS).await;
    assert_eq!(
        body,
        concat!(
            r#"{"plain":"************1111","#,
            r#""spaced":"card **** **** **** 4444, thanks","#,
            r#""dashed":"****-******-*0005","#,
            r#""escaped":"**** ****-**** 1111\n","#,
            "\"odd\":\"№************9424—ok; ****\u{a0}****\u{a0}****\u{a0}9424\",",
            r#""list":["**** **** **** 5556","x"],"#,
            r#""tree":{"a":[{"b":"x*********2222"}],"c":{"d":["**********5904"]}},"#,
            r#""short":"************1111","last":"1111"}"#
        )
    );
    assert_eq!(fields[0]["masked"], json!({"pan": 7}), "{fields}");
    assert_eq!(fields[1]["masked"], json!({"pan": 2}), "{fields}");
    assert_eq!(fields[2]["masked"], json!({"pan": 1}), "{fields}");
    house.assert_clean();
}

#[tokio::test]
async fn a_task_for_payment_sees_card_numbers_as_they_are() {
    let rules = rules(CARD_FIELDS).replace("basis = \"contract\"", PAYMENT);
    let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
    let (body, fields) = note(&house, CARDS).await;
    let end = CARDS.find(r#""short""#).unwrap();
    let same = CARDS[..end].replace("\"id\":1,", "").replace(r#",["PLANTED"]"#, "");
    assert_eq!(body, format!(r#"{same}"short":"4111111111111111","last":"1111"}}"#));
    assert!(!fields.to_string().contains("masked"), "{fields}");
    // Also there, a field can be scanned.
    let rules = rules.replace(CARD_FIELDS, r#"{ path = "@.plain", scan = ["pan"] }"#);
    let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
    assert_eq!(note(&house, CARDS).await.0, r#"{"plain":"************1111"}"#);
    house.assert_clean();
}

#[tokio::test]
async fn a_name_in_the_data_that_holds_a_card_number_does_not_leave() {
    let body = r#"{"id":1,"tree":{"a":1,"4111 1111 1111 1111":"PLANTED","b":{"\u0034111111111111111":2,"c":3}},
        "map":{"x":"y","5555-5555-5555-4444":"PLANTED"}}"#;
    let fields = r#"{ path = "@.tree", whole = true }, "@.map.*""#;
    let house = house(fields).await;
    assert_eq!(note(&house, body).await.0, r#"{"tree":{"a":1,"b":{"c":3}},"map":{"x":"y"}}"#);
    house.assert_clean();
    let house =
        House::with(CONFIG, &[("parcelco", &rules(fields).replace("basis = \"contract\"", PAYMENT))]).await;
    let body = body.replace("PLANTED", "kept");
    let expected = body.replace("\"id\":1,", "").replace("\n        ", "");
    assert_eq!(note(&house, &body).await.0, expected);
}

#[tokio::test]
async fn free_text_is_scanned_for_what_the_rule_names_and_counted() {
    let text = r#"{"id":1,"text":"Call \u002b31 6 12345678 or mail anna@example.com; NL91 ABNA 0417 1643 00 or 4111 1111 1111 1111. Order 504499."}"#;
    let cases = [
        (
            r#"["iban"]"#,
            "Call +31 6 12345678 or mail anna@example.com; **** **** **** **43 00 or **** **** **** 1111. Order 504499.",
            json!({"pan": 1, "iban": 1}),
        ),
        (
            r#"["email", "phone"]"#,
            "Call +** * ******78 or mail ****@*******.***; NL91 ABNA 0417 1643 00 or **** **** **** 1111. Order 504499.",
            json!({"pan": 1, "email": 1, "phone": 1}),
        ),
        (
            r#"["pan", "iban", "email", "phone"]"#,
            "Call +** * ******78 or mail ****@*******.***; **** **** **** **43 00 or **** **** **** 1111. Order 504499.",
            json!({"pan": 1, "iban": 1, "email": 1, "phone": 1}),
        ),
    ];
    for (scan, expected, masked) in cases {
        let house = house(&format!("{{ path = \"@.text\", scan = {scan} }}")).await;
        let (body, fields) = note(&house, text).await;
        // A text that was changed is written anew, so its escapes are gone.
        assert_eq!(body, format!(r#"{{"text":"{expected}"}}"#), "{scan}");
        assert_eq!(fields[0]["masked"], masked, "{scan}");
        house.assert_clean();
    }
}

#[tokio::test]
async fn a_scanned_list_and_subtree_are_masked_everywhere() {
    let house = house(
        r#"{ path = "@.a", scan = ["email"] }, { path = "@.b", whole = true, scan = ["email", "phone"] }"#,
    )
    .await;
    let body = r#"{"id":1,"a":["x@PLANTED.example",7,"plain"],"b":{"c":["+31 6 12345678"],"d":{"e":"PLANTED@b.example"}}}"#;
    let (body, fields) = note(&house, body).await;
    assert_eq!(
        body,
        r#"{"a":["*@*******.*******","plain"],"b":{"c":["+** * ******78"],"d":{"e":"*******@*.*******"}}}"#
            .replace(",\"plain", ",7,\"plain")
    );
    assert_eq!(
        (&fields[0]["masked"], &fields[1]["masked"]),
        (&json!({"email": 1}), &json!({"email": 1, "phone": 1}))
    );
}

#[tokio::test]
async fn a_value_of_another_shape_stays_and_is_counted() {
    let house = house(
        r#"{ path = "@.code", type = "string", pattern = "[A-Z]{2}[0-9]+", max_length = 6 },
        { path = "@.count", type = ["integer", "null"] }, { path = "@.tags", type = "string", max_length = 3 }"#,
    )
    .await;
    for (body, expected, drifted) in [
        (
            r#"{"id":1,"code":"NL1234","count":null,"tags":["a","abc"]}"#,
            r#"{"code":"NL1234","count":null,"tags":["a","abc"]}"#,
            [0, 0, 0],
        ),
        (
            r#"{"id":1,"code":"NL1234PLANTED","count":3,"tags":["ab","PLANTED",4]}"#,
            r#"{"count":3,"tags":["ab"]}"#,
            [1, 0, 2],
        ),
        (r#"{"id":1,"code":"NL12345","count":"PLANTED","tags":[]}"#, r#"{"tags":[]}"#, [1, 1, 0]),
        (r#"{"id":1,"code":12345678,"count":1.5,"tags":"PLANTED"}"#, "{}", [1, 1, 1]),
        (
            r#"{"id":1,"code":{"PLANTED":"NL1"},"count":[],"tags":[["PLANTED"]]}"#,
            r#"{"count":[],"tags":[]}"#,
            [1, 0, 1],
        ),
    ] {
        let (reduced, fields) = note(&house, body).await;
        assert_eq!(reduced, expected, "{body}");
        for (path, drifted) in ["@.code", "@.count", "@.tags"].into_iter().zip(drifted) {
            let field = fields.as_array().unwrap().iter().find(|field| field["path"] == path);
            let found = field.and_then(|field| field["drifted"].as_u64()).unwrap_or(0);
            assert_eq!(found, drifted, "{path} of {body}: {fields}");
        }
    }
    house.assert_clean();
}

#[tokio::test]
async fn an_object_where_a_scalar_was_is_withheld_counted_and_logged_once_without_its_value() {
    let house = house(r#""@.name", "@.city", { path = "@.phone", transform = "last4" }"#).await;
    let drifted = r#"{"id":1,"name":{"first":"PLANTED","PLANTED":[1]},"city":"Lyon","phone":["PLANTED"]}"#;
    for _ in 0..3 {
        let (body, fields) = note(&house, drifted).await;
        assert_eq!(body, r#"{"city":"Lyon"}"#);
        for (field, path) in [(0, "@.name"), (2, "@.phone")] {
            let expected = json!({"path": path, "disclosed": 0, "withheld": 1, "drifted": 1});
            let mut found = fields[field].clone();
            found.as_object_mut().unwrap().remove("transform");
            assert_eq!(found, expected);
        }
        assert_eq!(fields[1].get("drifted"), None);
    }
    // A refusal logs behind it.
    assert_eq!(house.get(&house.parcelco(), "/nowhere").await.code(), "not-found");
    house.logged("\"no route\"").await;
    let log = house.log();
    let lines: Vec<&str> =
        log.split("{\"timestamp\"").filter(|line| line.contains("\"shape-drift\"")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("/notes/{id}")), "{lines:?}");
    assert!(lines[0].contains("\"@.name\"") && lines[1].contains("\"@.phone\""), "{lines:?}");
    house.assert_clean();
}

#[tokio::test]
async fn filters_and_places_from_the_end_select_as_rfc_9535_says() {
    let body = r#"{"id":1,"limit":10,"items":[{"sku":"a","price":5,"public":true,"cost":"PLANTED"},
        {"sku":"PLANTED","price":50,"public":false},{"sku":"c","price":10.0,"public":true},{"sku":"d","price":1}],
        "history":["PLANTED","b","c","d"],"notes":[{"to":"carrier","text":"Ring twice"},{"to":"staff","text":"PLANTED"}]}"#;
    for (disclose, expected) in [
        (r#""@.items[?@.public == true].sku""#, r#"{"items":[{"sku":"a"},{"sku":"c"}]}"#),
        (
            r#""@.items[?@.price < $.limit]['sku','price']""#,
            r#"{"items":[{"sku":"a","price":5},{"sku":"d","price":1}]}"#,
        ),
        (r#""@.items[?@.price <= $.limit && @.public].sku""#, r#"{"items":[{"sku":"a"},{"sku":"c"}]}"#),
        (
            r#""@.notes[?match(@.to, 'c.*')].text", "@.history[-1]""#,
            r#"{"history":["d"],"notes":[{"text":"Ring twice"}]}"#,
        ),
        (r#""@.history[-3:]""#, r#"{"history":["b","c","d"]}"#),
        (r#""@.history[:-4:-2]", "@.items[-1].sku""#, r#"{"items":[{"sku":"d"}],"history":["b","d"]}"#),
        (r#""@.history[-9]", "@..[?@.to == 'carrier'].to""#, r#"{"history":[],"notes":[{"to":"carrier"}]}"#),
    ] {
        let house = house(disclose).await;
        let (reduced, _) = note(&house, body).await;
        assert_eq!(reduced, expected, "{disclose}");
        house.assert_clean();
    }
}

#[tokio::test]
async fn check_says_what_a_path_or_condition_costs() {
    let rules =
        rules(r#""@.items[?@.public == true].sku", "@.items[?@.price < $.limit].price", "@.history[-1]""#)
            .replacen("@.carrier == 'parcelco' &&", "@.carrier == $.partner &&", 1);
    let house = House::closed(CONFIG, &[("parcelco", &rules)]).await;
    let check = |format: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_fieldgate"))
            .args(["check", "--format", format, "--config"])
            .arg(house.path("fieldgate.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (out, found) = check("table");
    assert!(out.contains("0 errors"), "{out}");
    for line in [
        "note[N401]: `task[0].route[0].when` asks for something by `$`",
        "note[N402]: `task[0].route[4].disclose[0]` has a filter selector",
        "note[N401]: `task[0].route[4].disclose[1]` has a filter that asks for something by `$`",
        "note[N403]: `task[0].route[4].disclose[2]` counts from the end of a list",
    ] {
        assert!(found.contains(line), "{line} in {found}");
    }
    assert!(found.contains("the whole body is held, up to `max_body`"), "{found}");
    assert_eq!(found.matches("note[N").count(), 4, "{found}");
    let (lines, _) = check("json");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["severity"] == "note").count(), 4, "{lines:?}");
}
