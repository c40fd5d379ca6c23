//! Rules in their parts: the filter is given their text, and the reference takes them as they are.

use std::fmt;

use fieldgate::filter::{
    Condition, Filter, Path, Pattern, Selection, SelectionError, Shape, Transform, Treatment, Type,
};

#[derive(Clone)]
pub struct Rule {
    pub records: Option<Query>,
    /// A singular path from `@`.
    pub subject: Option<Query>,
    pub when: Option<Test>,
    pub disclose: Vec<(Query, Kind)>,
}

/// How a field leaves, and what it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Whole,
    Last4,
    Redact,
    Truncate,
    Typed(&'static [Type]),
    Short(u64),
    Matching(&'static str),
}

#[derive(Clone, Debug)]
pub struct Query {
    /// `$` or `@`.
    pub origin: char,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub descendant: bool,
    pub selectors: Vec<Selector>,
}

#[derive(Clone, Debug)]
pub enum Selector {
    Name(&'static str),
    Wildcard,
    Index(i64),
    /// As it is written.
    Slice(String),
    Filter(Box<Test>),
}

/// A condition that can be written as text and decided by hand.
#[derive(Clone, Debug)]
pub enum Test {
    Exists(Query),
    Compare(Operand, &'static str, Operand),
    /// The function, the path, and the pattern.
    Matches(&'static str, Query, &'static str),
    Not(Box<Test>),
    Both(Box<Test>, Box<Test>),
    Either(Box<Test>, Box<Test>),
}

#[derive(Clone, Debug)]
pub enum Operand {
    Literal(&'static str),
    /// A singular path.
    Path(Query),
    /// A function of a path.
    Function(&'static str, Query),
}

/// As it would be written.
impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = self.records.as_ref().map(Query::text);
        let when = self.when.as_ref().map(Test::text);
        let disclose: Vec<_> = self.disclose.iter().map(|(query, kind)| (query.text(), kind)).collect();
        let subject = self.subject.as_ref().map(Query::text);
        write!(f, "records {records:?} subject {subject:?} when {when:?} disclose {disclose:?}")
    }
}

impl Rule {
    /// Some rules are never loaded: two treatments of one value, or too many selectors at one place.
    pub fn compile(&self) -> Result<Filter, SelectionError> {
        Filter::compile(&self.selection())
    }

    pub fn selection(&self) -> Selection {
        let path = |query: &Query| Path::parse(&query.text()).unwrap();
        Selection {
            records: self.records.as_ref().map(path),
            subject: self.subject.as_ref().map(path),
            when: self.when.as_ref().map(|when| Condition::parse(&when.text()).unwrap()),
            disclose: self.disclose.iter().map(|(query, kind)| (path(query), kind.treatment())).collect(),
            ..Selection::default()
        }
    }

    /// Within the filter's limits: one `..` on each way, and 512 bytes of text.
    pub fn is_within_limits(&self) -> bool {
        let fields = self.disclose.iter().map(|(query, _)| query).chain(&self.records);
        let short = |text: String| text.len() <= 512;
        fields.into_iter().all(|query| query.descendants() <= 1 && short(query.text()))
            && self
                .when
                .iter()
                .all(|when| short(when.text()) && when.queries().iter().all(|query| query.descendants() <= 1))
    }
}

impl Kind {
    fn treatment(self) -> Treatment {
        let shaped = |types: &[Type], max_length, pattern: Option<&str>| {
            let pattern = pattern.map(|pattern| Pattern::parse(pattern).unwrap());
            Treatment::plain().with_shape(Shape { types: types.to_vec(), max_length, pattern })
        };
        match self {
            Kind::Plain => Treatment::plain(),
            Kind::Whole => Treatment::whole(),
            Kind::Last4 => Treatment::transformed(Transform::Last4),
            Kind::Redact => Treatment::transformed(Transform::Redact),
            Kind::Truncate => Treatment::transformed(Transform::Truncate { length: 2 }),
            Kind::Typed(types) => shaped(types, None, None),
            Kind::Short(most) => shaped(&[], Some(most), None),
            Kind::Matching(pattern) => shaped(&[], None, Some(pattern)),
        }
    }

    pub fn is_plain(self) -> bool {
        !matches!(self, Kind::Whole | Kind::Last4 | Kind::Redact | Kind::Truncate)
    }
}

impl Query {
    pub fn text(&self) -> String {
        let steps: Vec<_> = self.steps.iter().map(Step::text).collect();
        format!("{}{}", self.origin, steps.concat())
    }

    /// Takes children twice, if any: in what is counted, the generated selectors of a step are either
    /// names or all the same.
    fn can_select_twice(&self) -> bool {
        self.steps.iter().any(|step| {
            let texts: Vec<_> = step.selectors.iter().map(Selector::text).collect();
            texts.iter().enumerate().any(|(at, text)| texts[..at].contains(text))
        })
    }

    fn descendants(&self) -> usize {
        let own = self.steps.iter().filter(|step| step.descendant).count();
        let filters = self.steps.iter().flat_map(|step| &step.selectors).map(|selector| match selector {
            Selector::Filter(test) => test.queries().iter().map(|query| query.descendants()).max(),
            _ => None,
        });
        own + filters.flatten().max().unwrap_or(0)
    }
}

impl Step {
    pub fn text(&self) -> String {
        match (&self.selectors[..], self.descendant) {
            ([Selector::Name(name)], false) if !name.contains(' ') => format!(".{name}"),
            ([Selector::Name(name)], true) if !name.contains(' ') => format!("..{name}"),
            (selectors, descendant) => {
                let texts: Vec<_> = selectors.iter().map(Selector::text).collect();
                format!("{}[{}]", if descendant { ".." } else { "" }, texts.join(","))
            }
        }
    }

    pub fn meets_objects(&self) -> bool {
        self.selectors.iter().any(|one| !matches!(one, Selector::Index(_) | Selector::Slice(_)))
    }

    pub fn meets_arrays(&self) -> bool {
        self.selectors.iter().any(|one| !matches!(one, Selector::Name(_)))
    }

    /// A member of this name is looked at, whatever its value is.
    pub fn looks_at(&self, name: Option<&str>) -> bool {
        let one = |selector: &Selector| match selector {
            Selector::Name(own) => name == Some(own),
            Selector::Wildcard | Selector::Filter(_) => true,
            Selector::Index(_) | Selector::Slice(_) => false,
        };
        self.descendant || self.selectors.iter().any(one)
    }
}

impl Selector {
    pub fn text(&self) -> String {
        match self {
            Selector::Name(name) => format!("'{name}'"),
            Selector::Wildcard => "*".to_owned(),
            Selector::Index(index) => index.to_string(),
            Selector::Slice(text) => text.clone(),
            Selector::Filter(test) => format!("?{}", test.text()),
        }
    }
}

impl Test {
    pub fn text(&self) -> String {
        match self {
            Test::Exists(query) => query.text(),
            Test::Compare(left, operator, right) => format!("{} {operator} {}", left.text(), right.text()),
            Test::Matches(function, query, pattern) => format!("{function}({}, '{pattern}')", query.text()),
            Test::Not(inner) => format!("!({})", inner.text()),
            Test::Both(left, right) => format!("({}) && ({})", left.text(), right.text()),
            Test::Either(left, right) => format!("({}) || ({})", left.text(), right.text()),
        }
    }

    pub fn queries(&self) -> Vec<&Query> {
        match self {
            Test::Exists(query) | Test::Matches(_, query, _) => vec![query],
            Test::Compare(left, _, right) => [left, right].into_iter().filter_map(Operand::query).collect(),
            Test::Not(inner) => inner.queries(),
            Test::Both(left, right) | Test::Either(left, right) => [left.queries(), right.queries()].concat(),
        }
    }

    /// The names on its way are examined in the one pass over the body, so that a duplicate refuses it;
    /// otherwise it is decided on a tree of the record, and a duplicate decides nothing.
    pub fn is_in_one_pass(&self) -> bool {
        let counts_twice = match self {
            Test::Compare(left, _, right) => [left, right].into_iter().any(|operand| {
                matches!(operand, Operand::Function("count" | "value", query) if query.can_select_twice())
            }),
            Test::Not(inner) => return inner.is_in_one_pass(),
            Test::Both(left, right) | Test::Either(left, right) => {
                return left.is_in_one_pass() && right.is_in_one_pass();
            }
            _ => false,
        };
        !counts_twice && self.queries().iter().all(|query| query.origin == '@')
    }
}

impl Operand {
    fn text(&self) -> String {
        match self {
            Operand::Literal(text) => (*text).to_owned(),
            Operand::Path(query) => query.text(),
            Operand::Function(function, query) => format!("{function}({})", query.text()),
        }
    }

    fn query(&self) -> Option<&Query> {
        match self {
            Operand::Literal(_) => None,
            Operand::Path(query) | Operand::Function(_, query) => Some(query),
        }
    }
}
