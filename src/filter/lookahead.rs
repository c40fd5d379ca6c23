//! What needs to see a value as a whole before the walk enters it: filter selectors, places counted from
//! the end of a list, and conditions that one pass cannot decide.
//!
//! Of the value that a filter looks into, and of nothing more, a tree is built; filters inside of it use
//! the same one.

use std::cell::RefCell;
use std::ops::Range;

use super::automaton::State;
use super::body::Body;
use super::condition::Condition;
use super::decision::Slot;
use super::index::{Cursor, Index, Skipping};
use super::path::Selector;
use super::patterns::Patterns;
use super::tree::Tree;
use super::{Fault, Filter};

/// What was looked at ahead of a walk, kept for what lies inside of it.
pub struct Lookahead<'r, 't> {
    filter: &'r Filter,
    text: &'t [u8],
    patterns: &'t RefCell<Patterns>,
    /// The last value that filters looked into, and where it is.
    tree: Option<(Range<usize>, Tree<'t>)>,
    body: Option<Body<'r, 't>>,
}

/// What the filter selectors of a state say of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// The selectors that take it.
    pub taken: u64,
    /// Those for which it cannot be decided; they do not take it.
    pub unclear: u64,
}

impl<'r, 't> Lookahead<'r, 't> {
    pub fn new(filter: &'r Filter, text: &'t [u8], patterns: &'t RefCell<Patterns>) -> Self {
        Lookahead { filter, text, patterns, tree: None, body: None }
    }

    /// The elements of the array at the cursor; `None` where the marks end before it does.
    pub fn length(&self, index: &Index, cursor: Cursor) -> Option<u64> {
        let mut cursor = cursor;
        index.take(&mut cursor)?;
        let mut length = 0;
        loop {
            let place = index.take(&mut cursor)?;
            match self.text[place] {
                b']' => return Some(length),
                b'[' | b'{' => {
                    index.skip(&mut cursor, Some(place), &mut Skipping { depth: 1 })?;
                }
                _ => {}
            }
            length += 1;
        }
    }

    /// What the filter selectors of `state` say of the value at `start`. The cursor is at it or, where it is a
    /// scalar in an object, behind it. `None` where the marks end before the value does.
    ///
    /// # Errors
    /// Where the text is not UTF-8 somewhere else.
    pub fn filtered(
        &mut self,
        index: &Index,
        cursor: Cursor,
        start: usize,
        state: &'r State,
    ) -> Result<Option<Filtered>, Fault> {
        if !self.see(index, cursor, start)? {
            return Ok(None);
        }
        self.prepare_body(index)?;
        let (Some((range, tree)), Some(body)) = (&self.tree, &self.body) else { return Ok(None) };
        let Some(node) = tree.at(start - range.start) else { return Ok(None) };
        self.patterns.borrow_mut().read_up_to(index.in_body(start + tree.json(node).len()));
        let mut filtered = Filtered::default();
        for (bit, selector) in state.selectors.iter().enumerate() {
            if let Selector::Filter(condition) = selector {
                match condition.decide_at(tree, node, body) {
                    Some(takes) => filtered.taken |= u64::from(takes) << bit,
                    None => filtered.unclear |= 1 << bit,
                }
            }
        }
        Ok(Some(filtered))
    }

    /// Whether a record may leave. What cannot be decided does not hold.
    ///
    /// # Errors
    /// Where the text is not UTF-8 somewhere else.
    pub fn holds(
        &mut self,
        condition: &'r Condition,
        index: &Index,
        record: Range<usize>,
        slots: &[Slot],
    ) -> Result<bool, Fault> {
        if condition.streams() {
            return Ok(condition.holds(self.text, slots));
        }
        self.prepare_body(index)?;
        self.patterns.borrow_mut().read_up_to(index.in_body(record.end));
        let tree = self.parse(record)?;
        Ok(self.body.as_ref().is_some_and(|body| condition.holds_at(&tree, tree.root(), body)))
    }

    /// Makes sure that the value at `start` is in the tree; false where the marks end before it does.
    fn see(&mut self, index: &Index, cursor: Cursor, start: usize) -> Result<bool, Fault> {
        if self.tree.as_ref().is_some_and(|(range, _)| range.contains(&start)) {
            return Ok(true);
        }
        let Some(end) = end(index, cursor, self.text, start) else { return Ok(false) };
        self.tree = Some((start..end, self.parse(start..end)?));
        Ok(true)
    }

    fn parse(&self, range: Range<usize>) -> Result<Tree<'t>, Fault> {
        let fault = Fault::Syntax { offset: range.start };
        let text = std::str::from_utf8(&self.text[range]).map_err(|_| fault)?;
        Tree::parse(text).ok_or(fault)
    }

    /// What conditions know of the body. Where the rule asks for something by `$`, the whole text is
    /// there; otherwise nobody looks into it.
    fn prepare_body(&mut self, index: &Index) -> Result<(), Fault> {
        if self.body.is_none() {
            let text = if self.filter.uses_body() {
                self.text
            } else {
                // What was taken away in front may have ended inside of a character.
                let text = &self.text[..index.valid_up_to()];
                let inside = text.iter().take_while(|byte| (0x80..0xC0).contains(*byte)).count();
                &text[inside..]
            };
            let text =
                std::str::from_utf8(text).map_err(|error| Fault::NotUtf8 { offset: error.valid_up_to() })?;
            self.body = Some(Body::new(text, self.patterns));
        }
        Ok(())
    }
}

/// The end of the value at `start`; the cursor is there or, where it is a scalar in an object, behind it.
fn end(index: &Index, cursor: Cursor, text: &[u8], start: usize) -> Option<usize> {
    let mut cursor = cursor;
    let mut next = index.peek(&mut cursor)?;
    if next == start {
        index.take(&mut cursor);
        if matches!(text[start], b'[' | b'{') {
            return index.skip(&mut cursor, Some(start), &mut Skipping { depth: 1 });
        }
        next = index.peek(&mut cursor)?;
    }
    let behind = text[start..next].iter().rev();
    Some(next - behind.take_while(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\n' | b'\r')).count())
}
