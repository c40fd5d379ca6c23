//! The shape of one JSON text: names and types. A value is looked at for its type and forgotten, and a name that
//! could be a value (an id, an address) is never taken.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::signals::thresholds::{DEPTH, ELEMENTS, NAME_DIGITS, NAME_LENGTH, NODES, SIBLINGS};

/// One step of a path from the body down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    Name(String),
    /// Members whose names could be values.
    AnyName,
    Element,
}

/// Types that were met at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Types(pub u8);

impl Types {
    pub const NULL: Types = Types(1);
    const BOOLEAN: Types = Types(2);
    const NUMBER: Types = Types(4);
    const STRING: Types = Types(8);
    pub const ARRAY: Types = Types(16);
    pub const OBJECT: Types = Types(32);
    const NAMES: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

    #[must_use]
    pub fn with(self, other: Types) -> Types {
        Types(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Types) -> Types {
        Types(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What JSON calls them.
    pub fn names(self) -> Vec<&'static str> {
        let has = |at: &usize| self.0 >> at & 1 == 1;
        (0..Self::NAMES.len()).filter(has).map(|at| Self::NAMES[at]).collect()
    }
}

/// What is at one place, in all records of the text.
#[derive(Default)]
pub struct Node {
    pub types: Types,
    pub members: BTreeMap<String, Node>,
    /// Members whose names could be values.
    pub any: Option<Box<Node>>,
    pub element: Option<Box<Node>>,
}

impl Node {
    /// Of a text that may end anywhere: what follows is not known then.
    pub fn of(text: &[u8]) -> Node {
        let (mut node, mut left) = (Node::default(), NODES);
        let mut reader = serde_json::Deserializer::from_slice(text);
        // The filter has read it as JSON; where it ends early, or a number is out of range, the rest is left out.
        let _ = Walk { node: &mut node, left: &mut left, depth: 0 }.deserialize(&mut reader);
        node.settle();
        node
    }

    /// Takes all names away: they are values.
    pub fn anonymise(&mut self) {
        let mut any = self.any.take().unwrap_or_default();
        std::mem::take(&mut self.members).into_values().for_each(|member| any.merge(member));
        if !any.types.is_empty() {
            self.any = Some(any);
        }
    }

    fn settle(&mut self) {
        if self.members.len() > SIBLINGS {
            self.anonymise();
        }
        let children = self.members.values_mut();
        children.chain(self.any.as_deref_mut()).chain(self.element.as_deref_mut()).for_each(Node::settle);
    }

    fn merge(&mut self, other: Node) {
        self.types = self.types.with(other.types);
        for (name, member) in other.members {
            self.members.entry(name).or_default().merge(member);
        }
        if let Some(any) = other.any {
            self.any.get_or_insert_default().merge(*any);
        }
        if let Some(element) = other.element {
            self.element.get_or_insert_default().merge(*element);
        }
    }
}

/// Names that people give to fields; not what could name a person.
fn is_field_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    first && rest && name.len() <= NAME_LENGTH && digits <= NAME_DIGITS
}

/// Reads a value into a node.
struct Walk<'n> {
    node: &'n mut Node,
    /// Nodes that there may be beside those that there are.
    left: &'n mut usize,
    depth: usize,
}

impl Walk<'_> {
    fn note<E>(self, types: Types) -> Result<(), E> {
        self.node.types = self.node.types.with(types);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.note(Types::NULL)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.note(Types::BOOLEAN)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.note(Types::NUMBER)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.note(Types::NUMBER)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.note(Types::NUMBER)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.note(Types::STRING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Walk { node, left, depth } = self;
        node.types = node.types.with(Types::ARRAY);
        for _ in 0..if depth < DEPTH { ELEMENTS } else { 0 } {
            if node.element.is_none() && *left == 0 {
                break;
            }
            *left -= usize::from(node.element.is_none());
            let element = node.element.get_or_insert_default();
            if list.next_element_seed(Walk { node: element, left, depth: depth + 1 })?.is_none() {
                // Of an empty list no element is known.
                node.element.take_if(|element| element.types.is_empty());
                return Ok(());
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Walk { node, left, depth } = self;
        node.types = node.types.with(Types::OBJECT);
        while let Some(FieldName(name)) = map.next_key()? {
            let known = match &name {
                Some(name) => node.members.contains_key(name),
                None => node.any.is_some(),
            };
            if depth >= DEPTH || !known && *left == 0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            *left -= usize::from(!known);
            let child = match name {
                Some(name) => node.members.entry(name).or_default(),
                None => node.any.get_or_insert_default(),
            };
            map.next_value_seed(Walk { node: child, left, depth: depth + 1 })?;
        }
        Ok(())
    }
}

/// A member's name, where it is that of a field; no other one is copied.
struct FieldName(Option<String>);

impl<'de> serde::Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;
        impl Visitor<'_> for Look {
            type Value = FieldName;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<FieldName, E> {
                Ok(FieldName(is_field_name(name).then(|| name.to_owned())))
            }
        }
        deserializer.deserialize_str(Look)
    }
}

/// A path as a rule writes it (RFC 9535), from `root` on: `$.data[*]['first-name'].*`.
pub fn written(root: char, segments: &[Segment]) -> String {
    let mut text = String::from(root);
    for segment in segments {
        match segment {
            // Field names have no quotes; a hyphen needs brackets (section 2.5.1.1).
            Segment::Name(name) if name.contains('-') => text.extend(["['", name, "']"]),
            Segment::Name(name) => text.extend([".", name]),
            Segment::AnyName => text.push_str(".*"),
            Segment::Element => text.push_str("[*]"),
        }
    }
    text
}
