//! What the review side keeps beside the ledger: accounts, sessions, rules as they were, and what people decide
//! about alerts and reviews. A SQLite database `*.review` with mode 0600.
//!
//! **In a fleet** it is one node's replica of what all nodes have, by a log in their database (`shared`): accounts,
//! sessions, rules as they were, alerts, mutes, reviews and their decisions. Each node has for itself: `followed` (up to
//! where it has read its own ledger), `verified` (what was found in its own files), `outlet` (how far it has sent the
//! alerts that it raised: each node sends its own), `desk` (how far it has run the log), and, for a minute, when
//! sessions were used last.
//!
//! **Guarantees.** What a call acknowledged is on the disk, and in a fleet in its database first: where that cannot be
//! asked, nothing is changed, and reading goes on. All nodes run the same statements in the same order; only those of
//! the program itself (`statement`), and only as a node wrote them. Secrets are kept as hashes only: passwords by Argon2id,
//! sessions and tokens by SHA-256 (they are 256 random bits). No personal value of a customer is in it.
//!
//! **Trusts** who can read the ledger's folder. **Must not** be needed to serve a contractor.
//!
//! **Called by** the pages, through `guard`; by `fieldgate admin`, also beside a gateway that runs.

mod accounts;
mod alerts;
mod import;
mod mutes;
mod outlets;
pub mod reviews;
mod rules;
mod sessions;
mod shared;
mod statement;
mod untold;
mod verified;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use crate::ledger::StoreError;
use crate::secrets;

use shared::Fleet;
use statement::Change;

pub use accounts::{Account, AccountError, Role, new_password};
pub use alerts::{Acknowledged, Alert, AlertFilter, AlertState, Mark, Raised, Severity};
pub use mutes::Mute;
pub use outlets::Outgoing;
pub use reviews::{Campaign, Decision, State};
pub use rules::KeptRules;
pub use sessions::{Session, SessionKind, Token};
pub use verified::{Verification, Verified};

/// For another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// One after the other; each is run once. Later ones are added at the end.
const MIGRATIONS: &[&str] = &[
    accounts::MIGRATION,
    sessions::MIGRATION,
    rules::MIGRATION,
    verified::MIGRATION,
    alerts::MIGRATION,
    mutes::MIGRATION,
    outlets::MIGRATION,
    reviews::MIGRATION,
    shared::MIGRATION,
];

/// What went wrong; blames the disk, or who changed the file.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    #[error("{}: {source}", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{} was written by a newer version of Fieldgate", .0.display())]
    TooNew(PathBuf),
    #[error("nothing was changed: {0}")]
    Fleet(#[from] StoreError),
    #[error("nothing was changed: others were faster each time, or have not ended; try again")]
    Contended,
    #[error("it is not certain whether it was changed ({0}); look again when the database answers")]
    Uncertain(String),
    #[error(
        "entry {number} of the review sides' log is not understood ({what}); use the program that the other nodes have"
    )]
    Unknown { number: u64, what: String },
    #[error(
        "entry {number} of the review sides' log does not fit what this node has ({source}); stop the gateway, move its *.review away, and start it again: it is made anew"
    )]
    Differs { number: u64, source: rusqlite::Error },
    #[error(
        "what was decided at other nodes is not known here: see the gateway's log, and start it again when that is mended"
    )]
    Lost,
    #[error("{} is no longer that of a fleet's node; start the gateway again", .0.display())]
    NotJoined(PathBuf),
    #[error(
        "{} was this gateway's own before it was one of a fleet, and so is {}: move one of them away", path.display(), aside.display()
    )]
    Aside { path: PathBuf, aside: PathBuf },
}

impl ReviewError {
    /// The replica cannot be brought up to date, however long one waits.
    fn is_lasting(&self) -> bool {
        use StoreError::{OlderDesk, OtherDesk};
        matches!(
            self,
            ReviewError::Unknown { .. }
                | ReviewError::Differs { .. }
                | ReviewError::NotJoined(_)
                | ReviewError::Fleet(OlderDesk { .. } | OtherDesk(_))
        )
    }
}

