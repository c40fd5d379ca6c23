//! The statements on the disk: a SQLite database beside the ledger, and the key that customers are named by in it.
//!
//! The key is another one than those of the ledger's entries: an epoch's key is destroyed when its entries are old
//! enough, and a consent may live longer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::model::{Subject, SubjectKey};

use super::super::keys::{self, KeyError};
use super::super::postgres::Said;
use super::super::query::{Query, Search};
use super::super::view::View;
use super::super::{StoreError, files};
use super::registry::{Consents, Registry, Row};
use super::statement::{Number, Scope, Statement, UNNAMED};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS state (
        name  TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT OR IGNORE INTO state VALUES ('generation', 0);
    CREATE TABLE IF NOT EXISTS named (
        number INTEGER PRIMARY KEY,           -- from 1
        name   TEXT NOT NULL UNIQUE           -- of a purpose or a contractor
    ) STRICT;
    CREATE TABLE IF NOT EXISTS statement (
        customer   BLOB NOT NULL,             -- keyed name, 16 bytes
        purpose    INTEGER NOT NULL,          -- 0: all
        contractor INTEGER NOT NULL,          -- 0: all
        time       INTEGER NOT NULL,          -- microseconds since 1970-01-01T00:00:00Z
        granted    INTEGER NOT NULL,
        PRIMARY KEY (customer, purpose, contractor)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS seal (
        value BLOB PRIMARY KEY                -- what the key makes of a fixed text
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pending (
        number INTEGER PRIMARY KEY,           -- of an entry that is still to be written
        event  TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS receipt (
        id BLOB PRIMARY KEY                   -- keyed name of what a source called it
    ) STRICT, WITHOUT ROWID;
";

/// Something that a customer said. Personal as long as it has the customer's id, so `Debug` is not derived.
#[derive(Clone, Serialize, Deserialize)]
pub struct Saying {
    /// The customer, as the upstream names it.
    pub subject: String,
    #[serde(flatten)]
    pub scope: Scope,
    pub granted: bool,
    /// When it was said: microseconds since 1970-01-01T00:00:00Z; now, where that is left out.
    pub time: Option<i64>,
    /// What its source calls it: it is taken once.
    #[serde(default)]
    pub receipt: Option<String>,
}

/// What customers said, and who says so.
#[derive(Serialize, Deserialize)]
pub struct ConsentOrder {
    pub said: Vec<Saying>,
    pub by: String,
    pub reason: String,
    /// Where it was said: a form, a letter, another system.
    pub source: String,
}

impl std::fmt::Debug for ConsentOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConsentOrder({} statements)", self.said.len())
    }
}

/// What is on file of one customer about one purpose and contractor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Known {
    #[serde(flatten)]
    pub scope: Scope,
    pub granted: bool,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
}

/// Statements that are new, before they are on the disk.
#[derive(Default)]
pub struct Prepared {
    rows: Vec<Row>,
    receipts: Vec<[u8; 16]>,
    generation: u64,
    /// The places, in what was said, of those that change something, and when they were said.
    pub news: Vec<(usize, i64)>,
}

impl Prepared {
    /// What the ledger's writer holds disclosures against from then on.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

/// Why statements cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    #[error("the consent registry {}: {source}", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("the consent registry {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(
        "{} is missing, and {} is there: what customers said is not known; put both back from one backup",
        missing.display(),
        there.display()
    )]
    Lost { missing: PathBuf, there: PathBuf },
    #[error("the consent registry knows too many purposes and contractors")]
    TooMany,
    #[error("it was said in the future: the time must not be later than now")]
    Future,
    #[error(
        "{} knows of {found} statements and the ledger of {heard}: an older copy was put back, or it was removed; put the newest copy back",
        path.display()
    )]
    Older { path: PathBuf, found: u64, heard: u64 },
    #[error("{} and {} are of two backups: no customer would be recognised; put both back from one", database.display(), key.display())]
    OtherKey { database: PathBuf, key: PathBuf },
    #[error(transparent)]
    Ledger(#[from] StoreError),
}

/// The statements, open for writing.
pub struct Statements {
    connection: Connection,
    path: PathBuf,
    /// Withdrawals that are in force and that the disk did not take, with the events of their entries.
    unsaved: Vec<(Prepared, Vec<String>)>,
}

/// Database and key, for the ledger whose index is at `path`.
pub(super) fn files_of(path: &Path) -> (PathBuf, PathBuf) {
    (path.with_extension("consent"), path.with_extension("consent-key"))
}

