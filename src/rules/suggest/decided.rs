//! What people decided about each permission, made into a change of the rule file.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Source, has_errors};

use super::super::diff::Change;
use super::super::file::{Field, Method, Route, RuleFile, Task, Written};
use super::super::{Plan, read, report, shown, unified};
use super::edit::Editor;
use super::{Cut, Narrowing, Observed, TASK};

/// A transform that shows less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stricter {
    Last4,
    Mask,
    Initials,
    Year,
    EmailDomain,
    Redact,
}

impl Stricter {
    pub const ALL: [Stricter; 6] = [
        Stricter::Last4,
        Stricter::Mask,
        Stricter::Initials,
        Stricter::Year,
        Stricter::EmailDomain,
        Stricter::Redact,
    ];

    pub fn new(word: &str) -> Option<Self> {
        Stricter::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// As rule files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Stricter::Last4 => "last4",
            Stricter::Mask => "mask",
            Stricter::Initials => "initials",
            Stricter::Year => "year",
            Stricter::EmailDomain => "email-domain",
            Stricter::Redact => "redact",
        }
    }
}

/// A field that may leave by a route of a task. Routes of one task with the same path template are one here, as they
/// are in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    pub task: String,
    pub route: String,
    /// The path of the field, as the rule writes it; empty for a route that takes a body and gives nothing.
    pub path: String,
    /// A transform, `whole`, or empty.
    pub treatment: &'static str,
}

/// What more there is to know of a permission.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    pub methods: Vec<&'static str>,
    pub category: Option<&'static str>,
    /// What it can be reduced to.
    pub stricter: Vec<Stricter>,
}

/// What becomes of a permission that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Reduced(Stricter),
    Revoked,
}

/// A rule file, and how it is to be.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Nothing is left: the file is to be removed.
    pub is_removal: bool,
    pub after: Arc<Source>,
    pub cuts: Vec<Cut>,
}

/// The rule file of a contractor.
pub fn source_of<'p>(plan: &'p Plan, contractor: &str) -> Option<&'p Arc<Source>> {
    let at = plan.contractors.iter().position(|known| known.id.as_str() == contractor)?;
    plan.sources.get(at)
}

/// Everything that a rule file permits; `None` where it has errors.
pub fn permissions(source: &Arc<Source>) -> Option<Vec<(Permission, Terms)>> {
    let file = parse(source)?;
    let mut all: Vec<(Permission, Terms)> = Vec::new();
    for (task, route) in file.tasks.iter().flat_map(|task| task.routes.iter().map(move |route| (task, route)))
    {
        let methods = || route.methods.iter().map(|method| Method::as_str(method.value));
        for (permission, terms) in of_route(task, route) {
            match all.iter_mut().find(|(known, _)| *known == permission) {
                Some((_, known)) => {
                    let new: Vec<_> = methods().filter(|method| !known.methods.contains(method)).collect();
                    known.methods.extend(new);
                    known.stricter.retain(|one| terms.stricter.contains(one));
                }
                None => all.push((permission, Terms { methods: methods().collect(), ..terms })),
            }
        }
    }
    Some(all)
}

fn parse(source: &Arc<Source>) -> Option<RuleFile> {
    let mut report = report(source);
    let file = read::read(source, &mut report)?;
    (!has_errors(&report.found)).then_some(file)
}

fn of_route(task: &Task, route: &Route) -> Vec<(Permission, Terms)> {
    let permission = |path: &str, treatment| Permission {
        task: task.id.value.to_string(),
        route: route.path.value.as_str().to_owned(),
        path: path.to_owned(),
        treatment,
    };
    let fields = route.disclose.value.iter().map(|field| {
        let terms = Terms { category: field.category, stricter: stricter(field), ..Terms::default() };
        (permission(&field.text.value, word(field.treatment)), terms)
    });
    let fields: Vec<_> = fields.collect();
    if fields.is_empty() { vec![(permission("", ""), Terms::default())] } else { fields }
}

/// What surely shows less, as `diff` sees it.
fn stricter(field: &Field) -> Vec<Stricter> {
    match field.treatment {
        // What was searched in the text must not come out of another transform.
        Written::Plain if is_searched(field) => vec![Stricter::Mask],
        Written::Plain => Stricter::ALL.to_vec(),
        Written::Mask { keep_first: 0, keep_last: 0 } => vec![Stricter::Redact],
        Written::Mask { .. } => vec![Stricter::Mask, Stricter::Redact],
        // A link works or is gone, and a subtree is not one value.
        Written::Whole | Written::RewriteUrl | Written::Redact => Vec::new(),
        _ => vec![Stricter::Redact],
    }
}

fn is_searched(field: &Field) -> bool {
    let scan = field.scan;
    scan.pan || scan.iban || scan.email || scan.phone
}

/// As the ledger has it.
fn word(treatment: Written) -> &'static str {
    match treatment {
        Written::Plain => "",
        Written::Whole => "whole",
        Written::Last4 => "last4",
        Written::Mask { .. } => "mask",
        Written::Initials => "initials",
        Written::EmailDomain => "email-domain",
        Written::Year => "year",
        Written::Truncate { .. } => "truncate",
        Written::Pseudonym => "pseudonym",
        Written::Redact => "redact",
        Written::RewriteUrl => "rewrite-url",
    }
}

