//! What the gateway says of itself: figures, log levels and traces, none with a personal value.

use std::collections::BTreeMap;

use crate::support::{Answer, CONFIG, House, PLANTED, RULES, StubUpstream, order};

const WITH_ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n[ledger]";

async fn house() -> House {
    House::with(&CONFIG.replace("[ledger]", WITH_ADMIN), &[("parcelco", RULES)]).await
}

async fn scrape(house: &House) -> String {
    let url = format!("http://{}/metrics", house.admin());
    let output = tokio::process::Command::new("curl").args(["-sSf", &url]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Each series with its value.
fn series(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

#[tokio::test]
async fn figures_count_what_becomes_of_requests_and_how_long_it_takes() {
    let house = house().await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.upstream.on("/orders/2", Answer::json(order(2, "swiftpost", "ready_to_ship")));
    house.upstream.on("/orders/3", Answer::status("500 Oh", PLANTED));
    let client = house.parcelco();
    for _ in 0..3 {
        assert_eq!(house.get(&client, "/orders/1").await.status, 200);
    }
    assert_eq!(house.get(&client, "/orders/2").await.status, 404);
    assert_eq!(house.get(&client, "/orders/3").await.status, 502);
    assert_eq!(house.get(&client, "/nothing").await.status, 404);
    assert_eq!(house.send_unknown(&house.client(None), http::Method::GET, "/orders/1", "").await.status, 401);
    let text = scrape(&house).await;
    let found = series(&text);
    let task = r#"{contractor="parcelco",task="deliver-order""#;
    for (name, value) in [
        (format!("fieldgate_requests_total{task}}}"), 5.0),
        (r#"fieldgate_requests_total{contractor="parcelco",task=""}"#.to_owned(), 1.0),
        (r#"fieldgate_requests_total{contractor="",task=""}"#.to_owned(), 1.0),
        (format!("fieldgate_disclosures_total{task}}}"), 3.0),
        (format!("fieldgate_refusals_total{task},code=\"not-found\"}}"), 1.0),
        (format!("fieldgate_refusals_total{task},code=\"upstream-error\"}}"), 1.0),
        (r#"fieldgate_refusals_total{contractor="",task="",code="no-credential"}"#.to_owned(), 1.0),
        (r#"fieldgate_request_duration_seconds_count{contractor="parcelco"}"#.to_owned(), 6.0),
        (r#"fieldgate_stage_duration_seconds_count{stage="decide"}"#.to_owned(), 5.0),
        (r#"fieldgate_stage_duration_seconds_count{stage="upstream"}"#.to_owned(), 5.0),
        (r#"fieldgate_stage_duration_seconds_count{stage="reduce"}"#.to_owned(), 5.0),
        (r#"fieldgate_stage_duration_seconds_count{stage="ledger"}"#.to_owned(), 3.0),
        (r#"fieldgate_upstream_duration_seconds_count{upstream="orders"}"#.to_owned(), 5.0),
        (r#"fieldgate_upstream_failures_total{upstream="orders"}"#.to_owned(), 0.0),
        (r#"fieldgate_upstream_up{upstream="orders"}"#.to_owned(), 1.0),
        (r#"fieldgate_subjects_today{contractor="parcelco"}"#.to_owned(), 1.0),
        (format!("fieldgate_subjects_per_day_limit{task}}}"), 100_000.0),
        (
            r#"fieldgate_agreement_expiry_timestamp_seconds{contractor="parcelco"}"#.to_owned(),
            4_102_358_400.0,
        ),
        ("fieldgate_requests_in_progress".to_owned(), 0.0),
        ("fieldgate_ledger_queue_length".to_owned(), 0.0),
        ("fieldgate_ledger_commit_failures_total".to_owned(), 0.0),
        ("fieldgate_ledger_healthy".to_owned(), 1.0),
        ("fieldgate_log_lines_dropped_total".to_owned(), 0.0),
    ] {
        assert_eq!(found.get(name.as_str()), Some(&value), "{name} in {text}");
    }
    assert_eq!(found["fieldgate_ledger_entries"], house.entries().len() as f64);
    assert!(found["fieldgate_ledger_commit_duration_seconds_count"] >= 6.0, "{text}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let since = now - found["fieldgate_rules_activation_timestamp_seconds"];
    assert!((0.0..60.0).contains(&since), "{since}");
    let ends = r#"fieldgate_certificate_expiry_timestamp_seconds{file=""#;
    assert!(found.iter().any(|(name, value)| name.starts_with(ends) && *value > now), "{text}");
}

#[tokio::test]
async fn figures_have_help_and_no_value_of_a_customer_or_a_path() {
    let house = house().await;
    house.upstream.on("/orders/7712377123", Answer::json(order(7712377123, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/7712377123").await;
    house.get(&house.parcelco(), "/PLANTED/x?cursor=PLANTED").await;
    let text = scrape(&house).await;
    for value in ["7712377123", "Anna", "Keizersgracht", "Amsterdam", PLANTED, "/orders"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
    let told = |kind: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        lines.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
    };
    let (helped, typed) = (told("# HELP"), told("# TYPE"));
    assert_eq!(helped, typed);
    for name in series(&text).keys() {
        let name = name.split('{').next().unwrap();
        let plain = |end: &str| name.strip_suffix(end).unwrap_or(name);
        let is_told = ["", "_total", "_info", "_sum", "_count", "_bucket"];
        assert!(is_told.iter().any(|end| helped.iter().any(|known| known == plain(end))), "{name}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn the_log_level_changes_while_the_gateway_runs() {
    let quiet = CONFIG.replace("log = \"debug\"", "log = \"warn\"");
    let house = House::with(&quiet.replace("[ledger]", WITH_ADMIN), &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/7712377123", Answer::json(order(7712377123, "parcelco", "ready_to_ship")));
    let client = house.parcelco();
    house.get(&client, "/orders/7712377123").await;
    assert!(!house.log().contains("\"disclosed\""));

    let change = |filter: &str| house.command(&["log-level", filter, "--by", "anna"]);
    assert!(change("warn,fieldgate::proxy=debug").status.success());
    house.logged("the log filter was changed").await;
    house.get(&client, "/orders/7712377123").await;
    house.logged("\"disclosed\"").await;

    let wrong = change("fieldgate=loud");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("is not a log filter"));
    // At the most that can be asked for, there is still no value in it.
    assert!(change("trace").status.success());
    house.get(&client, "/orders/7712377123").await;
    house.curl(&[&format!("https://localhost:{}/orders/7712377123", house.address.port())]).await;
    let log = house.log();
    for value in ["7712377123", "Anna", "Keizersgracht", PLANTED] {
        assert!(!log.contains(value), "{value} in {log}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn without_a_gateway_there_is_no_log_level_to_change() {
    let house = House::closed(CONFIG, &[("parcelco", RULES)]).await;
    let output = house.command(&["log-level", "debug", "--by", "anna"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no gateway runs"));
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What the upstream was told of the trace in its last request.
fn traceparent(house: &House) -> String {
    let request = house.upstream.requests().pop().unwrap();
    let lines = request.lines().filter_map(|line| line.strip_prefix("traceparent: "));
    let [value] = lines.collect::<Vec<_>>()[..] else { panic!("{request}") };
    value.to_owned()
}

#[tokio::test]
async fn a_strangers_trace_is_followed_only_where_it_is_trusted() {
    for trusts in [false, true] {
        let config = CONFIG.replace("[telemetry]", &format!("[telemetry]\ntrust_traceparent = {trusts}"));
        let house = House::with(&config, &[("parcelco", RULES)]).await;
        house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
        let client = house
            .parcelco()
            .with("traceparent", PARENT)
            .with("tracestate", "PLANTED=1")
            .with("baggage", "PLANTED=1");
        let id = house.get(&client, "/orders/1").await.disclosure_id().replace('-', "");
        let told = traceparent(&house);
        let trace = if trusts { "0af7651916cd43dd8448eb211c80319c" } else { id.as_str() };
        assert_eq!(&told[..36], format!("00-{trace}-"));
        assert!(told.ends_with("-00") && !told.contains("b7ad6b7169203331"), "{told}");
        let request = house.upstream.requests().pop().unwrap();
        assert!(!request.contains("tracestate") && !request.contains("baggage"), "{request}");
        house.logged(&format!("\"trace\":\"{trace}\"")).await;

        let client = house.parcelco().with("traceparent", "00-xyz");
        let id = house.get(&client, "/orders/1").await.disclosure_id().replace('-', "");
        assert_eq!(&traceparent(&house)[..36], format!("00-{id}-"), "what is not one starts a new one");
        house.assert_clean();
    }
}

#[tokio::test]
async fn traces_go_to_a_collector_and_hold_no_value() {
    let collector = StubUpstream::start().await;
    collector.on("/v1/traces", Answer::json("{}"));
    let telemetry = format!("[telemetry]\notlp = \"http://{}\"\nsample = 1", collector.address);
    let config = CONFIG.replace("[telemetry]", &telemetry).replace("[ledger]", WITH_ADMIN);
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/7712377123", Answer::json(order(7712377123, "parcelco", "ready_to_ship")));
    let id = house.get(&house.parcelco(), "/orders/7712377123").await.disclosure_id().replace('-', "");
    let told = traceparent(&house);
    house.get(&house.parcelco(), "/PLANTED").await;
    let began = std::time::Instant::now();
    while !scrape(&house).await.contains("fieldgate_traces_exported_total 2\n") {
        assert!(began.elapsed() < crate::support::SOON, "{}", scrape(&house).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let sent = collector.requests();
    let bodies = sent.iter().map(|request| request.split_once("\r\n\r\n").unwrap().1);
    let spans: Vec<serde_json::Value> = bodies
        .map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap())
        .flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone())
        .collect();
    let of: Vec<&serde_json::Value> = spans.iter().filter(|span| span["traceId"] == id.as_str()).collect();
    let names: Vec<&str> = of.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["request", "decide", "upstream", "reduce", "ledger"]);
    assert!(of[1..].iter().all(|span| span["parentSpanId"] == of[0]["spanId"]), "{of:?}");
    assert_eq!(told, format!("00-{id}-{}-01", of[2]["spanId"].as_str().unwrap()));
    let attribute = |span: &serde_json::Value, key: &str| {
        let mut all = span["attributes"].as_array().into_iter().flatten();
        all.find(|known| known["key"] == key).map(|known| known["value"].clone())
    };
    assert_eq!(attribute(of[0], "http.route").unwrap()["stringValue"], "/orders/{order_id}");
    assert_eq!(attribute(of[0], "fieldgate.contractor").unwrap()["stringValue"], "parcelco");
    assert_eq!(attribute(of[0], "fieldgate.task").unwrap()["stringValue"], "deliver-order");
    assert_eq!(attribute(of[0], "http.response.status_code").unwrap()["intValue"], "200");
    let refused = spans.iter().find(|span| attribute(span, "fieldgate.refusal").is_some()).unwrap();
    assert_eq!(attribute(refused, "fieldgate.refusal").unwrap()["stringValue"], "not-found");
    let text = sent.concat();
    for value in ["7712377123", "Anna", "Keizersgracht", PLANTED] {
        assert!(!text.contains(value), "{value} in {text}");
    }
    house.assert_clean();
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_traces_only() {
    let telemetry = "[telemetry]\notlp = \"http://127.0.0.1:1\"\nsample = 1.0";
    let config = CONFIG.replace("[telemetry]", telemetry).replace("[ledger]", WITH_ADMIN);
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    assert_eq!(house.get(&house.parcelco(), "/orders/1").await.status, 200);
    house.logged("traces are dropped").await;
    assert!(scrape(&house).await.contains("fieldgate_traces_dropped_total 1\n"));
    house.assert_clean();
}

/// The names of metrics in a text.
fn names(text: &str) -> std::collections::BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("fieldgate_")).collect()
}

#[tokio::test]
async fn the_dashboard_and_the_alert_rules_name_figures_that_there_are() {
    let feed = "[[feed]]\nname = \"siem\"\nkind = \"file\"\npath = \"events.jsonl\"\n";
    let config = CONFIG.replace("[ledger]", WITH_ADMIN) + feed;
    let house = House::with(&config, &[("parcelco", RULES)]).await;
    house.upstream.on("/orders/1", Answer::json(order(1, "parcelco", "ready_to_ship")));
    house.get(&house.parcelco(), "/orders/1").await;
    house.get(&house.parcelco(), "/nothing").await;
    let mut text = scrape(&house).await;
    while !text.contains("fieldgate_certificate_expiry_timestamp_seconds{") {
        text = scrape(&house).await;
    }
    let shown: std::collections::BTreeSet<&str> =
        series(&text).into_keys().map(|name| name.split('{').next().unwrap()).collect();
    let read = |name: &str| std::fs::read_to_string(format!("docker/{name}")).unwrap();
    let (dashboard, alerts) = (read("grafana/dashboard.json"), read("prometheus/alerts.yml"));
    for (file, used) in [("dashboard", names(&dashboard)), ("alerts", names(&alerts))] {
        let missing: Vec<_> = used.difference(&shown).collect();
        assert!(used.len() > 10 && missing.is_empty(), "{missing:?} of {file}");
    }
    // What is measured is shown.
    let base = |name: &str| {
        let ends = ["_bucket", "_sum", "_count"];
        ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let on_dashboard: std::collections::BTreeSet<String> = names(&dashboard).into_iter().map(base).collect();
    let unseen: Vec<_> = shown.iter().filter(|name| !on_dashboard.contains(&base(name))).collect();
    assert_eq!(unseen, [&"fieldgate_certificate_days_left"], "an older form of what is there");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource");
}
