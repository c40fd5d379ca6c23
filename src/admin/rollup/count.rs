//! Counts a stretch of entries in memory.

use std::collections::{HashMap, HashSet};

use crate::ledger::View;

use super::{DAY, HOUR};

/// Numbers of words.
pub type Word = i64;

/// Gives words their numbers.
pub trait Words {
    /// # Errors
    /// What the database says.
    fn number(&mut self, text: &str) -> rusqlite::Result<Word>;
}

/// Contractor, hour, task, outcome.
pub type HourKey = (Word, i64, Word, Word);
/// Contractor, task, route, path, treatment, day.
pub type FieldKey = (Word, Word, Word, Word, Word, i64);

#[derive(Clone, Copy, Default)]
pub struct HourCount {
    pub answers: u64,
    pub released: u64,
    pub withheld: u64,
    pub bytes: u64,
}

/// Of a contractor, in an hour or on a day.
#[derive(Clone, Copy, Default)]
pub struct Pulse {
    pub disclosures: u64,
    pub refusals: u64,
    pub records: u64,
}

#[derive(Clone, Copy, Default)]
pub struct FieldCount {
    pub answers: u64,
    pub disclosed: u64,
    pub withheld: u64,
    /// When it left first and last: microseconds since 1970-01-01T00:00:00Z; 0 where it did not.
    pub first: i64,
    pub last: i64,
}

/// What a stretch of entries adds.
#[derive(Default)]
pub struct Counting {
    pub hours: HashMap<HourKey, HourCount>,
    /// Contractor and hour.
    pub pulse: HashMap<(Word, i64), Pulse>,
    pub fields: HashMap<FieldKey, FieldCount>,
    /// Day, contractor and task: keyed names of customers.
    pub subjects: HashMap<(i64, Word, Word), HashSet<Vec<u8>>>,
    /// Day, contractor, name.
    pub signals: HashMap<(i64, Word, Word), u64>,
    /// Day, contractor, country, basis.
    pub places: HashMap<(i64, Word, Word, Word), u64>,
    /// Of the last entry.
    pub time: i64,
}

impl Counting {
    /// Counts an entry.
    ///
    /// # Errors
    /// What gives the words their numbers says.
    pub fn take(&mut self, entry: &View, words: &mut impl Words) -> rusqlite::Result<()> {
        self.time = entry.time;
        match entry.kind.as_ref() {
            "disclosure" => self.disclosure(entry, words),
            "subjects" => self.customers(entry, words),
            "refusal" => {
                let key = hour_key(entry, words)?;
                let refusals = 1 + entry.not_written;
                self.hours.entry(key).or_default().answers += refusals;
                self.pulse.entry((key.0, key.1)).or_default().refusals += refusals;
                Ok(())
            }
            "signal" => {
                let contractor = words.number(entry.contractor.as_deref().unwrap_or_default())?;
                let name = words.number(entry.outcome())?;
                *self.signals.entry((entry.time.div_euclid(DAY), contractor, name)).or_default() += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn disclosure(&mut self, entry: &View, words: &mut impl Words) -> rusqlite::Result<()> {
        let key = hour_key(entry, words)?;
        // Further parts of a response are no further answers.
        let first = u64::from(entry.stream.is_none_or(|stream| stream.part <= 1));
        let records = entry.records.unwrap_or_default();
        let hour = self.hours.entry(key).or_default();
        hour.answers += first;
        hour.released += records.released;
        hour.withheld += records.withheld;
        hour.bytes += entry.bytes.unwrap_or_default();
        let pulse = self.pulse.entry((key.0, key.1)).or_default();
        pulse.disclosures += first;
        pulse.records += records.released;
        let (contractor, task) = (key.0, key.2);
        let day = entry.time.div_euclid(DAY);
        if first > 0 {
            let country = words.number(entry.country().unwrap_or_default())?;
            let basis = words.number(entry.basis.as_deref().unwrap_or_default())?;
            *self.places.entry((day, contractor, country, basis)).or_default() += 1;
        }
        let route = words.number(entry.route.as_deref().unwrap_or_default())?;
        for field in &entry.fields {
            let path = words.number(&field.path)?;
            let treatment = words.number(field.transform.as_deref().unwrap_or_default())?;
            let count = self.fields.entry((contractor, task, route, path, treatment, day)).or_default();
            count.answers += first * u64::from(field.disclosed > 0);
            count.disclosed += field.disclosed;
            count.withheld += field.withheld;
            if field.disclosed > 0 {
                count.first = if count.first == 0 { entry.time } else { count.first.min(entry.time) };
                count.last = count.last.max(entry.time);
            }
        }
        self.customers(entry, words)
    }

    fn customers(&mut self, entry: &View, words: &mut impl Words) -> rusqlite::Result<()> {
        if entry.subjects.is_empty() {
            return Ok(());
        }
        let contractor = words.number(entry.contractor.as_deref().unwrap_or_default())?;
        let task = words.number(entry.task.as_deref().unwrap_or_default())?;
        let names = self.subjects.entry((entry.time.div_euclid(DAY), contractor, task)).or_default();
        names.extend(entry.subjects.iter().filter_map(|name| bytes(name)));
        Ok(())
    }
}

fn hour_key(entry: &View, words: &mut impl Words) -> rusqlite::Result<HourKey> {
    let mut number = |text: Option<&str>| words.number(text.unwrap_or_default());
    let (contractor, task) = (number(entry.contractor.as_deref())?, number(entry.task.as_deref())?);
    Ok((contractor, entry.time.div_euclid(HOUR), task, number(Some(entry.outcome()))?))
}

fn bytes(name: &str) -> Option<Vec<u8>> {
    crate::model::SubjectPseudonym::parse(name).map(|name| name.0.to_vec())
}
