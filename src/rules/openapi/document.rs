//! An upstream's own OpenAPI document: what it says of a path, a method, and a member of an answer.
//!
//! Versions 3.0 and 3.1 are walked as JSON, so that one reading serves both.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::table::nearest;
use crate::diagnostic::{Diagnostic, Report, Source, codes};
use crate::filter::{Path, Selector, Step};

use super::super::file::Method;
use super::super::template::PathTemplate;

/// References and compositions that are followed on the way to one schema.
const MAX_HOPS: usize = 256;

/// A document as it was read.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file, as messages name it.
    pub name: String,
    root: Value,
}

/// What a document says of one call.
pub(in crate::rules) enum Lookup<'d> {
    Operation(Operation<'d>),
    /// With the nearest path that it knows.
    NoPath(Option<String>),
    /// With the methods that it knows.
    NoMethod(Vec<&'static str>),
}

/// One operation of a document.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Operation<'d> {
    document: &'d Document,
    written: &'d Value,
}

/// One schema: all its parts, references and compositions undone. Open: it says nothing certain.
#[derive(Clone, Debug, Default)]
pub(in crate::rules) struct Node<'d> {
    parts: Vec<&'d Value>,
    pub open: bool,
    /// Some parts are alternatives.
    pub alternatives: bool,
}

/// What a schema says of one of its members.
pub(in crate::rules) enum Member<'d> {
    Known(Node<'d>),
    Open,
    Missing,
}

/// A member that a document does not know.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::rules) struct Unknown {
    pub member: String,
    pub nearest: Option<String>,
}

impl Document {
    /// Reads a document; `key` is where the configuration names it.
    ///
    /// # Errors
    /// Where it is not OpenAPI 3.0 or 3.1 in JSON.
    pub fn parse(source: &Arc<Source>, key: &str) -> Result<Document, Box<Diagnostic>> {
        let wrong = |at: usize, message: String| {
            let mut report = Report::new(Arc::clone(source));
            let help = format!("`{key}` names it: write an OpenAPI document, version 3.0 or 3.1, as JSON");
            report.add(codes::DOCUMENT_UNREADABLE, &(at..at), "", message, help);
            Box::new(report.found.remove(0))
        };
        let root: Value = serde_json::from_str(&source.text).map_err(|error| {
            let before: usize = source.text.split_inclusive('\n').take(error.line() - 1).map(str::len).sum();
            wrong(before + error.column().saturating_sub(1), "is not JSON from here on".to_owned())
        })?;
        let version = root.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !version.starts_with("3.0.") && !version.starts_with("3.1.") {
            return Err(wrong(0, "is not an OpenAPI document of version 3.0 or 3.1".to_owned()));
        }
        Ok(Document { name: source.name.clone(), root })
    }

    /// One that is made of a schema only.
    pub(super) fn of_schema(root: Value) -> Document {
        Document { name: String::new(), root }
    }

