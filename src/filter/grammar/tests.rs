use super::super::index::{Cursor, Index};
use super::super::marks::Marks;
use super::super::scanner;
use super::super::simd::{self, Level};
use super::*;

fn accepts(text: &[u8], level: Level) -> bool {
    let mut index = Index::at_level(level);
    let mut cursor = Cursor::default();
    loop {
        match index.extend(text, true, &mut cursor) {
            Ok(true) => while index.take(&mut cursor).is_some() {},
            Ok(false) => return true,
            Err(_) => return false,
        }
    }
}

/// The same of a text that comes in pieces.
fn accepts_in_pieces(text: &[u8], piece: usize, level: Level) -> bool {
    let mut index = Index::at_level(level);
    let mut cursor = Cursor::default();
    let mut there = 0;
    loop {
        there = text.len().min(there + piece);
        let complete = there == text.len();
        loop {
            match index.extend(&text[..there], complete, &mut cursor) {
                Ok(true) => while index.take(&mut cursor).is_some() {},
                Ok(false) if complete => return true,
                Ok(false) => break,
                Err(_) => return false,
            }
        }
    }
}

fn levels() -> Vec<Level> {
    vec![Level::Portable, simd::level()]
}

/// The text itself, and moved over the borders of blocks.
fn check(text: &str) {
    let oracle = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    let scanned = scanner::accepts(text);
    assert_eq!(scanned, oracle, "the scanner on {text:?}");
    for shift in [0, 1, 58, 59, 60, 61, 62, 63, 64, 120] {
        let moved = " ".repeat(shift) + text;
        for level in levels() {
            assert_eq!(accepts(moved.as_bytes(), level), oracle, "{level:?} on {moved:?}");
        }
    }
}

#[test]
fn blocks_and_serde_json_agree_on_what_is_json() {
    for text in scanner::TEXTS {
        check(text);
    }
}

/// Every way to put a few tokens one after the other.
#[test]
fn every_short_row_of_tokens_is_decided_as_serde_json_does() {
    let tokens = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "null", " "];
    let mut rows = vec![String::new()];
    for length in 0..6 {
        if length > 0 {
            rows = rows.iter().flat_map(|row| tokens.map(|token| row.clone() + token)).collect();
        }
        for row in &rows {
            let oracle = serde_json::from_str::<serde::de::IgnoredAny>(row).is_ok();
            assert_eq!(accepts(row.as_bytes(), Level::Portable), oracle, "{row:?}");
        }
    }
}

#[test]
fn every_short_row_of_number_characters_is_decided_as_serde_json_does() {
    let characters = ['0', '1', '-', '+', '.', 'e', 'E', ' '];
    let mut rows = vec![String::new()];
    for _ in 0..6 {
        rows = rows.iter().flat_map(|row| characters.map(|character| format!("{row}{character}"))).collect();
        for row in &rows {
            let text = format!("[{row}]");
            let oracle = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            assert_eq!(accepts(text.as_bytes(), simd::level()), oracle, "{text:?}");
        }
    }
}

