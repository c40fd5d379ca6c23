//! `fieldgate admin`: who may sign in at the review side.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use serde_json::json;
use zeroize::Zeroizing;

use crate::admin::{Role, Store, new_password};
use crate::app::control::{self, Order};
use crate::app::fleet;
use crate::config::Config;
use crate::ledger::OwnKind;

use super::{Answer, ConfigPath, Format, moment, operator};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an account; its password is made too, and shown once
    Add(Add),
    /// Give an account another role
    Role(SetRole),
    /// Give an account a new password, which is shown once; its sessions and tokens end
    Password(Password),
    /// Take an account away; its sessions and tokens end
    Remove(Named),
    /// End all sessions and tokens of an account, also one of the identity provider
    SignOut(Named),
    /// Show accounts
    List(List),
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    /// Looks customers up, exports, decides about alerts, signs reviews off
    Reviewer,
    /// Suspends and resumes contractors, verifies the ledger; looks nobody up
    Operator,
    /// Sees everything and changes nothing
    Auditor,
}

#[derive(clap::Args)]
struct Add {
    /// Such as anna, or anna@shop.example
    name: String,
    #[arg(long, value_enum)]
    role: RoleName,
    /// A name in a client certificate that signs in without a password: URI:spiffe://… or DNS:…
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Read the password from this file instead of making one; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    order: Ordered,
}

#[derive(clap::Args)]
struct SetRole {
    name: String,
    #[arg(value_enum)]
    role: RoleName,
    #[command(flatten)]
    order: Ordered,
}

#[derive(clap::Args)]
struct Password {
    name: String,
    /// Read the password from this file instead of making one; - is standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    order: Ordered,
}

#[derive(clap::Args)]
struct Named {
    name: String,
    #[command(flatten)]
    order: Ordered,
}

#[derive(clap::Args)]
struct List {
    #[command(flatten)]
    config: ConfigPath,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(clap::Args)]
struct Ordered {
    #[command(flatten)]
    config: ConfigPath,
    /// Who does it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            RoleName::Reviewer => Role::Reviewer,
            RoleName::Operator => Role::Operator,
            RoleName::Auditor => Role::Auditor,
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Answer> {
    match arguments.command {
        Command::Add(add) => {
            let (config, role) = (add.order.config.load()?, add.role.role());
            let has_certificate = add.certificate.is_some();
            let password = match &add.password_file {
                None if has_certificate => None,
                file => Some(password(file.as_ref())?),
            };
            let store = open(&config)?;
            if store.account(&add.name)?.is_some() {
                bail!("there is an account {} already", add.name);
            }
            record(&config, &add.order, "account-added", &add.name, Some(role))?;
            let given = password.as_ref().map(|(password, _)| password.as_str());
            store.add_account(&add.name, role, given, add.certificate.as_deref())?;
            println!("{} may sign in as {}.", add.name, role.as_str());
            show(password.as_ref());
        }
        Command::Role(set) => {
            let (config, role) = (set.order.config.load()?, set.role.role());
            let store = known(&config, &set.name)?;
            record(&config, &set.order, "account-role", &set.name, Some(role))?;
            store.set_role(&set.name, role)?;
            println!("{} is {} from the next request on.", set.name, role.as_str());
        }
        Command::Password(set) => {
            let config = set.order.config.load()?;
            let store = known(&config, &set.name)?;
            let password = password(set.password_file.as_ref())?;
            record(&config, &set.order, "account-password", &set.name, None)?;
            store.set_password(&set.name, &password.0, None)?;
            println!("{} has a new password; its sessions and tokens have ended.", set.name);
            show(Some(&password));
        }
        Command::Remove(named) => {
            let config = named.order.config.load()?;
            let store = known(&config, &named.name)?;
            record(&config, &named.order, "account-removed", &named.name, None)?;
            store.remove_account(&named.name)?;
            println!("{} may not sign in any more.", named.name);
        }
        Command::SignOut(named) => {
            let config = named.order.config.load()?;
            let store = open(&config)?;
            record(&config, &named.order, "sessions-ended", &named.name, None)?;
            println!(
                "{} sessions and tokens of {} have ended.",
                store.end_sessions(&named.name)?,
                named.name
            );
        }
        Command::List(list) => return print(&list),
    }
    Ok(Answer::Yes)
}

fn open(config: &Config) -> anyhow::Result<Store> {
    fleet::known_store(config)
}

fn known(config: &Config, name: &str) -> anyhow::Result<Store> {
    let store = open(config)?;
    if store.account(name)?.is_none() {
        bail!("there is no account {name}; see: fieldgate admin list");
    }
    Ok(store)
}

/// Who may see what was disclosed is a matter of the ledger.
fn record(
    config: &Config,
    order: &Ordered,
    action: &str,
    account: &str,
    role: Option<Role>,
) -> anyhow::Result<()> {
    let by = operator(order.by.as_deref())?;
    let event = json!({ "by": by, "action": action, "account": account, "account_role": role });
    control::order(config, Order::Record { kind: OwnKind::Access, event })
        .context("nothing is changed without an entry about it")?;
    Ok(())
}

/// The password, and whether it was made here.
fn password(file: Option<&PathBuf>) -> anyhow::Result<(Zeroizing<String>, bool)> {
    let Some(file) = file else { return Ok((Zeroizing::new(new_password()?), true)) };
    let mut text = Zeroizing::new(String::new());
    if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        let bytes = crate::secrets::read(file)?;
        let given = str::from_utf8(&bytes).ok().with_context(|| format!("{} is not text", file.display()))?;
        text.push_str(given);
    }
    Ok((Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()), false))
}

fn show(password: Option<&(Zeroizing<String>, bool)>) {
    if let Some((password, true)) = password {
        println!("The password, shown once: {}", password.as_str());
    }
}

fn print(list: &List) -> anyhow::Result<Answer> {
    let accounts = open(&list.config.load()?)?.accounts()?;
    if list.format == Format::Json {
        accounts.iter().try_for_each(|account| {
            println!("{}", serde_json::to_string(account)?);
            anyhow::Ok(())
        })?;
        return Ok(Answer::Yes);
    }
    if accounts.is_empty() {
        println!("Nobody can sign in yet: fieldgate admin add NAME --role reviewer");
        return Ok(Answer::Yes);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "ROLE", "SIGNS IN WITH", "SINCE"]);
    for account in accounts {
        let password = account.has_password.then(|| "password".to_owned());
        let ways: Vec<String> = password.into_iter().chain(account.certificate).collect();
        table.add_row([
            account.name,
            account.role.as_str().to_owned(),
            ways.join(", "),
            moment(account.created),
        ]);
    }
    println!("{table}");
    Ok(Answer::Yes)
}