/// Opens the registry of the ledger whose index is at `path`, or makes it.
///
/// # Errors
/// Where it cannot be known what customers said. Nobody consents then: see [`Consents::unknown`].
pub fn consents(path: &Path) -> Result<(Arc<Consents>, Statements), ConsentError> {
    let (database, key_file) = files_of(path);
    let heard = heard(path)?;
    if heard > 0 && !database.exists() {
        return Err(ConsentError::Older { path: database, found: 0, heard });
    }
    let key = key_file.clone();
    if key.exists() && !database.exists() {
        return Err(ConsentError::Lost { missing: database, there: key });
    }
    let file = |source: StoreError| match source {
        StoreError::File { path, source } => ConsentError::File { path, source },
        other => {
            ConsentError::File { path: database.clone(), source: std::io::Error::other(other.to_string()) }
        }
    };
    files::make_private(&database)
        .map_err(|source| file(StoreError::File { path: database.clone(), source }))?;
    let error = |source| ConsentError::Database { path: database.clone(), source };
    let connection = Connection::open(&database).map_err(error)?;
    let rows = prepare(&connection).and_then(|()| read(&connection)).map_err(error)?;
    if !rows.is_empty() && !key.exists() {
        return Err(ConsentError::Lost { missing: key, there: database });
    }
    let key = keys::load_key(&key)?;
    let named = names(&connection).map_err(error)?;
    let generation = generation(&connection).map_err(error)?;
    if generation < heard {
        return Err(ConsentError::Older { path: database, found: generation, heard });
    }
    if !fits(&connection, &key).map_err(error)? {
        return Err(ConsentError::OtherKey { database, key: key_file });
    }
    let registry = Registry::new(key, named, rows, generation);
    Ok((
        Arc::new(Consents::known(registry)),
        Statements { connection, path: database.clone(), unsaved: Vec::new() },
    ))
}

/// How far the registry had counted on the disk, as the ledger knows.
fn heard(path: &Path) -> Result<u64, ConsentError> {
    if !path.exists() {
        return Ok(0);
    }
    let query = Query { kind: Some("consent".to_owned()), ..Query::default() };
    let newest = Search::open(path)?.page(&query, 1)?;
    let entry = newest.rows.first();
    Ok(entry.and_then(|row| View::parse(row.leaf.as_bytes()).ok()?.generation).unwrap_or(0))
}

/// Whether the names in the database are made by this key.
fn fits(connection: &Connection, key: &SubjectKey) -> rusqlite::Result<bool> {
    let seal = key.receipt_name(&[b"seal"]);
    let known: Option<[u8; 16]> =
        connection.query_row("SELECT value FROM seal", [], |row| row.get(0)).optional()?;
    if known.is_none() {
        connection.execute("INSERT INTO seal VALUES (?1)", [seal])?;
    }
    Ok(known.is_none_or(|known| known == seal))
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(SCHEMA)?;
    let state: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if state == "ok" {
        return Ok(());
    }
    Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT), Some(state)))
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<Row>> {
    let sql = "SELECT customer, purpose, contractor, time, granted FROM statement
        ORDER BY customer, purpose, contractor";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let said = Statement {
            purpose: row.get(1)?,
            contractor: row.get(2)?,
            time: row.get(3)?,
            granted: row.get(4)?,
        };
        Ok(Row { name: row.get(0)?, said })
    })?;
    rows.collect()
}

fn names(connection: &Connection) -> rusqlite::Result<HashMap<String, Number>> {
    let mut statement = connection.prepare("SELECT name, number FROM named")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn generation(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT value FROM state WHERE name = 'generation'";
    connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|value| value as u64)
}

