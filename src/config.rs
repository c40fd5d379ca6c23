//! `fieldgate.toml`: where the gateway listens, what it stands between, and its limits.
//!
//! **Guarantees.** Every key is known, typed and in range, or a diagnostic says where it is not and
//! what would be right; all of them come in one run. Paths are relative to the file. Secrets are
//! named by file or environment variable, never written in it.
//!
//! **Trusts** who can write the file. **Must not** open any of the files that it names.
//!
//! **Called by** `app` and the commands.

mod admin;
mod feed;
mod fleet;
mod ledger;
mod process;
mod telemetry;
mod upstream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use crate::diagnostic::table::{Table, Value, read_file};
use crate::diagnostic::{Diagnostic, Report, Source, codes, has_errors};
use crate::model::{ByteSize, Country, Host, Rate, parse_duration};
use crate::transport::ServerFiles;

pub use crate::transport::SyslogWay;
pub use admin::{Admin, Least, Oidc, SyslogTerms, WebhookTerms};
pub use feed::{Feed, FeedFrom, FeedTo, NatsSignIn, NatsTerms};
pub use fleet::{Fleet, database, is_here};
pub use ledger::{Ledger, Retention, Witness};
pub use process::Process;
pub use telemetry::{Otlp, Telemetry};
pub use upstream::{Secret, Upstream};

#[derive(Clone, Debug)]
pub struct Config {
    /// Whose customers these are, as an accounting of disclosures names it.
    pub company: Option<String>,
    /// For the record of processing activities.
    pub organisation: Organisation,
    /// Where the data comes from.
    pub jurisdiction: Country,
    /// The folder that paths are relative to.
    pub home: PathBuf,
    /// The folder of the rule files.
    pub rules: PathBuf,
    pub listen: Listen,
    /// The admin side, if there is to be one.
    pub admin: Option<Admin>,
    pub ledger: Ledger,
    /// Where its entries are sent to.
    pub feeds: Vec<Feed>,
    pub upstreams: BTreeMap<String, Upstream>,
    /// What to say of an upstream if its answers are held as a whole.
    pub large_bodies: BTreeMap<String, Diagnostic>,
    pub limits: Limits,
    pub process: Process,
    pub telemetry: Telemetry,
}

/// `[organisation]`: who is responsible (GDPR, Article 30(1)(a)).
#[derive(Clone, Debug, Default)]
pub struct Organisation {
    /// `company`, where it is left out.
    pub name: Option<String>,
    pub contact: Option<String>,
    /// The data protection officer.
    pub dpo: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    /// Names that requests may be for, without ports; any where there are none.
    pub hosts: Vec<Host>,
    pub tls: ServerFiles,
    /// Networks whose connections begin with a PROXY protocol header.
    pub proxies: Vec<IpNet>,
}

/// What one address may begin.
const HANDSHAKES: Rate = Rate { count: NonZeroU32::new(20).unwrap(), per: Duration::from_secs(1) };

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $read:ident;)+) => {
        /// `[limits]`.
        #[derive(Clone, Debug)]
        pub struct Limits { $($(#[$doc])* pub $name: $type,)+ }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($name: $default,)+ }
            }
        }

        impl Limits {
            fn read(table: &mut Table, report: &mut Report) -> Limits {
                let mut limits = Limits::default();
                $(if let Some(value) = table.get(stringify!($name)).and_then(|value| $read(&value, report)) {
                    limits.$name = value;
                })+
                limits
            }
        }
    };
}

limits! {
    /// Open connections; more are closed at once.
    connections: usize = 10_000, count;
    /// Of one IPv4 address, or of one /64 of IPv6.
    connections_per_address: usize = 256, count;
    /// TLS handshakes that have not ended; for one more, the oldest is given up.
    handshakes: usize = 512, count;
    /// As for connections; five seconds' worth can be saved up.
    handshakes_per_address: Rate = HANDSHAKES, rate;
    /// Requests in work; more are refused (503 overloaded).
    requests: usize = 1024, count;
    /// For the TLS handshake.
    handshake_timeout: Duration = Duration::from_secs(10), duration;
    /// For the head of a request.
    header_timeout: Duration = Duration::from_secs(10), duration;
    /// For a connection on which nothing moves.
    idle_timeout: Duration = Duration::from_secs(60), duration;
    /// For the body of a request, from its head to its last byte.
    body_timeout: Duration = Duration::from_secs(30), duration;
    /// For the head of a request, in bytes.
    header_size: ByteSize = ByteSize::kib(16), header_size;
    /// For the body of a request, in bytes.
    body_size: ByteSize = ByteSize::mib(1), size;
    /// What the bodies of all requests and answers may take together, in bytes.
    body_memory: ByteSize = ByteSize::mib(256), size;
    /// For a connection to an upstream.
    connect_timeout: Duration = Duration::from_secs(3), duration;
    /// For an entry to be durable.
    commit_timeout: Duration = Duration::from_secs(5), duration;
    /// For what is in work when the gateway is told to stop.
    drain_timeout: Duration = Duration::from_secs(10), duration;
}

