//! Bars.

use std::fmt::Write;

use super::super::words;
use super::{brief, ceiling, escape, open, text};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 8.0;
/// Names below bars at most.
const NAMES: usize = 6;

/// A bar, and what it usually is.
pub struct Bar {
    pub name: String,
    pub value: u64,
    pub usual: Option<u64>,
}

/// Bars side by side.
pub struct Bars<'b> {
    pub bars: Vec<Bar>,
    /// What is counted.
    pub unit: &'b str,
    pub label: &'b str,
}

/// What is stacked: the same name in all bars.
pub struct Stack {
    pub name: String,
    /// One for each bar.
    pub values: Vec<u64>,
}

/// Bars, each with a mark where it usually ends.
pub fn bars(chart: &Bars) -> String {
    let values = chart.bars.iter().flat_map(|bar| [bar.value, bar.usual.unwrap_or(0)]);
    let end = ceiling(values.max().unwrap_or(0));
    let mut svg = open("bars", WIDTH, HEIGHT, chart.label);
    axis(&mut svg, end);
    let (step, y) = (step(chart.bars.len()), scale(end));
    for (at, bar) in chart.bars.iter().enumerate() {
        let x = LEFT + at as f64 * step;
        let usual = bar.usual.map(|usual| format!(", usually {}", words::number(usual))).unwrap_or_default();
        let hint = escape(&format!("{}: {} {}{usual}", bar.name, words::number(bar.value), chart.unit));
        let top = y(bar.value);
        let _ = write!(
            svg,
            "<g><title>{hint}</title><rect class=\"hit\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{step:.1}\" height=\"{:.1}\"/><rect class=\"c0\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            HEIGHT - BOTTOM - TOP,
            x + step * 0.14,
            step * 0.72,
            HEIGHT - BOTTOM - top
        );
        if let Some(usual) = bar.usual {
            let _ = write!(
                svg,
                "<path class=\"usual\" d=\"M{:.1} {:.1}h{:.1}\"/>",
                x + step * 0.04,
                y(usual),
                step * 0.92
            );
        }
        svg.push_str("</g>");
    }
    names(&mut svg, chart.bars.iter().map(|bar| bar.name.as_str()), chart.bars.len());
    svg + "</svg>"
}

/// Bars of parts. `names` are those of the bars.
pub fn stacked(bars: &[String], stacks: &[Stack], label: &str) -> String {
    let sum = |at: usize| stacks.iter().map(|stack| stack.values.get(at).copied().unwrap_or(0)).sum::<u64>();
    let end = ceiling((0..bars.len()).map(sum).max().unwrap_or(0));
    let mut svg = open("bars", WIDTH, HEIGHT, label);
    axis(&mut svg, end);
    let (step, y) = (step(bars.len()), scale(end));
    for (at, name) in bars.iter().enumerate() {
        let x = LEFT + at as f64 * step;
        let mut below = 0;
        let mut hint = name.clone();
        let mut parts = String::new();
        for (number, stack) in stacks.iter().enumerate() {
            let value = stack.values.get(at).copied().unwrap_or(0);
            if value == 0 {
                continue;
            }
            let (bottom, top) = (y(below), y(below + value));
            below += value;
            let _ = write!(hint, "\n{}: {}", stack.name, words::number(value));
            let _ = write!(
                parts,
                "<rect class=\"c{}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                number % 6,
                x + step * 0.12,
                step * 0.76,
                bottom - top
            );
        }
        let _ = write!(
            svg,
            "<g><title>{}</title><rect class=\"hit\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{step:.1}\" height=\"{:.1}\"/>{parts}</g>",
            escape(&hint),
            HEIGHT - BOTTOM - TOP
        );
    }
    names(&mut svg, bars.iter().map(String::as_str), bars.len());
    svg + "</svg>"
}

/// Bars one below the other, each with its name and number.
pub fn rows(bars: &[(String, u64)], label: &str) -> String {
    const ROW: f64 = 26.0;
    const NAME: f64 = 190.0;
    const ROOM: f64 = 230.0;
    let most = bars.iter().map(|(_, value)| *value).max().unwrap_or(0).max(1) as f64;
    let mut svg = open("rows", 480.0, ROW * bars.len().max(1) as f64, label);
    for (at, (name, value)) in bars.iter().enumerate() {
        let y = at as f64 * ROW;
        let width = (*value as f64 / most * ROOM).max(if *value > 0 { 2.0 } else { 0.0 });
        let short: String = if name.chars().count() > 28 {
            name.chars().take(27).chain(['…']).collect()
        } else {
            name.clone()
        };
        let _ = write!(svg, "<g><title>{}</title>", escape(&format!("{name}: {}", words::number(*value))));
        text(&mut svg, 0.0, y + 17.0, "name", &short);
        let _ = write!(
            svg,
            "<rect class=\"c0\" x=\"{NAME}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"2\"/>",
            y + 6.0
        );
        text(&mut svg, NAME + width + 6.0, y + 17.0, "figure", &brief(*value));
        svg.push_str("</g>");
    }
    svg + "</svg>"
}

fn step(count: usize) -> f64 {
    (WIDTH - LEFT) / count.max(1) as f64
}

/// Where a value is.
fn scale(end: u64) -> impl Fn(u64) -> f64 {
    move |value| HEIGHT - BOTTOM - value as f64 / end as f64 * (HEIGHT - BOTTOM - TOP)
}

fn axis(svg: &mut String, end: u64) {
    let y = scale(end);
    let marks = if end >= 2 { vec![0, end / 2, end] } else { vec![0, end] };
    for mark in marks {
        let _ = write!(svg, "<path class=\"axis\" d=\"M{LEFT} {0:.1}H{WIDTH}\"/>", y(mark));
        text(svg, LEFT - 6.0, y(mark) + 4.0, "end", &brief(mark));
    }
}

fn names<'n>(svg: &mut String, names: impl Iterator<Item = &'n str>, count: usize) {
    let (every, step) = (count.div_ceil(NAMES).max(1), step(count));
    for (at, name) in names.enumerate().filter(|(at, _)| at.is_multiple_of(every)) {
        text(svg, LEFT + at as f64 * step, HEIGHT - 6.0, "start", name);
    }
}
