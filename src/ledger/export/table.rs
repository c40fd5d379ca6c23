//! A table for people.

use std::io::Write;

use comfy_table::{ColumnConstraint, Table, presets};

use super::super::view::View;
use super::{ExportError, Row};

/// Rows whose widths are fitted to each other. A table of all rows would need all of them at once.
const PAGE: usize = 1000;

const HEADER: [&str; 9] =
    ["NUMBER", "TIME", "CONTRACTOR", "TASK", "REQUEST", "OUTCOME", "RECORDS", "FIELDS", "NODE"];
/// Shown where a fleet wrote the entries.
const NODE: usize = 8;

/// Writes pages of at most 1000 rows, the header once a page. Times are RFC 3339, UTC, with
/// milliseconds. Control characters are replaced: an entry cannot steer a terminal.
pub(super) struct Pages<W: Write> {
    out: W,
    page: Table,
    /// An entry on the page says which node wrote it.
    nodes: bool,
    written: bool,
}

impl<W: Write> Pages<W> {
    pub fn new(out: W) -> Self {
        Self { out, page: page(), nodes: false, written: false }
    }

    pub fn entry(&mut self, row: &Row) -> Result<(), ExportError> {
        self.nodes |= row.view().is_some_and(|view| view.node.is_some());
        self.page.add_row(cells(row));
        if self.page.row_count() == PAGE { self.write() } else { Ok(()) }
    }

    /// An export of nothing is a header.
    pub fn finish(mut self) -> Result<W, ExportError> {
        if !self.written || !self.page.is_empty() {
            self.write()?;
        }
        Ok(self.out)
    }

    fn write(&mut self) -> Result<(), ExportError> {
        let mut page = std::mem::replace(&mut self.page, page());
        if let Some(column) = page.column_mut(NODE).filter(|_| !std::mem::take(&mut self.nodes)) {
            column.set_constraint(ColumnConstraint::Hidden);
        }
        self.written = true;
        for line in page.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn page() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    table
}

fn cells(row: &Row) -> [String; 9] {
    let number = row.number.to_string();
    let Some((time, view)) = &row.entry else {
        let mut cells = [const { String::new() }; 9];
        cells[0] = number;
        cells[5] = row.outcome().to_owned();
        return cells;
    };
    let request = [view.method.as_deref(), view.route.as_deref()];
    [
        number,
        format!("{time:.3}"),
        shown(view.contractor.as_deref().unwrap_or_default()),
        shown(view.task.as_deref().unwrap_or_default()),
        shown(&request.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        shown(&outcome(view)),
        records(view),
        if view.fields.is_empty() { String::new() } else { view.fields.len().to_string() },
        shown(view.node.as_deref().unwrap_or_default()),
    ]
}

/// `200 disclosed`, `404 not-found`, `signal: enumeration (numbers 20)`, or the kind.
fn outcome(view: &View) -> String {
    if view.kind == "signal" {
        let details = view.findings().map(|details| format!(" ({details})")).unwrap_or_default();
        return format!("signal: {}{details}", view.outcome());
    }
    match view.status.filter(|_| matches!(view.kind.as_ref(), "disclosure" | "refusal")) {
        Some(status) => {
            let marks = [(view.legal.is_some(), ", legal grant"), (view.canary, ", canary")];
            let marks: String = marks.into_iter().filter_map(|(is, mark)| is.then_some(mark)).collect();
            format!("{status} {}{marks}", view.outcome())
        }
        None => view.outcome().to_owned(),
    }
}

/// `3`, or `3 (+2 withheld)`.
fn records(view: &View) -> String {
    match view.records {
        None => String::new(),
        Some(records) if records.withheld == 0 => records.released.to_string(),
        Some(records) => format!("{} (+{} withheld)", records.released, records.withheld),
    }
}

fn shown(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::super::tests::{READ, REFUSED, SIGNAL, STARTED, export};
    use super::*;

    fn lines(entries: &[(u64, Option<&str>)]) -> Vec<String> {
        let text = String::from_utf8(export(Form::Table, entries)).unwrap();
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn rows_read_as_a_sentence() {
        let lines = lines(&[(6, Some(READ)), (7, Some(REFUSED)), (0, Some(STARTED)), (5, None)]);
        assert_eq!(
            lines,
            [
                "NUMBER TIME CONTRACTOR TASK REQUEST OUTCOME RECORDS FIELDS",
                "6 2026-11-25T12:48:47.181Z helpdesk answer-ticket GET /tickets/{ticket_id} \
                 200 disclosed 3 (+2 withheld) 3",
                "7 2026-11-25T12:48:47.206Z helpdesk GET 404 not-found",
                "0 2026-11-25T12:48:34.154Z started",
                "5 pruned",
            ]
        );
    }

    #[test]
    fn signals_and_what_they_are_about_catch_the_eye() {
        let touched = READ.replace("\"members_withheld\"", "\"canary\":true,\"members_withheld\"");
        let lines = lines(&[(8, Some(SIGNAL)), (6, Some(&touched))]);
        assert_eq!(
            lines[1],
            "8 2026-11-25T12:48:47.306Z helpdesk answer-ticket /tickets/{ticket_id} \
             signal: enumeration (numbers 20, pattern sequential, step 1)"
        );
        assert!(lines[2].contains("200 disclosed, canary"), "{}", lines[2]);
        let granted = touched.replace("\"members_withheld\"", "\"legal\":{},\"members_withheld\"");
        assert!(self::lines(&[(6, Some(&granted))])[1].contains("200 disclosed, legal grant, canary"));
    }

    #[test]
    fn each_page_has_a_header_and_no_page_is_empty() {
        let headers = |count: usize| {
            let entries: Vec<_> = (0..count as u64).map(|number| (number, Some(STARTED))).collect();
            let lines = lines(&entries);
            let headers = lines.iter().filter(|line| line.starts_with("NUMBER")).count();
            assert_eq!(lines.len(), headers + count);
            headers
        };
        assert_eq!([headers(0), headers(1), headers(PAGE), headers(PAGE + 1)], [1, 1, 1, 2]);
    }

    #[test]
    fn an_entry_cannot_steer_the_terminal() {
        let leaf = r#"{"kind":"access","time":0,"contractor":"\u001b[2J\nx"}"#;
        let text = String::from_utf8(export(Form::Table, &[(0, Some(leaf))])).unwrap();
        assert!(!text.contains('\u{1b}') && text.lines().count() == 2, "{text}");
    }
}
