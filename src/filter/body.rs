//! What conditions know of the whole body: its tree, and what their `$` queries found in it, each looked
//! for once however many records ask.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::condition::Expression;
use super::decision::Held;
use super::path::Path;
use super::patterns::Patterns;
use super::query::{self, Selected};
use super::tree::Tree;
use super::value::Value;

/// One body while the conditions of a rule are decided in it. It may be personal, so it has no `Debug`.
///
/// `'r` is the rule's, `'b` the text's.
pub struct Body<'r, 'b> {
    text: &'b str,
    tree: OnceCell<Option<Tree<'b>>>,
    /// A rule has few of them; each is found by where it lies in the rule.
    answers: RefCell<Vec<(&'r Path, Rc<Answer<'b>>)>>,
    decided: RefCell<Vec<(&'r Expression, Option<bool>)>>,
    pub(super) patterns: &'b RefCell<Patterns>,
}

/// What a `$` query selects, and what was made of it.
pub(super) struct Answer<'b> {
    pub selected: Selected,
    value: OnceCell<Option<Rc<Value<'b>>>>,
    length: OnceCell<Option<Option<u64>>>,
}

impl<'r, 'b> Body<'r, 'b> {
    /// `text` is the whole body, which the scanner has accepted. Nothing is read before it is asked for.
    pub fn new(text: &'b str, patterns: &'b RefCell<Patterns>) -> Self {
        Body {
            text,
            tree: OnceCell::new(),
            answers: RefCell::default(),
            decided: RefCell::default(),
            patterns,
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
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::condition::Condition;
    use super::*;

    /// Whether the condition holds for the whole body.
    pub fn holds(condition: &str, json: &str) -> bool {
        let condition = Condition::parse(condition).unwrap();
        let patterns = RefCell::default();
        let body = Body::new(json, &patterns);
        let tree = body.tree().unwrap();
        condition.holds_at(tree, tree.root(), &body)
    }

    #[test]
    fn a_query_of_the_body_is_looked_for_once() {
        let filter = Condition::parse("@[?@ == count($..a)]").unwrap();
        let patterns = RefCell::default();
        let body = Body::new("[1,2,3,4]", &patterns);
        let tree = body.tree().unwrap();
        assert!(!filter.holds_at(tree, tree.root(), &body));
        assert_eq!(body.answers.borrow().len(), 1);
    }
}
