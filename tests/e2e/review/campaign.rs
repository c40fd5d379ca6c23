//! A review of what a contractor may see, from its beginning to its sign-off.

use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use http::Method;
use serde_json::{Value, json};

use super::{house, signed_in};
use crate::support::{Answer, House, Visitor, order};

async fn send(visitor: &Visitor, target: &str, body: &Value) -> (u16, Value) {
    let token = visitor.form_token().await;
    let headers = [("content-type", "application/json"), ("x-form-token", token.as_str())];
    let reply = visitor.send(Method::POST, target, &headers, &body.to_string()).await;
    (reply.status.as_u16(), reply.json())
}

/// A review, as soon as the disclosures before it are counted.
async fn counted(visitor: &Visitor, target: &str) -> Value {
    let begun = Instant::now();
    loop {
        let one = visitor.get(target).await.json();
        if items(&one).iter().any(|item| item["usage"]["answers"].as_u64() > Some(0)) {
            return one;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is counted: {one}");
    }
}

fn items(one: &Value) -> Vec<&Value> {
    let tasks = one["tasks"].as_array().unwrap().iter();
    tasks.flat_map(|task| task["items"].as_array().unwrap()).collect()
}

fn item<'o>(one: &'o Value, route: &str, path: &str) -> &'o Value {
    let is_it = |item: &&&Value| item["route"] == route && item["path"] == path;
    items(one).iter().find(is_it).copied().unwrap_or_else(|| panic!("{route} {path}: {one}"))
}

async fn begun(house: &House, visitor: &Visitor) -> (String, Value) {
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    let (status, review) = send(visitor, "/api/v1/reviews", &json!({ "contractor": "parcelco" })).await;
    assert_eq!(status, 200, "{review}");
    let target = format!("/api/v1/reviews/{}", review["id"]);
    let one = counted(visitor, &target).await;
    (target, one)
}

#[tokio::test]
async fn a_review_is_decided_signed_off_and_then_as_it_is() {
    let house = house().await;
    let anna = signed_in(&house, "anna", "reviewer").await;
    let (target, one) = begun(&house, &anna).await;
    let (used, unused) =
        (item(&one, "/orders/{order_id}", "@.recipient.name"), item(&one, "/orders", "@.order_id"));
    assert_eq!((&used["usage"]["answers"], &used["usage"]["values"]), (&json!(1), &json!(1)));
    assert_eq!((&unused["usage"]["answers"], &unused["usage"]["last"]), (&json!(0), &json!(0)));

    // Without a reason, nothing is reduced, and nothing of the same request is taken.
    let decisions = format!("{target}/decisions");
    let reduce = json!({ "item": used["id"], "decision": "reduce", "becomes": "initials" });
    let keep = json!({ "item": unused["id"], "decision": "keep" });
    let (status, _) = send(&anna, &decisions, &json!({ "decisions": [keep, reduce] })).await;
    assert_eq!(status, 400);
    assert_eq!(anna.get(&target).await.json()["kept"], 0);

    let decide = |item: &Value| match (item["route"].as_str().unwrap(), item["path"].as_str().unwrap()) {
        ("/orders/{order_id}", "@.recipient.name") => {
            json!({ "item": item["id"], "decision": "reduce", "becomes": "initials", "reason": "enough for the door" })
        }
        ("/orders", _) => {
            json!({ "item": item["id"], "decision": "revoke", "reason": "nobody asks for lists" })
        }
        _ => json!({ "item": item["id"], "decision": "keep" }),
    };
    let all: Vec<Value> = items(&one).into_iter().map(decide).collect();
    let (status, one) = send(&anna, &decisions, &json!({ "decisions": all })).await;
    assert_eq!(
        (status, &one["undecided"], &one["reduced"], &one["revoked"]),
        (200, &json!(0), &json!(1), &json!(3))
    );
    let change = &one["change"];
    assert_eq!((&change["is_ready"], &change["faults"]), (&json!(true), &json!([])), "{change}");
    let patch = anna.get(&format!("{}/patch", target.replace("/api/v1", ""))).await.body;
    let line = "-  \"@.recipient.name\",\n+  { path = \"@.recipient.name\", transform = \"initials\" },\n";
    assert!(patch.contains(line) && patch.contains("-path = \"/orders\"\n"), "{patch}");
    assert_eq!(change["patch"], json!(patch));

    // What somebody did not see is not signed off.
    let sign_off = format!("{target}/sign-off");
    let (status, _) = send(&anna, &sign_off, &json!({ "seen": "something else" })).await;
    assert_eq!(status, 409);
    let (status, signed) = send(&anna, &sign_off, &json!({ "seen": one["seen"] })).await;
    assert_eq!((status, &signed["review"]["state"]), (200, &json!("signed")), "{signed}");

    let evidence = anna.get(&format!("{}/evidence", target.replace("/api/v1", ""))).await.body;
    let hash: String =
        digest(&SHA256, evidence.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let entries = house.entries();
    let entry = entries.iter().find(|entry| entry["kind"] == "review").unwrap();
    assert_eq!(entry["evidence_sha256"], json!(hash));
    assert_eq!(
        (&entry["by"], &entry["role"], &entry["contractor"]),
        (&json!("anna"), &json!("reviewer"), &json!("parcelco"))
    );
    assert_eq!((&entry["reduced"], &entry["revoked"], &entry["kept"]), (&json!(1), &json!(3), &one["kept"]));
    assert_eq!(entry["decisions"].as_array().unwrap().len(), items(&one).len());
    assert!(
        evidence.contains("enough for the door") && evidence.contains("\"signed_by\": \"anna\""),
        "{evidence}"
    );

    let again = json!({ "decisions": [{ "item": used["id"], "decision": "keep" }] });
    assert_eq!(send(&anna, &decisions, &again).await.0, 409);
    assert_eq!(send(&anna, &sign_off, &json!({ "seen": one["seen"] })).await.0, 409);
    let page = anna.get(&target.replace("/api/v1", "")).await;
    assert!(
        page.status == 200 && page.body.contains(&hash) && !page.body.contains("<select name=\"decision"),
        "{}",
        page.body
    );
    house.verify();
    house.assert_clean();
}

#[tokio::test]
async fn without_script_one_form_saves_what_it_can_and_says_what_is_missing() {
    let house = house().await;
    let anna = signed_in(&house, "anna", "reviewer").await;
    let (target, one) = begun(&house, &anna).await;
    let page = target.replace("/api/v1", "");
    let id = |route: &str, path: &str| item(&one, route, path)["id"].as_str().unwrap().to_owned();
    let (list, next) = (id("/orders", "@.order_id"), id("/orders", "$.next"));
    let (kept, revoked) = (format!("decision-{list}"), format!("decision-{next}"));
    let fields = [(kept.as_str(), "keep"), (revoked.as_str(), "revoke"), ("action", "keep-used")];
    let reply = anna.post(&format!("{page}/decisions"), &fields).await;
    assert!(
        reply.status == 200 && reply.body.contains("not saved") && reply.body.contains("Say why."),
        "{}",
        reply.body
    );
    // Four fields of the one order that was asked for, and the one that was chosen.
    let one = anna.get(&target).await.json();
    assert_eq!((&one["kept"], &one["revoked"]), (&json!(5), &json!(0)));
    let reason = format!("reason-{next}");
    let fields = [(revoked.as_str(), "revoke"), (reason.as_str(), "nobody pages")];
    let reply = anna.post(&format!("{page}/decisions"), &fields).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, page.as_str()));
    let reply = anna.post(&format!("{page}/items/{list}"), &[(kept.as_str(), "revoke")]).await;
    assert!(reply.status == 200 && reply.body.contains("Say why."), "{}", reply.body);
    let one = anna.get(&target).await.json();
    assert_eq!((&one["kept"], &one["revoked"]), (&json!(5), &json!(1)));
}

