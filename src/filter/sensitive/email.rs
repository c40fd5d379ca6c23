//! E-mail addresses: the dot-atom form of RFC 5322, section 3.4.1, with the letters of RFC 6532.

use super::{Find, join};

/// Every address. Those that share a character, as in `a@b.example@c.example`, are one.
pub(super) fn finds(text: &str) -> Vec<Find> {
    let mut finds = Vec::new();
    // The part before an `@` ends at the one before it, and a domain at the one behind it: no
    // character is looked at more than twice.
    for (at, _) in text.match_indices('@') {
        if let (Some(start), Some(end)) = (local_start(text, at), domain_end(text, at + 1)) {
            join(&mut finds, start..end);
        }
    }
    finds
}

/// Where the local part that ends at `end` begins.
fn local_start(text: &str, end: usize) -> Option<usize> {
    let local = text[..end].trim_end_matches(|c| is_atext(c) || c == '.').len();
    let atom = text[local..end].find(|c| c != '.')?;
    Some(local + atom)
}

/// Where the domain that begins at `start` ends: behind the last label that can be a top-level one.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let mut end = None;
    let mut at = start;
    let mut is_first = true;
    loop {
        let rest = &text[at..];
        let label = &rest[..rest.find(|c| !is_label(c)).unwrap_or(rest.len())];
        if label.is_empty() {
            return end;
        }
        let name = label.trim_end_matches('-');
        if !is_first && is_top_level(name) {
            end = Some(at + name.len());
        }
        at += label.len();
        if !text[at..].starts_with('.') {
            return end;
        }
        at += 1;
        is_first = false;
    }
}

/// RFC 5322, section 3.2.3, and letters that are not ASCII.
fn is_atext(character: char) -> bool {
    character.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(character)
}

/// RFC 1123, section 2.1, and letters that are not ASCII (RFC 5890).
fn is_label(character: char) -> bool {
    character.is_alphanumeric() || character == '-'
}

fn is_top_level(label: &str) -> bool {
    label.chars().nth(1).is_some() && !label.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::{Kinds, mask};

    const EMAIL: Kinds = Kinds { pan: false, iban: false, email: true, phone: false };

    fn masked(text: &str) -> Option<(String, u64)> {
        mask(text, EMAIL).map(|(text, masked)| (text, masked.email))
    }

    #[test]
    fn addresses_are_masked_but_their_at_and_dots() {
        for (text, expected) in [
            ("anna@example.com", "****@*******.***"),
            (
                "mail anna.de-boer+x@mail.example.co.uk, please",
                "mail ****.*********@****.*******.**.**, please",
            ),
            ("<o'brien_1!#$%&*/=?^`{|}~@example.nl>", "<************************@*******.**>"),
            ("mailto:a@b.io.", "mailto:*@*.**."),
            ("jürgen@müller.de", "******@******.**"),
            ("用户@例子.世界", "**@**.**"),
            ("a@xn--fsqu00a.xn--0zwm56d", "*@***********.***********"),
            ("é a@b-c.nl- é", "é *@***.**- é"),
            ("..a@b.nl", "..*@*.**"),
            ("a.@b.nl", "*.@*.**"),
            ("a@example.com...", "*@*******.***..."),
            ("a@example.com.5", "*@*******.***.5"),
            ("a@b@example.com", "a@*@*******.***"),
            ("a@b.cd@e.fg", "*@*.**@*.**"),
            ("https://user:secret@host.example/x", "https://user:******@****.*******/x"),
            ("a@b.com_x", "*@*.***_x"),
        ] {
            assert_eq!(masked(text), Some((expected.to_owned(), 1)), "{text}");
        }
    }

    #[test]
    fn near_misses_are_no_addresses() {
        for text in [
            "anna@example",
            "anna@example.c",
            "anna@.com",
            "anna@example..com",
            "@example.com",
            ".@example.com",
            "anna @example.com",
            "anna@ example.com",
            "a@127.0.0.1",
            "a@10.20.30.40",
            "2 @ 1.50",
            "@@@@",
            "@",
            "",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn two_addresses_are_two() {
        assert_eq!(masked("a@b.nl,c@d.nl"), Some(("*@*.**,*@*.**".to_owned(), 2)));
    }
}
