//! The compiled form of a rule's paths: one deterministic automaton over member names and element
//! indexes, so that a document is walked once however many paths there are.
//!
//! A state says what all paths together allow at one place. [`construction`](super::construction) builds
//! the states when rules load.

use super::path::Selector;
use super::treatment::Treatment;

/// Where nothing is allowed and nothing is looked at.
pub const DEAD: StateId = StateId(0);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub(super) u32);

/// What happens to a scalar at one place: which field of the rule lets it out, and how.
#[derive(Clone, Debug)]
pub struct Action {
    pub field: usize,
    pub treatment: Treatment,
}

/// A name that a rule lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    text: Box<str>,
    /// The first and the last eight bytes of the name and its closing quote, and which of the first count.
    first: u64,
    counts: u64,
    last: u64,
}

impl Name {
    pub fn new(text: String) -> Self {
        let quoted = format!("{text}\"");
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let (first, last) = (quoted.len().min(8), quoted.len().saturating_sub(8));
        Name {
            first: word(&quoted.as_bytes()[..first]),
            counts: u64::MAX >> (64 - 8 * first),
            last: word(&quoted.as_bytes()[last..]),
            text: text.into_boxed_str(),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Whether `text` begins with the name and a closing quote; `first` are its first eight bytes.
    #[inline(always)]
    fn begins(&self, text: &[u8], first: u64) -> bool {
        if first & self.counts != self.first {
            return false;
        }
        let length = self.text.len() + 1;
        if length <= 8 {
            return true;
        }
        let Some(text) = text.get(..length) else { return false };
        text.last_chunk().is_some_and(|last| u64::from_le_bytes(*last) == self.last)
            && (length <= 16 || text[..length - 1] == *self.text.as_bytes())
    }
}

/// Whether the name of a member is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    No,
    /// It is this one.
    At(usize),
    /// The beginning of its text does not say.
    Perhaps,
}

/// Which of a state's names a text without escapes can begin with, by its [`mark`].
#[derive(Debug)]
pub(super) struct Beginnings([u8; 64]);

impl Beginnings {
    const NONE: u8 = u8::MAX;
    const SEVERAL: u8 = u8::MAX - 1;

    pub fn new(names: &[(Name, Branch)]) -> Self {
        let mut beginnings = [Self::NONE; 64];
        // One with a character that JSON text has only in an escape would be taken for other text.
        let unescaped = |(name, _): &&(Name, Branch)| {
            name.as_bytes().iter().all(|byte| *byte >= b' ' && !matches!(byte, b'"' | b'\\'))
        };
        let named = names.iter().enumerate();
        for (at, (name, _)) in named.filter(|(_, name)| unescaped(name)) {
            for mark in marks(name.as_bytes()) {
                let known = &mut beginnings[mark];
                let one = u8::try_from(at).unwrap_or(Self::SEVERAL).min(Self::SEVERAL);
                *known = if [Self::NONE, one].contains(known) { one } else { Self::SEVERAL };
            }
        }
        Beginnings(beginnings)
    }
}

/// Where a child leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    One(StateId),
    /// By the set of [`State::selectors`] that take the child.
    BySet(Vec<(u64, StateId)>),
}

#[derive(Debug)]
pub struct State {
    /// Names that lead to a place of their own, sorted.
    pub names: Vec<(Name, Branch)>,
    pub(super) beginnings: Beginnings,
    /// Where every other name leads.
    pub other: Branch,
    /// Where elements lead.
    pub elements: Branch,
    /// The selectors that a child must be shown to: bit i of a set is the i-th of them.
    pub selectors: Vec<Selector>,
    /// Bits of the filter selectors: they look into the child.
    pub filters: u64,
    /// The slots that a filter leads to, by its bit.
    pub filter_slots: Vec<(u64, usize)>,
    /// A selector counts from the end of the list.
    pub needs_length: bool,
    pub action: Option<Action>,
    /// Slots that capture the value at this place.
    pub captures: Vec<usize>,
    /// This place is a record.
    pub record: bool,
    /// An object here is on the way to an allowed field.
    pub emits_object: bool,
    /// An array here is on the way to an allowed field, or its scalars are allowed.
    pub emits_array: bool,
    /// An object here stays although nothing in it is allowed.
    pub keeps_object: bool,
    /// An array here stays although nothing in it is allowed.
    pub keeps_array: bool,
    /// Something below is captured.
    pub looks_below: bool,
}

/// The automaton; state 0 is dead, state 1 is where the body begins.
#[derive(Debug)]
pub struct Automaton {
    states: Vec<State>,
}

impl Automaton {
    pub const START: StateId = StateId(1);

    pub(super) fn new(states: Vec<State>) -> Self {
        Automaton { states }
    }

    #[inline]
    pub fn state(&self, id: StateId) -> &State {
        &self.states[id.0 as usize]
    }
}

impl State {
    /// Whether the name is listed that `text` begins with: a name without escapes, its closing quote and
    /// whatever follows.
    #[inline(always)]
    pub fn listed(&self, text: &[u8]) -> Listed {
        let Some(first) = text.first_chunk() else { return Listed::Perhaps };
        let first = u64::from_le_bytes(*first);
        match self.beginnings.0[mark(first)] {
            Beginnings::NONE => Listed::No,
            Beginnings::SEVERAL => Listed::Perhaps,
            at => {
                let at = usize::from(at);
                let is = self.names.get(at).is_some_and(|(name, _)| name.begins(text, first));
                if is { Listed::At(at) } else { Listed::No }
            }
        }
    }

    /// Where member `name` leads, and its place among the known names.
    pub fn member(&self, name: &[u8]) -> (&Branch, Option<usize>) {
        match self.names.binary_search_by(|(known, _)| known.as_bytes().cmp(name)) {
            Ok(at) => (&self.names[at].1, Some(at)),
            Err(_) => (&self.other, None),
        }
    }
}

impl Branch {
    /// Where a child leads that no selector of the state has to look at.
    #[inline]
    pub fn only(&self) -> Option<StateId> {
        match self {
            Branch::One(state) => Some(*state),
            Branch::BySet(_) => None,
        }
    }

    /// Where a child leads that these selectors take.
    pub fn taken_by(&self, set: u64) -> StateId {
        match self {
            Branch::One(state) => *state,
            // Every set that can occur was found when compiling.
            Branch::BySet(states) => {
                states.binary_search_by_key(&set, |(known, _)| *known).map_or(DEAD, |at| states[at].1)
            }
        }
    }
}

/// A number below 64, by the first three bytes of a text.
#[inline(always)]
fn mark(first: u64) -> usize {
    ((first as u32) << 8).wrapping_mul(0x9E37_79B1) as usize >> 26
}

/// The marks of the texts that begin with this name and its closing quote.
fn marks(name: &[u8]) -> Vec<usize> {
    let mark =
        |first: u8, second: u8, third: u8| mark(u64::from_le_bytes([first, second, third, 0, 0, 0, 0, 0]));
    match name {
        [] => (0..64).collect(),
        // Behind a short name stands its colon, or white space.
        [first] => b": \t\n\r".iter().map(|third| mark(*first, b'"', *third)).collect(),
        [first, second] => vec![mark(*first, *second, b'"')],
        [first, second, third, ..] => vec![mark(*first, *second, *third)],
    }
}
