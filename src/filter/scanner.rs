//! A strict RFC 8259 scanner: it finds where values begin and end, and refuses what is not JSON.
//!
//! It never builds a tree and never allocates. It works on text that is known to be UTF-8
//! (RFC 8259, section 8.1), so it only has to look at the grammar.

use super::Fault;
use super::grammar::MAX_DEPTH;

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// What kind of value starts here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// The bytes of one scalar in the input, quotes included.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// The string contains a backslash, so its text is not its bytes.
    pub escaped: bool,
}

pub struct Scanner<'b> {
    text: &'b [u8],
    position: usize,
}

impl<'b> Scanner<'b> {
    /// Starts at the first byte. `text` must be UTF-8: the type says so.
    pub fn new(text: &'b str) -> Self {
        Scanner { text: text.as_bytes(), position: 0 }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn slice(&self, start: usize, end: usize) -> &'b [u8] {
        &self.text[start..end]
    }

    /// The next byte that is not white space (RFC 8259, section 2), without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.position) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.position += 1;
        }
        None
    }

    /// Takes `byte`, which must come next.
    #[inline]
    pub fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.position += 1;
        Ok(())
    }

    /// Takes `byte` if it comes next.
    #[inline]
    pub fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.position += usize::from(found);
        found
    }

    /// After a member or an element: true where another one follows, false where `close` was taken.
    #[inline]
    pub fn another(&mut self, close: u8) -> Result<bool, Fault> {
        match self.peek() {
            Some(b',') => {
                self.position += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.position += 1;
                Ok(false)
            }
            _ => Err(self.syntax()),
        }
    }

    /// The kind of the next value, without taking it.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'n') => Ok(Kind::Null),
            _ => Err(self.syntax()),
        }
    }

    /// Takes a scalar; the caller has seen by [`Scanner::kind`] that one comes next.
    #[inline]
    pub fn scalar(&mut self, kind: Kind) -> Result<Token, Fault> {
        let start = self.position;
        let mut escaped = false;
        match kind {
            Kind::String => escaped = self.string()?,
            Kind::Number => self.number()?,
            Kind::Bool if self.text[start] == b't' => self.literal(b"true")?,
            Kind::Bool => self.literal(b"false")?,
            Kind::Null => self.literal(b"null")?,
            Kind::Object | Kind::Array => return Err(self.syntax()),
        }
        Ok(Token { kind, start, end: self.position, escaped })
    }

    /// Takes a member name and its colon. The range is without the quotes.
    #[inline]
    pub fn key(&mut self) -> Result<Token, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        let start = self.position + 1;
        let escaped = self.string()?;
        let end = self.position - 1;
        self.expect(b':')?;
        Ok(Token { kind: Kind::String, start, end, escaped })
    }

    /// Nothing but white space may follow.
    pub fn finish(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax()),
        }
    }

    /// Takes one value of any kind, checking all of it. `depth` containers are open around it.
    pub fn skip(&mut self, depth: usize) -> Result<(), Fault> {
        // One bit a level: set where the open container is an object.
        let mut objects: u128 = 0;
        let mut open = depth;
        loop {
            let entered = match self.kind()? {
                Kind::Object => self.enter(b'}', &mut open)?.inspect(|&empty| {
                    objects = if empty { objects } else { objects << 1 | 1 };
                }),
                Kind::Array => self.enter(b']', &mut open)?.inspect(|&empty| {
                    objects = if empty { objects } else { objects << 1 };
                }),
                kind => {
                    self.scalar(kind)?;
                    None
                }
            };
            if entered == Some(false) {
                if objects & 1 == 1 {
                    self.key()?;
                }
                continue;
            }
            // A value has ended: close what ends with it, or go on to the next one.
            loop {
                if open == depth {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                if self.another(if object { b'}' } else { b']' })? {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                objects >>= 1;
                open -= 1;
            }
        }
    }

    /// Opens a container; `Some(true)` where it was empty and is closed again.
    fn enter(&mut self, close: u8, open: &mut usize) -> Result<Option<bool>, Fault> {
        if *open == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.position += 1;
        if self.accept(close) {
            return Ok(Some(true));
        }
        *open += 1;
        Ok(Some(false))
    }

    pub fn syntax(&self) -> Fault {
        Fault::Syntax { offset: self.position }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.text[self.position..].starts_with(word) {
            return Err(self.syntax());
        }
        self.position += word.len();
        Ok(())
    }

    /// `-`? int frac? exp? of any length (RFC 8259, section 6).
    fn number(&mut self) -> Result<(), Fault> {
        if self.text[self.position] == b'-' {
            self.position += 1;
        }
        match self.text.get(self.position) {
            Some(b'0') => self.position += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.syntax()),
        }
        if self.text.get(self.position) == Some(&b'.') {
            self.position += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.position), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.text.get(self.position), Some(b'+' | b'-')) {
                self.position += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.position;
        while matches!(self.text.get(self.position), Some(b'0'..=b'9')) {
            self.position += 1;
        }
        if self.position == start {
            return Err(self.syntax());
        }
        Ok(())
    }

    /// Takes a string, its opening quote first; true where it holds an escape.
    #[inline]
    fn string(&mut self) -> Result<bool, Fault> {
        let mut escaped = false;
        self.position += 1;
        loop {
            self.plain();
            match self.text.get(self.position) {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.syntax()),
            }
        }
    }

    /// Goes to the next quote, backslash or control character, eight bytes at a time.
    #[inline]
    fn plain(&mut self) {
        while let Some(chunk) = self.text[self.position..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            let stop = zero_bytes(word ^ (LOW_BITS * u64::from(b'"')))
                | zero_bytes(word ^ (LOW_BITS * u64::from(b'\\')))
                | (word.wrapping_sub(LOW_BITS * 0x20) & !word & HIGH_BITS);
            if stop != 0 {
                // The lowest mark is exact; only marks above it can be borrowed ones.
                self.position += (stop.trailing_zeros() / 8) as usize;
                return;
            }
            self.position += 8;
        }
        while let Some(&byte) = self.text.get(self.position) {
            if byte == b'"' || byte == b'\\' || byte < 0x20 {
                return;
            }
            self.position += 1;
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.get(self.position + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.position += 2,
            Some(b'u') => {
                let digits = self.text.get(self.position + 2..self.position + 6);
                if !digits.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.syntax());
                }
                self.position += 6;
            }
            _ => return Err(self.syntax()),
        }
        Ok(())
    }
}

