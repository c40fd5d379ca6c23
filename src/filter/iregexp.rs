//! I-Regexp (RFC 9485): the patterns of `match()` and `search()`, checked by the RFC's grammar and
//! written for the `regex` crate, whose run time is linear.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled pattern of a rule may take.
const MAX_COMPILED: usize = 1 << 20;

/// Digits of a quantity without leading zeros; ten million of anything are too large.
const MAX_DIGITS: usize = 7;

/// Why there is no regex for a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It is not an I-Regexp.
    Malformed,
    /// It could mean something, but it takes too much memory.
    TooLarge,
}

/// IsCategory of RFC 9485, section 4.
const CATEGORIES: [&str; 36] = [
    "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe",
    "Pf", "Pi", "Po", "Ps", "Z", "Zl", "Zp", "Zs", "S", "Sc", "Sk", "Sm", "So", "C", "Cc", "Cf", "Cn", "Co",
];

/// Compiles a pattern for the whole text (`match`) or for any part of it (`search`).
///
/// # Errors
/// Where it is not an I-Regexp or too large.
pub fn compile(pattern: &str, whole: bool) -> Result<Regex, Unusable> {
    compile_within(pattern, whole, MAX_COMPILED)
}

/// The same, with a limit of its own for the bytes that the compiled pattern takes.
///
/// # Errors
/// Where it is not an I-Regexp or too large.
pub fn compile_within(pattern: &str, whole: bool, limit: usize) -> Result<Regex, Unusable> {
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::with_capacity(pattern.len() + 8),
        overflow: false,
    };
    translator.alternatives().ok_or(Unusable::Malformed)?;
    if translator.rest.next().is_some() {
        return Err(Unusable::Malformed);
    }
    if translator.overflow {
        return Err(Unusable::TooLarge);
    }
    let text = if whole { format!(r"\A(?:{})\z", translator.out) } else { translator.out };
    RegexBuilder::new(&text).size_limit(limit).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => Unusable::TooLarge,
        _ => Unusable::Malformed,
    })
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    /// A quantity is beyond every memory.
    overflow: bool,
}

