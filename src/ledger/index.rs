//! The index: where entries are that have something in common. A SQLite database beside the archive, made
//! from the entries alone; it can be deleted and is then made anew.
//!
//! It holds no entry. What it knows of customers are their keyed names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::model::SubjectPseudonym;

use super::archive::BUNDLE;
use super::error::StoreError;
use super::files;
use super::known::{Known, MICROS_PER_DAY};
use super::postings::{BLOCK, Set};
use super::view::View;

mod forget;

pub use forget::{Forgetting, Gone, Keys};

/// How long a statement waits for somebody who holds the database.
const BUSY: Duration = Duration::from_secs(2);

/// Tables, in the order in which versions added them. `user_version` counts the ones that a database has.
/// The first version kept the entries themselves here.
const MIGRATIONS: &[&str] = &[
    "",
    "
    CREATE TABLE state (
        name  TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO state VALUES ('indexed', 0);    -- entries that are in the index
    INSERT INTO state VALUES ('forgotten', 0);  -- times that entries were taken out
    CREATE TABLE term (
        id     INTEGER PRIMARY KEY,
        family INTEGER NOT NULL,
        text   TEXT NOT NULL,
        UNIQUE (family, text)
    ) STRICT;
    CREATE TABLE posting (
        term  INTEGER NOT NULL,
        block INTEGER NOT NULL,           -- of 65,536 entries
        bits  BLOB NOT NULL,              -- which of them have the term
        PRIMARY KEY (term, block)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE bundle (
        number INTEGER PRIMARY KEY,       -- of 256 entries
        first  INTEGER NOT NULL,          -- microseconds since 1970-01-01T00:00:00Z
        last   INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE named (
        id       BLOB NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE about (
        subject  BLOB NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (subject, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sequence (
        contractor TEXT PRIMARY KEY,
        entries    INTEGER NOT NULL       -- of this contractor so far
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE seen (
        contractor TEXT NOT NULL,
        day        INTEGER NOT NULL,      -- days since 1970-01-01
        subject    BLOB NOT NULL,
        PRIMARY KEY (contractor, day, subject)
    ) STRICT, WITHOUT ROWID;
",
];

/// What entries can have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Family {
    Kind = 0,
    Contractor = 1,
    Credential = 2,
    Task = 3,
    Route = 4,
    Field = 5,
    Outcome = 6,
    Basis = 7,
    Country = 8,
    Case = 9,
}

const FAMILIES: usize = 10;

/// The index, open for writing.
pub struct Index {
    connection: Connection,
    path: PathBuf,
    inode: u64,
    /// Entries that are in it.
    indexed: u64,
    /// Times that entries were taken out of it, as the sets in memory know.
    forgotten: i64,
    /// Where each term's set is in `open`.
    terms: [HashMap<String, usize>; FAMILIES],
    /// The sets of the block that is filled.
    open: Vec<Open>,
}

struct Open {
    term: i64,
    set: Set,
    changed: bool,
}

impl Index {
    /// Opens the index, or makes it.
    ///
    /// # Errors
    /// Where it cannot be opened or is too new.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let error = |source| StoreError::Database { path: path.to_owned(), source };
        files::make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let mut connection = Connection::open(path).map_err(error)?;
        prepare(&connection).map_err(error)?;
        migrate(&mut connection, path)?;
        let mut index = Index {
            connection,
            path: path.to_owned(),
            inode: files::inode(path),
            indexed: 0,
            forgotten: 0,
            terms: Default::default(),
            open: Vec::new(),
        };
        index.load().map_err(error)?;
        Ok(index)
    }

    /// Entries that are in it.
    pub fn indexed(&self) -> u64 {
        self.indexed
    }

    /// The number of its file in the file system.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Opens it again after a failure; it must be the same file.
    ///
    /// # Errors
    /// As [`Index::open`], and where it is another one.
    pub fn reopen(path: &Path, inode: u64) -> Result<Self, StoreError> {
        // SQLite would lay the log of the old file over another one.
        if files::inode(path) != inode {
            return Err(StoreError::Replaced(path.to_owned()));
        }
        Index::open(path)
    }

    /// # Errors
    /// Where its file was deleted or replaced.
    pub fn check_name(&self) -> Result<(), StoreError> {
        if files::inode(&self.path) == self.inode {
            Ok(())
        } else {
            Err(StoreError::Replaced(self.path.clone()))
        }
    }

    /// Takes the next entries, all or none.
    ///
    /// # Errors
    /// Where the database cannot be written, or an entry cannot be read.
    pub fn add<'e>(&mut self, entries: impl Iterator<Item = Option<&'e [u8]>>) -> Result<(), StoreError> {
        match self.try_add(entries) {
            Ok(()) => Ok(()),
            Err(failed) => {
                // What was noted in memory is taken back.
                self.load().map_err(|source| StoreError::Database { path: self.path.clone(), source })?;
                Err(failed)
            }
        }
    }

    fn try_add<'e>(&mut self, entries: impl Iterator<Item = Option<&'e [u8]>>) -> Result<(), StoreError> {
        let path = self.path.clone();
        let error = |source| StoreError::Database { path: path.clone(), source };
        let behaviour = TransactionBehavior::Immediate;
        if self.forgotten().map_err(error)? != self.forgotten {
            self.load().map_err(error)?;
        }
        let transaction = Transaction::new_unchecked(&self.connection, behaviour).map_err(error)?;
        let mut filling = Filling {
            transaction: &transaction,
            terms: &mut self.terms,
            open: &mut self.open,
            position: self.indexed,
            times: None,
            sequences: HashMap::new(),
        };
        for leaf in entries {
            // What was pruned has left its number only.
            if let Some(leaf) = leaf {
                let entry = View::parse(leaf).map_err(|_| StoreError::Broken {
                    path: path.clone(),
                    what: format!("entry {} is not an entry", filling.position),
                })?;
                filling.entry(&entry).map_err(error)?;
            }
            filling.turn().map_err(error)?;
        }
        let indexed = filling.finish().map_err(error)?;
        transaction.commit().map_err(error)?;
        self.indexed = indexed;
        Ok(())
    }

    /// What the writer must know, of the day that `time` is in.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn known(&self, time: i64) -> Result<Known, StoreError> {
        self.read_known(time.div_euclid(MICROS_PER_DAY))
            .map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }

    fn read_known(&self, day: i64) -> rusqlite::Result<Known> {
        // A day more, so that a clock that jumps ahead and back does not forget.
        self.connection.execute("DELETE FROM seen WHERE day < ?1", [day - 1])?;
        let mut known = Known::new(day);
        let mut sequences = self.connection.prepare("SELECT contractor, entries FROM sequence")?;
        let mut rows = sequences.query([])?;
        while let Some(row) = rows.next()? {
            known.sequences.insert(row.get(0)?, row.get::<_, i64>(1)? as u64);
        }
        let mut seen =
            self.connection.prepare("SELECT day, contractor, subject FROM seen WHERE day >= ?1")?;
        let mut rows = seen.query([day - 1])?;
        while let Some(row) = rows.next()? {
            let key = (row.get(0)?, row.get(1)?);
            known.subjects.entry(key).or_default().insert(SubjectPseudonym(row.get(2)?));
        }
        Ok(known)
    }

    fn forgotten(&self) -> rusqlite::Result<i64> {
        let sql = "SELECT value FROM state WHERE name = 'forgotten'";
        self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
    }

    fn load(&mut self) -> rusqlite::Result<()> {
        self.forgotten = self.forgotten()?;
        let indexed: i64 =
            self.connection
                .query_row("SELECT value FROM state WHERE name = 'indexed'", [], |row| row.get(0))?;
        self.indexed = indexed as u64;
        self.terms = Default::default();
        self.open.clear();
        let sql = "SELECT id, family, text, bits FROM term
            LEFT JOIN posting ON posting.term = term.id AND posting.block = ?1";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([(self.indexed / BLOCK) as i64])?;
        while let Some(row) = rows.next()? {
            let (family, bits): (u8, Option<Vec<u8>>) = (row.get(1)?, row.get(3)?);
            let set = bits.and_then(|bits| Set::from_bytes(&bits)).unwrap_or_default();
            if let Some(terms) = self.terms.get_mut(usize::from(family)) {
                terms.insert(row.get(2)?, self.open.len());
                self.open.push(Open { term: row.get(0)?, set, changed: false });
            }
        }
        Ok(())
    }

    /// The entries that the first version kept here, in order; None where there are none.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn first_version(&self) -> Result<Option<u64>, StoreError> {
        let error = |source| StoreError::Database { path: self.path.clone(), source };
        let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'entry'";
        let tables: i64 = self.connection.query_row(sql, [], |row| row.get(0)).map_err(error)?;
        if tables == 0 {
            return Ok(None);
        }
        let count = self.connection.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0));
        count.map(|count| Some(count as u64)).map_err(error)
    }

    /// An entry that the first version kept here.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn first_version_entry(&self, position: u64) -> Result<Vec<u8>, StoreError> {
        let sql = "SELECT leaf FROM entry WHERE position = ?1";
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([position as i64], |row| row.get(0)))
            .map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }

    /// Drops what the first version kept here; it must be in the archive.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn forget_first_version(&self) -> Result<(), StoreError> {
        let sql =
            "DROP TABLE entry; DROP TABLE entry_subject; DROP TABLE contractor; DROP TABLE subject_day;";
        self.connection
            .execute_batch(sql)
            .map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }
}

