//! One ledger of what all nodes of a fleet disclosed, the same wherever it is gathered; and a gateway whose ledger becomes
//! that of a node.

use std::process::Output;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::Value;

use crate::fleet::{CONSENT, SHARED, closed, config, fleet, get, id, rest, told, until};
use crate::retention::house_of_the_first_version;
use crate::review::signed_in;
use crate::support::postgres::Postgres;
use crate::support::{Client, House, RULES, files_below, has_word};

fn told_by(house: &House, arguments: &[&str]) -> String {
    let output = run(house, arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn run(house: &House, arguments: &[&str]) -> Output {
    tokio::task::block_in_place(|| house.command(arguments))
}

/// Adds a review side, without which nothing is gathered behind requests.
fn with_review_side(house: &mut House) {
    house.kill();
    let path = house.path("fieldgate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n[admin]\naddress = \"127.0.0.1:0\"\n")).unwrap();
    tokio::task::block_in_place(|| house.open());
}

/// The root of the gathered ledger, after a command that has brought it up to date.
fn gathered_root(house: &House) -> Vec<String> {
    told_by(house, &["ledger", "query", "--limit", "1"]);
    let head = std::fs::read_to_string(house.path("ledger/fieldgate.fleet.tlog/checkpoint")).unwrap();
    head.lines().skip(1).take(2).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_tells_of_all_nodes_and_of_the_same() {
    let mut postgres = tokio::task::block_in_place(Postgres::start);
    let mut nodes = fleet(&postgres, 2, RULES).await;
    // One gathers behind requests, the other one when it is asked.
    with_review_side(&mut nodes[1]);
    let clients: Vec<Client> = nodes.iter().map(House::parcelco).collect();
    let mut ids = Vec::new();
    for number in 1..=40 {
        let served = get(&clients[number % 2], &format!("/orders/{}", number % 3 + 1)).await;
        assert_eq!(served.status, StatusCode::OK, "{served:?}");
        ids.push(id(&served));
    }
    let lines = told_by(&nodes[0], &["ledger", "query", "--format", "json", "--limit", "1000"]);
    let entries: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for id in &ids {
        assert!(entries.iter().any(|entry| entry["id"] == **id), "{id}");
    }
    let of = |node: &str| entries.iter().filter(|entry| entry["node"] == node).count();
    assert!(of("node-0") >= 20 && of("node-1") >= 20 && of("node-0") + of("node-1") == entries.len());
    let table = told_by(&nodes[0], &["ledger", "query", "--limit", "1000"]);
    assert!(table.contains("NODE") && has_word(&table, "node-0") && has_word(&table, "node-1"), "{table}");
    let own =
        told_by(&nodes[0], &["ledger", "query", "--format", "json", "--this-node", "--kind", "disclosure"]);
    assert_eq!(own.lines().count(), 20);
    let csv =
        told_by(&nodes[1], &["ledger", "export", "--format", "csv", "--by", "anna", "--reason", "test"]);
    assert!(
        csv.lines().next().unwrap().ends_with(",node") && csv.lines().any(|line| line.ends_with(",node-0"))
    );

    // All that was disclosed about one customer, by whichever node.
    let account = ["ledger", "account", "c-2", "--by", "anna", "--reason", "asked", "--format", "json"];
    for house in &nodes {
        let account: Value = serde_json::from_str(&told_by(house, &account)).unwrap();
        assert_eq!(account["disclosures"], 14, "{account}");
    }

    // Both have put it into the same order. What the commands were told is an entry too: until both have rested.
    rest(&postgres).await;
    let roots: Vec<_> = nodes.iter().map(gathered_root).collect();
    assert_eq!(roots[0], roots[1]);
    for house in &nodes {
        let verdict = told_by(house, &["ledger", "verify", "--fleet"]);
        assert!(verdict.contains("all right") && verdict.contains("/fleet"), "{verdict}");
        told_by(house, &["ledger", "verify"]);
    }

    // An entry of the other node is proved.
    let proof = nodes[0].path("proof");
    told_by(&nodes[0], &["ledger", "prove", &ids[0], "--output", proof.to_str().unwrap()]);
    let key = told_by(&nodes[0], &["ledger", "key", "--fleet"]);
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["ledger", "verify-proof", proof.to_str().unwrap(), "--key", key.trim()])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert!(String::from_utf8(checked.stdout).unwrap().contains(&ids[0]));

    // The review side shows all of it.
    let visitor = signed_in(&nodes[1], "rita", "reviewer").await;
    let began = Instant::now();
    loop {
        let page = visitor.get("/api/v1/entries?kind=disclosure").await;
        if ids.iter().all(|id| page.body.contains(id)) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{}", page.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ledger: Value = serde_json::from_str(&visitor.get("/api/v1/ledger").await.body).unwrap();
    assert_eq!(ledger["fleet"]["node"], "node-1");
    let names: Vec<&Value> =
        ledger["fleet"]["nodes"].as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["node-0", "node-1"]);
    assert!(visitor.get("/ledger").await.body.contains("each checked against the head"));

    // Without the database nothing is said that could be a part only.
    tokio::task::block_in_place(|| postgres.end());
    let output = run(&nodes[0], &["ledger", "query"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--this-node"), "{said}");
    told_by(&nodes[0], &["ledger", "query", "--this-node"]);
}

/// Who can write the database cannot write the history of a node: the head that it signed says so.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_changed_in_the_database_are_not_gathered() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let nodes = fleet(&postgres, 2, RULES).await;
    for number in 1..=5 {
        assert_eq!(get(&nodes[0].parcelco(), &format!("/orders/{number}")).await.status, StatusCode::OK);
    }
    rest(&postgres).await;
    told_by(&nodes[0], &["ledger", "query"]);
    // The hash fits the new words; the head does not.
    let change = "UPDATE fieldgate.entry SET leaf = changed.leaf, hash = sha256('\\x00'::bytea || changed.leaf)
        FROM (SELECT node, position, convert_to(replace(convert_from(leaf, 'UTF8'), 'parcelco', 'parcelcx'), 'UTF8')
            AS leaf FROM fieldgate.entry) changed
        WHERE changed.node = entry.node AND changed.position = entry.position AND entry.node = 1 AND entry.position = 4";
    postgres.sql("fieldgate", change);
    // This node has not looked before.
    let output = run(&nodes[1], &["ledger", "query"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("are not those that its key has signed"), "{said}");
    // That one has what was there.
    assert!(!told_by(&nodes[0], &["ledger", "query", "--format", "json"]).contains("parcelcx"));
    postgres.sql("fieldgate", "DELETE FROM fieldgate.sealed WHERE number > 1");
    let output = run(&nodes[0], &["ledger", "query"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("an older copy was put back"), "{said}");
}

/// A ledger of files becomes that of a fleet's first node: the same key, tree and proofs, and all that is in force.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_files_moves_with_all_that_it_proves() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let rules = format!("{RULES}{CONSENT}").replace("burst = 100000", "burst = 100000\nsubjects_per_day = 4");
    let mut house = closed(&postgres, postgres.port, "node-0", &rules).await;
    let in_a_fleet = std::fs::read_to_string(house.path("fieldgate.toml")).unwrap();
    let alone = crate::support::CONFIG.replace("UPSTREAM", &house.upstream.address.to_string());
    std::fs::write(house.path("fieldgate.toml"), &alone).unwrap();
    tokio::task::block_in_place(|| house.open());
    let client = house.parcelco();
    let mut ids = Vec::new();
    for number in [1, 2, 3, 1] {
        let served = get(&client, &format!("/orders/{number}")).await;
        assert_eq!(served.status, StatusCode::OK);
        ids.push(id(&served));
    }
    let form = ["--purpose", "marketing-mail", "--by", "anna", "--source", "form"];
    told(&house, &[&["subject", "grant", "PLANTED-1"], &form[..]].concat());
    assert_eq!(get(&client, "/persons/1").await.status, StatusCode::OK);
    told(&house, &[&["subject", "withdraw", "PLANTED-2"], &form[..]].concat());
    told(
        &house,
        &["subject", "withdraw", "c-9", "--contractor", "parcelco", "--by", "anna", "--source", "form"],
    );
    told(&house, &["suspend", "parcelco", "--by", "otto", "--reason", "lost"]);
    house.rest().await;
    let proof = house.path("proof");
    told_by(&house, &["ledger", "prove", &ids[0], "--output", proof.to_str().unwrap()]);
    let key = told_by(&house, &["ledger", "key"]);
    house.signal("-TERM");
    assert!(house.wait().success());
    let before = std::fs::read_to_string(house.path("ledger/fieldgate.tlog/checkpoint")).unwrap();
    std::fs::write(house.path("before"), &before).unwrap();
    let size: u64 = before.lines().nth(1).unwrap().parse().unwrap();

    std::fs::write(house.path("fieldgate.toml"), &in_a_fleet).unwrap();
    let output = run(&house, &["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("fieldgate ledger migrate"), "{said}");
    let moved = told_by(&house, &["ledger", "migrate"]);
    assert!(moved.contains("3 statements") && moved.contains("1 suspensions"), "{moved}");
    assert_eq!(postgres.sql("fieldgate", "SELECT size FROM fieldgate.tree"), size.to_string());
    // Once more is no harm.
    told_by(&house, &["ledger", "migrate"]);
    assert_eq!(postgres.sql("fieldgate", "SELECT size FROM fieldgate.tree"), size.to_string());

    tokio::task::block_in_place(|| house.open());
    let client = house.parcelco();
    let refused = get(&client, "/orders/1").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "suspended"));
    told(&house, &["resume", "parcelco", "--by", "otto", "--reason", "found"]);
    // Whom it saw today counts on: this customer and one more, and no third.
    assert_eq!(get(&client, "/orders/1").await.status, StatusCode::OK);
    assert_eq!(get(&client, "/persons/1").await.status, StatusCode::OK);
    assert_eq!(get(&client, "/orders/4").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(get(&client, "/orders/9").await.status, StatusCode::NOT_FOUND, "who objects");
    told(&house, &[&["subject", "withdraw", "PLANTED-1"], &form[..]].concat());
    until(&client, "/persons/1", StatusCode::NOT_FOUND).await;
    rest(&postgres).await;
    tokio::task::block_in_place(|| house.verify());
    let since = house.path("before");
    let verdict = told_by(&house, &["ledger", "verify", "--since", since.to_str().unwrap()]);
    assert!(verdict.contains(&format!("{size} entries")) && verdict.contains("all right"), "{verdict}");
    told_by(&house, &["ledger", "verify", "--fleet"]);
    assert_eq!(told_by(&house, &["ledger", "key"]), key);
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_fieldgate"))
        .args(["ledger", "verify-proof", proof.to_str().unwrap(), "--key", key.trim()])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let account = ["ledger", "account", "c-1", "--by", "anna", "--reason", "asked", "--format", "json"];
    let account: Value = serde_json::from_str(&told_by(&house, &account)).unwrap();
    assert_eq!(account["disclosures"], 3, "{account}");
    house.assert_clean();
}

/// What is old enough goes out of the database too, by its owner alone, and out of what other nodes have gathered; a hold
/// that was placed on any node counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_need_not_be_kept_is_deleted_everywhere() {
    let postgres = tokio::task::block_in_place(Postgres::start);
    let mut house = house_of_the_first_version().await;
    tokio::task::block_in_place(|| house.open());
    house.signal("-TERM");
    assert!(house.wait().success());
    let text = config(&postgres, postgres.port, "node-0");
    let text = text.replace("UPSTREAM", &house.upstream.address.to_string());
    std::fs::write(house.path("fieldgate.toml"), text).unwrap();
    told(&house, &["ledger", "migrate"]);
    tokio::task::block_in_place(|| house.open());
    let mut other = closed(&postgres, postgres.port, "node-1", RULES).await;
    std::fs::create_dir_all(other.path("ledger")).unwrap();
    for key in SHARED {
        std::fs::copy(house.path(key), other.path(key)).unwrap();
    }
    tokio::task::block_in_place(|| other.open());
    let count = |house: &House, kind: &str| {
        told_by(house, &["ledger", "query", "--kind", kind, "--format", "json", "--limit", "5000"])
            .lines()
            .count()
    };
    let refusals = count(&other, "refusal");
    assert_eq!(refusals, 233);
    told(
        &other,
        &["ledger", "hold", "place", "case-1", "--kind", "disclosure", "--by", "anna", "--reason", "court"],
    );

    let plan: Value =
        serde_json::from_str(&told_by(&house, &["ledger", "prune", "--format", "json"])).unwrap();
    let (at, token) = (plan["at"].as_str().unwrap(), plan["plan"].as_str().unwrap());
    assert!(plan["held"].as_u64().unwrap() > 300, "{plan}");
    let execute = ["ledger", "prune", "--at", at, "--execute", token, "--by", "anna"];
    let execute = [&execute[..], &["--approved-by", "anna", "--approved-by", "bert"]].concat();
    let refused = |more: &[&str], words: &str| {
        let output = run(&house, &[&execute[..], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(words), "{said}");
    };
    refused(&[], "--url");
    let url = |user: &str| format!("postgres://{user}@127.0.0.1:{}/fieldgate", postgres.port);
    let (owner, gateway) = (url("owner"), url("gateway"));
    let files = ["of the owner", "of the gateway"].map(|password| postgres.password_file(password));
    let [owners, gateways] = files.each_ref().map(|file| file.to_str().unwrap());
    refused(&["--url", &gateway, "--password-file", gateways], "may not delete content");
    let done = told_by(&house, &[&execute[..], &["--url", &owner, "--password-file", owners]].concat());
    assert!(done.contains("is deleted"), "{done}");

    let left = "SELECT count(*) FROM fieldgate.entry WHERE node = 1 AND leaf IS NULL";
    let gone: usize = postgres.sql("fieldgate", left).parse().unwrap();
    assert!(gone > 150 && gone <= refusals, "{gone}");
    assert_eq!(count(&house, "refusal"), refusals - gone);
    assert_eq!(count(&other, "refusal"), refusals - gone, "gathered by the other node before");
    assert!(count(&other, "disclosure") > 300, "held");
    // Whoever gathers anew finds the same.
    rest(&postgres).await;
    let before = gathered_root(&other);
    for file in files_below(&other.path("ledger")) {
        if file.display().to_string().contains("fieldgate.fleet.") {
            std::fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(gathered_root(&other), before);
    for house in [&house, &other] {
        for more in [&["--fleet"][..], &[]] {
            let verdict = told_by(house, &[&["ledger", "verify"], more].concat());
            assert!(verdict.contains("0 errors"), "{verdict}");
        }
    }
    assert!(
        told_by(&other, &["ledger", "verify", "--fleet"])
            .contains(&format!("{gone} entries, of which the hashes"))
    );
}