impl Config {
    /// Where a fleet's node keeps the entries of all nodes at hand, if it does.
    pub fn gathered(&self) -> Option<PathBuf> {
        let gathers = self.ledger.fleet.as_ref()?.gather.unwrap_or(self.admin.is_some());
        gathers.then(|| crate::ledger::gathered_place(&self.ledger.path))
    }
}

/// A configuration and what is doubtful about it, or all that is wrong.
pub type Parsed = Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>>;

/// Reads and checks a configuration file.
///
/// # Errors
/// The outer one where the file cannot be read; the inner one holds all that is wrong with it.
pub fn load(path: &Path) -> std::io::Result<Parsed> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let home = path.parent().unwrap_or(Path::new(""));
    Ok(parse(&Source::new(path.display().to_string(), text), home))
}

/// Parses a configuration; `home` is the folder that its paths are relative to.
///
/// # Errors
/// All that is wrong with it.
pub fn parse(source: &Arc<Source>, home: &Path) -> Parsed {
    let mut report = Report::new(Arc::clone(source));
    let config = read_file(source, &mut report, |table, report| config(table, report, home));
    report.found.sort_by_key(|diagnostic| diagnostic.span.start);
    match config {
        Some(config) if !has_errors(&report.found) => Ok((config, report.found)),
        _ => Err(report.found),
    }
}

fn config(top: &mut Table, report: &mut Report, home: &Path) -> Option<Config> {
    let company = top.get("company").map(|value| value.text(report).map(str::to_owned));
    let organisation = top.table(report, "organisation", |table, report| {
        let mut text = |key| table.get(key)?.text(report).map(str::to_owned);
        Some(Organisation { name: text("name"), contact: text("contact"), dpo: text("dpo") })
    });
    let jurisdiction =
        top.require(report, "jurisdiction", "\"US\"").and_then(|v| v.parse(report, Country::new));
    let rules = top.get("rules").map_or_else(|| Some(home.join("rules")), |value| path(&value, report, home));
    let listen = top.table_or_empty(report, "listen", |table, report| listen(table, report, home));
    let admin = top.table(report, "admin", |table, report| admin::read(table, report, home));
    let ledger = top.table_or_empty(report, "ledger", |table, report| ledger::read(table, report, home));
    let feeds = feed::read(top, report, home);
    let upstreams = match top.require(report, "upstream", "a table [upstream.orders]") {
        Some(value) => value.read_map(report, |name, value, report| {
            let upstream = value.read_table(report, |table, report| upstream::read(table, report, home))?;
            Some((name.to_owned(), upstream))
        }),
        None => Vec::new(),
    };
    let limits = top.table(report, "limits", |table, report| Some(Limits::read(table, report)));
    let process = top.table(report, "process", |table, report| Some(process::read(table, report, home)));
    let telemetry = top.table(report, "telemetry", |table, report| telemetry::read(table, report, home));
    let limits = limits.unwrap_or_default();
    let large_bodies = large_bodies(&upstreams, limits.body_memory, report);
    Some(Config {
        company: company.flatten(),
        organisation: organisation.unwrap_or_default(),
        jurisdiction: jurisdiction?.value,
        home: home.to_owned(),
        rules: rules?,
        listen: listen?,
        admin,
        ledger: ledger?,
        feeds,
        upstreams: upstreams.into_iter().collect(),
        large_bodies,
        limits,
        process: process.unwrap_or_default(),
        telemetry: telemetry.unwrap_or_default(),
    })
}

/// Answers that are held as a whole, of which so many fit into the memory for bodies, are too large.
const FEW: usize = 6;

fn large_bodies(
    upstreams: &[(String, Upstream)],
    memory: ByteSize,
    report: &mut Report,
) -> BTreeMap<String, Diagnostic> {
    let before = report.found.len();
    let large = |of: &&(String, Upstream)| of.1.max_body.0.saturating_mul(FEW) > memory.0;
    let large: Vec<&(String, Upstream)> = upstreams.iter().filter(large).collect();
    for (_, upstream) in &large {
        let at = &upstream.max_body_at;
        let message =
            format!("is so large that {FEW} answers of that size do not fit into [limits] body_memory");
        let help = "write a smaller max_body, or a larger body_memory; a route with `records` and without `$` in \
                    `when` holds one record at a time";
        report.add(codes::LARGE_BODIES, &at.span, &at.key, message, help);
    }
    // They are for who knows the routes.
    let found = report.found.split_off(before);
    large.into_iter().map(|(name, _)| name.clone()).zip(found).collect()
}

