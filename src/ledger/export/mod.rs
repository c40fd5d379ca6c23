//! Entries, written in a form that other programs read.
//!
//! An exporter takes entries one after another and holds no more of them than its form needs: none
//! (JSON lines, CSV, OCSF), a page (table), a row group (Parquet). What is written does not depend on
//! the time or the machine of the export.

mod columns;
mod csv;
mod jsonl;
mod manifest;
mod ocsf;
#[cfg(feature = "parquet")]
mod parquet;
mod table;

use std::error::Error;
use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

pub use self::manifest::{Hashing, Manifest};
use super::view::View;

/// What an export looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// For people.
    Table,
    /// The entries' bytes, one a line.
    JsonLines,
    /// RFC 4180.
    Csv,
    /// One OCSF event a line.
    Ocsf,
    /// Apache Parquet, with the columns of `Csv`.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The output took no more. The source tells a broken pipe from a full disk.
    #[error("the export cannot be written")]
    Write(#[from] io::Error),
    /// The bytes are not an entry. What came before it is written.
    #[error("entry {number} is damaged")]
    Damaged { number: u64, source: Box<dyn Error + Send + Sync> },
}

/// Writes entries to `W` in one form.
///
/// `W` is written to in small pieces where the form is JSON lines, OCSF or a table: give it a buffer.
pub struct Exporter<W: Write> {
    sink: Sink<W>,
}

enum Sink<W: Write> {
    Table(table::Pages<W>),
    JsonLines(jsonl::Lines<W>),
    Csv(csv::Rows<W>),
    Ocsf(ocsf::Events<W>),
    #[cfg(feature = "parquet")]
    Parquet(parquet::RowGroups<W>),
}

impl<W: Write> Exporter<W> {
    /// # Errors
    /// `ExportError::Write`, where the form begins with a header that cannot be written.
    pub fn new(form: Form, out: W) -> Result<Self, ExportError> {
        let sink = match form {
            Form::Table => Sink::Table(table::Pages::new(out)),
            Form::JsonLines => Sink::JsonLines(jsonl::Lines::new(out)),
            Form::Csv => Sink::Csv(csv::Rows::new(out)?),
            Form::Ocsf => Sink::Ocsf(ocsf::Events::new(out)),
            #[cfg(feature = "parquet")]
            Form::Parquet => Sink::Parquet(parquet::RowGroups::new(out)?),
        };
        Ok(Self { sink })
    }

    /// Takes the entry at `position`. `None` is an entry whose content was pruned: it is written as a
    /// row with its number and the outcome `pruned`.
    ///
    /// # Errors
    /// `ExportError::Damaged` where the bytes are not an entry: nothing of it is written, and the next
    /// entry can be taken. `ExportError::Write` where the output takes no more.
    pub fn entry(&mut self, position: u64, leaf: Option<&[u8]>) -> Result<(), ExportError> {
        // The bytes go out as they are, so they are not read.
        if let Sink::JsonLines(lines) = &mut self.sink {
            return lines.entry(position, leaf);
        }
        let row = Row::read(position, leaf)?;
        match &mut self.sink {
            Sink::JsonLines(_) => Ok(()),
            Sink::Table(pages) => pages.entry(&row),
            Sink::Csv(rows) => rows.entry(&row),
            Sink::Ocsf(events) => events.entry(&row),
            #[cfg(feature = "parquet")]
            Sink::Parquet(groups) => groups.entry(&row),
        }
    }

    /// Writes what is left, flushes, and gives the output back. Without it, an export is not whole.
    ///
    /// # Errors
    /// `ExportError::Write`.
    pub fn finish(self) -> Result<W, ExportError> {
        let mut out = match self.sink {
            Sink::Table(pages) => pages.finish()?,
            Sink::JsonLines(lines) => lines.finish(),
            Sink::Csv(rows) => rows.finish()?,
            Sink::Ocsf(events) => events.finish(),
            #[cfg(feature = "parquet")]
            Sink::Parquet(groups) => groups.finish()?,
        };
        out.flush()?;
        Ok(out)
    }
}

/// The entry at `position` as an OCSF event: one JSON object, without a newline.
///
/// # Errors
/// Where the bytes are not an entry.
pub fn ocsf_event(position: u64, leaf: &[u8]) -> Result<Vec<u8>, ExportError> {
    let mut exporter = Exporter::new(Form::Ocsf, Vec::with_capacity(2 * leaf.len()))?;
    exporter.entry(position, Some(leaf))?;
    let mut event = exporter.finish()?;
    event.pop_if(|last| *last == b'\n');
    Ok(event)
}

/// One OCSF event for `count` entries from number `first` on, whose content was pruned.
///
/// # Errors
/// Where there is no memory for it.
pub fn ocsf_gone(first: u64, count: u64) -> Result<Vec<u8>, ExportError> {
    ocsf::gone(first, count).map_err(|error| ExportError::Write(error.into()))
}

/// One entry with its number.
struct Row<'a> {
    number: u64,
    /// `None` where the entry's content was pruned.
    entry: Option<(Timestamp, View<'a>)>,
}

