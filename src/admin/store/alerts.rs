//! Alerts: signals of the ledger and trouble with it, each with what somebody said about it.

use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension, Row, ToSql, params};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::statement::{Change, Statement};
use super::{ReviewError, Store, now};

pub const MIGRATION: &str = "
CREATE TABLE alert (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    severity     INTEGER NOT NULL,
    time         INTEGER NOT NULL,
    entry        INTEGER,
    contractor   TEXT,
    credential   TEXT,
    task         TEXT,
    route        TEXT,
    details      TEXT NOT NULL,
    requests     TEXT NOT NULL,
    quiet        INTEGER NOT NULL,
    over         INTEGER,
    acknowledged INTEGER,
    by           TEXT,
    note         TEXT,
    said         INTEGER
) STRICT;
CREATE INDEX alert_open ON alert (severity, number) WHERE acknowledged IS NULL;
CREATE INDEX alert_trouble ON alert (kind, number) WHERE entry IS NULL;
CREATE TABLE followed (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL
) STRICT;";

// One that is there already stays as it is, and no number is used up.
const RAISE: Statement = Statement::new(
    "alert-raise",
    "INSERT INTO alert (id, kind, severity, time, entry, contractor, credential, task, route, details, requests, quiet,
        node)
     SELECT ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
        ?5 < ?13 OR ?4 < 4 AND EXISTS (SELECT 1 FROM mute WHERE kind = ?3 AND (contractor IS NULL OR contractor IS ?7)
            AND until > ?1 AND ended IS NULL), ?14
     WHERE NOT EXISTS (SELECT 1 FROM alert WHERE id = ?2)",
);
const AGAIN: Statement = Statement::new(
    "alert-again",
    "UPDATE alert SET over = NULL WHERE entry IS NULL AND kind = ?1 AND over > ?2 AND acknowledged IS NULL
     AND node IS ?3",
);
const OVER: Statement = Statement::new(
    "alert-over",
    "UPDATE alert SET over = ?2 WHERE entry IS NULL AND kind = ?1 AND over IS NULL AND node IS ?3",
);
const ACKNOWLEDGE: Statement = Statement::new(
    "alert-acknowledge",
    "UPDATE alert SET acknowledged = ?2, by = ?3, note = ?4, said = ?5 WHERE number = ?1 AND acknowledged IS NULL",
);
pub const STATEMENTS: &[Statement] = &[RAISE, AGAIN, OVER, ACKNOWLEDGE];

/// Trouble that comes back within this time is the same one: microseconds.
const SAME_TROUBLE: i64 = 600_000_000;

/// What is older when it is found is not sent, since it is no news: a day, in microseconds.
const NEWS: i64 = 86_400_000_000;

/// How much an alert matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low = 1,
    Medium = 2,
    High = 3,
    /// It cannot be muted.
    Critical = 4,
}

impl Severity {
    pub const ALL: [Severity; 4] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Severity::ALL.into_iter().find(|severity| severity.as_str() == name)
    }

    fn of(number: i64) -> Self {
        // A number that nobody has written is not to be overlooked.
        Severity::ALL.into_iter().find(|severity| *severity as i64 == number).unwrap_or(Severity::Critical)
    }
}

/// What becomes an alert.
#[derive(Clone, Debug)]
pub struct Raised {
    /// Of the entry; of trouble, a name of its own.
    pub id: String,
    pub kind: String,
    pub severity: Severity,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// The number of the signal's entry in the ledger.
    pub entry: Option<u64>,
    pub contractor: Option<String>,
    pub credential: Option<String>,
    pub task: Option<String>,
    /// The path template of the route.
    pub route: Option<String>,
    /// What it is, in numbers.
    pub details: Value,
    /// Ids of the last requests behind it.
    pub requests: Vec<String>,
}

/// How an alert is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    Open,
    Acknowledged,
    Muted,
}

impl AlertState {
    pub const ALL: [AlertState; 3] = [AlertState::Open, AlertState::Acknowledged, AlertState::Muted];

    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Open => "open",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Muted => "muted",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        AlertState::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// An alert, and what was said about it.
#[derive(Clone, Debug)]
pub struct Alert {
    pub number: u64,
    pub raised: Raised,
    /// The node that raised it, in a fleet.
    pub node: Option<String>,
    pub state: AlertState,
    /// Trouble that has ended: when, in microseconds since 1970-01-01T00:00:00Z.
    pub over: Option<i64>,
    pub acknowledged: Option<Acknowledged>,
}

/// Somebody has looked at an alert.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Acknowledged {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at: i64,
    pub by: String,
    pub note: String,
    /// The number of the entry about it in the ledger.
    pub entry: u64,
}

/// Which alerts; everything that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    pub state: Option<AlertState>,
    pub contractor: Option<String>,
    pub severity: Option<Severity>,
    pub kind: Option<String>,
    /// Those behind this one, in the order of the list.
    pub after: Option<Mark>,
}

/// A place in a list of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub severity: i64,
    pub number: u64,
}

