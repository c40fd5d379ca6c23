//! `fieldgate ledger verify`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::app;
use crate::config::Config;
use crate::ledger::{self, Finding, Report, Severity, Verifier};

use super::super::{Answer, ConfigPath, Format};

/// So many findings are shown in a table.
const SHOWN: usize = 50;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// An older signed head, such as a copy of the file `checkpoint`: what it covers must not have changed
    #[arg(long, value_name = "CHECKPOINT_FILE")]
    since: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Which ledger, and the key that signs its heads.
#[derive(clap::Args)]
pub(super) struct Place {
    /// The ledger: its index, or its folder `….tlog`; a copy will do
    #[arg(value_name = "LEDGER", requires = "key")]
    ledger: Option<PathBuf>,
    /// The key of the ledger's heads, NAME+ID+KEY, or @FILE that holds it
    #[arg(long, value_name = "VKEY|@FILE", value_parser = verifier)]
    key: Option<Verifier>,
    /// The gateway's configuration, which says both where LEDGER and --key do not
    #[arg(long, value_name = "FILE", conflicts_with = "ledger")]
    config: Option<PathBuf>,
    /// In a fleet: the ledger into which the entries of all nodes are gathered here, each against its node's head
    #[arg(long, conflicts_with = "ledger")]
    fleet: bool,
}

#[derive(Serialize)]
struct Outcome<'a> {
    clean: bool,
    key: String,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let (path, key) = arguments.place.resolve()?;
    let since = arguments.since.as_deref().map(read).transpose()?;
    let bar = progress("entries");
    let report = ledger::verify(&path, &key, since.as_deref(), &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            let outcome = Outcome { clean: report.is_clean(), key: key.to_string(), report: &report };
            writeln!(out, "{}", serde_json::to_string(&outcome)?)?;
        }
        Format::Table => write(&mut out, &report, &key)?,
    }
    Ok(if report.is_clean() { Answer::Yes } else { Answer::No })
}

fn write(out: &mut impl Write, report: &Report, key: &Verifier) -> std::io::Result<()> {
    let mut table = table();
    table.add_row(["key", &key.to_string()]);
    table.add_row(["signed", &format!("{} entries, root {}", report.size, report.root)]);
    if report.behind > 0 {
        table.add_row(["behind", &format!("{} entries in the journal, not signed yet", report.behind)]);
    }
    if report.pruned > 0 {
        table.add_row(["pruned", &format!("{} entries, of which the hashes are left", report.pruned)]);
    }
    table.add_row(["contractors", &report.contractors.to_string()]);
    if let Some(since) = report.since {
        table.add_row(["older head", &format!("{since} entries")]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    let findings = &report.findings;
    if !findings.list.is_empty() {
        writeln!(out, "\n{}", listed(&findings.list).trim_fmt())?;
        let left = findings.errors + findings.warnings - findings.list.len().min(SHOWN) as u64;
        if left > 0 {
            writeln!(out, "and {left} more; --format json shows the first thousand")?;
        }
    }
    let verdict = if report.is_clean() { "all right" } else { "something is wrong" };
    writeln!(out, "\n{verdict}: {} errors, {} warnings", findings.errors, findings.warnings)
}

/// Errors first.
fn listed(findings: &[Finding]) -> Table {
    let mut table = table();
    table.set_header(["", "ENTRY", "CHECK", "WHAT"]);
    let of = |severity| findings.iter().filter(move |finding| finding.severity == severity);
    for finding in of(Severity::Error).chain(of(Severity::Warning)).take(SHOWN) {
        table.add_row([
            word(&finding.severity),
            finding.entry.map(|entry| entry.to_string()).unwrap_or_default(),
            word(&finding.check),
            finding.what.clone(),
        ]);
    }
    table
}

/// A word as JSON writes it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

impl Place {
    /// One whose key is not needed.
    pub(super) fn new(ledger: Option<PathBuf>, config: Option<PathBuf>) -> Place {
        Place { ledger, key: None, config, fleet: false }
    }

    /// Whether anything was said.
    pub(super) fn is_given(&self) -> bool {
        self.ledger.is_some() || self.key.is_some() || self.config.is_some() || self.fleet
    }

    /// The ledger's path and key.
    ///
    /// # Errors
    /// Where the configuration is needed and cannot be read.
    pub(super) fn resolve(&self) -> anyhow::Result<(PathBuf, Verifier)> {
        if let (Some(ledger), Some(key)) = (&self.ledger, &self.key) {
            return Ok((ledger.clone(), key.clone()));
        }
        let config = self.load()?;
        let path = if self.fleet { app::gather::whole(&config)? } else { config.ledger.path.clone() };
        let key = match &self.key {
            Some(key) => key.clone(),
            None if self.fleet => app::gather::signer(&config.ledger)?.verifier().clone(),
            None => own_key(&config)?,
        };
        Ok((path, key))
    }

    /// The ledger's path; the key is not needed.
    ///
    /// # Errors
    /// As [`Place::resolve`].
    pub(super) fn ledger(&self) -> anyhow::Result<PathBuf> {
        match &self.ledger {
            Some(ledger) => Ok(ledger.clone()),
            None => Ok(self.load()?.ledger.path.clone()),
        }
    }

    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let config = self.config.clone().unwrap_or_else(|| PathBuf::from("fieldgate.toml"));
        ConfigPath { config }.load()
    }
}

/// The public half of the gateway's own key, which is never made here.
fn own_key(config: &Config) -> anyhow::Result<Verifier> {
    let path = &config.ledger.signing_key;
    if !path.exists() {
        bail!("{} is missing; name the public key with --key", path.display());
    }
    Ok(ledger::signer(path, config.ledger.origin.as_deref())?.verifier().clone())
}

/// A public key, or the file that holds one.
pub(super) fn verifier(text: &str) -> Result<Verifier, String> {
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
        None => text.to_owned(),
    };
    let wrong = |error| format!("{error}; write NAME+ID+KEY, as `fieldgate ledger verify --config` shows it");
    Verifier::parse(text.trim()).map_err(wrong)
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// A bar on standard error, where that is a terminal.
pub(super) fn progress(what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let template = format!("{{bar:30}} {{pos}}/{{len}} {what}, {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}
