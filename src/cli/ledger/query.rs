//! `fieldgate ledger query`.

use std::io::{BufWriter, Write};

use serde_json::json;

use crate::ledger::{AfterWithdrawal, Exporter, Form, Page, Search, after_withdrawal};

use super::super::{Answer, ConfigPath, Format, Reach};
use super::Filter;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    filter: Filter,
    /// Only entries with a number below this one: the next page
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    before: Option<u64>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    /// The standing question instead: was anything disclosed about a customer who had withdrawn? Exit code 1 where
    /// it was
    #[arg(long, conflicts_with_all = ["before", "limit"])]
    after_withdrawal: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let search = Search::open(&arguments.reach.ledger(&config)?)?;
    if arguments.after_withdrawal {
        return standing_question(arguments, &search);
    }
    let mut query = arguments.filter.query(&config)?;
    query.before = arguments.before;
    let Page { rows, more, size } = search.page(&query, arguments.limit as usize)?;
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

fn standing_question(arguments: &Arguments, search: &Search) -> anyhow::Result<Answer> {
    let AfterWithdrawal { withdrawals, disclosures, found } = after_withdrawal(search)?;
    match arguments.format {
        Format::Json => println!(
            "{}",
            json!({ "after_withdrawal": found, "withdrawals": withdrawals, "disclosures": disclosures })
        ),
        Format::Table => {
            let entries = found.iter().map(|number| format!("entry {number}\n")).collect::<String>();
            let answer = if found.is_empty() { "none".to_owned() } else { found.len().to_string() };
            println!(
                "{entries}Disclosures after withdrawal: {answer} ({withdrawals} withdrawals, {disclosures} disclosures)"
            );
        }
    }
    Ok(if found.is_empty() { Answer::Yes } else { Answer::No })
}
