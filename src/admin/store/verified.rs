//! What verifications of the ledger found, over restarts.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ReviewError, Store};

pub const MIGRATION: &str = "
CREATE TABLE verified (
    at       INTEGER PRIMARY KEY,
    by       TEXT NOT NULL,
    took     INTEGER NOT NULL,
    findings TEXT NOT NULL
) STRICT;";

/// What a verification found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// Entries under the signed head.
    pub size: u64,
    /// The root of the signed head, in base64.
    pub root: String,
    /// Entries behind the head: durable, and not signed yet.
    pub behind: u64,
    /// Entries whose content was pruned.
    pub pruned: u64,
    pub errors: u64,
    pub warnings: u64,
    /// The first of them, in words.
    pub first: Vec<String>,
}

/// A verification that ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verification {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    pub by: String,
    /// Microseconds.
    pub took: i64,
    pub found: Verified,
}

impl Store {
    /// # Errors
    /// What the database says.
    pub fn keep_verification(&self, verification: &Verification) -> Result<(), ReviewError> {
        let Verification { at, by, took, found } = verification;
        // Structures of strings and numbers always serialise.
        let found = serde_json::to_string(found).unwrap_or_default();
        self.change_here(|connection| {
            let sql = "INSERT OR REPLACE INTO verified VALUES (?1, ?2, ?3, ?4)";
            connection.execute(sql, params![at, by, took, found])
        })?;
        Ok(())
    }

    /// The last one.
    ///
    /// # Errors
    /// What the database says.
    pub fn last_verification(&self) -> Result<Option<Verification>, ReviewError> {
        let row = self.read(|connection| {
            let sql = "SELECT at, by, took, findings FROM verified ORDER BY at DESC LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            let read =
                |row: &rusqlite::Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?));
            statement.query_row([], read).optional()
        })?;
        Ok(row.and_then(|(at, by, took, found)| {
            Some(Verification { at, by, took, found: serde_json::from_str(&found).ok()? })
        }))
    }
}