    pub(super) fn root_node(&self) -> Node<'_> {
        self.node(&self.root)
    }

    /// Its paths, as they are written, with their path items.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &Value)> {
        let paths = self.root.get("paths").and_then(Value::as_object);
        paths.into_iter().flatten().map(|(path, item)| (path.as_str(), self.target(item)))
    }

    pub(in crate::rules) fn look_up(&self, template: &PathTemplate, method: Method) -> Lookup<'_> {
        let parsed = || self.paths().filter_map(|(path, item)| Some((PathTemplate::parse(path).ok()?, item)));
        let exact = parsed().find(|(path, _)| path.overlaps(template));
        let Some((_, item)) = exact.or_else(|| parsed().find(|(path, _)| path.takes_requests_of(template)))
        else {
            let known: Vec<&str> = self.paths().map(|(path, _)| path).collect();
            return Lookup::NoPath(nearest(template.as_str(), &known).map(str::to_owned));
        };
        match item.get(method.as_str().to_ascii_lowercase()) {
            Some(written) => Lookup::Operation(Operation { document: self, written }),
            None => {
                let known = |method: &&&str| item.get(method.to_ascii_lowercase()).is_some();
                Lookup::NoMethod(Method::WORDS.iter().filter(known).copied().collect())
            }
        }
    }

    /// What a reference within the document leads to; itself where it is none.
    fn target<'d>(&'d self, mut value: &'d Value) -> &'d Value {
        for _ in 0..MAX_HOPS {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else { break };
            let Some(next) = reference.strip_prefix('#').and_then(|at| self.root.pointer(at)) else { break };
            value = next;
        }
        value
    }

    fn node<'d>(&'d self, schema: &'d Value) -> Node<'d> {
        self.node_of([schema])
    }

    fn node_of<'d>(&'d self, schemas: impl IntoIterator<Item = &'d Value>) -> Node<'d> {
        let mut node = Node::default();
        let mut waiting: Vec<&Value> = schemas.into_iter().collect();
        waiting.reverse();
        let mut seen = BTreeSet::new();
        while let Some(next) = waiting.pop() {
            // A schema that leads to itself says nothing new.
            if !seen.insert(std::ptr::from_ref(next)) {
                continue;
            }
            let schema = match next.as_object() {
                Some(schema) if seen.len() < MAX_HOPS => schema,
                _ => {
                    node.open = true;
                    continue;
                }
            };
            if schema.contains_key("$ref") {
                let target = self.target(next);
                match std::ptr::eq(target, next) || target.get("$ref").is_some() {
                    true => node.open = true,
                    false => waiting.push(target),
                }
            }
            for word in ["allOf", "oneOf", "anyOf"] {
                let inner = schema.get(word).and_then(Value::as_array);
                node.alternatives |= inner.is_some() && word != "allOf";
                waiting.extend(inner.into_iter().flatten().rev());
            }
            node.parts.push(next);
        }
        node
    }
}

impl<'d> Operation<'d> {
    /// The schema of a successful answer in JSON; open where the document has none.
    pub fn answer(&self) -> Node<'d> {
        let responses = self.written.get("responses").and_then(Value::as_object);
        let success = responses.into_iter().flatten().find(|(status, _)| status.starts_with('2'));
        let content = success.and_then(|(_, response)| self.document.target(response).get("content"));
        let is_json = |media: &str| {
            let media = media.split(';').next().unwrap_or_default().trim();
            media == "application/json" || media.ends_with("+json") || media == "*/*"
        };
        let mut content = content.and_then(Value::as_object).into_iter().flatten();
        let schema = content.find(|(media, _)| is_json(media)).and_then(|(_, body)| body.get("schema"));
        match schema {
            Some(schema) => self.document.node(schema),
            None => Node { open: true, ..Node::default() },
        }
    }

    /// The statuses of its successful answers.
    pub fn successes(&self) -> Vec<&'d str> {
        let responses = self.written.get("responses").and_then(Value::as_object);
        let success = responses.into_iter().flatten().map(|(status, _)| status.as_str());
        success.filter(|status| status.starts_with('2')).collect()
    }

    /// The schema of its request body.
    pub fn request(&self) -> Node<'d> {
        let body = self.written.get("requestBody").map(|body| self.document.target(body));
        let schema = body.and_then(|body| body.pointer("/content/application~1json/schema"));
        schema.map_or(Node { open: true, ..Node::default() }, |schema| self.document.node(schema))
    }

    /// Names of its query parameters.
    pub fn query(&self) -> Vec<&'d str> {
        let parameters = self.written.get("parameters").and_then(Value::as_array).into_iter().flatten();
        let parameters = parameters.map(|parameter| self.document.target(parameter));
        let query = parameters.filter(|parameter| parameter.get("in").is_some_and(|place| place == "query"));
        query.filter_map(|parameter| parameter.get("name")?.as_str()).collect()
    }

    /// Whether the document knows what a path selects.
    ///
    /// # Errors
    /// The first member that it does not know.
    pub fn knows(&self, node: &Node<'d>, path: &Path) -> Result<(), Unknown> {
        walk(self.document, node, &path.steps)
    }
}

