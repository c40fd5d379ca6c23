//! What the ledger's writer does.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::Histogram;
use super::encode::{counter, gauge, histogram, metric};

/// Commits of a ledger, and what waits for one.
#[derive(Debug)]
pub struct Commits {
    time: Histogram,
    entries: Histogram,
    failed: AtomicU64,
    waiting: AtomicI64,
}

impl Default for Commits {
    fn default() -> Self {
        Commits {
            time: Histogram::of_times(),
            entries: Histogram::of_counts(),
            failed: AtomicU64::new(0),
            waiting: AtomicI64::new(0),
        }
    }
}

impl Commits {
    /// A batch of so many drafts was tried.
    pub fn tried(&self, time: Duration, drafts: usize, durable: bool) {
        self.time.time(time);
        self.entries.count(drafts as u64);
        if !durable {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One more draft waits.
    pub fn queued(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// So many drafts wait no more.
    pub fn taken(&self, drafts: usize) {
        self.waiting.fetch_sub(drafts as i64, Ordering::Relaxed);
    }
}

impl Collector for Commits {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        let mut time = metric(
            encoder,
            "ledger_commit_duration_seconds",
            "Time of a commit of the ledger, failed ones included",
            MetricType::Histogram,
        )?;
        histogram(&mut time, &[], &self.time)?;
        let mut entries = metric(
            encoder,
            "ledger_commit_drafts",
            "Drafts of entries in one commit of the ledger",
            MetricType::Histogram,
        )?;
        histogram(&mut entries, &[], &self.entries)?;
        let mut failed = metric(
            encoder,
            "ledger_commit_failures",
            "Commits of the ledger that failed: nothing was disclosed for them",
            MetricType::Counter,
        )?;
        counter(&mut failed, &[], self.failed.load(Ordering::Relaxed))?;
        let mut waiting = metric(
            encoder,
            "ledger_queue_length",
            "Drafts of entries that wait for a commit of the ledger to begin",
            MetricType::Gauge,
        )?;
        gauge(&mut waiting, &[], self.waiting.load(Ordering::Relaxed).max(0))
    }
}
