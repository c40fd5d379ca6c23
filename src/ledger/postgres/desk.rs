//! The log of what the review sides of a fleet do: entries in one order, which each node runs on a replica of its own.
//! What an entry says is the caller's affair.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio_postgres::{Client, Row};

use crate::model::SubjectKey;

use super::super::error::StoreError;
use super::{Database, DatabaseError, STATEMENT, runtime, within};

/// How often a node asks without having been told.
const POLL: Duration = Duration::from_secs(1);
/// Entries that are read at once.
const PAGE: i64 = 200;
const CHANNEL: &str = "fieldgate_desk";

/// A node's way to the log. It blocks, and has a thread of the caller's to itself while it does.
pub struct Desk {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    client: Option<Client>,
    database: Database,
    node: i32,
    name: String,
    key: SubjectKey,
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DeskMark {
    /// Of the last entry that was run; 0 before the first.
    pub number: u64,
    /// Its seal, which those of all before are in.
    pub seal: [u8; 16],
}

/// An entry that a node wrote.
#[derive(Clone, Debug)]
pub struct DeskEntry {
    pub mark: DeskMark,
    pub body: String,
}

impl Desk {
    /// Connects nothing yet. `key` is one that all nodes have and the database has not.
    ///
    /// # Errors
    /// Where no thread can ask.
    pub fn new(database: Database, node: i32, name: &str, key: SubjectKey) -> Result<Self, StoreError> {
        let runtime = Some(runtime()?);
        Ok(Desk { runtime, client: None, database, node, name: name.to_owned(), key })
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The number of the last entry.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub fn last(&mut self) -> Result<u64, StoreError> {
        let last = async |client: &Client| {
            client.query("SELECT coalesce(max(number), 0) FROM fieldgate.desk", &[]).await
        };
        let rows = self.ask(&last)?;
        Ok(rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>(0)).map_err(DatabaseError::from)? as u64)
    }

    /// The entries behind a replica, oldest first, as many as are read at once; none where it is up to date.
    ///
    /// # Errors
    /// Where the database cannot be asked, is an older copy, or has an entry that no node wrote.
    pub fn after(&mut self, known: DeskMark) -> Result<Vec<DeskEntry>, StoreError> {
        let from = known.number as i64;
        let rows = self.ask(&async |client: &Client| {
            // The one that is known is looked at too: it may be of another history.
            let sql = "SELECT number, seal, CASE WHEN number > $1 THEN body ELSE '' END FROM fieldgate.desk
                WHERE number >= $1 ORDER BY number LIMIT $2";
            client.query(sql, &[&from, &PAGE]).await
        })?;
        let mut rows = rows.iter().map(read);
        if known.number > 0 {
            match rows.next().transpose()? {
                Some(found) if found.mark == known => {}
                Some(found) if found.mark.number == known.number => {
                    return Err(StoreError::OtherDesk(known.number));
                }
                _ => return Err(StoreError::OlderDesk { found: self.last()?, known: known.number }),
            }
        }
        let (mut before, mut entries) = (known, Vec::new());
        for entry in rows {
            let entry = entry?;
            if entry.mark != self.next(before, &entry.body) {
                return Err(StoreError::OtherDesk(before.number + 1));
            }
            before = entry.mark;
            entries.push(entry);
        }
        Ok(entries)
    }

    /// What an entry says; `None` where there is none with this number.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub fn body(&mut self, number: u64) -> Result<Option<String>, StoreError> {
        let number = number as i64;
        let rows = self.ask(&async |client: &Client| {
            client.query("SELECT body FROM fieldgate.desk WHERE number = $1", &[&number]).await
        })?;
        let body = rows.first().map(|row| row.try_get(0)).transpose();
        Ok(body.map_err(DatabaseError::from)?)
    }