impl Statements {
    /// Finds out what is new in what was said: older news, and receipts that were taken before, change nothing.
    ///
    /// # Errors
    /// Where the database cannot be read, or something was said in the future.
    pub fn prepare(
        &mut self,
        registry: &Consents,
        said: &[Saying],
        now: i64,
    ) -> Result<Prepared, ConsentError> {
        let Some(registry) = registry.registry() else { return Err(self.lost()) };
        let mut prepared = Prepared {
            rows: Vec::new(),
            receipts: Vec::new(),
            generation: registry.generation() + 1,
            news: Vec::new(),
        };
        for (at, saying) in said.iter().enumerate() {
            let name = registry.name(Subject::new(&saying.subject));
            if let Some(receipt) = &saying.receipt {
                let id = registry.receipt(&parts(saying, receipt));
                if prepared.receipts.contains(&id) || self.has_taken(&id)? {
                    continue;
                }
                prepared.receipts.push(id);
            }
            let (purpose, contractor) = self.numbers(registry, &saying.scope)?;
            let time = time(registry, saying, &name, &prepared, now)?;
            let said = Statement { purpose, contractor, time, granted: saying.granted };
            let mut is_news = true;
            registry.said(&name, |rows| {
                let same = |row: &&Row| (row.said.purpose, row.said.contractor) == (purpose, contractor);
                is_news = rows.iter().find(same).is_none_or(|known| said.replaces(&known.said));
            });
            let same = |row: &Row| {
                row.name == name && (row.said.purpose, row.said.contractor) == (purpose, contractor)
            };
            match prepared.rows.iter().position(same) {
                Some(known) if said.replaces(&prepared.rows[known].said) => {
                    prepared.rows[known].said = said;
                    prepared.news.push((at, time));
                }
                Some(_) => {}
                None if is_news => {
                    prepared.rows.push(Row { name, said });
                    prepared.news.push((at, time));
                }
                None => {}
            }
        }
        Ok(prepared)
    }

    /// Puts them on the disk, all or none, and with them the events of entries that are still to be written.
    ///
    /// # Errors
    /// Where that fails; what was there before still is.
    pub fn store(&mut self, prepared: &Prepared, events: &[String]) -> Result<(), ConsentError> {
        self.try_store(prepared, events)
            .map_err(|source| ConsentError::Database { path: self.path.clone(), source })
    }

    fn try_store(&mut self, prepared: &Prepared, events: &[String]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for Row { name, said } in &prepared.rows {
            let sql = "INSERT INTO statement VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT DO UPDATE SET time = excluded.time, granted = excluded.granted
                WHERE excluded.time > time OR (excluded.time = time AND excluded.granted < granted)";
            let mut statement = transaction.prepare_cached(sql)?;
            statement.execute(params![name, said.purpose, said.contractor, said.time, said.granted])?;
        }
        for id in &prepared.receipts {
            transaction.prepare_cached("INSERT OR IGNORE INTO receipt VALUES (?1)")?.execute([id])?;
        }
        for event in events {
            transaction.prepare_cached("INSERT INTO pending (event) VALUES (?1)")?.execute([event])?;
        }
        let sql = "UPDATE state SET value = max(value, ?1) WHERE name = 'generation'";
        transaction.execute(sql, [prepared.generation as i64])?;
        transaction.commit()
    }

    /// As [`store`](Self::store), of what is in force already: where the disk does not take it now, it is tried
    /// again before anything else.
    ///
    /// # Errors
    /// Where it is not on the disk yet.
    pub fn store_or_keep(&mut self, prepared: Prepared, events: Vec<String>) -> Result<(), ConsentError> {
        self.unsaved.push((prepared, events));
        self.save()
    }

    fn save(&mut self) -> Result<(), ConsentError> {
        while let Some((prepared, events)) = self.unsaved.pop() {
            if let Err(failed) = self.store(&prepared, &events) {
                self.unsaved.push((prepared, events));
                return Err(failed);
            }
        }
        Ok(())
    }

    /// The events of entries that a crash or a full disk has kept from being written.
    ///
    /// # Errors
    /// Where the database cannot be read, or what is in force cannot be put on the disk.
    pub fn pending(&mut self) -> Result<Vec<String>, ConsentError> {
        self.save()?;
        let read = || {
            let mut statement = self.connection.prepare("SELECT event FROM pending ORDER BY number")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// Says that all of them are written.
    ///
    /// # Errors
    /// Where the database cannot be written; they are then written again at the next start.
    pub fn settled(&self) -> Result<(), ConsentError> {
        let done = self.connection.execute("DELETE FROM pending", []);
        done.map(drop).map_err(|source| self.error(source))
    }

    /// All that customers said, and all receipts, for a fleet that takes them over.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn everything(&self) -> Result<(Vec<Said>, Vec<[u8; 16]>), ConsentError> {
        let read = || {
            let sql = "SELECT s.customer, p.name, c.name, s.time, s.granted FROM statement s
                LEFT JOIN named p ON p.number = s.purpose LEFT JOIN named c ON c.number = s.contractor";
            let mut statement = self.connection.prepare(sql)?;
            let said = statement.query_map([], |row| {
                let customer: [u8; 16] = row.get(0)?;
                Ok(Said {
                    customer: crate::model::Hex::of(&customer).to_string(),
                    purpose: row.get(1)?,
                    contractor: row.get(2)?,
                    time: row.get(3)?,
                    granted: row.get(4)?,
                })
            })?;
            let said = said.collect::<rusqlite::Result<Vec<Said>>>()?;
            let mut statement = self.connection.prepare("SELECT id FROM receipt")?;
            let receipts = statement.query_map([], |row| row.get(0))?;
            Ok((said, receipts.collect::<rusqlite::Result<Vec<[u8; 16]>>>()?))
        };
        read().map_err(|source| self.error(source))
    }

    fn has_taken(&self, receipt: &[u8; 16]) -> Result<bool, ConsentError> {
        let sql = "SELECT 1 FROM receipt WHERE id = ?1";
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([receipt], |_| Ok(())).optional());
        found.map(|found| found.is_some()).map_err(|source| self.error(source))
    }

