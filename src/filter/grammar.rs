//! The grammar of JSON (RFC 8259), decided for 64 bytes at a time by operations on sets of positions.
//!
//! Most of the grammar says which token may follow which. The token before each place is carried over
//! white space by an addition (a run of ones lets a carry through), so that 'after a comma', say, is one
//! set for a whole block. What depends on the container around a place is checked once for each bracket:
//! between two brackets the container stays the same. Numbers and escapes are checked in the same way,
//! and only in blocks that have some.
//!
//! Everything is checked everywhere, also in parts that nobody is going to look at.

mod brackets;
mod compact;
mod containers;

pub use compact::{STRETCH, Sets};

use containers::{Contained, Containers};

use super::Fault;
use super::marks::Mark;
use super::simd::{BLOCK, Classify, Decimal, Numeric, Part};

/// How many containers may be open at once.
pub const MAX_DEPTH: usize = 128;

/// How far the text is read, and all that the next block depends on. Fields that end in nothing else are
/// 0 or 1: the set's bit for the byte before the block, or a carry out of it.
#[derive(Clone)]
pub struct Grammar {
    /// Bytes before the next block.
    position: usize,
    /// All ones inside a string.
    in_string: u64,
    /// The block before ended in a backslash that escapes.
    escaping: u64,
    after_value: u64,
    after_open: u64,
    after_comma: u64,
    after_colon: u64,
    /// The string that runs is one that may be a name.
    in_name: u64,
    after_name: u64,
    scalar: u64,
    number: Number,
    /// The last four bits of the set of `u` escapes, as the highest bits.
    unicode: u64,
    word: Word,
    containers: Containers,
}

/// What the next block must know of a number that the block ended in.
#[derive(Clone, Copy, Default)]
struct Number {
    /// The block's last byte is in a number.
    runs: u64,
    last: u8,
    /// It is a digit of one.
    digit: u64,
    /// It is a minus that the number began with.
    minus: u64,
    /// It is a zero that the number began with.
    zero: u64,
    /// The number has its point, its exponent.
    point: u64,
    exponent: u64,
}

/// What is missing of `true`, `false` or `null` at the end of a block.
#[derive(Clone, Copy, Default)]
struct Word {
    /// Its bytes, the first one lowest.
    rest: u32,
    length: u32,
}

/// The part of a block outside of strings.
struct Outside {
    /// Opening quotes.
    begins: u64,
    /// Closing quotes.
    ends: u64,
    in_string: u64,
    white: u64,
    comma: u64,
    colon: u64,
    open: u64,
    close: u64,
}

