//! `fieldgate certs`.

use std::path::PathBuf;

use clap::Subcommand;
use comfy_table::{Table, presets};
use serde_json::json;

use crate::authority::{Authority, Issued, LEAF_DAYS, Made, State};

use super::{Answer, Format};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder of certificates and keys
    #[arg(long, global = true, value_name = "FOLDER", default_value = "certs")]
    dir: PathBuf,
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Subcommand)]
enum Command {
    /// Make the company's authority, the contractors' authority, and the gateway's certificate
    ///
    /// What is there already stays as it is. For a real service, take the gateway's certificate from
    /// your own authority; the contractors' authority is meant to be used.
    Init {
        /// A name or address of the gateway; may be given several times
        #[arg(long = "host", value_name = "NAME", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])]
        hosts: Vec<String>,
    },
    /// Put certificates on the revocation list of the contractors' authority
    ///
    /// The list is contractor-ca.crl in the folder; a gateway whose `[listen] crl` names it takes it in by
    /// itself. A list that is past its next update refuses all certificates of its issuer: write it anew in
    /// time, by this command without names.
    Revoke {
        /// The names of their files, without `.pem`
        names: Vec<String>,
        /// The serial number, where the file is gone; may be given several times
        #[arg(long = "serial", value_name = "HEX")]
        serials: Vec<String>,
        /// unspecified, key-compromise, affiliation-changed, superseded or cessation-of-operation
        #[arg(long, value_name = "WORD", default_value = "unspecified")]
        reason: String,
        /// For how many days the list is good
        #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
    /// Show the certificates that the contractors' authority has issued; exit code 1 where one has ended or
    /// ends within 30 days
    List,
    /// Make a client certificate for a contractor
    Issue {
        /// Its file name: NAME.pem and NAME.key
        name: String,
        /// The name in the certificate, as the rule file's `mtls_san`: URI:… or DNS:…
        #[arg(long, value_name = "TYPE:NAME")]
        san: String,
        /// For how many days it is good
        #[arg(long, value_name = "DAYS", default_value_t = LEAF_DAYS, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let authority = Authority::new(&arguments.dir);
    let made = match &arguments.command {
        Command::Init { hosts } => authority.init(hosts)?,
        Command::Issue { name, san, days } => {
            vec![(name.as_str(), authority.issue_client_for(name, san, *days)?)]
        }
        Command::Revoke { names, serials, reason, days } => {
            let revoked = authority.revoke(names, serials, reason, *days)?;
            return revoke(&authority, &revoked, arguments.format);
        }
        Command::List => return Ok(list(&authority.issued()?, arguments.format)),
    };
    for (name, made) in made {
        let (certificate, key) = (authority.certificate(name), authority.key(name));
        let state = if made == Made::New { "made" } else { "already there" };
        match arguments.format {
            Format::Table => println!("{state}: {} and {}", certificate.display(), key.display()),
            Format::Json => {
                println!("{}", serde_json::json!({ "certificate": certificate, "key": key, "state": state }))
            }
        }
    }
    Ok(Answer::Yes)
}

fn revoke(authority: &Authority, revoked: &[String], format: Format) -> anyhow::Result<Answer> {
    let list = authority.list();
    match format {
        Format::Table => {
            revoked.iter().for_each(|serial| println!("revoked: {serial}"));
            println!("{} is written anew; it counts where `[listen] crl` names it", list.display());
        }
        Format::Json => println!("{}", json!({ "list": list, "revoked": revoked })),
    }
    Ok(Answer::Yes)
}

fn list(issued: &[Issued], format: Format) -> Answer {
    const SOON: time::Duration = time::Duration::days(30);
    let ends = |known: &Issued| known.not_after - time::OffsetDateTime::now_utc() < SOON;
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "SAN", "ENDS", "STATE", "SERIAL"]);
    let mut answer = Answer::Yes;
    for known in issued {
        let end = super::moment(known.not_after.unix_timestamp() * 1_000_000);
        let state = match known.state {
            State::Valid if ends(known) => "ends soon".to_owned(),
            State::Valid => "valid".to_owned(),
            State::Expired => "expired".to_owned(),
            State::Revoked { at, reason } => {
                format!("revoked {} ({reason})", super::moment(at.unix_timestamp() * 1_000_000))
            }
        };
        if !matches!(known.state, State::Revoked { .. }) && ends(known) {
            answer = Answer::No;
        }
        match format {
            Format::Table => {
                table.add_row([known.name.clone(), known.sans.join(" "), end, state, known.serial.clone()]);
            }
            Format::Json => println!(
                "{}",
                json!({ "name": known.name, "san": known.sans, "ends": end, "state": state, "serial": known.serial })
            ),
        }
    }
    if format == Format::Table {
        println!("{table}");
    }
    answer
}
