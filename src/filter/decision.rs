//! Decides conditions (RFC 9535, section 2.3.5), wherever the nodes of their queries come from.
//!
//! A decision is `None` where it is not certain: a number is beyond every range, a string holds a lone
//! surrogate, a name occurs twice. Then the whole condition does not hold, also under a `!`.

use std::cmp::Ordering;
use std::rc::Rc;

use super::condition::{Condition, Expression, Operand, Operator, Pattern};
use super::scanner::Kind;
use super::value::{self, Decimal, Value};

/// What the queries of one condition select; they are named by their place. `None`: not certain.
pub(super) trait Nodes<'r, 'b> {
    /// Selects anything.
    fn exists(&self, query: usize) -> Option<bool>;

    /// How many nodes; one that is selected twice counts twice.
    fn count(&self, query: usize) -> Option<u64>;

    /// The value of the one node; [`Value::Nothing`] where it is not one.
    fn value(&self, query: usize) -> Option<Held<'b>>;

    /// What length() says about the one node (section 2.4.4).
    fn length(&self, query: usize) -> Option<Option<u64>>;

    /// Whether a pattern out of the data takes the text.
    fn matches(&self, text: &str, pattern: &str, whole: bool) -> Option<bool>;

    /// Decides what has one answer for the whole body.
    fn once(&self, expression: &'r Expression, decide: &dyn Fn() -> Option<bool>) -> Option<bool>;
}

/// What one pass over a record found for one query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    pub count: u64,
    /// The first node's bytes.
    pub first: Option<Found>,
    /// Whether a filter on the way takes a value could not be decided, so there could be more nodes.
    pub unclear: bool,
}

/// One captured value.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

impl Condition {
    /// Decides a condition that [streams](Condition::streams). `slots` are the queries' results within
    /// `body`.
    ///
    /// What cannot be decided for certain is false as a whole: the record is withheld.
    pub fn holds(&self, body: &[u8], slots: &[Slot]) -> bool {
        decide(&self.expression, &Captured { body, slots }).unwrap_or(false)
    }
}

pub(super) fn decide<'r, 'b, N: Nodes<'r, 'b>>(expression: &'r Expression, nodes: &N) -> Option<bool> {
    match expression {
        Expression::Or(parts) => parts.iter().try_fold(false, |any, part| Some(any | decide(part, nodes)?)),
        Expression::And(parts) => parts.iter().try_fold(true, |all, part| Some(all & decide(part, nodes)?)),
        Expression::Not(inner) => Some(!decide(inner, nodes)?),
        Expression::Exists(query) => nodes.exists(*query),
        Expression::Compare(operator, left, right) => {
            operator.holds(&held(left, nodes)?, &held(right, nodes)?)
        }
        Expression::Matches(subject, pattern) => matches(subject, pattern, nodes),
        Expression::Once(inner) => nodes.once(inner, &|| decide(inner, nodes)),
    }
}

fn held<'v, 'r: 'v, 'b: 'v, N: Nodes<'r, 'b>>(operand: &'r Operand, nodes: &N) -> Option<Held<'v>> {
    match operand {
        Operand::Literal(literal) => Some(Held::Own(Value::read(literal)?)),
        Operand::Value(query) => nodes.value(*query),
        Operand::Count(query) => Some(integer(nodes.count(*query)?)),
        Operand::Length(inner) => Some(length(inner, nodes)?.map_or(Held::Own(Value::Nothing), integer)),
    }
}

/// RFC 9535, section 2.4.4.
fn length<'r, 'b, N: Nodes<'r, 'b>>(operand: &'r Operand, nodes: &N) -> Option<Option<u64>> {
    if let Operand::Value(query) = operand {
        return nodes.length(*query);
    }
    held(operand, nodes)?.with(|value| match value {
        Value::Text(text) => Some(text.chars().count() as u64),
        _ => None,
    })
}

/// RFC 9535, sections 2.4.6 and 2.4.7: false where either is not a string.
fn matches<'r, 'b, N: Nodes<'r, 'b>>(subject: &'r Operand, pattern: &'r Pattern, nodes: &N) -> Option<bool> {
    let subject = held(subject, nodes)?;
    match pattern {
        Pattern::Literal(regex) => Some(subject.text().is_some_and(|text| regex.0.is_match(text))),
        Pattern::Data { operand, whole } => {
            let pattern = held(operand, nodes)?;
            match (subject.text(), pattern.text()) {
                (Some(text), Some(pattern)) => nodes.matches(text, pattern, *whole),
                _ => Some(false),
            }
        }
    }
}

fn integer<'b>(count: u64) -> Held<'b> {
    Held::Own(Value::Number(Decimal::from(count)))
}

impl Operator {
    pub(super) fn holds(self, left: &Held, right: &Held) -> Option<bool> {
        let ordered = |wanted| left.order(right) == Some(wanted);
        Some(match self {
            Operator::Equal => left.equals(right)?,
            Operator::NotEqual => !left.equals(right)?,
            Operator::Less => ordered(Ordering::Less),
            Operator::Greater => ordered(Ordering::Greater),
            Operator::LessOrEqual => ordered(Ordering::Less) || left.equals(right)?,
            Operator::GreaterOrEqual => ordered(Ordering::Greater) || left.equals(right)?,
        })
    }
}