/// Whether a mute holds for an alert now; `?1` is the time.
pub(super) const MUTED: &str =
    "(alert.severity < 4 AND EXISTS (SELECT 1 FROM mute WHERE mute.kind = alert.kind
    AND (mute.contractor IS NULL OR mute.contractor IS alert.contractor)
    AND mute.until > ?1 AND mute.ended IS NULL))";

pub(super) const COLUMNS: &str = "number, id, kind, severity, time, entry, contractor, credential, task, route, details, \
                       requests, over, acknowledged, by, note, said, node";

impl Store {
    /// Up to where the ledger was read for signals; nothing where that has not begun.
    ///
    /// # Errors
    /// What the database says.
    pub fn followed(&self) -> Result<Option<u64>, ReviewError> {
        self.read(|connection| {
            let position: Option<i64> =
                connection.query_row("SELECT position FROM followed", [], |row| row.get(0)).optional()?;
            Ok(position.map(|position| position as u64))
        })
    }

    /// Keeps alerts, oldest first, and up to where the ledger was read for them. One that is there already stays
    /// as it is. How many are new.
    ///
    /// # Errors
    /// What the database says; then nothing is kept.
    pub fn raise(&self, alerts: &[Raised], position: u64) -> Result<usize, ReviewError> {
        const PLACE: &str = "INSERT OR REPLACE INTO followed VALUES (1, ?1)";
        let position = position as i64;
        if alerts.is_empty() {
            self.change_here(|connection| connection.execute(PLACE, [position]))?;
            return Ok(0);
        }
        let new = self.change(|change| {
            let mut new = 0;
            for alert in alerts {
                new += insert(change, &alert.id, alert)?;
            }
            change.run_here(PLACE, params![position])?;
            Ok(new)
        })?;
        self.count_open()?;
        Ok(new)
    }

    /// Keeps that there is trouble; what has only just ended goes on, where nobody has acknowledged it. Where the fleet's
    /// database is away, which may be the trouble, it is kept until that is back.
    ///
    /// # Errors
    /// What the database says.
    pub fn trouble(&self, alert: &Raised) -> Result<(), ReviewError> {
        match (self.keep_trouble(alert), &self.fleet) {
            (Err(error), Some(fleet)) => {
                tracing::warn!(%error, kind = alert.kind, "an alert waits for the fleet's database");
                fleet.untold.add(alert);
                Ok(())
            }
            (kept, _) => kept,
        }
    }

    pub(super) fn keep_trouble(&self, alert: &Raised) -> Result<(), ReviewError> {
        self.change(|change| {
            // Of a fleet, several nodes may have it at the same time.
            let node = change.node();
            let id = node.map_or(alert.id.clone(), |node| format!("{}-{node}", alert.id));
            let going = "SELECT 1 FROM alert WHERE entry IS NULL AND kind = ?1 AND over IS NULL
                AND (acknowledged IS NULL OR id = ?2) AND node IS ?3";
            if change.finds(going, params![alert.kind, id, node])? {
                return Ok(());
            }
            if change.run(&AGAIN, params![alert.kind, alert.time - SAME_TROUBLE, node])? == 0 {
                insert(change, &id, alert)?;
            }
            Ok(())
        })?;
        self.count_open()
    }

    /// Keeps that trouble of this kind is over.
    ///
    /// # Errors
    /// What the database says.
    pub fn no_trouble(&self, kind: &str) -> Result<(), ReviewError> {
        // Not while what waits is told: it would be told after its end.
        self.telling(|| {
            self.change(|change| change.run(&OVER, params![kind, now(), change.node()]).map(drop))
        })
    }

    /// Keeps that somebody has looked at an alert; whether it was open until then.
    ///
    /// # Errors
    /// What the database says.
    pub fn acknowledge(&self, number: u64, said: &Acknowledged) -> Result<bool, ReviewError> {
        let changed = self.change(|change| {
            let Acknowledged { at, by, note, entry } = said;
            change.run(&ACKNOWLEDGE, params![number as i64, at, by, note, *entry as i64])
        })?;
        self.count_open()?;
        Ok(changed > 0)
    }

