//! `fieldgate schema`: what editors need to complete and check the files as they are written.
//!
//! **Guarantees.** The schemas name each key that the readers of `rules` and `config` ask for, and no other; a
//! test holds both sides against each other. **Trusts** nobody. **Must not** stand in for `fieldgate check`, which
//! sees what no schema can say. **Called by** `main`'s command line.

use std::io::Write;

use super::Answer;

const RULES: &str = include_str!("rules.json");
const GATEWAY: &str = include_str!("gateway.json");

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The schema of fieldgate.toml instead of that of rule files
    #[arg(long)]
    gateway: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let schema = if arguments.gateway { GATEWAY } else { RULES };
    std::io::stdout().write_all(schema.as_bytes())?;
    Ok(Answer::Yes)
}
