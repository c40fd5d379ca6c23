//! Conditions decided by hand (RFC 9535, section 2.3.5): jsonpath-rust and serde_json_path both differ from
//! the RFC where an operand is missing or is a container, and where filters are nested.
//!
//! `None`: not certain, since a name occurs twice, a string holds a lone surrogate, or a number is beyond
//! every range. The whole condition is then uncertain, and so neither holds nor does its opposite.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use jsonpath_rust::parser::{model::JpQuery, parse_json_path};
use jsonpath_rust::query::js_path_process;

use super::rule::{Operand, Query, Selector, Step, Test};
use super::tree::{Kind, Node};

/// What `@` and `$` are.
#[derive(Clone, Copy)]
pub struct Scene<'n> {
    pub current: &'n Node,
    pub body: &'n Node,
    /// Names that occur twice make a query uncertain; otherwise they have refused the body already.
    pub doubts: bool,
}

struct Nodes<'n> {
    list: Vec<&'n Node>,
    /// There could be more.
    unclear: bool,
}

#[derive(PartialEq)]
enum Meaning {
    Nothing,
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Array(Vec<Meaning>),
    Object(BTreeMap<String, Meaning>),
}

/// 0.DIGITS × 10^point, without leading or trailing zeros.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

pub fn decide(test: &Test, scene: Scene) -> Option<bool> {
    Some(match test {
        Test::Exists(query) => {
            let nodes = look(query, scene);
            (!nodes.list.is_empty() || !nodes.unclear).then_some(!nodes.list.is_empty())?
        }
        Test::Compare(left, operator, right) => {
            let (left, right) = (value(left, scene)?, value(right, scene)?);
            let order = order(&left, &right);
            match *operator {
                "==" => left == right,
                "!=" => left != right,
                "<" => order == Some(Ordering::Less),
                ">" => order == Some(Ordering::Greater),
                "<=" => order == Some(Ordering::Less) || left == right,
                _ => order == Some(Ordering::Greater) || left == right,
            }
        }
        Test::Matches(function, query, pattern) => {
            let pattern =
                if *function == "match" { format!("^(?:{pattern})$") } else { (*pattern).to_owned() };
            let regex = regex::Regex::new(&pattern).unwrap();
            matches!(only(query, scene)?, Meaning::Text(text) if regex.is_match(&text))
        }
        Test::Not(inner) => !decide(inner, scene)?,
        Test::Both(left, right) => decide(left, scene)? & decide(right, scene)?,
        Test::Either(left, right) => decide(left, scene)? | decide(right, scene)?,
    })
}

fn value(operand: &Operand, scene: Scene) -> Option<Meaning> {
    let count = |count: usize| Decimal::read(&count.to_string()).map(Meaning::Number);
    match operand {
        Operand::Literal(text) => meaning(&Node::parse(text.replace('\'', "\"").as_bytes()).unwrap()),
        Operand::Path(query) | Operand::Function("value", query) => only(query, scene),
        Operand::Function("count", query) => {
            let nodes = look(query, scene);
            (!nodes.unclear).then_some(())?;
            count(nodes.list.len())
        }
        Operand::Function(_, query) => match one(query, scene)? {
            Some(node) if node.is_container() => {
                (node.kind == Kind::Array || node.is_clear()).then_some(())?;
                count(node.children.len())
            }
            Some(node) => match meaning(node) {
                Some(Meaning::Text(text)) => count(text.chars().count()),
                // The length of a number is nothing, whatever the number is.
                None if node.kind == Kind::String => None,
                _ => Some(Meaning::Nothing),
            },
            None => Some(Meaning::Nothing),
        },
    }
}

/// The value of the one node.
fn only(query: &Query, scene: Scene) -> Option<Meaning> {
    one(query, scene)?.map_or(Some(Meaning::Nothing), meaning)
}

fn one<'n>(query: &Query, scene: Scene<'n>) -> Option<Option<&'n Node>> {
    let nodes = look(query, scene);
    match nodes.list[..] {
        [_, _, ..] => Some(None),
        _ if nodes.unclear => None,
        [one] => Some(Some(one)),
        [] => Some(None),
    }
}

