//! `fieldgate diff`.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::app;
use crate::config::Config;
use crate::diagnostic::Source;
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::ledger::{Order, Query, Search, StoreError, View};
use crate::rules::diff::{Change, Effect, Written, diff};

use super::{Answer, ConfigPath};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The rules as they are: a folder, or a git revision of the folder that the configuration names; a folder
    /// of that name goes first
    old: String,
    /// The rules as they would be: a folder, or a git revision
    new: String,
    #[command(flatten)]
    config: ConfigPath,
    /// Also say about how many customers a field that is new would have been disclosed
    #[arg(long)]
    ledger: bool,
    /// How many days of the ledger are looked at
    #[arg(long, value_name = "DAYS", default_value_t = 30, requires = "ledger")]
    days: i64,
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs: one JSON object a line
    Json,
    /// For a pull request
    Markdown,
}

/// A change, and what it would have meant.
struct Line {
    change: Change,
    customers: Option<u64>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config =
        match (arguments.ledger, Path::new(&arguments.old).is_dir() && Path::new(&arguments.new).is_dir()) {
            (false, true) => None,
            _ => Some(arguments.config.load()?),
        };
    let old = read(&arguments.old, config.as_ref())?;
    let new = read(&arguments.new, config.as_ref())?;
    let mut lines: Vec<Line> =
        diff(&old, &new).into_iter().map(|change| Line { change, customers: None }).collect();
    if let Some(config) = config.filter(|_| arguments.ledger) {
        look_back(&config, arguments.days, &mut lines)?;
    }
    let text = match arguments.format {
        Form::Table => table(&lines, arguments.days),
        Form::Json => lines.iter().map(|line| format!("{}\n", object(line))).collect(),
        Form::Markdown => markdown(&lines, arguments.days),
    };
    anstream::stdout().write_all(text.as_bytes())?;
    let widens = lines.iter().any(|line| line.change.effect.needs_review());
    Ok(if widens { Answer::No } else { Answer::Yes })
}

fn read(place: &str, config: Option<&Config>) -> anyhow::Result<Written> {
    let read = if Path::new(place).is_dir() {
        Written::load(Path::new(place)).with_context(|| format!("the rules in {place} cannot be read"))?
    } else {
        let rules = config.map_or(PathBuf::from("rules"), |config| config.rules.clone());
        Written::read(revision(place, &rules)?)
    };
    read.map_err(|found| {
        print_diagnostics(&found);
        anyhow::anyhow!("the rules of {place} have {}", summary(&found))
    })
}

/// The rule files of a git revision.
fn revision(name: &str, rules: &Path) -> anyhow::Result<Vec<Arc<Source>>> {
    let folder = rules.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = rules.file_name().context("the folder of the rules has no name")?.to_string_lossy();
    if name.starts_with('-') {
        bail!("{name} is neither a folder nor a git revision");
    }
    let git = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output();
        let output = output.context("git cannot be run")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{name} is neither a folder nor a git revision: {}", said.trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    };
    let listed = git(&["ls-tree", "--name-only", "-z", name, &format!("./{inside}/")])?;
    let files = listed.split('\0').filter(|path| path.ends_with(".toml"));
    let sources = files.map(|path| {
        let text = git(&["show", &format!("{name}:./{path}")])?;
        Ok(Source::new(format!("{name}:{path}"), text))
    });
    sources.collect()
}

/// Counts, for each field that would be new on a route that there is, the customers about whom the contractor
/// got something by that route.
fn look_back(config: &Config, days: i64, lines: &mut [Line]) -> anyhow::Result<()> {
    let search = Search::open(&app::gather::whole(config)?)?;
    let since = jiff::Timestamp::now().as_microsecond() - days * 86_400_000_000;
    for line in lines.iter_mut() {
        let Change { effect, contractor, task, route, field, .. } = &line.change;
        let (Some(task), Some(route), Some(_)) = (task, route, field) else { continue };
        if effect.needs_review() {
            line.customers = Some(customers(&search, contractor, task, route, since)?);
        }
    }
    Ok(())
}

