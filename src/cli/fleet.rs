//! `fieldgate fleet`: the database that several gateways share.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Subcommand;
use comfy_table::{Table, presets};

use crate::app;
use crate::config;
use crate::ledger;
use crate::transport::ClientFiles;

use super::{Answer, ConfigPath};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make or update the tables; as the database's owner, before the gateways start
    ///
    /// Each step is done as a whole or not at all. The gateways' own user needs nothing but the role
    /// fieldgate_gateway, which may add entries and never change or delete one.
    Migrate(Migrate),
    /// The nodes, and how many entries each has
    Nodes(ConfigPath),
}

#[derive(clap::Args)]
struct Migrate {
    /// The database, by its owner: postgres://OWNER@HOST:5432/DATABASE
    #[arg(long, value_name = "URL")]
    url: String,
    /// The file with the owner's password (mode 0600)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The authority of the database's certificate; not needed on this machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    match &arguments.command {
        Command::Migrate(migrate) => self::migrate(migrate),
        Command::Nodes(config) => nodes(config),
    }
}

fn migrate(arguments: &Migrate) -> anyhow::Result<Answer> {
    let database = owners(&arguments.url, arguments.password_file.as_ref(), arguments.ca.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(ledger::migrate(&database)).with_context(|| database.place())?;
    match done.from == done.to {
        true => println!("{}: schema version {}, nothing to do.", database.place(), done.to),
        false => println!("{}: schema version {} (was {}).", database.place(), done.to, done.from),
    }
    Ok(Answer::Yes)
}

/// The database, by its owner.
///
/// # Errors
/// Where what was said is not understood, or a file cannot be used.
pub(super) fn owners(
    url: &str,
    password_file: Option<&PathBuf>,
    ca: Option<&PathBuf>,
) -> anyhow::Result<ledger::Database> {
    let database =
        config::database(url).map_err(|right| anyhow::anyhow!("--url is not understood; write {right}"))?;
    if ca.is_none() && !config::is_here(&database) {
        bail!(
            "--url names another machine: add --ca FILE, the authority that signed the database's certificate"
        );
    }
    let fleet = config::Fleet {
        database,
        password_file: password_file.cloned(),
        tls: ca.map(|ca| ClientFiles { ca: ca.clone(), identity: None, server_name: None }),
        node: String::new(),
        gather: None,
    };
    app::fleet::database(&fleet)
}

fn nodes(config: &ConfigPath) -> anyhow::Result<Answer> {
    let config = config.load()?;
    let Some(fleet) = &config.ledger.fleet else {
        bail!("this gateway is no node of a fleet: its ledger.store is a SQLite ledger");
    };
    let database = app::fleet::database(fleet)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let nodes = runtime.block_on(ledger::nodes(&database)).with_context(|| database.place())?;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NODE", "ENTRIES", "SIGNED", "KEY"]);
    for node in nodes {
        table.add_row([node.name, node.entries.to_string(), node.signed.to_string(), node.verifier]);
    }
    println!("{table}");
    Ok(Answer::Yes)
}
