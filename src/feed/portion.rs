//! What is delivered next.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::ledger::{Log, View, ocsf_event, ocsf_gone};

use super::place::Place;

/// Bytes of the events of a portion, about.
const BYTES: usize = 1 << 20;
/// Entries that are looked at for one portion.
const SCAN: u64 = 8192;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    /// The same where it comes again, and of no other event.
    pub uid: String,
    /// The kind of its entry.
    pub kind: String,
    /// Of its entry: microseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// The number of its entry.
    pub entry: u64,
    /// One JSON object, without a newline.
    pub json: Vec<u8>,
}

/// Some events, and the place behind them.
#[derive(Debug)]
pub struct Portion {
    pub events: Vec<Event>,
    pub after: Place,
    /// Entries in it whose content is gone.
    pub gone: u64,
    /// When the oldest entry in it was written; `None` where that is gone.
    pub oldest: Option<i64>,
}

/// Reads a ledger for one feed.
pub struct Reader {
    ledger: PathBuf,
    kinds: BTreeSet<String>,
    batch: usize,
    /// As it was when it was last opened: the archive only grows.
    log: Option<Log>,
}

impl Reader {
    pub fn new(ledger: &Path, kinds: BTreeSet<String>, batch: usize) -> Self {
        Reader { ledger: ledger.to_owned(), kinds, batch, log: None }
    }

    /// The ledger as it is now.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn open(&mut self) -> anyhow::Result<&Log> {
        Ok(self.log.insert(Log::open_archive(&self.ledger)?))
    }

    /// What comes behind `place`: entries under the signed head only, which no crash takes back. `None` where there is
    /// nothing.
    ///
    /// # Errors
    /// Where the ledger cannot be read, holds something that is no entry, or does not have the place.
    pub fn next(&mut self, place: &Place) -> anyhow::Result<Option<Portion>> {
        let log = match self.log.take() {
            Some(log) if place.next < log.archived() => log,
            _ => {
                let log = Log::open_archive(&self.ledger)?;
                place.check(&log)?;
                log
            }
        };
        let portion = (place.next < log.archived()).then(|| self.portion(place, &log)).transpose()?;
        self.log = Some(log);
        Ok(portion)
    }

    fn portion(&self, place: &Place, log: &Log) -> anyhow::Result<Portion> {
        let end = log.archived().min(place.next + SCAN);
        let (mut events, mut bytes, mut oldest) = (Vec::new(), 0, None);
        // Entries in a row that are gone, which one event stands for.
        let (mut run, mut gone) = (0, 0);
        let mut position = place.next;
        while position < end && events.len() < self.batch && bytes < BYTES {
            match log.entry(position)? {
                None => (run, gone) = (run + 1, gone + 1),
                Some(leaf) => {
                    if run > 0 {
                        // The entry waits for the next turn, where there may be room for it.
                        events.push(stand_in(position - run, run, oldest)?);
                        run = 0;
                        continue;
                    }
                    let view =
                        View::parse(&leaf).ok().with_context(|| format!("entry {position} is damaged"))?;
                    oldest = oldest.or(Some(view.time));
                    if self.kinds.is_empty() || self.kinds.contains(view.kind.as_ref()) {
                        let json = ocsf_event(position, &leaf)?;
                        bytes += json.len();
                        events.push(Event {
                            uid: format!("{}.{position}", view.id),
                            kind: view.kind.into_owned(),
                            time: view.time,
                            entry: position,
                            json,
                        });
                    }
                }
            }
            position += 1;
        }
        if run > 0 {
            events.push(stand_in(position - run, run, oldest)?);
        }
        let after = place.on(position, gone, log)?;
        Ok(Portion { events, after, gone, oldest })
    }
}

/// For entries whose content is gone, so that their numbers are not just missing. Nobody knows what kinds they were.
fn stand_in(first: u64, count: u64, time: Option<i64>) -> anyhow::Result<Event> {
    Ok(Event {
        uid: format!("pruned.{first}.{count}"),
        kind: "pruned".to_owned(),
        time: time.unwrap_or_default(),
        entry: first,
        json: ocsf_gone(first, count)?,
    })
}
