//! The compiled form of a rule's paths: one deterministic automaton over member names and element
//! indexes, so that a document is walked once however many paths there are.
//!
//! A state says what all paths together allow at one place. [`construction`](super::construction) builds
//! the states when rules load.

use super::path::Selector;
use super::transform::Transform;

/// Up to this many names a comparison with each is quickest.
const FEW_NAMES: usize = 8;

/// Where nothing is allowed and nothing is looked at.
pub const DEAD: StateId = StateId(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub(super) u32);

/// How a disclosed field leaves.
#[derive(Clone, Debug)]
pub enum Treatment {
    /// Scalars and arrays of scalars.
    Plain,
    /// The whole subtree.
    Whole,
    Transformed(Transform),
}

/// What happens to a scalar at one place: which field of the rule lets it out, and how.
#[derive(Clone, Debug)]
pub struct Action {
    pub field: usize,
    pub treatment: Treatment,
}

#[derive(Debug)]
pub struct State {
    /// Names that lead to a state of their own.
    pub names: Vec<(Box<str>, StateId)>,
    /// Where every other name leads.
    pub other: StateId,
    pub(super) elements: Elements,
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

/// Where the elements of an array lead.
#[derive(Debug)]
pub(super) enum Elements {
    /// All elements lead to the same state.
    Each(StateId),
    /// The selectors, and a state for each set of them that can take an index (bit i: selector i).
    BySelector(Vec<Selector>, Vec<(u64, StateId)>),
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
    /// Where member `name` leads, and its place among the known names.
    #[inline]
    pub fn member(&self, name: &[u8]) -> (StateId, Option<usize>) {
        let known = if self.names.len() <= FEW_NAMES {
            self.names.iter().position(|(known, _)| known.as_bytes() == name)
        } else {
            self.names.binary_search_by(|(known, _)| known.as_bytes().cmp(name)).ok()
        };
        match known {
            Some(at) => (self.names[at].1, Some(at)),
            None => (self.other, None),
        }
    }

    #[inline]
    pub fn element(&self, index: u64) -> StateId {
        match &self.elements {
            Elements::Each(state) => *state,
            Elements::BySelector(selectors, states) => {
                let set = taking(selectors, index);
                // Every set that occurs was found when compiling.
                states.iter().find(|(known, _)| *known == set).map_or(DEAD, |(_, state)| *state)
            }
        }
    }
}

/// Which of the selectors take an index.
pub(super) fn taking(selectors: &[Selector], index: u64) -> u64 {
    selectors
        .iter()
        .enumerate()
        .fold(0, |set, (bit, selector)| set | u64::from(selector.takes_index(index)) << bit)
}