/// One transaction.
struct Filling<'i> {
    transaction: &'i Transaction<'i>,
    terms: &'i mut [HashMap<String, usize>; FAMILIES],
    open: &'i mut Vec<Open>,
    /// The number of the entry in work.
    position: u64,
    /// First and last of the bundle that is filled.
    times: Option<(i64, i64)>,
    sequences: HashMap<String, u64>,
}

impl Filling<'_> {
    fn entry(&mut self, entry: &View) -> rusqlite::Result<()> {
        let words = [
            (Family::Kind, Some(entry.kind.as_ref())),
            (Family::Contractor, entry.contractor.as_deref()),
            (Family::Credential, entry.credential.as_deref()),
            (Family::Task, entry.task.as_deref()),
            (Family::Route, entry.route.as_deref()),
            (Family::Outcome, Some(entry.outcome())),
            (Family::Basis, entry.basis.as_deref()),
            (Family::Country, entry.country()),
            (Family::Case, entry.legal.as_ref().map(|legal| legal.case.as_ref())),
        ];
        for (family, word) in words {
            word.map_or(Ok(()), |word| self.note(family, word))?;
        }
        for field in entry.fields.iter().filter(|field| field.disclosed > 0) {
            self.note(Family::Field, &field.path)?;
        }
        let position = self.position as i64;
        self.transaction
            .prepare_cached("INSERT OR IGNORE INTO named VALUES (?1, ?2)")?
            .execute(params![id_bytes(&entry.id), position])?;
        self.subjects(entry)?;
        if let (Some(contractor), Some(sequence)) = (&entry.contractor, entry.sequence) {
            match self.sequences.get_mut(contractor.as_ref()) {
                Some(known) => *known = sequence,
                None => _ = self.sequences.insert(contractor.as_ref().to_owned(), sequence),
            }
        }
        let (first, last) = self.times.unwrap_or((entry.time, entry.time));
        self.times = Some((first.min(entry.time), last.max(entry.time)));
        Ok(())
    }

    fn note(&mut self, family: Family, word: &str) -> rusqlite::Result<()> {
        let terms = &mut self.terms[family as usize];
        let at = match terms.get(word) {
            Some(at) => *at,
            None => {
                self.transaction.execute(
                    "INSERT INTO term (family, text) VALUES (?1, ?2)",
                    params![family as u8, word],
                )?;
                let term = self.transaction.last_insert_rowid();
                self.open.push(Open { term, set: Set::default(), changed: false });
                terms.insert(word.to_owned(), self.open.len() - 1);
                self.open.len() - 1
            }
        };
        if let Some(open) = self.open.get_mut(at) {
            open.set.insert((self.position % BLOCK) as u16);
            open.changed = true;
        }
        Ok(())
    }

    fn subjects(&mut self, entry: &View) -> rusqlite::Result<()> {
        if !entry.is_found_by_subject() {
            return Ok(());
        }
        // A search for a subject leads to the entry that says what was disclosed.
        let head = forget::head(self.position, entry);
        let day = entry.time.div_euclid(MICROS_PER_DAY);
        let mut about = self.transaction.prepare_cached("INSERT OR IGNORE INTO about VALUES (?1, ?2)")?;
        let mut seen = self.transaction.prepare_cached("INSERT OR IGNORE INTO seen VALUES (?1, ?2, ?3)")?;
        for name in entry.subjects.iter().filter_map(|name| SubjectPseudonym::parse(name)) {
            about.execute(params![name.0, head as i64])?;
            // What a customer says is not seen by a contractor.
            if let Some(contractor) = &entry.contractor {
                seen.execute(params![contractor, day, name.0])?;
            }
        }
        Ok(())
    }

    /// Goes to the next entry.
    fn turn(&mut self) -> rusqlite::Result<()> {
        self.position += 1;
        if self.position.is_multiple_of(BUNDLE) {
            self.write_times(self.position / BUNDLE - 1)?;
        }
        if self.position.is_multiple_of(BLOCK) {
            self.write_sets(self.position / BLOCK - 1)?;
            self.open.iter_mut().for_each(|open| open.set = Set::default());
        }
        Ok(())
    }

    fn write_times(&mut self, number: u64) -> rusqlite::Result<()> {
        let Some((first, last)) = self.times.take() else { return Ok(()) };
        let sql = "INSERT INTO bundle VALUES (?1, ?2, ?3) ON CONFLICT (number)
            DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)";
        self.transaction.prepare_cached(sql)?.execute(params![number as i64, first, last])?;
        Ok(())
    }

    fn write_sets(&mut self, block: u64) -> rusqlite::Result<()> {
        let mut write =
            self.transaction.prepare_cached("INSERT OR REPLACE INTO posting VALUES (?1, ?2, ?3)")?;
        for open in self.open.iter_mut().filter(|open| open.changed) {
            write.execute(params![open.term, block as i64, open.set.to_bytes()])?;
            open.changed = false;
        }
        Ok(())
    }

    fn finish(mut self) -> rusqlite::Result<u64> {
        self.write_times(self.position / BUNDLE)?;
        self.write_sets(self.position / BLOCK)?;
        let mut write = self.transaction.prepare_cached("INSERT OR REPLACE INTO sequence VALUES (?1, ?2)")?;
        for (contractor, entries) in &self.sequences {
            write.execute(params![contractor, *entries as i64])?;
        }
        let sql = "UPDATE state SET value = ?1 WHERE name = 'indexed'";
        self.transaction.execute(sql, [self.position as i64])?;
        Ok(self.position)
    }
}

