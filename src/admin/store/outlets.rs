//! How far each outlet has got with the alerts. The table of alerts is its queue; in a fleet, a node's outlets have those
//! that the node raised, so that each goes out once.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::alerts::{self, Alert, Severity};
use super::{ReviewError, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE outlet (
    name      TEXT PRIMARY KEY,
    upto      INTEGER NOT NULL,
    delivered INTEGER,
    error     TEXT,
    failed    INTEGER
) STRICT;";

/// How an outlet fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outgoing {
    pub name: String,
    /// When it took an alert last: microseconds since 1970-01-01T00:00:00Z.
    pub delivered: Option<i64>,
    /// What went wrong last, unless it went right since.
    pub error: Option<String>,
    /// When: microseconds since 1970-01-01T00:00:00Z.
    pub failed: Option<i64>,
    /// Alerts that wait for it.
    pub behind: u64,
}

impl Store {
    /// Makes a place for an outlet. One that is new begins with what comes from now on.
    ///
    /// # Errors
    /// What the database says.
    pub fn open_outlet(&self, name: &str) -> Result<(), ReviewError> {
        self.change_here(|connection| {
            let sql = "INSERT OR IGNORE INTO outlet (name, upto) \
                       VALUES (?1, (SELECT coalesce(max(number), 0) FROM alert))";
            connection.execute(sql, [name]).map(|_| ())
        })
    }

    /// The next alert for an outlet that is so severe, and was not muted when it came.
    ///
    /// # Errors
    /// What the database says.
    pub fn next_for(&self, name: &str, least: Severity) -> Result<Option<Alert>, ReviewError> {
        self.read(|connection| {
            let sql = format!(
                "SELECT {}, {} FROM alert WHERE severity >= ?3 AND NOT quiet AND node IS ?4
                 AND number > (SELECT upto FROM outlet WHERE name = ?2) ORDER BY number LIMIT 1",
                alerts::COLUMNS,
                alerts::MUTED
            );
            let values = params![now(), name, least as i64, self.node()];
            connection.prepare_cached(&sql)?.query_row(values, alerts::read).optional()
        })
    }

    /// The outlet has this alert, and all before.
    ///
    /// # Errors
    /// What the database says.
    pub fn delivered(&self, name: &str, number: u64) -> Result<(), ReviewError> {
        self.change_here(|connection| {
            let sql = "UPDATE outlet SET upto = max(upto, ?2), delivered = ?3, error = NULL, failed = NULL
                       WHERE name = ?1";
            connection.execute(sql, params![name, number as i64, now()]).map(|_| ())
        })
    }

    /// It could not be delivered; why, in words.
    ///
    /// # Errors
    /// What the database says.
    pub fn not_delivered(&self, name: &str, error: &str) -> Result<(), ReviewError> {
        self.change_here(|connection| {
            let sql = "UPDATE outlet SET error = ?2, failed = ?3 WHERE name = ?1";
            connection.execute(sql, params![name, error, now()]).map(|_| ())
        })
    }

    /// How an outlet fares that takes alerts of this severity; nothing where it has never run.
    ///
    /// # Errors
    /// What the database says.
    pub fn outgoing(&self, name: &str, least: Severity) -> Result<Option<Outgoing>, ReviewError> {
        let read = |row: &Row| {
            let behind: i64 = row.get(3)?;
            Ok(Outgoing {
                name: name.to_owned(),
                delivered: row.get(0)?,
                error: row.get(1)?,
                failed: row.get(2)?,
                behind: behind as u64,
            })
        };
        self.read(|connection| {
            let sql = "SELECT delivered, error, failed, (SELECT count(*) FROM alert WHERE number > upto
                       AND severity >= ?2 AND NOT quiet AND node IS ?3) FROM outlet WHERE name = ?1";
            connection
                .prepare_cached(sql)?
                .query_row(params![name, least as i64, self.node()], read)
                .optional()
        })
    }
}
