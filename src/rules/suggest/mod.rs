//! The smallest rules that would have served what was asked for: what nobody used is cut from a rule file, and
//! limits that are far above their use come down to it.
//!
//! **Guarantees.** What is left of the file is the author's own text, with its comments. Each suggestion is read
//! back and compared with the rules: a cut by which anything could widen is named, and left to be made by hand.
//! **Trusts** that the use that it is told of is all that there was. **Must not** write a file. **Called by** the
//! command `suggest`, and by reviews, which cut what people decided.

mod decided;
mod edit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Report, Source, has_errors};
use crate::model::Rate;

use super::diff::{Change, Written, diff};
use super::file::{Method, Route, RuleFile, Task};
use super::read;

use edit::Editor;

pub use decided::{Decided, Fate, Permission, Stricter, Terms, decide, permissions, source_of};

/// A limit is this many times the most that was used …
const MARGIN: u64 = 2;
/// … and is not touched unless it is so many times that.
const FAR: u64 = 2;

/// How the cut of a task is called.
const TASK: &str = "the task";

/// What a contractor asked for and got.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Entries about it, of any kind.
    pub entries: u64,
    pub credentials: BTreeSet<String>,
    /// The most distinct customers in a day (UTC).
    pub most_subjects: u64,
    pub tasks: BTreeMap<String, TaskUse>,
}

#[derive(Clone, Debug, Default)]
pub struct TaskUse {
    /// The most requests of one credential in a second, a minute and an hour, by the length in seconds.
    pub most_requests: BTreeMap<u64, u64>,
    /// By method (GET for HEAD) and path template.
    pub routes: BTreeMap<(String, String), RouteUse>,
}

#[derive(Clone, Debug, Default)]
pub struct RouteUse {
    /// Answers of which something was disclosed.
    pub answers: u64,
    /// How many values each field disclosed, by its path as the rule writes it.
    pub fields: BTreeMap<String, u64>,
}

/// Something that can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cut {
    pub contractor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The path template of a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    pub cut: String,
    pub why: String,
    /// It is in the new text; where it is not, somebody must do it by hand.
    pub done: bool,
}

/// A rule file, and how it could be.
#[derive(Clone, Debug)]
pub struct Suggestion {
    pub contractor: String,
    pub source: Arc<Source>,
    pub after: String,
    pub cuts: Vec<Cut>,
}

/// What could be cut from a rule file of which this use was recorded; `None` where the file has errors.
pub fn suggest(source: &Arc<Source>, observed: impl FnOnce(&str) -> Observed) -> Option<Suggestion> {
    let mut report = Report::new(Arc::clone(source));
    let file = read::read(source, &mut report)?;
    if has_errors(&report.found) {
        return None;
    }
    let root = DeTable::parse(&source.text).ok()?;
    let observed = observed(file.id.value.as_str());
    let mut narrowing = Narrowing {
        root: root.get_ref(),
        editor: Editor::new(&source.text, root.get_ref()),
        observed: &observed,
        contractor: file.id.value.as_str(),
        cuts: Vec::new(),
    };
    narrowing.file(&file);
    let after = narrowing.after(source);
    let cuts = narrowing.cuts;
    Some(Suggestion { contractor: file.id.value.to_string(), source: Arc::clone(source), after, cuts })
}

/// All files, as [`suggest`] has it.
///
/// # Errors
/// Where a file cannot be read.
pub fn suggest_all(
    directory: &std::path::Path,
    mut observed: impl FnMut(&str) -> Observed,
) -> std::io::Result<Vec<Suggestion>> {
    let sources = super::sources(directory)?;
    Ok(sources.iter().filter_map(|source| suggest(source, &mut observed)).collect())
}

/// What of a change is more than narrower; `None` where the new text cannot be read.
fn not_narrower(before: &Arc<Source>, after: &str) -> Option<Vec<Change>> {
    let after = Source::new(before.name.clone(), after.to_owned());
    let read = |source: &Arc<Source>| Written::read(vec![Arc::clone(source)]).ok();
    let mut changes = diff(&read(before)?, &read(&after)?);
    changes.retain(|change| change.effect.needs_review());
    Some(changes)
}

