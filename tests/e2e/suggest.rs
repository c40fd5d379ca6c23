//! `fieldgate suggest`: what the ledger shows that nobody uses can go, and what is used is served as before.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Answer, CONFIG, House, RULES, order};

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn used_house() -> (House, String) {
    let rules = RULES.replace("burst = 100000\n", "burst = 100000\nsubjects_per_day = 20_000\n");
    let house = House::with(CONFIG, &[("parcelco", &rules)]).await;
    // Nobody has a phone.
    let without = order(1, "parcelco", "ready_to_ship").replace("\"phone\":\"+31 6 1234 5678\",", "");
    house.upstream.on("/orders/1", Answer::json(without));
    let body = house.get(&house.parcelco(), "/orders/1").await.body;
    assert_eq!(house.get(&house.parcelco(), "/orders/2").await.status, 404);
    (house, body)
}

#[tokio::test]
async fn what_nobody_used_is_cut_and_the_rest_is_served_as_before() {
    let (mut house, body) = used_house().await;
    let narrow = house.path("narrow");
    let output = house.command(&["suggest", "--format", "json", "--write", narrow.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let cuts: Vec<Value> = text(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cut = |place: &str, what: &str| {
        let fits = |cut: &&Value| cut["route"].as_str().unwrap_or("") == place && cut["cut"] == what;
        let found = cuts.iter().find(fits).unwrap_or_else(|| panic!("{place} {what}: {cuts:#?}"));
        assert_eq!(found["done"], true, "{found}");
    };
    cut("", "the credential parcelco-batch");
    cut("/orders/{order_id}", "\"@.recipient.phone\"");
    for route in ["/orders", "/orders/{order_id}/notes", "/customers/{id}/name"] {
        cut(route, "the route");
    }
    cut("", "subjects_per_day = 2 instead of 20000");
    assert_eq!(cuts.len(), 7, "{cuts:#?}");

    // It narrows, is without error, and serves what was served.
    let rules = house.path("rules");
    let diff = house.command(&["diff", rules.to_str().unwrap(), narrow.to_str().unwrap()]);
    assert!(diff.status.success(), "{diff:?}");
    std::fs::copy(narrow.join("parcelco.toml"), rules.join("parcelco.toml")).unwrap();
    let check = house.command(&["check"]);
    assert!(check.status.success(), "{check:?}");
    house.signal("-TERM");
    assert!(house.wait().success());
    house.open();
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.body, body);
    assert_eq!(house.get(&house.parcelco(), "/orders").await.status, 404);

    let again = house.command(&["suggest", "parcelco"]);
    assert!(again.status.success(), "{again:?}");
    assert!(text(&again).contains("as small as what was used"), "{again:?}");
    house.assert_clean();
}

#[tokio::test]
async fn the_change_can_be_applied_as_a_patch() {
    let (house, _) = used_house().await;
    let narrow = house.path("narrow");
    house.command(&["suggest", "--write", narrow.to_str().unwrap()]);
    let output = house.command(&["suggest", "--diff"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let patch = house.path("change.patch");
    std::fs::write(&patch, &output.stdout).unwrap();
    let mut apply = Command::new("git");
    apply.args(["apply", "-p0"]).arg(&patch).current_dir(house.folder.path());
    let applied = apply.output().unwrap();
    assert!(applied.status.success(), "{applied:?}\n{}", text(&output));
    let read = |folder: &str| std::fs::read_to_string(house.path(folder).join("parcelco.toml")).unwrap();
    assert_eq!(read("rules"), read("narrow"));
    // There is nothing more to cut then.
    let table = text(&house.command(&["suggest"]));
    assert!(table.contains("as small as what was used"), "{table}");
}

#[tokio::test]
async fn a_contractor_that_nobody_knows_and_a_folder_that_is_in_use_are_refused() {
    let (house, _) = used_house().await;
    let unknown = house.command(&["suggest", "parcelc"]);
    assert_eq!(unknown.status.code(), Some(2));
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(error.contains("no rule file is about a contractor parcelc"), "{error}");
    let rules = house.path("rules");
    let full = house.command(&["suggest", "--write", rules.to_str().unwrap()]);
    assert_eq!(full.status.code(), Some(2));
    assert_eq!(std::fs::read_dir(&rules).unwrap().count(), 1);
}
