//! How an allowed value leaves: as it is, as a subtree, changed, or not at all where it is not what the
//! rule says that it is.

use std::borrow::Cow;
use std::sync::Arc;

use regex::Regex;

use super::scanner::Kind;
use super::sensitive::{self, Kinds, Masked};
use super::transform::Transform;
use super::{Fault, iregexp, text};

/// How a disclosed field leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment {
    pub form: Form,
    /// What the field must be.
    pub shape: Option<Arc<Shape>>,
    /// What is masked in its text.
    pub scan: Kinds,
}

/// What of a field leaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Scalars and arrays of scalars.
    Plain,
    /// The whole subtree.
    Whole,
    Transformed(Transform),
}

/// What a rule says about a field: a value that is something else stays.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The types that it may have; empty for all.
    pub types: Vec<Type>,
    /// Characters of a string.
    pub max_length: Option<u64>,
    /// For the whole text of a string or number.
    pub pattern: Option<Pattern>,
}

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    String,
    Number,
    /// A number without fraction and exponent.
    Integer,
    Boolean,
    Null,
}

/// An I-Regexp (RFC 9485).
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Disclosed(Masked),
    /// It is not what a transform takes.
    Withheld,
    /// It is not what the rule says that it is.
    Drifted,
}

impl Treatment {
    pub fn plain() -> Self {
        Form::Plain.into()
    }

    pub fn whole() -> Self {
        Form::Whole.into()
    }

    pub fn transformed(transform: Transform) -> Self {
        Form::Transformed(transform).into()
    }

    #[must_use]
    pub fn with_scan(mut self, scan: Kinds) -> Self {
        self.scan = scan;
        self
    }

    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        self.shape = Some(Arc::new(shape));
        self
    }

    /// What two treatments of one value come to, where they do not contradict each other: the wider one.
    pub(super) fn merge<'t>(&'t self, other: &'t Treatment) -> Option<&'t Treatment> {
        if self == other {
            return Some(self);
        }
        let unguarded = self.shape.is_none() && other.shape.is_none() && self.scan == other.scan;
        match (&self.form, &other.form) {
            (Form::Plain, Form::Whole) if unguarded => Some(other),
            (Form::Whole, Form::Plain) if unguarded => Some(self),
            _ => None,
        }
    }

    /// Quick: a scalar of which it is certain that [`write`](Self::write) writes just its bytes.
    #[inline(always)]
    pub(super) fn leaves_as_it_is(&self, kind: Kind, token: &[u8], escaped: bool) -> bool {
        let scanned = kind == Kind::String && (escaped || sensitive::may_hold(token, self.scan));
        matches!(self.form, Form::Plain | Form::Whole) && self.shape.is_none() && !scanned
    }

    /// Writes one scalar as it may leave; nothing where it may not. `token` is its bytes, quotes included.
    ///
    /// # Errors
    /// Where a string that leaves holds a lone surrogate.
    #[inline]
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        kind: Kind,
        token: &[u8],
        escaped: bool,
    ) -> Result<Written, Fault> {
        if let Some(shape) = &self.shape
            && !shape.fits(kind, token)
        {
            return Ok(Written::Drifted);
        }
        if kind == Kind::String && escaped && text::has_lone_surrogate(&token[1..token.len() - 1]) {
            return match self.form {
                Form::Plain | Form::Whole => Err(Fault::LoneSurrogate),
                Form::Transformed(_) => Ok(Written::Withheld),
            };
        }
        let found =
            if kind == Kind::String && !self.scan.is_empty() { self.find(token, escaped) } else { None };
        match (&self.form, found) {
            (Form::Plain | Form::Whole, None) => {
                out.extend_from_slice(token);
                Ok(Written::Disclosed(Masked::default()))
            }
            (Form::Plain | Form::Whole, Some((masked, count))) => {
                text::write_string(out, &masked);
                Ok(Written::Disclosed(count))
            }
            (Form::Transformed(transform), None) => Ok(transformed(transform, out, kind, token)),
            (Form::Transformed(transform), Some((masked, count))) => {
                let written = transform.write_text(out, &masked);
                Ok(if written { Written::Disclosed(count) } else { Written::Withheld })
            }
        }
    }

    /// What is masked in a string before anything else happens to it.
    fn find(&self, token: &[u8], escaped: bool) -> Option<(String, Masked)> {
        if let Form::Transformed(transform) = &self.form
            && !transform.keeps_text()
        {
            return None;
        }
        let raw = &token[1..token.len() - 1];
        // An escape can hide a character; it cannot hide a digit among fewer bytes.
        let hidden = escaped && self.scan != Kinds::PAN;
        if !hidden && !sensitive::may_hold(raw, self.scan) {
            return None;
        }
        let text = if escaped { text::unescape(raw)? } else { Cow::Borrowed(std::str::from_utf8(raw).ok()?) };
        sensitive::mask(&text, self.scan)
    }
}

fn transformed(transform: &Transform, out: &mut Vec<u8>, kind: Kind, token: &[u8]) -> Written {
    if transform.write(out, kind, token) { Written::Disclosed(Masked::default()) } else { Written::Withheld }
}

impl From<Form> for Treatment {
    fn from(form: Form) -> Self {
        Treatment { form, shape: None, scan: Kinds::default() }
    }
}

