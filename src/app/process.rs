//! The gateway's own process: in what state its files must be, and what it gives up before it serves.
//!
//! **Guarantees.** All files that are open to others are named at once, each with the command that mends it.
//! What the process can reach is what the configuration names, and the log says what was enforced.
//!
//! **Trusts** its configuration. **Must not** start a thread.
//!
//! **Called by** the commands that serve, before anything else.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::admin::Store;
use crate::config::{self, Config, Feed, FeedTo, NatsSignIn, Secret, SyslogWay};
use crate::ledger;
use crate::sandbox::{self, Demand, Enforced, Reach};
use crate::secrets::{self, SecretError};
use crate::token::{KeyStore, Source};
use crate::transport::ClientFiles;

/// Refuses where a secret or the ledger is open to others, belongs to somebody else, or can be replaced.
///
/// # Errors
/// All that is wrong, one a line.
pub fn check_files(config: &Config) -> anyhow::Result<()> {
    let files = &config.ledger;
    let epochs = ledger::subject_key_files(&files.subject_key);
    let secret = [&config.listen.tls.key, &files.signing_key, &files.pseudonym_key].into_iter();
    let admin = config.admin.as_ref();
    let key = admin.and_then(|admin| admin.tls.as_ref()).map(|tls| &tls.key);
    let file = |secret: Option<&'_ Secret>| match secret {
        Some(Secret::File(path)) => Some(path.clone()),
        Some(Secret::Environment(_)) | None => None,
    };
    let client_secret = file(admin.and_then(|admin| admin.oidc.as_ref()?.client_secret.as_ref()));
    let webhook = file(admin.and_then(|admin| Some(&admin.webhook.as_ref()?.key)));
    let secret = secret.chain(config.upstreams.values().flat_map(secrets_of)).chain(&epochs);
    let feeds: Vec<&PathBuf> = config.feeds.iter().flat_map(secrets_of_feed).collect();
    let secret = secret.chain(key).chain(&client_secret).chain(&webhook).chain(feeds);
    let mut faults = secrets::faults(secret.map(AsRef::as_ref));
    faults.extend(secrets::private_faults(&files.path));
    faults.extend(secrets::private_faults(&ledger::ledger_folder(&files.path)));
    faults.extend(secrets::private_faults(&Store::path_of(&files.path)));
    refuse(&faults)
}

/// # Errors
/// Where there is one: all, one a line.
pub fn refuse(faults: &[SecretError]) -> anyhow::Result<()> {
    match faults {
        [] => Ok(()),
        [fault] => bail!("{fault}"),
        faults => {
            let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            bail!("{} files or folders are not as they must be:{}", faults.len(), lines.concat())
        }
    }
}

fn secrets_of(upstream: &config::Upstream) -> Vec<&PathBuf> {
    let key = upstream.tls.as_ref().and_then(|tls| tls.identity.as_ref()).map(|(_, key)| key);
    let bearer = match &upstream.bearer {
        Some(Secret::File(path)) => Some(path),
        Some(Secret::Environment(_)) | None => None,
    };
    key.into_iter().chain(bearer).collect()
}

fn secrets_of_feed(feed: &Feed) -> impl Iterator<Item = &PathBuf> {
    let secrets = match &feed.to {
        FeedTo::File(_) | FeedTo::Syslog { .. } => [None, None],
        FeedTo::Http { key, bearer, .. } => [key.as_ref(), bearer.as_ref()],
        FeedTo::Nats(terms) => match &terms.sign_in {
            NatsSignIn::Nobody => [None, None],
            NatsSignIn::Token(secret)
            | NatsSignIn::User { password: secret, .. }
            | NatsSignIn::Credentials(secret) => [Some(secret), None],
        },
    };
    secrets.into_iter().flatten().filter_map(|secret| match secret {
        Secret::File(path) => Some(path),
        Secret::Environment(_) => None,
    })
}

