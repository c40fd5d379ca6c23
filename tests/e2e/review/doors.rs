//! Signing in and out: passwords, certificates, tokens, sessions.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{TLS, house, house_with, noted, signed_in};
use crate::support::{House, Visitor};

const WRONG: &str = "Name or password is wrong.";

#[tokio::test]
async fn the_right_password_opens_the_pages_and_leaves_an_entry() {
    let house = house().await;
    let password = house.account("anna", "reviewer");
    let visitor = Visitor::new(&house, "http", None);
    let away = visitor.get("/disclosures?outcome=not-found").await;
    assert_eq!(away.status, 303);
    assert_eq!(away.header("location"), "/sign-in?back=%2Fdisclosures%3Foutcome%3Dnot%2Dfound");
    assert_eq!(visitor.get("/api/v1/you").await.status, 401);

    let fields = [("name", "anna"), ("password", &password), ("back", "/disclosures?outcome=not-found")];
    let reply = visitor.post_bare("/sign-in", &fields, &[]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/disclosures?outcome=not-found"));
    let cookie = reply.header("set-cookie");
    for part in ["fieldgate-review=", "; Path=/", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Domain") && !cookie.contains("Max-Age"), "{cookie}");
    assert_eq!(visitor.get("/you").await.status, 200);
    let you = visitor.get("/api/v1/you").await.json();
    assert_eq!((you["name"].as_str(), you["role"].as_str()), (Some("anna"), Some("reviewer")));

    let entries = noted(&house, "sign-in");
    assert_eq!(entries.len(), 1);
    assert_eq!((&entries[0]["kind"], &entries[0]["by"]), (&json!("access"), &json!("anna")));
    assert_eq!((&entries[0]["with"], &entries[0]["role"]), (&json!("password"), &json!("reviewer")));
    let secret = visitor.cookie("fieldgate-review").unwrap();
    assert!(!house.log().contains(&password) && !house.log().contains(&secret));
    house.assert_clean();
}

#[tokio::test]
async fn a_wrong_password_and_a_name_that_nobody_has_are_answered_alike_and_leave_no_session() {
    let house = house().await;
    house.account("anna", "reviewer");
    let visitor = Visitor::new(&house, "http", None);
    let (wrong, nobody) = (visitor.sign_in("anna", "wrong").await, visitor.sign_in("nobody", "wrong").await);
    for reply in [&wrong, &nobody] {
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains(WRONG) && reply.header("set-cookie").is_empty(), "{reply:?}");
    }
    assert_eq!(wrong.body, nobody.body);
    assert!(noted(&house, "sign-in").is_empty());
}

#[tokio::test]
async fn after_five_wrong_passwords_the_right_one_is_not_taken_either_for_a_while() {
    let house = house().await;
    let password = house.account("anna", "reviewer");
    let other = house.account("bert", "operator");
    let visitor = Visitor::new(&house, "http", None);
    for _ in 0..5 {
        assert_eq!(visitor.sign_in("anna", "wrong").await.status, 401);
    }
    let reply = visitor.sign_in("anna", &password).await;
    assert_eq!(reply.status, 429);
    assert!(reply.body.contains("Sign-in is taken again in 15 minutes."), "{}", reply.body);
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((800..=900).contains(&wait), "{wait}");
    // Somebody else at the same address is not kept out.
    assert_eq!(visitor.sign_in("bert", &other).await.status, 303);
}

#[tokio::test]
async fn many_wrong_passwords_at_once_are_no_more_than_one_after_the_other() {
    let house = house().await;
    house.account("anna", "reviewer");
    let visitor = Visitor::new(&house, "http", None);
    let tries = (0..12).map(|_| visitor.sign_in("anna", "wrong"));
    let replies = futures_util::future::join_all(tries).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 401).count(), 5);
    assert_eq!(replies.iter().filter(|reply| reply.status == 429).count(), 7);
}

#[tokio::test]
async fn who_signs_out_is_out_also_with_the_cookie_of_before() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    let cookie = visitor.cookie("fieldgate-review").unwrap();
    let reply = visitor.post("/sign-out", &[]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/sign-in"));
    assert!(visitor.cookie("fieldgate-review").is_none());
    visitor.set_cookie("fieldgate-review", &cookie);
    assert_eq!(visitor.get("/you").await.header("location"), "/sign-in?back=%2Fyou");
    // A link on somebody's page does not sign anybody out.
    assert_eq!(visitor.get("/sign-out").await.status, 405);
}

#[tokio::test]
async fn a_session_that_is_ended_elsewhere_is_over_with_the_next_request() {
    let house = house().await;
    let first = signed_in(&house, "anna", "reviewer").await;
    let you = first.get("/api/v1/you").await.json();
    let id = you["sessions"][0]["id"].as_str().unwrap().to_owned();

    // By herself, from another browser; and not by somebody else.
    let stranger = signed_in(&house, "bert", "operator").await;
    assert_eq!(stranger.post("/you/sessions/end", &[("id", &id)]).await.status, 404);
    assert_eq!(first.get("/you").await.status, 200);
    assert!(house.command(&["admin", "password", "anna", "--by", "test"]).status.success());
    assert_eq!(first.get("/you").await.status, 303);

    // By whoever keeps the accounts.
    assert_eq!(stranger.get("/you").await.status, 200);
    assert!(house.command(&["admin", "role", "bert", "auditor", "--by", "test"]).status.success());
    assert_eq!(stranger.get("/api/v1/you").await.json()["role"], "auditor");
    assert!(house.command(&["admin", "sign-out", "bert", "--by", "test"]).status.success());
    assert_eq!(stranger.get("/you").await.status, 303);
    let third = signed_in(&house, "carla", "auditor").await;
    assert!(house.command(&["admin", "remove", "carla", "--by", "test"]).status.success());
    assert_eq!(third.get("/you").await.status, 303);
}

