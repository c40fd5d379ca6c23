//! Several gateways and one PostgreSQL: what is said to one counts for all, and whatever happens to the database, the
//! wire or a node, nothing leaves without its entry and no entry is lost.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::postgres::{Postgres, Wire};
use crate::support::{Answer, CONFIG, Client, House, RULES, Response, has_word, order};

pub const CONSENT: &str = r#"
[[task]]
id = "newsletter"
purpose = "Send the newsletter"
basis = "consent"
consent = "marketing-mail"
[[task.route]]
path = "/persons/{id}"
upstream = "orders"
subject = "@.id"
disclose = ["@.name"]
"#;

/// The keys that all nodes have.
pub const SHARED: [&str; 3] = ["ledger/subject.key", "ledger/pseudonym.key", "ledger/fieldgate.consent-key"];

pub fn config(postgres: &Postgres, port: u16, node: &str) -> String {
    let password = postgres.password_file("of the gateway");
    let table = format!(
        "[ledger]\nstore = \"postgres://gateway@127.0.0.1:{port}/fieldgate\"\n[ledger.postgres]\n\
         node = \"{node}\"\npassword_file = \"{}\"\n",
        password.display()
    );
    CONFIG.replace("[ledger]\n", &table)
}

pub async fn closed(postgres: &Postgres, port: u16, node: &str, rules: &str) -> House {
    let house = House::closed(&config(postgres, port, node), &[("parcelco", rules)]).await;
    for number in 1..100 {
        house
            .upstream
            .on(&format!("/orders/{number}"), Answer::json(order(number, "parcelco", "ready_to_ship")));
    }
    house.upstream.on("/persons/1", Answer::json(json!({ "id": "PLANTED-1", "name": "Anna" }).to_string()));
    house
}

/// So many nodes.
pub async fn fleet(postgres: &Postgres, count: usize, rules: &str) -> Vec<House> {
    let mut nodes: Vec<House> = Vec::new();
    for number in 0..count {
        let mut house = closed(postgres, postgres.port, &format!("node-{number}"), rules).await;
        if let Some(first) = nodes.first() {
            std::fs::create_dir_all(house.path("ledger")).unwrap();
            for key in SHARED {
                std::fs::copy(first.path(key), house.path(key)).unwrap();
            }
        }
        tokio::task::block_in_place(|| house.open());
        nodes.push(house);
    }
    nodes
}

pub async fn get(client: &Client, path: &str) -> Response {
    client.try_send(Method::GET, path, "").await.unwrap()
}

/// The ids of all responses that the database has an entry of.
fn recorded(postgres: &Postgres) -> BTreeSet<String> {
    let sql = "SELECT convert_from(leaf, 'UTF8')::json ->> 'id' FROM fieldgate.entry";
    postgres.sql("fieldgate", sql).lines().map(str::to_owned).collect()
}

pub fn id(response: &Response) -> String {
    response.headers["fieldgate-disclosure-id"].to_str().unwrap().to_owned()
}

/// Each tree has as many entries as it says, numbered without gaps.
pub fn assert_whole(postgres: &Postgres) {
    let sql = "SELECT count(*) FROM fieldgate.tree t WHERE t.size <> (SELECT count(*) FROM fieldgate.entry e
        WHERE e.node = t.node) OR t.size <> (SELECT coalesce(max(position) + 1, 0) FROM fieldgate.entry e
        WHERE e.node = t.node)";
    assert_eq!(postgres.sql("fieldgate", sql), "0");
}

