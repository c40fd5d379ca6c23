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
            let days_left = days_left(&certificate.validity().not_after);
            Some(Validity { what: "certificate", name: certificate.subject().to_string(), days_left })
        }
        "X509 CRL" => {
            let (_, list) = CertificateRevocationList::from_der(&block.contents).ok()?;
            // Without a next update it is never out of date (RFC 5280 wants one).
            let days_left = days_left(&list.next_update()?);
            Some(Validity { what: "revocation list", name: list.issuer().to_string(), days_left })
        }
        _ => None,
    }
}

fn days_left(end: &ASN1Time) -> i64 {
    (end.timestamp() - now()).div_euclid(86_400)
}
