//! The grammar of JSON (RFC 8259), decided for 64 bytes at a time by operations on sets of positions.
//!
//! Most of the grammar says which token may follow which. The token before each place is carried over
//! white space by an addition (a run of ones lets a carry through), so that 'after a comma', say, is one
//! set for a whole block. What depends on the container around a place is checked once for each bracket:
//! between two brackets the container stays the same. Numbers and escapes are checked in the same way,
//! and only in blocks that have some.
//!
//! Everything is checked everywhere, also in parts that nobody is going to look at.

mod compact;

pub use compact::{STRETCH, Sets};

use super::Fault;
use super::simd::{BLOCK, Classify, Numeric, Part};

/// How many containers may be open at once.
pub const MAX_DEPTH: usize = 128;

/// What a reader needs to know of one block. Bit i stands for byte i.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Brackets, and where names and the scalars outside of objects begin. Behind a member's name that is the
    /// bracket of its value, or, where that is a scalar, what follows the member.
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
    Nothing,
    Array,
    Object,
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
    after_colon: u64,
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

/// What the next block must know of a number that the block ended in.
#[derive(Clone, Copy, Debug, Default)]
struct Number {
    /// The block's last byte is in a number; and its part there.
    runs: u64,
    part: Part,
    /// It is a minus that the number began with.
    minus: u64,
    /// It is a zero that the number began with.
    zero: u64,
    /// The number has its point, its exponent.
    point: u64,
    exponent: u64,
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
    brace: u64,
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
        if quote == 0 && self.in_string != 0 {
            // Text only.
            return self.text(wrong | structure.control, structure.backslash);
        }
        let in_string = C::prefix_parity(quote) ^ self.in_string;
        self.in_string = ((in_string as i64) >> 63) as u64;
        wrong |= structure.control & in_string;
        let begins = quote & in_string;
        let ends = quote & !in_string;
        let white = structure.white & !in_string;
        let [comma, colon, open, close] =
            [structure.comma, structure.colon, structure.open, structure.close].map(|set| set & !in_string);
        let scalar = !(in_string | ends | white | comma | colon | open | close);
        let brace = structure.brace;
        let outside = Outside { begins, ends, in_string, white, comma, colon, open, close, brace };
        let before = self.scalar;
        let starts = scalar & !self.follow_scalar(scalar);
        if scalar | before != 0 {
            wrong |= self.scalars::<C>(block, scalar, starts);
        }
        let after_scalar = (scalar << 1 | before) & !scalar;
        let after_colon = step_to_token(colon << 1, colon >> 63, white, &mut self.after_colon);
        let [in_object, in_array] = self.tokens(&outside, starts, after_scalar, &mut wrong);
        if open | close == 0 {
            wrong |= self.misplaced(&outside, in_object, in_array);
        } else {
            wrong |= self.brackets(&outside, in_object, in_array)?;
        }
        if wrong != 0 {
            return Err(Fault::Syntax { offset: self.position + wrong.trailing_zeros() as usize });
        }
        self.position += BLOCK;
        let tokens = (begins | starts) & !after_colon | open | close;
        Ok(Marks { tokens, open, close, backslash: structure.backslash })
    }

    /// A block inside a string.
    #[inline(always)]
    fn text(&mut self, wrong: u64, backslash: u64) -> Result<Marks, Fault> {
        if wrong != 0 {
            return Err(Fault::Syntax { offset: self.position + wrong.trailing_zeros() as usize });
        }
        self.position += BLOCK;
        Ok(Marks { backslash, ..Marks::default() })
    }

    /// Whether the text may end here; the last block must have ended in white space.
    pub fn is_complete(&self) -> bool {
        self.depth == 0 && self.in_string == 0 && self.after_value == 1
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
    fn brackets(&mut self, outside: &Outside, in_object: u64, in_array: u64) -> Result<u64, Fault> {
        let (opens, closes) = (outside.open.count_ones() as usize, outside.close.count_ones() as usize);
        // Nearly always all of the block is inside of something, and nothing gets deep.
        if closes >= self.depth || self.depth + opens > u64::BITS as usize {
            return self.brackets_at_the_edge(outside, in_object, in_array);
        }
        self.depth = self.depth + opens - closes;
        let all = outside.open | outside.close;
        let mut steps = Brackets { rest: all, objects: self.objects as u64, wrong: 0, into_objects: 0 };
        let inside_object = steps.objects & 1;
        while steps.rest != 0 {
            steps.step(outside);
        }
        let Brackets { objects, wrong, into_objects, .. } = steps;
        self.objects = u128::from(objects);
        // What lies behind a bracket that leads into an object, up to the next bracket, which included.
        let between = !all;
        let (sum, _) = (into_objects << 1 | inside_object).overflowing_add(between);
        let objects = (between & !sum) | (all & sum);
        Ok(wrong | (in_object & objects) | (in_array & !objects))
    }

    /// The same where a container could be the outermost one, or too deep.
    #[cold]
    fn brackets_at_the_edge(
        &mut self,
        outside: &Outside,
        in_object: u64,
        in_array: u64,
    ) -> Result<u64, Fault> {
        let mut rest = outside.open | outside.close;
        let mut ahead = u64::MAX;
        let mut wrong = 0;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let upto = bit | (bit - 1);
            wrong |= self.misplaced(outside, in_object, in_array) & ahead & upto;
            ahead = !upto;
            rest ^= bit;
            let object = outside.brace & bit != 0;
            if outside.open & bit != 0 {
                if self.depth == MAX_DEPTH {
                    return Err(Fault::TooDeep);
                }
                self.depth += 1;
                self.objects = self.objects << 1 | u128::from(object);
            } else {
                if self.depth == 0 || (self.objects & 1 == 1) != object {
                    return Ok(wrong | bit);
                }
                self.depth -= 1;
                self.objects >>= 1;
            }
        }
        Ok(wrong | self.misplaced(outside, in_object, in_array) & ahead)
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
        let numeric = C::numeric(block, self.number.part);
        let (words, wrong) = self.words(block, starts & !(numeric.digit | numeric.minus));
        wrong | self.numbers(&numeric, block[BLOCK - 1], scalar & !words, starts)
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
            let (length, is_word) = match block[at..].first_chunk() {
                Some(text) => word(u64::from_le_bytes(*text)),
                None => self.word_at_the_end(&block[at..]),
            };
            wrong |= u64::from(!is_word) << at;
            taken |= ((1 << length) - 1) << at;
        }
        (taken, wrong)
    }

    /// The length of the word that a block ends in or shortly before, and whether it is one as far as it goes.
    #[cold]
    fn word_at_the_end(&mut self, text: &[u8]) -> (u32, bool) {
        let word: &[u8] = match text[0] {
            b't' => b"true",
            b'f' => b"false",
            _ => b"null",
        };
        let here = word.len().min(text.len());
        let rest = &word[here..];
        self.word.rest[..rest.len()].copy_from_slice(rest);
        self.word.length = rest.len() as u32;
        (word.len() as u32, text[..here] == word[..here])
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
        let runs = inside >> 63;
        self.number = Number {
            runs,
            part: if runs == 1 { Part::of(last) } else { Part::None },
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

/// The brackets of a block, one after the other.
struct Brackets {
    rest: u64,
    /// The open containers, as in [`Grammar::objects`].
    objects: u64,
    wrong: u64,
    /// Brackets behind which an object goes on.
    into_objects: u64,
}

impl Brackets {
    /// Takes the next bracket, where there is one; without a branch.
    #[inline(always)]
    fn step(&mut self, outside: &Outside) {
        let bit = self.rest & self.rest.wrapping_neg();
        self.rest ^= bit;
        let object = u64::from(outside.brace & bit != 0);
        let open = outside.open & bit != 0;
        let pops = u64::from(outside.close & bit != 0);
        self.wrong |= bit & (pops & (self.objects ^ object)).wrapping_neg();
        self.objects = if open { self.objects << 1 | object } else { self.objects >> pops };
        self.into_objects |= bit & (self.objects & 1).wrapping_neg();
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
