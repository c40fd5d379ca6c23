//! `fieldgate init`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::diagnostic::Source;
use crate::model::ContractorId;
use crate::rules::openapi::Document;

use super::Answer;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The folder for a commented fieldgate.toml and a rule file
    #[arg(required_unless_present = "openapi", conflicts_with = "openapi")]
    dir: Option<PathBuf>,
    /// An upstream's OpenAPI document in JSON: writes a rule file whose routes disclose nothing yet
    #[arg(long, value_name = "FILE", requires = "contractor")]
    openapi: Option<PathBuf>,
    /// The contractor's id
    #[arg(long, value_name = "ID")]
    contractor: Option<String>,
    /// Only this path of the document; can be given several times
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// The upstream's name in fieldgate.toml
    #[arg(long, value_name = "NAME", default_value = "orders")]
    upstream: String,
    /// Where to write; rules/ID.toml if left out
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const GATEWAY: &str = r#"# The gateway. Every key: README.md, "Configuration".

company      = "Your company"                # as customers are told who gives an account
jurisdiction = "US"                          # where the data comes from

# [organisation]                             # for `fieldgate report processing`
# name    = "Your company Inc."
# contact = "privacy@example.com"
# dpo     = "dpo@example.com"

[listen]
address     = "127.0.0.1:8443"
certificate = "certs/gateway.pem"            # made by `fieldgate certs init`
key         = "certs/gateway.key"
client_ca   = "certs/contractor-ca.pem"

[upstream.orders]
url = "http://127.0.0.1:9001"
# openapi = "orders.openapi.json"            # its own document: rules are held against it
"#;

const ROUTE: &str = r#"
[[task.route]]
path     = "/orders/{order_id}"
upstream = "orders"
# subject  = "@.customer.id"               # whom a record is about
# when     = "@.status == 'open'"          # only records for which this holds
disclose = [
  # "@.order_id",
]
"#;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let Some(document) = &arguments.openapi else {
        let folder = arguments.dir.as_deref().context("name a folder")?;
        let files = [
            (folder.join("fieldgate.toml"), GATEWAY.to_owned()),
            (folder.join("rules/contractor.toml"), head("contractor") + ROUTE),
        ];
        // All or nothing: half of them would look like all.
        if let Some((file, _)) = files.iter().find(|(file, _)| file.exists()) {
            bail!("{} is there already, and is not written over", file.display());
        }
        for (file, text) in &files {
            write_new(file, text)?;
        }
        return Ok(Answer::Yes);
    };
    let contractor = arguments.contractor.as_deref().context("name the contractor: --contractor ID")?;
    ContractorId::new(contractor)?;
    let text = std::fs::read_to_string(document).with_context(|| document.display().to_string())?;
    let source = Source::new(document.display().to_string(), text);
    let document = Document::parse(&source, "--openapi").map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let routes = document.scaffold(&arguments.upstream, &arguments.path).map_err(anyhow::Error::msg)?;
    let usual = || Path::new("rules").join(format!("{contractor}.toml"));
    write_new(&arguments.out.clone().unwrap_or_else(usual), &(head(contractor) + &routes))?;
    Ok(Answer::Yes)
}

/// An agreement that has ended: nobody gets anything until the author has written who it is with.
fn head(contractor: &str) -> String {
    format!(
        r#"# Everything that {contractor} may see, and why. Nothing is disclosed until you say so.

[contractor]
id           = "{contractor}"
name         = "{contractor}"                  # as customers are told it
service      = "What it does for you"
jurisdiction = "US"                          # ISO 3166-1: where the data goes
contact      = "privacy@{contractor}.example"

[contractor.agreement]
reference = "to be filled in"
effective = 2000-01-01
expires   = 2000-01-02                       # from this day on every request is refused
# transfer  = "scc"                          # what allows the data to leave the country

# [[contractor.credential]]
# id       = "{contractor}-gateway"
# mtls_san = "URI:spiffe://{contractor}.example/gateway"

[[task]]
id      = "first-task"
purpose = "What the data is needed for"
basis   = "contract"
"#
    )
}

fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut options = OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .open(file)
        .with_context(|| format!("{} is not written; a file that is there is kept", file.display()))?;
    opened.write_all(text.as_bytes())?;
    println!("wrote {}", file.display());
    Ok(())
}
