//! What stands before the JSONPath parser: limits, and the leniencies that RFC 9535 does not have.
//!
//! jsonpath-rust builds the syntax tree. It takes some text that the RFC refuses (white space inside
//! names, functions of its own, a trailing space), and its run time grows threefold with each nested
//! call that fails to parse. A privacy rule must mean one thing, so all of that is refused here first.

use super::path::PathError;
use super::value::Decimal;

/// Longest expression, in bytes.
pub const MAX_LENGTH: usize = 512;
/// Deepest nesting of function calls.
const MAX_CALLS: usize = 4;
/// Deepest nesting of parentheses and brackets.
const MAX_BRACKETS: usize = 16;

/// Largest integer, either way (I-JSON, RFC 7493; RFC 9535, section 2.1).
const MAX_INTEGER: u64 = (1 << 53) - 1;

const FUNCTIONS: [&str; 5] = ["length", "count", "match", "search", "value"];
const LITERALS: [&str; 3] = ["true", "false", "null"];

/// Refuses text that is too long, too deep, or not RFC 9535 in a way that the parser would let pass.
///
/// # Errors
/// Says what is wrong and at which byte of `text`.
pub fn check(text: &str) -> Result<(), PathError> {
    if text.len() > MAX_LENGTH {
        return Err(PathError::new(MAX_LENGTH, format!("is longer than {MAX_LENGTH} bytes")));
    }
    if text.starts_with(SPACE) || text.ends_with(SPACE) {
        let at = if text.starts_with(SPACE) { 0 } else { text.len() - 1 };
        return Err(PathError::new(at, "begins or ends with white space"));
    }
    Lexer { text, at: 0, inner: Open::default(), outer: Vec::new() }.run()
}

/// S of RFC 9535, section 2.1.1.
pub const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// The innermost open bracket.
    inner: Open,
    /// Those around it; the first is the whole text.
    outer: Vec<Open>,
}

