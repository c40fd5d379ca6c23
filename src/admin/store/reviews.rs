//! Reviews of what contractors may see: begun, decided item by item, signed off, and then as they are.

use rusqlite::{OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::statement::{Change, Statement};
use super::{ReviewError, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE review (
    id              INTEGER PRIMARY KEY,
    contractor      TEXT NOT NULL,
    from_day        INTEGER NOT NULL,
    to_day          INTEGER NOT NULL,
    due             INTEGER NOT NULL,
    begun           INTEGER NOT NULL,
    begun_by        TEXT NOT NULL,
    rules           TEXT NOT NULL,
    state           TEXT NOT NULL DEFAULT 'open',
    signed          INTEGER,
    signed_by       TEXT,
    position        INTEGER,
    evidence        TEXT,
    evidence_sha256 TEXT
) STRICT;
CREATE INDEX review_state ON review (state);
CREATE TABLE decision (
    review    INTEGER NOT NULL REFERENCES review (id),
    task      TEXT NOT NULL,
    route     TEXT NOT NULL,
    path      TEXT NOT NULL,
    transform TEXT NOT NULL,
    decision  TEXT NOT NULL,
    becomes   TEXT NOT NULL,
    reason    TEXT NOT NULL,
    by        TEXT NOT NULL,
    at        INTEGER NOT NULL,
    file      TEXT NOT NULL,
    PRIMARY KEY (review, task, route, path, transform)
) STRICT, WITHOUT ROWID;";

const BEGIN: Statement = Statement::new(
    "review-begin",
    "INSERT INTO review (contractor, from_day, to_day, due, begun, begun_by, rules)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
);
const DECIDE: Statement = Statement::new(
    "review-decide",
    "INSERT OR REPLACE INTO decision (review, task, route, path, transform, decision, becomes, reason, by, at, file)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
);
const SIGN: Statement = Statement::new(
    "review-sign",
    "UPDATE review SET state = 'signing', signed = ?2, signed_by = ?3, evidence = NULL, evidence_sha256 = NULL,
     node = ?4 WHERE id = ?1 AND state = 'open'",
);
const EVIDENCE: Statement = Statement::new(
    "review-evidence",
    "UPDATE review SET rules = ?2, evidence = ?3, evidence_sha256 = ?4 WHERE id = ?1 AND state = 'signing'",
);
const SIGNED: Statement = Statement::new(
    "review-signed",
    "UPDATE review SET state = 'signed', position = ?2 WHERE id = ?1 AND state = 'signing'",
);
const REOPEN: Statement = Statement::new(
    "review-reopen",
    "UPDATE review SET state = 'open', signed = NULL, signed_by = NULL, evidence = NULL, evidence_sha256 = NULL
     WHERE id = ?1 AND state = 'signing'",
);
pub const STATEMENTS: &[Statement] = &[BEGIN, DECIDE, SIGN, EVIDENCE, SIGNED, REOPEN];

/// How far a review is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Open,
    /// Its entry is being written; where that failed, signing off again ends it.
    Signing,
    Signed,
}

/// A review.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Campaign {
    pub id: i64,
    pub contractor: String,
    /// The first day of the period: days since 1970-01-01.
    pub from_day: i64,
    /// The last one.
    pub to_day: i64,
    /// The day by which it is to be signed off.
    pub due: i64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub begun: i64,
    pub begun_by: String,
    /// The digest of the rules: in force when it was begun, and from the sign-off on those that it is about.
    pub rules: String,
    pub state: State,
    /// Microseconds since 1970-01-01T00:00:00Z; of the attempt while it is signed off.
    pub signed: Option<i64>,
    pub signed_by: Option<String>,
    /// The number of the entry.
    pub position: Option<u64>,
    pub evidence_sha256: Option<String>,
}

/// What somebody decided about a permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub task: String,
    pub route: String,
    pub path: String,
    pub transform: String,
    /// `keep`, `reduce` or `revoke`.
    pub decision: String,
    /// The transform that it is reduced to.
    pub becomes: String,
    pub reason: String,
    pub by: String,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    /// SHA-256 of the rule file that it was decided about.
    pub file: String,
}

const COLUMNS: &str =
    "id, contractor, from_day, to_day, due, begun, begun_by, rules, state, signed, signed_by,
    position, evidence_sha256";

impl Campaign {
    fn of(row: &Row) -> rusqlite::Result<Self> {
        let state = match row.get::<_, String>(8)?.as_str() {
            "open" => State::Open,
            "signing" => State::Signing,
            _ => State::Signed,
        };
        Ok(Campaign {
            id: row.get(0)?,
            contractor: row.get(1)?,
            from_day: row.get(2)?,
            to_day: row.get(3)?,
            due: row.get(4)?,
            begun: row.get(5)?,
            begun_by: row.get(6)?,
            rules: row.get(7)?,
            state,
            signed: row.get(9)?,
            signed_by: row.get(10)?,
            position: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
            evidence_sha256: row.get(12)?,
        })
    }

    /// Nobody has signed it off in time.
    pub fn is_late(&self, today: i64) -> bool {
        self.state != State::Signed && self.due < today
    }
}

impl Decision {
    fn of(row: &Row) -> rusqlite::Result<Self> {
        Ok(Decision {
            task: row.get(0)?,
            route: row.get(1)?,
            path: row.get(2)?,
            transform: row.get(3)?,
            decision: row.get(4)?,
            becomes: row.get(5)?,
            reason: row.get(6)?,
            by: row.get(7)?,
            at: row.get(8)?,
            file: row.get(9)?,
        })
    }
}

