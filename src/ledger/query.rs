//! Searching the ledger by what a reviewer asks for. A search reads the index as far as it goes and the
//! entries behind it, so that it is complete up to the last durable entry.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::SubjectPseudonym;

use super::archive::BUNDLE;
use super::error::StoreError;
use super::index::{Family, id_bytes, open_for_reading};
use super::log::Log;
use super::postings::{BLOCK, Set};
use super::view::View;

/// What to look for; everything that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Microseconds since 1970-01-01T00:00:00Z, inclusive.
    pub since: Option<i64>,
    /// Microseconds since 1970-01-01T00:00:00Z, exclusive.
    pub until: Option<i64>,
    pub kind: Option<String>,
    pub contractor: Option<String>,
    pub credential: Option<String>,
    pub task: Option<String>,
    /// The path template of a route.
    pub route: Option<String>,
    /// A disclosed field: its path in the rule, or a part of that.
    pub field: Option<String>,
    /// `disclosed`, or the code of a refusal.
    pub outcome: Option<String>,
    pub basis: Option<String>,
    /// The case of a legal grant.
    pub case: Option<String>,
    /// Where the data went.
    pub country: Option<String>,
    /// The names of one customer, one for each key epoch.
    pub subject: Option<Vec<SubjectPseudonym>>,
    /// Only entries before this number: the next page.
    pub before: Option<u64>,
}

/// In which order entries are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestFirst,
    OldestFirst,
}

/// One entry: its number and its bytes, one JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub position: u64,
    pub leaf: String,
}

/// A page of entries, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    pub rows: Vec<Row>,
    pub more: bool,
    /// Entries in the ledger: the answer is complete up to there.
    pub size: u64,
}

/// The ledger, open for searches. All of them are about the state that it had when it was opened.
pub struct Search {
    log: Log,
    index: Connection,
    path: std::path::PathBuf,
    /// Entries that are in the index.
    indexed: u64,
}

impl Search {
    /// Opens the ledger whose index is at `path`.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let index = open_for_reading(path)?;
        let error = |source| StoreError::Database { path: path.to_owned(), source };
        // No transaction: a reader that stands still for long would keep the index from being tidied up. What
        // is indexed after this moment is left out.
        let sql = "SELECT value FROM state WHERE name = 'indexed'";
        let indexed: i64 = index.query_row(sql, [], |row| row.get(0)).map_err(error)?;
        let log = Log::open(path)?;
        let indexed = (indexed as u64).min(log.size());
        Ok(Search { log, index, path: path.to_owned(), indexed })
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The newest entries that fit.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn page(&self, query: &Query, limit: usize) -> Result<Page, StoreError> {
        let (mut rows, mut more) = (Vec::new(), false);
        self.each(query, Order::NewestFirst, |position, leaf| {
            if rows.len() == limit {
                more = true;
                return Ok(ControlFlow::Break(()));
            }
            rows.push(Row { position, leaf: String::from_utf8_lossy(leaf).into_owned() });
            Ok::<_, StoreError>(ControlFlow::Continue(()))
        })?;
        Ok(Page { rows, more, size: self.log.size() })
    }

    /// Shows each entry that fits, until `show` has seen enough. Memory does not grow with their number.
    ///
    /// # Errors
    /// Where the ledger cannot be read, and what `show` says.
    pub fn each<E: From<StoreError>>(
        &self,
        query: &Query,
        order: Order,
        mut show: impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let heads = self.unindexed_heads(query)?;
        let behind = self.indexed..self.log.size().min(query.before.unwrap_or(u64::MAX));
        if order == Order::NewestFirst
            && self.each_behind(query, behind.clone(), &heads, order, &mut show)?.is_break()
        {
            return Ok(());
        }
        if self.each_indexed(query, &heads, order, &mut show)?.is_break() {
            return Ok(());
        }
        if order == Order::OldestFirst {
            let _ = self.each_behind(query, behind, &heads, order, &mut show)?;
        }
        Ok(())
    }

