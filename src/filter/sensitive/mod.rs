//! The scan of free text: card numbers, IBANs, e-mail addresses and phone numbers are masked in place.
//!
//! **Guarantees.** The masked text has as many characters as the text had, and differs from it only in
//! characters that became `*`. Time is linear in the length of the text, whatever it holds. The same
//! text gives the same result.
//!
//! **Must not** know of JSON, or tell what was found: only how often.

mod email;
mod iban;
mod pan;
mod phone;

use std::ops::Range;

/// What a mask puts in the place of a character.
const MASK: char = '*';

/// What is looked for in free text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Payment card numbers (ISO/IEC 7812-1).
    pub pan: bool,
    /// Bank account numbers (ISO 13616).
    pub iban: bool,
    /// E-mail addresses (RFC 5322).
    pub email: bool,
    /// Phone numbers (E.164, and as they are written within a country).
    pub phone: bool,
}

impl Kinds {
    pub const PAN: Kinds = Kinds { pan: true, iban: false, email: false, phone: false };

    pub fn is_empty(self) -> bool {
        self == Kinds::default()
    }

    /// No find of a kind that is told by its digits has fewer.
    fn fewest_digits(self) -> usize {
        let fewest = |wanted: bool, digits: usize| if wanted { digits } else { usize::MAX };
        fewest(self.pan, pan::MIN_DIGITS)
            .min(fewest(self.iban, iban::MIN_DIGITS))
            .min(fewest(self.phone, phone::MIN_DIGITS))
    }
}

/// How many were masked, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masked {
    pub pan: u64,
    pub iban: u64,
    pub email: u64,
    pub phone: u64,
}

impl Masked {
    pub fn add(&mut self, other: Masked) {
        self.pan += other.pan;
        self.iban += other.iban;
        self.email += other.email;
        self.phone += other.phone;
    }

    pub fn total(self) -> u64 {
        self.pan + self.iban + self.email + self.phone
    }

    pub fn is_empty(self) -> bool {
        self == Masked::default()
    }
}

/// The bytes of one find. The finds of one kind are in order and do not overlap.
type Find = Range<usize>;

/// Every find of one kind.
type Scan = fn(&str) -> Vec<Find>;

/// The text with every find masked, and how many there were; `None` where nothing was found.
pub fn mask(text: &str, kinds: Kinds) -> Option<(String, Masked)> {
    if !may_hold(text.as_bytes(), kinds) {
        return None;
    }
    let finds = |wanted: bool, scan: Scan| if wanted { scan(text) } else { Vec::new() };
    let mut pans = finds(kinds.pan, pan::finds);
    let mut phones = finds(kinds.phone, phone::finds);
    let ibans = finds(kinds.iban || !pans.is_empty() || !phones.is_empty(), iban::finds);
    // An account number holds runs of digits that look like a card number in one case of ten. Its own
    // check is the stronger one, also where accounts are not looked for.
    let accounts: Vec<Find> = ibans.iter().filter(|find| iban::is_registered(text, find)).cloned().collect();
    pans.retain(|find| !is_within(&accounts, find));
    phones.retain(|find| !is_within(&accounts, find));

    let mut marks = Marks { text, marks: Vec::new() };
    let masked = Masked {
        pan: marks.take(&pans, 4, |c| c.is_ascii_digit()),
        iban: if kinds.iban { marks.take(&ibans, 4, |c| c.is_ascii_alphanumeric()) } else { 0 },
        email: marks.take(&finds(kinds.email, email::finds), 0, |c| c != '@' && c != '.'),
        phone: marks.take(&phones, 2, |c| c.is_ascii_digit()),
    };
    (!masked.is_empty()).then(|| (marks.apply(), masked))
}

/// A quick test on the bytes of a text: where it is false, [`mask`] finds nothing.
pub fn may_hold(bytes: &[u8], kinds: Kinds) -> bool {
    let fewest = kinds.fewest_digits();
    (bytes.len() >= fewest && digits(bytes) >= fewest) || (kinds.email && bytes.contains(&b'@'))
}

fn digits(bytes: &[u8]) -> usize {
    // Counted in bytes, which the compiler turns into vector instructions.
    bytes
        .chunks(usize::from(u8::MAX))
        .map(|chunk| usize::from(chunk.iter().map(|b| u8::from(b.is_ascii_digit())).sum::<u8>()))
        .sum()
}

/// One of the finds covers this one.
fn is_within(finds: &[Find], find: &Find) -> bool {
    let next = finds.partition_point(|other| other.start <= find.start);
    next.checked_sub(1).is_some_and(|at| find.end <= finds[at].end)
}

/// Finds that share a character are one: which of them is meant cannot be told, so all are masked.
fn join(finds: &mut Vec<Find>, find: Find) {
    match finds.last_mut() {
        Some(last) if find.start < last.end => last.end = last.end.max(find.end),
        _ => finds.push(find),
    }
}

