//! JSONPath (RFC 9535) as the filter understands it: parsed by jsonpath-rust, then narrowed to what
//! can be decided in one pass over the bytes.

use std::fmt;

use jsonpath_rust::parser::model as parsed;
use jsonpath_rust::parser::parse_json_path;

use super::syntax;

/// What is wrong with a path or a condition, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// Byte offset in the text.
    pub offset: usize,
    /// Continues a sentence that begins with the path: 'has …', 'is …'.
    pub message: String,
}

impl PathError {
    pub fn new(offset: usize, message: impl Into<String>) -> Self {
        PathError { offset, message: message.into() }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PathError {}

/// What a path starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `$`: the whole body.
    Body,
    /// `@`: one record.
    Record,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub origin: Origin,
    pub steps: Vec<Step>,
}

/// One segment: its selectors, applied to the children or to all descendants.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub descendant: bool,
    pub selectors: Vec<Selector>,
}

/// RFC 9535, section 2.3.
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    Name(String),
    Wildcard,
    Index(i64),
    Slice { start: Option<i64>, end: Option<i64>, step: i64 },
    Filter(std::sync::Arc<super::condition::Condition>),
}

impl Path {
    /// Parses one path; it begins with `$` or `@`.
    ///
    /// # Errors
    /// Where the text is not RFC 9535, is over the limits, or uses a selector that needs to see an
    /// element before it can decide (filters, negative indexes).
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let origin = match text.as_bytes().first() {
            Some(b'$') => Origin::Body,
            Some(b'@') => Origin::Record,
            _ => {
                return Err(PathError::new(0, "begins with neither `$` (the body) nor `@` (the record)"));
            }
        };
        syntax::check(text)?;
        let query = parse_json_path(&format!("${}", &text[1..])).map_err(|error| parser_error(&error, 0))?;
        Ok(Path { origin, steps: steps(&query.segments)? })
    }

    /// At most one node can be selected (RFC 9535, section 2.3.5.1).
    pub fn is_singular(&self) -> bool {
        self.steps.iter().all(|step| {
            let one = matches!(step.selectors[..], [Selector::Name(_) | Selector::Index(_)]);
            one && !step.descendant
        })
    }

    /// A node list of this path could hold one node twice (RFC 9535, section 2.1.2).
    pub(super) fn can_select_twice(&self) -> bool {
        self.steps.iter().any(|step| {
            let all = &step.selectors;
            all.iter().enumerate().any(|(at, one)| all[at + 1..].iter().any(|other| one.meets(other)))
        })
    }

    pub fn has_descendant(&self) -> bool {
        self.steps.iter().any(|step| step.descendant)
    }
}

/// jsonpath-rust's message, made one line; `shift` bytes were put before the user's text.
pub(super) fn parser_error(error: &jsonpath_rust::parser::errors::JsonPathError, shift: usize) -> PathError {
    use jsonpath_rust::parser::errors::JsonPathError as E;
    match error {
        E::PestError(pest) => {
            let offset = match pest.location {
                pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
            };
            PathError::new(offset.saturating_sub(shift), "is not RFC 9535 JSONPath from here on")
        }
        other => PathError::new(0, format!("is not RFC 9535 JSONPath: {other}").replace('\n', " ")),
    }
}

/// The steps of a query, in the filter's own terms.
pub(super) fn steps(segments: &[parsed::Segment]) -> Result<Vec<Step>, PathError> {
    let steps: Vec<Step> = segments.iter().map(step).collect::<Result<_, _>>()?;
    if steps.iter().filter(|step| step.descendant).count() > 1 {
        return Err(PathError::new(
            0,
            "has more than one `..`; the work would grow with the power of the depth",
        ));
    }
    Ok(steps)
}

fn step(segment: &parsed::Segment) -> Result<Step, PathError> {
    let (descendant, selectors) = match segment {
        parsed::Segment::Descendant(inner) => {
            return Ok(Step { descendant: true, ..step(inner)? });
        }
        parsed::Segment::Selector(one) => (false, vec![selector(one)?]),
        parsed::Segment::Selectors(many) => (false, many.iter().map(selector).collect::<Result<_, _>>()?),
    };
    Ok(Step { descendant, selectors })
}

fn selector(selector: &parsed::Selector) -> Result<Selector, PathError> {
    Ok(match selector {
        parsed::Selector::Name(name) => Selector::Name(name.clone()),
        parsed::Selector::Wildcard => Selector::Wildcard,
        parsed::Selector::Index(index) => Selector::Index(*index),
        parsed::Selector::Slice(start, end, step) => {
            Selector::Slice { start: *start, end: *end, step: step.unwrap_or(1) }
        }
        parsed::Selector::Filter(_) => {
            return Err(PathError::new(0, "has a filter selector; put the condition into `when`"));
        }
    })
}

impl Selector {
    pub(super) fn takes_name(&self, name: &str) -> bool {
        match self {
            Selector::Name(own) => own == name,
            Selector::Wildcard => true,
            _ => false,
        }
    }

    pub(super) fn takes_index(&self, index: u64, length: Option<u64>) -> bool {
        let _ = length;
        match *self {
            Selector::Name(_) | Selector::Filter(_) => false,
            Selector::Wildcard => true,
            Selector::Index(own) => own >= 0 && own as u64 == index,
            Selector::Slice { start, end, step } => {
                let start = start.unwrap_or(0) as u64;
                let end = end.map_or(u64::MAX, |end| end as u64);
                step > 0 && index >= start && index < end && (index - start).is_multiple_of(step as u64)
            }
        }
    }

    pub fn needs_length(&self) -> bool {
        match *self {
            Selector::Index(index) => index < 0,
            Selector::Slice { start, end, step } => {
                start.is_some_and(|at| at < 0) || end.is_some_and(|at| at < 0) || step < 0
            }
            _ => false,
        }
    }

    /// What it takes says nothing of what others take.
    pub(super) fn is_free(&self) -> bool {
        self.needs_length()
            || matches!(self, Selector::Filter(_))
            || matches!(self, Selector::Slice { step, .. } if *step != 1)
    }

    fn meets(&self, other: &Selector) -> bool {
        match (self, other) {
            (Selector::Name(a), Selector::Name(b)) => a == b,
            (Selector::Name(_), Selector::Wildcard) | (Selector::Wildcard, _) => true,
            (Selector::Name(_), _) | (_, Selector::Name(_)) => false,
            _ => true,
        }
    }

    /// Could select members of an object.
    pub(super) fn meets_objects(&self) -> bool {
        matches!(self, Selector::Name(_) | Selector::Wildcard)
    }

    /// Could select elements of an array.
    pub(super) fn meets_arrays(&self) -> bool {
        !matches!(self, Selector::Name(_))
    }
}
