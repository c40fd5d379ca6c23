//! Alerts to a syslog server: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio_rustls::TlsConnector;

use crate::config::{SyslogTerms, SyslogWay};
use crate::transport::{ClientFiles, client_config};

use super::super::store::Severity;
use super::News;

/// A receiver over UDP should take so many bytes (RFC 5426, section 3.2).
const DATAGRAM: usize = 2048;
/// For a server to close its side behind a message, at most: one that does so has read it.
const GOODBYE: Duration = Duration::from_secs(1);
/// The enterprise number for examples (RFC 5612): there is none of Fieldgate's own.
const ELEMENT: &str = "fieldgate@32473";
/// Marks text as UTF-8 (RFC 5424, section 6.4).
const BOM: &str = "\u{feff}";

/// A syslog server.
pub struct Syslog {
    terms: SyslogTerms,
    tls: Option<TlsConnector>,
    machine: String,
}

impl Syslog {
    /// # Errors
    /// Where the authority's file cannot be used.
    pub fn new(terms: &SyslogTerms) -> anyhow::Result<Self> {
        let tls = match &terms.ca {
            None => None,
            Some(ca) => {
                let files = ClientFiles { ca: ca.clone(), identity: None, server_name: None };
                Some(TlsConnector::from(Arc::new(client_config(&files)?)))
            }
        };
        let machine = name(&rustix::system::uname().nodename().to_string_lossy(), 255);
        Ok(Syslog { terms: terms.clone(), tls, machine })
    }

    /// Hands one message over. Syslog has no receipts: over UDP the server may not have got it.
    ///
    /// # Errors
    /// Where the server cannot be reached, or breaks off.
    pub async fn send(&self, news: &News) -> anyhow::Result<()> {
        let mut message = self.message(news);
        // There must be time for the connection, too.
        let goodbye = GOODBYE.min(self.terms.timeout / 2);
        let host = self.terms.host.trim_matches(['[', ']']);
        let address =
            lookup_host((host, self.terms.port)).await?.next().context("its name has no address")?;
        match self.terms.way {
            SyslogWay::Udp => {
                truncate(&mut message, DATAGRAM);
                datagram(address, message.as_bytes()).await
            }
            SyslogWay::Tcp => {
                let mut stream = TcpStream::connect(address).await?;
                hand_over(&mut stream, &message, goodbye).await?;
                unbroken(&stream)
            }
            SyslogWay::Tls => {
                let tls = self.tls.as_ref().context("its authority is not known")?;
                let server = ServerName::try_from(host.to_owned())?;
                let mut stream = tls.connect(server, TcpStream::connect(address).await?).await?;
                hand_over(&mut stream, &message, goodbye).await?;
                unbroken(stream.get_ref().0)
            }
        }
    }

    /// RFC 5424, section 6.
    fn message(&self, news: &News) -> String {
        let priority = u16::from(self.terms.facility) * 8 + level(news.severity);
        let time = jiff::Timestamp::from_microsecond(news.time).unwrap_or_default();
        let (machine, process, kind) = (&self.machine, std::process::id(), name(&news.signal, 32));
        let mut text = format!("<{priority}>1 {time:.6} {machine} fieldgate {process} {kind} [{ELEMENT}");
        let numbers = [("alert", Some(news.alert)), ("entry", news.entry)];
        for (key, number) in numbers {
            number.into_iter().for_each(|number| parameter(&mut text, key, &number.to_string()));
        }
        parameter(&mut text, "severity", news.severity.as_str());
        let texts = [
            ("contractor", &news.contractor),
            ("credential", &news.credential),
            ("task", &news.task),
            ("route", &news.route),
        ];
        for (key, value) in texts {
            value.iter().for_each(|value| parameter(&mut text, key, value));
        }
        let _ = write!(text, "] {BOM}{}", news.title);
        if let Some(contractor) = &news.contractor {
            let _ = write!(text, " ({contractor})");
        }
        text.extend([": ", news.happened.as_str(), " ", news.todo.as_str()]);
        text
    }
}

/// RFC 5424, section 6.2.1: critical, error, warning, notice.
fn level(severity: Severity) -> u16 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
    }
}

/// Printable ASCII without spaces (RFC 5424, section 6), or the sign for nothing.
fn name(text: &str, most: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// RFC 5424, section 6.3.3.
fn parameter(text: &mut String, key: &str, value: &str) {
    let _ = write!(text, " {key}=\"");
    for sign in value.chars().filter(|sign| !sign.is_control()) {
        if matches!(sign, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(sign);
    }
    text.push('"');
}

/// What is too long ends early, between two characters.
fn truncate(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

async fn datagram(address: SocketAddr, message: &[u8]) -> anyhow::Result<()> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    let sent = socket.send(message).await?;
    ensure!(sent == message.len(), "it was cut");
    // Of this machine one hears at once that nobody listens.
    match socket.take_error()? {
        Some(error) => bail!(error),
        None => Ok(()),
    }
}

/// A connection for each message: only one that the server ends in peace shows that it was read.
async fn hand_over(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    message: &str,
    goodbye: Duration,
) -> anyhow::Result<()> {
    stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    let mut rest = [0; 64];
    let closed = async {
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    match tokio::time::timeout(goodbye, closed).await {
        // Some servers end TLS without saying so.
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
        // A server that keeps its side open has not refused either.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A server that had closed its side before the message came ends in peace to see; that it was thrown away shows
/// in the socket's error only.
fn unbroken(stream: &TcpStream) -> anyhow::Result<()> {
    match stream.take_error()? {
        Some(error) => bail!(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        Syslog { terms, tls: None, machine: "gate".to_owned() }
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

    #[test]
    fn a_datagram_that_is_too_long_ends_between_two_characters() {
        let mut text = "aé".repeat(10);
        truncate(&mut text, 5);
        assert_eq!(text, "aéa");
        assert_eq!((name("", 5), name("ä b", 5)), ("-".into(), "b".into()));
    }
}
