//! `fieldgate log-level`.

use crate::app::control::{self, Order};

use super::{Answer, ConfigPath, operator};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// A level or a log filter: info, debug, "info,fieldgate::proxy=debug"
    #[arg(value_name = "FILTER")]
    filter: String,
    #[command(flatten)]
    config: ConfigPath,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let (filter, by) = (arguments.filter.clone(), operator(arguments.by.as_deref())?);
    control::order(&config, Order::Log { filter, by })?;
    println!("The gateway logs by \"{}\" until it stops.", arguments.filter);
    Ok(Answer::Yes)
}
