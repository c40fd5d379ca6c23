//! Entries in SQLite: one file, write-ahead log, every commit synced to the disk.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::model::SubjectPseudonym;

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
    #[error("the ledger {} was deleted or replaced while it was open; stop the gateway, put the right one back without the -wal and -shm files of another, and start again", .0.display())]
    Replaced(PathBuf),
    #[error("the ledger {} has version {found}; this gateway knows {known}: use a newer one", path.display())]
    TooNew { path: PathBuf, found: usize, known: usize },
    #[error("the ledger {} does not end with the entry that it should end with: restore it", .0.display())]
    Changed(PathBuf),
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
    /// The number of the next entry, and the hash of the last one.
    next: u64,
    last: Option<Hash>,
    known: Known,
}

/// A leaf hash.
type Hash = [u8; 32];

/// What a ledger must still be when it is opened again.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    database: Option<u64>,
    size: u64,
    last: Option<Hash>,
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
            .open(lock_file(&real))
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(WriterLock(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
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
        let last =
            if entries > 0 { hash_at(&connection, entries as u64 - 1).map_err(database)? } else { None };
        if entries > 0 && last.is_none() {
            return Err(StoreError::Changed(path.to_owned()));
        }
        Ok(Sqlite {
            connection,
            path: path.to_owned(),
            files,
            next: entries as u64,
            last,
            known: Known::default(),
        })
    }

    /// Opens the database anew; it must be the same file and have all that it had.
    ///
    /// # Errors
    /// As [`Sqlite::open`], and where entries are missing.
    pub fn reopen(path: &Path, mark: Mark) -> Result<Self, StoreError> {
        let database = |source| StoreError::Database { path: path.to_owned(), source };
        // SQLite would lay the log of the old file over another one.
        if files(path)[0] != mark.database {
            return Err(StoreError::Replaced(path.to_owned()));
        }
        // Looked at without writing, and without waiting: a file that is not ours stays as it is.
        let reader = open_for_reading(path)?;
        reader.busy_timeout(BRIEFLY).map_err(database)?;
        let count = |sql| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(database);
        let found = match count("SELECT count(*) FROM sqlite_master WHERE name = 'entry'")? {
            0 => 0,
            _ => count("SELECT count(*) FROM entry")?,
        };
        if (found as u64) < mark.size {
            return Err(StoreError::Shorter { path: path.to_owned(), found: found as u64, known: mark.size });
        }
        if mark.size > 0 && hash_at(&reader, mark.size - 1).map_err(database)? != mark.last {
            return Err(StoreError::Changed(path.to_owned()));
        }
        drop(reader);
        let mut store = Sqlite::open_waiting(path, BRIEFLY)?;
        store.commit(&[])?;
        store.connection.busy_timeout(BUSY).map_err(database)?;
        Ok(store)
    }

    /// What must still be there when this database is opened again.
    pub fn mark(&self) -> Mark {
        Mark { database: self.files[0], size: self.next, last: self.last }
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
        if today != self.known.day {
            self.known.subjects.clear();
            self.known.day = today;
            // A day more, so that a clock that jumps ahead and back does not forget.
            self.connection.execute("DELETE FROM subject_day WHERE day < ?1", [today - 1])?;
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut next, mut last) = (self.next, self.last);
        let mut written = Vec::with_capacity(drafts.len());
        for draft in drafts {
            if !self.known.admit(&transaction, draft)? {
                written.push(Written::OverSubjectLimit);
                continue;
            }
            written.push(Written::At(next));
            last = Some(insert(&transaction, draft, &mut self.known, &mut next)?);
        }
        store_sequences(&transaction, drafts, &self.known)?;
        transaction.commit()?;
        (self.next, self.last) = (next, last);
        Ok(written)
    }
}

/// What the writer knows without asking the database. It goes with the connection: after a failure it
/// is read anew.
#[derive(Default)]
struct Known {
    /// Entries of each contractor so far.
    sequences: HashMap<String, u64>,
    /// The day, in days since 1970-01-01, and the subjects that each contractor has seen in it.
    day: i64,
    subjects: HashMap<String, HashSet<SubjectPseudonym>>,
}

