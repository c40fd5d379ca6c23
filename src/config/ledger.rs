//! `[ledger]`: where it is, its keys, how long it keeps what, and who witnesses it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::table::{At, Table, Value};
use crate::diagnostic::{Report, codes};
use crate::ledger::{Class, Pruning, Search, StoreError, Verifier, gathered_is_name, holds, plan};
use crate::model::parse_period;
use crate::transport::ClientFiles;

use super::fleet::{self, Fleet};
use super::upstream::url;
use super::{duration, path, path_or};

#[derive(Clone, Debug)]
pub struct Ledger {
    /// The SQLite database that is the ledger's index; the entries stand beside it. In a fleet, both can be made anew.
    pub path: PathBuf,
    /// The database that its entries are in, where several gateways share one.
    pub fleet: Option<Fleet>,
    /// The name under which the ledger signs its heads; made from the key where there is none.
    pub origin: Option<String>,
    pub signing_key: PathBuf,
    /// Of the first epoch; those of later ones stand beside it.
    pub subject_key: PathBuf,
    /// What contractors' names for customers are made with.
    pub pseudonym_key: PathBuf,
    pub retention: Retention,
    pub witnesses: Vec<Witness>,
    /// How many of them must have cosigned a head for it to count.
    pub quorum: usize,
    /// How old the oldest entry that is not witnessed may become before requests are refused; without it they
    /// never are.
    pub max_unwitnessed_age: Option<Duration>,
}

/// How long the content of entries is kept, in days. `fieldgate ledger prune` deletes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub disclosures: u32,
    pub refusals: u32,
    /// What the company's own people looked up and exported.
    pub access: u32,
}

impl Default for Retention {
    /// Six years (45 CFR 164.528), 90 days, two years.
    fn default() -> Self {
        Retention { disclosures: 6 * 366, refusals: 90, access: 2 * 366 }
    }
}

/// Microseconds.
const DAY: i64 = 86_400_000_000;

impl Retention {
    /// What can be deleted at a time, in microseconds since 1970-01-01T00:00:00Z, as the ledger and the holds are
    /// now. Holds are in `holding`: in a fleet they are placed on any node, and count for all.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn look(self, search: &Search, holding: &Search, at: i64) -> Result<Pruning, StoreError> {
        let until = |days: u32| at - i64::from(days) * DAY;
        let classes = [
            Class {
                name: "disclosures",
                kinds: &["disclosure", "subjects", "signal"],
                until: until(self.disclosures),
            },
            Class { name: "refusals", kinds: &["refusal"], until: until(self.refusals) },
            Class { name: "access", kinds: &["access"], until: until(self.access) },
        ];
        let holds = holds(holding)?.into_values().flatten();
        let holds: Vec<_> = holds.map(|hold| hold.filter.query()).collect();
        plan(search, &classes, &holds)
    }
}

/// A C2SP tlog-witness that heads are submitted to.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Without a slash at its end.
    pub url: String,
    pub tls: Option<ClientFiles>,
    /// Its cosignatures are verified by this key.
    pub key: Verifier,
}

pub(super) fn read(table: &mut Table, report: &mut Report, home: &Path) -> Option<Ledger> {
    let store = match table.get("store") {
        Some(value) => value.parse(report, store).map(Some),
        None => Some(None),
    };
    let usual = PathBuf::from("ledger/fieldgate.db");
    let (store, fleet) = match store {
        None => (None, None),
        Some(None) => (Some(usual), Some(None)),
        Some(Some(At { value: Store::Sqlite(path), .. })) => (Some(path), Some(None)),
        Some(Some(At { value: Store::Postgres(database), span, key, stands_in })) => {
            let database = At { value: *database, span, key, stands_in };
            let folder =
                table.get("folder").map_or(Some(usual), |value| value.text(report).map(PathBuf::from));
            let fleet = table.table_or_empty(report, "postgres", |table, report| {
                fleet::read(table, report, home, &database)
            });
            (folder, fleet.map(Some))
        }
    };
    let origin = table.get("origin").map(|value| value.parse(report, origin).map(|at| at.value));
    let signing_key = path_or(table, report, "signing_key", "ledger/signing.key", home);
    let subject_key = path_or(table, report, "subject_key", "ledger/subject.key", home);
    let retention = table.table(report, "retention", |table, report| Some(retention(table, report)));
    let pseudonym_key = path_or(table, report, "pseudonym_key", "ledger/pseudonym.key", home);
    let (witnesses, quorum) = witnesses(table, report, home);
    let max_age = table.get("max_unwitnessed_age");
    if let Some(value) = max_age.as_ref().filter(|_| quorum == 0) {
        without_witness(value, report);
    }
    Some(Ledger {
        path: home.join(store?),
        fleet: fleet?,
        origin: origin.flatten(),
        signing_key: signing_key?,
        subject_key: subject_key?,
        pseudonym_key: pseudonym_key?,
        retention: retention.unwrap_or_default(),
        witnesses,
        quorum,
        max_unwitnessed_age: max_age.and_then(|value| duration(&value, report)),
    })
}

