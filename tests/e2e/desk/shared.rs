//! What is done at one node is seen, and counts, at the others.

use http::StatusCode;
use serde_json::json;

use crate::support::has_word;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_and_its_sessions_count_at_all_nodes() {
    let postgres = start();
    let nodes = fleet(&postgres, 3).await;
    let password = account(&nodes[0], "anna", "reviewer");
    let anna = signed_in(&nodes[1], "anna", &password).await;
    let elsewhere: Vec<Visitor> = [0, 2].map(|node| moved(&anna, &nodes[node])).into();
    for other in &elsewhere {
        until(other, "/you", SECOND, |reply| reply.status == 200).await;
        let page = other.get("/you").await.body;
        assert!(has_word(&page, "anna") && page.contains("reviewer"), "{page}");
        // A form of one node's page is taken by another.
        assert_eq!(other.form_token().await, anna.form_token().await);
    }
    told(&nodes[2], &["admin", "role", "anna", "auditor", "--by", "test"]);
    until(&anna, "/you", SECOND, |reply| reply.body.contains("auditor")).await;

    // A session ends everywhere.
    assert_eq!(elsewhere[0].post("/sign-out", &[]).await.status, 303);
    let took = until(&anna, "/you", SECOND, |reply| reply.status == 303).await;
    println!("a session that ended was refused on another node after {took:?}");
    until(&elsewhere[1], "/you", SECOND, |reply| reply.status == 303).await;
    // So do all, with another password, and with the account.
    let one = signed_in(&nodes[0], "anna", &password).await;
    let new = told(&nodes[1], &["admin", "password", "anna", "--by", "test"]);
    until(&one, "/you", SECOND, |reply| reply.status == 303).await;
    let new = new.split_once("shown once: ").unwrap().1.trim();
    let again = signed_in(&nodes[2], "anna", new).await;
    assert_eq!(Visitor::new(&nodes[0], "http", None).sign_in("anna", &password).await.status, 401);
    told(&nodes[0], &["admin", "remove", "anna", "--by", "test"]);
    until(&again, "/you", SECOND, |reply| reply.status == 303).await;
    assert_eq!(Visitor::new(&nodes[1], "http", None).sign_in("anna", new).await.status, 401);
    assert!(!told(&nodes[2], &["admin", "list", "--format", "json"]).contains("anna"));

    let log = postgres.sql("fieldgate", "SELECT body FROM fieldgate.desk");
    let token = one.cookie("fieldgate-review").unwrap();
    assert!(log.contains("$argon2id$") && log.contains("session-begin"));
    assert!(![password.as_str(), new, &token].iter().any(|secret| log.contains(secret)));
    assert_alike(&postgres, &nodes).await;
    nodes.into_iter().for_each(House::assert_clean);
}

