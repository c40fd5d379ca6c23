//! The shape of one route's answers, as far as samples showed it.
//!
//! A field is new where it was not there while the shape was learned. It is told once it was in several samples
//! and in most of those that had its object: a name that comes and goes, in an object whose names change from
//! answer to answer, is a value (of an object keyed by customers, say) and told nobody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::SubjectKey;
use crate::signals::thresholds::{CONFIRMED, LEARNED_SAMPLES, LEARNED_TIME, PATHS, SIBLINGS};

use super::shape::{Node, Segment, Types, written};

/// Times are in seconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// The first sample.
    began: i64,
    samples: u64,
    /// By the keyed hash of each path.
    paths: BTreeMap<String, Known>,
}

/// One path.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    types: u8,
    /// Samples that had it.
    seen: u64,
    /// Samples that had its parent before this was there.
    after: u64,
    /// Names that its object ever had.
    names: usize,
    /// There is nothing to tell of it any more.
    settled: bool,
}

/// What a sample shows that is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    New { path: Vec<Segment>, types: Vec<&'static str> },
    Retyped { path: Vec<Segment>, from: Vec<&'static str>, to: Vec<&'static str> },
}

/// One sample on its way into what is known.
struct Merge<'m, D> {
    learned: &'m mut Learned,
    key: &'m SubjectKey,
    is_learning: bool,
    is_disclosed: D,
    trail: Vec<Segment>,
    found: Vec<Found>,
}

/// What a place's parent is in this sample.
#[derive(Clone, Copy, Default)]
struct Parent {
    seen: u64,
    settled: bool,
    /// Its names change from sample to sample.
    varies: bool,
}

impl Learned {
    pub fn learn(
        &mut self,
        key: &SubjectKey,
        shape: Node,
        now: i64,
        is_disclosed: impl Fn(&[Segment]) -> bool,
    ) -> Vec<Found> {
        if self.samples == 0 || now < self.began {
            self.began = now;
        }
        self.samples += 1;
        let is_learning = self.samples <= LEARNED_SAMPLES || now.saturating_sub(self.began) < LEARNED_TIME;
        let mut merge =
            Merge { learned: self, key, is_learning, is_disclosed, trail: Vec::new(), found: Vec::new() };
        merge.take(shape, Parent { settled: true, ..Parent::default() });
        merge.found
    }
}

impl<D: Fn(&[Segment]) -> bool> Merge<'_, D> {
    fn take(&mut self, mut node: Node, parent: Parent) {
        let name = self.key.shape_name(&written('$', &self.trail));
        let before = self.learned.paths.get(&name).copied();
        if before.is_none() && self.learned.paths.len() >= PATHS {
            return;
        }
        let mut known = before.unwrap_or(Known {
            after: parent.seen.saturating_sub(1),
            // What a new object holds is told with it.
            settled: self.is_learning || !parent.settled,
            ..Known::default()
        });
        known.seen += 1;
        self.retyped(&known, node.types);
        known.types = Types(known.types).with(node.types).0;
        self.is_new(&mut known, parent);
        if known.names > SIBLINGS {
            node.anonymise();
        }
        known.names += self.unknown_names(&node);
        self.learned.paths.insert(name, known);
        let varies = known.names >= 4 && known.names > node.members.len() * 2;
        self.children(node, Parent { seen: known.seen, settled: known.settled, varies });
    }

    fn children(&mut self, node: Node, parent: Parent) {
        let members = node.members.into_iter().map(|(name, member)| (Segment::Name(name), member));
        let any = node.any.map(|any| (Segment::AnyName, *any));
        let element = node.element.map(|element| (Segment::Element, *element));
        for (segment, child) in members.chain(any).chain(element) {
            self.trail.push(segment);
            self.take(child, parent);
            self.trail.pop();
        }
    }

    fn unknown_names(&mut self, node: &Node) -> usize {
        let mut unknown = 0;
        for name in node.members.keys() {
            self.trail.push(Segment::Name(name.clone()));
            let hash = self.key.shape_name(&written('$', &self.trail));
            unknown += usize::from(!self.learned.paths.contains_key(&hash));
            self.trail.pop();
        }
        unknown
    }

    fn retyped(&mut self, known: &Known, types: Types) {
        let (from, to) = (Types(known.types).without(Types::NULL), types.without(Types(known.types)));
        let to = to.without(Types::NULL);
        let is_known = known.seen > LEARNED_SAMPLES && !self.is_learning && !from.is_empty();
        if is_known && !to.is_empty() && (self.is_disclosed)(&self.trail) {
            self.found.push(Found::Retyped { path: self.trail.clone(), from: from.names(), to: to.names() });
        }
    }

    fn is_new(&mut self, known: &mut Known, parent: Parent) {
        let most = known.seen * 2 >= parent.seen.saturating_sub(known.after);
        if known.settled || known.seen < CONFIRMED || !most || parent.varies {
            return;
        }
        known.settled = true;
        // What stands for names that are not shown, or for elements, is told with its object or list.
        if matches!(self.trail.last(), Some(Segment::Name(_))) {
            self.found.push(Found::New { path: self.trail.clone(), types: Types(known.types).names() });
        }
    }
}
