use super::*;

type Sets = (Structure, u64, Decimal, Numeric, Escape, [u64; 3]);

struct All<'b>(&'b [u8; BLOCK], Part);

impl Work for All<'_> {
    type Output = Sets;
    fn run<C: Classify>(self) -> Self::Output {
        let structure = C::structure(self.0);
        let (numeric, escape) = (C::numeric(self.0, self.1), C::escape(self.0));
        C::fetch(self.0, usize::MAX / 2);
        let [parity, extracted, deposited] = [
            C::prefix_parity(structure.quote),
            C::extract(structure.brace, numeric.digit),
            C::deposit(structure.brace, numeric.digit),
        ];
        (structure, C::white(self.0), C::decimal(self.0), numeric, escape, [parity, extracted, deposited])
    }
}

/// Byte for byte, as plainly as it can be written.
fn plainly(block: &[u8; BLOCK], before: Part) -> Sets {
    let set = |bytes: &[u8]| {
        block.iter().enumerate().fold(0, |set, (at, byte)| set | u64::from(bytes.contains(byte)) << at)
    };
    let structure = Structure {
        quote: set(b"\""),
        backslash: set(b"\\"),
        control: set(&(0..0x20).collect::<Vec<u8>>()),
        blank: set(&(0..=0x20).collect::<Vec<u8>>()),
        comma: set(b","),
        colon: set(b":"),
        open: set(b"{["),
        close: set(b"}]"),
        brace: set(&(0..=255).filter(|byte| byte & 0x20 != 0).collect::<Vec<u8>>()),
    };
    let mut misplaced = 0;
    let mut last = before;
    for (at, byte) in block.iter().enumerate() {
        let allowed: &[Part] = match last {
            Part::None => &[Part::Digit, Part::Sign, Part::None],
            Part::Digit => &[Part::Digit, Part::Point, Part::Exponent, Part::None],
            Part::Exponent => &[Part::Digit, Part::Sign],
            Part::Point | Part::Sign => &[Part::Digit],
        };
        last = Part::of(*byte);
        misplaced |= u64::from(!allowed.contains(&last)) << at;
    }
    let numeric = Numeric {
        digit: set(b"0123456789"),
        zero: set(b"0"),
        minus: set(b"-"),
        plus: set(b"+"),
        point: set(b"."),
        exponent: set(b"eE"),
        misplaced,
    };
    let Numeric { digit, zero, minus, point, .. } = numeric;
    let decimal = Decimal { digit, zero, minus, point };
    let escape =
        Escape { simple: set(b"\"\\/bfnrt"), unicode: set(b"u"), hex: set(b"0123456789abcdefABCDEF") };
    let [mut parity, mut extracted, mut deposited] = [0; 3];
    let (mut odd, mut digits) = (0, 0);
    for at in 0..BLOCK {
        odd ^= structure.quote >> at & 1;
        parity |= odd << at;
        if digit >> at & 1 == 1 {
            extracted |= (structure.brace >> at & 1) << digits;
            deposited |= (structure.brace >> digits & 1) << at;
            digits += 1;
        }
    }
    (structure, set(b" \t\n\r"), decimal, numeric, escape, [parity, extracted, deposited])
}

fn check(block: &[u8; BLOCK]) {
    for before in [Part::None, Part::Digit, Part::Exponent, Part::Point, Part::Sign] {
        check_behind(block, before);
    }
}

fn check_behind(block: &[u8; BLOCK], before: Part) {
    let expected = plainly(block, before);
    let mut levels = vec![Level::Portable];
    #[cfg(target_arch = "x86_64")]
    match level() {
        Level::Portable => {}
        Level::Avx2 => levels.push(Level::Avx2),
        Level::Avx512 => levels.extend([Level::Avx2, Level::Avx512]),
    }
    for level in levels {
        assert_eq!(at(level, All(block, before)), expected, "{level:?} on {block:?}");
    }
}

#[test]
fn every_level_puts_every_byte_into_the_same_sets() {
    for byte in 0..=255u8 {
        for place in [0, 1, 7, 8, 31, 32, 33, 63] {
            let mut block = [b' '; BLOCK];
            block[place] = byte;
            check(&block);
        }
        check(&[byte; BLOCK]);
    }
}

#[test]
fn every_level_agrees_on_mixed_blocks() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let alphabet = b"{}[]:,\"\\/ \n\t\r0123456789-+.eEabfnrtuxz\x00\x1f\x7f\x80\xc3\xff";
    for _ in 0..4000 {
        let block: [u8; BLOCK] = std::array::from_fn(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            alphabet[(state >> 33) as usize % alphabet.len()]
        });
        check(&block);
    }
}
