//! The sets that are made of a block, and the parts that bytes have in a number.
#![forbid(unsafe_code)]

/// The characters that structure a text (RFC 8259, section 2), inside strings and outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Structure {
    pub quote: u64,
    pub backslash: u64,
    /// Below 0x20.
    pub control: u64,
    /// Up to 0x20: white space and what else is not to be seen.
    pub blank: u64,
    pub comma: u64,
    pub colon: u64,
    /// `{` and `[`.
    pub open: u64,
    /// `}` and `]`.
    pub close: u64,
    /// The bit that braces have and brackets lack.
    pub brace: u64,
}

/// The characters of numbers (RFC 8259, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numeric {
    /// `0` to `9`.
    pub digit: u64,
    pub zero: u64,
    pub minus: u64,
    pub plus: u64,
    pub point: u64,
    /// `e` and `E`.
    pub exponent: u64,
    /// What cannot stand in a number, or end one, behind the byte before it.
    pub misplaced: u64,
}

/// The part that a byte can have in a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// None: a number begins behind it, or has ended.
    #[default]
    None = 0,
    Digit = 1,
    Exponent = 2,
    Point = 4,
    Sign = 8,
}

impl Part {
    #[inline(always)]
    pub fn of(byte: u8) -> Part {
        match byte {
            b'0'..=b'9' => Part::Digit,
            b'e' | b'E' => Part::Exponent,
            b'.' => Part::Point,
            b'-' | b'+' => Part::Sign,
            _ => Part::None,
        }
    }
}

/// Stands for no part in a set of parts.
pub const NO_PART: u8 = 16;

/// The parts that may stand behind each one, by its number.
pub const FOLLOWERS: [u8; 16] = {
    const DIGIT: u8 = Part::Digit as u8;
    const SIGN: u8 = Part::Sign as u8;
    let mut followers = [0; 16];
    followers[Part::None as usize] = DIGIT | SIGN | NO_PART;
    followers[Part::Digit as usize] = DIGIT | Part::Point as u8 | Part::Exponent as u8 | NO_PART;
    followers[Part::Exponent as usize] = DIGIT | SIGN;
    followers[Part::Point as usize] = DIGIT;
    followers[Part::Sign as usize] = DIGIT;
    followers
};

/// The characters of numbers without an exponent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decimal {
    /// `0` to `9`.
    pub digit: u64,
    pub zero: u64,
    pub minus: u64,
    pub point: u64,
}

/// The characters of escapes (RFC 8259, section 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Escape {
    /// `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`.
    pub simple: u64,
    /// `u`.
    pub unicode: u64,
    /// Hexadecimal digits.
    pub hex: u64,
}
