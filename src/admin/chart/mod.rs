//! Charts: numbers in, SVG out. Each has a text that says the same for who does not see it.
//!
//! **Guarantees.** All text is escaped. Colours are classes, so that both themes and the content security policy
//! hold. **Trusts** nobody. **Must not** know where numbers come from. **Called by** the pages.

mod bars;
mod heat;

use std::fmt::Write;

use super::words;

pub use bars::{Bar, Bars, Stack, bars, rows, stacked};
pub use heat::heat;

/// A line without axes: how something went. `label` says what it is.
pub fn sparkline(values: &[u64], label: &str) -> String {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 28.0;
    let most = values.iter().copied().max().unwrap_or(0).max(1) as f64;
    let step = WIDTH / (values.len().max(2) - 1) as f64;
    let mut line = String::new();
    for (at, value) in values.iter().enumerate() {
        let (x, y) = (at as f64 * step, HEIGHT - 2.0 - *value as f64 / most * (HEIGHT - 4.0));
        let _ = write!(line, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
    }
    let mut svg = open("spark", WIDTH, HEIGHT, label);
    if values.iter().any(|value| *value > 0) {
        let _ = write!(
            svg,
            "<path class=\"area\" d=\"{line}L{WIDTH} {HEIGHT}L0 {HEIGHT}Z\"/><path class=\"line\" d=\"{line}\"/>"
        );
    } else {
        let _ = write!(svg, "<path class=\"axis\" d=\"M0 {0}H{WIDTH}\"/>", HEIGHT - 2.0);
    }
    svg + "</svg>"
}

/// How much of a limit is used.
pub fn gauge(value: u64, limit: u64, label: &str) -> String {
    const WIDTH: f64 = 200.0;
    let share = if limit == 0 { 1.0 } else { (value as f64 / limit as f64).min(1.0) };
    let class = match share {
        0.9.. => "bad",
        0.7.. => "warn",
        _ => "c0",
    };
    let mut svg = open("gauge", WIDTH, 10.0, label);
    let _ = write!(
        svg,
        "<rect class=\"sunk\" width=\"{WIDTH}\" height=\"10\" rx=\"5\"/><rect class=\"{class}\" width=\"{:.1}\" height=\"10\" rx=\"5\"/></svg>",
        (share * WIDTH).max(if value > 0 { 4.0 } else { 0.0 })
    );
    svg
}

fn open(class: &str, width: f64, height: f64, label: &str) -> String {
    let label = escape(label);
    format!(
        "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>"
    )
}

fn text(svg: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let _ = write!(svg, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A round number that is not below `most`, for the end of an axis.
fn ceiling(most: u64) -> u64 {
    let most = most.max(1);
    let mut step = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            if let Some(round) = step.checked_mul(factor).filter(|round| *round >= most) {
                return round;
            }
        }
        let Some(next) = step.checked_mul(10) else { return most };
        step = next;
    }
}

/// `12 k`: short enough for an axis.
fn brief(number: u64) -> String {
    match number {
        0..10_000 => words::number(number),
        10_000..10_000_000 => format!("{} k", words::number(number / 1000)),
        _ => format!("{} M", words::number(number / 1_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_comes_in_is_markup() {
        let evil = "\"><script>alert('x')</script>&";
        let bar = |name: &str| Bar { name: name.to_owned(), value: 3, usual: Some(2) };
        let stack = Stack { name: evil.to_owned(), values: vec![1, 2] };
        let all = [
            sparkline(&[1, 2], evil),
            gauge(1, 2, evil),
            bars(&Bars { bars: vec![bar(evil), bar("b")], unit: evil, label: evil }),
            rows(&[(evil.to_owned(), 1)], evil),
            stacked(&[evil.to_owned(), "b".into()], &[stack], evil),
            heat(20_000, &[(20_001, 4)], 28, evil),
        ];
        for svg in all {
            assert!(!svg.contains("<script") && svg.contains("&lt;script"), "{svg}");
            assert!(!svg.contains("style=") && svg.ends_with("</svg>") && svg.contains("<title>"), "{svg}");
        }
    }

    #[test]
    fn axes_end_with_round_numbers() {
        assert_eq!([0, 1, 3, 9, 11, 501].map(ceiling), [1, 1, 5, 10, 20, 1000]);
        assert_eq!(ceiling(u64::MAX), u64::MAX);
        assert_eq!(
            (brief(9999), brief(12_345), brief(12_345_678)),
            ("9\u{202f}999".into(), "12 k".into(), "12 M".into())
        );
    }

    #[test]
    fn nothing_to_show_is_a_chart_too() {
        for svg in [
            sparkline(&[], "a"),
            sparkline(&[0, 0], "a"),
            gauge(0, 0, "a"),
            rows(&[], "a"),
            stacked(&[], &[], "a"),
            bars(&Bars { bars: vec![], unit: "", label: "a" }),
        ] {
            assert!(svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