    /// Adds an entry behind the one that is known; `None`, and nothing added, where it is not the last.
    ///
    /// # Errors
    /// Where it is not certain that it was added: as the one behind `known`, or never.
    pub fn append(&mut self, known: DeskMark, body: &str) -> Result<Option<DeskMark>, StoreError> {
        let (node, from, next) = (self.node, known.number as i64, self.next(known, body));
        let sql = "SELECT fieldgate.decide($1, $2, $3, $4)";
        // The server gives up before this does.
        let limit = STATEMENT + POLL;
        let rows = self.once(limit, &async |client: &Client| {
            client.query(sql, &[&node, &from, &body, &&next.seal[..]]).await
        })?;
        let added = rows.first().map_or(Ok(false), |row| row.try_get(0)).map_err(DatabaseError::from)?;
        Ok(added.then_some(next))
    }

    /// The mark of an entry behind another one.
    fn next(&self, before: DeskMark, body: &str) -> DeskMark {
        let number = before.number + 1;
        let seal = self.key.desk_seal(&[&before.seal, &number.to_be_bytes(), body.as_bytes()]);
        DeskMark { number, seal }
    }

    /// Reads; once more where the connection turns out to have ended meanwhile.
    fn ask(
        &mut self,
        question: &impl AsyncFn(&Client) -> Result<Vec<Row>, tokio_postgres::Error>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let is_old = self.client.is_some();
        match self.once(STATEMENT, question) {
            Err(DatabaseError::Connection(_)) if is_old => self.once(STATEMENT, question),
            answer => answer,
        }
    }

    fn once(
        &mut self,
        limit: Duration,
        question: &impl AsyncFn(&Client) -> Result<Vec<Row>, tokio_postgres::Error>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let client = self.client.take();
        let asking = async {
            let client = match client {
                Some(client) if !client.is_closed() => client,
                _ => self.database.connect(None).await?,
            };
            let rows = question(&client).await?;
            Ok((client, rows))
        };
        let Some(runtime) = &self.runtime else { return Err(DatabaseError::Connection("closed".into())) };
        let (client, rows) = runtime.block_on(within(limit, asking))?;
        // After a failure it is made anew.
        self.client = Some(client);
        Ok(rows)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Where futures are run, nothing may be waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn read(row: &Row) -> Result<DeskEntry, StoreError> {
    let number = row.try_get::<_, i64>(0).map_err(DatabaseError::from)? as u64;
    let seal: &[u8] = row.try_get(1).map_err(DatabaseError::from)?;
    let body = row.try_get(2).map_err(DatabaseError::from)?;
    let seal = seal.try_into().map_err(|_| StoreError::OtherDesk(number))?;
    Ok(DeskEntry { mark: DeskMark { number, seal }, body })
}

/// Has `look` look for entries: at once where the database tells, and once a second all the same. Ends when `stop` says
/// so.
pub async fn follow_desk<E: Display, W: Future<Output = Result<(), E>>>(
    database: Database,
    mut stop: watch::Receiver<bool>,
    mut look: impl FnMut() -> W,
) {
    let mut trouble = String::new();
    while !*stop.borrow() {
        let failed = tokio::select! {
            failed = listen(&database, &mut look, &mut trouble) => failed,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        if failed != trouble {
            tracing::warn!(error = failed, "the review side does not hear of what other nodes are told");
            trouble = failed;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL / 2) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Why it cannot go on.
async fn listen<E: Display, W: Future<Output = Result<(), E>>>(
    database: &Database,
    look: &mut impl FnMut() -> W,
    trouble: &mut String,
) -> String {
    let woken = Arc::new(Notify::new());
    let listening = async {
        let client = database.connect(Some(Arc::clone(&woken))).await?;
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(client)
    };
    let client = match within(STATEMENT, listening).await {
        Ok(client) => client,
        Err(error) => return error.to_string(),
    };
    loop {
        if let Err(error) = look().await {
            return error.to_string();
        }
        if !trouble.is_empty() {
            tracing::info!("the review side hears of what other nodes are told again");
            trouble.clear();
        }
        let _ = tokio::time::timeout(POLL, woken.notified()).await;
        if client.is_closed() {
            return "the connection ended".to_owned();
        }
    }
}
