//! What one node is told and all must know: who is suspended, and what customers said. Changes are numbered in the
//! order in which they are committed, and each has the hash of all up to it; nodes take them in, in that order.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use deadpool_postgres::{Object, Pool};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::super::error::StoreError;
use super::super::files;
use super::super::merkle::{Hash, sha256};
use super::super::suspensions::Suspension;
use super::{CONNECT, Database, DatabaseError, STATEMENT, schema, within};

/// How often a node asks without having been told.
const POLL: Duration = Duration::from_secs(1);
/// How often partitions are seen to.
const TURN: Duration = Duration::from_secs(6 * 3600);
/// Changes that are taken in at once.
const PAGE: i64 = 10_000;
const CHANNEL: &str = "fieldgate_change";

/// Something that counts for all nodes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Why a contractor gets nothing; nothing where it gets something again.
    Suspension { contractor: String, suspension: Option<Suspension> },
    /// What customers said.
    Consent(Vec<Said>),
}

/// The newest thing that a customer said about one purpose and contractor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The customer's keyed name, in hexadecimal.
    pub customer: String,
    /// All, where there is none.
    pub purpose: Option<String>,
    pub contractor: Option<String>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub granted: bool,
}

/// Brings changes into force on this node; from which generation of the consent registry on, what was decided by an
/// earlier one is stale. An error where they cannot be.
pub type Take = Box<dyn Fn(&[Change]) -> Result<Option<u64>, NotTaken> + Send + Sync>;

/// They cannot be brought into force.
#[derive(Clone, Copy, Debug)]
pub struct NotTaken;

/// A change, and with it all before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// From 1; 0 is before all.
    pub number: u64,
    /// SHA-256 of the one before and the change's body; of none before the first.
    chain: Option<Hash>,
}

impl Point {
    /// As the database has it.
    pub fn chain(&self) -> &[u8] {
        self.chain.as_ref().map_or(&[], |hash| &hash[..])
    }

    /// For a file: the number, and the hash in hexadecimal.
    fn written(&self) -> Vec<u8> {
        let mut text = format!("{} ", self.number);
        self.chain().iter().for_each(|byte| text.push_str(&format!("{byte:02x}")));
        text.into_bytes()
    }

    fn read(text: &str) -> Option<Point> {
        let mut words = text.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let chain = words.next().map(|text| {
            let mut hash = Hash::default();
            let pair = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
            (0..hash.len()).try_for_each(|at| pair(at).map(|byte| hash[at] = byte)).map(|()| hash)
        });
        // One that is damaged is not none.
        if chain == Some(None) { None } else { Some(Point { number, chain: chain.flatten() }) }
    }

    fn next(&self, body: &str) -> Point {
        Point { number: self.number + 1, chain: Some(sha256(&[self.chain(), body.as_bytes()])) }
    }
}

/// The changes, as this node knows them.
pub struct Changes {
    database: Database,
    pool: Pool,
    node: i32,
    name: String,
    /// The last one that is in force here.
    applied: ArcSwap<Point>,
    stale_before: AtomicU64,
    suspended: ArcSwap<HashSet<String>>,
    /// They come into force one after the other.
    turn: Mutex<()>,
    take: Take,
    /// Where the number is remembered, so that an older copy of the database is told.
    memory: PathBuf,
}

