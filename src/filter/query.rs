//! Looks for the nodes of a path in a tree (RFC 9535, sections 2.3 and 2.5).
//!
//! Each step takes a node at most once, with how often the node list holds it, so that the work is linear
//! in the size of the tree: what a path says twice is not walked through twice.

use std::ops::ControlFlow;

use super::body::Body;
use super::condition::Condition;
use super::decision::{self, Held, Nodes};
use super::path::{Origin, Path, Selector, Step};
use super::scanner::Kind;
use super::tree::{NodeId, Tree};
use super::value::Value;

impl Condition {
    /// Decides a condition about one node: `@` is the node, `$` the body. The tree is that of the body or
    /// of a part of it.
    ///
    /// What cannot be decided for certain is false.
    pub fn holds_at<'r, 'b>(&'r self, tree: &Tree<'b>, node: NodeId, body: &Body<'r, 'b>) -> bool {
        self.decide_at(tree, node, body).unwrap_or(false)
    }

    /// The same; `None` where it cannot be decided for certain.
    pub fn decide_at<'r, 'b>(&'r self, tree: &Tree<'b>, node: NodeId, body: &Body<'r, 'b>) -> Option<bool> {
        decision::decide(&self.expression, &Looking { queries: &self.queries, tree, node, body })
    }
}

/// What a query selects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selected {
    /// One that is selected twice counts twice.
    pub count: u64,
    pub first: Option<NodeId>,
    /// There could be more: an object's names or a filter had no one meaning.
    pub unclear: bool,
}

impl Selected {
    pub fn exists(self) -> Option<bool> {
        (self.count > 0 || !self.unclear).then_some(self.count > 0)
    }

    pub fn count(self) -> Option<u64> {
        (!self.unclear).then_some(self.count)
    }

    /// The one node.
    pub fn single(self) -> Option<Option<NodeId>> {
        match self.count {
            2.. => Some(None),
            _ => (!self.unclear).then_some(self.first),
        }
    }
}

/// Looks for the nodes that `path` selects from `node`; not for more than `enough`.
pub(super) fn look<'r, 'b>(
    path: &'r Path,
    tree: &Tree<'b>,
    node: NodeId,
    body: &Body<'r, 'b>,
    enough: u64,
) -> Selected {
    let mut walk = Walk { tree, body, enough, selected: Selected::default() };
    // Broken off is as good as done: there was enough.
    let _ = walk.from(node, &path.steps, 1);
    walk.selected
}

struct Walk<'t, 'r, 'b> {
    tree: &'t Tree<'b>,
    body: &'t Body<'r, 'b>,
    enough: u64,
    selected: Selected,
}

impl<'r> Walk<'_, 'r, '_> {
    /// Follows the steps from a node that the node list holds so many `times`.
    fn from(&mut self, node: NodeId, steps: &'r [Step], times: u64) -> ControlFlow<()> {
        let Some((step, rest)) = steps.split_first() else {
            return self.found(node, times);
        };
        if !step.descendant {
            return self.children(node, step, rest, times);
        }
        self.tree.subtree(node).try_for_each(|inner| self.children(inner, step, rest, times))
    }

    fn children(&mut self, node: NodeId, step: &'r Step, rest: &'r [Step], times: u64) -> ControlFlow<()> {
        let met = match self.tree.kind(node) {
            Kind::Object => step.selectors.iter().any(Selector::meets_objects),
            Kind::Array => step.selectors.iter().any(Selector::meets_arrays),
            _ => false,
        };
        if met && !self.tree.is_clear(node) {
            self.selected.unclear = true;
            return ControlFlow::Continue(());
        }
        if !met {
            return ControlFlow::Continue(());
        }
        let length = self.tree.length(node);
        for (index, child) in (0..).zip(self.tree.children(node)) {
            let mut taken = 0u64;
            for selector in &step.selectors {
                match takes(selector, self.tree, child, (index, length), self.body) {
                    Some(takes) => taken += u64::from(takes),
                    None => self.selected.unclear = true,
                }
            }
            if taken > 0 {
                self.from(child, rest, times.saturating_mul(taken))?;
            }
        }
        ControlFlow::Continue(())
    }

    fn found(&mut self, node: NodeId, times: u64) -> ControlFlow<()> {
        self.selected.count = self.selected.count.saturating_add(times);
        self.selected.first.get_or_insert(node);
        if self.selected.count >= self.enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Whether a selector takes a child, which is at `index` of `length`.
fn takes<'r, 'b>(
    selector: &'r Selector,
    tree: &Tree<'b>,
    child: NodeId,
    (index, length): (u64, u64),
    body: &Body<'r, 'b>,
) -> Option<bool> {
    if let Selector::Filter(condition) = selector {
        return condition.decide_at(tree, child, body);
    }
    Some(match tree.name(child) {
        Some(name) => selector.takes_name(name),
        None => selector.takes_index(index, Some(length)),
    })
}

/// The value of a node, while it is compared.
pub(super) fn value<'b>(tree: &Tree<'b>, node: NodeId) -> Option<Held<'b>> {
    let json = tree.json(node);
    match tree.kind(node) {
        kind @ (Kind::Array | Kind::Object) => {
            tree.is_certain(node).then(|| Held::Unread { kind, length: tree.length(node), json })
        }
        _ => Value::read(json).map(Held::Own),
    }
}

