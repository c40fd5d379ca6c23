//! Entries in SQLite: one file, write-ahead log, every commit synced to the disk.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use crate::secrets;

use super::entry::{self, Draft};

/// How long a commit waits for a reader or a backup that holds the database.
const BUSY: Duration = Duration::from_secs(2);

/// How long the look at a sick database waits.
const BRIEFLY: Duration = Duration::from_millis(50);

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Tables and indexes, in the order in which versions added them. `user_version` counts the ones
/// that a database has.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE entry (
        position   INTEGER PRIMARY KEY,   -- from 0, without gaps: the leaf's index in the tree
        time       INTEGER NOT NULL,      -- microseconds since 1970-01-01T00:00:00Z
        kind       TEXT NOT NULL,
        id         TEXT NOT NULL,
        contractor TEXT,
        task       TEXT,
        leaf       BLOB NOT NULL,         -- the entry itself
        hash       BLOB NOT NULL          -- its leaf hash, RFC 6962
    ) STRICT;
    CREATE INDEX entry_time ON entry (time);
    CREATE INDEX entry_contractor ON entry (contractor, position) WHERE contractor IS NOT NULL;
    CREATE TABLE entry_subject (
        subject  BLOB NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (subject, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE contractor (
        contractor TEXT PRIMARY KEY,
        sequence   INTEGER NOT NULL       -- entries of this contractor so far
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE subject_day (
        contractor TEXT NOT NULL,
        day        INTEGER NOT NULL,      -- days since 1970-01-01
        subject    BLOB NOT NULL,
        PRIMARY KEY (contractor, day, subject)
    ) STRICT, WITHOUT ROWID;
"];

/// Why the database cannot be used. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the ledger {}: {source}", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("the ledger {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("there is no ledger at {}; the gateway makes it when it first starts", .0.display())]
    Missing(PathBuf),
    #[error("the ledger {} is in use by another gateway", .0.display())]
    InUse(PathBuf),
    #[error("the ledger {} was deleted or replaced while it was open", .0.display())]
    Replaced(PathBuf),
    #[error("the ledger {} has version {found}; this gateway knows {known}: use a newer one", path.display())]
    TooNew { path: PathBuf, found: usize, known: usize },
    #[error("the ledger {} has {found} entries and had {known}: restore it", path.display())]
    Shorter { path: PathBuf, found: u64, known: u64 },
    #[error("the ledger {} has a gap: {entries} entries, the last one is number {last}", path.display())]
    Gap { path: PathBuf, entries: u64, last: u64 },
}

/// What became of one draft in a committed transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The first entry's number.
    At(u64),
    /// Not written: the contractor would see more distinct subjects today than it may.
    OverSubjectLimit,
}

pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// The database and its write-ahead log, as the file system knows them.
    files: [Option<u64>; 2],
    /// The number of the next entry.
    next: u64,
    /// Distinct subjects today, by contractor; filled on first use.
    subjects: HashMap<String, u64>,
    day: i64,
}

