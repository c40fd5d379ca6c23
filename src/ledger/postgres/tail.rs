//! Reading a node's entries back, for its archive.

use std::sync::Arc;

use tokio_postgres::{Client, Row};

use super::super::archive::Head;
use super::super::error::StoreError;
use super::super::merkle::Hash;
use super::asking::Asking;
use super::{Changes, Database, DatabaseError};

/// Entries, and about as many bytes of them, that are asked for at once.
const PAGE: i64 = 1024;

/// An entry that was read back; its content is none where it was pruned.
pub struct Kept<'r> {
    pub position: u64,
    pub hash: Hash,
    pub leaf: Option<&'r [u8]>,
}

/// Reads entries of a tree one after the other.
pub struct PostgresTail {
    asking: Asking,
    node: i32,
    /// The number of the next entry.
    pub next: u64,
    /// The size of the head that the database has.
    published: u64,
}

/// A node, as the database knows it.
#[derive(Clone, Debug)]
pub struct NodeState {
    pub number: i32,
    pub name: String,
    /// By which its heads are verified.
    pub verifier: String,
    pub entries: u64,
    /// Under the last signed head.
    pub signed: u64,
    pub head: Option<String>,
}

/// The nodes of the fleet, by name.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn nodes(database: &Database) -> Result<Vec<NodeState>, DatabaseError> {
    let client = database.connect(None).await?;
    let sql = "SELECT n.number, n.name, n.verifier, t.size, coalesce(h.size, 0), h.note FROM fieldgate.node n
        JOIN fieldgate.tree t ON t.node = n.number LEFT JOIN fieldgate.head h ON h.node = n.number ORDER BY n.name";
    let rows = client.query(sql, &[]).await?;
    let node = |row: &Row| {
        Ok(NodeState {
            number: row.try_get(0)?,
            name: row.try_get(1)?,
            verifier: row.try_get(2)?,
            entries: row.try_get::<_, i64>(3)? as u64,
            signed: row.try_get::<_, i64>(4)? as u64,
            head: row.try_get(5)?,
        })
    };
    rows.iter().map(node).collect()
}

impl PostgresTail {
    /// Begins at an entry of this node's tree.
    ///
    /// # Errors
    /// Where no thread can ask.
    pub fn new(changes: &Arc<Changes>, next: u64) -> Result<Self, StoreError> {
        PostgresTail::of(changes.database().clone(), changes.node(), next)
    }

    /// Of any node's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of(database: Database, node: i32, next: u64) -> Result<Self, StoreError> {
        Ok(PostgresTail { asking: Asking::new(database)?, node, next, published: 0 })
    }

    /// Goes on at an entry of another node's tree.
    pub fn seek(&mut self, node: i32, next: u64) {
        (self.node, self.next) = (node, next);
    }

    /// Shows the entries up to number `upto` (exclusive), as far as they are there.
    ///
    /// # Errors
    /// Where the database cannot be asked, or an entry is missing.
    pub fn read(&mut self, upto: u64, mut show: impl FnMut(Kept)) -> Result<(), StoreError> {
        while self.next < upto {
            let rows = self.page(upto)?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let position = row.try_get::<_, i64>(0).map_err(DatabaseError::from)? as u64;
                let hash: &[u8] = row.try_get(1).map_err(DatabaseError::from)?;
                let leaf: Option<&[u8]> = row.try_get(2).map_err(DatabaseError::from)?;
                let hash = Hash::try_from(hash).ok().filter(|_| position == self.next);
                let hash = hash.ok_or(StoreError::DamagedRow(self.next))?;
                show(Kept { position, hash, leaf });
                self.next += 1;
            }
        }
        Ok(())
    }

    /// The hash of an entry.
    ///
    /// # Errors
    /// Where the database cannot be asked, or has no such entry.
    pub fn hash(&mut self, position: u64) -> Result<Option<Hash>, StoreError> {
        let node = self.node;
        let rows = self.asking.ask(async |client: &Client| {
            let sql = "SELECT hash FROM fieldgate.entry WHERE node = $1 AND position = $2";
            client.query(sql, &[&node, &(position as i64)]).await
        })?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Hash::try_from(row.try_get::<_, &[u8]>(0).map_err(DatabaseError::from)?).ok())
    }

    fn page(&mut self, upto: u64) -> Result<Vec<Row>, StoreError> {
        let (node, from, upto) = (self.node, self.next as i64, i64::try_from(upto).unwrap_or(i64::MAX));
        self.asking.ask(async |client: &Client| {
            let sql = "SELECT position, hash, leaf FROM fieldgate.entry
                WHERE node = $1 AND position >= $2 AND position < $3 ORDER BY position LIMIT $4";
            client.query(sql, &[&node, &from, &upto, &PAGE]).await
        })
    }

    /// Shows a signed head to whoever reads the database.
    ///
    /// # Errors
    /// Where the database does not take it; it can be tried again.
    pub fn publish(&mut self, head: &Head) -> Result<(), StoreError> {
        if head.note.is_empty() || head.size <= self.published {
            return Ok(());
        }
        let node = self.node;
        self.asking.ask(async |client: &Client| {
            client.query("SELECT fieldgate.seal($1, $2, $3)", &[&node, &(head.size as i64), &head.note]).await
        })?;
        self.published = head.size;
        Ok(())
    }
}