/// What length() says about a node (section 2.4.4).
pub(super) fn length(tree: &Tree, node: NodeId) -> Option<Option<u64>> {
    match tree.kind(node) {
        Kind::Array | Kind::Object => tree.is_clear(node).then(|| Some(tree.length(node))),
        Kind::String => match Value::read(tree.json(node))? {
            Value::Text(text) => Some(Some(text.chars().count() as u64)),
            _ => Some(None),
        },
        _ => Some(None),
    }
}

/// The nodes of a condition's queries, looked for when they are asked for.
struct Looking<'t, 'r, 'b> {
    queries: &'r [Path],
    tree: &'t Tree<'b>,
    node: NodeId,
    body: &'t Body<'r, 'b>,
}

impl<'r> Looking<'_, 'r, '_> {
    fn look(&self, query: &'r Path, enough: u64) -> Selected {
        look(query, self.tree, self.node, self.body, enough)
    }
}

impl<'r, 'b> Nodes<'r, 'b> for Looking<'_, 'r, 'b> {
    fn exists(&self, query: usize) -> Option<bool> {
        let query = &self.queries[query];
        match query.origin {
            Origin::Body => self.body.answer(query)?.selected.exists(),
            Origin::Record => self.look(query, 1).exists(),
        }
    }

    fn count(&self, query: usize) -> Option<u64> {
        let query = &self.queries[query];
        match query.origin {
            Origin::Body => self.body.answer(query)?.selected.count(),
            Origin::Record => self.look(query, u64::MAX).count(),
        }
    }

    fn value(&self, query: usize) -> Option<Held<'b>> {
        let query = &self.queries[query];
        if query.origin == Origin::Body {
            return self.body.value(query).map(Held::Kept);
        }
        match self.look(query, 2).single()? {
            Some(node) => value(self.tree, node),
            None => Some(Held::Own(Value::Nothing)),
        }
    }

    fn length(&self, query: usize) -> Option<Option<u64>> {
        let query = &self.queries[query];
        if query.origin == Origin::Body {
            return self.body.length(query);
        }
        self.look(query, 2).single()?.map_or(Some(None), |node| length(self.tree, node))
    }

    fn matches(&self, text: &str, pattern: &str, whole: bool) -> Option<bool> {
        self.body.patterns.borrow_mut().matches(text, pattern, whole)
    }

    fn once(
        &self,
        expression: &'r super::condition::Expression,
        decide: &dyn Fn() -> Option<bool>,
    ) -> Option<bool> {
        self.body.once(expression, decide)
    }
}

/// The nodes that a path selects, each once; those of a part that has no one meaning are left out. For
/// explanations: what decides on a record only counts, see [`look`].
pub(super) fn nodes<'r, 'b>(
    path: &'r Path,
    tree: &Tree<'b>,
    node: NodeId,
    body: &Body<'r, 'b>,
) -> Vec<NodeId> {
    let mut list = vec![node];
    for step in &path.steps {
        let mut next = Vec::new();
        for &node in &list {
            let inner = tree.subtree(node).take(if step.descendant { usize::MAX } else { 1 });
            for node in inner {
                let taken = (0..).zip(tree.children(node)).filter(|(index, child)| {
                    let place = (*index, tree.length(node));
                    // A name without a text stands as an empty one; it is none.
                    let named = tree.is_clear(node) || tree.name(*child) != Some("");
                    let takes = |selector| takes(selector, tree, *child, place, body) == Some(true);
                    named && step.selectors.iter().any(takes)
                });
                next.extend(taken.map(|(_, child)| child));
            }
        }
        next.sort_unstable();
        next.dedup();
        list = next;
    }
    list
}

/// The whole node list in the order of the RFC, one node as often as it is selected; `None` where it is
/// not certain, or longer than 2^16. What runs in production only counts, see [`look`].
#[cfg(test)]
pub(super) fn select<'r, 'b>(
    path: &'r Path,
    tree: &Tree<'b>,
    node: NodeId,
    body: &Body<'r, 'b>,
) -> Option<Vec<NodeId>> {
    let mut list = vec![node];
    for step in &path.steps {
        let mut next = Vec::new();
        for &node in &list {
            if step.descendant {
                tree.subtree(node)
                    .try_for_each(|inner| select_children(step, tree, inner, body, &mut next))?;
            } else {
                select_children(step, tree, node, body, &mut next)?;
            }
            if next.len() > 1 << 16 {
                return None;
            }
        }
        list = next;
    }
    Some(list)
}

