//! What is printed of the five documents.

use std::process::Command;

use crate::measure::{Effort, Times, median, rate};
use crate::ours;
use crate::peers::Kind;

/// One document.
pub struct Column {
    pub document: &'static str,
    pub bytes: usize,
    /// One for each entrant, always in the same order.
    pub cells: Vec<Cell>,
}

pub struct Cell {
    pub name: &'static str,
    pub kind: Kind,
    pub times: Times,
}

/// `accepted` are the malformed texts that each entrant takes.
pub fn print(columns: &[Column], accepted: &[Vec<&str>], effort: Effort) {
    let Effort { rounds, sample } = effort;
    println!("\nMB/s of input on one core, median of {rounds} rounds of {} ms or more\n", sample.as_millis());
    print!("{:36}{:>8}", "", "strict");
    columns.iter().for_each(|column| print!("{:>9}", column.document));
    print!("\n{:44}", "");
    columns.iter().for_each(|column| print!("{:>9}", size(column.bytes)));
    println!();
    for (place, accepted) in accepted.iter().enumerate() {
        let first = &columns[0].cells[place];
        let strict = match first.kind {
            Kind::Limit => "",
            Kind::Ours | Kind::Peer if accepted.is_empty() => "yes",
            Kind::Ours | Kind::Peer => "NO",
        };
        print!("{:36}{strict:>8}", first.name);
        for column in columns {
            print!("{:>9.0}", rate(column.bytes, column.cells[place].times.median()));
        }
        println!();
    }
    print_ratios(columns, accepted);
    print_remarks(columns, accepted, rounds);
}

fn print_ratios(columns: &[Column], accepted: &[Vec<&str>]) {
    println!("\nFieldgate's speed over the quickest strict peer's, paired by round\n");
    for column in columns {
        let Some(ours) = column.cells.iter().find(|cell| cell.kind == Kind::Ours) else { continue };
        let strict = column.cells.iter().zip(accepted);
        let quickest = strict
            .filter(|(cell, accepted)| cell.kind == Kind::Peer && accepted.is_empty())
            .map(|(cell, _)| cell)
            .min_by(|one, other| one.times.median().total_cmp(&other.times.median()));
        if let Some(peer) = quickest {
            println!("{:10}{:>6.2}   {}", column.document, peer.times.over(&ours.times), peer.name);
        }
    }
}

fn print_remarks(columns: &[Column], accepted: &[Vec<&str>], rounds: usize) {
    println!();
    for (cell, accepted) in columns[0].cells.iter().zip(accepted) {
        if cell.kind != Kind::Limit && !accepted.is_empty() {
            println!("{} is not strict, it accepts: {}", cell.name, accepted.join("; "));
        }
    }
    println!("simd-json parses in place, so its figures have a copy of the body in them");
    let spreads = columns.iter().flat_map(|column| &column.cells).map(|cell| cell.times.spread()).collect();
    println!(
        "noise: within half of the cells the {rounds} rounds differ by {:.0} % or more",
        median(spreads) * 100.0
    );
    println!("machine: {}; cores allowed: {}", processor(), allowed_cores());
    let simd_json = simd_json::Deserializer::algorithm();
    println!("instructions: Fieldgate {}, simd-json {simd_json:?}", ours::instructions());
    println!("compiler: {}", compiler());
}

/// To three digits, as the tables of such documents have it.
fn size(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

// ---- the machine ----

fn processor() -> String {
    value("/proc/cpuinfo", "model name")
}

fn allowed_cores() -> String {
    value("/proc/self/status", "Cpus_allowed_list")
}

/// A line `name: value` of a file of the kernel.
fn value(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or_else(
        || "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
