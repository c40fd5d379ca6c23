//! Values as conditions compare them (RFC 9535, section 2.3.5.2.2): exactly, or not at all.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use super::scanner::{Kind, Scanner};
use super::text;

/// A value while it is compared. It may be personal, so it has no `Debug`.
pub enum Value<'b> {
    Nothing,
    Null,
    Bool(bool),
    Number(Decimal<'b>),
    Text(Cow<'b, str>),
    Array(Vec<Value<'b>>),
    /// Sorted by name.
    Object(Vec<(Cow<'b, str>, Value<'b>)>),
}

/// A number of any size: 0.DIGITS × 10^point. Zero has no digits.
#[derive(PartialEq, Eq)]
pub struct Decimal<'b> {
    negative: bool,
    /// Without leading or trailing zeros.
    digits: Cow<'b, [u8]>,
    point: i64,
}

impl<'b> Value<'b> {
    /// Reads one value, which the scanner has accepted before.
    ///
    /// `None` where its meaning is not certain: a name occurs twice, a string holds a lone surrogate,
    /// an exponent is beyond every range.
    pub fn read(json: &'b str) -> Option<Value<'b>> {
        read(&mut Scanner::new(json))
    }
}

fn read<'b>(scanner: &mut Scanner<'b>) -> Option<Value<'b>> {
    match scanner.kind().ok()? {
        Kind::Array => {
            let mut elements = Vec::new();
            each_element(scanner, |scanner| {
                elements.push(read(scanner)?);
                Some(())
            })?;
            Some(Value::Array(elements))
        }
        Kind::Object => {
            let mut members = Vec::new();
            each_member(scanner, |name, scanner| {
                members.push((name, read(scanner)?));
                Some(())
            })?;
            members.sort_by(|a, b| a.0.cmp(&b.0));
            let unique = members.windows(2).all(|pair| pair[0].0 != pair[1].0);
            unique.then_some(Value::Object(members))
        }
        kind => {
            let token = scanner.scalar(kind).ok()?;
            let bytes = scanner.slice(token.start, token.end);
            Some(match kind {
                Kind::String => Value::Text(text::unescape(&bytes[1..bytes.len() - 1])?),
                Kind::Number => Value::Number(Decimal::parse(bytes)?),
                Kind::Bool => Value::Bool(bytes == b"true"),
                Kind::Null | Kind::Array | Kind::Object => Value::Null,
            })
        }
    }
}

fn each_element<'b>(
    scanner: &mut Scanner<'b>,
    mut take: impl FnMut(&mut Scanner<'b>) -> Option<()>,
) -> Option<()> {
    scanner.expect(b'[').ok()?;
    if scanner.accept(b']') {
        return Some(());
    }
    loop {
        take(scanner)?;
        if !scanner.another(b']').ok()? {
            return Some(());
        }
    }
}

fn each_member<'b>(
    scanner: &mut Scanner<'b>,
    mut take: impl FnMut(Cow<'b, str>, &mut Scanner<'b>) -> Option<()>,
) -> Option<()> {
    scanner.expect(b'{').ok()?;
    if scanner.accept(b'}') {
        return Some(());
    }
    loop {
        let key = scanner.key().ok()?;
        take(text::unescape(scanner.slice(key.start, key.end))?, scanner)?;
        if !scanner.another(b'}').ok()? {
            return Some(());
        }
    }
}

/// The number of elements or members, without building them; `None` where a name occurs twice.
pub fn length(json: &str, kind: Kind) -> Option<u64> {
    let scanner = &mut Scanner::new(json);
    let mut count = 0;
    if kind == Kind::Array {
        each_element(scanner, |scanner| {
            count += 1;
            scanner.skip(0).ok()
        })?;
    } else {
        let mut names = HashSet::new();
        each_member(scanner, |name, scanner| {
            count += 1;
            scanner.skip(0).ok()?;
            names.insert(name).then_some(())
        })?;
    }
    Some(count)
}

/// Two empty node lists are equal.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Nothing, Value::Nothing) | (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && equal(&a.1, &b.1))
        }
        _ => false,
    }
}

/// Only numbers and strings have an order; strings by code point, which is UTF-8's byte order.
pub fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

impl<'b> Decimal<'b> {
    /// Reads the text of a JSON number; `None` where its exponent is beyond every range.
    pub fn parse(text: &'b [u8]) -> Option<Self> {
        let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i64>().ok()),
            None => (text, Some(0)),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        let digits =
            if fraction.is_empty() { Cow::Borrowed(whole) } else { Cow::Owned([whole, fraction].concat()) };
        let leading = digits.iter().take_while(|digit| **digit == b'0').count();
        let trailing = digits[leading..].iter().rev().take_while(|digit| **digit == b'0').count();
        let end = digits.len() - trailing;
        if leading == digits.len() {
            return Some(Decimal { negative: false, digits: Cow::Borrowed(&[]), point: 0 });
        }
        let point = exponent?.checked_add(whole.len() as i64 - leading as i64)?;
        let digits = match digits {
            Cow::Borrowed(all) => Cow::Borrowed(&all[leading..end]),
            Cow::Owned(all) => Cow::Owned(all[leading..end].to_vec()),
        };
        Some(Decimal { negative, digits, point })
    }
}

impl From<u64> for Decimal<'static> {
    fn from(count: u64) -> Self {
        let text = count.to_string();
        let digits = text.trim_end_matches('0').as_bytes().to_vec();
        let point = if digits.is_empty() { 0 } else { text.len() as i64 };
        Decimal { negative: false, digits: Cow::Owned(digits), point }
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.digits.is_empty(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign.is_ne() || self.digits.is_empty() {
            return by_sign;
        }
        let magnitude = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        if self.negative { magnitude.reverse() } else { magnitude }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_their_exact_value() {
        let decimal = |text: &'static str| Decimal::parse(text.as_bytes()).unwrap();
        for equals in [
            ["1", "1.0"],
            ["100", "1e2"],
            ["0.1", "1E-1"],
            ["-0", "0"],
            ["0e9", "0.000"],
            ["0e99999999999999999999", "0"],
            ["12.50", "1.25e+1"],
        ] {
            assert!(decimal(equals[0]) == decimal(equals[1]), "{equals:?}");
        }
        let ascending = [
            "-1e400",
            "-2",
            "-1.5",
            "-1",
            "-0.01",
            "0",
            "1e-400",
            "0.09",
            "0.1",
            "0.10000000000000000001",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551617",
            "18446744073709551618",
            "1e400",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(decimal(pair[0]).cmp(&decimal(pair[1])), Ordering::Less, "{pair:?}");
        }
        assert!(Decimal::parse(b"1e99999999999999999999").is_none());
    }

    #[test]
    fn containers_are_equal_by_content_and_uncertain_with_a_name_twice() {
        let same = |a: &str, b: &str| Some(equal(&Value::read(a)?, &Value::read(b)?));
        assert_eq!(same("[1,{\"b\":[],\"a\":\"\\u0061\"}]", "[1.0,{\"a\":\"a\",\"b\":[ ]}]"), Some(true));
        assert_eq!(same("[1]", "[1,1]"), Some(false));
        assert_eq!(same("{\"a\":1,\"\\u0061\":1}", "{\"a\":1}"), None);
        assert_eq!(length("[1,[2,3],{}]", Kind::Array), Some(3));
        assert_eq!(length("{\"a\":1,\"a\":2}", Kind::Object), None);
    }
}
