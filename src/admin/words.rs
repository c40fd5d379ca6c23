//! Times, numbers and sizes, as people read them.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A figure, however many references a template makes to it.
pub trait Figure<T> {
    fn figure(&self) -> T;
}

macro_rules! figures {
    ($($type:ty)+) => { $(
        impl Figure<$type> for $type {
            fn figure(&self) -> $type {
                *self
            }
        }
    )+ };
}
figures!(i64 u64);

impl<T, F: Figure<T>> Figure<T> for &F {
    fn figure(&self) -> T {
        (**self).figure()
    }
}

/// `2026-11-26 19:41:55 UTC`, of microseconds since 1970.
pub fn time(micros: impl Figure<i64>) -> String {
    let time = Timestamp::from_microsecond(micros.figure());
    time.map_or_else(
        |_| "unknown".to_owned(),
        |time| Offset::UTC.to_datetime(time).strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// The same, of seconds.
pub fn seconds(seconds: impl Figure<u64>) -> String {
    time((seconds.figure() as i64).saturating_mul(1_000_000))
}

/// `2026-11-26`, in UTC.
pub fn day(micros: impl Figure<i64>) -> String {
    let time = Timestamp::from_microsecond(micros.figure());
    time.map_or_else(|_| "unknown".to_owned(), |time| Offset::UTC.to_datetime(time).date().to_string())
}

/// `1 234 567`, with thin spaces that do not break.
pub fn number(number: impl Figure<u64>) -> String {
    let digits = number.figure().to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `3 minutes`, `5 days`: how long it is, in its largest unit.
pub fn span(micros: impl Figure<i64>) -> String {
    let seconds = micros.figure().unsigned_abs() / 1_000_000;
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// `1 order`, `2 orders`.
pub fn count(count: impl Figure<u64>, one: &str, many: &str) -> String {
    let count = count.figure();
    format!("{} {}", number(count), if count == 1 { one } else { many })
}

/// Enough of a digest to tell it from others.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// `12.3 MiB`.
pub fn bytes(bytes: impl Figure<u64>) -> String {
    let bytes = bytes.figure();
    let (mut size, mut unit) = (bytes as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units_and_times_their_zone() {
        assert_eq!(time(1_795_378_915_000_000_i64), "2026-11-22 20:21:55 UTC");
        assert_eq!(day(0_i64), "1970-01-01");
        assert_eq!(number(1_234_567_u64), "1\u{202f}234\u{202f}567");
        assert_eq!((number(999_u64), number(0_u64)), ("999".into(), "0".into()));
        assert_eq!(
            (span(1_000_000_i64), span(180_000_000_i64), span(90 * 86_400_000_000_i64)),
            ("1 second".into(), "3 minutes".into(), "90 days".into())
        );
        assert_eq!(
            (bytes(512_u64), bytes(1536_u64), bytes(5_u64 << 30)),
            ("512 B".into(), "1.5 KiB".into(), "5.0 GiB".into())
        );
        assert_eq!(
            (count(1_u64, "entry", "entries"), count(2_u64, "entry", "entries")),
            ("1 entry".into(), "2 entries".into())
        );
    }
}