    /// The numbers of a scope; a name that is new gets one, which lasts.
    fn numbers(&self, registry: &Registry, scope: &Scope) -> Result<(Number, Number), ConsentError> {
        for name in scope.purpose.iter().chain(&scope.contractor) {
            if registry.knows(name) {
                continue;
            }
            let sql = "INSERT INTO named (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = name RETURNING number";
            let number: i64 = self
                .connection
                .query_row(sql, [name], |row| row.get(0))
                .map_err(|source| self.error(source))?;
            let number = Number::try_from(number).ok().filter(|number| *number != UNNAMED);
            registry.learn(name, number.ok_or(ConsentError::TooMany)?);
        }
        Ok(registry.numbers(scope))
    }

    fn error(&self, source: rusqlite::Error) -> ConsentError {
        ConsentError::Database { path: self.path.clone(), source }
    }

    fn lost(&self) -> ConsentError {
        ConsentError::Lost { missing: self.path.clone(), there: self.path.clone() }
    }
}

/// When it was said. A withdrawal now is later than all that the customer said before, whatever the clock says; a
/// grant is not, so that of one order the withdrawal counts.
pub(super) fn time(
    registry: &Registry,
    saying: &Saying,
    name: &[u8; 16],
    prepared: &Prepared,
    now: i64,
) -> Result<i64, ConsentError> {
    if let Some(time) = saying.time {
        return if time > now { Err(ConsentError::Future) } else { Ok(time) };
    }
    if saying.granted {
        return Ok(now);
    }
    let mut newest = prepared.rows.iter().filter(|row| row.name == *name).map(|row| row.said.time).max();
    registry.said(name, |rows| newest = newest.max(rows.iter().map(|row| row.said.time).max()));
    Ok(now.max(newest.map_or(now, |newest| newest + 1)))
}

/// What a receipt is of: the same one may be given for a grant and for its end.
pub(super) fn parts<'s>(saying: &'s Saying, receipt: &'s str) -> Vec<&'s [u8]> {
    let text = |text: &'s Option<String>| text.as_deref().unwrap_or_default().as_bytes();
    let action: &[u8] = if saying.granted { b"grant" } else { b"withdraw" };
    let scope = &saying.scope;
    vec![receipt.as_bytes(), saying.subject.as_bytes(), text(&scope.purpose), text(&scope.contractor), action]
}

impl Consents {
    /// Whether a statement names this purpose or contractor.
    pub fn knows(&self, name: &str) -> bool {
        self.registry().is_some_and(|registry| registry.knows(name))
    }

    /// Puts statements in force: the next request sees them. One at a time.
    pub fn put(&self, prepared: &Prepared) {
        if let Some(registry) = self.registry() {
            registry.put(&prepared.rows, prepared.generation);
        }
    }

    /// What is on file of a customer.
    pub fn of(&self, subject: &str) -> Vec<Known> {
        let Some(registry) = self.registry() else { return Vec::new() };
        let mut known = Vec::new();
        registry.said(&registry.name(Subject::new(subject)), |rows| {
            known.extend(rows.iter().map(|row| Known {
                scope: registry.scope(&row.said),
                granted: row.said.granted,
                time: row.said.time,
            }));
        });
        known
    }
}

#[cfg(test)]
impl Statements {
    /// Does not wait for others.
    pub fn be_impatient(&self) {
        self.connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    }
}

impl std::fmt::Debug for Statements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Statements({})", self.path.display())
    }
}
