//! A calendar: weeks from left to right, days of the week from top to bottom, more is darker.

use std::collections::HashMap;
use std::fmt::Write;

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use super::super::words;
use super::{escape, open, text};

const CELL: f64 = 15.0;
const LEFT: f64 = 30.0;
const TOP: f64 = 18.0;

/// The `days` days up to and with `today`, counted as days since 1970-01-01.
pub fn heat(today: i64, counts: &[(i64, u64)], days: i64, label: &str) -> String {
    let known: HashMap<i64, u64> = counts.iter().copied().collect();
    let most = known.values().copied().max().unwrap_or(0).max(1);
    // 1970-01-01 was a Thursday: the fourth day of its week.
    let weekday = |day: i64| (day + 3).rem_euclid(7);
    let first = today - days + 1;
    let start = first - weekday(first);
    let weeks = (today - start) / 7 + 1;
    let mut svg = open("heat", LEFT + weeks as f64 * CELL + 4.0, TOP + 7.0 * CELL, label);
    for (at, name) in [(0, "Mon"), (2, "Wed"), (4, "Fri")] {
        text(&mut svg, 0.0, TOP + f64::from(at) * CELL + 11.0, "start", name);
    }
    let mut month = String::new();
    for day in first..=today {
        let (x, y) = (LEFT + ((day - start) / 7) as f64 * CELL, TOP + weekday(day) as f64 * CELL);
        let count = known.get(&day).copied().unwrap_or(0);
        let shade = if count == 0 { 0 } else { 1 + (count * 4 - 1).min(most * 4 - 1) / most };
        let date = date(day);
        let hint = escape(&format!("{date}: {}", words::number(count)));
        let _ = write!(
            svg,
            "<rect class=\"h{shade}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{0}\" height=\"{0}\" rx=\"2\"><title>{hint}</title></rect>",
            CELL - 3.0
        );
        let name = date.strftime("%b").to_string();
        if name != month && date.day() <= 7 {
            text(&mut svg, x, 11.0, "start", &name);
            month = name;
        }
    }
    svg + "</svg>"
}

/// The date of a day since 1970-01-01.
fn date(day: i64) -> Date {
    let span: Span = i32::try_from(day).unwrap_or(0).days();
    Date::constant(1970, 1, 1).checked_add(span).unwrap_or(Date::constant(1970, 1, 1))
}
