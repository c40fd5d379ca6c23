//! Where the tokens of a text are, found a window at a time ahead of whoever walks through it, and the
//! proof that the text up to there is UTF-8 and JSON.

use std::fmt;

use super::Fault;
use super::grammar::{Grammar, STRETCH, Sets};
use super::marks::{Columns, Marks};
use super::simd::{self, BLOCK, Classify, Level, Work};

/// Blocks that are read at once: their marks and their text stay in the nearest cache.
const WINDOW: usize = 128;

/// The marks of a part of the text.
pub struct Index {
    level: Level,
    grammar: Grammar,
    sets: Box<Sets>,
    /// Room for the last bytes of the text, filled up.
    last: [u8; BLOCK],
    marks: Marks,
    /// Place of the first mark's block in the text.
    from: usize,
    /// Up to here the text is UTF-8.
    utf8: usize,
    /// Bytes of the text that were taken away in front of it.
    gone: usize,
    /// A backslash is among the marks.
    backslashes: bool,
    ended: bool,
}

/// What it has of a text may be personal: a digit of it, where there are others.
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("level", &self.level).finish_non_exhaustive()
    }
}

/// A place among the marks: the tokens that were not taken yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// The block after the one that `tokens` is of.
    next: usize,
    /// Place of that one in the text.
    place: usize,
    tokens: u64,
}

impl Cursor {
    /// Says that the first `bytes` of the text are taken away.
    pub fn forget(&mut self, bytes: usize) {
        self.place = self.place.saturating_sub(bytes);
    }

    /// Takes the token that was peeked at.
    #[inline(always)]
    pub fn advance(&mut self) {
        self.tokens &= self.tokens.wrapping_sub(1);
    }
}

/// How far a container that is skipped was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipping {
    /// Containers that are open, the skipped one included.
    pub depth: u32,
}

