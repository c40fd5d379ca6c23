//! Errors that point into files: what is wrong, where, and what would be right.
//!
//! **Guarantees.** A diagnostic names file, line, column and key, and shows the line, unless that can name
//! customers. All that is wrong with a file is reported in one go.
//!
//! **Trusts** nobody. **Must not** know what the files mean. **Called by** `rules` and `config`,
//! which read files through [`table`], and by the commands, which print.

pub mod codes;
pub mod print;
pub mod table;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use codes::Code;

/// A file's name, as it is shown, and its text.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Source { name: name.into(), text: text.into() })
    }

    /// The name without its folders.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[begin..].chars().count() + 1)
    }

    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number - 1).unwrap_or("")
    }

    /// The text without the values of these keys: in the place of each of their lines stands a note.
    pub fn without(&self, keys: &[&str]) -> String {
        let line = |(at, text): (usize, &str)| match self.is_within(at + 1, keys) {
            true => "# (not shown: it can name customers)\n".to_owned(),
            false => format!("{text}\n"),
        };
        self.text.lines().enumerate().map(line).collect()
    }

    /// Whether a line belongs to the value of one of these keys, as far as can be told of a text that may not be
    /// TOML: it names the key, or of the lines before it the next one that begins a key or a table does.
    fn is_within(&self, line: usize, keys: &[&str]) -> bool {
        if keys.is_empty() {
            return false;
        }
        let lines: Vec<&str> = self.text.lines().take(line).collect();
        for text in lines.into_iter().rev() {
            let names = |key: &&str| {
                let rests = text.match_indices(*key).map(|(at, _)| text[at + key.len()..].trim_start());
                rests.into_iter().any(|rest| rest.starts_with(['=', '"', '\'']))
            };
            if keys.iter().any(names) {
                return true;
            }
            let text = text.trim_start();
            let bare = text.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-. ".contains(c));
            let is_table = text.strip_prefix('[').is_some_and(|rest| !rest.trim().starts_with(['"', '\'']));
            if is_table || (bare.starts_with('=') && bare.len() < text.len()) {
                return false;
            }
        }
        false
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but its author should look.
    Warning,
    /// Nothing is wrong; it costs something that its author may want to know.
    Note,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// One thing that is wrong, or doubtful, in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub source: Arc<Source>,
    /// Byte range in the source.
    pub span: Range<usize>,
    /// The key concerned, from the file's top: `task[0].limits.burst`.
    pub key: String,
    pub message: String,
    /// What would be right.
    pub help: String,
    /// Keys whose values are not shown.
    private: &'static [&'static str],
}

impl Diagnostic {
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }

    /// Line and column, both from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }

    /// Line and column behind the last character, both from 1.
    pub fn end(&self) -> (usize, usize) {
        self.source.position(self.span.end.max(self.span.start))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = format!("{}[{}]", self.severity().word(), self.code.id());
        let (line, column) = self.position();
        let text = self.source.line(line);
        let margin = line.to_string().len();
        let span = &self.source.text[self.source.floor(self.span.start)..self.source.floor(self.span.end)];
        let width = span.lines().next().map_or(0, |first| first.chars().count()).max(1);
        if self.key.is_empty() {
            writeln!(f, "{severity}: {}", self.message)?;
        } else {
            writeln!(f, "{severity}: `{}` {}", self.key, self.message)?;
        }
        writeln!(f, "{:margin$}--> {}:{line}:{column}", "", self.source.name)?;
        writeln!(f, "{:margin$} |", "")?;
        if self.source.is_within(line, self.private) {
            writeln!(f, "{line} | (not shown: it can name customers)")?;
        } else {
            writeln!(f, "{line} | {}", text.replace('\t', " "))?;
            writeln!(f, "{:margin$} | {}{}", "", " ".repeat(column - 1), "^".repeat(width))?;
        }
        write!(f, "{:margin$} = {}", "", self.help)
    }
}

/// Collects what is found in one file.
#[derive(Debug)]
pub struct Report {
    source: Arc<Source>,
    private: &'static [&'static str],
    pub found: Vec<Diagnostic>,
}

impl Report {
    pub fn new(source: Arc<Source>) -> Self {
        Report { source, private: &[], found: Vec::new() }
    }

    /// Shows no line of the values of these keys: what is printed gets into logs.
    pub fn hiding(source: Arc<Source>, private: &'static [&'static str]) -> Self {
        Report { private, ..Report::new(source) }
    }

    /// The file that it is about.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// Whether the line that a diagnostic at `span` shows holds a part of `other`.
    pub fn shares_line(&self, span: &Range<usize>, other: &Range<usize>) -> bool {
        let line = |offset| self.source.position(offset).0;
        (line(other.start)..=line(other.end)).contains(&line(span.start))
    }

    /// Adds what was found; its code says how grave it is.
    pub fn add(
        &mut self,
        code: Code,
        span: &Range<usize>,
        key: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.found.push(Diagnostic {
            private: self.private,
            code,
            source: Arc::clone(&self.source),
            span: span.clone(),
            key: key.to_owned(),
            message: message.into(),
            help: help.into(),
        });
    }
}

/// Whether any of them makes the files unusable.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity() == Severity::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_shows_the_line_with_a_caret_under_the_right_character() {
        let source = Source::new("rules/x.toml", "a = 1\nnäme = \"wröng\"\n");
        let at = source.text.find("\"wr").unwrap();
        let mut report = Report::new(Arc::clone(&source));
        report.add(codes::NOT_UNDERSTOOD, &(at..at + 8), "name", "is wrong", "write \"right\"");
        assert_eq!(
            report.found[0].to_string(),
            "error[E105]: `name` is wrong\n --> rules/x.toml:2:8\n  |\n2 | näme = \"wröng\"\n  |        ^^^^^^^\n  = write \"right\""
        );
    }

    #[test]
    fn lines_of_private_values_are_not_shown_whatever_is_wrong_with_them() {
        let text = "a = \"x\"\nids = [\n  \"c-1\"\n  c-2 # b = 1\n]\nb = [\n\"y\"\n]\n[t]\nz = { ids= 7 }\n\"ids\" = [8\n9]\n[u]\nw";
        let source = Source::new("rules/x.toml", text);
        let mut report = Report::hiding(Arc::clone(&source), &["ids"]);
        for (at, _) in text.match_indices('\n') {
            report.add(codes::NOT_UNDERSTOOD, &(at..at), "", "is wrong", "mend it");
        }
        let shown: Vec<bool> =
            report.found.iter().map(|found| !found.to_string().contains("not shown")).collect();
        let (yes, no) = (true, false);
        assert_eq!(shown, [yes, no, no, no, no, yes, yes, yes, yes, no, no, no, yes]);
        let all: String = report.found.iter().map(ToString::to_string).collect();
        assert!(all.contains("\"y\"") && all.contains("2 | (not shown: it can name customers)"), "{all}");
        assert!(!["c-1", "c-2", "7", "8", "9 "].iter().any(|id| all.contains(&format!("| {id}"))), "{all}");
    }
}
