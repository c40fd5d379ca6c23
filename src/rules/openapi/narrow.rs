//! The schema of what leaves: the disclosed paths as a tree, typed by what the upstream's schema says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::filter::{Form, Origin, Path, Selection, Selector, Step, Transform, Treatment};

use super::document::{Document, Member, Node};

/// Of a subtree that is disclosed as a whole, so many levels are told.
const WHOLE_DEPTH: usize = 8;
const SCALARS: [&str; 4] = ["boolean", "null", "number", "string"];
/// What of a schema still holds for a value that leaves as it is. No words of the upstream's authors.
const KEPT: [&str; 8] =
    ["format", "enum", "const", "minLength", "maxLength", "pattern", "minimum", "maximum"];

/// The disclosed paths, as a tree.
#[derive(Default)]
struct Branch<'r> {
    names: BTreeMap<&'r str, Branch<'r>>,
    items: Option<Box<Branch<'r>>>,
    /// Members or elements that are not named.
    any: Option<Box<Branch<'r>>>,
    /// Something below it, at any depth.
    deep: bool,
    leaf: Option<&'r Treatment>,
}

/// What is known of the upstream's answers.
#[derive(Clone, Copy)]
pub(super) struct Known<'d> {
    pub document: &'d Document,
    /// Examples show some answers, and others may be different.
    pub is_example: bool,
}

/// The schema of a reduced answer.
pub(super) fn disclosed<'d>(selection: &Selection, known: Option<(Known<'d>, Node<'d>)>) -> Value {
    let mut tree = Branch::default();
    for (path, treatment) in &selection.disclose {
        let records = match (&selection.records, path.origin) {
            (Some(records), Origin::Record) => &records.steps[..],
            _ => &[],
        };
        let steps: Vec<&Step> = records.iter().chain(&path.steps).collect();
        tree.insert(&steps, records.len(), treatment);
    }
    write(&tree, known.as_ref().map(|(known, node)| (*known, node.clone())))
}

/// The schema of a request body: the members that are accepted.
pub(super) fn accepted<'d>(paths: &[Path], known: Option<(Known<'d>, Node<'d>)>) -> Value {
    let plain = Treatment::plain();
    let mut tree = Branch::default();
    for path in paths {
        tree.insert(&path.steps.iter().collect::<Vec<_>>(), 0, &plain);
    }
    write(&tree, known)
}

impl<'r> Branch<'r> {
    /// The first `records` steps lead to records, which are elements of a list.
    fn insert(&mut self, steps: &[&'r Step], records: usize, treatment: &'r Treatment) {
        let Some((step, rest)) = steps.split_first() else {
            self.leaf = Some(treatment);
            return;
        };
        if step.descendant {
            self.deep = true;
            return;
        }
        for selector in &step.selectors {
            let next = match selector {
                Selector::Name(name) => self.names.entry(name).or_default(),
                Selector::Index(_) | Selector::Slice { .. } => self.items.get_or_insert_default(),
                Selector::Wildcard | Selector::Filter(_) if records > 0 => self.items.get_or_insert_default(),
                Selector::Wildcard | Selector::Filter(_) => self.any.get_or_insert_default(),
            };
            next.insert(rest, records.saturating_sub(1), treatment);
        }
    }

    fn is_only_leaf(&self) -> bool {
        self.names.is_empty() && self.items.is_none() && self.any.is_none() && !self.deep
    }
}

type Place<'d> = Option<(Known<'d>, Node<'d>)>;

fn known_member<'d>(place: &Place<'d>, name: &str) -> Place<'d> {
    let (known, node) = place.as_ref()?;
    match node.member(known.document, name) {
        Member::Known(next) => Some((*known, next)),
        Member::Open | Member::Missing => None,
    }
}

fn known_items<'d>(place: &Place<'d>) -> Place<'d> {
    let (known, node) = place.as_ref()?;
    match node.items(known.document) {
        Member::Known(next) => Some((*known, next)),
        Member::Open | Member::Missing => None,
    }
}

fn write(branch: &Branch, place: Place) -> Value {
    let mut ways = Vec::new();
    if let Some(treatment) = branch.leaf {
        ways.push(leaf(treatment, &place));
    }
    if branch.leaf.is_none() || !branch.is_only_leaf() {
        ways.push(container(branch, &place));
    }
    either(ways)
}