impl<'a> Row<'a> {
    fn read(number: u64, leaf: Option<&'a [u8]>) -> Result<Self, ExportError> {
        let Some(leaf) = leaf else { return Ok(Self { number, entry: None }) };
        let view = View::parse(leaf).map_err(|error| damaged(number, error))?;
        // Any JSON object passes as a view; what says no kind is not an entry.
        if view.kind.is_empty() {
            return Err(damaged(number, "it has no kind"));
        }
        let time = Timestamp::from_microsecond(view.time).map_err(|error| damaged(number, error))?;
        Ok(Self { number, entry: Some((time, view)) })
    }

    fn view(&self) -> Option<&View<'a>> {
        self.entry.as_ref().map(|(_, view)| view)
    }

    fn outcome(&self) -> &str {
        self.view().map_or("pruned", View::outcome)
    }
}

fn damaged(number: u64, source: impl Into<Box<dyn Error + Send + Sync>>) -> ExportError {
    ExportError::Damaged { number, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const READ: &str = r#"{"v":1,"kind":"disclosure","id":"01a2","time":1795610927181632,"contractor":"helpdesk","credential":"helpdesk-desk","method":"GET","route":"/tickets/{ticket_id}","rules":"36d5","task":"answer-ticket","purpose":"Answer, quickly","basis":"contract","agreement":"DPA-31","jurisdictions":"US to IE","transfer":"scc","upstream":"support","status":200,"bytes":307,"records":{"released":3,"withheld":2,"without_subject":0},"members_withheld":6,"fields":[{"path":"@['id','status']","disclosed":4,"withheld":0},{"path":"@.customer.phone","transform":"mask","disclosed":3,"withheld":1},{"path":"$.total","disclosed":1,"withheld":0}],"subjects_total":3,"parts":1,"subjects":["c3e6"],"index":6,"sequence":1}"#;
    pub(super) const REFUSED: &str = r#"{"v":1,"kind":"refusal","id":"01a3","time":1795610927206420,"contractor":"helpdesk","credential":"helpdesk-desk","method":"GET","route":null,"rules":"36d5","task":null,"status":404,"code":"not-found","cause":"no route","index":7,"sequence":2}"#;
    pub(super) const SIGNAL: &str = r#"{"v":1,"kind":"signal","id":"01a4","time":1795610927306420,"signal":"enumeration","contractor":"helpdesk","credential":"helpdesk-desk","task":"answer-ticket","route":"/tickets/{ticket_id}","details":{"pattern":"sequential","numbers":20,"step":1},"entries":["01a2","01a3"],"index":8,"sequence":3}"#;
    pub(super) const STARTED: &str =
        r#"{"v":1,"kind":"started","id":"01a1","time":1795610914154869,"version":"0.1.0","index":0}"#;

    /// What the form makes of the entries.
    pub(super) fn export(form: Form, entries: &[(u64, Option<&str>)]) -> Vec<u8> {
        let mut exporter = Exporter::new(form, Vec::new()).unwrap();
        for (position, leaf) in entries {
            exporter.entry(*position, leaf.map(str::as_bytes)).unwrap();
        }
        exporter.finish().unwrap()
    }

    pub(super) fn forms() -> Vec<Form> {
        vec![
            Form::Table,
            Form::JsonLines,
            Form::Csv,
            Form::Ocsf,
            #[cfg(feature = "parquet")]
            Form::Parquet,
        ]
    }

    /// A pipe that nobody reads.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn into_broken(form: Form) -> Result<(), ExportError> {
        let mut exporter = Exporter::new(form, Broken)?;
        exporter.entry(6, Some(READ.as_bytes()))?;
        exporter.finish().map(drop)
    }

    #[test]
    fn a_broken_pipe_is_recognisable_in_every_form() {
        for form in forms() {
            let error = into_broken(form).unwrap_err();
            assert!(
                matches!(&error, ExportError::Write(io) if io.kind() == io::ErrorKind::BrokenPipe),
                "{form:?}: {error:?}"
            );
        }
    }

    #[test]
    fn a_damaged_entry_is_named_and_the_next_one_is_taken() {
        for form in [Form::Table, Form::Csv, Form::Ocsf] {
            let whole = export(form, &[(6, Some(READ))]);
            let mut exporter = Exporter::new(form, Vec::new()).unwrap();
            for leaf in ["{\"kind\":", "{}", "[]", r#"{"kind":"started","time":9223372036854775807}"#] {
                let error = exporter.entry(41, Some(leaf.as_bytes())).unwrap_err();
                assert!(matches!(error, ExportError::Damaged { number: 41, .. }), "{form:?} {leaf}");
                assert_eq!(error.to_string(), "entry 41 is damaged");
            }
            exporter.entry(6, Some(READ.as_bytes())).unwrap();
            assert_eq!(exporter.finish().unwrap(), whole);
        }
    }

    #[test]
    fn no_form_of_text_loses_a_pruned_entry() {
        for form in [Form::Table, Form::JsonLines, Form::Csv, Form::Ocsf] {
            let text = String::from_utf8(export(form, &[(4711, None)])).unwrap();
            assert!(text.contains("4711") && text.contains("pruned"), "{form:?}: {text}");
        }
    }
}