/// Asks until it is served again; how long that took.
pub async fn until_served(client: &Client, path: &str) -> Duration {
    let began = Instant::now();
    loop {
        match client.try_send(Method::GET, path, "").await {
            Ok(response) if response.status == StatusCode::OK => return began.elapsed(),
            Ok(response) => assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{response:?}"),
            Err(_) => {}
        }
        assert!(began.elapsed() < Duration::from_secs(40), "not served again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until all is under the signed heads of the nodes that serve.
pub async fn rest(postgres: &Postgres) {
    let sql = "SELECT bool_and(t.size = coalesce(h.size, 0)) FROM fieldgate.tree t
        LEFT JOIN fieldgate.head h ON h.node = t.node";
    let began = Instant::now();
    while postgres.sql("fieldgate", sql) != "t" {
        let sizes = "SELECT t.node, t.size, h.size FROM fieldgate.tree t LEFT JOIN fieldgate.head h ON h.node = t.node";
        let late = began.elapsed() > Duration::from_secs(20);
        assert!(!late, "no head: {}", postgres.sql("fieldgate", sizes));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn told(house: &House, arguments: &[&str]) {
    let output = tokio::task::block_in_place(|| house.command(arguments));
    assert!(output.status.success(), "{output:?}");
}

/// Both nodes serve, each with a tree of its own, and what one is told the other knows at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_one_node_counts_for_all() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let rules = format!("{RULES}{CONSENT}");
    let nodes = fleet(&postgres, 2, &rules).await;
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    let mut seen = Vec::new();
    for client in &clients {
        let served = get(client, "/orders/1").await;
        assert_eq!(served.status, StatusCode::OK, "{served:?}");
        seen.push(id(&served));
        assert_eq!(get(client, "/persons/1").await.status, StatusCode::NOT_FOUND);
    }
    let all = recorded(&postgres);
    assert!(seen.iter().all(|id| all.contains(id)));
    let node = ["--purpose", "marketing-mail", "--by", "anna", "--source", "form"];
    told(&nodes[0], &[&["subject", "grant", "PLANTED-1"], &node[..]].concat());
    // The other node learns it: at once where it is told, with the next entry at the latest.
    until(&clients[1], "/persons/1", StatusCode::OK).await;
    let began = Instant::now();
    told(&nodes[0], &[&["subject", "withdraw", "PLANTED-1"], &node[..]].concat());
    let answered = began.elapsed();
    // From when the command came back, no node discloses.
    let refused = get(&clients[1], "/persons/1").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{refused:?}");
    let shown =
        tokio::task::block_in_place(|| nodes[1].command(&["subject", "show", "PLANTED-1", "--by", "anna"]));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("marketing-mail") && shown.contains("withdrawn"), "{shown}");
    println!("withdrawn after {answered:?}, refused on the other node after {:?}", began.elapsed());
    told(&nodes[1], &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
    let refused = get(&clients[0], "/orders/1").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "suspended"));
    told(&nodes[0], &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    until(&clients[1], "/orders/1", StatusCode::OK).await;
    assert_whole(&postgres);
    let changes = postgres.sql("fieldgate", "SELECT body FROM fieldgate.change");
    assert!(!changes.contains("PLANTED") && !has_word(&changes, "c-1"), "{changes}");
    rest(&postgres).await;
    nodes.into_iter().for_each(House::assert_clean);
}

/// While a node is busy, another one is told: from when the command comes back, there is no entry of a disclosure.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_counts_for_what_waits_for_its_entry_too() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let nodes = fleet(&postgres, 2, RULES).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let loads: Vec<_> = (0..32)
        .map(|_| {
            let (client, stop) = (nodes[1].parcelco(), std::sync::Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let status = client.try_send(Method::GET, "/orders/1", "").await.unwrap().status.as_u16();
                    assert!([200, 403, 503].contains(&status), "{status}");
                }
            })
        })
        .collect();
    let disclosures = || {
        let sql = "SELECT count(*) FROM fieldgate.entry
            WHERE convert_from(leaf, 'UTF8')::json ->> 'kind' = 'disclosure'";
        tokio::task::block_in_place(|| postgres.sql("fieldgate", sql))
    };
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        told(&nodes[0], &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
        let before = disclosures();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(disclosures(), before);
        told(&nodes[0], &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    }
    assert!(disclosures().parse::<u64>().unwrap() > 100);
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for load in loads {
        load.await.unwrap();
    }
    assert_whole(&postgres);
    rest(&postgres).await;
    nodes.into_iter().for_each(House::assert_clean);
}

pub async fn until(client: &Client, path: &str, status: StatusCode) {
    let began = Instant::now();
    loop {
        let found = get(client, path).await.status;
        if found == status {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{found} after a second");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Of several nodes, a contractor sees no more customers than of one.
#[tokio::test(flavor = "multi_thread")]
async fn a_days_customers_are_counted_over_all_nodes() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let rules = RULES.replace("burst = 100000", "burst = 100000\nsubjects_per_day = 5");
    assert_ne!(rules, RULES);
    let nodes = fleet(&postgres, 2, &rules).await;
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    let mut statuses = Vec::new();
    for number in 1..=8 {
        statuses.push(get(&clients[number % 2], &format!("/orders/{number}")).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    // Who was seen already stays in sight, on the other node too.
    assert_eq!(get(&clients[0], "/orders/1").await.status, StatusCode::OK);
    assert_eq!(get(&clients[1], "/orders/2").await.status, StatusCode::OK);
    assert_eq!(get(&clients[1], "/orders/7").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_whole(&postgres);
    for house in nodes {
        house.assert_clean();
    }
}

/// Many at the same time, so that a batch has several: not one customer too many, and not one too few.
#[tokio::test(flavor = "multi_thread")]
async fn a_days_customers_are_exact_where_many_come_at_once() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let rules = RULES.replace("burst = 100000", "burst = 100000\nsubjects_per_day = 20");
    let nodes = fleet(&postgres, 2, &rules).await;
    for house in &nodes {
        until_served(&house.parcelco(), "/orders/1").await;
    }
    let asking: Vec<_> = (0..120)
        .map(|number| {
            let (client, order) = (nodes[number % 2].parcelco(), number % 40 + 1);
            tokio::spawn(async move {
                let status = get(&client, &format!("/orders/{order}")).await.status.as_u16();
                assert!([200, 429].contains(&status), "{status}");
                (status == 200).then_some(order)
            })
        })
        .collect();
    let mut seen = BTreeSet::new();
    for one in asking {
        seen.extend(one.await.unwrap());
    }
    assert_eq!(seen.len(), 20, "{seen:?}");
    let counted = postgres.sql("fieldgate", "SELECT seen FROM fieldgate.customers");
    assert_eq!(counted, "20");
    // Each of them stays in sight on both nodes, and nobody else is.
    for order in 1..=40 {
        for house in &nodes {
            let status = get(&house.parcelco(), &format!("/orders/{order}")).await.status;
            assert_eq!(status == StatusCode::OK, seen.contains(&order), "{order}: {status}");
        }
    }
    assert_whole(&postgres);
    rest(&postgres).await;
    nodes.into_iter().for_each(House::assert_clean);
}

/// The server ends, stands still and comes back; a node is killed. Whatever was answered has its entry.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_the_database_nothing_leaves_without_an_entry() {
    let mut postgres = tokio::task::block_in_place(Postgres::start);
    let mut nodes = fleet(&postgres, 3, RULES).await;
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let loads: Vec<_> = clients
        .iter()
        .cloned()
        .map(|client| {
            let stop = std::sync::Arc::clone(&stop);
            tokio::spawn(async move {
                let (mut served, mut number) = (Vec::new(), 0);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    number = number % 98 + 1;
                    match client.try_send(Method::GET, &format!("/orders/{number}"), "").await {
                        Ok(response) if response.status == StatusCode::OK => served.push(id(&response)),
                        Ok(response) => {
                            assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{response:?}");
                            assert!(!response.body.contains("PLANTED"));
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
                served
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    tokio::task::block_in_place(|| postgres.end());
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(get(&clients[0], "/orders/1").await.status, StatusCode::SERVICE_UNAVAILABLE);
    tokio::task::block_in_place(|| postgres.begin());
    println!("served again {:?} after the server's start", until_served(&clients[0], "/orders/1").await);
    // Connections end in the middle of whatever they do.
    for _ in 0..10 {
        let sql =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fieldgate'";
        tokio::task::block_in_place(|| postgres.sql("fieldgate", sql));
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    println!("served again {:?} after the last cut", until_served(&clients[1], "/orders/1").await);
    postgres.hold(true);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    postgres.hold(false);
    println!("served again {:?} after the server stood still", until_served(&clients[2], "/orders/1").await);
    nodes[1].kill();
    until_served(&clients[0], "/orders/1").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut served = Vec::new();
    for load in loads {
        served.extend(load.await.unwrap());
    }
    // Read when the last of them has its answer.
    let all = recorded(&postgres);
    println!("{} answers, {} entries", served.len(), all.len());
    assert!(served.iter().all(|id| all.contains(id)), "each answer has its entry");
    assert!(served.len() > 50);
    assert_whole(&postgres);
    tokio::task::block_in_place(|| nodes[1].open());
    assert_eq!(get(&nodes[1].parcelco(), "/orders/1").await.status, StatusCode::OK);
    assert_whole(&postgres);
    for house in &nodes {
        println!("{}", house.log().lines().filter(|l| l.contains("ledger::")).collect::<Vec<_>>().join("\n"));
    }
    rest(&postgres).await;
    nodes.into_iter().for_each(House::assert_clean);
}

/// The database has committed and its word does not arrive: the entry is there, the answer is a refusal, and the tree
/// goes on behind the entry.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_again() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let wire = Wire::to(postgres.port).await;
    let mut house = closed(&postgres, wire.address.port(), "node-0", RULES).await;
    tokio::task::block_in_place(|| house.open());
    let client = house.parcelco();
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::OK);
    let before = recorded(&postgres).len();
    wire.deafen(true);
    // A customer that is counted already: the commit is all that is asked for.
    let refused = get(&client, "/orders/1").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "ledger-unavailable")
    );
    assert!(!refused.body.contains("PLANTED"));
    wire.deafen(false);
    until_served(&client, "/orders/3").await;
    // That of the answer that was lost, and that of the last one; refusals meanwhile had no entry.
    assert_eq!(recorded(&postgres).len(), before + 2);
    assert_whole(&postgres);
    rest(&postgres).await;
    house.assert_clean();
}

/// A database that was put back from an older copy is not written on, by a node that runs and by one that starts.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_the_database_is_refused() {
    let mut postgres = tokio::task::block_in_place(Postgres::start);
    let mut nodes = fleet(&postgres, 1, RULES).await;
    let client = nodes[0].parcelco();
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::OK);
    tokio::task::block_in_place(|| {
        postgres.end();
        postgres.copy("data", "older");
        postgres.begin();
    });
    // Its entry is not in the archive yet when the database goes.
    until_served(&client, "/orders/2").await;
    tokio::task::block_in_place(|| {
        postgres.end();
        postgres.copy("data", "newer");
        postgres.remove("data");
        postgres.copy("older", "data");
        postgres.begin();
    });
    assert_eq!(get(&client, "/orders/3").await.status, StatusCode::SERVICE_UNAVAILABLE);
    nodes[0].logged("an older copy was put back").await;
    assert_eq!(get(&client, "/orders/3").await.status, StatusCode::SERVICE_UNAVAILABLE);
    nodes[0].kill();
    let output = tokio::task::block_in_place(|| nodes[0].command(&["serve"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("an older copy was put back"), "{said}");
    tokio::task::block_in_place(|| {
        postgres.end();
        postgres.remove("data");
        postgres.copy("newer", "data");
        postgres.begin();
        nodes[0].open();
    });
    assert_eq!(get(&nodes[0].parcelco(), "/orders/3").await.status, StatusCode::OK);
    assert_whole(&postgres);
}

/// A node whose disk is lost makes its archive anew, with the same head; nobody else may take its name or its key, and
/// a database that would lose entries, or whose user could delete some, is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_made_anew_and_what_does_not_belong_is_refused() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let mut nodes = fleet(&postgres, 1, RULES).await;
    assert_eq!(get(&nodes[0].parcelco(), "/orders/1").await.status, StatusCode::OK);
    let refusal = |house: &House| {
        let output = tokio::task::block_in_place(|| house.command(&["serve"]));
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let other = closed(&postgres, postgres.port, "node-0", RULES).await;
    assert!(refusal(&other).contains("signs with another key"));
    let same = closed(&postgres, postgres.port, "node-1", RULES).await;
    std::fs::create_dir_all(same.path("ledger")).unwrap();
    std::fs::copy(nodes[0].path("ledger/signing.key"), same.path("ledger/signing.key")).unwrap();
    assert!(refusal(&same).contains("is used by another node"));
    let stranger = closed(&postgres, postgres.port, "node-2", RULES).await;
    assert!(refusal(&stranger).contains("is not that of the other nodes"));

    rest(&postgres).await;
    nodes[0].signal("-TERM");
    assert!(nodes[0].wait().success());
    let head = std::fs::read_to_string(nodes[0].path("ledger/fieldgate.tlog/checkpoint")).unwrap();
    let size: u64 = head.lines().nth(1).unwrap().parse().unwrap();
    std::fs::remove_dir_all(nodes[0].path("ledger/fieldgate.tlog")).unwrap();
    for file in ["fieldgate.db", "fieldgate.db-wal", "fieldgate.db-shm"] {
        let _ = std::fs::remove_file(nodes[0].path("ledger").join(file));
    }
    tokio::task::block_in_place(|| nodes[0].open());
    assert_eq!(get(&nodes[0].parcelco(), "/orders/2").await.status, StatusCode::OK);
    rest(&postgres).await;
    let entries: Vec<Value> = nodes[0].entries();
    assert!(entries.len() as u64 > size && entries[0]["kind"] == "started");
    tokio::task::block_in_place(|| nodes[0].verify());

    postgres.sql("fieldgate", "GRANT DELETE ON fieldgate.entry TO gateway");
    nodes[0].kill();
    assert!(refusal(&nodes[0]).contains("may change or delete entries"));
    postgres.sql("fieldgate", "REVOKE DELETE ON fieldgate.entry FROM gateway");
    postgres.sql("postgres", "ALTER SYSTEM SET fsync = off");
    postgres.sql("postgres", "SELECT pg_reload_conf()");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(refusal(&nodes[0]).contains("fsync = off"));
}