impl Grammar {
    pub fn new() -> Self {
        Grammar {
            position: 0,
            in_string: 0,
            escaping: 0,
            after_value: 0,
            after_open: 0,
            after_comma: 0,
            after_colon: 0,
            in_name: 0,
            after_name: 0,
            scalar: 0,
            number: Number::default(),
            unicode: 0,
            word: Word::default(),
            containers: Containers::default(),
        }
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// Where a byte of it cannot stand where it stands. The offset is that of the byte, or of the next
    /// token where something is missing.
    #[inline(always)]
    pub fn block<C: Classify>(&mut self, block: &[u8; BLOCK]) -> Result<Mark, Fault> {
        let structure = C::structure(block);
        let mut wrong = 0;
        let escaped = self.escaped(structure.backslash);
        if escaped != 0 || self.unicode != 0 {
            wrong |= self.escapes::<C>(block, escaped);
        }
        let quote = structure.quote & !escaped;
        if quote == 0 && self.in_string != 0 {
            // Text only.
            return self.text(wrong | structure.control, structure.backslash);
        }
        let in_string = C::prefix_parity(quote) ^ self.in_string;
        self.in_string = ((in_string as i64) >> 63) as u64;
        wrong |= structure.control & in_string;
        let begins = quote & in_string;
        let ends = quote & !in_string;
        let white = C::white(block) & !in_string;
        let [comma, colon, open, close] =
            [structure.comma, structure.colon, structure.open, structure.close].map(|set| set & !in_string);
        let scalar = !(in_string | ends | white | comma | colon | open | close);
        let outside = Outside { begins, ends, in_string, white, comma, colon, open, close };
        let before = self.scalar;
        let starts = scalar & !self.follow_scalar(scalar);
        if scalar | before != 0 {
            wrong |= self.scalars::<C>(block, scalar, starts);
        }
        let after_scalar = (scalar << 1 | before) & !scalar;
        let after_colon = step_to_token(colon << 1, colon >> 63, white, &mut self.after_colon);
        let in_object = self.tokens(&outside, starts, after_scalar, &mut wrong);
        let brace = structure.brace;
        wrong |=
            self.containers.block(&Contained { open, close, brace, comma, in_object, in_array: colon })?;
        if wrong != 0 {
            return Err(Fault::Syntax { offset: self.position + wrong.trailing_zeros() as usize });
        }
        self.position += BLOCK;
        let tokens = (begins | starts) & !after_colon | open | close;
        Ok(Mark { tokens, open, close, backslash: structure.backslash })
    }

    /// A block inside a string.
    #[inline(always)]
    fn text(&mut self, wrong: u64, backslash: u64) -> Result<Mark, Fault> {
        if wrong != 0 {
            return Err(Fault::Syntax { offset: self.position + wrong.trailing_zeros() as usize });
        }
        self.position += BLOCK;
        Ok(Mark { backslash, ..Mark::default() })
    }

    /// Whether the text may end here; the last block must have ended in white space.
    pub fn is_complete(&self) -> bool {
        self.containers.is_outside() && self.in_string == 0 && self.after_value == 1
    }

    /// The bytes after a backslash that escapes them. A run of backslashes escapes by pairs.
    #[inline(always)]
    fn escaped(&mut self, backslash: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if backslash == 0 {
            return std::mem::take(&mut self.escaping);
        }
        let backslash = backslash & !self.escaping;
        let follows = backslash << 1 | self.escaping;
        let odd_starts = backslash & !EVEN & !follows;
        let (even_runs, carry) = odd_starts.overflowing_add(backslash);
        self.escaping = u64::from(carry);
        (EVEN ^ (even_runs << 1)) & follows
    }

    /// Escapes that RFC 8259, section 7, does not know. (Outside of strings a backslash is wrong itself.)
    #[inline(always)]
    fn escapes<C: Classify>(&mut self, block: &[u8; BLOCK], escaped: u64) -> u64 {
        let escape = C::escape(block);
        let unicode = escaped & escape.unicode;
        // Four digits after each `u`, those of the block before included.
        let digits = (1..=4).fold(0, |digits, by| digits | unicode << by | self.unicode >> (64 - by));
        self.unicode = unicode;
        (escaped & !(escape.simple | escape.unicode)) | (digits & !escape.hex)
    }

    /// The places after scalar bytes.
    #[inline(always)]
    fn follow_scalar(&mut self, scalar: u64) -> u64 {
        let follow = scalar << 1 | self.scalar;
        self.scalar = scalar >> 63;
        follow
    }

    /// What cannot follow what it follows; and what cannot stand in an object.
    #[inline(always)]
    fn tokens(&mut self, outside: &Outside, starts: u64, after_scalar: u64, wrong: &mut u64) -> u64 {
        let Outside { begins, ends, in_string, white, comma, colon, open, close } = *outside;
        let ended = (ends | close) << 1 | after_scalar;
        let after_value = step_to_token(ended, (ends | close) >> 63, white, &mut self.after_value);
        let after_open = step_to_token(open << 1, open >> 63, white, &mut self.after_open);
        let after_comma = step_to_token(comma << 1, comma >> 63, white, &mut self.after_comma);
        *wrong |= (begins | starts | open) & after_value;
        *wrong |= comma & !after_value;
        *wrong |= close & !(after_value | after_open);
        // A string that a name may stand at, followed to its end: its run in `in_string` lets the carry
        // through.
        let name = begins & (after_open | after_comma);
        let (ends_of_names, carry) = run_end(name, in_string, self.in_name);
        self.in_name = carry;
        let ends_of_names = ends_of_names & ends;
        let after_name = step_to_token(ends_of_names << 1, ends_of_names >> 63, white, &mut self.after_name);
        *wrong |= colon & !after_name;
        (after_name & !colon) | ((starts | open) & (after_open | after_comma))
    }

    /// Numbers and words.
    #[inline(always)]
    fn scalars<C: Classify>(&mut self, block: &[u8; BLOCK], scalar: u64, starts: u64) -> u64 {
        let decimal = C::decimal(block);
        let (words, wrong) = self.words(block, starts & !(decimal.digit | decimal.minus));
        let (inside, last) = (scalar & !words, block[BLOCK - 1]);
        let others = inside & !(decimal.digit | decimal.minus | decimal.point);
        if others | self.number.exponent == 0 {
            return wrong | self.decimals(&decimal, last, inside, starts);
        }
        let part = if self.number.runs == 1 { Part::of(self.number.last) } else { Part::None };
        wrong | self.numbers(&C::numeric(block, part), last, inside, starts)
    }

    /// `true`, `false`, `null` at each of `starts`: the bytes that they take, and what is wrong.
    #[inline(always)]
    fn words(&mut self, block: &[u8; BLOCK], starts: u64) -> (u64, u64) {
        let (mut taken, mut wrong) = (0, 0);
        if self.word.length > 0 {
            let Word { rest, length } = std::mem::take(&mut self.word);
            taken = (1 << length) - 1;
            let begin = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
            wrong |= u64::from((begin ^ rest) & u32::MAX >> (32 - 8 * length) != 0);
        }
        let mut starts = starts;
        while starts != 0 {
            let at = starts.trailing_zeros() as usize % BLOCK;
            starts &= starts - 1;
            let (length, is_word) = match block[at..].first_chunk() {
                Some(text) => word(u64::from_le_bytes(*text)),
                None => {
                    let (length, is_word, rest) = word_at_the_end(&block[at..]);
                    self.word = rest;
                    (length, is_word)
                }
            };
            wrong |= u64::from(!is_word) << at;
            taken |= ((1 << length) - 1) << at;
        }
        (taken, wrong)
    }

    /// `-`? int frac? (RFC 8259, section 6): numbers of a block that has no exponent. `inside` are their bytes:
    /// digits, minus signs and points.
    #[inline(always)]
    fn decimals(&mut self, decimal: &Decimal, last: u8, inside: u64, starts: u64) -> u64 {
        let before = self.number;
        let [digit, zero, minus, point] =
            [decimal.digit, decimal.zero, decimal.minus, decimal.point].map(|set| set & inside);
        let behind = inside << 1 | before.runs;
        let behind_digit = digit << 1 | before.digit;
        // A minus only begins, and nothing goes on from a word.
        let mut wrong = minus & !starts | inside & !(behind | starts);
        // A point stands between digits, and a minus before one.
        wrong |= point & !behind_digit | behind & !(behind_digit | digit);
        // From the first point on, a carry has made zeros of the number's ones.
        let (no_point, point_over) = carry(inside, point, before.point);
        wrong |= no_point & point;
        let zero = zero & (starts | minus << 1 | before.minus);
        wrong |= (zero << 1 | before.zero) & digit;
        self.number = Number {
            runs: inside >> 63,
            last,
            digit: digit >> 63,
            minus: minus >> 63,
            zero: zero >> 63,
            point: point_over,
            exponent: 0,
        };
        wrong
    }

    /// `-`? int frac? exp? (RFC 8259, section 6). `inside` are the bytes that must belong to numbers.
    #[inline(always)]
    fn numbers(&mut self, numeric: &Numeric, last: u8, inside: u64, starts: u64) -> u64 {
        let before = self.number;
        let Numeric { digit, minus, plus, point, exponent, .. } = *numeric;
        // Each part behind one that it may follow, also the end.
        let behind = inside << 1 | before.runs;
        let mut wrong = numeric.misplaced & (inside | behind);
        wrong |= inside & !(digit | minus | plus | point | exponent);
        // Nothing but a digit or a minus begins a number, and nothing goes on from a word.
        wrong |= inside & (plus & starts | !behind & !starts);
        // One point and one exponent, in this order: from the first one on, a carry has made zeros of the
        // number's ones.
        let (exponent, point) = (exponent & inside, point & inside);
        let (no_exponent, exponent_over) = carry(inside, exponent, before.exponent);
        let (no_point, point_over) = carry(inside, point, before.point);
        wrong |= no_exponent & exponent | no_point & point | point & !no_exponent;
        // No digit follows a zero that a number begins with.
        let sign = minus & starts;
        let zero = numeric.zero & (starts | sign << 1 | before.minus) & inside;
        wrong |= (zero << 1 | before.zero) & digit & inside;
        self.number = Number {
            runs: inside >> 63,
            last,
            digit: (digit & inside) >> 63,
            minus: sign >> 63,
            zero: zero >> 63,
            point: point_over,
            exponent: exponent_over,
        };
        wrong
    }
}

/// The length of the word that eight bytes begin with, and whether it is one; without a branch.
#[inline(always)]
fn word(text: u64) -> (u32, bool) {
    let four = |word: &[u8; 4]| text as u32 == u32::from_le_bytes(*word);
    let is_false = four(b"fals") & ((text >> 32) as u8 == b'e');
    (4 + u32::from(is_false), is_false | four(b"true") | four(b"null"))
}

/// The length of the word that a block ends in or shortly before, whether it is one as far as it goes, and what is
/// missing.
#[cold]
fn word_at_the_end(text: &[u8]) -> (u32, bool, Word) {
    let word: &[u8] = match text[0] {
        b't' => b"true",
        b'f' => b"false",
        _ => b"null",
    };
    let here = word.len().min(text.len());
    let missing = &word[here..];
    let rest = missing.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    (word.len() as u32, text[..here] == word[..here], Word { rest, length: missing.len() as u32 })
}

/// From places to the next one that is not white space, in this block or (`carry`) in the next one.
/// `last` says that the block's last byte asks for the place after it.
#[inline(always)]
fn step_to_token(places: u64, last: u64, white: u64, carry: &mut u64) -> u64 {
    let places = places | *carry;
    let (sum, over) = places.overflowing_add(white);
    *carry = last | u64::from(over);
    sum & !white
}

/// Adds some of the ones of `runs` to them, and one in front of them; and what goes on into the next block.
#[inline(always)]
fn carry(runs: u64, ones: u64, before: u64) -> (u64, u64) {
    let (sum, first) = runs.overflowing_add(ones);
    let (sum, second) = sum.overflowing_add(before);
    (sum, u64::from(first | second))
}

/// The first place after each run of `runs` that begins at one of `starts`; `open` and the carry: a run
/// that goes on from the block before, and into the next one.
#[inline(always)]
fn run_end(starts: u64, runs: u64, open: u64) -> (u64, u64) {
    let (sum, over) = carry(runs, starts, open);
    (sum & !runs, over)
}

#[cfg(test)]
mod tests;
