//! Primary account numbers of payment cards: ISO/IEC 7812-1, its Annex B for the Luhn formula.

use super::{Find, char_at, digit_at, group_end, is_dash, is_space, join, next_digit};

/// ISO/IEC 7812-1 ends at 19 digits; the shortest numbers that were issued for payment have 13.
pub(super) const MIN_DIGITS: usize = 13;
const MAX_DIGITS: usize = 19;

/// Every stretch of whole groups of digits that is a card number; those that overlap are one.
///
/// Letters do not end or hide a number: one that is glued to a word is still a number.
pub(super) fn finds(text: &str) -> Vec<Find> {
    let bytes = text.as_bytes();
    let mut finds = Vec::new();
    let mut at = 0;
    while let Some(start) = next_digit(bytes, at) {
        if let Some(end) = longest(text, start) {
            join(&mut finds, start..end);
        }
        at = group_end(bytes, start);
    }
    finds
}

/// The end of the longest card number that begins with the group at `start`.
fn longest(text: &str, start: usize) -> Option<usize> {
    let mut luhn = Luhn::default();
    let mut end = None;
    let mut at = start;
    loop {
        while let Some(digit) = digit_at(text.as_bytes(), at) {
            luhn.push(digit);
            if luhn.digits > MAX_DIGITS {
                return end;
            }
            at += 1;
        }
        if luhn.digits >= MIN_DIGITS && luhn.holds() {
            end = Some(at);
        }
        match next_group(text, at) {
            Some(next) => at = next,
            None => return end,
        }
    }
}

/// The digit behind the single separator at `at`.
fn next_group(text: &str, at: usize) -> Option<usize> {
    let separator = char_at(text, at).filter(|c| is_space(*c) || is_dash(*c))?;
    let next = at + separator.len_utf8();
    digit_at(text.as_bytes(), next).map(|_| next)
}

/// The Luhn formula over digits that come from the left, while the formula counts from the right: each
/// digit turns the sums around.
#[derive(Default)]
struct Luhn {
    digits: usize,
    /// With the last digit as it is, the one before doubled, and so on.
    sum: u32,
    /// With the last digit doubled.
    sum_doubled: u32,
}

impl Luhn {
    fn push(&mut self, digit: u8) {
        let digit = u32::from(digit);
        let doubled = if digit < 5 { digit * 2 } else { digit * 2 - 9 };
        (self.sum, self.sum_doubled) = (self.sum_doubled + digit, self.sum + doubled);
        self.digits += 1;
    }

    /// Zeros alone fulfil the formula too, and are no number.
    fn holds(&self) -> bool {
        self.sum > 0 && self.sum.is_multiple_of(10)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kinds, mask};
    use super::*;

    fn masked(text: &str) -> Option<(String, u64)> {
        mask(text, Kinds::PAN).map(|(text, masked)| (text, masked.pan))
    }

