//! Syslog as a client speaks it: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, octet counting) or TLS (RFC 5425).

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio_rustls::TlsConnector;

use super::tls::{ClientFiles, TlsError, client_config};

/// A receiver over UDP should take so many bytes (RFC 5426, section 3.2).
const DATAGRAM: usize = 2048;
/// Marks text as UTF-8 (RFC 5424, section 6.4).
const BOM: &str = "\u{feff}";
/// The enterprise number for examples (RFC 5612): there is none of Fieldgate's own.
const ELEMENT: &str = "fieldgate@32473";

/// How messages get to a syslog server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyslogWay {
    Udp,
    Tcp,
    Tls,
}

/// A syslog server.
pub struct SyslogServer {
    way: SyslogWay,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

/// What is known of a server that has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It closed its side behind the last message: it has read it.
    Peace,
    /// It kept its side open, or there is none: nobody knows.
    Silence,
}

impl SyslogServer {
    /// `ca` is the authority of its certificate, for TLS.
    ///
    /// # Errors
    /// Where the authority's file cannot be used.
    pub fn new(way: SyslogWay, host: &str, port: u16, ca: Option<&Path>) -> Result<Self, TlsError> {
        let tls = match ca {
            None => None,
            Some(ca) => {
                let files = ClientFiles { ca: ca.to_owned(), identity: None, server_name: None };
                Some(TlsConnector::from(Arc::new(client_config(&files)?)))
            }
        };
        Ok(SyslogServer { way, host: host.to_owned(), port, tls })
    }

    /// Hands messages over, in order, on a connection of their own; over UDP each is a datagram, cut where it is
    /// too long. Waits up to `goodbye` for the server to close its side.
    ///
    /// # Errors
    /// Where the server cannot be reached, or breaks off.
    pub async fn send(&self, messages: &[String], goodbye: Duration) -> anyhow::Result<Parting> {
        let host = self.host.trim_matches(['[', ']']);
        let address = lookup_host((host, self.port)).await?.next().context("its name has no address")?;
        match self.way {
            SyslogWay::Udp => {
                for message in messages {
                    datagram(address, truncated(message, DATAGRAM).as_bytes()).await?;
                }
                Ok(Parting::Silence)
            }
            SyslogWay::Tcp => {
                let mut stream = TcpStream::connect(address).await?;
                let parting = hand_over(&mut stream, messages, goodbye).await?;
                unbroken(&stream).map(|()| parting)
            }
            SyslogWay::Tls => {
                let tls = self.tls.as_ref().context("its authority is not known")?;
                let server = ServerName::try_from(host.to_owned())?;
                let mut stream = tls.connect(server, TcpStream::connect(address).await?).await?;
                let parting = hand_over(&mut stream, messages, goodbye).await?;
                unbroken(stream.get_ref().0).map(|()| parting)
            }
        }
    }
}

/// One message (RFC 5424, section 6).
pub struct SyslogMessage(String);

impl SyslogMessage {
    /// Begins one of `machine`; `time` is in microseconds since 1970-01-01T00:00:00Z.
    pub fn new(facility: u8, level: u8, time: i64, machine: &str, kind: &str) -> Self {
        let priority = u16::from(facility) * 8 + u16::from(level);
        let time = jiff::Timestamp::from_microsecond(time).unwrap_or_default();
        let (process, kind) = (std::process::id(), name(kind, 32));
        SyslogMessage(format!("<{priority}>1 {time:.6} {machine} fieldgate {process} {kind} [{ELEMENT}"))
    }

    /// Adds a parameter (section 6.3.3).
    pub fn parameter(&mut self, key: &str, value: &str) {
        parameter(&mut self.0, key, value);
    }

    /// The message with its text.
    pub fn with_text<'a>(mut self, parts: impl IntoIterator<Item = &'a str>) -> String {
        self.0.push_str("] ");
        self.0.push_str(BOM);
        self.0.extend(parts);
        self.0
    }
}

/// This machine's name, as a message has it.
pub fn machine() -> String {
    name(&rustix::system::uname().nodename().to_string_lossy(), 255)
}

/// Printable ASCII without spaces (RFC 5424, section 6), or the sign for nothing.
fn name(text: &str, most: usize) -> String {
    let name: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

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
fn truncated(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
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

/// A connection for each call: only one that the server ends in peace shows that it was read.
async fn hand_over(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    messages: &[String],
    goodbye: Duration,
) -> anyhow::Result<Parting> {
    for message in messages {
        stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
    }
    stream.flush().await?;
    stream.shutdown().await?;
    let mut rest = [0; 64];
    let closed = async {
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    match tokio::time::timeout(goodbye, closed).await {
        Ok(Ok(())) => Ok(Parting::Peace),
        // Some servers end TLS without saying so.
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Parting::Peace),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Ok(Parting::Silence),
    }
}

/// A server that had closed its side before the messages came ends in peace to see; that they were thrown away shows
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

    #[test]
    fn a_datagram_that_is_too_long_ends_between_two_characters() {
        assert_eq!(truncated(&"aé".repeat(10), 5), "aéa");
        assert_eq!((name("", 5), name("ä b", 5)), ("-".into(), "b".into()));
    }
}
