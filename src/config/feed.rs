//! `[[feed]]`: where entries of the ledger are sent to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::table::{At, Table, Value};
use crate::diagnostic::{Report, codes};
use crate::transport::SyslogWay;

use super::admin::{authority, facility, receiver, server};
use super::upstream::{Secret, secret};
use super::{duration, path};

/// A receiver of entries, each as an OCSF event.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its place in the ledger is kept under this name.
    pub name: String,
    pub to: FeedTo,
    /// Of these kinds; all, where there are none.
    pub kinds: BTreeSet<String>,
    /// Events that are sent, and acknowledged, at once.
    pub batch: usize,
    /// For one batch.
    pub timeout: Duration,
    pub from: FeedFrom,
}

/// Where a feed begins that has sent nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedFrom {
    /// With the ledger's first entry.
    Start,
    /// With the next one.
    Now,
}

/// What takes the events, and how.
#[derive(Clone, Debug)]
pub enum FeedTo {
    File(PathBuf),
    Syslog {
        way: SyslogWay,
        /// A name or an address, without brackets.
        host: String,
        port: u16,
        ca: Option<PathBuf>,
        /// RFC 5424, section 6.2.1.
        facility: u8,
    },
    Http {
        url: String,
        ca: Option<PathBuf>,
        /// What requests are signed with.
        key: Option<Secret>,
        bearer: Option<Secret>,
    },
    Nats(Box<NatsTerms>),
}

impl FeedTo {
    pub fn kind(&self) -> &'static str {
        match self {
            FeedTo::File(_) => "file",
            FeedTo::Syslog { .. } => "syslog",
            FeedTo::Http { .. } => "http",
            FeedTo::Nats(_) => "nats",
        }
    }
}

/// A NATS server with JetStream.
#[derive(Clone, Debug)]
pub struct NatsTerms {
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub ca: Option<PathBuf>,
    /// A stream must take it.
    pub subject: String,
    pub sign_in: NatsSignIn,
}

/// As whom the feed signs in there.
#[derive(Clone, Debug)]
pub enum NatsSignIn {
    Nobody,
    Token(Secret),
    User {
        user: String,
        password: Secret,
    },
    /// A JWT and the seed of its nkey, or such a seed alone.
    Credentials(Secret),
}

const KINDS: [&str; 4] = ["file", "syslog", "http", "nats"];
/// The keys that only some feeds have, and which.
const OWN: [(&str, &[&str]); 12] = [
    ("path", &["file"]),
    ("address", &["syslog", "nats"]),
    ("facility", &["syslog"]),
    ("url", &["http"]),
    ("key", &["http"]),
    ("bearer", &["http"]),
    ("subject", &["nats"]),
    ("token", &["nats"]),
    ("user", &["nats"]),
    ("password", &["nats"]),
    ("credentials", &["nats"]),
    ("ca", &["syslog", "http", "nats"]),
];
/// Kinds of entries.
const ENTRIES: [&str; 14] = [
    "disclosure",
    "subjects",
    "refusal",
    "signal",
    "rules",
    "started",
    "access",
    "key",
    "hold",
    "prune",
    "suspension",
    "consent",
    "alert",
    "review",
];
const BATCH: usize = 256;
const MOST: u64 = 4096;
const TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_NAME: usize = 32;

pub(super) fn read(top: &mut Table, report: &mut Report, home: &Path) -> Vec<Feed> {
    let mut names = Vec::new();
    top.tables(report, "feed", |table, report| feed(table, report, home, &mut names))
}

