//! `fieldgate explain`.

use std::fmt::Write;
use std::io::{Read, Write as _};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::app;
use crate::app::control::{self, Order};
use crate::app::live::{self, LiveAnswer};
use crate::config::Config;
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::filter::{Explained, Explanation, Fate, explain};
use crate::ledger::OwnKind;
use crate::model::{Basis, SubjectKey};
use crate::rules::fixture::{self, Call, NoRoute};
use crate::rules::{Contractor, Query, RequestPath, Route, reason};

use super::{Answer, ConfigPath, operator};

/// Columns of each half, where the terminal does not say.
const HALF: usize = 58;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The contractor's id
    contractor: String,
    /// The path that it calls, such as /orders/504499
    path: String,
    /// What the upstream answers: a file, or `-` for standard input
    #[arg(long, value_name = "FILE", default_value = "-", conflicts_with = "live")]
    input: String,
    /// Ask the upstream itself; the ledger has an entry first, as these are customers' data
    #[arg(long)]
    live: bool,
    /// With --live: who asks; the name of the user at the terminal where it is left out
    #[arg(long, value_name = "NAME", requires = "live")]
    by: Option<String>,
    /// With --live: why
    #[arg(long, value_name = "TEXT", default_value = "", requires = "live")]
    reason: String,
    /// The task, where several serve the path
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// Keep this as an example, rules/fixtures/NAME, that `check` runs; not with --live: examples are made up
    #[arg(long, value_name = "NAME", value_parser = fixture_name, conflicts_with = "live")]
    save: Option<String>,
    #[command(flatten)]
    config: ConfigPath,
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// What the upstream answers beside what leaves, with the reason
    Table,
    /// The reduced body alone
    Body,
    /// For programs: each value and what becomes of it
    Json,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    // Real pseudonyms, where there are keys already; nothing is made for an explanation. A fixture must come
    // out the same wherever it is run.
    let known = app::known_pseudonym_key(&config).filter(|_| arguments.save.is_none());
    let key = known.unwrap_or(SubjectKey::new(&[0; SubjectKey::LENGTH]));
    let loaded = app::load_rules(&config, key).context("the rules cannot be read")?;
    let Some(plan) = loaded.plan else {
        print_diagnostics(&loaded.diagnostics);
        bail!("the rules have {}", summary(&loaded.diagnostics));
    };
    let call = Call {
        contractor: arguments.contractor.clone(),
        path: arguments.path.clone(),
        method: arguments.method.clone(),
        task: arguments.task.clone(),
    };
    let (contractor, route) = match call.route(&plan) {
        Ok(found) => found,
        Err(error @ NoRoute::Route(..)) => {
            anstream::eprintln!("{error}: 404");
            return Ok(Answer::No);
        }
        Err(error) => return Err(error.into()),
    };
    let body = match arguments.live {
        false => read(&arguments.input)?,
        true => {
            let LiveAnswer { status, body } = ask(arguments, &config, contractor, route)?;
            if !status.is_success() {
                let gets = if matches!(status.as_u16(), 404 | 410) { "404" } else { "502" };
                anstream::eprintln!("the upstream answers {status}: {} would get {gets}", contractor.id);
                return Ok(Answer::No);
            }
            body
        }
    };
    let task = &contractor.tasks[route.task];
    if !task.is_in_force() {
        anstream::eprintln!("the legal grant of task {} is not in force: a request gets 404 today", task.id);
    }
    if task.basis == Basis::Consent {
        anstream::eprintln!("shown as if the customers had consented to {}", task.consent_purpose());
    }
    let explanation = match explain(&route.filter, &route.selection, &body, task.assumed()) {
        Ok(explanation) => explanation,
        Err(fault) => {
            anstream::eprintln!("{} would get 502: {fault}", contractor.id);
            return Ok(Answer::No);
        }
    };
    let text = match arguments.format {
        Form::Table => table(contractor, route, &explanation),
        Form::Body => reduced(&explanation) + "\n",
        Form::Json => format!("{}\n", object(contractor, route, &explanation)),
    };
    anstream::stdout().write_all(text.as_bytes())?;
    if let Some(name) = &arguments.save {
        let folder = fixture::save(&config.rules, name, &call, &body, explanation.reduced.as_deref())?;
        anstream::eprintln!("saved as {}", folder.display());
    }
    Ok(if explanation.reduced.is_some() { Answer::Yes } else { Answer::No })
}

