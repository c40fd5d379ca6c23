//! What the contractors' authority has issued, and what of it is revoked (RFC 5280, section 5).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::{Authority, CONTRACTOR_CA};

/// Reasons that a person gives, by their number (RFC 5280, section 5.3.1).
const REASONS: [(&str, RevocationReason, u8); 5] = [
    ("unspecified", RevocationReason::Unspecified, 0),
    ("key-compromise", RevocationReason::KeyCompromise, 1),
    ("affiliation-changed", RevocationReason::AffiliationChanged, 3),
    ("superseded", RevocationReason::Superseded, 4),
    ("cessation-of-operation", RevocationReason::CessationOfOperation, 5),
];

/// A certificate of the folder that the contractors' authority has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The file's name without its ending.
    pub name: String,
    /// Hexadecimal.
    pub serial: String,
    /// As rule files write it.
    pub sans: Vec<String>,
    pub not_after: OffsetDateTime,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Valid,
    Expired,
    Revoked { at: OffsetDateTime, reason: &'static str },
}

/// A revocation, as the list holds it.
#[derive(Clone)]
pub(super) struct Revocation {
    at: OffsetDateTime,
    reason: u8,
}

/// What the list holds.
#[derive(Default)]
struct List {
    number: u64,
    /// By serial number.
    revoked: BTreeMap<Vec<u8>, Revocation>,
}

impl Authority {
    /// The reasons that [`Authority::revoke`] knows.
    pub fn reasons() -> impl Iterator<Item = &'static str> {
        REASONS.iter().map(|(name, _, _)| *name)
    }

    /// The certificates of the folder that the contractors' authority has signed, by name.
    ///
    /// # Errors
    /// Where the folder or the list cannot be read.
    pub fn issued(&self) -> anyhow::Result<Vec<Issued>> {
        let authority = certificate_of(&self.certificate(CONTRACTOR_CA)).with_context(|| {
            format!("{}: run `fieldgate certs init` first", self.certificate(CONTRACTOR_CA).display())
        })?;
        let (_, authority) = X509Certificate::from_der(&authority)?;
        let list = self.read_list()?;
        let mut issued = Vec::new();
        for entry in std::fs::read_dir(&self.folder).with_context(|| self.folder.display().to_string())? {
            let path = entry?.path();
            let name = path
                .file_stem()
                .and_then(|name| name.to_str())
                .filter(|_| path.extension().is_some_and(|end| end == "pem"));
            let Some((name, der)) = name.and_then(|name| Some((name, certificate_of(&path).ok()?))) else {
                continue;
            };
            let Ok((_, certificate)) = X509Certificate::from_der(&der) else { continue };
            let signed = certificate.issuer() == authority.subject()
                && certificate.verify_signature(Some(authority.public_key())).is_ok();
            if signed && name != CONTRACTOR_CA {
                issued.push(about(name, &certificate, &list));
            }
        }
        issued.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(issued)
    }

    /// Puts certificates on the revocation list: by the name of their file, or by serial number, where the
    /// file is gone. The new list is good for `days`.
    ///
    /// # Errors
    /// Where there is no such certificate, the reason is unknown, or the list cannot be read or written.
    pub fn revoke(
        &self,
        names: &[String],
        serials: &[String],
        reason: &str,
        days: i64,
    ) -> anyhow::Result<Vec<String>> {
        let Some((_, _, reason)) = REASONS.iter().find(|(name, _, _)| *name == reason) else {
            bail!("{reason} is no reason; there are: {}", Self::reasons().collect::<Vec<_>>().join(", "));
        };
        let issued = self.issued()?;
        let mut wanted = Vec::new();
        for name in names {
            let found = issued.iter().find(|known| known.name == *name);
            let found = found.with_context(|| format!("there is no certificate {name} of the contractors' authority in {}; see: fieldgate certs list", self.folder.display()))?;
            wanted.push(found.serial.clone());
        }
        wanted.extend(serials.iter().map(|serial| serial.replace(':', "").to_ascii_lowercase()));
        let at = OffsetDateTime::now_utc();
        let revoked: Vec<(Vec<u8>, Revocation)> = wanted
            .iter()
            .map(|serial| Ok((unhex(serial)?, Revocation { at, reason: *reason })))
            .collect::<anyhow::Result<_>>()?;
        self.write_list(&revoked, days)?;
        Ok(wanted)
    }

    /// Writes the list anew: with what it had and what is `revoked` now, good for `days`.
    pub(super) fn write_list(&self, revoked: &[(Vec<u8>, Revocation)], days: i64) -> anyhow::Result<()> {
        let mut list = self.read_list()?;
        for (serial, revocation) in revoked {
            list.revoked.entry(serial.clone()).or_insert_with(|| revocation.clone());
        }
        let now = OffsetDateTime::now_utc();
        let parameters = CertificateRevocationListParams {
            // A clock that is a little behind must take it.
            this_update: now - time::Duration::hours(1),
            next_update: now + time::Duration::days(days),
            crl_number: SerialNumber::from(list.number + 1),
            issuing_distribution_point: None,
            revoked_certs: list
                .revoked
                .iter()
                .map(|(serial, revocation)| parameters(serial, revocation))
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = parameters.signed_by(&self.issuer(CONTRACTOR_CA)?)?.pem()?;
        replace(&self.list(), pem.as_bytes()).with_context(|| self.list().display().to_string())
    }

    /// # Errors
    /// Where it is there and cannot be read: it would be lost who is revoked.
    fn read_list(&self) -> anyhow::Result<List> {
        let path = self.list();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(List::default()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        parse(&text).with_context(|| format!("{} is not a revocation list", path.display()))
    }
}

fn parse(text: &[u8]) -> Option<List> {
    let block = Pem::iter_from_buffer(text).next()?.ok()?;
    let (_, list) = CertificateRevocationList::from_der(&block.contents).ok()?;
    let number = list.crl_number().and_then(|number| u64::try_from(number).ok()).unwrap_or(0);
    let revoked = list.iter_revoked_certificates().map(|revoked| {
        let at = OffsetDateTime::from_unix_timestamp(revoked.revocation_date.timestamp()).ok()?;
        let reason = revoked.reason_code().map_or(0, |(_, reason)| reason.0);
        Some((unsigned(revoked.raw_serial()), Revocation { at, reason }))
    });
    Some(List { number, revoked: revoked.collect::<Option<_>>()? })
}

fn about(name: &str, certificate: &X509Certificate, list: &List) -> Issued {
    let serial = unsigned(certificate.raw_serial());
    let end = certificate.validity().not_after.timestamp();
    let not_after = OffsetDateTime::from_unix_timestamp(end).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let names = certificate.subject_alternative_name().ok().flatten();
    let sans = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(format!("URI:{uri}")),
        GeneralName::DNSName(host) => Some(format!("DNS:{host}")),
        _ => None,
    });
    let state = match list.revoked.get(&serial) {
        Some(revocation) => State::Revoked { at: revocation.at, reason: reason(revocation.reason).0 },
        None if not_after < OffsetDateTime::now_utc() => State::Expired,
        None => State::Valid,
    };
    Issued { name: name.to_owned(), serial: hex(&serial), sans: sans.collect(), not_after, state }
}

