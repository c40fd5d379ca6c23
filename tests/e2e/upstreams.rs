//! Whatever an upstream says: exactly the allowed fields, or a refusal that holds none of its bytes.

use crate::support::{Answer, CONFIG, House, RULES, order, reduced_order};

async fn outcome(house: &House, answer: Answer) -> (u16, String) {
    house.upstream.on("/orders/1", answer);
    let response = house.get(&house.parcelco(), "/orders/1").await;
    (response.status.as_u16(), response.code())
}

#[tokio::test]
async fn every_surprise_is_a_refusal_without_an_upstream_byte() {
    let house = House::new().await;
    let good = order(1, "parcelco", "ready_to_ship");
    let json = |body: &str| Answer::json(body);
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let cases: Vec<(&str, Answer, u16, &str)> = vec![
        ("a page", json("<html>PLANTED</html>"), 502, "upstream-not-json"),
        ("nothing", json(""), 502, "upstream-not-json"),
        ("a BOM", json(&format!("\u{feff}{good}")), 502, "upstream-not-json"),
        ("a guard against scripts", json(&format!(")]}}',\n{good}")), 502, "upstream-not-json"),
        (
            "not UTF-8",
            Answer::json([b"{\"PLANTED\":\"\xff\"}".to_vec(), good.clone().into_bytes()].concat()),
            502,
            "upstream-malformed",
        ),
        ("cut short", json(&good[..good.len() - 1]), 502, "upstream-malformed"),
        ("two documents", json(&format!("{good}{good}")), 502, "upstream-malformed"),
        ("a comment", json(&format!("{good}// PLANTED")), 502, "upstream-malformed"),
        (
            "a broken part that is thrown away",
            json(&good.replace("1.10", "01.10")),
            502,
            "upstream-malformed",
        ),
        (
            "too deep",
            json(&good.replace("1.10", &format!("{}{}", "[".repeat(200), "]".repeat(200)))),
            502,
            "upstream-malformed",
        ),
        (
            "a lone surrogate in an allowed value",
            json(&good.replace("Anna", r"\ud800")),
            502,
            "upstream-malformed",
        ),
        ("an array where an object was", json(&format!("[{good}]")), 404, "not-found"),
        ("a string", json("\"PLANTED\""), 404, "not-found"),
        (
            "a duplicate of an allowed name",
            json(&good.replace("\"total\"", "\"order_id\":\"PLANTED\",\"total\"")),
            502,
            "upstream-ambiguous",
        ),
        (
            "a duplicate by an escape",
            json(&good.replace("\"total\"", r#""order\u005fid":"PLANTED","total""#)),
            502,
            "upstream-ambiguous",
        ),
        (
            "a duplicate of a condition's operand",
            json(&good.replace("\"total\"", "\"carrier\":\"PLANTED\",\"total\"")),
            502,
            "upstream-ambiguous",
        ),
        (
            "a duplicate on the way",
            json(&good.replace("\"total\"", "\"recipient\":{},\"total\"")),
            502,
            "upstream-ambiguous",
        ),
        (
            "too large, announced",
            json(&format!("{{\"PLANTED\":\"{}\"}}", "x".repeat(70_000))),
            502,
            "upstream-too-large",
        ),
        (
            "too large, in chunks",
            raw(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\"\r\n{}0\r\n\r\n",
                format!("4000\r\n{}\r\n", "P".repeat(0x4000)).repeat(5)
            )),
            502,
            "upstream-too-large",
        ),
        ("a coded body", json(&good).with_header("Content-Encoding", "gzip"), 502, "upstream-not-json"),
        ("an error page", Answer::status("500 PLANTED", &good), 502, "upstream-error"),
        ("an error of ours", Answer::status("403 Forbidden", &good), 502, "upstream-error"),
        (
            "a redirect",
            Answer::status("302 Found", &good).with_header("Location", "http://127.0.0.1:1/PLANTED"),
            502,
            "upstream-error",
        ),
        ("a part", Answer::status("206 Partial Content", &good), 502, "upstream-error"),
        (
            "not modified",
            raw("HTTP/1.1 304 Not Modified\r\nETag: \"PLANTED\"\r\n\r\n"),
            502,
            "upstream-error",
        ),
        ("an unknown status", Answer::status("299 PLANTED", &good), 502, "upstream-error"),
        ("no HTTP", raw("PLANTED\r\n\r\n"), 502, "upstream-unreachable"),
        (
            "a body that breaks off",
            raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{good}")),
            502,
            "upstream-unreachable",
        ),
        (
            "a broken chunk",
            raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nPLANTED"),
            502,
            "upstream-unreachable",
        ),
        ("silence", Answer::Silence, 504, "upstream-timeout"),
    ];
    for (what, answer, status, code) in cases {
        assert_eq!(outcome(&house, answer).await, (status, code.to_owned()), "{what}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_body_is_judged_by_itself_and_not_by_its_label() {
    let house = House::new().await;
    let good = order(1, "parcelco", "ready_to_ship");
    for label in ["text/html", "text/json", "application/vnd.shop+json; charset=utf-16", "x-ndjson", ""] {
        house.upstream.on(
            "/orders/1",
            Answer::Http {
                status: "200 OK".into(),
                headers: vec![("Content-Type".into(), label.into())],
                body: good.clone().into(),
            },
        );
        let response = house.get(&house.parcelco(), "/orders/1").await;
        assert_eq!(
            (response.status.as_u16(), response.headers["content-type"].to_str().unwrap()),
            (200, "application/json"),
            "{label}"
        );
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_refusal() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let house = House::with(&CONFIG.replace("UPSTREAM", &nobody.to_string()), &[("parcelco", RULES)]).await;
    let response = house.get(&house.parcelco(), "/orders/1").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (502, "upstream-unreachable"));
}

#[tokio::test]
async fn interim_answers_and_trailers_do_not_pass() {
    let house = House::new().await;
    let good = order(1, "parcelco", "ready_to_ship");
    let chunked = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: <PLANTED>\r\n\r\nHTTP/1.1 200 PLANTED\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n{:x};ext=PLANTED\r\n{good}\r\n0\r\nX-Sum: PLANTED\r\n\r\n",
        good.len()
    );
    house.upstream.on("/orders/1", Answer::Raw(chunked.into_bytes()));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    house.assert_clean();
}

#[tokio::test]
async fn an_upstream_over_tls_is_called_only_under_its_right_name_and_authority() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    // A second gateway whose upstream is the first one: it shows ParcelCo's certificate.
    let chain = |ca: &str, name: &str| {
        CONFIG.replace("http://UPSTREAM", &format!("https://127.0.0.1:{}", house.address.port())).replace(
            "max_body",
            &format!("ca = \"{0}/{ca}.pem\"\nclient_certificate = \"{0}/parcelco.pem\"\nclient_key = \"{0}/parcelco.key\"\nserver_name = \"{name}\"\nmax_body", house.path("certs").display()),
        )
    };
    let rules = RULES
        .replace(
            "when = \"@.carrier == 'parcelco' && @.status == 'ready_to_ship'\"\ndisclose = [\n",
            "disclose = [\n",
        )
        .replace("subject = \"@.customer.id\"\ndisclose", "disclose");
    let outer = House::with(&chain("company-ca", "localhost"), &[("parcelco", &rules)]).await;
    assert_eq!(outer.get(&outer.parcelco(), "/orders/1").await.status, 200);
    for (ca, name) in [("contractor-ca", "localhost"), ("company-ca", "other.example")] {
        let outer = House::with(&chain(ca, name), &[("parcelco", &rules)]).await;
        let response = outer.get(&outer.parcelco(), "/orders/1").await;
        assert_eq!(
            (response.status.as_u16(), response.code().as_str()),
            (502, "upstream-unreachable"),
            "{ca} {name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_asks_the_upstream_itself_after_an_entry_about_it() {
    let house = House::new().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.upstream.on("/orders/2", Answer::status("503 PLANTED", "PLANTED"));
    let explain = |path: &str| {
        house.command(&[
            "explain", "parcelco", path, "--live", "--by", "anna", "--reason", "CASE-7", "--format", "body",
        ])
    };
    let output = explain("/orders/1");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), reduced_order(1), "{output:?}");
    let entries = house.told();
    let entry = entries.last().unwrap();
    assert_eq!(
        (&entry["kind"], &entry["action"], &entry["by"]),
        (&"access".into(), &"explain".into(), &"anna".into())
    );
    assert_eq!((&entry["as"], &entry["route"]), (&"parcelco".into(), &"/orders/{order_id}".into()));
    assert!(!entry.to_string().contains("/orders/1"), "{entry}");
    let output = explain("/orders/2");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{output:?}");
    assert_eq!(explain("/orders?q=x").status.code(), Some(2));
    assert_eq!(house.upstream.requests().len(), 2);
    house.assert_clean();
}
