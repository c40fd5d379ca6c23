//! Certificate revocation lists (RFC 5280, section 5).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::TlsError;

/// A list, by what decides which of two is newer: its number, then its date.
struct Dated {
    number: Option<BigUint>,
    this_update: i64,
    list: CertificateRevocationListDer<'static>,
}

/// The newest list of each issuer in these files. The verifier would take the first that fits.
///
/// # Errors
/// Where a file cannot be read, or holds no list.
pub fn newest(files: &[PathBuf]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let mut newest: HashMap<Vec<u8>, Dated> = HashMap::new();
    for path in files {
        for list in read(path)? {
            let (issuer, dated) = dated(path, list)?;
            let known = newest.get(&issuer);
            if known
                .is_none_or(|known| (&known.number, known.this_update) <= (&dated.number, dated.this_update))
            {
                newest.insert(issuer, dated);
            }
        }
    }
    Ok(newest.into_values().map(|dated| dated.list).collect())
}

fn dated(path: &Path, list: CertificateRevocationListDer<'static>) -> Result<(Vec<u8>, Dated), TlsError> {
    let (_, parsed) =
        CertificateRevocationList::from_der(&list).map_err(|_| TlsError::List(path.to_owned()))?;
    let issuer = parsed.issuer().as_raw().to_vec();
    let number = parsed.crl_number().cloned();
    let this_update = parsed.last_update().timestamp();
    Ok((issuer, Dated { number, this_update, list }))
}

fn read(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists =
        CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let lists = lists.map_err(|source| TlsError::Pem { path: path.to_owned(), source })?;
    if lists.is_empty() {
        return Err(TlsError::NoList(path.to_owned()));
    }
    Ok(lists)
}
