//! How much: rates, concurrency, and customers in a day.

use crate::support::{Answer, CONFIG, House, RULES, order};

fn with_limits(limits: &str) -> String {
    RULES.replace("requests = \"100000/s\"\nburst = 100000", limits)
}

#[tokio::test]
async fn a_credential_that_asks_too_often_is_told_when_to_come_back() {
    let house = House::with(CONFIG, &[("parcelco", &with_limits("requests = \"1/h\"\nburst = 2"))]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.headers["ratelimit"], "\"deliver-order\";r=1;t=3600");
    assert_eq!(house.get(&client, "/orders/1").await.status, 200);
    let response = house.get(&client, "/orders/1").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (429, "rate-limited"));
    let wait: u64 = response.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3500..=3601).contains(&wait), "{wait}");
    // The other credential of the contractor has a budget of its own.
    assert_eq!(
        house.get(&house.client(None).with("authorization", "Bearer test"), "/orders/1").await.status,
        200
    );
    assert_eq!(house.upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_flood_of_refused_requests_is_counted_and_not_written_one_by_one() {
    let house = House::with(CONFIG, &[("parcelco", &with_limits("requests = \"1/h\"\nburst = 1"))]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    house.get(&client, "/orders/1").await;
    let before = house.entries().len();
    for _ in 0..200 {
        assert_eq!(house.send_unknown(&client, http::Method::GET, "/orders/1", "").await.status, 429);
    }
    let written = house.entries().len() - before;
    assert!((1..100).contains(&written), "{written} entries for 200 refusals");
}

#[tokio::test]
async fn requests_at_the_same_time_are_bounded() {
    let house = House::with(CONFIG, &[("parcelco", &with_limits("concurrent = 1"))]).await;
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let answer = Answer::json(order(1, "parcelco", "ready_to_ship"));
    house.upstream.on("/orders/1", Answer::Held(go.clone(), Box::new(answer)));
    let (client, arrival) = (house.parcelco(), house.upstream.arrival());
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.try_send(http::Method::GET, "/orders/1", "").await.map(|response| response.status) }
    });
    arrival.await;
    assert_eq!(house.get(&client, "/orders/1").await.code(), "rate-limited");
    go.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn distinct_customers_in_a_day_are_bounded_exactly_and_across_restarts() {
    let mut house = House::with(CONFIG, &[("parcelco", &with_limits("subjects_per_day = 2"))]).await;
    for id in 1..=3 {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
    }
    for (target, status) in
        [("/orders/1", 200), ("/orders/1", 200), ("/orders/2", 200), ("/orders/3", 429), ("/orders/2", 200)]
    {
        assert_eq!(house.get(&house.parcelco(), target).await.status, status, "{target}");
    }
    house.kill();
    house.open();
    let response = house.get(&house.parcelco(), "/orders/3").await;
    assert_eq!(response.code(), "subject-limit");
    assert!(response.headers.contains_key("retry-after"));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
}
