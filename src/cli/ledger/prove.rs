//! `fieldgate ledger prove` and `fieldgate ledger verify-proof`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::app;
use crate::ledger::{self, Evidence, Log, Origins, Proof, ProveError, Search, Verifier, View};

use super::super::{Answer, Format};
use super::verify::{Place, table, verifier};

#[derive(clap::Args)]
pub(super) struct ProveArguments {
    /// The id of the entries, as in the header Fieldgate-Disclosure-Id
    #[arg(value_name = "ID", required_unless_present = "entry")]
    id: Option<String>,
    /// The number of the entry
    #[arg(long, value_name = "NUMBER")]
    entry: Option<u64>,
    /// The ledger, where it is not that of the configuration
    #[arg(long, value_name = "LEDGER", conflicts_with = "config")]
    ledger: Option<PathBuf>,
    /// The gateway's configuration
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the proof goes; '-' is standard output. Otherwise ID.tlog-proof, and for several entries
    /// ID-NUMBER.tlog-proof
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Leave the entry's content out: the proof then holds its hash only
    #[arg(long)]
    hash_only: bool,
}

#[derive(clap::Args)]
pub(super) struct CheckArguments {
    /// The proof; '-' is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The key of the ledger's heads, NAME+ID+KEY, or @FILE that holds it
    #[arg(long, value_name = "VKEY|@FILE", value_parser = verifier)]
    key: Verifier,
    /// The key of a witness that must have signed too; may be said several times
    #[arg(long, value_name = "VKEY|@FILE", value_parser = verifier)]
    witness: Vec<Verifier>,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn prove(arguments: &ProveArguments) -> anyhow::Result<Answer> {
    let place = Place::new(arguments.ledger.clone(), arguments.config.clone());
    let mut path = place.ledger()?;
    let mut positions = positions(&path, arguments)?;
    // A number alone is one that lists and pages show: of all nodes.
    let of_all = arguments.id.is_none() && arguments.ledger.is_none() && place.load()?.ledger.fleet.is_some();
    if of_all || positions.is_empty() && arguments.ledger.is_none() {
        (path, positions) = elsewhere(&place, arguments)?;
    }
    let log = Log::open(&path)?;
    if positions.is_empty() {
        eprintln!("no entry has this id");
        return Ok(Answer::No);
    }
    if positions.len() > 1 && arguments.output.is_some() {
        bail!(
            "{} entries have this id, and one file holds one proof; choose with --entry: {positions:?}",
            positions.len()
        );
    }
    let mut proofs = Vec::new();
    for position in &positions {
        match ledger::prove(&log, *position) {
            Ok(proof) if arguments.hash_only => proofs.push(proof.without_content()),
            Ok(proof) => proofs.push(proof),
            Err(error @ (ProveError::NotCovered { .. } | ProveError::Missing { .. })) => {
                eprintln!("{error}");
                return Ok(Answer::No);
            }
            Err(error) => return Err(error.into()),
        }
    }
    for proof in &proofs {
        write(proof, &target(arguments, proof.index, proofs.len() > 1))?;
    }
    Ok(Answer::Yes)
}

/// Where the entry is not this node's, the gathered ledger of the fleet proves it.
fn elsewhere(place: &Place, arguments: &ProveArguments) -> anyhow::Result<(PathBuf, Vec<u64>)> {
    let config = place.load()?;
    let path = app::gather::whole(&config)?;
    let found = self::positions(&path, arguments)?;
    if let (Some(first), Some(origins)) = (found.first(), Origins::open(&path)?) {
        let origin = origins.of(*first)?;
        let node = origin.map(|origin| format!("entry {} of node {}", origin.index, origin.node));
        eprintln!(
            "{}: proved by the gathered ledger, whose key is shown by: fieldgate ledger key --fleet",
            node.unwrap_or_default()
        );
    }
    Ok((path, found))
}

/// The numbers of the entries that are asked for.
fn positions(path: &Path, arguments: &ProveArguments) -> anyhow::Result<Vec<u64>> {
    let Some(id) = &arguments.id else { return Ok(arguments.entry.into_iter().collect()) };
    let mut found = with_id(path, id)?;
    if let Some(entry) = arguments.entry {
        found.retain(|position| *position == entry);
    }
    Ok(found)
}

/// The index knows; where a copy has none, all entries are read.
fn with_id(path: &Path, id: &str) -> anyhow::Result<Vec<u64>> {
    if path.is_file() {
        return Ok(Search::open(path)?.with_id(id)?);
    }
    let log = Log::open(path)?;
    let mut found = Vec::new();
    for position in 0..log.size() {
        let leaf = log.entry(position)?;
        if leaf.is_some_and(|leaf| View::parse(&leaf).is_ok_and(|entry| entry.id == id)) {
            found.push(position);
        }
    }
    Ok(found)
}

fn target(arguments: &ProveArguments, index: u64, is_one_of_several: bool) -> PathBuf {
    let name = match &arguments.id {
        Some(id) if is_one_of_several => format!("{id}-{index}"),
        Some(id) => id.clone(),
        None => index.to_string(),
    };
    arguments.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tlog-proof")))
}

fn write(proof: &Proof, path: &Path) -> anyhow::Result<()> {
    if path == Path::new("-") {
        write!(std::io::stdout().lock(), "{proof}")?;
        return Ok(());
    }
    std::fs::write(path, proof.to_string())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    eprintln!("entry {}: {}", proof.index, path.display());
    Ok(())
}

pub(super) fn check(arguments: &CheckArguments) -> anyhow::Result<Answer> {
    let text = read(&arguments.file)?;
    let shown = Proof::parse(&text)
        .map_err(Into::into)
        .and_then(|proof| ledger::examine(&proof, &arguments.key, &arguments.witness));
    let shown = match shown {
        Ok(shown) => shown,
        Err(error) => {
            if arguments.format == Format::Json {
                println!("{}", json!({ "valid": false, "why": error.to_string() }));
            }
            eprintln!("the proof shows nothing: {error}");
            return Ok(Answer::No);
        }
    };
    match arguments.format {
        Format::Json => println!("{}", as_json(&shown)?),
        Format::Table => println!("{}", as_table(&shown)?.trim_fmt()),
    }
    Ok(Answer::Yes)
}

fn read(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).context("standard input cannot be read")?;
        return Ok(text);
    }
    super::verify::read(path)
}

