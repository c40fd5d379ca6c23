//! JSONPath (RFC 9535) as the filter understands it: parsed by jsonpath-rust, then written in the
//! filter's own terms and narrowed to what takes linear time.

use std::fmt;
use std::sync::Arc;

use jsonpath_rust::parser::model as parsed;
use jsonpath_rust::parser::parse_json_path;

use super::condition::Condition;
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
    /// `@`: one record, or the value that a filter selector looks at.
    Record,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub origin: Origin,
    pub steps: Vec<Step>,
}

/// One segment: its selectors, applied to the children or to all descendants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub descendant: bool,
    pub selectors: Vec<Selector>,
}

/// A selector (RFC 9535, section 2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    Name(String),
    Wildcard,
    /// From the end where it is negative.
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    /// The children for which the condition holds; they are its `@`.
    Filter(Arc<Condition>),
}

impl Path {
    /// Parses one path; it begins with `$` or `@`.
    ///
    /// # Errors
    /// Where the text is not RFC 9535 or is over the limits.
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
        let path = Path { origin, steps: steps(&query.segments)? };
        path.check_work()?;
        Ok(path)
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

    /// The paths that this one stands for, where a step lists several names or indexes; itself where it has
    /// other selectors beside them. At most so many as the text has room for.
    pub fn singles(&self) -> Vec<Path> {
        const MOST: usize = 4096;
        let mut all = vec![Path { origin: self.origin, steps: Vec::new() }];
        for step in &self.steps {
            let each: Vec<Step> = step
                .selectors
                .iter()
                .map(|selector| Step { descendant: step.descendant, selectors: vec![selector.clone()] })
                .collect();
            if all.len() * each.len() > MOST {
                return vec![self.clone()];
            }
            let longer = |path: &Path| {
                let one = |step: &Step| {
                    let mut longer = path.clone();
                    longer.steps.push(step.clone());
                    longer
                };
                each.iter().map(one).collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        all
    }

    /// `recipient.name`, where it has names and indexes only.
    pub fn plain_name(&self) -> Option<String> {
        let mut text = String::new();
        for step in &self.steps {
            match (&step.selectors[..], step.descendant) {
                ([Selector::Name(name)], false) if !name.contains(['.', '[']) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                ([Selector::Index(index)], false) => text.push_str(&format!("[{index}]")),
                ([Selector::Wildcard], false) => text.push_str("[*]"),
                _ => return None,
            }
        }
        Some(text).filter(|text| !text.is_empty())
    }

    pub fn has_descendant(&self) -> bool {
        self.steps.iter().any(|step| step.descendant)
    }

    /// One of its own selectors depends on how long the array is.
    pub fn needs_length(&self) -> bool {
        self.selectors().any(Selector::needs_length)
    }

    pub fn has_filter(&self) -> bool {
        self.filters().next().is_some()
    }

    /// A filter in it, or in a query of such a filter, asks for something by `$`.
    pub fn uses_body(&self) -> bool {
        self.filters().any(|filter| filter.uses_body())
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.steps.iter().flat_map(|step| &step.selectors)
    }

    fn filters(&self) -> impl Iterator<Item = &Condition> {
        self.selectors().filter_map(|selector| match selector {
            Selector::Filter(condition) => Some(&**condition),
            _ => None,
        })
    }

    /// Refuses what would not be linear in the size of a body.
    pub(super) fn check_work(&self) -> Result<(), PathError> {
        if self.descendants() > 1 {
            return Err(PathError::new(
                0,
                "has more than one `..` along one way (those in its filters count too); \
                 the work would grow with the power of the depth",
            ));
        }
        Ok(())
    }

    /// How many `..` lie on one way through the path and the queries of its filters, at most.
    fn descendants(&self) -> usize {
        let own = self.steps.iter().filter(|step| step.descendant).count();
        let nested = self.filters().flat_map(Condition::queries).map(Path::descendants).max();
        own + nested.unwrap_or(0)
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
    segments.iter().map(step).collect()
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
        parsed::Selector::Filter(filter) => Selector::Filter(Arc::new(Condition::from_filter(filter)?)),
    })
}

impl Selector {
    /// Takes the member `name` whatever its value is; a filter is left to its condition.
    pub fn takes_name(&self, name: &str) -> bool {
        match self {
            Selector::Name(own) => own == name,
            Selector::Wildcard => true,
            Selector::Index(_) | Selector::Slice { .. } | Selector::Filter(_) => false,
        }
    }

