//! A planted value in every place of an upstream's answer: it reaches no client, no log, no ledger.

use crate::support::{Answer, House, PLANTED, files_below, order};

/// Everything around the allowed fields that an upstream can say.
fn noisy(body: &str, status: &str) -> Answer {
    let headers = [
        "Set-Cookie",
        "Server",
        "ETag",
        "Location",
        "Link",
        "Warning",
        "X-Powered-By",
        "Via",
        "Content-Disposition",
        "Content-Language",
        "Access-Control-Allow-Origin",
        "WWW-Authenticate",
        "Retry-After",
        "Cache-Control",
        "Fieldgate-Disclosure-Id",
        "RateLimit",
        "Refresh",
    ];
    let answer =
        Answer::Http { status: format!("{status} PLANTED"), headers: vec![], body: body.as_bytes().to_vec() };
    headers.iter().fold(answer, |answer, name| answer.with_header(name, PLANTED))
}

#[tokio::test]
async fn a_planted_value_reaches_no_client_no_log_and_no_ledger() {
    let house = House::new().await;
    let good = order(1, "parcelco", "ready_to_ship");
    let client = house.parcelco();
    let bodies = [
        good.clone(),
        // A field that turns from a string into an object, and an array that holds one.
        good.replace("\"Anna Jansen\"", "{\"PLANTED\":\"PLANTED\"}"),
        good.replace("\"Anna Jansen\"", "[\"Anna\",{\"PLANTED\":\"PLANTED\"},[\"PLANTED\"]]"),
        good.replace("\"+31 6 1234 5678\"", "{\"PLANTED\":1}"),
        good.replace("\"recipient\":{", "\"recipient\":{\"PLANTED\":\"PLANTED\",\"\\u0050LANTED\":[\"PLANTED\"],"),
        good.replace("\"recipient\":{", "\"recipient\":\"PLANTED\",\"x\":{"),
        // Names that look like allowed ones.
        good.replace("\"total\"", "\"Order_id\":\"PLANTED\",\"order_id \":\"PLANTED\",\"ｏrder_id\":\"PLANTED\",\"\":\"PLANTED\",\"total\""),
        // A record that is not the contractor's, wholly made of planted values.
        order(1, "swiftpost", "ready_to_ship").replace("Anna Jansen", PLANTED),
        good.replace("\"order_id\":1,", "\"order_id\":\"PLANTED\",\"order_id\":1,"),
        good.replace("1.10", "PLANTED"),
        format!("{good} PLANTED"),
        format!("\"{PLANTED}\""),
        PLANTED.to_owned(),
    ];
    for status in ["200", "201", "404", "418", "500", "503", "301"] {
        for body in &bodies {
            house.upstream.on("/orders/1", noisy(body, status));
            house.get(&client, "/orders/1").await;
        }
    }
    // What a contractor itself sends is not written down either.
    for target in [
        "/orders/PLANTED",
        "/PLANTED",
        "/orders?PLANTED=PLANTED",
        "/orders?cursor=PLANTED",
        "/orders/PLANTED%00",
    ] {
        house.get(&client.with("authorization", "Bearer test").with("x-custom", PLANTED), target).await;
    }
    house
        .send_unknown(
            &house.client(None).with("authorization", "Bearer PLANTED"),
            http::Method::GET,
            "/PLANTED",
            "",
        )
        .await;
    house
        .send_unknown(&house.client(None), http::Method::from_bytes(b"PLANTED").unwrap(), "/PLANTED", "")
        .await;
    house.assert_clean();
}

/// Values that are told from all others by how they begin.
struct Marks(u64);

const TEXT: &str = "mkq7z";
const NUMBER: &str = "7391826";

impl Marks {
    fn next(&mut self) -> u64 {
        // xorshift64 (Marsaglia, 2003): the same values in each run.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn text(&mut self) -> String {
        format!("{TEXT}{:016x}", self.next())
    }

    fn number(&mut self) -> String {
        let digits = format!("{NUMBER}{:010}", self.next() % 10_000_000_000);
        match self.next() % 4 {
            0 => format!("-{digits}"),
            1 => format!("{digits}.5"),
            2 => format!("{digits}e3"),
            _ => digits,
        }
    }

