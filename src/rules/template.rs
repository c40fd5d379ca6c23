//! Path templates, and the one way in which a request path is read.
//!
//! A path is split first, each segment decoded once, and encoded once again for the upstream: what
//! the route matched is what the upstream gets (RFC 3986, sections 2.1 and 3.3).

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::Regex;

use crate::diagnostic::table::At;

/// Everything but the unreserved characters of RFC 3986, section 2.3.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Longest parameter of a path, where the rule does not say otherwise; in bytes.
const MAX_PARAMETER: usize = 128;

/// `/orders/{order_id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// A request path, split and decoded; no segment is empty, a dot segment, or holds a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPath(Vec<String>);

/// The path has no single meaning: an empty or dot segment, an encoded slash, a bad escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPath;

/// What the parameters of a route may be.
#[derive(Clone, Debug, Default)]
pub struct Parameters(pub BTreeMap<String, Regex>);

impl PathTemplate {
    /// # Errors
    /// Says what a template looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a path begins with a slash, such as \"/orders/{order_id}\"".into());
        };
        let segments: Vec<Segment> = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        let template = PathTemplate { text: text.to_owned(), segments };
        let mut names: Vec<&str> = template.parameters().collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("each parameter of a path has a name of its own".into());
        }
        Ok(template)
    }

    /// In the place of one that is not understood: no request has this path.
    pub fn stand_in() -> Self {
        PathTemplate { text: String::new(), segments: Vec::new() }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// The same requests match both, whatever the parameters are called.
    pub fn overlaps(&self, other: &PathTemplate) -> bool {
        let same = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Parameter(_), Segment::Parameter(_)) => true,
            _ => false,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(same)
    }

    /// Each request that matches `other` matches this one too, as far as parameters take their values.
    pub fn takes_requests_of(&self, other: &PathTemplate) -> bool {
        let takes = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Parameter(_), _) => true,
            (Segment::Literal(_), Segment::Parameter(_)) => false,
        };
        self.segments.len() == other.segments.len() && self.segments.iter().zip(&other.segments).all(takes)
    }

    /// A number that changes by as much as the numbers that the parameters of `path` end with, be it one of
    /// them or another; `None` where no parameter ends with a digit.
    pub fn number(&self, path: &RequestPath) -> Option<u64> {
        let parameters = self.segments.iter().zip(&path.0);
        let mut numbers = parameters.filter_map(|(segment, value)| match segment {
            Segment::Parameter(_) => trailing_number(value),
            Segment::Literal(_) => None,
        });
        let first = numbers.next()?;
        Some(numbers.fold(first, u64::wrapping_add))
    }

    /// Some request that matches `other` can match this one too, its parameters as `patterns` want them.
    pub fn can_take_requests_of(&self, other: &PathTemplate, patterns: &[At<(String, Regex)>]) -> bool {
        let admits = |name: &str, value: &str| {
            let mut own = patterns.iter().filter(|pattern| !pattern.stands_in && pattern.value.0 == name);
            own.all(|pattern| pattern.value.1.is_match(value))
        };
        let mut pairs = self.segments.iter().zip(&other.segments);
        self.takes_requests_of(other)
            && pairs.all(|pair| match pair {
                (Segment::Parameter(name), Segment::Literal(value)) => admits(name, value),
                _ => true,
            })
    }

    /// Whether `path` is one of this template's, its parameters as the rule wants them.
    pub fn accepts(&self, path: &RequestPath, parameters: &Parameters) -> bool {
        self.segments.len() == path.0.len()
            && self.segments.iter().zip(&path.0).all(|(segment, value)| match segment {
                Segment::Literal(literal) => literal == value,
                Segment::Parameter(name) => parameters.accept(name, value),
            })
    }
}

/// The number that a text ends with, by its last 18 digits.
fn trailing_number(text: &str) -> Option<u64> {
    let digits = text.bytes().rev().take_while(u8::is_ascii_digit).take(18).count();
    text[text.len() - digits..].parse().ok()
}

fn segment(text: &str) -> Result<Segment, String> {
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return plain
            .then(|| Segment::Parameter(name.to_owned()))
            .ok_or_else(|| "a parameter's name is letters, digits and underscores: {order_id}".into());
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if text.is_empty() || text == "." || text == ".." || !text.bytes().all(plain) {
        return Err("each part of a path is letters, digits, `-._~`, or one parameter in braces; \
                    no empty part, no dot segment, no slash at the end"
            .into());
    }
    Ok(Segment::Literal(text.to_owned()))
}

impl Parameters {
    /// What a parameter must match as a whole, as it is written; the usual form where nothing is.
    pub fn pattern(&self, name: &str) -> String {
        let written = self.0.get(name).map(|regex| {
            let text = regex.as_str();
            text.strip_prefix(r"\A(?:").and_then(|text| text.strip_suffix(r")\z")).unwrap_or(text)
        });
        match written {
            Some(text) => format!("^(?:{text})$"),
            None => format!("^[A-Za-z0-9._~-]{{1,{MAX_PARAMETER}}}$"),
        }
    }

    fn accept(&self, name: &str, value: &str) -> bool {
        match self.0.get(name) {
            Some(regex) => regex.is_match(value),
            None => {
                let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
                value.len() <= MAX_PARAMETER && value.bytes().all(unreserved)
            }
        }
    }
}

