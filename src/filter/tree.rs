//! JSON text as a tree: where each value begins and ends, and what its children are.
//!
//! For conditions that one forward pass cannot decide. The nodes lie in one vector, each before its
//! children; no value is copied but names that hold an escape.

use std::borrow::Cow;

use super::grammar::MAX_DEPTH;
use super::scanner::{Kind, Scanner, Token};
use super::text;
use super::value::Decimal;

/// Up to this many members each name is compared with each.
const FEW_MEMBERS: usize = 8;
/// The place among the names of what is not a member.
const NO_NAME: u32 = u32::MAX;

/// The tree of one text. It may be personal, so it has no `Debug`.
pub struct Tree<'b> {
    text: &'b str,
    nodes: Vec<Node>,
    names: Vec<Cow<'b, str>>,
}

/// One node of one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(u32);

struct Node {
    start: u32,
    end: u32,
    /// The first node that is not inside this one.
    after: u32,
    name: u32,
    /// How many children.
    length: u32,
    kind: Kind,
    /// No name occurs twice among its members, and each has a text.
    clear: bool,
    /// All of it has one meaning.
    certain: bool,
}

impl<'b> Tree<'b> {
    /// Reads a text, which the scanner has accepted before: one value, perhaps with white space around.
    ///
    /// `None` where it is not that, or over 4 GiB.
    pub fn parse(text: &'b str) -> Option<Tree<'b>> {
        u32::try_from(text.len()).ok()?;
        let mut builder = Builder {
            scanner: Scanner::new(text),
            tree: Tree { text, nodes: Vec::new(), names: Vec::new() },
        };
        builder.value(NO_NAME, 0)?;
        builder.scanner.finish().ok()?;
        Some(builder.tree)
    }

    pub fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// The node whose value begins at byte `start`.
    pub fn at(&self, start: usize) -> Option<NodeId> {
        let start = u32::try_from(start).ok()?;
        // Each node begins after those before it.
        self.nodes.binary_search_by_key(&start, |node| node.start).ok().map(|at| NodeId(at as u32))
    }

    pub fn kind(&self, id: NodeId) -> Kind {
        self.node(id).kind
    }

    /// The bytes of the value.
    pub fn json(&self, id: NodeId) -> &'b str {
        let node = self.node(id);
        &self.text[node.start as usize..node.end as usize]
    }

    /// The name of a member, escapes resolved. Empty where it has no text; then its object is not clear.
    pub fn name(&self, id: NodeId) -> Option<&str> {
        self.names.get(self.node(id).name as usize).map(|name| &**name)
    }

    /// How many members or elements.
    pub fn length(&self, id: NodeId) -> u64 {
        u64::from(self.node(id).length)
    }

    /// Its members can be told by their names: none occurs twice, none holds a lone surrogate.
    pub fn is_clear(&self, id: NodeId) -> bool {
        self.node(id).clear
    }

    /// The value has one meaning: all objects in it are clear, no string holds a lone surrogate, no number
    /// is beyond every range. [`Value::read`](super::value::Value::read) reads it.
    pub fn is_certain(&self, id: NodeId) -> bool {
        self.node(id).certain
    }

    /// Its members or elements in order.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'_, 'b> {
        let after = self.node(id).after;
        let mut next = id.0 + 1;
        std::iter::from_fn(move || {
            let child = NodeId(next);
            (next < after).then(|| {
                next = self.node(child).after;
                child
            })
        })
    }

    /// The node and all that is inside it, each before its children.
    pub fn subtree(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'b> {
        (id.0..self.node(id).after).map(NodeId)
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

struct Builder<'b> {
    scanner: Scanner<'b>,
    tree: Tree<'b>,
}

impl<'b> Builder<'b> {
    fn value(&mut self, name: u32, depth: usize) -> Option<()> {
        let kind = self.scanner.kind().ok()?;
        let at = self.tree.nodes.len();
        let start = self.scanner.position() as u32;
        self.tree.nodes.push(Node {
            start,
            end: start,
            after: 0,
            name,
            length: 0,
            kind,
            clear: true,
            certain: true,
        });
        match kind {
            Kind::Array => self.array(at, depth)?,
            Kind::Object => self.object(at, depth)?,
            _ => {
                let token = self.scanner.scalar(kind).ok()?;
                self.tree.nodes[at].certain = self.is_certain(token);
            }
        }
        let after = self.tree.nodes.len() as u32;
        let node = &mut self.tree.nodes[at];
        node.end = self.scanner.position() as u32;
        node.after = after;
        Some(())
    }

    fn array(&mut self, at: usize, depth: usize) -> Option<()> {
        self.scanner.expect(b'[').ok()?;
        let mut more = !self.scanner.accept(b']');
        while more {
            self.child(at, NO_NAME, depth)?;
            more = self.scanner.another(b']').ok()?;
        }
        Some(())
    }

