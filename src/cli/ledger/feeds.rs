//! `fieldgate ledger feeds`.

use anyhow::Context;
use comfy_table::{Table, presets};

use crate::feed::{self, KeptPlace};
use crate::ledger::Log;

use super::super::{Answer, ConfigPath, Format};
use super::moment;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Have a feed begin anew that stands still because its place is not in this ledger
    #[arg(long, value_name = "NAME")]
    begin_anew: Option<String>,
}

/// No where a feed stands still.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let ledger = &config.ledger.path;
    let log = Log::open_archive(ledger)?;
    if let Some(name) = &arguments.begin_anew {
        let named = config.feeds.iter().find(|feed| feed.name == *name);
        let feed = named.with_context(|| format!("there is no [[feed]] with the name {name}"))?;
        let file = feed::forget(feed, &log, ledger)?;
        println!("Feed {name} begins anew; {} is removed.", file.display());
        return Ok(Answer::Yes);
    }
    let places = config.feeds.iter().map(|feed| feed::kept(feed, &log, ledger));
    let places = places.collect::<anyhow::Result<Vec<KeptPlace>>>()?;
    match arguments.format {
        Format::Json => {
            for place in &places {
                println!("{}", serde_json::to_string(place)?);
            }
        }
        Format::Table => print(&places),
    }
    Ok(if places.iter().any(|place| place.error.is_some()) { Answer::No } else { Answer::Yes })
}

fn print(places: &[KeptPlace]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FEED", "TO", "NEXT ENTRY", "BEHIND", "OLDEST", "PRUNED", "LAST DELIVERED", ""]);
    for place in places {
        table.add_row([
            place.name.clone(),
            place.kind.to_owned(),
            place.next.map_or_else(|| "-".to_owned(), |next| next.to_string()),
            place.lag_entries.to_string(),
            format!("{} s", place.lag_seconds),
            place.gone.to_string(),
            place.delivered_at.map_or_else(|| "never".to_owned(), moment),
            place.error.clone().unwrap_or_default(),
        ]);
    }
    println!("{table}");
}