impl Translator<'_> {
    /// i-regexp = branch *( "|" branch )
    fn alternatives(&mut self) -> Option<()> {
        loop {
            while self.rest.peek().is_some_and(|next| *next != '|' && *next != ')') {
                self.atom()?;
                self.quantifier()?;
            }
            if !self.take('|') {
                return Some(());
            }
        }
    }

    fn atom(&mut self) -> Option<()> {
        match self.rest.next()? {
            '(' => {
                self.out.push_str("(?:");
                self.alternatives()?;
                self.take(')').then_some(())
            }
            // Any character but CR and LF (section 5.3).
            '.' => {
                self.out.push_str(r"[^\n\r]");
                Some(())
            }
            '[' => self.class(),
            '\\' => self.escape(true),
            ')' | '*' | '+' | '?' | ']' | '{' | '|' | '}' => None,
            plain => {
                self.literal(plain);
                Some(())
            }
        }
    }

    /// quantifier = "*" / "+" / "?" / "{" quantity "}"
    fn quantifier(&mut self) -> Option<()> {
        if self.take('*') || self.take('+') || self.take('?') || !self.take('{') {
            return Some(());
        }
        self.digits()?;
        if self.take(',') && self.rest.peek().is_some_and(char::is_ascii_digit) {
            self.digits()?;
        }
        self.take('}').then_some(())
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.out.len();
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            self.out.push(digit);
        }
        let digits = &self.out[from..];
        self.overflow |= digits.trim_start_matches('0').len() > MAX_DIGITS;
        (!digits.is_empty()).then_some(())
    }

    /// charClassExpr = "[" [ "^" ] ( "-" / CCE1 ) *CCE1 [ "-" ] "]"
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        self.take('^');
        let mut any = false;
        loop {
            match self.rest.next()? {
                ']' if any => {
                    self.out.push(']');
                    return Some(());
                }
                // A hyphen stands for itself at either end only.
                '-' if !any || self.rest.peek() == Some(&']') => self.out.push_str(r"\-"),
                first => self.range(first)?,
            }
            any = true;
        }
    }

    /// CCE1 = ( CCchar [ "-" CCchar ] ) / charClassEsc
    fn range(&mut self, first: char) -> Option<()> {
        if first == '\\' && matches!(self.rest.peek(), Some('p' | 'P')) {
            return self.escape(true);
        }
        self.class_character(first)?;
        let mut ahead = self.rest.clone();
        if ahead.next() == Some('-') && ahead.next() != Some(']') {
            self.take('-');
            let last = self.rest.next()?;
            self.class_character(last)?;
        }
        Some(())
    }

    fn class_character(&mut self, character: char) -> Option<()> {
        match character {
            '\\' => self.escape(false),
            '-' | '[' | ']' => None,
            plain => {
                self.literal(plain);
                Some(())
            }
        }
    }

    /// SingleCharEsc, and where `classes` says so charClassEsc.
    fn escape(&mut self, classes: bool) -> Option<()> {
        let escaped = self.rest.next()?;
        match escaped {
            'n' | 'r' | 't' | '(' | ')' | '*' | '+' | '-' | '.' | '?' | '[' | '\\' | ']' | '^' | '{'
            | '|' | '}' => {
                self.out.push('\\');
                self.out.push(escaped);
                Some(())
            }
            'p' | 'P' if classes => {
                self.out.push('\\');
                self.out.push(escaped);
                self.take('{').then_some(())?;
                let from = self.out.len();
                while let Some(letter) = self.rest.next_if(char::is_ascii_alphabetic) {
                    self.out.push(letter);
                }
                let category = CATEGORIES.contains(&&self.out[from..]);
                (category && self.take('}')).then_some(())
            }
            _ => None,
        }
    }

    /// A character that stands for itself, whatever it means to the `regex` crate.
    fn literal(&mut self, character: char) {
        if matches!(character, '^' | '$' | '&' | '~' | '#') {
            self.out.push('\\');
        }
        self.out.push(character);
    }

    /// Takes and writes `wanted` if it comes next.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.next_if_eq(&wanted).is_some();
        if found {
            self.out.push(wanted);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::{Unusable, compile};

    #[test]
    fn patterns_mean_what_rfc_9485_says() {
        for (pattern, text, expected) in [
            ("a|b", "ax", false),
            ("a.c", "a\nc", false),
            ("a.c", "a\u{2028}c", true),
            ("^a$", "^a$", true),
            ("^a$", "a", false),
            ("[^a-c]", "d", true),
            ("[a-c-]", "-", true),
            ("[-a]", "-", true),
            ("[a&&b]", "&", true),
            (r"[\]\-]", "]", true),
            (r"\p{Lu}\p{Ll}+", "Éa", true),
            (r"\P{L}", "1", true),
            ("[0-9]{2,}", "123", true),
            ("x{2}", "xx", true),
            ("(ab)*", "abab", true),
            ("", "", true),
            ("a#b", "a#b", true),
            (r"\.", ".", true),
            ("[.]", "x", false),
            ("[.]", ".", true),
        ] {
            assert_eq!(
                compile(pattern, true).ok().map(|regex| regex.is_match(text)),
                Some(expected),
                "{pattern} on {text:?}"
            );
        }
    }

    #[test]
    fn what_is_not_an_i_regexp_is_refused() {
        for pattern in [
            "a)|(.*",
            "(a",
            "(?i)a",
            r"\w",
            r"\d",
            r"\bx",
            r"\x41",
            "[[:alpha:]]",
            "[a[b].]",
            "[]^.]+",
            "a*?",
            "*a",
            "[a",
            "[]",
            "a{",
            "a{,2}",
            "[b-a]",
            r"\p{Greek}",
            r"\p{lu}",
            "{",
            "a||)",
            "[a-b-c]",
        ] {
            assert_eq!(compile(pattern, true).err(), Some(Unusable::Malformed), "{pattern}");
        }
    }

    #[test]
    fn what_takes_too_much_memory_is_told_from_what_is_malformed() {
        for pattern in ["(a{1000}){1000}", "a{99999999999999999999}", "(a{1,99999999})"] {
            assert_eq!(compile(pattern, false).err(), Some(Unusable::TooLarge), "{pattern}");
        }
        assert_eq!(compile("a{9}{9}", false).err(), Some(Unusable::Malformed));
        assert_eq!(compile("a{99999999999", false).err(), Some(Unusable::Malformed));
    }
}
