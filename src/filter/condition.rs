//! `when`: an RFC 9535 logical expression over one record, decided from operands that the pass over
//! the bytes captured on its way.

use std::cmp::Ordering;

use jsonpath_rust::parser::model as parsed;
use jsonpath_rust::parser::parse_json_path;
use regex::Regex;

use super::path::{self, Origin, Path, PathError};
use super::scanner::Kind;
use super::value::{self, Decimal, Value};
use super::{iregexp, syntax};

/// A compiled condition. Each of its queries has a slot; the projection fills the slots.
#[derive(Debug, Clone)]
pub struct Condition {
    expression: Expression,
    queries: Vec<Path>,
}

#[derive(Debug, Clone)]
enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Exists(usize),
    Compare(Operator, Operand, Operand),
    Matches(Operand, Regex),
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone)]
enum Operand {
    /// JSON text.
    Literal(String),
    /// The value of a singular query, or of `value()`: a node list of one.
    Value(usize),
    Length(Box<Operand>),
    Count(usize),
}

/// What the pass over a record found for one query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    pub count: u64,
    /// The first node's bytes.
    pub first: Option<Found>,
}

/// One captured value.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl PartialEq for Condition {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Condition {
    /// Parses a logical expression.
    ///
    /// # Errors
    /// Where the text is not RFC 9535, is not well typed (section 2.4.3), or cannot be decided in
    /// one pass.
    pub fn parse(text: &str) -> Result<Condition, PathError> {
        // White space around an expression is its own (RFC 9535, section 2.3.5.1).
        let trimmed = text.trim_start_matches(syntax::SPACE);
        let before = text.len() - trimmed.len();
        Condition::parse_trimmed(trimmed.trim_end_matches(syntax::SPACE))
            .map_err(|error| PathError { offset: error.offset + before, ..error })
    }

    fn parse_trimmed(text: &str) -> Result<Condition, PathError> {
        const BEFORE: &str = "$[?";
        syntax::check(text)?;
        let query = parse_json_path(&format!("{BEFORE}{text}]"))
            .map_err(|error| path::parser_error(&error, BEFORE.len()))?;
        // More than one selector would mean that the text closed the bracket itself.
        let [parsed::Segment::Selector(parsed::Selector::Filter(filter))] = &query.segments[..] else {
            return Err(PathError::new(0, "is not one logical expression"));
        };
        let mut queries = Vec::new();
        let expression = logical(filter, &mut queries)?;
        Ok(Condition { expression, queries })
    }

    /// The queries whose results the condition needs, in slot order.
    pub fn queries(&self) -> &[Path] {
        &self.queries
    }

    /// Decides. `slots` are the queries' results within `body`.
    ///
    /// What cannot be decided for certain (a number beyond every range, a lone surrogate) is false
    /// as a whole: the record is withheld.
    pub fn holds(&self, body: &[u8], slots: &[Slot]) -> bool {
        decide(&self.expression, &Operands { body, slots }).unwrap_or(false)
    }
}

fn logical(filter: &parsed::Filter, queries: &mut Vec<Path>) -> Result<Expression, PathError> {
    let mut all = |parts: &[parsed::Filter]| {
        parts.iter().map(|part| logical(part, queries)).collect::<Result<Vec<_>, _>>()
    };
    match filter {
        parsed::Filter::Or(parts) => Ok(Expression::Or(all(parts)?)),
        parsed::Filter::And(parts) => Ok(Expression::And(all(parts)?)),
        parsed::Filter::Atom(atom) => self::atom(atom, queries),
    }
}

fn atom(atom: &parsed::FilterAtom, queries: &mut Vec<Path>) -> Result<Expression, PathError> {
    let (expression, not) = match atom {
        parsed::FilterAtom::Filter { expr, not } => (logical(expr, queries)?, *not),
        parsed::FilterAtom::Test { expr, not } => (test(expr, queries)?, *not),
        parsed::FilterAtom::Comparison(comparison) => (compare(comparison, queries)?, false),
    };
    Ok(if not { Expression::Not(Box::new(expression)) } else { expression })
}

fn test(test: &parsed::Test, queries: &mut Vec<Path>) -> Result<Expression, PathError> {
    match test {
        parsed::Test::RelQuery(segments) => Ok(Expression::Exists(query(segments, queries)?)),
        parsed::Test::AbsQuery(_) => Err(body_path()),
        parsed::Test::Function(function) => match &**function {
            parsed::TestFunction::Match(value, pattern) => regex(value, pattern, true, queries),
            parsed::TestFunction::Search(value, pattern) => regex(value, pattern, false, queries),
            _ => Err(PathError::new(
                0,
                "has a function whose result is compared with nothing (RFC 9535, section 2.4.3)",
            )),
        },
    }
}

