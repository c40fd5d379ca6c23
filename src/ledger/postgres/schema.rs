//! The tables, by numbered steps.

use tokio_postgres::Client;

use super::{Database, DatabaseError};

const STEPS: [&str; 5] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
    include_str!("schema/0004.sql"),
    include_str!("schema/0005.sql"),
];
/// One at a time makes them.
const LOCK: i64 = 7_013_490_000;

/// What `fleet migrate` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    pub from: i32,
    pub to: i32,
}

/// Brings the tables to the version that this program knows; the database's user must be their owner.
///
/// # Errors
/// Where that fails; each step is there as a whole or not at all.
pub async fn migrate(database: &Database) -> Result<Migrated, DatabaseError> {
    let mut client = database.connect(None).await?;
    client.batch_execute("SET statement_timeout = 0").await?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    client
        .batch_execute(
            "CREATE SCHEMA IF NOT EXISTS fieldgate;
            CREATE TABLE IF NOT EXISTS fieldgate.version (
                number integer PRIMARY KEY,
                at     timestamptz NOT NULL DEFAULT clock_timestamp()
            )",
        )
        .await?;
    let from = version(&client).await?;
    let known = STEPS.len() as i32;
    if from > known {
        return Err(DatabaseError::Version { found: from, known });
    }
    for (number, step) in (1..).zip(STEPS).skip(from as usize) {
        let step: (i32, &str) = (number, step);
        let transaction = client.transaction().await?;
        transaction.batch_execute(step.1).await?;
        transaction.execute("INSERT INTO fieldgate.version VALUES ($1)", &[&step.0]).await?;
        transaction.commit().await?;
    }
    // The lock goes with the connection.
    Ok(Migrated { from, to: known })
}

async fn version(client: &Client) -> Result<i32, DatabaseError> {
    let row = client.query_one("SELECT coalesce(max(number), 0) FROM fieldgate.version", &[]).await?;
    Ok(row.try_get(0)?)
}

/// Sees that the tables are those that this program knows.
pub(super) async fn check_version(client: &Client) -> Result<(), DatabaseError> {
    let (found, known) = (version(client).await?, STEPS.len() as i32);
    if found == known { Ok(()) } else { Err(DatabaseError::Version { found, known }) }
}

/// The same, and that this user cannot change what is written.
pub(super) async fn check(client: &Client) -> Result<(), DatabaseError> {
    check_version(client).await?;
    let sql = "SELECT has_table_privilege('fieldgate.entry', 'UPDATE, DELETE, TRUNCATE')
        OR has_table_privilege('fieldgate.change', 'UPDATE, DELETE, TRUNCATE')
        OR has_table_privilege('fieldgate.desk', 'INSERT, UPDATE, DELETE, TRUNCATE')";
    if client.query_one(sql, &[]).await?.try_get(0)? {
        return Err(DatabaseError::TooPowerful);
    }
    Ok(())
}
