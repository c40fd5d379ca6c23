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
        b'u' => return unicode_escape(sequence),
        other => char::from(*other),
    };
    Some((simple, 2))
}

fn unicode_escape(sequence: &str) -> Option<(char, usize)> {
    let unit = |at: usize| u32::from_str_radix(sequence.get(at + 2..at + 6)?, 16).ok();
    let first = unit(0)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    if !sequence.get(6..)?.starts_with("\\u") {
        return None;
    }
    let second = unit(6)?;
    if !(0xDC00..0xE000).contains(&second) {
        return None;
    }
    let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Some((char::from_u32(code)?, 12))
}

/// Writes `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
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
        }
    }
}
