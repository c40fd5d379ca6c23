//! Blocks of 64 bytes as sets of positions: which bytes are quotes, which are digits. Bit i stands for
//! byte i.
//!
//! The only file with `unsafe` code. What it asks of the processor is found out at run time
//! ([`level`]); [`Portable`] does the same everywhere, and a test holds them to each other. Everything
//! that decides anything about JSON works on these sets and is safe code.
#![allow(unsafe_code, reason = "vector instructions; every block says why it is sound")]

mod portable;
mod sets;

pub use portable::Portable;
pub use sets::{Decimal, Escape, Numeric, Part, Structure};
#[cfg(target_arch = "x86_64")]
use sets::{FOLLOWERS, NO_PART};

/// Bytes in a block.
pub const BLOCK: usize = 64;

/// One way to make the sets.
pub trait Classify {
    fn structure(block: &[u8; BLOCK]) -> Structure;
    /// White space (RFC 8259, section 2).
    fn white(block: &[u8; BLOCK]) -> u64;
    fn decimal(block: &[u8; BLOCK]) -> Decimal;
    /// `before` is the part of the byte before the block.
    fn numeric(block: &[u8; BLOCK], before: Part) -> Numeric;
    fn escape(block: &[u8; BLOCK]) -> Escape;
    /// Bit i of the result is the parity of the bits 0 to i.
    fn prefix_parity(bits: u64) -> u64;
    /// The bits at the places of `mask`, moved together at the lowest.
    fn extract(bits: u64, mask: u64) -> u64;
    /// The lowest bits, moved apart to the places of `mask`.
    fn deposit(bits: u64, mask: u64) -> u64;
    /// Asks for the memory so many bytes behind the block's beginning, whatever is there.
    fn fetch(block: &[u8; BLOCK], ahead: usize);
}

/// What the processor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "AVX-512",
        }
    }
}

/// The best level of this processor. The standard library keeps what it found.
#[inline]
pub fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("lzcnt");
        if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            return Level::Avx512;
        }
        if avx2 {
            return Level::Avx2;
        }
    }
    Level::Portable
}

/// Work that is compiled once for each level.
pub trait Work {
    type Output;
    fn run<C: Classify>(self) -> Self::Output;
}

