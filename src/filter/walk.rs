//! The walk through a text: goes from token to token, copies what the automaton allows, takes back what a
//! condition withholds.
//!
//! It is a machine with a stack of its own, a [`Projection`]. Wherever the marks end it stops, and goes on
//! when there are more: so a text can be walked through while it arrives. It is compiled for the processor's
//! instructions as one piece, which is why its parts are inlined.

mod members;

use std::borrow::Cow;

use super::automaton::{Action, Branch, DEAD, State, StateId};
use super::decision::{Found, Slot};
use super::frame::Frame;
use super::index::{Cursor, Index, Skipping};
use super::lookahead::Lookahead;
use super::projection::{Place, Progress, Projection, Record, Skipped, Step};
use super::scanner::Kind;
use super::simd::{Classify, Work};
use super::treatment::Form;
use super::{Fault, Filter, text};
use crate::model::Subject;

/// What a walk works on: one text as far as it is there, and the rule.
pub struct Walk<'w, 'r, 't> {
    pub filter: &'r Filter,
    pub text: &'t [u8],
    pub index: &'w Index,
    pub projection: &'w mut Projection,
    pub lookahead: &'w mut Lookahead<'r, 't>,
}

impl Work for Walk<'_, '_, '_> {
    type Output = Result<Progress, Fault>;

    #[inline(always)]
    fn run<C: Classify>(mut self) -> Self::Output {
        self.walk()
    }
}

