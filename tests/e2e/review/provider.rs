//! Sign-in with the company's identity provider.

use serde_json::{Value, json};

use super::{TLS, closed, noted, open, write_secret};
use crate::support::{House, IdentityProvider, Reply, Twist, Visitor};

const HOST: &str = "review.example";

async fn house() -> (House, IdentityProvider) {
    let mut house = closed().await;
    let provider = IdentityProvider::start(&house).await;
    write_secret(&house);
    open(&mut house, &format!("{TLS}\nurl = \"https://{HOST}\"\n{}", provider.table()));
    (house, provider)
}

fn visitor(house: &House) -> Visitor {
    Visitor::new(house, "https", None).named(HOST)
}

/// Goes to the provider as a browser does, and comes back; the last answer.
async fn round(house: &House, visitor: &Visitor) -> Reply {
    let to = visitor.get("/sign-in/provider?back=/ledger").await;
    assert_eq!(to.status, 303, "{to:?}");
    come_back(house, visitor, to.header("location")).await
}

/// What the provider sends the browser to is fetched.
async fn come_back(house: &House, visitor: &Visitor, to: &str) -> Reply {
    let output = house.curl(&["-D", "-", "-o", "/dev/null", to]).await;
    let head = String::from_utf8(output.stdout).unwrap();
    let back =
        head.lines().find_map(|line| line.strip_prefix("location: ")).expect("the provider sends it back");
    let target = back.trim().strip_prefix(&format!("https://{HOST}")).expect("to the review side");
    visitor.get(target).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_lets_somebody_in_with_the_role_of_their_group() {
    let (house, provider) = house().await;
    for (groups, role) in [
        (json!(["staff", "privacy-team"]), "reviewer"),
        (json!("on-call"), "operator"),
        (json!(["audit"]), "auditor"),
        (json!(["audit", "privacy-team"]), "reviewer"),
    ] {
        provider.person(json!({ "email": "anna@shop.example", "groups": groups }));
        let visitor = visitor(&house);
        let reply = round(&house, &visitor).await;
        assert_eq!(reply.status, 200, "{reply:?}: {:?}", provider.faults());
        assert!(reply.body.contains("content=\"0;url=/ledger\""), "{reply:?}");
        let you = visitor.get("/api/v1/you").await.json();
        assert_eq!(
            (you["name"].as_str(), you["role"].as_str()),
            (Some("oidc:anna@shop.example"), Some(role))
        );
    }
    let entries = noted(&house, "sign-in");
    assert_eq!(entries.len(), 4);
    assert_eq!(
        (&entries[0]["with"], &entries[0]["by"]),
        (&json!("provider"), &json!("oidc:anna@shop.example"))
    );
    assert_eq!(provider.faults(), [""; 0]);
    // Who is gone at the provider is put out here.
    let visitor = visitor(&house);
    round(&house, &visitor).await;
    let out = house.command(&["admin", "sign-out", "oidc:anna@shop.example", "--by", "test"]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(visitor.get("/api/v1/you").await.status, 401);
    assert!(!house.log().contains(crate::support::SECRET));
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_group_here_is_not_let_in() {
    let (house, provider) = house().await;
    for groups in
        [json!([]), json!(["staff"]), Value::Null, json!(["Privacy-Team"]), json!({ "privacy-team": 1 })]
    {
        provider.person(json!({ "email": "bert@shop.example", "groups": groups }));
        let visitor = visitor(&house);
        let reply = round(&house, &visitor).await;
        assert_eq!(reply.status, 400, "{groups}");
        assert!(reply.body.contains("You have no role here"), "{reply:?}");
        assert!(visitor.cookie("__Host-fieldgate").is_none() && !reply.body.contains("bert"));
    }
    assert!(noted(&house, "sign-in").is_empty());
    assert!(!house.log().contains("bert@shop.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_the_provider_that_is_not_for_this_sign_in_or_not_by_it_lets_nobody_in() {
    let (house, provider) = house().await;
    provider.person(json!({ "email": "anna@shop.example", "groups": ["privacy-team"] }));
    for twist in [
        Twist::State,
        Twist::Nonce,
        Twist::NoNonce,
        Twist::Audience,
        Twist::Party,
        Twist::Issuer,
        Twist::Signature,
        Twist::Unsigned,
        Twist::Shared,
        Twist::Expired,
        Twist::Early,
        Twist::Refused,
    ] {
        provider.twist(twist);
        let visitor = visitor(&house);
        let reply = round(&house, &visitor).await;
        assert_eq!(reply.status, 400, "{twist:?}: {reply:?}");
        assert!(visitor.cookie("__Host-fieldgate").is_none(), "{twist:?}");
    }
    provider.twist(Twist::Discovery);
    assert!(visitor(&house).get("/sign-in/provider").await.status.is_server_error());
    assert!(noted(&house, "sign-in").is_empty());
    assert_eq!(provider.faults(), [""; 0]);
    // None of that is in the way of the next one.
    provider.twist(None);
    assert_eq!(round(&house, &visitor(&house)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_of_the_browser_that_began_it_and_ends_once() {
    let (house, provider) = house().await;
    provider.person(json!({ "email": "mallory@shop.example", "groups": ["privacy-team"] }));
    let (mallory, anna) = (visitor(&house), visitor(&house));
    // Somebody has a colleague's browser end the sign-in that they began.
    let to = mallory.get("/sign-in/provider").await;
    let line = to.header("set-cookie");
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/sign-in", "; Max-Age=600"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let reply = come_back(&house, &anna, to.header("location")).await;
    assert_eq!(reply.status, 400);
    assert!(anna.cookie("__Host-fieldgate").is_none());
    // And it is spent.
    let reply = come_back(&house, &mallory, to.header("location")).await;
    assert_eq!(reply.status, 400);
    assert_eq!(provider.redeemed(), 0);
    // The provider says that somebody thought better of it.
    assert_eq!(mallory.get("/sign-in/callback?error=access_denied&state=x").await.status, 400);
    // A way back that leads elsewhere leads home.
    let to = anna.get("/sign-in/provider?back=https://evil.example/").await;
    let reply = come_back(&house, &anna, to.header("location")).await;
    assert!(reply.body.contains("content=\"0;url=/\""), "{reply:?}");
}
