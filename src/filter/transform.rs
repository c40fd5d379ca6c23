//! What a rule may do to a value before it leaves: less than the full value, where less serves.
//!
//! A transform meets a value of another type: the field is withheld, never passed as it is.

use std::fmt;
use std::sync::Arc;

use crate::model::Pseudonymiser;

use super::scanner::Kind;
use super::text;

/// What a mask puts in the place of a character.
const MASK: char = '*';

/// A transform of one scalar.
#[derive(Clone)]
pub enum Transform {
    /// The last four letters or digits; a value with no more than four of them is withheld.
    Last4,
    /// `*` for each character but the first and last few; shorter values are masked as a whole.
    Mask { keep_first: usize, keep_last: usize },
    /// The first letter of each word, each with a dot.
    Initials,
    /// What follows the last `@` of an e-mail address.
    EmailDomain,
    /// The year of a date that begins with it (RFC 3339, section 5.6).
    Year,
    /// The first characters.
    Truncate { length: usize },
    /// A keyed name for the value, another one at each contractor.
    Pseudonym(Pseudonymiser),
    /// The fixed text `[redacted]`: that there is a value, and nothing of it.
    Redact,
    /// An upstream link, as the link that the contractor follows instead.
    RewriteUrl(UrlRewrite),
}

/// Turns an upstream's link into the gateway's, or `None` where it leads elsewhere.
#[derive(Clone)]
pub struct UrlRewrite(pub Arc<Rewrite>);

type Rewrite = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Transform {
    /// The name in rule files and in ledger entries.
    pub fn name(&self) -> &'static str {
        match self {
            Transform::Last4 => "last4",
            Transform::Mask { .. } => "mask",
            Transform::Initials => "initials",
            Transform::EmailDomain => "email-domain",
            Transform::Year => "year",
            Transform::Truncate { .. } => "truncate",
            Transform::Pseudonym(_) => "pseudonym",
            Transform::Redact => "redact",
            Transform::RewriteUrl(_) => "rewrite-url",
        }
    }

    /// Writes the transformed value; false (and nothing written) where the value does not fit.
    /// `token` is the scalar's bytes, quotes included.
    pub(super) fn write(&self, out: &mut Vec<u8>, kind: Kind, token: &[u8]) -> bool {
        self.readable(kind, token).is_some_and(|value| self.write_text(out, &value))
    }

    /// The same for a string's text.
    pub(super) fn write_text(&self, out: &mut Vec<u8>, value: &str) -> bool {
        let begin = out.len();
        out.push(b'"');
        let fits = self.apply(value, out);
        if fits {
            out.push(b'"');
        } else {
            out.truncate(begin);
        }
        fits
    }

    /// The result holds parts of the text as they are, so what must not leave is masked in it first.
    pub(super) fn keeps_text(&self) -> bool {
        matches!(self, Transform::Mask { .. } | Transform::Truncate { .. })
    }

    /// The text of a value that this transform takes.
    fn readable<'t>(&self, kind: Kind, token: &'t [u8]) -> Option<std::borrow::Cow<'t, str>> {
        match (self, kind) {
            (_, Kind::String) => text::unescape(&token[1..token.len() - 1]),
            // A key may be a number; a replacement takes any scalar.
            (Transform::Pseudonym(_), Kind::Number) | (Transform::Redact, Kind::Number | Kind::Bool) => {
                std::str::from_utf8(token).ok().map(Into::into)
            }
            _ => None,
        }
    }

    /// Writes what stands between the quotes; false where the value does not fit.
    fn apply(&self, value: &str, out: &mut Vec<u8>) -> bool {
        let mut write = |characters: &mut dyn Iterator<Item = char>| {
            characters.for_each(|character| text::push_character(out, character));
            true
        };
        match self {
            Transform::Last4 => last4(value).is_some_and(|rest| write(&mut rest.chars().filter(significant))),
            Transform::Mask { keep_first, keep_last } => write(&mut mask(value, *keep_first, *keep_last)),
            Transform::Initials => write(&mut initials(value)),
            Transform::EmailDomain => email_domain(value).is_some_and(|domain| write(&mut domain.chars())),
            Transform::Year => year(value).is_some_and(|year| write(&mut year.chars())),
            Transform::Truncate { length } => write(&mut value.chars().take(*length)),
            Transform::Pseudonym(pseudonymiser) => {
                pseudonymiser.write(value, out);
                true
            }
            Transform::Redact => write(&mut "[redacted]".chars()),
            Transform::RewriteUrl(UrlRewrite(rewrite)) => {
                rewrite(value).is_some_and(|url| write(&mut url.chars()))
            }
        }
    }
}