fn compare(comparison: &parsed::Comparison, queries: &mut Vec<Path>) -> Result<Expression, PathError> {
    let (left, right) = comparison.vals();
    let operator = match comparison {
        parsed::Comparison::Eq(..) => Operator::Equal,
        parsed::Comparison::Ne(..) => Operator::NotEqual,
        parsed::Comparison::Lt(..) => Operator::Less,
        parsed::Comparison::Lte(..) => Operator::LessOrEqual,
        parsed::Comparison::Gt(..) => Operator::Greater,
        parsed::Comparison::Gte(..) => Operator::GreaterOrEqual,
    };
    Ok(Expression::Compare(operator, operand(left, queries)?, operand(right, queries)?))
}

fn operand(comparable: &parsed::Comparable, queries: &mut Vec<Path>) -> Result<Operand, PathError> {
    match comparable {
        parsed::Comparable::Literal(value) => Ok(Operand::Literal(literal(value))),
        parsed::Comparable::Function(function) => value_function(function, queries),
        parsed::Comparable::SingularQuery(parsed::SingularQuery::Root(_)) => Err(body_path()),
        parsed::Comparable::SingularQuery(parsed::SingularQuery::Current(singular)) => {
            let segments: Vec<_> = singular
                .iter()
                .map(|segment| {
                    parsed::Segment::Selector(match segment {
                        parsed::SingularQuerySegment::Index(index) => parsed::Selector::Index(*index),
                        parsed::SingularQuerySegment::Name(name) => parsed::Selector::Name(name.clone()),
                    })
                })
                .collect();
            Ok(Operand::Value(query(&segments, queries)?))
        }
    }
}

/// length(), count() and value(), which give a value (section 2.4).
fn value_function(function: &parsed::TestFunction, queries: &mut Vec<Path>) -> Result<Operand, PathError> {
    match function {
        parsed::TestFunction::Length(argument) => {
            Ok(Operand::Length(Box::new(value_argument(argument, queries)?)))
        }
        parsed::TestFunction::Count(argument) => Ok(Operand::Count(nodes_argument(argument, queries)?)),
        parsed::TestFunction::Value(argument) => Ok(Operand::Value(nodes_argument(argument, queries)?)),
        parsed::TestFunction::Match(..) | parsed::TestFunction::Search(..) => {
            Err(PathError::new(0, "compares the result of match() or search(), which is not a value"))
        }
        parsed::TestFunction::Custom(name, _) => {
            Err(PathError::new(0, format!("uses `{name}`, which RFC 9535 does not know")))
        }
    }
}

/// An argument of ValueType: a literal, a singular query, or a function that gives a value.
fn value_argument(argument: &parsed::FnArg, queries: &mut Vec<Path>) -> Result<Operand, PathError> {
    match argument {
        parsed::FnArg::Literal(value) => Ok(Operand::Literal(literal(value))),
        parsed::FnArg::Test(test) => match &**test {
            parsed::Test::RelQuery(segments) => {
                let slot = query(segments, queries)?;
                if !queries[slot].is_singular() {
                    return Err(PathError::new(0, "gives a function a path that can select several nodes"));
                }
                Ok(Operand::Value(slot))
            }
            parsed::Test::AbsQuery(_) => Err(body_path()),
            parsed::Test::Function(function) => value_function(function, queries),
        },
        parsed::FnArg::Filter(_) => Err(PathError::new(0, "gives a function a logical expression")),
    }
}

/// An argument of NodesType: any query.
fn nodes_argument(argument: &parsed::FnArg, queries: &mut Vec<Path>) -> Result<usize, PathError> {
    let parsed::FnArg::Test(test) = argument else {
        return Err(PathError::new(0, "gives count() or value() something that is not a path"));
    };
    match &**test {
        parsed::Test::RelQuery(segments) => {
            let slot = query(segments, queries)?;
            // The RFC counts a node once for each selector that takes it; one pass sees it once.
            if queries[slot].can_select_twice() {
                return Err(PathError::new(0, "counts with selectors that can take the same value twice"));
            }
            Ok(slot)
        }
        parsed::Test::AbsQuery(_) => Err(body_path()),
        parsed::Test::Function(_) => {
            Err(PathError::new(0, "gives count() or value() something that is not a path"))
        }
    }
}

