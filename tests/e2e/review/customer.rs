//! The page about one customer, and the interface beside it.

use http::Method;
use serde_json::{Value, json};

use super::{house, noted, signed_in};
use crate::support::{Answer, House, Visitor, has_word, order};

const ACCOUNT: &str = "/api/v1/subjects/account";
const STATEMENTS: &str = "/api/v1/subjects/statements";
const CONSENT: &str = "/api/v1/subjects/consent";

/// A house in which something was disclosed about `c-1`.
async fn told() -> House {
    let house = house().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    for _ in 0..2 {
        assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    }
    house
}

/// A program with a token of a new account.
async fn program(house: &House, role: &str) -> Visitor {
    let visitor = signed_in(house, role, role).await;
    let page = visitor.post("/you/tokens", &[("label", "test"), ("days", "1")]).await.body;
    let token = page.split_once("<pre id=\"token\">").unwrap().1.split_once('<').unwrap().0;
    Visitor::new(house, "http", None).with("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn an_account_says_what_left_to_whom_and_why_and_is_an_entry_first() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let page = visitor.post("/subject", &[("customer", "c-1"), ("reason", "request 118")]).await;
    assert_eq!(page.status, 200, "{page:?}");
    for text in
        ["ParcelCo", "Deliver the customer&#39;s parcel", "2 times", "Netherlands", "DPA-1", "Recipient name"]
    {
        assert!(page.body.contains(text), "{text} in {}", page.body);
    }
    assert!(page.body.contains("Recipient phone (last four characters only)"));
    assert!(page.body.contains("Standard contractual clauses") && page.body.contains("Nothing is on file"));
    let entries = noted(&house, "account");
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["by"], &entries[0]["reason"]), (&json!("anna"), &json!("request 118")));
    let disclosed = house.entries().into_iter().find(|entry| entry["kind"] == "disclosure").unwrap();
    assert_eq!(entries[0]["subjects"], disclosed["subjects"], "by the name that disclosures have");
    // The id is nowhere but in what goes back to who sent it.
    assert!(!house.log().contains("c-1\"") && !has_word(&entries[0].to_string(), "c-1"));

    let nobody = visitor.post("/subject", &[("customer", "c-2"), ("reason", "request 119")]).await;
    assert!(nobody.body.contains("Nothing was disclosed about this customer"), "{}", nobody.body);
    house.assert_clean();
}

#[tokio::test]
async fn the_interface_gives_what_the_page_shows() {
    let house = told().await;
    let auditor = program(&house, "auditor").await;
    let asked = json!({ "customer": "c-1", "reason": "audit 7" });
    let account = auditor.post_json(ACCOUNT, &asked).await.json();
    assert_eq!((&account["customer"], &account["disclosures"]), (&json!("c-1"), &json!(2)));
    let company = &account["companies"][0];
    assert_eq!((&company["id"], &company["name"]), (&json!("parcelco"), &json!("ParcelCo")));
    let used = &company["uses"][0];
    assert_eq!((&used["count"], &used["country"]), (&json!(2), &json!("Netherlands")));
    assert_eq!(used["basis"], "Contract with the customer");
    assert_eq!(used["entries"].as_array().unwrap().len(), 2);
    assert_eq!((&account["known"], &account["statements"]), (&json!(true), &json!([])));

    let command = house.ledger(&["account", "c-1", "--format", "json", "--by", "test"]);
    let command: Value = serde_json::from_slice(&command.stdout).unwrap();
    assert_eq!(command["disclosures"], account["disclosures"]);

    // Days begin and end in UTC, and the last one counts.
    let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
    let (yesterday, tomorrow) = (today.yesterday().unwrap(), today.tomorrow().unwrap());
    for (from, to, wanted) in
        [(yesterday, today, 2), (tomorrow, tomorrow, 0), (yesterday, yesterday, 0), (today, tomorrow, 2)]
    {
        let asked =
            json!({ "customer": "c-1", "reason": "audit 7", "from": from.to_string(), "to": to.to_string() });
        let account = auditor.post_json(ACCOUNT, &asked).await.json();
        assert_eq!(account["disclosures"], wanted, "{from} to {to}");
    }
    let asked = json!({ "customer": "c-1", "reason": "audit 7", "from": "31.1.2026" });
    let wrong = auditor.post_json(ACCOUNT, &asked).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.json()["detail"].as_str().unwrap().contains("2026-01-31"));
}

#[tokio::test]
async fn a_question_without_its_reason_or_with_the_customer_in_it_is_not_answered_and_no_entry() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let before = house.entries().len();
    for (customer, reason) in [("c-1", ""), ("c-1", "  "), ("", "request 118"), ("c-1", "about C-1, please")]
    {
        let reply = visitor.post("/subject", &[("customer", customer), ("reason", reason)]).await;
        assert_eq!(reply.status, 400, "{customer} {reason}");
        assert!(reply.body.contains("role=\"alert\"") && !reply.body.contains("DPA-1"));
    }
    let long = "x".repeat(501);
    assert_eq!(visitor.post("/subject", &[("customer", "c-1"), ("reason", &long)]).await.status, 400);
    assert_eq!(visitor.post("/subject", &[("customer", &long), ("reason", "why")]).await.status, 400);
    assert_eq!(visitor.post("/subject", &[("customer", "c-1")]).await.status, 400);
    // Nor from an address, where it would stay.
    let page = visitor.get("/subject?customer=c-1&reason=why").await;
    assert!(page.status == 200 && !has_word(&page.body, "c-1"), "{}", page.body);
    assert_eq!(visitor.get(&format!("{ACCOUNT}?customer=c-1&reason=why")).await.status, 405);
    assert_eq!(house.entries().len(), before);
}