/// Asks the upstream what a contractor's request would ask it, once the ledger has an entry about it.
fn ask(
    arguments: &Arguments,
    config: &Config,
    contractor: &Contractor,
    route: &Route,
) -> anyhow::Result<LiveAnswer> {
    if arguments.method != "GET" {
        bail!("--live only reads: it goes with GET");
    }
    let (path, query) = arguments.path.split_once('?').unwrap_or((&arguments.path, ""));
    let path = RequestPath::parse(path).map_err(|_| NoRoute::Path(arguments.path.clone()))?;
    let query = Query::parse(query, &route.query)
        .map_err(|_| anyhow::anyhow!("the query is not one that the route permits: 400"))?;
    let upstream = config.upstreams.get(&route.upstream).context("the route's upstream is not there")?;
    let target = format!("{}{}{}", upstream.prefix(), path.encode(), query.encode());
    let (task, route) = (contractor.tasks[route.task].id.as_str(), route.template.as_str());
    let event = json!({
        "by": operator(arguments.by.as_deref())?,
        "action": "explain",
        "reason": arguments.reason,
        // The path itself may name a customer.
        "as": contractor.id.as_str(), "task": task, "route": route,
    });
    control::order(config, Order::Record { kind: OwnKind::Access, event })
        .context("nothing is asked without an entry about it")?;
    live::ask(config, upstream, &target)
}

fn fixture_name(text: &str) -> Result<String, &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("letters, digits, - and _")
    }
}

fn read(input: &str) -> anyhow::Result<Vec<u8>> {
    if input == "-" {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body)?;
        return Ok(body);
    }
    std::fs::read(input).with_context(|| input.to_owned())
}

fn reduced(explanation: &Explanation) -> String {
    explanation.reduced.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned()
}

fn table(contractor: &Contractor, route: &Route, explanation: &Explanation) -> String {
    use anstyle::AnsiColor::{Green, Red, Yellow};
    let mut out = String::new();
    let task = &contractor.tasks[route.task];
    let (dim, bold) = (anstyle::Style::new().dimmed(), anstyle::Style::new().bold());
    let _ =
        writeln!(out, "{bold}{}{bold:#} · {} · {}", contractor.name, task.purpose, route.template.as_str());
    let _ = writeln!(out, "{bold}{:HALF$}  LEAVES{bold:#}", "THE UPSTREAM");
    for value in &explanation.values {
        let left = fitted(&line(value, &value.text));
        let (right, style) = match &value.fate {
            Fate::Container => (String::new(), dim),
            Fate::Kept(_) => (line(value, &value.text), Green.on_default()),
            Fate::Changed(_, to) => (line(value, to), Yellow.on_default()),
            _ => ("·".to_owned(), Red.on_default()),
        };
        let why = reason(route, contractor.tasks[route.task].basis, value);
        let why = if why.is_empty() { why } else { format!("  {dim}{why}{dim:#}") };
        let _ = writeln!(out, "{left:HALF$}  {style}{}{style:#}{why}", right.trim_start());
    }
    let _ = match explanation.reduced {
        Some(_) => writeln!(out, "\n{bold}{}{bold:#}", reduced(explanation)),
        None => {
            let is_named = explanation.values.iter().all(|value| value.fate != Fate::NotAdmitted);
            let why = if is_named { "the condition does not hold" } else { "the grant names somebody else" };
            writeln!(out, "\n{bold}404: {why}, so nothing leaves{bold:#}")
        }
    };
    out
}

/// One line, indented, with its name; control characters of the upstream never reach the terminal.
fn line(value: &Explained, text: &str) -> String {
    let mut line = "  ".repeat(value.depth);
    if let Some(name) = &value.name {
        let _ = write!(line, "{name}: ");
    }
    line.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    line
}

fn fitted(text: &str) -> String {
    if text.chars().count() <= HALF {
        return text.to_owned();
    }
    text.chars().take(HALF - 1).chain(['…']).collect()
}

fn object(contractor: &Contractor, route: &Route, explanation: &Explanation) -> serde_json::Value {
    let mut at: Vec<String> = Vec::new();
    let values = explanation.values.iter().filter_map(|value| {
        at.truncate(value.depth);
        let step = match (&value.name, value.index) {
            (Some(name), _) => format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
            (None, Some(index)) => format!("[{index}]"),
            (None, None) => "$".to_owned(),
        };
        at.push(step);
        let (fate, to) = match &value.fate {
            Fate::Container => return None,
            Fate::Kept(_) => ("kept", None),
            Fate::Changed(_, to) => ("changed", Some(to)),
            Fate::Withheld(_) => ("withheld", None),
            Fate::Drifted(_) => ("drifted", None),
            Fate::Unlisted => ("unlisted", None),
            Fate::Condition => ("condition", None),
            Fate::NotAdmitted => ("not-admitted", None),
        };
        Some(json!({ "path": at.concat(), "fate": fate, "to": to, "why": reason(route, contractor.tasks[route.task].basis, value) }))
    });
    let values: Vec<serde_json::Value> = values.collect();
    json!({
        "contractor": contractor.id.as_str(),
        "task": contractor.tasks[route.task].id.as_str(),
        "route": route.template.as_str(),
        "reduced": explanation.reduced.as_deref().map(String::from_utf8_lossy),
        "values": values,
    })
}
