//! Two directories of rules, compared in terms of data: what a contractor may see, ask for or do more than
//! before, and what less. What cannot be decided for certain counts as more.

mod fields;
mod legal;
mod tasks;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Source, has_errors};

use super::file::{Credential, Proof, RuleFile};
use super::read;

/// What a change does to what a contractor may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Widens,
    /// It cannot be told from the rules alone.
    MayWiden,
    Narrows,
    /// It changes words, or an upstream's place, and no one's data.
    Neutral,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub effect: Effect,
    pub contractor: String,
    pub task: Option<String>,
    /// The path template of a route.
    pub route: Option<String>,
    /// A whole sentence without its full stop.
    pub what: String,
    /// The path of a field that is new or shows more, as its rule writes it.
    pub field: Option<String>,
}

/// The rule files of a directory, as they are written.
#[derive(Debug)]
pub struct Written(BTreeMap<String, (Arc<Source>, RuleFile)>);

impl Effect {
    pub fn as_str(self) -> &'static str {
        match self {
            Effect::Widens => "widens",
            Effect::MayWiden => "may widen",
            Effect::Narrows => "narrows",
            Effect::Neutral => "neutral",
        }
    }

    /// Somebody must agree to it.
    pub fn needs_review(self) -> bool {
        matches!(self, Effect::Widens | Effect::MayWiden)
    }

    /// More where `more`, less where not.
    fn of(more: bool) -> Self {
        if more { Effect::Widens } else { Effect::Narrows }
    }
}

impl Written {
    /// Reads rule files, by name and text.
    ///
    /// # Errors
    /// All that is wrong with them: what is not understood cannot be compared.
    pub fn read(sources: Vec<Arc<Source>>) -> Result<Self, Vec<Diagnostic>> {
        let (mut files, mut found) = (BTreeMap::new(), Vec::new());
        for source in sources {
            let mut report = super::report(&source);
            if let Some(file) = read::read(&source, &mut report) {
                files.insert(file.id.value.to_string(), (source, file));
            }
            found.append(&mut report.found);
        }
        if has_errors(&found) { Err(found) } else { Ok(Written(files)) }
    }

    /// Reads those of a directory.
    ///
    /// # Errors
    /// The outer one where a file cannot be read, the inner one as [`Written::read`].
    pub fn load(directory: &Path) -> std::io::Result<Result<Self, Vec<Diagnostic>>> {
        Ok(Written::read(super::sources(directory)?))
    }
}

/// What is different in `new`, contractor by contractor.
pub fn diff(old: &Written, new: &Written) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, (_, file)) in &old.0 {
        if !new.0.contains_key(id) {
            let mut log = Log::new(id, &mut changes);
            log.note(Effect::Narrows, format!("{} is not a contractor any more", file.name));
        }
    }
    for (id, after) in &new.0 {
        let mut log = Log::new(id, &mut changes);
        match old.0.get(id) {
            Some(before) => contractor(before, after, &mut log),
            None => {
                let (name, to) = (&after.1.name, after.1.jurisdiction.value);
                log.note(Effect::Widens, format!("{name} is a new contractor; its data goes to {to}"));
                tasks::added(after, &mut log);
            }
        }
    }
    changes.sort_by(|a, b| (&a.contractor, a.effect).cmp(&(&b.contractor, b.effect)));
    changes
}

/// A rule file and its text.
type Side = (Arc<Source>, RuleFile);

/// Takes changes down at the place that is looked at.
struct Log<'a> {
    contractor: &'a str,
    task: Option<String>,
    route: Option<String>,
    changes: &'a mut Vec<Change>,
}

impl<'a> Log<'a> {
    fn new(contractor: &'a str, changes: &'a mut Vec<Change>) -> Self {
        Log { contractor, task: None, route: None, changes }
    }

    fn at_task(&mut self, task: &str) -> Log<'_> {
        Log { contractor: self.contractor, task: Some(task.to_owned()), route: None, changes: self.changes }
    }

    fn at_route(&mut self, route: &str) -> Log<'_> {
        Log {
            contractor: self.contractor,
            task: self.task.clone(),
            route: Some(route.to_owned()),
            changes: self.changes,
        }
    }

    fn note(&mut self, effect: Effect, what: impl Into<String>) {
        self.note_field(effect, what, None);
    }

    fn note_field(&mut self, effect: Effect, what: impl Into<String>, field: Option<&str>) {
        self.changes.push(Change {
            effect,
            contractor: self.contractor.to_owned(),
            task: self.task.clone(),
            route: self.route.clone(),
            what: what.into(),
            field: field.map(str::to_owned),
        });
    }

    /// Notes a change of a word that says nothing about data.
    fn neutral(&mut self, name: &str, old: &str, new: &str) {
        if old != new {
            self.note(Effect::Neutral, format!("{name} is {new} instead of {old}"));
        }
    }
}

fn contractor(before: &Side, after: &Side, log: &mut Log) {
    let (old, new) = (&before.1, &after.1);
    log.neutral("the name", &old.name, &new.name);
    log.neutral("the service", &old.service, &new.service);
    log.neutral("the contact", &old.contact, &new.contact);
    let (from, to) = (old.jurisdiction.value, new.jurisdiction.value);
    if from != to {
        log.note(Effect::Widens, format!("data goes to {to} instead of {from}"));
    }
    if old.canaries != new.canaries {
        log.note(Effect::Neutral, "the canaries are others");
    }
    agreement(old, new, log);
    credentials(&old.credentials, &new.credentials, log);
    tasks::compare(before, after, log);
}

fn agreement(old: &RuleFile, new: &RuleFile, log: &mut Log) {
    let (old, new) = (&old.agreement, &new.agreement);
    log.neutral("the agreement", &old.reference, &new.reference);
    let (before, after) = (old.effective.value, new.effective.value);
    if before != after {
        let effect = Effect::of(after < before);
        log.note(effect, format!("the agreement begins on {after} instead of {before}"));
    }
    let (before, after) = (old.expires.value, new.expires.value);
    if before != after {
        let effect = Effect::of(after > before);
        log.note(effect, format!("the agreement ends on {after} instead of {before}"));
    }
    let mechanism = |agreement: &super::file::Agreement| {
        agreement.transfer.as_ref().map_or("none", |known| known.value.as_str())
    };
    log.neutral("the transfer mechanism", mechanism(old), mechanism(new));
}

fn credentials(old: &[Credential], new: &[Credential], log: &mut Log) {
    let find = |all: &[Credential], proof: &Proof| all.iter().any(|known| known.proof.value == *proof);
    for credential in old.iter().filter(|known| !find(new, &known.proof.value)) {
        let (id, kind) = (&credential.id.value, kind(&credential.proof.value));
        log.note(Effect::Narrows, format!("{kind} {id} does not open anything any more"));
    }
    for credential in new.iter().filter(|known| !find(old, &known.proof.value)) {
        let (id, kind) = (&credential.id.value, kind(&credential.proof.value));
        log.note(Effect::Widens, format!("{kind} {id} opens all tasks of this contractor"));
    }
}

fn kind(proof: &Proof) -> &'static str {
    match proof {
        Proof::SanUri(_) | Proof::SanDns(_) | Proof::Fingerprint(_) => "the certificate",
        Proof::ApiKey(_) => "the API key",
        Proof::Token(_) => "the signed token",
    }
}
