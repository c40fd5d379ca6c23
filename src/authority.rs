//! Certificate authorities for the demonstration, for tests, and for a company that has none yet.
//!
//! **Guarantees.** Keys are ECDSA P-256 in files of mode 0600; what exists is never written over, but for the
//! revocation list, of which each has all that the one before had.
//!
//! **Trusts** the folder that it works in. **Must not** be part of serving. **Called by** `certs` and
//! `demo`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use zeroize::Zeroizing;

use crate::secrets;

mod revocation;

pub use revocation::{Issued, State};

/// The company's own authority: it signs the gateway's certificate.
pub const COMPANY_CA: &str = "company-ca";
/// The authority that signs contractors' certificates.
pub const CONTRACTOR_CA: &str = "contractor-ca";
/// The gateway's certificate.
pub const GATEWAY: &str = "gateway";

const CA_DAYS: i64 = 3650;
/// Short enough to be renewed in practice, and within what browsers take.
pub const LEAF_DAYS: i64 = 397;

/// Certificates and keys in one folder, by name: `NAME.pem` and `NAME.key`.
pub struct Authority {
    folder: PathBuf,
}

/// What one call made, and what was there before.
#[derive(Debug, PartialEq, Eq)]
pub enum Made {
    New,
    AlreadyThere,
}

impl Authority {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Authority { folder: folder.into() }
    }

    pub fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    pub fn key(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    /// The contractors' authority's revocation list.
    pub fn list(&self) -> PathBuf {
        self.folder.join(format!("{CONTRACTOR_CA}.crl"))
    }

    /// Makes both authorities, an empty revocation list, and the gateway's certificate for `hosts`.
    ///
    /// # Errors
    /// Where a file is there without its partner, or cannot be written.
    pub fn init(&self, hosts: &[String]) -> anyhow::Result<Vec<(&'static str, Made)>> {
        let mut made = Vec::new();
        for (name, common_name) in
            [(COMPANY_CA, "Company internal CA"), (CONTRACTOR_CA, "Company contractor CA")]
        {
            made.push((name, self.root(name, common_name)?));
        }
        let names = hosts.iter().map(|host| host_name(host)).collect::<anyhow::Result<_>>()?;
        made.push((
            GATEWAY,
            self.issue(GATEWAY, COMPANY_CA, names, ExtendedKeyUsagePurpose::ServerAuth, LEAF_DAYS)?,
        ));
        if !self.list().exists() {
            self.write_list(&[], LEAF_DAYS)?;
        }
        Ok(made)
    }

    /// Makes a client certificate that carries `san`: `URI:…` or `DNS:…`, as rule files write it.
    ///
    /// # Errors
    /// As [`Authority::issue_client_for`].
    pub fn issue_client(&self, name: &str, san: &str) -> anyhow::Result<Made> {
        self.issue_client_for(name, san, LEAF_DAYS)
    }

    /// The same, good for `days`.
    ///
    /// # Errors
    /// Where the name is of another form, the authority is missing, or a file cannot be written.
    pub fn issue_client_for(&self, name: &str, san: &str, days: i64) -> anyhow::Result<Made> {
        let san = match san.split_once(':') {
            Some(("URI", uri)) => SanType::URI(uri.try_into()?),
            Some(("DNS", host)) => SanType::DnsName(host.try_into()?),
            _ => bail!("a name is URI:… or DNS:…, such as URI:spiffe://parcelco.example/gateway"),
        };
        self.issue(name, CONTRACTOR_CA, vec![san], ExtendedKeyUsagePurpose::ClientAuth, days)
    }

    fn root(&self, name: &str, common_name: &str) -> anyhow::Result<Made> {
        if self.exists(name)? {
            return Ok(Made::AlreadyThere);
        }
        let mut params = params(common_name, CA_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = Zeroizing::new(KeyPair::generate()?);
        self.write(name, &params.self_signed(&*key)?, &key)
    }

    fn issue(
        &self,
        name: &str,
        authority: &str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        days: i64,
    ) -> anyhow::Result<Made> {
        if self.exists(name)? {
            return Ok(Made::AlreadyThere);
        }
        let issuer = self.issuer(authority)?;
        let mut params = params(name, days);
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = Zeroizing::new(KeyPair::generate()?);
        self.write(name, &params.signed_by(&*key, &issuer)?, &key)
    }

    fn issuer(&self, name: &str) -> anyhow::Result<Issuer<'static, KeyPair>> {
        let (certificate, path) = (self.certificate(name), self.key(name));
        let missing = |path: &Path| format!("{}: run `fieldgate certs init` first", path.display());
        let pem = match secrets::read(&path) {
            Err(error) if error.is_missing() => bail!(missing(&path)),
            read => read?,
        };
        let pem = str::from_utf8(&pem).ok().with_context(|| format!("{} is not text", path.display()))?;
        let key = KeyPair::from_pem(pem).with_context(|| path.display().to_string())?;
        let pem = std::fs::read_to_string(&certificate).with_context(|| missing(&certificate))?;
        Issuer::from_ca_cert_pem(&pem, key).with_context(|| certificate.display().to_string())
    }

    /// Both files are there, or neither is.
    fn exists(&self, name: &str) -> anyhow::Result<bool> {
        let (certificate, key) = (self.certificate(name), self.key(name));
        match (certificate.exists(), key.exists()) {
            (true, false) => bail!(
                "{} is there and {} is not: restore it, or remove both",
                certificate.display(),
                key.display()
            ),
            (false, true) => bail!(
                "{} is there and {} is not: restore it, or remove both",
                key.display(),
                certificate.display()
            ),
            (both, _) => Ok(both),
        }
    }

    fn write(&self, name: &str, certificate: &Certificate, key: &KeyPair) -> anyhow::Result<Made> {
        let (path, pem) = (self.key(name), Zeroizing::new(key.serialize_pem()));
        secrets::write(&path, pem.as_bytes()).with_context(|| path.display().to_string())?;
        let path = self.certificate(name);
        std::fs::write(&path, certificate.pem()).with_context(|| path.display().to_string())?;
        Ok(Made::New)
    }
}

fn params(common_name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = time::OffsetDateTime::now_utc();
    // A clock that is a little behind must not refuse a new certificate.
    params.not_before = now - time::Duration::hours(1);
    params.not_after = now + time::Duration::days(days);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn host_name(host: &str) -> anyhow::Result<SanType> {
    Ok(match host.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(host.try_into().with_context(|| format!("{host} is not a host name"))?),
    })
}
