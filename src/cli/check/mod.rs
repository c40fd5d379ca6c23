//! `fieldgate check`.

mod sarif;

use anyhow::Context;
use serde::Serialize;

use crate::app;
use crate::config;
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::diagnostic::{Diagnostic, Severity};
use crate::model::SubjectKey;
use crate::rules::{Plan, fixture};

use super::{Answer, ConfigPath};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Let warnings count like errors
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: one JSON object a line
    Json,
    /// For code hosts: SARIF 2.1.0
    Sarif,
}

#[derive(Serialize)]
struct Line<'a> {
    code: &'a str,
    severity: &'a str,
    file: &'a str,
    line: usize,
    column: usize,
    key: &'a str,
    message: &'a str,
    help: &'a str,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let loaded = config::load(&arguments.config.config)
        .context("the configuration cannot be read; name another one with --config")?;
    let (config, mut diagnostics) = match loaded {
        Ok((config, warnings)) => (Some(config), warnings),
        Err(diagnostics) => (None, diagnostics),
    };
    let mut plan = None;
    if let Some(config) = &config {
        // Pseudonyms are not made here, so any key will do.
        let rules = app::load_rules(config, SubjectKey::new(&[0; SubjectKey::LENGTH]))
            .context("the rules cannot be read")?;
        diagnostics.extend(rules.diagnostics);
        plan = rules.plan;
    }
    let mut fixtures = 0;
    if let (Some(config), Some(plan)) = (&config, &plan) {
        let (count, found) = fixture::run(&config.rules, plan).context("a fixture cannot be read")?;
        fixtures = count;
        diagnostics.extend(found);
    }
    match arguments.format {
        Format::Json => diagnostics.iter().try_for_each(print_line)?,
        Format::Sarif => {
            let home = std::env::current_dir().context("the current folder is not known")?;
            println!("{}", serde_json::to_string_pretty(&sarif::log(&diagnostics, &home))?);
        }
        Format::Table => {
            print_diagnostics(&diagnostics);
            println!(
                "{}{}",
                plan.as_ref().map(|plan| contents(plan, fixtures)).unwrap_or_default(),
                summary(&diagnostics)
            );
        }
    }
    let counts = |severity| match severity {
        Severity::Error => true,
        Severity::Warning => arguments.deny_warnings,
        Severity::Note => false,
    };
    let denied = diagnostics.iter().any(|diagnostic| counts(diagnostic.severity()));
    Ok(if denied { Answer::No } else { Answer::Yes })
}

fn contents(plan: &Plan, fixtures: usize) -> String {
    let tasks: usize = plan.contractors.iter().map(|contractor| contractor.tasks.len()).sum();
    let routes: usize = plan.contractors.iter().map(|contractor| contractor.routes.len()).sum();
    format!(
        "contractors: {}, tasks: {tasks}, routes: {routes}, fixtures: {fixtures}; ",
        plan.contractors.len()
    )
}

fn print_line(diagnostic: &Diagnostic) -> anyhow::Result<()> {
    let (line, column) = diagnostic.position();
    let line = Line {
        code: diagnostic.code.id(),
        severity: diagnostic.severity().word(),
        file: &diagnostic.source.name,
        line,
        column,
        key: &diagnostic.key,
        message: &diagnostic.message,
        help: &diagnostic.help,
    };
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}