/// An operand while it is compared. It may be personal, so it has no `Debug`.
pub(super) enum Held<'b> {
    Own(Value<'b>),
    /// Other comparisons need it too.
    Kept(Rc<Value<'b>>),
    /// An array or an object that has one meaning; read only where the comparison depends on it.
    Unread {
        kind: Kind,
        length: u64,
        json: &'b str,
    },
}

impl Held<'_> {
    fn with<T>(&self, see: impl FnOnce(&Value) -> T) -> Option<T> {
        match self {
            Held::Own(value) => Some(see(value)),
            Held::Kept(value) => Some(see(value)),
            Held::Unread { json, .. } => Some(see(&Value::read(json)?)),
        }
    }

    fn scalar(&self) -> Option<&Value<'_>> {
        match self {
            Held::Own(value) => Some(value),
            Held::Kept(value) => Some(value),
            Held::Unread { .. } => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self.scalar()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Of an array or an object, what and how long it is.
    fn shape(&self) -> Option<(Kind, u64)> {
        match self {
            Held::Unread { kind, length, .. } => Some((*kind, *length)),
            _ => match self.scalar()? {
                Value::Array(elements) => Some((Kind::Array, elements.len() as u64)),
                Value::Object(members) => Some((Kind::Object, members.len() as u64)),
                _ => None,
            },
        }
    }

    fn equals(&self, other: &Held) -> Option<bool> {
        if self.shape() != other.shape() {
            return Some(false);
        }
        self.with(|left| other.with(|right| value::equal(left, right)))?
    }

    fn order(&self, other: &Held) -> Option<Ordering> {
        value::order(self.scalar()?, other.scalar()?)
    }
}

/// The nodes that one pass captured.
struct Captured<'b, 's> {
    body: &'b [u8],
    slots: &'s [Slot],
}

impl<'b> Captured<'b, '_> {
    /// The one node, where it is certain whether there is one.
    fn single(&self, query: usize) -> Option<Option<Found>> {
        let slot = self.slots[query];
        match slot.count {
            2.. => Some(None),
            _ => (!slot.unclear).then_some(slot.first),
        }
    }

    fn json(&self, found: Found) -> Option<&'b str> {
        std::str::from_utf8(&self.body[found.start..found.end]).ok()
    }
}

impl<'r, 'b> Nodes<'r, 'b> for Captured<'b, '_> {
    fn exists(&self, query: usize) -> Option<bool> {
        let slot = self.slots[query];
        (slot.count > 0 || !slot.unclear).then_some(slot.count > 0)
    }

    fn count(&self, query: usize) -> Option<u64> {
        (!self.slots[query].unclear).then_some(self.slots[query].count)
    }

    fn value(&self, query: usize) -> Option<Held<'b>> {
        Some(Held::Own(match self.single(query)? {
            Some(found) => Value::read(self.json(found)?)?,
            None => Value::Nothing,
        }))
    }

    fn length(&self, query: usize) -> Option<Option<u64>> {
        let Some(found) = self.single(query)? else {
            return Some(None);
        };
        let json = self.json(found)?;
        match found.kind {
            Kind::Array | Kind::Object => value::length(json, found.kind).map(Some),
            Kind::String => Held::Own(Value::read(json)?)
                .text()
                .map_or(Some(None), |text| Some(Some(text.chars().count() as u64))),
            _ => Some(None),
        }
    }

    /// Never needed: a condition with such a pattern does not stream.
    fn matches(&self, _: &str, _: &str, _: bool) -> Option<bool> {
        None
    }

    /// Never needed: a condition that asks for the body does not stream.
    fn once(&self, _: &'r Expression, _: &dyn Fn() -> Option<bool>) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"a":1,"b":[2,3],"s":"x"}"#;

    fn slot(count: u64, json: &str, kind: Kind) -> Slot {
        let text = std::str::from_utf8(BODY).unwrap();
        let first = text.find(json).map(|start| Found { kind, start, end: start + json.len() });
        Slot { count, first: first.filter(|_| count > 0), unclear: false }
    }

    fn holds(condition: &str, slots: &[Slot]) -> bool {
        let condition = Condition::parse(condition).unwrap();
        assert!(condition.streams() && condition.queries().len() == slots.len());
        condition.holds(BODY, slots)
    }

    #[test]
    fn slots_decide_what_a_pass_has_found() {
        let (one, list) = (slot(1, "1", Kind::Number), slot(1, "[2,3]", Kind::Array));
        let (text, none) = (slot(1, "\"x\"", Kind::String), Slot::default());
        assert!(holds("@.a == 1 && @.b", &[one, list]));
        assert!(holds("length(@.b) == 2 && length(@.s) == 1", &[list, text]));
        assert!(holds("length(@.a) == length(@.c)", &[one, none]));
        assert!(holds("count(@.b[*]) > 1 && @.c == @.d", &[slot(2, "2", Kind::Number), none, none]));
        assert!(holds("value(@.b[*]) == @.c", &[slot(2, "2", Kind::Number), none]));
        assert!(holds("match(@.s, 'x') || @.c", &[text, none]));
        assert!(!holds("@.a == @.b", &[one, list]));
    }

    #[test]
    fn a_slot_that_could_hold_more_decides_only_what_more_would_not_change() {
        let unclear = |slot: Slot| Slot { unclear: true, ..slot };
        let (none, one) = (unclear(Slot::default()), unclear(slot(1, "1", Kind::Number)));
        for (condition, slots) in [
            ("@[?@ == 1]", &[none][..]),
            ("!@[?@ == 1]", &[none]),
            ("count(@[?@ == 1]) == 1", &[one]),
            ("value(@[?@ == 1]) == 1", &[one]),
            ("value(@[?@ == 1]) != 1", &[one]),
        ] {
            assert!(!holds(condition, slots), "{condition}");
        }
        assert!(holds("@[?@ == 1]", &[one]));
        assert!(holds("value(@[?@ == 1]) == @.c", &[unclear(slot(2, "1", Kind::Number)), Slot::default()]));
    }
}
