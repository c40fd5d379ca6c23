//! `fieldgate certs`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::authority::{Authority, Made};

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
    /// Make a client certificate for a contractor
    Issue {
        /// Its file name: NAME.pem and NAME.key
        name: String,
        /// The name in the certificate, as the rule file's `mtls_san`: URI:… or DNS:…
        #[arg(long, value_name = "TYPE:NAME")]
        san: String,
    },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let authority = Authority::new(&arguments.dir);
    let made = match &arguments.command {
        Command::Init { hosts } => authority.init(hosts)?,
        Command::Issue { name, san } => vec![(name.as_str(), authority.issue_client(name, san)?)],
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
