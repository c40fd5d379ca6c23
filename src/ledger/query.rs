//! Reading the ledger: newest first, by what a reviewer asks for.

use std::path::Path;

use rusqlite::types::Value;

use crate::model::SubjectPseudonym;

use super::sqlite::{StoreError, open_for_reading};

/// What to look for; everything that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Microseconds since 1970-01-01T00:00:00Z, inclusive.
    pub since: Option<i64>,
    /// Microseconds since 1970-01-01T00:00:00Z, exclusive.
    pub until: Option<i64>,
    pub contractor: Option<String>,
    pub task: Option<String>,
    pub subject: Option<SubjectPseudonym>,
    pub kind: Option<String>,
    /// Only entries before this number: the next page.
    pub before: Option<u64>,
    pub limit: usize,
}

/// One entry: its number and its bytes, one JSON object.
#[derive(Clone, Debug)]
pub struct Row {
    pub position: u64,
    pub leaf: String,
}

/// The newest entries that fit, newest first; whether there are more; and the number of entries in
/// the ledger, up to which the answer is complete.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn read(path: &Path, query: &Query) -> Result<(Vec<Row>, bool, u64), StoreError> {
    let database = |source| StoreError::Database { path: path.to_owned(), source };
    let mut connection = open_for_reading(path)?;
    // One transaction, so that all answers are about one state.
    let connection = connection.transaction().map_err(database)?;
    let size: i64 = connection
        .query_row("SELECT coalesce(max(position) + 1, 0) FROM entry", [], |row| row.get(0))
        .map_err(database)?;
    let (sql, parameters) = statement(query);
    let mut statement = connection.prepare(&sql).map_err(database)?;
    let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
        let leaf: Vec<u8> = row.get(1)?;
        Ok(Row { position: row.get::<_, i64>(0)? as u64, leaf: String::from_utf8_lossy(&leaf).into_owned() })
    });
    let mut rows = rows.and_then(Iterator::collect::<rusqlite::Result<Vec<Row>>>).map_err(database)?;
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    Ok((rows, more, size as u64))
}

fn statement(query: &Query) -> (String, Vec<Value>) {
    let mut sql = String::from("SELECT entry.position, leaf FROM entry");
    if query.subject.is_some() {
        sql.push_str(" JOIN entry_subject ON entry_subject.position = entry.position");
    }
    let conditions: [(&str, Option<Value>); 7] = [
        ("time >= ?", query.since.map(Value::Integer)),
        ("time < ?", query.until.map(Value::Integer)),
        ("contractor = ?", query.contractor.clone().map(Value::Text)),
        ("task = ?", query.task.clone().map(Value::Text)),
        ("kind = ?", query.kind.clone().map(Value::Text)),
        ("entry_subject.subject = ?", query.subject.map(|subject| Value::Blob(subject.0.to_vec()))),
        ("entry.position < ?", query.before.map(|before| Value::Integer(before as i64))),
    ];
    let mut parameters = Vec::new();
    for (condition, parameter) in conditions {
        let Some(parameter) = parameter else { continue };
        sql.push_str(if parameters.is_empty() { " WHERE " } else { " AND " });
        sql.push_str(condition);
        parameters.push(parameter);
    }
    sql.push_str(" ORDER BY entry.position DESC LIMIT ?");
    parameters.push(Value::Integer(query.limit as i64 + 1));
    (sql, parameters)
}