impl PartialEq for Transform {
    /// Both change a value in the same way.
    fn eq(&self, other: &Transform) -> bool {
        match (self, other) {
            (
                Transform::Mask { keep_first: a, keep_last: b },
                Transform::Mask { keep_first: c, keep_last: d },
            ) => a == c && b == d,
            (Transform::Truncate { length: a }, Transform::Truncate { length: b }) => a == b,
            _ => self.name() == other.name(),
        }
    }
}

impl fmt::Debug for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn significant(character: &char) -> bool {
    character.is_alphanumeric()
}

/// The end of the value, from the fourth last letter or digit on; there must be more of them.
fn last4(value: &str) -> Option<&str> {
    let mut from_end = value.char_indices().rev().filter(|(_, character)| character.is_alphanumeric());
    let (at, _) = from_end.nth(3)?;
    from_end.next().map(|_| &value[at..])
}

fn mask(value: &str, keep_first: usize, keep_last: usize) -> impl Iterator<Item = char> {
    let length = value.chars().count();
    let kept = keep_first.saturating_add(keep_last);
    value.chars().enumerate().map(move |(at, character)| {
        let shown = kept < length && (at < keep_first || at >= length - keep_last);
        if shown { character } else { MASK }
    })
}

fn initials(value: &str) -> impl Iterator<Item = char> {
    let letters = value.split_whitespace().filter_map(|word| word.chars().find(significant));
    letters.flat_map(|letter| letter.to_uppercase().chain(['.']))
}

fn email_domain(value: &str) -> Option<&str> {
    let (local, domain) = value.rsplit_once('@')?;
    let plain = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    (!local.is_empty() && !domain.is_empty() && domain.chars().all(plain)).then_some(domain)
}

fn year(value: &str) -> Option<&str> {
    let year = value.get(..4)?;
    let date =
        year.bytes().all(|b| b.is_ascii_digit()) && matches!(value.as_bytes().get(4), None | Some(b'-'));
    date.then_some(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(transform: &Transform, kind: Kind, token: &str) -> Option<String> {
        let mut out = Vec::new();
        transform.write(&mut out, kind, token.as_bytes()).then(|| String::from_utf8(out).unwrap())
    }

    fn of_string(transform: &Transform, value: &str) -> Option<String> {
        let token = serde_json::to_string(value).unwrap();
        written(transform, Kind::String, &token).map(|out| serde_json::from_str(&out).unwrap())
    }

    #[test]
    fn each_transform_gives_less_than_it_got() {
        let mask = |keep_first, keep_last| Transform::Mask { keep_first, keep_last };
        let cases: [(Transform, &str, Option<&str>); 18] = [
            (Transform::Last4, "+31 6 1234 5678", Some("5678")),
            (Transform::Last4, "4111-1111-1111-11 11", Some("1111")),
            (Transform::Last4, "1234", None),
            (Transform::Last4, "", None),
            (mask(1, 2), "Jansen", Some("J***en")),
            (mask(0, 0), "été", Some("***")),
            (mask(3, 3), "short", Some("*****")),
            (mask(usize::MAX, 1), "abc", Some("***")),
            (Transform::Initials, "Anna van den Berg", Some("A.V.D.B.")),
            (Transform::Initials, "", Some("")),
            (Transform::EmailDomain, "a@b@example.com", Some("example.com")),
            (Transform::EmailDomain, "no address", None),
            (Transform::Year, "1987-04-12", Some("1987")),
            (Transform::Year, "12.04.1987", None),
            (Transform::Year, "19870412", None),
            (Transform::Truncate { length: 3 }, "Größe", Some("Grö")),
            (Transform::Truncate { length: 9 }, "abc", Some("abc")),
            (Transform::Redact, "anything", Some("[redacted]")),
        ];
        for (transform, value, expected) in cases {
            assert_eq!(of_string(&transform, value).as_deref(), expected, "{transform:?} of {value:?}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_withheld() {
        for kind in [(Kind::Number, "12345678"), (Kind::Bool, "true")] {
            assert_eq!(written(&Transform::Last4, kind.0, kind.1), None);
            assert_eq!(written(&Transform::Year, kind.0, kind.1), None);
        }
        assert_eq!(written(&Transform::Last4, Kind::String, r#""\ud800abcdef""#), None);
        assert_eq!(written(&Transform::Last4, Kind::Null, "null"), None);
    }
}
