//! What the filter should do, the slow and obvious way: parse to a tree, find each value that each path
//! leads to, rebuild what may stay. It keeps every byte as it is written.

#![allow(dead_code, reason = "the tests and the fuzz targets each use a part of it")]

mod decide;
pub mod generate;
pub mod rule;
pub mod run;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use fieldgate::filter::{Fault, FieldCount, Tally, Verdict};

pub use tree::Node;

use decide::Scene;
use rule::{Query, Rule, Step};
use tree::Kind;

/// Child by child from the root of the body.
type Place = Vec<usize>;

#[derive(Debug, PartialEq)]
pub enum Expected {
    Reduced {
        body: Vec<u8>,
        tally: Tally,
    },
    Withheld(Tally),
    /// Nothing of it is what the rule's paths begin with.
    Nothing,
    Refused(Reasons),
}

/// Why a body has no one meaning; the filter names the reason that it comes upon first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    pub duplicate: bool,
    pub lone_surrogate: bool,
}

/// What the rule says about one value.
#[derive(Default)]
struct Note {
    /// The fields that the value belongs to.
    fields: BTreeSet<usize>,
    /// A container that a path to a field goes through.
    open: bool,
    /// It stays although nothing in it does.
    stays: bool,
    record: bool,
}

impl Expected {
    pub fn agrees(&self, found: &Result<run::Reduced, Fault>) -> bool {
        match (self, found) {
            (Expected::Reduced { body, tally }, Ok((Verdict::Reduced, other, counts))) => {
                body == other && run::Counts::from(tally.clone()) == *counts
            }
            (Expected::Withheld(tally), Ok((Verdict::Withheld, body, counts))) => {
                body.is_empty() && run::Counts::from(tally.clone()) == *counts
            }
            (Expected::Nothing, Err(Fault::Shape)) => true,
            (Expected::Refused(reasons), Err(Fault::Duplicate)) => reasons.duplicate,
            (Expected::Refused(reasons), Err(Fault::LoneSurrogate)) => reasons.lone_surrogate,
            _ => false,
        }
    }
}

struct Reference<'d> {
    body: &'d Node,
    rule: &'d Rule,
    notes: BTreeMap<Place, Note>,
    reasons: Reasons,
    tally: Tally,
    withheld: bool,
}

/// What becomes of a body that is JSON.
pub fn reduce(body: &Node, rule: &Rule) -> Expected {
    let mut reference = Reference {
        body,
        rule,
        notes: BTreeMap::new(),
        reasons: Reasons::default(),
        tally: Tally { fields: vec![FieldCount::default(); rule.disclose.len()], ..Tally::default() },
        withheld: false,
    };
    reference.note();
    let body = reference.rebuild(&Place::new());
    match body {
        _ if reference.reasons != Reasons::default() => Expected::Refused(reference.reasons),
        _ if reference.withheld => Expected::Withheld(reference.tally),
        _ if rule.disclose.is_empty() => Expected::Reduced { body: b"{}".to_vec(), tally: reference.tally },
        Some(body) => Expected::Reduced { body: body.into_bytes(), tally: reference.tally },
        None => Expected::Nothing,
    }
}

impl<'d> Reference<'d> {
    fn note(&mut self) {
        let rule = self.rule;
        let discloses_records = rule.disclose.iter().any(|(query, _)| query.origin == '@');
        let records = match &rule.records {
            Some(query) => self.follow(&Place::new(), query, discloses_records),
            None => BTreeSet::from([Place::new()]),
        };
        for record in &records {
            self.notes.entry(record.clone()).or_default().record = true;
            for query in rule.when.iter().filter(|when| when.is_in_one_pass()).flat_map(|when| when.queries())
            {
                self.follow(record, query, false);
            }
            if let Some(query) = &rule.subject {
                self.follow(record, query, false);
            }
        }
        for (field, (query, _)) in rule.disclose.iter().enumerate() {
            let bases = if query.origin == '@' { records.clone() } else { BTreeSet::from([Place::new()]) };
            for base in bases {
                for place in self.follow(&base, query, true) {
                    self.leaf(place, field);
                }
            }
        }
    }

