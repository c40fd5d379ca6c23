//! The rate of a credential counts over all nodes of a fleet, whichever of them it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use crate::fleet::{fleet, until_served};
use crate::support::postgres::Postgres;
use crate::support::{Client, House, RULES};

fn limited(limits: &str) -> String {
    let rules = RULES.replace("requests = \"100000/s\"\nburst = 100000", limits);
    assert_ne!(rules, RULES);
    rules
}

/// What became of requests: how many of each, and in which time.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    served: u32,
    limited: u32,
    unavailable: u32,
    lost: u32,
    time: Duration,
}

/// Asks as much as it can of each client, so long.
async fn load(clients: &[Client], time: Duration) -> Outcome {
    let (began, stop) = (Instant::now(), Arc::new(AtomicBool::new(false)));
    let asking: Vec<_> = clients
        .iter()
        .flat_map(|client| vec![client.clone(); 4])
        .map(|client| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut outcome = Outcome::default();
                while !stop.load(Ordering::Relaxed) {
                    match client.try_send(Method::GET, "/orders/1", "").await.map(|answer| answer.status) {
                        Ok(StatusCode::OK) => outcome.served += 1,
                        Ok(StatusCode::TOO_MANY_REQUESTS) => outcome.limited += 1,
                        Ok(StatusCode::SERVICE_UNAVAILABLE) => outcome.unavailable += 1,
                        Ok(status) => panic!("{status}"),
                        Err(_) => outcome.lost += 1,
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                outcome
            })
        })
        .collect();
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut all = Outcome::default();
    for one in asking {
        let one = one.await.unwrap();
        all.served += one.served;
        all.limited += one.limited;
        all.unavailable += one.unavailable;
        all.lost += one.lost;
    }
    Outcome { time: began.elapsed(), ..all }
}

/// Of a rate and a burst: never more, and nearly all of the rate.
fn assert_within(outcome: Outcome, rate: f64, burst: f64) {
    let served = f64::from(outcome.served);
    let all = rate * outcome.time.as_secs_f64();
    println!("{outcome:?}: {served} of {all:.1} and {burst}");
    assert!(served <= all + burst, "more than {all} and {burst}: {outcome:?}");
    assert!(served >= 0.9 * all, "less than nine tenths of {all}: {outcome:?}");
    assert!(outcome.limited > outcome.served, "there was not more asked than there is: {outcome:?}");
}

/// Three nodes let in no more than one would; one alone, and those that are left, let in as much.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_over_all_nodes_and_used_by_those_that_serve() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let mut nodes = fleet(&postgres, 3, &limited("requests = \"40/s\"\nburst = 20")).await;
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    let all = load(&clients, Duration::from_secs(5)).await;
    assert_within(all, 40.0, 20.0);
    assert_eq!((all.unavailable, all.lost), (0, 0));
    // What one holds is not lost to the others for long, whether it ends or has nothing to do.
    nodes[2].kill();
    let left = load(&clients[..2], Duration::from_secs(4)).await;
    assert_within(left, 40.0, 20.0);
    let alone = load(&clients[..1], Duration::from_secs(4)).await;
    assert_within(alone, 40.0, 20.0);
    // What was counted is of ids in the rules.
    let names = postgres.sql("fieldgate", "SELECT name FROM fieldgate.bucket");
    assert_eq!(names, "parcelco/parcelco-gateway/deliver-order");
    nodes.into_iter().take(2).for_each(House::assert_clean);
}

/// Where a request is all that there is, one node has it, and the others say when there is another one. Rules with
/// another limit count from the next request on.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_of_one_in_an_hour_is_one_over_all_nodes() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let nodes = fleet(&postgres, 2, &limited("requests = \"1/h\"\nburst = 3")).await;
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    let mut left = Vec::new();
    for number in 0..3 {
        let served = clients[number % 2].try_send(Method::GET, "/orders/1", "").await.unwrap();
        assert_eq!(served.status, StatusCode::OK, "{served:?}");
        let state = served.headers["ratelimit"].to_str().unwrap();
        left.push(state.split(';').nth(1).unwrap().to_owned());
    }
    assert_eq!(left, ["r=2", "r=1", "r=0"]);
    for client in &clients {
        let refused = client.try_send(Method::GET, "/orders/1", "").await.unwrap();
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "rate-limited"));
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3500..=3601).contains(&wait), "{wait}");
    }
    for house in &nodes {
        std::fs::write(house.path("rules/parcelco.toml"), limited("requests = \"1000/s\"\nburst = 3"))
            .unwrap();
        house.signal("-HUP");
    }
    for client in &clients {
        let began = Instant::now();
        while client.try_send(Method::GET, "/orders/1", "").await.unwrap().status != StatusCode::OK {
            assert!(began.elapsed() < Duration::from_secs(10), "the new limit does not count");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    nodes.into_iter().for_each(House::assert_clean);
}

/// Nobody knows how many there are left: nothing is let in, until the database is back.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_no_request_is_let_in() {
    let mut postgres = tokio::task::block_in_place(Postgres::start);
    let nodes = fleet(&postgres, 2, &limited("requests = \"50/s\"\nburst = 20")).await;
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    assert!(load(&clients, Duration::from_secs(1)).await.served > 0);
    for _ in 0..2 {
        tokio::task::block_in_place(|| postgres.end());
        let away = load(&clients, Duration::from_millis(1500)).await;
        assert!(away.served == 0 && away.unavailable > 0, "{away:?}");
        tokio::task::block_in_place(|| postgres.begin());
        for client in &clients {
            until_served(client, "/orders/1").await;
        }
    }
    // It stands still while nodes hold some: these are given up in a second.
    postgres.hold(true);
    let began = Instant::now();
    let still = load(&clients, Duration::from_millis(1500)).await;
    assert!(
        still.served == 0 && still.unavailable > 0 && began.elapsed() < Duration::from_secs(15),
        "{still:?}"
    );
    postgres.hold(false);
    until_served(&clients[0], "/orders/1").await;
    let back = load(&clients, Duration::from_secs(2)).await;
    assert!(back.served > 60, "{back:?}");
    nodes.into_iter().for_each(House::assert_clean);
}

