//! Alerts: out of signals, with what is behind them; what people say about them; and out of the house.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::support::{Answer, CONFIG, House, RULES, Reply, Visitor, order};

use super::{open, signed_in};

/// A planted customer; no order of another test is about it.
const CANARY: u64 = 7_391_826_043;
const KEY: &str = "a key of at least sixteen bytes";

/// A house with a planted customer, and orders by number.
async fn house_with(more: &str) -> House {
    let rules =
        RULES.replace("id = \"parcelco\"\n", &format!("id = \"parcelco\"\ncanaries = [\"c-{CANARY}\"]\n"));
    let mut house = House::closed(CONFIG, &[("parcelco", &rules)]).await;
    for id in (500..530).chain([CANARY]) {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
    }
    open(&mut house, more);
    house
}

async fn ask(house: &House, id: u64) -> String {
    let path = format!("/orders/{id}");
    let response = house.send_unknown(&house.parcelco(), Method::GET, &path, "").await;
    assert_eq!(response.status, 200, "{response:?}");
    response.disclosure_id()
}

/// Asks until the answer fits.
async fn until(visitor: &Visitor, target: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let found = visitor.get(target).await.json();
        if fits(&found) {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{target}: {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn count(list: &Value) -> usize {
    list["alerts"].as_array().unwrap().len()
}

/// What people said about alerts, as the ledger has it.
fn said(house: &House) -> Vec<Value> {
    house.entries().into_iter().filter(|entry| entry["kind"] == "alert").collect()
}

async fn post(visitor: &Visitor, target: &str, body: &Value) -> Reply {
    let token = visitor.form_token().await;
    let headers = [("content-type", "application/json"), ("x-form-token", token.as_str())];
    visitor.send(Method::POST, target, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_planted_customer_is_an_alert_that_somebody_acknowledges_once_and_nobody_mutes() {
    let house = house_with("").await;
    let id = ask(&house, CANARY).await;
    let operator = signed_in(&house, "olga", "operator").await;
    let list = until(&operator, "/api/v1/alerts", |list| count(list) == 1).await;
    let alert = &list["alerts"][0];
    assert_eq!((&alert["signal"], &alert["severity"]), (&json!("canary"), &json!("critical")));
    assert_eq!((&alert["state"], &alert["contractor"]), (&json!("open"), &json!("parcelco")));
    assert_eq!((&alert["requests"], &list["outlets"]), (&json!([id]), &json!([])));
    let entries = house.entries();
    let index = |kind: &str| entries.iter().position(|entry| entry["kind"] == kind).unwrap();
    assert_eq!(alert["entry"], json!(index("signal")));

    let full = operator.get("/api/v1/alerts/1").await.json();
    let behind = full["entries"].as_array().unwrap();
    assert_eq!((behind.len(), &behind[0]["index"]), (1, &json!(index("disclosure"))), "{full}");
    assert_eq!((&full["missing"], &full["alike"]), (&json!(0), &json!(1)));
    let page = operator.get("/alerts/1").await;
    let link = format!("href=\"/entries/{}\"", index("disclosure"));
    assert!(page.body.contains("A planted customer was disclosed") && page.body.contains(&link), "{page:?}");
    assert!(page.body.contains("cannot be muted") && !page.body.contains(&CANARY.to_string()));

    let auditor = signed_in(&house, "axel", "auditor").await;
    assert!(!auditor.get("/alerts/1").await.body.contains("<textarea"), "an auditor decides nothing");
    let note = json!({ "note": "Asked parcelco: a test of theirs." });
    let wrong = [
        post(&auditor, "/api/v1/alerts/1/acknowledge", &note).await.status,
        post(&operator, "/api/v1/alerts/1/acknowledge", &json!({ "note": " " })).await.status,
        post(&operator, "/api/v1/alerts/1/acknowledge", &json!({ "note": "x".repeat(501) })).await.status,
        post(&operator, "/api/v1/alerts/2/acknowledge", &note).await.status,
        post(&operator, "/api/v1/alerts/mutes", &mute("canary", "2026")).await.status,
        post(&operator, "/api/v1/alerts/mutes", &mute("canary", &in_days(3))).await.status,
        post(&operator, "/api/v1/alerts/mutes", &mute("off-hours", &in_days(400))).await.status,
        post(&operator, "/api/v1/alerts/mutes", &mute("off-hours", "2020-01-01")).await.status,
    ];
    assert_eq!(wrong.map(|status| status.as_u16()), [403, 400, 400, 404, 400, 400, 400, 400]);
    assert_eq!(said(&house), [] as [Value; 0], "what is refused leaves no entry");

    let done = operator.post("/alerts/1/acknowledge", &[("note", note["note"].as_str().unwrap())]).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/alerts/1"));
    let again = post(&operator, "/api/v1/alerts/1/acknowledge", &note).await;
    assert_eq!(again.status, 409);
    let entries = said(&house);
    assert_eq!(entries.len(), 1, "{entries:?}");
    let entry = &entries[0];
    assert_eq!((&entry["action"], &entry["by"]), (&json!("acknowledge"), &json!("olga")));
    assert_eq!((&entry["alert"], &entry["position"]), (&json!(1), &alert["entry"]));
    assert_eq!((&entry["signal"], &entry["note"]), (&json!("canary"), &note["note"]));
    assert_eq!(count(&operator.get("/api/v1/alerts").await.json()), 0);
    let closed = operator.get("/api/v1/alerts?state=acknowledged&severity=critical").await.json();
    assert_eq!(closed["alerts"][0]["acknowledged"]["by"], "olga", "{closed}");
    assert!(operator.get("/alerts").await.body.contains("Nothing is open"));
    assert_eq!(operator.get("/alerts?state=closed").await.status, 400);
}

fn in_days(days: i64) -> String {
    let time = jiff::Timestamp::now().as_second() + days * 86_400;
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(time).unwrap()).date().to_string()
}

fn mute(signal: &str, until: &str) -> Value {
    json!({ "signal": signal, "contractor": "parcelco", "until": until, "reason": "A campaign." })
}

#[tokio::test]
async fn what_is_muted_is_not_open_until_the_mute_ends() {
    let mut house = house_with("").await;
    let reviewer = signed_in(&house, "rita", "reviewer").await;
    let stranger =
        json!({ "signal": "enumeration", "contractor": "nobody", "until": in_days(2), "reason": "x" });
    assert_eq!(post(&reviewer, "/api/v1/alerts/mutes", &stranger).await.status, 400);
    let made = post(&reviewer, "/api/v1/alerts/mutes", &mute("enumeration", &in_days(2))).await.json();
    assert_eq!((&made["number"], &made["by"]), (&json!(1), &json!("rita")), "{made}");
    for id in 500..530 {
        ask(&house, id).await;
    }
    let muted = "/api/v1/alerts?state=muted&contractor=parcelco&signal=enumeration";
    let list = until(&reviewer, muted, |list| count(list) == 1).await;
    let number = &list["alerts"][0]["number"];
    let open_ones = "/api/v1/alerts?signal=enumeration";
    assert_eq!(count(&reviewer.get(open_ones).await.json()), 0);

    // It holds over a restart.
    house.signal("-TERM");
    assert!(house.wait().success());
    house.open();
    let reviewer = signed_in(&house, "rosa", "reviewer").await;
    assert_eq!(count(&reviewer.get(open_ones).await.json()), 0);
    let ended = reviewer.post("/alerts/mutes/1/end", &[]).await;
    assert_eq!(ended.status, 303, "{ended:?}");
    assert_eq!(reviewer.post("/alerts/mutes/1/end", &[]).await.status, 404);
    assert_eq!(&reviewer.get(open_ones).await.json()["alerts"][0]["number"], number);
    let entries = said(&house);
    let told: Vec<_> =
        entries.iter().map(|entry| (entry["action"].as_str().unwrap(), &entry["by"])).collect();
    assert_eq!(told, [("mute", &json!("rita")), ("unmute", &json!("rosa"))]);
    assert_eq!((&entries[0]["reason"], &entries[0]["until"]), (&json!("A campaign."), &made["until"]));
}

/// Takes one request; its headers and body.
async fn request(listener: &TcpListener, answer: &str) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, length) = loop {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, _)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length: usize = header(&head, "content-length").parse().unwrap();
        if bytes.len() == head.len() + 4 + length {
            break (head, length);
        }
    };
    let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    (head, bytes.split_off(bytes.len() - length))
}

fn header<'h>(head: &'h str, name: &str) -> &'h str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| *known == name).unwrap().1
}