impl<'r, 't> Walk<'_, 'r, 't> {
    /// Goes on until the marks or the text end.
    ///
    /// # Errors
    /// Where the text cannot be trusted to mean one thing.
    #[inline(always)]
    fn walk(&mut self) -> Result<Progress, Fault> {
        loop {
            let went_on = match self.projection.step {
                Step::Value(state) => self.value(state)?,
                Step::Member => self.members()?,
                Step::Passed => self.passed()?,
                Step::Element => self.elements()?,
                Step::Next => self.next()?,
                Step::Skip(skipping, skipped) => self.skip(None, skipping, skipped)?,
                Step::End => match self.peek() {
                    Some(_) => return Ok(Progress::Done),
                    None => false,
                },
            };
            if !went_on {
                return Ok(Progress::More);
            }
        }
    }

    #[inline(always)]
    fn peek(&mut self) -> Option<usize> {
        self.index.peek(&mut self.projection.cursor)
    }

    #[inline(always)]
    fn take(&mut self) -> Option<usize> {
        self.index.take(&mut self.projection.cursor)
    }

    #[inline(always)]
    fn frame(&mut self) -> &mut Frame {
        let top = self.projection.depth - 1;
        &mut self.projection.frames[top]
    }

    /// An element, the body, or the container of a member, at a place of the rule; false where the marks end
    /// before it does.
    fn value(&mut self, id: StateId) -> Result<bool, Fault> {
        let state = self.filter.automaton.state(id);
        let Some(start) = self.peek() else { return Ok(false) };
        if opens(self.text[start]) {
            return self.container(id, state, start);
        }
        let before = self.projection.cursor;
        self.take();
        let Some(next) = self.peek() else {
            self.projection.cursor = before;
            return Ok(false);
        };
        self.scalar(state, start, start, next).map(|()| true)
    }

    /// An object or array at a place of the rule; it is at the cursor.
    fn container(&mut self, id: StateId, state: &State, start: usize) -> Result<bool, Fault> {
        let kind = kind(self.text[start]);
        let place = Place { state: id, kind, start };
        let (emits, enters) = match kind {
            Kind::Object => (state.emits_object, state.emits_object || state.looks_below),
            _ => (state.emits_array, state.emits_array || state.looks_below),
        };
        let mut length = None;
        if enters && kind == Kind::Array && state.needs_length {
            length = self.lookahead.length(self.index, self.projection.cursor);
            if length.is_none() {
                return Ok(false);
            }
        }
        self.take();
        self.begin_record(state, start);
        if !enters {
            return self.skip(Some(start), Skipping { depth: 1 }, Skipped::Value(place));
        }
        let keeps = if kind == Kind::Object { state.keeps_object } else { state.keeps_array };
        self.enter(place, emits, keeps, length);
        self.next()
    }

    #[inline(always)]
    fn enter(&mut self, place: Place, emits: bool, keeps: bool, length: Option<u64>) {
        let projection = &mut *self.projection;
        if projection.depth == projection.frames.len() {
            projection.frames.push(Frame::default());
        }
        let frame = &mut projection.frames[projection.depth];
        let object = place.kind == Kind::Object;
        frame.begin(place.state, object, place.start, projection.out.len());
        (frame.emits, frame.keeps, frame.length) = (emits, keeps, length);
        projection.depth += 1;
        if emits {
            projection.out.push(if object { b'{' } else { b'[' });
        }
        projection.step = Step::Next;
    }

    #[inline(always)]
    fn next(&mut self) -> Result<bool, Fault> {
        let Some(place) = self.peek() else { return Ok(false) };
        if matches!(self.text[place], b'}' | b']') {
            return self.close(place);
        }
        self.projection.step = if self.frame().object { Step::Member } else { Step::Element };
        Ok(true)
    }

    /// Says where to go on when there are more marks.
    fn pause(&mut self, cursor: Cursor, step: Step) -> Result<bool, Fault> {
        self.projection.cursor = cursor;
        self.projection.step = step;
        Ok(false)
    }

    /// An element.
    fn elements(&mut self) -> Result<bool, Fault> {
        let filter = self.filter;
        let (place, emits) = (self.frame().place, self.frame().emits);
        let state = filter.automaton.state(place);
        let Some(start) = self.peek() else { return Ok(false) };
        let (index, length) = (self.frame().index, self.frame().length);
        let taken = match state.elements {
            Branch::One(_) => 0,
            Branch::BySet(_) => taking(state, index, length),
        };
        let Some(next) = self.branch(&state.elements, state, taken, start)? else { return Ok(false) };
        let projection = &mut *self.projection;
        let frame = &mut projection.frames[projection.depth - 1];
        frame.index += 1;
        if next == DEAD {
            projection.tally.members_withheld += u64::from(emits);
            projection.step = Step::Next;
            self.take();
            return if opens(self.text[start]) { self.dead(start) } else { Ok(true) };
        }
        frame.before = projection.out.len();
        if frame.any && emits {
            projection.out.push(b',');
        }
        projection.step = Step::Value(next);
        self.value(next)
    }

    /// Where the child at `start` leads. `None` where the marks end before a filter can look at it.
    #[inline(always)]
    fn branch(
        &mut self,
        branch: &Branch,
        state: &'r State,
        taken: u64,
        start: usize,
    ) -> Result<Option<StateId>, Fault> {
        if let Some(only) = branch.only() {
            return Ok(Some(only));
        }
        let mut set = taken;
        if state.filters != 0 {
            let filtered = self.lookahead.filtered(self.index, self.projection.cursor, start, state)?;
            let Some(filtered) = filtered else { return Ok(None) };
            set |= filtered.taken;
            let unclear = state.filter_slots.iter().filter(|(bit, _)| filtered.unclear & bit != 0);
            unclear.for_each(|(_, slot)| self.projection.slots[*slot].unclear = true);
        }
        Ok(Some(branch.taken_by(set)))
    }

    /// Goes past a container that nobody looks at; its bracket was taken.
    #[inline(always)]
    fn dead(&mut self, start: usize) -> Result<bool, Fault> {
        self.skip(Some(start), Skipping { depth: 1 }, Skipped::Dead)
    }

    #[inline(always)]
    fn skip(&mut self, from: Option<usize>, skipping: Skipping, skipped: Skipped) -> Result<bool, Fault> {
        let mut skipping = skipping;
        let Some(end) = self.index.skip(&mut self.projection.cursor, from, &mut skipping) else {
            self.projection.step = Step::Skip(skipping, skipped);
            return Ok(false);
        };
        match skipped {
            Skipped::Dead => self.projection.step = Step::Next,
            Skipped::Value(place) => {
                let state = self.filter.automaton.state(place.state);
                self.note_container(state, place.kind, false);
                self.complete(state, place.kind, place.start, end, false)?;
            }
        }
        Ok(true)
    }

    /// A string, number or word at a place of the rule; `next` is the token behind it. Where it is written, so is the
    /// text in front of it that begins at `from`.
    fn scalar(&mut self, state: &State, from: usize, start: usize, next: usize) -> Result<(), Fault> {
        self.begin_record(state, start);
        let kind = kind(self.text[start]);
        let end = if kind == Kind::String { last_quote(self.text, next) + 1 } else { self.last_byte(next) };
        let mut kept = false;
        if let Some(Action { field, treatment }) = &state.action {
            let escaped =
                kind == Kind::String && self.index.has_backslashes() && self.index.has_backslash(start, end);
            let projection = &mut *self.projection;
            let (count, token) = (&mut projection.tally.fields[*field], &self.text[start..end]);
            if treatment.leaves_as_it_is(kind, token, escaped) {
                copy(&mut projection.out, self.text, from, end);
                count.disclosed += 1;
                kept = true;
            } else {
                copy(&mut projection.out, self.text, from, start);
                kept = count.add(treatment.write(&mut projection.out, kind, token, escaped)?);
            }
        }
        self.complete(state, kind, start, end, kept)
    }

    /// The end of the number or word before the token at `next`.
    fn last_byte(&self, next: usize) -> usize {
        let mut end = next;
        while matches!(self.text[end - 1], b',' | b' ' | b'\t' | b'\n' | b'\r') {
            end -= 1;
        }
        end
    }

    #[inline(always)]
    fn close(&mut self, place: usize) -> Result<bool, Fault> {
        self.take();
        let projection = &mut *self.projection;
        projection.depth -= 1;
        let frame = &projection.frames[projection.depth];
        let kept = frame.emits && (frame.any || frame.keeps);
        if kept {
            projection.out.push(if frame.object { b'}' } else { b']' });
        } else {
            projection.out.truncate(frame.begin);
        }
        let (kind, start) = (if frame.object { Kind::Object } else { Kind::Array }, frame.start);
        let state = self.filter.automaton.state(frame.place);
        self.note_container(state, kind, kept);
        self.complete(state, kind, start, place + 1, kept)?;
        Ok(true)
    }

    /// A container leaves as part of a whole subtree, or stands where the rule expects a scalar.
    #[inline(always)]
    fn note_container(&mut self, state: &State, kind: Kind, kept: bool) {
        if let Some(Action { field, treatment }) = &state.action {
            let count = &mut self.projection.tally.fields[*field];
            match treatment.form {
                Form::Whole => {
                    count.disclosed += u64::from(kept);
                    count.withheld += u64::from(!kept);
                }
                // Its members may still leave by paths of their own.
                Form::Plain if kind == Kind::Object || !kept => count.add_drift(),
                Form::Plain => {}
                Form::Transformed(_) => count.add_drift(),
            }
        }
    }

    /// A value has ended: it is captured, it may end a record, and what is around it goes on.
    #[inline(always)]
    fn complete(
        &mut self,
        state: &State,
        kind: Kind,
        start: usize,
        end: usize,
        kept: bool,
    ) -> Result<(), Fault> {
        for slot in &state.captures {
            let slot = &mut self.projection.slots[*slot];
            slot.count += 1;
            slot.first.get_or_insert(Found { kind, start, end });
        }
        let kept = if state.record { self.end_record(end, kept)? } else { kept };
        let projection = &mut *self.projection;
        let Some(parent) = projection.depth.checked_sub(1) else {
            projection.kept = kept;
            projection.step = Step::End;
            return Ok(());
        };
        let frame = &mut projection.frames[parent];
        debug_assert!(frame.emits || !kept, "a value was written inside a container that was not");
        if kept {
            frame.any = true;
        } else {
            projection.out.truncate(frame.before);
            projection.tally.members_withheld += u64::from(frame.emits && !state.record);
        }
        projection.step = Step::Next;
        Ok(())
    }

    #[inline(always)]
    fn begin_record(&mut self, state: &State, start: usize) {
        if !state.record {
            return;
        }
        let projection = &mut *self.projection;
        projection.before_record.clone_from(&projection.tally.fields);
        projection.slots.fill(Slot::default());
        projection.record = Some(Record {
            start,
            begin: projection.out.len(),
            depth: projection.depth,
            members_withheld: projection.tally.members_withheld,
        });
    }

    /// What a record wrote is taken back where its condition does not hold or its customer is not let through.
    fn end_record(&mut self, end: usize, kept: bool) -> Result<bool, Fault> {
        let Some(record) = self.projection.record.take() else { return Ok(kept) };
        let holds = match &self.filter.condition {
            Some(condition) => {
                self.lookahead.holds(condition, self.index, record.start..end, &self.projection.slots)?
            }
            None => true,
        };
        // Of a record that discloses nothing, only whether it is there is told, and that too must be allowed.
        let tells = kept || (self.filter.needs_admission && self.filter.fields == 0);
        let admitted = !(holds && tells) || self.admit()?;
        let tally = &mut self.projection.tally;
        if holds && kept && admitted {
            tally.records_released += 1;
            return Ok(true);
        }
        let holds = holds && admitted;
        tally.not_admitted += u64::from(!admitted);
        // What was withheld of a record that may leave is told, also where nothing is left of it.
        if !holds {
            tally.records_withheld += 1;
            tally.members_withheld = record.members_withheld;
            tally.fields.clone_from(&self.projection.before_record);
        }
        self.projection.withheld = self.projection.depth == 0 && !holds;
        self.projection.out.truncate(record.begin);
        Ok(false)
    }

    /// Notes whom the record is about, where that one is let through.
    fn admit(&mut self) -> Result<bool, Fault> {
        let id = self.subject()?;
        let admits = match &self.projection.admission {
            Some(admission) => admission.admits(id.as_deref().map(Subject::new)),
            None => !self.filter.needs_admission,
        };
        let tally = &mut self.projection.tally;
        match id {
            _ if !admits => {}
            Some(id) => tally.subjects.push(&id),
            None => tally.without_subject += 1,
        }
        Ok(admits)
    }

    /// A customer's number or name in the upstream; a string and a number with the same text are one.
    fn subject(&self) -> Result<Option<Cow<'t, str>>, Fault> {
        let found = self.filter.subject.and_then(|slot| self.projection.slots[slot].first);
        let bytes = found.map(|found| (found.kind, &self.text[found.start..found.end]));
        let id = match bytes {
            Some((Kind::String, token)) => {
                Some(text::unescape(&token[1..token.len() - 1]).ok_or(Fault::LoneSurrogate)?)
            }
            Some((Kind::Number, token)) => Some(String::from_utf8_lossy(token)),
            Some((Kind::Object | Kind::Array | Kind::Bool | Kind::Null, _)) | None => None,
        };
        Ok(id.filter(|id| !id.is_empty()))
    }
}

