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
