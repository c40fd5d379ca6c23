//! `fieldgate ledger drill`.

use std::io::Write;
use std::path::PathBuf;

use crate::ledger;

use super::super::{Answer, Format};
use super::verify::{Place, progress, table};

/// Breaks copies of a ledger in many ways, and shows that each is found. The ledger is only read. Without
/// a ledger, one is made for it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Where the copies are made, and removed again
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let ledger = arguments.place.is_given().then(|| arguments.place.resolve()).transpose()?;
    let scratch = arguments.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let bar = progress("cases");
    let ledger = ledger.as_ref().map(|(path, key)| (path.as_path(), key));
    let drill = ledger::drill(ledger, &scratch, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string(&drill)?)?,
        Format::Table => {
            let mut table = table();
            table.set_header(["DONE TO A COPY", "CAUGHT", "FOUND"]);
            let (errors, size) = (drill.untouched.findings.errors, drill.untouched.size);
            let clean = if errors == 0 { "clean" } else { "not clean: run `fieldgate ledger verify`" };
            table.add_row(["nothing", "", &format!("{size} entries, {clean}")]);
            for attempt in &drill.attempts {
                table.add_row([attempt.did, if attempt.caught { "yes" } else { "NO" }, &attempt.found]);
            }
            let caught = drill.attempts.iter().filter(|attempt| attempt.caught).count();
            writeln!(out, "{}\n\n{caught} of {} caught", table.trim_fmt(), drill.attempts.len())?;
        }
    }
    Ok(if drill.is_passed() { Answer::Yes } else { Answer::No })
}
