//! `[admin.webhook]` and `[admin.syslog]`: where alerts are sent to.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::table::Table;
use crate::diagnostic::{Report, codes};
use crate::transport::SyslogWay;

use super::super::upstream::{Secret, secret, url};
use super::super::{duration, path};

/// The least severe alerts that an outlet takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Least {
    Low,
    Medium,
    High,
    Critical,
}

impl Least {
    const WORDS: [&str; 4] = ["low", "medium", "high", "critical"];

    fn parse(word: &str) -> Option<Self> {
        match word {
            "low" => Some(Least::Low),
            "medium" => Some(Least::Medium),
            "high" => Some(Least::High),
            "critical" => Some(Least::Critical),
            _ => None,
        }
    }
}

/// `[admin.webhook]`.
#[derive(Clone, Debug)]
pub struct WebhookTerms {
    /// Plain `http` only to this machine.
    pub url: String,
    /// What requests are signed with.
    pub key: Secret,
    /// The authority of the receiver's certificate.
    pub ca: Option<PathBuf>,
    /// For one call.
    pub timeout: Duration,
    pub least: Least,
}

/// `[admin.syslog]`.
#[derive(Clone, Debug)]
pub struct SyslogTerms {
    pub way: SyslogWay,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// The authority of the server's certificate, for TLS.
    pub ca: Option<PathBuf>,
    /// RFC 5424, section 6.2.1.
    pub facility: u8,
    /// For one message.
    pub timeout: Duration,
    pub least: Least,
}

const TIMEOUT: Duration = Duration::from_secs(10);
/// RFC 5424, section 6.2.1: numerical codes of facilities.
const FACILITIES: [(&str, u8); 13] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("audit", 13),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

pub(super) fn webhook(top: &mut Table, report: &mut Report, home: &Path) -> Option<WebhookTerms> {
    top.table(report, "webhook", |table, report| {
        let url = table.require(report, "url", "\"https://alerts.example/fieldgate\"");
        let url = url.and_then(|value| value.parse(report, receiver));
        let key = table.require(report, "key", "{ file = \"secrets/webhook.key\" }");
        let key = key.and_then(|value| value.read_table(report, |table, report| secret(table, report, home)));
        let (ca, timeout, least) = common(table, report, home);
        let url = url?;
        authority(report, &url, ca.is_some(), url.value.starts_with("https://"));
        Some(WebhookTerms { url: url.value, key: key?, ca, timeout: timeout?, least: least? })
    })
}

pub(super) fn syslog(top: &mut Table, report: &mut Report, home: &Path) -> Option<SyslogTerms> {
    top.table(report, "syslog", |table, report| {
        let address = table.require(report, "address", "\"udp://127.0.0.1:514\"");
        let address = address.and_then(|value| value.parse(report, server));
        let facility = facility(table, report);
        let (ca, timeout, least) = common(table, report, home);
        let address = address?;
        authority(report, &address, ca.is_some(), address.value.0 == SyslogWay::Tls);
        let (way, host, port) = address.value;
        Some(SyslogTerms { way, host, port, ca, facility: facility?, timeout: timeout?, least: least? })
    })
}

/// `facility`, by its usual name.
pub(in super::super) fn facility(table: &mut Table, report: &mut Report) -> Option<u8> {
    let words = FACILITIES.map(|(name, _)| name);
    let number = |word: &str| FACILITIES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
    match table.get("facility") {
        Some(value) => value.word(report, &words, number).map(|at| at.value),
        None => number("local0"),
    }
}

fn common(
    table: &mut Table,
    report: &mut Report,
    home: &Path,
) -> (Option<PathBuf>, Option<Duration>, Option<Least>) {
    let ca = table.get("ca").and_then(|value| path(&value, report, home));
    let timeout = table.get("timeout").map_or(Some(TIMEOUT), |value| duration(&value, report));
    let least = match table.get("min_severity") {
        Some(value) => value.word(report, &Least::WORDS, Least::parse).map(|at| at.value),
        None => Some(Least::Low),
    };
    (ca, timeout, least)
}

/// TLS is with a named authority, and an authority is for TLS.
pub(in super::super) fn authority<T>(
    report: &mut Report,
    at: &crate::diagnostic::table::At<T>,
    has: bool,
    needs: bool,
) {
    let (message, help) = match (has, needs) {
        (false, true) => {
            ("stands without `ca`", "name the authority of its certificate: ca = \"certs/company-ca.pem\"")
        }
        (true, false) => {
            ("is not called over TLS, and `ca` stands beside it", "remove `ca`, or call it over TLS")
        }
        _ => return,
    };
    report.add(codes::OUTLET_CA, &at.span, &at.key, message, help);
}

pub(in super::super) fn receiver(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "https://, a host, and perhaps a port and a path, such as \
                         \"https://alerts.example/fieldgate\"; plain http:// only to this machine";
    let url = url(text).map_err(|_| WRONG)?;
    let host =
        url.parse::<http::Uri>().ok().and_then(|url| url.host().map(str::to_owned)).unwrap_or_default();
    let is_near = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.starts_with("https://") || is_near { Ok(url) } else { Err(WRONG) }
}

pub(in super::super) fn server(text: &str) -> Result<(SyslogWay, String, u16), &'static str> {
    const WRONG: &str =
        "udp://, tcp:// or tls://, a host and perhaps a port, such as \"udp://127.0.0.1:514\"";
    let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
    let (way, usual) = match scheme {
        "udp" => (SyslogWay::Udp, 514),
        "tcp" => (SyslogWay::Tcp, 514),
        "tls" => (SyslogWay::Tls, 6514),
        _ => return Err(WRONG),
    };
    let authority: http::uri::Authority = rest.parse().map_err(|_| WRONG)?;
    let (host, port) = (authority.host(), authority.port());
    let named = host.len() + port.as_ref().map_or(0, |port| port.as_str().len() + 1);
    let port = port.map_or(usual, |port| port.as_u16());
    if host.is_empty() || port == 0 || named != rest.len() {
        return Err(WRONG);
    }
    Ok((way, host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_go_in_the_clear_to_this_machine_only() {
        for near in ["http://127.0.0.1:9/a", "http://[::1]/a", "http://localhost:8080", "https://a.example/x"]
        {
            assert_eq!(receiver(near).as_deref(), Ok(near));
        }
        for far in ["http://alerts.example/a", "http://10.0.0.1", "ftp://127.0.0.1", "https://a.example/?q=1"]
        {
            assert!(receiver(far).is_err(), "{far}");
        }
    }

    #[test]
    fn syslog_servers_have_a_usual_port() {
        assert_eq!(server("udp://127.0.0.1"), Ok((SyslogWay::Udp, "127.0.0.1".into(), 514)));
        assert_eq!(server("tls://[::1]"), Ok((SyslogWay::Tls, "::1".into(), 6514)));
        assert_eq!(server("tcp://logs.example:601"), Ok((SyslogWay::Tcp, "logs.example".into(), 601)));
        for wrong in ["127.0.0.1:514", "udp://", "udp://a:0", "udp://a:70000", "udp://u@a", "udp://a/b"] {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }
}
