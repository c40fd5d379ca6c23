//! How a store that was a gateway's own comes into a fleet. The first one makes the fleet's log begin with what it has; of
//! the others, the file is set aside as it is.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use crate::ledger::{Desk, DeskMark};

use super::statement::{Run, Statement, written_ref};
use super::{ReviewError, open_file, shared};

/// Each with the columns that there were when the first fleet shared it. Those that others refer to come first.
const TABLES: [(&str, &str, Statement); 8] = [
    (
        "account",
        "name, role, password, certificate, created, changed",
        Statement::new(
            "account-import",
            "INSERT INTO account (name, role, password, certificate, created, changed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        ),
    ),
    (
        "session",
        "hash, account, role, kind, label, begun, used, expires",
        Statement::new(
            "session-import",
            "INSERT INTO session (hash, account, role, kind, label, begun, used, expires)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        ),
    ),
    (
        "rules",
        "digest, file, text, kept",
        Statement::new(
            "rules-import",
            "INSERT INTO rules (digest, file, text, kept) VALUES (?1, ?2, ?3, ?4)",
        ),
    ),
    (
        "alert",
        "number, id, kind, severity, time, entry, contractor, credential, task, route, details, requests, quiet, over,
         acknowledged, by, note, said, node",
        Statement::new(
            "alert-import",
            "INSERT INTO alert (number, id, kind, severity, time, entry, contractor, credential, task, route, details,
             requests, quiet, over, acknowledged, by, note, said, node)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        ),
    ),
    (
        "mute",
        "number, kind, contractor, until, by, at, reason, ended, ended_by",
        Statement::new(
            "mute-import",
            "INSERT INTO mute (number, kind, contractor, until, by, at, reason, ended, ended_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        ),
    ),
    (
        "review",
        "id, contractor, from_day, to_day, due, begun, begun_by, rules, state, signed, signed_by, position, evidence,
         evidence_sha256, node",
        Statement::new(
            "review-import",
            "INSERT INTO review (id, contractor, from_day, to_day, due, begun, begun_by, rules, state, signed, signed_by,
             position, evidence, evidence_sha256, node)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        ),
    ),
    (
        "decision",
        "review, task, route, path, transform, decision, becomes, reason, by, at, file",
        Statement::new(
            "decision-import",
            "INSERT INTO decision (review, task, route, path, transform, decision, becomes, reason, by, at, file)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        ),
    ),
    // Numbers that were given away are not given again; behind the tables that they are of.
    (
        "sqlite_sequence",
        "name, seq",
        Statement::new("numbers-import", "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1"),
    ),
];

pub const STATEMENTS: &[Statement] =
    &[TABLES[0].2, TABLES[1].2, TABLES[2].2, TABLES[3].2, TABLES[4].2, TABLES[5].2, TABLES[6].2, TABLES[7].2];

/// Makes the store at `path` one of the fleet, where it is not yet.
pub fn join(path: &Path, connection: Connection, desk: &mut Desk) -> Result<Connection, ReviewError> {
    let error = |source| ReviewError::Database { path: path.to_owned(), source };
    let mut connection = connection;
    while shared::mark(&connection).map_err(error)?.is_none() {
        let is_empty = is_empty(&connection).map_err(error)?;
        let last = desk.last()?;
        if is_empty {
            shared::set_mark(&connection, DeskMark::default()).map_err(error)?;
        } else if last == 0 {
            // Where another node was faster, it is looked at again.
            publish(path, &mut connection, desk)?;
        } else {
            let aside = set_aside(path, connection)?;
            tracing::warn!(
                file = %aside.display(),
                "accounts, alerts and reviews are those of the fleet; what this gateway had before it was one of it is set aside"
            );
            connection = open_file(path)?;
        }
    }
    Ok(connection)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    for (table, ..) in &TABLES[..7] {
        if connection.prepare(&format!("SELECT 1 FROM {table} LIMIT 1"))?.exists([])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes all that there is the first entry of the log.
fn publish(path: &Path, connection: &mut Connection, desk: &mut Desk) -> Result<(), ReviewError> {
    let error = |source| ReviewError::Database { path: path.to_owned(), source };
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(error)?;
    let run = content(&transaction, desk.name()).map_err(error)?;
    let rows = run.len();
    let body = shared::body(run).ok_or_else(|| error(rusqlite::Error::InvalidQuery))?;
    let Some(mark) = desk.append(DeskMark::default(), &body)? else { return Ok(()) };
    shared::set_mark(&transaction, mark).map_err(error)?;
    transaction.commit().map_err(error)?;
    tracing::info!(rows, "accounts, alerts and reviews of this gateway are now those of the fleet");
    Ok(())
}

fn content(connection: &Connection, node: &str) -> rusqlite::Result<Vec<Run>> {
    for table in ["alert", "review"] {
        connection.execute(&format!("UPDATE {table} SET node = ?1"), [node])?;
    }
    let mut run = Vec::new();
    for (table, columns, statement) in &TABLES {
        let mut rows = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
        let count = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let value = |at: usize| written_ref(row.get_ref(at)?).ok_or(rusqlite::Error::InvalidQuery);
            let values = (0..count).map(value).collect::<rusqlite::Result<_>>()?;
            run.push(Run(statement.name.to_owned(), values));
        }
    }
    Ok(run)
}

/// Where the file is now.
fn set_aside(path: &Path, connection: Connection) -> Result<PathBuf, ReviewError> {
    let error = |source| ReviewError::Database { path: path.to_owned(), source };
    let aside = path.with_extension("review.before-fleet");
    if aside.exists() {
        return Err(ReviewError::Aside { path: path.to_owned(), aside });
    }
    // Then all of it is in the one file.
    connection.pragma_update(None, "journal_mode", "DELETE").map_err(error)?;
    connection.close().map_err(|(_, source)| error(source))?;
    let file = |source| ReviewError::File { path: path.to_owned(), source };
    std::fs::rename(path, &aside).map_err(file)?;
    Ok(aside)
}
