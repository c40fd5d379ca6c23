//! Now and then a copy of what an upstream sent, for its shape: taken beside the reduction, and looked at behind
//! the request.
//!
//! **Guarantees.** A request that is not sampled pays one look at a clock. At most one answer of each route in a
//! second is copied, 64 KiB of it, eight at once in all; where more wait, none is taken. A copy is overwritten
//! when it was looked at, and nothing of it but names and types comes out. **Must not** reach the contractor,
//! a file or the log. **Called by** `reduce` and `observer`.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::filter::{Origin, Path, Selector, Step};
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

impl AsRef<[u8]> for Sample {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a sample shows that is not as it was.
pub fn learn(
    drift: &mut Drift,
    id: RequestId,
    (name, route): (RouteName, &Route),
    sample: impl AsRef<[u8]>,
    now: i64,
) -> Vec<Signal> {
    let shape = Node::of(sample.as_ref());
    drop(sample);
    let found = drift.learn(name, shape, now, |trail| disclosed_by(route, trail, 0..1).is_some());
    let template = route.template.as_str();
    let found = found.into_iter().filter_map(|found| details(route, found));
    found.map(|details| signal(name, template, id, details)).collect()
}

/// What it is, in the rule's words, and what to do about it; `None` where the rule has asked for it by name.
fn details(route: &Route, found: Found) -> Option<Details> {
    match found {
        Found::New { path, .. } if is_named(route, &path) => None,
        Found::New { path: trail, types } => {
            let path = in_rule(route, &trail);
            let disclosed_by = leaves_by(route, &trail, &types).map(|label| label.path.clone());
            let change = change_for_new(&path, &types, disclosed_by.as_deref());
            Some(Details::NewUpstreamField { path, types, disclosed_by, change })
        }
        Found::Retyped { path: trail, from, to } => {
            let path = in_rule(route, &trail);
            let rule = disclosed_by(route, &trail, 0..1).map_or(&*path, |label| &label.path);
            let change = change_for_retyped(rule, &from, &to);
            Some(Details::FieldRetyped { path, from, to, change })
        }
    }
}

fn change_for_new(path: &str, types: &[&str], disclosed_by: Option<&str>) -> String {
    let needed = "it is withheld; if the task needs";
    match disclosed_by {
        Some(rule) => format!("it leaves by \"{rule}\": list what the task needs instead of that"),
        None if types.contains(&"object") => {
            format!("{needed} members of it, add each to `disclose`, by its path from \"{path}\" on")
        }
        None => format!("{needed} it, add \"{path}\" to `disclose`"),
    }
}

fn change_for_retyped(rule: &str, from: &[&str], to: &[&str]) -> String {
    match from {
        _ if to.contains(&"object") => {
            format!("an object is withheld; list the members that the task needs instead of \"{rule}\"")
        }
        [one @ ("string" | "number" | "boolean")] => {
            format!("to withhold what is something else, write {{ path = \"{rule}\", type = \"{one}\" }}")
        }
        _ => format!("look whether \"{rule}\" is still what the task needs"),
    }
}

/// The rule's path by which a new field leaves.
fn leaves_by<'r>(route: &'r Route, trail: &[Segment], types: &[&str]) -> Option<&'r FieldLabel> {
    let label = disclosed_by(route, trail, 0..usize::MAX)?;
    let is_withheld = types == ["object"] && label.treatment != Some("whole");
    (!is_withheld).then_some(label)
}