/// How many reviews are not signed off, and how many of those are late.
///
/// # Errors
/// What the database says.
pub fn open(store: &Store) -> Result<(u64, u64), ReviewError> {
    let today = now().div_euclid(86_400_000_000);
    store.read(|connection| {
        let sql =
            "SELECT count(*), coalesce(sum(due < ?1), 0) FROM review WHERE state IN ('open', 'signing')";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row([today], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))
    })
}

impl Store {
    /// Begins a review; its number.
    ///
    /// # Errors
    /// What the database says, as for all of these.
    pub fn begin_review(&self, new: &Campaign) -> Result<i64, ReviewError> {
        self.change(|change| {
            let new = params![
                new.contractor,
                new.from_day,
                new.to_day,
                new.due,
                new.begun,
                new.begun_by,
                new.rules
            ];
            change.run(&BEGIN, new)?;
            Ok(change.last_number())
        })
    }

    /// Those that are not signed off, the most urgent first; then the newest signed ones.
    ///
    /// # Errors
    /// What the database says.
    pub fn reviews(&self, signed: usize) -> Result<Vec<Campaign>, ReviewError> {
        self.read(|connection| {
            let sql = format!(
                "SELECT * FROM (SELECT {COLUMNS} FROM review WHERE state IN ('open', 'signing') ORDER BY due, id)
                UNION ALL
                SELECT * FROM (SELECT {COLUMNS} FROM review WHERE state = 'signed' ORDER BY signed DESC LIMIT ?1)"
            );
            connection.prepare_cached(&sql)?.query_map([signed as i64], Campaign::of)?.collect()
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// What the database says.
    pub fn review(&self, id: i64) -> Result<Option<Campaign>, ReviewError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM review WHERE id = ?1");
            connection.prepare_cached(&sql)?.query_row([id], Campaign::of).optional()
        })
    }

    /// What was decided in a review.
    ///
    /// # Errors
    /// What the database says.
    pub fn decisions(&self, review: i64) -> Result<Vec<Decision>, ReviewError> {
        self.read(|connection| {
            let sql =
                "SELECT task, route, path, transform, decision, becomes, reason, by, at, file FROM decision
                WHERE review = ?1";
            connection.prepare_cached(sql)?.query_map([review], Decision::of)?.collect()
        })
    }

    /// Takes decisions down, over those before; false where the review is not open, and nothing changes.
    ///
    /// # Errors
    /// What the database says.
    pub fn decide(&self, review: i64, decisions: &[Decision]) -> Result<bool, ReviewError> {
        self.change(|change| {
            if !is_open(change, review)? {
                return Ok(false);
            }
            for one in decisions {
                let values = params![
                    review,
                    one.task,
                    one.route,
                    one.path,
                    one.transform,
                    one.decision,
                    one.becomes,
                    one.reason,
                    one.by,
                    one.at,
                    one.file
                ];
                change.run(&DECIDE, values)?;
            }
            Ok(true)
        })
    }

    /// Stops decisions, so that what is signed off is what was seen; false where it is not open.
    ///
    /// # Errors
    /// What the database says.
    pub fn begin_sign_off(&self, review: i64, by: &str) -> Result<bool, ReviewError> {
        self.change(|change| Ok(change.run(&SIGN, params![review, now(), by, change.node()])? == 1))
    }

    /// Keeps what is to be signed off, before its entry is written.
    ///
    /// # Errors
    /// What the database says.
    pub fn keep_evidence(
        &self,
        review: i64,
        rules: &str,
        text: &str,
        sha256: &str,
    ) -> Result<(), ReviewError> {
        self.change(|change| change.run(&EVIDENCE, params![review, rules, text, sha256]).map(drop))
    }

    /// It is in the ledger: nothing changes any more.
    ///
    /// # Errors
    /// What the database says.
    pub fn end_sign_off(&self, review: i64, position: u64) -> Result<(), ReviewError> {
        self.change(|change| change.run(&SIGNED, params![review, position as i64]).map(drop))
    }

    /// It was not signed off after all.
    ///
    /// # Errors
    /// What the database says.
    pub fn reopen_review(&self, review: i64) -> Result<(), ReviewError> {
        self.change(|change| change.run(&REOPEN, params![review]).map(drop))
    }

    /// The other node at which it is being signed off: only that one's ledger says how that ended.
    ///
    /// # Errors
    /// What the database says.
    pub fn signed_elsewhere(&self, review: i64) -> Result<Option<String>, ReviewError> {
        let node: Option<String> = self.read(|connection| {
            let sql = "SELECT node FROM review WHERE id = ?1 AND state = 'signing'";
            let found = connection.prepare_cached(sql)?.query_row([review], |row| row.get(0)).optional()?;
            Ok(found.flatten())
        })?;
        Ok(node.filter(|node| Some(node.as_str()) != self.node()))
    }

    /// The document that was signed off.
    ///
    /// # Errors
    /// What the database says.
    pub fn evidence(&self, review: i64) -> Result<Option<String>, ReviewError> {
        self.read(|connection| {
            let sql = "SELECT evidence FROM review WHERE id = ?1 AND state = 'signed'";
            connection.prepare_cached(sql)?.query_row([review], |row| row.get(0)).optional()
        })
    }
}

fn is_open(change: &Change, review: i64) -> rusqlite::Result<bool> {
    change.finds("SELECT 1 FROM review WHERE id = ?1 AND state = 'open'", params![review])
}
