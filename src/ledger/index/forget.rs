//! Taking entries whose content was deleted out of the index.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::model::SubjectPseudonym;

use super::super::entry;
use super::super::error::StoreError;
use super::super::known::MICROS_PER_DAY;
use super::super::postings::{BLOCK, Set};
use super::super::view::Indexed;
use super::{id_bytes, prepare};

/// Entries by block.
pub type Gone = BTreeMap<u64, Set>;

/// By what entries are found that are to be forgotten.
#[derive(Default)]
pub struct Keys {
    ids: Vec<(Vec<u8>, u64)>,
    subjects: Vec<(SubjectPseudonym, u64)>,
    /// Entries of which nothing is known any more.
    pub unknown: HashSet<u64>,
}

impl Keys {
    pub fn note(&mut self, position: u64, leaf: &[u8]) {
        let Ok(entry) = Indexed::parse(leaf) else {
            self.unknown.insert(position);
            return;
        };
        self.ids.push((id_bytes(&entry.id), position));
        let names = entry.subjects.iter().filter_map(|name| SubjectPseudonym::parse(name));
        self.subjects.extend(names.map(|name| (name, entry.head(position))));
    }
}

/// Takes entries whose content is gone out of the index, beside the gateway, which never waits long for it.
pub struct Forgetting {
    connection: Connection,
    path: PathBuf,
}

const COUNT: &str = "UPDATE state SET value = value + 1 WHERE name = 'forgotten'";

/// Between two transactions, for the gateway.
const PAUSE: Duration = Duration::from_millis(20);

impl Forgetting {
    /// # Errors
    /// Where the database cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let error = |source| StoreError::Database { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(error)?;
        prepare(&connection)
            .and_then(|()| connection.busy_timeout(Duration::from_secs(30)))
            .map_err(error)?;
        Ok(Forgetting { connection, path: path.to_owned() })
    }

    /// Says that content will go: whoever has some of it in memory does not take it for what is on the disk.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn begin(&self) -> Result<(), StoreError> {
        let counted = self.connection.execute(COUNT, []);
        counted.map(drop).map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }

    /// Forgets entries of one block.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn forget(&mut self, block: u64, set: &Set, keys: &Keys) -> Result<(), StoreError> {
        let forgotten = forget_block(&self.connection, block, set, keys);
        std::thread::sleep(PAUSE);
        forgotten.map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }

    /// Gives the space back.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn finish(self) -> Result<(), StoreError> {
        let connection = &self.connection;
        let all = || {
            let day = entry::now().div_euclid(MICROS_PER_DAY);
            connection.execute("DELETE FROM seen WHERE day < ?1", [day - 1])?;
            // A page for each row that this gives.
            let mut give_back = connection.prepare("PRAGMA incremental_vacuum(1024)")?;
            loop {
                let mut rows = give_back.query([])?;
                while rows.next()?.is_some() {}
                drop(rows);
                let left: i64 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
                let steps: i64 = connection.query_row("PRAGMA auto_vacuum", [], |row| row.get(0))?;
                if left == 0 || steps != 2 {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
            // Where somebody reads meanwhile, the log is emptied by the next one.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        all().map_err(|source| StoreError::Database { path: self.path.clone(), source })
    }
}

fn forget_block(connection: &Connection, block: u64, set: &Set, keys: &Keys) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // The gateway has sets of the last block in memory, and entries of the archive: it reads them anew.
    transaction.execute(COUNT, [])?;
    let mut named = transaction.prepare_cached("DELETE FROM named WHERE id = ?1 AND position = ?2")?;
    for (id, position) in &keys.ids {
        named.execute(params![id, *position as i64])?;
    }
    let mut about = transaction.prepare_cached("DELETE FROM about WHERE subject = ?1 AND position = ?2")?;
    for (subject, position) in &keys.subjects {
        about.execute(params![subject.0, *position as i64])?;
    }
    for table in ["named", "about"].iter().filter(|_| !keys.unknown.is_empty()) {
        let (first, end) = ((block * BLOCK) as i64, ((block + 1) * BLOCK) as i64);
        let sql = format!("SELECT DISTINCT position FROM {table} WHERE position >= ?1 AND position < ?2");
        let mut read = transaction.prepare(&sql)?;
        let there: Vec<i64> =
            read.query_map([first, end], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for position in there.into_iter().filter(|position| keys.unknown.contains(&(*position as u64))) {
            transaction.execute(&format!("DELETE FROM {table} WHERE position = ?1"), [position])?;
        }
    }
    let mut read = transaction.prepare_cached("SELECT term, bits FROM posting WHERE block = ?1")?;
    let postings: Vec<(i64, Vec<u8>)> = read
        .query_map([block as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut write = transaction.prepare_cached("INSERT OR REPLACE INTO posting VALUES (?1, ?2, ?3)")?;
    for (term, bits) in postings {
        let own = Set::from_bytes(&bits).unwrap_or_default();
        let mut left = Set::default();
        own.offsets()
            .into_iter()
            .filter(|offset| !set.contains(*offset))
            .for_each(|offset| left.insert(offset));
        write.execute(params![term, block as i64, left.to_bytes()])?;
    }
    drop((named, about, read, write));
    transaction.commit()
}