/// What becomes of each character: the first kind that takes it decides.
struct Marks<'t> {
    text: &'t str,
    /// By the first byte of a character; empty as long as nothing was taken.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Free,
    Kept,
    Masked,
}

impl Marks<'_> {
    /// Takes the characters of all finds that are still free. Those that are significant get masked,
    /// but for the last few. The number of finds that masked something.
    fn take(&mut self, finds: &[Find], keep_last: usize, is_significant: fn(char) -> bool) -> u64 {
        if !finds.is_empty() && self.marks.is_empty() {
            self.marks = vec![Mark::Free; self.text.len()];
        }
        let mut masking = 0;
        for find in finds {
            let mut significant = 0;
            let mut masks = false;
            for (at, character) in self.text[find.clone()].char_indices().rev() {
                significant += usize::from(is_significant(character));
                let mark = &mut self.marks[find.start + at];
                if *mark != Mark::Free {
                    continue;
                }
                let shown = !is_significant(character) || significant <= keep_last;
                *mark = if shown { Mark::Kept } else { Mark::Masked };
                masks |= !shown;
            }
            masking += u64::from(masks);
        }
        masking
    }

    fn apply(&self) -> String {
        let characters = self.text.char_indices();
        characters.map(|(at, c)| if self.marks[at] == Mark::Masked { MASK } else { c }).collect()
    }
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

fn char_before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

fn digit_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).filter(|byte| byte.is_ascii_digit()).map(|byte| byte - b'0')
}

/// The first digit from `at` on.
fn next_digit(bytes: &[u8], at: usize) -> Option<usize> {
    Some(at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?)
}

/// Where the digits that begin at `at` end.
fn group_end(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Spaces that stand between the groups of a number: also no-break, thin and narrow no-break space.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}')
}

