//! The connection of a fleet's node to its database: who is at its other end, by what the node is known, and whether
//! it is the database that it was.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fieldgate::authority::Authority;
use http::StatusCode;

use crate::fleet::{CONSENT, SHARED, assert_whole, closed, config, fleet, get, told, until_served};
use crate::support::postgres::Postgres;
use crate::support::{Answer, CONFIG, House, RULES, order};

/// A node that shows a certificate, where it is given one, and trusts `ca`.
async fn with_tls(host: &str, port: u16, ca: &Path, identity: Option<[PathBuf; 2]>) -> House {
    let mut table = format!(
        "[ledger]\nstore = \"postgres://node@{host}:{port}/fieldgate\"\n[ledger.postgres]\nnode = \"node-0\"\nca = {ca:?}\n"
    );
    if let Some([certificate, key]) = identity {
        table.push_str(&format!("certificate = {certificate:?}\nkey = {key:?}\n"));
    }
    let house = House::closed(&CONFIG.replace("[ledger]\n", &table), &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

/// What a gateway says that does not start.
fn refusal(house: &House) -> String {
    let output = tokio::task::block_in_place(|| house.command(&["serve"]));
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn authority(folder: &Path) -> Authority {
    let authority = Authority::new(folder);
    authority.init(&["localhost".to_owned()]).unwrap();
    authority
}

/// The node proves itself by a certificate and speaks to the database that its authority vouches for, by that name,
/// and to no other.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_spoken_to_where_its_certificate_says_so_and_nowhere_else() {
    let mut postgres = tokio::task::block_in_place(Postgres::start);
    let folder = tempfile::tempdir().unwrap();
    let ours = authority(&folder.path().join("ours"));
    ours.issue_client("node", "DNS:node.fleet.example").unwrap();
    let other = authority(&folder.path().join("other"));
    other.issue_client("node", "DNS:node.fleet.example").unwrap();
    let identity = |authority: &Authority| Some([authority.certificate("node"), authority.key("node")]);
    let ca = ours.certificate("company-ca");
    postgres.sql("fieldgate", "CREATE ROLE node LOGIN");
    postgres.sql("fieldgate", "GRANT fieldgate_gateway TO node");

    // A server that speaks no TLS is not spoken to without.
    let plain = with_tls("localhost", postgres.port, &ca, identity(&ours)).await;
    let said = refusal(&plain);
    assert!(said.contains("server does not support TLS"), "{said}");

    tokio::task::block_in_place(|| {
        postgres.secure(&ours, "node");
        postgres.end();
        postgres.begin();
    });
    let mut house = with_tls("localhost", postgres.port, &ca, identity(&ours)).await;
    tokio::task::block_in_place(|| house.open());
    let client = house.parcelco();
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::OK);
    let sql = "SELECT count(*), bool_and(s.ssl AND s.version IN ('TLSv1.2', 'TLSv1.3') AND s.client_dn = '/CN=node')
        FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.application_name = 'fieldgate'";
    let found = postgres.sql("fieldgate", sql);
    let (connections, secure) = found.split_once('|').unwrap();
    assert!(connections.parse::<u32>().unwrap() >= 3 && secure == "t", "{found}");
    // Orders go by connections of the pool.
    told(&house, &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::FORBIDDEN);
    told(&house, &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    until_served(&client, "/orders/1").await;
    // Connections are made anew with the same certificate.
    cut(&postgres);
    until_served(&client, "/orders/1").await;
    house.assert_clean();

    for (host, ca, identity, words) in [
        ("localhost", other.certificate("company-ca"), identity(&ours), "invalid peer certificate"),
        ("127.0.0.1", ca.clone(), identity(&ours), "not valid for name"),
        ("localhost", ca.clone(), None, "requires a valid client certificate"),
        ("localhost", ca.clone(), identity(&other), "received fatal alert"),
    ] {
        let house = with_tls(host, postgres.port, &ca, identity).await;
        let said = refusal(&house);
        assert!(said.contains(words), "{words}: {said}");
        let known = postgres.sql("fieldgate", "SELECT count(*) FROM fieldgate.node");
        assert_eq!(known, "1", "{words}");
    }
}

/// Ends all connections of gateways.
fn cut(postgres: &Postgres) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fieldgate'";
    tokio::task::block_in_place(|| postgres.sql("fieldgate", sql));
}

/// The password file is read at each new connection: another password needs no restart.
#[tokio::test(flavor = "multi_thread")]
async fn another_password_in_the_file_is_taken_up_without_a_restart() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let write = |text: &str| {
        // As a secret is replaced: by another file of that name.
        std::fs::copy(postgres.password_file(text), folder.path().join("new")).unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
    };
    write("of the gateway");
    let text = config(&postgres, postgres.port, "node-0");
    let before = postgres.password_file("of the gateway");
    let text = text.replace(&before.display().to_string(), &file.display().to_string());
    let mut house = House::closed(&text, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    tokio::task::block_in_place(|| house.open());
    let client = house.parcelco();
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::OK);
    told(&house, &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
    told(&house, &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    until_served(&client, "/orders/1").await;

    postgres.sql("postgres", "ALTER ROLE gateway PASSWORD 'that is new'");
    cut(&postgres);
    let refused = get(&client, "/orders/1").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    house.logged("28P01").await;
    write("that is new");
    until_served(&client, "/orders/1").await;
    // The writer, the rates and the pool for orders, each by a connection of its own.
    told(&house, &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::FORBIDDEN);
    told(&house, &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    until_served(&client, "/orders/1").await;
    assert!(!house.log().contains("that is new") && !house.log().contains("of the gateway"));
    assert_whole(&postgres);
}

/// A replica took over that lacks the last change, and another change has got its number: a node that knew the lost one
/// is told, whether it runs or starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_lost_is_missed_though_another_one_has_its_number() {
    let mut postgres = tokio::task::block_in_place(Postgres::start);
    let rules = format!("{RULES}{CONSENT}");
    let mut nodes = fleet(&postgres, 2, &rules).await;
    let said = ["--purpose", "marketing-mail", "--by", "anna", "--source", "form"];
    told(&nodes[0], &[&["subject", "grant", "PLANTED-1"], &said[..]].concat());
    until_served(&nodes[1].parcelco(), "/orders/1").await;
    tokio::task::block_in_place(|| {
        postgres.end();
        postgres.copy("data", "older");
        postgres.begin();
    });
    let knows = async |house: &House, number: &str| {
        let (began, path) = (Instant::now(), house.path("ledger/fieldgate.tlog/fleet"));
        while !std::fs::read_to_string(&path).unwrap_or_default().starts_with(number) {
            assert!(began.elapsed() < Duration::from_secs(20), "{number} is not known");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // The other node hears of it, and makes no entry until it is gone.
    until_served(&nodes[0].parcelco(), "/orders/1").await;
    told(&nodes[0], &[&["subject", "withdraw", "PLANTED-1"], &said[..]].concat());
    knows(&nodes[1], "2 ").await;
    nodes[0].kill();
    tokio::task::block_in_place(|| {
        postgres.end();
        postgres.remove("data");
        postgres.copy("older", "data");
        postgres.begin();
    });
    nodes[1].logged("an older copy was put back").await;
    // A node that never heard of it.
    let mut third = closed(&postgres, postgres.port, "node-2", &rules).await;
    std::fs::create_dir_all(third.path("ledger")).unwrap();
    for key in SHARED {
        std::fs::copy(nodes[1].path(key), third.path(key)).unwrap();
    }
    tokio::task::block_in_place(|| third.open());
    told(&third, &[&["subject", "grant", "PLANTED-2"], &said[..]].concat());
    knows(&third, "2 ").await;
    until_served(&third.parcelco(), "/orders/1").await;

    nodes[1].logged("change 2 of suspensions and consent is another one").await;
    let client = nodes[1].parcelco();
    for path in ["/persons/1", "/orders/1", "/persons/1", "/orders/1"] {
        let refused = get(&client, path).await;
        assert!(!refused.status.is_success(), "{refused:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let withdraw = [&["subject", "withdraw", "PLANTED-2"], &said[..]].concat();
    let output = tokio::task::block_in_place(|| nodes[1].command(&withdraw));
    assert!(!output.status.success(), "{output:?}");
    nodes[1].kill();
    let said = refusal(&nodes[1]);
    assert!(said.contains("change 2 of suspensions and consent is another one"), "{said}");
    assert_eq!(postgres.sql("fieldgate", "SELECT number FROM fieldgate.shared"), "2");
    assert_whole(&postgres);
}

/// Changes that an earlier version wrote are chained as those that come.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_an_earlier_version_are_chained_too() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    postgres.sql("postgres", "CREATE DATABASE before OWNER owner");
    let first = include_str!("../../src/ledger/postgres/schema/0001.sql");
    let sql = format!(
        "SET ROLE owner; CREATE SCHEMA fieldgate; CREATE TABLE fieldgate.version (number integer PRIMARY KEY, \
         at timestamptz NOT NULL DEFAULT clock_timestamp()); {first}; INSERT INTO fieldgate.version VALUES (1); \
         INSERT INTO fieldgate.node (name, verifier) VALUES ('node-0', 'key'); INSERT INTO fieldgate.change \
         (number, node, body) VALUES (1, 1, '{{\"one\":1}}'), (2, 1, '{{\"two\":\"é\"}}'); UPDATE fieldgate.shared SET number = 2"
    );
    postgres.sql("before", &sql);
    let migrated = tokio::task::block_in_place(|| postgres.migrate_in("before"));
    assert!(migrated.status.success(), "{migrated:?}");
    use sha2::{Digest, Sha256};
    let one = Sha256::digest("{\"one\":1}");
    let two = Sha256::new().chain_update(one).chain_update("{\"two\":\"é\"}").finalize();
    let hex = |hash: &[u8]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let chains = postgres.sql("before", "SELECT encode(chain, 'hex') FROM fieldgate.change ORDER BY number");
    assert_eq!(chains, format!("{}\n{}", hex(&one), hex(&two)));
    let last = postgres.sql("before", "SELECT number, encode(chain, 'hex') FROM fieldgate.shared");
    assert_eq!(last, format!("2|{}", hex(&two)));
}
