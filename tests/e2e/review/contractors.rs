//! The pages about contractors, and what can be ordered there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{house, signed_in};
use crate::support::{Answer, House, RULES, Visitor, order};

const ONE: &str = "/api/v1/contractors/parcelco";

/// Asks until what is counted fits; the counts follow the ledger.
pub async fn counted(visitor: &Visitor, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let reply = visitor.get(path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        if fits(&reply.json()) {
            return reply.json();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{}", reply.body);
        tokio::task::yield_now().await;
    }
}

/// A house in which parcelco saw an order twice, and was refused once.
pub async fn seen() -> House {
    let house = house().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    for _ in 0..2 {
        assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    }
    assert_eq!(house.get(&house.parcelco(), "/orders/9").await.status, 404);
    house
}

fn fields(one: &Value) -> impl Iterator<Item = &Value> {
    let routes = one["tasks"].as_array().unwrap().iter().flat_map(|task| task["routes"].as_array().unwrap());
    routes.flat_map(|route| route["fields"].as_array().unwrap())
}

#[tokio::test]
async fn a_contractors_page_says_what_it_may_see_and_what_it_did_see() {
    let house = seen().await;
    let visitor = signed_in(&house, "anna", "auditor").await;
    let one = counted(&visitor, ONE, |one| one["refusals"] == 1 && one["disclosures"] == 2).await;
    assert_eq!((&one["customers"], &one["counted"]["behind"]), (&json!(1), &json!(0)), "{one}");
    assert_eq!(one["agreement"]["reference"], "DPA-1");
    assert_eq!(one["refused"], json!([{ "contractor": "parcelco", "code": "not-found", "count": 1 }]));
    let today = one["calendar"].as_array().unwrap();
    assert_eq!((today.len(), &today[0]["customers"]), (1, &json!(1)), "{one}");
    // The route of one order was used, the list of orders was not.
    let used: Vec<&Value> = fields(&one).filter(|field| field["disclosed"] != 0).collect();
    assert!(used.iter().any(|field| field["path"] == "@.recipient.name" && field["disclosed"] == 2), "{one}");
    assert!(used.iter().all(|field| field["first"].as_i64() <= field["last"].as_i64()), "{used:?}");
    assert!(fields(&one).any(|field| field["disclosed"] == 0 && field["last"] == 0), "{one}");
    let used = |id: &str| {
        one["credentials"].as_array().unwrap().iter().any(|one| one["id"] == id && one["used"] == true)
    };
    assert!(used("parcelco-gateway") && !used("parcelco-batch"), "{one}");

    let page = visitor.get("/contractors/parcelco?days=7").await.body;
    for text in
        ["Deliver the customer&#39;s parcel", "DPA-1", "Recipient name", "never", "<svg class=\"chart heat\""]
    {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("/suspend\""), "an auditor changes nothing");
    let all = visitor.get("/api/v1/contractors").await.json();
    assert_eq!(all["contractors"][0]["disclosures"], 2, "{all}");
    assert!(visitor.get("/contractors").await.body.contains("ParcelCo"));
    for missing in ["/contractors/nobody", "/api/v1/contractors/nobody"] {
        assert_eq!(visitor.get(missing).await.status, 404);
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_suspension_has_a_reason_holds_from_the_next_request_on_and_is_ended_by_an_operator() {
    let house = seen().await;
    let (client, reviewer) = (house.parcelco(), signed_in(&house, "anna", "reviewer").await);
    let form = "/contractors/parcelco/suspend";
    assert_eq!(reviewer.post(form, &[("reason", "  ")]).await.status, 400);
    assert_eq!(reviewer.post("/contractors/nobody/suspend", &[("reason", "a slip")]).await.status, 404);
    assert_eq!(house.get(&client, "/orders/1").await.status, 200);

    let reply = reviewer.post(form, &[("reason", "a <b>leak</b>")]).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (303, "/contractors/parcelco"),
        "{reply:?}"
    );
    let refused = house.get(&client, "/orders/1").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "suspended"));
    let entry = house.entries().into_iter().find(|entry| entry["kind"] == "suspension").unwrap();
    assert_eq!((&entry["by"], &entry["reason"]), (&json!("anna"), &json!("a <b>leak</b>")), "{entry}");
    let page = reviewer.get("/contractors/parcelco").await.body;
    assert!(page.contains("a &#60;b&#62;leak") && !page.contains("<b>leak"), "{page}");
    assert!(!page.contains("/resume\""), "a reviewer does not end it");
    assert!(reviewer.get("/").await.body.contains("ParcelCo is suspended"));
    assert!(reviewer.get("/contractors").await.body.contains("suspended"));
    // Again: an entry that could not be written the first time is made up for.
    assert_eq!(reviewer.post(form, &[("reason", "again")]).await.status, 303);

    let operator = signed_in(&house, "otto", "operator").await;
    assert!(operator.get("/contractors/parcelco").await.body.contains("/contractors/parcelco/resume"));
    assert_eq!(operator.post("/contractors/parcelco/resume", &[("reason", "mended")]).await.status, 303);
    assert_eq!(house.get(&client, "/orders/1").await.status, 200);
    assert_eq!(operator.post("/contractors/parcelco/resume", &[("reason", "mended")]).await.status, 409);
    house.assert_clean();
}

#[tokio::test]
async fn who_is_not_in_the_rules_any_more_is_still_told_of() {
    let house = seen().await;
    let operator = signed_in(&house, "otto", "operator").await;
    let reply = operator.post("/contractors/parcelco/suspend", &[("reason", "the contract ends")]).await;
    assert_eq!(reply.status, 303);
    let other = RULES.replace("\"parcelco", "\"other").replace("parcelco.example", "other.example");
    let other = other.replace("9f86d081", "00000000");
    std::fs::write(house.path("rules/other.toml"), other).unwrap();
    std::fs::remove_file(house.path("rules/parcelco.toml")).unwrap();
    let is_gone = |all: &Value| all["former"][0]["id"] == "parcelco";
    let all = counted(&operator, "/api/v1/contractors", is_gone).await;
    assert_eq!(
        (&all["former"][0]["suspended"], &all["contractors"][0]["id"]),
        (&json!(true), &json!("other"))
    );
    let page = operator.get("/contractors").await.body;
    assert!(page.contains("Not in the rules any more") && page.contains("/disclosures?contractor=parcelco"));
    let reply = operator.post("/contractors/parcelco/resume", &[("reason", "no more of it")]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/contractors"), "{reply:?}");
    house.assert_clean();
}
