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
    let first = house.get(&client, "/orders/1").await;
    let state = first.headers["ratelimit"].to_str().unwrap();
    assert!(state.starts_with("\"deliver-order\";r=1;t=3600, \"subjects\";r=99999;t="), "{state}");
    let policy = "\"deliver-order\";q=2;w=7200, \"subjects\";q=100000;w=86400;qu=\"subjects\"";
    assert_eq!(first.headers["ratelimit-policy"], policy);
    assert_eq!(house.get(&client, "/orders/1").await.status, 200);
    let response = house.get(&client, "/orders/1").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (429, "rate-limited"));
    let wait: u64 = response.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3500..=3601).contains(&wait), "{wait}");
    assert_eq!(response.headers["ratelimit"], format!("\"deliver-order\";r=0;t={wait}"));
    assert_eq!(response.headers["ratelimit-policy"], policy);
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

#[tokio::test]
async fn a_task_is_used_from_its_networks_only() {
    for (networks, status) in [("\"192.0.2.0/24\", \"::1\"", 403), ("\"127.0.0.0/8\"", 200)] {
        let rules = with_limits(&format!("networks = [{networks}]"));
        let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
        house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
        let response = house.get(&house.parcelco(), "/orders/1").await;
        assert_eq!(response.status, status, "{networks}");
        assert_eq!(house.upstream.requests().len(), usize::from(status == 200));
        if status == 403 {
            assert_eq!(response.code(), "outside-network");
        }
    }
}

#[tokio::test]
async fn outside_its_hours_a_task_is_refused_and_told_when_it_opens() {
    let now = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now());
    // In two hours, for an hour.
    let clock = |ahead: i8| format!("{:02}:00", (now.hour() + ahead) % 24);
    let rules = with_limits(&format!("hours = {{ from = \"{}\", to = \"{}\" }}", clock(2), clock(3)));
    let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
    let response = house.get(&house.parcelco(), "/orders/1").await;
    assert_eq!((response.status.as_u16(), response.code().as_str()), (403, "outside-hours"));
    let wait: u64 = response.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3500..=7201).contains(&wait), "{wait}");
    assert!(house.upstream.requests().is_empty());
}
