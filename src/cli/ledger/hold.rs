//! `fieldgate ledger hold`.

use anyhow::bail;
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::app::{
    self,
    control::{self, Order},
};
use crate::ledger::{FleetRetention, Hold, HoldAction, HoldFilter, OwnKind, RetentionLock, Search, holds};

use super::super::{Answer, ConfigPath, Format};
use super::{Filter, operator};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Keep the entries that these filters find, whatever their age
    ///
    /// A customer is held under the names of all key epochs that there are now: after `rotate-key`, place the
    /// hold again.
    Place(Box<Place>),
    /// End a hold
    Lift {
        name: String,
        #[command(flatten)]
        config: ConfigPath,
        /// Who ends it
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Show the holds that are in force
    List {
        #[command(flatten)]
        config: ConfigPath,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(clap::Args)]
struct Place {
    /// The case, by which the hold is lifted
    name: String,
    #[command(flatten)]
    config: ConfigPath,
    #[command(flatten)]
    filter: Filter,
    /// Who places it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    match &arguments.command {
        Command::Place(place) => {
            let Place { name, config, filter, by, reason } = &**place;
            let config = config.load()?;
            let filter = HoldFilter::from(&filter.query(&config)?);
            let by = operator(by.as_deref())?;
            let hold =
                Hold { by, action: HoldAction::Placed, name: name.clone(), reason: reason.clone(), filter };
            // A deletion that runs is waited for; one that comes later sees the hold.
            let _fleet = match &config.ledger.fleet {
                Some(fleet) => Some(FleetRetention::take(&app::fleet::database(fleet)?)?),
                None => None,
            };
            let _lock = RetentionLock::take(&config.ledger.path)?;
            control::order(&config, Order::Record { kind: OwnKind::Hold, event: json!(hold) })?;
            println!("Hold {name} is in force.");
        }
        Command::Lift { name, config, by, reason } => {
            let config = config.load()?;
            if !holds(&Search::open(&app::gather::whole(&config)?)?)?.contains_key(name) {
                bail!("no hold {name} is in force; see: fieldgate ledger hold list");
            }
            let (action, filter) = (HoldAction::Lifted, HoldFilter::default());
            let by = operator(by.as_deref())?;
            let hold = Hold { by, action, name: name.clone(), reason: reason.clone(), filter };
            control::order(&config, Order::Record { kind: OwnKind::Hold, event: json!(hold) })?;
            println!("Hold {name} is lifted.");
        }
        Command::List { config, format } => list(&config.load()?, *format)?,
    }
    Ok(Answer::Yes)
}

fn list(config: &crate::config::Config, format: Format) -> anyhow::Result<()> {
    let holds = holds(&Search::open(&app::gather::whole(config)?)?)?;
    if format == Format::Json {
        holds.values().flatten().for_each(|hold| println!("{}", json!(hold)));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["CASE", "BY", "WHAT", "WHY"]);
    for hold in holds.values().flatten() {
        let customer = hold.filter.names.iter().map(|_| "one customer".to_owned());
        let words = hold.filter.words.iter().map(|(name, word)| format!("{name}={word}"));
        let what: Vec<String> = words.chain(customer).collect();
        let what = if what.is_empty() { "everything".to_owned() } else { what.join(" ") };
        table.add_row([hold.name.clone(), hold.by.clone(), what, hold.reason.clone()]);
    }
    println!("{table}");
    Ok(())
}
