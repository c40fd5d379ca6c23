//! What a contractor gets, and what the ledger says of it.

use http::Method;

use crate::support::{Answer, House, RULES, order, reduced_order};

#[tokio::test]
async fn an_order_is_reduced_to_the_fields_of_the_task() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let response = house.get(&house.parcelco(), "/orders/1").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.body, reduced_order(1));
    assert_eq!(response.headers["content-type"], "application/json");
    assert_eq!(response.headers["fieldgate-purpose"], "Deliver the customer's parcel");
    assert!(response.headers["ratelimit"].to_str().unwrap().starts_with("\"deliver-order\";r="));
    house.assert_clean();
}

#[tokio::test]
async fn the_entry_says_who_got_what_why_and_from_where_to_where() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    let mut entry = house.told().pop().unwrap();
    for (key, value) in [
        ("kind", "disclosure"),
        ("contractor", "parcelco"),
        ("credential", "parcelco-gateway"),
        ("task", "deliver-order"),
        ("purpose", "Deliver the customer's parcel"),
        ("basis", "contract"),
        ("agreement", "DPA-1"),
        ("jurisdictions", "US to NL"),
        ("transfer", "scc"),
        ("route", "/orders/{order_id}"),
        ("method", "GET"),
        ("upstream", "orders"),
    ] {
        assert_eq!(entry[key], value, "{key}");
    }
    assert_eq!(entry["rules"].as_str().unwrap().len(), 64);
    assert_eq!(entry["records"]["released"], 1);
    assert_eq!(entry["subjects"].as_array().unwrap().len(), 1);
    assert_eq!(entry["fields"][2]["disclosed"], 4);
    assert_eq!(entry["fields"][3]["transform"], "last4");
    // By chance, what is random or counts can hold short values.
    ["id", "salt", "rules", "subjects", "time"].iter().for_each(|name| entry[name] = serde_json::Value::Null);
    let text = entry.to_string();
    for value in ["Anna", "5678", "Keizersgracht", "c-1", "/orders/1"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
}

#[tokio::test]
async fn a_page_holds_only_the_records_whose_condition_holds() {
    let house = House::new().await;
    let orders = [
        order(1, "parcelco", "ready_to_ship"),
        order(2, "swiftpost", "ready_to_ship"),
        order(3, "parcelco", "ready_to_ship"),
    ];
    let next = format!("http://{}/orders?cursor=o3&limit=3", house.upstream.address);
    let page = format!("{{\"total\":\"PLANTED\",\"data\":[{}],\"next\":\"{next}\"}}", orders.join(","));
    house.upstream.on("/orders?limit=3", Answer::json(page));
    let response = house.get(&house.parcelco(), "/orders?limit=3").await;
    assert_eq!(
        response.body,
        r#"{"data":[{"order_id":1,"recipient":{"name":"Anna Jansen"}},{"order_id":3,"recipient":{"name":"Anna Jansen"}}],"next":"/orders?cursor=o3&limit=3"}"#
    );
    let entry = house.told().pop().unwrap();
    assert_eq!(entry["records"], serde_json::json!({"released": 2, "withheld": 1, "without_subject": 0}));
    assert_eq!(entry["subjects_total"], 2);
    house.assert_clean();
}

#[tokio::test]
async fn a_response_about_very_many_subjects_spans_several_entries() {
    let house = House::with(&crate::support::CONFIG.replace("64KiB", "4MiB"), &[("parcelco", RULES)]).await;
    let orders: Vec<String> = (0..1201).map(|id| order(id, "parcelco", "ready_to_ship")).collect();
    house.upstream.on("/orders", Answer::json(format!("{{\"data\":[{}]}}", orders.join(","))));
    let before = house.told().len();
    let response = house.send_unknown(&house.parcelco(), Method::GET, "/orders", "").await;
    let entries = house.told();
    let parts = &entries[before..];
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0]["subjects_total"], 1201);
    assert_eq!(parts.iter().map(|part| part["subjects"].as_array().unwrap().len()).sum::<usize>(), 1201);
    assert!(parts.iter().all(|part| part["id"] == response.disclosure_id() && part["parts"] == 3));
    assert!(parts.iter().all(|part| part.to_string().len() < 65_535));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let response = house.send(&house.parcelco(), Method::HEAD, "/orders/1", "").await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (200, ""));
    assert!(house.upstream.requests()[0].starts_with("GET /orders/1 "));
    assert_eq!(house.told().pop().unwrap()["method"], "HEAD");
}

