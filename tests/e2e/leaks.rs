//! A planted value in every place of an upstream's answer: it reaches no client, no log, no ledger.

use crate::support::{Answer, House, PLANTED, order};

/// Everything around the allowed fields that an upstream can say.
fn noisy(body: &str, status: &str) -> Answer {
    let headers = [
        "Set-Cookie",
        "Server",
        "ETag",
        "Location",
        "Link",
        "Warning",
        "X-Powered-By",
        "Via",
        "Content-Disposition",
        "Content-Language",
        "Access-Control-Allow-Origin",
        "WWW-Authenticate",
        "Retry-After",
        "Cache-Control",
        "Fieldgate-Disclosure-Id",
        "RateLimit",
        "Refresh",
    ];
    let answer =
        Answer::Http { status: format!("{status} PLANTED"), headers: vec![], body: body.as_bytes().to_vec() };
    headers.iter().fold(answer, |answer, name| answer.with_header(name, PLANTED))
}

#[tokio::test]
async fn a_planted_value_reaches_no_client_no_log_and_no_ledger() {
    let house = House::new().await;
    let good = order(1, "parcelco", "ready_to_ship");
    let client = house.parcelco();
    let bodies = [
        good.clone(),
        // A field that turns from a string into an object, and an array that holds one.
        good.replace("\"Anna Jansen\"", "{\"PLANTED\":\"PLANTED\"}"),
        good.replace("\"Anna Jansen\"", "[\"Anna\",{\"PLANTED\":\"PLANTED\"},[\"PLANTED\"]]"),
        good.replace("\"+31 6 1234 5678\"", "{\"PLANTED\":1}"),
        good.replace("\"recipient\":{", "\"recipient\":{\"PLANTED\":\"PLANTED\",\"\\u0050LANTED\":[\"PLANTED\"],"),
        good.replace("\"recipient\":{", "\"recipient\":\"PLANTED\",\"x\":{"),
        // Names that look like allowed ones.
        good.replace("\"total\"", "\"Order_id\":\"PLANTED\",\"order_id \":\"PLANTED\",\"ｏrder_id\":\"PLANTED\",\"\":\"PLANTED\",\"total\""),
        // A record that is not the contractor's, wholly made of planted values.
        order(1, "swiftpost", "ready_to_ship").replace("Anna Jansen", PLANTED),
        good.replace("\"order_id\":1,", "\"order_id\":\"PLANTED\",\"order_id\":1,"),
        good.replace("1.10", "PLANTED"),
        format!("{good} PLANTED"),
        format!("\"{PLANTED}\""),
        PLANTED.to_owned(),
    ];
    for status in ["200", "201", "404", "418", "500", "503", "301"] {
        for body in &bodies {
            house.upstream.on("/orders/1", noisy(body, status));
            house.get(&client, "/orders/1").await;
        }
    }
    // What a contractor itself sends is not written down either.
    for target in [
        "/orders/PLANTED",
        "/PLANTED",
        "/orders?PLANTED=PLANTED",
        "/orders?cursor=PLANTED",
        "/orders/PLANTED%00",
    ] {
        house.get(&client.with("authorization", "Bearer test").with("x-custom", PLANTED), target).await;
    }
    house
        .send_unknown(
            &house.client(None).with("authorization", "Bearer PLANTED"),
            http::Method::GET,
            "/PLANTED",
            "",
        )
        .await;
    house
        .send_unknown(&house.client(None), http::Method::from_bytes(b"PLANTED").unwrap(), "/PLANTED", "")
        .await;
    house.assert_clean();
}