fn feed(table: &mut Table, report: &mut Report, home: &Path, names: &mut Vec<String>) -> Option<Feed> {
    let name = table.require(report, "name", "\"siem\"").and_then(|value| value.parse(report, name));
    if let Some(at) = name.as_ref().filter(|at| names.contains(&at.value)) {
        let help = "each feed keeps its place in the ledger under its name: give it another one";
        report.add(codes::FEED_TWICE, &at.span, &at.key, "is the name of another feed too", help);
    }
    names.extend(name.as_ref().map(|at| at.value.clone()));
    let kind = table.require(report, "kind", "\"file\", \"syslog\", \"http\" or \"nats\"");
    let known = |word: &str| KINDS.iter().find(|kind| **kind == word).copied();
    let kind = kind.and_then(|value| value.word(report, &KINDS, known));
    let kinds = table.get("kinds").map_or_else(|| Some(BTreeSet::new()), |value| kinds(&value, report));
    let batch = table.get("batch").map_or(Some(BATCH as u64), |value| value.integer(report, 1..=MOST));
    let timeout = table.get("timeout").map_or(Some(TIMEOUT), |value| duration(&value, report));
    let from = match table.get("from") {
        Some(value) => value.word(report, &["start", "now"], from).map(|at| at.value),
        None => Some(FeedFrom::Start),
    };
    // Asked for in any case, so that what is known does not depend on the kind.
    let own = OWN.map(|(key, of)| (table.get(key), of));
    let to = kind.and_then(|kind| {
        for (value, _) in own.iter().filter(|(_, of)| !of.contains(&kind.value)) {
            let Some(value) = value else { continue };
            let message = format!("does not belong to a feed of kind \"{}\"", kind.value);
            let has: Vec<&str> =
                OWN.iter().filter(|(_, of)| of.contains(&kind.value)).map(|(key, _)| *key).collect();
            let help = format!("remove it; such a feed has: {}", has.join(", "));
            report.add(codes::FEED_KEY, &value.span(), value.key(), message, help);
        }
        match kind.value {
            "file" => {
                let value = table.require(report, "path", "\"feed/events.jsonl\"")?;
                Some(FeedTo::File(path(&value, report, home)?))
            }
            "syslog" => syslog(table, report, home),
            "http" => http(table, report, home),
            _ => nats(table, report, home),
        }
    });
    Some(Feed {
        name: name?.value,
        to: to?,
        kinds: kinds?,
        batch: batch? as usize,
        timeout: timeout?,
        from: from?,
    })
}

fn syslog(table: &mut Table, report: &mut Report, home: &Path) -> Option<FeedTo> {
    let address = table.require(report, "address", "\"tls://logs.example:6514\"");
    let address = address.and_then(|value| value.parse(report, stream_server));
    let facility = facility(table, report);
    let ca = table.get("ca").and_then(|value| path(&value, report, home));
    let address = address?;
    authority(report, &address, ca.is_some(), address.value.0 == SyslogWay::Tls);
    let (way, host, port) = address.value;
    Some(FeedTo::Syslog { way, host, port, ca, facility: facility? })
}

fn http(table: &mut Table, report: &mut Report, home: &Path) -> Option<FeedTo> {
    let url = table.require(report, "url", "\"https://siem.example/fieldgate\"");
    let url = url.and_then(|value| value.parse(report, receiver));
    let (key, bearer) =
        (optional_secret(table, report, home, "key"), optional_secret(table, report, home, "bearer"));
    let ca = table.get("ca").and_then(|value| path(&value, report, home));
    let url = url?;
    authority(report, &url, ca.is_some(), url.value.starts_with("https://"));
    Some(FeedTo::Http { url: url.value, ca, key: key?, bearer: bearer? })
}

fn nats(table: &mut Table, report: &mut Report, home: &Path) -> Option<FeedTo> {
    let address = table.require(report, "address", "\"tls://nats.example:4222\"");
    let address = address.and_then(|value| value.parse(report, nats_server));
    let subject = table.require(report, "subject", "\"fieldgate.ledger\"");
    let subject = subject.and_then(|value| value.parse(report, nats_subject));
    let ca = table.get("ca").and_then(|value| path(&value, report, home));
    let token = optional_secret(table, report, home, "token");
    let user = table.get("user").map(|value| value.text(report).map(str::to_owned));
    let password = optional_secret(table, report, home, "password");
    let credentials = optional_secret(table, report, home, "credentials");
    let sign_in = match (token?, user, password?, credentials?) {
        (None, None, None, None) => Some(NatsSignIn::Nobody),
        (Some(token), None, None, None) => Some(NatsSignIn::Token(token)),
        (None, None, None, Some(place)) => Some(NatsSignIn::Credentials(place)),
        (None, Some(user), Some(password), None) => user.map(|user| NatsSignIn::User { user, password }),
        _ => {
            let at = table.at(());
            let message = "signs in in more than one way, or in half of one";
            let help = "write `token`, or `user` and `password`, or `credentials`, or none of them";
            report.add(codes::FEED_SIGN_IN, &at.span, &at.key, message, help);
            None
        }
    };
    let address = address?;
    authority(report, &address, ca.is_some(), address.value.0);
    let (tls, host, port) = address.value;
    Some(FeedTo::Nats(Box::new(NatsTerms {
        tls,
        host,
        port,
        ca,
        subject: subject?.value,
        sign_in: sign_in?,
    })))
}