fn reason(number: u8) -> (&'static str, RevocationReason) {
    let known = REASONS.into_iter().find(|(_, _, known)| *known == number);
    known.map_or(("unspecified", RevocationReason::Unspecified), |(name, reason, _)| (name, reason))
}

fn parameters(serial: &[u8], revocation: &Revocation) -> RevokedCertParams {
    // An unspecified reason is said by none (RFC 5280, section 5.3.1).
    let reason_code = (revocation.reason != 0).then(|| reason(revocation.reason).1);
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: revocation.at,
        reason_code,
        invalidity_date: None,
    }
}

fn certificate_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    let text = std::fs::read(path)?;
    let block = Pem::iter_from_buffer(&text).next().context("no PEM")??;
    Ok(block.contents)
}

/// The gateway may read the list at any time: it is whole or the one before.
fn replace(path: &PathBuf, content: &[u8]) -> std::io::Result<()> {
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    std::fs::write(&beside, content)?;
    std::fs::File::open(&beside)?.sync_all()?;
    std::fs::rename(&beside, path)
}

/// DER puts a zero before a number whose first bit is set.
fn unsigned(serial: &[u8]) -> Vec<u8> {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial[zeros..].to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digit = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digit).collect();
    let bytes = bytes.filter(|bytes| {
        (1..=20).contains(&bytes.len())
            && text.len().is_multiple_of(2)
            && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    bytes
        .map(|bytes| unsigned(&bytes))
        .with_context(|| format!("{text} is not a serial number in hexadecimal digits"))
}
