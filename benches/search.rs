//! Searching a large ledger: the first page of many kinds of search, an export of all of it, verification.
//!
//! `cargo bench --bench search` fills a ledger with a million entries first; `-- 10000000` with more, which
//! takes some minutes and about two gigabytes for each million.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use fieldgate::ledger::{
    ActivatedRules, Disclosed, Disclosure, Draft, Exporter, FieldEntry, Form, Ledger, MaskedEntry, Order,
    Parties, Query, RecordCounts, RecordError, Refused, Request, Search, signer, verify,
};
use fieldgate::model::{Country, Jurisdictions, SubjectPseudonym};

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

const CONTRACTORS: [(&str, &str, &str); 4] = [
    ("parcelco", "deliver-order", "NL"),
    ("helpdesk", "answer-ticket", "IE"),
    ("printshop", "print-labels", "DE"),
    ("insurer", "settle-claim", "CH"),
];

const RULES: &str = "36d57292a6e8bc8cddde2c01f1bd8aefab7e33571a5a4a012a95e215d1be7c42";

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

/// Writes entries until there are so many; how many there are.
async fn fill(ledger: Arc<Ledger>, entries: u64) -> Result<u64> {
    const WRITERS: u64 = 2048;
    let there = ledger.heads().borrow().size;
    let missing = entries.saturating_sub(there);
    if there == 0 {
        // The rules are announced before anything is decided by them.
        ledger.record(draft(0)).await?;
    }
    let there = there.max(1);
    let tasks: Vec<_> = (0..WRITERS.min(missing))
        .map(|writer| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                for number in (there + writer..entries).step_by(WRITERS as usize) {
                    while let Err(error) = ledger.record(draft(number)).await {
                        anyhow::ensure!(error == RecordError::Overloaded, "{error}");
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(entries.max(there))
}

fn customer(number: u64) -> SubjectPseudonym {
    // Spread as keyed names are.
    let mut name = [0; 16];
    let spread = (number % 250_000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    name[..8].copy_from_slice(&spread.to_be_bytes());
    name[8..].copy_from_slice(&spread.rotate_left(17).to_be_bytes());
    SubjectPseudonym(name)
}

fn draft(number: u64) -> Draft {
    let (contractor, task, to) = CONTRACTORS[(number % 7 % 4) as usize];
    let parties = Parties { contractor, credential: contractor };
    let request = Request { method: "GET", route: Some("/orders/{order_id}") };
    let id = uuid::Uuid::now_v7().to_string();
    if number == 0 {
        return Draft::rules(
            id,
            &ActivatedRules { rules: RULES, contractors: vec!["parcelco"], change: None },
        );
    }
    if number % 10 == 9 {
        let code = if number % 100_000 == 99_999 { "ledger-unavailable" } else { "not-found" };
        let refused =
            Refused { task: Some(task), status: 404, code, cause: None, not_written: 0, after_parts: 0 };
        return Draft::refusal(id, parties, request, RULES, &refused);
    }
    let country = |code| Country::new(code).unwrap_or_else(|_| unreachable!("a country"));
    let field = |path| FieldEntry {
        path,
        transform: None,
        disclosed: 1,
        withheld: 0,
        drifted: 0,
        masked: MaskedEntry::default(),
    };
    let contact = if contractor == "helpdesk" { "@.contact.email" } else { "@.recipient.phone" };
    Draft::disclosure(Disclosure {
        id,
        parties,
        request,
        rules: RULES,
        disclosed: Disclosed {
            task,
            purpose: "Deliver the customer's parcel",
            consent_purpose: None,
            basis: "contract",
            legal: None,
            agreement: "DPA-2026-014",
            jurisdictions: Jurisdictions { from: country("US"), to: country(to) },
            transfer: Some("scc"),
            upstream: "orders",
            status: 200,
            bytes: 199,
            records: RecordCounts { released: 1, withheld: 0, not_admitted: 0, without_subject: 0 },
            canaries: 0,
            members_withheld: 9,
            fields: vec![field("@.order_id"), field("@.recipient.name"), field(contact)],
            stream: None,
        },
        epoch: 1,
        subjects: vec![customer(number)],
        subjects_per_day: u64::MAX,
        decided: None,
    })
}
