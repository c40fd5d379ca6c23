//! One route, from its paths to its compiled filters.

use std::sync::Arc;

use crate::diagnostic::table::At;
use crate::diagnostic::{Report, codes};
use crate::filter::{
    Filter, Form, Kinds, Origin, Path, Selection, SelectionError, Transform, Treatment, UrlRewrite,
};
use crate::model::ContractorId;

use super::file::{self, Method, Written};
use super::link::LinkRewriter;
use super::openapi;
use super::plan::{FieldLabel, Route, Surroundings, Told};
use super::template::Parameters;

/// What all routes of one contractor are compiled with.
pub struct RouteCompiler<'a> {
    pub contractor: &'a ContractorId,
    pub surroundings: &'a Surroundings,
}

/// What a route has from its task.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Index into the contractor's tasks.
    pub task: usize,
    /// Card numbers leave as they are.
    pub payment: bool,
    /// It is decided for each customer whether a record about them leaves.
    pub needs_admission: bool,
}

impl RouteCompiler<'_> {
    pub fn compile(&self, written: file::Route, terms: Terms, report: &mut Report) -> Option<Route> {
        let Terms { task, payment, needs_admission } = terms;
        check_paths(&written, needs_admission, report);
        note_costs(&written, report);
        let document = self.surroundings.documents.get(&written.upstream.value);
        if let Some(document) = document.filter(|_| written.is_understood()) {
            openapi::check(&written, document, report);
        }
        let parameters = parameters(&written, report);
        let bases = self.upstream(&written.upstream, report);
        let accept = accept(&written, report);
        let link = LinkRewriter {
            bases: bases.unwrap_or_default(),
            template: written.path.value.clone(),
            parameters: parameters.clone(),
            query: written.query.clone(),
        };
        let link = UrlRewrite(Arc::new(move |url| link.rewrite(url)));
        let fields = &written.disclose.value;
        let disclose: Vec<(Path, Treatment)> =
            fields.iter().map(|field| (field.path.clone(), self.treatment(field, payment, &link))).collect();
        let labels = fields.iter().zip(&disclose).map(|(field, (_, treatment))| FieldLabel {
            path: field.text.value.clone(),
            treatment: match &treatment.form {
                Form::Plain => None,
                Form::Whole => Some("whole"),
                Form::Transformed(transform) => Some(transform.name()),
            },
            category: field.category,
        });
        let labels = labels.collect();
        let knows_records = written.records.as_ref().is_none_or(|records| !records.stands_in);
        let selection = Selection {
            records: written.records.map(|path| path.value),
            subject: written.subject.map(|path| path.value),
            when: written.when.map(|condition| condition.value),
            disclose,
            needs_admission,
        };
        let filter = Filter::compile(&selection).map_err(|error| match error {
            // What it contradicts may not be meant.
            _ if !knows_records => {}
            SelectionError::Treatments(first, second) => {
                let (first, second) = (&fields[first].text, &fields[second].text);
                let message =
                    format!("can select the same value as \"{}\" and treats it differently", first.value);
                report.add(
                    codes::TREATED_TWICE,
                    &second.span,
                    &second.key,
                    message,
                    "give both the same transform, or make the paths distinct",
                );
            }
            SelectionError::NestedRecords | SelectionError::TooComplex => {
                let at = &written.disclose;
                report.add(
                    codes::TOO_COMPLEX,
                    &at.span,
                    &at.key,
                    error.to_string(),
                    "use fewer `..`, wildcards and index selectors, or split the route",
                );
            }
        });
        let methods: Vec<_> = written.methods.into_iter().map(|method| method.value).collect();
        let words: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
        Some(Route {
            task,
            methods_and_path: format!("{} {}", words.join(","), written.path.value.as_str()),
            template: written.path.value,
            parameters,
            methods,
            upstream: written.upstream.value,
            query: written.query,
            filter: filter.ok()?,
            selection,
            has_body: written.accept.as_ref().is_some_and(|accept| !accept.is_empty()),
            accept: accept?,
            accepted: written.accept.into_iter().flatten().map(|path| path.value).collect(),
            fields: labels,
            drift: Told::default(),
            sampled: Told::default(),
        })
    }

    fn upstream(&self, name: &At<String>, report: &mut Report) -> Option<Vec<String>> {
        let bases = self.surroundings.upstreams.get(&name.value).cloned();
        if bases.is_none() && !name.stands_in {
            let known: Vec<&str> = self.surroundings.upstreams.keys().map(String::as_str).collect();
            let help =
                format!("one of: {}; or add [upstream.{}] to fieldgate.toml", known.join(", "), name.value);
            report.add(
                codes::UNKNOWN_UPSTREAM,
                &name.span,
                &name.key,
                "is not an upstream of fieldgate.toml",
                help,
            );
        }
        bases
    }

    fn treatment(&self, field: &file::Field, payment: bool, link: &UrlRewrite) -> Treatment {
        // Unless the task is for payment, no card number leaves in a text.
        let scan = Kinds { pan: field.scan.pan || !payment, ..field.scan };
        let treatment = self.form(field.treatment, link).with_scan(scan);
        match &field.shape {
            Some(shape) => treatment.with_shape(shape.clone()),
            None => treatment,
        }
    }

    fn form(&self, written: Written, link: &UrlRewrite) -> Treatment {
        Treatment::transformed(match written {
            Written::Plain => return Treatment::plain(),
            Written::Whole => return Treatment::whole(),
            Written::Last4 => Transform::Last4,
            Written::Mask { keep_first, keep_last } => Transform::Mask { keep_first, keep_last },
            Written::Initials => Transform::Initials,
            Written::EmailDomain => Transform::EmailDomain,
            Written::Year => Transform::Year,
            Written::Truncate { length } => Transform::Truncate { length },
            Written::Pseudonym => {
                Transform::Pseudonym(self.surroundings.pseudonym_key.for_contractor(self.contractor))
            }
            Written::Redact => Transform::Redact,
            Written::RewriteUrl => Transform::RewriteUrl(link.clone()),
        })
    }
}

