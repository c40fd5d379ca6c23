//! Writes counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datasketches::hll::{HllSketch, HllType, HllUnion};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::ledger::{Log, View};
use crate::secrets;

use super::count::{Counting, FieldCount, Pulse, Word, Words};
use super::{SCHEMA, VERSION};

/// For a reader that holds the file for a moment.
const BUSY: Duration = Duration::from_secs(5);
/// Two to this many registers: an estimate is off by about 2 % (one standard deviation).
pub const PRECISION: u8 = 11;

/// The database, open for writing.
pub struct Rollup {
    connection: Connection,
    /// Entries that are counted.
    pub upto: u64,
    words: HashMap<String, Word>,
}

/// What it is made from: another one makes it anew.
#[derive(Clone, Copy)]
pub struct Source<'s> {
    /// The name and key of the ledger.
    pub origin: &'s str,
    pub log: &'s Log,
}

impl Rollup {
    /// Opens it; makes it anew where it is missing, damaged, of another version or ledger, or has counted another
    /// entry than the ledger has there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(path: &Path, source: Source) -> anyhow::Result<Self> {
        if let Ok(Some(rollup)) = Rollup::known(path, source) {
            return Ok(rollup);
        }
        for suffix in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            match std::fs::remove_file(PathBuf::from(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        secrets::write(path, b"")?;
        let connection = connect(path)?;
        connection.execute_batch(SCHEMA)?;
        let sql = "INSERT INTO state VALUES ('origin', ?1), ('upto', 0), ('time', 0), ('last', x'')";
        connection.execute(sql, [source.origin])?;
        connection.pragma_update(None, "user_version", VERSION)?;
        Ok(Rollup { connection, upto: 0, words: HashMap::new() })
    }

    fn known(path: &Path, source: Source) -> anyhow::Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(path)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version != VERSION {
            return Ok(None);
        }
        let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        let origin: String = state(&connection, "origin")?;
        if sound != "ok" || origin != source.origin {
            return Ok(None);
        }
        let upto = state::<i64>(&connection, "upto")? as u64;
        if !has_counted(source.log, upto, &state::<Vec<u8>>(&connection, "last")?)? {
            return Ok(None);
        }
        let words = connection
            .prepare("SELECT text, id FROM word")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Some(Rollup { connection, upto, words }))
    }

    /// Counts entries that follow those that are counted; none where the content is gone. All of them, or none.
    /// `last` is the hash of the last one.
    ///
    /// # Errors
    /// Where an entry is not one, or the database cannot be written.
    pub fn add(&mut self, entries: &[Option<Vec<u8>>], last: &[u8]) -> anyhow::Result<()> {
        let outcome = self.try_add(entries, last);
        match &outcome {
            Ok(()) => self.upto += entries.len() as u64,
            // Numbers of words were taken back.
            Err(_) => self.words.clear(),
        }
        outcome
    }

    fn try_add(&mut self, entries: &[Option<Vec<u8>>], last: &[u8]) -> anyhow::Result<()> {
        let behaviour = TransactionBehavior::Immediate;
        let transaction = Transaction::new_unchecked(&self.connection, behaviour)?;
        let mut counting = Counting::default();
        let mut words = Numbering { transaction: &transaction, known: &mut self.words };
        for leaf in entries.iter().flatten() {
            counting.take(&View::parse(leaf)?, &mut words)?;
        }
        write(&transaction, &counting)?;
        let upto = self.upto + entries.len() as u64;
        let mut state = transaction.prepare_cached("UPDATE state SET value = ?2 WHERE name = ?1")?;
        state.execute(params!["upto", upto as i64])?;
        state.execute(params!["last", last])?;
        if counting.time > 0 {
            state.execute(params!["time", counting.time])?;
        }
        drop(state);
        transaction.commit()?;
        Ok(())
    }
}

/// Whether the entries that were counted are those of the log.
fn has_counted(log: &Log, upto: u64, last: &[u8]) -> Result<bool, crate::ledger::StoreError> {
    let Some(position) = upto.checked_sub(1) else { return Ok(true) };
    Ok(log.leaf_hash(position)?.is_some_and(|hash| hash == last))
}

fn state<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.query_row("SELECT value FROM state WHERE name = ?1", [name], |row| row.get(0))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What a power cut takes is counted again.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

struct Numbering<'n> {
    transaction: &'n Transaction<'n>,
    known: &'n mut HashMap<String, Word>,
}

impl Words for Numbering<'_> {
    fn number(&mut self, text: &str) -> rusqlite::Result<Word> {
        if let Some(number) = self.known.get(text) {
            return Ok(*number);
        }
        self.transaction.prepare_cached("INSERT OR IGNORE INTO word (text) VALUES (?1)")?.execute([text])?;
        let mut find = self.transaction.prepare_cached("SELECT id FROM word WHERE text = ?1")?;
        let number = find.query_row([text], |row| row.get(0))?;
        self.known.insert(text.to_owned(), number);
        Ok(number)
    }
}

fn write(transaction: &Transaction, counting: &Counting) -> rusqlite::Result<()> {
    write_hours(transaction, counting)?;
    write_fields(transaction, counting)?;
    write_totals(transaction, counting)?;
    write_subjects(transaction, counting)
}