    /// # Errors
    /// What the database says.
    pub fn alert(&self, number: u64) -> Result<Option<Alert>, ReviewError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS}, {MUTED} FROM alert WHERE number = ?2");
            connection.prepare_cached(&sql)?.query_row(params![now(), number as i64], read).optional()
        })
    }

    /// The first that fit: open ones by their severity, others newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn alerts(&self, filter: &AlertFilter, limit: usize) -> Result<Vec<Alert>, ReviewError> {
        let mut sql = format!("SELECT {COLUMNS}, {MUTED} FROM alert WHERE true");
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(now())];
        let mut and = |text: &str, value: Option<Box<dyn ToSql>>| {
            values.extend(value);
            sql.push_str(" AND ");
            sql.push_str(&text.replace('?', &format!("?{}", values.len())));
        };
        if let Some(contractor) = &filter.contractor {
            and("contractor = ?", Some(Box::new(contractor.clone())));
        }
        if let Some(kind) = &filter.kind {
            and("kind = ?", Some(Box::new(kind.clone())));
        }
        if let Some(severity) = filter.severity {
            and("severity = ?", Some(Box::new(severity as i64)));
        }
        let is_ranked = filter.state == Some(AlertState::Open);
        if let Some(mark) = filter.after {
            if is_ranked {
                let text = format!("(severity, number) < ({}, ?)", mark.severity);
                and(&text, Some(Box::new(mark.number as i64)));
            } else {
                and("number < ?", Some(Box::new(mark.number as i64)));
            }
        }
        match filter.state {
            Some(AlertState::Acknowledged) => sql.push_str(" AND acknowledged IS NOT NULL"),
            Some(AlertState::Open) => sql.push_str(&format!(" AND acknowledged IS NULL AND NOT {MUTED}")),
            Some(AlertState::Muted) => sql.push_str(&format!(" AND acknowledged IS NULL AND {MUTED}")),
            None => {}
        }
        sql.push_str(if is_ranked {
            " ORDER BY severity DESC, number DESC"
        } else {
            " ORDER BY number DESC"
        });
        sql.push_str(&format!(" LIMIT {limit}"));
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(&values), read)?;
            rows.collect()
        })
    }

    /// How many of an alert's kind, about the same contractor, there were since that time.
    ///
    /// # Errors
    /// What the database says.
    pub fn alike(&self, alert: &Alert, since: i64) -> Result<u64, ReviewError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM alert WHERE kind = ?1 AND contractor IS ?2 AND time >= ?3";
            let of = params![alert.raised.kind, alert.raised.contractor, since];
            connection
                .prepare_cached(sql)?
                .query_row(of, |row| row.get::<_, i64>(0).map(|count| count as u64))
        })
    }

    /// Contractors with alerts, and kinds of these.
    ///
    /// # Errors
    /// What the database says.
    pub fn alerted(&self) -> Result<(Vec<String>, Vec<String>), ReviewError> {
        self.read(|connection| {
            let list = |sql: &str| -> rusqlite::Result<Vec<String>> {
                connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
            };
            let contractors =
                "SELECT DISTINCT contractor FROM alert WHERE contractor IS NOT NULL ORDER BY contractor";
            Ok((list(contractors)?, list("SELECT DISTINCT kind FROM alert ORDER BY kind")?))
        })
    }

    /// Counts open alerts anew. Mutes end by themselves.
    ///
    /// # Errors
    /// What the database says.
    pub fn count_open(&self) -> Result<(), ReviewError> {
        let open: i64 = self.read(|connection| {
            let sql = format!("SELECT count(*) FROM alert WHERE acknowledged IS NULL AND NOT {MUTED}");
            connection.prepare_cached(&sql)?.query_row([now()], |row| row.get(0))
        })?;
        self.open_alerts.store(open as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Alerts that wait for somebody, as of the last count. It does not block.
    pub fn open_alerts(&self) -> u64 {
        self.open_alerts.load(Ordering::Relaxed)
    }
}

/// How many were inserted: none where it is there already.
fn insert(change: &Change, id: &str, alert: &Raised) -> rusqlite::Result<usize> {
    let values = params![
        now(),
        id,
        alert.kind,
        alert.severity as i64,
        alert.time,
        alert.entry.map(|entry| entry as i64),
        alert.contractor,
        alert.credential,
        alert.task,
        alert.route,
        alert.details.to_string(),
        serde_json::json!(alert.requests).to_string(),
        now() - NEWS,
        change.node(),
    ];
    change.run(&RAISE, values)
}

/// Reads [`COLUMNS`], and whether it is muted behind them.
pub(super) fn read(row: &Row) -> rusqlite::Result<Alert> {
    let text: String = row.get(10)?;
    let requests: String = row.get(11)?;
    let acknowledged = match row.get::<_, Option<i64>>(13)? {
        None => None,
        Some(at) => Some(Acknowledged {
            at,
            by: row.get(14)?,
            note: row.get(15)?,
            entry: row.get::<_, i64>(16)? as u64,
        }),
    };
    let state = match (&acknowledged, row.get(18)?) {
        (Some(_), _) => AlertState::Acknowledged,
        (None, true) => AlertState::Muted,
        (None, false) => AlertState::Open,
    };
    let raised = Raised {
        id: row.get(1)?,
        kind: row.get(2)?,
        severity: Severity::of(row.get(3)?),
        time: row.get(4)?,
        entry: row.get::<_, Option<i64>>(5)?.map(|entry| entry as u64),
        contractor: row.get(6)?,
        credential: row.get(7)?,
        task: row.get(8)?,
        route: row.get(9)?,
        details: serde_json::from_str(&text).unwrap_or_default(),
        requests: serde_json::from_str(&requests).unwrap_or_default(),
    };
    let (number, over, node) = (row.get::<_, i64>(0)? as u64, row.get(12)?, row.get(17)?);
    Ok(Alert { number, raised, node, state, over, acknowledged })
}
