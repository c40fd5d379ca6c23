//! What upstreams send, beside what it was: new fields, vanished, retyped and unused ones.
//!
//! **Guarantees.** No value is kept. Paths that no rule names are known by their keyed hashes only: who reads the
//! file learns no name. A name is shown in the signal about it, and only where it cannot well be a value. Its
//! memory is bounded for each route of the rules. **Trusts** the key. **Must not** hold a request up. **Called
//! by** `proxy::watch`.

mod fields;
mod learned;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{RequestId, SubjectKey};

use super::memory::Damaged;
use super::{Details, Event, Signal};

use fields::FieldUse;
use learned::Learned;

pub use learned::Found;
pub use shape::{Node, Segment, written};

/// Version of the file.
const VERSION: u32 = 1;

/// One route of a task of a contractor.
#[derive(Clone, Copy)]
pub struct RouteName<'n> {
    pub contractor: &'n str,
    pub task: &'n str,
    /// Its methods and its path template.
    pub route: &'n str,
}

/// What is known of one route.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RouteMemory {
    shape: Learned,
    /// By the path, as the rule writes it.
    fields: BTreeMap<String, FieldUse>,
}

type Routes = BTreeMap<String, RouteMemory>;

#[derive(Serialize)]
struct Kept<'k> {
    version: u32,
    /// Tells whether names were hashed under this key.
    key: &'k str,
    routes: &'k Routes,
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    key: String,
    routes: Routes,
}

/// All routes.
pub struct Drift {
    key: SubjectKey,
    mark: String,
    routes: Routes,
}

impl Drift {
    /// Nothing is known yet.
    pub fn new(key: SubjectKey) -> Self {
        let mark = key.shape_name("");
        Drift { key, mark, routes: Routes::new() }
    }

    /// With what was kept when it ran last.
    ///
    /// # Errors
    /// Where that cannot be understood, or was written under another key.
    pub fn restore(key: SubjectKey, kept: &[u8]) -> Result<Self, Damaged> {
        let syntax =
            |error: serde_json::Error| Damaged::Syntax { line: error.line(), column: error.column() };
        let read: Read = serde_json::from_slice(kept).map_err(syntax)?;
        let new = Drift::new(key);
        match read {
            Read { version: VERSION, key, routes } if key == new.mark => Ok(Drift { routes, ..new }),
            Read { version: VERSION, .. } => Err(Damaged::Key),
            Read { version, .. } => Err(Damaged::Version(version)),
        }
    }

    /// What is to be kept of it: paths of rules, hashes of others, types, counts and times.
    pub fn keep(&self) -> Vec<u8> {
        let kept = Kept { version: VERSION, key: &self.mark, routes: &self.routes };
        // Maps with text as keys always serialise.
        serde_json::to_vec(&kept).unwrap_or_default()
    }

    /// Rules are in force: the fields that each route discloses. Routes that there are no more are forgotten.
    pub fn know<'n>(&mut self, routes: impl Iterator<Item = (RouteName<'n>, Vec<&'n str>)>, now: i64) {
        let mut before = std::mem::take(&mut self.routes);
        for (name, paths) in routes {
            let key = key_of(name);
            let mut memory = before.remove(&key).unwrap_or_default();
            memory.fields.retain(|path, _| paths.contains(&path.as_str()));
            for path in paths {
                memory.fields.entry(path.to_owned()).or_insert_with(|| FieldUse::since(now));
            }
            self.routes.insert(key, memory);
        }
    }

    /// Takes a disclosure; what it shows of the fields that the route discloses.
    pub fn see(&mut self, name: RouteName, event: &Event) -> Vec<Signal> {
        let Some(memory) = self.routes.get_mut(&key_of(name)) else { return Vec::new() };
        if !event.released {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (path, field) in &mut memory.fields {
            let is_in = |paths: &[&str]| paths.contains(&path.as_str());
            let (met, disclosed) = (is_in(&event.met), is_in(&event.fields));
            found.extend(field.see(path, met, disclosed, event.time));
        }
        let signal = |details| Signal {
            contractor: event.contractor.to_owned(),
            credential: None,
            task: event.task.map(str::to_owned),
            route: event.route.map(str::to_owned),
            details,
            requests: vec![event.id],
        };
        found.into_iter().map(signal).collect()
    }

    /// Takes the shape of an answer of a route's upstream; what is not as it was. `is_disclosed` says whether a
    /// rule discloses the values at a place.
    pub fn learn(
        &mut self,
        name: RouteName,
        shape: Node,
        now: i64,
        is_disclosed: impl Fn(&[Segment]) -> bool,
    ) -> Vec<Found> {
        let Some(memory) = self.routes.get_mut(&key_of(name)) else { return Vec::new() };
        memory.shape.learn(&self.key, shape, now, is_disclosed)
    }
}

/// The signal about a finding.
pub fn signal(name: RouteName, template: &str, request: RequestId, details: Details) -> Signal {
    Signal {
        contractor: name.contractor.to_owned(),
        credential: None,
        task: Some(name.task.to_owned()),
        route: Some(template.to_owned()),
        details,
        requests: vec![request],
    }
}

fn key_of(name: RouteName) -> String {
    let RouteName { contractor, task, route } = name;
    [contractor, task, route].join(" ")
}
