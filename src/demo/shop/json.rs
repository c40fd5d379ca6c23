//! Writes JSON text with the keys in the order of the source, and dates as the documents carry them.

use std::fmt::Display;

use serde_json::Value;

use super::DAY;

/// A JSON object that keeps the order of its keys. Values are displayed as they are: strings go
/// through [`text`], amounts through [`decimal`]. Whoever imports the macro needs [`write_object`] too.
macro_rules! object {
    ($($key:literal: $value:expr),+ $(,)?) => {
        write_object(&[$(($key, &$value)),+])
    };
}

pub(super) use object;

/// What [`object`] expands to.
pub(super) fn write_object(fields: &[(&str, &dyn Display)]) -> String {
    let fields = fields.iter().map(|(key, value)| format!("\"{key}\":{value}"));
    enclosed('{', fields, '}')
}

/// Elements with commas between them, in brackets.
fn enclosed(open: char, elements: impl IntoIterator<Item = impl AsRef<str>>, close: char) -> String {
    let mut json = String::from(open);
    for element in elements {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(element.as_ref());
    }
    json.push(close);
    json
}

/// A JSON string.
pub(super) fn text(value: &str) -> Value {
    value.into()
}

/// A JSON string, or null.
pub(super) fn optional(value: Option<&str>) -> Value {
    value.into()
}

/// A JSON array of strings.
pub(super) fn texts(values: &[String]) -> Value {
    values.into()
}

/// A JSON array of what is JSON already.
pub(super) fn array(elements: &[impl AsRef<str>]) -> String {
    enclosed('[', elements, ']')
}

/// An amount in hundredths as a JSON number with two decimals.
pub(super) fn decimal(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let size = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", size / 100, size % 100)
}

/// The calendar date of a moment in seconds since 1970 (Hinnant's `civil_from_days`).
pub(super) fn date(seconds: u64) -> String {
    let days = seconds / DAY + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A moment in seconds since 1970 in the notation of RFC 3339.
pub(super) fn timestamp(seconds: u64) -> String {
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", date(seconds))
}
