//! Searching a large ledger: the first page of many kinds of search, an export of all of it, verification.
//!
//! `cargo bench --bench search` fills a ledger with a million entries first; `-- 10000000` with more, which
//! takes some minutes and about two gigabytes for each million.

mod filled;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use fieldgate::ledger::{Exporter, Form, Ledger, Order, Query, Search, signer, verify};

use filled::{customer, fill};

/// Measures searches.
#[derive(Parser)]
struct Arguments {
    #[arg(default_value_t = 1_000_000)]
    entries: u64,
    /// Keep the ledger here, and use it again
    #[arg(long)]
    folder: Option<PathBuf>,
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir_in("target")?;
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let path = folder.join("fieldgate.db");
    let key = folder.join("signing.key");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    let began = Instant::now();
    let ledger = Ledger::open(&path, signer(&key, None)?, Duration::from_secs(600))?;
    let filled = runtime.block_on(fill(Arc::new(ledger), arguments.entries))?;
    // What the index does not have yet, it takes at the next start.
    drop(Ledger::open(&path, signer(&key, None)?, Duration::from_secs(60))?);
    println!("{filled} entries written, archived and indexed in {:.0} s\n", began.elapsed().as_secs_f64());
    println!("{:<58} {:>6} {:>12} {:>12}", "the first 50 of", "found", "median ms", "slowest ms");
    for (name, query) in queries(filled) {
        measure(&path, name, &query, arguments.rounds)?;
    }
    export(&path)?;
    let began = Instant::now();
    let report = verify(&path, signer(&key, None)?.verifier(), None, &mut |_, _| {})?;
    let clean = if report.is_clean() { "clean" } else { "NOT CLEAN" };
    println!("verification: {clean}, {} entries in {:.1} s", report.size, began.elapsed().as_secs_f64());
    Ok(())
}

fn queries(entries: u64) -> Vec<(&'static str, Query)> {
    let text = |text: &str| Some(text.to_owned());
    let all = Query::default;
    vec![
        ("all entries", all()),
        ("one contractor", Query { contractor: text("parcelco"), ..all() }),
        ("refusals", Query { outcome: text("not-found"), ..all() }),
        ("a rare outcome (one in 100,000)", Query { outcome: text("ledger-unavailable"), ..all() }),
        (
            "contractor, field, country, basis",
            Query {
                contractor: text("helpdesk"),
                field: text("email"),
                country: text("IE"),
                basis: text("contract"),
                ..all()
            },
        ),
        (
            "two things that never meet (contractor, another's task)",
            Query { contractor: text("parcelco"), task: text("answer-ticket"), ..all() },
        ),
        ("one customer", Query { subject: Some(vec![customer(entries / 2)]), ..all() }),
        (
            "one customer at one contractor",
            Query { subject: Some(vec![customer(77)]), contractor: text("insurer"), ..all() },
        ),
        (
            "the oldest page of one contractor",
            Query { contractor: text("printshop"), before: Some(10_000), ..all() },
        ),
        ("a time long ago", Query { until: Some(0), ..all() }),
    ]
}

fn measure(path: &std::path::Path, name: &str, query: &Query, rounds: usize) -> Result<()> {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..rounds {
        let began = Instant::now();
        found = Search::open(path)?.page(query, 50)?.rows.len();
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{name:<58} {found:>6} {median:>12.2} {most:>12.2}");
    Ok(())
}

fn export(path: &std::path::Path) -> Result<()> {
    let (began, before) = (Instant::now(), peak_memory()?);
    let search = Search::open(path)?;
    let mut exporter = Exporter::new(Form::Csv, std::io::sink())?;
    let mut rows = 0u64;
    search.each(&Query::default(), Order::OldestFirst, |position, leaf| {
        exporter.entry(position, Some(leaf))?;
        rows += 1;
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    })?;
    exporter.finish()?.flush()?;
    let (seconds, more) = (began.elapsed().as_secs_f64(), peak_memory()? - before);
    println!("\nexport of {rows} entries as CSV in {seconds:.1} s; memory grew by {more} KiB");
    Ok(())
}

/// The most memory that this process has had, in KiB.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
