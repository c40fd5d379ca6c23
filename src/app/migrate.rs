//! A gateway with a ledger of its own becomes a node of a fleet.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use crate::config::Config;
use crate::ledger::{self, Change, Ledger, Said, StateFile, Suspension, Suspensions};

use super::{control, fleet};

/// Statements of customers in one change.
const SAID: usize = 1000;

/// What was taken over.
pub struct Moved {
    pub entries: u64,
    pub statements: usize,
    pub suspensions: usize,
}

/// Takes the ledger of files, what customers said, and who is suspended, into the database that the configuration
/// names. It can be tried again.
///
/// # Errors
/// Where a gateway runs, the configuration names no fleet, or the database does not take it.
pub fn migrate(config: &Config, progress: &mut dyn FnMut(u64, u64)) -> anyhow::Result<Moved> {
    let files = &config.ledger;
    let Some(fleet) = &files.fleet else {
        bail!(
            "ledger.store names no database yet; write store = \"postgres://…\" and [ledger.postgres], and keep `folder` where the ledger is"
        );
    };
    if !files.path.exists() {
        bail!("there is no ledger at {}; a new node needs no migration", files.path.display());
    }
    let keys = super::load_keys(config)?;
    let signer = || ledger::signer(&files.signing_key, files.origin.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // What is in the journal yet goes into the archive; only then it is known that nobody else writes. Also where it was
    // begun before: a gateway may have gone on in between. What is told twice counts once.
    let (said, receipts) = {
        let own = Ledger::open(&files.path, signer()?, config.limits.commit_timeout)?;
        let (_, mut statements) = ledger::consents(&files.path)?;
        runtime.block_on(control::settle(&own, &mut statements))?;
        statements.everything()?
    };
    let (kept, suspensions) = suspensions(config)?;
    let shared = runtime.block_on(fleet::join(files, fleet, &keys))?;
    let tell =
        |change: Change, receipts: &[[u8; 16]]| runtime.block_on(shared.changes.tell(&change, receipts, &[]));
    // Before the entries: a gateway that starts in between finds none, and does not start.
    let statements = said.len();
    for some in said.chunks(SAID) {
        tell(Change::Consent(some.iter().map(Said::clone).collect()), &[])?;
    }
    for some in receipts.chunks(SAID) {
        let taken = runtime.block_on(shared.changes.taken(some))?;
        let new: Vec<[u8; 16]> = some.iter().filter(|receipt| !taken.contains(receipt)).copied().collect();
        if !new.is_empty() && !tell(Change::Consent(Vec::new()), &new)? {
            bail!("another node was told the same at the same time; try again");
        }
    }
    let count = suspensions.len();
    for (contractor, suspension) in suspensions {
        tell(Change::Suspension { contractor, suspension: Some(suspension) }, &[])?;
    }
    let entries = ledger::take_over(&files.path, signer()?, &shared.changes, progress)
        .context("the entries are not all in the database yet; try again")?;
    kept.remove()?;
    Ok(Moved { entries, statements, suspensions: count })
}

/// Who is suspended, out of a copy: the file itself becomes that of the fleet with the first change.
fn suspensions(config: &Config) -> anyhow::Result<(StateFile, Vec<(String, Suspension)>)> {
    let copy = StateFile::beside(&config.ledger.path, "suspended-before-fleet");
    let mut all = Suspensions::load(&config.ledger.path)?.contractors;
    // Of an attempt before; the file may have lost some since.
    if let Some(text) = copy.read()? {
        let kept: BTreeMap<String, Suspension> =
            serde_json::from_slice(&text).with_context(|| copy.path().display().to_string())?;
        kept.into_iter().for_each(|(contractor, suspension)| {
            all.entry(contractor).or_insert(suspension);
        });
    }
    copy.replace(&serde_json::to_vec(&all)?)?;
    Ok((copy, all.into_iter().collect()))
}
