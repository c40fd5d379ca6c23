//! Counts of what is in the ledger, so that a page about millions of entries reads some hundred rows. A SQLite
//! database `*.rollup` beside the index, made from the entries alone; it can be deleted and is then made anew, from
//! what was not pruned.
//!
//! **Guarantees.** What it says is true of the entries up to [`Reader::upto`], whose number is in the same transaction
//! as the counts. It follows the ledger on a thread that has the processor after those that serve, and reads what
//! is on the disk already: nothing waits for it. No entry is in it; of customers, keyed names of the newest two days.
//! Counts of content that is pruned later stay. It knows the hash of the last entry that it counted: where the ledger
//! has another one there (it is another ledger, or one from a backup), all is counted anew.
//!
//! **Trusts** the ledger's files. **Must not** be written by anything but its follower.
//!
//! **Called by** `Admin` (follows), the pages (read).

mod count;
mod fill;
mod follow;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use follow::follow;
pub use read::{Calendar, DayOfField, Permission, Reader, Refusals, Signals, Total};

/// Microseconds.
pub const HOUR: i64 = 3_600_000_000;
pub const DAY: i64 = 24 * HOUR;

/// Of the tables; another one is made anew.
const VERSION: i64 = 3;

const SCHEMA: &str = "
CREATE TABLE state (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE hour (
    contractor INTEGER NOT NULL, hour INTEGER NOT NULL, task INTEGER NOT NULL, outcome INTEGER NOT NULL,
    answers INTEGER NOT NULL, released INTEGER NOT NULL, withheld INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (contractor, hour, task, outcome)
) STRICT, WITHOUT ROWID;
CREATE TABLE field (
    contractor INTEGER NOT NULL, task INTEGER NOT NULL, route INTEGER NOT NULL, path INTEGER NOT NULL,
    treatment INTEGER NOT NULL, day INTEGER NOT NULL,
    answers INTEGER NOT NULL, disclosed INTEGER NOT NULL, withheld INTEGER NOT NULL,
    PRIMARY KEY (contractor, task, route, path, treatment, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE permission (
    contractor INTEGER NOT NULL, task INTEGER NOT NULL, route INTEGER NOT NULL, path INTEGER NOT NULL,
    treatment INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (contractor, task, route, path, treatment)
) STRICT, WITHOUT ROWID;
CREATE TABLE pulse (
    hour INTEGER NOT NULL, contractor INTEGER NOT NULL, disclosures INTEGER NOT NULL, refusals INTEGER NOT NULL,
    PRIMARY KEY (hour, contractor)
) STRICT, WITHOUT ROWID;
CREATE TABLE day (
    contractor INTEGER NOT NULL, day INTEGER NOT NULL, disclosures INTEGER NOT NULL, refusals INTEGER NOT NULL,
    records INTEGER NOT NULL, customers INTEGER NOT NULL,
    PRIMARY KEY (contractor, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    day INTEGER NOT NULL, contractor INTEGER NOT NULL, subject BLOB NOT NULL,
    PRIMARY KEY (day, contractor, subject)
) STRICT, WITHOUT ROWID;
CREATE TABLE sketch (
    contractor INTEGER NOT NULL, task INTEGER NOT NULL, day INTEGER NOT NULL, bits BLOB NOT NULL,
    PRIMARY KEY (contractor, task, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE signal (
    day INTEGER NOT NULL, contractor INTEGER NOT NULL, name INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, contractor, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE place (
    day INTEGER NOT NULL, contractor INTEGER NOT NULL, country INTEGER NOT NULL, basis INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    PRIMARY KEY (day, contractor, country, basis)
) STRICT, WITHOUT ROWID;";

/// Where the one of the ledger whose index is at `ledger` is.
pub fn path_of(ledger: &Path) -> PathBuf {
    ledger.with_extension("rollup")
}