#[test]
fn words_and_escapes_are_exact() {
    for word in ["true", "false", "null"] {
        for at in 0..word.len() {
            for byte in *b"xtrue}1\"" {
                let mut changed = word.as_bytes().to_vec();
                changed[at] = byte;
                check(std::str::from_utf8(&changed).unwrap());
            }
            check(&word[..at]);
            check(&format!("{word}{}", &word[..at]));
        }
    }
    for byte in 0..0x80u8 {
        check(&format!("\"\\{}\"", char::from(byte)));
        check(&format!("\"\\u00{}1\"", char::from(byte)));
        check(&format!("\"\\\\{}\"", char::from(byte)));
        check(&format!("\"{}\"", char::from(byte)));
        check(&format!("[{}]", char::from(byte)));
    }
    for backslashes in 0..140 {
        check(&format!("\"{}\"", "\\".repeat(backslashes)));
        check(&format!("\"{}u0041\"", "\\".repeat(backslashes)));
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(accepts(deep(MAX_DEPTH).as_bytes(), simd::level()));
    assert!(!accepts(deep(MAX_DEPTH + 1).as_bytes(), simd::level()));
    assert!(!accepts("[".repeat(100_000).as_bytes(), Level::Portable));
}

#[test]
fn only_utf_8_is_accepted_also_over_the_borders_of_windows() {
    for character in ["é", "€", "\u{1F600}"] {
        for shift in 8170..8200 {
            let text = format!("\"{}{character}\"", "a".repeat(shift));
            assert!(accepts(text.as_bytes(), simd::level()));
            let mut cut = text.into_bytes();
            cut.remove(1 + shift);
            assert!(!accepts(&cut, simd::level()));
        }
    }
    assert!(!accepts(b"\"\xC0\xAF\"", simd::level()));
    assert!(!accepts(b"\"\xED\xA0\x80\"", simd::level()));
}

/// A text whose first bytes, so many of filling, are followed by the row, and no white space: read as a stretch.
/// Every other one has blocks that lie in a string as a whole, more than others.
fn in_a_stretch(row: &str, filling: usize, array: bool) -> String {
    let (begin, end) = if array { ("[", "]") } else { ("{\"r\":", "}") };
    let behind = if filling.is_multiple_of(2) { 128 } else { 640 };
    format!("[\"{}\",{begin}{row}{end},\"{}\"]", "a".repeat(filling), "b".repeat(behind))
}

/// The same where text is read many blocks at a time, and where the row lies on the border of two of them.
#[test]
fn every_short_row_of_tokens_in_a_stretch_is_decided_as_serde_json_does() {
    let tokens = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "null"];
    let mut rows = vec![String::new()];
    for _ in 0..4 {
        rows = rows.iter().flat_map(|row| tokens.map(|token| row.clone() + token)).collect();
        for (number, row) in rows.iter().enumerate() {
            for array in [true, false] {
                let text = in_a_stretch(row, 50 + number % 14, array);
                let oracle = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                assert_eq!(accepts(text.as_bytes(), simd::level()), oracle, "{text:?}");
            }
        }
    }
}

/// One text after the other, of strings of all lengths and of whatever else there is.
fn mixed_texts() -> impl Iterator<Item = String> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut below = move |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut value = move || {
        let length = below(4) * below(90);
        let text: String = (0..length)
            .map(|_| ["a", "{", "é", "\\\"", "\\u00e9", ",", "]", ":", "1"][below(9) as usize])
            .collect();
        match below(9) {
            0 => format!("{{\"{text}\":{}}}", below(99)),
            1 => format!("[-{}.5,true,[],{{}}]", below(9)),
            2 => format!("{{\"a\":null,\"b\":{{\"c\":[\"{text}\"]}}}}"),
            3 => "false".to_owned(),
            4 => below(1 << 30).to_string(),
            _ => format!("\"{text}\""),
        }
    };
    (0..3000).map(move |_| format!("[{}]", (0..20).map(|_| value()).collect::<Vec<_>>().join(",")))
}

/// Reads blocks many at a time and one by one.
struct Both<'t>(&'t [[u8; BLOCK]]);

impl simd::Work for Both<'_> {
    type Output = [Vec<Mark>; 2];

    fn run<C: Classify>(self) -> Self::Output {
        let (mut grammar, mut sets) = (Grammar::new(), Sets::new());
        let mut marks = Marks::default();
        marks.add(self.0.len(), STRETCH);
        for (at, blocks) in self.0.chunks(STRETCH).enumerate() {
            let from = at * STRETCH;
            let fits = grammar.stretch::<C>(blocks, &mut marks.columns(from..from + STRETCH), &mut sets);
            assert!(fits, "{}", String::from_utf8_lossy(blocks.as_flattened()));
        }
        let many = (0..self.0.len()).map(|block| {
            let (open, close) = marks.brackets(block).next().unwrap();
            let tokens = marks.tokens(block).unwrap();
            Mark { tokens, open, close, backslash: marks.backslashes()[block] }
        });
        let mut grammar = Grammar::new();
        [many.collect(), self.0.iter().map(|block| grammar.block::<C>(block).unwrap()).collect()]
    }
}

/// And not only that it is JSON.
#[test]
fn a_stretch_has_the_marks_of_its_blocks() {
    for text in mixed_texts() {
        let (blocks, _) = text.as_bytes().as_chunks::<BLOCK>();
        for level in levels() {
            let [many, one_by_one] = simd::at(level, Both(blocks));
            assert_eq!(many, one_by_one, "{level:?} on {text}");
        }
    }
}