fn parameters(route: &file::Route, report: &mut Report) -> Parameters {
    let mut parameters = Parameters::default();
    for param in &route.params {
        let (name, regex) = &param.value;
        if !route.path.stands_in && !route.path.value.parameters().any(|known| known == name) {
            report.add(
                codes::UNKNOWN_PARAMETER,
                &param.span,
                &param.key,
                "is not a parameter of `path`",
                format!("the path is \"{}\"", route.path.value.as_str()),
            );
        }
        parameters.0.insert(name.clone(), regex.clone());
    }
    parameters
}

fn check_paths(route: &file::Route, needs_admission: bool, report: &mut Report) {
    if let Some(records) = &route.records {
        if records.value.origin == Origin::Record {
            report.add(
                codes::RECORDS_FROM_RECORD,
                &records.span,
                &records.key,
                "begins with `@`",
                "records are found from the body: begin with `$`",
            );
        }
        if records.value.has_descendant() {
            report.add(
                codes::RECORDS_NESTED,
                &records.span,
                &records.key,
                "has a `..`, so that one record could be inside another",
                "name the way to the records, such as \"$.data[*]\"",
            );
        }
    }
    match &route.subject {
        None if needs_admission => report.add(
            codes::SUBJECT_NEEDED,
            &route.path.span,
            &route.path.key,
            "has no `subject`",
            "on this basis it is decided for each customer what leaves; add subject = \"@.customer.id\"",
        ),
        None => report.add(
            codes::NO_SUBJECT,
            &route.path.span,
            &route.path.key,
            "has no `subject`",
            "the ledger cannot tell whom these disclosures are about; add subject = \"@.customer.id\"",
        ),
        Some(subject) => {
            if !subject.value.is_singular() {
                report.add(
                    codes::SUBJECT_SEVERAL,
                    &subject.span,
                    &subject.key,
                    "can select more than one value",
                    "names and indexes only, such as \"@.customer.id\"",
                );
            }
            if route.records.is_some() && subject.value.origin == Origin::Body {
                report.add(
                    codes::SUBJECT_FROM_BODY,
                    &subject.span,
                    &subject.key,
                    "begins with `$`",
                    "each record has its own subject: begin with `@`",
                );
            }
        }
    }
}

