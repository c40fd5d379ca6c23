//! An RFC 9535 logical expression: of `when`, about one record, and of a filter selector, about one
//! child. [`decision`](super::decision) decides it.

use jsonpath_rust::parser::model as parsed;
use jsonpath_rust::parser::parse_json_path;

use super::iregexp::{self, Unusable};
use super::path::{self, Origin, Path, PathError};
use super::syntax;

/// A compiled condition. Its expressions name its queries by their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub(super) expression: Expression,
    pub(super) queries: Vec<Path>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Exists(usize),
    Compare(Operator, Operand, Operand),
    Matches(Operand, Pattern),
    /// Asks for nothing but the body: one answer for all records.
    Once(Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand {
    /// JSON text.
    Literal(String),
    /// The value of a singular query, or of `value()`: a node list of one.
    Value(usize),
    Length(Box<Operand>),
    Count(usize),
}

/// The second argument of `match()` (`whole`) or `search()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    Literal(Compiled),
    /// Known only when the data is there.
    Data {
        operand: Operand,
        whole: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Compiled(pub regex::Regex);

/// The translated patterns are equal only where the originals and the functions are.
impl PartialEq for Compiled {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Compiled {}

impl Condition {
    /// Parses a logical expression.
    ///
    /// # Errors
    /// Where the text is not RFC 9535, is not well typed (section 2.4.3), or is over the limits.
    pub fn parse(text: &str) -> Result<Condition, PathError> {
        // White space around an expression is its own (RFC 9535, section 2.3.5.1).
        let trimmed = text.trim_start_matches(syntax::SPACE);
        let before = text.len() - trimmed.len();
        Condition::parse_trimmed(trimmed.trim_end_matches(syntax::SPACE))
            // The parser may point at the bracket that stands behind the text for it.
            .map_err(|error| PathError { offset: (error.offset + before).min(text.len()), ..error })
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
        let condition = Condition::from_filter(filter)?;
        condition.queries.iter().try_for_each(Path::check_work)?;
        Ok(condition)
    }

    /// The condition of a filter selector (RFC 9535, section 2.3.5).
    pub(super) fn from_filter(filter: &parsed::Filter) -> Result<Condition, PathError> {
        let mut parser = Parser { queries: Vec::new() };
        let expression = parser.logical(filter)?;
        Ok(Condition { expression, queries: parser.queries })
    }

    /// The queries whose results the condition needs, in slot order.
    pub fn queries(&self) -> &[Path] {
        &self.queries
    }

    /// It asks for something by `$`, itself or in a filter of one of its queries.
    pub fn uses_body(&self) -> bool {
        self.queries.iter().any(|query| query.origin == Origin::Body || query.uses_body())
    }

    /// It can be decided from slots that one forward pass over the record has filled.
    ///
    /// Not so where it asks for something by `$` itself, takes a pattern from the data, or counts what
    /// could be selected twice: the RFC counts a node once for each selector that takes it, and one
    /// pass sees it once.
    pub fn streams(&self) -> bool {
        self.queries.iter().all(|query| query.origin == Origin::Record)
            && self.expression_streams(&self.expression)
    }

    fn expression_streams(&self, expression: &Expression) -> bool {
        match expression {
            Expression::Or(parts) | Expression::And(parts) => {
                parts.iter().all(|part| self.expression_streams(part))
            }
            Expression::Not(inner) | Expression::Once(inner) => self.expression_streams(inner),
            Expression::Exists(_) => true,
            Expression::Compare(_, left, right) => self.operand_streams(left) && self.operand_streams(right),
            Expression::Matches(subject, pattern) => {
                self.operand_streams(subject) && matches!(pattern, Pattern::Literal(_))
            }
        }
    }

    fn operand_streams(&self, operand: &Operand) -> bool {
        match operand {
            Operand::Literal(_) => true,
            Operand::Value(query) | Operand::Count(query) => !self.queries[*query].can_select_twice(),
            Operand::Length(inner) => self.operand_streams(inner),
        }
    }
}

struct Parser {
    queries: Vec<Path>,
}

impl Parser {
    fn logical(&mut self, filter: &parsed::Filter) -> Result<Expression, PathError> {
        let mut all =
            |parts: &[parsed::Filter]| parts.iter().map(|part| self.logical(part)).collect::<Result<_, _>>();
        match filter {
            parsed::Filter::Or(parts) => Ok(Expression::Or(all(parts)?)),
            parsed::Filter::And(parts) => Ok(Expression::And(all(parts)?)),
            parsed::Filter::Atom(atom) => self.atom(atom),
        }
    }

    fn atom(&mut self, atom: &parsed::FilterAtom) -> Result<Expression, PathError> {
        let (expression, not) = match atom {
            parsed::FilterAtom::Filter { expr, not } => (self.logical(expr)?, *not),
            parsed::FilterAtom::Test { expr, not } => (self.test(expr)?, *not),
            parsed::FilterAtom::Comparison(comparison) => (self.compare(comparison)?, false),
        };
        Ok(if not { Expression::Not(Box::new(expression)) } else { expression })
    }

    fn test(&mut self, test: &parsed::Test) -> Result<Expression, PathError> {
        match test {
            parsed::Test::RelQuery(segments) => Ok(Expression::Exists(self.query(Origin::Record, segments)?)),
            parsed::Test::AbsQuery(query) => {
                Ok(Expression::Exists(self.query(Origin::Body, &query.segments)?))
            }
            parsed::Test::Function(function) => match &**function {
                parsed::TestFunction::Match(subject, pattern) => self.regex(subject, pattern, true),
                parsed::TestFunction::Search(subject, pattern) => self.regex(subject, pattern, false),
                _ => Err(PathError::new(
                    0,
                    "has a function whose result is compared with nothing (RFC 9535, section 2.4.3)",
                )),
            },
        }
    }

    fn compare(&mut self, comparison: &parsed::Comparison) -> Result<Expression, PathError> {
        let from = self.queries.len();
        let (left, right) = comparison.vals();
        let operator = match comparison {
            parsed::Comparison::Eq(..) => Operator::Equal,
            parsed::Comparison::Ne(..) => Operator::NotEqual,
            parsed::Comparison::Lt(..) => Operator::Less,
            parsed::Comparison::Lte(..) => Operator::LessOrEqual,
            parsed::Comparison::Gt(..) => Operator::Greater,
            parsed::Comparison::Gte(..) => Operator::GreaterOrEqual,
        };
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        Ok(self.once(from, Expression::Compare(operator, left, right)))
    }

    fn regex(
        &mut self,
        subject: &parsed::FnArg,
        pattern: &parsed::FnArg,
        whole: bool,
    ) -> Result<Expression, PathError> {
        let from = self.queries.len();
        let subject = self.value_argument(subject)?;
        let pattern = match pattern {
            parsed::FnArg::Literal(parsed::Literal::String(text)) => Pattern::Literal(compiled(text, whole)?),
            other => Pattern::Data { operand: self.value_argument(other)?, whole },
        };
        Ok(self.once(from, Expression::Matches(subject, pattern)))
    }

    /// Marks an expression whose queries, those from place `from` on, all begin with `$`.
    fn once(&self, from: usize, expression: Expression) -> Expression {
        let own = &self.queries[from..];
        if !own.is_empty() && own.iter().all(|query| query.origin == Origin::Body) {
            return Expression::Once(Box::new(expression));
        }
        expression
    }

    fn operand(&mut self, comparable: &parsed::Comparable) -> Result<Operand, PathError> {
        let (origin, singular) = match comparable {
            parsed::Comparable::Literal(value) => return Ok(Operand::Literal(literal(value))),
            parsed::Comparable::Function(function) => return self.value_function(function),
            parsed::Comparable::SingularQuery(parsed::SingularQuery::Root(steps)) => (Origin::Body, steps),
            parsed::Comparable::SingularQuery(parsed::SingularQuery::Current(steps)) => {
                (Origin::Record, steps)
            }
        };
        let segments: Vec<_> = singular
            .iter()
            .map(|segment| {
                parsed::Segment::Selector(match segment {
                    parsed::SingularQuerySegment::Index(index) => parsed::Selector::Index(*index),
                    parsed::SingularQuerySegment::Name(name) => parsed::Selector::Name(name.clone()),
                })
            })
            .collect();
        Ok(Operand::Value(self.query(origin, &segments)?))
    }

    /// length(), count() and value(), which give a value (section 2.4).
    fn value_function(&mut self, function: &parsed::TestFunction) -> Result<Operand, PathError> {
        match function {
            parsed::TestFunction::Length(argument) => {
                Ok(Operand::Length(Box::new(self.value_argument(argument)?)))
            }
            parsed::TestFunction::Count(argument) => Ok(Operand::Count(self.nodes_argument(argument)?)),
            parsed::TestFunction::Value(argument) => Ok(Operand::Value(self.nodes_argument(argument)?)),
            parsed::TestFunction::Match(..) | parsed::TestFunction::Search(..) => {
                Err(PathError::new(0, "compares the result of match() or search(), which is not a value"))
            }
            parsed::TestFunction::Custom(name, _) => {
                Err(PathError::new(0, format!("uses `{name}`, which RFC 9535 does not know")))
            }
        }
    }

    /// An argument of ValueType: a literal, a singular query, or a function that gives a value.
    fn value_argument(&mut self, argument: &parsed::FnArg) -> Result<Operand, PathError> {
        let query = match argument {
            parsed::FnArg::Literal(value) => return Ok(Operand::Literal(literal(value))),
            parsed::FnArg::Filter(_) => {
                return Err(PathError::new(0, "gives a function a logical expression"));
            }
            parsed::FnArg::Test(test) => match &**test {
                parsed::Test::RelQuery(segments) => self.query(Origin::Record, segments)?,
                parsed::Test::AbsQuery(query) => self.query(Origin::Body, &query.segments)?,
                parsed::Test::Function(function) => return self.value_function(function),
            },
        };
        if !self.queries[query].is_singular() {
            return Err(PathError::new(0, "gives a function a path that can select several nodes"));
        }
        Ok(Operand::Value(query))
    }

    /// An argument of NodesType: any query.
    fn nodes_argument(&mut self, argument: &parsed::FnArg) -> Result<usize, PathError> {
        if let parsed::FnArg::Test(test) = argument {
            match &**test {
                parsed::Test::RelQuery(segments) => return self.query(Origin::Record, segments),
                parsed::Test::AbsQuery(query) => return self.query(Origin::Body, &query.segments),
                parsed::Test::Function(_) => {}
            }
        }
        Err(PathError::new(0, "gives count() or value() something that is not a path"))
    }

    fn query(&mut self, origin: Origin, segments: &[parsed::Segment]) -> Result<usize, PathError> {
        let steps = path::steps(segments)?;
        self.queries.push(Path { origin, steps });
        Ok(self.queries.len() - 1)
    }
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

fn compiled(pattern: &str, whole: bool) -> Result<Compiled, PathError> {
    iregexp::compile(pattern, whole).map(Compiled).map_err(|unusable| {
        PathError::new(
            0,
            match unusable {
                Unusable::Malformed => "has a pattern that is not an I-Regexp (RFC 9485)",
                Unusable::TooLarge => "has a pattern that takes too much memory",
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_well_typed_condition_is_refused() {
        for text in [
            "",
            "@.a =",
            "@.a,@.b",
            "@.a]",
            "@.a][?@.b",
            "length(@.a)",
            "length(@.*) == 1",
            "length(@.a == 1) == 1",
            "count(@)",
            "count('a') == 1",
            "count(length(@)) == 1",
            "value(1) == 1",
            "match(@.a, 'b') == true",
            "match(@.*, 'b')",
            "match(@.a, @.*)",
            "match(@.a, '[')",
            "search(@.a, 'a{1000}{1000}')",
            "!@.a == 1",
            "@.* == 1",
            "$.* == 1",
            "length(match(@.a, 'x')) == 1",
        ] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_error_is_never_behind_the_text() {
        for text in ["@&&$\t[?$", "@.a == ", " (", "@[?"] {
            assert!(Condition::parse(text).unwrap_err().offset <= text.len(), "{text:?}");
        }
    }

    #[test]
    fn a_condition_knows_whether_one_pass_decides_it() {
        let streams = |text: &str| Condition::parse(text).unwrap().streams();
        for text in [
            "@.a == 1 && !@.b",
            "count(@.a[*]) > 1",
            "@[0,0]",
            "@.a[?@.b == $.c]",
            "value(@..a) == 1",
            "@.a[-1] == 1",
            "match(@.a, 'x')",
        ] {
            assert!(streams(text), "{text}");
        }
        for text in [
            "@.a == $.b",
            "$.a",
            "count(@[0,0]) > 1",
            "value(@['a',?@.b]) == 1",
            "match(@.a, @.b)",
            "!(@.a || $.b)",
        ] {
            assert!(!streams(text), "{text}");
        }
    }

    #[test]
    fn a_condition_knows_whether_it_asks_for_the_body() {
        let uses = |text: &str| Condition::parse(text).unwrap().uses_body();
        assert!(uses("@.a == $.b"));
        assert!(uses("@.a[?@.b[?$.c]]"));
        assert!(!uses("@.a[?@.b]"));
    }

    #[test]
    fn what_asks_only_for_the_body_is_decided_once() {
        let once = |text: &str| matches!(Condition::parse(text).unwrap().expression, Expression::Once(_));
        assert!(once("$.a == $.b"));
        assert!(once("match($.a, 'x')"));
        assert!(!once("$.a == @.b"));
        assert!(!once("match($.a, @.b)"));
    }
}
