//! `fieldgate ledger query`.

use std::io::{BufWriter, Write};

use crate::ledger::{Exporter, Form, Page, Search};

use super::super::{Answer, ConfigPath, Format};
use super::Filter;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    #[command(flatten)]
    filter: Filter,
    /// Only entries with a number below this one: the next page
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    before: Option<u64>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let mut query = arguments.filter.query(&config)?;
    query.before = arguments.before;
    let Page { rows, more, size } =
        Search::open(&config.ledger.path)?.page(&query, arguments.limit as usize)?;
    let form = match arguments.format {
        Format::Json => Form::JsonLines,
        Format::Table => Form::Table,
    };
    let mut exporter = Exporter::new(form, BufWriter::new(std::io::stdout().lock()))?;
    for row in &rows {
        exporter.entry(row.position, Some(row.leaf.as_bytes()))?;
    }
    exporter.finish()?.flush()?;
    let next = rows.last().filter(|_| more).map(|row| format!("; there are more: --before {}", row.position));
    eprintln!("{} of {size} entries{}", rows.len(), next.unwrap_or_default());
    Ok(Answer::Yes)
}
