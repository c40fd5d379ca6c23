//! What can be said of a condition or a path before there is a body.
//!
//! It is certain only where RFC 9535 makes it so for every body. A condition that cannot be decided on a body (see
//! [`decision`](super::decision)) does not hold there: "always" is wherever it can be decided.

use super::condition::{Condition, Expression, Operand, Operator};
use super::decision::Held;
use super::path::{Path, Selector, Step};
use super::value::Value;

impl Condition {
    /// The one answer that it can have, whatever the record is; `None` where that depends on the record.
    pub fn certain(&self) -> Option<bool> {
        self.fold(&self.expression)
    }

    fn fold(&self, expression: &Expression) -> Option<bool> {
        match expression {
            Expression::Or(parts) => self.fold_parts(parts, true),
            Expression::And(parts) => self.fold_parts(parts, false),
            Expression::Not(inner) => self.fold(inner).map(|holds| !holds),
            Expression::Once(inner) => self.fold(inner),
            // What a path begins with is always there (section 2.3.5.2.1).
            Expression::Exists(query) if self.queries[*query].steps.is_empty() => Some(true),
            Expression::Exists(query) => self.queries[*query].selects_nothing().then_some(false),
            Expression::Compare(operator, left, right) => self.fold_comparison(*operator, left, right),
            Expression::Matches(..) => None,
        }
    }

    /// Parts of which one that is `decisive` decides the whole: true for `||`, false for `&&`.
    fn fold_parts(&self, parts: &[Expression], decisive: bool) -> Option<bool> {
        let folded: Vec<Option<bool>> = parts.iter().map(|part| self.fold(part)).collect();
        if folded.contains(&Some(decisive)) {
            return Some(decisive);
        }
        if folded.iter().all(|part| *part == Some(!decisive)) {
            return Some(!decisive);
        }
        let clash = |(at, one): (usize, &Expression)| {
            parts[at + 1..].iter().any(|other| self.opposes(one, other) || self.splits(one, other, decisive))
        };
        parts.iter().enumerate().any(clash).then_some(decisive)
    }

    /// One holds exactly where the other does not.
    fn opposes(&self, one: &Expression, other: &Expression) -> bool {
        use Operator::{Equal, NotEqual};
        match (bare(one), bare(other)) {
            (Expression::Not(inner), other) | (other, Expression::Not(inner)) if self.same(inner, other) => {
                true
            }
            (Expression::Compare(first, a, b), Expression::Compare(second, c, d)) => {
                matches!((first, second), (Equal, NotEqual) | (NotEqual, Equal))
                    && (self.same_operand(a, c) && self.same_operand(b, d)
                        || self.same_operand(a, d) && self.same_operand(b, c))
            }
            _ => false,
        }
    }

    /// One value is said to be two: never both `== 1` and `== 2`, always `!= 1` or `!= 2`.
    fn splits(&self, one: &Expression, other: &Expression, decisive: bool) -> bool {
        let wanted = if decisive { Operator::NotEqual } else { Operator::Equal };
        let (Some((first, one)), Some((second, other))) = (against(one, wanted), against(other, wanted))
        else {
            return false;
        };
        self.same_operand(first, second) && literals(Operator::Equal, one, other) == Some(false)
    }

    fn fold_comparison(&self, operator: Operator, left: &Operand, right: &Operand) -> Option<bool> {
        if let (Operand::Literal(left), Operand::Literal(right)) = (left, right) {
            return literals(operator, left, right);
        }
        // Nothing is equal to nothing (section 2.3.5.2.2).
        self.same_operand(left, right)
            .then_some(matches!(operator, Operator::Equal | Operator::LessOrEqual | Operator::GreaterOrEqual))
    }

    /// Their places in the list of queries differ, what they ask for does not.
    fn same(&self, one: &Expression, other: &Expression) -> bool {
        let all = |one: &[Expression], other: &[Expression]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| self.same(one, other))
        };
        match (bare(one), bare(other)) {
            (Expression::Or(one), Expression::Or(other)) | (Expression::And(one), Expression::And(other)) => {
                all(one, other)
            }
            (Expression::Not(one), Expression::Not(other)) => self.same(one, other),
            (Expression::Exists(one), Expression::Exists(other)) => {
                self.queries[*one] == self.queries[*other]
            }
            (Expression::Compare(first, a, b), Expression::Compare(second, c, d)) => {
                first == second && self.same_operand(a, c) && self.same_operand(b, d)
            }
            _ => false,
        }
    }

    fn same_operand(&self, one: &Operand, other: &Operand) -> bool {
        match (one, other) {
            (Operand::Literal(one), Operand::Literal(other)) => {
                literals(Operator::Equal, one, other) == Some(true)
            }
            (Operand::Value(one), Operand::Value(other)) | (Operand::Count(one), Operand::Count(other)) => {
                self.queries[*one] == self.queries[*other]
            }
            (Operand::Length(one), Operand::Length(other)) => self.same_operand(one, other),
            _ => false,
        }
    }
}

