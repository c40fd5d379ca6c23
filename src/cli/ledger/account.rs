//! `fieldgate ledger account`.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::app::{
    self,
    control::{self, Order},
};
use crate::config::Config;
use crate::customer::{self, Period};
use crate::ledger::{self, Accounting, Frame, Log, OwnKind, ProveError, Recipients, Search};
use crate::rules::Plan;

use super::super::{Answer, ConfigPath, Reach};
use super::{moment, names_of, now, operator, time};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    #[command(flatten)]
    reach: Reach,
    /// The customer, as the upstream names it
    subject: String,
    /// Not before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// html is a page that a customer can read, for the screen and for paper
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
    /// Write it into a new file instead of to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a proof for each entry into this new folder; they show that the entries are in the ledger, and not
    /// what they say of others
    #[arg(long, value_name = "FOLDER")]
    proofs: Option<PathBuf>,
    /// Who asks; the name of the user at the terminal where it is left out
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why: the number of the customer's request, for example
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Table,
    Json,
    Html,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let names = names_of(&config, &arguments.subject)?;
    let event = json!({
        "by": operator(arguments.by.as_deref())?,
        "action": "account",
        "reason": arguments.reason,
        "epoch": ledger::subject_keys(&config.ledger.subject_key, &config.ledger.path)?.current().number,
        "subjects": names.last().map(ToString::to_string).into_iter().collect::<Vec<_>>(),
    });
    control::order(&config, Order::Record { kind: OwnKind::Access, event })
        .context("nothing is told without an entry about it")?;
    let path = arguments.reach.whole_ledger(&config)?;
    let search = Search::open(&path)?;
    let plan = plan(&config);
    let period = Period { since: arguments.since, until: arguments.until };
    let accounting = customer::account(&search, names, period, plan.as_ref())?;
    let text = render(arguments, &config, &search, &accounting, &customer::recipients(plan.as_ref()))?;
    if let Some(folder) = &arguments.proofs {
        write_proofs(folder, &path, &accounting)?;
    }
    match &arguments.output {
        None => println!("{}", text.trim_end()),
        Some(path) => super::export::create(path)?.write_all(text.as_bytes())?,
    }
    tell_held(&accounting);
    Ok(Answer::Yes)
}

/// To the company, beside the account: the customer's copy must not tell.
fn tell_held(accounting: &Accounting) {
    let count = accounting.held;
    if count > 0 {
        let (uses, are) = if count == 1 { ("use", "is") } else { ("uses", "are") };
        eprintln!(
            "For the company alone: {count} {uses} of legal grants {are} left out, because the customer must not be \
             told yet.\nSee them with: fieldgate ledger query --subject ID --basis legal-obligation"
        );
    }
}

fn write_proofs(folder: &Path, path: &Path, accounting: &Accounting) -> anyhow::Result<()> {
    std::fs::create_dir(folder).with_context(|| folder.display().to_string())?;
    let log = Log::open(path)?;
    let (mut written, mut missing) = (0, 0);
    for position in accounting.groups.iter().flat_map(|group| group.tally.entries.keys()) {
        match ledger::prove(&log, *position) {
            Ok(proof) => {
                let file = folder.join(format!("{position}.tlog-proof"));
                let text = proof.without_content().to_string();
                super::export::create(&file)?.write_all(text.as_bytes())?;
                written += 1;
            }
            Err(ProveError::NotCovered { .. }) => missing += 1,
            Err(error) => return Err(error.into()),
        }
    }
    eprintln!("{written} proofs in {}", folder.display());
    if missing > 0 {
        eprintln!("{missing} entries are not under a signed head yet; ask again in a second");
    }
    Ok(())
}

fn render(
    arguments: &Arguments,
    config: &Config,
    search: &Search,
    accounting: &Accounting,
    recipients: &Recipients,
) -> anyhow::Result<String> {
    let log = search.log();
    let root = log.root().unwrap_or_default();
    let frame = Frame {
        company: config.company.as_deref().unwrap_or("this company"),
        subject: &arguments.subject,
        prepared: now(),
        since: arguments.since,
        until: arguments.until,
        tree_size: log.size(),
        root: &root,
        pruned_before: customer::deleted_before(search)?,
        not_readable_epochs: ledger::destroyed_epochs(&config.ledger.subject_key),
    };
    Ok(match arguments.format {
        Form::Html => ledger::html(accounting, recipients, &frame)?,
        Form::Json => serde_json::to_string_pretty(&ledger::json(accounting, recipients, &frame))?,
        Form::Table => table(accounting, recipients),
    })
}

/// Today's rules, where they can be read.
fn plan(config: &Config) -> Option<Plan> {
    app::load_keys(config).ok().and_then(|keys| app::load_rules(config, keys.pseudonyms).ok()?.plan)
}

fn table(accounting: &Accounting, recipients: &Recipients) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FIRST", "LAST", "TIMES", "TO", "COUNTRY", "PURPOSE", "BASIS", "AGREEMENT", "FIELDS"]);
    for group in &accounting.groups {
        let (ground, tally) = (&group.ground, &group.tally);
        let name = recipients.0.get(&ground.recipient).map(|recipient| recipient.name.clone());
        let fields: Vec<String> = ground.fields.iter().map(ledger::field_words).collect();
        table.add_row([
            moment(tally.first),
            moment(tally.last),
            tally.count.to_string(),
            name.unwrap_or_else(|| ground.recipient.clone()),
            ground.country.clone().unwrap_or_default(),
            ground.purpose.clone().unwrap_or_default(),
            if ground.case.is_some() {
                ledger::basis_words(ground)
            } else {
                ground.basis.clone().unwrap_or_default()
            },
            ground.agreement.clone().unwrap_or_default(),
            fields.join(", "),
        ]);
    }
    format!("{table}\n\n{} disclosures", accounting.disclosures)
}
