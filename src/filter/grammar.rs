//! The grammar of JSON (RFC 8259), decided for 64 bytes at a time by operations on sets of positions.
//!
//! Most of the grammar says which token may follow which. The token before each place is carried over
//! white space by an addition (a run of ones lets a carry through), so that 'after a comma', say, is one
//! set for a whole block. What depends on the container around a place is checked once for each bracket:
//! between two brackets the container stays the same. Numbers and escapes are checked in the same way,
//! and only in blocks that have some.
//!
//! Everything is checked everywhere, also in parts that nobody is going to look at.

use super::Fault;
use super::simd::{BLOCK, Classify};

/// How many containers may be open at once.
pub const MAX_DEPTH: usize = 128;

/// What a reader needs to know of one block. Bit i stands for byte i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Where tokens begin: brackets, commas, colons, opening quotes, the first bytes of other scalars.
    pub tokens: u64,
    /// Opening brackets outside of strings.
    pub open: u64,
    /// Closing brackets outside of strings.
    pub close: u64,
    pub backslash: u64,
}

/// What stands around the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing = 0,
    Array = 1,
    Object = 2,
}

/// How far the text is read, and all that the next block depends on. Fields that end in nothing else are
/// 0 or 1: the set's bit for the byte before the block, or a carry out of it.
#[derive(Clone, Debug)]
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
    /// The string that runs is one that may be a name.
    in_name: u64,
    after_name: u64,
    scalar: u64,
    number: Number,
    /// The last four bits of the set of `u` escapes, as the highest bits.
    unicode: u64,
    word: Word,
    depth: usize,
    /// One bit for each open container, the innermost lowest: set for an object.
    objects: u128,
}

/// The carries of numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    digit: u64,
    zero: u64,
    /// A minus at the start of a number.
    sign: u64,
    point: u64,
    exponent: u64,
    /// A sign of an exponent.
    exponent_sign: u64,
    whole: u64,
    fraction: u64,
}

impl Number {
    fn is_open(&self) -> bool {
        (self.digit | self.sign | self.point | self.exponent | self.exponent_sign) != 0
            || (self.whole | self.fraction) != 0
    }
}

