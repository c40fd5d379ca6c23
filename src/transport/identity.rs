//! Who is at the other end of a connection, as far as TLS can prove it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::doorway::{Admission, Doorway, Moment};

/// The other end of one connection.
#[derive(Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// There only where a certificate was shown and verified.
    client: Option<(ClientIdentity, Admission)>,
}

/// A certificate that was verified in the handshake and would not be any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTrusted;

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
    /// Who shows no certificate.
    pub(super) fn stranger(address: SocketAddr) -> Self {
        Peer { address: address.ip().to_canonical(), client: None }
    }

    /// Who showed `chain` in a handshake that began at that moment. `None` where the certificate cannot be read.
    pub(super) fn verified(
        address: SocketAddr,
        chain: &[CertificateDer],
        doorway: &Arc<Doorway>,
        moment: Moment,
    ) -> Option<Self> {
        let identity = ClientIdentity::of_verified(chain.first()?)?;
        let admission = Admission::new(Arc::clone(doorway), chain, moment);
        Some(Peer { client: Some((identity, admission)), ..Peer::stranger(address) })
    }

    /// What the certificate says, where one was shown. Asked at each request: a connection may outlive its
    /// certificate.
    ///
    /// # Errors
    /// Where it would not be taken any more: its time is over, it was revoked, or its issuer is gone.
    pub fn identity(&self) -> Result<Option<&ClientIdentity>, NotTrusted> {
        let Some((identity, admission)) = &self.client else { return Ok(None) };
        if identity.is_expired() || !admission.holds() {
            return Err(NotTrusted);
        }
        Ok(Some(identity))
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

    /// The certificate's time has passed.
    fn is_expired(&self) -> bool {
        now() > self.not_after
    }

    /// Days until the certificate's time has passed.
    pub fn days_left(&self) -> i64 {
        (self.not_after - now()).div_euclid(86_400)
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(i64::MAX, |since| since.as_secs() as i64)
}
