//! What needs to see a value as a whole before the walk enters it: filter selectors, places counted from
//! the end of a list, and conditions that one pass cannot decide.

use std::ops::Range;

use super::Fault;
use super::automaton::State;
use super::condition::{Condition, Slot};
use super::index::{Cursor, Index, Skipping};

/// What was looked at ahead of a walk, kept for what lies inside of it.
#[derive(Debug, Default)]
pub struct Lookahead<'t> {
    _text: std::marker::PhantomData<&'t ()>,
}

impl<'t> Lookahead<'t> {
    /// The elements of the array at the cursor; `None` where the marks end before it does.
    pub fn length(&self, index: &Index, cursor: Cursor, text: &[u8]) -> Option<u64> {
        let mut cursor = cursor;
        index.take(&mut cursor)?;
        if text[index.peek(&mut cursor)?] == b']' {
            return Some(0);
        }
        let mut length = 1;
        loop {
            let place = index.take(&mut cursor)?;
            match text[place] {
                b',' => length += 1,
                b']' => return Some(length),
                b'[' | b'{' => {
                    index.skip(&mut cursor, Some(place), &mut Skipping { depth: 1 })?;
                }
                _ => {}
            }
        }
    }

    /// The filter selectors of `state` that take the value at the cursor, as a set of its selectors. `None`
    /// where the marks end before the value does.
    pub fn filters(
        &mut self,
        _index: &Index,
        _cursor: Cursor,
        _text: &'t [u8],
        _state: &State,
    ) -> Result<Option<u64>, Fault> {
        Ok(Some(0))
    }

    /// Whether a record may leave.
    pub fn holds(
        &mut self,
        condition: &Condition,
        text: &'t [u8],
        _record: Range<usize>,
        slots: &[Slot],
    ) -> bool {
        condition.holds(text, slots)
    }
}