fn either(mut ways: Vec<Value>) -> Value {
    match ways.len() {
        1 => ways.remove(0),
        _ => json!({ "anyOf": ways }),
    }
}

fn container(branch: &Branch, place: &Place) -> Value {
    let types = place.as_ref().map(|(_, node)| node.types()).unwrap_or_default();
    let mut schema = Map::new();
    let mut properties = Map::new();
    for (name, next) in &branch.names {
        properties.insert((*name).to_owned(), write(next, known_member(place, name)));
    }
    let mut items: Vec<Value> = branch.items.iter().map(|next| write(next, known_items(place))).collect();
    let mut open = branch.deep;
    if let Some(next) = &branch.any {
        let names = place.as_ref().map(|(_, node)| node.names()).unwrap_or_default();
        for name in &names {
            let Some(below) = known_member(place, name).filter(|below| may_leave(next, below)) else {
                continue;
            };
            let written = write(next, Some(below));
            let ways = properties.remove(*name).into_iter().chain([written]).collect();
            properties.insert((*name).to_owned(), either(ways));
        }
        if types.is_empty() || types.contains("array") {
            items.push(write(next, known_items(place)));
        }
        if names.is_empty() && !types.contains("array") {
            schema.insert("additionalProperties".into(), write(next, None));
        }
        open |= place.as_ref().is_some_and(|(known, _)| known.is_example) && !types.contains("array");
    }
    let is_object = !properties.is_empty() || (branch.any.is_none() && items.is_empty());
    if is_object && items.is_empty() {
        schema.insert("type".into(), "object".into());
    } else if !items.is_empty() && properties.is_empty() && (types.contains("array") || branch.any.is_none())
    {
        schema.insert("type".into(), "array".into());
    }
    if is_object {
        if !open && !schema.contains_key("additionalProperties") {
            schema.insert("additionalProperties".into(), false.into());
        }
        schema.insert("properties".into(), properties.into());
    }
    if !items.is_empty() {
        schema.insert("items".into(), either(items));
    }
    schema.into()
}

/// What a wildcard meets and is known to be of another kind stays, and so does its name.
fn may_leave(branch: &Branch, (known, node): &(Known, Node)) -> bool {
    let types = node.types();
    if types.is_empty() {
        return true;
    }
    let scalar = types.iter().any(|one| *one != "object" && *one != "array");
    let below = branch.names.keys().any(|name| !matches!(node.member(known.document, name), Member::Missing));
    match branch.leaf.map(|leaf| &leaf.form) {
        Some(Form::Whole) => true,
        Some(Form::Plain) => scalar || (types.contains("array") && !holds_objects(known, node)),
        Some(Form::Transformed(_)) => scalar,
        None => below || ((branch.any.is_some() || branch.items.is_some() || branch.deep) && !scalar),
    }
}

fn holds_objects(known: &Known, node: &Node) -> bool {
    match node.items(known.document) {
        Member::Known(items) => items.types().iter().all(|one| *one == "object") && !items.types().is_empty(),
        Member::Open | Member::Missing => false,
    }
}

