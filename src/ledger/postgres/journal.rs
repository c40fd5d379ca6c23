//! Where an entry of a fleet's node becomes durable: one statement for a batch.

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::{Client, Statement};

use crate::model::SubjectPseudonym;

use super::super::error::StoreError;
use super::super::merkle::{self, Hash};
use super::changes::Point;
use super::{CONNECT, Changes, DatabaseError, STATEMENT, runtime, schema, within};

/// The first number of the lock that a node's process holds; the second one is the node's.
const LOCK: i32 = 70_134_900;

const ADMIT: &str = "SELECT place, fresh, remaining FROM fieldgate.admit_all($1, $2, $3, $4, $5)";
const APPEND: &str = "SELECT fieldgate.append($1, $2, $3, $4, $5, $6, $7)";

/// The node's tree in the database, open for writing by this process alone.
pub struct PostgresJournal {
    runtime: Runtime,
    client: Client,
    append: Statement,
    admit: Statement,
    changes: Arc<Changes>,
    /// The number of the next entry.
    next: u64,
    /// Remembers it, so that an older copy of the database is told from how it was.
    memory: File,
    /// The changes that were in force when the batch in work began.
    known: Arc<Point>,
    times: Vec<i64>,
    hashes: Vec<Hash>,
    /// None where the content was pruned.
    leaves: Vec<Option<Vec<u8>>>,
}

/// Drafts whose customers are to be counted: at its place in each list, what is about one.
#[derive(Debug, Default)]
pub struct Asked<'d> {
    /// Since 1970-01-01.
    days: Vec<i32>,
    contractors: Vec<&'d str>,
    /// Customers that there may be in the day.
    most: Vec<i64>,
    /// Where its names end.
    ends: Vec<i32>,
    names: Vec<&'d [u8]>,
}