fn as_json(shown: &Evidence) -> anyhow::Result<Value> {
    let entry: Option<Value> = shown.entry.as_deref().map(serde_json::from_slice).transpose()?;
    let witnesses = shown.witnesses.iter().map(|witness| json!({ "name": witness.name, "time": witness.at }));
    Ok(json!({
        "valid": true,
        "log": shown.head.origin,
        "size": shown.head.size,
        "index": shown.index,
        "leaf": hex(&shown.leaf),
        "witnesses": witnesses.collect::<Vec<_>>(),
        "entry": entry,
    }))
}

fn as_table(shown: &Evidence) -> anyhow::Result<comfy_table::Table> {
    let mut table = table();
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            table.add_row([name, value]);
        }
    };
    row("ledger", &shown.head.origin);
    row("entry", &format!("{} of {}", shown.index, shown.head.size));
    for witness in &shown.witnesses {
        let at = i64::try_from(witness.at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
        let at = at.map(|at| format!(" at {at}")).unwrap_or_default();
        row("witness", &format!("{}{at}", witness.name));
    }
    let Some(leaf) = &shown.entry else {
        row("leaf hash", &hex(&shown.leaf));
        row("content", "not in this proof: compare the hash with that of the entry");
        return Ok(table);
    };
    let entry = View::parse(leaf)?;
    let text = |text: &Option<std::borrow::Cow<str>>| text.as_deref().unwrap_or_default().to_owned();
    row("kind", &entry.kind);
    row("id", &entry.id);
    row(
        "time",
        &jiff::Timestamp::from_microsecond(entry.time).map(|time| time.to_string()).unwrap_or_default(),
    );
    row("contractor", &text(&entry.contractor));
    row("credential", &text(&entry.credential));
    row("request", format!("{} {}", text(&entry.method), text(&entry.route)).trim());
    row("task", &text(&entry.task));
    row("purpose", &text(&entry.purpose));
    row("basis", &text(&entry.basis));
    row("agreement", &text(&entry.agreement));
    row("from, to", &text(&entry.jurisdictions));
    row("transfer", &text(&entry.transfer));
    row(
        "outcome",
        &[entry.status.map(|status| status.to_string()).unwrap_or_default(), entry.outcome().to_owned()]
            .join(" "),
    );
    if let Some(records) = entry.records {
        row("records", &format!("{} released, {} withheld", records.released, records.withheld));
    }
    for field in &entry.fields {
        let transform = field.transform.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        let counts = format!("{} disclosed, {} withheld", field.disclosed, field.withheld);
        row("field", &format!("{}{transform}: {counts}", field.path));
    }
    row("customers", &entry.subjects_total.map(|count| count.to_string()).unwrap_or_default());
    row("rules", &text(&entry.rules));
    Ok(table)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
