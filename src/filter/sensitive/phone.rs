//! Phone numbers: E.164, and the notations of E.123 and of everyday text.
//!
//! Free text is full of other numbers. A number with a prefix is a phone number with seven digits, one
//! without needs nine; dates, times of day, amounts, versions and parts of identifiers are none.

use super::{Find, char_at, char_before, digit_at, group_end, is_dash, is_space, join, next_digit};

/// With a prefix.
pub(super) const MIN_DIGITS: usize = 7;
const MIN_DIGITS_WITHOUT_PREFIX: usize = 9;
/// E.164, section 6.
const MAX_DIGITS: usize = 15;

/// Three characters stand between two digits in `020 / 123` and in `31 (0)`.
const MAX_GAP: usize = 3;

/// Every stretch of words of digits that is a phone number; those that overlap are one.
pub(super) fn finds(text: &str) -> Vec<Find> {
    let mut finds = Vec::new();
    let mut at = 0;
    while let Some(start) = next_digit(text.as_bytes(), at) {
        let prefix = Prefix::of(text, start);
        if prefix != Prefix::International
            && let Some(end) = calendar_end(text, start)
        {
            at = end;
            continue;
        }
        if begins(text, start)
            && let Some(end) = longest(text, start, prefix)
        {
            join(&mut finds, start..end);
        }
        at = word_end(text, start);
    }
    finds
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prefix {
    /// `+`
    International,
    /// `0` or `00`, or an area code in parentheses.
    National,
    None,
    /// No number is dialled with `000`: that is an identifier.
    Padding,
}

impl Prefix {
    fn of(text: &str, start: usize) -> Prefix {
        let before = char_before(text, start);
        if before == Some('+') {
            Prefix::International
        } else if text[start..].starts_with("000") {
            Prefix::Padding
        } else if begins_with_zero(text, start) || (before == Some('(') && is_closed(text, start)) {
            Prefix::National
        } else {
            Prefix::None
        }
    }

    /// Digits that a number has at least.
    fn min_digits(self) -> usize {
        match self {
            Prefix::International | Prefix::National => MIN_DIGITS,
            Prefix::None => MIN_DIGITS_WITHOUT_PREFIX,
            Prefix::Padding => usize::MAX,
        }
    }
}

/// A zero on its own is an amount, or the `(0)` of an international number.
fn begins_with_zero(text: &str, start: usize) -> bool {
    text[start..].starts_with('0') && digit_at(text.as_bytes(), start + 1).is_some()
}

/// The area code at `start` ends with a parenthesis, and the number goes on behind it.
fn is_closed(text: &str, start: usize) -> bool {
    let close = short_group_end(text.as_bytes(), start, MAX_DIGITS);
    close.is_some_and(|close| text[close..].starts_with(')') && gap_end(text, close).is_some())
}

/// The end of the longest phone number that begins with the word at `start`.
fn longest(text: &str, start: usize, prefix: Prefix) -> Option<usize> {
    let mut digits = 0;
    let mut end = None;
    let mut at = start;
    loop {
        let is_first = at == start;
        if !is_first && prefix != Prefix::International && calendar_end(text, at).is_some() {
            return end;
        }
        let Some(word) = word(text, at) else {
            return end;
        };
        if (is_first || prefix == Prefix::None) && is_amount(&text[at..word.end], prefix) {
            return end;
        }
        digits += word.digits;
        if digits > MAX_DIGITS {
            return end;
        }
        if digits >= prefix.min_digits() && ends(text, word.end) {
            end = Some(word.end);
        }
        match gap_end(text, word.end) {
            Some(next) => at = next,
            None => return end,
        }
    }
}

/// Digits that are joined by single dashes or dots. A number begins and ends with a word.
struct Word {
    end: usize,
    digits: usize,
}

/// The word at `at`, unless it is too long for a number.
fn word(text: &str, at: usize) -> Option<Word> {
    let mut word = Word { end: at, digits: 0 };
    loop {
        let end = short_group_end(text.as_bytes(), word.end, MAX_DIGITS - word.digits)?;
        word.digits += end - word.end;
        word.end = end;
        match joined(text, end) {
            Some(next) => word.end = next,
            None => return Some(word),
        }
    }
}

fn word_end(text: &str, start: usize) -> usize {
    let mut end = group_end(text.as_bytes(), start);
    while let Some(next) = joined(text, end) {
        end = group_end(text.as_bytes(), next);
    }
    end
}

/// The digit that a dash or a dot at `at` joins to the one before.
fn joined(text: &str, at: usize) -> Option<usize> {
    let joint = char_at(text, at).filter(|c| is_joint(*c))?;
    let next = at + joint.len_utf8();
    digit_at(text.as_bytes(), next).map(|_| next)
}

fn is_joint(character: char) -> bool {
    is_dash(character) || character == '.'
}

/// The digit behind what separates two words of one number: one separator, or a few different ones. A
/// dot is none of the few: there it ends a sentence.
fn gap_end(text: &str, at: usize) -> Option<usize> {
    let mut next = at;
    let mut last = None;
    for _ in 0..MAX_GAP {
        let separator = char_at(text, next)?;
        let is_separator = is_space(separator) || is_dash(separator) || matches!(separator, '/' | '(' | ')');
        if !is_separator || last == Some(separator) {
            return None;
        }
        next += separator.len_utf8();
        last = Some(separator);
        if digit_at(text.as_bytes(), next).is_some() {
            return Some(next);
        }
    }
    None
}

/// A number can begin at the digit at `start`: no identifier, fraction, path or price goes on there.
fn begins(text: &str, start: usize) -> bool {
    let Some(before) = char_before(text, start) else {
        return true;
    };
    let outer = char_before(text, start - before.len_utf8());
    match before {
        ',' | ':' => !(outer.is_some_and(|c| c.is_ascii_digit()) && is_fraction(text, start)),
        '.' => !outer.is_some_and(|c| c.is_ascii_digit()),
        '/' => !outer.is_some_and(|c| c.is_ascii_alphabetic()),
        _ if is_dash(before) => !outer.is_some_and(is_identifier),
        _ if is_space(before) => !outer.is_some_and(is_currency),
        _ => !is_identifier(before) && !is_currency(before),
    }
}

/// A number can end at `end`: no identifier or fraction goes on there.
fn ends(text: &str, end: usize) -> bool {
    let Some(behind) = char_at(text, end) else {
        return true;
    };
    let outer = end + behind.len_utf8();
    match behind {
        ',' | ':' => !is_fraction(text, outer),
        _ if is_dash(behind) => !char_at(text, outer).is_some_and(is_identifier),
        _ => !is_identifier(behind),
    }
}

/// Identifiers are ASCII: a number may be glued to the words of a script that has no spaces.
fn is_identifier(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_currency(character: char) -> bool {
    matches!(character, '$' | '£' | '¥' | '\u{20a0}'..='\u{20cf}')
}

/// Up to three digits behind a comma or a colon: decimals, thousands, minutes.
fn is_fraction(text: &str, at: usize) -> bool {
    short_group_end(text.as_bytes(), at, 3).is_some()
}

/// The word has a dot as decimals, thousands, versions and IP addresses have it.
fn is_amount(word: &str, prefix: Prefix) -> bool {
    let Some((whole, rest)) = word.split_once('.') else {
        return false;
    };
    if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    if prefix == Prefix::International {
        // RFC 5733, section 2.5, writes a dot behind the country code, which has three digits at most.
        return whole.len() > 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    }
    let has_trunk_prefix = whole.len() > 1 && whole.starts_with('0');
    !has_trunk_prefix && !is_north_american(word)
}

/// `555.010.9999` or `1.555.010.9999`
fn is_north_american(word: &str) -> bool {
    let mut lengths = word.rsplit('.').map(str::len);
    let mut next = || lengths.next();
    (next(), next(), next()) == (Some(4), Some(3), Some(3))
        && matches!((next(), next()), (None | Some(1), None))
}

/// The end of the date or the time of day that begins at `at`.
fn calendar_end(text: &str, at: usize) -> Option<usize> {
    date_end(text, at).or_else(|| clock_end(text, at))
}

/// Year, month, day (ISO 8601), or the year last.
fn date_end(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let first = short_group_end(bytes, at, 4)?;
    let separator = char_at(text, first).filter(|c| is_joint(*c) || *c == '/')?;
    let behind = |end: usize| text[end..].starts_with(separator).then_some(end + separator.len_utf8());
    let second = behind(first)?;
    let second_end = short_group_end(bytes, second, 2)?;
    let third = behind(second_end)?;
    let end = short_group_end(bytes, third, 4)?;
    if behind(end).is_some_and(|next| digit_at(bytes, next).is_some()) {
        return None;
    }
    let (first, second, third) = (&text[at..first], &text[second..second_end], &text[third..end]);
    let is_date = is_year(first) && is_month_and_day(second, third)
        || is_year(third) && (is_month_and_day(first, second) || is_month_and_day(second, first));
    is_date.then_some(end)
}

fn is_year(group: &str) -> bool {
    group.len() == 4 && (group.starts_with("19") || group.starts_with("20"))
}

fn is_month_and_day(month: &str, day: &str) -> bool {
    is_between(month, 1, 12) && is_between(day, 1, 31)
}

/// Hours, a dot, minutes, as `8.30` and `17.00`.
fn clock_end(text: &str, at: usize) -> Option<usize> {
    let hours = short_group_end(text.as_bytes(), at, 2)?;
    let minutes = joined(text, hours).filter(|_| text[hours..].starts_with('.'))?;
    let end = short_group_end(text.as_bytes(), minutes, 2)?;
    let is_clock = is_between(&text[at..hours], 0, 24)
        && end - minutes == 2
        && is_between(&text[minutes..end], 0, 59)
        && !(text[end..].starts_with('.') && joined(text, end).is_some());
    is_clock.then_some(end)
}

fn is_between(group: &str, least: u8, most: u8) -> bool {
    group.len() <= 2 && group.parse().is_ok_and(|number: u8| (least..=most).contains(&number))
}

/// The end of the digits at `at`: at least one, and no more than `most`.
fn short_group_end(bytes: &[u8], at: usize, most: usize) -> Option<usize> {
    let digits = bytes.get(at..)?.iter().take(most + 1).take_while(|byte| byte.is_ascii_digit()).count();
    (1..=most).contains(&digits).then_some(at + digits)
}

#[cfg(test)]
mod tests {
    use super::super::{Kinds, mask};

    const PHONE: Kinds = Kinds { pan: false, iban: false, email: false, phone: true };

    fn masked(text: &str) -> Option<(String, u64)> {
        mask(text, PHONE).map(|(text, masked)| (text, masked.phone))
    }

    #[test]
    fn phone_numbers_are_masked_but_their_last_two_digits() {
        for (text, expected) in [
            ("+31612345678", "+*********78"),
            ("+31 6 12345678", "+** * ******78"),
            ("+31 (0)20 123 45 67", "+** (*)** *** ** 67"),
            ("+31 (0) 20 1234567", "+** (*) ** *****67"),
            ("(+31) 20 1234567", "(+**) ** *****67"),
            ("+31.612345678", "+**.*******78"),
            ("+1234567", "+*****67"),
            ("0031612345678", "***********78"),
            ("0612345678", "********78"),
            ("06-12345678", "**-******78"),
            ("06\u{2013}12345678", "**\u{2013}******78"),
            ("06\u{a0}12345678", "**\u{a0}******78"),
            ("06.12.34.56.78", "**.**.**.**.78"),
            ("020 - 123 45 67", "*** - *** ** 67"),
            ("030/123456-0", "***/*****6-0"),
            ("030 / 1234567", "*** / *****67"),
            ("(020)1234567", "(***)*****67"),
            ("(020) 123 4567", "(***) *** **67"),
            ("(555) 123.4567", "(***) ***.**67"),
            ("0900-1234", "****-**34"),
            ("020.1234567", "***.*****67"),
            ("555-010-9999", "***-***-**99"),
            ("1-800-555-0199", "*-***-***-**99"),
            ("555.010.9999", "***.***.**99"),
            ("1.555.010.9999", "*.***.***.**99"),
            ("612 345 678", "*** *** *78"),
            ("123456789012345", "*************45"),
            ("tel:0612345678.", "tel:********78."),
            ("Tel.0612345678, daily", "Tel.********78, daily"),
            ("0612345678@example.com", "********78@example.com"),
            ("电话13812345678。", "电话*********78。"),
            ("10:15 0612345678 11:30", "10:15 ********78 11:30"),
            ("2026-09-23 0612345678", "2026-09-23 ********78"),
            ("0612345678 2026-09-23", "********78 2026-09-23"),
            ("0612345678 23.09.2026 10.15", "********78 23.09.2026 10.15"),
        ] {
            assert_eq!(masked(text), Some((expected.to_owned(), 1)), "{text}");
        }
    }

    #[test]
    fn several_phone_numbers_are_all_masked() {
        for (text, expected, count) in [
            ("0612345678 0687654321", "********78 ********21", 2),
            ("0612345678/0687654321", "********78/********21", 2),
            ("0612345678,0687654321", "********78,********21", 2),
            ("+31612345678 +31687654321", "+*********78 +*********21", 2),
            // One could begin where the other has not ended.
            ("06 12345678 / 06 87654321", "** ******** / ** ******21", 1),
            ("020 1234567 of 020 7654321", "*** *****67 of *** *****21", 2),
        ] {
            assert_eq!(masked(text), Some((expected.to_owned(), count)), "{text}");
        }
    }

    #[test]
    fn dates_times_and_amounts_are_no_phone_numbers() {
        for text in [
            "2026",
            "2026-09-23",
            "2026-09-23 10:15:30",
            "2026-09-23T10:15:30.123456789Z",
            "2026-09-23T10:15:30+02:00",
            "2026-09-23/2026-10-01",
            "2026/09/23 12",
            "09/23/2026",
            "03.10.2026 12.30",
            "01-02-2026 2026-02-01",
            "open 08.00 - 17.00",
            "09.00-17.00",
            "1234567.89",
            "0.123456789",
            "52.3702160, 4.8951680",
            "-0.1234567",
            "+1234567.89",
            "1.234.567.890",
            "123456789,50",
            "1,234,567,890",
            "€123456789",
            "€ 1234567890",
            "$100000000",
            "1234.56 789.01 12.50",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn identifiers_are_no_phone_numbers() {
        for text in [
            "504499",
            "12345678",
            "ord_00000001",
            "ord-000000012345",
            "00000001",
            "000123456789",
            "A0612345678",
            "0612345678a",
            "550e8400-e29b-41d4-a716-446655440000",
            "550e8400-1234-4123-8716-446655440000",
            "00000001-e29b-41d4-a716-44665544000a",
            "12345678-1234-1234-1234-123456789012",
            "192.168.100.200",
            "10.0.19045.3803",
            "1.2.3-20260923101530",
            "https://example.com/orders/123456789",
            "1234567890123456",
            "1234  56789",
            "+12",
            "(2026) 12",
            "(12345678)",
            "",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }
}