/// A path of the rule names it, or names it on its way.
fn is_named(route: &Route, trail: &[Segment]) -> bool {
    let Some(Segment::Name(name)) = trail.last() else { return false };
    route.selection.disclose.iter().any(|(path, _)| {
        let steps = steps(route, path);
        let names = |step: &Step| step.selectors.contains(&Selector::Name(name.clone()));
        (1..=steps.len()).any(|end| names(&steps[end - 1]) && selects(&steps[..end], trail, &(0..1)))
    })
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
    let records = route.selection.records.as_ref().filter(|_| path.origin == Origin::Record);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{Country, SubjectKey};
    use crate::rules::{Plan, Surroundings, load};

    fn plan(route: &str) -> Plan {
        let sample = include_str!("../../rules/parcelco.toml");
        let head = &sample[..sample.find("[[task.route]]").unwrap()];
        let text = format!("{head}[[task.route]]\npath = \"/orders\"\nupstream = \"orders\"\n{route}\n");
        let surroundings = Surroundings {
            jurisdiction: Country::new("US").unwrap(),
            upstreams: BTreeMap::from([("orders".to_owned(), vec!["http://127.0.0.1:9001".to_owned()])]),
            pseudonym_key: SubjectKey::new(&[0; SubjectKey::LENGTH]),
            home: ".".into(),
            documents: BTreeMap::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("parcelco.toml"), text).unwrap();
        let loaded = load(folder.path(), &surroundings).unwrap();
        loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
    }

    /// `data[].customer` and the like.
    fn trail(text: &str) -> Vec<Segment> {
        let names = text.split('.').flat_map(|part| match part.strip_suffix("[]") {
            Some(name) => vec![Segment::Name(name.to_owned()), Segment::Element],
            None => vec![Segment::Name(part.to_owned())],
        });
        names.collect()
    }

    /// The path of a new field, and by what it leaves; nothing where the rule names it.
    fn new(rule: &str, place: &str, types: &[&'static str]) -> Option<(String, Option<String>)> {
        let plan = plan(rule);
        let found = Found::New { path: trail(place), types: types.to_vec() };
        match details(&plan.contractors[0].routes[0], found)? {
            Details::NewUpstreamField { path, disclosed_by, .. } => Some((path, disclosed_by)),
            other => panic!("{other:?}"),
        }
    }

    const PAGE: &str =
        "records = \"$.data[*]\"\ndisclose = [\"@.name\", \"@.lines[*]['sku','count']\", \"$.next\"]";

    #[test]
    fn a_new_field_is_named_as_its_rule_would_write_it() {
        let withheld = |path: &str| Some((path.to_owned(), None));
        assert_eq!(new(PAGE, "data[].customer.vat", &["string"]), withheld("@.customer.vat"));
        assert_eq!(new(PAGE, "data[].lines[].price", &["number"]), withheld("@.lines[*].price"));
        assert_eq!(new(PAGE, "total", &["number"]), withheld("$.total"));
        assert_eq!(new("disclose = [\"$.name\"]", "data[].vat", &["string"]), withheld("@.data[*].vat"));
    }

    #[test]
    fn what_the_rule_names_is_not_new_to_its_author() {
        for place in ["data[].name", "next", "data[].lines", "data[].lines[].sku", "data"] {
            assert_eq!(new(PAGE, place, &["string"]), None, "{place}");
        }
    }

    #[test]
    fn a_new_field_that_a_wildcard_or_a_subtree_lets_out_is_told_so() {
        let wide = "disclose = [\"@.status.*\", { path = \"@.address\", whole = true }, \"$.items..label\"]";
        let leaves = |path: &str, by: &str| Some((path.to_owned(), Some(by.to_owned())));
        assert_eq!(new(wide, "status.reason", &["string"]), leaves("@.status.reason", "@.status.*"));
        assert_eq!(new(wide, "status.reason", &["object"]), Some(("@.status.reason".into(), None)));
        assert_eq!(new(wide, "address.geo.lat", &["number"]), leaves("@.address.geo.lat", "@.address"));
        assert_eq!(new(wide, "status.reason.deep", &["string"]), Some(("@.status.reason.deep".into(), None)));
        assert_eq!(new(wide, "items.a.b.label", &["string"]), None);
    }

    #[test]
    fn a_change_fits_what_has_happened() {
        assert_eq!(
            change_for_retyped("@.n", &["string"], &["number"]),
            "to withhold what is something else, write { path = \"@.n\", type = \"string\" }"
        );
        assert!(change_for_retyped("@.n", &["string"], &["object"]).contains("instead of \"@.n\""));
        assert!(change_for_retyped("@.n", &["array"], &["string"]).starts_with("look whether"));
        assert!(change_for_new("@.n", &["object"], None).contains("members of it"));
        assert!(change_for_new("@.n", &["string"], Some("@.*")).contains("it leaves by \"@.*\""));
    }
}
