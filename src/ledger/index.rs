//! The index: where entries are that have something in common. A SQLite database beside the archive, made
//! from the entries alone; it can be deleted and is then made anew.
//!
//! It holds no entry. What it knows of customers are their keyed names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use crate::model::SubjectPseudonym;

use super::archive::Archive;
use super::error::StoreError;
use super::files;
use super::known::{Known, MICROS_PER_DAY};
use super::postings::{BLOCK, Set};
use super::view::Indexed;

mod filling;
mod forget;
mod seen;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests;

use filling::Filling;
use seen::Seen;

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
    seen: Seen,
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
            seen: Seen::default(),
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

    /// Takes the next entries of an archive, at most so many; none where it has all that are under the head. One that
    /// was deleted meanwhile comes in the next turn, without its content.
    ///
    /// # Errors
    /// As [`add`](Self::add), and where the archive cannot be read.
    pub fn take_from(&mut self, archive: &mut Archive, most: u64) -> Result<(), StoreError> {
        let from = self.indexed();
        let end = archive.head().size.min(from + most);
        let entries = archive.entries(from, end)?;
        match self.add(entries.iter().map(Option::as_deref))? {
            true => archive.release(end),
            // What is in memory has the content still.
            false => archive.forget(),
        }
        Ok(())
    }

    /// Takes the next entries, all or none: false, and none, where entries were taken out of it meanwhile. These may
    /// be among them, and must be read anew.
    ///
    /// # Errors
    /// Where the database cannot be written, or an entry cannot be read.
    pub fn add<'e>(&mut self, entries: impl Iterator<Item = Option<&'e [u8]>>) -> Result<bool, StoreError> {
        let added = self.try_add(entries);
        if !matches!(added, Ok(true)) {
            // What was noted in memory is taken back.
            self.load().map_err(|source| StoreError::Database { path: self.path.clone(), source })?;
        }
        added
    }

    fn try_add<'e>(&mut self, entries: impl Iterator<Item = Option<&'e [u8]>>) -> Result<bool, StoreError> {
        let path = self.path.clone();
        let error = |source| StoreError::Database { path: path.clone(), source };
        let behaviour = TransactionBehavior::Immediate;
        let transaction = Transaction::new_unchecked(&self.connection, behaviour).map_err(error)?;
        // Asked where nobody else can write until the end.
        if forgotten(&transaction).map_err(error)? != self.forgotten {
            return Ok(false);
        }
        self.seen.turn_to(version(&transaction).map_err(error)?);
        let (terms, open, seen) = (&mut self.terms, &mut self.open, &mut self.seen);
        let mut filling = Filling::new(&transaction, terms, open, seen, self.indexed).map_err(error)?;
        for leaf in entries {
            // What was pruned has left its number only.
            if let Some(leaf) = leaf {
                let entry = Indexed::parse(leaf).map_err(|_| StoreError::Broken {
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
        Ok(true)
    }

    /// What the writer must know, of the day that `time` is in.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn known(&mut self, time: i64) -> Result<Known, StoreError> {
        // Reading takes older rows away.
        self.seen.clear();
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

    fn load(&mut self) -> rusqlite::Result<()> {
        self.seen.clear();
        self.forgotten = forgotten(&self.connection)?;
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

/// Times that entries were taken out.
fn forgotten(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT value FROM state WHERE name = 'forgotten'";
    connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
}

/// Another one each time that another connection has written.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
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