/// Runs `work` compiled for `level`.
#[inline]
pub fn at<W: Work>(level: Level, work: W) -> W::Output {
    match level {
        Level::Portable => work.run::<Portable>(),
        // SAFETY: `level` says so only where the processor has the features (see [`level`]); the type is
        // made nowhere else.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::at_avx2(work) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::at_avx512(work) },
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, Classify, Decimal, Escape, FOLLOWERS, NO_PART, Numeric, Part, Structure, Work};

    /// Two vectors of 32 bytes.
    pub struct Avx2;
    /// One vector of 64 bytes.
    pub struct Avx512;

    /// # Safety
    /// The processor has the features.
    #[target_feature(enable = "avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
    pub unsafe fn at_avx2<W: Work>(work: W) -> W::Output {
        work.run::<Avx2>()
    }

    /// # Safety
    /// The processor has the features.
    #[target_feature(enable = "avx512f,avx512bw,avx2,pclmulqdq,bmi1,bmi2,popcnt,lzcnt")]
    pub unsafe fn at_avx512<W: Work>(work: W) -> W::Output {
        work.run::<Avx512>()
    }

    // Each method below is reached only from `at_avx2` or `at_avx512`, whose callers answer for the
    // features: that is why the calls of functions with these features are sound.

    impl Classify for Avx2 {
        #[inline(always)]
        fn structure(block: &[u8; BLOCK]) -> Structure {
            // SAFETY: see above.
            unsafe { avx2_structure(block) }
        }
        #[inline(always)]
        fn white(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: see above.
            unsafe { avx2_white(block) }
        }
        #[inline(always)]
        fn decimal(block: &[u8; BLOCK]) -> Decimal {
            // SAFETY: see above.
            unsafe { avx2_decimal(block) }
        }
        #[inline(always)]
        fn numeric(block: &[u8; BLOCK], before: Part) -> Numeric {
            // SAFETY: see above.
            unsafe { avx2_numeric(block, before) }
        }
        #[inline(always)]
        fn escape(block: &[u8; BLOCK]) -> Escape {
            // SAFETY: see above.
            unsafe { avx2_escape(block) }
        }
        #[inline(always)]
        fn prefix_parity(bits: u64) -> u64 {
            // SAFETY: see above.
            unsafe { carryless_parity(bits) }
        }
        #[inline(always)]
        fn extract(bits: u64, mask: u64) -> u64 {
            // SAFETY: see above.
            unsafe { _pext_u64(bits, mask) }
        }
        #[inline(always)]
        fn deposit(bits: u64, mask: u64) -> u64 {
            // SAFETY: see above.
            unsafe { _pdep_u64(bits, mask) }
        }
        #[inline(always)]
        fn fetch(block: &[u8; BLOCK], ahead: usize) {
            // SAFETY: nothing is read; the instruction does nothing where the address is nobody's.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(ahead).cast()) }
        }
    }

    impl Classify for Avx512 {
        #[inline(always)]
        fn structure(block: &[u8; BLOCK]) -> Structure {
            // SAFETY: see above.
            unsafe { avx512_structure(block) }
        }
        #[inline(always)]
        fn white(block: &[u8; BLOCK]) -> u64 {
            // SAFETY: see above.
            unsafe { avx512_white(block) }
        }
        #[inline(always)]
        fn decimal(block: &[u8; BLOCK]) -> Decimal {
            // SAFETY: see above.
            unsafe { avx512_decimal(block) }
        }
        #[inline(always)]
        fn numeric(block: &[u8; BLOCK], before: Part) -> Numeric {
            // SAFETY: see above.
            unsafe { avx512_numeric(block, before) }
        }
        #[inline(always)]
        fn escape(block: &[u8; BLOCK]) -> Escape {
            // SAFETY: see above.
            unsafe { avx512_escape(block) }
        }
        #[inline(always)]
        fn prefix_parity(bits: u64) -> u64 {
            // SAFETY: see above.
            unsafe { carryless_parity(bits) }
        }
        #[inline(always)]
        fn extract(bits: u64, mask: u64) -> u64 {
            // SAFETY: see above.
            unsafe { _pext_u64(bits, mask) }
        }
        #[inline(always)]
        fn deposit(bits: u64, mask: u64) -> u64 {
            // SAFETY: see above.
            unsafe { _pdep_u64(bits, mask) }
        }
        #[inline(always)]
        fn fetch(block: &[u8; BLOCK], ahead: usize) {
            // SAFETY: nothing is read; the instruction does nothing where the address is nobody's.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(ahead).cast()) }
        }
    }

    /// A product without carries with all ones adds up, in each bit, the bits at and below it.
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    fn carryless_parity(bits: u64) -> u64 {
        let product = _mm_clmulepi64_si128(_mm_set_epi64x(0, bits as i64), _mm_set1_epi8(-1), 0);
        _mm_cvtsi128_si64(product) as u64
    }

    /// White space by its low four bits; no byte below 0x80 equals 0xFF, and from 0x80 on a shuffle gives
    /// zero.
    const WHITE: [u8; 16] =
        [b' ', 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, b'\t', b'\n', 0xFF, 0xFF, b'\r', 0xFF, 0xFF];
    /// The letters of simple escapes that are not in `ESCAPES`, by their low four bits.
    const LETTERS: [u8; 16] =
        [0xFF, 0xFF, b'b', 0xFF, b't', 0xFF, b'f', 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, b'n', 0xFF];
    /// The others: `"`, `\`, `/`, `r`; `b` and `"` and `r` share their low bits, so there are two tables.
    const ESCAPES: [u8; 16] =
        [0xFF, 0xFF, b'"', 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, b'\\', 0xFF, 0xFF, b'/'];

    type Two = (__m256i, __m256i);

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_two(block: &[u8; BLOCK]) -> Two {
        // SAFETY: 64 bytes are readable from the block's start; the loads need no alignment.
        unsafe {
            let start = block.as_ptr();
            (_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast()))
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn table(bytes: &[u8; 16]) -> __m256i {
        // SAFETY: 16 bytes are readable; the load needs no alignment.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn bits(low: __m256i, high: __m256i) -> u64 {
        u64::from(_mm256_movemask_epi8(low) as u32) | u64::from(_mm256_movemask_epi8(high) as u32) << 32
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn equal((low, high): Two, byte: u8) -> u64 {
        let wanted = _mm256_set1_epi8(byte as i8);
        bits(_mm256_cmpeq_epi8(low, wanted), _mm256_cmpeq_epi8(high, wanted))
    }

    /// Bytes that the table has at their low four bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn in_table((low, high): Two, entries: &[u8; 16]) -> u64 {
        let entries = table(entries);
        bits(
            _mm256_cmpeq_epi8(_mm256_shuffle_epi8(entries, low), low),
            _mm256_cmpeq_epi8(_mm256_shuffle_epi8(entries, high), high),
        )
    }

    /// Bytes from `first` on, `count` of them, as unsigned numbers.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn range((low, high): Two, first: u8, count: u8) -> u64 {
        let (first, last) = (_mm256_set1_epi8(first as i8), _mm256_set1_epi8((count - 1) as i8));
        let within = |vector| {
            let offset = _mm256_sub_epi8(vector, first);
            _mm256_cmpeq_epi8(_mm256_max_epu8(offset, last), last)
        };
        bits(within(low), within(high))
    }

    /// Bytes up to this one, as unsigned numbers.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn at_most((low, high): Two, last: u8) -> u64 {
        let last = _mm256_set1_epi8(last as i8);
        let within = |vector| _mm256_cmpeq_epi8(_mm256_max_epu8(vector, last), last);
        bits(within(low), within(high))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn lower((low, high): Two) -> Two {
        let bit = _mm256_set1_epi8(0x20);
        (_mm256_or_si256(low, bit), _mm256_or_si256(high, bit))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_structure(block: &[u8; BLOCK]) -> Structure {
        let two = load_two(block);
        // Brackets and braces differ in one bit.
        let folded = lower(two);
        Structure {
            quote: equal(two, b'"'),
            backslash: equal(two, b'\\'),
            control: at_most(two, 0x1F),
            blank: at_most(two, b' '),
            comma: equal(two, b','),
            colon: equal(two, b':'),
            open: equal(folded, b'{'),
            close: equal(folded, b'}'),
            // The bit moves to where `bits` looks; what crosses into the next byte is not looked at.
            brace: bits(_mm256_slli_epi16(two.0, 2), _mm256_slli_epi16(two.1, 2)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_white(block: &[u8; BLOCK]) -> u64 {
        in_table(load_two(block), &WHITE)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_decimal(block: &[u8; BLOCK]) -> Decimal {
        let two = load_two(block);
        Decimal {
            digit: range(two, b'0', 10),
            zero: equal(two, b'0'),
            minus: equal(two, b'-'),
            point: equal(two, b'.'),
        }
    }

    /// Parts of numbers by the low and the high four bits of a byte: what both tables have.
    const PART_LOW: [u8; 16] = {
        let mut low = [Part::Digit as u8; 16];
        low[5] |= Part::Exponent as u8;
        low[10] = 0;
        low[11] = Part::Sign as u8;
        low[12] = 0;
        low[13] = Part::Sign as u8;
        low[14] = Part::Point as u8;
        low[15] = 0;
        low
    };
    const PART_HIGH: [u8; 16] = {
        let mut high = [0; 16];
        high[2] = Part::Sign as u8 | Part::Point as u8;
        high[3] = Part::Digit as u8;
        high[4] = Part::Exponent as u8;
        high[6] = Part::Exponent as u8;
        high
    };

    #[inline]
    #[target_feature(enable = "avx2")]
    fn parts(bytes: __m256i) -> __m256i {
        let four = _mm256_set1_epi8(15);
        let low = _mm256_shuffle_epi8(table(&PART_LOW), _mm256_and_si256(bytes, four));
        let high = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), four);
        _mm256_and_si256(low, _mm256_shuffle_epi8(table(&PART_HIGH), high))
    }

    /// Marks the bytes whose part may not follow the one before; `before` ends in the part before them.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn misplaced(before: __m256i, parts: __m256i) -> __m256i {
        let none = _mm256_cmpeq_epi8(parts, _mm256_setzero_si256());
        let wanted = _mm256_or_si256(parts, _mm256_and_si256(none, _mm256_set1_epi8(NO_PART as i8)));
        let previous = _mm256_alignr_epi8(parts, _mm256_permute2x128_si256(before, parts, 0x21), 15);
        let allowed = _mm256_shuffle_epi8(table(&FOLLOWERS), previous);
        _mm256_cmpeq_epi8(_mm256_and_si256(allowed, wanted), _mm256_setzero_si256())
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_numeric(block: &[u8; BLOCK], before: Part) -> Numeric {
        let two = load_two(block);
        let (low, high) = (parts(two.0), parts(two.1));
        let before = _mm256_set1_epi8(before as i8);
        Numeric {
            misplaced: bits(misplaced(before, low), misplaced(low, high)),
            digit: range(two, b'0', 10),
            zero: equal(two, b'0'),
            minus: equal(two, b'-'),
            plus: equal(two, b'+'),
            point: equal(two, b'.'),
            exponent: equal(lower(two), b'e'),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn avx2_escape(block: &[u8; BLOCK]) -> Escape {
        let two = load_two(block);
        Escape {
            simple: in_table(two, &LETTERS) | in_table(two, &ESCAPES) | equal(two, b'r'),
            unicode: equal(two, b'u'),
            hex: range(two, b'0', 10) | range(lower(two), b'a', 6),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn load_one(block: &[u8; BLOCK]) -> __m512i {
        // SAFETY: 64 bytes are readable from the block's start; the load needs no alignment.
        unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn equal_512(one: __m512i, byte: u8) -> u64 {
        _mm512_cmpeq_epi8_mask(one, _mm512_set1_epi8(byte as i8))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn in_table_512(one: __m512i, entries: &[u8; 16]) -> u64 {
        _mm512_cmpeq_epi8_mask(_mm512_shuffle_epi8(table_512(entries), one), one)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn range_512(one: __m512i, first: u8, count: u8) -> u64 {
        let offset = _mm512_sub_epi8(one, _mm512_set1_epi8(first as i8));
        _mm512_cmplt_epu8_mask(offset, _mm512_set1_epi8(count as i8))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn at_most_512(one: __m512i, last: u8) -> u64 {
        _mm512_cmple_epu8_mask(one, _mm512_set1_epi8(last as i8))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn lower_512(one: __m512i) -> __m512i {
        _mm512_or_si512(one, _mm512_set1_epi8(0x20))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn avx512_structure(block: &[u8; BLOCK]) -> Structure {
        let one = load_one(block);
        let folded = lower_512(one);
        Structure {
            quote: equal_512(one, b'"'),
            backslash: equal_512(one, b'\\'),
            control: at_most_512(one, 0x1F),
            blank: at_most_512(one, b' '),
            comma: equal_512(one, b','),
            colon: equal_512(one, b':'),
            open: equal_512(folded, b'{'),
            close: equal_512(folded, b'}'),
            brace: _mm512_test_epi8_mask(one, _mm512_set1_epi8(0x20)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn avx512_white(block: &[u8; BLOCK]) -> u64 {
        in_table_512(load_one(block), &WHITE)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn avx512_decimal(block: &[u8; BLOCK]) -> Decimal {
        let one = load_one(block);
        Decimal {
            digit: range_512(one, b'0', 10),
            zero: equal_512(one, b'0'),
            minus: equal_512(one, b'-'),
            point: equal_512(one, b'.'),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn table_512(entries: &[u8; 16]) -> __m512i {
        // SAFETY: 16 bytes are readable; the load needs no alignment.
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(entries.as_ptr().cast()) })
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn misplaced_512(bytes: __m512i, before: Part) -> u64 {
        let four = _mm512_set1_epi8(15);
        let low = _mm512_shuffle_epi8(table_512(&PART_LOW), _mm512_and_si512(bytes, four));
        let high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), four);
        let parts = _mm512_and_si512(low, _mm512_shuffle_epi8(table_512(&PART_HIGH), high));
        let none = _mm512_testn_epi8_mask(parts, parts);
        let wanted = _mm512_mask_blend_epi8(none, parts, _mm512_set1_epi8(NO_PART as i8));
        // Each lane's neighbour below, then one byte along.
        let below = _mm512_alignr_epi64(parts, _mm512_set1_epi8(before as i8), 6);
        let previous = _mm512_alignr_epi8(parts, below, 15);
        _mm512_testn_epi8_mask(_mm512_shuffle_epi8(table_512(&FOLLOWERS), previous), wanted)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn avx512_numeric(block: &[u8; BLOCK], before: Part) -> Numeric {
        let one = load_one(block);
        Numeric {
            misplaced: misplaced_512(one, before),
            digit: range_512(one, b'0', 10),
            zero: equal_512(one, b'0'),
            minus: equal_512(one, b'-'),
            plus: equal_512(one, b'+'),
            point: equal_512(one, b'.'),
            exponent: equal_512(lower_512(one), b'e'),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn avx512_escape(block: &[u8; BLOCK]) -> Escape {
        let one = load_one(block);
        Escape {
            simple: in_table_512(one, &LETTERS) | in_table_512(one, &ESCAPES) | equal_512(one, b'r'),
            unicode: equal_512(one, b'u'),
            hex: range_512(one, b'0', 10) | range_512(lower_512(one), b'a', 6),
        }
    }
}

#[cfg(test)]
mod tests;
