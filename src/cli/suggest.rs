//! `fieldgate suggest`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use comfy_table::{Table, presets};

use crate::app::{self, usage};
use crate::config::Config;
use crate::ledger::Search;
use crate::rules::suggest::{Cut, Observed, Suggestion, suggest_all};
use crate::rules::unified;

use super::{Answer, ConfigPath, Format};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this contractor
    contractor: Option<String>,
    /// How many days of the ledger are looked at
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=36_500))]
    days: i64,
    /// Print the change of the rule files instead, for `patch -p0` in the configuration's folder
    #[arg(long, conflicts_with = "format")]
    diff: bool,
    /// Write the rule files as they would be into this folder, which must be empty or not there
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    config: ConfigPath,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let suggestions = suggestions(&config, arguments)?;
    let cuts: Vec<&Cut> = suggestions.iter().flat_map(|suggestion| &suggestion.cuts).collect();
    let text = if arguments.diff {
        suggestions.iter().map(|suggestion| change(suggestion, &config)).collect()
    } else {
        match arguments.format {
            Format::Json => lines(&cuts)?,
            Format::Table => table(&cuts, arguments.days),
        }
    };
    if let Some(folder) = &arguments.write {
        write(folder, &suggestions)?;
    }
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(if cuts.is_empty() { Answer::Yes } else { Answer::No })
}

fn suggestions(config: &Config, arguments: &Arguments) -> anyhow::Result<Vec<Suggestion>> {
    let search = Search::open(&app::gather::whole(config)?)?;
    let since = jiff::Timestamp::now().as_microsecond() - arguments.days * 86_400_000_000;
    let mut failed = None;
    let wanted = |id: &str| arguments.contractor.as_deref().is_none_or(|wanted| wanted == id);
    let observed = |id: &str| {
        let observed = if wanted(id) { usage::observed(&search, id, since) } else { Ok(Observed::default()) };
        observed.unwrap_or_else(|error| {
            failed = Some(error);
            Observed::default()
        })
    };
    let all = suggest_all(&config.rules, observed).context("the rules cannot be read")?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let count = crate::rules::rule_files(&config.rules)?.len();
    if all.len() < count {
        bail!("{} of {count} rule files have errors; see: fieldgate check", count - all.len());
    }
    let of: Vec<Suggestion> = all.into_iter().filter(|suggestion| wanted(&suggestion.contractor)).collect();
    if let (true, Some(id)) = (of.is_empty(), &arguments.contractor) {
        bail!("no rule file is about a contractor {id}");
    }
    Ok(of)
}

/// Everything that is not cut is as it was; so whole folders can be compared and checked.
fn write(folder: &Path, suggestions: &[Suggestion]) -> anyhow::Result<()> {
    let named = || format!("{} cannot be written", folder.display());
    std::fs::create_dir_all(folder).with_context(named)?;
    if std::fs::read_dir(folder).with_context(named)?.next().is_some() {
        bail!("{} is not empty; name a new folder", folder.display());
    }
    for suggestion in suggestions {
        let name = Path::new(&suggestion.source.name).file_name().context("a rule file has no name")?;
        std::fs::write(folder.join(name), &suggestion.after).with_context(named)?;
    }
    Ok(())
}

fn change(suggestion: &Suggestion, config: &Config) -> String {
    let path = Path::new(&suggestion.source.name);
    let path = path.strip_prefix(&config.home).unwrap_or(path).display().to_string();
    unified(&path, &suggestion.source.text, &suggestion.after)
}

fn lines(cuts: &[&Cut]) -> anyhow::Result<String> {
    cuts.iter().map(|cut| Ok(serde_json::to_string(cut)? + "\n")).collect()
}

fn table(cuts: &[&Cut], days: i64) -> String {
    if cuts.is_empty() {
        return format!("The rules are as small as what was used of them in the last {days} days.\n");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["WHERE", "CUT", "WHY", ""]);
    for cut in cuts {
        let place = [Some(&cut.contractor), cut.task.as_ref(), cut.route.as_ref()];
        let place: Vec<&str> = place.into_iter().flatten().map(String::as_str).collect();
        let by_hand = if cut.done { "" } else { "by hand" };
        table.add_row([&place.join(" · "), &cut.cut, &cut.why, by_hand]);
    }
    let lined: String = table.to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    let by_hand = cuts.iter().filter(|cut| !cut.done).count();
    let (count, done) = (cuts.len(), cuts.len() - by_hand);
    format!("{lined}{count} to cut in the last {days} days' light; --diff and --write make {done} of them\n")
}
