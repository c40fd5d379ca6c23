//! What each contractor asked for and got, out of the ledger.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use crate::ledger::{Order, Query, Search, StoreError, View};
use crate::rules::suggest::Observed;

/// Microseconds.
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The lengths that rates are given for, in seconds.
const LENGTHS: [u64; 3] = [1, 60, 3600];

/// Counts what comes by.
#[derive(Default)]
struct Counting {
    observed: Observed,
    /// By credential and task: for each length, the stretch of time that runs, and the requests in it.
    rates: HashMap<(String, String), [(i64, u64); 3]>,
    day: i64,
    /// Keyed names of that day's customers.
    subjects: HashSet<String>,
}

/// What `contractor` asked for and got since then. Customers are counted by their keyed names.
///
/// `since` is in microseconds since 1970-01-01T00:00:00Z.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn observed(search: &Search, contractor: &str, since: i64) -> Result<Observed, StoreError> {
    let query = Query { since: Some(since), contractor: Some(contractor.to_owned()), ..Query::default() };
    let mut counting = Counting::default();
    search.each(&query, Order::OldestFirst, |_, leaf| {
        if let Ok(entry) = View::parse(leaf) {
            counting.take(&entry);
        }
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    Ok(counting.observed)
}

impl Counting {
    fn take(&mut self, entry: &View) {
        if entry.kind == "signal" {
            return;
        }
        self.observed.entries += 1;
        self.subjects(entry);
        if let Some(credential) = &entry.credential {
            self.observed.credentials.insert(credential.to_string());
        }
        let (Some(task), Some(route), Some(method)) = (&entry.task, &entry.route, &entry.method) else {
            return;
        };
        let is_disclosure = entry.kind == "disclosure";
        // What rules refuse need not be served by other ones.
        let would_serve = |code: &str| code == "not-found" || code.starts_with("upstream-");
        if !is_disclosure && !entry.code.as_deref().is_some_and(would_serve) {
            return;
        }
        let is_first = entry.stream.is_none_or(|stream| stream.part == 1);
        if is_first {
            self.rate(entry.credential.as_deref().unwrap_or_default(), task, entry.time);
        }
        let method = if method == "HEAD" { "GET" } else { method };
        let task = self.observed.tasks.entry(task.to_string()).or_default();
        let route = task.routes.entry((method.to_owned(), route.to_string())).or_default();
        let is_released = entry.records.is_none_or(|records| records.released > 0);
        route.answers += u64::from(is_disclosure && is_first && is_released);
        for field in &entry.fields {
            *route.fields.entry(field.path.to_string()).or_default() += field.disclosed;
        }
    }

    fn rate(&mut self, credential: &str, task: &str, time: i64) {
        let running = self.rates.entry((credential.to_owned(), task.to_owned())).or_default();
        let most = &mut self.observed.tasks.entry(task.to_owned()).or_default().most_requests;
        for (length, (stretch, count)) in LENGTHS.into_iter().zip(running) {
            let now = time.div_euclid(length as i64 * SECOND);
            *count = if *stretch == now { *count + 1 } else { 1 };
            *stretch = now;
            let most = most.entry(length).or_default();
            *most = (*most).max(*count);
        }
    }

    fn subjects(&mut self, entry: &View) {
        let day = entry.time.div_euclid(DAY);
        if self.day != day {
            self.day = day;
            self.subjects.clear();
        }
        self.subjects.extend(entry.subjects.iter().map(ToString::to_string));
        self.observed.most_subjects = self.observed.most_subjects.max(self.subjects.len() as u64);
    }
}
