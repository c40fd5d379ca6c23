//! What conditions know of the whole body: its tree, and what their `$` queries found in it, each looked
//! for once however many records ask.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use regex::Regex;

use super::condition::Expression;
use super::decision::Held;
use super::iregexp::{self, Unusable};
use super::path::Path;
use super::query::{self, Selected};
use super::tree::Tree;
use super::value::Value;

/// Longest pattern that is taken from the data, in bytes.
const MAX_PATTERN: usize = 256;
/// How many different patterns are taken from the data of one body.
const MAX_PATTERNS: usize = 256;
/// Bytes that a compiled pattern of the data may take.
const MAX_COMPILED: usize = 1 << 17;
/// Bytes that may be searched with patterns of the data: this, and so many times the body.
const MIN_SEARCHED: u64 = 1 << 20;
const SEARCHED_TIMES: u64 = 32;

/// One body while the conditions of a rule are decided in it. It may be personal, so it has no `Debug`.
///
/// `'r` is the rule's, `'b` the text's.
pub struct Body<'r, 'b> {
    text: &'b str,
    tree: OnceCell<Option<Tree<'b>>>,
    /// A rule has few of them; each is found by where it lies in the rule.
    answers: RefCell<Vec<(&'r Path, Rc<Answer<'b>>)>>,
    decided: RefCell<Vec<(&'r Expression, Option<bool>)>>,
    patterns: RefCell<HashMap<String, OfData>>,
    /// Bytes that may still be searched.
    left: Cell<u64>,
}

/// What a `$` query selects, and what was made of it.
pub(super) struct Answer<'b> {
    pub selected: Selected,
    value: OnceCell<Option<Rc<Value<'b>>>>,
    length: OnceCell<Option<Option<u64>>>,
}

/// A pattern of the data, for search() and for match(); inside, none where it is not an I-Regexp.
#[derive(Default)]
struct OfData([OnceCell<Option<Option<Rc<Regex>>>>; 2]);

impl<'r, 'b> Body<'r, 'b> {
    /// `text` is the whole body, which the scanner has accepted. Nothing is read before it is asked for.
    pub fn new(text: &'b str) -> Self {
        Body {
            text,
            tree: OnceCell::new(),
            answers: RefCell::default(),
            decided: RefCell::default(),
            patterns: RefCell::default(),
            left: Cell::new(MIN_SEARCHED.saturating_add(SEARCHED_TIMES.saturating_mul(text.len() as u64))),
        }
    }

    /// The tree of the whole body; none where the text is not JSON.
    pub fn tree(&self) -> Option<&Tree<'b>> {
        self.tree.get_or_init(|| Tree::parse(self.text)).as_ref()
    }

    /// What a `$` query selects.
    pub(super) fn answer(&self, query: &'r Path) -> Option<Rc<Answer<'b>>> {
        let known = self.answers.borrow().iter().find(|(own, _)| std::ptr::eq(*own, query)).cloned();
        if let Some((_, answer)) = known {
            return Some(answer);
        }
        let tree = self.tree()?;
        // It may ask for other answers on its way.
        let selected = query::look(query, tree, tree.root(), self, u64::MAX);
        let answer = Rc::new(Answer { selected, value: OnceCell::new(), length: OnceCell::new() });
        self.answers.borrow_mut().push((query, Rc::clone(&answer)));
        Some(answer)
    }

    pub(super) fn value(&self, query: &'r Path) -> Option<Rc<Value<'b>>> {
        let answer = self.answer(query)?;
        let read = || match answer.selected.single()? {
            Some(node) => match query::value(self.tree()?, node)? {
                Held::Own(value) => Some(Rc::new(value)),
                Held::Kept(value) => Some(value),
                Held::Unread { json, .. } => Value::read(json).map(Rc::new),
            },
            None => Some(Rc::new(Value::Nothing)),
        };
        answer.value.get_or_init(read).clone()
    }

    pub(super) fn length(&self, query: &'r Path) -> Option<Option<u64>> {
        let answer = self.answer(query)?;
        let measure = || match answer.selected.single()? {
            Some(node) => query::length(self.tree()?, node),
            None => Some(None),
        };
        *answer.length.get_or_init(measure)
    }

    /// Decides what has one answer for the whole body.
    pub(super) fn once(&self, expression: &'r Expression, decide: &dyn Fn() -> Option<bool>) -> Option<bool> {
        let known = self.decided.borrow().iter().find(|(own, _)| std::ptr::eq(*own, expression)).copied();
        if let Some((_, decision)) = known {
            return decision;
        }
        let decision = decide();
        self.decided.borrow_mut().push((expression, decision));
        decision
    }

    /// Whether a pattern of the data takes the text; false where it is not an I-Regexp (section 2.4.6).
    /// `None` where that would take too much time or memory.
    pub(super) fn matches(&self, text: &str, pattern: &str, whole: bool) -> Option<bool> {
        let regex = self.compiled(pattern, whole)?;
        self.left.set(self.left.get().checked_sub(text.len() as u64)?);
        Some(regex.is_some_and(|regex| regex.is_match(text)))
    }

    fn compiled(&self, pattern: &str, whole: bool) -> Option<Option<Rc<Regex>>> {
        if pattern.len() > MAX_PATTERN {
            return None;
        }
        let mut known = self.patterns.borrow_mut();
        if !known.contains_key(pattern) {
            if known.len() == MAX_PATTERNS {
                return None;
            }
            known.insert(pattern.to_owned(), OfData::default());
        }
        let compile = || match iregexp::compile_within(pattern, whole, MAX_COMPILED) {
            Ok(regex) => Some(Some(Rc::new(regex))),
            Err(Unusable::Malformed) => Some(None),
            Err(Unusable::TooLarge) => None,
        };
        known.get(pattern)?.0[usize::from(whole)].get_or_init(compile).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::condition::Condition;
    use super::*;

    fn holds(condition: &str, json: &str) -> bool {
        let condition = Condition::parse(condition).unwrap();
        let body = Body::new(json);
        let tree = body.tree().unwrap();
        condition.holds_at(tree, tree.root(), &body)
    }

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

    #[test]
    fn a_query_of_the_body_is_looked_for_once() {
        let filter = Condition::parse("@[?@ == count($..a)]").unwrap();
        let body = Body::new("[1,2,3,4]");
        let tree = body.tree().unwrap();
        assert!(!filter.holds_at(tree, tree.root(), &body));
        assert_eq!(body.answers.borrow().len(), 1);
    }
}
