//! JSON string text: what the bytes between the quotes mean, and how to write text as JSON.

use std::borrow::Cow;

/// The text of a JSON string without its quotes, escapes resolved (RFC 8259, section 7).
///
/// `None` where it holds a lone surrogate: such text has no meaning that two readers would agree on.
/// The scanner has checked the grammar before.
pub fn unescape(raw: &[u8]) -> Option<Cow<'_, str>> {
    let raw = std::str::from_utf8(raw).ok()?;
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (character, taken) = escape(&rest[at..])?;
        text.push(character);
        rest = &rest[at + taken..];
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// One escape sequence: the character that it stands for, and its length in bytes.
fn escape(sequence: &str) -> Option<(char, usize)> {
    let simple = match sequence.as_bytes().get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(sequence.as_bytes()),
        other => char::from(*other),
    };
    Some((simple, 2))
}

fn unicode_escape(sequence: &[u8]) -> Option<(char, usize)> {
    let first = code_unit(sequence)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = code_unit(sequence.get(6..)?).filter(|unit| (0xDC00..0xE000).contains(unit))?;
    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Some((char::from_u32(code)?, 12))
}

/// The number after `\u`.
fn code_unit(sequence: &[u8]) -> Option<u32> {
    let digits = sequence.strip_prefix(b"\\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether a string, without its quotes, holds half of a surrogate pair. The grammar was checked before.
pub fn has_lone_surrogate(raw: &[u8]) -> bool {
    let mut at = 0;
    while let Some(next) = memchr::memchr(b'\\', &raw[at..]) {
        at += next;
        if raw.get(at + 1) != Some(&b'u') {
            at += 2;
            continue;
        }
        match unicode_escape(&raw[at..]) {
            Some((_, taken)) => at += taken,
            None => return true,
        }
    }
    false
}

/// Writes `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    text.chars().for_each(|character| push_character(out, character));
    out.push(b'"');
}

/// Writes one character of a JSON string, escaped where it must be (RFC 8259, section 7).
pub fn push_character(out: &mut Vec<u8>, character: char) {
    let short = match character {
        '"' | '\\' => character as u8,
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\0'..='\u{1f}' => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let code = character as usize;
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[code >> 4], HEX[code & 15]]);
            return;
        }
        _ => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_what_serde_json_says() {
        for raw in
            [r"plain", r"\n\t\r\b\f\/\\\x22", r"\u00e9\u20AC", r"\ud83d\ude00 \u0000", r"a\u0061\\u0061"]
        {
            let raw = raw.replace(r"\x22", "\\\"");
            let oracle: String = serde_json::from_str(&format!("\"{raw}\"")).unwrap();
            assert_eq!(unescape(raw.as_bytes()).unwrap(), oracle);
        }
    }

    #[test]
    fn lone_surrogates_have_no_text() {
        for raw in [r"\ud800", r"\ud800x", r"\ud800\u0041", r"\udc00", r"\ud800\n"] {
            assert_eq!(unescape(raw.as_bytes()), None, "{raw}");
            assert!(has_lone_surrogate(raw.as_bytes()), "{raw}");
        }
        for raw in [r"\ud83d\ude00", r"\\ud800", r"\u00e9\u20ACé", "é", r"\\\ud83d\ude00x"] {
            assert!(!has_lone_surrogate(raw.as_bytes()), "{raw}");
        }
    }

    #[test]
    fn strings_are_written_as_serde_json_writes_them() {
        for text in ["", "a\"b\\c/d", "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}", "é€\u{1F600}\u{2028}"] {
            let mut out = Vec::new();
            write_string(&mut out, text);
            assert_eq!(out, serde_json::to_vec(text).unwrap());
        }
    }
}
