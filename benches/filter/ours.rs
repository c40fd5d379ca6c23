//! Every call into Fieldgate.

use anyhow::{Result, anyhow};
use fieldgate::filter::{Condition, Filter, Outcome, Path, Selection, Treatment};

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
    Ok(Filter::compile(&Selection { records, subject: None, when, disclose })?)
}

/// The rule that discloses `fields` of each record.
pub fn for_records(shape: Shape, fields: &[&str]) -> Result<Filter> {
    let paths: Vec<String> = fields.iter().map(|field| format!("@.{field}")).collect();
    let disclose: Vec<&str> = paths.iter().map(String::as_str).collect();
    let records = if shape == Shape::List { Some("$.data[*]") } else { None };
    compile(&Rule { records, disclose: &disclose, ..Rule::default() })
}

/// A body that is withheld as a whole gives nothing.
pub fn document(filter: &Filter, body: &[u8]) -> Result<Vec<u8>> {
    match filter.reduce(body).map_err(|fault| anyhow!("{fault}"))? {
        Outcome::Reduced { body, .. } => Ok(body),
        Outcome::Withheld => Ok(Vec::new()),
    }
}

/// A body of one record a line.
pub fn lines(filter: &Filter, body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() / 4);
    crate::peers::for_each_line(body, |line| {
        out.extend_from_slice(&document(filter, line)?);
        out.push(b'\n');
        Ok(())
    })?;
    Ok(out)
}

/// The instructions that the filter chose on this machine.
pub fn instructions() -> &'static str {
    "scalar"
}
