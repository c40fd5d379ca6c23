//! Every call into Fieldgate.

use anyhow::{Result, anyhow};
use fieldgate::filter::{Condition, Filter, Format, Path, Reduction, Selection, Treatment, Verdict};

use crate::rule::Shape;

/// Containers around a value, at most.
pub use fieldgate::filter::MAX_DEPTH;

/// The text of a rule, as far as the filter sees it.
#[derive(Clone, Copy, Default)]
pub struct Rule<'a> {
    pub records: Option<&'a str>,
    pub when: Option<&'a str>,
    pub disclose: &'a [&'a str],
    /// Subtrees leave whole.
    pub whole: bool,
}

pub fn compile(rule: &Rule) -> Result<Filter> {
    let treatment = if rule.whole { Treatment::whole() } else { Treatment::plain() };
    let mut disclose = Vec::new();
    for path in rule.disclose {
        disclose.push((Path::parse(path)?, treatment.clone()));
    }
    let records = rule.records.map(Path::parse).transpose()?;
    let when = rule.when.map(Condition::parse).transpose()?;
    Ok(Filter::compile(&Selection { records, when, disclose, ..Selection::default() })?)
}

/// The rule that discloses `fields` of each record.
pub fn for_records(shape: Shape, fields: &[&str]) -> Result<Filter> {
    let paths: Vec<String> = fields.iter().map(|field| format!("@.{field}")).collect();
    let disclose: Vec<&str> = paths.iter().map(String::as_str).collect();
    let records = if shape == Shape::List { Some("$.data[*]") } else { None };
    compile(&Rule { records, disclose: &disclose, ..Rule::default() })
}

/// The memory of one reduction after another.
#[derive(Default)]
pub struct Ours(Reduction);

impl Ours {
    /// A body that is withheld as a whole gives nothing.
    pub fn document(&mut self, filter: &Filter, body: &[u8]) -> Result<Vec<u8>> {
        match self.0.reduce(filter, body).map_err(|fault| anyhow!("{fault}"))? {
            Verdict::Reduced => Ok(self.0.body().to_vec()),
            Verdict::Withheld => Ok(Vec::new()),
        }
    }

    /// A body of one record a line.
    pub fn lines(&mut self, filter: &Filter, body: &[u8]) -> Result<Vec<u8>> {
        self.0.begin(filter, Format::Lines);
        self.0.feed(filter, body).map_err(|fault| anyhow!("{fault}"))?;
        self.0.finish(filter).map_err(|fault| anyhow!("{fault}"))?;
        Ok(self.0.body().to_vec())
    }
}

/// The instructions that the filter chose on this machine.
pub fn instructions() -> &'static str {
    fieldgate::filter::instructions()
}
