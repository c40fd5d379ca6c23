//! JSON lines: the entries' bytes.

use std::io::Write;

use serde::Serialize;

use super::{ExportError, damaged};

/// Writes each entry's bytes and a newline. The bytes are those that the ledger's hashes are over, so
/// the lines can be checked against its tree.
pub(super) struct Lines<W: Write> {
    out: W,
}

/// Stands for an entry whose content was pruned.
#[derive(Serialize)]
struct Pruned {
    index: u64,
    pruned: bool,
}

impl<W: Write> Lines<W> {
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// # Errors
    /// The entry is damaged where its bytes are not one line; whether they are JSON is not looked at.
    pub fn entry(&mut self, number: u64, leaf: Option<&[u8]>) -> Result<(), ExportError> {
        match leaf {
            // A line break in it would make two lines of it; no entry is written with one.
            Some(leaf) if leaf.contains(&b'\n') => return Err(damaged(number, "it is not one line")),
            Some(leaf) => self.out.write_all(leaf)?,
            None => {
                let pruned = Pruned { index: number, pruned: true };
                self.out.write_all(&serde_json::to_vec(&pruned).map_err(std::io::Error::from)?)?;
            }
        }
        Ok(self.out.write_all(b"\n")?)
    }

    pub fn finish(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{READ, export};
    use super::super::{Exporter, Form};
    use super::*;

    #[test]
    fn the_bytes_are_verbatim_and_a_pruned_entry_is_a_line_too() {
        // Not as serde_json would write it: the spaces stay.
        let odd = r#"{ "kind" : "hold", "time":1 }"#;
        let text = export(Form::JsonLines, &[(6, Some(READ)), (7, None), (8, Some(odd))]);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            format!("{READ}\n{{\"index\":7,\"pruned\":true}}\n{odd}\n")
        );
    }

    #[test]
    fn an_entry_of_two_lines_is_damaged() {
        let mut exporter = Exporter::new(Form::JsonLines, Vec::new()).unwrap();
        let error = exporter.entry(3, Some(b"{\n}")).unwrap_err();
        assert!(matches!(error, ExportError::Damaged { number: 3, .. }));
        assert!(exporter.finish().unwrap().is_empty());
    }
}