/// The whole text, or an open bracket.
#[derive(Clone, Copy, Default)]
struct Open {
    start: usize,
    /// It holds the arguments of a function.
    call: bool,
    /// It takes only singular queries: those of a function that takes values.
    singular: bool,
    /// The query that is read here is compared with what stands before it.
    compared: bool,
    /// Where that query has a bracket with white space in it.
    spaced: Option<usize>,
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), PathError> {
        while let Some(byte) = self.peek() {
            let start = self.at;
            match byte {
                b'\'' | b'"' => self.string(byte)?,
                b'.' => self.member()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b'(' | b'[' => self.enter(Open { start, ..Open::default() })?,
                b')' | b']' => self.leave()?,
                b'=' | b'<' | b'>' => self.comparison()?,
                b'!' if self.text[start..].starts_with("!=") => self.comparison()?,
                b',' | b'?' | b'&' | b'|' => self.next_operand(),
                b'$' | b'@' | b'*' | b':' | b'!' | b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ if begins_name(byte) => self.word()?,
                _ => {
                    return Err(PathError::new(start, "holds a character that JSONPath has no use for"));
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, bracket: Open) -> Result<(), PathError> {
        self.at += 1;
        self.outer.push(std::mem::replace(&mut self.inner, bracket));
        if self.outer.len() > MAX_BRACKETS {
            return Err(PathError::new(bracket.start, format!("nests brackets deeper than {MAX_BRACKETS}")));
        }
        if bracket.call && self.outer.iter().filter(|open| open.call).count() == MAX_CALLS {
            return Err(PathError::new(bracket.start, format!("nests more than {MAX_CALLS} function calls")));
        }
        Ok(())
    }

    /// Takes a closing bracket. Whether it is the right one is left to the parser.
    fn leave(&mut self) -> Result<(), PathError> {
        self.at += 1;
        let Some(around) = self.outer.pop() else {
            return Ok(());
        };
        let start = std::mem::replace(&mut self.inner, around).start;
        let bracket = &self.text.as_bytes()[start..self.at];
        let is_space = |byte: u8| SPACE.contains(&char::from(byte));
        if bracket[0] == b'[' && (is_space(bracket[1]) || is_space(bracket[bracket.len() - 2])) {
            self.inner.spaced = Some(start);
            if self.inner.compared || self.inner.singular {
                return Err(spaced(start));
            }
        }
        Ok(())
    }

    fn comparison(&mut self) -> Result<(), PathError> {
        self.at += 1;
        self.inner.compared = true;
        self.inner.spaced.map_or(Ok(()), |at| Err(spaced(at)))
    }

    fn next_operand(&mut self) {
        self.at += 1;
        self.inner.compared = false;
        self.inner.spaced = None;
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn string(&mut self, quote: u8) -> Result<(), PathError> {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            if byte < b' ' {
                return Err(PathError::new(self.at, "holds a control character in a string"));
            }
            self.at += 1 + usize::from(byte == b'\\');
            if byte == quote {
                return Ok(());
            }
        }
        Err(PathError::new(start, "has a string that does not end"))
    }

    /// `.name`, `.*`, `..name`, `..*` or `..[`; no white space after the dots (section 2.5.1.1).
    fn member(&mut self) -> Result<(), PathError> {
        self.at += 1;
        let descendant = self.peek() == Some(b'.');
        self.at += usize::from(descendant);
        match self.peek() {
            Some(b'*') => {
                self.at += 1;
                Ok(())
            }
            Some(b'[') if descendant => Ok(()),
            Some(byte) if begins_name(byte) => {
                self.name()?;
                self.no_second_word()
            }
            _ => Err(PathError::new(self.at, "needs a member name or `*` after the dot")),
        }
    }

    /// Takes a name. The parser would trim white space beyond ASCII off its ends, and so make it another
    /// name.
    fn name(&mut self) -> Result<(), PathError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| begins_name(byte) || byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.text[start..self.at].find(char::is_whitespace) {
            Some(at) => Err(PathError::new(
                start + at,
                "has white space in a name; such a name is written in brackets",
            )),
            None => Ok(()),
        }
    }

    /// A name or literal is followed by punctuation, never by another word.
    fn no_second_word(&self) -> Result<(), PathError> {
        let rest = self.text[self.at..].trim_start_matches(SPACE);
        let next = rest.bytes().next();
        if next
            .is_some_and(|byte| begins_name(byte) || byte.is_ascii_digit() || byte == b'\'' || byte == b'"')
        {
            return Err(PathError::new(
                self.text.len() - rest.len(),
                "has a space inside a name or an operator that RFC 9535 does not know; \
                 a name with other characters is written in brackets: ['a b']",
            ));
        }
        Ok(())
    }

    /// Takes a number. The parser knows no larger integers, and holds a number with a fraction or an
    /// exponent as f64; one that is not that number exactly would compare as another.
    fn number(&mut self) -> Result<(), PathError> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-'))
        {
            self.at += 1;
        }
        let number = &self.text[start..self.at];
        let whole = number.split(['.', 'e', 'E']).next().unwrap_or_default().trim_start_matches('-');
        if whole.bytes().all(|byte| byte.is_ascii_digit())
            && !whole.is_empty()
            && whole.parse().map_or(true, |whole: u64| whole > MAX_INTEGER)
        {
            return Err(PathError::new(
                start,
                format!("has a number beyond {MAX_INTEGER}, the largest integer of I-JSON (RFC 7493)"),
            ));
        }
        if number.contains(['.', 'e', 'E']) {
            let held = number.parse::<f64>().map(|float| format!("{float:?}")).unwrap_or_default();
            let same = Decimal::parse(number.as_bytes())
                .is_some_and(|exact| Decimal::parse(held.as_bytes()) == Some(exact));
            if !same {
                return Err(PathError::new(
                    start,
                    "has a number that cannot be held exactly; write it with fewer digits",
                ));
            }
        }
        Ok(())
    }

    /// A word outside of a name: a literal, or a function with its bracket next.
    fn word(&mut self) -> Result<(), PathError> {
        let start = self.at;
        self.name()?;
        let word = &self.text[start..self.at];
        if LITERALS.contains(&word) {
            return self.no_second_word();
        }
        if FUNCTIONS.contains(&word) && self.peek() == Some(b'(') {
            let singular = !matches!(word, "count" | "value");
            return self.enter(Open { start: self.at, call: true, singular, ..Open::default() });
        }
        Err(PathError::new(
            start,
            format!(
                "uses `{word}`, which RFC 9535 does not know; its functions are {}",
                FUNCTIONS.join(", ")
            ),
        ))
    }
}