    /// The numbers of the entries about one response.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn with_id(&self, id: &str) -> Result<Vec<u64>, StoreError> {
        Ok(self.with_ids(&[id])?.pop().unwrap_or_default())
    }

    /// The same of several responses, each in its place. What is not in the index yet is read once for all.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn with_ids(&self, ids: &[&str]) -> Result<Vec<Vec<u64>>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let mut positions = self.select("SELECT position FROM named WHERE id = ?1", &id_bytes(id))?;
            positions.retain(|position| *position < self.indexed);
            found.push(positions);
        }
        for position in self.indexed..self.log.size() {
            let Some(leaf) = self.log.entry(position)? else { continue };
            let Ok(entry) = View::parse(&leaf) else { continue };
            for (id, positions) in ids.iter().zip(&mut found) {
                if entry.id == **id {
                    positions.push(position);
                }
            }
        }
        Ok(found)
    }

    /// All contractors that have entries in the index.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn contractors(&self) -> Result<Vec<String>, StoreError> {
        let read = || {
            let mut statement = self.index.prepare("SELECT text FROM term WHERE family = ?1")?;
            let rows = statement.query_map([Family::Contractor as u8], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// The indexed entries that fit whose content is gone: a deletion has left them in the index.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn gone(&self, query: &Query) -> Result<Vec<u64>, StoreError> {
        let plan = self.plan(query, &BTreeSet::new())?;
        let mut gone = Vec::new();
        for block in 0..self.indexed.div_ceil(BLOCK) {
            for offset in self.block(&plan, block)?.offsets() {
                let position = block * BLOCK + u64::from(offset);
                if position < self.indexed && self.log.entry(position)?.is_none() {
                    gone.push(position);
                }
            }
        }
        Ok(gone)
    }

    fn select(&self, sql: &str, key: &[u8]) -> Result<Vec<u64>, StoreError> {
        let read = || {
            let mut statement = self.index.prepare_cached(sql)?;
            let rows = statement.query_map([key], |row| row.get::<_, i64>(0).map(|number| number as u64))?;
            rows.collect::<rusqlite::Result<Vec<u64>>>()
        };
        read().map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }

    /// Entries that the index does not have, about a subject that only a later entry of the same response
    /// names.
    fn unindexed_heads(&self, query: &Query) -> Result<BTreeSet<u64>, StoreError> {
        let mut heads = BTreeSet::new();
        let Some(names) = &query.subject else { return Ok(heads) };
        for position in self.indexed..self.log.size() {
            let Some(leaf) = self.log.entry(position)? else { continue };
            let Ok(entry) = View::parse(&leaf) else { continue };
            let mut names_here = entry.subjects.iter().filter_map(|name| SubjectPseudonym::parse(name));
            if entry.is_found_by_subject() && names_here.any(|name| names.contains(&name)) {
                heads.insert(position.saturating_sub(entry.part.map_or(0, |part| part.saturating_sub(1))));
            }
        }
        Ok(heads)
    }

    fn each_behind<E: From<StoreError>>(
        &self,
        query: &Query,
        positions: Range<u64>,
        heads: &BTreeSet<u64>,
        order: Order,
        show: &mut impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let mut show = |position| match self.log.entry(position)? {
            Some(leaf) if fits(&leaf, query, heads.contains(&position)) => show(position, &leaf),
            _ => Ok(ControlFlow::Continue(())),
        };
        let mut positions: Box<dyn Iterator<Item = u64>> = match order {
            Order::NewestFirst => Box::new(positions.rev()),
            Order::OldestFirst => Box::new(positions),
        };
        positions
            .try_for_each(|position| match show(position) {
                Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
                other => ControlFlow::Break(other),
            })
            .break_value()
            .unwrap_or(Ok(ControlFlow::Continue(())))
    }

    fn each_indexed<E: From<StoreError>>(
        &self,
        query: &Query,
        heads: &BTreeSet<u64>,
        order: Order,
        show: &mut impl FnMut(u64, &[u8]) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let plan = self.plan(query, heads)?;
        let range = self.range(query)?;
        let mut blocks: Vec<u64> = (range.start / BLOCK..range.end.div_ceil(BLOCK)).collect();
        if order == Order::NewestFirst {
            blocks.reverse();
        }
        for block in blocks {
            let mut offsets = self.block(&plan, block)?.offsets();
            if order == Order::NewestFirst {
                offsets.reverse();
            }
            for offset in offsets {
                let position = block * BLOCK + u64::from(offset);
                if !range.contains(&position) {
                    continue;
                }
                let Some(leaf) = self.log.entry(position)? else { continue };
                if is_in_time(&leaf, query) && show(position, &leaf)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The terms that must hold, any of each list; and the entries about the subject.
    fn plan(&self, query: &Query, heads: &BTreeSet<u64>) -> Result<Plan, StoreError> {
        let mut terms = Vec::new();
        for (family, word) in words(query) {
            let exact = "SELECT id FROM term WHERE family = ?1 AND text = ?2";
            let part = "SELECT id FROM term WHERE family = ?1 AND instr(text, ?2) > 0";
            let read = || {
                let mut statement =
                    self.index.prepare_cached(if family == Family::Field { part } else { exact })?;
                let rows = statement.query_map(params![family as u8, word], |row| row.get(0))?;
                rows.collect::<rusqlite::Result<Vec<i64>>>()
            };
            terms.push(read().map_err(|source| self.error(source))?);
        }
        let mut subject = None;
        if let Some(names) = &query.subject {
            let mut positions: BTreeSet<u64> = heads.clone();
            for name in names {
                positions.extend(self.select("SELECT position FROM about WHERE subject = ?1", &name.0)?);
            }
            subject = Some(positions);
        }
        Ok(Plan { terms, subject })
    }

    /// The entries of a block that have all terms.
    fn block(&self, plan: &Plan, block: u64) -> Result<Set, StoreError> {
        let mut found = match &plan.subject {
            None => Set::all(),
            Some(positions) => {
                let mut set = Set::default();
                let here = positions.range(block * BLOCK..(block + 1) * BLOCK);
                here.for_each(|position| set.insert((position % BLOCK) as u16));
                set
            }
        };
        for terms in &plan.terms {
            if found.is_empty() {
                break;
            }
            let mut any = Set::default();
            for term in terms {
                if let Some(set) = self.posting(*term, block)? {
                    any.unite(&set);
                }
            }
            found.intersect(&any);
        }
        Ok(found)
    }

    fn posting(&self, term: i64, block: u64) -> Result<Option<Set>, StoreError> {
        let sql = "SELECT bits FROM posting WHERE term = ?1 AND block = ?2";
        let read = || {
            let mut statement = self.index.prepare_cached(sql)?;
            statement.query_row(params![term, block as i64], |row| row.get::<_, Vec<u8>>(0)).optional()
        };
        let bits = read().map_err(|source| self.error(source))?;
        let damaged = || StoreError::Broken {
            path: self.path.clone(),
            what: "the index is damaged; delete it, the gateway makes it anew".to_owned(),
        };
        bits.map(|bits| Set::from_bytes(&bits).ok_or_else(damaged)).transpose()
    }

    /// The entries that can be in time, as far as their bundles say.
    fn range(&self, query: &Query) -> Result<Range<u64>, StoreError> {
        let end = self.indexed.min(query.before.unwrap_or(u64::MAX));
        if query.since.is_none() && query.until.is_none() {
            return Ok(0..end);
        }
        let sql = "SELECT min(number), max(number) FROM bundle WHERE last >= ?1 AND first < ?2";
        let times = params![query.since.unwrap_or(i64::MIN), query.until.unwrap_or(i64::MAX)];
        let bounds = self.index.query_row(sql, times, |row| Ok((row.get(0)?, row.get(1)?)));
        let (first, last): (Option<i64>, Option<i64>) = bounds.map_err(|source| self.error(source))?;
        let (Some(first), Some(last)) = (first, last) else { return Ok(0..0) };
        Ok(first as u64 * BUNDLE..end.min((last as u64 + 1) * BUNDLE))
    }
}

/// What a block is intersected from.
struct Plan {
    terms: Vec<Vec<i64>>,
    subject: Option<BTreeSet<u64>>,
}

/// What the index knows of a query.
fn words(query: &Query) -> Vec<(Family, &str)> {
    let words = [
        (Family::Kind, &query.kind),
        (Family::Contractor, &query.contractor),
        (Family::Credential, &query.credential),
        (Family::Task, &query.task),
        (Family::Route, &query.route),
        (Family::Field, &query.field),
        (Family::Outcome, &query.outcome),
        (Family::Basis, &query.basis),
        (Family::Country, &query.country),
        (Family::Case, &query.case),
    ];
    words.into_iter().filter_map(|(family, word)| Some((family, word.as_deref()?))).collect()
}

/// Whether an entry that is not in the index is one that is looked for.
fn fits(leaf: &[u8], query: &Query, is_about_subject: bool) -> bool {
    let Ok(entry) = View::parse(leaf) else { return false };
    let has = |family, word: &str| match family {
        Family::Kind => entry.kind == word,
        Family::Contractor => entry.contractor.as_deref() == Some(word),
        Family::Credential => entry.credential.as_deref() == Some(word),
        Family::Task => entry.task.as_deref() == Some(word),
        Family::Route => entry.route.as_deref() == Some(word),
        Family::Field => entry.fields.iter().any(|field| field.disclosed > 0 && field.path.contains(word)),
        Family::Outcome => entry.outcome() == word,
        Family::Basis => entry.basis.as_deref() == Some(word),
        Family::Country => entry.country() == Some(word),
        Family::Case => entry.legal.as_ref().is_some_and(|legal| legal.case == word),
    };
    (query.subject.is_none() || is_about_subject)
        && is_within(entry.time, query)
        && words(query).into_iter().all(|(family, word)| has(family, word))
}

fn is_in_time(leaf: &[u8], query: &Query) -> bool {
    let any = query.since.is_none() && query.until.is_none();
    any || View::parse(leaf).is_ok_and(|entry| is_within(entry.time, query))
}

fn is_within(time: i64, query: &Query) -> bool {
    query.since.is_none_or(|since| time >= since) && query.until.is_none_or(|until| time < until)
}
