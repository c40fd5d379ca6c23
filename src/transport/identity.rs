//! Who is at the other end of a connection, as far as TLS can prove it.

use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The other end of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// There only where a certificate was shown and verified.
    pub identity: Option<ClientIdentity>,
}

/// What a verified client certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Names of type URI; SPIFFE allows exactly one.
    pub uri_names: Vec<String>,
    /// Names of type DNS, in lower case.
    pub dns_names: Vec<String>,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// Seconds since 1970-01-01T00:00:00Z.
    not_after: i64,
}

impl Peer {
    /// `certificate` is the peer's own one, which rustls has verified in the handshake.
    pub fn new(address: SocketAddr, certificate: Option<&[u8]>) -> Self {
        Peer { address: address.ip(), identity: certificate.and_then(ClientIdentity::of_verified) }
    }
}

impl ClientIdentity {
    fn of_verified(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut identity = ClientIdentity {
            uri_names: Vec::new(),
            dns_names: Vec::new(),
            fingerprint: [0; 32],
            not_after: certificate.validity().not_after.timestamp(),
        };
        identity.fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
        let names = certificate.subject_alternative_name().ok()?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::URI(uri) => identity.uri_names.push((*uri).to_owned()),
                GeneralName::DNSName(name) => identity.dns_names.push(name.to_ascii_lowercase()),
                _ => {}
            }
        }
        Some(identity)
    }

    /// The certificate's time has passed. A connection may outlive its certificate, so this is asked
    /// at each request.
    pub fn is_expired(&self) -> bool {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(i64::MAX, |since| since.as_secs() as i64);
        now > self.not_after
    }
}
