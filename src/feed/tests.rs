//! Feeds against real sockets and a real ledger.

use super::portion::Event;

/// One that says nothing but its number.
pub fn event(entry: u64) -> Event {
    Event {
        uid: format!("id.{entry}"),
        kind: "disclosure".to_owned(),
        time: 1_795_696_024_239_000,
        entry,
        json: format!("{{\"entry\":{entry}}}").into_bytes(),
    }
}
