//! The entrants: each reduces a body to the same allowed values, by one library and in one manner.

use std::io::BufRead;

use anyhow::{Context, Result, bail};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde::de::{DeserializeSeed, IgnoredAny};
use serde_json::Value;
use sonic_rs::JsonValueTrait;

use crate::documents::Document;
use crate::ours;
use crate::rule::{Allowed, Shape, Tree};
use crate::streaming::{Reduce, Rewritten, SerdeRaw, SonicRaw};
use crate::tape::{self, Parser};

/// Who takes part, and whether it projects at all or is a limit to read the others by.
pub struct Entrant<'a> {
    pub name: &'static str,
    pub kind: Kind,
    pub run: Run<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Peer,
    /// Does less than the work; its output is not compared.
    Limit,
}

pub type Run<'a> = Box<dyn FnMut(&[u8]) -> Result<Vec<u8>> + 'a>;

/// The reduced body that all others are compared with.
pub fn reference<'a>(shape: Shape, allowed: &'a Allowed) -> Run<'a> {
    each(shape, move |body, out| {
        let mut value: Value = serde_json::from_slice(body)?;
        prune(&mut value, &allowed.tree);
        Ok(serde_json::to_writer(out, &value)?)
    })
}

pub fn entrants<'a>(document: &Document, allowed: &'a Allowed) -> Result<Vec<Entrant<'a>>> {
    let shape = document.shape;
    let tree = &allowed.tree;
    let filter = ours::for_records(shape, document.fields)?;
    let mut ours = ours::Ours::default();
    let (mut parser, mut tape_parser) = (Parser::new(), Parser::new());
    let mut queries = Vec::new();
    for path in &allowed.paths {
        queries.push(parse_json_path(path)?);
    }
    let peer = |name, run| Entrant { name, kind: Kind::Peer, run };
    let limit = |name, run| Entrant { name, kind: Kind::Limit, run };
    Ok(vec![
        Entrant {
            name: "Fieldgate",
            kind: Kind::Ours,
            run: match shape {
                Shape::Lines => Box::new(move |body| ours.lines(&filter, body)),
                Shape::One | Shape::List => Box::new(move |body| ours.document(&filter, body)),
            },
        },
        peer(
            "serde_json, streaming, UTF-8 checked",
            each(shape, |body, out| {
                simdutf8::basic::from_utf8(body)?;
                let mut from = serde_json::Deserializer::from_slice(body);
                Reduce::<SerdeRaw>::new(tree, out).deserialize(&mut from)?;
                Ok(from.end()?)
            }),
        ),
        peer(
            "simd-json, streaming",
            each(shape, move |body, out| {
                parser.parse(body, |tape| {
                    let mut from = simd_json::Deserializer::from_tape(tape);
                    Reduce::<Rewritten>::new(tree, out).deserialize(&mut from)?;
                    Ok(from.into_tape())
                })
            }),
        ),
        peer(
            "simd-json, tape",
            each(shape, move |body, out| {
                tape_parser.parse(body, |tape| {
                    tape::reduce(&tape.0, tree, out)?;
                    Ok(tape)
                })
            }),
        ),
        peer("serde_json, tree and back", reference(shape, allowed)),
        peer(
            "jsonpath-rust, each path, rebuilt",
            each(shape, move |body, out| {
                let value: Value = serde_json::from_slice(body)?;
                let mut reduced = Value::Null;
                for query in &queries {
                    for found in js_path_process(query, &value)? {
                        *place(&mut reduced, &found.path)? = found.val.clone();
                    }
                }
                Ok(serde_json::to_writer(out, &reduced)?)
            }),
        ),
        peer(
            "sonic-rs, streaming, UTF-8 checked",
            each(shape, |body, out| {
                simdutf8::basic::from_utf8(body)?;
                let mut from = sonic_rs::Deserializer::from_slice(body);
                Reduce::<SonicRaw>::new(tree, out).deserialize(&mut from)?;
                Ok(from.end()?)
            }),
        ),
        peer(
            "sonic-rs, tree and back",
            each(shape, |body, out| {
                let mut value: sonic_rs::Value = sonic_rs::from_slice(body)?;
                prune_sonic(&mut value, tree);
                Ok(sonic_rs::to_writer(out, &value)?)
            }),
        ),
        limit(
            "limit: serde_json reads and drops",
            each(shape, |body, _| {
                serde_json::from_slice::<IgnoredAny>(body)?;
                Ok(())
            }),
        ),
        limit("limit: copy of the body", Box::new(|body| Ok(body.to_vec()))),
    ])
}

/// Runs `reduce`, which appends to its output, over the body or over each line of it.
fn each<'a>(shape: Shape, mut reduce: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()> + 'a) -> Run<'a> {
    Box::new(move |body| {
        let mut out = Vec::with_capacity(body.len() / 4);
        match shape {
            Shape::One | Shape::List => reduce(body, &mut out)?,
            Shape::Lines => for_each_line(body, |line| {
                reduce(line, &mut out)?;
                out.push(b'\n');
                Ok(())
            })?,
        }
        Ok(out)
    })
}

pub fn for_each_line(mut body: &[u8], mut read: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    while !body.is_empty() {
        let mut rest = body;
        let length = rest.skip_until(b'\n')?;
        let line = &body[..length];
        read(line.strip_suffix(b"\n").unwrap_or(line))?;
        body = rest;
    }
    Ok(())
}

// ---- trees ----

fn prune(value: &mut Value, allowed: &Tree) -> bool {
    match (value, allowed) {
        (_, Tree::Whole) => true,
        (Value::Object(members), Tree::Members(_)) => {
            members
                .retain(|name, value| allowed.member(name).is_some_and(|member| prune(value, &member.value)));
            true
        }
        (Value::Array(elements), Tree::Elements(allowed)) => {
            elements.retain_mut(|element| prune(element, allowed));
            true
        }
        _ => false,
    }
}

fn prune_sonic(value: &mut sonic_rs::Value, allowed: &Tree) -> bool {
    use sonic_rs::JsonValueMutTrait;
    match allowed {
        Tree::Whole => true,
        Tree::Members(_) if value.is_object() => {
            if let Some(members) = value.as_object_mut() {
                members.retain(|name, value| {
                    allowed.member(name).is_some_and(|member| prune_sonic(value, &member.value))
                });
            }
            true
        }
        Tree::Elements(allowed) if value.is_array() => {
            if let Some(elements) = value.as_array_mut() {
                elements.retain_mut(|element| prune_sonic(element, allowed));
            }
            true
        }
        Tree::Members(_) | Tree::Elements(_) => false,
    }
}

// ---- jsonpath-rust ----

/// Where a value belongs by its normalized path (RFC 9535, section 2.7); makes the way there.
fn place<'a>(root: &'a mut Value, path: &str) -> Result<&'a mut Value> {
    let steps = path.strip_prefix("$[").and_then(|rest| rest.strip_suffix(']'));
    let mut at = root;
    for step in steps.context("a path without a step")?.split("][") {
        if at.is_null() {
            *at =
                if step.starts_with('\'') { Value::Object(Default::default()) } else { Value::Array(vec![]) };
        }
        at = match at {
            Value::Object(members) => members.entry(step.trim_matches('\'')).or_insert(Value::Null),
            Value::Array(elements) => {
                let index: usize = step.parse()?;
                if elements.len() <= index {
                    elements.resize(index + 1, Value::Null);
                }
                &mut elements[index]
            }
            _ => bail!("a path that leads through a scalar"),
        };
    }
    Ok(at)
}