/// Files that are open besides connections: the ledger's, the log, certificates while they are read.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files as far as `connections` need: each has one of its own, and one to its
/// upstream. Where the system gives fewer, how many there are and how many are needed. Once the process is
/// confined, nothing can be raised.
pub fn make_room(connections: usize) -> Option<(u64, u64)> {
    let needed = 2 * connections as u64 + OTHER_FILES;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current.unwrap_or(u64::MAX);
    if current >= needed {
        return None;
    }
    let wanted = maximum.unwrap_or(u64::MAX).min(needed);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    let had = if raised.is_ok() { wanted } else { current };
    (had < needed).then_some((had, needed))
}

/// What the gateway needs of this machine, with these keys for tokens, and `socket` where it is handed one; the
/// folders that it writes in are made where they are missing.
///
/// # Errors
/// Where a folder cannot be made.
pub fn reach(
    config: &Config,
    token_keys: &[Arc<KeyStore>],
    socket: Option<&TcpListener>,
) -> anyhow::Result<Reach> {
    let mut reach = Reach { connect: Some(BTreeSet::new()), ..Reach::default() };
    reach.read.insert(config.rules.clone());
    reach.read.extend(config.process.read.iter().cloned());
    let listen = socket.is_none().then_some(config.listen.address);
    reach.bind.extend(
        listen
            .into_iter()
            .chain(config.admin.as_ref().map(|admin| admin.address))
            .map(|address| address.port()),
    );
    let own = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
    for tls in [&config.listen.tls].into_iter().chain(own) {
        for file in [&tls.certificate, &tls.key].into_iter().chain(&tls.client_ca).chain(&tls.crl) {
            reach.read_file(file);
        }
    }
    if let Some(oidc) = config.admin.as_ref().and_then(|admin| admin.oidc.as_ref()) {
        reach.read_file(&oidc.ca);
        if let Some(Secret::File(path)) = &oidc.client_secret {
            reach.read_file(path);
        }
        called(&mut reach, &oidc.issuer, None);
    }
    config.admin.iter().for_each(|admin| reach_outlets(&mut reach, admin));
    for feed in &config.feeds {
        reach_feed(&mut reach, feed)?;
    }
    for upstream in config.upstreams.values() {
        secrets_of(upstream).into_iter().chain(&upstream.openapi).for_each(|file| reach.read_file(file));
        upstream.urls.iter().for_each(|url| called(&mut reach, url, upstream.tls.as_ref()));
    }
    if let Some(otlp) = &config.telemetry.otlp {
        otlp.ca.iter().for_each(|ca| reach.read_file(ca));
        called(&mut reach, &otlp.url, None);
    }
    if let Some(fleet) = &config.ledger.fleet {
        reach_database(&mut reach, fleet);
    }
    for witness in &config.ledger.witnesses {
        called(&mut reach, &witness.url, witness.tls.as_ref());
    }
    for keys in token_keys {
        match keys.source() {
            Source::File(path) => reach.read_file(path),
            Source::Https { url, ca } => {
                reach.read_file(ca);
                called(&mut reach, url, None);
            }
        }
    }
    let files = &config.ledger;
    for file in [&files.path, &files.signing_key, &files.subject_key, &files.pseudonym_key] {
        secrets::make_folder_of(file).with_context(|| file.display().to_string())?;
        reach.write_beside(file);
    }
    Ok(reach)
}

/// Where alerts are sent to.
fn reach_outlets(reach: &mut Reach, admin: &config::Admin) {
    if let Some(webhook) = &admin.webhook {
        webhook.ca.iter().for_each(|ca| reach.read_file(ca));
        if let Secret::File(path) = &webhook.key {
            reach.read_file(path);
        }
        called(reach, &webhook.url, None);
    }
    if let Some(syslog) = &admin.syslog {
        syslog.ca.iter().for_each(|ca| reach.read_file(ca));
        match syslog.way {
            // Landlock has no say about datagrams, but their names are resolved as others are.
            SyslogWay::Udp => reach.names |= syslog.host.parse::<std::net::IpAddr>().is_err(),
            SyslogWay::Tcp | SyslogWay::Tls => reach.connect_to(&syslog.host, syslog.port),
        }
    }
}

