//! One pass over one body: copies what the automaton allows, rolls back what a condition withholds.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::model::Subject;

use super::automaton::{Action, Automaton, DEAD, State, StateId, Treatment};
use super::condition::{Found, Slot};
use super::scanner::{Kind, MAX_DEPTH, Scanner, Token};
use super::{Fault, FieldCount, Filter, Tally, text};

/// From this many names on, a set finds duplicates instead of a comparison with each.
const FEW_NAMES: usize = 16;

pub struct Projection<'f, 'b> {
    filter: &'f Filter,
    body: &'b str,
    scanner: Scanner<'b>,
    pub out: Vec<u8>,
    pub tally: Tally,
    /// The body was one record, and its condition does not hold.
    pub body_withheld: bool,
    slots: Vec<Slot>,
    before_record: Vec<FieldCount>,
}

/// The names seen in one object, as far as a duplicate among them would matter.
#[derive(Default)]
struct Names<'b> {
    known: u64,
    other: Vec<Cow<'b, [u8]>>,
    many: HashSet<Cow<'b, [u8]>>,
}

impl<'f, 'b> Projection<'f, 'b> {
    pub fn new(filter: &'f Filter, body: &'b str) -> Self {
        Projection {
            filter,
            body,
            scanner: Scanner::new(body),
            out: Vec::with_capacity(body.len() / 4),
            tally: Tally::new(filter.fields),
            body_withheld: false,
            slots: vec![Slot::default(); filter.slots],
            before_record: vec![FieldCount::default(); filter.fields],
        }
    }

    /// Walks the body; true where something of it is allowed.
    pub fn run(&mut self) -> Result<bool, Fault> {
        if self.scanner.kind().is_err() {
            return Err(Fault::NotJson);
        }
        let kept = self.value(Automaton::START, 0)?;
        self.scanner.finish()?;
        Ok(kept)
    }

    /// One value with `depth` containers around it. True where something was written.
    fn value(&mut self, place: StateId, depth: usize) -> Result<bool, Fault> {
        let filter = self.filter;
        let state = filter.automaton.state(place);
        if state.record { self.record(state, depth) } else { self.place(state, depth) }
    }

    fn place(&mut self, state: &State, depth: usize) -> Result<bool, Fault> {
        let kind = self.scanner.kind()?;
        let start = self.scanner.position();
        let kept = match kind {
            Kind::Object if state.emits_object || state.looks_below => self.object(state, depth)?,
            Kind::Array if state.emits_array || state.looks_below => self.array(state, depth)?,
            Kind::Object | Kind::Array => {
                self.scanner.skip(depth)?;
                false
            }
            scalar => {
                let token = self.scanner.scalar(scalar)?;
                self.scalar(state, token)?
            }
        };
        if matches!(kind, Kind::Object | Kind::Array) {
            self.note_container(state, kind, kept);
        }
        for slot in &state.captures {
            let slot = &mut self.slots[*slot];
            slot.count += 1;
            let end = self.scanner.position();
            slot.first.get_or_insert(Found { kind, start, end });
        }
        Ok(kept)
    }

    /// A container leaves as part of a whole subtree, or stands where the rule expects a scalar.
    fn note_container(&mut self, state: &State, kind: Kind, kept: bool) {
        if let Some(Action { field, treatment }) = &state.action {
            // Its members may still leave by paths of their own.
            let withheld = match treatment {
                Treatment::Whole => !kept,
                Treatment::Plain => !kept || kind == Kind::Object,
                Treatment::Transformed(_) => true,
            };
            let count = &mut self.tally.fields[*field];
            count.disclosed += u64::from(kept && matches!(treatment, Treatment::Whole));
            count.withheld += u64::from(withheld);
        }
    }

    fn scalar(&mut self, state: &State, token: Token) -> Result<bool, Fault> {
        let Some(Action { field, treatment }) = &state.action else {
            return Ok(false);
        };
        let bytes = self.scanner.slice(token.start, token.end);
        let written = match treatment {
            Treatment::Plain | Treatment::Whole => {
                if token.escaped && text::unescape(&bytes[1..bytes.len() - 1]).is_none() {
                    return Err(Fault::LoneSurrogate);
                }
                self.out.extend_from_slice(bytes);
                true
            }
            Treatment::Transformed(transform) => transform.write(&mut self.out, token.kind, bytes),
        };
        let count = &mut self.tally.fields[*field];
        count.disclosed += u64::from(written);
        count.withheld += u64::from(!written);
        Ok(written)
    }

    fn object(&mut self, state: &State, depth: usize) -> Result<bool, Fault> {
        let begin = self.open(b'{', state.emits_object, depth)?;
        let mut names = Names::default();
        let mut any = false;
        if !self.scanner.accept(b'}') {
            loop {
                any |= self.member(state, depth + 1, any, &mut names)?;
                if !self.scanner.another(b'}')? {
                    break;
                }
            }
        }
        Ok(self.close(b'}', begin, state.emits_object, any || state.keeps_object))
    }