/// Where a text has ended, or has not begun, nothing else can stand.
#[test]
fn every_short_row_of_tokens_around_texts_in_a_stretch_is_decided_as_serde_json_does() {
    let tokens = ["{", "}", "[", "]", ",", ":", "\"a\"", "1", "null"];
    let mut rows = vec![String::new()];
    let (before, behind) = ("b".repeat(70), "c".repeat(300));
    for _ in 0..3 {
        rows = rows.iter().flat_map(|row| tokens.map(|token| row.clone() + token)).collect();
        for row in &rows {
            for text in [
                format!("[\"{before}\"]{row}[\"{behind}\"]"),
                format!("\"{before}\"{row}\"{behind}\""),
                format!("{row}[\"{before}\",\"{behind}\"]"),
                format!("[\"{behind}\",\"{before}\"]{row}"),
                format!("[\"{behind}\",\"{before}\"{row}"),
            ] {
                let oracle = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                assert_eq!(accepts(text.as_bytes(), simd::level()), oracle, "{text:?}");
            }
        }
    }
}

/// As many brackets in a block as there are bytes, wherever they begin in it.
#[test]
fn a_block_of_brackets_only_is_followed() {
    for filling in 0..140 {
        for levels in [30, 31, 32, 33, 62, 63, 64, 65] {
            for (row, good) in [
                ("[".repeat(levels) + &"]".repeat(levels), true),
                ("[".repeat(levels) + &"]".repeat(levels - 1), false),
                ("[".repeat(levels - 1) + "{" + &"]".repeat(levels), false),
                ("[".repeat(levels - 1) + "{}" + &"]".repeat(levels - 1), true),
                ("[[],{},".repeat(levels / 2) + "0" + &"]".repeat(levels / 2), true),
                ("[[],{}:".repeat(levels / 2) + "0" + &"]".repeat(levels / 2), false),
            ] {
                let text = format!("[\"{}\",{row},\"{}\"]", "a".repeat(filling), "b".repeat(128));
                for level in [Level::Portable, simd::level()] {
                    assert_eq!(accepts(text.as_bytes(), level), good, "{level:?} on {text}");
                }
            }
        }
    }
}

/// Where a text opens as much as is told apart at once, or a little more or less, and closes it elsewhere.
#[test]
fn what_is_as_deep_as_a_word_is_followed() {
    let long = "x".repeat(4000);
    for levels in 55..70 {
        for (within, ends) in [("{\"k\":", "}"), ("[", "]"), ("{\"k\":[1,{\"a\":3},", "]}"), ("[{},", "]")] {
            for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
                let begin = format!("[\"{}\",{}{within}\"", "a".repeat(60), open.repeat(levels));
                let whole = format!("{begin}{long}\"{ends}{}]", close.repeat(levels));
                for level in [Level::Portable, simd::level()] {
                    assert!(accepts(whole.as_bytes(), level), "{level:?}, {levels} of {open} and {within}");
                    for spoilt in [
                        format!("{begin}{}\"", &long[..200]),
                        format!("{begin}{}\"{ends}", &long[..200]),
                        format!("{begin}{long}\"{ends}{}", close.repeat(levels)),
                        format!("{begin}{long}\"{ends}{}]", close.repeat(levels - 1)),
                        format!("{begin}{long}\"{ends}{}]]", close.repeat(levels)),
                        format!("{begin}{long}\"{ends}{}}}", close.repeat(levels)),
                    ] {
                        let shown = format!("{level:?}, {levels} of {open} and {within}, {}", spoilt.len());
                        assert!(!accepts(spoilt.as_bytes(), level), "{shown}");
                    }
                }
            }
        }
    }
    let deeper = format!("{{\"k\":[{}", "[".repeat(61)).repeat(100);
    let text = format!("[\"{}\",{}{deeper}{{\"k\":[\"{long}\"]", "a".repeat(60), "[".repeat(61));
    assert!(!accepts(text.as_bytes(), simd::level()));
}

