//! Every refusal of the contract that needs no later work: its status, its code, and its entry.

use http::Method;

use crate::support::{Answer, CONFIG, Client, House, RULES, order};

/// Sends, and gives status and code.
async fn refused(house: &House, client: &Client, method: Method, target: &str, body: &str) -> (u16, String) {
    let response = house.send(client, method, target, body).await;
    let code = response.code();
    let entry = house.told().pop().unwrap();
    assert_eq!((&entry["kind"], &entry["code"]), (&"refusal".into(), &code.as_str().into()), "{entry}");
    assert_eq!(entry["status"], response.status.as_u16());
    (response.status.as_u16(), code)
}

fn expected(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn requests_that_the_route_does_not_allow_never_reach_the_upstream() {
    let house = House::new().await;
    let (client, json) = (house.parcelco(), house.parcelco().with("content-type", "application/json"));
    let get = Method::GET;
    let post = Method::POST;
    let notes = "/orders/1/notes";
    for (client, method, target, body, outcome) in [
        (&client, &get, "/orders/1?q=x", "", (400, "parameter-not-permitted")),
        (&client, &get, "/orders?sort=phone", "", (400, "parameter-not-permitted")),
        (&client, &get, "/orders?limit=1&limit=2", "", (400, "bad-request")),
        (&client, &get, "/orders?limit=%zz", "", (400, "bad-request")),
        (&client, &get, "/orders//1", "", (400, "bad-request")),
        (&client, &get, "/orders/1/", "", (400, "bad-request")),
        (&client, &get, "/orders/..%2fcustomers", "", (400, "bad-request")),
        (&client, &get, "/orders/%2e%2e/x", "", (400, "bad-request")),
        (&client, &get, "/orders/a%00b", "", (400, "bad-request")),
        (&client, &get, "/orders/1", "{}", (400, "bad-request")),
        (&client, &get, "/orders/a%20b", "", (404, "not-found")),
        (&client, &get, "/customers", "", (404, "not-found")),
        (&client, &get, "/", "", (404, "not-found")),
        (&client, &Method::DELETE, "/orders/1", "", (405, "method-not-allowed")),
        (&client, &Method::OPTIONS, "/orders/1", "", (405, "method-not-allowed")),
        (&client, &Method::TRACE, "/orders/1", "", (405, "method-not-allowed")),
        (&client, &get, notes, "", (405, "method-not-allowed")),
        (&client, &post, notes, "{}", (415, "unsupported-media-type")),
        (&json, &post, notes, r#"{"note":"x","admin":true}"#, (400, "field-not-permitted")),
        (&json, &post, notes, r#"{"note":{"deep":"object"}}"#, (400, "field-not-permitted")),
        (&json, &post, notes, r#"{"note":"x","note":"y"}"#, (400, "bad-request")),
        (&json, &post, notes, r#"{"note":"#, (400, "bad-request")),
        (&json, &post, notes, r#"["note"]"#, (400, "bad-request")),
        (&json, &post, notes, "", (400, "bad-request")),
    ] {
        let found = refused(&house, client, method.clone(), target, body).await;
        assert_eq!(found, expected(outcome.0, outcome.1), "{method} {target} {body}");
    }
    let text = house.client(Some("parcelco")).with("accept", "text/html");
    assert_eq!(refused(&house, &text, get.clone(), "/orders/1", "").await, expected(406, "not-acceptable"));
    let unknown = house.parcelco().with("fieldgate-task", "answer-ticket");
    assert_eq!(refused(&house, &unknown, get.clone(), "/orders/1", "").await, expected(403, "no-such-task"));
    let long = format!("/orders/{}", "1".repeat(9000));
    assert_eq!(refused(&house, &client, get, &long, "").await, expected(414, "uri-too-long"));
    let large = format!("{{\"note\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(refused(&house, &json, post, notes, &large).await, expected(413, "content-too-large"));
    assert!(house.upstream.requests().is_empty(), "{:?}", house.upstream.requests());
}

#[tokio::test]
async fn a_refused_method_says_which_ones_there_are() {
    let house = House::new().await;
    let response = house.send(&house.parcelco(), Method::DELETE, "/orders/1", "").await;
    assert_eq!(response.headers["allow"], "GET, HEAD");
}

#[tokio::test]
async fn not_there_not_yours_and_not_now_look_the_same() {
    let house = House::new().await;
    house.upstream.on("/orders/2", Answer::json(order(2, "swiftpost", "ready_to_ship")));
    house.upstream.on("/orders/3", Answer::status("410 Gone", "PLANTED"));
    let client = house.parcelco();
    let mut bodies = Vec::new();
    for target in ["/orders/1", "/orders/2", "/orders/3", "/nowhere"] {
        let response = house.get(&client, target).await;
        assert_eq!(response.status, 404);
        let mut problem: serde_json::Value = serde_json::from_str(&response.body).unwrap();
        problem["instance"] = "".into();
        let names: Vec<String> = response.headers.keys().map(ToString::to_string).collect();
        bodies.push((problem, names));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    let entries = house.entries();
    let causes: Vec<_> =
        entries[entries.len() - 4..].iter().map(|entry| entry["cause"].as_str().unwrap()).collect();
    assert_eq!(
        causes,
        ["not in the upstream", "the condition does not hold", "not in the upstream", "no route"]
    );
    house.assert_clean();
}

#[tokio::test]
async fn an_expired_or_future_agreement_is_refused_before_the_upstream_is_called() {
    for dates in [("2026-01-01", "2026-02-01"), ("2098-01-01", "2099-12-31")] {
        let rules = RULES.replace("2026-01-01", dates.0).replace("2099-12-31", dates.1);
        let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
        let client = house.parcelco();
        assert_eq!(
            refused(&house, &client, Method::GET, "/orders/1", "").await,
            expected(403, "agreement-inactive")
        );
        assert!(house.upstream.requests().is_empty());
    }
}

#[tokio::test]
async fn several_tasks_on_one_path_are_told_apart_by_the_header() {
    let second = RULES[RULES.find("[[task]]").unwrap()..]
        .replace("deliver-order", "count-orders")
        .replace("\"@.recipient.name\",", "");
    let house = House::with(CONFIG, &[("parcelco", &format!("{RULES}{second}"))]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    assert_eq!(
        refused(&house, &house.parcelco(), Method::GET, "/orders/1", "").await,
        expected(400, "bad-request")
    );
    let response = house.get(&house.parcelco().with("fieldgate-task", "count-orders"), "/orders/1").await;
    assert!(response.status == 200 && !response.body.contains("Anna"), "{response:?}");
    assert_eq!(house.told().pop().unwrap()["task"], "count-orders");
}
