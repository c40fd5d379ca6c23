//! Which rows the table `seen` has already: of most customers it has them, and to ask the database costs more.

use std::collections::HashSet;

use crate::model::SubjectPseudonym;

/// More than these are forgotten, all at once: some megabytes.
const MOST: usize = 1 << 16;

/// Days since 1970-01-01, places of contractors' terms, customers.
#[derive(Default)]
pub(super) struct Seen {
    rows: HashSet<(i64, usize, SubjectPseudonym)>,
    /// The version of the database that they were in.
    version: i64,
}

impl Seen {
    /// Forgets them where another connection has written since: it may have deleted some.
    pub fn turn_to(&mut self, version: i64) {
        if self.version != version {
            self.clear();
            self.version = version;
        }
    }

    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// Whether the row must be written; then it counts as written.
    pub fn is_news(&mut self, day: i64, contractor: usize, subject: SubjectPseudonym) -> bool {
        if self.rows.len() >= MOST {
            self.clear();
        }
        self.rows.insert((day, contractor, subject))
    }
}
