//! How much of the ledger a feed has delivered.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::ledger::{Log, StateFile};

/// The file's version.
const VERSION: u32 = 1;

/// A place between two entries of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// All entries before this number were delivered, or are not for the feed.
    pub next: u64,
    /// The hash of the last of them; empty where there is none.
    hash: String,
    /// Entries whose content was gone before it could be delivered.
    pub gone: u64,
    /// When something was last delivered: microseconds since 1970-01-01T00:00:00Z.
    pub delivered_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    v: u32,
    next: u64,
    hash: String,
    gone: u64,
    delivered_at: Option<i64>,
}

/// Why a place is none of this ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error(
        "it has delivered {next} entries, and the ledger has {size}: an older copy of the ledger was put back"
    )]
    Beyond { next: u64, size: u64 },
    #[error(
        "the entry that it delivered last, number {0}, is another one in this ledger: a copy was put back, and gone on with"
    )]
    Other(u64),
}

impl Place {
    /// Before the first entry.
    pub fn start() -> Self {
        Place { next: 0, hash: String::new(), gone: 0, delivered_at: None }
    }

    /// Before entry `next` of `log`.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn before(next: u64, log: &Log) -> anyhow::Result<Self> {
        Ok(Place { next, hash: hash_before(next, log)?, ..Place::start() })
    }

    /// The same feed's place before a later entry.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn on(&self, next: u64, gone: u64, log: &Log) -> anyhow::Result<Self> {
        Ok(Place {
            next,
            hash: hash_before(next, log)?,
            gone: self.gone + gone,
            delivered_at: self.delivered_at,
        })
    }

    /// Whether it is one of this ledger.
    ///
    /// # Errors
    /// Where the ledger cannot be read, or is not the one that was delivered from: a [`Contradiction`].
    pub fn check(&self, log: &Log) -> anyhow::Result<()> {
        let size = log.archived();
        if self.next > size {
            return Err(Contradiction::Beyond { next: self.next, size }.into());
        }
        if self.next > 0 && hash_before(self.next, log)? != self.hash {
            return Err(Contradiction::Other(self.next - 1).into());
        }
        Ok(())
    }
}

fn hash_before(next: u64, log: &Log) -> anyhow::Result<String> {
    let Some(last) = next.checked_sub(1) else { return Ok(String::new()) };
    let hash = log.leaf_hash(last)?.context("an entry without a hash")?;
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The file that a place is kept in, beside the ledger.
#[derive(Clone, Debug)]
pub struct PlaceFile(StateFile);

impl PlaceFile {
    /// Of the feed `name`, beside the ledger whose index is at `ledger`.
    pub fn of(ledger: &Path, name: &str) -> Self {
        PlaceFile(StateFile::beside(ledger, &format!("feed-{name}")))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// What is kept there; `None` where the feed has no place yet.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self) -> anyhow::Result<Option<Place>> {
        let Some(bytes) = self.0.read()? else { return Ok(None) };
        let content = serde_json::from_slice(&bytes);
        let Content { v, next, hash, gone, delivered_at } =
            content.with_context(|| format!("{} is damaged", self.path().display()))?;
        ensure!(v == VERSION, "{} is of version {v}, which is not known", self.path().display());
        Ok(Some(Place { next, hash, gone, delivered_at }))
    }

    /// Keeps a place. A crash can take it back: then some events come twice.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, place: &Place) -> anyhow::Result<()> {
        let Place { next, hash, gone, delivered_at } = place.clone();
        let mut bytes = serde_json::to_vec(&Content { v: VERSION, next, hash, gone, delivered_at })?;
        bytes.push(b'\n');
        Ok(self.0.replace(&bytes)?)
    }

    /// Forgets the place: everything is delivered again.
    ///
    /// # Errors
    /// Where the file cannot be removed.
    pub fn forget(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.path())
    }
}