fn customers(search: &Search, contractor: &str, task: &str, route: &str, since: i64) -> anyhow::Result<u64> {
    let query = Query {
        since: Some(since),
        contractor: Some(contractor.to_owned()),
        task: Some(task.to_owned()),
        ..Query::default()
    };
    let mut seen = HashSet::new();
    // Entries that list more customers of a response follow it and do not name its route.
    let mut of_route = false;
    search.each(&query, Order::OldestFirst, |_, leaf| {
        if let Ok(view) = View::parse(leaf) {
            if view.kind != "subjects" {
                of_route = view.kind == "disclosure" && view.route.as_deref() == Some(route);
            }
            if of_route {
                seen.extend(view.subjects.iter().map(|name| name.clone().into_owned()));
            }
        }
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    Ok(seen.len() as u64)
}

fn meaning(line: &Line, days: i64) -> Option<String> {
    let customers = line.customers?;
    Some(format!("in the last {days} days this route told about {customers} customers"))
}

fn place(change: &Change) -> String {
    [Some(&change.contractor), change.task.as_ref(), change.route.as_ref()]
        .into_iter()
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .join(" · ")
}

fn table(lines: &[Line], days: i64) -> String {
    if lines.is_empty() {
        return "Nothing is different.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "WHERE", "WHAT"]);
    for line in lines {
        let meaning = meaning(line, days).map(|text| format!(" ({text})")).unwrap_or_default();
        let what = format!("{}{meaning}", line.change.what);
        table.add_row([line.change.effect.as_str().to_owned(), place(&line.change), what]);
    }
    let lined: String = table.to_string().lines().map(|line| coloured(line) + "\n").collect();
    lined + &totals(lines) + "\n"
}

/// Colours the word that a line begins with.
fn coloured(line: &str) -> String {
    let styles = [
        (Effect::MayWiden, anstyle::AnsiColor::Yellow.on_default().bold()),
        (Effect::Widens, anstyle::AnsiColor::Red.on_default().bold()),
        (Effect::Narrows, anstyle::AnsiColor::Green.on_default()),
    ];
    let styled = styles.iter().find_map(|(effect, style)| {
        let word = effect.as_str();
        let rest = line.trim_start().strip_prefix(word)?;
        Some(format!(" {style}{word}{style:#}{rest}"))
    });
    styled.unwrap_or_else(|| line.to_owned())
}

fn totals(lines: &[Line]) -> String {
    let count = |effect| lines.iter().filter(|line| line.change.effect == effect).count();
    let [widens, may, narrows, neutral] =
        [Effect::Widens, Effect::MayWiden, Effect::Narrows, Effect::Neutral].map(count);
    format!("{widens} widen, {may} may widen, {narrows} narrow, {neutral} neutral")
}

fn object(line: &Line) -> serde_json::Value {
    let Change { effect, contractor, task, route, what, field } = &line.change;
    json!({
        "effect": effect.as_str(), "contractor": contractor, "task": task, "route": route,
        "what": what, "field": field, "customers": line.customers,
    })
}

fn markdown(lines: &[Line], days: i64) -> String {
    let mut out = format!("### What contractors may see: {}\n\n", totals(lines));
    if lines.is_empty() {
        return out + "Nothing is different.\n";
    }
    out += "| | where | what |\n| --- | --- | --- |\n";
    for line in lines {
        let meaning = meaning(line, days).map(|text| format!(" ({text})")).unwrap_or_default();
        let what = cell(&format!("{}{meaning}", line.change.what));
        let effect = line.change.effect;
        let effect = if effect.needs_review() {
            format!("**{}**", effect.as_str())
        } else {
            effect.as_str().to_owned()
        };
        let _ = writeln!(out, "| {effect} | {} | {what} |", cell(&place(&line.change)));
    }
    out
}

/// Text of a rule file must not end its cell, or become markup.
fn cell(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '|' | '<' | '*' | '_' | '`' | '[' | '\\' => escaped.extend(['\\', character]),
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
