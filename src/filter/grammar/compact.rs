//! The same grammar for stretches of text without white space between tokens, which is how machines write
//! JSON. There, the token before a place is the byte before it, so that most rules are a shift and an
//! intersection for each block, and do not wait for the block before: the compiler turns them into vector
//! instructions over many blocks. What depends on how the block before ended stays a loop of its own.
//!
//! Nothing here says what is wrong: where anything is, the stretch is read again block by block.

use super::super::marks::Columns;
use super::super::simd::{BLOCK, Classify};
use super::brackets::Brackets;
use super::containers::{Contained, Containers};
use super::{Fault, Grammar, Number, carry, run_end};

/// Blocks in a stretch, at most.
pub const STRETCH: usize = 32;
/// As many blocks, or a multiple of it, are decided at once; there need not be so many.
const LANES: usize = 16;

/// So many bytes in front of where it reads, the memory is asked for: as many as are read at once elsewhere.
const AHEAD: usize = 8 << 10;

/// All blocks of a stretch.
const EACH: [u8; STRETCH] = {
    let mut each = [0; STRETCH];
    let mut at = 0;
    while at < STRETCH {
        each[at] = at as u8;
        at += 1;
    }
    each
};

/// A set for each block, behind one for the block before the stretch.
type Behind = [u64; STRETCH + 1];

/// The sets of a stretch; made once, and written anew for each. Blocks that are nothing but the inside of a string may
/// have none: nothing is found in one, and nothing is carried into one or out of it but the string.
pub struct Sets {
    /// Which block the sets are of.
    blocks: [u8; STRETCH],
    tokens: [u64; STRETCH],
    in_string: [u64; STRETCH],
    quote: [u64; STRETCH],
    brace: [u64; STRETCH],
    starts: [u64; STRETCH],
    /// Strings that may be names.
    names: [u64; STRETCH],
    in_object: [u64; STRETCH],
    comma: Behind,
    colon: Behind,
    open: Behind,
    /// Ends of strings and containers.
    value_ends: Behind,
    string_ends: [u64; STRETCH],
    close: [u64; STRETCH],
    scalar: Behind,
    name_ends: Behind,
    /// Where words begin.
    words: [u64; STRETCH],
    /// Bytes that must belong to numbers, and what they are.
    numeric: Behind,
    digit: Behind,
    minus: Behind,
    zero: Behind,
    point: [u64; STRETCH],
    brackets: Brackets,
}

impl Sets {
    pub fn new() -> Self {
        let (of_blocks, behind) = ([0; STRETCH], [0; STRETCH + 1]);
        Sets {
            blocks: [0; STRETCH],
            tokens: of_blocks,
            in_string: of_blocks,
            quote: of_blocks,
            brace: of_blocks,
            starts: of_blocks,
            names: of_blocks,
            in_object: of_blocks,
            comma: behind,
            colon: behind,
            open: behind,
            value_ends: behind,
            string_ends: of_blocks,
            close: of_blocks,
            scalar: behind,
            name_ends: behind,
            words: of_blocks,
            numeric: behind,
            digit: behind,
            minus: behind,
            zero: behind,
            point: of_blocks,
            brackets: Brackets::new(),
        }
    }

    /// Leaves out the sets of all blocks but these.
    fn leave_out_others(&mut self, count: usize) {
        for (to, at) in self.blocks.into_iter().map(usize::from).enumerate().take(count) {
            self.in_string[to] = self.in_string[at];
            self.quote[to] = self.quote[at];
            self.brace[to] = self.brace[at];
            self.comma[to + 1] = self.comma[at + 1];
            self.colon[to + 1] = self.colon[at + 1];
            self.open[to + 1] = self.open[at + 1];
            self.close[to] = self.close[at];
        }
    }
}

/// The places behind those of a set, from one block into the next.
#[inline(always)]
fn behind(set: &Behind, block: usize) -> u64 {
    set[block + 1] << 1 | set[block] >> 63
}

