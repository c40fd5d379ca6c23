//! `[upstream.NAME]`: where an internal API is, how it is called, and what is taken of its answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::table::{At, Table, Value};
use crate::diagnostic::{Report, codes};
use crate::model::ByteSize;
use crate::transport::{Check, ClientFiles, Coding, MAX_ENDPOINTS};

use super::{count, duration, path};

/// To one endpoint, where nothing else is said.
const MAX_CONNECTIONS: usize = 256;

#[derive(Clone, Debug)]
pub struct Upstream {
    /// One for each endpoint, without a slash at its end; all have the same scheme and path.
    pub urls: Vec<String>,
    pub tls: Option<ClientFiles>,
    pub bearer: Option<Secret>,
    /// For the whole answer, from the request's first byte to the body's last.
    pub timeout: Duration,
    /// Where it is another one than that of `[limits]`.
    pub connect_timeout: Option<Duration>,
    /// How long a connection may rest and be used again.
    pub idle_timeout: Duration,
    /// Connections to one endpoint.
    pub max_connections: usize,
    /// Of these, at rest.
    pub max_idle: usize,
    pub check: Option<Check>,
    /// Largest body, in bytes; of a list of records, largest record.
    pub max_body: ByteSize,
    /// Where that is written, or might be.
    pub(super) max_body_at: At<()>,
    /// Content codings that its answers may have.
    pub encodings: Vec<Coding>,
    /// Its own OpenAPI document, in JSON. Rules are held against it.
    pub openapi: Option<PathBuf>,
}

impl Upstream {
    /// What its URLs have behind the host.
    pub fn prefix(&self) -> &str {
        self.urls.first().map_or("", |url| parts(url).1)
    }
}

/// Where a secret is; never the secret.
#[derive(Clone, Debug)]
pub enum Secret {
    File(PathBuf),
    Environment(String),
}

pub(super) fn read(table: &mut Table, report: &mut Report, home: &Path) -> Option<Upstream> {
    let urls = urls(table, report);
    let tls = upstream_tls(table, report, urls.as_deref().and_then(<[_]>::first), home);
    let bearer = table
        .get("bearer")
        .map(|value| value.read_table(report, |table, report| secret(table, report, home)));
    let timeout = duration_or(table, report, "timeout", Duration::from_secs(10));
    let connect_timeout = table.get("connect_timeout").map(|value| duration(&value, report));
    let idle_timeout = duration_or(table, report, "idle_timeout", Duration::from_secs(30));
    let max_connections =
        table.get("max_connections").map_or(Some(MAX_CONNECTIONS), |value| count(&value, report));
    let most = max_connections.unwrap_or(MAX_CONNECTIONS) as u64;
    let max_idle = table.get("max_idle").map_or(Some(most), |value| value.integer(report, 1..=most));
    let check = check(table, report);
    let max_body = table.get("max_body");
    let max_body_at = max_body.as_ref().map_or_else(|| table.at(()), |value| value.at(()));
    let max_body = max_body.map_or(Some(ByteSize::mib(16)), |value| body_size(&value, report));
    let encodings = table.get("encodings").map_or_else(Vec::new, |value| encodings(&value, report));
    let openapi = table.get("openapi").map(|value| path(&value, report, home));
    let bearer = match bearer {
        Some(secret) => Some(secret?),
        None => None,
    };
    Some(Upstream {
        urls: urls?.into_iter().map(|url| url.value).collect(),
        tls: tls?,
        bearer,
        timeout: timeout?,
        connect_timeout: connect_timeout.flatten(),
        idle_timeout: idle_timeout?,
        max_connections: max_connections?,
        max_idle: max_idle? as usize,
        check: check?,
        max_body: max_body?,
        max_body_at,
        encodings,
        openapi: openapi.flatten(),
    })
}

/// `url`, or `urls`: the endpoints, which all serve the same.
fn urls(table: &mut Table, report: &mut Report) -> Option<Vec<At<String>>> {
    let Some(list) = table.get("urls") else {
        let value = table.require(report, "url", "\"http://127.0.0.1:9001\"");
        return Some(vec![value?.parse(report, url)?]);
    };
    if table.get("url").is_some() {
        report.add(codes::URL_AND_URLS, &list.span(), list.key(), "stands beside `url`", "write one of them");
        return None;
    }
    let values = list.list(report)?;
    if values.is_empty() || values.len() > MAX_ENDPOINTS {
        let help = format!("list the URLs of 1 to {MAX_ENDPOINTS} endpoints");
        report.add(codes::ENDPOINT_COUNT, &list.span(), list.key(), "has no URL, or too many", help);
        return None;
    }
    // All of them are read, so that all that is wrong is told at once.
    let read: Vec<_> = values.iter().map(|value| value.parse(report, url)).collect();
    let urls = read.into_iter().collect::<Option<Vec<_>>>()?;
    let mut fits = true;
    for (at, url) in urls.iter().enumerate() {
        let wrong = if parts(&url.value) != parts(&urls[0].value) {
            Some(("differs from the first in more than host and port", "all endpoints serve the same"))
        } else if urls[..at].iter().any(|before| before.value == url.value) {
            Some(("stands there twice", "list each endpoint once"))
        } else {
            None
        };
        if let Some((message, help)) = wrong {
            report.add(codes::ENDPOINTS_DIFFER, &url.span, &url.key, message, help);
            fits = false;
        }
    }
    fits.then_some(urls)
}

