//! `[admin]`: where the review side listens, and who may sign in.

mod outlets;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::table::{Table, Value};
use crate::diagnostic::{Report, codes};
use crate::transport::ServerFiles;

use super::upstream::{Secret, secret};
use super::{address, duration, path};

pub use outlets::{Least, SyslogTerms, WebhookTerms};
pub(super) use outlets::{authority, facility, receiver, server};

/// The review side.
#[derive(Clone, Debug)]
pub struct Admin {
    pub address: SocketAddr,
    /// Without it, plain HTTP on an address of this machine only.
    pub tls: Option<ServerFiles>,
    /// How browsers reach it, without a slash at its end.
    pub url: Option<String>,
    /// A session ends so long after its last request.
    pub idle: Duration,
    /// And so long after it began.
    pub session: Duration,
    pub oidc: Option<Oidc>,
    pub webhook: Option<WebhookTerms>,
    pub syslog: Option<SyslogTerms>,
}

/// `[admin.oidc]`: sign-in with the company's identity provider (OpenID Connect Core 1.0, section 3.1).
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Without a slash at its end.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    /// The authority of the provider's certificate.
    pub ca: PathBuf,
    /// The claim of the ID token that says what somebody may do; a list of names, or one.
    pub claim: String,
    /// Names in that claim, for each role.
    pub reviewer: Vec<String>,
    pub operator: Vec<String>,
    pub auditor: Vec<String>,
}

const IDLE: Duration = Duration::from_secs(30 * 60);
const SESSION: Duration = Duration::from_secs(12 * 3600);

pub(super) fn read(table: &mut Table, report: &mut Report, home: &Path) -> Option<Admin> {
    let tls = tls(table, report, home);
    let is_open = !matches!(tls, Some(Some(_)));
    let own = if is_open { own_address } else { address };
    let address =
        table.require(report, "address", "\"127.0.0.1:8444\"").and_then(|value| value.parse(report, own));
    let url = table.get("url").map(|value| value.parse(report, origin).map(|at| at.value));
    let mut lasting = |key, default| table.get(key).map_or(Some(default), |value| duration(&value, report));
    let (idle, session) = (lasting("idle", IDLE), lasting("session", SESSION));
    let has_oidc = table.get("oidc");
    if let (Some(oidc), None) = (&has_oidc, &url) {
        let help = "the provider sends browsers back there: add url";
        report.add(codes::OIDC_WITHOUT_URL, &oidc.span(), oidc.key(), "stands without `url`", help);
    }
    let oidc = has_oidc.map(|value| value.read_table(report, |table, report| oidc(table, report, home)));
    let (webhook, syslog) = (outlets::webhook(table, report, home), outlets::syslog(table, report, home));
    Some(Admin {
        address: address?.value,
        tls: tls?,
        url: url.flatten(),
        idle: idle?,
        session: session?,
        oidc: oidc.flatten(),
        webhook,
        syslog,
    })
}

/// `None` where it is wrong, `Some(None)` where there is none.
fn tls(table: &mut Table, report: &mut Report, home: &Path) -> Option<Option<ServerFiles>> {
    let mut file = |key| table.get(key).map(|value| (value.span(), path(&value, report, home)));
    let (certificate, key, client_ca) = (file("certificate"), file("key"), file("client_ca"));
    let lists = table.get("crl").and_then(|value| value.list(report)).unwrap_or_default();
    let crl = lists.iter().filter_map(|value| path(value, report, home)).collect();
    match (certificate, key) {
        (Some((_, certificate)), Some((_, key))) => Some(Some(ServerFiles {
            certificate: certificate?,
            key: key?,
            client_ca: client_ca.and_then(|(_, file)| file),
            crl,
        })),
        (None, None) => {
            if let Some((span, _)) = client_ca {
                let help = "certificates are shown over TLS: add certificate and key";
                report.add(codes::ADMIN_TLS, &span, "admin.client_ca", "stands without TLS", help);
            }
            Some(None)
        }
        (Some((span, _)), None) => half(report, &span, "admin.certificate", "stands without `key`"),
        (None, Some((span, _))) => half(report, &span, "admin.key", "stands without `certificate`"),
    }
}

fn half<T>(report: &mut Report, span: &std::ops::Range<usize>, key: &str, message: &str) -> Option<T> {
    report.add(codes::ADMIN_TLS, span, key, message, "TLS needs both: certificate and key");
    None
}

fn oidc(table: &mut Table, report: &mut Report, home: &Path) -> Option<Oidc> {
    let issuer = table.require(report, "issuer", "\"https://id.example\"");
    let issuer = issuer.and_then(|value| value.parse(report, issuer_url));
    let client_id = table.require(report, "client_id", "\"fieldgate\"");
    let client_id = client_id.and_then(|value| value.text(report).map(str::to_owned));
    let client_secret = table
        .get("client_secret")
        .map(|value| value.read_table(report, |table, report| secret(table, report, home)));
    let ca = table.require(report, "ca", "\"certs/company-ca.pem\"");
    let ca = ca.and_then(|value| path(&value, report, home));
    let claim = match table.get("claim") {
        Some(value) => value.text(report).map(str::to_owned),
        None => Some("groups".to_owned()),
    };
    let mut names = |key| table.get(key).map_or_else(Vec::new, |value| texts(&value, report));
    let (reviewer, operator, auditor) = (names("reviewer"), names("operator"), names("auditor"));
    let client_secret = match client_secret {
        Some(secret) => Some(secret?),
        None => None,
    };
    Some(Oidc {
        issuer: issuer?.value,
        client_id: client_id?,
        client_secret,
        ca: ca?,
        claim: claim?,
        reviewer,
        operator,
        auditor,
    })
}

fn texts(value: &Value, report: &mut Report) -> Vec<String> {
    let list = value.list(report).unwrap_or_default();
    list.iter().filter_map(|value| value.text(report).map(str::to_owned)).collect()
}

/// Without TLS only this machine may reach it.
fn own_address(text: &str) -> Result<SocketAddr, &'static str> {
    const WRONG: &str = "an address of this machine only and a port, such as \"127.0.0.1:8444\"; for others, the \
                         review side needs `certificate` and `key`";
    text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback()).ok_or(WRONG)
}

fn origin(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "how browsers reach it, such as \"https://review.example:8444\"";
    let text = text.trim_end_matches('/');
    let url: http::Uri = text.parse().map_err(|_| WRONG)?;
    let is_origin = matches!(url.scheme_str(), Some("http" | "https"))
        && url.host().is_some_and(|host| !host.is_empty())
        && matches!(url.path(), "" | "/")
        && url.query().is_none();
    if is_origin { Ok(text.to_owned()) } else { Err(WRONG) }
}

fn issuer_url(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "an https URL, as the provider's tokens name it, such as \"https://id.example\"";
    let url: http::Uri = text.parse().map_err(|_| WRONG)?;
    let is_url = url.scheme_str() == Some("https") && url.host().is_some() && url.query().is_none();
    if is_url { Ok(text.trim_end_matches('/').to_owned()) } else { Err(WRONG) }
}
