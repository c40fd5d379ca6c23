//! CSV: RFC 4180, safe to open in a spreadsheet.

use std::borrow::Cow;
use std::io::{self, Write};

use csv::{ErrorKind, Terminator, Writer, WriterBuilder};

use super::columns::{COLUMNS, Cell};
use super::{ExportError, Row};

/// What makes a formula of a cell that begins with it: OWASP, CSV Injection; the null is from OWASP
/// ASVS 5.0, 1.2.10.
const FORMULA: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠'];

/// Where spreadsheet programs begin a cell, by locale or by choice. They do not all heed quotes that
/// stand for another separator's.
const SEPARATORS: [char; 6] = [',', ';', '\t', '\r', '\n', '|'];

/// Writes a header, then one record an entry: RFC 4180, sections 2.1 to 2.7, in UTF-8. Times are
/// RFC 3339, UTC, with microseconds; what an entry does not have is an empty field.
///
/// No cell is a formula, and none becomes one where a program splits it: see [`inert`]. The exact
/// texts are in the form of JSON lines.
pub(super) struct Rows<W: Write> {
    writer: Writer<W>,
}

impl<W: Write> Rows<W> {
    pub fn new(out: W) -> Result<Self, ExportError> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        writer.write_record(COLUMNS.iter().map(|column| column.name)).map_err(write_error)?;
        Ok(Self { writer })
    }

    pub fn entry(&mut self, row: &Row) -> Result<(), ExportError> {
        for column in &COLUMNS {
            let cell = match column.cell(row) {
                Cell::Absent => Cow::Borrowed(""),
                Cell::Text(Cow::Borrowed(text)) => inert(text),
                Cell::Text(Cow::Owned(text)) => inert(&text).into_owned().into(),
                Cell::Count(count) => count.to_string().into(),
                Cell::Time(time) => format!("{time:.6}").into(),
            };
            self.writer.write_field(cell.as_bytes()).map_err(write_error)?;
        }
        self.writer.write_record(None::<&[u8]>).map_err(write_error)
    }

    pub fn finish(self) -> Result<W, ExportError> {
        Ok(self.writer.into_inner().map_err(|error| error.into_error())?)
    }
}

/// The text with an apostrophe before each formula character that begins it or could begin a cell of
/// it: after a separator, spaces and quotes in between left aside. One apostrophe at the text's own
/// beginning would not be enough: `a; @b` is two cells where the separator is a semicolon.
///
/// This meets JSONPaths: `@.name` (a formula to Excel) gets one, `$.name` needs none.
fn inert(text: &str) -> Cow<'_, str> {
    let mut safe = String::new();
    let mut taken = 0;
    let mut begins = true;
    for (at, character) in text.char_indices() {
        if begins && FORMULA.contains(&character) {
            safe.push_str(&text[taken..at]);
            safe.push('\'');
            taken = at;
        }
        begins = SEPARATORS.contains(&character) || (begins && matches!(character, ' ' | '"'));
    }
    if taken == 0 && safe.is_empty() {
        return text.into();
    }
    safe.push_str(&text[taken..]);
    safe.into()
}

/// The error of the output, so that its kind is seen.
fn write_error(error: csv::Error) -> ExportError {
    match error.into_kind() {
        ErrorKind::Io(error) => error.into(),
        other => io::Error::other(format!("{other:?}")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::super::tests::{READ, REFUSED, STARTED, export};
    use super::*;

    fn read_back(entries: &[(u64, Option<&str>)]) -> Vec<std::collections::HashMap<String, String>> {
        let bytes = export(Form::Csv, entries);
        csv::Reader::from_reader(bytes.as_slice()).deserialize().map(Result::unwrap).collect()
    }

    #[test]
    fn a_reader_gets_the_cells_back() {
        let rows = read_back(&[(6, Some(READ)), (7, Some(REFUSED)), (0, Some(STARTED)), (5, None)]);
        assert_eq!(rows.len(), 4);
        for (name, cell) in [
            ("number", "6"),
            ("time", "2026-11-25T12:48:47.181632Z"),
            ("purpose", "Answer, quickly"),
            ("route", "/tickets/{ticket_id}"),
            ("outcome", "disclosed"),
            ("status", "200"),
            ("from_country", "US"),
            ("to_country", "IE"),
            ("records_released", "3"),
            ("records_withheld", "2"),
            ("subjects", "3"),
            ("fields", "'@['id','status'] 4; '@.customer.phone (mask) 3; $.total 1"),
            ("reason", ""),
        ] {
            assert_eq!(rows[0][name], cell, "{name}");
        }
        assert_eq!((rows[1]["outcome"].as_str(), rows[1]["status"].as_str()), ("not-found", "404"));
        assert_eq!(rows[2]["outcome"], "started");
        assert_eq!((rows[3]["number"].as_str(), rows[3]["outcome"].as_str()), ("5", "pruned"));
        assert_eq!(rows[3]["time"], "");
    }

    #[test]
    fn an_export_of_nothing_is_a_header_and_lines_end_as_the_rfc_says() {
        let text = String::from_utf8(export(Form::Csv, &[])).unwrap();
        assert!(
            text.starts_with("number,time,kind,id,contractor,")
                && text.ends_with(",hold_until,hold_reference,node\r\n")
        );
        let text = String::from_utf8(export(Form::Csv, &[(6, Some(READ)), (7, None)])).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.split_inclusive('\n').all(|line| line.ends_with("\r\n")));
    }

    #[test]
    fn no_cell_begins_as_a_formula() {
        for begin in FORMULA {
            assert_eq!(inert(&format!("{begin}1")), format!("'{begin}1"));
        }
        assert_eq!(inert(" =1"), " '=1");
        assert_eq!(inert("\"=1\""), "\"'=1\"");
        assert_eq!(inert("\t=1"), "'\t'=1");
    }

    #[test]
    fn no_part_of_a_cell_begins_as_a_formula() {
        for separator in SEPARATORS {
            assert_eq!(inert(&format!("a{separator}=1")), format!("a{separator}'=1"));
            assert_eq!(inert(&format!("a{separator} \"@1")), format!("a{separator} \"'@1"));
        }
        assert_eq!(inert("a\";-1+2"), "a\";'-1+2");
    }

    #[test]
    fn a_json_path_of_the_item_gets_an_apostrophe_and_one_of_the_root_does_not() {
        assert_eq!(inert("@.customer.phone"), "'@.customer.phone");
        assert_eq!(inert("@['a','b']"), "'@['a','b']");
        assert_eq!(inert("$.generated_at"), "$.generated_at");
        assert_eq!(inert("$['a','-b']"), "$['a','-b']");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["", "DPA-2026-031", "a@b", "1+1=2", "a, b; c", "/orders/{order_id}", "é＝"] {
            assert!(matches!(inert(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn a_formula_in_an_entry_is_a_text_in_the_export() {
        let leaf = r#"{"kind":"access","time":0,"by":"=HYPERLINK(\"x\")","reason":"a\n+1"}"#;
        let rows = read_back(&[(1, Some(leaf))]);
        assert_eq!(rows[0]["by"], "'=HYPERLINK(\"x\")");
        assert_eq!(rows[0]["reason"], "a\n'+1");
    }
}