/// Marks the high bit of each zero byte; exact up to and including the lowest one.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW_BITS) & !word & HIGH_BITS
}

/// Whether a text is JSON, byte by byte: what the blocks of `grammar` are held to.
#[cfg(test)]
pub fn accepts(text: &str) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.skip(0).is_ok() && scanner.finish().is_ok()
}

#[cfg(test)]
pub const TEXTS: &[&str] = &[
    "{}",
    "[]",
    "0",
    "-0",
    "-",
    "01",
    "1.",
    ".5",
    "1.e5",
    "1e",
    "1e+",
    "1e5",
    "1E-5",
    "true",
    "tru",
    "nul",
    "null",
    "\"\"",
    "\"a",
    "\"\\u12G4\"",
    "\"\\q\"",
    "\"\\\"\"",
    "\"\u{1}\"",
    "\"tab\there\"",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1]]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{1:2}",
    "{\"a\":1 \"b\":2}",
    "[}",
    "{]",
    "[[[]]]",
    "[{\"a\":[{}]}]",
    "{\"a\":{\"b\":[]},\"c\":[{},[]]}",
    "",
    " ",
    "\u{feff}{}",
    "{} {}",
    "{}x",
    "NaN",
    "[1,2,3] ",
    "\u{b}1",
    "'a'",
    "// c\n1",
    "\"12345678\\\\\"",
    "\"1234567\\\"8\"",
];