fn listen(table: &mut Table, report: &mut Report, home: &Path) -> Option<Listen> {
    let address = match table.get("address") {
        Some(value) => value.parse(report, address).map(|at| at.value),
        None => Some(SocketAddr::from(([0, 0, 0, 0], 8443))),
    };
    let hosts = table.get("hosts").map_or_else(Vec::new, |value| hosts(&value, report));
    let certificate = path_or(table, report, "certificate", "certs/gateway.pem", home);
    let key = path_or(table, report, "key", "certs/gateway.key", home);
    let client_ca = table.get("client_ca").map(|value| path(&value, report, home));
    let lists = table.get("crl");
    if let Some(lists) = lists.as_ref().filter(|_| client_ca.is_none()) {
        report.add(
            codes::CRL_WITHOUT_CA,
            &lists.span(),
            lists.key(),
            "stands without `client_ca`",
            "lists revoke what a client CA signed: add client_ca",
        );
    }
    let crl = lists.and_then(|value| value.list(report)).unwrap_or_default();
    let crl = crl.iter().filter_map(|value| path(value, report, home)).collect();
    let proxies = table.get("proxy_protocol").and_then(|value| value.list(report)).unwrap_or_default();
    let proxies =
        proxies.iter().filter_map(|value| value.parse(report, network)).map(|at| at.value).collect();
    Some(Listen {
        address: address?,
        hosts,
        tls: ServerFiles { certificate: certificate?, key: key?, client_ca: client_ca.flatten(), crl },
        proxies,
    })
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "an IP address and a port, such as \"0.0.0.0:8443\" or \"[::]:8443\"")
}

/// An address alone would leave open what it stands for.
fn network(text: &str) -> Result<IpNet, &'static str> {
    const WRONG: &str = "a network of balancers, such as \"10.0.0.0/8\" or \"2001:db8::/32\"";
    let network: IpNet = text.parse().map_err(|_| WRONG)?;
    // Bits behind the prefix are a slip: which of both was meant?
    if network.trunc() == network && network.prefix_len() > 0 { Ok(network) } else { Err(WRONG) }
}

fn path_or(
    table: &mut Table,
    report: &mut Report,
    key: &'static str,
    default: &str,
    home: &Path,
) -> Option<PathBuf> {
    match table.get(key) {
        Some(value) => path(&value, report, home),
        None => Some(home.join(default)),
    }
}

/// Checked here, so that `check` says what `serve` would.
fn log_filter(text: &str) -> Result<String, &'static str> {
    let filter = EnvFilter::builder().parse(text);
    filter
        .map(|_| text.to_owned())
        .map_err(|_| "a log filter, such as \"info\", \"debug\" or \"fieldgate::proxy=debug\"")
}

fn path(value: &Value, report: &mut Report, home: &Path) -> Option<PathBuf> {
    value.text(report).map(|text| home.join(text))
}

fn duration(value: &Value, report: &mut Report) -> Option<Duration> {
    value.parse(report, parse_duration).map(|at| at.value)
}

fn rate(value: &Value, report: &mut Report) -> Option<Rate> {
    value.parse(report, Rate::parse).map(|at| at.value)
}

fn size(value: &Value, report: &mut Report) -> Option<ByteSize> {
    value.parse(report, ByteSize::parse).map(|at| at.value)
}

/// An empty list would let all pass where it seems to let nothing pass.
fn hosts(value: &Value, report: &mut Report) -> Vec<Host> {
    let Some(list) = value.list(report) else { return Vec::new() };
    if list.is_empty() {
        report.add(
            codes::EMPTY_LIST,
            &value.span(),
            value.key(),
            "is empty",
            "list the gateway's names, or remove the key",
        );
    }
    list.iter().filter_map(|value| value.parse(report, host)).map(|at| at.value).collect()
}

fn host(text: &str) -> Result<Host, &'static str> {
    Host::parse(text)
        .filter(|host| host.port().is_none())
        .ok_or("a name or an IP address without a port, such as \"gateway.example\" or \"[::1]\"")
}

/// hyper takes no less than 8 KiB, and nobody needs a head of megabytes.
fn header_size(value: &Value, report: &mut Report) -> Option<ByteSize> {
    let parse = |text: &str| match ByteSize::parse(text) {
        Ok(size) if (ByteSize::kib(8)..=ByteSize::mib(1)).contains(&size) => Ok(size),
        _ => Err("a size from 8KiB to 1MiB"),
    };
    value.parse(report, parse).map(|at| at.value)
}

