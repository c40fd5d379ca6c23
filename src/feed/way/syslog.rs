//! Events as messages to a syslog server, over TCP or TLS.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::transport::{self, Parting, SyslogMessage, SyslogServer, machine};

use super::super::portion::Event;

/// A server that closes its side behind the last message has read them all. Syslog knows no other acknowledgement.
pub struct SyslogWay {
    server: SyslogServer,
    facility: u8,
    machine: String,
    /// For the server to close its side.
    goodbye: Duration,
}

impl SyslogWay {
    /// # Errors
    /// Where the authority's file cannot be used.
    pub fn new(
        way: transport::SyslogWay,
        host: &str,
        port: u16,
        ca: Option<&Path>,
        facility: u8,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let server = SyslogServer::new(way, host, port, ca)?;
        // Before the time for all of it is over, so that the reason is told.
        Ok(SyslogWay { server, facility, machine: machine(), goodbye: timeout / 4 * 3 })
    }

    /// # Errors
    /// Where the server is not known to have read them all.
    pub async fn send(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let messages = events.iter().map(|event| self.message(event)).collect::<anyhow::Result<Vec<_>>>()?;
        let parting = self.server.send(&messages, self.goodbye).await?;
        ensure!(
            parting == Parting::Peace,
            "it does not close its side of the connection: it may have read nothing"
        );
        Ok(())
    }

    fn message(&self, event: &Event) -> anyhow::Result<String> {
        let level = level(&event.kind);
        let mut message = SyslogMessage::new(self.facility, level, event.time, &self.machine, &event.kind);
        message.parameter("entry", &event.entry.to_string());
        message.parameter("uid", &event.uid);
        Ok(message.with_text([str::from_utf8(&event.json).ok().context("an event that is not text")?]))
    }
}

/// RFC 5424, section 6.2.1: warning for what a reviewer should look at, notice for what was refused, informational.
fn level(kind: &str) -> u8 {
    match kind {
        "signal" => 4,
        "refusal" => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::event;
    use super::*;

    #[test]
    fn a_message_holds_the_event() {
        let way = transport::SyslogWay::Tcp;
        let way = SyslogWay::new(way, "127.0.0.1", 514, None, 13, Duration::from_secs(1)).unwrap();
        let message = SyslogWay { machine: "gate".to_owned(), ..way }.message(&event(7)).unwrap();
        let process = std::process::id();
        assert_eq!(
            message,
            format!(
                "<110>1 2026-11-26T12:27:04.239000Z gate fieldgate {process} disclosure [fieldgate@32473 entry=\"7\" \
                 uid=\"id.7\"] \u{feff}{{\"entry\":7}}"
            )
        );
    }
}