fn leaf(treatment: &Treatment, place: &Place) -> Value {
    let (mut schema, mut words) = match &treatment.form {
        Form::Plain => (plain(place), Vec::new()),
        Form::Whole => (whole(place, WHOLE_DEPTH), vec!["with all that is below it".to_owned()]),
        Form::Transformed(transform) => {
            let mut schema = Map::from_iter([("type".to_owned(), json!("string"))]);
            let words = transformed(transform, &mut schema);
            schema.insert("x-fieldgate-transform".into(), transform.name().into());
            (schema, vec![words])
        }
    };
    if let (Form::Plain, Some(shape)) = (&treatment.form, &treatment.shape) {
        let types: BTreeSet<&str> = shape.types.iter().map(|one| one.as_str()).collect();
        if !types.is_empty() {
            schema.retain(|word, _| word == "format" || word == "enum");
            schema.insert("type".into(), one_or_many(&types));
        }
        if let Some(most) = shape.max_length {
            schema.insert("maxLength".into(), most.into());
        }
        if let Some(pattern) = &shape.pattern {
            schema.insert("pattern".into(), format!("^(?:{})$", pattern.as_str()).into());
        }
    }
    let scan = treatment.scan;
    let masked: Vec<&str> =
        [(scan.iban, "IBANs"), (scan.email, "e-mail addresses"), (scan.phone, "phone numbers")]
            .into_iter()
            .filter_map(|(is_masked, word)| is_masked.then_some(word))
            .collect();
    if !masked.is_empty() {
        schema.remove("pattern");
        words.push(format!("{} in it are masked", masked.join(", ")));
    }
    if !words.is_empty() {
        schema.insert("description".into(), sentence(&words.join("; ")).into());
    }
    schema.into()
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn one_or_many(types: &BTreeSet<&str>) -> Value {
    match types.len() {
        1 => types.iter().next().copied().into(),
        _ => types.iter().copied().collect::<Vec<_>>().into(),
    }
}

/// Scalars and lists of them.
fn plain(place: &Place) -> Map<String, Value> {
    let mut schema = scalar(place);
    let types = place.as_ref().map(|(_, node)| node.types()).unwrap_or_default();
    if types.is_empty() {
        schema.insert("type".into(), json!(["array", "boolean", "null", "number", "string"]));
        schema.insert("items".into(), json!({ "type": SCALARS }));
    } else if types.contains("array") {
        let mut all: BTreeSet<&str> = types.iter().copied().filter(|one| *one != "object").collect();
        all.extend(example_null(place));
        schema.insert("type".into(), one_or_many(&all));
        schema.insert("items".into(), scalar(&known_items(place)).into());
    }
    schema
}

fn example_null(place: &Place) -> Option<&'static str> {
    place.as_ref().filter(|(known, _)| known.is_example).map(|_| "null")
}

fn scalar(place: &Place) -> Map<String, Value> {
    let Some((_, node)) = place else { return Map::from_iter([("type".to_owned(), json!(SCALARS))]) };
    let mut schema = Map::new();
    let mut types: BTreeSet<&str> = node.types();
    types.retain(|one| *one != "object" && *one != "array");
    types.extend(example_null(place).filter(|_| !types.is_empty()));
    let types = if types.is_empty() { BTreeSet::from(SCALARS) } else { types };
    schema.insert("type".into(), one_or_many(&types));
    for word in KEPT {
        if let Some(value) = node.keyword(word) {
            schema.insert(word.into(), value.clone());
        }
    }
    schema
}

fn whole(place: &Place, depth: usize) -> Map<String, Value> {
    let Some((_, node)) = place.as_ref().filter(|_| depth > 0) else { return Map::new() };
    let types = node.types();
    if types.is_empty() {
        return Map::new();
    }
    let mut schema = Map::from_iter([("type".to_owned(), one_or_many(&types))]);
    if types.contains("object") {
        let member =
            |name: &&str| ((*name).to_owned(), Value::from(whole(&known_member(place, name), depth - 1)));
        let properties: Map<String, Value> = node.names().iter().map(member).collect();
        schema.insert("properties".into(), properties.into());
    }
    if types.contains("array") {
        schema.insert("items".into(), whole(&known_items(place), depth - 1).into());
    }
    schema
}

/// What a transform gives, in words; what of it a schema can say goes into `schema`.
fn transformed(transform: &Transform, schema: &mut Map<String, Value>) -> String {
    match transform {
        Transform::Last4 => {
            schema.insert("minLength".into(), 4.into());
            schema.insert("maxLength".into(), 4.into());
            "the last four letters or digits only".to_owned()
        }
        Transform::Mask { keep_first, keep_last } => {
            format!(
                "masked: the first {keep_first} and the last {keep_last} characters stay, each other one is *"
            )
        }
        Transform::Initials => "initials only".to_owned(),
        Transform::EmailDomain => "the domain of the e-mail address only".to_owned(),
        Transform::Year => {
            schema.insert("pattern".into(), "^[0-9]{4}$".into());
            "the year only".to_owned()
        }
        Transform::Truncate { length } => {
            schema.insert("maxLength".into(), (*length).into());
            format!("the first {length} characters only")
        }
        Transform::Pseudonym(_) => {
            "a pseudonym: always the same for the same value, and another one at each contractor".to_owned()
        }
        Transform::Redact => {
            schema.insert("const".into(), "[redacted]".into());
            "redacted: that there is a value, and nothing of it".to_owned()
        }
        Transform::RewriteUrl(_) => {
            schema.insert("format".into(), "uri-reference".into());
            "a link of this gateway".to_owned()
        }
    }
}
