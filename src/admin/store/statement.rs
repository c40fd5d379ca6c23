//! Statements that change what all nodes of a fleet have. An entry of the fleet's log names them and has their values;
//! no text of SQL comes out of it.
//!
//! An entry is run again by each later version of the program: a statement that was released stays as it is, and
//! stays listed. It says the same wherever it is run: times, ids and chance are among its values, columns are named.

use std::cell::RefCell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{accounts, alerts, import, mutes, reviews, rules, sessions};

/// One of the program's own.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    pub name: &'static str,
    pub sql: &'static str,
}

const ALL: [&[Statement]; 7] = [
    accounts::STATEMENTS,
    sessions::STATEMENTS,
    rules::STATEMENTS,
    alerts::STATEMENTS,
    mutes::STATEMENTS,
    reviews::STATEMENTS,
    import::STATEMENTS,
];

impl Statement {
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        Statement { name, sql }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<&'static Statement> {
        ALL.into_iter().flatten().find(|statement| statement.name == name)
    }
}

/// A statement that was run, as the log has it: its name, and its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run(pub String, pub Vec<serde_json::Value>);

/// A transaction in work, as who changes something has it.
pub struct Change<'c> {
    connection: &'c Connection,
    /// What other nodes are to run, where there are some.
    noted: Option<RefCell<Vec<Run>>>,
    node: Option<&'c str>,
}

impl<'c> Change<'c> {
    /// Of a node on its own.
    pub fn alone(connection: &'c Connection) -> Self {
        Change { connection, noted: None, node: None }
    }

    /// Of a node of a fleet.
    pub fn noting(connection: &'c Connection, node: &'c str) -> Self {
        Change { connection, noted: Some(RefCell::default()), node: Some(node) }
    }

