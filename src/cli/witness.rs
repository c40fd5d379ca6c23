//! `fieldgate witness`.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::app;
use crate::ledger::witness::Witness;
use crate::ledger::{Verifier, cosigner};
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
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<Answer> {
    let tls = match (arguments.tls_certificate, arguments.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(Doorway::open(ServerFiles { certificate, key, client_ca: None, crl: Vec::new() })?)
        }
        _ => None,
    };
    let signer = cosigner(&arguments.key, &arguments.name)?;
    let witness = Witness::open(signer, arguments.logs, arguments.state)?;
    println!("{}", witness.verifier());
    let _log = app::log("info")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let server = Server::bind(arguments.listen, tls, witness).await?;
        // Caught from now on: who sees the next line may at once send a signal.
        let stop = app::stop_signal()?;
        tracing::info!(target: "fieldgate::ready", address = %server.address()?, "listening");
        server.run(stop).await;
        Ok(Answer::Yes)
    })
}

/// C2SP signed-note: a verifier key of type 0x01.
fn log_key(text: &str) -> Result<Verifier, String> {
    match Verifier::parse(text) {
        Ok(key) if !key.is_cosigner() => Ok(key),
        Ok(_) => Err("this is the key of a witness; write what `fieldgate ledger key` prints".to_owned()),
        Err(error) => Err(format!("{error}; write what `fieldgate ledger key` prints")),
    }
}
