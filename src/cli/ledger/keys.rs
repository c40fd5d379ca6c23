//! `fieldgate ledger rotate-key` and `destroy-key`.

use anyhow::bail;
use serde_json::json;

use crate::app::control::{self, Order, Outcome};
use crate::ledger::{OwnKind, destroy_epoch, subject_keys};

use super::super::{Answer, ConfigPath, Format};
use super::operator;

#[derive(clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    config: ConfigPath,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(clap::Args)]
pub(super) struct Destroy {
    #[command(flatten)]
    config: ConfigPath,
    /// The number of the epoch
    epoch: u32,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Do it; without this, only what it means is told
    #[arg(long)]
    yes: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn rotate(arguments: &Rotate) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let by = operator(arguments.by.as_deref())?;
    let Outcome::Rotated(epoch) = control::order(&config, Order::RotateKey { by })? else {
        bail!("the gateway that runs answered something else");
    };
    match arguments.format {
        Format::Json => println!("{}", json!({ "epoch": epoch })),
        Format::Table => println!(
            "Key epoch {epoch} has begun. Customers have other names in the ledger from now on; searches find \
             both.\nFor the rest of this day, a customer who was seen before counts once more against the limits \
             of subjects."
        ),
    }
    Ok(Answer::Yes)
}

pub(super) fn destroy(arguments: &Destroy) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let files = &config.ledger;
    if files.fleet.is_some() {
        bail!("the nodes of a fleet share their keys, and this version destroys none of them");
    }
    let keys = subject_keys(&files.subject_key, &files.path)?;
    let epoch = arguments.epoch;
    if epoch == keys.current().number {
        bail!("epoch {epoch} is the one in use; begin another one first: fieldgate ledger rotate-key");
    }
    if !keys.numbers().contains(&epoch) {
        bail!("there is no key of epoch {epoch}; there are {:?}", keys.numbers());
    }
    if !arguments.yes {
        eprintln!(
            "Without the key of epoch {epoch}, no entry of that time can be linked to a customer, by anybody:\n\
             - `ledger query --subject` and `ledger account` do not find these entries any more;\n\
             - a customer who asks is told that older disclosures can no longer be attributed;\n\
             - the entries stay, and all proofs hold.\n\
             Copies of the key in backups must be destroyed too. It cannot be undone.\n\
             To do it, say --yes."
        );
        return Ok(Answer::No);
    }
    let by = operator(arguments.by.as_deref())?;
    let event = json!({ "by": by, "action": "destroyed", "epoch": epoch });
    control::order(&config, Order::Record { kind: OwnKind::Key, event })?;
    let renamed = destroy_epoch(&files.subject_key, &files.pseudonym_key, epoch)?;
    match arguments.format {
        Format::Json => println!("{}", json!({ "destroyed": epoch, "contractor_names_changed": renamed })),
        Format::Table => {
            println!("The key of epoch {epoch} is destroyed.");
            if renamed {
                println!(
                    "Contractors' names for customers (transform \"pseudonym\") came from the same key: they are \
                     new from the gateway's next start on. Tell the contractors."
                );
            }
        }
    }
    Ok(Answer::Yes)
}
