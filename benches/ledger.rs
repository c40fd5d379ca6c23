//! Durable entries: how many a second and how long each waits, for so many who write at the same time,
//! beside the least that can be done, one `fdatasync` for the same bytes in a file that has its space
//! already, and beside SQLite with `synchronous=FULL`.
//!
//! All take turns within a round, so read the ratios: what a sync costs changes from minute to minute.
//!
//! `cargo bench --bench ledger`; `-- --help` tells what else it takes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use fieldgate::ledger::{
    Disclosed, Disclosure, Draft, FieldEntry, Ledger, MaskedEntry, Parties, RecordCounts, Request, signer,
};
use fieldgate::model::{Country, Jurisdictions, Subject, SubjectKey};

/// Measures the ledger against a bare file.
#[derive(Parser)]
struct Arguments {
    /// How many write at the same time
    #[arg(default_values_t = [1, 10, 100, 1000])]
    waiters: Vec<usize>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Of each sample
    #[arg(long, default_value_t = 500)]
    milliseconds: u64,
    /// On the disk that is to be measured
    #[arg(long, default_value = "target")]
    folder: PathBuf,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// Seconds that each entry waited, and how long all of it took.
struct Sample {
    waits: Vec<f64>,
    seconds: f64,
}

impl Sample {
    fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.seconds
    }