/// Says which paths and conditions one pass over the bytes cannot decide, and what is held for them.
fn note_costs(route: &file::Route, report: &mut Report) {
    for field in &route.disclose.value {
        note_path(&field.text.span, &field.text.key, &field.path, report);
    }
    for path in route.records.iter().chain(&route.subject) {
        note_path(&path.span, &path.key, &path.value, report);
    }
    let Some(when) = &route.when else { return };
    if when.value.uses_body() {
        report.add(codes::HOLDS_BODY, &when.span, &when.key, "asks for something by `$`", HOLDS_BODY);
    } else if !when.value.streams() {
        let help = "a tree of each record is built; without count() or value() over what overlaps, \
                    and without patterns from the data, it would be decided in one pass";
        report.add(codes::BUILDS_TREE, &when.span, &when.key, "is decided on a tree", help);
    }
    for query in when.value.queries() {
        note_path(&when.span, &when.key, query, report);
    }
}

const HOLDS_BODY: &str = "the whole body is held, up to `max_body`, and nothing of it leaves in parts";

fn note_path(span: &std::ops::Range<usize>, key: &str, path: &Path, report: &mut Report) {
    if path.uses_body() {
        report.add(codes::HOLDS_BODY, span, key, "has a filter that asks for something by `$`", HOLDS_BODY);
    } else if path.has_filter() {
        let help = "each value that it looks at is read ahead, and a tree of it is built";
        report.add(codes::BUILDS_TREE, span, key, "has a filter selector", help);
    }
    if path.needs_length() {
        let help = "the list is read ahead to know its length";
        report.add(codes::COUNTS_FROM_END, span, key, "counts from the end of a list", help);
    }
}

/// The check of request bodies: the same filter, asked whether it would leave anything out.
fn accept(route: &file::Route, report: &mut Report) -> Option<Option<Filter>> {
    let writes = route
        .methods
        .iter()
        .find(|method| matches!(method.value, Method::Post | Method::Put | Method::Patch));
    let Some(accept) = &route.accept else {
        if let Some(method) = writes {
            let help = "list the members of a request body that may pass: accept = [\"$.comment\"], or accept = [] for none";
            report.add(
                codes::ACCEPT_MISSING,
                &method.span,
                &method.key,
                "sends a body, and `accept` is missing",
                help,
            );
        }
        return Some(None);
    };
    if writes.is_none() && route.methods.iter().all(|method| !method.stands_in) {
        report.add(
            codes::ACCEPT_WITHOUT_BODY,
            &route.path.span,
            &route.path.key,
            "has `accept` and no method that sends a body",
            "add methods = [\"POST\"], or remove `accept`",
        );
    }
    for path in accept.iter().filter(|path| path.value.origin == Origin::Record) {
        report.add(
            codes::ACCEPT_FROM_RECORD,
            &path.span,
            &path.key,
            "begins with `@`",
            "a request body has no records: begin with `$`",
        );
    }
    if accept.is_empty() {
        return Some(None);
    }
    let disclose = accept.iter().map(|path| (path.value.clone(), Treatment::plain())).collect();
    match Filter::compile(&Selection { disclose, ..Selection::default() }) {
        Ok(filter) => Some(Some(filter)),
        Err(error) => {
            report.add(
                codes::TOO_COMPLEX,
                &route.path.span,
                &route.path.key,
                error.to_string(),
                "use fewer `..` and wildcards in `accept`",
            );
            None
        }
    }
}
