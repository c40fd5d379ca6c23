//! The store as the replica of a fleet's node: what is changed here is an entry of the fleet's log first, and what other
//! nodes changed is run here.
//!
//! A change holds the node's way to the log, runs what is behind the replica, runs itself in a transaction that notes its
//! statements, adds these to the log, and commits. Where others were faster, it is rolled back and begins again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::ledger::{Database, Desk, DeskEntry, DeskMark, follow_desk};

use super::statement::{Change, NotRun, Run};
use super::untold::Untold;
use super::{BUSY, ReviewError, Store, import, open_file, sessions};

pub const MIGRATION: &str = "
CREATE TABLE desk (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    seal   BLOB NOT NULL
) STRICT;
ALTER TABLE alert ADD COLUMN node TEXT;
ALTER TABLE review ADD COLUMN node TEXT;";

/// For a change that meets others, or a database that comes and goes.
const PATIENCE: Duration = Duration::from_secs(12);
/// For what another change holds.
const TURN: Duration = Duration::from_secs(3);
/// After a failure that leaves something uncertain.
const PAUSE: Duration = Duration::from_millis(200);
/// Last uses of sessions are told to other nodes no oftener.
const USES: Duration = Duration::from_secs(60);

/// The fleet, as the store of one of its nodes knows it.
pub struct Fleet {
    /// Held while something is changed or run: one after the other.
    desk: Mutex<Desk>,
    pub node: String,
    database: Database,
    /// Reads while a change waits for the database.
    reader: Mutex<Connection>,
    /// When sessions were used last on this node, by their hash: microseconds since 1970-01-01T00:00:00Z.
    uses: Mutex<HashMap<Vec<u8>, i64>>,
    /// What other nodes did cannot be run here: who was shut out there must not go on here.
    lost: AtomicBool,
    /// Held while what waits is told, and while trouble ends: else it could be told after its end.
    pub telling: Mutex<()>,
    pub untold: Untold,
}

/// What an entry of the log says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// No two are the same.
    id: String,
    run: Vec<Run>,
}

/// The text of an entry; `None` where the system has no randomness.
pub fn body(run: Vec<Run>) -> Option<String> {
    let mut id = [0; 16];
    rand::fill(&mut id).ok()?;
    serde_json::to_string(&Body { id: URL_SAFE_NO_PAD.encode(id), run }).ok()
}

fn is_of_the_machine(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{ConstraintViolation, TypeMismatch, Unknown};
    error
        .sqlite_error_code()
        .is_some_and(|code| !matches!(code, ConstraintViolation | TypeMismatch | Unknown))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in between has rolled its transaction back.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far the replica is; `None` where it belongs to no fleet.
pub fn mark(connection: &Connection) -> rusqlite::Result<Option<DeskMark>> {
    let row = |row: &rusqlite::Row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let found = connection.prepare_cached("SELECT number, seal FROM desk")?.query_row([], row).optional()?;
    // A seal that is damaged fits no entry.
    Ok(found.map(|(number, seal)| DeskMark {
        number: number as u64,
        seal: seal.try_into().unwrap_or([0xff; 16]),
    }))
}

pub fn set_mark(connection: &Connection, mark: DeskMark) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO desk (one, number, seal) VALUES (1, ?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![mark.number as i64, &mark.seal[..]]).map(drop)
}

/// The store leaves its fleet: what it has is its own from here on.
pub fn leave(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM desk", []).map(drop)
}

