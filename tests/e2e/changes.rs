//! What changes while the gateway runs: suspensions, certificates, revocation lists, rules. Each counts from
//! the next request on, also on a connection that was open before.

use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fieldgate::authority::Authority;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::Notify;

use crate::support::lists::{END, HEAD, assert_parts_then_refusal, chunk, list, of_kind, record};
use crate::support::{Answer, CONFIG, Client, House, RULES, Response, order, reduced_order};

const WITH_LIST: &str = "crl = [\"certs/contractor-ca.crl\"]\n[ledger]";

async fn house(config: &str) -> House {
    let house = House::with(config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house
}

fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Asks on the client's one connection until the answer is as wanted.
async fn until(house: &House, client: &Client, wanted: impl Fn(&Response) -> bool) -> Response {
    let began = Instant::now();
    loop {
        let response = house.send_unknown(client, Method::GET, "/orders/1", "").await;
        if wanted(&response) {
            return response;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{response:?}\n{}", house.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_suspended_contractor_gets_nothing_until_it_is_resumed_also_after_a_restart() {
    let mut house = house(CONFIG).await;
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.body, reduced_order(1));
    let unknown = house.command(&["suspend", "parcelo", "--by", "anna"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are: parcelco"), "{unknown:?}");
    succeeds(&house.command(&["suspend", "parcelco", "--by", "anna", "--reason", "a lost laptop"]));

    // The command has come back: the very next request is refused, on the connection that was open.
    let refused = house.get(&client, "/orders/1").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "suspended"));
    let receipt = house.get(&client, "/.well-known/fieldgate/receipts/x").await;
    assert_eq!(receipt.code(), "suspended");
    assert_eq!(house.upstream.requests().len(), 1);
    assert!(succeeds(&house.command(&["suspend"])).contains("a lost laptop"));

    house.signal("-TERM");
    assert!(house.wait().success());
    house.open();
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.code(), "suspended");
    succeeds(&house.command(&["resume", "parcelco", "--by", "bert", "--reason", "found again"]));
    assert_eq!(house.get(&client, "/orders/1").await.body, reduced_order(1));
    assert_eq!(house.command(&["resume", "parcelco", "--by", "bert"]).status.code(), Some(2));

    let entries = house.entries();
    let told: Vec<_> = of_kind(&entries, "suspension")
        .iter()
        .map(|entry| json!([entry["contractor"], entry["action"], entry["by"], entry["reason"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["parcelco", "suspended", "anna", "a lost laptop"]),
            json!(["parcelco", "resumed", "bert", "found again"])
        ]
    );
    house.assert_clean();
}

#[tokio::test]
async fn a_suspension_without_a_gateway_holds_when_it_starts() {
    let mut house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    succeeds(&house.command(&["suspend", "parcelco", "--by", "anna"]));
    house.open();
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.code(), "suspended");
    house.assert_clean();
}

#[tokio::test]
async fn a_request_that_waits_for_its_upstream_is_suspended_too() {
    let house = house(&CONFIG.replace("\"2s\"", "\"30s\"")).await;
    let go = Arc::new(Notify::new());
    let answer = Answer::json(order(2, "parcelco", "ready_to_ship"));
    house.upstream.on("/orders/2", Answer::held(&go, answer));
    let (client, arrival) = (house.parcelco(), house.upstream.arrival());
    let waiting = tokio::spawn(async move { client.try_send(Method::GET, "/orders/2", "").await.unwrap() });
    arrival.await;
    succeeds(&house.command(&["suspend", "parcelco", "--by", "anna"]));
    go.notify_one();
    assert_eq!(waiting.await.unwrap().code(), "suspended");
    house.assert_clean();
}

#[tokio::test]
async fn a_suspension_cuts_a_response_that_is_on_its_way() {
    let house = house(&CONFIG.replace("64KiB", "16MiB").replace("\"2s\"", "\"30s\"")).await;
    let go = Arc::new(Notify::new());
    let records = |ids: std::ops::Range<u64>| list(ids.map(record));
    let begun = format!("{HEAD}{}", chunk(&format!("{{\"data\":[{},", records(0..500))));
    let rest = format!("{}{END}", chunk(&format!("{}]}}", records(500..1000))));
    house.upstream.on("/orders", Answer::begun(begun, Answer::held(&go, Answer::Raw(rest.into_bytes()))));
    let mut response = house.parcelco().begin(Method::GET, "/orders").await;
    assert!(response.more().await);
    succeeds(&house.command(&["suspend", "parcelco", "--by", "anna"]));
    go.notify_one();
    let response = response.until_end().await;
    assert!(!response.whole);
    let mut entries = house.entries_of(&response.disclosure_id());
    entries.retain(|entry| entry["kind"] != "subjects");
    assert_parts_then_refusal(&entries, "suspended", "suspended");
    house.assert_clean();
}

#[tokio::test]
async fn a_certificate_that_is_revoked_is_refused_on_its_open_connection() {
    let house = house(&CONFIG.replace("[ledger]", WITH_LIST)).await;
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.status, StatusCode::OK);
    succeeds(&house.certs(&["revoke", "parcelco", "--reason", "key-compromise"]));
    let refused = until(&house, &client, |response| response.status != StatusCode::OK).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "bad-credential"));
    // A new connection does not come about.
    assert!(house.parcelco().try_send(Method::GET, "/orders/1", "").await.is_err());

    let listed = house.certs(&["list", "--format", "json"]);
    let listed = succeeds(&listed);
    let parcelco = listed.lines().find(|line| line.contains("\"parcelco\"")).unwrap();
    assert!(parcelco.contains("key-compromise") && parcelco.contains("spiffe://parcelco.example/gateway"));
    assert!(listed.contains("\"valid\""), "{listed}");
    // The list keeps what it has.
    succeeds(&house.certs(&["revoke", "helpdesk"]));
    assert!(succeeds(&house.certs(&["list"])).contains("key-compromise"));
    assert_eq!(house.certs(&["revoke", "nobody"]).status.code(), Some(2));
    house.assert_clean();
}