impl<'d> Node<'d> {
    /// `null` too, where 3.0 says `nullable`.
    pub fn types(&self) -> BTreeSet<&'d str> {
        let mut types = BTreeSet::new();
        for part in &self.parts {
            match part.get("type") {
                Some(Value::String(one)) => _ = types.insert(one.as_str()),
                Some(Value::Array(several)) => types.extend(several.iter().filter_map(Value::as_str)),
                _ => {}
            }
            if part.get("nullable") == Some(&Value::Bool(true)) {
                types.insert("null");
            }
        }
        if types.iter().all(|one| *one == "null") {
            types.extend(self.has("properties").then_some("object"));
            types.extend(self.has("items").then_some("array"));
        }
        types
    }

    fn has(&self, word: &str) -> bool {
        self.parts.iter().any(|part| part.get(word).is_some())
    }

    /// A keyword that only one part has.
    pub fn keyword(&self, word: &str) -> Option<&'d Value> {
        if self.alternatives {
            return None;
        }
        self.parts.iter().find_map(|part| part.get(word))
    }

    pub fn names(&self) -> BTreeSet<&'d str> {
        let properties = self.parts.iter().filter_map(|part| part.get("properties")?.as_object());
        properties.flat_map(|properties| properties.keys().map(String::as_str)).collect()
    }

    pub fn member(&self, document: &'d Document, name: &str) -> Member<'d> {
        let found: Vec<&Value> =
            self.parts.iter().filter_map(|part| part.get("properties")?.get(name)).collect();
        if !found.is_empty() {
            return Member::Known(document.node_of(found));
        }
        let more = |part: &&Value| {
            let more = part.get("additionalProperties");
            more.is_some_and(|more| *more != Value::Bool(false)) || part.get("patternProperties").is_some()
        };
        let types = self.types();
        if !types.is_empty() && !types.contains("object") && !self.open {
            return Member::Missing;
        }
        let says_nothing = !self.has("properties");
        if self.open || says_nothing || self.parts.iter().any(more) { Member::Open } else { Member::Missing }
    }

    pub fn items(&self, document: &'d Document) -> Member<'d> {
        let mut found: Vec<&Value> = self.parts.iter().filter_map(|part| part.get("items")).collect();
        let first = self.parts.iter().filter_map(|part| part.get("prefixItems")?.as_array());
        found.extend(first.flatten());
        let types = self.types();
        match found.is_empty() {
            false => Member::Known(document.node_of(found)),
            true if self.open || types.is_empty() || types.contains("array") => Member::Open,
            true => Member::Missing,
        }
    }
}

fn walk<'d>(document: &'d Document, node: &Node<'d>, steps: &[Step]) -> Result<(), Unknown> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    if step.descendant {
        return Ok(());
    }
    for selector in &step.selectors {
        match selector {
            Selector::Name(name) => match node.member(document, name) {
                Member::Known(next) => walk(document, &next, rest)?,
                Member::Open => {}
                Member::Missing => {
                    let known: Vec<&str> = node.names().into_iter().collect();
                    return Err(Unknown {
                        member: name.clone(),
                        nearest: nearest(name, &known).map(str::to_owned),
                    });
                }
            },
            Selector::Index(_) | Selector::Slice { .. } => match node.items(document) {
                Member::Known(next) => walk(document, &next, rest)?,
                Member::Open => {}
                Member::Missing => return Err(Unknown { member: "[…]".to_owned(), nearest: None }),
            },
            Selector::Wildcard | Selector::Filter(_) => any(document, node, rest)?,
        }
    }
    Ok(())
}

/// Of all that a wildcard meets, one must know the rest.
fn any<'d>(document: &'d Document, node: &Node<'d>, rest: &[Step]) -> Result<(), Unknown> {
    let members = node.names().into_iter().map(|name| node.member(document, name));
    let mut first = None;
    for member in members.chain([node.items(document)]) {
        match member {
            Member::Known(next) => match walk(document, &next, rest) {
                Ok(()) => return Ok(()),
                Err(unknown) => first = first.or(Some(unknown)),
            },
            Member::Open => {
                if !node.has("properties") {
                    return Ok(());
                }
            }
            Member::Missing => {}
        }
    }
    first.map_or(Ok(()), Err)
}