#[tokio::test]
async fn the_customers_copy_is_a_file_by_itself() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let copy = visitor.post("/subject/copy", &[("customer", "c-1"), ("reason", "request 118")]).await;
    assert_eq!(copy.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(copy.header("content-disposition"), "attachment; filename=\"account-of-disclosures.html\"");
    assert!(copy.body.contains("In short") && copy.body.contains("twice") && copy.body.contains("ParcelCo"));
    assert!(!copy.body.contains("request 118") && !copy.body.contains("anna"), "the customer's own copy");
    assert_eq!(noted(&house, "account-copy").len(), 1);
    house.assert_clean();
}

#[tokio::test]
async fn an_objection_that_is_taken_down_holds_from_the_next_request_on() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let says = |said: &'static str, contractor: &'static str| {
        [
            ("customer", "c-1"),
            ("said", said),
            ("contractor", contractor),
            ("reason", "letter 5"),
            ("source", "post"),
        ]
    };
    let page = visitor.post("/subject/consent", &says("withdraw", "parcelco")).await;
    assert!(page.body.contains("The withdrawal is in force, and in the ledger."), "{}", page.body);
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 404);
    let page = visitor.post("/subject", &[("customer", "c-1"), ("reason", "request 118")]).await;
    assert!(page.body.contains("withdrew or objects"), "{}", page.body);

    let page = visitor.post("/subject/consent", &says("grant", "parcelco")).await;
    assert!(page.body.contains("The grant is in force, and in the ledger."), "{}", page.body);
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    let entries = house.entries();
    let consents: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "consent").collect();
    assert_eq!(consents.len(), 2);
    assert_eq!((&consents[0]["by"], &consents[0]["source"]), (&json!("anna"), &json!("post")));
    assert_eq!(consents[0]["reason"], "letter 5");
    house.assert_clean();
}

#[tokio::test]
async fn a_slip_does_not_pass_for_what_a_customer_said() {
    let house = told().await;
    let operator = program(&house, "operator").await;
    let before = house.entries().len();
    let good =
        json!({ "customer": "c-1", "said": "withdraw", "reason": "letter 5", "purpose": "deliver-order" });
    for (name, value) in [
        ("said", json!("revoke")),
        ("said", json!("")),
        ("purpose", json!("deliver-oder")),
        ("contractor", json!("parcel")),
        ("reason", json!("")),
        ("reason", json!("c-1 called")),
        ("source", json!("mail of C-1")),
        ("customer", json!("")),
    ] {
        let mut says = good.clone();
        says[name] = value.clone();
        assert_eq!(operator.post_json(CONSENT, &says).await.status, 400, "{name}: {value}");
    }
    let everything = json!({ "customer": "c-1", "said": "grant", "reason": "letter 5" });
    let reply = operator.post_json(CONSENT, &everything).await;
    assert!(reply.body.contains("Consent is to something"), "{reply:?}");
    assert_eq!(house.entries().len(), before);
    let reply = operator.post_json(CONSENT, &good).await.json();
    assert_eq!(reply, json!({ "changed": true, "granted": false }));
}

#[tokio::test]
async fn who_may_not_look_up_or_take_down_gets_neither_and_leaves_no_entry() {
    let house = told().await;
    let asked = json!({ "customer": "c-1", "reason": "curious" });
    let says = json!({ "customer": "c-1", "said": "withdraw", "reason": "letter 5" });
    for (role, may_look_up, may_consent) in
        [("reviewer", true, true), ("operator", false, true), ("auditor", true, false)]
    {
        let program = program(&house, role).await;
        for (path, body, may) in [
            (ACCOUNT, &asked, may_look_up),
            ("/api/v1/subjects/copy", &asked, may_look_up),
            (STATEMENTS, &asked, may_look_up),
            (CONSENT, &says, may_consent),
        ] {
            let before = house.entries().len();
            let status = program.post_json(path, body).await.status;
            assert_eq!(status, if may { 200 } else { 403 }, "{role} {path}");
            assert!(may || house.entries().len() == before, "{role} {path}");
        }
        let page = program.get("/subject").await.body;
        assert_eq!(page.contains("Look a customer up"), may_look_up, "{role}");
        assert_eq!(page.contains("Take down what a customer says"), may_consent, "{role}");
    }
    assert_eq!(Visitor::new(&house, "http", None).post_json(ACCOUNT, &asked).await.status, 401);
}

#[tokio::test]
async fn without_its_entry_nobody_is_told_anything() {
    let house = told().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    house.rest().await;
    std::fs::rename(house.path("ledger/fieldgate.tlog"), house.path("elsewhere")).unwrap();
    // It is found out with the next entry.
    let _ = house.parcelco().try_send(Method::GET, "/orders/1", "").await;
    let reply = visitor.post("/subject", &[("customer", "c-1"), ("reason", "request 118")]).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.body.contains("The ledger cannot be written") && !reply.body.contains("ParcelCo"));
}