fn write_hours(transaction: &Transaction, counting: &Counting) -> rusqlite::Result<()> {
    let mut hours = transaction.prepare_cached(
        "INSERT INTO hour VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
            answers = answers + excluded.answers, released = released + excluded.released,
            withheld = withheld + excluded.withheld, bytes = bytes + excluded.bytes",
    )?;
    for ((contractor, hour, task, outcome), count) in &counting.hours {
        hours.execute(params![
            contractor,
            hour,
            task,
            outcome,
            count.answers as i64,
            count.released as i64,
            count.withheld as i64,
            count.bytes as i64
        ])?;
    }
    let mut pulse = transaction.prepare_cached(
        "INSERT INTO pulse VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET
            disclosures = disclosures + excluded.disclosures, refusals = refusals + excluded.refusals",
    )?;
    let mut days = transaction.prepare_cached(
        "INSERT INTO day VALUES (?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT DO UPDATE SET
            disclosures = disclosures + excluded.disclosures, refusals = refusals + excluded.refusals,
            records = records + excluded.records",
    )?;
    for ((contractor, hour), Pulse { disclosures, refusals, records }) in &counting.pulse {
        let (disclosures, refusals) = (*disclosures as i64, *refusals as i64);
        pulse.execute(params![hour, contractor, disclosures, refusals])?;
        let day = hour.div_euclid(24);
        days.execute(params![contractor, day, disclosures, refusals, *records as i64])?;
    }
    Ok(())
}

fn write_fields(transaction: &Transaction, counting: &Counting) -> rusqlite::Result<()> {
    let mut fields = transaction.prepare_cached(
        "INSERT INTO field VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET
            answers = answers + excluded.answers, disclosed = disclosed + excluded.disclosed,
            withheld = withheld + excluded.withheld",
    )?;
    // 0 is never.
    let mut permissions = transaction.prepare_cached(
        "INSERT INTO permission VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET
            first = iif(first = 0 OR excluded.first = 0, max(first, excluded.first), min(first, excluded.first)),
            last = max(last, excluded.last)",
    )?;
    for ((contractor, task, route, path, treatment, day), count) in &counting.fields {
        let FieldCount { first, last, .. } = count;
        let (answers, disclosed, withheld) =
            (count.answers as i64, count.disclosed as i64, count.withheld as i64);
        fields
            .execute(params![contractor, task, route, path, treatment, day, answers, disclosed, withheld])?;
        permissions.execute(params![contractor, task, route, path, treatment, first, last])?;
    }
    Ok(())
}

fn write_totals(transaction: &Transaction, counting: &Counting) -> rusqlite::Result<()> {
    let add = |sql: &str, keys: &[i64], count: u64| {
        let mut all: Vec<i64> = keys.to_vec();
        all.push(count as i64);
        transaction.prepare_cached(sql)?.execute(rusqlite::params_from_iter(all)).map(|_| ())
    };
    for ((day, contractor, name), count) in &counting.signals {
        let sql = "INSERT INTO signal VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET count = count + excluded.count";
        add(sql, &[*day, *contractor, *name], *count)?;
    }
    for ((day, contractor, country, basis), count) in &counting.places {
        let sql = "INSERT INTO place VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET answers = answers + excluded.answers";
        add(sql, &[*day, *contractor, *country, *basis], *count)?;
    }
    Ok(())
}

fn write_subjects(transaction: &Transaction, counting: &Counting) -> rusqlite::Result<()> {
    let mut see = transaction.prepare_cached("INSERT OR IGNORE INTO seen VALUES (?1, ?2, ?3)")?;
    let mut add = transaction.prepare_cached(
        "INSERT INTO day VALUES (?1, ?2, 0, 0, 0, ?3) ON CONFLICT DO UPDATE SET
            customers = customers + excluded.customers",
    )?;
    let mut known = transaction
        .prepare_cached("SELECT bits FROM sketch WHERE contractor = ?1 AND task = ?2 AND day = ?3")?;
    let mut keep = transaction.prepare_cached("INSERT OR REPLACE INTO sketch VALUES (?1, ?2, ?3, ?4)")?;
    for ((day, contractor, task), names) in &counting.subjects {
        let mut new = 0;
        for name in names {
            new += see.execute(params![day, contractor, name])?;
        }
        add.execute(params![contractor, day, new as i64])?;
        let before =
            known.query_row(params![contractor, task, day], |row| row.get::<_, Vec<u8>>(0)).optional()?;
        if let Some(bits) = sketch(before.as_deref(), names.iter()) {
            keep.execute(params![contractor, task, day, bits])?;
        }
    }
    // A day more, so that entries around midnight find those before.
    let newest = counting.subjects.keys().map(|(day, ..)| *day).max();
    if let Some(newest) = newest {
        transaction.prepare_cached("DELETE FROM seen WHERE day < ?1")?.execute([newest - 1])?;
    }
    Ok(())
}

fn sketch<'n>(before: Option<&[u8]>, names: impl Iterator<Item = &'n Vec<u8>>) -> Option<Vec<u8>> {
    let known = before.and_then(|bits| HllSketch::deserialize(bits).ok());
    let mut sketch = match known {
        Some(known) => known,
        None => HllSketch::new(PRECISION, HllType::Hll4).ok()?,
    };
    names.for_each(|name| sketch.update(name.as_slice()));
    Some(sketch.serialize())
}

/// About how many customers several sketches are about.
pub fn about(sketches: impl Iterator<Item = Vec<u8>>) -> u64 {
    let Ok(mut union) = HllUnion::new(PRECISION) else { return 0 };
    sketches.filter_map(|bits| HllSketch::deserialize(&bits).ok()).for_each(|sketch| union.update(&sketch));
    union.estimate().round().max(0.0) as u64
}