impl Cut {
    /// Taking a route out can let another one take its requests.
    fn causes(&self, change: &Change) -> bool {
        let is_removal = self.route.is_some() || self.cut == TASK;
        is_removal && self.task == change.task && (self.route.is_none() || self.route == change.route)
    }
}

struct Narrowing<'n> {
    root: &'n DeTable<'n>,
    editor: Editor<'n>,
    observed: &'n Observed,
    contractor: &'n str,
    cuts: Vec<Cut>,
}

/// One task of the file.
#[derive(Clone, Copy)]
struct TaskAt<'n> {
    task: &'n Task,
    number: usize,
    used: &'n TaskUse,
}

impl<'n> Narrowing<'n> {
    /// The text with all cuts that only narrow; the others are left to be made by hand.
    fn after(&mut self, source: &Arc<Source>) -> String {
        loop {
            let after = self.editor.text(|cut| self.cuts[cut].done);
            let found = not_narrower(source, &after);
            let fault = match found.as_deref() {
                Some([]) => return after,
                Some([change, ..]) => {
                    self.cuts.iter_mut().find(|cut| cut.done && cut.causes(change)).zip(Some(change))
                }
                None => None,
            };
            let Some((cut, change)) = fault else {
                self.cuts.iter_mut().for_each(|cut| cut.done = false);
                return source.text.clone();
            };
            cut.done = false;
            cut.why += &format!("; but look first: {}", change.what);
        }
    }

    fn file(&mut self, file: &RuleFile) {
        let is_used = |task: &Task| {
            let used = self.observed.tasks.get(task.id.value.as_str());
            used.filter(|used| task.routes.iter().any(|route| !route_uses(route, used).is_empty()))
        };
        if !file.tasks.iter().any(|task| is_used(task).is_some()) {
            let cut = format!("everything: `fieldgate suspend {}`, or remove the file", self.contractor);
            self.note(None, None, &cut, "no request for data was served", false);
            return;
        }
        for (number, credential) in file.credentials.iter().enumerate() {
            if !self.observed.credentials.contains(credential.id.value.as_str()) {
                let cut = format!("the credential {}", credential.id.value);
                let done = self.remove_section(&["contractor", "credential"], &[number]);
                self.note(None, None, &cut, "it was not used", done);
            }
        }
        for (number, task) in file.tasks.iter().enumerate() {
            match self.observed.tasks.get(task.id.value.as_str()) {
                Some(used) if task.routes.iter().any(|route| !route_uses(route, used).is_empty()) => {
                    self.task(TaskAt { task, number, used });
                }
                _ => {
                    let done = self.remove_section(&["task"], &[number]);
                    self.note(Some(task), None, TASK, "it was not used", done);
                }
            }
        }
    }

    fn task(&mut self, at: TaskAt) {
        self.limits(at);
        for (number, route) in at.task.routes.iter().enumerate() {
            let uses = route_uses(route, at.used);
            if uses.is_empty() {
                let done = self.remove_section(&["task", "route"], &[at.number, number]);
                self.note(Some(at.task), Some(route), "the route", "it was not used", done);
                continue;
            }
            // Where nothing was disclosed, nothing is known of the fields.
            let answers: u64 = uses.iter().map(|used| used.answers).sum();
            if answers > 0 {
                self.fields(at, route, number, &uses, answers);
            }
        }
    }

    fn fields(&mut self, at: TaskAt, route: &Route, number: usize, uses: &[&RouteUse], answers: u64) {
        for (item, field) in route.disclose.value.iter().enumerate() {
            let path = field.text.value.as_str();
            let got: u64 = uses.iter().filter_map(|used| used.fields.get(path)).sum();
            if got > 0 {
                continue;
            }
            let list = self.find(&["task", "route", "disclose"], &[at.number, number]);
            let value = list.and_then(|list| list.get_ref().as_array()?.get(item));
            let done = value.map(Spanned::span).is_some_and(|span| self.editor.remove_item(span));
            let why = format!("in {answers} answers it was never disclosed");
            self.note(Some(at.task), Some(route), &format!("\"{path}\""), &why, done);
        }
    }

