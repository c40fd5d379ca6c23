//! `when`: an RFC 9535 logical expression over one record, decided from operands that the pass over
//! the bytes captured on its way.

use std::borrow::Cow;
use std::cmp::Ordering;

use jsonpath_rust::parser::model as parsed;
use jsonpath_rust::parser::parse_json_path;
use regex::Regex;

use super::path::{self, Origin, Path, PathError};
use super::scanner::Kind;
use super::{syntax, text};

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
    Literal(Literal),
    /// The value of a singular query, or of `value()`: a node list of one.
    Value(usize),
    Length(Box<Operand>),
    Count(usize),
}

#[derive(Debug, Clone)]
enum Literal {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
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

/// A value while it is compared. Never printed: it may be personal.
enum Value<'b> {
    Nothing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'b, str>),
    Container(&'b [u8], Kind),
}

#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

impl Condition {
    /// Parses a logical expression.
    ///
    /// # Errors
    /// Where the text is not RFC 9535, is not well typed (section 2.4.3), or cannot be decided in
    /// one pass.
    pub fn parse(text: &str) -> Result<Condition, PathError> {
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
    pub fn holds(&self, body: &str, slots: &[Slot]) -> bool {
        decide(&self.expression, &Operands { body: body.as_bytes(), slots }).unwrap_or(false)
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
        parsed::Test::RelQuery(segments) => query(segments, queries),
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

fn literal(value: &parsed::Literal) -> Literal {
    match value {
        parsed::Literal::Int(number) => Literal::Integer(*number),
        parsed::Literal::Float(number) => Literal::Float(*number),
        parsed::Literal::String(text) => Literal::String(text.clone()),
        parsed::Literal::Bool(value) => Literal::Bool(*value),
        parsed::Literal::Null => Literal::Null,
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
    let body = i_regexp(pattern);
    let anchored = if whole { format!(r"\A(?:{body})\z") } else { body };
    let regex = regex::RegexBuilder::new(&anchored)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| PathError::new(0, "has a pattern that is not a regular expression (RFC 9485)"))?;
    Ok(Expression::Matches(value, regex))
}

/// RFC 9485, section 5.3: outside of a class, a dot is any character but CR and LF; `^` and `$` are
/// ordinary characters.
fn i_regexp(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let (mut class, mut escaped) = (false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '.' if !class => {
                out.push_str(r"[^\n\r]");
                continue;
            }
            '^' | '$' if !class => out.push('\\'),
            _ => {}
        }
        out.push(character);
    }
    out
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
            Some(match operator {
                Operator::Equal => equal(&left, &right)?,
                Operator::NotEqual => !equal(&left, &right)?,
                Operator::Less => order(&left, &right) == Some(Ordering::Less),
                Operator::Greater => order(&left, &right) == Some(Ordering::Greater),
                Operator::LessOrEqual => {
                    order(&left, &right) == Some(Ordering::Less) || equal(&left, &right)?
                }
                Operator::GreaterOrEqual => {
                    order(&left, &right) == Some(Ordering::Greater) || equal(&left, &right)?
                }
            })
        }
        Expression::Matches(operand, regex) => match operands.value(operand)? {
            Value::Text(text) => Some(regex.is_match(&text)),
            _ => Some(false),
        },
    }
}

impl<'b> Operands<'b, '_> {
    fn value<'s>(&self, operand: &'s Operand) -> Option<Value<'s>>
    where
        'b: 's,
    {
        Some(match operand {
            Operand::Literal(Literal::Null) => Value::Null,
            Operand::Literal(Literal::Bool(value)) => Value::Bool(*value),
            Operand::Literal(Literal::Integer(value)) => Value::Number(Number::Integer(i128::from(*value))),
            Operand::Literal(Literal::Float(value)) => Value::Number(Number::Float(*value)),
            Operand::Literal(Literal::String(value)) => Value::Text(Cow::Borrowed(value)),
            Operand::Value(slot) => self.captured(*slot)?,
            Operand::Count(slot) => Value::Number(Number::Integer(i128::from(self.slots[*slot].count))),
            Operand::Length(inner) => match self.value(inner)? {
                Value::Text(text) => Value::Number(Number::Integer(text.chars().count() as i128)),
                Value::Container(bytes, kind) => {
                    Value::Number(Number::Integer(members(bytes, kind)? as i128))
                }
                _ => Value::Nothing,
            },
        })
    }

    fn captured(&self, slot: usize) -> Option<Value<'b>> {
        let Slot { count: 1, first: Some(found) } = self.slots[slot] else {
            return Some(Value::Nothing);
        };
        let bytes = &self.body[found.start..found.end];
        Some(match found.kind {
            Kind::Null => Value::Null,
            Kind::Bool => Value::Bool(bytes == b"true"),
            Kind::Number => Value::Number(number(bytes)?),
            Kind::String => Value::Text(text::unescape(&bytes[1..bytes.len() - 1])?),
            kind @ (Kind::Object | Kind::Array) => Value::Container(bytes, kind),
        })
    }
}

/// `None` for a number that no usual type holds.
fn number(bytes: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(bytes).ok()?;
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Number::Integer(i128::from(integer)));
    }
    let float = text.parse::<f64>().ok()?;
    float.is_finite().then_some(Number::Float(float))
}

/// The number of members or elements.
fn members(bytes: &[u8], kind: Kind) -> Option<usize> {
    match kind {
        Kind::Object => Some(tree(bytes)?.as_object()?.len()),
        _ => Some(tree(bytes)?.as_array()?.len()),
    }
}

/// Containers are compared as trees: rare, small, and bounded by the record.
fn tree(bytes: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(bytes).ok()
}

/// Section 2.3.5.2.2. Two empty node lists are equal.
fn equal(left: &Value, right: &Value) -> Option<bool> {
    Some(match (left, right) {
        (Value::Nothing, Value::Nothing) | (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Number(a), Value::Number(b)) => numeric(*a, *b) == Some(Ordering::Equal),
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Container(a, _), Value::Container(b, _)) => tree(a)? == tree(b)?,
        _ => false,
    })
}

/// Only numbers and strings have an order; strings by code point, which is UTF-8's byte order.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => numeric(*a, *b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn numeric(left: Number, right: Number) -> Option<Ordering> {
    let float = |number| match number {
        Number::Integer(integer) => integer as f64,
        Number::Float(float) => float,
    };
    match (left, right) {
        (Number::Integer(a), Number::Integer(b)) => Some(a.cmp(&b)),
        _ => float(left).partial_cmp(&float(right)),
    }
}
