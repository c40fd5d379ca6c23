//! `fieldgate key`.

use std::path::PathBuf;

use anyhow::Context;
use aws_lc_rs::{digest, rand};
use clap::Subcommand;
use zeroize::Zeroizing;

use crate::secrets;

use super::{Answer, Format};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make an API key: the key goes into a file, its SHA-256 into the rule file
    ///
    /// The key has 256 random bits. Hand the file to the contractor on a safe way, then delete it:
    /// the gateway needs the SHA-256 only.
    New {
        /// What the credential is called in the rule file, such as parcelco-batch
        id: String,
        /// The file for the key; made with mode 0600, never written over
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let Command::New { id, out, format } = &arguments.command;
    let id = crate::model::CredentialId::new(id)?;
    let mut random = Zeroizing::new([0; 32]);
    rand::fill(random.as_mut()).ok().context("the operating system gives no random numbers")?;
    let key = Zeroizing::new(["fg_", &Zeroizing::new(hex(random.as_ref()))].concat());
    let hash = hex(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    let path = out.clone().unwrap_or_else(|| PathBuf::from("secrets").join(format!("{id}.key")));
    secrets::write(&path, key.as_bytes()).with_context(|| path.display().to_string())?;
    match format {
        Format::Json => {
            println!("{}", serde_json::json!({ "id": id.as_str(), "file": path, "api_key_sha256": hash }))
        }
        Format::Table => {
            println!("The key is in {}. Add to the rule file:\n", path.display());
            println!("[[contractor.credential]]\nid             = \"{id}\"\napi_key_sha256 = \"{hash}\"");
        }
    }
    Ok(Answer::Yes)
}

/// In one piece of memory: nothing of a key is left where a text grew out of it.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
    text
}
