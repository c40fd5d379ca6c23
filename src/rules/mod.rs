//! Rule files: what each contractor may see, from TOML text to a compiled plan.
//!
//! **Guarantees.** A plan exists only where every file of the directory is without error; all errors
//! of all files come in one run. What a file does not say is not allowed. What this version cannot
//! keep (a basis, a selector) is refused, never ignored. Customers that a file names (`canaries`, a legal
//! grant's `subjects`) are never shown.
//!
//! **Trusts** the people who can write the files. **Must not** know of requests or the ledger.
//!
//! **Called by** `app` at start and by `fieldgate check`: the same code.

mod access;
pub mod category;
mod compile;
pub mod diff;
mod explained;
mod file;
pub mod fixture;
mod legal;
mod link;
mod lint;
pub mod openapi;
mod plan;
mod query;
mod read;
mod route;
pub mod suggest;
mod template;
mod tokens;
mod unified;

use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Report, Source, has_errors};

pub use access::{Access, Hours};
pub use explained::reason;
pub use file::{Limits, Method, Proof};
pub use legal::{Grant, StatementHold};
pub use plan::{Agreement, Contractor, FieldLabel, Holder, Plan, Route, Surroundings, Task, TokenHolder};
pub use query::{Query, QueryFault};
pub use template::{MalformedPath, PathTemplate, RequestPath};
pub use unified::unified;

/// The outcome of reading a directory.
#[derive(Debug)]
pub struct Loaded {
    /// There only where nothing is an error.
    pub plan: Option<Plan>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads and compiles all `*.toml` files of a directory, in the order of their names.
///
/// # Errors
/// Where the directory or a file cannot be read at all.
pub fn load(directory: &Path, surroundings: &Surroundings) -> std::io::Result<Loaded> {
    Ok(compile_with(sources(directory)?, surroundings, &openapi::examples(directory)))
}

/// Keys that name customers.
const PRIVATE: &[&str] = &["canaries", "subjects"];

/// A report about a rule file. Whom it names by these keys is not shown.
fn report(source: &Arc<Source>) -> Report {
    Report::hiding(Arc::clone(source), PRIVATE)
}

/// The text of a rule file without the customers that it names.
pub fn shown(source: &Source) -> String {
    source.without(PRIVATE)
}

/// The rule files of a directory, read and not looked at.
fn sources(directory: &Path) -> std::io::Result<Vec<Arc<Source>>> {
    let mut sources = Vec::new();
    for path in rule_files(directory)? {
        let text = std::fs::read_to_string(&path)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        sources.push(Source::new(path.display().to_string(), text));
    }
    Ok(sources)
}

/// The rule files of a directory, sorted.
///
/// # Errors
/// Where the directory cannot be read; the message names it.
pub fn rule_files(directory: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(named)? {
        let path = entry.map_err(named)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The files of its fixtures that tell of answers, sorted.
pub fn fixture_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let Ok(folders) = std::fs::read_dir(directory.join("fixtures")) else { return Vec::new() };
    let mut folders: Vec<_> = folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    let files = |folder: &std::path::PathBuf| [folder.join("expected.json"), folder.join("fixture.toml")];
    folders.iter().flat_map(files).collect()
}

/// The contractors of a directory; `None` where a file does not say whose it is.
pub fn contractor_ids(directory: &Path) -> Option<Vec<String>> {
    let id = |path: std::path::PathBuf| {
        let source = Source::new(path.display().to_string(), std::fs::read_to_string(path).ok()?);
        let file = read::read(&source, &mut report(&source))?;
        (!file.id.stands_in).then(|| file.id.value.to_string())
    };
    rule_files(directory).ok()?.into_iter().map(id).collect()
}

/// Compiles files that are read already.
pub fn compile(sources: Vec<Arc<Source>>, surroundings: &Surroundings) -> Loaded {
    compile_with(sources, surroundings, &[])
}

fn compile_with(
    sources: Vec<Arc<Source>>,
    surroundings: &Surroundings,
    examples: &[openapi::Example],
) -> Loaded {
    let mut diagnostics = Vec::new();
    let mut files = Vec::new();
    for source in sources {
        let mut report = report(&source);
        if let Some(file) = read::read(&source, &mut report) {
            files.push((source, file));
        }
        diagnostics.append(&mut report.found);
    }
    let (plan, found) = compile::compile(files, surroundings);
    diagnostics.extend(found);
    diagnostics.sort_by_key(|diagnostic| (diagnostic.source.name.clone(), diagnostic.span.start));
    let mut plan = (!has_errors(&diagnostics)).then_some(plan);
    if let Some(plan) = &mut plan {
        plan.describe(surroundings, examples);
    }
    Loaded { plan, diagnostics }
}

/// Seconds since 1970-01-01T00:00:00Z.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Agreements begin and end with the day in UTC.
pub fn today() -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()
}