#[tokio::test]
async fn an_alert_reaches_webhook_and_syslog_from_inside_the_sandbox_and_over_a_restart() {
    let (webhook, syslog) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let more = format!(
        "[admin.webhook]\nurl = \"http://{}/in\"\nkey = {{ file = \"secrets/webhook\" }}\n\
         [admin.syslog]\naddress = \"udp://{}\"\n",
        webhook.local_addr().unwrap(),
        syslog.local_addr().unwrap()
    );
    let rules =
        RULES.replace("id = \"parcelco\"\n", &format!("id = \"parcelco\"\ncanaries = [\"c-{CANARY}\"]\n"));
    let mut house = House::closed(CONFIG, &[("parcelco", &rules)]).await;
    house.upstream.on(&format!("/orders/{CANARY}"), Answer::json(order(CANARY, "parcelco", "ready_to_ship")));
    std::fs::create_dir(house.path("secrets")).unwrap();
    std::fs::write(house.path("secrets/webhook"), KEY).unwrap();
    std::fs::set_permissions(house.path("secrets/webhook"), std::fs::Permissions::from_mode(0o600)).unwrap();
    open(&mut house, &more);
    ask(&house, CANARY).await;

    let wait = Duration::from_secs(30);
    let first = tokio::time::timeout(wait, request(&webhook, "500 No")).await.expect("a first attempt");
    house.signal("-TERM");
    assert!(house.wait().success());
    house.open();
    let second = tokio::time::timeout(wait, request(&webhook, "204 Yes")).await.expect("a second attempt");
    assert_eq!(first.1, second.1, "the same alert");
    let (head, body) = second;
    let news: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&news["alert"], &news["signal"]), (&json!(1), &json!("canary")), "{news}");
    let signed = [header(&head, "fieldgate-timestamp").as_bytes(), b".", &body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes()), &signed);
    let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header(&head, "fieldgate-signature"), format!("sha256={tag}"));

    let mut bytes = [0; 4096];
    let length = tokio::time::timeout(wait, syslog.recv(&mut bytes)).await.expect("a message").unwrap();
    let message = String::from_utf8_lossy(&bytes[..length]);
    // local0 and the severity of what is critical.
    assert!(message.starts_with("<130>1 ") && message.contains("canary"), "{message}");
    assert!(!message.contains(&CANARY.to_string()) && !news.to_string().contains(&CANARY.to_string()));

    let visitor = signed_in(&house, "olga", "operator").await;
    let done = |list: &Value| {
        let all = list["outlets"].as_array().unwrap();
        all.len() == 2 && all.iter().all(|outlet| outlet["behind"] == 0 && outlet["error"].is_null())
    };
    until(&visitor, "/api/v1/alerts", done).await;
    assert!(visitor.get("/alerts").await.body.contains("works"));
}
