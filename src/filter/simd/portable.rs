//! The sets made with plain arithmetic: the twin of the vector instructions, which is right by being simple.
#![forbid(unsafe_code)]

use super::{BLOCK, Classify, Decimal, Escape, Numeric, Part, Structure};

/// Eight bytes at a time, on every processor.
pub struct Portable;

const LOW: u64 = 0x0101_0101_0101_0101;
const SEVEN: u64 = 0x7F7F_7F7F_7F7F_7F7F;

impl Portable {
    /// The set of bytes for which `test` marks the high bit in a word of eight.
    #[inline(always)]
    fn set(block: &[u8; BLOCK], test: impl Fn(u64) -> u64) -> u64 {
        let (words, _) = block.as_chunks::<8>();
        words.iter().enumerate().fold(0, |set, (at, word)| {
            let marks = test(u64::from_le_bytes(*word)) & !SEVEN;
            // Gathers the eight high bits into one byte.
            set | ((marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at)
        })
    }

    /// Marks the bytes that are `byte`.
    #[inline(always)]
    fn equal(word: u64, byte: u8) -> u64 {
        let different = word ^ (LOW * u64::from(byte));
        !(((different & SEVEN) + SEVEN) | different)
    }

    /// Marks the bytes from `first` to `last`, both below 0x80.
    #[inline(always)]
    fn range(word: u64, first: u8, last: u8) -> u64 {
        let low = word & SEVEN;
        let from = low + LOW * u64::from(0x80 - first);
        let above = low + LOW * u64::from(0x7F - last);
        from & !above & !word
    }
}

impl Classify for Portable {
    #[inline(always)]
    fn structure(block: &[u8; BLOCK]) -> Structure {
        let one = |byte| Portable::set(block, |word| Portable::equal(word, byte));
        // Brackets and braces differ in one bit.
        let folded = |byte| Portable::set(block, |word| Portable::equal(word | (LOW * 0x20), byte));
        Structure {
            quote: one(b'"'),
            backslash: one(b'\\'),
            control: Portable::set(block, |word| Portable::range(word, 0, 0x1F)),
            blank: Portable::set(block, |word| Portable::range(word, 0, 0x20)),
            comma: one(b','),
            colon: one(b':'),
            open: folded(b'{'),
            close: folded(b'}'),
            brace: Portable::set(block, |word| word << 2),
        }
    }

    #[inline(always)]
    fn white(block: &[u8; BLOCK]) -> u64 {
        let one = |byte| Portable::set(block, |word| Portable::equal(word, byte));
        one(b' ') | one(b'\t') | one(b'\n') | one(b'\r')
    }

    #[inline(always)]
    fn decimal(block: &[u8; BLOCK]) -> Decimal {
        let one = |byte| Portable::set(block, |word| Portable::equal(word, byte));
        let digit = Portable::set(block, |word| Portable::range(word, b'0', b'9'));
        Decimal { digit, zero: one(b'0'), minus: one(b'-'), point: one(b'.') }
    }

    #[inline(always)]
    fn numeric(block: &[u8; BLOCK], before: Part) -> Numeric {
        let one = |byte| Portable::set(block, |word| Portable::equal(word, byte));
        let digit = Portable::set(block, |word| Portable::range(word, b'0', b'9'));
        let (minus, plus, point) = (one(b'-'), one(b'+'), one(b'.'));
        let exponent = one(b'e') | one(b'E');
        let none = !(digit | minus | plus | point | exponent);
        let behind = |set: u64, part| set << 1 | u64::from(before == part);
        let (behind_digit, behind_none) = (behind(digit, Part::Digit), behind(none, Part::None));
        let misplaced = (minus | plus) & !(behind(exponent, Part::Exponent) | behind_none)
            | (point | exponent) & !behind_digit
            | none & !(behind_digit | behind_none);
        Numeric { digit, zero: one(b'0'), minus, plus, point, exponent, misplaced }
    }

    #[inline(always)]
    fn escape(block: &[u8; BLOCK]) -> Escape {
        let set = |bytes: &[u8]| {
            bytes.iter().fold(0, |set, byte| set | Portable::set(block, |word| Portable::equal(word, *byte)))
        };
        let range = |first, last| Portable::set(block, |word| Portable::range(word, first, last));
        Escape {
            simple: set(b"\"\\/bfnrt"),
            unicode: set(b"u"),
            hex: range(b'0', b'9') | range(b'a', b'f') | range(b'A', b'F'),
        }
    }

    #[inline(always)]
    fn prefix_parity(bits: u64) -> u64 {
        let mut parity = bits;
        for shift in [1, 2, 4, 8, 16, 32] {
            parity ^= parity << shift;
        }
        parity
    }

    #[inline(always)]
    fn extract(bits: u64, mask: u64) -> u64 {
        let mut rest = mask;
        let mut extracted = 0;
        for to in 0..mask.count_ones() {
            extracted |= (bits >> rest.trailing_zeros() & 1) << to;
            rest &= rest - 1;
        }
        extracted
    }

    #[inline(always)]
    fn deposit(bits: u64, mask: u64) -> u64 {
        let mut rest = mask;
        let mut deposited = 0;
        for from in 0..mask.count_ones() {
            deposited |= (bits >> from & 1) << rest.trailing_zeros();
            rest &= rest - 1;
        }
        deposited
    }

    #[inline(always)]
    fn fetch(_block: &[u8; BLOCK], _ahead: usize) {}
}
