//! The harness. Every response that passes through it is checked: only headers that the contract
//! knows, no planted value, and one intact entry more in the ledger where the caller is known.

mod client;
pub mod h2_raw;
mod house;
mod issuer;
pub mod lists;
pub mod postgres;
mod provider;
mod upstream;
mod visitor;
pub mod wire;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

pub use client::{Arriving, Client, Response};
pub use house::{CONFIG, House, RULES, entries_at, files_below};
pub use issuer::{Issuer, Key, b64};
pub use provider::{IdentityProvider, SECRET, Twist};
pub use upstream::{Answer, StubUpstream};
pub use visitor::{Reply, Visitor};

/// Far above every limit that tests set, far below every default.
pub const SOON: Duration = Duration::from_secs(5);

/// Reads until the other side closes; what came before.
pub async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // An abrupt close is a close.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("closed in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a text has this word: the random ids of entries can hold its letters.
pub fn has_word(text: &str, wanted: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == wanted)
}

/// The gateway's resident memory, in KiB.
pub fn memory(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Stands in everything that must never leave the upstream.
pub const PLANTED: &str = "PLANTED";

/// An order as an upstream could send it: what no rule allows carries the planted word.
pub fn order(id: u64, carrier: &str, status: &str) -> String {
    format!(
        r#"{{"order_id":{id},"carrier":"{carrier}","status":"{status}",
        "customer":{{"id":"c-{id}","name":"PLANTED name","email":"PLANTED@example.com"}},
        "recipient":{{"name":"Anna Jansen","phone":"+31 6 1234 5678","company":"PLANTED"}},
        "shipping_address":{{"street":"Keizersgracht 1","city":"Amsterdam","postal_code":"1015 CJ","country":"NL","instructions":"PLANTED"}},
        "payment":{{"card":{{"number":"PLANTED4111111111111111","expiry":"PLANTED"}}}},
        "PLANTED":{{"deep":["PLANTED",{{"PLANTED":"PLANTED"}}]}},"total":1.10}}"#
    )
}

/// What ParcelCo gets of [`order`], without white space.
pub fn reduced_order(id: u64) -> String {
    format!(
        r#"{{"order_id":{id},"recipient":{{"name":"Anna Jansen","phone":"5678"}},"shipping_address":{{"street":"Keizersgracht 1","city":"Amsterdam","postal_code":"1015 CJ","country":"NL"}}}}"#
    )
}
