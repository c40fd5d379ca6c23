//! What a request may be: each line of the README's table of that name, over a raw socket.
//!
//! Each case is one connection. It says what is sent, what the client hears and what becomes of the
//! connection, and what the upstream sees: nothing, or exactly these requests. Whatever a case hides in a
//! body or behind a request asks for [`STOLEN`]; no case may get it, unless it says so.

mod framing;
mod headers;
mod host;
mod http2;
mod target;

use crate::support::wire::{Heard, fields, frame, kind, latin1, over_http1, over_http2};
use crate::support::{Answer, CONFIG, House, PLANTED, RULES, order};

/// The upstream's headers: the gateway's own ones, and those of a body.
const FORWARDED: [&str; 7] = [
    "host",
    "accept",
    "accept-encoding",
    "fieldgate-request-id",
    "traceparent",
    "content-type",
    "content-length",
];

/// What follows a request, to see whether its connection still serves.
const PROBE: &str = "GET /orders/2 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A request that stands where only a body should be, or behind what must not be served.
const STOLEN: &str = "GET /orders/666 HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Paths and parameters of almost any text, so that it is seen what the upstream gets of them.
const OPEN_ROUTE: &str = r#"
[[task.route]]
path = "/files/{name}"
params = { name = ".{1,80}" }
query = ["q", "r"]
upstream = "orders"
disclose = ["$.order_id"]
"#;

/// Name, bytes, outcome, and the upstream's requests, each as method and target.
struct Case {
    name: String,
    sent: Vec<u8>,
    /// The client says that it has no more to send.
    ends: bool,
    outcome: &'static str,
    upstream: &'static str,
}

/// Nothing reaches the upstream.
fn refused(name: &str, sent: impl AsRef<str>, outcome: &'static str) -> Case {
    let sent = latin1(sent.as_ref());
    Case { name: name.to_owned(), sent, ends: false, outcome, upstream: "" }
}

/// Exactly these requests reach the upstream.
fn served(name: &str, sent: impl AsRef<str>, outcome: &'static str, upstream: &'static str) -> Case {
    Case { upstream, ..refused(name, sent, outcome) }
}

impl Case {
    fn and_ends(self) -> Case {
        Case { ends: true, ..self }
    }
}

/// The route that takes a body.
const NOTES: &str = "POST /orders/1/notes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

/// A request with a body: its other header lines, and what follows the head.
fn post(lines: &str, rest: &str) -> String {
    format!("{NOTES}{lines}\r\n{rest}")
}

fn get(lines: &str) -> String {
    format!("GET /orders/1 HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

async fn house() -> House {
    house_with("").await
}

/// A house whose table `[listen]` has one more line.
async fn house_with(listen: &str) -> House {
    let config = CONFIG.replace("[listen]\n", &format!("[listen]\n{listen}\n"));
    let config = format!("{config}\n[limits]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\n");
    let house = House::with(&config, &[("parcelco", &format!("{RULES}{OPEN_ROUTE}"))]).await;
    for id in [2, 666] {
        house.upstream.on(&format!("/orders/{id}"), Answer::json(order(id, "parcelco", "ready_to_ship")));
    }
    house
}

/// Plays cases over HTTP/1.1; says all that is not as it should be.
async fn play(house: &House, cases: Vec<Case>) {
    let client = house.parcelco();
    let known = "\"order_id\":2,";
    let mut wrong = Vec::new();
    for case in &cases {
        let before = Before::of(house, case);
        let heard = over_http1(&client, &case.sent, case.ends, PROBE.as_bytes(), known).await;
        wrong.extend(before.compare(house, case, &heard));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Plays cases over HTTP/2: the bytes of a case are frames.
async fn play_http2(house: &House, cases: Vec<Case>) {
    let client = house.parcelco();
    let probe = fields(request("GET", "/orders/2"));
    let mut wrong = Vec::new();
    for case in &cases {
        let before = Before::of(house, case);
        let heard = over_http2(&client, &case.sent, &probe).await;
        wrong.extend(before.compare(house, case, &heard));
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// The pseudo-header fields of a request.
fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
}

/// How much there was of everything before a case.
struct Before {
    requests: usize,
    disclosures: usize,
    refusals: usize,
}

impl Before {
    fn of(house: &House, case: &Case) -> Before {
        for target in case.upstream.split(", ").filter_map(|line| line.split(' ').nth(1)) {
            house.upstream.on(target, Answer::json(order(1, "parcelco", "ready_to_ship")));
        }
        let [disclosures, refusals] = entries(house);
        Before { requests: house.upstream.requests().len(), disclosures, refusals }
    }

    /// What is not as the case says.
    fn compare(self, house: &House, case: &Case, heard: &Heard) -> Option<String> {
        let mut wrong = String::new();
        if heard.outcome != case.outcome {
            wrong += &format!(" heard '{}' instead of '{}';", heard.outcome, case.outcome);
        }
        let requests = house.upstream.requests().split_off(self.requests);
        let lines = requests.iter().map(|request| request.split(" HTTP/1.1\r\n").next().unwrap());
        let seen: Vec<&str> = lines.filter(|line| *line != "GET /orders/2").collect();
        if seen.join(", ") != case.upstream {
            wrong += &format!(" the upstream saw '{}' instead of '{}';", seen.join(", "), case.upstream);
        }
        for request in &requests {
            let head = request.split("\r\n\r\n").next().unwrap();
            let names = head.lines().skip(1).map(|line| line.split(':').next().unwrap().to_ascii_lowercase());
            let strangers: Vec<String> = names.filter(|name| !FORWARDED.contains(&name.as_str())).collect();
            if !strangers.is_empty() || request.contains(PLANTED) {
                wrong += &format!(" the upstream saw {strangers:?} in {request:?};");
            }
        }
        let [disclosures, refusals] = entries(house);
        let written = [disclosures - self.disclosures, refusals - self.refusals];
        // A stream that is reset does not hear of its refusal.
        if written[0] != heard.disclosures || written[1] < heard.recorded {
            wrong += &format!(" {written:?} entries for {:?};", [heard.disclosures, heard.recorded]);
        }
        let text = String::from_utf8_lossy(&heard.bytes);
        if text.contains(PLANTED) || text.contains("\"order_id\":666") {
            wrong += &format!(" heard {text}");
        }
        (!wrong.is_empty()).then(|| format!("{}:{wrong}", case.name))
    }
}

fn entries(house: &House) -> [usize; 2] {
    let entries = house.entries();
    ["disclosure", "refusal"].map(|kind| entries.iter().filter(|entry| entry["kind"] == kind).count())
}

/// A HEADERS frame that is the whole request.
fn whole<'a>(list: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    headers(list, 1)
}

/// A HEADERS frame with these flags beside END_HEADERS, as text of one character a byte.
fn headers<'a>(list: impl IntoIterator<Item = (&'a str, &'a str)>, flags: u8) -> String {
    text(frame(kind::HEADERS, flags | 4, 1, &fields(list)))
}

fn data(bytes: &str, flags: u8) -> String {
    text(frame(kind::DATA, flags, 1, &latin1(bytes)))
}

fn text(bytes: Vec<u8>) -> String {
    bytes.into_iter().map(char::from).collect()
}