/// Whether it is decided once does not change what it means.
fn bare(expression: &Expression) -> &Expression {
    match expression {
        Expression::Once(inner) => bare(inner),
        other => other,
    }
}

/// What is compared with a literal by `wanted`, and the literal.
fn against(expression: &Expression, wanted: Operator) -> Option<(&Operand, &str)> {
    match bare(expression) {
        Expression::Compare(operator, Operand::Literal(literal), other)
        | Expression::Compare(operator, other, Operand::Literal(literal))
            if *operator == wanted =>
        {
            Some((other, literal))
        }
        _ => None,
    }
}

/// `None` where a literal is beyond what can be compared.
fn literals(operator: Operator, left: &str, right: &str) -> Option<bool> {
    operator.holds(&Held::Own(Value::read(left)?), &Held::Own(Value::read(right)?))
}

impl Path {
    /// Selects nothing in any body.
    pub fn selects_nothing(&self) -> bool {
        self.steps.iter().any(Step::selects_nothing)
    }
}

impl Step {
    fn selects_nothing(&self) -> bool {
        self.selectors.iter().all(Selector::selects_nothing)
    }
}

impl Selector {
    /// A slice without an element (RFC 9535, section 2.3.4.2.2), or a filter that never holds.
    fn selects_nothing(&self) -> bool {
        match self {
            Selector::Slice { start, end, step } => is_empty(*start, *end, *step),
            Selector::Filter(condition) => condition.certain() == Some(false),
            Selector::Name(_) | Selector::Wildcard | Selector::Index(_) => false,
        }
    }
}

/// Bounds from two ends of a list depend on its length; those from one do not.
fn is_empty(start: Option<i64>, end: Option<i64>, step: i64) -> bool {
    match (start, end) {
        _ if step == 0 => true,
        (Some(start), Some(end)) if (start < 0) == (end < 0) => match step > 0 {
            true => start >= end,
            false => start <= end,
        },
        (None, Some(0)) => step > 0,
        (None, Some(-1)) => step < 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_certain_only_where_every_record_gives_one_answer() {
        let certain = |text: &str| Condition::parse(text).unwrap().certain();
        for text in [
            "1 == 1",
            "1 == 1.0",
            "'a' < 'b'",
            "@",
            "@.a == @.a",
            "@.a <= @['a']",
            "length(@.a) == length(@.a)",
            "@.a || !@.a",
            "!@.a || @.b || @['a']",
            "@.a == 1 || @.a != 1",
            "@.a != 'x' || @.a != 'y'",
            "@.b || 2 > 1",
            "!(@.a && !@.a)",
            "$.a == $.a",
        ] {
            assert_eq!(certain(text), Some(true), "{text}");
        }
        for text in [
            "1 == 2",
            "1 == '1'",
            "true == false",
            "@.a != @.a",
            "@.a < @.a",
            "@.a && !@.a",
            "@.a == 'x' && @.b && @.a == 'y'",
            "1 == @.a && 2 == @.a",
            "@.a[2:1]",
            "@.a[?1 == 2]",
            "@.b && 1 > 2",
            "!@",
        ] {
            assert_eq!(certain(text), Some(false), "{text}");
        }
        for text in [
            "@.a",
            "@.a == @.b",
            "@.a == $.a",
            "@.a < 1 || @.a >= 1",
            "@.a || !@.b",
            "@.a == 'x' || @.a == 'y'",
            "@.a != 'x' && @.a != 'y'",
            "@.a == 1 && @.a == 1.0",
            "@.a[1:2]",
            "match(@.a, 'x') || !match(@.a, 'x')",
        ] {
            assert_eq!(certain(text), None, "{text}");
        }
    }

    #[test]
    fn slices_that_select_nothing_are_known() {
        let none = |text: &str| Path::parse(text).unwrap().selects_nothing();
        for text in
            ["$[2:1]", "$.a[1:1].b", "$[::0]", "$[-1:-2]", "$[:0]", "$[1:2:-1]", "$[:-1:-1]", "$[2:1,1:1]"]
        {
            assert!(none(text), "{text}");
        }
        for text in
            ["$[1:2]", "$[2:-1]", "$[-2:1]", "$[-2:-1]", "$[2:1:-1]", "$[:]", "$[::-1]", "$[0:]", "$[2:1,0]"]
        {
            assert!(!none(text), "{text}");
        }
    }
}
