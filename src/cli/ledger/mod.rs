//! `fieldgate ledger`.

mod account;
mod drill;
mod export;
mod feeds;
mod hold;
mod keys;
mod migrate;
mod prove;
mod prune;
mod query;
mod verifier;
mod verify;

use anyhow::bail;
use clap::Subcommand;

use crate::config::Config;
use crate::ledger::{Query, subject_keys};
use crate::model::Subject;

use super::{Answer, moment, operator};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show entries, newest first
    Query(query::Arguments),
    /// Write entries into a file, oldest first
    Export(export::Arguments),
    /// Show how far feeds have sent the ledger on
    Feeds(feeds::Arguments),
    /// Tell what was disclosed about one customer; that somebody asked is an entry too
    Account(account::Arguments),
    /// Show the key that the ledger's heads are verified by; witnesses need it
    Key(verifier::Arguments),
    /// Begin another key epoch: from now on customers have other names in the ledger
    RotateKey(keys::Rotate),
    /// Destroy the subject key of an epoch that is over, so that nobody can link its entries to customers
    DestroyKey(keys::Destroy),
    /// Take the ledger into the database of a fleet, with all proofs: once, before the gateway starts as its node
    Migrate(migrate::Arguments),
    /// Keep entries for a legal case
    Hold(hold::Arguments),
    /// Delete the content of entries that need not be kept any more: a dry run, unless a plan is approved
    Prune(prune::Arguments),
    /// Verify a ledger or a copy of one, with the public key alone
    Verify(verify::Arguments),
    /// Write a proof that the ledger holds an entry
    Prove(prove::ProveArguments),
    /// Check a proof, without the ledger
    VerifyProof(prove::CheckArguments),
    /// Break copies of a ledger in many ways, and show that each is found
    Drill(drill::Arguments),
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Answer> {
    match arguments.command {
        Command::Query(arguments) => query::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Feeds(arguments) => feeds::run(&arguments),
        Command::Account(arguments) => account::run(&arguments),
        Command::Key(arguments) => verifier::run(&arguments),
        Command::RotateKey(arguments) => keys::rotate(&arguments),
        Command::DestroyKey(arguments) => keys::destroy(&arguments),
        Command::Migrate(arguments) => migrate::run(&arguments),
        Command::Hold(arguments) => hold::run(&arguments),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Prove(arguments) => prove::prove(&arguments),
        Command::VerifyProof(arguments) => prove::check(&arguments),
        Command::Drill(arguments) => drill::run(&arguments),
    }
}

/// Which entries.
#[derive(clap::Args)]
struct Filter {
    /// Not before this time: 2026-11-24, 2026-11-24T10:00:00Z, or 24h, 30m (ago)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
    /// Of this contractor
    #[arg(long, value_name = "ID")]
    contractor: Option<String>,
    /// Of this credential
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// Of this task
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Of the route with this path template, such as '/orders/{order_id}'
    #[arg(long, value_name = "PATH")]
    route: Option<String>,
    /// That disclosed this field: its path in the rule, or a part of that, such as recipient.phone
    #[arg(long, value_name = "PATH")]
    field: Option<String>,
    /// About this customer, as the upstream names it; needs the subject keys
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// With this outcome: disclosed, the code of a refusal, such as not-found, or the name of a signal, such as
    /// canary
    #[arg(long, value_name = "CODE")]
    outcome: Option<String>,
    /// On this legal basis: contract, consent, legal-obligation
    #[arg(long, value_name = "BASIS")]
    basis: Option<String>,
    /// Of this case of a legal grant, as its rule writes it
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// To this country (ISO 3166-1 alpha-2)
    #[arg(long, visible_alias = "to", value_name = "CODE")]
    country: Option<String>,
    /// Of this kind: disclosure, subjects, refusal, signal, rules, started, access, key, hold, prune,
    /// suspension, consent, review
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

impl Filter {
    fn query(&self, config: &Config) -> anyhow::Result<Query> {
        let subject = self.subject.as_deref();
        Ok(Query {
            since: self.since,
            until: self.until,
            kind: self.kind.clone(),
            contractor: self.contractor.clone(),
            credential: self.credential.clone(),
            task: self.task.clone(),
            route: self.route.clone(),
            field: self.field.clone(),
            outcome: self.outcome.clone(),
            basis: self.basis.clone(),
            case: self.case.clone(),
            country: self.country.clone(),
            subject: subject.map(|id| names_of(config, id)).transpose()?,
            before: None,
        })
    }

    /// What was asked for, without the customer.
    fn describe(&self) -> String {
        let moment = |micros: Option<i64>| micros.map(moment);
        let customer = self.subject.as_ref().map(|_| "one customer".to_owned());
        let parts = [
            ("since", moment(self.since)),
            ("until", moment(self.until)),
            ("contractor", self.contractor.clone()),
            ("credential", self.credential.clone()),
            ("task", self.task.clone()),
            ("route", self.route.clone()),
            ("field", self.field.clone()),
            ("subject", customer),
            ("outcome", self.outcome.clone()),
            ("basis", self.basis.clone()),
            ("case", self.case.clone()),
            ("country", self.country.clone()),
            ("kind", self.kind.clone()),
        ];
        let set = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        set.collect::<Vec<_>>().join(" ")
    }
}

/// The names that a customer has in the ledger.
fn names_of(config: &Config, id: &str) -> anyhow::Result<Vec<crate::model::SubjectPseudonym>> {
    let files = &config.ledger;
    // Only looked up, never made: a new key would find nobody.
    if !files.path.exists() {
        bail!("there is no ledger at {}; the gateway makes it when it first starts", files.path.display());
    }
    Ok(subject_keys(&files.subject_key, &files.path)?.pseudonyms(Subject::new(id)))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// A day, a moment, or how long ago; in microseconds since 1970.
pub(super) fn time(text: &str) -> Result<i64, String> {
    const WRONG: &str =
        "write a day (2026-11-24), a moment (2026-11-24T10:00:00Z), or how long ago (24h, 30m)";
    if let Ok(ago) = crate::model::parse_duration(text) {
        return Ok(now() - ago.as_micros() as i64);
    }
    let moment = text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse());
    moment.map(|moment| moment.as_microsecond()).map_err(|_| WRONG.to_owned())
}