impl Grammar {
    /// Takes some blocks, at most [`STRETCH`], for which `marks` has room. False, and nothing is taken, where there is
    /// white space between tokens, or anything is wrong.
    #[inline(always)]
    pub fn stretch<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        marks: &mut Columns<'_>,
        sets: &mut Sets,
    ) -> bool {
        let before = self.clone();
        let fits = self.try_stretch::<C>(blocks, marks, sets);
        if !fits {
            *self = before;
        }
        fits
    }

    #[inline(always)]
    fn try_stretch<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        marks: &mut Columns<'_>,
        sets: &mut Sets,
    ) -> bool {
        let blocks = &blocks[..blocks.len().min(STRETCH)];
        sets.comma[0] = self.after_comma << 63;
        sets.colon[0] = self.after_colon << 63;
        sets.open[0] = self.after_open << 63;
        sets.value_ends[0] = self.after_value << 63;
        sets.scalar[0] = self.scalar << 63;
        sets.name_ends[0] = self.after_name << 63;
        let Some(count) = self.classify::<C>(blocks, marks, sets) else { return false };
        // No more than these, which the compiler does not see.
        let count = count.min(STRETCH);
        let lanes = count.div_ceil(LANES);
        let wrong = follow(sets, count, lanes) | self.follow_names(sets, count, lanes);
        if wrong | self.all_scalars::<C>(blocks, sets, count, lanes) != 0
            || self.contain::<C>(sets, count) != Ok(false)
        {
            return false;
        }
        set_marks(sets, marks, blocks.len(), count);
        self.after_comma = sets.comma[count] >> 63;
        self.after_colon = sets.colon[count] >> 63;
        self.after_open = sets.open[count] >> 63;
        self.after_value = sets.value_ends[count] >> 63;
        self.after_name = sets.name_ends[count] >> 63;
        self.scalar = sets.scalar[count] >> 63;
        self.position += blocks.len() * BLOCK;
        true
    }

    /// What there is, and what of it is inside of strings; for how many blocks that are not so as a whole. `None` where
    /// there is white space that is not.
    #[inline(always)]
    fn classify<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        marks: &mut Columns<'_>,
        sets: &mut Sets,
    ) -> Option<usize> {
        let mut count = 0;
        for (at, block) in blocks.iter().enumerate() {
            C::fetch(block, AHEAD);
            let structure = C::structure(block);
            let escaped = self.escaped(structure.backslash);
            let mut wrong = structure.control;
            if escaped != 0 || self.unicode != 0 {
                wrong |= self.escapes::<C>(block, escaped);
            }
            let quote = structure.quote & !escaped;
            let in_string = C::prefix_parity(quote) ^ self.in_string;
            self.in_string = ((in_string as i64) >> 63) as u64;
            wrong |= structure.blank & !in_string;
            if wrong != 0 {
                return None;
            }
            marks.backslash[at] = structure.backslash;
            sets.in_string[at] = in_string;
            sets.quote[at] = quote;
            sets.brace[at] = structure.brace;
            sets.comma[at + 1] = structure.comma;
            sets.colon[at + 1] = structure.colon;
            sets.open[at + 1] = structure.open;
            sets.close[at] = structure.close;
            sets.blocks[count % STRETCH] = at as u8;
            count += usize::from(!in_string | quote != 0);
        }
        if count > blocks.len() / 2 {
            sets.blocks = EACH;
            return Some(blocks.len());
        }
        sets.leave_out_others(count);
        Some(count)
    }

    /// Follows strings that may be names to their ends; what comes behind them.
    #[inline(always)]
    fn follow_names(&mut self, sets: &mut Sets, count: usize, lanes: usize) -> u64 {
        for at in 0..count {
            let (ends, carry) = run_end(sets.names[at], sets.in_string[at], self.in_name);
            self.in_name = carry;
            sets.name_ends[at + 1] = ends & sets.string_ends[at];
        }
        let mut wrong = 0;
        // Behind the last block, nobody looks at what comes out.
        for at in 0..lanes * LANES {
            let after_name = behind(&sets.name_ends, at);
            wrong |= sets.colon[at + 1] & !after_name;
            sets.in_object[at] |= after_name & !sets.colon[at + 1];
        }
        wrong
    }

    /// Brackets, and what stands in them.
    #[inline(always)]
    fn contain<C: Classify>(&mut self, sets: &mut Sets, count: usize) -> Result<bool, Fault> {
        let Sets { open, close, brace, comma, colon, in_object, brackets, .. } = sets;
        let blocks = (0..count.min(STRETCH)).map(|at| Contained {
            open: open[at + 1],
            close: close[at],
            brace: brace[at],
            comma: comma[at + 1],
            in_object: in_object[at],
            in_array: colon[at + 1],
        });
        if let Some(wrong) = self.containers.stretch::<C>(brackets, &blocks) {
            return Ok(wrong);
        }
        let (containers, wrong) = one_by_one(self.containers, blocks)?;
        self.containers = containers;
        Ok(wrong)
    }

    /// Numbers and words.
    #[inline(always)]
    fn all_scalars<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        sets: &mut Sets,
        count: usize,
        lanes: usize,
    ) -> u64 {
        let (number, word) = (self.number, self.word);
        sets.numeric[0] = number.runs << 63;
        sets.digit[0] = number.digit << 63;
        sets.minus[0] = number.minus << 63;
        sets.zero[0] = number.zero << 63;
        for at in 0..count {
            let decimal = C::decimal(&blocks[usize::from(sets.blocks[at])]);
            sets.digit[at + 1] = decimal.digit;
            sets.minus[at + 1] = decimal.minus;
            sets.zero[at + 1] = decimal.zero;
            sets.point[at] = decimal.point;
        }
        for at in 0..lanes * LANES {
            sets.numeric[at + 1] = sets.scalar[at + 1];
            sets.words[at] = sets.starts[at] & !(sets.digit[at + 1] | sets.minus[at + 1]);
        }
        let mut wrong = 0;
        for at in 0..count {
            if sets.words[at] | u64::from(self.word.length) != 0 {
                let (words, not_words) = self.words(&blocks[usize::from(sets.blocks[at])], sets.words[at]);
                wrong |= not_words;
                sets.numeric[at + 1] &= !words;
            }
        }
        let (others, misplaced) = decimals(sets, count, lanes);
        if others | number.exponent != 0 {
            (self.number, self.word) = (number, word);
            return self.scalars_one_by_one::<C>(blocks, sets, count);
        }
        wrong |= misplaced;
        let mut after_point = number.point;
        for at in 0..count {
            // From the first point on, a carry has made zeros of the number's ones.
            let (no_point, over) = carry(sets.numeric[at + 1], sets.point[at], after_point);
            wrong |= no_point & sets.point[at];
            after_point = over;
        }
        self.number = Number {
            runs: sets.numeric[count] >> 63,
            last: count
                .checked_sub(1)
                .map_or(number.last, |last| blocks[usize::from(sets.blocks[last])][BLOCK - 1]),
            digit: sets.digit[count] >> 63,
            minus: sets.minus[count] >> 63,
            zero: sets.zero[count] >> 63,
            point: after_point,
            exponent: 0,
        };
        wrong
    }

    /// The same where a number may have an exponent.
    #[inline(always)]
    fn scalars_one_by_one<C: Classify>(&mut self, blocks: &[[u8; BLOCK]], sets: &Sets, count: usize) -> u64 {
        let mut wrong = 0;
        for at in 0..count {
            let scalar = sets.scalar[at + 1];
            if scalar | sets.scalar[at] >> 63 != 0 {
                wrong |= self.scalars::<C>(&blocks[usize::from(sets.blocks[at])], scalar, sets.starts[at]);
            }
        }
        wrong
    }
}