    fn object(&mut self, at: usize, depth: usize) -> Option<()> {
        self.scanner.expect(b'{').ok()?;
        let mut more = !self.scanner.accept(b'}');
        let mut readable = true;
        while more {
            let key = self.scanner.key().ok()?;
            let name = text::unescape(self.scanner.slice(key.start, key.end));
            readable &= name.is_some();
            self.tree.names.push(name.unwrap_or_default());
            self.child(at, self.tree.names.len() as u32 - 1, depth)?;
            more = self.scanner.another(b'}').ok()?;
        }
        // The children are complete, so that it can be asked for them.
        self.tree.nodes[at].after = self.tree.nodes.len() as u32;
        let clear = readable && self.tree.has_unique_names(NodeId(at as u32));
        let node = &mut self.tree.nodes[at];
        node.clear = clear;
        node.certain &= clear;
        Some(())
    }

    fn child(&mut self, parent: usize, name: u32, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        let at = self.tree.nodes.len();
        self.value(name, depth + 1)?;
        let certain = self.tree.nodes[at].certain;
        let node = &mut self.tree.nodes[parent];
        node.length += 1;
        node.certain &= certain;
        Some(())
    }

    fn is_certain(&self, token: Token) -> bool {
        let bytes = self.scanner.slice(token.start, token.end);
        match token.kind {
            Kind::String => !token.escaped || !text::has_lone_surrogate(&bytes[1..bytes.len() - 1]),
            Kind::Number => {
                !bytes.iter().any(|b| matches!(b, b'e' | b'E')) || Decimal::parse(bytes).is_some()
            }
            _ => true,
        }
    }
}

impl Tree<'_> {
    fn has_unique_names(&self, object: NodeId) -> bool {
        let names = || self.children(object).filter_map(|child| self.name(child));
        if self.length(object) <= FEW_MEMBERS as u64 {
            return names().enumerate().all(|(at, name)| names().take(at).all(|other| other != name));
        }
        let mut sorted: Vec<&str> = names().collect();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_the_bytes_and_names_of_its_values() {
        let tree = Tree::parse(" {\"a\": [1, {\"b\\u0063\": null}], \"\":\"x\"} ").unwrap();
        let members: Vec<_> = tree.children(tree.root()).collect();
        assert_eq!(members.iter().map(|id| tree.name(*id)).collect::<Vec<_>>(), [Some("a"), Some("")]);
        assert_eq!(tree.json(members[0]), "[1, {\"b\\u0063\": null}]");
        assert_eq!(tree.length(members[0]), 2);
        let elements: Vec<_> = tree.children(members[0]).collect();
        assert_eq!(tree.name(elements[0]), None);
        let inner = tree.children(elements[1]).next().unwrap();
        assert_eq!((tree.name(inner), tree.kind(inner)), (Some("bc"), Kind::Null));
        assert_eq!(tree.subtree(tree.root()).count(), 6);
        assert_eq!(tree.children(inner).count(), 0);
    }

    #[test]
    fn a_node_is_found_by_its_first_byte() {
        let tree = Tree::parse("[10,[20]]").unwrap();
        assert_eq!(tree.at(1).map(|id| tree.json(id)), Some("10"));
        assert_eq!(tree.at(4).map(|id| tree.json(id)), Some("[20]"));
        assert_eq!(tree.at(5).map(|id| tree.json(id)), Some("20"));
        assert!(tree.at(2).is_none());
    }

    #[test]
    fn what_has_no_one_meaning_is_marked() {
        let many = (0..20).map(|n| format!("\"{n}\":0,")).collect::<String>();
        for (text, clear, certain) in [
            ("{\"a\":1,\"b\":{}}", true, true),
            ("{\"a\":1,\"\\u0061\":2}", false, false),
            ("{\"\\ud800\":1}", false, false),
            ("{\"a\":\"\\ud800\"}", true, false),
            ("{\"a\":[1e99999999999999999999]}", true, false),
            ("{\"a\":{\"b\":1,\"b\":1}}", true, false),
            (&format!("{{{many}\"a\":1}}"), true, true),
            (&format!("{{{many}\"7\":1}}"), false, false),
        ] {
            let tree = Tree::parse(text).unwrap();
            assert_eq!(
                (tree.is_clear(tree.root()), tree.is_certain(tree.root())),
                (clear, certain),
                "{text}"
            );
        }
    }

    #[test]
    fn what_the_scanner_refuses_has_no_tree() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(Tree::parse(&deep(MAX_DEPTH)).is_some());
        for text in ["", "[1", "{} {}", "[1 2]", &deep(MAX_DEPTH + 2)] {
            assert!(Tree::parse(text).is_none());
        }
    }
}