    /// The wait that so many of a hundred entries are under, in milliseconds.
    fn percentile(&mut self, percent: usize) -> f64 {
        self.waits.sort_by(f64::total_cmp);
        self.waits
            .get((self.waits.len() * percent / 100).min(self.waits.len() - 1))
            .copied()
            .unwrap_or(f64::NAN)
            * 1e3
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir_in(&arguments.folder).context("the folder to measure in")?;
    let span = Duration::from_millis(arguments.milliseconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    let signer = signer(&folder.path().join("signing.key"), None)?;
    let ledger =
        Arc::new(Ledger::open(&folder.path().join("fieldgate.db"), signer, Duration::from_secs(60))?);
    let entry = runtime.block_on(entry_size(&ledger, &folder.path().join("fieldgate.tlog")))?;
    println!("entries of {entry} bytes; entries per second, and milliseconds that they wait: median / p99");
    println!("(median of {} rounds of {} ms each)\n", arguments.rounds, arguments.milliseconds);
    println!(
        "{:>7}  {:>26}  {:>26}  {:>26}  {:>14}",
        "waiters", "bare file", "Fieldgate", "SQLite", "ratio, p99"
    );
    for waiters in arguments.waiters {
        let mut table: [Vec<[f64; 3]>; 3] = Default::default();
        for _ in 0..arguments.rounds {
            let mut samples = [
                bare(folder.path(), waiters, entry, span)?,
                runtime.block_on(ours(&ledger, waiters, span))?,
                sqlite(folder.path(), waiters, entry, span)?,
            ];
            for (column, sample) in table.iter_mut().zip(&mut samples) {
                column.push([sample.rate(), sample.percentile(50), sample.percentile(99)]);
            }
        }
        let ratios: Vec<[f64; 3]> = table[0]
            .iter()
            .zip(&table[1])
            .map(|(bare, ours)| [ours[0] / bare[0], 0.0, ours[2] / bare[2]])
            .collect();
        let cell = |rows: &[[f64; 3]]| {
            let [rate, half, most] = [0, 1, 2].map(|at| median(rows.iter().map(|row| row[at]).collect()));
            format!("{rate:>9.0} {half:>7.2} /{most:>7.2}")
        };
        let [rate, most] = [0, 2].map(|at| median(ratios.iter().map(|row| row[at]).collect()));
        let [bare, ours, sqlite] = [0, 1, 2].map(|at| cell(&table[at]));
        println!("{waiters:>7}  {bare:>26}  {ours:>26}  {sqlite:>26}  {rate:>6.2} {most:>7.2}");
    }
    Ok(())
}

/// One write and one sync for each `waiters` entries.
fn bare(folder: &Path, waiters: usize, entry: usize, span: Duration) -> Result<Sample> {
    const SIZE: u64 = 64 << 20;
    let path = folder.join("bare");
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
    if file.metadata()?.len() < SIZE {
        file.write_all_at(&vec![0; SIZE as usize], 0)?;
        file.sync_all()?;
    }
    let bytes = vec![b'x'; waiters * entry];
    let (began, mut at, mut waits) = (Instant::now(), 0, Vec::new());
    while began.elapsed() < span {
        let before = Instant::now();
        if at + bytes.len() as u64 > SIZE {
            at = 0;
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        at += bytes.len() as u64;
        waits.extend(std::iter::repeat_n(before.elapsed().as_secs_f64(), waiters));
    }
    Ok(Sample { waits, seconds: began.elapsed().as_secs_f64() })
}

/// One transaction for each `waiters` rows.
fn sqlite(folder: &Path, waiters: usize, entry: usize, span: Duration) -> Result<Sample> {
    let mut connection = rusqlite::Connection::open(folder.join("plain.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE IF NOT EXISTS entry (position INTEGER PRIMARY KEY, leaf BLOB)")?;
    let leaf = vec![b'x'; entry];
    let (began, mut waits) = (Instant::now(), Vec::new());
    while began.elapsed() < span {
        let before = Instant::now();
        let transaction = connection.transaction()?;
        for _ in 0..waiters {
            transaction.prepare_cached("INSERT INTO entry (leaf) VALUES (?1)")?.execute([&leaf])?;
        }
        transaction.commit()?;
        waits.extend(std::iter::repeat_n(before.elapsed().as_secs_f64(), waiters));
    }
    Ok(Sample { waits, seconds: began.elapsed().as_secs_f64() })
}

/// So many tasks that write one entry after the other.
async fn ours(ledger: &Arc<Ledger>, waiters: usize, span: Duration) -> Result<Sample> {
    let each = (MOST / waiters).min((span.as_secs_f64() / 50e-6) as usize);
    let mut drafts: Vec<Draft> = (0..each * waiters).map(draft).collect();
    let began = Instant::now();
    let tasks: Vec<_> = (0..waiters)
        .map(|_| {
            let ledger = Arc::clone(ledger);
            // Drafts are made by requests, and that is no part of what is measured.
            let mut drafts = drafts.split_off(drafts.len().saturating_sub(each));
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while let Some(draft) = drafts.pop().filter(|_| began.elapsed() < span) {
                    let before = Instant::now();
                    ledger.record(draft).await?;
                    waits.push(before.elapsed().as_secs_f64());
                }
                Ok::<_, anyhow::Error>(waits)
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await??);
    }
    Ok(Sample { waits, seconds: began.elapsed().as_secs_f64() })
}

/// Entries of one sample at most.
const MOST: usize = 300_000;

/// An entry as it is for one order.
fn draft(task: usize) -> Draft {
    let field = |path, transform| FieldEntry {
        path,
        transform,
        disclosed: 1,
        withheld: 0,
        drifted: 0,
        masked: MaskedEntry::default(),
    };
    let country = |code| Country::new(code).unwrap_or_else(|_| unreachable!("a country"));
    let key = SubjectKey::new(&[7; SubjectKey::LENGTH]);
    Draft::disclosure(Disclosure {
        id: uuid::Uuid::now_v7().to_string(),
        parties: Parties { contractor: "parcelco", credential: "parcelco-gateway-2026" },
        request: Request { method: "GET", route: Some("/orders/{order_id}") },
        rules: "36d57292a6e8bc8cddde2c01f1bd8aefab7e33571a5a4a012a95e215d1be7c42",
        disclosed: Disclosed {
            task: "deliver-order",
            purpose: "Deliver the customer's parcel",
            consent_purpose: None,
            basis: "contract",
            legal: None,
            agreement: "DPA-2026-014",
            jurisdictions: Jurisdictions { from: country("US"), to: country("NL") },
            transfer: Some("scc"),
            upstream: "orders",
            status: 200,
            bytes: 199,
            records: RecordCounts { released: 1, withheld: 0, not_admitted: 0, without_subject: 0 },
            canaries: 0,
            members_withheld: 9,
            fields: vec![
                field("@.order_id", None),
                field("@.recipient.name", None),
                field("@.shipping_address['street','city','postal_code','country']", None),
                field("@.recipient.phone", Some("last4")),
                field("@.customer.id", Some("pseudonym")),
            ],
            stream: None,
        },
        epoch: 1,
        subjects: vec![key.pseudonym(Subject::new(&task.to_string()))],
        subjects_per_day: u64::MAX,
        decided: None,
    })
}

/// Bytes that an entry takes in the journal.
async fn entry_size(ledger: &Ledger, folder: &Path) -> Result<usize> {
    ledger.record(draft(0)).await?;
    let mut heads = ledger.heads();
    heads.wait_for(|head| head.size > 0).await?;
    Ok(std::fs::read(folder.join("tile/entries/000.p/1"))?.len())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
