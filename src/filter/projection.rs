//! Where a walk through a text stands, what it wrote and counted, and what of that can be let go of while
//! the text still arrives. [`walk`](super::walk) moves it.

use std::hash::RandomState;
use std::sync::Arc;

use super::automaton::{Automaton, StateId};
use super::decision::Slot;
use super::frame::Frame;
use super::index::{Cursor, Skipping};
use super::scanner::Kind;
use super::{FieldCount, Filter, Tally};
use crate::model::Admission;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A value at this place of the rule.
    Value(StateId),
    /// A member, its name first.
    Member,
    /// The value of a member that nobody looks at; its name was taken.
    Passed,
    Element,
    /// A member or element, or the end of the container.
    Next,
    /// The rest of a container that is not looked at.
    Skip(Skipping, Skipped),
    /// The end of the text.
    End,
}

/// What a skipped container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// A member or element that no path leads to.
    Dead,
    /// A value at a place of the rule.
    Value(Place),
}

/// A value of the text at a place of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub state: StateId,
    pub kind: Kind,
    /// Where it begins.
    pub start: usize,
}

/// Whether the walk came to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The marks have ended.
    More,
    Done,
}

/// The record that the walk is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// Where it begins in the text.
    pub start: usize,
    /// Length of the output when it began.
    pub begin: usize,
    /// Containers around it.
    pub depth: usize,
    pub members_withheld: u64,
}

/// A walk, and what it needs: allocated once, used for one text after another.
pub struct Projection {
    pub cursor: Cursor,
    pub(super) step: Step,
    pub(super) frames: Vec<Frame>,
    /// Open containers; frames above are left from others.
    pub(super) depth: usize,
    pub(super) record: Option<Record>,
    pub out: Vec<u8>,
    pub tally: Tally,
    /// Something of the text is allowed.
    pub kept: bool,
    /// The text was one record, and its condition does not hold or its customer was not let through.
    pub withheld: bool,
    /// Whose records may leave.
    pub(super) admission: Option<Arc<dyn Admission>>,
    pub(super) slots: Vec<Slot>,
    pub(super) before_record: Vec<FieldCount>,
    pub(super) hasher: RandomState,
}

impl Projection {
    pub fn new() -> Self {
        Projection {
            cursor: Cursor::default(),
            step: Step::End,
            frames: Vec::new(),
            depth: 0,
            record: None,
            out: Vec::new(),
            tally: Tally::default(),
            kept: false,
            withheld: false,
            admission: None,
            slots: Vec::new(),
            before_record: Vec::new(),
            hasher: RandomState::new(),
        }
    }

    /// Begins another text. The output and the tally go on.
    pub fn begin(&mut self, filter: &Filter) {
        self.cursor = Cursor::default();
        self.step = Step::Value(Automaton::START);
        self.depth = 0;
        self.record = None;
        (self.kept, self.withheld) = (false, false);
        self.slots.clear();
        self.slots.resize(filter.slots, Slot::default());
    }

    /// Where the text begins that is still needed: what a condition or the ledger asks about is looked at when
    /// the record ends.
    pub fn needs_text_from(&self, filter: &Filter, cursor: usize) -> usize {
        let Some(record) = self.record else { return cursor };
        if filter.condition.as_ref().is_some_and(|condition| !condition.streams()) {
            return record.start.min(cursor);
        }
        let is_captured = |state: StateId| !filter.automaton.state(state).captures.is_empty();
        let skipped = match self.step {
            Step::Skip(_, Skipped::Value(place)) if is_captured(place.state) => Some(place.start),
            _ => None,
        };
        let open = self.frames[..self.depth].iter().filter(|frame| is_captured(frame.place));
        let found = self.slots.iter().filter_map(|slot| slot.first);
        let starts = open.map(|frame| frame.start).chain(found.map(|found| found.start));
        starts.chain(skipped).fold(cursor, usize::min)
    }

    /// So much of the output stays, whatever follows.
    pub fn settled(&self) -> usize {
        let open = self.record.map_or(self.depth, |record| record.depth);
        let frames = &self.frames[..open];
        let stays = |frame: &Frame| frame.emits && (frame.any || frame.keeps);
        // What a container wrote may be taken back with it, and its name; and what it writes now may not come to anything.
        let unsure = frames.iter().position(|frame| !stays(frame));
        let in_work =
            self.record.is_some() || matches!(self.step, Step::Value(_) | Step::Skip(_, Skipped::Value(_)));
        match (unsure, in_work) {
            (Some(0), _) => 0,
            (Some(at), _) => frames[at - 1].before,
            (None, true) => frames.last().map_or(0, |frame| frame.before),
            (None, false) => self.out.len(),
        }
    }

    /// Says that the first `bytes` of the text were taken away.
    pub fn forget(&mut self, bytes: usize) {
        self.cursor.forget(bytes);
        if let Step::Skip(_, Skipped::Value(place)) = &mut self.step {
            place.start = place.start.saturating_sub(bytes);
        }
        // Only what is captured is looked at again, and that is still there.
        for frame in &mut self.frames[..self.depth] {
            frame.start = frame.start.saturating_sub(bytes);
        }
        for found in self.slots.iter_mut().filter_map(|slot| slot.first.as_mut()) {
            (found.start, found.end) = (found.start.saturating_sub(bytes), found.end.saturating_sub(bytes));
        }
        if let Some(record) = &mut self.record {
            record.start = record.start.saturating_sub(bytes);
        }
    }

    /// Moves what is settled of the output to `body`, and what was counted up to there to `tally`.
    pub fn cut(&mut self, body: &mut Vec<u8>, tally: &mut Tally) {
        let settled = self.settled();
        body.clear();
        if settled == self.out.len() {
            std::mem::swap(body, &mut self.out);
        } else {
            body.extend_from_slice(&self.out[..settled]);
            self.out.drain(..settled);
        }
        for frame in &mut self.frames[..self.depth] {
            frame.begin = frame.begin.saturating_sub(settled);
            frame.before = frame.before.saturating_sub(settled);
        }
        std::mem::swap(&mut self.tally, tally);
        self.tally.clear(tally.fields.len());
        // What the record in work has counted goes with the record.
        if let Some(record) = &mut self.record {
            record.begin -= settled;
            for ((now, before), counted) in
                self.tally.fields.iter_mut().zip(&mut self.before_record).zip(&mut tally.fields)
            {
                *now = counted.less(*before);
                *counted = std::mem::take(before);
            }
            self.tally.members_withheld = tally.members_withheld - record.members_withheld;
            tally.members_withheld = std::mem::take(&mut record.members_withheld);
        }
    }
}