/// A singular query has no room for white space in its brackets (section 2.3.5.1).
fn spaced(at: usize) -> PathError {
    PathError::new(
        at,
        "has white space inside a bracket of a value that is compared; RFC 9535 allows none there",
    )
}

/// name-first of RFC 9535, section 2.5.1.1, by its first UTF-8 byte.
fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn rfc_9535_text_passes() {
        for text in [
            "$",
            "@.a",
            "$..a",
            "$..[0]",
            "$.a[*].b",
            "$['a b']",
            "$[\"it's\"]",
            "$ .a",
            "$[ 'a' , 'b' ]",
            "@.a == 'x' && @.b != 1.5e3",
            "count(@.a[*]) > 2",
            "!(@.a || @.b)",
            "match(@.a, 'x.*')",
            "$.größe",
            "@.a<=-1",
            "$[1:2:3]",
            "@.a==true",
            "@.a == 0.1 || @.a < -1.5e-7 || @.a > 1E20",
            "@.a == 1 &&\n\t@.b == 2",
            "$['a\u{a0}']",
            "$.a\n.b",
            "$[?@.a[?@[-1] == $.b]]",
            "$[?@[ 'a' ] && count(@[ 0 ]) > 1 || value($[ 'a' ]) == 1]",
            "$[?@['a'] ['b'] == 1, ?@[ 'a' ]]",
            "$[ ?@ [0] == 1 ]",
            "@.a == 9007199254740991",
            "$[?count(@[?match(@.a, value($.b))]) > 1]",
        ] {
            assert!(check(text).is_ok(), "{text}: {:?}", check(text));
        }
    }

    #[test]
    fn leniencies_of_the_parser_are_refused() {
        for text in [
            "$.a b",
            "$.a ",
            " $.a",
            "$.a[?@.x  y==1]",
            "@.b in [1,2]",
            "@.a nin @.b",
            "$. a",
            "$.. a",
            "any_of(@.a, @.b)",
            "length (@.a)",
            "@.a == True",
            "$.a\u{a0}",
            "@.\u{a0}a == 1",
            "@.\u{2003} == 1",
            "$['a\nb']",
            "@.a == 0.10000000000000000001",
            "@.a < 1e400",
            "@.a == 1e-400",
            "$.1",
            "@.a 'b'",
            "$.a;b",
            "$['a",
            "$[?@[ 'a'] == 1]",
            "$[?1 == $.a[0 ]]",
            "@.a == 1 && @['a' ] < 2",
            "match(@[ 'a' ], 'x')",
            "length($[?@.a][0 ]) == 1",
            "$[9007199254740992]",
            "@.a == 9007199254740993",
            "@.a == 9007199254740992.0",
            "$[-231584178474632390847141970017375815706]",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn text_that_makes_the_parser_slow_is_refused_before_it() {
        assert!(check(&format!("@.a == {}", "length(".repeat(14))).is_err());
        assert!(check(&format!("$.{}", "a".repeat(600))).is_err());
        assert!(check(&format!("{}@.a{}", "(".repeat(40), ")".repeat(40))).is_err());
    }
}
