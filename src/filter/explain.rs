//! Why each value of a body leaves, stays or is changed: slow, complete, and held against what the filter
//! itself makes of the same body.

use std::cell::RefCell;
use std::sync::Arc;

use super::body::Body;
use super::path::{Origin, Path};
use super::query;
use super::scanner::Kind;
use super::treatment::{Form, Treatment, Written};
use super::tree::{NodeId, Tree};
use super::{Fault, Filter, Outcome, Selection};
use crate::model::{Admission, Subject};

/// What becomes of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// An object or array on the way to values.
    Container,
    /// It leaves as it is. The number is that of the field in [`Selection::disclose`].
    Kept(usize),
    /// This leaves in its place.
    Changed(usize, String),
    /// The transform takes no such value.
    Withheld(usize),
    /// It is not what the rule says that the field is.
    Drifted(usize),
    /// No path of the rule selects it.
    Unlisted,
    /// The record that it is in does not fulfil the condition.
    Condition,
    /// The customer whom the record is about is not let through, or it names nobody.
    NotAdmitted,
}

/// One value of a body, in the order of the text; a container comes before what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Containers around it.
    pub depth: usize,
    /// Its name, where it is a member.
    pub name: Option<String>,
    /// Its index, where it is an element.
    pub index: Option<u64>,
    /// Its text; of a container, the bracket that it begins with.
    pub text: String,
    pub fate: Fate,
}

/// A body and what becomes of it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// `None`: the body is one record, and its condition does not hold or its customer is not let through.
    pub reduced: Option<Vec<u8>>,
    pub values: Vec<Explained>,
}

/// Explains what `filter`, which was made from `selection`, does to a body of which those records leave whose
/// customers are let through.
///
/// # Errors
/// As [`Filter::reduce_for`].
pub fn explain(
    filter: &Filter,
    selection: &Selection,
    body: &[u8],
    admission: Option<Arc<dyn Admission>>,
) -> Result<Explanation, Fault> {
    let reduced = match filter.reduce_for(body, admission.clone())? {
        Outcome::Reduced { body, .. } => Some(body),
        Outcome::Withheld => None,
    };
    // The filter has accepted it.
    let text = std::str::from_utf8(body).map_err(|_| Fault::Shape)?;
    let patterns = RefCell::default();
    let body = Body::new(text, &patterns);
    let Some(tree) = body.tree() else { return Err(Fault::Shape) };
    let mut look = Look { tree, fields: Vec::new(), refused: Vec::new(), not_admitted: Vec::new() };
    look.mark(selection, admission.as_deref(), &body);
    let mut values = Vec::new();
    look.tell(tree.root(), 0, Above::default(), selection, &mut values);
    Ok(Explanation { reduced, values })
}

struct Look<'t, 'b> {
    tree: &'t Tree<'b>,
    /// Which field selects a node.
    fields: Vec<(NodeId, usize)>,
    /// Records whose condition does not hold.
    refused: Vec<NodeId>,
    /// Records whose customer is not let through.
    not_admitted: Vec<NodeId>,
}

/// What is known of what is around a node.
#[derive(Clone, Copy, Default)]
struct Above {
    /// The field that shows what is in there.
    field: Option<usize>,
    /// The field whose object this is in, where there should be a scalar.
    drifted: Option<usize>,
    /// Why the whole record stays.
    refused: Option<Refused>,
}

#[derive(Clone, Copy)]
enum Refused {
    Condition,
    NotAdmitted,
}

