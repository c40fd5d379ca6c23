//! Numbers with a unit, as the files write them.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// Text that is not a quantity of its kind; says what one looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUnit(&'static str);

/// A number of bytes: `"16MiB"`, `"64KiB"`, `"512B"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl ByteSize {
    pub const fn kib(count: usize) -> Self {
        ByteSize(count << 10)
    }

    pub const fn mib(count: usize) -> Self {
        ByteSize(count << 20)
    }

    /// # Errors
    /// Where `text` is not a whole number with `B`, `KiB`, `MiB` or `GiB`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        const WRONG: InvalidUnit =
            InvalidUnit("a size is a whole number with B, KiB, MiB or GiB, such as \"16MiB\"");
        let (count, unit) = split(text).ok_or(WRONG)?;
        let shift = match unit {
            "B" => 0,
            "KiB" => 10,
            "MiB" => 20,
            "GiB" => 30,
            _ => return Err(WRONG),
        };
        let size =
            usize::try_from(count).ok().and_then(|count| count.checked_mul(1 << shift)).ok_or(WRONG)?;
        Ok(ByteSize(size))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            size if size != 0 && size.is_multiple_of(1 << 20) => write!(f, "{}MiB", size >> 20),
            size if size != 0 && size.is_multiple_of(1 << 10) => write!(f, "{}KiB", size >> 10),
            size => write!(f, "{size}B"),
        }
    }
}

/// A length of time: `"250ms"`, `"10s"`, `"5m"`, `"2h"`.
///
/// # Errors
/// Where `text` is not a whole number above zero with `ms`, `s`, `m` or `h`.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    const WRONG: InvalidUnit =
        InvalidUnit("a time is a whole number above zero with ms, s, m or h, such as \"10s\"");
    let (count, unit) = split(text).ok_or(WRONG)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(WRONG),
    };
    match count.checked_mul(millis) {
        // A year bounds what is added to clocks.
        Some(total @ 1..=31_536_000_000) => Ok(Duration::from_millis(total)),
        _ => Err(WRONG),
    }
}

/// How long something is kept: `"90d"`, `"6y"`, in days. A year is one day longer than most, so that no
/// period is cut short.
///
/// # Errors
/// Where `text` is not a whole number above zero with `d` or `y`.
pub fn parse_period(text: &str) -> Result<u32, InvalidUnit> {
    const WRONG: InvalidUnit =
        InvalidUnit("a period is a whole number above zero with d or y, such as \"90d\" or \"6y\"");
    let (count, unit) = split(text).ok_or(WRONG)?;
    let days = match unit {
        "d" => 1,
        "y" => 366,
        _ => return Err(WRONG),
    };
    match count.checked_mul(days) {
        Some(total @ 1..=36_600) => Ok(total as u32),
        _ => Err(WRONG),
    }
}

/// So many in a time: `"50/s"`, `"300/m"`, `"1000/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    pub per: Duration,
}

impl Rate {
    /// 100 a second.
    pub const DEFAULT: Rate = Rate { count: NonZeroU32::new(100).unwrap(), per: Duration::from_secs(1) };

    /// # Errors
    /// Where `text` is not a whole number above zero with `/s`, `/m` or `/h`.
    pub fn parse(text: &str) -> Result<Self, InvalidUnit> {
        const WRONG: InvalidUnit =
            InvalidUnit("a rate is a whole number above zero with /s, /m or /h, such as \"50/s\"");
        let (count, unit) = split(text).ok_or(WRONG)?;
        let per = match unit {
            "/s" => 1,
            "/m" => 60,
            "/h" => 3_600,
            _ => return Err(WRONG),
        };
        // One a nanosecond is as fine as clocks are.
        let count = u32::try_from(count).ok().filter(|count| *count <= 1_000_000_000);
        let count = count.and_then(NonZeroU32::new).ok_or(WRONG)?;
        Ok(Rate { count, per: Duration::from_secs(per) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// A whole number and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(ByteSize::parse("16MiB"), Ok(ByteSize::mib(16)));
        assert_eq!(ByteSize::parse("3B").unwrap().to_string(), "3B");
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(Rate::parse("50/s").unwrap().to_string(), "50/s");
        for bad in ["", "5", "MiB", "-1s", "1.5s", "0s", "5 s", "99999999999999999999s", "10MB"] {
            assert!(
                ByteSize::parse(bad).is_err() && parse_duration(bad).is_err() && Rate::parse(bad).is_err(),
                "{bad}"
            );
        }
    }
}