#[tokio::test]
async fn who_is_no_reviewer_sees_reviews_and_changes_nothing() {
    let house = house().await;
    let anna = signed_in(&house, "anna", "reviewer").await;
    let (target, one) = begun(&house, &anna).await;
    for role in ["auditor", "operator"] {
        let other = signed_in(&house, role, role).await;
        assert_eq!(other.get(&target).await.json()["seen"], one["seen"]);
        assert_eq!(send(&other, "/api/v1/reviews", &json!({ "contractor": "parcelco" })).await.0, 403);
        let keep = json!({ "decisions": [{ "item": items(&one)[0]["id"], "decision": "keep" }] });
        assert_eq!(send(&other, &format!("{target}/decisions"), &keep).await.0, 403);
        assert_eq!(send(&other, &format!("{target}/sign-off"), &json!({ "seen": one["seen"] })).await.0, 403);
    }
    let (status, _) = send(&anna, &format!("{target}/sign-off"), &json!({ "seen": one["seen"] })).await;
    assert_eq!(status, 409, "nothing is decided");
    assert!(!house.entries().iter().any(|entry| entry["kind"] == "review"));
    assert_eq!(anna.get(&target).await.json()["review"]["state"], "open");
}

#[tokio::test]
async fn a_decision_about_a_rule_file_that_changed_since_does_not_count() {
    let house = house().await;
    let anna = signed_in(&house, "anna", "reviewer").await;
    let (target, one) = begun(&house, &anna).await;
    let all = items(&one).into_iter().map(|item| json!({ "item": item["id"], "decision": "keep" }));
    let all = json!({ "decisions": all.collect::<Vec<_>>() });
    let (_, one) = send(&anna, &format!("{target}/decisions"), &all).await;
    assert_eq!(one["undecided"], 0);
    let file = house.path("rules/parcelco.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace(" && @.status == 'ready_to_ship'", "");
    std::fs::write(&file, text).unwrap();
    let begun = Instant::now();
    while anna.get(&target).await.json()["rules"] == one["rules"] {
        assert!(begun.elapsed() < Duration::from_secs(20), "the rules are not taken in");
    }
    let now = anna.get(&target).await.json();
    assert_eq!((&now["kept"], now["undecided"].as_u64()), (&json!(0), Some(items(&one).len() as u64)));
    assert_eq!(send(&anna, &format!("{target}/sign-off"), &json!({ "seen": now["seen"] })).await.0, 409);
}