/// `-`? int frac? (RFC 8259, section 6), but that there is no more than one point: what is nothing of this, and what
/// stands where it may not.
#[inline(always)]
fn decimals(sets: &mut Sets, there: usize, lanes: usize) -> (u64, u64) {
    let count = lanes * LANES;
    let mut others = 0;
    for at in 0..count {
        let numeric = sets.numeric[at + 1];
        let (digit, minus) = (sets.digit[at + 1] & numeric, sets.minus[at + 1] & numeric);
        let point = sets.point[at] & numeric;
        others |= numeric & !(digit | minus | point);
        (sets.digit[at + 1], sets.minus[at + 1], sets.point[at]) = (digit, minus, point);
    }
    for at in 0..count {
        // Those that a number begins with.
        sets.zero[at + 1] &= sets.numeric[at + 1] & (sets.starts[at] | behind(&sets.minus, at));
    }
    let mut wrong = 0;
    for at in 0..count {
        let (numeric, starts) = (sets.numeric[at + 1], sets.starts[at]);
        let is_there = if at < there { u64::MAX } else { 0 };
        let (behind_numeric, behind_digit) = (behind(&sets.numeric, at) & is_there, behind(&sets.digit, at));
        let digit = sets.digit[at + 1];
        // A minus only begins, and nothing goes on from a word.
        wrong |= sets.minus[at + 1] & !starts | numeric & !(behind_numeric | starts);
        // A point stands between digits, and a minus before one.
        wrong |= sets.point[at] & !behind_digit | behind_numeric & !(behind_digit | digit);
        wrong |= behind(&sets.zero, at) & digit;
    }
    (others, wrong)
}

