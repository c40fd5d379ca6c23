//! What is looked for, as it stands in an address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::ledger::Query;
use crate::rules::Plan;

/// Bytes of a word.
const MOST: usize = 200;
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// Everything that is set must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Filter {
    pub from: String,
    pub until: String,
    pub contractor: String,
    pub credential: String,
    pub task: String,
    pub route: String,
    pub field: String,
    pub outcome: String,
    pub country: String,
    pub basis: String,
    pub kind: String,
    pub before: String,
}

/// The members but `before`, and what they mean.
pub const NAMES: [(&str, &str); 11] = [
    ("from", "Not before this time: 2026-11-24, 2026-11-24T10:00 (UTC), or 24h, 30m (ago)"),
    ("until", "Before this time; a day is in it"),
    ("contractor", "Of this contractor"),
    ("credential", "Of this credential"),
    ("task", "Of this task"),
    ("route", "Of the route with this path template"),
    ("field", "That disclosed this field: its path in the rule, or a part of that"),
    ("outcome", "`disclosed`, the code of a refusal, or the name of a signal"),
    ("country", "To this country (ISO 3166-1 alpha-2)"),
    ("basis", "On this legal basis"),
    ("kind", "Of this kind"),
];

impl Filter {
    fn members(&self) -> [(&'static str, &String); 11] {
        let values = [
            &self.from,
            &self.until,
            &self.contractor,
            &self.credential,
            &self.task,
            &self.route,
            &self.field,
            &self.outcome,
            &self.country,
            &self.basis,
            &self.kind,
        ];
        std::array::from_fn(|at| (NAMES[at].0, values[at]))
    }

    /// Nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.members().iter().all(|(_, value)| value.is_empty())
    }

    /// # Errors
    /// What is wrong with it, in words.
    pub fn query(&self, now: i64) -> Result<Query, String> {
        if self.members().iter().any(|(_, value)| value.len() > MOST) {
            return Err(format!("A filter has at most {MOST} characters."));
        }
        let before = match self.before.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| "`before` is the number of an entry.".to_owned())?),
        };
        let word = |text: &String| (!text.is_empty()).then(|| text.clone());
        Ok(Query {
            since: time(&self.from, now, false)?,
            until: time(&self.until, now, true)?,
            kind: word(&self.kind),
            contractor: word(&self.contractor),
            credential: word(&self.credential),
            task: word(&self.task),
            route: word(&self.route),
            field: word(&self.field),
            outcome: word(&self.outcome),
            basis: word(&self.basis),
            case: None,
            country: word(&self.country),
            subject: None,
            before,
        })
    }

    /// For the ledger. What is not a word of the rules or of ours is not written down: it could be anything.
    pub fn described(&self, plan: &Plan) -> Value {
        let routes = || plan.contractors.iter().flat_map(|contractor| &contractor.routes);
        let is_known = |name: &str, value: &str| match name {
            "field" => routes().flat_map(|route| &route.fields).any(|field| field.path.contains(value)),
            "route" => routes().any(|route| route.template.as_str() == value),
            "contractor" => plan.contractors.iter().any(|contractor| contractor.id.as_str() == value),
            "task" => {
                plan.contractors.iter().flat_map(|one| &one.tasks).any(|task| task.id.as_str() == value)
            }
            "credential" => {
                plan.contractors.iter().flat_map(|one| &one.credentials).any(|known| known.as_str() == value)
            }
            "outcome" => value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            // These were understood, or are short codes.
            _ => value.len() <= 32,
        };
        let set = self.members().into_iter().filter(|(_, value)| !value.is_empty());
        let set = set.map(|(name, value)| {
            let value = if is_known(name, value) { value.as_str() } else { "(other)" };
            (name.to_owned(), Value::from(value))
        });
        let mut event = Map::new();
        event.insert("filter".to_owned(), Value::Object(set.collect()));
        Value::Object(event)
    }

    /// The address of a page of this search.
    pub fn link(&self, before: Option<u64>) -> String {
        let pair = |name: &str, value: &str| format!("{name}={}", utf8_percent_encode(value, QUERY));
        let set = self.members().into_iter().filter(|(_, value)| !value.is_empty());
        let mut pairs: Vec<String> = set.map(|(name, value)| pair(name, value)).collect();
        pairs.extend(before.map(|before| format!("before={before}")));
        if pairs.is_empty() { "/disclosures".to_owned() } else { format!("/disclosures?{}", pairs.join("&")) }
    }

    /// The address of the next page.
    pub fn older(&self, before: &u64) -> String {
        self.link(Some(*before))
    }

    /// The same from another day on.
    pub fn from(&self, from: &str) -> String {
        Filter { from: from.to_owned(), until: String::new(), ..self.clone() }.link(None)
    }
}

/// A day, a moment (UTC), or how long ago; in microseconds since 1970. The last day of a period is in it.
fn time(text: &str, now: i64, is_end: bool) -> Result<Option<i64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(ago) = crate::model::parse_duration(text) {
        return Ok(Some(now - ago.as_micros() as i64));
    }
    let parse = |text: &str| text.parse::<jiff::Timestamp>().ok().map(|time| time.as_microsecond());
    let day =
        |text: &str| Some(parse(&format!("{text}T00:00:00Z"))? + if is_end { 86_400_000_000 } else { 0 });
    let found = parse(text)
        .or_else(|| parse(&format!("{text}:00Z")))
        .or_else(|| parse(&format!("{text}Z")))
        .or_else(|| (text.len() == 10).then(|| day(text))?);
    found.map(Some).ok_or_else(|| {
        "A time is a day (2026-11-24), a moment in UTC (2026-11-24T10:00), or how long ago (24h, 30m)."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_moments_or_how_long_ago() {
        let at = |text: &str, is_end| time(text, 100_000_000_000_000, is_end).unwrap().unwrap();
        assert_eq!(at("1970-01-02", false), 86_400_000_000);
        assert_eq!(at("1970-01-02", true), 2 * 86_400_000_000);
        assert_eq!(at("1970-01-01T00:01", true), 60_000_000);
        assert_eq!(at("1970-01-01T00:00:02Z", true), 2_000_000);
        assert_eq!(at("1h", false), 100_000_000_000_000 - 3_600_000_000);
        assert_eq!(time("", 0, false), Ok(None));
        for wrong in ["yesterday", "2026-13-01", "2026-11-24T25:00", "24.11.2026", "2026-11"] {
            assert!(time(wrong, 0, false).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_filter_lives_in_its_address() {
        let filter = Filter { field: "@['a&b']".into(), outcome: "not-found".into(), ..Filter::default() };
        assert_eq!(
            filter.link(Some(7)),
            "/disclosures?field=%40%5B%27a%26b%27%5D&outcome=not-found&before=7"
        );
        assert!(Filter::default().is_empty() && !filter.is_empty());
        assert_eq!(Filter::default().link(None), "/disclosures");
        let uri = filter.link(None).parse().unwrap();
        let axum::extract::Query(back) = axum::extract::Query::<Filter>::try_from_uri(&uri).unwrap();
        assert_eq!((back.field, back.outcome), (filter.field, filter.outcome));
        assert!(Filter { before: "x".into(), ..Filter::default() }.query(0).is_err());
        assert!(Filter { task: "x".repeat(300), ..Filter::default() }.query(0).is_err());
    }
}
