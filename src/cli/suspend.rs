//! `fieldgate suspend` and `fieldgate resume`.

use std::collections::BTreeMap;

use anyhow::bail;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::app::control::{self, Order};
use crate::config::Config;
use crate::ledger::{Search, Suspension, SuspensionAction, SuspensionEvent, Suspensions};
use crate::rules;

use super::{Answer, ConfigPath, Format, moment, operator};

#[derive(clap::Args)]
pub(super) struct Suspend {
    /// The contractor's id, as its rule file says it; without one, those that are suspended are shown
    contractor: Option<String>,
    #[command(flatten)]
    order: Arguments,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(clap::Args)]
pub(super) struct Resume {
    /// The contractor's id, as its rule file says it
    contractor: String,
    #[command(flatten)]
    order: Arguments,
}

#[derive(clap::Args)]
struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(super) fn suspend(arguments: &Suspend) -> anyhow::Result<Answer> {
    let config = arguments.order.config.load()?;
    let suspended = Suspensions::load(&config.ledger.path)?.contractors;
    let Some(contractor) = &arguments.contractor else {
        list(&suspended, arguments.format);
        return Ok(Answer::Yes);
    };
    check_id(&config, contractor)?;
    give(&config, contractor, SuspensionAction::Suspended, &arguments.order)?;
    println!("{contractor} is suspended: from now on each of its requests is refused (403 suspended).");
    Ok(Answer::Yes)
}

pub(super) fn resume(arguments: &Resume) -> anyhow::Result<Answer> {
    let config = arguments.order.config.load()?;
    if !Suspensions::load(&config.ledger.path)?.contractors.contains_key(&arguments.contractor) {
        bail!("{} is not suspended; see: fieldgate suspend", arguments.contractor);
    }
    give(&config, &arguments.contractor, SuspensionAction::Resumed, &arguments.order)?;
    println!("{} is not suspended any more.", arguments.contractor);
    Ok(Answer::Yes)
}

fn give(
    config: &Config,
    contractor: &str,
    action: SuspensionAction,
    arguments: &Arguments,
) -> anyhow::Result<()> {
    let (contractor, reason) = (contractor.to_owned(), arguments.reason.clone());
    let by = operator(arguments.by.as_deref())?;
    control::order(config, Order::Suspension(SuspensionEvent { contractor, action, by, reason }))?;
    Ok(())
}

/// A slip must not pass for a suspension. Rules that cannot be read do not stand in the way of one, nor does a
/// file that was taken away while a gateway still goes by it: then the ledger knows the contractor.
fn check_id(config: &Config, contractor: &str) -> anyhow::Result<()> {
    let seen = Search::open(&config.ledger.path).and_then(|search| search.contractors()).unwrap_or_default();
    match rules::contractor_ids(&config.rules) {
        Some(known) if !known.iter().chain(&seen).any(|id| id == contractor) => bail!(
            "there is no contractor {contractor} in {}; there are: {}",
            config.rules.display(),
            known.join(", ")
        ),
        _ => Ok(()),
    }
}

fn list(suspended: &BTreeMap<String, Suspension>, format: Format) {
    if format == Format::Json {
        for (contractor, Suspension { since, by, reason }) in suspended {
            println!(
                "{}",
                json!({ "contractor": contractor, "since": moment(*since), "by": by, "reason": reason })
            );
        }
        return;
    }
    if suspended.is_empty() {
        return println!("Nobody is suspended.");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["CONTRACTOR", "SINCE", "BY", "WHY"]);
    for (contractor, Suspension { since, by, reason }) in suspended {
        table.add_row([contractor.clone(), moment(*since), by.clone(), reason.clone()]);
    }
    println!("{table}");
}
