//! The names in a JSONPath (RFC 9535), for people to read. It does not judge the path: the rules did.

use std::iter::Peekable;
use std::str::Chars;

/// The names of each segment that has any; wildcards, positions and conditions have none.
pub fn names(path: &str) -> Vec<Vec<String>> {
    let mut chars = path.chars().peekable();
    let mut segments = Vec::new();
    while let Some(char) = chars.next() {
        let names = match char {
            '[' => bracketed(&mut chars),
            '$' | '@' | '.' | '*' | ' ' => Vec::new(),
            first => vec![shorthand(first, &mut chars)],
        };
        if !names.is_empty() {
            segments.push(names);
        }
    }
    segments
}

/// A name after a dot.
fn shorthand(first: char, chars: &mut Peekable<Chars>) -> String {
    let mut name = String::from(first);
    while let Some(char) = chars.next_if(|char| !matches!(char, '.' | '[' | ' ')) {
        name.push(char);
    }
    name
}

/// The quoted names up to the closing bracket. What is quoted within a condition is not a name.
fn bracketed(chars: &mut Peekable<Chars>) -> Vec<String> {
    let (mut names, mut depth, mut condition) = (Vec::new(), 1_u32, false);
    while let Some(char) = chars.next() {
        match char {
            '\'' | '"' => {
                let name = quoted(char, chars);
                if !condition {
                    names.push(name);
                }
            }
            '?' => condition = true,
            ',' if depth == 1 => condition = false,
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// The rest of a quoted name. In UTF-16, because that is what `\u` writes.
fn quoted(quote: char, chars: &mut Peekable<Chars>) -> String {
    let (mut units, mut buffer) = (Vec::new(), [0; 2]);
    while let Some(char) = chars.next() {
        let char = match char {
            _ if char == quote => break,
            '\\' => match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    units.push(u16::from_str_radix(&digits, 16).unwrap_or(0xFFFD));
                    continue;
                }
                Some('b' | 'f' | 'n' | 'r' | 't') | None => ' ',
                Some(other) => other,
            },
            other => other,
        };
        units.extend_from_slice(char.encode_utf16(&mut buffer));
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(path: &str) -> String {
        names(path).iter().map(|names| names.join("|")).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn names_are_found_in_every_way_to_write_them() {
        assert_eq!(flat("@.a.b"), "a/b");
        assert_eq!(flat("$['a'][\"b\", 'c']"), "a/b|c");
        assert_eq!(flat("@..a[*].*.b[-1][1:2]"), "a/b");
        assert_eq!(flat("@.größe"), "größe");
    }

    #[test]
    fn what_a_condition_compares_is_no_name() {
        assert_eq!(flat("@.a[?@.kind == 'home' && @['x'][0] != 'y,]'].b"), "a/b");
        assert_eq!(flat("@.a[?match(@.k, 'x'), 'b']"), "a/b");
    }

    #[test]
    fn escapes_in_quoted_names_are_undone() {
        assert_eq!(flat(r"@['it\'s','\u00e9\ud83d\ude00','a\nb']"), "it's|é😀|a b");
    }

    #[test]
    fn no_text_is_too_broken_to_read() {
        for path in ["", "@", "$[", "@['a", "@['a\\", "@['\\u12", "@]]", "[?((", "@[[[]"] {
            names(path);
        }
        assert_eq!(flat("@['\\uzzzz']"), "\u{FFFD}");
    }
}
