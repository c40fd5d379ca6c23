//! `fieldgate ledger migrate`.

use crate::app;

use super::super::{Answer, ConfigPath};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let bar = super::verify::progress("entries");
    let moved = app::migrate::migrate(&config, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    println!(
        "{} entries, {} statements of customers and {} suspensions are in the database; start the gateway.",
        moved.entries, moved.statements, moved.suspensions
    );
    Ok(Answer::Yes)
}