/// The closing quote of the string before the token at `next`.
#[inline(always)]
fn last_quote(text: &[u8], next: usize) -> usize {
    let mut end = next - 1;
    while text[end] != b'"' {
        end -= 1;
    }
    end
}

/// Writes a part of the text. Nearly all are short, and a copy of always the same length takes no call.
#[inline(always)]
fn copy(out: &mut Vec<u8>, text: &[u8], start: usize, end: usize) {
    const SHORT: usize = 64;
    match text[start..].first_chunk::<SHORT>() {
        Some(chunk) if end - start <= SHORT => {
            let length = out.len() + (end - start);
            out.extend_from_slice(chunk);
            out.truncate(length);
        }
        _ => out.extend_from_slice(&text[start..end]),
    }
}

/// The byte is the opening bracket of an object or array.
#[inline(always)]
fn opens(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

/// What kind of value begins with this byte.
#[inline]
fn kind(first: u8) -> Kind {
    match first {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        b'"' => Kind::String,
        b't' | b'f' => Kind::Bool,
        b'n' => Kind::Null,
        _ => Kind::Number,
    }
}

/// Which of the state's indexes and slices take an element.
fn taking(state: &State, index: u64, length: Option<u64>) -> u64 {
    let selectors = state.selectors.iter().enumerate();
    selectors.fold(0, |set, (bit, selector)| set | u64::from(selector.takes_index(index, length)) << bit)
}