    fn member(
        &mut self,
        state: &State,
        depth: usize,
        comma: bool,
        names: &mut Names<'b>,
    ) -> Result<bool, Fault> {
        let key = self.scanner.key()?;
        let raw = self.scanner.slice(key.start, key.end);
        let name = if key.escaped { text::unescape(raw).map(bytes) } else { Some(Cow::Borrowed(raw)) };
        let (next, known) = state.member(name.as_deref().unwrap_or(raw));
        if next == DEAD {
            self.scanner.skip(depth)?;
            self.tally.members_withheld += u64::from(state.emits_object);
            return Ok(false);
        }
        if !names.is_new(name.ok_or(Fault::LoneSurrogate)?, known) {
            return Err(Fault::Duplicate);
        }
        let before = self.out.len();
        if state.emits_object {
            self.out.extend_from_slice(if comma { b",\"" } else { b"\"" });
            self.out.extend_from_slice(raw);
            self.out.extend_from_slice(b"\":");
        }
        self.child(next, depth, before, state.emits_object)
    }

    fn array(&mut self, state: &State, depth: usize) -> Result<bool, Fault> {
        let begin = self.open(b'[', state.emits_array, depth)?;
        let mut any = false;
        let mut index = 0;
        if !self.scanner.accept(b']') {
            loop {
                let before = self.out.len();
                if any && state.emits_array {
                    self.out.push(b',');
                }
                any |= self.child(state.element(index), depth + 1, before, state.emits_array)?;
                index += 1;
                if !self.scanner.another(b']')? {
                    break;
                }
            }
        }
        Ok(self.close(b']', begin, state.emits_array, any || state.keeps_array))
    }

    /// The value of a member or element; takes back what was written from `before` on where the
    /// value is withheld.
    fn child(&mut self, next: StateId, depth: usize, before: usize, counts: bool) -> Result<bool, Fault> {
        let kept = if next == DEAD {
            self.scanner.skip(depth)?;
            false
        } else {
            self.value(next, depth)?
        };
        debug_assert!(counts || !kept, "a value was written inside a container that was not");
        if !kept {
            self.out.truncate(before);
            let withheld_record = self.filter.automaton.state(next).record;
            self.tally.members_withheld += u64::from(counts && !withheld_record);
        }
        Ok(kept)
    }

    fn open(&mut self, bracket: u8, emits: bool, depth: usize) -> Result<usize, Fault> {
        if depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.scanner.expect(bracket)?;
        let begin = self.out.len();
        if emits {
            self.out.push(bracket);
        }
        Ok(begin)
    }

    fn close(&mut self, bracket: u8, begin: usize, emits: bool, stays: bool) -> bool {
        if emits && stays {
            self.out.push(bracket);
        } else {
            self.out.truncate(begin);
        }
        emits && stays
    }

    /// A record: what it wrote is taken back where its condition does not hold.
    fn record(&mut self, state: &State, depth: usize) -> Result<bool, Fault> {
        let begin = self.out.len();
        let members = self.tally.members_withheld;
        self.before_record.copy_from_slice(&self.tally.fields);
        self.slots.fill(Slot::default());
        let kept = self.place(state, depth)?;
        let holds = match &self.filter.condition {
            Some(condition) => condition.holds(self.body, &self.slots),
            None => true,
        };
        if holds && kept {
            self.tally.records_released += 1;
            self.note_subject()?;
            return Ok(true);
        }
        self.tally.records_withheld += u64::from(!holds);
        self.body_withheld = depth == 0 && !holds;
        self.tally.members_withheld = members;
        self.tally.fields.copy_from_slice(&self.before_record);
        self.out.truncate(begin);
        Ok(false)
    }

    fn note_subject(&mut self) -> Result<(), Fault> {
        let found = self.filter.subject.and_then(|slot| self.slots[slot].first);
        let subject = match found {
            Some(found) => subject(&self.body.as_bytes()[found.start..found.end], found.kind)?,
            None => None,
        };
        match subject {
            Some(subject) => self.tally.subjects.push(subject),
            None => self.tally.without_subject += 1,
        }
        Ok(())
    }
}

/// A customer's number or name in the upstream; a string and a number with the same text are one.
fn subject(bytes: &[u8], kind: Kind) -> Result<Option<Subject>, Fault> {
    let text = match kind {
        Kind::String => text::unescape(&bytes[1..bytes.len() - 1]).ok_or(Fault::LoneSurrogate)?,
        Kind::Number => String::from_utf8_lossy(bytes),
        Kind::Object | Kind::Array | Kind::Bool | Kind::Null => return Ok(None),
    };
    Ok((!text.is_empty()).then(|| Subject::new(text.into_owned())))
}

impl<'b> Names<'b> {
    /// `known` is the name's place among the names that the state lists.
    fn is_new(&mut self, name: Cow<'b, [u8]>, known: Option<usize>) -> bool {
        if let Some(place @ 0..64) = known {
            let bit = 1 << place;
            let new = self.known & bit == 0;
            self.known |= bit;
            return new;
        }
        if self.other.len() < FEW_NAMES {
            let new = !self.other.contains(&name);
            self.other.push(name);
            return new;
        }
        if self.many.is_empty() {
            self.many.extend(self.other.iter().cloned());
        }
        self.many.insert(name)
    }
}

fn bytes(text: Cow<str>) -> Cow<[u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
