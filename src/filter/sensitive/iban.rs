//! International bank account numbers: ISO 13616-1, check digits by ISO/IEC 7064 MOD 97-10.

use std::ops::RangeInclusive;

use super::{Find, char_at, is_space};

/// Country, check digits, and 11 to 30 characters of account.
const LENGTH: RangeInclusive<usize> = 15..=34;

/// Country and check digits.
const HEAD: usize = 4;

/// An account of 11 characters with as few digits as [`Account::is_plausible`] allows, and the check
/// digits.
pub(super) const MIN_DIGITS: usize = 6;

/// The lengths of the IBAN registry that SWIFT keeps for ISO 13616-2.
const REGISTRY: [(usize, &str); 18] = [
    (15, "NO"),
    (16, "BE"),
    (18, "DK FI FK FO GL NL SD"),
    (19, "MK SI"),
    (20, "AT BA EE KZ LT LU MN XK"),
    (21, "CH HR LI LV"),
    (22, "BG BH CR DE GB GE IE ME RS VA"),
    (23, "AE GI IL IQ OM SO TL"),
    (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
    (25, "LY PT ST"),
    (26, "IS TR"),
    (27, "BI DJ FR GR IT MC MR SM"),
    (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
    (29, "BR EG PS QA UA"),
    (30, "JO KW MU YE"),
    (31, "MT SC"),
    (32, "LC"),
    (33, "RU"),
];

/// A creditor reference (ISO 11649) has the same check digits, and is no account.
const CREDITOR_REFERENCE: &str = "RF";

/// Every IBAN; of several that begin at one place, the longest.
pub(super) fn finds(text: &str) -> Vec<Find> {
    let bytes = text.as_bytes();
    let mut finds = Vec::new();
    let mut at = 0;
    while let Some(start) = next_word(bytes, at) {
        at = match longest(text, start) {
            Some(end) => {
                finds.push(start..end);
                end
            }
            None => start + 1,
        };
    }
    finds
}

/// The find has a country that is in the registry, and so that country's length.
pub(super) fn is_registered(text: &str, find: &Find) -> bool {
    text.get(find.start..find.start + 2).is_some_and(|country| registered_length(country).is_some())
}

fn registered_length(country: &str) -> Option<usize> {
    let is_listed = |countries: &str| countries.split(' ').any(|listed| listed.eq_ignore_ascii_case(country));
    REGISTRY.iter().find(|(_, countries)| is_listed(countries)).map(|(length, _)| *length)
}

/// The first letter from `at` on that begins a word: accounts are ASCII, so other letters end a word.
fn next_word(bytes: &[u8], at: usize) -> Option<usize> {
    let begins = |at: usize| {
        bytes[at].is_ascii_alphabetic()
            && !at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric())
    };
    (at..bytes.len()).find(|at| begins(*at))
}

/// The end of the longest IBAN that begins at `start`.
fn longest(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let country = text.get(start..start + 2).filter(|country| is_letters(country))?;
    let first = next_symbol(text, start + 2)?;
    let check = text.get(first..first + 2).filter(|check| check.bytes().all(|b| b.is_ascii_digit()))?;
    if country.eq_ignore_ascii_case(CREDITOR_REFERENCE) {
        return None;
    }
    let lengths = registered_length(country).map_or(LENGTH, |length| length..=length);
    let mut account = Account::default();
    let mut end = None;
    let mut at = first + 2;
    while HEAD + account.length < *lengths.end() {
        let Some(symbol) = next_symbol(text, at) else {
            break;
        };
        account.push(bytes[symbol]);
        at = symbol + 1;
        let is_word_end = !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        if is_word_end
            && lengths.contains(&(HEAD + account.length))
            && account.is_plausible()
            && account.fits(country, check)
        {
            end = Some(at);
        }
    }
    end
}

fn is_letters(country: &str) -> bool {
    country.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// The letter or digit at `at`, or behind the single space there.
fn next_symbol(text: &str, at: usize) -> Option<usize> {
    let at = at + char_at(text, at).filter(|c| is_space(*c)).map_or(0, char::len_utf8);
    text.as_bytes().get(at).filter(|byte| byte.is_ascii_alphanumeric()).map(|_| at)
}

/// The account at the bank, as far as it was read.
#[derive(Default)]
struct Account {
    length: usize,
    digits: usize,
    /// Of the number that the characters stand for, modulo 97.
    remainder: u32,
}

impl Account {
    fn push(&mut self, symbol: u8) {
        self.length += 1;
        self.digits += usize::from(symbol.is_ascii_digit());
        self.remainder = appended(self.remainder, symbol);
    }

    /// One sentence in 97 would fit where it begins like "at 10 minutes". Accounts are digits for the
    /// most part: a third is fewer than in any that a country has registered.
    fn is_plausible(&self) -> bool {
        self.digits * 3 >= self.length
    }

    /// The check digits belong to the account: with country and check digits moved behind it, the
    /// remainder is 1.
    fn fits(&self, country: &str, check: &str) -> bool {
        country.bytes().chain(check.bytes()).fold(self.remainder, appended) == 1
    }
}

/// A digit stands for itself, a letter for 10 to 35.
fn appended(remainder: u32, symbol: u8) -> u32 {
    match symbol {
        b'0'..=b'9' => (remainder * 10 + u32::from(symbol - b'0')) % 97,
        _ => (remainder * 100 + u32::from(symbol.to_ascii_uppercase() - b'A') + 10) % 97,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kinds, mask};

    const IBAN: Kinds = Kinds { pan: false, iban: true, email: false, phone: false };

    fn masked(text: &str) -> Option<(String, u64)> {
        mask(text, IBAN).map(|(text, masked)| (text, masked.iban))
    }

    #[test]
    fn account_numbers_are_masked_but_their_last_four_characters() {
        for (text, expected) in [
            ("NL91ABNA0417164300", "**************4300"),
            ("nl91abna0417164300", "**************4300"),
            ("NL91 ABNA 0417 1643 00", "**** **** **** **43 00"),
            ("NL91 ABNA 0417 1643 00 and", "**** **** **** **43 00 and"),
            ("NL 91 ABNA 0417 1643 00", "** ** **** **** **43 00"),
            ("DE89\u{a0}3704\u{a0}0044 0532 0130 00.", "****\u{a0}****\u{a0}**** **** **30 00."),
            ("naar rekening:DE89370400440532013000;", "naar rekening:******************3000;"),
            ("账号NL91ABNA0417164300。", "账号**************4300。"),
            ("iban_NL91ABNA0417164300_x", "iban_**************4300_x"),
            // Not in the registry: every length is looked at.
            ("DZ580002100001113000000570", "**********************0570"),
        ] {
            assert_eq!(masked(text), Some((expected.to_owned(), 1)), "{text}");
        }
    }

    #[test]
    fn the_examples_of_many_countries_are_account_numbers() {
        for text in [
            "GB29NWBK60161331926819",
            "FR1420041010050500013M02606",
            "BE68539007547034",
            "CH9300762011623852957",
            "AT611904300234573201",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "SA0380000000608010167519",
            "BR1800360305000010009795493C1",
            "LC55HEMM000100010012001200023015",
            "RU0304452522540817810538091310419",
            "SC18SSCB11010000000000001497USD",
            "KZ86125KZT5004100100",
            "PL61109010140000071219812874",
            "IT60X0542811101000000123456",
            "ES9121000418450200051332",
            "PT50000201231234567890154",
            "SE4550000000058398257466",
            "DK5000400440116243",
            "FI2112345600000785",
            "IE29AIBK93115212345678",
            "TR330006100519786457841326",
            "UA213223130000026007233566001",
            "MU17BOMM0101101030300200000MUR",
        ] {
            assert_eq!(masked(text).map(|(_, count)| count), Some(1), "{text}");
            // The registry has this length for the country, and no other.
            let longer = format!("{text} 00 11 22 33 44 55 66 77 88 99");
            let expected = masked(text).unwrap().0 + &longer[text.len()..];
            assert_eq!(masked(&longer), Some((expected, 1)), "{longer}");
        }
    }

    #[test]
    fn near_misses_are_no_account_numbers() {
        for text in [
            "NL91ABNA0417164301",
            "NL92ABNA0417164300",
            "NL91ABNA0417164300X",
            "XNL91ABNA0417164300",
            "NL91  ABNA 0417 1643 00",
            "NL91-ABNA-0417-1643-00",
            "N L91ABNA0417164300",
            "NL91ABNA04171643",
            "NL91",
            "RF18539007547034",
            "RF18 5390 0754 7034",
            "at 10 minutes past nine in the evening",
            "12345678901234567890",
            "",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn two_account_numbers_are_two() {
        let text = "NL91 ABNA 0417 1643 00 BE68 5390 0754 7034";
        let expected = "**** **** **** **43 00 **** **** **** 7034";
        assert_eq!(masked(text), Some((expected.to_owned(), 2)));
    }
}
