//! What a verification found.

use serde::Serialize;

/// Of errors and of warnings so many are kept; the rest are counted.
const KEPT: u64 = 1000;

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The signed head: signature, origin, form.
    Head,
    /// An older signed head: what it covers must not have changed.
    Since,
    /// The root of the tree is that of the head.
    Root,
    /// A tile fits the one above it.
    Tile,
    /// A bundle of entries can be read.
    Bundle,
    /// An entry has its hash in the tree.
    Entry,
    /// An entry says its own number.
    Number,
    /// The entries of a contractor have no gap.
    Sequence,
    /// The entries about one response are complete.
    Parts,
    /// The parts of a response that left in parts are complete.
    Stream,
    /// Times do not go back.
    Time,
    /// The rules that decided were announced before.
    Rules,
    /// What the law asked for has its grant: a case, two approvers, and a day that had not come.
    Grant,
    /// The entry can be read and is of a known kind.
    Kind,
    /// The journal behind the head.
    Journal,
    /// The index does not know of more entries than there are.
    Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Error,
    /// It can happen in a ledger that nobody touched.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub severity: Severity,
    pub check: Check,
    /// The number of the entry that it is about.
    pub entry: Option<u64>,
    pub what: String,
}

impl Finding {
    pub(super) fn error(check: Check, entry: impl Into<Option<u64>>, what: String) -> Self {
        Finding { severity: Severity::Error, check, entry: entry.into(), what }
    }

    pub(super) fn warning(check: Check, entry: impl Into<Option<u64>>, what: String) -> Self {
        Finding { severity: Severity::Warning, check, entry: entry.into(), what }
    }
}

/// All that is wrong, in the order in which it was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// As many as are kept.
    pub list: Vec<Finding>,
    /// How many there are, those that were not kept too.
    pub errors: u64,
    pub warnings: u64,
}

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        let count = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= KEPT {
            self.list.push(finding);
        }
    }
}

/// What was verified, and what is wrong.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The name of the log's key.
    pub origin: String,
    /// Entries under the signed head.
    pub size: u64,
    /// The root of the signed head, in base64.
    pub root: String,
    /// Entries behind the head, in the journal: durable, and nothing proves them yet.
    pub behind: u64,
    /// Entries whose content was pruned.
    pub pruned: u64,
    pub contractors: u64,
    /// The size of the older head that was asked about.
    pub since: Option<u64>,
    pub findings: Findings,
}

impl Report {
    /// Whether there are no errors.
    pub fn is_clean(&self) -> bool {
        self.findings.errors == 0
    }
}
