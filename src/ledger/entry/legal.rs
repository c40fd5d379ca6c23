//! What an entry says of the legal grant that a disclosure was made on.

use jiff::civil::Date;
use serde::{Serialize, Serializer};

/// The grant, without the customers whom it names: those of the response are named as in every entry.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Legal<'a> {
    pub case: &'a str,
    pub authority: &'a str,
    pub approved_by: [&'a str; 2],
    #[serde(serialize_with = "day")]
    pub expires: Date,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub hold: Option<LegalHold<'a>>,
}

/// Before this day (UTC) the customer is not told.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LegalHold<'a> {
    #[serde(rename = "hold_until", serialize_with = "day")]
    pub until: Date,
    #[serde(rename = "hold_reference")]
    pub reference: &'a str,
}

fn day<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}
