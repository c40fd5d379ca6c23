//! Reads counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, params};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::store::ReviewError;
use super::fill::about;
use super::{VERSION, path_of};

const BUSY: Duration = Duration::from_secs(2);

/// Counts, as they are while this is open.
pub struct Reader {
    connection: Connection,
    path: PathBuf,
    /// Entries that are counted.
    pub upto: u64,
    /// When the last of them was made: microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
}

/// What a contractor got, or did not get, in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Hours since 1970-01-01T00:00:00Z.
    pub hour: i64,
    pub contractor: String,
    pub disclosures: u64,
    pub refusals: u64,
}

/// A day of a contractor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Day {
    /// Days since 1970-01-01.
    pub day: i64,
    pub disclosures: u64,
    pub refusals: u64,
    /// Records that left.
    pub records: u64,
    /// Distinct customers.
    pub customers: u64,
}

/// Days of one contractor, without those on which nothing happened.
pub type Calendar = Vec<Day>;

/// How often a field left on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct DayOfField {
    pub day: i64,
    pub path: String,
    pub disclosed: u64,
}

/// A total by a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Total {
    pub name: String,
    pub count: u64,
}

/// Refusals of a contractor by their codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refusals {
    pub contractor: String,
    pub code: String,
    pub count: u64,
}

/// Signals about a contractor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Signals {
    pub day: i64,
    pub contractor: String,
    pub name: String,
    pub count: u64,
}

/// How a permission was used: a field of a route of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Permission {
    pub task: String,
    /// The path template of the route.
    pub route: String,
    /// The path of the field, as the rule writes it.
    pub path: String,
    pub transform: String,
    /// Answers that had it, in the period.
    pub answers: u64,
    /// Values that left, in the period.
    pub disclosed: u64,
    /// When it left first and last, ever: microseconds since 1970-01-01T00:00:00Z; 0 where it never did.
    pub first: i64,
    pub last: i64,
}

impl Reader {
    /// Opens the counts of the ledger whose index is at `ledger`.
    ///
    /// # Errors
    /// Where there are none yet, or they cannot be read.
    pub fn open(ledger: &Path) -> Result<Option<Self>, ReviewError> {
        let path = path_of(ledger);
        match Reader::begin(path.clone()) {
            // The follower makes it, or makes it anew.
            Err(rusqlite::Error::SqliteFailure(error, _))
                if matches!(error.code, ErrorCode::CannotOpen | ErrorCode::NotADatabase) =>
            {
                Ok(None)
            }
            other => other.map_err(|source| ReviewError::Database { path, source }),
        }
    }

