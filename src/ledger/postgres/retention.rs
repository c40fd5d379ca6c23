//! Deleting content in the database, by its owner, and holding it.

use tokio::runtime::Runtime;
use tokio_postgres::Client;

use super::super::error::StoreError;
use super::{CONNECT, Database, DatabaseError, runtime, schema, within};

/// Entries in one statement.
const ENTRIES: usize = 4096;
/// While one holds it, no hold is placed and nothing is deleted by others.
const LOCK: i64 = 7_013_490_004;

/// Held while entries of any node are deleted, and while a hold is placed.
pub struct FleetRetention {
    runtime: Runtime,
    client: Client,
}

impl FleetRetention {
    /// Waits for it.
    ///
    /// # Errors
    /// Where the database cannot be asked.
    pub fn take(database: &Database) -> Result<Self, StoreError> {
        let runtime = runtime()?;
        let client = runtime.block_on(within(CONNECT * 3, async {
            let client = database.connect(None).await?;
            schema::check_version(&client).await?;
            // Another deletion may take its time.
            client.batch_execute("SET statement_timeout = 0").await?;
            Ok(client)
        }))?;
        runtime
            .block_on(client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]))
            .map_err(DatabaseError::from)?;
        Ok(FleetRetention { runtime, client })
    }

    /// Deletes the content of entries of the node that signs with the key of `verifier`, in the database; its user must
    /// own the tables. What was deleted before may be said again.
    ///
    /// # Errors
    /// Where the database does not take it; what is done stays done, and it can be tried again.
    pub fn prune(&mut self, node: &str, verifier: &str, positions: &[u64]) -> Result<(), StoreError> {
        let FleetRetention { runtime, client } = self;
        let pruning = async {
            let sql = "SELECT number, verifier FROM fieldgate.node WHERE name = $1";
            let row = client.query_opt(sql, &[&node]).await?;
            let row = row.ok_or_else(|| DatabaseError::NoNode(node.to_owned()))?;
            // Another fleet may have a node of this name.
            if row.try_get::<_, &str>(1)? != verifier {
                return Err(DatabaseError::OtherKey(node.to_owned()));
            }
            let number: i32 = row.try_get(0)?;
            for some in positions.chunks(ENTRIES) {
                let some: Vec<i64> = some.iter().map(|position| *position as i64).collect();
                client.execute("SELECT fieldgate.prune($1, $2)", &[&number, &some]).await?;
            }
            Ok::<_, DatabaseError>(())
        };
        Ok(runtime.block_on(pruning)?)
    }

    /// Sees that this user may delete content.
    ///
    /// # Errors
    /// Where it may not, or the database cannot be asked.
    pub fn check_owner(&self) -> Result<(), StoreError> {
        let sql = "SELECT has_table_privilege('fieldgate.entry', 'UPDATE')
            AND has_function_privilege('fieldgate.prune(integer, bigint[])', 'EXECUTE')";
        let row = self.runtime.block_on(self.client.query_one(sql, &[])).map_err(DatabaseError::from)?;
        if row.try_get(0).map_err(DatabaseError::from)? {
            return Ok(());
        }
        Err(DatabaseError::NotOwner.into())
    }
}