/// What is missing of `true`, `false` or `null` at the end of a block.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    rest: [u8; 4],
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
    /// Bytes of numbers and words, and what should not be there.
    scalar: u64,
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
            in_name: 0,
            after_name: 0,
            scalar: 0,
            number: Number::default(),
            unicode: 0,
            word: Word::default(),
            depth: 0,
            objects: 0,
        }
    }

    /// Takes the next block.
    ///
    /// # Errors
    /// Where a byte of it cannot stand where it stands. The offset is that of the byte, or of the next
    /// token where something is missing.
    #[inline(always)]
    pub fn block<C: Classify>(&mut self, block: &[u8; BLOCK]) -> Result<Marks, Fault> {
        let structure = C::structure(block);
        let mut wrong = 0;
        let escaped = self.escaped(structure.backslash);
        if escaped != 0 || self.unicode != 0 {
            wrong |= self.escapes::<C>(block, escaped);
        }
        let quote = structure.quote & !escaped;
        let in_string = C::prefix_parity(quote) ^ self.in_string;
        self.in_string = ((in_string as i64) >> 63) as u64;
        wrong |= structure.control & in_string;
        let begins = quote & in_string;
        let ends = quote & !in_string;
        let white = structure.white & !in_string;
        let [comma, colon, open, close] =
            [structure.comma, structure.colon, structure.open, structure.close].map(|set| set & !in_string);
        let scalar = !(in_string | ends | white | comma | colon | open | close);
        let outside = Outside { begins, ends, in_string, white, comma, colon, open, close, scalar };
        let before = self.scalar;
        let starts = scalar & !self.follow_scalar(scalar);
        if scalar | before != 0 {
            wrong |= self.scalars::<C>(block, scalar, starts);
        }
        let after_scalar = (scalar << 1 | before) & !scalar;
        let [in_object, in_array] = self.tokens(&outside, starts, after_scalar, &mut wrong);
        if open | close == 0 {
            wrong |= self.misplaced(&outside, in_object, in_array);
        } else {
            wrong |= self.brackets(block, &outside, in_object, in_array)?;
        }
        if wrong != 0 {
            return Err(Fault::Syntax { offset: self.position + wrong.trailing_zeros() as usize });
        }
        self.position += BLOCK;
        let tokens = begins | starts | comma | colon | open | close;
        Ok(Marks { tokens, open, close, backslash: structure.backslash })
    }

    /// Whether the text may end here; the last block must have ended in white space.
    pub fn is_complete(&self) -> bool {
        self.depth == 0 && self.in_string == 0 && self.after_value == 1
    }

    /// Whether nothing but white space was read.
    pub fn position(&self) -> usize {
        self.position
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

    /// What cannot follow what it follows; and what cannot stand in an object, and in an array.
    #[inline(always)]
    fn tokens(&mut self, outside: &Outside, starts: u64, after_scalar: u64, wrong: &mut u64) -> [u64; 2] {
        let Outside { begins, ends, in_string, white, comma, colon, open, close, .. } = *outside;
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
        let in_object = (after_name & !colon) | ((starts | open) & (after_open | after_comma));
        [in_object, colon]
    }

    /// Checks a block without brackets against the container around it.
    #[inline(always)]
    fn misplaced(&self, outside: &Outside, in_object: u64, in_array: u64) -> u64 {
        match self.around() {
            Around::Nothing => outside.comma | outside.colon,
            Around::Array => in_array,
            Around::Object => in_object,
        }
    }

    /// Goes from bracket to bracket, checking what stands before each against the container around it.
    #[inline(always)]
    fn brackets(
        &mut self,
        block: &[u8; BLOCK],
        outside: &Outside,
        in_object: u64,
        in_array: u64,
    ) -> Result<u64, Fault> {
        let mut rest = outside.open | outside.close;
        let mut ahead = u64::MAX;
        let mut wrong = 0;
        let not_allowed = [outside.comma | outside.colon, in_array, in_object];
        let mut around = self.around() as usize;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let upto = bit | (bit - 1);
            wrong |= not_allowed[around] & ahead & upto;
            ahead = !upto;
            // Braces have the bit that brackets lack.
            let object = block[bit.trailing_zeros() as usize % BLOCK] & 0x20 != 0;
            if outside.open & bit != 0 {
                if self.depth == MAX_DEPTH {
                    return Err(Fault::TooDeep);
                }
                self.depth += 1;
                self.objects = self.objects << 1 | u128::from(object);
                around = 1 + usize::from(object);
            } else {
                if self.depth == 0 || (self.objects & 1 == 1) != object {
                    return Ok(wrong | bit);
                }
                self.depth -= 1;
                self.objects >>= 1;
                around = if self.depth == 0 { 0 } else { 1 + (self.objects & 1) as usize };
            }
            rest &= rest - 1;
        }
        Ok(wrong | not_allowed[around] & ahead)
    }

    #[inline(always)]
    fn around(&self) -> Around {
        match (self.depth, self.objects & 1) {
            (0, _) => Around::Nothing,
            (_, 0) => Around::Array,
            (_, _) => Around::Object,
        }
    }

    /// Numbers and words.
    #[inline(always)]
    fn scalars<C: Classify>(&mut self, block: &[u8; BLOCK], scalar: u64, starts: u64) -> u64 {
        let numeric = C::numeric(block);
        let begins_number = numeric.digit | numeric.minus;
        let (words, mut wrong) = self.words(block, starts & !begins_number);
        let inside = scalar & !words;
        if inside == 0 && !self.number.is_open() {
            return wrong;
        }
        wrong |= self.numbers(&numeric, inside, starts);
        wrong
    }

    /// `true`, `false`, `null` at each of `starts`: the bytes that they take, and what is wrong.
    #[inline(always)]
    fn words(&mut self, block: &[u8; BLOCK], starts: u64) -> (u64, u64) {
        let (mut taken, mut wrong) = (0, 0);
        if self.word.length > 0 {
            let Word { rest, length } = std::mem::take(&mut self.word);
            taken = (1 << length) - 1;
            wrong |= u64::from(block[..length as usize] != rest[..length as usize]);
        }
        let mut starts = starts;
        while starts != 0 {
            let at = starts.trailing_zeros() as usize % BLOCK;
            starts &= starts - 1;
            let word: &[u8] = match block[at] {
                b't' => b"true",
                b'f' => b"false",
                b'n' => b"null",
                _ => return (taken, wrong | 1 << at),
            };
            let here = word.len().min(BLOCK - at);
            wrong |= u64::from(block[at..at + here] != word[..here]) << at;
            taken |= ((1 << word.len()) - 1) << at;
            if here < word.len() {
                let rest = &word[here..];
                self.word.rest[..rest.len()].copy_from_slice(rest);
                self.word.length = rest.len() as u32;
            }
        }
        (taken, wrong)
    }

    /// `-`? int frac? exp? (RFC 8259, section 6). `inside` are the bytes that must belong to numbers.
    #[inline(always)]
    fn numbers(&mut self, numeric: &super::simd::Numeric, inside: u64, starts: u64) -> u64 {
        let last = self.number;
        let digit = numeric.digit & inside;
        let minus = numeric.minus & inside;
        let plus = numeric.plus & inside;
        let point = numeric.point & inside;
        let exponent = numeric.exponent & inside;
        let mut wrong = inside & !(digit | minus | plus | point | exponent);
        let after_exponent = exponent << 1 | last.exponent;
        let sign = minus & starts;
        let exponent_sign = (minus | plus) & after_exponent;
        wrong |= (minus | plus) & !(sign | exponent_sign);
        let after_sign = sign << 1 | last.sign;
        let after_point = point << 1 | last.point;
        let after_exponent_sign = exponent_sign << 1 | last.exponent_sign;
        wrong |= (after_sign | after_point | after_exponent_sign) & !digit;
        wrong |= after_exponent & !(digit | exponent_sign);
        // Each run of digits is one of three, by what stands before it.
        let run = digit & !(digit << 1 | last.digit);
        let whole = run & (starts | after_sign);
        let fraction = run & after_point;
        wrong |= run & !(whole | fraction | after_exponent | after_exponent_sign);
        let (after_whole, whole_carry) = run_end(whole, digit, last.whole);
        let (after_fraction, fraction_carry) = run_end(fraction, digit, last.fraction);
        wrong |= point & !after_whole;
        wrong |= exponent & !(after_whole | after_fraction);
        // No digit follows a zero that a number begins with.
        let zero = numeric.zero & whole;
        wrong |= (zero << 1 | last.zero) & digit;
        self.number = Number {
            digit: digit >> 63,
            zero: zero >> 63,
            sign: sign >> 63,
            point: point >> 63,
            exponent: exponent >> 63,
            exponent_sign: exponent_sign >> 63,
            whole: whole_carry,
            fraction: fraction_carry,
        };
        wrong
    }
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

