//! Rules held against an upstream's own document: what it does not know, no rule can disclose.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::diagnostic::{Report, codes};
use crate::filter::{Origin, Path};

use super::super::file::Route;
use super::document::{Document, Lookup, Node, Operation, Unknown};

/// Reports paths, methods, query parameters and members that the document does not know.
pub fn check(route: &Route, document: &Document, report: &mut Report) {
    let template = &route.path.value;
    for method in &route.methods {
        match document.look_up(template, method.value) {
            Lookup::Operation(operation) => check_query(route, &operation, document, report),
            Lookup::NoPath(nearest) => {
                let help = match nearest {
                    Some(nearest) => format!("the nearest path that it knows is \"{nearest}\""),
                    None => "write a path of that document, or correct the document".to_owned(),
                };
                let message = format!("is not a path of {}", document.name);
                report.add(codes::PATH_NOT_IN_DOCUMENT, &route.path.span, &route.path.key, message, help);
                return;
            }
            Lookup::NoMethod(known) => {
                let help = format!("the methods that it knows there: {}", known.join(", "));
                let message = format!("has no {} in {}", method.value.as_str(), document.name);
                report.add(codes::METHOD_NOT_IN_DOCUMENT, &route.path.span, &route.path.key, message, help);
            }
        }
    }
    let mut told = BTreeSet::new();
    for method in &route.methods {
        if let Lookup::Operation(operation) = document.look_up(template, method.value) {
            check_members(route, &operation, document, &mut told, report);
        }
    }
}

fn check_query(route: &Route, operation: &Operation, document: &Document, report: &mut Report) {
    let known = operation.query();
    let unknown: Vec<&str> =
        route.query.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if !unknown.is_empty() {
        let message =
            format!("lists query parameters that {} does not know: {}", document.name, unknown.join(", "));
        let help = match known.is_empty() {
            true => "it knows none here; remove them from `query`, or correct the document".to_owned(),
            false => format!("those that it knows: {}", known.join(", ")),
        };
        report.add(codes::QUERY_NOT_IN_DOCUMENT, &route.path.span, &route.path.key, message, help);
    }
}

fn check_members(
    route: &Route,
    operation: &Operation,
    document: &Document,
    told: &mut BTreeSet<usize>,
    report: &mut Report,
) {
    let answer = operation.answer();
    let records = route.records.as_ref().map(|records| &records.value);
    let mut held = |path: &Path, node: &Node, span: &Range<usize>, key: &str| {
        let Err(unknown) = operation.knows(node, path) else { return };
        if told.insert(span.start) {
            tell(&unknown, document, span, key, report);
        }
    };
    if let Some(path) = &route.records {
        held(&path.value, &answer, &path.span, &path.key);
    }
    for field in &route.disclose.value {
        held(&absolute(records, &field.path), &answer, &field.text.span, &field.text.key);
    }
    if let Some(subject) = &route.subject {
        held(&absolute(records, &subject.value), &answer, &subject.span, &subject.key);
    }
    if let Some(when) = &route.when {
        for query in when.value.queries() {
            held(&absolute(records, query), &answer, &when.span, &when.key);
        }
    }
    let request = operation.request();
    for path in route.accept.iter().flatten() {
        held(&path.value, &request, &path.span, &path.key);
    }
}

/// From the body on.
fn absolute(records: Option<&Path>, path: &Path) -> Path {
    let records = records.filter(|_| path.origin == Origin::Record);
    let steps = records.map_or(&[][..], |records| &records.steps).iter().chain(&path.steps);
    Path { origin: Origin::Body, steps: steps.cloned().collect() }
}

fn tell(unknown: &Unknown, document: &Document, span: &Range<usize>, key: &str, report: &mut Report) {
    let message = format!("names `{}`, which {} does not know there", unknown.member, document.name);
    let help = match &unknown.nearest {
        Some(nearest) => format!("the nearest member that it knows is `{nearest}`"),
        None => "write a member of that document, or correct the document".to_owned(),
    };
    report.add(codes::MEMBER_NOT_IN_DOCUMENT, span, key, message, help);
}
