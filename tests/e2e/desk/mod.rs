//! The review sides of a fleet: who may in, who is in, what was decided, is the same at each node.

mod log;
mod shared;

use std::path::Path;
use std::time::{Duration, Instant};

use http::Method;
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::fleet::{SHARED, config};
use crate::support::postgres::Postgres;
use crate::support::{Answer, House, RULES, Reply, Visitor, order};

/// A planted customer; no order of another test is about it.
const CANARY: u64 = 7_391_826_051;

/// What other nodes do is seen within this time.
const SECOND: Duration = Duration::from_secs(1);

/// A node with a review side, and no gateway running yet; `more` stands in its `[admin]` table.
async fn closed(postgres: &Postgres, port: u16, number: usize, more: &str) -> House {
    let config = config(postgres, port, &format!("node-{number}"));
    let config =
        config.replace("[ledger]\n", &format!("[admin]\naddress = \"127.0.0.1:0\"\n{more}\n[ledger]\n"));
    let rules =
        RULES.replace("id = \"parcelco\"\n", &format!("id = \"parcelco\"\ncanaries = [\"c-{CANARY}\"]\n"));
    let house = House::closed(&config, &[("parcelco", &rules)]).await;
    for id in (1..10).chain([CANARY]) {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
    }
    house
}

fn share_keys(from: &House, to: &House) {
    std::fs::create_dir_all(to.path("ledger")).unwrap();
    for key in SHARED {
        std::fs::copy(from.path(key), to.path(key)).unwrap();
    }
}

fn open(house: &mut House) {
    tokio::task::block_in_place(|| house.open());
}

/// So many nodes.
async fn fleet(postgres: &Postgres, count: usize) -> Vec<House> {
    let mut nodes: Vec<House> = Vec::new();
    for number in 0..count {
        let mut house = closed(postgres, postgres.port, number, "").await;
        if let Some(first) = nodes.first() {
            share_keys(first, &house);
        }
        open(&mut house);
        nodes.push(house);
    }
    nodes
}

fn start() -> Postgres {
    tokio::task::block_in_place(Postgres::start)
}

/// Runs a command of a node's; what it says.
fn told(house: &House, arguments: &[&str]) -> String {
    let output = tokio::task::block_in_place(|| house.command(arguments));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn account(house: &House, name: &str, role: &str) -> String {
    tokio::task::block_in_place(|| house.account(name, role))
}

/// Somebody who has signed in at a node.
async fn signed_in(house: &House, name: &str, password: &str) -> Visitor {
    let visitor = Visitor::new(house, "http", None);
    // The account may have been made at another node just now.
    let began = Instant::now();
    loop {
        let reply = visitor.sign_in(name, password).await;
        if reply.status == 303 {
            return visitor;
        }
        assert!(began.elapsed() < SECOND, "{reply:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The same browser, at another node.
fn moved(visitor: &Visitor, house: &House) -> Visitor {
    let other = Visitor::new(house, "http", None);
    other.set_cookie("fieldgate-review", &visitor.cookie("fieldgate-review").unwrap());
    other
}

async fn send(visitor: &Visitor, target: &str, body: &Value) -> Reply {
    let token = visitor.form_token().await;
    let headers = [("content-type", "application/json"), ("x-form-token", token.as_str())];
    visitor.send(Method::POST, target, &headers, &body.to_string()).await
}

/// Asks until the answer fits; how long that took.
async fn until(visitor: &Visitor, target: &str, limit: Duration, fits: impl Fn(&Reply) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let reply = visitor.get(target).await;
        if fits(&reply) {
            return began.elapsed();
        }
        assert!(began.elapsed() < limit, "{target} after {limit:?}: {reply:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a node's replica has of what all share, row by row.
fn dump(ledger: &Path) -> Vec<String> {
    let path = ledger.with_extension("review");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let replica = Connection::open_with_flags(path, flags).unwrap();
    replica.busy_timeout(Duration::from_secs(5)).unwrap();
    let mut lines = Vec::new();
    for table in [
        "desk",
        "account ORDER BY name",
        "session ORDER BY hash",
        "rules ORDER BY digest, file",
        "alert ORDER BY number",
        "mute ORDER BY number",
        "review ORDER BY id",
        "decision ORDER BY review, task, route, path, transform",
        "sqlite_sequence WHERE seq > 0 ORDER BY name",
    ] {
        let mut statement = replica.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let count = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells: Vec<Cell> = (0..count).map(|at| row.get(at).unwrap()).collect();
            lines.push(format!("{table}: {cells:?}"));
        }
    }
    lines
}

/// Waits until all replicas are the same, and have all that the database has.
async fn assert_alike(postgres: &Postgres, nodes: &[House]) {
    let began = Instant::now();
    loop {
        let last = postgres.sql("fieldgate", "SELECT coalesce(max(number), 0) FROM fieldgate.desk");
        let dumps: Vec<Vec<String>> = nodes.iter().map(|house| dump(&house.ledger_path())).collect();
        let is_whole = |dump: &Vec<String>| dump[0].contains(&format!("[Integer(1), Integer({last}), "));
        if dumps.iter().all(|dump| is_whole(dump) && *dump == dumps[0]) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{last}: {dumps:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn in_days(days: i64) -> String {
    let time = jiff::Timestamp::now().as_second() + days * 86_400;
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(time).unwrap()).date().to_string()
}
