//! Consent and objection: who has not consented is not there, a withdrawal counts from the next request on, and
//! the ledger shows that nothing left after it.

use std::process::Output;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::lists::{END, HEAD, chunk, list, numbers, record, reduced};
use crate::support::{Answer, CONFIG, Client, House, RULES, Response};

/// Customers' ids hold the word that is looked for in all that the gateway writes.
const ONE: &str = "PLANTED-1";
const OTHER: &str = "PLANTED-2";

fn rules(contractor: &str) -> String {
    let head = RULES.split("[[task]]").next().unwrap().replace("parcelco", contractor);
    let key = head.replace(
        "9f86d081884c7d65",
        if contractor == "parcelco" { "9f86d081884c7d65" } else { "0f86d081884c7d65" },
    );
    format!(
        r#"{key}
[[task]]
id = "newsletter"
purpose = "Send the newsletter"
basis = "consent"
consent = "marketing-mail"
[[task.route]]
path = "/customers/{{id}}"
upstream = "orders"
subject = "@.id"
disclose = ["@.name"]
[[task.route]]
path = "/customers"
upstream = "orders"
records = "$.data[*]"
subject = "@.id"
disclose = ["@.name"]
[[task]]
id = "deliver-order"
purpose = "Deliver the customer's parcel"
basis = "contract"
[[task.route]]
path = "/orders/{{id}}"
upstream = "orders"
subject = "@.id"
disclose = ["@.name"]
"#
    )
}

async fn house() -> House {
    let (parcelco, helpdesk) = (rules("parcelco"), rules("helpdesk"));
    let house = House::with(CONFIG, &[("parcelco", &parcelco), ("helpdesk", &helpdesk)]).await;
    let body = |id: &str, name: &str| json!({ "id": id, "name": name, "email": "PLANTED" });
    for (path, id, name) in [("1", ONE, "Anna"), ("2", OTHER, "Bram")] {
        for kind in ["customers", "orders"] {
            house.upstream.on(&format!("/{kind}/{path}"), Answer::json(body(id, name).to_string()));
        }
    }
    let list = json!({ "data": [body(ONE, "Anna"), body(OTHER, "Bram"), { "name": "Nobody" }] });
    house.upstream.on("/customers", Answer::json(list.to_string()));
    house
}

