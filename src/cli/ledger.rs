//! `fieldgate ledger`.

use std::io::{BufWriter, Write};

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::Value;

use crate::ledger::{Page, Query, Row, Search, subject_key};
use crate::model::Subject;

use super::{Answer, ConfigPath, Format};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show entries, newest first
    Query(QueryArguments),
}

#[derive(clap::Args)]
struct QueryArguments {
    #[command(flatten)]
    config: ConfigPath,
    /// Not before this time: 2026-11-24, 2026-11-24T10:00:00Z, or 24h, 30m (ago)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// Of this contractor
    #[arg(long, value_name = "ID")]
    contractor: Option<String>,
    /// Of this task
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// About this customer, as the upstream names it; needs the subject key
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Of this kind
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only entries with a number below this one: the next page
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    before: Option<u64>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: u32,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// The kinds of entries.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Disclosure,
    /// Further subjects of a disclosure that is about very many
    Subjects,
    Refusal,
    Rules,
    Started,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Answer> {
    let Command::Query(arguments) = arguments.command;
    let config = arguments.config.load()?;
    let subject = match arguments.subject {
        None => None,
        // Only looked up, never made: a new key would find nobody.
        Some(_) if !config.ledger.subject_key.exists() => {
            bail!("{} is missing", config.ledger.subject_key.display())
        }
        Some(id) => {
            let key = subject_key(&config.ledger.subject_key, &config.ledger.path)?;
            Some(vec![key.pseudonym(Subject::new(&id))])
        }
    };
    let query = Query {
        since: arguments.since,
        until: arguments.until,
        contractor: arguments.contractor,
        task: arguments.task,
        subject,
        kind: arguments.kind.and_then(|kind| kind.to_possible_value()).map(|kind| kind.get_name().to_owned()),
        before: arguments.before,
        ..Query::default()
    };
    let Page { rows, more, size } =
        Search::open(&config.ledger.path)?.page(&query, arguments.limit as usize)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match arguments.format {
        Format::Json => rows.iter().try_for_each(|row| writeln!(out, "{}", row.leaf))?,
        Format::Table => writeln!(out, "{}", table(&rows)?)?,
    }
    out.flush()?;
    let next = rows.last().filter(|_| more).map(|row| format!("; there are more: --before {}", row.position));
    eprintln!("{} of {size} entries{}", rows.len(), next.unwrap_or_default());
    Ok(Answer::Yes)
}

fn table(rows: &[Row]) -> anyhow::Result<Table> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NUMBER", "TIME", "CONTRACTOR", "TASK", "REQUEST", "OUTCOME", "RECORDS", "FIELDS"]);
    for row in rows {
        let entry: Value =
            serde_json::from_str(&row.leaf).with_context(|| format!("entry {} is damaged", row.position))?;
        table.add_row(cells(row.position, &entry));
    }
    Ok(table)
}

fn cells(position: u64, entry: &Value) -> [String; 8] {
    let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
    let outcome = match text("kind").as_str() {
        "refusal" => format!("{} {}", entry["status"], text("code")),
        "disclosure" => format!("{} disclosed", entry["status"]),
        other => other.to_owned(),
    };
    let records = match entry["records"]["withheld"].as_u64() {
        None => String::new(),
        Some(0) => entry["records"]["released"].to_string(),
        Some(withheld) => format!("{} (+{withheld} withheld)", entry["records"]["released"]),
    };
    let fields = entry["fields"].as_array().map_or(0, Vec::len);
    [
        position.to_string(),
        entry["time"].as_i64().map(moment).unwrap_or_default(),
        text("contractor"),
        text("task"),
        format!("{} {}", text("method"), text("route")).trim().to_owned(),
        outcome,
        records,
        if fields == 0 { String::new() } else { fields.to_string() },
    ]
}

/// RFC 3339, UTC.
fn moment(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// A day, a moment, or how long ago; in microseconds since 1970.
fn time(text: &str) -> Result<i64, String> {
    const WRONG: &str =
        "write a day (2026-11-24), a moment (2026-11-24T10:00:00Z), or how long ago (24h, 30m)";
    if let Ok(ago) = crate::model::parse_duration(text) {
        return Ok(jiff::Timestamp::now().as_microsecond() - ago.as_micros() as i64);
    }
    let moment = text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse());
    moment.map(|moment| moment.as_microsecond()).map_err(|_| WRONG.to_owned())
}