#[tokio::test]
async fn a_body_is_accepted_member_by_member_and_sent_on_reduced() {
    let house = House::new().await;
    let answer = Answer::Http {
        status: "201 Created".into(),
        headers: vec![],
        body: br#"{"note_id":7,"by":"PLANTED"}"#.to_vec(),
    };
    house.upstream.on("/orders/1/notes", answer);
    let client = house.parcelco().with("content-type", "application/json");
    let response = house
        .send(&client, Method::POST, "/orders/1/notes", r#"{ "note": "Left at the door", "tags": ["a", 1] }"#)
        .await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (201, r#"{"note_id":7}"#));
    let request = house.upstream.requests().pop().unwrap();
    assert!(request.ends_with("\r\n\r\n{\"note\":\"Left at the door\",\"tags\":[\"a\",1]}"), "{request}");
}

#[tokio::test]
async fn one_route_may_read_and_write() {
    let rules = RULES.replace("methods = [\"POST\"]", "methods = [\"GET\", \"POST\"]");
    let house = House::with(crate::support::CONFIG, &[("parcelco", &rules)]).await;
    house.upstream.on("/orders/1/notes", Answer::json(r#"{"note_id":7}"#));
    assert_eq!(house.get(&house.parcelco(), "/orders/1/notes").await.status, 200);
    let client = house.parcelco().with("content-type", "application/json");
    assert_eq!(house.send(&client, Method::POST, "/orders/1/notes", r#"{"note":"x"}"#).await.status, 200);
    assert_eq!(
        house.send(&client, Method::GET, "/orders/1/notes", r#"{"note":"x"}"#).await.code(),
        "bad-request"
    );
}

#[tokio::test]
async fn an_answer_without_content_says_nothing_where_there_is_a_condition() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.code(), "not-found");
}

#[tokio::test]
async fn an_answer_without_content_passes_without_content() {
    let house = House::new().await;
    house
        .upstream
        .on("/orders/1/notes", Answer::Raw(b"HTTP/1.1 204 No Content\r\nX-Secret: PLANTED\r\n\r\n".to_vec()));
    let client = house.parcelco().with("content-type", "application/json");
    let response = house.send(&client, Method::POST, "/orders/1/notes", r#"{"note":"x"}"#).await;
    assert_eq!((response.status.as_u16(), response.body.as_str()), (204, ""));
    house.assert_clean();
}

#[tokio::test]
async fn the_upstream_sees_nothing_of_the_request_but_what_the_route_allows() {
    let house = House::new().await;
    house.upstream.on("/orders/a~1?limit=5%26x%3D1&cursor=a%20b", Answer::json("{\"data\":[]}"));
    house.upstream.on("/orders/a~1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    let noisy = [
        ("cookie", "PLANTED"),
        ("x-forwarded-for", "PLANTED"),
        ("forwarded", "for=PLANTED"),
        ("x-real-ip", "PLANTED"),
        ("te", "trailers"),
        ("x-http-method-override", "DELETE"),
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=0-1"),
        ("if-none-match", "\"PLANTED\""),
        ("via", "1.1 PLANTED"),
        ("x-user", "PLANTED"),
        ("referer", "PLANTED"),
    ];
    let client = noisy.iter().fold(client, |client, (name, value)| client.with(name, value));
    house.get(&client, "/orders/%61%7E1").await;
    let request = house.upstream.requests().pop().unwrap();
    let mut names: Vec<String> = request
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(names, ["accept", "accept-encoding", "fieldgate-request-id", "host", "traceparent"]);
    assert!(
        request.starts_with("GET /orders/a~1 HTTP/1.1\r\n")
            && request.contains("accept-encoding: identity\r\n"),
        "{request}"
    );
    house.assert_clean();
}

#[tokio::test]
async fn two_contractors_know_one_customer_by_different_names() {
    let helpdesk = RULES.replace("parcelco", "helpdesk").replace("9f86d0818", "0f86d0818");
    let house = House::with(crate::support::CONFIG, &[("parcelco", RULES), ("helpdesk", &helpdesk)]).await;
    house.upstream.on("/customers/c-1/name", Answer::json(r#"{"id":"c-1","name":"Anna"}"#));
    let (one, other) = (house.parcelco(), house.client(Some("helpdesk")));
    let (one, other) =
        (house.get(&one, "/customers/c-1/name").await, house.get(&other, "/customers/c-1/name").await);
    assert_ne!(one.body, other.body);
    assert!(one.body.starts_with(r#"{"id":"p_"#), "{}", one.body);
    let entries = house.entries();
    let subjects: Vec<_> = entries[entries.len() - 2..].iter().map(|entry| &entry["subjects"]).collect();
    assert_eq!(subjects[0], subjects[1], "in the ledger it is one customer");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_client_wants_it() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let url = format!("https://localhost:{}/orders/1", house.address.port());
    assert_eq!(curl(&house, &["-w", "\n%{http_version}", &url]).await, format!("{}\n2", reduced_order(1)));
}

#[tokio::test]
async fn over_http_2_head_has_no_body_and_a_refused_body_does_not_cost_the_answer() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let url = |path: &str| format!("https://localhost:{}{path}", house.address.port());
    let head = curl(&house, &["-I", &url("/orders/1")]).await;
    assert!(
        head.starts_with("HTTP/2 200")
            && head.contains(&format!("content-length: {}", reduced_order(1).len())),
        "{head}"
    );
    let large = house.path("large");
    std::fs::write(&large, vec![b'x'; 3 << 20]).unwrap();
    let body = format!("@{}", large.display());
    let refused = curl(&house, &["--data-binary", &body, &url("/orders/1/notes")]).await;
    assert!(refused.contains("unsupported-media-type"), "{refused}");
    let refused = curl(
        &house,
        &["-H", "Content-Type: application/json", "--data-binary", &body, &url("/orders/1/notes")],
    )
    .await;
    assert!(refused.contains("content-too-large"), "{refused}");
}

/// What curl prints, over HTTP/2 and with ParcelCo's certificate.
async fn curl(house: &House, arguments: &[&str]) -> String {
    let file = |name: &str| house.path("certs").join(name).display().to_string();
    let output = tokio::process::Command::new("curl")
        .args(["--http2", "-sS", "--cacert", &file("company-ca.pem")])
        .args(["--cert", &file("parcelco.pem"), "--key", &file("parcelco.key")])
        .args(arguments)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_route_that_discloses_nothing_answers_with_an_empty_object() {
    let rules = RULES
        .replace("accept = [\"$.note\", \"$.tags\"]", "accept = []")
        .replace("disclose = [\"$.note_id\"]", "disclose = []");
    let house = House::with(crate::support::CONFIG, &[("parcelco", &rules)]).await;
    for body in ["{\"by\":\"PLANTED\"}", ""] {
        let answer = Answer::Http { status: "201 Created".into(), headers: vec![], body: body.into() };
        house.upstream.on("/orders/1/notes", answer);
        let response = house.send(&house.parcelco(), Method::POST, "/orders/1/notes", "").await;
        assert_eq!((response.status.as_u16(), response.body.as_str()), (201, "{}"));
    }
    let client = house.parcelco().with("content-type", "application/json");
    assert_eq!(house.send(&client, Method::POST, "/orders/1/notes", "{}").await.code(), "bad-request");
}

#[tokio::test]
async fn the_upstreams_credential_is_sent_and_never_shown() {
    let config =
        crate::support::CONFIG.replace("[telemetry]", "bearer = { file = \"secrets/token\" }\n[telemetry]");
    let mut house = House::closed(&config, &[("parcelco", RULES)]).await;
    fieldgate::secrets::write(&house.path("secrets/token"), b"PLANTED-token\n").unwrap();
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    assert!(house.upstream.requests()[0].contains("authorization: Bearer PLANTED-token\r\n"));
    house.assert_clean();
}
