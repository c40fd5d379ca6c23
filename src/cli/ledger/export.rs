//! `fieldgate ledger export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use crate::app::control::{self, Order};
use crate::ledger::{Exporter, Form, Hashing, Manifest, Order as Direction, OwnKind, Search};

use super::super::{Answer, ConfigPath, Reach};
use super::{Filter, moment, now, operator};

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigPath,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    filter: Filter,
    /// What the file is to be
    #[arg(long, value_enum, default_value_t = Kind::Json)]
    format: Kind,
    /// The file; a manifest with its SHA-256 is written beside it. Without one, to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Who exports; the name of the user at the terminal where it is left out
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What for
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// For people
    Table,
    /// The entries byte for byte, one a line
    Json,
    /// RFC 4180, safe to open in a spreadsheet
    Csv,
    /// OCSF events, one a line
    Ocsf,
    #[cfg(feature = "parquet")]
    Parquet,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Answer> {
    let config = arguments.config.load()?;
    let query = arguments.filter.query(&config)?;
    let search = Search::open(&arguments.reach.ledger(&config)?)?;
    let event = json!({
        "by": operator(arguments.by.as_deref())?,
        "action": "export",
        "filter": arguments.filter.describe(),
        "reason": arguments.reason,
    });
    control::order(&config, Order::Record { kind: OwnKind::Access, event })
        .context("nothing is exported without an entry about it")?;
    let form = match arguments.format {
        Kind::Table => Form::Table,
        Kind::Json => Form::JsonLines,
        Kind::Csv => Form::Csv,
        Kind::Ocsf => Form::Ocsf,
        #[cfg(feature = "parquet")]
        Kind::Parquet => Form::Parquet,
    };
    let out: Box<dyn Write> = match &arguments.output {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => Box::new(create(path)?),
    };
    let mut exporter = Exporter::new(form, Hashing::new(BufWriter::with_capacity(1 << 16, out)))?;
    let mut rows = 0u64;
    search.each(&query, Direction::OldestFirst, |position, leaf| {
        exporter.entry(position, Some(leaf))?;
        rows += 1;
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    })?;
    let (mut out, sha256) = exporter.finish()?.finish();
    out.flush()?;
    let log = search.log();
    if let Some(path) = &arguments.output {
        let manifest = Manifest {
            filter: arguments.filter.describe(),
            rows,
            tree_size: log.size(),
            root: log.root().filter(|_| log.archived() == log.size()),
            sha256,
            exported_at: moment(now()),
            format: form,
        };
        let mut name = path.as_os_str().to_owned();
        name.push(".manifest.json");
        create(Path::new(&name))?.write_all(&manifest.to_json()?)?;
    }
    eprintln!("{rows} of {} entries", log.size());
    Ok(Answer::Yes)
}

pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| path.display().to_string())
}