/// Nobody but a gateway reads the log, and a gateway adds at its end alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_review_sides_is_for_gateways_and_grows_at_its_end_only() {
    let postgres = start();
    let may = |role: &str, right: &str| {
        let sql = format!("SELECT has_table_privilege('{role}', 'fieldgate.desk', '{right}')");
        postgres.sql("fieldgate", &sql) == "t"
    };
    for right in ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"] {
        assert!(!may("fieldgate_reader", right), "{right}");
        assert_eq!(may("fieldgate_gateway", right), right == "SELECT", "{right}");
    }
    let sql = "SELECT has_function_privilege('fieldgate_reader',
        'fieldgate.decide(integer, bigint, text, bytea)', 'EXECUTE')";
    assert_eq!(postgres.sql("fieldgate", sql), "f");
    let mut nodes = fleet(&postgres, 1).await;
    let decide = |known: i64| {
        let sql = format!("SET ROLE gateway; SELECT fieldgate.decide(1, {known}, '{{}}', '')");
        postgres.sql("fieldgate", &sql)
    };
    let last: i64 = postgres
        .sql("fieldgate", "SELECT max(number) FROM fieldgate.desk")
        .parse()
        .expect("the rules are kept");
    assert_eq!(decide(last - 1), "f");
    let count = "SELECT count(*) FROM fieldgate.desk";
    assert_eq!(postgres.sql("fieldgate", count), last.to_string());
    // A gateway that could do more is refused.
    nodes[0].kill();
    postgres.sql("fieldgate", "GRANT DELETE ON fieldgate.desk TO gateway");
    let output = tokio::task::block_in_place(|| nodes[0].command(&["serve"]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("may change or delete entries"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_acknowledged_and_muted_for_all_nodes() {
    let postgres = start();
    let nodes = fleet(&postgres, 2).await;
    let password = account(&nodes[0], "anna", "reviewer");
    let visitors =
        [signed_in(&nodes[0], "anna", &password).await, signed_in(&nodes[1], "anna", &password).await];
    // Both have a signal of their own, at the same place of their ledgers perhaps.
    for house in &nodes {
        let path = format!("/orders/{CANARY}");
        let served = house.parcelco().try_send(http::Method::GET, &path, "").await.unwrap();
        assert_eq!(served.status, StatusCode::OK);
    }
    let count = |reply: &Reply| reply.json()["alerts"].as_array().map_or(0, Vec::len);
    for visitor in &visitors {
        until(visitor, "/api/v1/alerts", Duration::from_secs(30), |reply| count(reply) == 2).await;
    }
    let list = visitors[0].get("/api/v1/alerts").await.json();
    assert_eq!(list["alerts"], visitors[1].get("/api/v1/alerts").await.json()["alerts"]);
    // Whichever node was first has raised it, about an entry that either of them has written.
    let mut written = Vec::new();
    for alert in list["alerts"].as_array().unwrap() {
        assert!(alert["node"].as_str().unwrap().starts_with("node-"));
        let shown = visitors[0].get(&format!("/api/v1/alerts/{}", alert["number"])).await.json();
        let target = format!("/api/v1/entries/{}", shown["entry"]);
        // What the other node has written is gathered in its own time.
        let is_signal = |reply: &Reply| reply.json()["content"]["kind"] == "signal";
        until(&visitors[1], &target, Duration::from_secs(30), is_signal).await;
        let entry = visitors[1].get(&target).await.json();
        written.push(entry["content"]["node"].as_str().unwrap().to_owned());
    }
    written.sort_unstable();
    assert_eq!(written, ["node-0", "node-1"]);

    // Said at both nodes at once, it is said once.
    let notes = [json!({ "note": "Of node 0." }), json!({ "note": "Of node 1." })];
    for number in [1, 2] {
        let target = format!("/api/v1/alerts/{number}/acknowledge");
        let (one, other) =
            tokio::join!(send(&visitors[0], &target, &notes[0]), send(&visitors[1], &target, &notes[1]));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
        let winner = if one.status == 200 { &one } else { &other };
        let said = winner.json()["acknowledged"]["note"].clone();
        for visitor in &visitors {
            let target = format!("/api/v1/alerts/{number}");
            let is_so = |reply: &Reply| reply.json()["acknowledged"]["note"] == said;
            until(visitor, &target, SECOND, is_so).await;
        }
    }

    // Many at once: each has a number of its own, and the same one everywhere.
    let until_day = in_days(3);
    let body =
        json!({ "signal": "off-hours", "contractor": "", "until": until_day, "reason": "A campaign." });
    let sending = (0..12).map(|at| send(&visitors[at % 2], "/api/v1/alerts/mutes", &body));
    let mut numbers: Vec<u64> = Vec::new();
    for reply in futures_util::future::join_all(sending).await {
        assert_eq!(reply.status, 200, "{reply:?}");
        numbers.push(reply.json()["number"].as_u64().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    assert_alike(&postgres, &nodes).await;
    let ended = send(&visitors[1], "/api/v1/alerts/mutes/7/end", &json!({})).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let mutes = |reply: &Reply| reply.json()["mutes"].as_array().map_or(0, Vec::len);
    until(&visitors[0], "/api/v1/alerts", SECOND, |reply| mutes(reply) == 11).await;
    assert_alike(&postgres, &nodes).await;
    nodes.into_iter().for_each(House::assert_clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_begun_at_one_node_decided_at_another_and_signed_off_once() {
    let postgres = start();
    let nodes = fleet(&postgres, 2).await;
    let password = account(&nodes[0], "anna", "reviewer");
    let visitors =
        [signed_in(&nodes[0], "anna", &password).await, signed_in(&nodes[1], "anna", &password).await];
    let begun = send(&visitors[0], "/api/v1/reviews", &json!({ "contractor": "parcelco" })).await;
    let target = format!("/api/v1/reviews/{}", begun.json()["id"]);
    until(&visitors[1], &target, SECOND, |reply| reply.status == 200).await;
    let one = visitors[1].get(&target).await.json();
    let tasks = one["tasks"].as_array().unwrap().iter();
    let items = tasks.flat_map(|task| task["items"].as_array().unwrap());
    let decisions: Vec<Value> = items.map(|item| json!({ "item": item["id"], "decision": "keep" })).collect();
    let decided =
        send(&visitors[1], &format!("{target}/decisions"), &json!({ "decisions": decisions })).await;
    assert_eq!(decided.status, 200, "{decided:?}");
    until(&visitors[0], &target, SECOND, |reply| reply.json()["undecided"] == 0).await;
    // Until the period is counted, nothing is signed off.
    let began = Instant::now();
    let sign_off = format!("{target}/sign-off");
    loop {
        let seen = json!({ "seen": visitors[0].get(&target).await.json()["seen"] });
        let (one, other) =
            tokio::join!(send(&visitors[0], &sign_off, &seen), send(&visitors[1], &sign_off, &seen));
        let signed = [&one, &other].iter().filter(|reply| reply.status == 200).count();
        assert!(signed <= 1, "{one:?} {other:?}");
        if signed == 1 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{one:?} {other:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for visitor in &visitors {
        until(visitor, &target, SECOND, |reply| reply.json()["review"]["state"] == "signed").await;
    }
    let evidence = format!("{}/evidence", target.replace("/api/v1", ""));
    let kept = visitors[0].get(&evidence).await;
    assert!(kept.status == 200 && kept.body.contains("\"signed_by\": \"anna\""), "{kept:?}");
    assert_eq!(visitors[1].get(&evidence).await.body, kept.body);
    // A node's archive is behind the database by a moment.
    tokio::time::sleep(SECOND * 2).await;
    let is_review = "convert_from(leaf, 'UTF8')::json ->> 'kind' = 'review'";
    let sql = format!("SELECT count(*) FROM fieldgate.entry WHERE {is_review}");
    assert_eq!(postgres.sql("fieldgate", &sql), "1");
    let reviews = |house: &House| house.entries().iter().filter(|entry| entry["kind"] == "review").count();
    let count: usize = nodes.iter().map(reviews).sum();
    assert_eq!(count, 1, "one sign-off is in the ledger");
    assert_alike(&postgres, &nodes).await;
    nodes.into_iter().for_each(House::assert_clean);
}