impl<'d> Asked<'d> {
    /// One more draft.
    pub fn add(
        &mut self,
        day: i64,
        contractor: &'d str,
        most: u64,
        names: impl Iterator<Item = &'d SubjectPseudonym>,
    ) {
        self.names.extend(names.map(|name| &name.0[..]));
        self.ends.push(self.names.len() as i32);
        self.days.push(day as i32);
        self.contractors.push(contractor);
        self.most.push(i64::try_from(most).unwrap_or(i64::MAX));
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    Whole,
    /// Nothing was written: changes came in between, which are in force now.
    Overtaken,
}

impl PostgresJournal {
    /// Connects as the only writer of the node's tree.
    ///
    /// # Errors
    /// Where the database cannot be used, or another process writes the tree.
    pub fn open(changes: Arc<Changes>) -> Result<Self, StoreError> {
        let runtime = runtime()?;
        let opening = async {
            let client = changes.database().connect(None).await?;
            schema::check(&client).await?;
            let row =
                client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCK, &changes.node()]).await?;
            if !row.try_get::<_, bool>(0)? {
                return Ok(None);
            }
            let sql = "SELECT size FROM fieldgate.tree WHERE node = $1";
            let row = client.query_opt(sql, &[&changes.node()]).await?;
            let row = row.ok_or_else(|| DatabaseError::NoNode(changes.name().to_owned()))?;
            let size: i64 = row.try_get(0)?;
            let (append, admit) = (client.prepare(APPEND).await?, client.prepare(ADMIT).await?);
            Ok(Some((client, append, admit, size as u64)))
        };
        let opened = runtime.block_on(within(CONNECT * 3, opening))?;
        let Some((client, append, admit, next)) = opened else {
            return Err(StoreError::NodeInUse(changes.name().to_owned()));
        };
        // Where they cannot be taken in, nothing could be written: that is known before a request goes to an upstream.
        runtime.block_on(changes.catch_up_by(&client))?;
        let memory = remembered(&changes, next)?;
        Ok(PostgresJournal {
            runtime,
            client,
            memory,
            append,
            admit,
            known: changes.point(),
            changes,
            next,
            times: Vec::new(),
            hashes: Vec::new(),
            leaves: Vec::new(),
        })
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next + self.leaves.len() as u64
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        self.changes.name()
    }

    /// Begins a batch; what was decided by an earlier generation of the consent registry than this is stale.
    pub fn begin(&mut self) -> u64 {
        self.known = self.changes.point();
        self.changes.stale_before()
    }

    /// Whether a contractor gets nothing.
    pub fn suspends(&self, contractor: &str) -> bool {
        self.changes.suspends(contractor)
    }

    /// Adds an entry to the batch in work; `time` is in microseconds since 1970-01-01T00:00:00Z.
    pub fn stage(&mut self, leaf: Vec<u8>, time: i64) {
        self.hashes.push(merkle::leaf_hash(&leaf));
        self.times.push(time);
        self.leaves.push(Some(leaf));
    }

    /// The same of an entry of which only the hash is left.
    pub fn stage_pruned(&mut self, hash: Hash, time: i64) {
        self.hashes.push(hash);
        self.times.push(time);
        self.leaves.push(None);
    }

    /// Forgets the batch in work.
    pub fn discard(&mut self) {
        self.times.clear();
        self.hashes.clear();
        self.leaves.clear();
    }

    /// Counts customers over all nodes, in one question: for each draft how many are new and how many more there may
    /// be; `None`, and nothing counted, where they would be too many.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub fn admit(&mut self, asked: &Asked) -> Result<Vec<Option<(u64, u64)>>, StoreError> {
        let Asked { days, contractors, most, ends, names } = asked;
        let asking = async {
            let rows = self.client.query(&self.admit, &[days, contractors, most, ends, names]).await?;
            let mut counted = vec![None; days.len()];
            for row in &rows {
                let (place, fresh, remaining): (i32, i64, i64) =
                    (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                if let Some(counted) = counted.get_mut(place as usize - 1) {
                    *counted = Some((fresh as u64, remaining as u64));
                }
            }
            Ok(counted)
        };
        Ok(self.runtime.block_on(within(STATEMENT, asking))?)
    }

    /// Writes the batch. When this returns [`Committed::Whole`], it is in the database.
    ///
    /// # Errors
    /// Where nothing is certain: the journal must be opened anew.
    pub fn commit(&mut self) -> Result<Committed, StoreError> {
        if self.leaves.is_empty() {
            return Ok(Committed::Whole);
        }
        let hashes: Vec<&[u8]> = self.hashes.iter().map(|hash| &hash[..]).collect();
        let (node, size) = (self.changes.node(), self.next as i64);
        let (known, chain) = (self.known.number as i64, self.known.chain());
        let writing = async {
            let row = self
                .client
                .query_one(&self.append, &[&node, &size, &known, &chain, &self.times, &hashes, &self.leaves])
                .await?;
            Ok(row.try_get::<_, String>(0)?)
        };
        // The server gives up before this does.
        let outcome = self.runtime.block_on(within(STATEMENT + Duration::from_secs(1), writing))?;
        let count = self.leaves.len() as u64;
        self.discard();
        match outcome.as_str() {
            "whole" => {
                self.next += count;
                // It is not synced: what it guards against is a copy, not the loss of this machine too.
                let path = self.changes.size_file();
                let written = self.memory.write_all_at(&self.next.to_le_bytes(), 0);
                written.map_err(|source| StoreError::File { path, source })?;
                Ok(Committed::Whole)
            }
            "overtaken" => {
                self.runtime.block_on(self.changes.catch_up_by(&self.client))?;
                Ok(Committed::Overtaken)
            }
            _ => Err(StoreError::NodeInUse(self.changes.name().to_owned())),
        }
    }
}

/// The file for the number of the next entry.
///
/// # Errors
/// Where more entries were acknowledged than the database has.
fn remembered(changes: &Changes, found: u64) -> Result<File, StoreError> {
    let path = changes.size_file();
    let io = |source| StoreError::File { path: path.clone(), source };
    let mut options = File::options();
    let file =
        options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path).map_err(io)?;
    let mut number = [0; 8];
    let known = match file.read_exact_at(&mut number, 0) {
        Ok(()) => u64::from_le_bytes(number),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
        Err(error) => return Err(io(error)),
    };
    if found < known {
        return Err(StoreError::OlderDatabase { node: changes.name().to_owned(), found, known });
    }
    Ok(file)
}
