//! `[process]`: what the gateway's own process may do.

use std::path::{Path, PathBuf};

use crate::diagnostic::Report;
use crate::diagnostic::table::Table;
use crate::sandbox::Demand;

use super::path;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub sandbox: Demand,
    /// Files and folders that it may read besides those that the configuration names elsewhere.
    pub read: Vec<PathBuf>,
}

pub(super) fn read(table: &mut Table, report: &mut Report, home: &Path) -> Process {
    let demand = table.get("sandbox").and_then(|value| value.word(report, &Demand::WORDS, Demand::parse));
    let further = table.get("read").and_then(|value| value.list(report)).unwrap_or_default();
    Process {
        sandbox: demand.map_or_else(Demand::default, |at| at.value),
        read: further.iter().filter_map(|value| path(value, report, home)).collect(),
    }
}