    /// A value of any type, `depth` deep at most.
    fn value(&mut self, depth: u32) -> String {
        match self.next() % if depth == 0 { 3 } else { 6 } {
            0 => format!("\"{}\"", self.text()),
            1 => self.number(),
            2 => ["true", "false", "null"][(self.next() % 3) as usize].to_owned(),
            3 => format!("[{},{}]", self.value(depth - 1), self.value(depth - 1)),
            4 => format!("\"\\u006dkq7z{}\"", self.next()),
            _ => format!("{{\"{}\":{},\"b\":{}}}", self.text(), self.value(depth - 1), self.value(depth - 1)),
        }
    }

    fn order(&mut self) -> String {
        let [order_id, name, phone, street, customer] = [(); 5].map(|()| self.value(1));
        let subject =
            if self.next().is_multiple_of(2) { self.number() } else { format!("\"{}\"", self.text()) };
        let mut value = || self.value(3);
        format!(
            "{{\"order_id\":{order_id},\"carrier\":\"parcelco\",\"status\":\"ready_to_ship\",\"customer\":{{\"id\":{subject},\"x\":{customer}}},\
             \"recipient\":{{\"name\":{name},\"phone\":{phone},\"y\":{}}},\"shipping_address\":{{\"street\":{street},\"city\":{}}},\"z\":{}}}",
            value(),
            value(),
            value()
        )
    }
}

fn assert_unmarked(what: &str, bytes: &[u8]) {
    for mark in [TEXT, NUMBER] {
        assert!(!bytes.windows(mark.len()).any(|window| window == mark.as_bytes()), "{what} holds {mark}");
    }
}

#[tokio::test]
async fn no_value_of_any_type_gets_into_ledger_logs_or_exports() {
    let mut house = House::new().await;
    let client = house.parcelco();
    let mut marks = Marks(0x9E37_79B9_7F4A_7C15);
    let mut disclosed = 0;
    for round in 0..60 {
        let (path, query) = (marks.text(), marks.text());
        let client = ["x-request-id", "user-agent", "cookie", "referer", "traceparent"]
            .into_iter()
            .fold(client.clone(), |client, name| client.with(name, &marks.text()));
        let list = format!("{{\"data\":[{},{}],\"next\":{}}}", marks.order(), marks.order(), marks.value(0));
        let note = format!("{{\"note\":{},\"tags\":[\"{}\"]}}", marks.value(0), marks.text());
        house.upstream.on(&format!("/orders/{path}"), Answer::json(marks.order()));
        house.upstream.on(&format!("/orders?cursor={query}"), Answer::json(list));
        house.upstream.on(
            &format!("/orders/{path}/notes"),
            Answer::json(format!("{{\"note_id\":{}}}", marks.value(1))),
        );
        house.upstream.on(
            &format!("/customers/{path}/name"),
            Answer::json(format!("{{\"id\":\"{path}\",\"name\":{}}}", marks.value(0))),
        );
        for (method, target, body) in [
            ("GET", format!("/orders/{path}"), ""),
            ("GET", format!("/orders?cursor={query}"), ""),
            ("POST", format!("/orders/{path}/notes"), note.as_str()),
            ("GET", format!("/customers/{path}/name"), ""),
            ("GET", format!("/orders?{query}={path}"), ""),
            ("PUT", format!("/{path}"), note.as_str()),
        ] {
            let method = http::Method::from_bytes(method.as_bytes()).unwrap();
            let client = client.clone().with("content-type", "application/json");
            let response = client.try_send(method, &target, body).await.unwrap();
            disclosed += usize::from(response.status == 200 && response.body.contains(TEXT));
            assert!(round > 0 || response.status.as_u16() < 500, "{response:?}");
        }
    }
    assert!(disclosed > 60, "{disclosed} responses held marked values");
    for format in ["table", "json", "csv", "ocsf"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fieldgate"));
        command.args(["ledger", "export", "--by", "anna", "--format", format, "--config"]);
        let output = command.arg(house.path("fieldgate.toml")).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
        assert_unmarked(format, &output.stdout);
    }
    house.kill();
    house.verify();
    assert_unmarked("the log", house.log().as_bytes());
    for path in files_below(&house.path("ledger")) {
        assert_unmarked(&path.display().to_string(), &std::fs::read(&path).unwrap());
    }
}
