//! The filter: JSON text and a compiled list of allowed paths in, reduced JSON text out.
//!
//! **Guarantees.** The output is built from the byte ranges of allowed values; what no path selects
//! is never part of it. Numbers, strings and order are byte for byte those of the input. Text that a
//! strict RFC 8259 parser refuses is refused, also in parts that are thrown away. A name that occurs
//! twice on the way to an allowed value, or to one that the record's condition or subject names, refuses
//! the body; where a filter selector or a `$` query meets one it decides nothing, and the value stays. The
//! same list in another order gives the same output.
//!
//! **How.** `simd` makes sets of positions out of 64 bytes, `grammar` decides on them whether the text is
//! JSON, `index` keeps where tokens begin, a window ahead of `walk`, which goes from token to token
//! as the `automaton` says, skips what is dead by counting brackets, and copies the rest. `reduction`
//! drives them while a body arrives. Where a path must see a value first, `lookahead` builds a `tree` of
//! it, and `query` looks into that.
//!
//! **Bounds.** Time is linear in the length of the body for every selection that compiles. Memory is at
//! most 160 KiB and three times what is held at once: of the output what has not left, of the body the
//! token or wanted member in work, what a condition or the subject of the record in work asks about, and a value that is
//! looked at as a whole (with 32 bytes for each value and name in it). An object in which a wildcard or a
//! `..` makes every name matter takes 16 bytes a name.
//!
//! **Trusts** that its caller bounds the size of the body; nothing else about it.
//!
//! **Must not** know of requests, files or the ledger, keep a value after it returned, or put one
//! into an error.
//!
//! **Called by** `rules`, which compiles, and `proxy::reduce`, which runs it.

use std::fmt;
use std::sync::Arc;

mod automaton;
mod body;
mod certain;
mod condition;
mod construction;
mod decision;
mod explain;
mod frame;
mod grammar;
mod index;
mod iregexp;
mod lookahead;
mod marks;
mod path;
mod patterns;
mod projection;
mod query;
mod reduction;
mod scanner;
mod sensitive;
mod simd;
mod syntax;
mod text;
mod transform;
mod treatment;
mod tree;
mod value;
mod walk;

pub use condition::Condition;
pub use explain::{Explained, Explanation, Fate, explain};
pub use grammar::MAX_DEPTH;
pub use path::{Origin, Path, PathError, Selector, Step};
pub use reduction::{Format, Part, Reduction, Verdict};
pub use sensitive::{Kinds, Masked};
pub use transform::{Transform, UrlRewrite};
pub use treatment::{Form, Pattern, Shape, Treatment, Type};

use automaton::Automaton;
use construction::{Conflict, Wanted};
use treatment::Written;

use crate::model::{Admission, Subjects};

/// What one route discloses, as paths.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Selects the records; without it the body is the one record.
    pub records: Option<Path>,
    /// The customer that a record is about: a singular path from `@`.
    pub subject: Option<Path>,
    /// A record is disclosed only where this holds.
    pub when: Option<Condition>,
    /// What may leave, and how. Where nothing may, the reduced body is `{}`.
    pub disclose: Vec<(Path, Treatment)>,
    /// A record is disclosed only where an [`Admission`] was given to the reduction and lets its customer
    /// through. One that is given asks also where this is false.
    pub needs_admission: bool,
}

/// A compiled [`Selection`].
#[derive(Debug)]
pub struct Filter {
    automaton: Automaton,
    condition: Option<Condition>,
    /// The slot that holds the subject.
    subject: Option<usize>,
    slots: usize,
    fields: usize,
    has_records: bool,
    uses_body: bool,
    /// Card numbers are masked, so a name must not hold one either.
    masks_names: bool,
    /// Without an [`Admission`] no record leaves.
    needs_admission: bool,
}

/// Why a selection cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Indexes into [`Selection::disclose`].
    #[error("two paths can select the same value and treat it differently")]
    Treatments(usize, usize),
    #[error("`records` has a `..`, so that one record could be inside another")]
    NestedRecords,
    #[error("the paths are too many or too entangled to be compiled")]
    TooComplex,
}

/// Why a body was refused. Says nothing about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the body does not begin like JSON")]
    NotJson,
    #[error("the body is not UTF-8 from byte {offset} on")]
    NotUtf8 { offset: usize },
    #[error("the body is not JSON at byte {offset}")]
    Syntax { offset: usize },
    #[error("the body nests deeper than {MAX_DEPTH} containers")]
    TooDeep,
    #[error("a member name occurs twice in an object that holds allowed fields")]
    Duplicate,
    #[error("an allowed string or a name beside it holds a lone surrogate")]
    LoneSurrogate,
    #[error("the body is not the kind of value that the rule's paths begin with")]
    Shape,
}

/// How often one field of the rule was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldCount {
    /// Values released; of a whole subtree, its containers too.
    pub disclosed: u64,
    /// Values that the path selected and that did not leave.
    pub withheld: u64,
    /// Of those, the ones that are not what the rule says that the field is: an object where a plain path
    /// discloses scalars, or a value of another type, length or pattern.
    pub drifted: u64,
    /// What was masked in the values that were released.
    pub masked: Masked,
}

impl FieldCount {
    /// True where a value was written.
    fn add(&mut self, written: Written) -> bool {
        match written {
            Written::Disclosed(masked) => {
                self.disclosed += 1;
                self.masked.add(masked);
                return true;
            }
            Written::Withheld => self.withheld += 1,
            Written::Drifted => self.add_drift(),
        }
        false
    }

