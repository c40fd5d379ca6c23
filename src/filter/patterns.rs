//! Patterns of `match()` and `search()` that come out of the data: compiled once for a body, and bounded
//! in number and work, so that no body makes its own check long.
//!
//! What is counted depends on the body alone and not on the pieces it arrives in.

use std::collections::HashMap;

use regex::Regex;

use super::iregexp::{self, Unusable};

/// Longest pattern that is taken from the data, in bytes.
const MAX_PATTERN: usize = 256;
/// How many different patterns are taken from the data of one body.
const MAX_PATTERNS: usize = 256;
/// Bytes that a compiled pattern of the data may take.
const MAX_COMPILED: usize = 1 << 17;
/// Bytes that may be searched with patterns of the data: this, and so many times the body up to there.
const MIN_SEARCHED: u64 = 1 << 20;
const SEARCHED_TIMES: u64 = 32;

/// The patterns of one body. They may be personal, so it shows nothing of them.
#[derive(Default)]
pub struct Patterns {
    known: HashMap<String, Compiled>,
    /// Bytes that were searched.
    searched: u64,
    /// Bytes of the body that were read.
    read: u64,
    /// Of them, in the texts before the one in work.
    before: u64,
}

/// One pattern, for search() and for match().
#[derive(Default)]
struct Compiled([Option<Form>; 2]);

#[derive(Clone)]
enum Form {
    Regex(Regex),
    /// It is not an I-Regexp: it takes no text.
    Malformed,
    TooLarge,
}

impl Patterns {
    /// Begins another body.
    pub fn clear(&mut self) {
        if !self.known.is_empty() {
            self.known = HashMap::new();
        }
        (self.searched, self.read, self.before) = (0, 0, 0);
    }

    /// Says how far the text in work was read.
    pub fn read_up_to(&mut self, bytes: usize) {
        self.read = self.before + bytes as u64;
    }

    /// Says that the text in work, of so many bytes, has ended and another one of the body begins.
    pub fn end_text(&mut self, bytes: usize) {
        self.before += bytes as u64;
    }

    /// Whether a pattern of the data takes the text; false where it is not an I-Regexp (RFC 9535, section
    /// 2.4.6). `None` where that would take too much time or memory.
    pub(super) fn matches(&mut self, text: &str, pattern: &str, whole: bool) -> Option<bool> {
        let form = self.compiled(pattern, whole)?;
        let searched = self.searched + text.len() as u64;
        if searched > MIN_SEARCHED.saturating_add(self.read.saturating_mul(SEARCHED_TIMES)) {
            return None;
        }
        self.searched = searched;
        match form {
            Form::Regex(regex) => Some(regex.is_match(text)),
            Form::Malformed => Some(false),
            Form::TooLarge => None,
        }
    }

    fn compiled(&mut self, pattern: &str, whole: bool) -> Option<Form> {
        if pattern.len() > MAX_PATTERN {
            return None;
        }
        if !self.known.contains_key(pattern) {
            if self.known.len() == MAX_PATTERNS {
                return None;
            }
            self.known.insert(pattern.to_owned(), Compiled::default());
        }
        let compile = || match iregexp::compile_within(pattern, whole, MAX_COMPILED) {
            Ok(regex) => Form::Regex(regex),
            Err(Unusable::Malformed) => Form::Malformed,
            Err(Unusable::TooLarge) => Form::TooLarge,
        };
        Some(self.known.get_mut(pattern)?.0[usize::from(whole)].get_or_insert_with(compile).clone())
    }
}

impl std::fmt::Debug for Patterns {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Patterns").field("searched", &self.searched).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::holds;
    use super::*;

    #[test]
    fn a_pattern_may_come_from_the_data() {
        let json = r#"{"s":"abc","p":"a.c","q":"b","bad":"[","n":1}"#;
        for condition in
            ["match(@.s, @.p)", "search($.s, $.q)", "!match(@.s, $.q)", "match(@.s, value(@['p']))"]
        {
            assert!(holds(condition, json), "{condition}");
        }
        // What is not an I-Regexp, or not a string, takes nothing (RFC 9535, section 2.4.6).
        for condition in ["match(@.s, @.bad)", "search(@.s, @.n)", "search(@.n, @.p)", "search(@.s, @.none)"]
        {
            assert!(!holds(condition, json), "{condition}");
            assert!(holds(&format!("!{condition}"), json), "!{condition}");
        }
    }

    #[test]
    fn a_pattern_of_the_data_that_takes_too_much_is_not_decided() {
        let long = "a".repeat(MAX_PATTERN + 1);
        for pattern in [&long, "(a{1000}){1000}", "a{99999999999999}"] {
            let json = format!("{{\"s\":\"a\",\"p\":\"{pattern}\"}}");
            assert!(!holds("search(@.s, @.p)", &json));
            assert!(!holds("!search(@.s, @.p)", &json));
        }
    }

    #[test]
    fn one_body_has_so_many_patterns_and_no_more() {
        let patterns = |count: usize| {
            let list: Vec<_> = (0..count).map(|n| format!("\"x{n}\"")).collect();
            format!("{{\"s\":\"a\",\"p\":[{}]}}", list.join(","))
        };
        assert!(holds("!@.p[?match('a', @)]", &patterns(MAX_PATTERNS)));
        assert!(!holds("!@.p[?match('a', @)]", &patterns(MAX_PATTERNS + 1)));
    }
}
