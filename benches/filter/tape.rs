//! Reduction of simd-json's tape: the parsed document as one flat list of nodes.

use anyhow::Result;
use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape};

use crate::rule::Tree;

/// Memory that simd-json uses again for each body, as it advises.
pub struct Parser {
    /// A copy of the body: simd-json unescapes strings in place.
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Parser {
    pub fn new() -> Parser {
        Parser { copy: Vec::new(), buffers: Buffers::new(0), tape: Tape::null() }
    }

    /// Parses `body`; `read` gives the tape back.
    pub fn parse(
        &mut self,
        body: &[u8],
        read: impl for<'t> FnOnce(Tape<'t>) -> Result<Tape<'t>>,
    ) -> Result<()> {
        self.copy.clear();
        self.copy.extend_from_slice(body);
        self.copy.resize(body.len() + INPUT_PADDING, 0);
        let mut tape = std::mem::replace(&mut self.tape, Tape::null()).reset();
        simd_json::fill_tape_padded(&mut self.copy, body.len(), &mut self.buffers, &mut tape)?;
        self.tape = read(tape)?.reset();
        Ok(())
    }
}

pub fn reduce(nodes: &[Node], allowed: &Tree, out: &mut Vec<u8>) -> Result<()> {
    value(nodes, allowed, out)?;
    Ok(())
}

/// The value that `nodes` begins with; true where something of it was written.
fn value(nodes: &[Node], allowed: &Tree, out: &mut Vec<u8>) -> Result<bool> {
    match (&nodes[0], allowed) {
        (_, Tree::Whole) => {
            whole(nodes, out)?;
            Ok(true)
        }
        (Node::Object { len, .. }, Tree::Members(_)) => {
            out.push(b'{');
            let (mut any, mut rest) = (false, &nodes[1..]);
            for _ in 0..*len {
                let member = match &rest[0] {
                    Node::String(name) => allowed.member(name),
                    _ => None,
                };
                rest = &rest[1..];
                if let Some(member) = member {
                    any |= child(rest, &member.value, [if any { "," } else { "" }, &member.lead], out)?;
                }
                rest = &rest[length(&rest[0])..];
            }
            out.push(b'}');
            Ok(true)
        }
        (Node::Array { len, .. }, Tree::Elements(allowed)) => {
            out.push(b'[');
            let (mut any, mut rest) = (false, &nodes[1..]);
            for _ in 0..*len {
                any |= child(rest, allowed, [if any { "," } else { "" }, ""], out)?;
                rest = &rest[length(&rest[0])..];
            }
            out.push(b']');
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn child(nodes: &[Node], allowed: &Tree, lead: [&str; 2], out: &mut Vec<u8>) -> Result<bool> {
    let before = out.len();
    lead.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    let kept = value(nodes, allowed, out)?;
    if !kept {
        out.truncate(before);
    }
    Ok(kept)
}

/// Nodes that a value takes.
fn length(first: &Node) -> usize {
    match first {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

fn whole(nodes: &[Node], out: &mut Vec<u8>) -> Result<()> {
    match &nodes[0] {
        Node::String(text) => serde_json::to_writer(out, text)?,
        Node::Static(StaticNode::Null) => out.extend_from_slice(b"null"),
        Node::Static(StaticNode::Bool(value)) => serde_json::to_writer(out, value)?,
        Node::Static(StaticNode::I64(value)) => serde_json::to_writer(out, value)?,
        Node::Static(StaticNode::U64(value)) => serde_json::to_writer(out, value)?,
        Node::Static(StaticNode::F64(value)) => serde_json::to_writer(out, value)?,
        Node::Object { .. } | Node::Array { .. } => anyhow::bail!("an allowed field is a container"),
    }
    Ok(())
}