/// Hyphens, dashes and the minus sign.
fn is_dash(character: char) -> bool {
    matches!(character, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Kinds = Kinds { pan: true, iban: true, email: true, phone: true };

    fn counts(pan: u64, iban: u64, email: u64, phone: u64) -> Masked {
        Masked { pan, iban, email, phone }
    }

    #[test]
    fn several_kinds_in_one_text_are_masked_and_counted() {
        let text =
            "é: 4111 1111 1111 1111, NL91ABNA0417164300 of anna@example.com – (020) 123 45 67; ord_00000001";
        let expected =
            "é: **** **** **** 1111, **************4300 of ****@*******.*** – (***) *** ** 67; ord_00000001";
        assert_eq!(mask(text, ALL), Some((expected.to_owned(), counts(1, 1, 1, 1))));
    }

    #[test]
    fn only_the_wanted_kinds_are_masked() {
        let text = "4222222222222 NL91ABNA0417164300 a@b.nl 0612345678x +31612345678";
        let none = Kinds::default();
        for (kinds, expected) in [
            (Kinds::PAN, Some("*********2222 NL91ABNA0417164300 a@b.nl 0612345678x +31612345678")),
            (
                Kinds { iban: true, ..none },
                Some("4222222222222 **************4300 a@b.nl 0612345678x +31612345678"),
            ),
            (
                Kinds { email: true, ..none },
                Some("4222222222222 NL91ABNA0417164300 *@*.** 0612345678x +31612345678"),
            ),
            (
                Kinds { phone: true, ..none },
                Some("***********22 NL91ABNA0417164300 a@b.nl 0612345678x +*********78"),
            ),
            (none, None),
        ] {
            assert_eq!(mask(text, kinds).map(|(text, _)| text).as_deref(), expected, "{kinds:?}");
        }
    }

    #[test]
    fn the_first_kind_that_takes_a_character_decides_what_becomes_of_it() {
        for (text, expected, masked) in [
            ("4111111111111111@example.com", "************1111@*******.***", counts(1, 0, 1, 0)),
            ("NL91ABNA0417164300@example.com", "**************4300@*******.***", counts(0, 1, 1, 0)),
            ("0612345678@example.com", "**********@*******.***", counts(0, 0, 1, 0)),
            ("4111 1111 1111 1111", "**** **** **** 1111", counts(1, 0, 0, 0)),
            ("0612345678 4111 1111 1111 1111", "********** **** **** **** 1111", counts(1, 0, 0, 1)),
            ("DE89 3704 0044 0532 0130 00", "**** **** **** **** **30 00", counts(0, 1, 0, 0)),
        ] {
            assert_eq!(mask(text, ALL), Some((expected.to_owned(), masked)), "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in [
            "",
            "Anna van den Berg",
            "Sint-Jansstraat 12-3, 1012 HG Amsterdam",
            "ord_00000001",
            "550e8400-e29b-41d4-a716-446655440000",
            "2026-09-23T10:15:30.123456Z",
            "https://example.com/orders/504499?page=2",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "Bezorgen na 17.00 uur, op 03-10-2026 of later; aanbellen bij nr. 12.",
        ] {
            assert_eq!(mask(text, ALL), None, "{text}");
        }
    }

    #[test]
    fn the_quick_test_never_denies_what_the_scan_finds() {
        for (text, kinds, expected) in [
            ("Amsterdam", ALL, false),
            ("411111111111", Kinds::PAN, false),
            ("4111 1111 1111 x", Kinds::PAN, false),
            ("4222222222222", Kinds::PAN, true),
            ("a@b.nl", Kinds::PAN, false),
            ("a@b.nl", Kinds { email: true, ..Kinds::default() }, true),
            ("+1234567", Kinds { phone: true, ..Kinds::default() }, true),
            ("+123456", Kinds { phone: true, ..Kinds::default() }, false),
            ("4222222222222 a@b.nl", Kinds::default(), false),
        ] {
            assert_eq!(may_hold(text.as_bytes(), kinds), expected, "{text}");
        }
        // Not UTF-8, and longer than what is counted at once.
        let long = [&[0xff; 300][..], &b"1 "[..].repeat(300)].concat();
        assert_eq!(digits(&long), 300);
        let only = Kinds::default();
        let scans: [(Kinds, Scan); 4] = [
            (Kinds::PAN, pan::finds),
            (Kinds { iban: true, ..only }, iban::finds),
            (Kinds { email: true, ..only }, email::finds),
            (Kinds { phone: true, ..only }, phone::finds),
        ];
        for text in texts(30_000) {
            for (kinds, finds) in scans {
                assert!(may_hold(text.as_bytes(), kinds) || finds(&text).is_empty(), "{text:?} {kinds:?}");
            }
        }
    }

    /// Pseudo-random texts over the characters that the rules speak of.
    fn texts(count: usize) -> impl Iterator<Item = String> {
        let alphabet: Vec<char> =
            "0123456789012345678911 --..//(())++@@,:_abNLDE€é\u{a0}\u{2011}数".chars().collect();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) as usize % below
        };
        (0..count).map(move |_| {
            let letters = 20 + next(alphabet.len() - 19);
            let length = next(48);
            (0..length).map(|_| alphabet[next(letters)]).collect()
        })
    }

    #[test]
    fn a_masked_text_differs_only_in_stars() {
        let mut found = Masked::default();
        for text in texts(30_000) {
            let Some((masked, counts)) = mask(&text, ALL) else {
                continue;
            };
            assert_eq!(masked.chars().count(), text.chars().count(), "{text:?}");
            let changed = text.chars().zip(masked.chars()).filter(|(before, after)| before != after);
            assert!(changed.clone().count() > 0, "{text:?}");
            for (before, after) in changed {
                assert!(after == MASK && (before.is_alphanumeric() || "+-/_".contains(before)), "{text:?}");
            }
            assert!(!counts.is_empty(), "{text:?}");
            found.add(counts);
        }
        assert!(found.pan > 100 && found.email > 100 && found.phone > 1000, "{found:?}");
    }

    #[test]
    fn a_find_stays_when_other_text_surrounds_it() {
        for find in ["4111 1111 1111 1111", "NL91 ABNA 0417 1643 00", "anna@example.com", "+31 6 12345678"] {
            let (masked, counts) = mask(find, ALL).unwrap();
            for (before, behind) in
                [("é ", " é"), ("", "."), ("(", ")"), ("«", "»"), ("€\n", "\t€"), ("\u{1f600}", "\u{1f600}")]
            {
                let text = format!("{before}{find}{behind}");
                let expected = format!("{before}{masked}{behind}");
                assert_eq!(mask(&text, ALL), Some((expected, counts)), "{text}");
            }
        }
    }

    #[test]
    fn a_megabyte_of_anything_is_scanned_at_once() {
        const LENGTH: usize = 1 << 20;
        let digits =
            "1|0|1 |1-|1\u{2011}|12.|1.1-|06.12|+1|(1)|1 (|1,1:|2026-09-23-|2026-09-23 |4222222222222 ";
        let letters = "@|a@|a.|@.|a@a.aa|é|é@|AA00|AA00 |A1 |NL91 ABNA 0417 1643 0|(|+|-";
        for piece in digits.split('|').chain(letters.split('|')) {
            let text = piece.repeat(LENGTH / piece.len());
            if let Some((masked, _)) = mask(&text, ALL) {
                assert_eq!(masked.chars().count(), text.chars().count(), "{piece}");
            }
        }
        let zeros = "0".repeat(LENGTH);
        assert_eq!(mask(&zeros, ALL), None);
        let padding = "x1".repeat(LENGTH / 2);
        let (masked, counts) = mask(&format!("{padding} 4111111111111111"), ALL).unwrap();
        assert_eq!((masked, counts.pan), (format!("{padding} ************1111"), 1));
        let addresses = "a@b.nl ".repeat(LENGTH / 7);
        assert_eq!(mask(&addresses, ALL).unwrap().1.email, (LENGTH / 7) as u64);
    }
}
