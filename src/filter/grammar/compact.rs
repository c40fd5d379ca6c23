//! The same grammar for stretches of text without white space between tokens, which is how machines write
//! JSON. There, the token before a place is the byte before it, so that most rules are a shift and an
//! intersection for each block, and do not wait for the block before: the compiler turns them into vector
//! instructions over many blocks. What depends on how the block before ended stays a loop of its own.
//!
//! Nothing here says what is wrong: where anything is, the stretch is read again block by block.

use super::super::marks::Columns;
use super::super::simd::{BLOCK, Classify};
use super::containers::Contained;
use super::{Fault, Grammar, run_end};

/// Blocks in a stretch, at most.
pub const STRETCH: usize = 32;
/// What is not text, and no white space.
pub const FILLING: u8 = b'x';
/// As many blocks, or a multiple of it, are decided at once; there need not be so many.
const LANES: usize = 16;

/// A set for each block, behind one for the block before the stretch.
type Behind = [u64; STRETCH + 1];

/// The sets of a stretch; made once, and written anew for each.
#[derive(Clone, Debug)]
pub struct Sets {
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
}

impl Sets {
    pub fn new() -> Self {
        let (of_blocks, behind) = ([0; STRETCH], [0; STRETCH + 1]);
        Sets {
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
        }
    }
}

/// The places behind those of a set, from one block into the next.
#[inline(always)]
fn behind(set: &Behind, block: usize) -> u64 {
    set[block + 1] << 1 | set[block] >> 63
}

impl Grammar {
    /// Takes some blocks, at most [`STRETCH`], whose text has so many bytes: where the text ends in the last block,
    /// that is filled up with [`FILLING`]. `marks` has room for [`STRETCH`]. False, and nothing is taken, where there
    /// is white space between tokens, or anything is wrong.
    #[inline(always)]
    pub fn stretch<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        length: usize,
        marks: &mut Columns<'_>,
        sets: &mut Sets,
    ) -> bool {
        let before = self.clone();
        let fits = self.try_stretch::<C>(blocks, length, marks, sets);
        if !fits {
            *self = before;
        }
        fits
    }

    #[inline(always)]
    fn try_stretch<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        length: usize,
        marks: &mut Columns<'_>,
        sets: &mut Sets,
    ) -> bool {
        let count = blocks.len().min(STRETCH);
        // Bytes of the text in the last block.
        let ends_at = length.saturating_sub(count.saturating_sub(1) * BLOCK);
        if !(1..=BLOCK).contains(&ends_at) {
            return false;
        }
        let lanes = count.div_ceil(LANES);
        sets.comma[0] = self.after_comma << 63;
        sets.colon[0] = self.after_colon << 63;
        sets.open[0] = self.after_open << 63;
        sets.value_ends[0] = self.after_value << 63;
        sets.scalar[0] = self.scalar << 63;
        sets.name_ends[0] = self.after_name << 63;
        let wrong = self.classify::<C>(blocks, marks, sets, count);
        if wrong != 0 {
            return false;
        }
        // What is not there is taken for the inside of a string.
        sets.in_string[count - 1] |= u64::MAX.checked_shl(ends_at as u32).unwrap_or(0);
        sets.in_string[count..].fill(u64::MAX);
        sets.quote[count..].fill(0);
        let wrong = follow(sets, marks, lanes) | self.follow_names(sets, count, lanes);
        if wrong | self.all_scalars::<C>(blocks, sets, count) != 0 || self.contain(sets, count) != Ok(0) {
            return false;
        }
        self.after_comma = sets.comma[count] >> 63;
        self.after_colon = sets.colon[count] >> 63;
        self.after_open = sets.open[count] >> 63;
        let ends = sets.value_ends[count];
        self.after_value =
            if ends_at < BLOCK { (ends | sets.scalar[count]) >> (ends_at - 1) & 1 } else { ends >> 63 };
        self.after_name = sets.name_ends[count] >> 63;
        self.scalar = sets.scalar[count] >> 63;
        self.position += count * BLOCK;
        true
    }

    /// What there is, and what of it is inside of strings; also says where there is white space that is not.
    #[inline(always)]
    fn classify<C: Classify>(
        &mut self,
        blocks: &[[u8; BLOCK]],
        marks: &mut Columns<'_>,
        sets: &mut Sets,
        count: usize,
    ) -> u64 {
        let mut wrong = 0;
        for (at, block) in blocks.iter().enumerate().take(count) {
            let structure = C::structure(block);
            let escaped = self.escaped(structure.backslash);
            if escaped != 0 || self.unicode != 0 {
                wrong |= self.escapes::<C>(block, escaped);
            }
            let quote = structure.quote & !escaped;
            let in_string = C::prefix_parity(quote) ^ self.in_string;
            self.in_string = ((in_string as i64) >> 63) as u64;
            wrong |= structure.control | structure.blank & !in_string;
            if wrong != 0 {
                return wrong;
            }
            sets.in_string[at] = in_string;
            sets.quote[at] = quote;
            sets.brace[at] = structure.brace;
            sets.comma[at + 1] = structure.comma;
            sets.colon[at + 1] = structure.colon;
            sets.open[at + 1] = structure.open;
            sets.close[at] = structure.close;
            marks.backslash[at] = structure.backslash;
        }
        wrong
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
    fn contain(&mut self, sets: &Sets, count: usize) -> Result<u64, Fault> {
        let mut containers = self.containers;
        let mut wrong = 0;
        for at in 0..count {
            wrong |= containers.block(&Contained {
                open: sets.open[at + 1],
                close: sets.close[at],
                brace: sets.brace[at],
                comma: sets.comma[at + 1],
                in_object: sets.in_object[at],
                in_array: sets.colon[at + 1],
            })?;
        }
        self.containers = containers;
        Ok(wrong)
    }

    /// Numbers and words.
    #[inline(always)]
    fn all_scalars<C: Classify>(&mut self, blocks: &[[u8; BLOCK]], sets: &Sets, count: usize) -> u64 {
        let mut wrong = 0;
        for (at, block) in blocks.iter().enumerate().take(count) {
            let scalar = sets.scalar[at + 1];
            if scalar | sets.scalar[at] >> 63 != 0 {
                wrong |= self.scalars::<C>(block, scalar, sets.starts[at]);
            }
        }
        wrong
    }
}

/// What may follow what.
#[inline(always)]
fn follow(sets: &mut Sets, marks: &mut Columns<'_>, lanes: usize) -> u64 {
    let count = lanes * LANES;
    for at in 0..count {
        let outside = !sets.in_string[at];
        let ends = sets.quote[at] & outside;
        let (open, close) = (sets.open[at + 1] & outside, sets.close[at] & outside);
        let (comma, colon) = (sets.comma[at + 1] & outside, sets.colon[at + 1] & outside);
        (sets.open[at + 1], sets.close[at]) = (open, close);
        (sets.comma[at + 1], sets.colon[at + 1]) = (comma, colon);
        sets.string_ends[at] = ends;
        sets.value_ends[at + 1] = ends | close;
        sets.scalar[at + 1] = outside & !(ends | comma | colon | open | close);
    }
    let (tokens, opens, closes) =
        (&mut marks.tokens[..count], &mut marks.open[..count], &mut marks.close[..count]);
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
        tokens[at] = (begins | starts) & !behind(&sets.colon, at) | open | close;
        (opens[at], closes[at]) = (open, close);
    }
    wrong
}
