//! Who may what: each role and each thing that can be done.

use http::Method;
use serde_json::Value;

use super::{house, signed_in};

const ROLES: [&str; 3] = ["reviewer", "operator", "auditor"];

/// Rights, as the interface names them, and who has them.
const RIGHTS: [(&str, &[&str]); 9] = [
    ("view", &ROLES),
    ("look-up", &["reviewer", "auditor"]),
    ("export", &["reviewer", "auditor"]),
    ("suspend", &["reviewer", "operator"]),
    ("resume", &["operator"]),
    ("acknowledge", &["reviewer", "operator"]),
    ("review", &["reviewer"]),
    ("consent", &["reviewer", "operator"]),
    ("verify", &ROLES),
];

#[tokio::test]
async fn each_role_says_what_it_may() {
    let house = house().await;
    for role in ROLES {
        let visitor = signed_in(&house, role, role).await;
        let may = visitor.get("/api/v1/you").await.json()["may"].clone();
        let said: Vec<&str> = may.as_array().unwrap().iter().map(|right| right.as_str().unwrap()).collect();
        let wanted: Vec<&str> =
            RIGHTS.iter().filter(|(_, roles)| roles.contains(&role)).map(|(right, _)| *right).collect();
        assert_eq!(said, wanted, "{role}");
    }
}

#[tokio::test]
async fn without_a_session_there_is_only_the_door() {
    let house = house().await;
    let visitor = crate::support::Visitor::new(&house, "http", None);
    let pages =
        ["/", "/alerts", "/disclosures", "/contractors", "/subject", "/reviews", "/rules", "/ledger", "/you"];
    for page in pages {
        let reply = visitor.get(page).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (303, ""), "{page}");
        assert!(reply.header("location").starts_with("/sign-in"), "{page}");
    }
    // A part of a page that is fetched by script sends the whole page there.
    let part = visitor.send(Method::GET, "/disclosures", &[("hx-request", "true")], "").await;
    assert_eq!((part.status.as_u16(), part.header("hx-redirect")), (401, "/sign-in"));
    let reply = visitor.post_bare("/you/tokens", &[("label", "x"), ("days", "1")], &[]).await;
    assert_eq!(reply.status, 303);
    let reply = visitor.get("/api/v1/you").await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (401, &Value::from(401)));
}

#[tokio::test]
async fn each_deed_is_done_by_the_roles_that_may_and_by_no_other() {
    let house = house().await;
    let json = |value: Value| value.to_string();
    let customer = || json(serde_json::json!({ "customer": "c-1", "reason": "request 118" }));
    // What is asked, the body of a POST, and who may.
    let deeds: Vec<(&str, String, &[&str])> = vec![
        ("/api/v1/subjects/account", customer(), &["reviewer", "auditor"]),
        ("/api/v1/subjects/copy", customer(), &["reviewer", "auditor"]),
        ("/api/v1/subjects/statements", customer(), &["reviewer", "auditor"]),
        (
            "/api/v1/subjects/consent",
            json(serde_json::json!({ "customer": "c-1", "said": "withdraw", "reason": "letter 5" })),
            &["reviewer", "operator"],
        ),
        (
            "/api/v1/contractors/parcelco/suspend",
            json(serde_json::json!({ "reason": "a test" })),
            &["reviewer", "operator"],
        ),
        ("/api/v1/contractors/parcelco/resume", json(serde_json::json!({ "reason": "over" })), &["operator"]),
        (
            "/api/v1/exports",
            json(serde_json::json!({ "form": "jsonl", "reason": "audit 7" })),
            &["reviewer", "auditor"],
        ),
        ("/api/v1/ledger/verify", "{}".into(), &ROLES),
        ("/api/v1/ledger/prune", "{}".into(), &ROLES),
    ];
    for role in ROLES {
        let visitor = signed_in(&house, role, role).await;
        let token = visitor.form_token().await;
        let headers = [("content-type", "application/json"), ("x-form-token", token.as_str())];
        for (path, body, may) in &deeds {
            let before = house.entries();
            let reply = visitor.send(Method::POST, path, &headers, body).await;
            if may.contains(&role) {
                assert!(reply.status.is_success() || reply.status == 409, "{role} {path}: {reply:?}");
                continue;
            }
            assert_eq!(reply.status, 403, "{role} {path}: {reply:?}");
            assert!(reply.json()["detail"].as_str().unwrap().contains(role), "{reply:?}");
            let told = house.entries();
            let new = told[before.len()..].iter().filter(|entry| entry["by"] == role);
            assert_eq!(new.count(), 0, "{role} {path} left an entry");
            // Without the page's token it is refused before anything else is looked at.
            let bare = visitor.send(Method::POST, path, &headers[..1], body).await;
            assert_eq!(bare.status, 403, "{role} {path}");
        }
    }
}
