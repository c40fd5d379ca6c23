//! The room on the ledger's disk: that it gets low is said before it is gone.

use std::path::Path;
use std::time::{Duration, Instant};

/// Less than this is low; a busy gateway writes about so much in an hour.
const LOW: u64 = 2 << 30;
/// How often it is looked at.
const PACE: Duration = Duration::from_secs(30);

/// What was said of it.
#[derive(Default)]
pub struct Space {
    looked: Option<Instant>,
    low: bool,
}

impl Space {
    /// Looks, now and then, and says once that it is low, and once that it is not any more.
    pub fn look(&mut self, folder: &Path) {
        if self.looked.is_some_and(|at| at.elapsed() < PACE) {
            return;
        }
        self.looked = Some(Instant::now());
        let Ok(disk) = rustix::fs::statvfs(folder) else { return };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let low = free < LOW;
        match (self.low, low) {
            (false, true) => {
                tracing::warn!(
                    free_bytes = free,
                    "the ledger's disk gets full: when it is, nothing is disclosed any more"
                );
            }
            (true, false) => tracing::warn!(free_bytes = free, "the ledger's disk has room again"),
            _ => {}
        }
        self.low = low;
    }
}