fn reach_database(reach: &mut Reach, fleet: &config::Fleet) {
    fleet.password_file.iter().for_each(|file| reach.read_file(file));
    if let Some(tls) = &fleet.tls {
        reach.read_file(&tls.ca);
        tls.identity
            .iter()
            .flat_map(|(certificate, key)| [certificate, key])
            .for_each(|file| reach.read_file(file));
    }
    let database = &fleet.database;
    for (at, host) in database.get_hosts().iter().enumerate() {
        let port = database.get_ports().get(at).or(database.get_ports().first()).copied().unwrap_or(5432);
        match host {
            tokio_postgres::config::Host::Tcp(name) => reach.connect_to(name, port),
            tokio_postgres::config::Host::Unix(folder) => _ = reach.read.insert(folder.clone()),
        }
    }
}

/// Where entries are sent to.
fn reach_feed(reach: &mut Reach, feed: &Feed) -> anyhow::Result<()> {
    secrets_of_feed(feed).for_each(|file| reach.read_file(file));
    match &feed.to {
        FeedTo::File(path) => {
            secrets::make_folder_of(path).with_context(|| path.display().to_string())?;
            reach.write_beside(path);
        }
        FeedTo::Syslog { host, port, ca, .. } => {
            ca.iter().for_each(|ca| reach.read_file(ca));
            reach.connect_to(host, *port);
        }
        FeedTo::Http { url, ca, .. } => {
            ca.iter().for_each(|ca| reach.read_file(ca));
            called(reach, url, None);
        }
        FeedTo::Nats(terms) => {
            terms.ca.iter().for_each(|ca| reach.read_file(ca));
            reach.connect_to(&terms.host, terms.port);
        }
    }
    Ok(())
}

fn called(reach: &mut Reach, url: &str, tls: Option<&ClientFiles>) {
    if let Some(tls) = tls {
        reach.read_file(&tls.ca);
        tls.identity.iter().for_each(|(certificate, _)| reach.read_file(certificate));
    }
    let Ok(url) = url.parse::<http::Uri>() else { return };
    let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
    reach.connect_to(url.host().unwrap_or_default(), url.port_u16().unwrap_or(usual));
}

/// Gives up everything but `reach`.
///
/// # Errors
/// Where a sandbox is required and not whole, or a thread runs already, which would stay free.
pub fn confine(demand: Demand, reach: &Reach) -> anyhow::Result<Enforced> {
    ensure!(sandbox::is_single_threaded(), "a thread runs before the process is confined");
    Ok(sandbox::enforce(demand, reach)?)
}