fn subject(house: &House, arguments: &[&str]) -> Output {
    let output = tokio::task::block_in_place(|| house.command(&[&["subject"], arguments].concat()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("PLANTED"), "{said}");
    output
}

fn told(house: &House, arguments: &[&str]) -> String {
    let output = subject(house, &[arguments, &["--by", "anna"]].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn get(house: &House, client: &Client, path: &str) -> Response {
    house.get(client, path).await
}

fn nothing_after_withdrawal(house: &House) -> String {
    let output = tokio::task::block_in_place(|| house.ledger(&["query", "--after-withdrawal"]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_consented_is_disclosed_and_a_withdrawal_counts_from_the_next_request_on() {
    let mut house = house().await;
    let client = house.parcelco();
    let refused = get(&house, &client, "/customers/1").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::NOT_FOUND, "not-found"));
    assert_eq!(get(&house, &client, "/customers").await.body, r#"{"data":[]}"#);

    told(&house, &["grant", ONE, "--purpose", "marketing-mail", "--source", "form 7"]);
    assert_eq!(get(&house, &client, "/customers/1").await.body, r#"{"name":"Anna"}"#);
    assert_eq!(get(&house, &client, "/customers").await.body, r#"{"data":[{"name":"Anna"}]}"#);
    let entry = house.told().pop().unwrap();
    assert_eq!(
        (&entry["records"]["released"], &entry["records"]["not_admitted"]),
        (&json!(1), &json!(2)),
        "{entry}"
    );
    assert_eq!((&entry["consent_purpose"], &entry["basis"]), (&json!("marketing-mail"), &json!("consent")));

    told(&house, &["withdraw", ONE, "--purpose", "marketing-mail", "--reason", "letter"]);
    assert_eq!(get(&house, &client, "/customers/1").await.status, StatusCode::NOT_FOUND);
    let entry = house.told().pop().unwrap();
    assert_eq!(entry["cause"], "the customer is not let through");
    assert_eq!(get(&house, &client, "/customers").await.body, r#"{"data":[]}"#);
    let consents: Vec<Value> = house.told().into_iter().filter(|entry| entry["kind"] == "consent").collect();
    assert_eq!((&consents[0]["action"], &consents[1]["action"]), (&json!("granted"), &json!("withdrawn")));
    assert_eq!((&consents[1]["by"], &consents[1]["purpose"]), (&json!("anna"), &json!("marketing-mail")));

    // The purpose of the newsletter is none of the parcel's.
    told(&house, &["grant", OTHER, "--purpose", "marketing-mail"]);
    house.kill();
    house.open();
    let client = house.parcelco();
    assert_eq!(get(&house, &client, "/customers").await.body, r#"{"data":[{"name":"Bram"}]}"#);
    assert!(told(&house, &["show", ONE]).contains("withdrawn"));
    assert!(
        nothing_after_withdrawal(&house).contains("none (1 withdrawals"),
        "{}",
        nothing_after_withdrawal(&house)
    );
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objection_withholds_contract_tasks_of_whom_it_names_and_of_nobody_else() {
    let house = house().await;
    let (parcelco, helpdesk) = (house.parcelco(), house.client(Some("helpdesk")));
    told(&house, &["withdraw", ONE]);
    assert_eq!(get(&house, &parcelco, "/orders/1").await.status, StatusCode::OK, "a contract goes on");
    told(&house, &["withdraw", ONE, "--contractor", "parcelco"]);
    assert_eq!(get(&house, &parcelco, "/orders/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(get(&house, &parcelco, "/orders/2").await.status, StatusCode::OK);
    assert_eq!(get(&house, &helpdesk, "/orders/1").await.status, StatusCode::OK);
    told(&house, &["withdraw", OTHER, "--purpose", "deliver-order"]);
    assert_eq!(get(&house, &helpdesk, "/orders/2").await.status, StatusCode::NOT_FOUND);
    told(&house, &["grant", ONE, "--contractor", "parcelco"]);
    assert_eq!(get(&house, &parcelco, "/orders/1").await.status, StatusCode::OK);
    nothing_after_withdrawal(&house);
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn however_requests_and_withdrawals_cross_no_entry_stands_behind_a_withdrawal() {
    let house = house().await;
    let ask = async |client: Client| {
        let mut served = 0;
        for n in 0..150 {
            let path = if n % 3 == 0 { "/customers" } else { "/customers/1" };
            let response = house.send_unknown(&client, Method::GET, path, "").await;
            assert!([200, 404, 503].contains(&response.status.as_u16()), "{response:?}");
            served += usize::from(response.status == StatusCode::OK);
        }
        served
    };
    let change = async {
        for n in 0..20 {
            let word = if n % 2 == 0 { "grant" } else { "withdraw" };
            told(&house, &[word, ONE, "--purpose", "marketing-mail"]);
            tokio::task::yield_now().await;
        }
    };
    let (one, other, ()) = tokio::join!(ask(house.parcelco()), ask(house.client(Some("helpdesk"))), change);
    assert!(one > 0 && other > 0);
    assert!(
        nothing_after_withdrawal(&house).contains("none (10 withdrawals"),
        "{}",
        nothing_after_withdrawal(&house)
    );
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_imported_wholly_or_not_at_all_and_twice_is_once() {
    let house = house().await;
    let client = house.parcelco();
    let file = house.path("consents.csv");
    let head = "subject,action,purpose,time,receipt\n";
    std::fs::write(
        &file,
        format!(
            "{head}{ONE},grant,marketing-mail,,r1\n{OTHER},grnt,marketing-mail,,\n,grant,marketing-mail,,\n"
        ),
    )
    .unwrap();
    let path = file.display().to_string();
    let refused = subject(&house, &["import", &path, "--by", "anna"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("line 3") && said.contains("line 4"), "{said}");
    assert_eq!(get(&house, &client, "/customers/1").await.status, StatusCode::NOT_FOUND);

    std::fs::write(
        &file,
        format!("{head}{ONE},grant,marketing-mail,,r1\n{OTHER},grant,marketing-mail,2026-01-01,r2\n"),
    )
    .unwrap();
    assert!(told(&house, &["import", &path]).contains("2 statements, 2 of them new"));
    assert!(told(&house, &["import", &path]).contains("2 statements, 0 of them new"));
    told(&house, &["withdraw", ONE, "--purpose", "marketing-mail"]);
    assert!(
        told(&house, &["import", &path]).contains("0 of them new"),
        "a withdrawal is not undone by an old file"
    );
    let lines = house.path("consents.jsonl");
    std::fs::write(&lines, format!("{{\"subject\":\"{OTHER}\",\"action\":\"withdraw\",\"purpose\":\"marketing-mail\",\"time\":\"2025-01-01\"}}\n"))
        .unwrap();
    assert!(told(&house, &["import", &lines.display().to_string()]).contains("0 of them new"), "older news");
    assert_eq!(get(&house, &client, "/customers").await.body, r#"{"data":[{"name":"Bram"}]}"#);
    let slip = subject(&house, &["grant", ONE, "--purpose", "marketing-mial", "--by", "anna"]);
    assert!(
        String::from_utf8_lossy(&slip.stderr).contains("there are: deliver-order, marketing-mail"),
        "{slip:?}"
    );
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_registry_is_lost_nothing_is_disclosed() {
    let mut house = house().await;
    told(&house, &["withdraw", ONE, "--contractor", "parcelco"]);
    house.rest().await;
    house.signal("-TERM");
    assert!(house.wait().success());
    // The ledger knows that something was said.
    for name in ["ledger/fieldgate.consent", "ledger/fieldgate.consent-key"] {
        std::fs::remove_file(house.path(name)).unwrap();
    }
    house.open();
    let client = house.parcelco();
    for path in ["/customers/1", "/orders/1", "/orders/2"] {
        let refused = house.send_unknown(&client, Method::GET, path, "").await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "ledger-unavailable"), "{path}");
    }
    assert!(house.log().contains("put the newest copy back"), "{}", house.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_said_is_found_by_the_customer() {
    let house = house().await;
    told(&house, &["grant", ONE, "--purpose", "marketing-mail"]);
    told(&house, &["withdraw", OTHER]);
    for rested in [false, true] {
        if rested {
            house.rest().await;
        }
        let output = tokio::task::block_in_place(|| {
            house.ledger(&["query", "--kind", "consent", "--subject", ONE, "--format", "json"])
        });
        let found = String::from_utf8(output.stdout).unwrap();
        assert_eq!((found.lines().count(), found.contains("granted")), (1, true), "{found}");
    }
    house.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objection_reaches_the_later_parts_of_a_list_that_is_on_its_way() {
    let config = CONFIG.replace("64KiB", "16MiB").replace("\"2s\"", "\"30s\"");
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    let go = Arc::new(Notify::new());
    let records = |ids: std::ops::Range<u64>| list(ids.map(record));
    let begun = format!("{HEAD}{}", chunk(&format!("{{\"data\":[{},", records(0..500))));
    let rest = format!("{}{END}", chunk(&format!("{}]}}", records(500..1000))));
    house.upstream.on("/orders", Answer::begun(begun, Answer::held(&go, Answer::Raw(rest.into_bytes()))));
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    assert!(response.more().await);
    // Nobody has spoken of this contractor before. The customer comes in one of the last parts.
    let customer = serde_json::from_str::<Value>(&record(900)).unwrap()["customer"]["id"].clone();
    told(&house, &["withdraw", customer.as_str().unwrap(), "--contractor", "parcelco"]);
    go.notify_one();
    let response = response.until_end().await;
    let text = response.text();
    assert!(response.whole && text.contains(&reduced(899)) && text.contains(&reduced(901)));
    assert!(!text.contains(&reduced(900)));
    let parts = numbers(&house.entries_of(&response.disclosure_id()));
    assert!(parts.len() > 3 && parts.last().unwrap().1, "{parts:?}");
    assert!(nothing_after_withdrawal(&house).contains("none (1 withdrawals"));
    house.assert_clean();
}
