//! Taking entries into the index, in one transaction.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{CachedStatement, Transaction, params};

use crate::model::SubjectPseudonym;

use super::super::archive::BUNDLE;
use super::super::known::MICROS_PER_DAY;
use super::super::postings::{BLOCK, Set};
use super::super::view::Indexed;
use super::seen::Seen;
use super::{FAMILIES, Family, Open, id_bytes};

/// One transaction.
pub(super) struct Filling<'i> {
    transaction: &'i Transaction<'i>,
    terms: &'i mut [HashMap<String, usize>; FAMILIES],
    open: &'i mut Vec<Open>,
    seen: &'i mut Seen,
    statements: Statements<'i>,
    /// The words of the entry before, in their order: most of them are those of the next one too.
    before: Vec<Word>,
    /// How many words of the entry in work were noted.
    noted: usize,
    /// The number of the entry in work.
    pub position: u64,
    /// First and last of the bundle that is filled.
    times: Option<(i64, i64)>,
    /// Of each contractor, by the place of its term: its name and how many entries it has.
    sequences: BTreeMap<usize, (String, u64)>,
}

/// What is written for each entry.
struct Statements<'i> {
    named: CachedStatement<'i>,
    about: CachedStatement<'i>,
    seen: CachedStatement<'i>,
}

struct Word {
    family: Family,
    text: String,
    /// Where its set is.
    at: usize,
}

impl<'i> Filling<'i> {
    pub fn new(
        transaction: &'i Transaction<'i>,
        terms: &'i mut [HashMap<String, usize>; FAMILIES],
        open: &'i mut Vec<Open>,
        seen: &'i mut Seen,
        position: u64,
    ) -> rusqlite::Result<Self> {
        let statements = Statements {
            named: transaction.prepare_cached("INSERT OR IGNORE INTO named VALUES (?1, ?2)")?,
            about: transaction.prepare_cached("INSERT OR IGNORE INTO about VALUES (?1, ?2)")?,
            seen: transaction.prepare_cached("INSERT OR IGNORE INTO seen VALUES (?1, ?2, ?3)")?,
        };
        let (before, sequences) = (Vec::new(), BTreeMap::new());
        Ok(Filling {
            transaction,
            terms,
            open,
            seen,
            statements,
            before,
            noted: 0,
            position,
            times: None,
            sequences,
        })
    }

    pub fn entry(&mut self, entry: &Indexed) -> rusqlite::Result<()> {
        self.noted = 0;
        let contractor = match entry.contractor.as_deref() {
            Some(name) => Some((self.note(Family::Contractor, name)?, name)),
            None => None,
        };
        self.words(entry)?;
        let id = id_bytes(&entry.id);
        self.statements.named.execute(params![id, self.position as i64])?;
        self.subjects(entry, contractor)?;
        if let (Some((at, name)), Some(sequence)) = (contractor, entry.sequence) {
            self.sequences.entry(at).or_insert_with(|| (name.to_owned(), 0)).1 = sequence;
        }
        let (first, last) = self.times.unwrap_or((entry.time, entry.time));
        self.times = Some((first.min(entry.time), last.max(entry.time)));
        Ok(())
    }

    /// Notes what else than its contractor it has in common with others.
    fn words(&mut self, entry: &Indexed) -> rusqlite::Result<()> {
        let words = [
            (Family::Kind, Some(entry.kind.as_ref())),
            (Family::Credential, entry.credential.as_deref()),
            (Family::Task, entry.task.as_deref()),
            (Family::Route, entry.route.as_deref()),
            (Family::Outcome, Some(entry.outcome())),
            (Family::Basis, entry.basis.as_deref()),
            (Family::Country, entry.country()),
            (Family::Case, entry.legal.as_ref().map(|legal| legal.case.as_ref())),
        ];
        for (family, word) in words {
            word.map_or(Ok(0), |word| self.note(family, word))?;
        }
        for field in entry.fields.iter().filter(|field| field.disclosed > 0) {
            self.note(Family::Field, &field.path)?;
        }
        Ok(())
    }