#[tokio::test]
async fn a_second_certificate_of_the_same_name_takes_over_before_the_first_is_revoked() {
    let house = house(&CONFIG.replace("[ledger]", WITH_LIST)).await;
    succeeds(&house.certs(&["issue", "parcelco-2", "--san", "URI:spiffe://parcelco.example/gateway"]));
    let second = house.client(Some("parcelco-2"));
    for client in [&house.parcelco(), &second] {
        assert_eq!(house.get(client, "/orders/1").await.status, StatusCode::OK);
    }
    succeeds(&house.certs(&["revoke", "parcelco"]));
    house.logged("read anew").await;
    assert!(house.parcelco().try_send(Method::GET, "/orders/1", "").await.is_err());
    assert_eq!(house.get(&second, "/orders/1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_client_authority_ends_what_the_one_before_let_in() {
    let house = house(CONFIG).await;
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.status, StatusCode::OK);
    let other = Authority::new(house.path("other"));
    other.init(&["localhost".to_owned()]).unwrap();
    std::fs::rename(house.path("other/contractor-ca.pem"), house.path("certs/contractor-ca.pem")).unwrap();
    let refused = until(&house, &client, |response| response.status != StatusCode::OK).await;
    assert_eq!(refused.code(), "bad-credential");
}

#[tokio::test]
async fn a_renewed_gateway_certificate_is_shown_and_a_damaged_one_leaves_the_last_good_one() {
    let house = house(CONFIG).await;
    let shown = async |house: &House| {
        let stream = house.parcelco().raw().await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let first = shown(&house).await;
    let file = |name: &str| house.path("certs").join(name);
    for name in ["gateway.pem", "gateway.key"] {
        std::fs::rename(file(name), house.path(name)).unwrap();
    }
    house.logged("cannot be read anew").await;
    assert_eq!(shown(&house).await, first);
    Authority::new(house.path("certs")).init(&["localhost".to_owned()]).unwrap();
    house.logged("revocation lists were read anew").await;
    assert_ne!(shown(&house).await, first);
}

/// Puts a token in the place of the one before, in one step.
fn put(house: &House, token: &str, mode: u32) {
    let (file, fresh) = (house.path("secrets/orders.token"), house.path("secrets/fresh"));
    std::fs::write(&fresh, token).unwrap();
    std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

#[tokio::test]
async fn another_bearer_token_is_shown_to_the_upstream_and_an_exposed_one_is_not_taken() {
    let config = CONFIG.replace("max_body", "bearer = { file = \"secrets/orders.token\" }\nmax_body");
    let mut house = House::closed(&config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    std::fs::create_dir(house.path("secrets")).unwrap();
    put(&house, "first\n", 0o600);
    house.open();
    let client = house.parcelco();
    let shown = async |house: &House, wanted: &str| {
        until(house, &client, |response| {
            assert_eq!(response.status, StatusCode::OK);
            let told = house.upstream.requests();
            told.last().unwrap().to_lowercase().contains(&format!("authorization: bearer {wanted}\r\n"))
        })
        .await;
    };
    shown(&house, "first").await;
    put(&house, "second", 0o644);
    house.logged("what is shown to the upstream cannot be read anew").await;
    shown(&house, "first").await;
    put(&house, "third", 0o600);
    shown(&house, "third").await;
    assert!(!["first", "second", "third"].iter().any(|token| house.log().contains(token)), "{}", house.log());
}

/// A gateway in front of another one shows it a contractor's certificate, and then another's.
#[tokio::test]
async fn another_certificate_is_shown_to_the_upstream_on_its_next_connection() {
    let inner = house(CONFIG).await;
    let rules = RULES
        .replace(
            "when = \"@.carrier == 'parcelco' && @.status == 'ready_to_ship'\"\ndisclose = [\n",
            "disclose = [\n",
        )
        .replace("subject = \"@.customer.id\"\ndisclose", "disclose");
    let tls = "ca = \"shown/ca.pem\"\nclient_certificate = \"shown/own.pem\"\nclient_key = \"shown/own.key\"\nserver_name = \"localhost\"\nmax_body";
    let config =
        CONFIG.replace("http://UPSTREAM", &format!("https://{}", inner.address)).replace("max_body", tls);
    let mut outer = House::closed(&config, &[("parcelco", &rules)]).await;
    let folder = outer.path("shown");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(inner.path("certs/company-ca.pem"), folder.join("ca.pem")).unwrap();
    let show = |name: &str, what: &str| {
        std::fs::copy(inner.path(&format!("certs/{name}.{what}")), folder.join("fresh")).unwrap();
        std::fs::rename(folder.join("fresh"), folder.join(format!("own.{what}"))).unwrap();
    };
    ["pem", "key"].iter().for_each(|what| show("parcelco", what));
    outer.open();
    let client = outer.parcelco();
    assert_eq!(outer.get(&client, "/orders/1").await.status, StatusCode::OK);
    // Half of a change is none.
    show("stranger", "pem");
    outer.logged("what is shown to the upstream cannot be read anew").await;
    assert_eq!(outer.get(&client, "/orders/1").await.status, StatusCode::OK);
    // The inner gateway does not know this one: the connection that is open to it is not used any more.
    show("stranger", "key");
    until(&outer, &client, |response| response.status == StatusCode::BAD_GATEWAY).await;
    ["pem", "key"].iter().for_each(|what| show("parcelco", what));
    until(&outer, &client, |response| response.status == StatusCode::OK).await;
}

#[tokio::test]
async fn what_an_error_asks_for_is_seen_when_it_is_done_and_lists_do_not_wait_for_it() {
    let house = house(&CONFIG.replace("[ledger]", WITH_LIST)).await;
    let key = house.path("certs/gateway.key");
    let mode =
        |mode| std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    house.logged("run: chmod 600").await;
    // A certificate that cannot be used keeps no revocation out.
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.status, StatusCode::OK);
    succeeds(&house.certs(&["revoke", "parcelco"]));
    until(&house, &client, |response| response.status == StatusCode::UNAUTHORIZED).await;
    mode(0o600);
    house.logged("revocation lists were read anew").await;
}

#[tokio::test]
async fn rules_that_wait_for_a_file_come_into_force_when_it_is_there() {
    let house = house(CONFIG).await;
    let jwt = "jwt = { issuer = \"i\", audience = \"a\", subject = \"s\", jwks = \"certs/late.json\" }\n";
    let text =
        RULES.replacen("[[task]]", &format!("[[contractor.credential]]\nid = \"late\"\n{jwt}[[task]]"), 1);
    std::fs::write(house.path("rules/parcelco.toml"), text).unwrap();
    house.logged("certs/late.json").await;
    let key = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    std::fs::write(house.path("certs/late.json"), key).unwrap();
    house.logged("rules came into force").await;
}

#[tokio::test]
async fn rules_that_change_decide_the_next_request_and_broken_ones_change_nothing() {
    let house = house(CONFIG).await;
    let client = house.parcelco();
    assert_eq!(house.get(&client, "/orders/1").await.body, reduced_order(1));
    let rules = house.path("rules/parcelco.toml");
    let replace = |text: &str| {
        std::fs::write(house.path("new.toml"), text).unwrap();
        std::fs::rename(house.path("new.toml"), &rules).unwrap();
    };
    replace(&RULES.replace("@.recipient.name\",\n  \"@.shipping", "@.recipient.nam\",\n  \"@.shipping"));
    let without = until(&house, &client, |response| response.body != reduced_order(1)).await;
    assert!(without.status == StatusCode::OK && !without.body.contains("name"), "{without:?}");

    replace("[contractor]\nid = \"parcelco\"\n");
    house.logged("rules cannot be read anew").await;
    assert!(house.log().contains("`contractor.name` is missing"), "{}", house.log());
    assert_eq!(house.get(&client, "/orders/1").await.body, without.body);

    // Without a file the contractor is not known any more.
    std::fs::remove_file(&rules).unwrap();
    let refused = until(&house, &client, |response| response.status != StatusCode::OK).await;
    assert_eq!(refused.code(), "bad-credential");
    let entries = house.entries();
    let digests: Vec<_> = of_kind(&entries, "rules").iter().map(|entry| entry["rules"].clone()).collect();
    assert!(digests.len() == 3 && digests[0] != digests[1], "{digests:?}");
    let told = of_kind(&entries, "rules");
    assert!(told[0].get("changes").is_none() && told[1]["before"] == digests[0], "{told:?}");
    assert_eq!((&told[1]["widen"], &told[1]["narrow"]), (&json!(1), &json!(1)), "{told:?}");
    let change = &told[1]["changes"][1];
    assert_eq!((&change["effect"], &change["contractor"]), (&json!("narrows"), &json!("parcelco")));
    assert!(change["what"].as_str().unwrap().contains("recipient.name is not"), "{told:?}");
    assert_eq!(told[2]["changes"][0]["what"], "ParcelCo is not a contractor any more");
    house.assert_clean();
}

#[tokio::test]
async fn new_rules_give_nobody_a_second_budget() {
    let slow = RULES.replace("\"100000/s\"", "\"2/h\"").replace("burst = 100000", "burst = 2");
    let house = House::with(CONFIG, &[("parcelco", &slow)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    for _ in 0..2 {
        assert_eq!(house.get(&client, "/orders/1").await.status, StatusCode::OK);
    }
    std::fs::write(house.path("rules/parcelco.toml"), format!("{slow}\n# reviewed\n")).unwrap();
    house.signal("-HUP");
    house.logged("rules came into force").await;
    assert_eq!(house.get(&client, "/orders/1").await.code(), "rate-limited");
}

#[tokio::test]
async fn the_log_says_in_time_which_certificates_and_lists_end() {
    let mut house = House::closed(&CONFIG.replace("[ledger]", WITH_LIST), &[("parcelco", RULES)]).await;
    succeeds(&house.certs(&["revoke", "stranger", "--days", "9"]));
    let san = "URI:spiffe://parcelco.example/gateway";
    succeeds(&house.certs(&["issue", "parcelco-short", "--san", san, "--days", "20"]));
    assert_eq!(house.certs(&["list"]).status.code(), Some(1), "one of them ends soon");
    house.open();
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    for name in ["parcelco-short", "parcelco", "parcelco-short"] {
        assert_eq!(house.get(&house.client(Some(name)), "/orders/1").await.status, StatusCode::OK);
    }
    house.logged("revocation list").await;
    let log = house.log();
    assert!(log.contains("ends soon") && log.contains("contractor-ca.crl"), "{log}");
    assert_eq!(log.matches("a contractor's certificate ends soon").count(), 1, "{log}");
    house.assert_clean();
}