fn query(segments: &[parsed::Segment], queries: &mut Vec<Path>) -> Result<usize, PathError> {
    let steps = path::steps(segments)?;
    queries.push(Path { origin: Origin::Record, steps });
    Ok(queries.len() - 1)
}

fn body_path() -> PathError {
    PathError::new(0, "uses `$`; a condition is about one record: write `@`")
}

/// The literal as JSON text, to be read like a value of the body.
fn literal(value: &parsed::Literal) -> String {
    match value {
        parsed::Literal::Int(number) => number.to_string(),
        // The shortest decimal that means this number.
        parsed::Literal::Float(number) => format!("{number:?}"),
        parsed::Literal::String(text) => serde_json::Value::from(text.as_str()).to_string(),
        parsed::Literal::Bool(value) => value.to_string(),
        parsed::Literal::Null => "null".to_owned(),
    }
}

fn regex(
    value: &parsed::FnArg,
    pattern: &parsed::FnArg,
    whole: bool,
    queries: &mut Vec<Path>,
) -> Result<Expression, PathError> {
    let value = value_argument(value, queries)?;
    let parsed::FnArg::Literal(parsed::Literal::String(pattern)) = pattern else {
        return Err(PathError::new(0, "takes a pattern from the data; a pattern is a string in the rule"));
    };
    let regex = iregexp::compile(pattern, whole)
        .ok_or_else(|| PathError::new(0, "has a pattern that is not an I-Regexp (RFC 9485)"))?;
    Ok(Expression::Matches(value, regex))
}

struct Operands<'b, 's> {
    body: &'b [u8],
    slots: &'s [Slot],
}

/// `None`: cannot be decided.
fn decide(expression: &Expression, operands: &Operands) -> Option<bool> {
    match expression {
        Expression::Or(parts) => {
            parts.iter().try_fold(false, |any, part| Some(any | decide(part, operands)?))
        }
        Expression::And(parts) => {
            parts.iter().try_fold(true, |all, part| Some(all & decide(part, operands)?))
        }
        Expression::Not(inner) => Some(!decide(inner, operands)?),
        Expression::Exists(slot) => Some(operands.slots[*slot].count > 0),
        Expression::Compare(operator, left, right) => {
            let (left, right) = (operands.value(left)?, operands.value(right)?);
            let ordered = |wanted| value::order(&left, &right) == Some(wanted);
            Some(match operator {
                Operator::Equal => value::equal(&left, &right),
                Operator::NotEqual => !value::equal(&left, &right),
                Operator::Less => ordered(Ordering::Less),
                Operator::Greater => ordered(Ordering::Greater),
                Operator::LessOrEqual => ordered(Ordering::Less) || value::equal(&left, &right),
                Operator::GreaterOrEqual => ordered(Ordering::Greater) || value::equal(&left, &right),
            })
        }
        Expression::Matches(operand, regex) => match operands.value(operand)? {
            Value::Text(text) => Some(regex.is_match(&text)),
            _ => Some(false),
        },
    }
}

impl Operands<'_, '_> {
    fn value<'s>(&'s self, operand: &'s Operand) -> Option<Value<'s>> {
        match operand {
            Operand::Literal(literal) => Value::read(literal),
            Operand::Value(slot) => match self.single(*slot) {
                Some(found) => Value::read(self.text(found)?),
                None => Some(Value::Nothing),
            },
            Operand::Count(slot) => integer(self.slots[*slot].count),
            Operand::Length(inner) => self.length(inner),
        }
    }

    /// RFC 9535, section 2.4.4.
    fn length(&self, operand: &Operand) -> Option<Value<'static>> {
        if let Operand::Value(slot) = operand
            && let Some(found) = self.single(*slot)
            && matches!(found.kind, Kind::Array | Kind::Object)
        {
            return integer(value::length(self.text(found)?, found.kind)?);
        }
        match self.value(operand)? {
            Value::Text(text) => integer(text.chars().count() as u64),
            _ => Some(Value::Nothing),
        }
    }

    fn text(&self, found: Found) -> Option<&str> {
        std::str::from_utf8(&self.body[found.start..found.end]).ok()
    }

    /// The one node of a query's result.
    fn single(&self, slot: usize) -> Option<Found> {
        let Slot { count, first } = self.slots[slot];
        first.filter(|_| count == 1)
    }
}

fn integer(count: u64) -> Option<Value<'static>> {
    Some(Value::Number(Decimal::from(count)))
}
