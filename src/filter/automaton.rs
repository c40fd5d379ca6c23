//! The compiled form of a rule's paths: one deterministic automaton over member names and element
//! indexes, so that a document is walked once however many paths there are.
//!
//! A state says what all paths together allow at one place. [`construction`](super::construction) builds
//! the states when rules load.

use super::path::Selector;
use super::treatment::Treatment;

/// Up to this many names a comparison with each is quickest.
const FEW_NAMES: usize = 8;

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
    head: u64,
}

impl Name {
    pub fn new(text: String) -> Self {
        Name { head: head(text.as_bytes()), text: text.into_boxed_str() }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// `head` is that of `name`. Up to eight bytes, it says all about a name of a length.
    #[inline(always)]
    fn is(&self, name: &[u8], head: u64) -> bool {
        self.head == head
            && self.text.len() == name.len()
            && (name.len() <= 8 || self.text.as_bytes()[8..] == name[8..])
    }
}

/// The first eight bytes of a name; all of a shorter one, some of it twice.
#[inline(always)]
fn head(name: &[u8]) -> u64 {
    if let Some(first) = name.first_chunk::<8>() {
        return u64::from_le_bytes(*first);
    }
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match name {
        [] => 0,
        [first, ..] => {
            let (middle, last) = (name[name.len() / 2], name[name.len() - 1]);
            u64::from(*first) | u64::from(middle) << 8 | u64::from(last) << 16
        }
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
    /// The [`mark`]s of the names: most other names are known by it not to be among them.
    pub(super) marks: u64,
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
    /// False where the name is certainly not among the listed ones.
    #[inline(always)]
    pub fn may_list(&self, name: &[u8]) -> bool {
        self.marks & mark(name) != 0
    }

    /// Where member `name` leads, and its place among the known names.
    #[inline]
    pub fn member(&self, name: &[u8]) -> (&Branch, Option<usize>) {
        if !self.may_list(name) {
            return (&self.other, None);
        }
        let known = if self.names.len() <= FEW_NAMES {
            let head = head(name);
            self.names.iter().position(|(known, _)| known.is(name, head))
        } else {
            self.names.binary_search_by(|(known, _)| known.text.as_bytes().cmp(name)).ok()
        };
        match known {
            Some(at) => (&self.names[at].1, Some(at)),
            None => (&self.other, None),
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

/// A set of one out of 64, by the length and two characters of a name.
#[inline(always)]
pub(super) fn mark(name: &[u8]) -> u64 {
    let (first, last) = match name {
        [] => (0, 0),
        [one] => (*one, *one),
        [first, .., last] => (*first, *last),
    };
    let sum = name.len() * 5 + usize::from(first) + usize::from(last) * 3;
    1 << (sum % 64)
}