fn retention(table: &mut Table, report: &mut Report) -> Retention {
    let usual = Retention::default();
    let mut period = |key, usual| {
        let value = table.get(key).and_then(|value| value.parse(report, parse_period));
        value.map_or(usual, |at| at.value)
    };
    Retention {
        disclosures: period("disclosures", usual.disclosures),
        refusals: period("refusals", usual.refusals),
        access: period("access", usual.access),
    }
}

/// The witnesses, and how many of them must cosign: all, unless `quorum` says less.
fn witnesses(table: &mut Table, report: &mut Report, home: &Path) -> (Vec<Witness>, usize) {
    let mut keys = Vec::new();
    let witnesses = table.tables(report, "witness", |table, report| witness(table, report, home, &mut keys));
    let all = keys.len();
    let quorum = table.get("quorum");
    if let Some(value) = quorum.as_ref().filter(|_| all == 0) {
        without_witness(value, report);
    }
    let quorum = quorum.filter(|_| all > 0).and_then(|value| value.integer(report, 1..=all as u64));
    (witnesses, quorum.map_or(all, |count| count as usize))
}

fn without_witness(value: &Value, report: &mut Report) {
    report.add(
        codes::WITNESS_MISSING,
        &value.span(),
        value.key(),
        "stands without a witness",
        "add [[ledger.witness]] with url and key, or remove it",
    );
}

/// A head can be kept with 100 signatures.
const MAX_WITNESSES: usize = 50;

/// `keys` are those of the witnesses before this one, with a gap for each that is not understood.
fn witness(
    table: &mut Table,
    report: &mut Report,
    home: &Path,
    keys: &mut Vec<Option<Verifier>>,
) -> Option<Witness> {
    let url = table.require(report, "url", "\"https://witness.example\"");
    let url = url.and_then(|value| value.parse(report, witness_url));
    let tls = witness_tls(table, report, url.as_ref(), home);
    let key = table.require(report, "key", "\"NAME+ID+KEY\", the line that the witness prints");
    let key = key.and_then(|value| value.parse(report, witness_key));
    let at = key.as_ref().filter(|key| keys.contains(&Some(key.value.clone())));
    if let Some(key) = at {
        report.add(
            codes::WITNESS_TWICE,
            &key.span,
            &key.key,
            "is the key of another witness too",
            "list each witness once",
        );
    }
    keys.push(key.as_ref().map(|key| key.value.clone()));
    if keys.len() > MAX_WITNESSES {
        let at = table.at(());
        report.add(
            codes::TOO_MANY_WITNESSES,
            &at.span,
            &at.key,
            "is one witness too many",
            "list at most 50",
        );
    }
    Some(Witness { url: url?.value, tls: tls?, key: key?.value })
}

fn witness_tls(
    table: &mut Table,
    report: &mut Report,
    url: Option<&At<String>>,
    home: &Path,
) -> Option<Option<ClientFiles>> {
    let ca = table.get("ca").map(|value| path(&value, report, home));
    let url = url?;
    let wrong = match (url.value.starts_with("https://"), ca.is_some()) {
        (true, false) => Some((
            "needs `ca`",
            "add ca = \"certs/witness-ca.pem\": the authority that signed the witness's certificate",
        )),
        (false, true) => {
            Some(("is not https, and there is a `ca`", "write https:// in the url, or remove ca"))
        }
        _ => None,
    };
    if let Some((message, help)) = wrong {
        report.add(codes::TLS_DOES_NOT_FIT, &url.span, &url.key, message, help);
        return None;
    }
    Some(match ca {
        None => None,
        Some(ca) => Some(ClientFiles { ca: ca?, identity: None, server_name: None }),
    })
}

fn witness_url(text: &str) -> Result<String, &'static str> {
    url(text).map_err(
        |_| "http:// or https://, a host, and perhaps a port and a path, such as \"https://witness.example\"",
    )
}

/// C2SP tlog-cosignature: a verifier key of type 0x04.
fn witness_key(text: &str) -> Result<Verifier, &'static str> {
    match Verifier::parse(text) {
        Ok(key) if key.is_cosigner() => Ok(key),
        Ok(_) => Err("this is the key of a log; write the key that the witness prints when it starts"),
        Err(_) => Err("the line that the witness prints when it starts: NAME+ID+KEY"),
    }
}

/// C2SP signed-note: a key name.
fn origin(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    if gathered_is_name(text) {
        return Err("another name: one that ends in /fleet is that of a ledger of all nodes of a fleet");
    }
    match !text.is_empty() && text.len() <= 200 && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("a name without spaces and plus signs, such as \"company.example/fieldgate\""),
    }
}

enum Store {
    Sqlite(PathBuf),
    Postgres(Box<tokio_postgres::Config>),
}

fn store(text: &str) -> Result<Store, &'static str> {
    match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(Store::Sqlite(path.into())),
        Some(("postgres" | "postgresql", _)) => {
            fleet::database(text).map(|database| Store::Postgres(Box::new(database)))
        }
        _ => Err("\"sqlite:ledger/fieldgate.db\", or \"postgres://USER@HOST:5432/DATABASE\" for a fleet"),
    }
}
