//! `fieldgate witness`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;

use crate::app::{self, process};
use crate::ledger::witness::Witness;
use crate::ledger::{Verifier, cosigner};
use crate::sandbox::{self, Demand, Reach};
use crate::secrets;
use crate::transport::{Doorway, ServerFiles};
use crate::witness::Server;

use super::Answer;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The witness's name, without spaces and plus signs, such as witness.example/w1
    #[arg(long)]
    name: String,
    /// Its signing key; made with mode 0600 where it is missing
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A ledger that it follows: what `fieldgate ledger key` prints; any number of them
    #[arg(long = "log", value_name = "KEY", required = true, value_parser = log_key)]
    logs: Vec<Verifier>,
    /// The folder for the last head of each ledger; one that is lost or put back from a copy makes the witness
    /// worthless
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8445")]
    listen: SocketAddr,
    /// Its certificate chain, PEM; without one it speaks plain HTTP
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The private key of the certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// What it cannot reach once it serves: on takes what the kernel offers, required does not start without
    /// all of it
    #[arg(long, value_name = "on|required|off", default_value = "on", value_parser = demand)]
    sandbox: Demand,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Answer> {
    sandbox::keep_to_itself().context("the process cannot keep its memory to itself")?;
    let secret = arguments.tls_key.iter().chain([&arguments.key]);
    process::refuse(&secrets::faults(secret.map(AsRef::as_ref)))?;
    let reach = reach(&arguments)?;
    let tls = match (arguments.tls_certificate, arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Doorway::open(ServerFiles { certificate, key, client_ca: None, crl: Vec::new() })?)
        }
        _ => None,
    };
    let enforced = process::confine(arguments.sandbox, &reach)?;
    let signer = cosigner(&arguments.key, &arguments.name)?;
    let witness = Witness::open(signer, arguments.logs, arguments.state)?;
    println!("{}", witness.verifier());
    let _log = app::log("info")?;
    process::log(arguments.sandbox, &enforced);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let server = Server::bind(arguments.listen, tls, witness).await?;
        // Caught from now on: who sees the next line may at once send a signal.
        let stop = app::stop_signal()?;
        tracing::info!(target: "fieldgate::ready", address = %server.address()?, "listening");
        server.run(stop).await;
        Ok(Answer::Yes)
    })
}

/// Its key and its memory of the ledgers; it calls nobody.
fn reach(arguments: &Arguments) -> anyhow::Result<Reach> {
    let mut reach = Reach { connect: Some(BTreeSet::new()), ..Reach::default() };
    reach.bind.insert(arguments.listen.port());
    secrets::make_folder_of(&arguments.key).with_context(|| arguments.key.display().to_string())?;
    reach.write_beside(&arguments.key);
    let inside = arguments.state.join("state");
    secrets::make_folder_of(&inside).with_context(|| arguments.state.display().to_string())?;
    reach.write_beside(&inside);
    Ok(reach)
}

fn demand(word: &str) -> Result<Demand, String> {
    Demand::parse(word).ok_or_else(|| format!("one of: {}", Demand::WORDS.join(", ")))
}

/// C2SP signed-note: a verifier key of type 0x01.
fn log_key(text: &str) -> Result<Verifier, String> {
    match Verifier::parse(text) {
        Ok(key) if !key.is_cosigner() => Ok(key),
        Ok(_) => Err("this is the key of a witness; write what `fieldgate ledger key` prints".to_owned()),
        Err(error) => Err(format!("{error}; write what `fieldgate ledger key` prints")),
    }
}
