//! Follows the ledger.

use std::path::PathBuf;

use anyhow::Context;

use crate::ledger::Log;

use super::super::routine::{Routine, Stop};
use super::fill::{Rollup, Source};
use super::path_of;

/// Entries in one transaction.
const BATCH: u64 = 16_384;

/// Follows the ledger whose index is at `ledger` and whose heads `origin` signs.
///
/// # Errors
/// Where there is no thread.
pub fn follow(ledger: PathBuf, origin: String) -> std::io::Result<Routine> {
    let mut rollup = None;
    let look = move |stop: &Stop| {
        // What is not sure is opened anew.
        step(&ledger, &origin, &mut rollup, stop).inspect_err(|_| rollup = None)
    };
    Routine::begin("rollup", look, |error| tracing::warn!(error, "the review side's counts are behind"))
}

/// Counts what is new.
fn step(
    ledger: &std::path::Path,
    origin: &str,
    rollup: &mut Option<Rollup>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let log = Log::open(ledger)?;
    let size = log.size();
    let rollup = match rollup {
        Some(rollup) if rollup.upto <= size => rollup,
        _ => rollup.insert(Rollup::open(&path_of(ledger), Source { origin, log: &log })?),
    };
    while rollup.upto < size {
        // Asked between batches, so that a stop does not wait for a year to be counted.
        if stop.is_asked() {
            return Ok(());
        }
        let end = size.min(rollup.upto + BATCH);
        let entries =
            (rollup.upto..end).map(|position| log.entry(position)).collect::<Result<Vec<_>, _>>()?;
        let last = log.leaf_hash(end - 1)?.context("an entry without a hash")?;
        rollup.add(&entries, &last)?;
    }
    Ok(())
}

/// Counts all there is, once.
///
/// # Errors
/// Where the ledger cannot be read, or the counts not be written.
#[cfg(test)]
pub fn catch_up(ledger: &std::path::Path, origin: &str) -> anyhow::Result<u64> {
    let (_keep, stop) = Stop::never();
    let mut rollup = None;
    step(ledger, origin, &mut rollup, &stop)?;
    Ok(rollup.map_or(0, |rollup| rollup.upto))
}
