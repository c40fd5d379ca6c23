//! The filter: JSON text and a compiled list of allowed paths in, reduced JSON text out.
//!
//! **Guarantees.** The output is built from the byte ranges of allowed values; what no path selects
//! is never copied. Numbers, strings and order are byte for byte those of the input. Text that a
//! strict RFC 8259 parser refuses is refused as a whole, also in parts that are thrown away. A name
//! that occurs twice on the way to an allowed or examined value refuses the body. The same list in
//! another order gives the same output.
//!
//! **Trusts** that its caller bounds the size of the body; nothing else about it.
//!
//! **Must not** know of requests, files or the ledger, keep a value after it returned, or put one
//! into an error.
//!
//! **Called by** `rules`, which compiles, and `proxy::reduce`, which runs it.

mod automaton;
mod condition;
mod construction;
mod iregexp;
mod path;
mod projection;
mod scanner;
mod syntax;
mod text;
mod transform;
mod value;

pub use automaton::Treatment;
pub use condition::Condition;
pub use path::{Origin, Path, PathError};
pub use scanner::MAX_DEPTH;
pub use transform::{Transform, UrlRewrite};

use automaton::Automaton;
use construction::{Conflict, Wanted};

use crate::model::Subject;

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
}

/// Why a selection cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// Indexes into [`Selection::disclose`].
    #[error("two paths can select the same value and treat it differently")]
    Treatments(usize, usize),
    #[error("`records` has a `..`, so that one record could be inside another")]
    NestedRecords,
    #[error("one of the route's paths has an index or a bound of a slice over {}", construction::MAX_INDEX)]
    IndexTooLarge,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldCount {
    /// Values released; of a whole subtree, its containers too.
    pub disclosed: u64,
    /// Values that the path selected and that did not leave: of another shape than a plain path
    /// allows, or of another type than the transform takes.
    pub withheld: u64,
}

/// What a reduction did, without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// In the order of [`Selection::disclose`].
    pub fields: Vec<FieldCount>,
    pub records_released: u64,
    pub records_withheld: u64,
    /// Members and elements beside allowed ones that were left out.
    pub members_withheld: u64,
    /// One for each released record that names its subject.
    pub subjects: Vec<Subject>,
    pub without_subject: u64,
}

/// The outcome for a well-formed body.
#[derive(Debug)]
pub enum Outcome {
    Reduced {
        body: Vec<u8>,
        tally: Tally,
    },
    /// The body is one record, and its condition does not hold.
    Withheld,
}

impl Tally {
    fn new(fields: usize) -> Self {
        Tally {
            fields: vec![FieldCount::default(); fields],
            records_released: 0,
            records_withheld: 0,
            members_withheld: 0,
            subjects: Vec::new(),
            without_subject: 0,
        }
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
        captures.extend(selection.when.iter().flat_map(Condition::queries));
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
            Conflict::IndexTooLarge => SelectionError::IndexTooLarge,
            Conflict::TooComplex => SelectionError::TooComplex,
        })?;
        Ok(Filter {
            automaton,
            condition: selection.when.clone(),
            subject,
            slots,
            fields: selection.disclose.len(),
        })
    }

    /// A record must fulfil something before it is disclosed.
    pub fn has_condition(&self) -> bool {
        self.condition.is_some()
    }

    /// Reduces one body to what the selection allows.
    ///
    /// # Errors
    /// Where the body cannot be trusted to mean one thing. The upstream is at fault.
    pub fn reduce(&self, body: &[u8]) -> Result<Outcome, Fault> {
        let body =
            std::str::from_utf8(body).map_err(|error| Fault::NotUtf8 { offset: error.valid_up_to() })?;
        let mut projection = projection::Projection::new(self, body);
        let kept = projection.run()?;
        if projection.body_withheld {
            return Ok(Outcome::Withheld);
        }
        if !kept && self.fields > 0 {
            return Err(Fault::Shape);
        }
        if self.fields == 0 {
            projection.out.extend_from_slice(b"{}");
        }
        Ok(Outcome::Reduced { body: projection.out, tally: projection.tally })
    }
}
