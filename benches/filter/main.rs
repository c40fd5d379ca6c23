//! The filter alone, on one core: input per second, next to the quickest known ways to do the same.
//!
//! Every entrant reduces five documents to the same allowed values; its output is first compared with
//! that of a plain tree walk. The entrants take turns, so read the ratios rather than the figures. A
//! second part shows that no body or rule makes the time per byte grow.
//!
//! `cargo bench --bench filter`; `-- --help` tells what else it takes. For quieter figures keep it on one
//! core: `taskset -c 0 cargo bench --bench filter`.

mod documents;
mod hard;
mod malformed;
mod measure;
mod ours;
mod peers;
mod records;
mod rule;
mod streaming;
mod table;
mod tape;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::Value;

use documents::Document;
use measure::{Effort, kept};
use peers::{Entrant, Kind};
use rule::{Allowed, Shape};
use table::{Cell, Column};

/// Measures the filter against others.
#[derive(Parser)]
struct Arguments {
    /// Only what has one of these in its name: a document (order, page, export, ndjson, tickets) or a hard
    /// input; `hard` stands for all of those
    names: Vec<String>,
    /// Take order.json, orders-page.json, export.json, orders.ndjson and tickets.json from this folder
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Three rounds of short samples, for a first look
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = 7, conflicts_with = "quick")]
    rounds: usize,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let effort = if arguments.quick {
        Effort { rounds: 3, sample: Duration::from_millis(5) }
    } else {
        Effort { rounds: arguments.rounds.max(1), sample: Duration::from_millis(20) }
    };
    let wanted = |name: &str| {
        arguments.names.is_empty() || arguments.names.iter().any(|part| name.contains(part.as_str()))
    };
    let documents = documents::documents(arguments.data.as_deref(), wanted)?;
    if !documents.is_empty() {
        let strict = strictness()?;
        let mut columns = Vec::new();
        for document in &documents {
            columns.push(measure_document(effort, document).with_context(|| document.name)?);
        }
        table::print(&columns, &strict, effort);
    }
    hard::measure(effort, |name| wanted(name) || arguments.names.iter().any(|part| part == "hard"))
}

/// For each entrant, the malformed texts that it accepts.
fn strictness() -> Result<Vec<Vec<&'static str>>> {
    let allowed = Allowed::new(Shape::One, &["order_id"]);
    let document = Document { name: "", body: Vec::new(), shape: Shape::One, fields: &["order_id"] };
    peers::entrants(&document, &allowed)?.iter_mut().map(malformed::accepted).collect()
}

fn measure_document(effort: Effort, document: &Document) -> Result<Column> {
    let body = document.body.as_slice();
    let allowed = Allowed::new(document.shape, document.fields);
    let expected = values(&peers::reference(document.shape, &allowed)(body)?)?;
    let mut entrants = peers::entrants(document, &allowed)?;
    for entrant in &mut entrants {
        let output = (entrant.run)(body).with_context(|| entrant.name)?;
        ensure!(
            entrant.kind == Kind::Limit || values(&output)? == expected,
            "{} gives another result",
            entrant.name
        );
    }
    let (kinds, runs): (Vec<_>, Vec<_>) =
        entrants.into_iter().map(|Entrant { name, kind, run }| ((name, kind), run)).unzip();
    let mut calls: Vec<_> = runs.into_iter().map(|mut run| kept(move || run(body))).collect();
    let mut calls: Vec<&mut dyn FnMut() -> Result<()>> =
        calls.iter_mut().map(|call| call as &mut dyn FnMut() -> Result<()>).collect();
    let times = effort.in_turn(&mut calls)?;
    let cells = kinds.into_iter().zip(times).map(|((name, kind), times)| Cell { name, kind, times });
    Ok(Column { document: document.name, bytes: body.len(), cells: cells.collect() })
}

/// The values of a document or of its lines.
fn values(text: &[u8]) -> Result<Vec<Value>> {
    Ok(serde_json::Deserializer::from_slice(text).into_iter().collect::<Result<_, _>>()?)
}
