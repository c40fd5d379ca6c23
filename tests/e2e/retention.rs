//! A ledger of the first version is taken over, and what is old enough is deleted with its proofs intact.

use std::process::Output;
use std::time::{Duration, Instant};

use fieldgate::ledger::Log;

use crate::support::{Answer, CONFIG, House, RULES, files_below, order};

const FIRST_VERSION: &str = "
    CREATE TABLE entry (position INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
        contractor TEXT, task TEXT, leaf BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
    CREATE INDEX entry_time ON entry (time);
    CREATE INDEX entry_contractor ON entry (contractor, position) WHERE contractor IS NOT NULL;
    CREATE TABLE entry_subject (subject BLOB NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (subject, position))
        STRICT, WITHOUT ROWID;
    CREATE TABLE contractor (contractor TEXT PRIMARY KEY, sequence INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE subject_day (contractor TEXT NOT NULL, day INTEGER NOT NULL, subject BLOB NOT NULL,
        PRIMARY KEY (contractor, day, subject)) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

/// 2019-03-01.
const LONG_AGO: i64 = 1_551_398_400_000_000;

/// Entries as the first version wrote them: a disclosure, a refusal, and so on.
fn old_entry(position: u64) -> String {
    let time = LONG_AGO + position as i64 * 60_000_000;
    let head = |kind: &str| {
        format!(
            "{{\"v\":1,\"kind\":\"{kind}\",\"id\":\"00000000-0000-7000-8000-{position:012}\",\"time\":{time},\"salt\":\"00\""
        )
    };
    let (sequence, digest) = (position, "d".repeat(64));
    let by = "\"contractor\":\"parcelco\",\"credential\":\"parcelco-gateway-2026\",\"method\":\"GET\"";
    match position {
        0 => format!("{},\"rules\":\"{digest}\",\"contractors\":[\"parcelco\"],\"index\":0}}", head("rules")),
        _ if position.is_multiple_of(3) => format!(
            "{},{by},\"route\":null,\"rules\":\"{digest}\",\"task\":null,\"status\":404,\"code\":\"not-found\",\"index\":{position},\"sequence\":{sequence}}}",
            head("refusal")
        ),
        _ => format!(
            "{},{by},\"route\":\"/orders/{{order_id}}\",\"rules\":\"{digest}\",\"task\":\"deliver-order\",\"purpose\":\"Deliver\",\"basis\":\"contract\",\"agreement\":\"DPA\",\"jurisdictions\":\"US to NL\",\"transfer\":\"scc\",\"upstream\":\"orders\",\"status\":200,\"bytes\":5,\"records\":{{\"released\":1,\"withheld\":0,\"without_subject\":0}},\"members_withheld\":0,\"fields\":[{{\"path\":\"@.order_id\",\"disclosed\":1,\"withheld\":0}}],\"subjects_total\":1,\"parts\":1,\"subjects\":[\"{:032x}\"],\"index\":{position},\"sequence\":{sequence}}}",
            head("disclosure"),
            position % 7
        ),
    }
}

const OLD: u64 = 700;

/// A house whose ledger the first version wrote.
pub async fn house_of_the_first_version() -> House {
    let house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    fieldgate::secrets::make_folder_of(&house.ledger_path()).unwrap();
    fieldgate::secrets::write(&house.path("ledger/subject.key"), &[7; 32]).unwrap();
    let mut database = rusqlite::Connection::open(house.ledger_path()).unwrap();
    database.execute_batch(FIRST_VERSION).unwrap();
    let transaction = database.transaction().unwrap();
    for position in 0..OLD {
        let leaf = old_entry(position).into_bytes();
        transaction
            .execute(
                "INSERT INTO entry VALUES (?1, 0, '', '', NULL, NULL, ?2, x'00')",
                (position as i64, leaf),
            )
            .unwrap();
    }
    transaction.commit().unwrap();
    house
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn count(house: &House, arguments: &[&str]) -> usize {
    let all = [&["query", "--format", "json", "--limit", "100000"], arguments].concat();
    text(&house.ledger(&all)).lines().count()
}

/// The hashes of the first tile, as they lie on the disk.
fn hashes(house: &House) -> Vec<u8> {
    std::fs::read(house.path("ledger/fieldgate.tlog/tile/0/000")).unwrap()
}

#[tokio::test]
async fn a_ledger_of_the_first_version_is_taken_over_byte_for_byte() {
    let mut house = house_of_the_first_version().await;
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    let log = Log::open(&house.ledger_path()).unwrap();
    for position in 0..OLD {
        assert_eq!(log.entry(position).unwrap().unwrap(), old_entry(position).into_bytes());
    }
    let entries = house.entries();
    assert_eq!(entries.len() as u64, OLD + 3, "started, rules, and the disclosure");
    assert_eq!(entries.last().unwrap()["sequence"], OLD, "counted on");
    assert_eq!(count(&house, &["--kind", "refusal"]), 233);
    assert_eq!(count(&house, &["--since", "2019-03-01T10:00:00Z", "--until", "2019-03-02"]), 100);
}

#[tokio::test]
async fn what_is_old_enough_goes_and_its_hashes_stay() {
    let mut house = house_of_the_first_version().await;
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    // The third bundle becomes whole.
    for _ in 0..70 {
        house.get(&house.parcelco(), "/orders/1").await;
    }
    let before = hashes(&house);
    text(&house.ledger(&[
        "hold",
        "place",
        "case-7",
        "--since",
        "2019-03-01T01:00:00Z",
        "--until",
        "2019-03-01T02:00:00Z",
        "--by",
        "counsel",
    ]));
    let dry_run = || -> serde_json::Value {
        serde_json::from_str(&text(&house.ledger(&["prune", "--format", "json"]))).unwrap()
    };
    // Bundles are written behind the entries.
    let began = Instant::now();
    let mut plan = dry_run();
    while plan["waiting"] != 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "{plan}");
        plan = dry_run();
    }
    assert_eq!(plan["held"], 60);
    let doomed: u64 =
        plan["classes"].as_array().unwrap().iter().map(|class| class["entries"].as_u64().unwrap()).sum();
    assert_eq!(doomed, OLD - 1 - 60, "all old ones but the rules");
    assert_eq!(count(&house, &["--until", "2020-01-01"]) as u64, OLD, "a dry run deletes nothing");
    let (at, token) = (plan["at"].as_str().unwrap(), plan["plan"].as_str().unwrap());
    let execute = |approvers: &[&str]| {
        let mut arguments = vec!["prune", "--at", at, "--execute", token, "--by", "dora"];
        approvers.iter().for_each(|name| arguments.extend(["--approved-by", name]));
        house.ledger(&arguments)
    };
    assert!(error(&execute(&["anna"])).contains("two different people"));
    assert!(error(&execute(&["anna", "anna"])).contains("two different people"));
    let other =
        ["prune", "--at", "2025-03-01", "--execute", token, "--approved-by", "a", "--approved-by", "b"];
    assert!(error(&house.ledger(&other)).contains("run it again"));
    let told = text(&execute(&["anna", "bert"]));
    assert!(told.contains(&format!("The content of {doomed} entries is deleted")), "{told}");
    assert_eq!(hashes(&house), before);
    assert_eq!(count(&house, &["--until", "2020-01-01"]), 61, "the held ones and the rules");
    let log = Log::open(&house.ledger_path()).unwrap();
    assert!(log.entry(1).unwrap().is_none() && log.entry(61).unwrap().is_some());
    let entry: serde_json::Value =
        serde_json::from_str(text(&house.ledger(&["query", "--kind", "prune", "--format", "json"])).trim())
            .unwrap();
    assert_eq!(entry["approved_by"], serde_json::json!(["anna", "bert"]));
    assert_eq!(entry["by"], "dora");
    // Nothing of them is left anywhere, also where the gateway goes on and is started again.
    house.send_unknown(&house.parcelco(), http::Method::GET, "/orders/1", "").await;
    house.kill();
    for path in files_below(&house.path("ledger")) {
        let bytes = std::fs::read(&path).unwrap();
        let mark = b"00000000-0000-7000-8000-000000000400";
        assert!(!bytes.windows(mark.len()).any(|window| window == mark), "{}", path.display());
    }
    house.open();
    house.send_unknown(&house.parcelco(), http::Method::GET, "/orders/1", "").await;
    text(&house.ledger(&["hold", "lift", "case-7", "--by", "counsel"]));
    let plan: serde_json::Value =
        serde_json::from_str(&text(&house.ledger(&["prune", "--format", "json"]))).unwrap();
    assert_eq!(plan["held"], 0);
    house.kill();
    house.verify();
}

#[tokio::test]
async fn a_deleted_index_is_made_anew_from_the_entries() {
    let mut house = house_of_the_first_version().await;
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.send_unknown(&house.parcelco(), http::Method::GET, "/orders/1", "").await;
    let found = |house: &House| count(house, &["--field", "order_id", "--country", "NL"]);
    let before = found(&house);
    house.kill();
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(house.path(&format!("ledger/fieldgate.db{ending}")));
    }
    house.open();
    assert_eq!(found(&house), before);
    house.send_unknown(&house.parcelco(), http::Method::GET, "/orders/1", "").await;
    assert_eq!(house.told().last().unwrap()["sequence"], OLD + 1);
}