#[tokio::test]
async fn a_session_ends_by_its_time_and_when_nobody_uses_it() {
    for term in ["session = \"1s\"", "idle = \"1s\""] {
        let house = house_with(term).await;
        let visitor = signed_in(&house, "anna", "reviewer").await;
        let began = std::time::Instant::now();
        // It is asked seldom enough to be idle in between.
        let mut wait = Duration::from_millis(1200);
        while visitor.get("/you").await.status == 200 {
            assert!(began.elapsed() < Duration::from_secs(20), "{term}: a session does not end");
            tokio::time::sleep(wait).await;
            wait += Duration::from_millis(200);
        }
    }
}

#[tokio::test]
async fn a_token_is_for_programs_and_opens_the_interface_without_a_cookie() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "auditor").await;
    let page = visitor.post("/you/tokens", &[("label", "siem"), ("days", "30")]).await;
    assert_eq!(page.status, 200, "{page:?}");
    let token = page.body.split_once("<pre id=\"token\">").unwrap().1.split_once('<').unwrap().0.to_owned();
    assert!(token.len() >= 43 && !visitor.get("/you").await.body.contains(&token), "it is shown once");
    let entries = noted(&house, "new-token");
    assert_eq!((&entries[0]["label"], &entries[0]["by"]), (&json!("siem"), &json!("anna")));

    let program = Visitor::new(&house, "http", None).with("authorization", format!("Bearer {token}"));
    assert_eq!(program.get("/api/v1/you").await.json()["name"], "anna");
    // What browsers send by themselves is no token, and a token is no cookie.
    let thief = Visitor::new(&house, "http", None);
    thief.set_cookie("fieldgate-review", &token);
    assert_eq!(thief.get("/api/v1/you").await.status, 401);
    let cookie = visitor.cookie("fieldgate-review").unwrap();
    let thief = Visitor::new(&house, "http", None).with("authorization", format!("Bearer {cookie}"));
    assert_eq!(thief.get("/api/v1/you").await.status, 401);
    // A token makes no further tokens, and outlives nobody.
    let more = program.post_bare("/you/tokens", &[("label", "more"), ("days", "30")], &[]).await;
    assert_eq!(more.status, 400);
    for days in ["0", "366", "-1", "x"] {
        assert_eq!(
            visitor.post("/you/tokens", &[("label", "x"), ("days", days)]).await.status,
            400,
            "{days}"
        );
    }
    assert!(house.command(&["admin", "sign-out", "anna", "--by", "test"]).status.success());
    assert_eq!(program.get("/api/v1/you").await.status, 401);
    assert!(!house.log().contains(&token));
    house.assert_clean();
}

/// Makes an account that signs in by the name in a certificate.
fn certified(house: &House, name: &str, role: &str, certificate: &str) {
    let arguments = ["admin", "add", name, "--role", role, "--certificate", certificate, "--by", "test"];
    let output = house.command(&arguments);
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn a_certificate_signs_in_the_account_that_has_its_name() {
    let house = house_with(TLS).await;
    certified(&house, "anna", "operator", "URI:spiffe://parcelco.example/gateway");
    let visitor = Visitor::new(&house, "https", Some("parcelco"));
    assert!(visitor.get("/sign-in").await.body.contains("Sign in with your certificate"));
    // The certificate alone shows nothing: somebody must want to sign in.
    assert_eq!(visitor.get("/you").await.status, 303);
    let reply = visitor.post_bare("/sign-in/certificate", &[("back", "/you")], &[]).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/you"));
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("__Host-fieldgate=") && cookie.contains("; Secure"), "{cookie}");
    assert_eq!(visitor.get("/api/v1/you").await.json()["role"], "operator");
    assert_eq!(noted(&house, "sign-in")[0]["with"], "certificate");

    let stranger = Visitor::new(&house, "https", Some("stranger"));
    let reply = stranger.post_bare("/sign-in/certificate", &[], &[]).await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("No account has the names in your certificate."));
    let without = Visitor::new(&house, "https", None);
    assert!(!without.get("/sign-in").await.body.contains("Sign in with your certificate"));
    assert_eq!(without.post_bare("/sign-in/certificate", &[], &[]).await.status, 303);
    assert_eq!(without.get("/you").await.status, 303);
    house.assert_clean();
}

#[tokio::test]
async fn each_kind_of_answer_has_the_headers_that_bind_a_browser() {
    let house = house().await;
    let visitor = signed_in(&house, "anna", "reviewer").await;
    // The visitor checks each response.
    let page = visitor.get("/").await.body;
    let style = page.split_once("href=\"/assets/style.css").unwrap().1.split_once('"').unwrap().0;
    let file = visitor.get(&format!("/assets/style.css{style}")).await;
    assert_eq!((file.status.as_u16(), file.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(file.header("cache-control").contains("immutable"));
    for (target, status) in [
        ("/", 200),
        ("/sign-in", 200),
        ("/none", 404),
        ("/assets/none", 404),
        ("/assets/..%2f..%2fCargo.toml", 404),
        ("/api/v1/none", 404),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/sign-out", 405),
    ] {
        let reply = visitor.get(target).await;
        assert_eq!(reply.status, status, "{target}: {reply:?}");
    }
    let api = visitor.get("/api/v1/none").await;
    assert_eq!(api.header("content-type"), "application/problem+json");
    for method in [Method::DELETE, Method::PUT, Method::OPTIONS] {
        let reply = visitor.send(method.clone(), "/", &[], "").await;
        assert_eq!(reply.status, 405, "{method}");
        assert!(!reply.headers.contains_key("access-control-allow-origin"));
    }
}