impl Shape {
    fn fits(&self, kind: Kind, token: &[u8]) -> bool {
        if !self.types.is_empty() && !self.types.iter().any(|one| one.is(kind, token)) {
            return false;
        }
        if self.max_length.is_none() && self.pattern.is_none() {
            return true;
        }
        let text = match kind {
            Kind::String => text::unescape(&token[1..token.len() - 1]),
            Kind::Number => std::str::from_utf8(token).ok().map(Cow::Borrowed),
            // Nothing to measure or to match.
            Kind::Bool | Kind::Null | Kind::Object | Kind::Array => return self.pattern.is_none(),
        };
        let Some(text) = text else { return false };
        let short = self.max_length.is_none_or(|most| text.chars().count() as u64 <= most);
        short && self.pattern.as_ref().is_none_or(|pattern| pattern.regex.is_match(&text))
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        let text = |shape: &Shape| shape.pattern.as_ref().map(|pattern| pattern.text.clone());
        self.types == other.types && self.max_length == other.max_length && text(self) == text(other)
    }
}

impl Type {
    pub const WORDS: &'static [&'static str] = &["string", "number", "integer", "boolean", "null"];

    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }

    pub fn new(word: &str) -> Option<Self> {
        const ALL: [Type; 5] = [Type::String, Type::Number, Type::Integer, Type::Boolean, Type::Null];
        Self::WORDS.iter().position(|known| *known == word).map(|at| ALL[at])
    }

    fn is(self, kind: Kind, token: &[u8]) -> bool {
        match self {
            Type::String => kind == Kind::String,
            Type::Number => kind == Kind::Number,
            Type::Integer => {
                kind == Kind::Number && !token.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
            }
            Type::Boolean => kind == Kind::Bool,
            Type::Null => kind == Kind::Null,
        }
    }
}

impl Pattern {
    /// # Errors
    /// Where the text is not an I-Regexp.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let regex = iregexp::compile(text, true);
        let regex =
            regex.map_err(|_| "an I-Regexp (RFC 9485) for the whole value, such as \"[A-Z]{2}[0-9]+\"")?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(treatment: &Treatment, kind: Kind, token: &str) -> Result<(Written, String), Fault> {
        let mut out = Vec::new();
        let written = treatment.write(&mut out, kind, token.as_bytes(), token.contains('\\'))?;
        Ok((written, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn a_value_of_another_shape_stays() {
        let shape = |types: &[Type], max_length, pattern: Option<&str>| {
            let pattern = pattern.map(|text| Pattern::parse(text).unwrap());
            Treatment::plain().with_shape(Shape { types: types.to_vec(), max_length, pattern })
        };
        for (treatment, kind, token, fits) in [
            (shape(&[Type::String], None, None), Kind::String, "\"a\"", true),
            (shape(&[Type::String], None, None), Kind::Number, "1", false),
            (shape(&[Type::Integer, Type::Null], None, None), Kind::Number, "-12", true),
            (shape(&[Type::Integer, Type::Null], None, None), Kind::Null, "null", true),
            (shape(&[Type::Integer], None, None), Kind::Number, "1.0", false),
            (shape(&[Type::Number], None, None), Kind::Number, "1e3", true),
            (shape(&[], Some(3), None), Kind::String, r#""a\u00e9\n""#, true),
            (shape(&[], Some(2), None), Kind::String, r#""a\u00e9\n""#, false),
            (shape(&[], None, Some("[0-9]+")), Kind::String, "\"0123\"", true),
            (shape(&[], None, Some("[0-9]+")), Kind::Number, "123", true),
            (shape(&[], None, Some("[0-9]+")), Kind::String, "\"12a\"", false),
            (shape(&[], None, Some("[0-9]+")), Kind::Null, "null", false),
            (shape(&[], Some(1), None), Kind::Bool, "true", true),
        ] {
            let (found, out) = written(&treatment, kind, token).unwrap();
            let expected = if fits { token } else { "" };
            assert_eq!(out, expected, "{treatment:?} of {token}");
            assert_eq!(found == Written::Drifted, !fits);
        }
    }

    #[test]
    fn card_numbers_are_masked_also_behind_escapes_and_before_transforms() {
        let pan = |treatment: Treatment| treatment.with_scan(Kinds::PAN);
        for (treatment, token, expected) in [
            (pan(Treatment::plain()), r#""4111111111111111""#, r#""************1111""#),
            (pan(Treatment::whole()), r#""\u0034111 1111 1111 1111\n""#, r#""**** **** **** 1111\n""#),
            (pan(Treatment::plain()), r#""4111111111111112""#, r#""4111111111111112""#),
            (
                pan(Treatment::transformed(Transform::Truncate { length: 14 })),
                r#""4111111111111111""#,
                r#""************11""#,
            ),
            (pan(Treatment::transformed(Transform::Last4)), r#""4111111111111111""#, r#""1111""#),
            (Treatment::plain(), r#""4111111111111111""#, r#""4111111111111111""#),
        ] {
            assert_eq!(
                written(&treatment, Kind::String, token).unwrap().1,
                expected,
                "{treatment:?} of {token}"
            );
        }
    }
}