/// The first place after each run of `runs` that begins at one of `starts`; `open` and the carry: a run
/// that goes on from the block before, and into the next one.
#[inline(always)]
fn run_end(starts: u64, runs: u64, open: u64) -> (u64, u64) {
    let (sum, first) = starts.overflowing_add(runs);
    let (sum, second) = sum.overflowing_add(open);
    (sum & !runs, u64::from(first | second))
}

#[cfg(test)]
mod tests {
    use super::super::index::{Cursor, Index};
    use super::super::scanner;
    use super::super::simd::{self, Level};
    use super::*;

    fn accepts(text: &[u8], level: Level) -> bool {
        let mut index = Index::at_level(level);
        let mut cursor = Cursor::default();
        loop {
            match index.extend(text, true, &mut cursor) {
                Ok(true) => while index.take(&mut cursor).is_some() {},
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }

    fn levels() -> Vec<Level> {
        vec![Level::Portable, simd::level()]
    }

    /// The text itself, and moved over the borders of blocks.
    fn check(text: &str) {
        let oracle = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        let scanned = scanner::accepts(text);
        assert_eq!(scanned, oracle, "the scanner on {text:?}");
        for shift in [0, 1, 58, 59, 60, 61, 62, 63, 64, 120] {
            let moved = " ".repeat(shift) + text;
            for level in levels() {
                assert_eq!(accepts(moved.as_bytes(), level), oracle, "{level:?} on {moved:?}");
            }
        }
    }

    #[test]
    fn blocks_and_serde_json_agree_on_what_is_json() {
        for text in scanner::TEXTS {
            check(text);
        }
    }

    /// Every way to put a few tokens one after the other.
    #[test]
    fn every_short_row_of_tokens_is_decided_as_serde_json_does() {
        let tokens = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "null", " "];
        let mut rows = vec![String::new()];
        for length in 0..6 {
            if length > 0 {
                rows = rows.iter().flat_map(|row| tokens.map(|token| row.clone() + token)).collect();
            }
            for row in &rows {
                let oracle = serde_json::from_str::<serde::de::IgnoredAny>(row).is_ok();
                assert_eq!(accepts(row.as_bytes(), Level::Portable), oracle, "{row:?}");
            }
        }
    }

    #[test]
    fn every_short_row_of_number_characters_is_decided_as_serde_json_does() {
        let characters = ['0', '1', '-', '+', '.', 'e', 'E', ' '];
        let mut rows = vec![String::new()];
        for _ in 0..6 {
            rows =
                rows.iter().flat_map(|row| characters.map(|character| format!("{row}{character}"))).collect();
            for row in &rows {
                let text = format!("[{row}]");
                let oracle = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                assert_eq!(accepts(text.as_bytes(), simd::level()), oracle, "{text:?}");
            }
        }
    }

    #[test]
    fn words_and_escapes_are_exact() {
        for word in ["true", "false", "null"] {
            for at in 0..word.len() {
                for byte in *b"xtrue}1\"" {
                    let mut changed = word.as_bytes().to_vec();
                    changed[at] = byte;
                    check(std::str::from_utf8(&changed).unwrap());
                }
                check(&word[..at]);
                check(&format!("{word}{}", &word[..at]));
            }
        }
        for byte in 0..0x80u8 {
            check(&format!("\"\\{}\"", char::from(byte)));
            check(&format!("\"\\u00{}1\"", char::from(byte)));
            check(&format!("\"\\\\{}\"", char::from(byte)));
            check(&format!("\"{}\"", char::from(byte)));
            check(&format!("[{}]", char::from(byte)));
        }
        for backslashes in 0..140 {
            check(&format!("\"{}\"", "\\".repeat(backslashes)));
            check(&format!("\"{}u0041\"", "\\".repeat(backslashes)));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(accepts(deep(MAX_DEPTH).as_bytes(), simd::level()));
        assert!(!accepts(deep(MAX_DEPTH + 1).as_bytes(), simd::level()));
        assert!(!accepts("[".repeat(100_000).as_bytes(), Level::Portable));
    }

    #[test]
    fn only_utf_8_is_accepted_also_over_the_borders_of_windows() {
        for character in ["é", "€", "\u{1F600}"] {
            for shift in 8170..8200 {
                let text = format!("\"{}{character}\"", "a".repeat(shift));
                assert!(accepts(text.as_bytes(), simd::level()));
                let mut cut = text.into_bytes();
                cut.remove(1 + shift);
                assert!(!accepts(&cut, simd::level()));
            }
        }
        assert!(!accepts(b"\"\xC0\xAF\"", simd::level()));
        assert!(!accepts(b"\"\xED\xA0\x80\"", simd::level()));
    }
}