/// Of JSON texts, any of whose bytes is another one.
#[test]
fn texts_that_are_spoilt_in_one_place_are_decided_as_serde_json_does() {
    let record =
        r#"{"a":"b","c":[1,-2.5,{"d":{}},[],true],"e":{"f":0.25,"g":null,"h":[{"i":-0}]},"j":false}"#;
    let text = format!("[{record},{record},{record}]");
    for at in 0..text.len() {
        for byte in *b"{}[],:\"\\ 0.-te\n" {
            let mut spoilt = text.clone().into_bytes();
            spoilt[at] = byte;
            let oracle = serde_json::from_slice::<serde::de::IgnoredAny>(&spoilt).is_ok();
            for level in levels() {
                assert_eq!(
                    accepts(&spoilt, level),
                    oracle,
                    "{level:?} on {}",
                    String::from_utf8_lossy(&spoilt)
                );
            }
        }
    }
}

#[test]
fn every_short_row_of_number_characters_in_a_stretch_is_decided_as_serde_json_does() {
    let characters = ['0', '1', '-', '.', 'e', '+'];
    let mut rows = vec![String::new()];
    for _ in 0..5 {
        rows = rows.iter().flat_map(|row| characters.map(|character| format!("{row}{character}"))).collect();
        for (number, row) in rows.iter().enumerate() {
            let text = in_a_stretch(row, 52 + number % 10, true);
            let oracle = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            assert_eq!(accepts(text.as_bytes(), simd::level()), oracle, "{text:?}");
        }
    }
}

/// Each bracket of a deep text the other way round, in turn.
#[test]
fn what_is_deep_is_followed_as_what_is_not() {
    for depth in [3, 31, 32, 33, 60] {
        let text = "{\"a\":[".repeat(depth) + "1" + &"]}".repeat(depth);
        let wide = format!("[\"{}\",{text},{text}]", "a".repeat(70));
        for text in [text, wide] {
            assert!(accepts(text.as_bytes(), simd::level()), "{text}");
            for at in 0..text.len() {
                let other = match text.as_bytes()[at] {
                    b'{' => b'[',
                    b'[' => b'{',
                    b'}' => b']',
                    b']' => b'}',
                    _ => continue,
                };
                let mut spoilt = text.clone().into_bytes();
                spoilt[at] = other;
                assert!(!accepts(&spoilt, simd::level()), "{}", String::from_utf8_lossy(&spoilt));
            }
        }
    }
}

/// Of every length around those that are read at once, whole and in pieces, with what may stand behind a text and
/// what may not.
#[test]
fn a_text_ends_where_it_ends() {
    for size in (1..140).chain(1980..2120).chain(4030..4170).chain(8130..8260) {
        let fill = "a".repeat(size);
        let bodies = [format!("\"{fill}\""), format!("[\"{fill}\",-1.5]"), format!("{{\"{fill}\":[true]}}")];
        for (body, good) in bodies.iter().flat_map(|body| {
            let behind = ["", "\n", " \t\r\n"].map(|end| (format!("{body}{end}"), true));
            let wrong = ["\u{c}", "\u{b}\n", "x", "]", ",", " 1", "\"", "\0"]
                .map(|end| (format!("{body}{end}"), false));
            let cut = [1, 2].map(|bytes| (body[..body.len() - bytes].to_owned(), false));
            behind.into_iter().chain(wrong).chain(cut).collect::<Vec<_>>()
        }) {
            assert_eq!(
                accepts(body.as_bytes(), simd::level()),
                good,
                "{} bytes, {:?}",
                body.len(),
                body.get(body.len() - 12..)
            );
            let piece = 1 + size % 130;
            assert_eq!(
                accepts_in_pieces(body.as_bytes(), piece, simd::level()),
                good,
                "{} bytes in pieces of {piece}",
                body.len()
            );
        }
    }
}

/// The end of a text is kept apart for a while.
#[test]
fn nothing_of_a_text_shows_in_debug() {
    let mut index = Index::at_level(simd::level());
    let text = br#"{"name":"ZZZZZZ"}"#;
    assert_eq!(index.extend(text, true, &mut Cursor::default()), Ok(true));
    let shown = format!("{index:?}");
    assert!(!shown.contains("ZZZ") && !shown.contains("90, 90, 90"), "{shown}");
}