/// Opens the index for reading only; a gateway may write to it meanwhile.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database)?;
    connection.busy_timeout(BUSY).map_err(database)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(database)?;
    match version {
        1 => Err(StoreError::Broken {
            path: path.to_owned(),
            what: "a ledger of version 0.1; start the gateway once, it takes the entries over".to_owned(),
        }),
        _ => Ok(connection),
    }
}

/// How many entries the index at `path` says that it knows.
///
/// # Errors
/// Where it cannot be read.
pub fn read_indexed(path: &Path) -> Result<u64, StoreError> {
    let connection = open_for_reading(path)?;
    let sql = "SELECT value FROM state WHERE name = 'indexed'";
    let indexed = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    indexed.map(|count| count as u64).map_err(|source| StoreError::Database { path: path.to_owned(), source })
}

/// The bytes of an entry's id in the index.
pub fn id_bytes(id: &str) -> Vec<u8> {
    uuid::Uuid::try_parse(id).map_or_else(|_| id.as_bytes().to_vec(), |uuid| uuid.as_bytes().to_vec())
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // Says something only for a database that is new: what is deleted later can be given back in steps.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // What is deleted is gone.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What a power cut takes of the index is made again from the entries.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
    // A file outside the ledger's folder would be out of reach, and would hold a part of the index.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
    let found: i64 = transaction
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .optional()
        .map_err(database)?
        .unwrap_or(0);
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    let known = MIGRATIONS.len();
    if found > known {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known });
    }
    for migration in &MIGRATIONS[found..] {
        transaction.execute_batch(migration).map_err(database)?;
    }
    transaction.pragma_update(None, "user_version", known as i64).map_err(database)?;
    transaction.commit().map_err(database)
}
