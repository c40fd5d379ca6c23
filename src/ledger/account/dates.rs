//! Times as people read them and as machines read them, both in UTC.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

/// `24 November 2026`; the bare number where it is no time that a calendar has.
pub fn date(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(time) => Offset::UTC.to_datetime(time).strftime("%-d %B %Y").to_string(),
        Err(_) => micros.to_string(),
    }
}

/// RFC 3339, `2026-11-24T08:15:30.25Z`; the bare number where it is no time that a calendar has.
pub fn exact(micros: i64) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |time| time.to_string())
}

/// For `serialize_with`.
pub fn serialize<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    exact(*micros).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_as_a_date_and_exactly() {
        let time = 1_795_610_927_181_632;
        assert_eq!(date(time), "25 November 2026");
        assert_eq!(exact(time), "2026-11-25T12:48:47.181632Z");
        assert_eq!(date(0), "1 January 1970");
    }

    #[test]
    fn a_time_beyond_the_calendar_stays_a_number() {
        assert_eq!((date(i64::MAX), exact(i64::MIN)), (i64::MAX.to_string(), i64::MIN.to_string()));
    }
}
