//! Signed tokens as credentials: the real gateway, keys in a file and from a server over TLS.

mod refused;
mod servers;

use std::time::{Duration, Instant};

use base64::Engine;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, CONFIG, Client, House, Issuer, RULES, b64, order, reduced_order};

/// Where keys in a file are.
const FILE: &str = "jwks = \"certs/parcelco.jwks.json\"";

impl Issuer {
    fn set(&self) -> String {
        set(&[self])
    }

    /// A token with some claims changed; null takes one away.
    fn token(&self, changes: Value) -> String {
        self.sign(&json!({ "alg": self.algorithm, "typ": "at+jwt", "kid": self.id }), &claims(changes))
    }
}

fn set(issuers: &[&Issuer]) -> String {
    json!({ "keys": issuers.iter().map(|issuer| issuer.jwk()).collect::<Vec<_>>() }).to_string()
}

/// What the contractor's tokens say, with some of it changed.
fn claims(changes: Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({ "iss": "https://id.parcelco.example", "aud": "fieldgate", "sub": "gateway", "iat": now, "exp": now + 300 });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims.to_string()
}

fn credential(id: &str, audience: &str, subject: &str, jwks: &str) -> String {
    let names = format!(
        "issuer = \"https://id.parcelco.example\", audience = \"{audience}\", subject = \"{subject}\""
    );
    format!("[[contractor.credential]]\nid = \"{id}\"\njwt = {{ {names}, {jwks} }}\n")
}

/// The usual rules with more credentials.
fn rules_with(credentials: &[String]) -> String {
    RULES.replacen("[[task]]", &format!("{}[[task]]", credentials.concat()), 1)
}

fn rules(jwks: &str) -> String {
    rules_with(&[credential("parcelco-oauth", "fieldgate", "gateway", jwks)])
}

/// Another contractor, with a certificate and perhaps more.
fn helpdesk(credentials: &[String]) -> String {
    let helpdesk =
        RULES.replace("id = \"parcelco", "id = \"helpdesk").replace("spiffe://parcelco", "spiffe://helpdesk");
    let helpdesk = helpdesk.replace("9f86d0818", "0f86d0818");
    helpdesk.replacen("[[task]]", &format!("{}[[task]]", credentials.concat()), 1)
}

async fn house(jwks: &str, set: &str) -> House {
    house_of(&[("parcelco", &rules(jwks)), ("helpdesk", &helpdesk(&[]))], set).await
}