impl Changes {
    /// Joins the fleet as the node `name`, whose tree is signed by the key of `verifier`, and takes in all changes.
    /// `seals` are what the keys make of a fixed text that nodes must share; `memory` is a file for the last number.
    ///
    /// # Errors
    /// Where the database cannot be used, is an older copy, or another node has the name or the key.
    pub async fn join(
        database: Database,
        name: &str,
        verifier: &str,
        seals: &[(&'static str, [u8; 16])],
        memory: PathBuf,
        take: Take,
    ) -> Result<Arc<Changes>, StoreError> {
        let pool = database.pool()?;
        let joining = async {
            // With its own words where it cannot be had: a pool's are fewer.
            let client = database.connect(None).await?;
            schema::check(&client).await?;
            let node = enter(&client, name, verifier).await?;
            for (key, value) in seals {
                seal(&client, key, value).await?;
            }
            if let Err(error) = client.execute("SELECT fieldgate.turn()", &[]).await {
                let error = DatabaseError::from(error);
                tracing::warn!(%error, "the database's partitions are not seen to");
            }
            let row = client.query_one("SELECT number FROM fieldgate.shared", &[]).await?;
            Ok((node, row.try_get::<_, i64>(0)? as u64))
        };
        let (node, found) = within(CONNECT * 5, joining).await?;
        let (applied, stale_before) = (ArcSwap::default(), AtomicU64::new(0));
        let name = name.to_owned();
        let changes = Changes {
            database,
            pool,
            node,
            name,
            applied,
            stale_before,
            suspended: ArcSwap::default(),
            turn: Mutex::default(),
            take,
            memory,
        };
        // Before it is written anew.
        let known = changes.remembered()?;
        if found < known.number {
            return Err(StoreError::OlderChanges { found, known: known.number });
        }
        changes.check(&known).await?;
        changes.catch_up().await?;
        Ok(Arc::new(changes))
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The node's number.
    pub fn node(&self) -> i32 {
        self.node
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this node has begun to write its entries there.
    pub fn has_written(&self) -> bool {
        self.size_file().exists()
    }

    /// Where a node remembers how many entries were acknowledged.
    pub(super) fn size_file(&self) -> PathBuf {
        self.memory.with_extension("size")
    }

    /// The last change that is in force here. To be read before [`stale_before`](Self::stale_before).
    pub fn point(&self) -> Arc<Point> {
        self.applied.load_full()
    }

    /// What was decided by an earlier generation of the consent registry is stale.
    pub fn stale_before(&self) -> u64 {
        self.stale_before.load(Ordering::Acquire)
    }

    async fn client(&self) -> Result<Object, DatabaseError> {
        self.pool.get().await.map_err(|error| DatabaseError::Connection(error.to_string()))
    }

    /// Brings into force what the database has and this node does not know.
    ///
    /// # Errors
    /// Where the database cannot be asked, or has fewer changes than it had.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let client = self.client().await?;
        self.catch_up_by(&client).await
    }

    pub(super) async fn catch_up_by(&self, client: &Client) -> Result<(), StoreError> {
        loop {
            let known = self.point();
            // In one statement: all is of one moment.
            let sql = "SELECT s.number, k.chain IS NOT DISTINCT FROM $3, c.number, c.body, c.chain
                FROM fieldgate.shared s LEFT JOIN fieldgate.change k ON k.number = $1
                LEFT JOIN LATERAL (SELECT number, body, chain FROM fieldgate.change
                    WHERE number > $1 ORDER BY number LIMIT $2) c ON true";
            let (number, chain) = (known.number as i64, known.chain());
            let asking = async { Ok(client.query(sql, &[&number, &PAGE, &chain]).await?) };
            let rows = within(STATEMENT, asking).await?;
            let first = rows.first().map_or(Ok((0, false)), |row| {
                Ok((row.try_get::<_, i64>(0)? as u64, row.try_get::<_, bool>(1)?))
            });
            let (found, same) = first.map_err(|error: tokio_postgres::Error| DatabaseError::from(error))?;
            if found < known.number {
                return Err(StoreError::OlderChanges { found, known: known.number });
            }
            if known.number > 0 && !same {
                return Err(StoreError::OtherChanges(known.number));
            }
            if !self.take_in(&rows)? {
                return Ok(());
            }
        }
    }

    /// False where there was nothing.
    fn take_in(&self, rows: &[Row]) -> Result<bool, StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut new, mut last) = (Vec::new(), *self.point());
        for row in rows {
            let number: Option<i64> = row.try_get(2).map_err(DatabaseError::from)?;
            // Another thread may have been faster.
            let Some(number) = number.filter(|number| *number as u64 > last.number) else { continue };
            let body: &str = row.try_get(3).map_err(DatabaseError::from)?;
            let next = last.next(body);
            let change = serde_json::from_str(body);
            match change {
                Ok(change) if number as u64 == next.number => new.push(change),
                // What is not understood could be a withdrawal.
                _ => return Err(StoreError::ChangeUnknown(number as u64)),
            }
            if row.try_get::<_, &[u8]>(4).map_err(DatabaseError::from)? != next.chain() {
                return Err(StoreError::OtherChanges(next.number));
            }
            last = next;
        }
        if new.is_empty() {
            return Ok(false);
        }
        let taken = (self.take)(&new).map_err(|NotTaken| StoreError::ChangeUnknown(last.number))?;
        if let Some(generation) = taken {
            self.stale_before.fetch_max(generation, Ordering::AcqRel);
        }
        self.note_suspensions(&new);
        // Last: whoever reads this number finds the rest in force.
        self.applied.store(Arc::new(last));
        // A command that joins beside the gateway may be behind it.
        let remembered = self.remembered()?;
        if last.number > remembered.number || last.number == remembered.number && remembered.chain.is_none() {
            files::replace(&self.memory, &last.written())?;
        }
        Ok(true)
    }

    /// Sees that the database has the change that was in force here.
    async fn check(&self, known: &Point) -> Result<(), StoreError> {
        // Of the first version's memory, the number is all that there is.
        let Some(chain) = &known.chain else { return Ok(()) };
        let (number, chain) = (known.number as i64, &chain[..]);
        let client = self.client().await?;
        let asking = async {
            let sql = "SELECT FROM fieldgate.change WHERE number = $1 AND chain = $2";
            Ok(client.query_opt(sql, &[&number, &chain]).await?)
        };
        let found = within(STATEMENT, asking).await?;
        found.map(drop).ok_or(StoreError::OtherChanges(known.number))
    }

    /// For the writer, which asks once more.
    fn note_suspensions(&self, changes: &[Change]) {
        let mut suspended = HashSet::clone(&self.suspended.load());
        for change in changes {
            let Change::Suspension { contractor, suspension } = change else { continue };
            match suspension {
                Some(_) => _ = suspended.insert(contractor.clone()),
                None => _ = suspended.remove(contractor),
            }
        }
        self.suspended.store(Arc::new(suspended));
    }

    /// Whether a contractor gets nothing. To be asked after [`point`](Self::point).
    pub fn suspends(&self, contractor: &str) -> bool {
        self.suspended.load().contains(contractor)
    }

    /// The last change that was in force here when this node last ran: an older copy of the database knows of fewer,
    /// or of another one by its number.
    fn remembered(&self) -> Result<Point, StoreError> {
        match std::fs::read_to_string(&self.memory) {
            // A file that is damaged must not let an older copy pass.
            Ok(text) => Ok(Point::read(&text).unwrap_or(Point { number: u64::MAX, chain: None })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Point::default()),
            Err(source) => Err(StoreError::File { path: self.memory.clone(), source }),
        }
    }

    /// Keeps up with the database: at once where it tells, and once a second all the same. Ends when `stop` says so.
    pub async fn follow(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let (mut trouble, mut turned) = (String::new(), Instant::now());
        while !*stop.borrow() {
            let failed = tokio::select! {
                failed = self.listen(&mut turned) => failed,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            if let Err(error) = failed {
                let text = error.to_string();
                if text != trouble {
                    tracing::warn!(%error, "suspensions and consent of other nodes are asked for with the next entry only");
                    trouble = text;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(POLL / 2) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn listen(&self, turned: &mut Instant) -> Result<(), StoreError> {
        let woken = Arc::new(Notify::new());
        let client = self.database.connect(Some(Arc::clone(&woken))).await?;
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(DatabaseError::from)?;
        loop {
            self.catch_up_by(&client).await?;
            if turned.elapsed() > TURN {
                let turning = async { Ok(client.execute("SELECT fieldgate.turn()", &[]).await?) };
                within(STATEMENT, turning).await?;
                *turned = Instant::now();
            }
            let _ = tokio::time::timeout(POLL, woken.notified()).await;
        }
    }

    /// Says it to all nodes; when this returns, it is in force here, and no node makes an entry without knowing it.
    /// Nothing is said, and false returned, where one of the `receipts` was taken before. `events` are those of
    /// entries that this node is to write about it.
    ///
    /// # Errors
    /// Where it is not certain that it is in force.
    pub async fn tell(
        &self,
        change: &Change,
        receipts: &[[u8; 16]],
        events: &[String],
    ) -> Result<bool, StoreError> {
        let body = serde_json::to_string(change).unwrap_or_default();
        let names: Vec<&[u8]> = receipts.iter().map(|name| &name[..]).collect();
        let telling = async {
            let client = self.client().await?;
            // One statement: nothing is open where the connection is cut.
            let (sql, point) = ("SELECT fieldgate.tell($1, $2, $3, $4, $5, $6)", self.point());
            let (known, chain) = (point.number as i64, point.chain());
            let values: [&(dyn ToSql + Sync); 6] = [&self.node, &known, &chain, &body, &names, &events];
            Ok(client.query_one(sql, &values).await?.try_get(0)?)
        };
        let told = within(CONNECT * 2, telling).await?;
        self.catch_up().await?;
        Ok(told)
    }

    /// Which of these receipts were taken before.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn taken(&self, receipts: &[[u8; 16]]) -> Result<Vec<[u8; 16]>, StoreError> {
        let names: Vec<&[u8]> = receipts.iter().map(|name| &name[..]).collect();
        let asking = async {
            let client = self.client().await?;
            let rows = client.query("SELECT id FROM fieldgate.receipt WHERE id = ANY($1)", &[&names]).await?;
            let ids = rows.iter().map(|row| Ok(row.try_get::<_, &[u8]>(0)?.try_into().unwrap_or_default()));
            ids.collect::<Result<_, DatabaseError>>()
        };
        Ok(within(CONNECT * 2, asking).await?)
    }

    /// The events of entries that this node has still to write, and the number of the last.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub async fn pending(&self) -> Result<(i64, Vec<String>), StoreError> {
        let asking = async {
            let client = self.client().await?;
            let sql = "SELECT number, event FROM fieldgate.pending WHERE node = $1 ORDER BY number";
            let rows = client.query(sql, &[&self.node]).await?;
            let last = rows.last().map_or(Ok(0), |row| row.try_get(0))?;
            let events = rows.iter().map(|row| Ok(row.try_get(1)?)).collect::<Result<_, DatabaseError>>()?;
            Ok((last, events))
        };
        Ok(within(CONNECT * 2, asking).await?)
    }

    /// Says that those up to a number are written.
    ///
    /// # Errors
    /// Where the database cannot be asked; they are then written again at the next start.
    pub async fn settled(&self, upto: i64) -> Result<(), StoreError> {
        let asking = async {
            let client = self.client().await?;
            let sql = "DELETE FROM fieldgate.pending WHERE node = $1 AND number <= $2";
            Ok(client.execute(sql, &[&self.node, &upto]).await?)
        };
        within(CONNECT * 2, asking).await.map(drop).map_err(StoreError::from)
    }
}

/// The number of the node, which has this key.
async fn enter(client: &Client, name: &str, verifier: &str) -> Result<i32, DatabaseError> {
    let sql = "INSERT INTO fieldgate.node (name, verifier) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    if let Err(error) = client.execute(sql, &[&name, &verifier]).await {
        let twice = error.code() == Some(&SqlState::UNIQUE_VIOLATION);
        return Err(if twice { DatabaseError::SharedKey(name.to_owned()) } else { error.into() });
    }
    let row =
        client.query_one("SELECT number, verifier FROM fieldgate.node WHERE name = $1", &[&name]).await?;
    if row.try_get::<_, &str>(1)? != verifier {
        return Err(DatabaseError::OtherKey(name.to_owned()));
    }
    let number: i32 = row.try_get(0)?;
    client
        .execute("INSERT INTO fieldgate.tree (node) VALUES ($1) ON CONFLICT DO NOTHING", &[&number])
        .await?;
    Ok(number)
}

/// All nodes have the key that the first one had.
async fn seal(client: &Client, key: &'static str, value: &[u8; 16]) -> Result<(), DatabaseError> {
    let value = &value[..];
    let sql = "INSERT INTO fieldgate.seal VALUES ($1, $2) ON CONFLICT DO NOTHING";
    client.execute(sql, &[&key, &value]).await?;
    let row = client.query_one("SELECT value FROM fieldgate.seal WHERE name = $1", &[&key]).await?;
    if row.try_get::<_, &[u8]>(0)? == value { Ok(()) } else { Err(DatabaseError::OtherSeal(key)) }
}