    /// The name of this node in its fleet.
    pub fn node(&self) -> Option<&'c str> {
        self.node
    }

    /// What was run.
    pub fn into_noted(self) -> Vec<Run> {
        self.noted.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Runs a statement here, and then on all nodes; how many rows it changed.
    ///
    /// # Errors
    /// What the database says; or it is none that another node would know.
    pub fn run(&self, statement: &Statement, values: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        let is_listed = Statement::named(statement.name).is_some_and(|listed| listed.sql == statement.sql);
        if !is_listed {
            return Err(rusqlite::Error::InvalidParameterName(statement.name.to_owned()));
        }
        let changed = self.connection.prepare_cached(statement.sql)?.execute(values)?;
        // What changes nothing here changes nothing elsewhere: all have the same.
        if let Some(noted) = self.noted.as_ref().filter(|_| changed > 0) {
            let values = values.iter().map(|value| written(*value)).collect::<rusqlite::Result<_>>()?;
            noted.borrow_mut().push(Run(statement.name.to_owned(), values));
        }
        Ok(changed)
    }

    /// Runs a statement about what only this node has.
    ///
    /// # Errors
    /// What the database says.
    pub fn run_here(&self, sql: &'static str, values: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }

    /// Whether a query finds something.
    ///
    /// # Errors
    /// What the database says.
    pub fn finds(&self, sql: &'static str, values: &[&dyn ToSql]) -> rusqlite::Result<bool> {
        self.connection.prepare_cached(sql)?.exists(values)
    }

    /// The number that the last row got.
    pub fn last_number(&self) -> i64 {
        self.connection.last_insert_rowid()
    }
}

/// Why an entry's statement cannot be run.
#[derive(Debug)]
pub enum NotRun {
    /// This program has none with this name, or its values are none.
    Unknown(String),
    Database(rusqlite::Error),
}

impl Run {
    /// Runs it on this node.
    ///
    /// # Errors
    /// Where it is not known, or the database does not take it.
    pub fn again(&self, connection: &Connection) -> Result<(), NotRun> {
        let Run(name, values) = self;
        let unknown = || NotRun::Unknown(name.clone());
        let statement = Statement::named(name).ok_or_else(unknown)?;
        let values: Vec<Value> = values.iter().map(read).collect::<Option<_>>().ok_or_else(unknown)?;
        let run = || connection.prepare_cached(statement.sql)?.execute(params_from_iter(values));
        run().map(drop).map_err(NotRun::Database)
    }
}

/// As the log has a value: bytes are an object, since text is not theirs.
fn written(value: &dyn ToSql) -> rusqlite::Result<serde_json::Value> {
    let output = value.to_sql()?;
    let value = match &output {
        ToSqlOutput::Borrowed(value) => *value,
        ToSqlOutput::Owned(value) => ValueRef::from(value),
        _ => return Err(rusqlite::Error::InvalidQuery),
    };
    written_ref(value).ok_or(rusqlite::Error::InvalidQuery)
}

/// `None` for what no table has.
pub fn written_ref(value: ValueRef) -> Option<serde_json::Value> {
    Some(match value {
        ValueRef::Null => serde_json::Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Text(text) => str::from_utf8(text).ok()?.into(),
        ValueRef::Blob(bytes) => json!({ "base64": STANDARD_NO_PAD.encode(bytes) }),
        ValueRef::Real(_) => return None,
    })
}

fn read(value: &serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Number(number) => Value::Integer(number.as_i64()?),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Object(bytes) => {
            Value::Blob(STANDARD_NO_PAD.decode(bytes.get("base64")?.as_str()?).ok()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rusqlite::params;

    use super::super::Store;
    use super::*;

    #[test]
    fn each_statement_has_a_name_of_its_own_and_says_the_same_everywhere() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("fieldgate.db")).unwrap();
        let mut names = HashSet::new();
        for statement in ALL.into_iter().flatten() {
            assert!(names.insert(statement.name), "{}", statement.name);
            store.read(|connection| connection.prepare(statement.sql).map(drop)).unwrap();
            let sql = statement.sql.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
            for word in
                ["random", "datetime", "current_", "julianday", "unixepoch", "changes(", "last_insert"]
            {
                assert!(!sql.contains(word), "{}: {word}", statement.name);
            }
            assert!(!sql.contains("insert") || sql.contains(") values") || sql.contains(") select"), "{sql}");
        }
        assert!(names.len() > 20);
    }

    #[test]
    fn what_is_noted_is_run_again_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| Store::open(&folder.path().join(name)).unwrap();
        let (one, other) = (open("one.db"), open("other.db"));
        let add = Statement::named("session-begin").unwrap();
        let noted = {
            let connection = one.lock();
            let change = Change::noting(&connection, "gateway-1");
            let hash = vec![0_u8, 255, 7];
            let values = params![hash, "Änne", None::<&str>, "browser", "", 5, i64::MAX];
            assert_eq!(change.run(add, values).unwrap(), 0, "there is no such account");
            let values = params![hash, "Änne", Some("auditor"), "browser", "", 5, i64::MAX];
            assert_eq!(change.run(add, values).unwrap(), 1);
            let own = Statement::new("session-begin", "DELETE FROM session");
            assert!(
                change.run(&own, &[]).is_err() && change.run(&Statement::new("x", "SELECT 1"), &[]).is_err()
            );
            change.into_noted()
        };
        assert_eq!(noted.len(), 1);
        let text = serde_json::to_string(&noted).unwrap();
        let noted: Vec<Run> = serde_json::from_str(&text).unwrap();
        noted[0].again(&other.lock()).unwrap();
        let dump = |store: &Store| {
            store.read(|connection| {
                let sql = "SELECT hex(hash), account, role, used, expires FROM session";
                let of = |row: &rusqlite::Row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(4)?))
                };
                connection.query_row(sql, [], of)
            })
        };
        assert_eq!(dump(&one).unwrap(), dump(&other).unwrap());
        let wrong = Run("DELETE FROM session".into(), Vec::new());
        assert!(matches!(wrong.again(&other.lock()), Err(NotRun::Unknown(_))));
        let wrong = Run("session-begin".into(), vec![json!([1])]);
        assert!(matches!(wrong.again(&other.lock()), Err(NotRun::Unknown(_))));
        let wrong = Run("session-begin".into(), vec![json!(1)]);
        assert!(matches!(wrong.again(&other.lock()), Err(NotRun::Database(_))));
    }
}