impl Index {
    pub fn new() -> Self {
        Index::at_level(simd::level())
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn at_level(level: Level) -> Self {
        Index {
            level,
            grammar: Grammar::new(),
            sets: Box::new(Sets::new()),
            last: [0; BLOCK],
            marks: Marks::default(),
            from: 0,
            utf8: 0,
            gone: 0,
            backslashes: false,
            ended: false,
        }
    }

    /// Bytes that the marks were given: about half of a token that is longer than a window.
    pub fn capacity(&self) -> usize {
        self.marks.capacity()
    }

    /// Forgets what it has of the text.
    pub fn clear(&mut self) {
        self.reset();
        self.last = [0; BLOCK];
    }

    /// Begins another text; what was allocated stays.
    pub fn reset(&mut self) {
        self.grammar = Grammar::new();
        self.marks.clear();
        (self.from, self.utf8, self.gone, self.ended) = (0, 0, 0, false);
    }

    /// Reads on, and keeps the marks from `cursor` on. `complete` says that `text` is all there is.
    /// False where there is nothing more to read for now.
    ///
    /// # Errors
    /// Where the text is not UTF-8, or not JSON.
    pub fn extend(&mut self, text: &[u8], complete: bool, cursor: &mut Cursor) -> Result<bool, Fault> {
        if self.ended {
            return Ok(false);
        }
        let taken = cursor.next.saturating_sub(1);
        self.marks.forget(taken);
        self.from += taken * BLOCK;
        cursor.next -= taken;
        let known = self.marks.len();
        let next = self.from + known * BLOCK;
        // Twice as far each time, so that a token which is longer than a window is not read again and again.
        let wanted = known.max(WINDOW);
        let blocks = ((text.len() - next) / BLOCK).min(wanted);
        let end = next + blocks * BLOCK;
        let last = complete && text.len() - end < BLOCK;
        self.check_utf8(text, if last { text.len() } else { whole_characters(text, self.utf8, end) })?;
        let (whole, _) = text[next..end].as_chunks::<BLOCK>();
        let rest = last.then(|| &text[end..]);
        let Index { grammar, sets, marks, last: room, .. } = self;
        simd::at(self.level, Read { grammar, sets, marks, blocks: whole, rest, room })?;
        if last {
            if !self.grammar.is_complete() {
                return Err(Fault::Syntax { offset: self.gone + text.len() });
            }
            // The end counts as a token, so that there is one after each value.
            self.marks.add_token(1 << (text.len() - end));
            self.ended = true;
        }
        let fresh = if known > 1 { known } else { 0 };
        self.backslashes &= fresh > 0;
        self.backslashes |= self.marks.backslashes()[fresh..].iter().fold(0, |all, one| all | one) != 0;
        Ok(blocks > 0 || last)
    }

    fn check_utf8(&mut self, text: &[u8], end: usize) -> Result<(), Fault> {
        let part = &text[self.utf8..end];
        if simdutf8::basic::from_utf8(part).is_err() {
            let valid = std::str::from_utf8(part).map_or_else(|error| error.valid_up_to(), |_| part.len());
            return Err(Fault::NotUtf8 { offset: self.gone + self.utf8 + valid });
        }
        self.utf8 = end;
        Ok(())
    }

    /// Up to here the text is known to be UTF-8.
    pub fn valid_up_to(&self) -> usize {
        self.utf8
    }

    /// Where in the whole body a place of the text is.
    pub fn in_body(&self, place: usize) -> usize {
        self.gone + place
    }

    /// Says that the first `bytes` of the text are taken away: places are counted from the new beginning.
    /// A whole number of blocks, all of them before the cursor.
    pub fn forget(&mut self, bytes: usize) {
        self.from -= bytes;
        self.utf8 -= bytes;
        self.gone += bytes;
    }

    /// How many bytes in front of the cursor's block nobody needs the marks of; whole blocks.
    pub fn before(&self, cursor: &Cursor) -> usize {
        self.from + cursor.next.saturating_sub(1) * BLOCK
    }

    /// Up to here the text is among the marks.
    pub fn end(&self) -> usize {
        self.from + self.marks.len() * BLOCK
    }

    /// The next token, without taking it.
    #[inline(always)]
    pub fn peek(&self, cursor: &mut Cursor) -> Option<usize> {
        while cursor.tokens == 0 {
            cursor.tokens = self.marks.tokens(cursor.next)?;
            cursor.place = self.from + cursor.next * BLOCK;
            cursor.next += 1;
        }
        Some(cursor.place + cursor.tokens.trailing_zeros() as usize)
    }

    /// Takes the next token.
    #[inline(always)]
    pub fn take(&self, cursor: &mut Cursor) -> Option<usize> {
        let place = self.peek(cursor)?;
        cursor.advance();
        Some(place)
    }

    /// Goes past the container whose opening bracket was taken at `place` (`None`: in a window before this
    /// one), and gives its end. `None` where that is not among the marks; the cursor then stands at their
    /// end.
    #[inline(always)]
    pub fn skip(&self, cursor: &mut Cursor, place: Option<usize>, skipping: &mut Skipping) -> Option<usize> {
        let mut ahead = u64::MAX;
        let mut first = cursor.next;
        if let Some(place) = place {
            ahead = u64::MAX << (place % BLOCK) << 1;
            first -= 1;
        }
        for (at, (open, close)) in self.marks.brackets(first).enumerate() {
            let (open, close) = (open & ahead, close & ahead);
            ahead = u64::MAX;
            let closes = close.count_ones();
            if closes < skipping.depth {
                skipping.depth += open.count_ones();
                skipping.depth -= closes;
            } else if let Some(bit) = end_of(skipping, open, close) {
                let at = first + at;
                let (place, tokens) = (self.from + at * BLOCK, self.marks.tokens(at).unwrap_or(0));
                *cursor = Cursor { next: at + 1, place, tokens: tokens & !(bit | (bit - 1)) };
                return Some(place + bit.trailing_zeros() as usize + 1);
            }
        }
        *cursor = Cursor { next: self.marks.len(), place: 0, tokens: 0 };
        None
    }

    /// Whether a backslash is anywhere among the marks.
    #[inline(always)]
    pub fn has_backslashes(&self) -> bool {
        self.backslashes
    }

    /// Whether a backslash is among the bytes from `start` to `end`.
    #[inline(always)]
    pub fn has_backslash(&self, start: usize, end: usize) -> bool {
        let (start, end) = (start - self.from, end - self.from);
        let (first, last) = (start / BLOCK, end / BLOCK);
        let from_start = u64::MAX << (start % BLOCK);
        let to_end = (1u64 << (end % BLOCK)) - 1;
        let backslash = self.marks.backslashes();
        if first == last {
            return backslash[first] & from_start & to_end != 0;
        }
        backslash[first] & from_start != 0
            || backslash[first + 1..last].iter().any(|set| *set != 0)
            || backslash.get(last).is_some_and(|set| set & to_end != 0)
    }
}

/// The bracket of a block that closes what is skipped; or takes the whole block.
fn end_of(skipping: &mut Skipping, open: u64, close: u64) -> Option<u64> {
    let mut rest = close;
    let mut closed = 0;
    while rest != 0 {
        let bit = rest & rest.wrapping_neg();
        closed += 1;
        if skipping.depth + (open & (bit - 1)).count_ones() == closed {
            return Some(bit);
        }
        rest &= rest - 1;
    }
    skipping.depth = skipping.depth + open.count_ones() - closed;
    None
}

/// The largest end not after `end` that cuts no character in two.
fn whole_characters(text: &[u8], from: usize, end: usize) -> usize {
    // A character has at most four bytes: the first says how many.
    let first = (end.saturating_sub(3).max(from)..end).rev().find(|at| text[*at] >= 0xC0);
    match first {
        Some(at) if at + length_of(text[at]) > end => at,
        _ => end,
    }
}

fn length_of(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    }
}

/// Reads blocks.
struct Read<'a> {
    grammar: &'a mut Grammar,
    sets: &'a mut Sets,
    marks: &'a mut Marks,
    blocks: &'a [[u8; BLOCK]],
    /// The last bytes of the text, less than a block, where they are there.
    rest: Option<&'a [u8]>,
    room: &'a mut [u8; BLOCK],
}

impl Work for Read<'_> {
    type Output = Result<(), Fault>;

    #[inline(always)]
    fn run<C: Classify>(self) -> Result<(), Fault> {
        let Read { sets, marks, blocks, rest, room, .. } = self;
        let mut grammar = self.grammar.clone();
        let mut from = marks.len();
        marks.add(blocks.len() + usize::from(rest.is_some()), STRETCH);
        for blocks in blocks.chunks(STRETCH) {
            let mut marks = marks.columns(from..from + STRETCH);
            if !grammar.stretch::<C>(blocks, &mut marks, sets) {
                one_by_one::<C>(&mut grammar, blocks, &mut marks)?;
            }
            from += blocks.len();
        }
        if let Some(rest) = rest {
            *room = [b' '; BLOCK];
            room[..rest.len()].copy_from_slice(rest);
            marks.columns(from..from + 1).set(0, grammar.block::<C>(room)?);
        }
        *self.grammar = grammar;
        Ok(())
    }
}

#[inline(always)]
fn one_by_one<C: Classify>(
    grammar: &mut Grammar,
    blocks: &[[u8; BLOCK]],
    marks: &mut Columns<'_>,
) -> Result<(), Fault> {
    for (at, block) in blocks.iter().enumerate() {
        marks.set(at, grammar.block::<C>(block)?);
    }
    Ok(())
}
