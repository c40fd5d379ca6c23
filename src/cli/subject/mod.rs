//! `fieldgate subject`: what a customer consents and objects to.

mod import;

use std::io::BufRead;

use anyhow::{Context, bail};
use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::app;
use crate::app::control::{self, Order, Outcome};
use crate::config::Config;
use crate::ledger::{ConsentOrder, KnownConsent, OwnKind, Saying, Scope, subject_keys};
use crate::model::{Subject, SubjectKey};

use super::{Answer, ConfigPath, Format, moment, operator};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take down that a customer consents to a purpose, or does not object any more
    Grant(Say),
    /// Take down that a customer withdraws a consent, or objects
    ///
    /// Without --purpose and --contractor all consents end, and tasks on basis `contract` go on. With one of them
    /// it is an objection too: tasks of that purpose, or that contractor, disclose nothing about the customer on
    /// either basis. It is in force when the command comes back.
    Withdraw(Say),
    /// Show what is on file of a customer; that somebody asked is an entry
    Show(Show),
    /// Take down many statements from a CSV or JSON lines file: subject, action (grant, withdraw), purpose,
    /// contractor, time, receipt
    ///
    /// None of them where a line is wrong. A grant needs its time or a receipt: what was taken before by the same
    /// receipt, and what is older than what is on file, changes nothing, so that a file can be imported again.
    Import(import::Arguments),
}

#[derive(clap::Args)]
struct Say {
    /// The customer, as the upstream names it; - reads it from standard input, where no list of processes shows it
    subject: String,
    /// What it is about: the id of a task, or what its rule names as `consent`
    #[arg(long, value_name = "ID")]
    purpose: Option<String>,
    /// Only towards this contractor
    #[arg(long, value_name = "ID")]
    contractor: Option<String>,
    /// When the customer said it; now where it is left out
    #[arg(long, value_name = "TIME", value_parser = super::ledger::time)]
    time: Option<i64>,
    /// What its source calls it: it is taken once
    #[arg(long, value_name = "ID")]
    receipt: Option<String>,
    #[command(flatten)]
    order: Ordered,
}

#[derive(clap::Args)]
struct Ordered {
    #[command(flatten)]
    config: ConfigPath,
    /// Who takes it down
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Where it was said: a form, a letter, another system
    #[arg(long, value_name = "TEXT", default_value = "")]
    source: String,
}

#[derive(clap::Args)]
struct Show {
    /// The customer, as the upstream names it; - reads it from standard input
    subject: String,
    #[command(flatten)]
    config: ConfigPath,
    /// Who asks
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    match &arguments.command {
        Command::Grant(say) => one(say, true),
        Command::Withdraw(say) => one(say, false),
        Command::Show(arguments) => show(arguments),
        Command::Import(arguments) => import::run(arguments),
    }
}

fn one(say: &Say, granted: bool) -> anyhow::Result<Answer> {
    let config = say.order.config.load()?;
    let scope = Scope { purpose: say.purpose.clone(), contractor: say.contractor.clone() };
    Known::of(&config).check(&scope, granted)?;
    let saying = Saying {
        subject: customer(&say.subject)?,
        scope,
        granted,
        time: say.time,
        receipt: say.receipt.clone(),
    };
    match give(&config, &say.order, vec![saying])? {
        0 => println!("Nothing changes: what is on file is newer, or was taken before."),
        _ if granted => println!("The grant is in force, and in the ledger."),
        _ => println!("The withdrawal is in force, and in the ledger."),
    }
    Ok(Answer::Yes)
}

/// How many of them changed something.
fn give(config: &Config, order: &Ordered, said: Vec<Saying>) -> anyhow::Result<usize> {
    let (by, reason, source) = (operator(order.by.as_deref())?, order.reason.clone(), order.source.clone());
    match control::order(config, Order::Consent(ConsentOrder { said, by, reason, source }))? {
        Outcome::Taken(count) => Ok(count),
        _ => bail!("the gateway answers something else; use the program of its version"),
    }
}

