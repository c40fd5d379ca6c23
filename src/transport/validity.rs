//! Until when certificates and revocation lists are good.

use std::path::Path;

use x509_parser::pem::Pem;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use x509_parser::time::ASN1Time;

use super::identity::now;

/// One certificate or list of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    pub what: &'static str,
    /// Of a certificate, its subject; of a list, its issuer.
    pub name: String,
    /// Whole days; below zero where its time is over.
    pub days_left: i64,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub ends: i64,
}

/// What is in a PEM file; what is neither a certificate nor a list is left out.
///
/// # Errors
/// Where the file cannot be read.
pub fn validities(path: &Path) -> std::io::Result<Vec<Validity>> {
    let text = std::fs::read(path)?;
    Ok(Pem::iter_from_buffer(&text).filter_map(|block| validity(&block.ok()?)).collect())
}

fn validity(block: &Pem) -> Option<Validity> {
    match block.label.as_str() {
        "CERTIFICATE" => {
            let (_, certificate) = X509Certificate::from_der(&block.contents).ok()?;
            let end = certificate.validity().not_after;
            Some(Validity::new("certificate", certificate.subject().to_string(), end))
        }
        "X509 CRL" => {
            let (_, list) = CertificateRevocationList::from_der(&block.contents).ok()?;
            // Without a next update it is never out of date (RFC 5280 wants one).
            Some(Validity::new("revocation list", list.issuer().to_string(), list.next_update()?))
        }
        _ => None,
    }
}

impl Validity {
    fn new(what: &'static str, name: String, end: ASN1Time) -> Self {
        let ends = end.timestamp();
        Validity { what, name, days_left: (ends - now()).div_euclid(86_400), ends }
    }
}