/// The file as it is to be; `None` where it has errors. What cannot be cut without that something could widen is
/// left as it is, and its cut is not `done`.
pub fn decide(source: &Arc<Source>, fates: &BTreeMap<Permission, Fate>) -> Option<Decided> {
    let file = parse(source)?;
    let root = DeTable::parse(&source.text).ok()?;
    let observed = Observed::default();
    let mut work = Narrowing {
        root: root.get_ref(),
        editor: Editor::new(&source.text, root.get_ref()),
        observed: &observed,
        contractor: file.id.value.as_str(),
        cuts: Vec::new(),
    };
    let goes = |task: &Task, route: &Route| {
        let mut all = of_route(task, route).into_iter();
        all.all(|(permission, _)| fates.get(&permission) == Some(&Fate::Revoked))
    };
    let is_empty = |task: &&Task| task.routes.iter().all(|route| goes(task, route));
    if file.tasks.iter().all(|task| is_empty(&task)) {
        work.note(None, None, "the whole file", "all of it was revoked", true);
        let after = Source::new(source.name.clone(), String::new());
        return Some(Decided { is_removal: true, after, cuts: work.cuts });
    }
    for (number, task) in file.tasks.iter().enumerate() {
        if is_empty(&task) {
            let done = work.remove_section(&["task"], &[number]);
            work.note(Some(task), None, TASK, "all of it was revoked", done);
            continue;
        }
        for (at, route) in task.routes.iter().enumerate() {
            if goes(task, route) {
                let done = work.remove_section(&["task", "route"], &[number, at]);
                work.note(Some(task), Some(route), "the route", "all of it was revoked", done);
            } else {
                work.fates(task, route, [number, at], fates);
            }
        }
    }
    let after = work.after(source);
    Some(Decided { is_removal: false, after: Source::new(source.name.clone(), after), cuts: work.cuts })
}

impl<'n> Narrowing<'n> {
    fn fates(&mut self, task: &Task, route: &Route, at: [usize; 2], fates: &BTreeMap<Permission, Fate>) {
        for (item, (permission, _)) in of_route(task, route).into_iter().enumerate() {
            let Some(fate) = fates.get(&permission) else { continue };
            let list = self.find(&["task", "route", "disclose"], &at);
            let value = list.and_then(|list| list.get_ref().as_array()?.get(item));
            let is_table = |value: &Spanned<DeValue>| self.editor.is_table_of_its_own(value);
            let (what, why, done) = match (fate, value) {
                (Fate::Revoked, Some(value)) if is_table(value) => {
                    ("", "it was revoked", self.editor.remove_section(value))
                }
                (Fate::Revoked, Some(value)) => ("", "it was revoked", self.editor.remove_item(value.span())),
                (Fate::Reduced(to), Some(value)) => {
                    let done = match self.editor.reduced(value, to.as_str(), *to == Stricter::Mask) {
                        Some(text) => self.editor.replace(value.span(), &text),
                        None => false,
                    };
                    (to.as_str(), "it was reduced", done)
                }
                (Fate::Revoked, None) => ("", "it was revoked", false),
                (Fate::Reduced(to), None) => (to.as_str(), "it was reduced", false),
            };
            let path = &permission.path;
            let cut =
                if what.is_empty() { format!("\"{path}\"") } else { format!("\"{path}\" becomes {what}") };
            self.note(Some(task), Some(route), &cut, why, done);
        }
    }
}

impl Decided {
    /// The change as `patch` takes it, and whether customers whom the file names are left out of it: then `patch`
    /// does not take these lines, and somebody makes the change by hand.
    pub fn patch(&self, before: &Source) -> (String, bool) {
        let (old, new) = (shown(before), if self.is_removal { String::new() } else { shown(&self.after) });
        let name = before.file_name();
        let text = unified(name, &old, &new);
        let text = match self.is_removal {
            true => text.replacen(&format!("+++ {name}"), "+++ /dev/null", 1),
            false => text,
        };
        let hides = text.contains("# (not shown: it can name customers)");
        (text, hides)
    }

    /// The plan's files with this one in its place.
    pub fn sources(&self, plan: &Plan) -> Vec<Arc<Source>> {
        let place = |source: &Arc<Source>| match source.name == self.after.name {
            true => (!self.is_removal).then(|| Arc::clone(&self.after)),
            false => Some(Arc::clone(source)),
        };
        plan.sources.iter().filter_map(place).collect()
    }

    /// What is different in terms of data; `None` where the new text cannot be read.
    pub fn changes(&self, plan: &Plan) -> Option<Vec<Change>> {
        let old = super::Written::read(plan.sources.clone()).ok()?;
        let new = super::Written::read(self.sources(plan)).ok()?;
        Some(super::diff(&old, &new))
    }
}

#[cfg(test)]
mod tests;
