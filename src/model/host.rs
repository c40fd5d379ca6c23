//! Hosts: whom a request is for.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest name in DNS, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;

/// A host and perhaps a port (RFC 3986, sections 3.2.2 and 3.2.3): a DNS name or an IP address, no user,
/// no escape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// In lower case, without a dot at its end; an IPv6 address in brackets, in its shortest form.
    name: String,
    port: Option<u16>,
}

impl Host {
    /// `None` where the text is anything else, also where one server might still make a host of it.
    pub fn parse(text: &str) -> Option<Host> {
        let (name, port) = match text.rfind(':').filter(|at| !text[*at..].contains(']')) {
            Some(at) => (&text[..at], Some(port(&text[at + 1..])?)),
            None => (text, None),
        };
        Some(Host { name: host_name(name)?, port })
    }

    /// In lower case, without a port.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same host and port, where none means `default`.
    pub fn is_same(&self, other: &Host, default: u16) -> bool {
        self.name == other.name && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

fn host_name(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(format!("[{}]", address.parse::<Ipv6Addr>().ok()?));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    // Docker and Kubernetes have names with underscores.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let labels = |name: &str| name.split('.').all(|label| !label.is_empty() && label.bytes().all(plain));
    // What ends in a number is an IPv4 address to some readers: then it must be one to all of them.
    let number = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    let fits = name.len() <= MAX_NAME && labels(name) && (!number || name.parse::<Ipv4Addr>().is_ok());
    fits.then(|| name.to_ascii_lowercase())
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        let read = |text| Host::parse(text).map(|host| (host.name().to_owned(), host.port()));
        for (text, name, port) in [
            ("localhost", "localhost", None),
            ("Gateway.Example:8443", "gateway.example", Some(8443)),
            ("a_b.example.", "a_b.example", None),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[0:0:0::1]", "[::1]", None),
            ("[::FFFF]:443", "[::ffff]", Some(443)),
        ] {
            assert_eq!(read(text), Some((name.to_owned(), port)), "{text}");
        }
        for text in [
            "",
            ".",
            ":443",
            "a:",
            "a:0",
            "a:+1",
            "a:65536",
            "a:1:2",
            "a b",
            "a/b",
            "a@b",
            "a?b",
            "a#b",
            "a%62",
            "a,b",
            "a..b",
            ".a",
            "a..",
            "é",
            "::1",
            "[::1",
            "::1]",
            "[a]",
            "[::1]x",
            "[::1%25eth0]",
            "1.2.3",
            "127.1",
            "256.0.0.1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