    /// Takes the element `index` of an array of `length` whatever its value is; a filter is left to its
    /// condition. A selector that needs the length takes nothing without it.
    pub fn takes_index(&self, index: u64, length: Option<u64>) -> bool {
        if length.is_none() && self.needs_length() {
            return false;
        }
        let length = length.unwrap_or_else(|| index.saturating_add(1));
        let (Ok(index), Ok(length)) = (i64::try_from(index), i64::try_from(length)) else {
            return false;
        };
        match *self {
            Selector::Name(_) | Selector::Filter(_) => false,
            Selector::Wildcard => true,
            Selector::Index(own) => index == from_front(own, length),
            Selector::Slice { start, end, step } => slice_takes(start, end, step, index, length),
        }
    }

    /// Which elements it takes depends on how long the array is (RFC 9535, section 2.3.4.2.2).
    pub fn needs_length(&self) -> bool {
        let negative = |bound: Option<i64>| bound.is_some_and(|bound| bound < 0);
        match *self {
            Selector::Index(index) => index < 0,
            // With a longer step back, the end decides which elements are hit.
            Selector::Slice { start, end, step } => negative(start) || negative(end) || step < -1,
            _ => false,
        }
    }

    /// That it takes a child says nothing of what others take.
    pub(super) fn is_free(&self) -> bool {
        let in_steps = matches!(self, Selector::Slice { step, .. } if *step != 1);
        in_steps || self.needs_length() || matches!(self, Selector::Filter(_))
    }

    /// Some child could be taken by both.
    fn meets(&self, other: &Selector) -> bool {
        match (self, other) {
            (Selector::Filter(_) | Selector::Wildcard, _) | (_, Selector::Filter(_) | Selector::Wildcard) => {
                true
            }
            (Selector::Name(a), Selector::Name(b)) => a == b,
            (Selector::Name(_), _) | (_, Selector::Name(_)) => false,
            (Selector::Slice { .. }, Selector::Slice { .. }) => true,
            (Selector::Index(index), other) | (other, Selector::Index(index)) => {
                match u64::try_from(*index) {
                    Ok(index) if !other.needs_length() => other.takes_index(index, None),
                    _ => {
                        !matches!(other, Selector::Index(other) if (*other < 0) == (*index < 0) && other != index)
                    }
                }
            }
        }
    }

    /// Could select members of an object.
    pub(super) fn meets_objects(&self) -> bool {
        matches!(self, Selector::Name(_) | Selector::Wildcard | Selector::Filter(_))
    }