    /// What was counted since `before`.
    fn less(&self, before: FieldCount) -> FieldCount {
        let masked = Masked {
            pan: self.masked.pan - before.masked.pan,
            iban: self.masked.iban - before.masked.iban,
            email: self.masked.email - before.masked.email,
            phone: self.masked.phone - before.masked.phone,
        };
        FieldCount {
            disclosed: self.disclosed - before.disclosed,
            withheld: self.withheld - before.withheld,
            drifted: self.drifted - before.drifted,
            masked,
        }
    }

    fn add_drift(&mut self) {
        self.withheld += 1;
        self.drifted += 1;
    }
}

/// What a reduction did, without a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In the order of [`Selection::disclose`].
    pub fields: Vec<FieldCount>,
    pub records_released: u64,
    pub records_withheld: u64,
    /// Of those, the ones whose condition holds and whose customer was not let through.
    pub not_admitted: u64,
    /// Members and elements beside allowed ones that were left out.
    pub members_withheld: u64,
    /// One for each released record that names its subject.
    pub subjects: Subjects,
    pub without_subject: u64,
}

/// The outcome for a well-formed body.
pub enum Outcome {
    Reduced {
        body: Vec<u8>,
        tally: Tally,
    },
    /// The body is one record, and its condition does not hold or its customer was not let through.
    Withheld,
}

/// The body is personal.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Reduced { body, tally } => {
                f.debug_struct("Reduced").field("bytes", &body.len()).field("tally", tally).finish()
            }
            Outcome::Withheld => f.write_str("Withheld"),
        }
    }
}

/// The instructions that the scanner uses on this machine.
pub fn instructions() -> &'static str {
    simd::level().name()
}

impl Tally {
    fn clear(&mut self, fields: usize) {
        if self.fields.len() == fields {
            self.fields.fill(FieldCount::default());
        } else {
            self.fields.clear();
            self.fields.resize(fields, FieldCount::default());
        }
        self.subjects.clear();
        (self.records_released, self.records_withheld, self.not_admitted) = (0, 0, 0);
        (self.members_withheld, self.without_subject) = (0, 0);
    }
}

impl Filter {
    /// Compiles all paths of a route together.
    ///
    /// # Errors
    /// Where two paths contradict each other, or the whole is too complex. The rule is at fault.
    pub fn compile(selection: &Selection) -> Result<Filter, SelectionError> {
        if selection.records.as_ref().is_some_and(Path::has_descendant) {
            return Err(SelectionError::NestedRecords);
        }
        let mut captures: Vec<&Path> = Vec::new();
        // One that cannot be decided from what the pass captures is decided on the record's tree.
        let captured = selection.when.iter().filter(|condition| condition.streams());
        captures.extend(captured.flat_map(Condition::queries));
        let subject = selection.subject.as_ref().map(|path| {
            captures.push(path);
            captures.len() - 1
        });
        let slots = captures.len();
        let wanted = Wanted {
            records: selection.records.as_ref(),
            captures,
            fields: selection.disclose.iter().map(|(path, treatment)| (path, treatment)).collect(),
        };
        let automaton = construction::compile(&wanted).map_err(|conflict| match conflict {
            Conflict::Treatments(first, second) => SelectionError::Treatments(first, second),
            Conflict::TooComplex => SelectionError::TooComplex,
        })?;
        let conditions = selection.when.iter();
        let paths = selection.disclose.iter().map(|(path, _)| path).chain(&selection.records);
        Ok(Filter {
            needs_admission: selection.needs_admission,
            masks_names: selection.disclose.iter().any(|(_, treatment)| treatment.scan.pan),
            has_records: selection.records.is_some(),
            uses_body: conditions.clone().any(Condition::uses_body) || paths.clone().any(Path::uses_body),
            automaton,
            condition: selection.when.clone(),
            subject,
            slots,
            fields: selection.disclose.len(),
        })
    }

    /// A record must fulfil something before it is disclosed, or its customer must be let through.
    pub fn has_condition(&self) -> bool {
        self.condition.is_some() || self.needs_admission
    }

    /// Something is asked for by `$` where a record is decided on, so the whole body must be there.
    pub fn uses_body(&self) -> bool {
        self.uses_body
    }

    /// A body can be released in parts while it arrives: it is a list of records, and none of them is
    /// decided by what may stand behind it.
    pub fn streams(&self) -> bool {
        self.has_records && !self.uses_body && self.fields > 0
    }

    /// Reduces one body to what the selection allows.
    ///
    /// # Errors
    /// Where the body cannot be trusted to mean one thing. The upstream is at fault.
    pub fn reduce(&self, body: &[u8]) -> Result<Outcome, Fault> {
        self.reduce_for(body, None)
    }

    /// As [`reduce`](Self::reduce), of the records whose customers are let through.
    ///
    /// # Errors
    /// As there.
    pub fn reduce_for(&self, body: &[u8], admission: Option<Arc<dyn Admission>>) -> Result<Outcome, Fault> {
        let mut reduction = Reduction::default();
        Ok(match reduction.reduce_for(self, body, admission)? {
            Verdict::Reduced => {
                let Part { body, tally } = reduction.into_part();
                Outcome::Reduced { body, tally }
            }
            Verdict::Withheld => Outcome::Withheld,
        })
    }
}
