//! The accounting for machines.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::gather::{Accounting, Field};
use super::{Frame, Recipient, Recipients, dates, words};

#[derive(Serialize)]
struct Report<'a> {
    company: &'a str,
    subject: &'a str,
    prepared: String,
    since: Option<String>,
    until: Option<String>,
    ledger: Tree<'a>,
    limits: Limits,
    /// Those that the groups name and that are known today.
    recipients: BTreeMap<&'a str, &'a Recipient>,
    #[serde(flatten)]
    accounting: &'a Accounting,
}

#[derive(Serialize)]
struct Tree<'a> {
    tree_size: u64,
    root: &'a str,
}

#[derive(Serialize)]
struct Limits {
    content_deleted_before: Option<String>,
    not_readable_epochs: u32,
}

/// The same as the page says, with exact times (RFC 3339, UTC) and all entries that the groups keep.
pub fn json(accounting: &Accounting, recipients: &Recipients, frame: &Frame) -> serde_json::Value {
    let named = accounting.groups.iter().filter_map(|group| {
        let (id, recipient) = recipients.0.get_key_value(&group.ground.recipient)?;
        Some((id.as_str(), recipient))
    });
    let report = Report {
        company: frame.company,
        subject: frame.subject,
        prepared: dates::exact(frame.prepared),
        since: frame.since.map(dates::exact),
        until: frame.until.map(dates::exact),
        ledger: Tree { tree_size: frame.tree_size, root: frame.root },
        limits: Limits {
            content_deleted_before: frame.deleted_before().map(dates::exact),
            not_readable_epochs: frame.not_readable_epochs,
        },
        recipients: named.collect(),
        accounting,
    };
    // Structures of strings and numbers always serialise.
    serde_json::to_value(report).unwrap_or_default()
}

impl Serialize for Field {
    /// With the words of the page beside what the rule writes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Said<'a> {
            path: &'a str,
            transform: Option<&'a str>,
            name: String,
            how: Option<&'a str>,
        }
        let transform = self.transform.as_deref();
        let how = transform.map(words::transform);
        Said { path: &self.path, transform, name: words::field(&self.path), how }.serialize(serializer)
    }
}
