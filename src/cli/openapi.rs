//! `fieldgate openapi`.

use std::io::Write;

use anyhow::{Context, bail};

use crate::app;
use crate::diagnostic::print::{print_diagnostics, summary};
use crate::model::SubjectKey;

use super::{Answer, ConfigPath};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The contractor's id, as its rule file says it
    contractor: String,
    #[command(flatten)]
    config: ConfigPath,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    // Pseudonyms are not made here, so any key will do.
    let loaded = app::load_rules(&config, SubjectKey::new(&[0; SubjectKey::LENGTH]))
        .context("the rules cannot be read")?;
    let Some(plan) = loaded.plan else {
        print_diagnostics(&loaded.diagnostics);
        bail!("the rules have {}", summary(&loaded.diagnostics));
    };
    let known = plan.contractors.iter().find(|known| known.id.as_str() == arguments.contractor);
    let Some(contractor) = known else {
        let ids: Vec<&str> = plan.contractors.iter().map(|known| known.id.as_str()).collect();
        bail!("there is no contractor {}; there are: {}", arguments.contractor, ids.join(", "));
    };
    std::io::stdout().write_all(&contractor.interface)?;
    Ok(Answer::Yes)
}