    /// Where a path leads to from one value; notes the containers on its way.
    fn follow(&mut self, base: &Place, query: &Query, discloses: bool) -> BTreeSet<Place> {
        let mut places = BTreeSet::from([base.clone()]);
        for step in &query.steps {
            let mut next = BTreeSet::new();
            for place in &places {
                let below = if step.descendant { self.body.at(place).below() } else { vec![Place::new()] };
                for inner in below {
                    let at = [&place[..], &inner[..]].concat();
                    self.on_the_way(&at, step, discloses, inner.is_empty());
                    let (children, _) = decide::children(step, self.body.at(&at), self.body);
                    next.extend(children.into_iter().map(|child| [&at[..], &[child]].concat()));
                }
            }
            places = next;
        }
        places
    }

    /// A step starts from here: `named` by the path, or come upon by a search.
    fn on_the_way(&mut self, place: &Place, step: &Step, discloses: bool, named: bool) {
        let node = self.body.at(place);
        let meets = match node.kind {
            Kind::Object => step.descendant || step.meets_objects(),
            Kind::Array => step.descendant || step.meets_arrays(),
            _ => false,
        };
        if discloses && meets {
            let note = self.notes.entry(place.clone()).or_default();
            note.open = true;
            note.stays |= named;
        }
        if node.kind == Kind::Object {
            self.reasons.duplicate |= node.duplicates().iter().any(|name| step.looks_at(Some(name)));
            self.reasons.lone_surrogate |= node.has_unreadable_name() && step.looks_at(None);
        }
    }

    /// A field's path ends here.
    fn leaf(&mut self, place: Place, field: usize) {
        let node = self.body.at(&place);
        let kind = self.rule.disclose[field].1;
        if kind == rule::Kind::Whole {
            for inner in node.below() {
                let node = node.at(&inner);
                let note = self.notes.entry([&place[..], &inner[..]].concat()).or_default();
                note.fields.insert(field);
                note.open |= node.is_container();
                note.stays |= node.is_container();
                self.reasons.duplicate |= !node.duplicates().is_empty();
                self.reasons.lone_surrogate |= node.has_unreadable_name();
            }
            return;
        }
        if kind.is_plain() && node.kind == Kind::Array {
            for at in 0..node.children.len() {
                self.notes.entry([&place[..], &[at]].concat()).or_default().fields.insert(field);
            }
        }
        let note = self.notes.entry(place).or_default();
        note.fields.insert(field);
        note.open |= kind.is_plain() && node.kind == Kind::Array;
        note.stays |= kind.is_plain() && node.kind == Kind::Array;
    }

    fn rebuild(&mut self, place: &Place) -> Option<String> {
        let body = self.body;
        let node = body.at(place);
        let before = self.tally.clone();
        let is_record = self.notes.get(place).is_some_and(|note| note.record);
        let kept = if node.is_container() { self.container(place, node) } else { self.scalar(place, node) };
        if !is_record {
            return kept;
        }
        let holds = |when: &rule::Test| {
            let doubts = !when.is_in_one_pass();
            decide::decide(when, Scene { current: node, body, doubts }).unwrap_or(false)
        };
        if !self.rule.when.as_ref().is_none_or(holds) {
            self.tally = before;
            self.tally.records_withheld += 1;
            self.withheld |= place.is_empty();
            return None;
        }
        if kept.is_some() {
            self.tally.records_released += 1;
            self.subject(place);
        }
        kept
    }

    /// A string and a number name a customer.
    fn subject(&mut self, record: &Place) {
        let query = self.rule.subject.as_ref();
        let found = query.and_then(|query| self.follow(record, query, false).pop_first());
        let node = found.map(|place| self.body.at(&place));
        let id = match node.map(|node| node.kind) {
            Some(Kind::String) => node.and_then(Node::text),
            Some(Kind::Number) => node.map(|node| node.raw.clone()),
            _ => Some(String::new()),
        };
        match id {
            Some(id) if !id.is_empty() => self.tally.subjects.push(&id),
            Some(_) => self.tally.without_subject += 1,
            None => self.reasons.lone_surrogate = true,
        }
    }

