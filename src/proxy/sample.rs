//! Now and then a copy of what an upstream sent, for its shape: taken beside the reduction, and looked at behind
//! the request.
//!
//! **Guarantees.** A request that is not sampled pays one look at a clock. At most one answer of each route in a
//! second is copied, 64 KiB of it, eight at once in all; where more wait, none is taken. A copy is overwritten
//! when it was looked at, and nothing of it but names and types comes out. **Must not** reach the contractor,
//! a file or the log. **Called by** `reduce` and `watch`.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::filter::{Path, Selector, Step};
use crate::model::RequestId;
use crate::rules::{FieldLabel, Route};
use crate::signals::drift::{Drift, Found, Node, RouteName, Segment, signal, written};
use crate::signals::thresholds::{SAMPLE_BYTES, SAMPLE_PAUSE, SAMPLES};
use crate::signals::{Details, Signal};

use super::authenticate::Caller;
use super::authorize::Permit;

/// Room for samples that are being taken or wait.
pub struct Sampler(Arc<Semaphore>);

/// The first bytes of an answer. No `Debug`.
pub struct Sample {
    bytes: Zeroizing<Vec<u8>>,
    _room: OwnedSemaphorePermit,
}

impl Sampler {
    pub fn new() -> Self {
        Sampler(Arc::new(Semaphore::new(SAMPLES)))
    }

    /// An empty sample, where one is due on this route and there is room. `announced` is the answer's size, 0
    /// where that is not known.
    pub fn begin(&self, permit: &Permit, announced: u64) -> Option<Box<Sample>> {
        if !permit.route().is_sample_due(SAMPLE_PAUSE) {
            return None;
        }
        let room = Arc::clone(&self.0).try_acquire_owned().ok()?;
        // It never grows: what it leaves behind would not be overwritten.
        let size = match usize::try_from(announced) {
            Ok(size @ 1..SAMPLE_BYTES) => size,
            _ => SAMPLE_BYTES,
        };
        Some(Box::new(Sample { bytes: Zeroizing::new(Vec::with_capacity(size)), _room: room }))
    }
}

impl Sample {
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = self.bytes.capacity() - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A sample on its way to what is known of its route.
pub struct Sampled {
    pub id: RequestId,
    pub caller: Caller,
    /// Index into the contractor's routes.
    pub route: usize,
    pub sample: Box<Sample>,
}

impl Sampled {
    /// What it shows that is not as it was.
    pub fn learn(self, drift: &mut Drift, now: i64) -> Vec<Signal> {
        let contractor = self.caller.contractor();
        let route = &contractor.routes[self.route];
        let name_of_route = route.methods_and_path();
        let name = RouteName {
            contractor: contractor.id.as_str(),
            task: contractor.tasks[route.task].id.as_str(),
            route: &name_of_route,
        };
        let shape = Node::of(&self.sample.bytes);
        drop(self.sample);
        let found = drift.learn(name, shape, now, |trail| disclosed_by(route, trail, 0..1).is_some());
        let template = route.template.as_str();
        found.into_iter().map(|found| signal(name, template, self.id, details(route, found))).collect()
    }
}

/// What it is, in the rule's words, and what to do about it.
fn details(route: &Route, found: Found) -> Details {
    match found {
        Found::New { path: trail, types } => {
            let path = in_rule(route, &trail);
            let disclosed_by = disclosed_by(route, &trail, 0..usize::MAX).map(|label| label.path.clone());
            let change = match &disclosed_by {
                Some(rule) => format!("it leaves by \"{rule}\": list what the task needs instead of it"),
                None if types.contains(&"object") => {
                    format!(
                        "it is withheld; if the task needs it, add its members to `disclose`, each by its path from \"{path}\" on"
                    )
                }
                None => format!("it is withheld; if the task needs it, add \"{path}\" to `disclose`"),
            };
            Details::NewUpstreamField { path, types, disclosed_by, change }
        }
        Found::Retyped { path: trail, from, to } => {
            let path = in_rule(route, &trail);
            let rule =
                disclosed_by(route, &trail, 0..1).map_or(path.as_str(), |label| &label.path).to_owned();
            let change = if to.contains(&"object") {
                format!("an object is withheld; list the members that the task needs instead of \"{rule}\"")
            } else {
                format!(
                    "if \"{rule}\" is still what the task needs, nothing; to hold it to its type, write {{ path = \"{rule}\", type = \"{}\" }}",
                    from[0]
                )
            };
            Details::FieldRetyped { path, from, to, change }
        }
    }
}

/// The path as the rule would write it: from `@` where it is in a record.
fn in_rule(route: &Route, trail: &[Segment]) -> String {
    let records = route.selection.records.as_ref();
    let records = records.filter(|path| path.steps.len() < trail.len());
    match records {
        Some(path) if selects(&path.steps, &trail[..path.steps.len()], &(0..1)) => {
            written('@', &trail[path.steps.len()..])
        }
        None if route.selection.records.is_none() => written('@', trail),
        _ => written('$', trail),
    }
}

/// The first field of the rule that selects this place, or one from which it is at most so many steps away.
fn disclosed_by<'r>(
    route: &'r Route,
    trail: &[Segment],
    away: std::ops::Range<usize>,
) -> Option<&'r FieldLabel> {
    let fields = route.selection.disclose.iter().zip(&route.fields);
    let selecting = |(path, label): &(&(Path, _), &FieldLabel)| {
        let steps = steps(route, &path.0);
        // Below what it selects, only a whole subtree leaves.
        let away = if label.treatment == Some("whole") { away.clone() } else { 0..1 };
        selects(&steps, trail, &away)
    };
    fields.into_iter().find(selecting).map(|(_, label)| label)
}

/// From the body on.
fn steps(route: &Route, path: &Path) -> Vec<Step> {
    let records = route.selection.records.as_ref().filter(|_| path.origin == crate::filter::Origin::Record);
    let records = records.map_or(&[][..], |records| &records.steps);
    records.iter().chain(&path.steps).cloned().collect()
}

fn selects(steps: &[Step], trail: &[Segment], away: &std::ops::Range<usize>) -> bool {
    let Some((step, rest)) = steps.split_first() else { return away.contains(&trail.len()) };
    let deepest = if step.descendant { trail.len() } else { trail.len().min(1) };
    (0..deepest).any(|at| {
        let taken = step.selectors.iter().any(|selector| takes(selector, &trail[at]));
        taken && selects(rest, &trail[at + 1..], away)
    })
}

fn takes(selector: &Selector, segment: &Segment) -> bool {
    match (selector, segment) {
        (Selector::Name(name), Segment::Name(known)) => name == known,
        (Selector::Wildcard | Selector::Filter(_), _)
        | (Selector::Index(_) | Selector::Slice { .. }, Segment::Element) => true,
        (Selector::Name(_) | Selector::Index(_) | Selector::Slice { .. }, _) => false,
    }
}
