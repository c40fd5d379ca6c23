//! What the index reads of an entry: most of an entry is nothing that one searches for, and is stepped over.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::Error;

use super::{country, is_found_by_subject, outcome, text};

/// The same as a [`View`](super::View) says, as far as it is here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Indexed<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    pub sequence: Option<u64>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub contractor: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub credential: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub route: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub task: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub basis: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub legal: Option<Grant<'a>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    jurisdictions: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    signal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub fields: Vec<Field<'a>>,
    part: Option<u64>,
    #[serde(borrow, deserialize_with = "text::list")]
    pub subjects: Vec<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Grant<'a> {
    #[serde(borrow)]
    pub case: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Field<'a> {
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    pub disclosed: u64,
}

impl<'a> Indexed<'a> {
    /// # Errors
    /// Where the bytes are not an entry.
    pub fn parse(leaf: &'a [u8]) -> Result<Self, serde_json::Error> {
        // Seen as text once, and not each string for itself.
        let text = simdutf8::basic::from_utf8(leaf).map_err(serde_json::Error::custom)?;
        serde_json::from_str(text)
    }

    pub fn outcome(&self) -> &str {
        outcome(&self.kind, self.code.as_deref(), self.signal.as_deref())
    }

    pub fn country(&self) -> Option<&str> {
        country(self.jurisdictions.as_deref()?)
    }

    pub fn is_found_by_subject(&self) -> bool {
        is_found_by_subject(&self.kind, self.contractor.as_deref(), &self.subjects)
    }

    /// The number of the entry that says what was disclosed, for one at `position` that lists customers of the same
    /// response.
    pub fn head(&self, position: u64) -> u64 {
        position.saturating_sub(self.part.map_or(0, |part| part.saturating_sub(1)))
    }
}
