//! Takes parts out of a TOML text and leaves the rest as its author wrote it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub struct Editor<'t> {
    text: &'t str,
    /// Where each `[table]` and `[[table]]` begins.
    headers: Vec<usize>,
    /// Each with what it is for.
    edits: Vec<(usize, Range<usize>, String)>,
    /// What the edits to come are for.
    pub purpose: usize,
}

impl<'t> Editor<'t> {
    pub fn new(text: &'t str, root: &DeTable) -> Self {
        let mut headers = Vec::new();
        root.iter().for_each(|(_, value)| collect(text, value, &mut headers));
        headers.sort_unstable();
        Editor { text, headers, edits: Vec::new(), purpose: 0 }
    }

    /// Takes a table out, with those in it and with the comment above it. False where it has no header.
    pub fn remove_section(&mut self, table: &Spanned<DeValue>) -> bool {
        let mut own = Vec::new();
        collect(self.text, table, &mut own);
        let begin = table.span().start;
        if !own.contains(&begin) {
            return false;
        }
        let next = self.headers.iter().find(|header| **header > begin && !own.contains(header));
        let end = next.map_or(self.text.len(), |next| self.with_comment(*next));
        self.push(self.with_comment(begin)..end, "");
        true
    }

    /// Takes an item out of a list; with its line, where it has one for itself.
    pub fn remove_item(&mut self, item: Range<usize>) -> bool {
        let line = self.line_of(item.start);
        let after = &self.text[item.end..];
        let rest = after.trim_start_matches([' ', '\t']);
        let has_comma = rest.starts_with(',');
        let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start_matches([' ', '\t']);
        let stands_alone = self.text[line..item.start].trim().is_empty();
        let is_last_of_line = rest.starts_with(['\n', '\r', '#']);
        let range = if stands_alone && is_last_of_line {
            let end = rest.find('\n').map_or(rest.len(), |at| at + 1);
            line..self.text.len() - rest.len() + end
        } else if has_comma {
            item.start..self.text.len() - rest.len()
        } else {
            // The comma before it, if there is one.
            let before = self.text[..item.start].trim_end();
            before.strip_suffix(',').map_or(item.start, str::len)..item.end
        };
        self.push(range, "");
        true
    }

    /// Whether it is written as a `[[table]]`.
    pub fn is_table_of_its_own(&self, value: &Spanned<DeValue>) -> bool {
        self.text[value.span().start..].starts_with('[')
    }

    /// An item of a list of fields, with this transform in the place of what it had: in its author's own words
    /// otherwise. `None` where it is written in another form.
    pub fn reduced(&self, item: &Spanned<DeValue>, transform: &str, keeps_text: bool) -> Option<String> {
        let table = match item.get_ref() {
            DeValue::String(_) => {
                return Some(format!(
                    "{{ path = {}, transform = \"{transform}\" }}",
                    &self.text[item.span()]
                ));
            }
            DeValue::Table(table) if self.text[item.span()].starts_with('{') => table,
            _ => return None,
        };
        let goes = |key: &str| {
            matches!(key, "transform" | "keep_first" | "keep_last" | "length" | "whole")
                || key == "scan" && !keeps_text
        };
        let mut kept: Vec<_> = table.iter().filter(|(key, _)| !goes(key.get_ref())).collect();
        kept.sort_by_key(|(key, _)| key.span().start);
        let pairs = kept.into_iter().map(|(key, value)| (key.get_ref().as_ref(), &self.text[value.span()]));
        let mut parts: Vec<String> = pairs.map(|(key, value)| format!("{key} = {value}")).collect();
        parts.insert(parts.len().min(1), format!("transform = \"{transform}\""));
        Some(format!("{{ {} }}", parts.join(", ")))
    }

    pub fn replace(&mut self, value: Range<usize>, by: &str) -> bool {
        self.push(value, by);
        true
    }

    fn push(&mut self, range: Range<usize>, by: &str) {
        self.edits.push((self.purpose, range, by.to_owned()));
    }

    /// The text with the edits for what `is_wanted`.
    pub fn text(&self, is_wanted: impl Fn(usize) -> bool) -> String {
        let mut edits: Vec<_> = self.edits.iter().filter(|(purpose, ..)| is_wanted(*purpose)).collect();
        edits.sort_by_key(|(_, range, _)| (range.start, range.end));
        let (mut out, mut at) = (String::with_capacity(self.text.len()), 0);
        for (_, range, by) in edits {
            // What lies in a part that is gone is gone with it.
            if range.start >= at {
                out.push_str(&self.text[at..range.start]);
                out.push_str(by);
            }
            at = at.max(range.end);
        }
        out.push_str(&self.text[at..]);
        out
    }

    /// The beginning of the comment lines right above a header, or of its own line.
    fn with_comment(&self, header: usize) -> usize {
        let mut begin = self.line_of(header);
        while begin > 0 {
            let above = self.line_of(begin - 1);
            if !self.text[above..begin].trim_start().starts_with('#') {
                break;
            }
            begin = above;
        }
        begin
    }

    fn line_of(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |end| end + 1)
    }
}

/// The headers of a table and of those in it.
fn collect(text: &str, value: &Spanned<DeValue>, headers: &mut Vec<usize>) {
    match value.get_ref() {
        DeValue::Table(table) => {
            let begin = value.span().start;
            if text[begin..].starts_with('[') && !headers.contains(&begin) {
                headers.push(begin);
            }
            table.iter().for_each(|(_, value)| collect(text, value, headers));
        }
        DeValue::Array(list) => list.iter().for_each(|value| collect(text, value, headers)),
        _ => {}
    }
}
