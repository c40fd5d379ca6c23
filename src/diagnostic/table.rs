//! Reads TOML tables key by key, and reports every key that is missing, unknown or of the wrong type.

use std::fmt::Display;
use std::ops::Range;
use std::sync::LazyLock;

use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Report, Source, codes};

/// Something read from a file, with the place that it stands at.
#[derive(Clone, Debug)]
pub struct At<T> {
    pub value: T,
    pub span: Range<usize>,
    /// From the file's top: `task[0].id`.
    pub key: String,
    /// Nothing that the author wrote: it stands where something is missing or not understood, which is
    /// reported, so that the rest can be looked at. No check complains of it.
    pub stands_in: bool,
}

impl<T> At<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span, key: self.key, stands_in: self.stands_in }
    }
}

/// A table whose keys are asked for by name; what nobody asked for is unknown.
pub struct Table<'t> {
    entries: &'t DeTable<'t>,
    span: Range<usize>,
    path: String,
    asked: Vec<&'static str>,
}

/// One value and its key.
pub struct Value<'t> {
    value: &'t Spanned<DeValue<'t>>,
    path: String,
}

/// Parses a file and hands its top table to `read`; syntax errors are all reported, and nothing else
/// is then read.
pub fn read_file<T>(
    source: &Source,
    report: &mut Report,
    read: impl FnOnce(&mut Table, &mut Report) -> Option<T>,
) -> Option<T> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        report.add(
            codes::NOT_TOML,
            &span,
            "",
            format!("this is not TOML: {}", error.message()),
            "see https://toml.io for the format",
        );
    }
    if !errors.is_empty() {
        return None;
    }
    let mut table = Table { entries: root.get_ref(), span: 0..0, path: String::new(), asked: Vec::new() };
    let result = read(&mut table, report);
    table.finish(report);
    result
}

impl<'t> Table<'t> {
    /// The value of `key`, if it is there.
    pub fn get(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.asked.push(key);
        let value = self.entries.get(key)?;
        Some(Value { value, path: self.path_of(key) })
    }

    /// The value of `key`; reports where it is missing. `example` is what could stand there.
    pub fn require(&mut self, report: &mut Report, key: &'static str, example: &str) -> Option<Value<'t>> {
        let value = self.get(key);
        if value.is_none() {
            report.add(
                codes::MISSING_KEY,
                &self.span,
                &self.path_of(key),
                "is missing",
                format!("add {key} = {example}"),
            );
        }
        value
    }

    /// The table under `key`, or nothing where it is left out.
    pub fn table<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        read: impl FnOnce(&mut Table<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        let value = self.get(key)?;
        value.read_table(report, read)
    }

    /// The table under `key`; where it is left out, `read` finds an empty one and gives its defaults.
    pub fn table_or_empty<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        read: impl FnOnce(&mut Table<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        static NOTHING: LazyLock<DeTable<'static>> = LazyLock::new(DeTable::new);
        match self.get(key) {
            Some(value) => value.read_table(report, read),
            None => read(
                &mut Table {
                    entries: &NOTHING,
                    span: self.span.clone(),
                    path: self.path_of(key),
                    asked: Vec::new(),
                },
                report,
            ),
        }
    }

    /// The tables under `key`, each read; none where it is left out.
    pub fn tables<T>(
        &mut self,
        report: &mut Report,
        key: &'static str,
        mut read: impl FnMut(&mut Table<'t>, &mut Report) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let elements = value.list(report).unwrap_or_default();
        elements.iter().filter_map(|element| element.read_table(report, &mut read)).collect()
    }

    /// Every entry, for tables whose keys are the user's own.
    pub fn entries(&mut self) -> Vec<(&'t str, Value<'t>)> {
        let entries = self.entries.iter();
        entries
            .map(|(key, value)| (key.get_ref().as_ref(), Value { value, path: self.path_of(key.get_ref()) }))
            .collect()
    }

    /// The place of the table itself, for errors about the whole.
    pub fn at<T>(&self, value: T) -> At<T> {
        At { value, span: self.span.clone(), key: self.path.clone(), stands_in: false }
    }

    /// In the place of something that this table should have, and that is not there or not understood.
    pub fn stand_in<T>(&self, value: T) -> At<T> {
        At { stands_in: true, ..self.at(value) }
    }

    /// Reports the keys that nobody asked for.
    fn finish(&self, report: &mut Report) {
        for (key, _) in self.entries {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let help = match nearest(name, &self.asked) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            report.add(codes::UNKNOWN_KEY, &key.span(), &self.path_of(name), "is not a known key", help);
        }
    }

    fn path_of(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}

impl<'t> Value<'t> {
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub fn key(&self) -> &str {
        &self.path
    }

    pub fn at<T>(&self, value: T) -> At<T> {
        At { value, span: self.span(), key: self.path.clone(), stands_in: false }
    }

    /// In the place of this value, which is not understood.
    pub fn stand_in<T>(&self, value: T) -> At<T> {
        At { stands_in: true, ..self.at(value) }
    }

    pub fn text(&self, report: &mut Report) -> Option<&'t str> {
        match self.value.get_ref() {
            DeValue::String(text) if !text.trim().is_empty() => Some(text),
            DeValue::String(_) => {
                report.add(
                    codes::EMPTY_TEXT,
                    &self.span(),
                    &self.path,
                    "is empty",
                    "write what it is, in quotes",
                );
                None
            }
            _ => self.wrong_type(report, "a string in quotes"),
        }
    }

    /// A string that `parse` understands; its error says what would be right.
    pub fn parse<T, E: Display>(
        &self,
        report: &mut Report,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<At<T>> {
        match parse(self.text(report)?) {
            Ok(value) => Some(self.at(value)),
            Err(error) => {
                report.add(
                    codes::NOT_UNDERSTOOD,
                    &self.span(),
                    &self.path,
                    "is not understood",
                    error.to_string(),
                );
                None
            }
        }
    }

    /// One of a fixed list of words.
    pub fn word<T>(
        &self,
        report: &mut Report,
        words: &[&str],
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<At<T>> {
        self.parse(report, |text| parse(text).ok_or_else(|| format!("one of: {}", words.join(", "))))
    }

    pub fn integer(&self, report: &mut Report, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return self.wrong_type(report, "a whole number");
        };
        let value = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let inside = value.filter(|value| range.contains(value));
        if inside.is_none() {
            let help = format!("a whole number from {} to {}", range.start(), range.end());
            report.add(codes::OUT_OF_RANGE, &self.span(), &self.path, "is out of range", help);
        }
        inside
    }

    /// A number from 0 to 1.
    pub fn fraction(&self, report: &mut Report) -> Option<f64> {
        let value = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', "").parse().ok(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().parse().ok(),
            _ => return self.wrong_type(report, "a number from 0 to 1"),
        };
        let inside = value.filter(|value| (0.0..=1.0).contains(value));
        if inside.is_none() {
            let help = "a number from 0 to 1, such as 0.01";
            report.add(codes::OUT_OF_RANGE, &self.span(), &self.path, "is out of range", help);
        }
        inside
    }

    /// A string, or a whole number that stands for one.
    pub fn name(&self, report: &mut Report) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(_) => self.text(report).map(str::to_owned),
            DeValue::Integer(integer) if integer.radix() == 10 => {
                let number: Option<i64> = integer.as_str().parse().ok();
                if number.is_none() {
                    report.add(
                        codes::OUT_OF_RANGE,
                        &self.span(),
                        &self.path,
                        "is out of range",
                        "write it in quotes",
                    );
                }
                number.map(|number| number.to_string())
            }
            _ => self.wrong_type(report, "a string in quotes, or a whole number"),
        }
    }

