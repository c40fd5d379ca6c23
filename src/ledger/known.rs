//! What the writer must know of all entries to number the next ones and to keep a contractor's limits.

use std::collections::{HashMap, HashSet};

use crate::model::SubjectPseudonym;

use super::entry::Draft;
use super::view::View;

pub const MICROS_PER_DAY: i64 = 86_400_000_000;

#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Entries of each contractor so far.
    pub sequences: HashMap<String, u64>,
    /// The day, in days since 1970-01-01.
    pub day: i64,
    /// The subjects that each contractor has seen, in it and in the day before.
    pub subjects: HashMap<(i64, String), HashSet<SubjectPseudonym>>,
    /// What the batch in work has changed.
    undo: Vec<Undo>,
}

#[derive(Clone, Debug)]
enum Undo {
    Sequence(String),
    Subject((i64, String), SubjectPseudonym),
}

/// What became of a draft's subjects.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// Those that the contractor had not seen that day.
    pub new: u64,
    /// How many more there may be.
    pub left: u64,
}

impl Known {
    pub fn new(day: i64) -> Self {
        Known { day, ..Known::default() }
    }

    /// Begins another day, where it is one. A clock that goes back does not begin the day before.
    pub fn turn_to(&mut self, time: i64) {
        let day = time.div_euclid(MICROS_PER_DAY);
        if day > self.day {
            self.day = day;
            self.subjects.retain(|(known, _), _| *known >= day - 1);
        }
    }

    /// The day that a draft counts for. One that was made before midnight counts for the day that its entry says; a
    /// clock that jumped further back opens no day anew.
    pub fn day_of(&self, draft: &Draft) -> i64 {
        draft.time.div_euclid(MICROS_PER_DAY).clamp(self.day - 1, self.day)
    }

    /// Whether the contractor has not seen all of the draft's subjects in its day.
    pub fn is_news(&self, draft: &Draft) -> bool {
        let Some(contractor) = draft.contractor.as_deref() else { return false };
        let seen = self.subjects.get(&(self.day_of(draft), contractor.to_owned()));
        draft.subjects().any(|subject| seen.is_none_or(|seen| !seen.contains(subject)))
    }

    /// Counts the draft's subjects for its day; `None` (and nothing counted) where they would be too many.
    pub fn admit(&mut self, draft: &Draft) -> Option<Admitted> {
        let Some(contractor) = draft.contractor.as_deref() else {
            return Some(Admitted { new: 0, left: u64::MAX });
        };
        let key = (self.day_of(draft), contractor.to_owned());
        let none = HashSet::new();
        let seen = self.subjects.get(&key).unwrap_or(&none);
        let new: HashSet<SubjectPseudonym> =
            draft.subjects().filter(|subject| !seen.contains(*subject)).copied().collect();
        let (count, added) = ((seen.len() + new.len()) as u64, new.len() as u64);
        if !new.is_empty() && count > draft.subjects_per_day {
            return None;
        }
        if !new.is_empty() {
            self.undo.extend(new.iter().map(|subject| Undo::Subject(key.clone(), *subject)));
            self.subjects.entry(key).or_default().extend(new);
        }
        Some(Admitted { new: added, left: draft.subjects_per_day.saturating_sub(count) })
    }

    /// The number of the contractor's next entry.
    pub fn next_sequence(&mut self, contractor: &str) -> u64 {
        self.undo.push(Undo::Sequence(contractor.to_owned()));
        match self.sequences.get_mut(contractor) {
            Some(sequence) => {
                *sequence += 1;
                *sequence
            }
            None => {
                self.sequences.insert(contractor.to_owned(), 1);
                1
            }
        }
    }

    /// The batch is on the disk.
    pub fn keep(&mut self) {
        self.undo.clear();
    }

    /// The batch is not on the disk.
    pub fn take_back(&mut self) {
        for undo in std::mem::take(&mut self.undo) {
            match undo {
                Undo::Sequence(contractor) => {
                    self.sequences.entry(contractor).and_modify(|sequence| *sequence -= 1);
                }
                Undo::Subject(key, subject) => {
                    self.subjects.entry(key).and_modify(|seen| _ = seen.remove(&subject));
                }
            }
        }
    }

    /// An entry that was found on the disk.
    pub fn note(&mut self, entry: &View) {
        let Some(contractor) = entry.contractor.as_deref() else { return };
        if let Some(sequence) = entry.sequence {
            self.sequences.insert(contractor.to_owned(), sequence);
        }
        let day = entry.time.div_euclid(MICROS_PER_DAY);
        if day >= self.day - 1 {
            let names = entry.subjects.iter().filter_map(|name| SubjectPseudonym::parse(name));
            self.subjects.entry((day, contractor.to_owned())).or_default().extend(names);
        }
    }
}
