//! Long lists of orders, and what the ledger says of their parts.

use serde_json::{Value, json};

use super::{Answer, Arriving, House, order};

/// The head of an answer in chunks, and its end.
pub const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
pub const END: &str = "0\r\n\r\n";

pub fn chunk(bytes: &str) -> String {
    format!("{:x}\r\n{bytes}\r\n", bytes.len())
}

pub fn name(id: u64) -> String {
    format!(r"Zoë \u00e9\n {id} {}", "é".repeat(450))
}

/// About two KiB, of which about one leaves.
pub fn record(id: u64) -> String {
    order(id, "parcelco", "ready_to_ship").replace("Anna Jansen", &name(id))
}

pub fn reduced(id: u64) -> String {
    format!(r#"{{"order_id":{id},"recipient":{{"name":"{}"}}}}"#, name(id))
}

pub fn list(records: impl IntoIterator<Item = String>) -> String {
    records.into_iter().collect::<Vec<_>>().join(",\n")
}

pub fn sum(entries: &[Value], pointer: &str) -> u64 {
    entries.iter().filter_map(|entry| entry.pointer(pointer)?.as_u64()).sum()
}

pub fn of_kind<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["kind"] == kind).collect()
}

pub fn numbers(entries: &[Value]) -> Vec<(u64, bool)> {
    let part = |entry: &&Value| {
        Some((entry["stream"]["part"].as_u64().unwrap(), entry["stream"]["last"].as_bool().unwrap()))
    };
    of_kind(entries, "disclosure").iter().filter_map(part).collect()
}

pub fn assert_recorded(house: &House, response: &Arriving) {
    let entries = house.entries_of(&response.disclosure_id());
    let recorded = sum(&entries, "/bytes");
    assert!(recorded >= response.bytes.len() as u64, "{} of {recorded}", response.bytes.len());
}

pub fn assert_parts_then_refusal(entries: &[Value], code: &str, what: &str) {
    let parts = numbers(entries);
    assert!(
        parts.iter().copied().eq((1..=parts.len() as u64).map(|part| (part, false))),
        "{what}: {parts:?}"
    );
    assert!(!parts.is_empty(), "{what}");
    let refusal = entries.last().unwrap();
    assert_eq!(refusal["kind"], "refusal", "{what}");
    assert_eq!((&refusal["code"], &refusal["after_parts"]), (&json!(code), &json!(parts.len())), "{what}");
    assert_eq!(of_kind(entries, "refusal").len(), 1, "{what}");
}

/// What may come behind good records, and the code that it gets. No byte of it may leave.
pub fn faults() -> Vec<(&'static str, Answer, &'static str)> {
    let raw = |body: &str| Answer::Raw(format!("{}{END}", chunk(body)).into_bytes());
    let planted = record(9).replace("Zoë", "PLANTED Zoë");
    let mut not_text = chunk(&planted.replacen("Zoë", "~", 1)).into_bytes();
    not_text.iter_mut().filter(|byte| **byte == b'~').for_each(|byte| *byte = 0xff);
    vec![
        ("broken", raw(&format!("{planted:.1100},,")), "upstream-malformed"),
        (
            "a name twice",
            raw(&format!("{}]}}", planted.replace("\"total\"", "\"order_id\":9,\"total\""))),
            "upstream-ambiguous",
        ),
        (
            "a lone surrogate",
            raw(&format!("{}]}}", planted.replace(r"\u00e9", r"\ud800"))),
            "upstream-malformed",
        ),
        ("not UTF-8", Answer::Raw(not_text), "upstream-malformed"),
        ("an end too early", raw(&planted[..1100]), "upstream-malformed"),
        (
            "a connection that ends",
            Answer::Raw(format!("fffff\r\n{:.1100}", planted).into_bytes()),
            "upstream-unreachable",
        ),
        ("a broken chunk", Answer::Raw(b"zz\r\nPLANTED".to_vec()), "upstream-unreachable"),
        (
            "a record that is too large",
            raw(&format!(
                "{}]}}",
                planted.replace("\"total\"", &format!("\"x\":\"{}\",\"total\"", "x".repeat(2 << 20)))
            )),
            "upstream-too-large",
        ),
        (
            "a stall in a record",
            Answer::begun(format!("fffff\r\n{:.1100}", planted), Answer::Silence),
            "upstream-timeout",
        ),
    ]
}

/// VmHWM of the gateway, in KiB.
pub fn most_memory(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