    fn container(&mut self, place: &Place, node: &Node) -> Option<String> {
        let (open, stays) = self.notes.get(place).map_or((false, false), |note| (note.open, note.stays));
        let mut parts = Vec::new();
        for (at, child) in node.children.iter().enumerate() {
            let inner = [&place[..], &[at]].concat();
            let value = self.rebuild(&inner);
            let is_record = self.notes.get(&inner).is_some_and(|note| note.record);
            match value {
                Some(value) if node.kind == Kind::Object => parts.push(format!("{}:{value}", child.raw_name)),
                Some(value) => parts.push(value),
                None => self.tally.members_withheld += u64::from(open && !is_record),
            }
        }
        let kept = open && (stays || !parts.is_empty());
        if let Some((field, kind)) = self.field(place) {
            let count = &mut self.tally.fields[field];
            match kind {
                rule::Kind::Whole => count.disclosed += 1,
                _ if kind.is_plain() && node.kind == Kind::Array && kept => {}
                _ => (count.withheld, count.drifted) = (count.withheld + 1, count.drifted + 1),
            }
        }
        let parts = parts.join(",");
        kept.then(|| if node.kind == Kind::Object { format!("{{{parts}}}") } else { format!("[{parts}]") })
    }

    fn scalar(&mut self, place: &Place, node: &Node) -> Option<String> {
        let (field, kind) = self.field(place)?;
        let fits = fits(kind, node);
        let written = if fits { self.written(kind, node) } else { None };
        let count = &mut self.tally.fields[field];
        count.drifted += u64::from(!fits);
        count.withheld += u64::from(written.is_none());
        count.disclosed += u64::from(written.is_some());
        written
    }

    /// The field that counts the value: the first of those that let most of it out.
    fn field(&self, place: &Place) -> Option<(usize, rule::Kind)> {
        let fields = self.notes.get(place).into_iter().flat_map(|note| &note.fields);
        let all: Vec<_> = fields.map(|field| (*field, self.rule.disclose[*field].1)).collect();
        all.iter().find(|(_, kind)| *kind == rule::Kind::Whole).or(all.first()).copied()
    }

    fn written(&mut self, kind: rule::Kind, node: &Node) -> Option<String> {
        let text = (node.kind == Kind::String).then(|| node.text());
        let quoted = |text: String| serde_json::to_string(&text).unwrap();
        match (kind, text) {
            (rule::Kind::Last4, Some(Some(text))) => {
                let letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
                let last = letters.len().checked_sub(4).filter(|at| *at > 0)?;
                Some(quoted(letters[last..].iter().collect()))
            }
            (rule::Kind::Truncate, Some(Some(text))) => Some(quoted(text.chars().take(2).collect())),
            (rule::Kind::Redact, Some(Some(_))) => Some(quoted("[redacted]".to_owned())),
            (rule::Kind::Redact, None) if node.kind != Kind::Null => Some(quoted("[redacted]".to_owned())),
            (rule::Kind::Last4 | rule::Kind::Truncate | rule::Kind::Redact, _) => None,
            (_, Some(None)) => {
                self.reasons.lone_surrogate = true;
                None
            }
            _ => Some(node.raw.clone()),
        }
    }
}

/// What the rule says that the field is.
fn fits(kind: rule::Kind, node: &Node) -> bool {
    let text = match node.kind {
        Kind::String => node.text(),
        Kind::Number => Some(node.raw.clone()),
        _ => None,
    };
    match kind {
        rule::Kind::Typed(types) => types.iter().any(|one| {
            use fieldgate::filter::Type;
            match one {
                Type::String => node.kind == Kind::String,
                Type::Number => node.kind == Kind::Number,
                Type::Integer => node.kind == Kind::Number && !node.raw.contains(['.', 'e', 'E']),
                Type::Boolean => node.kind == Kind::Bool,
                Type::Null => node.kind == Kind::Null,
            }
        }),
        rule::Kind::Short(most) => match text {
            Some(text) => text.chars().count() as u64 <= most,
            None => node.kind != Kind::String,
        },
        rule::Kind::Matching(pattern) => {
            let regex = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            text.is_some_and(|text| regex.is_match(&text))
        }
        _ => true,
    }
}
