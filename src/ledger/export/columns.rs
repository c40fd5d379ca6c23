//! The columns of the flat forms, CSV and Parquet.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::Timestamp;

use super::super::view::{Field, View};
use super::Row;

/// A named column.
pub(super) struct Column {
    pub name: &'static str,
    source: Source,
}

/// What a column holds. Only a form with a schema asks.
#[cfg(feature = "parquet")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Count,
    Time,
}

/// What a row has in a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Absent,
    Text(Cow<'a, str>),
    Count(u64),
    Time(Timestamp),
}

enum Source {
    Number,
    Time,
    Outcome,
    Fields,
    Text(for<'a> fn(&'a View<'a>) -> Option<&'a str>),
    Owned(fn(&View) -> Option<String>),
    Count(for<'a> fn(&'a View<'a>) -> Option<u64>),
}

/// The columns in their order. Readers may rely on names; new ones come last.
pub(super) static COLUMNS: [Column; 39] = [
    column("number", Source::Number),
    column("time", Source::Time),
    column("kind", Source::Text(|view| Some(&view.kind))),
    column("id", Source::Text(|view| Some(&view.id))),
    column("contractor", Source::Text(|view| view.contractor.as_deref())),
    column("credential", Source::Text(|view| view.credential.as_deref())),
    column("task", Source::Text(|view| view.task.as_deref())),
    column("purpose", Source::Text(|view| view.purpose.as_deref())),
    column("basis", Source::Text(|view| view.basis.as_deref())),
    column("agreement", Source::Text(|view| view.agreement.as_deref())),
    column("method", Source::Text(|view| view.method.as_deref())),
    column("route", Source::Text(|view| view.route.as_deref())),
    column("upstream", Source::Text(|view| view.upstream.as_deref())),
    column("outcome", Source::Outcome),
    column("status", Source::Count(|view| view.status.map(u64::from))),
    column("from_country", Source::Text(|view| view.from_country())),
    column("to_country", Source::Text(|view| view.country())),
    column("transfer", Source::Text(|view| view.transfer.as_deref())),
    column("records_released", Source::Count(|view| view.records.map(|records| records.released))),
    column("records_withheld", Source::Count(|view| view.records.map(|records| records.withheld))),
    column("subjects", Source::Count(|view| view.subjects_total)),
    column("fields", Source::Fields),
    column("values_masked", Source::Count(|view| total(view, masked))),
    column("values_withheld", Source::Count(|view| total(view, |field| field.withheld))),
    column("members_withheld", Source::Count(|view| view.members_withheld)),
    column("rules", Source::Text(|view| view.rules.as_deref())),
    column("by", Source::Text(|view| view.by.as_deref())),
    column("action", Source::Text(|view| view.action.as_deref())),
    column("reason", Source::Text(|view| view.reason.as_deref())),
    column("canary", Source::Text(|view| view.canary.then_some("yes"))),
    column("signal", Source::Text(|view| view.signal.as_deref())),
    column("details", Source::Owned(|view| view.details())),
    column("requests", Source::Owned(|view| Some(view.entries.join(" ")))),
    column("case", Source::Text(|view| view.legal.as_ref().map(|legal| &*legal.case))),
    column("authority", Source::Text(|view| view.legal.as_ref().map(|legal| &*legal.authority))),
    column("approved_by", Source::Owned(|view| Some(view.legal.as_ref()?.approved_by.join("; ")))),
    column("hold_until", Source::Text(|view| view.legal.as_ref()?.hold_until.as_deref())),
    column("hold_reference", Source::Text(|view| view.legal.as_ref()?.hold_reference.as_deref())),
    column("node", Source::Text(|view| view.node.as_deref())),
];

const fn column(name: &'static str, source: Source) -> Column {
    Column { name, source }
}

impl Column {
    #[cfg(feature = "parquet")]
    pub fn kind(&self) -> Kind {
        match self.source {
            Source::Number | Source::Count(_) => Kind::Count,
            Source::Time => Kind::Time,
            Source::Outcome | Source::Fields | Source::Text(_) | Source::Owned(_) => Kind::Text,
        }
    }