    /// Could select elements of an array.
    pub(super) fn meets_arrays(&self) -> bool {
        !matches!(self, Selector::Name(_))
    }
}

/// Normalize() of RFC 9535, section 2.3.4.2.2.
fn from_front(index: i64, length: i64) -> i64 {
    if index < 0 { length + index } else { index }
}

/// Bounds() and the loops of RFC 9535, section 2.3.4.2.2, for one index below `length`.
fn slice_takes(start: Option<i64>, end: Option<i64>, step: i64, index: i64, length: i64) -> bool {
    let bound = |bound: Option<i64>, default: i64, low: i64, high: i64| {
        bound.map_or(default, |bound| from_front(bound, length)).max(low).min(high)
    };
    match step {
        0 => false,
        1.. => {
            let lower = bound(start, 0, 0, length);
            let upper = bound(end, length, 0, length);
            lower <= index && index < upper && (index - lower) % step == 0
        }
        _ => {
            let upper = bound(start, length - 1, -1, length - 1);
            let lower = bound(end, -1, -1, length - 1);
            lower < index && index <= upper && (upper - index) % step == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(start: Option<i64>, end: Option<i64>, step: i64) -> Selector {
        Selector::Slice { start, end, step }
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn paths_are_parsed_into_steps() {
        let path = path("@.a['b','c'][0][1:9:2]..d");
        assert_eq!(path.origin, Origin::Record);
        assert_eq!(path.steps.len(), 5);
        assert_eq!(path.steps[1].selectors.len(), 2);
        assert_eq!(path.steps[3].selectors[0], slice(Some(1), Some(9), 2));
        assert!(path.steps[4].descendant);
        assert!(!path.is_singular());
        assert!(Path::parse("$.a['b c'][-1]").unwrap().is_singular());
        assert!(!Path::parse("$[?@.a]").unwrap().is_singular());
    }

    #[test]
    fn escapes_in_names_are_resolved() {
        assert_eq!(path(r"$['it\'s']").steps[0].selectors, [Selector::Name("it's".into())]);
    }

    #[test]
    fn what_is_not_a_path_is_refused() {
        for text in ["a.b", "", "$.a[", "$[", "$[?@.a==]", "$[?@[0:1]==1]", "$[-0]", "$[01]", "$[?'a']"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_descendant_segment_is_allowed_on_each_way_filters_included() {
        for text in ["$..a[?@.b]", "$[?@..a && @..b]", "$.a[?value($..b) == 1]"] {
            assert!(Path::parse(text).is_ok(), "{text}");
        }
        for text in ["$..a..b", "$..a[?@..b]", "$[?@[?@..a]..b]", "$..[?count($..*) > 1]"] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.message.starts_with("has more than one `..`"), "{text}");
        }
    }

    #[test]
    fn equal_filters_are_equal_selectors() {
        assert_eq!(path("$[?match(@.a, 'x')]"), path("$[ ?match(@['a'],'x') ]"));
        assert_ne!(path("$[?match(@.a, 'x')]"), path("$[?search(@.a, 'x')]"));
        assert_ne!(path("$[?@.a==1]"), path("$[?@.a==2]"));
    }

    #[test]
    fn slices_follow_section_2_3_4() {
        let taken = |s: &Selector| (0..8).filter(|i| s.takes_index(*i, Some(8))).collect::<Vec<_>>();
        assert_eq!(taken(&slice(Some(1), Some(6), 2)), [1, 3, 5]);
        assert_eq!(taken(&slice(Some(5), None, 1)), [5, 6, 7]);
        assert_eq!(taken(&slice(Some(-2), None, 1)), [6, 7]);
        assert_eq!(taken(&slice(None, None, -3)), [1, 4, 7]);
        assert_eq!(taken(&slice(Some(100), Some(-4), -2)), [5, 7]);
        assert_eq!(taken(&Selector::Index(-8)), [0]);
        assert!(taken(&Selector::Index(-9)).is_empty());
        assert!(taken(&slice(None, None, 0)).is_empty());
    }

    #[test]
    fn a_selector_that_needs_no_length_takes_the_same_without_it() {
        for selector in [
            slice(Some(1), Some(6), 2),
            slice(Some(2), None, 3),
            slice(Some(5), Some(1), -1),
            slice(None, None, -1),
            Selector::Index(3),
            Selector::Wildcard,
        ] {
            assert!(!selector.needs_length());
            for length in 0..9 {
                for index in 0..length {
                    let known = selector.takes_index(index, Some(length));
                    assert_eq!(selector.takes_index(index, None), known, "{selector:?} {index}/{length}");
                }
            }
        }
        for selector in [Selector::Index(-1), slice(None, Some(-1), 1), slice(Some(9), None, -2)] {
            assert!(selector.needs_length());
            assert!(!selector.takes_index(0, None));
        }
    }

    #[test]
    fn a_path_knows_whether_it_could_select_a_node_twice() {
        for text in ["$[0,0]", "$[*,'a']", "$[0,-1]", "$[0,:2]", "$[1,::-1]", "$[?@.a,?@.b]", "$[-1,1:]"] {
            assert!(path(text).can_select_twice(), "{text}");
        }
        for text in ["$[0,1]", "$['a','b',0]", "$[-1,-2]", "$[5,:2]", "$..[?@.a]", "$['a',::2]"] {
            assert!(!path(text).can_select_twice(), "{text}");
        }
    }

    #[test]
    fn a_path_knows_what_its_filters_ask_for() {
        assert!(path("$.a[?@[?@.b == $.c]]").uses_body());
        assert!(!path("$.a[?@[?@.b == 1]]").uses_body());
        assert!(path("$.a[?@.b]").has_filter());
        assert!(!path("$.a.b").has_filter());
        assert!(path("$.a[-1]").needs_length());
        assert!(!path("$.a[?@[-1]]").needs_length());
    }
}