/// Takes the blocks of a stretch with many brackets, or many open; and whether something is wrong.
#[cold]
fn one_by_one(
    mut containers: Containers,
    blocks: impl Iterator<Item = Contained>,
) -> Result<(Containers, bool), Fault> {
    let mut wrong = 0;
    for block in blocks {
        wrong |= containers.block(&block)?;
    }
    Ok((containers, wrong != 0))
}

/// What may follow what.
#[inline(always)]
fn follow(sets: &mut Sets, there: usize, lanes: usize) -> u64 {
    let count = lanes * LANES;
    for at in 0..count {
        let is_there = if at < there { u64::MAX } else { 0 };
        let outside = !sets.in_string[at] & is_there;
        (sets.in_string[at], sets.quote[at]) = (!outside, sets.quote[at] & is_there);
        let ends = sets.quote[at] & outside;
        let (open, close) = (sets.open[at + 1] & outside, sets.close[at] & outside);
        let (comma, colon) = (sets.comma[at + 1] & outside, sets.colon[at + 1] & outside);
        (sets.open[at + 1], sets.close[at]) = (open, close);
        (sets.comma[at + 1], sets.colon[at + 1]) = (comma, colon);
        sets.string_ends[at] = ends;
        sets.value_ends[at + 1] = ends | close;
        sets.scalar[at + 1] = outside & !(ends | comma | colon | open | close);
    }
    let mut wrong = 0;
    for at in 0..count {
        let begins = sets.quote[at] & sets.in_string[at];
        let (open, close) = (sets.open[at + 1], sets.close[at]);
        let (comma, scalar) = (sets.comma[at + 1], sets.scalar[at + 1]);
        let behind_scalar = behind(&sets.scalar, at);
        let starts = scalar & !behind_scalar;
        let after_value = behind(&sets.value_ends, at) | behind_scalar & !scalar;
        let after_open = behind(&sets.open, at);
        let after_either = after_open | behind(&sets.comma, at);
        wrong |= (begins | starts | open) & after_value;
        wrong |= comma & !after_value | close & !(after_value | after_open);
        sets.names[at] = begins & after_either;
        sets.in_object[at] = (starts | open) & after_either;
        sets.starts[at] = starts;
        sets.tokens[at] = (begins | starts) & !behind(&sets.colon, at) | open | close;
    }
    wrong
}

/// Writes down what was found in the blocks; those without sets have no marks.
#[inline(always)]
fn set_marks(sets: &Sets, marks: &mut Columns<'_>, blocks: usize, count: usize) {
    let Columns { tokens, open, close, .. } = marks;
    let (tokens, open, close) = (&mut tokens[..STRETCH], &mut open[..STRETCH], &mut close[..STRETCH]);
    if count == blocks {
        tokens.copy_from_slice(&sets.tokens);
        open.copy_from_slice(&sets.open[1..]);
        close.copy_from_slice(&sets.close);
        return;
    }
    tokens.fill(0);
    open.fill(0);
    close.fill(0);
    for (at, block) in sets.blocks.into_iter().map(usize::from).enumerate().take(count) {
        tokens[block] = sets.tokens[at];
        open[block] = sets.open[at + 1];
        close[block] = sets.close[at];
    }
}
