//! Alerts to a syslog server.

use std::time::Duration;

use crate::config::SyslogTerms;
use crate::transport::{SyslogMessage, SyslogServer, machine};

use super::super::store::Severity;
use super::News;

/// For a server to close its side behind a message, at most: one that does so has read it.
const GOODBYE: Duration = Duration::from_secs(1);

/// A syslog server.
pub struct Syslog {
    terms: SyslogTerms,
    server: SyslogServer,
    machine: String,
}

impl Syslog {
    /// # Errors
    /// Where the authority's file cannot be used.
    pub fn new(terms: &SyslogTerms) -> anyhow::Result<Self> {
        let server = SyslogServer::new(terms.way, &terms.host, terms.port, terms.ca.as_deref())?;
        Ok(Syslog { terms: terms.clone(), server, machine: machine() })
    }

    /// Hands one message over. Syslog has no receipts: over UDP the server may not have got it.
    ///
    /// # Errors
    /// Where the server cannot be reached, or breaks off.
    pub async fn send(&self, news: &News) -> anyhow::Result<()> {
        // There must be time for the connection, too.
        let goodbye = GOODBYE.min(self.terms.timeout / 2);
        // A server that keeps its side open has not refused either.
        self.server.send(&[self.message(news)], goodbye).await.map(drop)
    }

    fn message(&self, news: &News) -> String {
        let level = level(news.severity);
        let mut message =
            SyslogMessage::new(self.terms.facility, level, news.time, &self.machine, &news.signal);
        let numbers = [("alert", Some(news.alert)), ("entry", news.entry)];
        for (key, number) in numbers {
            number.into_iter().for_each(|number| message.parameter(key, &number.to_string()));
        }
        message.parameter("severity", news.severity.as_str());
        let texts = [
            ("contractor", &news.contractor),
            ("credential", &news.credential),
            ("task", &news.task),
            ("route", &news.route),
            ("node", &news.node),
        ];
        for (key, value) in texts {
            value.iter().for_each(|value| message.parameter(key, value));
        }
        let whose = news.contractor.as_ref().map(|contractor| format!(" ({contractor})"));
        let whose = whose.as_deref().unwrap_or_default();
        message.with_text([news.title.as_str(), whose, ": ", news.happened.as_str(), " ", news.todo.as_str()])
    }
}

/// RFC 5424, section 6.2.1: critical, error, warning, notice.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SyslogWay;

    fn syslog() -> Syslog {
        let terms = SyslogTerms {
            way: SyslogWay::Udp,
            host: "127.0.0.1".to_owned(),
            port: 514,
            ca: None,
            facility: 16,
            least: crate::config::Least::Low,
            timeout: Duration::from_secs(5),
        };
        Syslog { machine: "gate".to_owned(), ..Syslog::new(&terms).unwrap() }
    }

    #[test]
    fn a_message_is_as_rfc_5424_says() {
        let process = std::process::id();
        assert_eq!(
            syslog().message(&News::sample()),
            format!(
                "<130>1 2026-11-26T12:27:04.239000Z gate fieldgate {process} canary [fieldgate@32473 alert=\"7\" \
                 entry=\"4\" severity=\"critical\" contractor=\"parcelco\" credential=\"parcelco-batch\" \
                 task=\"deliver-order\" route=\"/orders/{{order_id}}\"] \u{feff}A planted customer was disclosed \
                 (parcelco): It happened. Do this."
            )
        );
    }

    #[test]
    fn what_comes_from_rules_cannot_end_its_place() {
        let news = News {
            signal: "off hours\n<1>".to_owned(),
            contractor: None,
            route: Some("/a\"]\n<165>1 \\x".to_owned()),
            ..News::sample()
        };
        let message = syslog().message(&news);
        assert!(message.contains(r#"route="/a\"\]<165>1 \\x"]"#), "{message}");
        assert!(message.contains(" offhours<1> [") && !message.contains('\n'), "{message}");
    }
}
