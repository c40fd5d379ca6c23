//! Mutes: alerts of one kind that nobody needs to look at until a day.

use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::statement::Statement;
use super::{ReviewError, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE mute (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL,
    contractor TEXT,
    until      INTEGER NOT NULL,
    by         TEXT NOT NULL,
    at         INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    ended      INTEGER,
    ended_by   TEXT
) STRICT;
CREATE INDEX mute_kind ON mute (kind);";

const BEGIN: Statement = Statement::new(
    "mute-begin",
    "INSERT INTO mute (kind, contractor, until, by, at, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
);
const END: Statement = Statement::new(
    "mute-end",
    "UPDATE mute SET ended = ?2, ended_by = ?3 WHERE number = ?1 AND ended IS NULL AND until > ?2",
);
pub const STATEMENTS: &[Statement] = &[BEGIN, END];

/// Alerts of this kind are not shown as open, and not sent, until it is over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Mute {
    pub number: u64,
    /// The name of the signal.
    pub signal: String,
    /// All contractors where it is not there.
    pub contractor: Option<String>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub until: i64,
    pub by: String,
    /// Since when, in microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    pub reason: String,
}

const COLUMNS: &str = "number, kind, contractor, until, by, at, reason";

impl Store {
    /// Keeps a mute; its number counts up from 1, that in `mute` is not used.
    ///
    /// # Errors
    /// What the database says.
    pub fn mute(&self, mute: &Mute) -> Result<u64, ReviewError> {
        let number = self.change(|change| {
            let Mute { number: _, signal, contractor, until, by, at, reason } = mute;
            change.run(&BEGIN, params![signal, contractor, until, by, at, reason])?;
            Ok(change.last_number() as u64)
        })?;
        self.count_open()?;
        Ok(number)
    }

    /// Ends a mute before its time; whether it held until then.
    ///
    /// # Errors
    /// What the database says.
    pub fn unmute(&self, number: u64, by: &str) -> Result<bool, ReviewError> {
        let changed = self.change(|change| change.run(&END, params![number as i64, now(), by]))?;
        self.count_open()?;
        Ok(changed > 0)
    }

    /// Those that hold, the next to end first.
    ///
    /// # Errors
    /// What the database says.
    pub fn mutes(&self) -> Result<Vec<Mute>, ReviewError> {
        self.read(|connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM mute WHERE ended IS NULL AND until > ?1 ORDER BY until, number"
            );
            connection.prepare_cached(&sql)?.query_map([now()], read)?.collect()
        })
    }

    /// One that holds.
    ///
    /// # Errors
    /// What the database says.
    pub fn mute_in_force(&self, number: u64) -> Result<Option<Mute>, ReviewError> {
        self.read(|connection| {
            let sql =
                format!("SELECT {COLUMNS} FROM mute WHERE number = ?1 AND ended IS NULL AND until > ?2");
            connection.prepare_cached(&sql)?.query_row(params![number as i64, now()], read).optional()
        })
    }
}

fn read(row: &Row) -> rusqlite::Result<Mute> {
    Ok(Mute {
        number: row.get::<_, i64>(0)? as u64,
        signal: row.get(1)?,
        contractor: row.get(2)?,
        until: row.get(3)?,
        by: row.get(4)?,
        at: row.get(5)?,
        reason: row.get(6)?,
    })
}
