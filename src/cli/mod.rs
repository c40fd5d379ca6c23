//! The commands: what they take, and how they say what came of it.
//!
//! **Guarantees.** Results go to standard output, errors and warnings to standard error. Exit code 0:
//! done, or the answer is yes; 1: the answer is no; 2: wrong usage, or it could not be done.
//!
//! **Trusts** the person at the terminal. **Must not** hold logic that a library user would miss.
//! **Called by** `main`.

mod admin;
mod certs;
mod check;
mod diff;
mod explain;
mod explain_code;
mod fleet;
mod init;
mod key;
mod ledger;
mod log_level;
mod openapi;
mod report;
mod schema;
mod serve;
mod subject;
mod suggest;
mod suspend;
mod witness;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

use crate::app;
use crate::config::{self, Config};
use crate::demo;
use crate::diagnostic::print::{ERROR, print_diagnostics, summary};

/// The contractor data-sharing gateway.
///
/// Stands between a company's internal customer APIs and its outside contractors. Each contractor
/// sees only the fields that its task needs, and every disclosure is in a ledger before its first
/// byte leaves.
#[derive(Parser)]
#[command(name = "fieldgate", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything on one machine: certificates, a sample customer API, the gateway, curl lines
    Demo(demo::Arguments),
    /// Run the gateway in the foreground
    Serve(serve::Arguments),
    /// Check configuration and rules, without a network
    Check(check::Arguments),
    /// Say what the code of an error, a warning or a note means, with an example
    ///
    /// Exit code 2 where there is no such code.
    ExplainCode(explain_code::Arguments),
    /// Print a JSON Schema of the rule files, for editors of TOML
    ///
    /// It completes and checks keys and types; `check` knows more. A file names its schema in a first line such
    /// as `#:schema ./rules.schema.json`.
    Schema(schema::Arguments),
    /// Show what a contractor would get from a JSON text, and why each value stays or goes
    ///
    /// Exit code 1 where the contractor would be refused.
    Explain(explain::Arguments),
    /// Compare two states of the rules: who can see what more or less
    ///
    /// Exit code 1 where something widens, or may widen: what cannot be decided from the rules alone counts as
    /// more. States are folders, or git revisions of the folder that the configuration names.
    Diff(diff::Arguments),
    /// Write the interface as one contractor sees it: an OpenAPI 3.1 document, as JSON
    ///
    /// The gateway serves the same document to the contractor, at /.well-known/fieldgate/openapi.json.
    Openapi(openapi::Arguments),
    /// Write a configuration and rules to begin with; no file is written over
    Init(init::Arguments),
    /// Write reports about the rules
    Report(report::Arguments),
    /// Suggest the smallest rules that would have served what the ledger has recorded
    ///
    /// Exit code 1 where something can be cut. It reads which tasks, routes, fields and credentials were used, and
    /// how much; which query parameters were, no entry says. What is new in the rules was not used yet: look
    /// before you cut.
    Suggest(suggest::Arguments),
    /// Make certificate authorities and certificates
    Certs(certs::Arguments),
    /// Make API keys
    Key(key::Arguments),
    /// The database that several gateways share: make its tables, see its nodes
    Fleet(fleet::Arguments),
    /// Give a contractor nothing any more, from the next request on
    ///
    /// It holds until `resume`, also after a restart, and cuts a response that leaves in parts. Without an id,
    /// those that are suspended are shown.
    Suspend(suspend::Suspend),
    /// End a contractor's suspension
    Resume(suspend::Resume),
    /// Have the gateway that runs log more or less, until it stops
    ///
    /// No level writes down a path, a body or a customer.
    LogLevel(log_level::Arguments),
    /// What a customer consents and objects to
    Subject(subject::Arguments),
    /// Who may sign in at the review side
    Admin(admin::Arguments),
    /// Read the ledger
    Ledger(Box<ledger::Arguments>),
    /// Run a witness for the ledgers of other teams
    ///
    /// It follows the ledgers' signed heads, cosigns each that goes on from the one before, and no other. Run
    /// it where the gateway's operators cannot reach it. It speaks C2SP tlog-witness. The key that the
    /// gateway needs is printed at the start.
    Witness(witness::Arguments),
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs: one JSON object a line
    Json,
}

/// Which configuration file.
#[derive(clap::Args)]
struct ConfigPath {
    /// The gateway's configuration; its paths are relative to it
    #[arg(long, value_name = "FILE", default_value = "fieldgate.toml")]
    config: PathBuf,
}

/// Of whose entries, in a fleet.
#[derive(clap::Args)]
struct Reach {
    /// In a fleet: the entries of this node alone, without asking the database
    #[arg(long)]
    this_node: bool,
}

impl Reach {
    /// The index of the ledger to read.
    ///
    /// # Errors
    /// Where the entries of other nodes cannot be had.
    fn ledger(&self, config: &Config) -> anyhow::Result<PathBuf> {
        self.or(config, app::gather::whole)
    }

    /// The same, where nothing of other nodes may be left out.
    ///
    /// # Errors
    /// As [`ledger`](Self::ledger).
    fn whole_ledger(&self, config: &Config) -> anyhow::Result<PathBuf> {
        self.or(config, app::gather::all_of_it)
    }

    fn or(&self, config: &Config, all: fn(&Config) -> anyhow::Result<PathBuf>) -> anyhow::Result<PathBuf> {
        if self.this_node {
            return Ok(config.ledger.path.clone());
        }
        all(config).context("--this-node answers for this node alone")
    }
}

/// What a command that ran has to say.
enum Answer {
    Yes,
    No,
}

/// Reads the command line, runs the command, and gives its exit code.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(arguments).map(|()| Answer::Yes),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::ExplainCode(arguments) => explain_code::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Suggest(arguments) => suggest::run(&arguments),
        Command::Admin(arguments) => admin::run(arguments),
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Fleet(arguments) => fleet::run(&arguments),
        Command::Suspend(arguments) => suspend::suspend(&arguments),
        Command::Resume(arguments) => suspend::resume(&arguments),
        Command::LogLevel(arguments) => log_level::run(&arguments),
        Command::Subject(arguments) => subject::run(&arguments),
        Command::Ledger(arguments) => ledger::run(*arguments),
        Command::Witness(arguments) => witness::run(arguments),
    };
    match result {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Who reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{ERROR}error{ERROR:#}: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Who stands at the terminal.
fn operator(by: Option<&str>) -> anyhow::Result<String> {
    let known = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    by.map(str::to_owned).or(known).filter(|name| !name.is_empty()).context("say who you are: --by NAME")
}

/// RFC 3339, UTC.
fn moment(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).map(|time| format!("{time:.3}")).unwrap_or_default()
}

impl ConfigPath {
    /// Loads the file; warnings and errors are printed.
    ///
    /// # Errors
    /// Where it cannot be read or has errors.
    fn load(&self) -> anyhow::Result<Config> {
        let loaded = config::load(&self.config)
            .context("the configuration cannot be read; name another one with --config")?;
        let (config, diagnostics) = match loaded {
            Ok((config, warnings)) => (Some(config), warnings),
            Err(diagnostics) => (None, diagnostics),
        };
        print_diagnostics(&diagnostics);
        config.with_context(|| summary(&diagnostics))
    }
}