impl<'b> Look<'_, 'b> {
    fn mark<'r>(&mut self, selection: &'r Selection, admission: Option<&dyn Admission>, body: &Body<'r, 'b>) {
        let tree = self.tree;
        let root = tree.root();
        let select = |path: &'r Path, from| query::nodes(path, tree, from, body);
        let records = match &selection.records {
            Some(path) => select(path, root),
            None => vec![root],
        };
        if let Some(condition) = &selection.when {
            let refused = records.iter().filter(|record| !condition.holds_at(tree, **record, body));
            self.refused = refused.copied().collect();
        }
        let found = |record| {
            let path = selection.subject.as_ref()?;
            let from = if path.origin == Origin::Body { root } else { record };
            self.subject(*query::nodes(path, tree, from, body).first()?)
        };
        let is_admitted = |record: &NodeId| match admission {
            Some(admission) => admission.admits(found(*record).as_deref().map(Subject::new)),
            None => !selection.needs_admission,
        };
        self.not_admitted = records.iter().filter(|record| !is_admitted(record)).copied().collect();
        for (field, (path, _)) in selection.disclose.iter().enumerate() {
            let origins = if path.origin == Origin::Body { &[root][..] } else { &records };
            for origin in origins {
                self.fields.extend(select(path, *origin).into_iter().map(|node| (node, field)));
            }
        }
    }

    /// A customer's name, as the filter reads it.
    fn subject(&self, node: NodeId) -> Option<String> {
        let json = self.tree.json(node);
        let id = match self.tree.kind(node) {
            Kind::String => serde_json::from_str(json).ok()?,
            Kind::Number => json.to_owned(),
            Kind::Object | Kind::Array | Kind::Bool | Kind::Null => return None,
        };
        Some(id).filter(|id: &String| !id.is_empty())
    }

    /// Why a record stays, if the node is one that does.
    fn refusal(&self, node: NodeId) -> Option<Refused> {
        if self.refused.contains(&node) {
            return Some(Refused::Condition);
        }
        self.not_admitted.contains(&node).then_some(Refused::NotAdmitted)
    }

    /// Tells of a node and of all that is in it.
    fn tell(
        &self,
        node: NodeId,
        depth: usize,
        above: Above,
        selection: &Selection,
        values: &mut Vec<Explained>,
    ) {
        let refused = above.refused.or_else(|| self.refusal(node));
        let treatment = |field: usize| &selection.disclose[field].1;
        let own = self.fields.iter().filter(|(known, _)| *known == node).map(|(_, field)| *field);
        // Where several paths select it, they agree, or one shows the whole.
        let own = own.max_by_key(|field| treatment(*field).form == Form::Whole);
        let is_whole = |field: usize| treatment(field).form == Form::Whole;
        let field = above.field.filter(|field| is_whole(*field)).or(own).or(above.field);
        let kind = self.tree.kind(node);
        let is_container = matches!(kind, Kind::Object | Kind::Array);
        let fate = match (refused, field) {
            (Some(Refused::Condition), _) => Fate::Condition,
            (Some(Refused::NotAdmitted), _) => Fate::NotAdmitted,
            (None, field) => self.fate(node, field, above, selection),
        };
        let below = Above {
            // A plain list shows its scalars.
            field: field.filter(|field| fate == Fate::Container && (is_whole(*field) || kind == Kind::Array)),
            drifted: if let Fate::Drifted(field) = fate { Some(field) } else { above.drifted },
            refused,
        };
        let bracket = if kind == Kind::Object { "{" } else { "[" };
        let text = if is_container { bracket } else { self.tree.json(node) }.to_owned();
        values.push(Explained {
            depth,
            name: self.tree.name(node).map(str::to_owned),
            index: None,
            text,
            fate,
        });
        for (index, child) in (0..).zip(self.tree.children(node)) {
            let next = values.len();
            self.tell(child, depth + 1, below, selection, values);
            values[next].index = (kind == Kind::Array).then_some(index);
        }
    }

    /// Of a node whose record may leave.
    fn fate(&self, node: NodeId, field: Option<usize>, above: Above, selection: &Selection) -> Fate {
        let is_container = matches!(self.tree.kind(node), Kind::Object | Kind::Array);
        let treatment = |field: usize| &selection.disclose[field].1;
        match field {
            Some(field) if is_container && treatment(field).form == Form::Whole => Fate::Container,
            Some(field) if is_container => self.of_container(node, field, above, treatment(field)),
            Some(field) => self.of_scalar(node, field, treatment(field)),
            None if is_container => Fate::Container,
            None => above.drifted.map_or(Fate::Unlisted, Fate::Drifted),
        }
    }

    fn of_container(&self, node: NodeId, field: usize, above: Above, treatment: &Treatment) -> Fate {
        // A list in a list that a path shows is not a scalar, unless a path selects it too.
        let selected = self.fields.iter().any(|(known, _)| *known == node);
        let list = self.tree.kind(node) == Kind::Array && (selected || above.field.is_none());
        match (&treatment.form, list) {
            (Form::Plain, true) => Fate::Container,
            (Form::Plain, false) => Fate::Drifted(field),
            _ => Fate::Withheld(field),
        }
    }

    fn of_scalar(&self, node: NodeId, field: usize, treatment: &Treatment) -> Fate {
        let token = self.tree.json(node);
        let (mut out, escaped) = (Vec::new(), token.contains('\\'));
        match treatment.write(&mut out, self.tree.kind(node), token.as_bytes(), escaped) {
            Ok(Written::Disclosed(_)) if out == token.as_bytes() => Fate::Kept(field),
            Ok(Written::Disclosed(_)) => Fate::Changed(field, String::from_utf8_lossy(&out).into_owned()),
            Ok(Written::Drifted) => Fate::Drifted(field),
            Ok(Written::Withheld) | Err(_) => Fate::Withheld(field),
        }
    }
}

impl Explanation {
    /// The values that leave, in the order of the text: what the reduced body must hold, and nothing else.
    pub fn leaving(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter_map(|value| match &value.fate {
            Fate::Kept(_) => Some(value.text.as_str()),
            Fate::Changed(_, to) => Some(to.as_str()),
            Fate::Container
            | Fate::Withheld(_)
            | Fate::Drifted(_)
            | Fate::Unlisted
            | Fate::Condition
            | Fate::NotAdmitted => None,
        })
    }
}