impl RequestPath {
    /// Reads the path of a request target, still encoded.
    ///
    /// # Errors
    /// Where two servers could read it differently.
    pub fn parse(raw: &str) -> Result<Self, MalformedPath> {
        let rest = raw.strip_prefix('/').ok_or(MalformedPath)?;
        if rest.is_empty() {
            return Ok(RequestPath(Vec::new()));
        }
        rest.split('/').map(decode_segment).collect::<Result<_, _>>().map(RequestPath)
    }

    /// For the upstream's request line.
    pub fn encode(&self) -> String {
        let mut path = String::with_capacity(64);
        for segment in &self.0 {
            path.push('/');
            path.extend(utf8_percent_encode(segment, RESERVED));
        }
        path
    }
}

fn decode_segment(raw: &str) -> Result<String, MalformedPath> {
    let text = decode(raw).ok_or(MalformedPath)?;
    let confusing = text.is_empty() || text == "." || text == ".." || text.contains(['/', '\\']);
    if confusing || text.chars().any(char::is_control) {
        return Err(MalformedPath);
    }
    Ok(text)
}

/// Percent-decodes once; `None` for a stray percent sign or bytes that are not UTF-8.
pub fn decode(raw: &str) -> Option<String> {
    let bytes = raw.as_bytes();
    let stray = bytes.iter().enumerate().any(|(at, byte)| {
        *byte == b'%' && !bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    });
    if stray {
        return None;
    }
    Some(percent_decode_str(raw).decode_utf8().ok()?.into_owned())
}

/// Finds the routes of a path: one look-up a segment, however many routes there are.
#[derive(Debug, Default)]
pub struct Router {
    literals: BTreeMap<String, Router>,
    parameter: Option<Box<Router>>,
    routes: Vec<usize>,
}

impl Router {
    pub fn insert(&mut self, template: &PathTemplate, route: usize) {
        let mut node = self;
        for segment in &template.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        node.routes.push(route);
    }

    /// The routes whose template has this shape: by template, a literal part before a parameter.
    pub fn find(&self, path: &RequestPath) -> Vec<&[usize]> {
        let mut found = Vec::new();
        self.descend(&path.0, &mut found);
        found
    }

    fn descend<'r>(&'r self, rest: &[String], found: &mut Vec<&'r [usize]>) {
        let Some((first, rest)) = rest.split_first() else {
            found.extend((!self.routes.is_empty()).then_some(&self.routes[..]));
            return;
        };
        if let Some(next) = self.literals.get(first) {
            next.descend(rest, found);
        }
        if let Some(next) = &self.parameter {
            next.descend(rest, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusing_paths_are_refused() {
        for raw in [
            "orders",
            "//orders",
            "/orders/",
            "/orders//1",
            "/./orders",
            "/a/../b",
            "/%2e%2e/x",
            "/a%2fb",
            "/a%5cb",
            "/a%2",
            "/a%zz",
            "/%00",
            "/a%0a",
            "/%ff",
            "/%c0%af",
        ] {
            assert_eq!(RequestPath::parse(raw), Err(MalformedPath), "{raw}");
        }
    }

    #[test]
    fn a_path_is_decoded_once_and_encoded_once() {
        let path = RequestPath::parse("/a%20b/%2561/caf%C3%A9").unwrap();
        assert_eq!(path.0, ["a b", "%61", "café"]);
        assert_eq!(path.encode(), "/a%20b/%2561/caf%C3%A9");
        assert_eq!(RequestPath::parse("/%6frders").unwrap().encode(), "/orders");
    }

    #[test]
    fn the_number_of_a_path_follows_each_parameter() {
        let template = PathTemplate::parse("/v2/{customer}/orders/{order}").unwrap();
        let number = |raw: &str| template.number(&RequestPath::parse(raw).unwrap());
        assert_eq!(number("/v2/c-10797/orders/3"), Some(10_800));
        assert_eq!(number("/v2/anna/orders/o-0007"), Some(7));
        assert_eq!(number("/v2/anna/orders/7-a"), None);
        assert_eq!(number("/v2/é1/orders/99999999999999999999999999"), Some(10u64.pow(18)));
    }

    #[test]
    fn literals_go_before_parameters_and_parameters_are_checked() {
        let mut router = Router::default();
        let one = PathTemplate::parse("/orders/{id}").unwrap();
        router.insert(&one, 0);
        router.insert(&PathTemplate::parse("/orders/export").unwrap(), 1);
        router.insert(&PathTemplate::parse("/orders/{order}/items").unwrap(), 2);
        let find = |raw| router.find(&RequestPath::parse(raw).unwrap()).concat();
        assert_eq!(find("/orders/7"), [0]);
        assert_eq!(find("/orders/export"), [1, 0]);
        assert_eq!(find("/orders/export/items"), [2]);
        assert!(find("/orders").is_empty() && find("/").is_empty());
        let any = Parameters::default();
        assert!(one.accepts(&RequestPath::parse("/orders/A-1.b~c").unwrap(), &any));
        assert!(!one.accepts(&RequestPath::parse("/orders/a%20b").unwrap(), &any));
        assert!(!one.accepts(&RequestPath::parse(&format!("/orders/{}", "1".repeat(129))).unwrap(), &any));
    }
}