fn look<'n>(query: &Query, scene: Scene<'n>) -> Nodes<'n> {
    let from = if query.origin == '$' { scene.body } else { scene.current };
    let mut nodes = Nodes { list: vec![from], unclear: false };
    for step in &query.steps {
        let places = |node: &'n Node| if step.descendant { node.below() } else { vec![Vec::new()] };
        let from: Vec<_> = nodes
            .list
            .iter()
            .flat_map(|node| places(node).into_iter().map(|place| node.at(&place)))
            .collect();
        nodes.list.clear();
        for node in from {
            if scene.doubts && node.kind == Kind::Object && step.meets_objects() && !node.is_clear() {
                nodes.unclear = true;
                continue;
            }
            let (children, unclear) = children(step, node, scene.body);
            nodes.list.extend(children.into_iter().map(|child| &node.children[child].node));
            nodes.unclear |= unclear;
        }
    }
    nodes
}

/// The children that a step takes, one for each selector that takes it; and whether a filter is uncertain.
pub fn children(step: &Step, node: &Node, body: &Node) -> (Vec<usize>, bool) {
    let mut unclear = false;
    let mut taken = Vec::new();
    for selector in &step.selectors {
        let Selector::Filter(test) = selector else {
            taken.extend(selected(selector, node));
            continue;
        };
        for (at, child) in node.children.iter().enumerate() {
            match decide(test, Scene { current: &child.node, body, doubts: true }) {
                Some(holds) => taken.extend(holds.then_some(at)),
                None => unclear = true,
            }
        }
    }
    (taken, unclear)
}

thread_local! {
    static PARSED: RefCell<HashMap<String, JpQuery>> = RefCell::default();
}

/// By jsonpath-rust's normalised paths: `$['a']`, `$[0]`.
fn selected(selector: &Selector, node: &Node) -> Vec<usize> {
    PARSED.with_borrow_mut(|parsed| {
        let text = format!("$[{}]", selector.text());
        let query = parsed.entry(text).or_insert_with_key(|text| parse_json_path(text).unwrap());
        let found = js_path_process(query, &node.skeleton).unwrap();
        let keys = found.iter().map(|found| &found.path[2..found.path.len() - 1]);
        keys.map(|key| match key.strip_prefix('\'') {
            Some(name) => node.position(name.strip_suffix('\'').unwrap()),
            None => key.parse().unwrap(),
        })
        .collect()
    })
}

fn meaning(node: &Node) -> Option<Meaning> {
    Some(match node.kind {
        Kind::Null => Meaning::Null,
        Kind::Bool => Meaning::Bool(node.raw == "true"),
        Kind::Number => Meaning::Number(Decimal::read(&node.raw)?),
        Kind::String => Meaning::Text(node.text()?),
        Kind::Array => {
            Meaning::Array(node.children.iter().map(|child| meaning(&child.node)).collect::<Option<_>>()?)
        }
        Kind::Object => {
            node.is_clear().then_some(())?;
            let member = |child: &super::tree::Child| Some((child.name.clone()?, meaning(&child.node)?));
            Meaning::Object(node.children.iter().map(member).collect::<Option<_>>()?)
        }
    })
}

fn order(left: &Meaning, right: &Meaning) -> Option<Ordering> {
    match (left, right) {
        (Meaning::Number(a), Meaning::Number(b)) => Some(a.order(b)),
        (Meaning::Text(a), Meaning::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

impl Decimal {
    fn read(text: &str) -> Option<Decimal> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let trimmed = digits.trim_start_matches('0');
        if trimmed.is_empty() {
            return Some(Decimal { negative: false, digits: String::new(), point: 0 });
        }
        let leading = digits.len() - trimmed.len();
        let point = exponent.parse::<i64>().ok()?.checked_add(whole.len() as i64 - leading as i64)?;
        Some(Decimal { negative, digits: trimmed.trim_end_matches('0').to_owned(), point })
    }

    fn order(&self, other: &Decimal) -> Ordering {
        let sign = |number: &Decimal| match number.digits.is_empty() {
            true => 0,
            false => 1 - 2 * i32::from(number.negative),
        };
        let size = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
        let size = if self.negative { size.reverse() } else { size };
        sign(self).cmp(&sign(other)).then(if self.digits.is_empty() { Ordering::Equal } else { size })
    }
}