fn count(value: &Value, report: &mut Report) -> Option<usize> {
    value.integer(report, 1..=1_000_000).map(|count| count as usize)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::*;
    use crate::ledger::Signer;

    fn parsed(text: &str) -> Parsed {
        parse(&Source::new("fieldgate.toml", text), Path::new("/etc/fieldgate"))
    }

    const SMALL: &str = "jurisdiction = \"US\"\n[upstream.orders]\nurl = \"http://127.0.0.1:9001/\"\n";

    #[test]
    fn only_what_has_no_default_is_needed() {
        let (config, warnings) = parsed(SMALL).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(config.listen.address.port(), 8443);
        assert_eq!(config.ledger.path, Path::new("/etc/fieldgate/ledger/fieldgate.db"));
        assert_eq!(config.upstreams["orders"].urls, ["http://127.0.0.1:9001"]);
        assert_eq!(config.upstreams["orders"].max_body, ByteSize::mib(16));
    }

    #[test]
    fn hosts_are_names_without_ports() {
        let hosts = |list: &str| {
            let found = parsed(&format!("{SMALL}[listen]\nhosts = {list}\n"));
            found.map(|(config, _)| {
                config.listen.hosts.iter().map(|host| host.name().to_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(hosts(r#"["Gateway.example", "[0::1]"]"#).unwrap(), ["gateway.example", "[::1]"]);
        for wrong in
            ["[]", "\"gateway.example\"", r#"["gateway.example:8443"]"#, r#"["https://a"]"#, r#"["*"]"#]
        {
            assert_eq!(hosts(wrong).unwrap_err().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn what_is_about_a_collector_stands_beside_one() {
        let found = |text: &str| parsed(&format!("{SMALL}[telemetry]\n{text}\n"));
        let otlp = |text: &str| found(text).unwrap().0.telemetry.otlp.unwrap();
        assert!(parsed(SMALL).unwrap().0.telemetry.otlp.is_none());
        let near = otlp("otlp = \"http://127.0.0.1:4318/\"");
        assert_eq!((near.url.as_str(), near.sample), ("http://127.0.0.1:4318", 0.01));
        let far = otlp("otlp = \"https://traces.example\"\notlp_ca = \"ca.pem\"\nsample = 1");
        assert_eq!((far.ca.as_deref(), far.sample), (Some(Path::new("/etc/fieldgate/ca.pem")), 1.0));
        for wrong in [
            "sample = 0.5",
            "otlp_ca = \"ca.pem\"",
            "otlp = \"http://127.0.0.1:4318\"\notlp_ca = \"ca.pem\"",
            "otlp = \"https://traces.example\"",
            "otlp = \"127.0.0.1:4318\"",
            "otlp = \"http://127.0.0.1:4318\"\nsample = -0.1",
            "otlp = \"http://127.0.0.1:4318\"\nsample = \"all\"",
        ] {
            assert_eq!(found(wrong).unwrap_err().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn all_witnesses_count_unless_a_quorum_says_less() {
        let witness = |seed: u8, name: &str| {
            let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
            let key = Signer::cosigner(name, key).unwrap().verifier().to_string();
            format!("[[ledger.witness]]\nurl = \"http://127.0.0.1:1/\"\nkey = \"{key}\"\n")
        };
        let text = |ledger: &str| format!("{SMALL}[ledger]\n{ledger}{}{}", witness(1, "a"), witness(2, "b"));
        assert!(parsed(SMALL).unwrap().0.ledger.witnesses.is_empty());
        let ledger = parsed(&text("")).unwrap().0.ledger;
        assert_eq!((ledger.witnesses.len(), ledger.quorum, ledger.max_unwitnessed_age), (2, 2, None));
        assert_eq!(ledger.witnesses[0].url, "http://127.0.0.1:1");
        let ledger = parsed(&text("quorum = 1\nmax_unwitnessed_age = \"15m\"\n")).unwrap().0.ledger;
        assert_eq!((ledger.quorum, ledger.max_unwitnessed_age), (1, Some(Duration::from_secs(900))));
    }

    #[test]
    fn all_errors_come_in_one_run_with_their_lines() {
        let text = SMALL.replace("\"US\"", "\"usa\"").replace("http:", "https:")
            + "bearer = \"secret\"\n[limits]\nconections = 5\nheader_size = \"1MB\"\n";
        let found = parsed(&text).unwrap_err();
        let at: Vec<_> = found.iter().map(|d| (d.position().0, d.key.as_str())).collect();
        assert_eq!(
            at,
            [
                (1, "jurisdiction"),
                (3, "upstream.orders.url"),
                (4, "upstream.orders.bearer"),
                (6, "limits.conections"),
                (7, "limits.header_size")
            ]
        );
    }
}