/// The database, open. Calls block: they are made where that holds nobody up.
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Counted now and then.
    open_alerts: AtomicU64,
    /// Where it is a node's replica.
    fleet: Option<Fleet>,
}

impl Store {
    /// Where the one of the ledger whose index is at `ledger` is.
    pub fn path_of(ledger: &Path) -> PathBuf {
        ledger.with_extension("review")
    }

    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(ledger: &Path) -> Result<Self, ReviewError> {
        let path = Store::path_of(ledger);
        let connection = open_file(&path)?;
        let store = Store::made(path, connection, None);
        shared::leave(&store.lock()).map_err(|source| store.error(source))?;
        store.count_open()?;
        Ok(store)
    }

    fn made(path: PathBuf, connection: Connection, fleet: Option<Fleet>) -> Self {
        Store { path, connection: Mutex::new(connection), open_alerts: AtomicU64::new(0), fleet }
    }

    /// The name of this node in its fleet.
    pub fn node(&self) -> Option<&str> {
        self.fleet.as_ref().map(|fleet| fleet.node.as_str())
    }

    /// Runs `work` in one transaction: all of it is on the disk, or none. In a fleet, all nodes run it; it may be begun
    /// again there, and blocks.
    ///
    /// # Errors
    /// What the database says; of a fleet, also where its database cannot be asked.
    pub fn change<T>(&self, work: impl Fn(&Change) -> rusqlite::Result<T>) -> Result<T, ReviewError> {
        match &self.fleet {
            // A command may have made it the replica of a node while this gateway ran on without a fleet.
            None if shared::mark(&self.lock()).map_err(|source| self.error(source))?.is_some() => {
                Err(ReviewError::NotJoined(self.path.clone()))
            }
            None => self.transact(|connection| work(&Change::alone(connection))),
            Some(fleet) => self.change_in(fleet, work),
        }
    }

    /// As [`Store::change`], about what only this node has.
    ///
    /// # Errors
    /// What the database says.
    pub fn change_here<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, ReviewError> {
        self.transact(work)
    }

    fn transact<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReviewError> {
        let mut connection = self.lock();
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = work(&transaction)?;
            transaction.commit()?;
            Ok(outcome)
        };
        run().map_err(|source| self.error(source))
    }

    /// Reads; sees what was acknowledged before.
    ///
    /// # Errors
    /// What the database says.
    pub fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReviewError> {
        let read = match &self.fleet {
            None => work(&self.lock()),
            Some(fleet) => work(&fleet.reader()),
        };
        read.map_err(|source| self.error(source))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in between has rolled its transaction back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, source: rusqlite::Error) -> ReviewError {
        ReviewError::Database { path: self.path.clone(), source }
    }
}

/// Opens the file, and makes it where it is missing.
fn open_file(path: &Path) -> Result<Connection, ReviewError> {
    if !path.exists() {
        match secrets::write(path, b"") {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(ReviewError::File { path: path.to_owned(), source: error });
            }
            _ => {}
        }
    }
    let error = |source| ReviewError::Database { path: path.to_owned(), source };
    let mut connection = Connection::open(path).map_err(error)?;
    connection.busy_timeout(BUSY).map_err(error)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(error)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(error)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(error)?;
    connection.pragma_update(None, "secure_delete", true).map_err(error)?;
    // A file outside the ledger's folder would be out of reach.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(error)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), ReviewError> {
    let error = |source| ReviewError::Database { path: path.to_owned(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(error)?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(found..) else { return Err(ReviewError::TooNew(path.to_owned())) };
    for migration in missing {
        transaction.execute_batch(migration).map_err(error)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(error)?;
    transaction.commit().map_err(error)
}

/// Microseconds since 1970-01-01T00:00:00Z.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