/// Says what was enforced, in one line.
pub fn log(demand: Demand, enforced: &Enforced) {
    let (landlock, seccomp) = (enforced.landlock.to_string(), enforced.seccomp.to_string());
    // What else holds: `sandbox::keep_to_itself` is an error where it does not.
    let (core_dumps, no_new_privs) = ("off", true);
    if enforced.is_whole() || demand == Demand::Off {
        tracing::info!(landlock, seccomp, core_dumps, no_new_privs, "sandbox");
    } else {
        tracing::warn!(landlock, seccomp, core_dumps, no_new_privs, "sandbox");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diagnostic;

    const TEXT: &str = r#"
jurisdiction = "US"
[listen]
address = "127.0.0.1:8443"
certificate = "tls/gateway.pem"
key = "keys/gateway.key"
client_ca = "ca/contractor-ca.pem"
crl = ["crl/contractor-ca.crl"]
[ledger]
store = "sqlite:ledger/fieldgate.db"
signing_key = "signing/signing.key"
[upstream.orders]
urls = ["http://127.0.0.1:9001", "http://127.0.0.2:9002"]
bearer = { file = "secrets/orders.token" }
openapi = "documents/orders.json"
[upstream.support]
url = "https://127.0.0.1/api"
ca = "internal/ca.pem"
client_certificate = "internal/gateway.pem"
client_key = "client/gateway.key"
[process]
read = ["archive"]
"#;

    fn reach_of(text: &str, home: &Path, socket: Option<&TcpListener>) -> Reach {
        let (config, _) = config::parse(&diagnostic::Source::new("fieldgate.toml", text), home).unwrap();
        let keys = [
            Source::File(home.join("tokens/parcelco.jwks.json")),
            Source::Https { url: "https://127.0.0.1:8446/jwks".to_owned(), ca: home.join("id/ca.pem") },
        ];
        reach(&config, &keys.map(|source| Arc::new(KeyStore::new(source, String::new()))), socket).unwrap()
    }

    #[test]
    fn what_the_configuration_names_is_in_reach_and_no_more() {
        let home = tempfile::tempdir().unwrap();
        let reach = reach_of(TEXT, home.path(), None);
        let paths = |names: &[&str]| names.iter().map(|name| home.path().join(name)).collect::<BTreeSet<_>>();
        let read = [
            "archive",
            "ca",
            "client",
            "crl",
            "documents",
            "id",
            "internal",
            "keys",
            "rules",
            "secrets",
            "tls",
            "tokens",
        ];
        assert_eq!(reach.read, paths(&read));
        assert_eq!(reach.write, paths(&["ledger", "signing"]));
        assert!(home.path().join("signing").is_dir(), "a key can be made in it");
        assert_eq!((reach.bind, reach.connect), ([8443].into(), Some([443, 8446, 9001, 9002].into())));
        assert!(!reach.names);
    }

    #[test]
    fn feeds_reach_their_receivers_and_their_secrets_are_checked() {
        let home = tempfile::tempdir().unwrap();
        let feeds = r#"
[[feed]]
name = "lines"
kind = "file"
path = "feed/events.jsonl"
[[feed]]
name = "siem"
kind = "http"
url = "https://127.0.0.1:9443/events"
ca = "siem/ca.pem"
key = { file = "signatures/siem.key" }
[[feed]]
name = "stream"
kind = "nats"
address = "nats://127.0.0.1"
subject = "fieldgate"
token = { file = "nats/token" }
"#;
        let text = format!("{TEXT}{feeds}");
        let (own, more) = (reach_of(TEXT, home.path(), None), reach_of(&text, home.path(), None));
        let added = |names: &[&str]| names.iter().map(|name| home.path().join(name)).collect::<BTreeSet<_>>();
        assert_eq!(&more.read - &own.read, added(&["nats", "siem", "signatures"]));
        assert_eq!(&more.write - &own.write, added(&["feed"]));
        assert_eq!(&more.connect.unwrap() - &own.connect.unwrap(), [4222, 9443].into());
        let source = diagnostic::Source::new("fieldgate.toml", text);
        let (config, _) = config::parse(&source, home.path()).unwrap();
        secrets::write(&home.path().join("nats/token"), b"secret").unwrap();
        std::fs::set_permissions(
            home.path().join("nats/token"),
            std::os::unix::fs::PermissionsExt::from_mode(0o644),
        )
        .unwrap();
        let error = check_files(&config).unwrap_err().to_string();
        assert!(error.contains("nats/token can be read by others"), "{error}");
    }

    #[test]
    fn where_the_socket_is_handed_over_its_port_is_not_bound() {
        let home = tempfile::tempdir().unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = reach_of(TEXT, home.path(), None);
        let handed = reach_of(TEXT, home.path(), Some(&socket));
        assert_eq!(handed, Reach { bind: BTreeSet::new(), ..own });
        let text = format!("{TEXT}[admin]\naddress = \"127.0.0.1:8444\"\n");
        assert_eq!(reach_of(&text, home.path(), None).bind, [8443, 8444].into());
        assert_eq!(reach_of(&text, home.path(), Some(&socket)).bind, [8444].into());
    }

    #[test]
    fn a_host_name_brings_the_resolver_into_reach() {
        let home = tempfile::tempdir().unwrap();
        let named = TEXT.replace("127.0.0.1/api", "support.internal:8000/api");
        let reach = reach_of(&named, home.path(), None);
        assert!(reach.names);
        assert_eq!(reach.connect, Some([8000, 8446, 9001, 9002].into()));
    }
}