/// Scheme and path of a URL.
fn parts(url: &str) -> (&str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    (scheme, rest.find('/').map_or("", |at| &rest[at..]))
}

fn check(table: &mut Table, report: &mut Report) -> Option<Option<Check>> {
    let path = table.get("health");
    let interval = table.get("health_interval");
    if let Some(value) = interval.as_ref().filter(|_| path.is_none()) {
        let help = "add health = \"/healthz\", or remove it";
        report.add(codes::HEALTH_MISSING, &value.span(), value.key(), "stands without `health`", help);
        return None;
    }
    let interval = interval.map_or(Some(Duration::from_secs(5)), |value| duration(&value, report));
    let Some(path) = path else { return Some(None) };
    let path = path.parse(report, check_path)?.value;
    Some(Some(Check { path, interval: interval? }))
}

fn check_path(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~?=&".contains(&byte);
    match text.starts_with('/') && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("a path on the endpoint's host, such as \"/healthz\""),
    }
}

/// What TLS to an upstream needs; keys that would have no effect are errors.
fn upstream_tls(
    table: &mut Table,
    report: &mut Report,
    url: Option<&At<String>>,
    home: &Path,
) -> Option<Option<ClientFiles>> {
    let mut file = |key| table.get(key).map(|value| path(&value, report, home));
    let (ca, certificate, key) = (file("ca"), file("client_certificate"), file("client_key"));
    let server_name = table.get("server_name").map(|value| value.text(report).map(str::to_owned));
    let any = ca.is_some() || certificate.is_some() || key.is_some() || server_name.is_some();
    let url = url?;
    let wrong = match (url.value.starts_with("https://"), ca.is_some()) {
        (true, false) => Some((
            "needs `ca`",
            "add ca = \"certs/internal-ca.pem\": the authority that signed the upstream's certificate",
        )),
        (false, _) if any => Some((
            "is not https, and there are keys for TLS",
            "write https:// in the url, or remove ca, client_certificate, client_key and server_name",
        )),
        _ if certificate.is_some() != key.is_some() => Some((
            "has only one of `client_certificate` and `client_key`",
            "a certificate is shown with its key: write both",
        )),
        _ => None,
    };
    if let Some((message, help)) = wrong {
        report.add(codes::TLS_DOES_NOT_FIT, &url.span, &url.key, message, help);
        return None;
    }
    let Some(ca) = ca else { return Some(None) };
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate?, key?)),
        _ => None,
    };
    Some(Some(ClientFiles { ca: ca?, identity, server_name: server_name.flatten() }))
}

pub(super) fn secret(table: &mut Table, report: &mut Report, home: &Path) -> Option<Secret> {
    let file = table.get("file").map(|value| path(&value, report, home));
    let env = table.get("env").map(|value| value.text(report).map(str::to_owned));
    match (file, env) {
        (Some(file), None) => file.map(Secret::File),
        (None, Some(env)) => env.map(Secret::Environment),
        _ => {
            let at = table.at(());
            report.add(
                codes::SECRET_PLACE,
                &at.span,
                &at.key,
                "does not name one place",
                "{ file = \"secrets/orders.token\" } or { env = \"ORDERS_TOKEN\" }; secrets are never inline",
            );
            None
        }
    }
}

/// `http://host[:port][/path]` or the same with https; no user, query or fragment.
pub(super) fn url(text: &str) -> Result<String, &'static str> {
    const WRONG: &str =
        "http:// or https://, a host, and perhaps a port and a path, such as \"http://127.0.0.1:9001\"";
    let uri: http::Uri = text.parse().map_err(|_| WRONG)?;
    let authority = uri.authority().ok_or(WRONG)?;
    let port = authority.as_str().rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let path_fits = uri.path().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let plain = matches!(uri.scheme_str(), Some("http" | "https")) && !authority.as_str().contains('@');
    if !plain
        || authority.host().is_empty()
        || !port_fits
        || !path_fits
        || uri.query().is_some()
        || text.contains('#')
    {
        return Err(WRONG);
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn duration_or(
    table: &mut Table,
    report: &mut Report,
    key: &'static str,
    default: Duration,
) -> Option<Duration> {
    table.get(key).map_or(Some(default), |value| duration(&value, report))
}

/// Places in a body are counted in 32 bits.
fn body_size(value: &Value, report: &mut Report) -> Option<ByteSize> {
    let parse = |text: &str| match ByteSize::parse(text) {
        Ok(size) if size <= ByteSize::mib(2048) => Ok(size),
        _ => Err("a size up to 2GiB, such as \"16MiB\""),
    };
    value.parse(report, parse).map(|at| at.value)
}

/// Content codings, each once.
fn encodings(value: &Value, report: &mut Report) -> Vec<Coding> {
    const WORDS: &[&str] = &["gzip", "deflate", "br", "zstd"];
    let list = value.list(report).unwrap_or_default();
    let mut codings = Vec::new();
    for word in &list {
        let Some(coding) = word.word(report, WORDS, Coding::parse) else { continue };
        if codings.contains(&coding.value) {
            report.add(
                codes::LISTED_TWICE,
                &coding.span,
                &coding.key,
                "stands there twice",
                "list each coding once",
            );
        }
        codings.push(coding.value);
    }
    codings
}
