//! `fieldgate ledger key`.

use anyhow::bail;

use crate::app;
use crate::ledger::signer;

use super::super::{Answer, ConfigPath, Format};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// In a fleet: the key of the ledger into which the entries of all nodes are gathered here
    #[arg(long)]
    fleet: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let files = arguments.config.load()?.ledger;
    // Only looked up, never made: the gateway makes it with the ledger.
    if !files.signing_key.exists() {
        bail!("{} is missing; the gateway makes it when it first starts", files.signing_key.display());
    }
    let signer = match arguments.fleet {
        true => app::gather::signer(&files)?,
        false => signer(&files.signing_key, files.origin.as_deref())?,
    };
    let key = signer.verifier();
    match arguments.format {
        Format::Json => {
            println!("{}", serde_json::json!({ "origin": key.name(), "key": key.to_string() }))
        }
        Format::Table => println!("{key}"),
    }
    Ok(Answer::Yes)
}