impl Store {
    /// Opens it as a node's replica, and brings it up to date. What it had before it belonged to the fleet becomes the
    /// fleet's where that has nothing, and is set aside otherwise. It blocks, not on a thread that drives others.
    ///
    /// # Errors
    /// Where it cannot be read or written, the database cannot be asked, or the two do not belong together.
    pub fn open_in_fleet(ledger: &Path, mut desk: Desk) -> Result<Self, ReviewError> {
        let path = Store::path_of(ledger);
        let connection = import::join(&path, open_file(&path)?, &mut desk)?;
        let error = |source| ReviewError::Database { path: path.clone(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&path, flags).map_err(error)?;
        reader.busy_timeout(BUSY).map_err(error)?;
        reader.pragma_update(None, "temp_store", "MEMORY").map_err(error)?;
        let fleet = Fleet {
            node: desk.name().to_owned(),
            database: desk.database().clone(),
            desk: Mutex::new(desk),
            reader: Mutex::new(reader),
            uses: Mutex::default(),
            lost: AtomicBool::new(false),
            telling: Mutex::default(),
            untold: Untold::default(),
        };
        let store = Store::made(path, connection, Some(fleet));
        store.catch_up()?;
        store.count_open()?;
        Ok(store)
    }

    /// The way to the log. Who waits for it holds up pages: not for long.
    fn desk<'f>(&self, fleet: &'f Fleet) -> Result<MutexGuard<'f, Desk>, ReviewError> {
        let begun = Instant::now();
        while begun.elapsed() < TURN {
            match fleet.desk.try_lock() {
                Ok(desk) => return Ok(desk),
                Err(TryLockError::Poisoned(desk)) => return Ok(desk.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        Err(ReviewError::Contended)
    }

    /// Runs what other nodes have changed; whether there was something. It blocks.
    ///
    /// # Errors
    /// Where the database cannot be asked, or an entry cannot be run: then nothing of it is.
    pub fn catch_up(&self) -> Result<bool, ReviewError> {
        let Some(fleet) = &self.fleet else { return Ok(false) };
        self.catch_up_by(&mut *self.desk(fleet)?)
    }

    fn catch_up_by(&self, desk: &mut Desk) -> Result<bool, ReviewError> {
        let mut is_news = false;
        loop {
            let known = self.mark()?;
            let entries = desk.after(known)?;
            if entries.is_empty() {
                return Ok(is_news);
            }
            self.run_entries(&entries)?;
            is_news = true;
        }
    }

    fn mark(&self) -> Result<DeskMark, ReviewError> {
        let mark = mark(&self.lock()).map_err(|source| self.error(source))?;
        mark.ok_or_else(|| ReviewError::NotJoined(self.path.clone()))
    }

    fn run_entries(&self, entries: &[DeskEntry]) -> Result<(), ReviewError> {
        let error = |source| self.error(source);
        let mut connection = self.lock();
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
        // A command beside the gateway may have been faster.
        let here = mark(&transaction).map_err(error)?.map_or(0, |mark| mark.number);
        let new = entries.iter().filter(|entry| entry.mark.number > here);
        let (mut next, mut last) = (here + 1, None);
        for entry in new {
            let number = entry.mark.number;
            let unknown = |what: &str| ReviewError::Unknown { number, what: what.to_owned() };
            if number != next {
                return Err(unknown("its number"));
            }
            let body: Body = serde_json::from_str(&entry.body).map_err(|_| unknown("its form"))?;
            for run in &body.run {
                run.again(&transaction).map_err(|not_run| match not_run {
                    NotRun::Unknown(name) => unknown(&name),
                    // The disk may be full, or another process may hold the file: that passes.
                    NotRun::Database(source) if is_of_the_machine(&source) => error(source),
                    NotRun::Database(source) => ReviewError::Differs { number, source },
                })?;
            }
            (next, last) = (number + 1, Some(entry.mark));
        }
        if let Some(last) = last {
            set_mark(&transaction, last).map_err(error)?;
            transaction.commit().map_err(error)?;
        }
        Ok(())
    }

    /// As [`Store::change`], for all nodes.
    pub(super) fn change_in<T>(
        &self,
        fleet: &Fleet,
        work: impl Fn(&Change) -> rusqlite::Result<T>,
    ) -> Result<T, ReviewError> {
        let mut desk = self.desk(fleet)?;
        let begun = Instant::now();
        // Attempts of which nobody knows whether they are in the log: behind which entry, as what, with what outcome.
        let (mut tried, mut failure): (Vec<(u64, String, T)>, _) = (Vec::new(), None);
        while begun.elapsed() < PATIENCE {
            match self.settle(&mut desk, &mut tried) {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                Err(error) if tried.is_empty() => return Err(error),
                Err(error) => {
                    failure = Some(error);
                    std::thread::sleep(PAUSE);
                    continue;
                }
            }
            let mut connection = self.lock();
            let error = |source| self.error(source);
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
            let known = mark(&transaction).map_err(error)?;
            let known = known.ok_or_else(|| ReviewError::NotJoined(self.path.clone()))?;
            let change = Change::noting(&transaction, &fleet.node);
            let outcome = work(&change).map_err(error)?;
            let noted = change.into_noted();
            if noted.is_empty() {
                transaction.commit().map_err(error)?;
                return Ok(outcome);
            }
            let body = body(noted).ok_or_else(|| error(rusqlite::Error::InvalidQuery))?;
            let added = desk.append(known, &body).map_err(ReviewError::from);
            let done = match added {
                Ok(None) => continue,
                Ok(Some(mark)) => {
                    set_mark(&transaction, mark).and_then(|()| transaction.commit()).map_err(error)
                }
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => return Ok(outcome),
                Err(error) => failure = Some(error),
            }
            tried.push((known.number, body, outcome));
        }
        Err(match failure {
            Some(error) => ReviewError::Uncertain(error.to_string()),
            None => ReviewError::Contended,
        })
    }

    /// Brings the replica up to date; the outcome of an attempt that turns out to be in the log. One that is not may
    /// come into it as long as nothing else has its place.
    fn settle<T>(
        &self,
        desk: &mut Desk,
        tried: &mut Vec<(u64, String, T)>,
    ) -> Result<Option<T>, ReviewError> {
        self.catch_up_by(desk)?;
        for at in 0..tried.len() {
            let (known, text, _) = &tried[at];
            if desk.body(known + 1)?.as_ref() == Some(text) {
                return Ok(Some(tried.swap_remove(at).2));
            }
        }
        Ok(None)
    }

    /// Keeps up with the other nodes; ends when `stop` says so, or at once where there are none.
    pub async fn follow(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let Some(fleet) = &self.fleet else { return };
        let told = Arc::new(Mutex::new(Instant::now()));
        let look = || {
            let (store, told) = (Arc::clone(&self), Arc::clone(&told));
            let look = move || store.look(&told);
            async move {
                let looked = tokio::task::spawn_blocking(look).await;
                looked.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
            }
        };
        follow_desk::<String, _>(fleet.database.clone(), stop, look).await;
    }

    fn look(&self, told: &Mutex<Instant>) -> Result<(), ReviewError> {
        let caught_up = self.catch_up();
        if let Some(fleet) = &self.fleet {
            match &caught_up {
                Ok(_) => fleet.lost.store(false, Ordering::Release),
                Err(error) if error.is_lasting() => fleet.lost.store(true, Ordering::Release),
                // A database that is away comes back.
                Err(_) => {}
            }
        }
        if caught_up? {
            self.count_open()?;
        }
        self.tell_untold()?;
        let mut told = lock(told);
        if told.elapsed() >= USES {
            *told = Instant::now();
            self.tell_uses()?;
        }
        Ok(())
    }

    /// Sees that it is known here who was shut out elsewhere.
    ///
    /// # Errors
    /// Where it is not, and will not be by waiting.
    pub(super) fn trusted(&self) -> Result<(), ReviewError> {
        let lost = self.fleet.as_ref().is_some_and(|fleet| fleet.lost.load(Ordering::Acquire));
        if lost { Err(ReviewError::Lost) } else { Ok(()) }
    }

    /// Tells other nodes which sessions were used, so that none of them takes somebody for idle.
    ///
    /// # Errors
    /// Where the database cannot be asked; they are told later.
    pub fn tell_uses(&self) -> Result<(), ReviewError> {
        let Some(fleet) = &self.fleet else { return Ok(()) };
        let uses = lock(&fleet.uses).clone();
        if uses.is_empty() {
            return Ok(());
        }
        self.change(|change| {
            uses.iter()
                .try_for_each(|(hash, used)| change.run(&sessions::USED, params![hash, used]).map(drop))
        })?;
        // Those that were used meanwhile are told the next time.
        lock(&fleet.uses).retain(|hash, used| uses.get(hash) != Some(used));
        Ok(())
    }
}

impl Fleet {
    pub fn reader(&self) -> MutexGuard<'_, Connection> {
        lock(&self.reader)
    }

    /// When a session was used last, with what this node alone knows.
    pub fn used(&self, hash: &[u8], known: i64) -> i64 {
        lock(&self.uses).get(hash).map_or(known, |used| known.max(*used))
    }

    pub fn note_use(&self, hash: &[u8], now: i64) {
        lock(&self.uses).insert(hash.to_vec(), now);
    }
}
