//! What an entry says, read back from its bytes.

use std::borrow::Cow;

use serde::Deserialize;

mod indexed;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
mod text;

pub use indexed::Indexed;

/// An entry of any kind and version, as far as it is read; what a kind does not have is `None` or empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct View<'a> {
    /// `disclosure`, `subjects`, `refusal`, `rules`, `started`, `signal`, `access`, `prune`, `key`, `hold` …
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// The entry's number in the ledger.
    pub index: u64,
    /// Its number among its contractor's entries.
    pub sequence: Option<u64>,
    /// The node of a fleet that wrote it.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub node: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub contractor: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub credential: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub method: Option<Cow<'a, str>>,
    /// The path template of the route.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub route: Option<Cow<'a, str>>,
    /// Digest of the rules that decided.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub rules: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub task: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub purpose: Option<Cow<'a, str>>,
    /// What consent is asked for, where it has another name than the task.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub consent_purpose: Option<Cow<'a, str>>,
    /// The contractor that a customer speaks of.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub towards: Option<Cow<'a, str>>,
    /// What the consent registry had counted up to on the disk when the entry was written.
    pub generation: Option<u64>,
    /// When a customer said it: microseconds since 1970-01-01T00:00:00Z.
    pub said: Option<i64>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub basis: Option<Cow<'a, str>>,
    /// The legal grant that it was a use of.
    #[serde(borrow)]
    pub legal: Option<Legal<'a>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub agreement: Option<Cow<'a, str>>,
    /// From where to where, such as `US to IE`.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub jurisdictions: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub transfer: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub upstream: Option<Cow<'a, str>>,
    pub status: Option<u16>,
    /// Why a request was refused: the code of the problem.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub code: Option<Cow<'a, str>>,
    /// Size of the reduced body.
    pub bytes: Option<u64>,
    /// Refusals before this one that were counted instead of written.
    pub not_written: u64,
    pub records: Option<Records>,
    pub members_withheld: Option<u64>,
    /// The disclosure is about a planted customer.
    pub canary: bool,
    #[serde(borrow)]
    pub fields: Vec<Field<'a>>,
    pub stream: Option<Stream>,
    pub subjects_total: Option<u64>,
    /// Which of the entries about one response this is, from 1; only further ones say so.
    pub part: Option<u64>,
    /// How many entries there are about one response.
    pub parts: Option<u64>,
    /// The key epoch of the subjects' names.
    pub epoch: Option<u32>,
    /// Keyed names of customers, 32 hexadecimal digits each.
    #[serde(borrow, deserialize_with = "text::list")]
    pub subjects: Vec<Cow<'a, str>>,
    /// What a reviewer should look at, such as `enumeration`.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub signal: Option<Cow<'a, str>>,
    /// What it is, in numbers.
    pub details: Option<serde_json::Value>,
    /// Ids of the requests behind it.
    #[serde(borrow, deserialize_with = "text::list")]
    pub entries: Vec<Cow<'a, str>>,
    /// Who used the ledger, and what for (own access).
    #[serde(borrow, deserialize_with = "text::optional")]
    pub by: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub action: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub reason: Option<Cow<'a, str>>,
}

/// A legal grant. Days are as in `2026-12-31`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Legal<'a> {
    #[serde(borrow)]
    pub case: Cow<'a, str>,
    #[serde(borrow)]
    pub authority: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text::list")]
    pub approved_by: Vec<Cow<'a, str>>,
    /// From this day on there is no use.
    #[serde(borrow)]
    pub expires: Cow<'a, str>,
    /// From this day on the customer is told.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub hold_until: Option<Cow<'a, str>>,
    /// What asks for that.
    #[serde(borrow, deserialize_with = "text::optional")]
    pub hold_reference: Option<Cow<'a, str>>,
}

impl Legal<'_> {
    /// Whether the customer must not be told, at a time in microseconds since 1970-01-01T00:00:00Z. A day that
    /// cannot be read has not come.
    pub fn is_held(&self, time: i64) -> bool {
        self.hold_until.as_deref().is_some_and(|until| start(until).is_none_or(|start| time < start))
    }

    /// Whether the grant had ended.
    pub fn is_over(&self, time: i64) -> bool {
        start(&self.expires).is_none_or(|start| time >= start)
    }
}

/// When a day begins (UTC).
fn start(day: &str) -> Option<i64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    let start = jiff::tz::Offset::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).ok()?;
    Some(start.as_microsecond())
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Records {
    pub released: u64,
    pub withheld: u64,
    pub without_subject: u64,
}

/// One field of the rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Field<'a> {
    /// A JSONPath as the rule writes it.
    #[serde(borrow)]
    pub path: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text::optional")]
    pub transform: Option<Cow<'a, str>>,
    pub disclosed: u64,
    pub withheld: u64,
    pub drifted: u64,
}

/// Which part of a response that left in parts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Stream {
    pub part: u64,
    pub last: bool,
}

impl<'a> View<'a> {
    /// # Errors
    /// Where the bytes are not an entry.
    pub fn parse(leaf: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(leaf)
    }

    /// What became of the request: `disclosed`, or the code of the refusal; the name of a signal; the kind for
    /// other entries.
    pub fn outcome(&self) -> &str {
        outcome(&self.kind, self.code.as_deref(), self.signal.as_deref())
    }

    /// What a signal says, in words: `numbers 20, pattern sequential, step 1`.
    pub fn details(&self) -> Option<String> {
        self.details_but(&[])
    }

    /// The same without what to do about it.
    pub fn findings(&self) -> Option<String> {
        self.details_but(&["change"])
    }

    fn details_but(&self, names: &[&str]) -> Option<String> {
        let members = self.details.as_ref()?.as_object()?.iter();
        let told = members.filter(|(name, _)| !names.contains(&name.as_str()));
        let told = told.map(|(name, value)| format!("{name} {}", plain(value)));
        Some(told.collect::<Vec<_>>().join(", "))
    }

    /// A search for a customer finds it: what was disclosed about one, and what one said. Who looked one up is found
    /// by its kind.
    pub fn is_found_by_subject(&self) -> bool {
        is_found_by_subject(&self.kind, self.contractor.as_deref(), &self.subjects)
    }

    /// The country that the data went to.
    pub fn country(&self) -> Option<&str> {
        country(self.jurisdictions.as_deref()?)
    }

    /// The country that the data came from.
    pub fn from_country(&self) -> Option<&str> {
        self.jurisdictions.as_deref()?.split_once(" to ").map(|(from, _)| from)
    }
}

fn outcome<'e>(kind: &'e str, code: Option<&'e str>, signal: Option<&'e str>) -> &'e str {
    match kind {
        "disclosure" => "disclosed",
        "refusal" => code.unwrap_or("refused"),
        "signal" => signal.unwrap_or("signal"),
        other => other,
    }
}

fn is_found_by_subject(kind: &str, contractor: Option<&str>, subjects: &[Cow<str>]) -> bool {
    !subjects.is_empty() && (contractor.is_some() || kind == "consent")
}

fn country(jurisdictions: &str) -> Option<&str> {
    jurisdictions.rsplit_once(" to ").map(|(_, to)| to)
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