    /// What `row` has in this column. It is always of the same kind, or absent; a text is never empty.
    pub fn cell<'a>(&self, row: &'a Row<'a>) -> Cell<'a> {
        match (&self.source, &row.entry) {
            (Source::Number, _) => Cell::Count(row.number),
            (Source::Outcome, _) => text(row.outcome().into()),
            (_, None) => Cell::Absent,
            (Source::Time, Some((time, _))) => Cell::Time(*time),
            (Source::Fields, Some((_, view))) => text(fields(&view.fields).into()),
            (Source::Text(get), Some((_, view))) => get(view).map_or(Cell::Absent, |cell| text(cell.into())),
            (Source::Owned(get), Some((_, view))) => get(view).map_or(Cell::Absent, |cell| text(cell.into())),
            (Source::Count(get), Some((_, view))) => get(view).map_or(Cell::Absent, Cell::Count),
        }
    }
}

fn text(text: Cow<'_, str>) -> Cell<'_> {
    if text.is_empty() { Cell::Absent } else { Cell::Text(text) }
}

/// The fields that were met, `; ` between them: path, transform where there is one, values disclosed.
fn fields(fields: &[Field]) -> String {
    let mut cell = String::new();
    for field in fields {
        if !cell.is_empty() {
            cell.push_str("; ");
        }
        cell.push_str(&field.path);
        // Writing to a string does not fail.
        let _ = match &field.transform {
            Some(transform) => write!(cell, " ({transform}) {}", field.disclosed),
            None => write!(cell, " {}", field.disclosed),
        };
    }
    cell
}

/// A total over the fields; absent for an entry that has no records, so that it is not taken for zero.
fn total(view: &View, count: impl Fn(&Field) -> u64) -> Option<u64> {
    view.records.map(|_| view.fields.iter().map(count).fold(0, u64::saturating_add))
}

/// Values that left under the transform `mask`.
fn masked(field: &Field) -> u64 {
    if field.transform.as_deref() == Some("mask") { field.disclosed } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{READ, SIGNAL, STARTED};
    use super::*;

    fn cell(leaf: Option<&'static str>, name: &str) -> String {
        let row = Row::read(9, leaf.map(str::as_bytes)).unwrap();
        let column = COLUMNS.iter().find(|column| column.name == name).unwrap();
        format!("{:?}", column.cell(&row))
    }

    #[test]
    fn fields_say_path_transform_and_count() {
        assert_eq!(
            cell(Some(READ), "fields"),
            r#"Text("@['id','status'] 4; @.customer.phone (mask) 3; $.total 1")"#
        );
    }

    #[test]
    fn totals_are_over_the_fields() {
        assert_eq!(cell(Some(READ), "values_masked"), "Count(3)");
        assert_eq!(cell(Some(READ), "values_withheld"), "Count(1)");
        assert_eq!(cell(Some(READ), "members_withheld"), "Count(6)");
    }

    #[test]
    fn a_signal_says_what_it_is_and_names_the_requests() {
        assert_eq!(cell(Some(SIGNAL), "outcome"), r#"Text("enumeration")"#);
        assert_eq!(cell(Some(SIGNAL), "details"), r#"Text("numbers 20, pattern sequential, step 1")"#);
        assert_eq!(cell(Some(SIGNAL), "requests"), r#"Text("01a2 01a3")"#);
        assert_eq!(cell(Some(READ), "signal"), "Absent");
    }

    #[test]
    fn what_an_entry_does_not_have_is_absent_and_not_zero() {
        for name in ["contractor", "status", "records_released", "fields", "values_masked", "subjects"] {
            assert_eq!(cell(Some(STARTED), name), "Absent", "{name}");
        }
    }

    #[test]
    fn a_pruned_entry_has_a_number_and_an_outcome() {
        for column in &COLUMNS {
            let expected = match column.name {
                "number" => "Count(9)",
                "outcome" => r#"Text("pruned")"#,
                _ => "Absent",
            };
            assert_eq!(cell(None, column.name), expected, "{}", column.name);
        }
    }

    #[test]
    fn no_two_columns_have_the_same_name() {
        let mut names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }
}