    #[test]
    fn card_numbers_are_masked_but_their_last_four_digits() {
        for (text, expected) in [
            ("4111111111111111", "************1111"),
            ("5555 5555 5555 4444", "**** **** **** 4444"),
            ("3782-822463-10005", "****-******-*0005"),
            ("6011000990139424", "************9424"),
            ("4222222222222", "*********2222"),
            ("30569309025904", "**********5904"),
            ("6304 0000 0000 0000 000", "**** **** **** ***0 000"),
            ("4000000000000000006", "***************0006"),
            ("paid with 4111 1111 1111 1111.", "paid with **** **** **** 1111."),
            ("card4111111111111111x", "card************1111x"),
            ("é 4111\u{a0}1111\u{202f}1111\u{2011}1111 €", "é ****\u{a0}****\u{202f}****\u{2011}1111 €"),
            ("4111\u{2212}1111\u{2009}1111 1111", "****\u{2212}****\u{2009}**** 1111"),
            ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "* * * * * * * * * * * * 1 1 1 1"),
            ("\"4111111111111111\",\"x\"", "\"************1111\",\"x\""),
        ] {
            assert_eq!(masked(text), Some((expected.to_owned(), 1)), "{text}");
        }
    }

    #[test]
    fn a_card_number_is_found_between_other_digits() {
        for (text, expected, count) in [
            ("12 4111 1111 1111 1111 11/27", "12 **** **** **** 1111 11/27", 1),
            // With the month behind it, this is a card number of 18 digits as well.
            ("12 4111 1111 1111 1111 10/27", "12 **** **** **** **11 10/27", 1),
            ("4111111111111111 5555555555554444", "************1111 ************4444", 2),
            ("4111111111111111,5555555555554444", "************1111,************4444", 2),
            ("00000 4111111111111111 123", "00000 ************1111 123", 1),
            ("20260923-4111111111111111", "20260923-************1111", 1),
        ] {
            assert_eq!(masked(text), Some((expected.to_owned(), count)), "{text}");
        }
    }

    #[test]
    fn numbers_that_overlap_are_masked_as_one() {
        // The last four groups are a card number too, and so are the middle ones.
        let text = "4111 1111 1111 1111 5555";
        assert_eq!(masked(text), Some(("**** **** **** **** 5555".to_owned(), 1)));
    }

    #[test]
    fn near_misses_are_no_card_numbers() {
        for text in [
            "4111111111111112",
            "5555 5555 5555 4445",
            "4111  1111 1111 1111",
            "4111 1111\n1111 1111",
            "4111.1111.1111.1111",
            "411111111111",
            "41111111111111110000",
            "00004111111111111111",
            "0000000000000000",
            "0000 0000 0000 0",
            "٤١١١١١١١١١١١١١١١",
            "2026-09-23",
            "",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_inside_an_account_number_are_no_card_numbers() {
        for text in ["BE13900754701239", "GB19NWBK60161331926805", "DE08 3704 0044 0532 0131 00"] {
            assert!(!super::finds(text).is_empty(), "{text}");
            assert_eq!(masked(text), None, "{text}");
        }
        // With other check digits it is no account number, and what is in it may be a card's.
        assert_eq!(masked("GB20NWBK60161331926805"), Some(("GB20NWBK**********6805".to_owned(), 1)));
    }

    /// The formula as ISO/IEC 7812-1 describes it.
    fn reference_luhn(digits: &[u32]) -> bool {
        let sum: u32 = digits
            .iter()
            .rev()
            .enumerate()
            .map(|(at, digit)| if at % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
            .sum();
        sum.is_multiple_of(10) && digits.iter().any(|digit| *digit > 0)
    }

    /// Every pair of characters, looked at on its own.
    fn reference_finds(text: &str) -> Vec<Find> {
        let characters: Vec<(usize, char)> = text.char_indices().collect();
        let is_digit = |at: usize| characters.get(at).is_some_and(|(_, c)| c.is_ascii_digit());
        let is_separator = |c: char| " -\u{a0}\u{2009}\u{202f}\u{2010}\u{2011}\u{2015}\u{2212}".contains(c);
        let mut finds: Vec<Find> = Vec::new();
        for first in 0..characters.len() {
            for last in first..characters.len() {
                let begins = is_digit(first) && (first == 0 || !is_digit(first - 1));
                let ends = is_digit(last) && !is_digit(last + 1);
                let window = &characters[first..=last];
                let plain = window.iter().all(|(_, c)| c.is_ascii_digit() || is_separator(*c));
                let single =
                    window.windows(2).all(|pair| !(is_separator(pair[0].1) && is_separator(pair[1].1)));
                let digits: Vec<u32> = window.iter().filter_map(|(_, c)| c.to_digit(10)).collect();
                if begins
                    && ends
                    && plain
                    && single
                    && (13..=19).contains(&digits.len())
                    && reference_luhn(&digits)
                {
                    finds.push(characters[first].0..characters[last].0 + 1);
                }
            }
        }
        finds
    }

    #[test]
    fn the_scan_finds_what_looking_at_every_pair_of_places_finds() {
        let alphabet: Vec<char> = "01234567890123456789411115550 -\u{a0}\u{2011} x,".chars().collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        let mut found = 0;
        for _ in 0..20_000 {
            // Strings of different density: digits alone up to the whole alphabet.
            let letters = 29 + next(alphabet.len() - 28);
            let length = next(44);
            let text: String = (0..length).map(|_| alphabet[next(letters)]).collect();
            let reference = reference_finds(&text);
            let covered = |finds: &[Find], at: usize| finds.iter().any(|find| find.contains(&at));
            let finds = super::finds(&text);
            found += finds.len();
            for at in 0..text.len() {
                assert_eq!(covered(&finds, at), covered(&reference, at), "{text:?} at {at}");
            }
            for find in &finds {
                assert!(reference.iter().any(|other| other.start == find.start), "{text:?}");
                assert!(reference.iter().any(|other| other.end == find.end), "{text:?}");
            }
        }
        assert!(found > 1_000, "{found}");
    }
}
