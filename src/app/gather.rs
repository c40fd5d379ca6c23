//! One ledger of the entries of all nodes: kept at hand by a gateway that shows it, and brought up to date by a command
//! that reads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::admin::{Routine, Stop};
use crate::config::{self, Config};
use crate::ledger::{self, Database, GatherState, Gathering, Signer, StoreError};

use super::fleet;

/// How long a command waits for what other nodes have written and not signed yet, or for a gateway that gathers.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// Signs the gathered ledger's heads: the node's key, under another name.
///
/// # Errors
/// Where the key cannot be used.
pub fn signer(files: &config::Ledger) -> anyhow::Result<Signer> {
    let own = ledger::signer(&files.signing_key, files.origin.as_deref())?;
    Ok(ledger::signer(&files.signing_key, Some(&ledger::gathered_name(own.verifier().name())))?)
}

/// Gathers behind requests, where the configuration wants it.
///
/// # Errors
/// Where there is no thread, or a certificate cannot be used.
pub fn begin(config: &Config, state: Arc<GatherState>) -> anyhow::Result<Option<Routine>> {
    let (Some(path), Some(fleet)) = (config.gathered(), &config.ledger.fleet) else { return Ok(None) };
    let (database, files) = (fleet::database(fleet)?, config.ledger.clone());
    let mut gathering = None;
    let look = move |stop: &Stop| {
        let outcome = turn(&path, &files, &database, &mut gathering, stop);
        // What is not sure is opened anew.
        let outcome = outcome.inspect_err(|_| gathering = None);
        state.is(outcome.as_ref().err().map(|error| format!("{error:#}")));
        outcome
    };
    let tell = |error: &str| tracing::error!(error, "entries of other nodes are not gathered");
    Ok(Some(Routine::begin("gather", look, tell)?))
}

fn turn(
    path: &Path,
    files: &config::Ledger,
    database: &Database,
    gathering: &mut Option<Gathering>,
    stop: &Stop,
) -> anyhow::Result<()> {
    let gathering = match gathering {
        Some(gathering) => gathering,
        None => gathering.insert(Gathering::open(path, signer(files)?, database.clone())?),
    };
    while !gathering.turn()? {
        if stop.is_asked() {
            break;
        }
    }
    Ok(())
}

/// The index of the ledger of all nodes, or of the only one, with all that was durable when this was called.
///
/// Entries that their node has not signed are told on standard error, and left out.
///
/// # Errors
/// Where the database or the ledger cannot be read.
pub fn whole(config: &Config) -> anyhow::Result<PathBuf> {
    let (path, missing) = gathered(config)?;
    missing.iter().for_each(|missing| eprintln!("{missing}, and are left out"));
    Ok(path)
}

/// The same where nothing may be left out.
///
/// # Errors
/// As [`whole`], and where a node has entries that it has not signed.
pub fn all_of_it(config: &Config) -> anyhow::Result<PathBuf> {
    let (path, missing) = gathered(config)?;
    if let Some(missing) = missing.first() {
        bail!("{missing}, and nothing may be left out here: see that the node runs");
    }
    Ok(path)
}

/// Where it is, and what is missing.
fn gathered(config: &Config) -> anyhow::Result<(PathBuf, Vec<String>)> {
    let Some(fleet) = &config.ledger.fleet else { return Ok((config.ledger.path.clone(), Vec::new())) };
    let path = ledger::gathered_place(&config.ledger.path);
    let missing =
        catch_up(config, fleet, &path).context("what the other nodes have disclosed cannot be known")?;
    Ok((path, missing))
}

fn catch_up(config: &Config, fleet: &config::Fleet, path: &Path) -> anyhow::Result<Vec<String>> {
    if !config.ledger.signing_key.exists() {
        bail!(
            "{} is missing; the gateway makes it when it first starts",
            config.ledger.signing_key.display()
        );
    }
    let database = fleet::database(fleet)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nodes = runtime.block_on(ledger::nodes(&database)).with_context(|| database.place())?;
    let (mut until, mut most) = (Instant::now() + PATIENCE, u64::MAX);
    loop {
        match Gathering::open(path, signer(&config.ledger)?, database.clone()) {
            Ok(mut gathering) => while !gathering.turn()? {},
            // The gateway does it.
            Err(StoreError::InUse(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let gathered = ledger::gathered(path)?;
        let of =
            |number| gathered.nodes.iter().find(|node| node.number == number).map_or(0, |node| node.size);
        let missing: Vec<(&str, u64)> = nodes
            .iter()
            .map(|node| (node.name.as_str(), node.entries.saturating_sub(of(node.number))))
            .filter(|(_, count)| *count > 0)
            .collect();
        let left = missing.iter().map(|(_, count)| count).sum();
        // As long as it goes on, nobody gives up.
        if left < most {
            (most, until) = (left, Instant::now() + PATIENCE);
        }
        if left == 0 || Instant::now() >= until {
            let told = |(name, count): (&str, u64)| {
                format!("{count} entries of node {name} are not under a signed head yet")
            };
            return Ok(missing.into_iter().map(told).collect());
        }
        std::thread::sleep(PAUSE);
    }
}