async fn house_of(rules: &[(&str, &str)], set: &str) -> House {
    let mut house = House::closed(CONFIG, rules).await;
    std::fs::write(house.path("certs/parcelco.jwks.json"), set).unwrap();
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

fn with_token(house: &House, name: Option<&str>, token: &str) -> Client {
    house.client(name).with("authorization", &format!("Bearer {token}"))
}

/// Asks until the answer has this status.
async fn until(house: &House, token: &str, status: StatusCode) {
    let (began, client) = (Instant::now(), with_token(house, None, token));
    while house.send_unknown(&client, Method::GET, "/orders/1", "").await.status != status {
        assert!(began.elapsed() < Duration::from_secs(40), "{}", house.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_token_under_each_kind_of_key_opens_its_contractors_tasks() {
    let issuers: Vec<Issuer> =
        ["ES256", "ES384", "EdDSA", "RS256", "PS256"].map(|name| Issuer::of(name, name)).into();
    let all: Vec<&Issuer> = issuers.iter().collect();
    let house = house(FILE, &set(&all)).await;
    for issuer in issuers {
        let response = house.get(&with_token(&house, None, &issuer.token(json!({}))), "/orders/1").await;
        assert_eq!((response.status, response.body.as_str()), (StatusCode::OK, reduced_order(1).as_str()));
        assert_eq!(house.told().last().unwrap()["credential"], "parcelco-oauth", "{}", issuer.id);
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_token_and_a_certificate_must_be_of_one_contractor() {
    let issuer = Issuer::new("one");
    let house = house(FILE, &issuer.set()).await;
    let token = issuer.token(json!({}));
    assert_eq!(house.get(&house.client(Some("helpdesk")), "/orders/1").await.status, 200);
    assert_eq!(house.get(&with_token(&house, Some("parcelco"), &token), "/orders/1").await.status, 200);
    assert_eq!(house.told().last().unwrap()["credential"], "parcelco-oauth");
    for name in ["helpdesk", "stranger"] {
        let other = with_token(&house, Some(name), &token);
        assert_eq!(house.send_unknown(&other, Method::GET, "/orders/1", "").await.code(), "bad-credential");
    }
    assert_eq!(house.upstream.requests().len(), 2);
}

/// SHA-256 of a certificate, as `cnf` has it.
fn print(house: &House, name: &str) -> String {
    let pem = std::fs::read(house.path(&format!("certs/{name}.pem"))).unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    b64(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &block.contents).as_ref())
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_worth_nothing_without_it() {
    let issuer = Issuer::new("one");
    for bind in ["", ", bind = \"certificate\""] {
        let house = house(&format!("{FILE}{bind}"), &issuer.set()).await;
        let bound_to = |name| issuer.token(json!({ "cnf": { "x5t#S256": print(&house, name) } }));
        let (bound, free) = (bound_to("parcelco"), issuer.token(json!({})));
        assert_eq!(house.get(&with_token(&house, Some("parcelco"), &bound), "/orders/1").await.status, 200);
        let refused = [
            (None, bound.clone()),
            (Some("helpdesk"), bound.clone()),
            (Some("parcelco"), bound_to("helpdesk")),
            (Some("parcelco"), issuer.token(json!({ "cnf": { "jkt": print(&house, "parcelco") } }))),
        ];
        for (name, token) in &refused {
            let client = with_token(&house, *name, token);
            let response = house.send_unknown(&client, Method::GET, "/orders/1", "").await;
            assert_eq!(response.code(), "bad-credential", "{name:?}{bind}");
        }
        let client = with_token(&house, Some("parcelco"), &free);
        let status = house.send_unknown(&client, Method::GET, "/orders/1", "").await.status;
        assert_eq!(status == 200, bind.is_empty());
        assert_eq!(house.upstream.requests().len(), if bind.is_empty() { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_token_for_the_audiences_of_two_contractors_opens_neither_ones_tasks() {
    let issuer = Issuer::new("one");
    let rules = [
        (
            "parcelco",
            rules_with(&[
                credential("parcelco-a", "a", "gateway", FILE),
                credential("parcelco-b", "b", "gateway", FILE),
            ]),
        ),
        (
            "helpdesk",
            helpdesk(&[
                credential("helpdesk-c", "c", "gateway", FILE),
                credential("helpdesk-d", "d", "gateway", &format!("{FILE}, bind = \"certificate\"")),
            ]),
        ),
    ];
    let house = house_of(&rules.each_ref().map(|(name, text)| (*name, text.as_str())), &issuer.set()).await;
    for (audiences, credential) in [
        (json!("a"), "parcelco-a"),
        (json!(["x", "b"]), "parcelco-b"),
        (json!(["b", "a"]), "parcelco-a"),
        (json!(["c"]), "helpdesk-c"),
        // What a token does not prove cannot make it doubtful.
        (json!(["a", "d"]), "parcelco-a"),
    ] {
        let client = with_token(&house, None, &issuer.token(json!({ "aud": audiences })));
        assert_eq!(house.get(&client, "/orders/1").await.status, 200, "{audiences}");
        assert_eq!(house.told().last().unwrap()["credential"], credential, "{audiences}");
    }
    let both = with_token(&house, None, &issuer.token(json!({ "aud": ["a", "c"] })));
    assert_eq!(house.send_unknown(&both, Method::GET, "/orders/1", "").await.code(), "bad-credential");
    house.logged("they belong to several contractors").await;
}

#[tokio::test]
async fn keys_in_a_file_are_changed_without_a_restart_and_a_damaged_file_changes_nothing() {
    let (one, two) = (Issuer::new("one"), Issuer::new("two"));
    let house = house(FILE, &one.set()).await;
    let file = house.path("certs/parcelco.jwks.json");
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    std::fs::write(&file, "{\"keys\":[").unwrap();
    house.logged("token keys cannot be read anew").await;
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    std::fs::write(house.path("new.json"), two.set()).unwrap();
    std::fs::rename(house.path("new.json"), &file).unwrap();
    until(&house, &two.token(json!({})), StatusCode::OK).await;
    until(&house, &one.token(json!({})), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn without_its_keys_a_gateway_does_not_start_and_says_where_they_should_be() {
    let house = House::closed(CONFIG, &[("parcelco", &rules(FILE))]).await;
    let named = format!("the token keys of {}", house.path("rules/parcelco.toml").display());
    let output = house.command(&["serve"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("certs/parcelco.jwks.json") && said.contains(&named), "{said}");
    // `check` opens no keys.
    assert_eq!(house.command(&["check"]).status.code(), Some(0));
    for (set, why) in
        [("{}".to_owned(), "is not a JSON Web Key Set"), (" ".repeat(1 << 21), "larger than 1 MiB")]
    {
        std::fs::write(house.path("certs/parcelco.jwks.json"), set).unwrap();
        let output = house.command(&["serve"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(why) && said.contains(&named), "{said}");
    }
}

#[tokio::test]
async fn keys_that_verify_nothing_are_told_once_and_open_nothing() {
    let one = Issuer::new("one");
    let mut keys: Value = serde_json::from_str(&one.set()).unwrap();
    keys["keys"].as_array_mut().unwrap().push(json!({ "kty": "oct", "kid": "secret", "k": b64(b"PLANTED") }));
    let house = house(FILE, &keys.to_string()).await;
    until(&house, &one.token(json!({})), StatusCode::OK).await;
    house.logged("\"used\":1,\"unused\":1").await;
    // Another set with as many of them says nothing new.
    let two = Issuer::new("two");
    keys["keys"][0] = two.jwk();
    std::fs::write(house.path("new.json"), keys.to_string()).unwrap();
    std::fs::rename(house.path("new.json"), house.path("certs/parcelco.jwks.json")).unwrap();
    until(&house, &two.token(json!({})), StatusCode::OK).await;
    assert_eq!(house.log().matches("\"unused\":1").count(), 1);
    house.assert_clean();
}