fn show(arguments: &Show) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let subject = customer(&arguments.subject)?;
    let keys = subject_keys(&config.ledger.subject_key, &config.ledger.path)?;
    let event = json!({
        "by": operator(arguments.by.as_deref())?,
        "action": "consents",
        "reason": arguments.reason,
        "epoch": keys.current().number,
        "subjects": [keys.current().key.pseudonym(Subject::new(&subject)).to_string()],
    });
    control::order(&config, Order::Record { kind: OwnKind::Access, event })
        .context("nothing is told without an entry about it")?;
    let known = app::fleet::known_consents(&config)?.of(&subject);
    match arguments.format {
        Format::Json => known.iter().try_for_each(line)?,
        Format::Table => println!("{}", table(&known)),
    }
    Ok(Answer::Yes)
}

fn line(known: &KnownConsent) -> anyhow::Result<()> {
    let KnownConsent { scope, granted, time } = known;
    let line = json!({
        "purpose": scope.purpose, "contractor": scope.contractor,
        "said": if *granted { "granted" } else { "withdrawn" }, "time": moment(*time),
    });
    println!("{}", serde_json::to_string(&line)?);
    Ok(())
}

fn table(known: &[KnownConsent]) -> String {
    if known.is_empty() {
        return "Nothing is on file: no consent, no objection.".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["SAID", "PURPOSE", "CONTRACTOR", "WHEN"]);
    for KnownConsent { scope, granted, time } in known {
        let all = |name: &Option<String>| name.clone().unwrap_or_else(|| "all".to_owned());
        let said = if *granted { "granted" } else { "withdrawn" };
        table.add_row([said.to_owned(), all(&scope.purpose), all(&scope.contractor), moment(*time)]);
    }
    table.to_string()
}

/// The customer's id; an error never shows it.
fn customer(argument: &str) -> anyhow::Result<String> {
    let id = match argument {
        "-" => {
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
        other => other.to_owned(),
    };
    if id.is_empty() {
        bail!("the customer's id is empty");
    }
    Ok(id)
}

/// Purposes and contractors that rules name, where they can be read, and those that somebody spoke of before.
struct Known {
    rules: Option<(Vec<String>, Vec<String>)>,
    config: Config,
}

impl Known {
    fn of(config: &Config) -> Self {
        let loaded = app::load_rules(config, SubjectKey::new(&[0; SubjectKey::LENGTH]));
        let Some(plan) = loaded.ok().and_then(|loaded| loaded.plan) else {
            return Known { rules: None, config: config.clone() };
        };
        let purposes = crate::customer::purposes(&plan).into_iter().map(|(id, _)| id).collect();
        let contractors = plan.contractors.iter().map(|contractor| contractor.id.to_string()).collect();
        Known { rules: Some((purposes, contractors)), config: config.clone() }
    }

    /// A slip must not pass for a withdrawal. Rules that cannot be read do not stand in the way of one.
    fn check(&self, scope: &Scope, granted: bool) -> anyhow::Result<()> {
        if granted && scope.purpose.is_none() && scope.contractor.is_none() {
            bail!("consent is to something: add --purpose");
        }
        let Some((purposes, contractors)) = &self.rules else {
            if granted {
                bail!(
                    "the rules have errors, so it is not known what can be consented to; see: fieldgate check"
                );
            }
            return Ok(());
        };
        for (what, named, known) in
            [("purpose", &scope.purpose, purposes), ("contractor", &scope.contractor, contractors)]
        {
            if let Some(name) = named.as_ref().filter(|name| !known.contains(name)) {
                // What rules do not name any more can still be withdrawn.
                if !granted && self.was_spoken_of(name) {
                    continue;
                }
                bail!("no rule has the {what} {name}; there are: {}", known.join(", "));
            }
        }
        Ok(())
    }

    fn was_spoken_of(&self, name: &str) -> bool {
        self.config.ledger.path.exists()
            && app::fleet::known_consents(&self.config).is_ok_and(|consents| consents.knows(name))
    }
}