    pub fn boolean(&self, report: &mut Report) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong_type(report, "true or false"),
        }
    }

    /// A day, without time of day.
    pub fn date(&self, report: &mut Report) -> Option<At<Date>> {
        const DAY: &str = "a day without quotes, such as 2026-12-31";
        let DeValue::Datetime(time) = self.value.get_ref() else {
            return self.wrong_type(report, DAY);
        };
        match (time.date, time.time) {
            (Some(date), None) => {
                let date = Date::new(date.year as i16, date.month as i8, date.day as i8);
                date.ok().map_or_else(|| self.wrong_type(report, DAY), |date| Some(self.at(date)))
            }
            _ => self.wrong_type(report, DAY),
        }
    }

    pub fn list(&self, report: &mut Report) -> Option<Vec<Value<'t>>> {
        let DeValue::Array(array) = self.value.get_ref() else {
            return self.wrong_type(report, "a list in square brackets");
        };
        let elements = array.iter().enumerate();
        Some(
            elements.map(|(index, value)| Value { value, path: format!("{}[{index}]", self.path) }).collect(),
        )
    }

    pub fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    pub fn is_table(&self) -> bool {
        self.value.get_ref().is_table()
    }

    pub fn read_table<T>(
        &self,
        report: &mut Report,
        read: impl FnOnce(&mut Table<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        let DeValue::Table(entries) = self.value.get_ref() else {
            return self.wrong_type(report, "a table");
        };
        let mut table = Table { entries, span: self.span(), path: self.path.clone(), asked: Vec::new() };
        let result = read(&mut table, report);
        table.finish(report);
        result
    }

    /// As [`Value::read_table`], for tables whose keys are the user's own.
    pub fn read_map<T>(
        &self,
        report: &mut Report,
        mut read: impl FnMut(&'t str, Value<'t>, &mut Report) -> Option<T>,
    ) -> Vec<T> {
        let DeValue::Table(entries) = self.value.get_ref() else {
            return self.wrong_type::<Vec<T>>(report, "a table").unwrap_or_default();
        };
        let mut table = Table { entries, span: self.span(), path: self.path.clone(), asked: Vec::new() };
        table.entries().into_iter().filter_map(|(key, value)| read(key, value, report)).collect()
    }

    fn wrong_type<T>(&self, report: &mut Report, expected: &str) -> Option<T> {
        let found = self.value.get_ref().type_str();
        report.add(
            codes::WRONG_TYPE,
            &self.span(),
            &self.path,
            format!("is of type {found}"),
            format!("write {expected}"),
        );
        None
    }
}

/// The known word that `word` is most likely a slip of.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let best = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (best.0 <= 1 + word.len() / 4).then_some(best.1)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(nearest("discloze", &["path", "disclose"]), Some("disclose"));
        assert_eq!(nearest("colour", &["path", "disclose"]), None);
    }

    #[test]
    fn everything_wrong_is_reported_at_once() {
        let source = Source::new("x.toml", "a = 1\nb = \"\"\nnmae = 2\nc = 2026-01-01T10:00:00\n");
        let mut report = Report::new(source.clone());
        read_file(&source, &mut report, |table, report| {
            table.require(report, "a", "\"x\"")?.text(report);
            table.require(report, "b", "\"x\"")?.text(report);
            table.require(report, "name", "\"x\"");
            table.get("c")?.date(report);
            Some(())
        });
        let keys: Vec<_> = report.found.iter().map(|d| (d.key.as_str(), d.position().0)).collect();
        assert_eq!(keys, [("a", 1), ("b", 2), ("name", 1), ("c", 4), ("nmae", 3)]);
    }
}