    /// Puts the entry into the set of a word; where that is.
    fn note(&mut self, family: Family, text: &str) -> rusqlite::Result<usize> {
        let at = match self.before.get(self.noted) {
            Some(word) if word.family == family && word.text == text => word.at,
            _ => {
                let at = self.term(family, text)?;
                let word = Word { family, text: text.to_owned(), at };
                match self.before.get_mut(self.noted) {
                    Some(before) => *before = word,
                    None => self.before.push(word),
                }
                at
            }
        };
        self.noted += 1;
        if let Some(open) = self.open.get_mut(at) {
            open.set.insert((self.position % BLOCK) as u16);
            open.changed = true;
        }
        Ok(at)
    }

    fn term(&mut self, family: Family, text: &str) -> rusqlite::Result<usize> {
        let terms = &mut self.terms[family as usize];
        if let Some(at) = terms.get(text) {
            return Ok(*at);
        }
        let sql = "INSERT INTO term (family, text) VALUES (?1, ?2)";
        self.transaction.execute(sql, params![family as u8, text])?;
        let term = self.transaction.last_insert_rowid();
        self.open.push(Open { term, set: Set::default(), changed: false });
        terms.insert(text.to_owned(), self.open.len() - 1);
        Ok(self.open.len() - 1)
    }

    fn subjects(&mut self, entry: &Indexed, contractor: Option<(usize, &str)>) -> rusqlite::Result<()> {
        if !entry.is_found_by_subject() {
            return Ok(());
        }
        // A search for a subject leads to the entry that says what was disclosed.
        let head = entry.head(self.position) as i64;
        let day = entry.time.div_euclid(MICROS_PER_DAY);
        for name in entry.subjects.iter().filter_map(|name| SubjectPseudonym::parse(name)) {
            self.statements.about.execute(params![name.0, head])?;
            // What a customer says is not seen by a contractor.
            if let Some((at, contractor)) = contractor
                && self.seen.is_news(day, at, name)
            {
                self.statements.seen.execute(params![contractor, day, name.0])?;
            }
        }
        Ok(())
    }

    /// Goes to the next entry.
    pub fn turn(&mut self) -> rusqlite::Result<()> {
        self.position += 1;
        if self.position.is_multiple_of(BUNDLE) {
            self.write_times(self.position / BUNDLE - 1)?;
        }
        if self.position.is_multiple_of(BLOCK) {
            self.write_sets(self.position / BLOCK - 1)?;
            self.open.iter_mut().for_each(|open| open.set = Set::default());
        }
        Ok(())
    }

    fn write_times(&mut self, number: u64) -> rusqlite::Result<()> {
        let Some((first, last)) = self.times.take() else { return Ok(()) };
        let sql = "INSERT INTO bundle VALUES (?1, ?2, ?3) ON CONFLICT (number)
            DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)";
        self.transaction.prepare_cached(sql)?.execute(params![number as i64, first, last])?;
        Ok(())
    }

    fn write_sets(&mut self, block: u64) -> rusqlite::Result<()> {
        let mut write =
            self.transaction.prepare_cached("INSERT OR REPLACE INTO posting VALUES (?1, ?2, ?3)")?;
        for open in self.open.iter_mut().filter(|open| open.changed) {
            write.execute(params![open.term, block as i64, open.set.to_bytes()])?;
            open.changed = false;
        }
        Ok(())
    }

    /// How many entries the index has then.
    pub fn finish(mut self) -> rusqlite::Result<u64> {
        self.write_times(self.position / BUNDLE)?;
        self.write_sets(self.position / BLOCK)?;
        let mut write = self.transaction.prepare_cached("INSERT OR REPLACE INTO sequence VALUES (?1, ?2)")?;
        for (contractor, entries) in self.sequences.values() {
            write.execute(params![contractor, *entries as i64])?;
        }
        let sql = "UPDATE state SET value = ?1 WHERE name = 'indexed'";
        self.transaction.execute(sql, [self.position as i64])?;
        Ok(self.position)
    }
}