/// `None` where it is wrong, `Some(None)` where there is none.
fn optional_secret(
    table: &mut Table,
    report: &mut Report,
    home: &Path,
    key: &'static str,
) -> Option<Option<Secret>> {
    let Some(value) = table.get(key) else { return Some(None) };
    value.read_table(report, |table, report| secret(table, report, home)).map(Some)
}

/// It is part of a file's name.
fn name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-');
    if fits { Ok(text.to_owned()) } else { Err("up to 32 lower-case letters, digits and hyphens") }
}

fn from(word: &str) -> Option<FeedFrom> {
    match word {
        "start" => Some(FeedFrom::Start),
        "now" => Some(FeedFrom::Now),
        _ => None,
    }
}

/// An empty list would send nothing where it seems to send all.
fn kinds(value: &Value, report: &mut Report) -> Option<BTreeSet<String>> {
    let list = value.list(report)?;
    if list.is_empty() {
        let help = "list the kinds of entries, or remove the key: all are sent";
        report.add(codes::EMPTY_LIST, &value.span(), value.key(), "is empty", help);
        return None;
    }
    let known = |word: &str| ENTRIES.contains(&word).then(|| word.to_owned());
    let words: Vec<Option<At<String>>> =
        list.iter().map(|value| value.word(report, &ENTRIES, known)).collect();
    words.into_iter().map(|word| word.map(|at| at.value)).collect()
}

/// Datagrams are lost without anybody's knowing, and cut what is long.
fn stream_server(text: &str) -> Result<(SyslogWay, String, u16), &'static str> {
    const WRONG: &str = "tcp:// or tls://, a host and perhaps a port, such as \"tls://logs.example:6514\"; over \
                         udp:// events could be lost";
    server(text).ok().filter(|(way, ..)| *way != SyslogWay::Udp).ok_or(WRONG)
}

fn nats_server(text: &str) -> Result<(bool, String, u16), &'static str> {
    const WRONG: &str = "tls://, a host and perhaps a port, such as \"tls://nats.example:4222\"; nats:// only to \
                         this machine";
    let (scheme, rest) = text.split_once("://").ok_or(WRONG)?;
    let authority: http::uri::Authority = rest.parse().map_err(|_| WRONG)?;
    let (host, port) = (authority.host(), authority.port());
    let named = host.len() + port.as_ref().map_or(0, |port| port.as_str().len() + 1);
    let port = port.map_or(4222, |port| port.as_u16());
    let host = host.trim_matches(['[', ']']);
    let is_near = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let fits = match scheme {
        "tls" => true,
        "nats" => is_near,
        _ => false,
    };
    if !fits || host.is_empty() || port == 0 || named != rest.len() {
        return Err(WRONG);
    }
    Ok((scheme == "tls", host.to_owned(), port))
}

/// Tokens of printable ASCII between full stops, and no wildcard.
fn nats_subject(text: &str) -> Result<String, &'static str> {
    let token = |token: &str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
    };
    let fits = text.len() <= 200 && text.split('.').all(token) && !text.starts_with('$');
    if fits { Ok(text.to_owned()) } else { Err("a subject without wildcards, such as \"fieldgate.ledger\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_is_spoken_in_the_clear_to_this_machine_only() {
        assert_eq!(nats_server("nats://127.0.0.1"), Ok((false, "127.0.0.1".into(), 4222)));
        assert_eq!(nats_server("nats://[::1]:5222"), Ok((false, "::1".into(), 5222)));
        assert_eq!(nats_server("tls://nats.example"), Ok((true, "nats.example".into(), 4222)));
        for wrong in
            ["nats://nats.example", "nats://10.0.0.1", "http://127.0.0.1", "tls://a:0", "tls://u@a", "tls://"]
        {
            assert!(nats_server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_and_subjects_are_plain() {
        for wrong in ["", "-a", "A", "a/b", "a.b", "..", &"a".repeat(33)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "a..b", "a.*", ">", "a b", "a\r\nPUB x", "$JS.API"] {
            assert!(nats_subject(wrong).is_err(), "{wrong}");
        }
        assert!(name("siem-2").is_ok() && nats_subject("fieldgate.ledger").is_ok());
    }
}