#[cfg(test)]
fn select_children<'r, 'b>(
    step: &'r Step,
    tree: &Tree<'b>,
    node: NodeId,
    body: &Body<'r, 'b>,
    list: &mut Vec<NodeId>,
) -> Option<()> {
    if !tree.is_clear(node) {
        return None;
    }
    for selector in &step.selectors {
        let from = list.len();
        for (index, child) in (0..).zip(tree.children(node)) {
            if takes(selector, tree, child, (index, tree.length(node)), body)? {
                list.push(child);
            }
        }
        if matches!(selector, Selector::Slice { step, .. } if *step < 0) {
            list[from..].reverse();
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::body::tests::holds;
    use super::*;
    use std::cell::RefCell;

    fn selected(path: &str, json: &str) -> Option<Vec<String>> {
        let path = Path::parse(path).unwrap();
        let patterns = RefCell::default();
        let body = Body::new(json, &patterns);
        let tree = body.tree().unwrap();
        let nodes = select(&path, tree, tree.root(), &body)?;
        Some(nodes.into_iter().map(|node| tree.json(node).to_owned()).collect())
    }

    fn counted(path: &str, json: &str) -> Selected {
        let path = Path::parse(path).unwrap();
        let patterns = RefCell::default();
        let body = Body::new(json, &patterns);
        let tree = body.tree().unwrap();
        look(&path, tree, tree.root(), &body, u64::MAX)
    }

    #[test]
    fn a_node_list_has_the_order_and_the_duplicates_of_the_rfc() {
        for (path, expected) in [
            ("$.a[::-1]", &["3", "2", "1"][..]),
            ("$.a[-1,0,0]", &["3", "1", "1"]),
            ("$..[0]", &["1"]),
            ("$.a[?@>1,?@<3]", &["2", "3", "1", "2"]),
            ("$['b','a'][1]", &["2"]),
            ("$[?@.c].c", &["true"]),
        ] {
            let list = selected(path, "{\"a\":[1,2,3],\"b\":{\"c\":true}}").unwrap();
            assert_eq!(list, expected, "{path}");
        }
    }

    #[test]
    fn counting_counts_what_the_node_list_holds() {
        for path in ["$[*,*][*,0]", "$..[0,0,-1]", "$.*[?@>1,*]", "$[0][::-2,1:]", "$..*"] {
            let json = "[[1,2,3],[4],[],{\"a\":5},6]";
            assert_eq!(counted(path, json).count, selected(path, json).unwrap().len() as u64, "{path}");
        }
    }

    #[test]
    fn a_list_that_grows_with_the_power_of_the_path_takes_linear_time() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(counted(&format!("${}", "[0,0]".repeat(60)), &deep).count, 1 << 60);
        assert_eq!(counted(&format!("${}", "[0,0]".repeat(90)), &deep).count, u64::MAX);
    }

    #[test]
    fn the_current_node_and_the_body_are_told_apart_at_every_depth() {
        let json = "{\"limit\":2,\"a\":[{\"b\":[1,3],\"limit\":9},{\"b\":[1,2]}]}";
        assert_eq!(selected("$.a[?@.b[?@ > $.limit]].limit", json).unwrap(), ["9"]);
        assert_eq!(selected("$.a[?@.b[?@ > 2]].b", json).unwrap(), ["[1,3]"]);
        assert_eq!(selected("$.a[?count($.a[*]) == length(@.b)].b[0]", json).unwrap(), ["1", "1"]);
    }

    #[test]
    fn what_is_not_certain_does_not_hold_and_neither_does_its_opposite() {
        let json = "{\"n\":1e99999999999999999999,\"l\":[\"\\ud800\"],\"o\":{\"a\":1,\"a\":2},\"x\":1}";
        for condition in [
            "@.n == 1",
            "@.l == 1",
            "@.l[0] == 'a'",
            "@.o.a == 1",
            "@.o.b",
            "@.o == 1",
            "@.o[*]",
            "length(@.o) == 1",
            "@[?@ == 2]",
            "@[?@.b]",
            "count(@.o[*]) == 9",
            "count(@..a) == 9",
            "match(@.l[0], 'a')",
            "@.x == 2 && @.n == 1",
            "$.n == 1",
            "count($.o[*]) == 9",
        ] {
            assert!(!holds(condition, json), "{condition}");
            assert!(!holds(&format!("!({condition})"), json), "!({condition})");
        }
        for condition in ["@.x == 1", "@.o", "@[?@ == 1]", "length(@.l) == 1", "!@.l.a", "count(@[*]) == 4"] {
            assert!(holds(condition, json), "{condition}");
        }
    }

    #[test]
    fn values_are_compared_whatever_their_kinds() {
        let json = "{\"a\":[1,{\"b\":[]}],\"c\":[1.0,{\"b\":[ ]}],\"d\":[1,2],\"s\":\"x\"}";
        for condition in ["@.a == @.c", "@.a == $.c", "@.a != @.d", "@.a != @.s", "@.a <= $.a", "@.e == @.f"]
        {
            assert!(holds(condition, json), "{condition}");
        }
        for condition in ["@.a < @.c", "@.a == @.s", "@.a == @.e", "$.a == $.d"] {
            assert!(!holds(condition, json), "{condition}");
        }
    }
}
