//! `fieldgate subject import`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::ledger::{Saying, Scope};

use super::super::{Answer, ledger};
use super::{Known, Ordered, give};

/// Statements in one order to the gateway.
const TOGETHER: usize = 100;
/// Lines that are named where there are more that are wrong.
const NAMED: usize = 20;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// *.csv with a line of names, or JSON lines
    file: PathBuf,
    #[command(flatten)]
    order: Ordered,
}

/// A line of the file; personal, so it has no `Debug`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    subject: String,
    action: String,
    #[serde(default)]
    purpose: Option<String>,
    #[serde(default)]
    contractor: Option<String>,
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    receipt: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.order.config.load()?;
    let known = Known::of(&config);
    let text = std::fs::read_to_string(&arguments.file)
        .with_context(|| format!("{} cannot be read", arguments.file.display()))?;
    let is_csv = arguments.file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let (mut said, mut wrong) = (Vec::new(), Vec::new());
    for (number, line) in if is_csv { csv(&text) } else { json(&text) } {
        match line.and_then(|line| saying(line, &known)) {
            Ok(saying) => said.push(saying),
            Err(why) => wrong.push(format!("line {number}: {why}")),
        }
    }
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(NAMED);
        wrong.truncate(NAMED);
        let rest = if more > 0 { format!("\nand {more} more") } else { String::new() };
        bail!("nothing is imported from {}:\n{}{rest}", arguments.file.display(), wrong.join("\n"));
    }
    let all = said.len();
    let mut taken = 0;
    while !said.is_empty() {
        let rest = said.split_off(said.len().min(TOGETHER));
        taken += give(&config, &arguments.order, std::mem::replace(&mut said, rest))
            .context("not all was imported; import the file again")?;
    }
    println!("{all} statements, {taken} of them new: in force, and in the ledger.");
    Ok(Answer::Yes)
}

/// What is wrong is said without a value.
fn saying(line: Line, known: &Known) -> Result<Saying, String> {
    let granted = match line.action.as_str() {
        "grant" | "granted" => true,
        "withdraw" | "withdrawn" => false,
        _ => return Err("the action is neither grant nor withdraw".to_owned()),
    };
    if line.subject.is_empty() {
        return Err("the subject is empty".to_owned());
    }
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let scope = Scope { purpose: given(line.purpose), contractor: given(line.contractor) };
    if known.check(&scope, granted).is_err() {
        return Err("the purpose or the contractor is not one that a rule names".to_owned());
    }
    let (time, receipt) = (given(line.time), given(line.receipt));
    if granted && time.is_none() && receipt.is_none() {
        // Imported again, it would undo what was withdrawn meanwhile.
        return Err("a grant needs its time, or a receipt".to_owned());
    }
    let time = match time {
        None => None,
        Some(text) => {
            let wrong = "the time is not one, such as 2026-11-24T10:00:00Z";
            let time = ledger::time(&text).map_err(|_| wrong)?;
            let is_past = time <= jiff::Timestamp::now().as_microsecond();
            Some(if is_past { time } else { return Err("the time is in the future".to_owned()) })
        }
    };
    Ok(Saying { subject: line.subject, scope, granted, time, receipt })
}

fn csv(text: &str) -> Vec<(u64, Result<Line, String>)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    let mut number = 1;
    for record in reader.records() {
        number += 1;
        let line = match record {
            Ok(record) => {
                number = record.position().map_or(number, csv::Position::line);
                record
                    .deserialize(Some(&names))
                    .map_err(|_| "the columns are not subject, action, purpose, contractor, time, receipt")
            }
            Err(_) => Err("it has not as many columns as the first line"),
        };
        lines.push((number, line.map_err(str::to_owned)));
    }
    lines
}

fn json(text: &str) -> Vec<(u64, Result<Line, String>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let wrong = "it is not a JSON object with subject, action, purpose, contractor, time, receipt";
    lines.map(|(number, line)| (number, serde_json::from_str(line).map_err(|_| wrong.to_owned()))).collect()
}
