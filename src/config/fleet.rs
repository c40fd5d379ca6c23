//! `[ledger.postgres]`: the database that several gateways share.

use std::path::{Path, PathBuf};

use tokio_postgres::config::Host;

use crate::diagnostic::table::{At, Table};
use crate::diagnostic::{Report, codes};
use crate::transport::ClientFiles;

use super::path;

/// This gateway as a node of a fleet.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// Host, port, user and name of the database.
    pub database: tokio_postgres::Config,
    pub password_file: Option<PathBuf>,
    /// The authority of the database's certificate, and perhaps a certificate of our own; `None` on this machine.
    pub tls: Option<ClientFiles>,
    /// The node's name: each has one of its own.
    pub node: String,
    /// Whether it keeps the entries of all nodes at hand; where nothing is said, a node with a review side does.
    pub gather: Option<bool>,
}

pub(super) fn read(
    table: &mut Table,
    report: &mut Report,
    home: &Path,
    database: &At<tokio_postgres::Config>,
) -> Option<Fleet> {
    let node = table.require(report, "node", "\"gateway-1\", a name of its own for each gateway");
    let node = node.and_then(|value| value.parse(report, node_name)).map(|at| at.value);
    let file = |value: Option<crate::diagnostic::table::Value>, report: &mut Report| match value {
        Some(value) => path(&value, report, home).map(Some),
        None => Some(None),
    };
    let password_file = file(table.get("password_file"), report);
    let ca = file(table.get("ca"), report);
    let certificate = file(table.get("certificate"), report);
    let key = file(table.get("key"), report);
    let ca = ca?;
    if ca.is_none() && !is_here(&database.value) {
        report.add(
            codes::TLS_DOES_NOT_FIT,
            &database.span,
            &database.key,
            "names another machine, and there is no `ca`",
            "add ca = \"certs/postgres-ca.pem\" to [ledger.postgres]: the authority that signed the database's certificate",
        );
        return None;
    }
    let gather = match table.get("gather") {
        Some(value) => Some(value.boolean(report)?),
        None => None,
    };
    let identity = certificate?.zip(key?);
    let tls = ca.map(|ca| ClientFiles { ca, identity, server_name: None });
    Some(Fleet { database: database.value.clone(), password_file: password_file?, tls, node: node?, gather })
}

/// Reached without a network.
pub fn is_here(database: &tokio_postgres::Config) -> bool {
    database.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    })
}

/// # Errors
/// What would be right.
pub fn database(text: &str) -> Result<tokio_postgres::Config, &'static str> {
    const RIGHT: &str = "\"postgres://USER@HOST:5432/DATABASE\"";
    let config: tokio_postgres::Config = text.parse().map_err(|_| RIGHT)?;
    if config.get_password().is_some() {
        return Err("without a password: name its file as password_file in [ledger.postgres]");
    }
    let whole =
        !config.get_hosts().is_empty() && config.get_user().is_some() && config.get_dbname().is_some();
    if whole { Ok(config) } else { Err(RIGHT) }
}

fn node_name(text: &str) -> Result<String, &'static str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match (1..=64).contains(&text.len()) && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("1 to 64 lower-case letters, digits, hyphens and dots, such as \"gateway-1\""),
    }
}
