//! The admin side: alive, ready, and figures, on an address of its own.

use std::time::{Duration, Instant};

use crate::support::{CONFIG, House, RULES};

const WITH_ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n[ledger]";

async fn house() -> House {
    House::with(&CONFIG.replace("[ledger]", WITH_ADMIN), &[("parcelco", RULES)]).await
}

/// Runs curl on the admin side; the status and the body.
async fn ask(house: &House, arguments: &[&str], path: &str) -> (String, String) {
    let log = house.log();
    let line = log.lines().find(|line| line.contains("admin side")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let url = format!("http://{}{path}", line["address"].as_str().unwrap());
    let mut command = tokio::process::Command::new("curl");
    let output = command.args(["-sS", "-w", "\n%{http_code}", &url]).args(arguments).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.to_owned(), body.to_owned())
}

async fn until(house: &House, path: &str, wanted: &str) {
    let began = Instant::now();
    loop {
        let (status, body) = ask(house, &[], path).await;
        if body.contains(wanted) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{status} {body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_admin_side_says_whether_it_is_ready_and_shows_figures() {
    let house = house().await;
    assert_eq!(ask(&house, &[], "/healthz").await, ("200".into(), "alive\n".into()));
    assert_eq!(ask(&house, &[], "/readyz").await, ("200".into(), "ready\n".into()));
    assert_eq!(ask(&house, &[], "/orders/1").await.0, "404");
    assert_eq!(ask(&house, &["-X", "POST"], "/metrics").await.0, "405");
    until(&house, "/metrics", "what=\"certificate\",name=\"CN=gateway\"} 39").await;
    let (_, figures) = ask(&house, &[], "/metrics").await;
    assert!(figures.contains("fieldgate_ledger_healthy 1\n") && figures.ends_with("# EOF\n"), "{figures}");
    assert!(figures.contains("fieldgate_suspended_contractors 0\n"), "{figures}");

    assert!(house.command(&["suspend", "parcelco", "--by", "anna"]).status.success());
    until(&house, "/metrics", "fieldgate_suspended_contractors 1\n").await;
    std::fs::write(house.path("rules/parcelco.toml"), "[contractor]\n").unwrap();
    until(&house, "/metrics", "fieldgate_reload_failed{what=\"rules\"} 1\n").await;
    std::fs::write(house.path("rules/parcelco.toml"), RULES).unwrap();
    until(&house, "/metrics", "fieldgate_reload_failed{what=\"rules\"} 0\n").await;
    house.assert_clean();
}

#[tokio::test]
async fn without_a_ledger_it_is_not_ready_and_alive_all_the_same() {
    let house = house().await;
    house.rest().await;
    let folder = house.path("ledger/fieldgate.tlog");
    std::fs::rename(&folder, house.path("elsewhere")).unwrap();
    // It is found out with the next entry.
    let _ = house.parcelco().try_send(http::Method::GET, "/orders/1", "").await;
    until(&house, "/readyz", "the ledger cannot be written").await;
    assert_eq!(ask(&house, &[], "/readyz").await.0, "503");
    assert_eq!(ask(&house, &[], "/healthz").await.0, "200");
    assert!(ask(&house, &[], "/metrics").await.1.contains("fieldgate_ledger_healthy 0\n"));
}
