//! Requests that somebody else's page makes a browser send.

use super::{house, signed_in};
use crate::support::Visitor;

const TOKEN: (&str, &str) = ("label", "x");
const DAYS: (&str, &str) = ("days", "1");

#[tokio::test]
async fn a_form_without_the_sessions_token_changes_nothing() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let other = signed_in(&house, "bert", "reviewer").await;
    let foreign = other.form_token().await;
    let before = house.entries().len();
    for token in ["", "wrong", &foreign] {
        let reply = visitor.post_bare("/you/tokens", &[TOKEN, DAYS, ("form_token", token)], &[]).await;
        assert_eq!(reply.status, 403, "{token:?}");
        assert!(reply.body.contains("Not from our pages"));
    }
    assert_eq!(visitor.post_bare("/you/tokens", &[TOKEN, DAYS], &[]).await.status, 403);
    assert_eq!(visitor.post_bare("/sign-out", &[], &[]).await.status, 403);
    // JSON is no way around it.
    let json = serde_json::json!({ "label": "x", "days": 1 });
    assert_eq!(visitor.post_json("/you/tokens", &json).await.status, 403);
    assert_eq!(house.entries().len(), before);
    // The token is not the cookie, nor to be had from it by who reads neither page nor script.
    let cookie = visitor.cookie("fieldgate-review").unwrap();
    assert_ne!(visitor.form_token().await, cookie);
    assert_eq!(visitor.post("/you/tokens", &[TOKEN, DAYS]).await.status, 200);
}

#[tokio::test]
async fn a_form_that_a_browser_says_comes_from_elsewhere_changes_nothing_even_with_the_token() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let token = visitor.form_token().await;
    let fields = [TOKEN, DAYS, ("form_token", token.as_str())];
    let own = format!("http://{}", visitor.host);
    let before = house.entries().len();
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "http://localhost")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "none")],
        vec![("sec-fetch-site", "cross-site"), ("origin", &own)],
    ] {
        let reply = visitor.post_bare("/you/tokens", &fields, &headers).await;
        assert_eq!(reply.status, 403, "{headers:?}");
    }
    assert_eq!(house.entries().len(), before);
    for headers in [vec![("origin", own.as_str())], vec![("sec-fetch-site", "same-origin")], vec![]] {
        assert_eq!(visitor.post_bare("/you/tokens", &fields, &headers).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn nobody_is_signed_in_by_somebody_elses_page() {
    let house = house().await;
    let password = house.account("anna", "reviewer");
    let visitor = Visitor::new(&house, "http", None);
    for headers in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let fields = [("name", "anna"), ("password", password.as_str())];
        let reply = visitor.post_bare("/sign-in", &fields, &[headers]).await;
        assert_eq!((reply.status.as_u16(), reply.header("set-cookie")), (403, ""), "{headers:?}");
        assert_eq!(visitor.post_bare("/sign-in/certificate", &[], &[headers]).await.status, 403);
    }
}

#[tokio::test]
async fn a_request_for_a_name_that_is_not_ours_is_refused() {
    let house = house().await;
    let password = house.account("anna", "reviewer");
    // A page whose name was made to lead to this machine would else be of one origin with us.
    for host in ["evil.example", "evil.example:8444", "localhost.evil.example", "127.0.0.1.nip.example", ""] {
        let visitor = Visitor::new(&house, "http", None).named(host);
        assert_eq!(visitor.sign_in("anna", &password).await.status, 421, "{host}");
        assert_eq!(visitor.get("/sign-in").await.status, 421, "{host}");
        assert_eq!(visitor.get("/").await.status, 421, "{host}");
        assert_eq!(visitor.get("/api/v1/you").await.status, 421, "{host}");
    }
}

#[tokio::test]
async fn forms_that_are_too_large_or_not_understood_are_refused_without_their_values() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let token = visitor.form_token().await;
    let large = "x".repeat(2 << 20);
    let fields = [("form_token", token.as_str()), ("label", large.as_str()), DAYS];
    assert_eq!(visitor.post_bare("/you/tokens", &fields, &[]).await.status, 413);
    let reply = visitor.post("/you/tokens", &[("label", "<script>"), ("days", "<img onerror>")]).await;
    assert_eq!(reply.status, 400);
    assert!(!reply.body.contains("<script") && !reply.body.contains("onerror"), "{reply:?}");
    let reply = visitor.get("/sign-in?back=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(!reply.body.contains("<script"), "{reply:?}");
    let reply = visitor.get("/%3Cscript%3Ealert(1)%3C/script%3E?%3Cscript%3E").await;
    assert!(reply.status.is_client_error() && !reply.body.contains("<script"), "{reply:?}");
}
