//! `fieldgate ledger prune`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;

use crate::app::{
    self,
    control::{self, Order, Outcome},
};
use crate::config::Config;
use crate::ledger::{self, FleetRetention, OwnKind, Pruning, RetentionLock, Search, ledger_folder};

use super::super::{Answer, ConfigPath, Format};
use super::{moment, now, operator, time};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// As if it were this time; the dry run says which
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<i64>,
    /// Delete what the dry run with this plan has shown
    #[arg(long, value_name = "PLAN", requires = "at")]
    execute: Option<String>,
    /// Who approved it: two people, each by an option of its own
    #[arg(long, value_name = "NAME")]
    approved_by: Vec<String>,
    /// In a fleet: the database, by its owner (postgres://OWNER@HOST:5432/DATABASE), in which the content of this
    /// node's entries is deleted too; a gateway cannot do that
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// In a fleet: the file with the owner's password (mode 0600)
    #[arg(long, value_name = "FILE", requires = "url")]
    password_file: Option<PathBuf>,
    /// In a fleet: the authority of the database's certificate; not needed on this machine
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    // Whole seconds, so that the time can be said again.
    let at = arguments.at.unwrap_or_else(now) / 1_000_000 * 1_000_000;
    if at > now() {
        bail!("{} has not come yet", moment(at));
    }
    let pruning = look(&config, at)?;
    match &arguments.execute {
        None => tell(arguments, &pruning, at),
        Some(token) => {
            check(token, &pruning)?;
            execute(arguments, &config, &pruning, at)
        }
    }
}

/// What can be deleted, as the ledger and the holds are now.
fn look(config: &Config, at: i64) -> anyhow::Result<Pruning> {
    let holding = Search::open(&app::gather::all_of_it(config)?)?;
    Ok(config.ledger.retention.look(&Search::open(&config.ledger.path)?, &holding, at)?)
}

fn check(token: &str, pruning: &Pruning) -> anyhow::Result<()> {
    if token != pruning.token {
        bail!(
            "what would be deleted is not what the dry run has shown any more: run it again, look, and approve that"
        );
    }
    Ok(())
}

/// The dry run.
fn tell(arguments: &Arguments, pruning: &Pruning, at: i64) -> anyhow::Result<Answer> {
    if arguments.format == Format::Json {
        let plan = json!({
            "at": moment(at),
            "plan": pruning.token,
            "classes": pruning.classes,
            "held": pruning.held,
            "waiting": pruning.waiting,
        });
        println!("{plan}");
        return Ok(Answer::Yes);
    }
    for tally in &pruning.classes {
        let (class, until) = (tally.class, moment(tally.until));
        println!("{:>10} {class} before {until}, {} bytes of content", tally.entries, tally.bytes);
    }
    println!("{:>10} are old enough and held", pruning.held);
    println!("{:>10} are old enough and wait until their bundle of 256 is whole", pruning.waiting);
    println!("\nNothing was deleted. Entries would leave their hash: all proofs hold.");
    if !pruning.is_empty() {
        println!(
            "To delete this: fieldgate ledger prune --at {} --execute {} --approved-by NAME --approved-by NAME",
            moment(at),
            pruning.token
        );
    }
    Ok(Answer::Yes)
}

fn execute(arguments: &Arguments, config: &Config, pruning: &Pruning, at: i64) -> anyhow::Result<Answer> {
    let mut approvers: Vec<&str> = arguments.approved_by.iter().map(|name| name.trim()).collect();
    approvers.sort_unstable();
    approvers.dedup();
    if approvers.len() != 2 || approvers.iter().any(|name| name.is_empty()) {
        bail!("two different people approve a deletion: --approved-by NAME --approved-by NAME");
    }
    let path = &config.ledger.path;
    let mut fleet = fleet(arguments, config)?;
    let _lock = RetentionLock::take(path)?;
    let event = json!({
        "by": operator(arguments.by.as_deref())?,
        "approved_by": approvers,
        "plan": pruning.token,
        "classes": pruning.classes,
        "held": pruning.held,
    });
    control::order(config, Order::Record { kind: OwnKind::Prune, event })
        .context("nothing is deleted without an entry about it")?;
    // A hold may have been placed before the lock was taken.
    let now = look(config, at)?;
    check(&pruning.token, &now)?;
    // First in the database: what breaks off here is found again by the node's own archive.
    if let Some((node, database)) = &mut fleet {
        let own = ledger::signer(&config.ledger.signing_key, config.ledger.origin.as_deref())?;
        database.prune(node, &own.verifier().to_string(), &now.positions())?;
    }
    let pruned = now.execute(path, &ledger_folder(path))?;
    wipe_journal(config, now.upto)?;
    match arguments.format {
        Format::Json => println!("{}", serde_json::to_string(&pruned)?),
        Format::Table => println!(
            "The content of {} entries is deleted, {} bundles were written anew, {} bytes of disk were given back.",
            pruned.entries, pruned.bundles, pruned.bytes_given_back
        ),
    }
    Ok(Answer::Yes)
}

/// The node's name, and its database as its owner; none for a ledger of files.
fn fleet(arguments: &Arguments, config: &Config) -> anyhow::Result<Option<(String, FleetRetention)>> {
    let Some(fleet) = &config.ledger.fleet else { return Ok(None) };
    let Some(url) = &arguments.url else {
        bail!(
            "the content of a fleet's entries is in its database too: add --url, by the owner of its tables"
        );
    };
    let database = super::super::fleet::owners(url, arguments.password_file.as_ref(), arguments.ca.as_ref())?;
    let retention = FleetRetention::take(&database)?;
    retention.check_owner()?;
    Ok(Some((fleet.node.clone(), retention)))
}

/// Copies of the content may be left in the journal's old space.
fn wipe_journal(config: &Config, upto: u64) -> anyhow::Result<()> {
    for _ in 0..40 {
        if control::order(config, Order::Scrub(upto))? == Outcome::Scrubbed(true) {
            return Ok(());
        }
        // The archive takes the last entries within a second.
        std::thread::sleep(Duration::from_millis(250));
    }
    bail!(
        "the journal could not be wiped: the archive does not follow; see the gateway's log, and do it again"
    )
}