/// Held for as long as this process is the ledger's only writer.
pub struct WriterLock(#[allow(dead_code, reason = "the open file is the lock")] File);

impl WriterLock {
    /// # Errors
    /// Where another process holds it, or its file cannot be made.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let io = |source| StoreError::File { path: path.to_owned(), source };
        let folder = secrets::make_folder_of(path).map_err(io)?;
        // One lock for one database, by whatever name it is reached.
        let name = path.file_name().unwrap_or_default();
        let real = path
            .canonicalize()
            .or_else(|_| folder.canonicalize().map(|folder| folder.join(name)))
            .map_err(io)?;
        let mut options = File::options();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(real.with_extension("lock"))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(WriterLock(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

impl Sqlite {
    /// Opens the database for writing, makes or migrates it, and checks that its entries have no gap.
    ///
    /// # Errors
    /// Where it cannot be opened, is too new, or is not whole.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Sqlite::open_waiting(path, BUSY)
    }

    fn open_waiting(path: &Path, busy: Duration) -> Result<Self, StoreError> {
        make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let database = |source| StoreError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(database)?;
        prepare(&connection, busy).map_err(database)?;
        migrate(&mut connection, path)?;
        let counts = "SELECT count(*), coalesce(max(position), -1) FROM entry";
        let (entries, last): (i64, i64) =
            connection.query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(database)?;
        if entries != last + 1 {
            return Err(StoreError::Gap {
                path: path.to_owned(),
                entries: entries as u64,
                last: last.max(0) as u64,
            });
        }
        let files = files(path);
        Ok(Sqlite {
            connection,
            path: path.to_owned(),
            files,
            next: entries as u64,
            subjects: HashMap::new(),
            day: 0,
        })
    }

    /// Opens the database anew; it must have all of the `known` entries.
    ///
    /// # Errors
    /// As [`Sqlite::open`], and where entries are missing.
    pub fn reopen(path: &Path, known: u64) -> Result<Self, StoreError> {
        let database = |source| StoreError::Database { path: path.to_owned(), source };
        // Looked at without writing, and without waiting: a file that is not ours stays as it is.
        let reader = open_for_reading(path)?;
        reader.busy_timeout(BRIEFLY).map_err(database)?;
        let count = |sql| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(database);
        let found = match count("SELECT count(*) FROM sqlite_master WHERE name = 'entry'")? {
            0 => 0,
            _ => count("SELECT count(*) FROM entry")?,
        };
        if (found as u64) < known {
            return Err(StoreError::Shorter { path: path.to_owned(), found: found as u64, known });
        }
        drop(reader);
        let mut store = Sqlite::open_waiting(path, BRIEFLY)?;
        store.commit(&[])?;
        store.connection.busy_timeout(BUSY).map_err(database)?;
        Ok(store)
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.next
    }

    /// Writes all drafts in one transaction. When this returns, they are on the disk.
    ///
    /// # Errors
    /// Where nothing is certain: the caller must open the database anew.
    pub fn commit(&mut self, drafts: &[Draft]) -> Result<Vec<Written>, StoreError> {
        self.check_files()?;
        let written = self.write(drafts);
        let written = written.map_err(|source| StoreError::Database { path: self.path.clone(), source })?;
        // Entries in a file that has lost its name are gone with this process.
        self.check_files()?;
        Ok(written)
    }

    fn check_files(&self) -> Result<(), StoreError> {
        let same = self.files.iter().all(Option::is_some) && files(&self.path) == self.files;
        if same { Ok(()) } else { Err(StoreError::Replaced(self.path.clone())) }
    }

    fn write(&mut self, drafts: &[Draft]) -> rusqlite::Result<Vec<Written>> {
        let today = entry::now() / MICROS_PER_DAY;
        if today != self.day {
            self.subjects.clear();
            // A day more, so that a clock that jumps ahead and back does not forget.
            self.connection.execute("DELETE FROM subject_day WHERE day < ?1", [today - 1])?;
            self.day = today;
        }
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut next = self.next;
        let mut written = Vec::with_capacity(drafts.len());
        for draft in drafts {
            if !admit(&transaction, draft, today, &mut self.subjects)? {
                written.push(Written::OverSubjectLimit);
                continue;
            }
            written.push(Written::At(next));
            insert(&transaction, draft, &mut next)?;
        }
        transaction.commit()?;
        self.next = next;
        Ok(written)
    }
}

/// Counts the draft's subjects for today; false (and nothing counted) where they would be too many.
fn admit(
    transaction: &Transaction,
    draft: &Draft,
    day: i64,
    counts: &mut HashMap<String, u64>,
) -> rusqlite::Result<bool> {
    let Some(contractor) = &draft.contractor else {
        return Ok(true);
    };
    if draft.parts.iter().all(|part| part.subjects.is_empty()) {
        return Ok(true);
    }
    let known = match counts.get(contractor) {
        Some(known) => *known,
        None => transaction
            .prepare_cached("SELECT count(*) FROM subject_day WHERE contractor = ?1 AND day = ?2")?
            .query_row(params![contractor, day], |row| row.get::<_, i64>(0))? as u64,
    };
    // More than may be seen at all needs no look at which ones are new.
    if draft.subjects() as u64 > draft.subjects_per_day {
        return Ok(false);
    }
    transaction.execute_batch("SAVEPOINT subjects")?;
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO subject_day VALUES (?1, ?2, ?3)")?;
    let mut new = 0;
    for subject in draft.parts.iter().flat_map(|part| &part.subjects) {
        new += insert.execute(params![contractor, day, subject.0])? as u64;
        if new > 0 && known + new > draft.subjects_per_day {
            transaction.execute_batch("ROLLBACK TO subjects; RELEASE subjects")?;
            counts.insert(contractor.clone(), known);
            return Ok(false);
        }
    }
    transaction.execute_batch("RELEASE subjects")?;
    counts.insert(contractor.clone(), known + new);
    Ok(true)
}

fn insert(transaction: &Transaction, draft: &Draft, next: &mut u64) -> rusqlite::Result<()> {
    // A search for a subject leads to the entry that says what was disclosed.
    let disclosure = *next as i64;
    for part in &draft.parts {
        let sequence = match &draft.contractor {
            Some(contractor) => Some(next_sequence(transaction, contractor)?),
            None => None,
        };
        let leaf = part.leaf(*next, sequence);
        let hash = entry::leaf_hash(&leaf);
        transaction.prepare_cached("INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(
            params![*next as i64, part.time, part.kind, part.id, draft.contractor, part.task, leaf, hash],
        )?;
        let mut index = transaction.prepare_cached("INSERT INTO entry_subject VALUES (?1, ?2)")?;
        for subject in &part.subjects {
            index.execute(params![subject.0, disclosure])?;
        }
        *next += 1;
    }
    Ok(())
}

fn next_sequence(transaction: &Transaction, contractor: &str) -> rusqlite::Result<u64> {
    let count = "INSERT INTO contractor VALUES (?1, 1) \
                 ON CONFLICT (contractor) DO UPDATE SET sequence = sequence + 1 RETURNING sequence";
    let sequence: i64 = transaction.prepare_cached(count)?.query_row([contractor], |row| row.get(0))?;
    Ok(sequence as u64)
}

/// Opens the database for reading only; a gateway may write to it meanwhile.
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
    Ok(connection)
}

fn prepare(connection: &Connection, busy: Duration) -> rusqlite::Result<()> {
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // WAL with NORMAL may lose the last commits at a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(database)?;
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

/// SQLite gives its write-ahead log the mode of the database file.
fn make_private(path: &Path) -> std::io::Result<()> {
    File::options().create(true).truncate(false).write(true).mode(0o600).open(path).map(drop)
}

/// The inodes of the database and of its write-ahead log.
fn files(path: &Path) -> [Option<u64>; 2] {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)].map(|path| std::fs::metadata(path).ok().map(|metadata| metadata.ino()))
}