    fn limits(&mut self, at: TaskAt) {
        let limits = &at.task.limits;
        let seconds = limits.requests.per.as_secs();
        if let Some(most) = at.used.most_requests.get(&seconds) {
            let count = u64::from(limits.requests.count.get());
            if let Some(fit) = fitting(count, *most) {
                let rate = rate(fit, limits.requests);
                let why = format!("one credential never asked more than {most} times in {}", unit(seconds));
                let before = format!("\"{}\"", limits.requests);
                self.limit(at, "requests", &before, &format!("\"{rate}\""), &why);
            }
        }
        if let Some(fit) = fitting(limits.subjects_per_day, self.observed.most_subjects) {
            let why =
                format!("there were never more than {} customers in a day", self.observed.most_subjects);
            self.limit(at, "subjects_per_day", &limits.subjects_per_day.to_string(), &fit.to_string(), &why);
        }
    }

    /// A limit that is not written has a default, which somebody must write another one beside.
    fn limit(&mut self, at: TaskAt, key: &'static str, before: &str, after: &str, why: &str) {
        let value = self.find(&["task", "limits", key], &[at.number]).map(Spanned::span);
        let done = value.is_some_and(|span| self.editor.replace(span, after));
        self.note(Some(at.task), None, &format!("{key} = {after} instead of {before}"), why, done);
    }

    fn remove_section(&mut self, keys: &[&str], numbers: &[usize]) -> bool {
        let Some(table) = self.find(keys, numbers) else { return false };
        self.editor.remove_section(table)
    }

    /// The value at these keys; where one has a list of tables, the next number says which.
    fn find(&self, keys: &[&str], numbers: &[usize]) -> Option<&'n Spanned<DeValue<'n>>> {
        let (mut table, mut numbers) = (self.root, numbers.iter());
        let (last, way) = keys.split_last()?;
        for key in way {
            let value = table.get(*key)?.get_ref();
            table = match value.as_array() {
                Some(list) => list.get(*numbers.next()?)?.get_ref().as_table()?,
                None => value.as_table()?,
            };
        }
        let value = table.get(*last)?;
        match numbers.next() {
            Some(number) => value.get_ref().as_array()?.get(*number),
            None => Some(value),
        }
    }

    fn note(&mut self, task: Option<&Task>, route: Option<&Route>, cut: &str, why: &str, done: bool) {
        self.cuts.push(Cut {
            contractor: self.contractor.to_owned(),
            task: task.map(|task| task.id.value.to_string()),
            route: route.map(|route| route.path.value.as_str().to_owned()),
            cut: cut.to_owned(),
            why: why.to_owned(),
            done,
        });
        self.editor.purpose = self.cuts.len();
    }
}

/// How a route was used, by each of its methods.
fn route_uses<'u>(route: &Route, used: &'u TaskUse) -> Vec<&'u RouteUse> {
    let path = route.path.value.as_str();
    let by = |method: Method| used.routes.get(&(method.as_str().to_owned(), path.to_owned()));
    route.methods.iter().filter_map(|method| by(method.value)).collect()
}

/// A limit that fits the most that was used, where the one that there is is far above that.
fn fitting(limit: u64, most: u64) -> Option<u64> {
    let fit = rounded(most.saturating_mul(MARGIN));
    (most > 0 && limit >= fit.saturating_mul(FAR)).then_some(fit)
}

/// Up to two digits and zeros.
fn rounded(count: u64) -> u64 {
    let mut unit = 1;
    while count / unit >= 100 {
        unit *= 10;
    }
    count.div_ceil(unit) * unit
}

fn rate(count: u64, like: Rate) -> Rate {
    // It is less than a count that there is.
    let count = u32::try_from(count).ok().and_then(std::num::NonZeroU32::new).unwrap_or(like.count);
    Rate { count, per: Duration::from_secs(like.per.as_secs()) }
}

fn unit(seconds: u64) -> &'static str {
    match seconds {
        1 => "a second",
        60 => "a minute",
        _ => "an hour",
    }
}