/// `fieldgate.lease` for one bucket, by its own words: granted, remaining, and whole seconds to wait.
struct Bucket<'p> {
    postgres: &'p Postgres,
    name: &'static str,
    /// In milliseconds.
    interval: u64,
    burst: u64,
}

impl Bucket<'_> {
    fn lease(&self, holder: u32, turn: u32, wanted: u32, kept: u32, back: u32) -> (u64, u64, u64) {
        let Bucket { postgres, name, interval, burst } = self;
        let text = postgres.sql(
            "fieldgate",
            &format!(
                "SELECT granted, remaining, (wait / 1e9)::bigint FROM fieldgate.lease(ARRAY['{name}'], \
                 ARRAY[{holder}], ARRAY[{turn}], ARRAY[{interval}000000], ARRAY[{burst}], ARRAY[{wanted}], \
                 ARRAY[{kept}], ARRAY[{back}])"
            ),
        );
        let numbers: Vec<u64> = text.split('|').map(|number| number.parse().unwrap()).collect();
        (numbers[0], numbers[1], numbers[2])
    }
}

/// The function by itself: what is granted, held, used, given back and forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_counts_what_nodes_hold_until_it_is_used_or_given_up() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let bucket = |name, interval, burst| Bucket { postgres: &postgres, name, interval, burst };
    tokio::task::block_in_place(|| {
        let hourly = bucket("hourly", 3_600_000, 4);
        assert_eq!(hourly.lease(1, 1, 3, 0, 0), (3, 1, 0));
        assert_eq!(hourly.lease(2, 1, 3, 0, 0), (1, 0, 3600));
        assert_eq!(hourly.lease(2, 2, 1, 1, 0), (0, 0, 3600));
        // Given back, and never more than was held.
        assert_eq!(hourly.lease(1, 2, 0, 1, 2), (0, 2, 0));
        assert_eq!(hourly.lease(2, 3, 0, 0, 9), (0, 3, 0));
        assert_eq!(hourly.lease(3, 1, 0, 0, 9), (0, 3, 0));
        // A call that was overtaken takes nothing.
        assert_eq!(hourly.lease(1, 2, 1, 0, 0), (0, 0, 0));
        assert_eq!(hourly.lease(2, 4, 9, 0, 0), (3, 0, 3600));

        // What is held makes no room for others: of 10 that come in a second, those are missing.
        let (held, used) = (bucket("held", 100, 10), bucket("used", 100, 10));
        assert_eq!(held.lease(1, 1, 6, 0, 0).0, 6);
        assert_eq!(used.lease(1, 1, 6, 0, 0).0, 6);
        assert_eq!(used.lease(1, 2, 0, 0, 0).0, 0);
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(held.lease(2, 1, 20, 0, 0).0, 4);
        assert_eq!(used.lease(2, 1, 20, 0, 0).0, 10);
        // Three seconds behind the lease it counts as given up, and makes room from then on.
        std::thread::sleep(Duration::from_millis(4200));
        assert_eq!(held.lease(3, 1, 20, 0, 0).0, 10);
        assert_eq!(
            postgres.sql("fieldgate", "SELECT holder, tokens FROM fieldgate.held WHERE name = 'held'"),
            "3|10"
        );

        // A clock that went back by a day.
        let clock = bucket("clock", 1000, 5);
        assert_eq!(clock.lease(1, 1, 5, 0, 0).0, 5);
        postgres
            .sql("fieldgate", "UPDATE fieldgate.bucket SET tat = tat + 86400000000000 WHERE name = 'clock'");
        assert_eq!(clock.lease(1, 2, 1, 0, 0), (0, 0, 1));

        // Many at the same time: not one too many.
        let granted: u64 = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..6)
                .map(|holder| {
                    let postgres = &postgres;
                    scope.spawn(move || {
                        let sql = format!(
                            "SELECT sum(granted) FROM generate_series(1, 30) turn, LATERAL fieldgate.lease(\
                             ARRAY['busy', 'also'], ARRAY[{holder}, {holder}], ARRAY[turn, turn], \
                             ARRAY[3600000000000, 3600000000000], ARRAY[50, 60], ARRAY[1, 1], ARRAY[0, 0], ARRAY[0, 0])"
                        );
                        postgres.sql("fieldgate", &sql).parse::<u64>().unwrap()
                    })
                })
                .collect();
            asking.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(granted, 110);
    });
}
