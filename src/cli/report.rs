//! `fieldgate report`.

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use comfy_table::{Table, presets};

use crate::app;
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::model::SubjectKey;
use crate::processing::{self, Record};

use super::{Answer, ConfigPath};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    report: Report,
}

#[derive(Subcommand)]
enum Report {
    /// The record of processing activities, in the form of Article 30 of the GDPR
    Processing(Processing),
}

#[derive(clap::Args)]
struct Processing {
    #[command(flatten)]
    config: ConfigPath,
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs: one JSON object
    Json,
    /// One page to print
    Html,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let Report::Processing(arguments) = &arguments.report;
    let config = arguments.config.load()?;
    // Pseudonyms are not made here, so any key will do.
    let loaded = app::load_rules(&config, SubjectKey::new(&[0; SubjectKey::LENGTH]))
        .context("the rules cannot be read")?;
    let Some(plan) = loaded.plan else {
        print_diagnostics(&loaded.diagnostics);
        bail!("the rules have {}", summary(&loaded.diagnostics));
    };
    let record = processing::record(&config, &plan);
    let text = match arguments.format {
        Form::Table => table(&record),
        Form::Json => serde_json::to_string_pretty(&record)? + "\n",
        Form::Html => processing::html(&record)?,
    };
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(Answer::Yes)
}

fn table(record: &Record) -> String {
    let controller = &record.controller;
    let mut text = format!(
        "Controller: {} ({}); contact: {}; data protection officer: {}\n",
        controller.name, controller.jurisdiction, controller.contact, controller.dpo
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["recipient", "purpose", "basis", "categories", "transfer", "agreement"]);
    for activity in &record.activities {
        let categories: Vec<&str> = activity.categories.iter().map(|one| one.category).collect();
        let (recipient, transfer) = (&activity.recipient, &activity.transfer);
        table.add_row([
            recipient.name.clone(),
            activity.purpose.clone(),
            activity.basis.to_owned(),
            categories.join("\n"),
            format!("{} to {}: {}", transfer.from, transfer.to, transfer.mechanism.unwrap_or("none needed")),
            format!("{}, until {}", recipient.agreement, recipient.expires),
        ]);
    }
    text += &format!("{table}\n");
    for period in &record.retention {
        text += &format!("{} days: {}\n", period.days, period.of);
    }
    text
}