impl Known {
    fn sequence(&mut self, transaction: &Transaction, contractor: &str) -> rusqlite::Result<&mut u64> {
        if !self.sequences.contains_key(contractor) {
            let sql = "SELECT sequence FROM contractor WHERE contractor = ?1";
            let stored: Option<i64> =
                transaction.query_row(sql, [contractor], |row| row.get(0)).optional()?;
            self.sequences.insert(contractor.to_owned(), stored.unwrap_or(0) as u64);
        }
        Ok(self.sequences.entry(contractor.to_owned()).or_default())
    }

    fn subjects(
        &mut self,
        transaction: &Transaction,
        contractor: &str,
    ) -> rusqlite::Result<&mut HashSet<SubjectPseudonym>> {
        if !self.subjects.contains_key(contractor) {
            let sql = "SELECT subject FROM subject_day WHERE contractor = ?1 AND day = ?2";
            let mut statement = transaction.prepare(sql)?;
            let stored =
                statement.query_map(params![contractor, self.day], |row| row.get(0).map(SubjectPseudonym))?;
            self.subjects.insert(contractor.to_owned(), stored.collect::<rusqlite::Result<_>>()?);
        }
        Ok(self.subjects.entry(contractor.to_owned()).or_default())
    }

    /// Counts the draft's subjects for today; false (and nothing counted) where they would be too many.
    fn admit(&mut self, transaction: &Transaction, draft: &Draft) -> rusqlite::Result<bool> {
        let Some(contractor) = draft.contractor.as_deref().filter(|_| draft.subjects() > 0) else {
            return Ok(true);
        };
        let day = self.day;
        let seen = self.subjects(transaction, contractor)?;
        let all = draft.parts.iter().flat_map(|part| &part.subjects);
        let new: Vec<SubjectPseudonym> = all.filter(|subject| !seen.contains(subject)).copied().collect();
        if !new.is_empty() && (seen.len() + new.len()) as u64 > draft.subjects_per_day {
            return Ok(false);
        }
        let mut insert = transaction.prepare_cached("INSERT INTO subject_day VALUES (?1, ?2, ?3)")?;
        for subject in new {
            insert.execute(params![contractor, day, subject.0])?;
            seen.insert(subject);
        }
        Ok(true)
    }
}

fn insert(
    transaction: &Transaction,
    draft: &Draft,
    known: &mut Known,
    next: &mut u64,
) -> rusqlite::Result<Hash> {
    // A search for a subject leads to the entry that says what was disclosed.
    let disclosure = *next as i64;
    let mut last = Hash::default();
    for part in &draft.parts {
        let sequence = match &draft.contractor {
            Some(contractor) => {
                let sequence = known.sequence(transaction, contractor)?;
                *sequence += 1;
                Some(*sequence)
            }
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
        last = hash;
    }
    Ok(last)
}

/// The stored hash of an entry whose bytes still have it; `None` where there is no such entry.
fn hash_at(connection: &Connection, position: u64) -> rusqlite::Result<Option<Hash>> {
    let sql = "SELECT hash, leaf FROM entry WHERE position = ?1";
    let row: Option<(Hash, Vec<u8>)> =
        connection.query_row(sql, [position as i64], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(row.filter(|(hash, leaf)| entry::leaf_hash(leaf) == *hash).map(|(hash, _)| hash))
}

fn store_sequences(transaction: &Transaction, drafts: &[Draft], known: &Known) -> rusqlite::Result<()> {
    let written: BTreeSet<&String> = drafts.iter().filter_map(|draft| draft.contractor.as_ref()).collect();
    let mut store = transaction.prepare_cached("INSERT OR REPLACE INTO contractor VALUES (?1, ?2)")?;
    for contractor in written {
        if let Some(sequence) = known.sequences.get(contractor) {
            store.execute(params![contractor, *sequence as i64])?;
        }
    }
    Ok(())
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
    // 32 MiB of log before it is moved into the database: a commit rarely has to wait for that.
    connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
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

/// SQLite gives its write-ahead log the mode of the database file. A copy that was put back may have
/// another one.
fn make_private(path: &Path) -> std::io::Result<()> {
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))
}

/// The inodes of the database and of its write-ahead log.
fn files(path: &Path) -> [Option<u64>; 2] {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)].map(|path| std::fs::metadata(path).ok().map(|metadata| metadata.ino()))
}
