//! The heads that all nodes have signed, in the order in which they did.

use tokio_postgres::Client;

use super::super::error::StoreError;
use super::asking::Asking;
use super::{Database, DatabaseError};

/// Heads that are asked for at once.
const PAGE: i64 = 1024;

/// That a node had signed so many entries.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// From 1, over all nodes.
    pub number: u64,
    pub node: i32,
    pub name: String,
    /// By which the node's heads are verified.
    pub verifier: String,
    /// Entries of the node.
    pub size: u64,
    /// The head itself, where it is the node's newest one.
    pub note: Option<String>,
}

/// Reads them.
pub struct Heads(Asking);

/// Content that was deleted in the database.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// From 1, over all nodes.
    pub number: u64,
    pub node: i32,
    /// Numbers of entries in the node's tree.
    pub positions: Vec<u64>,
}

impl Heads {
    /// # Errors
    /// Where no thread can ask.
    pub fn new(database: Database) -> Result<Self, StoreError> {
        Ok(Heads(Asking::new(database)?))
    }

    /// Some heads behind number `after`, the next ones first; and the number of the last one of all.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub fn page(&mut self, after: u64) -> Result<(Vec<Sealed>, u64), StoreError> {
        // In one statement: the newest head of a node and its place in the order are of one moment.
        let rows = self.0.ask(async |client: &Client| {
            let sql =
                "SELECT (SELECT coalesce(max(number), 0) FROM fieldgate.sealed), s.number, s.node, n.name,
                    n.verifier, s.size, CASE WHEN h.size = s.size THEN h.note END
                FROM (SELECT 1) one LEFT JOIN LATERAL (SELECT number, node, size FROM fieldgate.sealed
                    WHERE number > $1 ORDER BY number LIMIT $2) s ON true
                LEFT JOIN fieldgate.node n ON n.number = s.node LEFT JOIN fieldgate.head h ON h.node = s.node
                ORDER BY s.number";
            client.query(sql, &[&(after as i64), &PAGE]).await
        })?;
        let mut last = 0;
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut read = || -> Result<Option<Sealed>, tokio_postgres::Error> {
                last = row.try_get::<_, i64>(0)? as u64;
                let Some(number) = row.try_get::<_, Option<i64>>(1)? else { return Ok(None) };
                Ok(Some(Sealed {
                    number: number as u64,
                    node: row.try_get(2)?,
                    name: row.try_get(3)?,
                    verifier: row.try_get(4)?,
                    size: row.try_get::<_, i64>(5)? as u64,
                    note: row.try_get(6)?,
                }))
            };
            page.extend(read().map_err(DatabaseError::from)?);
        }
        Ok((page, last))
    }

    /// The next deletion behind number `after`.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub fn deletion(&mut self, after: u64) -> Result<Option<Deleted>, StoreError> {
        let rows = self.0.ask(async |client: &Client| {
            let sql = "SELECT number, node, positions FROM fieldgate.pruned WHERE number > $1 ORDER BY number LIMIT 1";
            client.query(sql, &[&(after as i64)]).await
        })?;
        let Some(row) = rows.first() else { return Ok(None) };
        let read = || {
            let positions: Vec<i64> = row.try_get(2)?;
            Ok(Deleted {
                number: row.try_get::<_, i64>(0)? as u64,
                node: row.try_get(1)?,
                positions: positions.into_iter().map(|position| position as u64).collect(),
            })
        };
        read().map(Some).map_err(|error: tokio_postgres::Error| DatabaseError::from(error).into())
    }
}