    fn begin(path: PathBuf) -> rusqlite::Result<Option<Self>> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        // One view of all tables.
        connection.execute_batch("BEGIN")?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version != VERSION {
            return Ok(None);
        }
        let state = |name: &str| {
            let sql = "SELECT value FROM state WHERE name = ?1";
            connection.query_row(sql, [name], |row| row.get::<_, i64>(0))
        };
        let (upto, time) = (state("upto")? as u64, state("time")?);
        Ok(Some(Reader { connection, path, upto, time }))
    }

    /// Disclosures and refusals by contractor and hour, from and to hours since 1970 (`to` is left out).
    ///
    /// # Errors
    /// As the others: where the database cannot be read.
    pub fn hours(&self, from: i64, to: i64) -> Result<Vec<Hour>, ReviewError> {
        let sql = "SELECT hour, text, disclosures, refusals FROM pulse JOIN word ON word.id = contractor
            WHERE hour >= ?1 AND hour < ?2 ORDER BY hour";
        self.list(sql, params![from, to], |row| {
            Ok(Hour {
                hour: row.get(0)?,
                contractor: row.get(1)?,
                disclosures: count(row, 2)?,
                refusals: count(row, 3)?,
            })
        })
    }

    /// The days of a contractor, from and to days since 1970 (`to` is left out).
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn calendar(&self, contractor: &str, from: i64, to: i64) -> Result<Calendar, ReviewError> {
        let sql = "SELECT day, disclosures, refusals, records, customers FROM day
            WHERE contractor = (SELECT id FROM word WHERE text = ?1) AND day >= ?2 AND day < ?3 ORDER BY day";
        self.list(sql, params![contractor, from, to], |row| {
            Ok(Day {
                day: row.get(0)?,
                disclosures: count(row, 1)?,
                refusals: count(row, 2)?,
                records: count(row, 3)?,
                customers: count(row, 4)?,
            })
        })
    }

    /// Distinct customers of each contractor on a day.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn customers(&self, day: i64) -> Result<BTreeMap<String, u64>, ReviewError> {
        let sql = "SELECT text, customers FROM word CROSS JOIN day ON contractor = word.id WHERE day = ?1";
        let rows = self.list(sql, params![day], |row| Ok((row.get(0)?, count(row, 1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// About how many customers a contractor saw in some days, by a task or all of them.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn about_customers(
        &self,
        contractor: &str,
        task: Option<&str>,
        from: i64,
        to: i64,
    ) -> Result<u64, ReviewError> {
        let sql = "SELECT bits FROM sketch WHERE contractor = (SELECT id FROM word WHERE text = ?1)
            AND (?2 IS NULL OR task = (SELECT id FROM word WHERE text = ?2)) AND day >= ?3 AND day < ?4";
        Ok(about(self.list(sql, params![contractor, task, from, to], |row| row.get(0))?.into_iter()))
    }

    /// How often each field of a contractor left on each day.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn fields(&self, contractor: &str, from: i64, to: i64) -> Result<Vec<DayOfField>, ReviewError> {
        // By permissions first: so only the days that are asked for are read.
        let sql = "SELECT day, p.text, sum(disclosed) FROM permission m
                CROSS JOIN field d USING (contractor, task, route, path, treatment) JOIN word p ON p.id = path
            WHERE contractor = (SELECT id FROM word WHERE text = ?1) AND day >= ?2 AND day < ?3
            GROUP BY day, path ORDER BY day, p.text";
        self.list(sql, params![contractor, from, to], |row| {
            Ok(DayOfField { day: row.get(0)?, path: row.get(1)?, disclosed: count(row, 2)? })
        })
    }

    /// How the permissions of a contractor were used; those that never were are not in it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn permissions(&self, contractor: &str, from: i64, to: i64) -> Result<Vec<Permission>, ReviewError> {
        let sql = "SELECT t.text, r.text, p.text, f.text, coalesce(sum(answers), 0), coalesce(sum(disclosed), 0),
                first, last
            FROM permission m LEFT JOIN field d ON d.contractor = m.contractor AND d.task = m.task
                AND d.route = m.route AND d.path = m.path AND d.treatment = m.treatment AND day >= ?2 AND day < ?3
                JOIN word t ON t.id = m.task JOIN word r ON r.id = m.route JOIN word p ON p.id = m.path
                JOIN word f ON f.id = m.treatment
            WHERE m.contractor = (SELECT id FROM word WHERE text = ?1)
            GROUP BY m.task, m.route, m.path, m.treatment";
        self.list(sql, params![contractor, from, to], |row| {
            Ok(Permission {
                task: row.get(0)?,
                route: row.get(1)?,
                path: row.get(2)?,
                transform: row.get(3)?,
                answers: count(row, 4)?,
                disclosed: count(row, 5)?,
                first: row.get(6)?,
                last: row.get(7)?,
            })
        })
    }

    /// Refusals by contractor and code, of one contractor or all, from and to hours since 1970.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn refusals(
        &self,
        contractor: Option<&str>,
        from: i64,
        to: i64,
    ) -> Result<Vec<Refusals>, ReviewError> {
        let sql = "SELECT c.text, o.text, sum(answers) FROM word c CROSS JOIN hour ON hour.contractor = c.id
                JOIN word o ON o.id = outcome
            WHERE o.text <> 'disclosed' AND (?1 IS NULL OR c.text = ?1) AND hour >= ?2 AND hour < ?3
            GROUP BY c.id, o.id ORDER BY 3 DESC";
        self.list(sql, params![contractor, from, to], |row| {
            Ok(Refusals { contractor: row.get(0)?, code: row.get(1)?, count: count(row, 2)? })
        })
    }

    /// Signals by day, contractor and name, of one contractor or all, the newest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn signals(&self, contractor: Option<&str>, from: i64, to: i64) -> Result<Vec<Signals>, ReviewError> {
        let sql = "SELECT day, c.text, n.text, count FROM signal JOIN word c ON c.id = contractor
            JOIN word n ON n.id = name WHERE day >= ?2 AND day < ?3 AND (?1 IS NULL OR c.text = ?1) ORDER BY day DESC, n.text";
        self.list(sql, params![contractor, from, to], |row| {
            Ok(Signals {
                day: row.get(0)?,
                contractor: row.get(1)?,
                name: row.get(2)?,
                count: count(row, 3)?,
            })
        })
    }

    /// Disclosures by the country that they went to.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn countries(&self, from: i64, to: i64) -> Result<Vec<Total>, ReviewError> {
        let sql = "SELECT text, sum(answers) FROM place JOIN word ON word.id = country
            WHERE day >= ?1 AND day < ?2 GROUP BY country ORDER BY 2 DESC";
        self.list(sql, params![from, to], |row| Ok(Total { name: row.get(0)?, count: count(row, 1)? }))
    }

    fn list<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, ReviewError> {
        let run = || {
            self.connection.prepare(sql)?.query_map(parameters, read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        run().map_err(|source| ReviewError::Database { path: self.path.clone(), source })
    }
}

fn count(row: &Row, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|count| count.max(0) as u64)
}
