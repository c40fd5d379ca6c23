//! The interface as one contractor sees it: an OpenAPI 3.1 document, made from its rules.
//!
//! **Guarantees.** What it says is made from the contractor's own rules: its paths, and of answers the members
//! that a path of the rules selects. No other contractor, upstream, or member that is not disclosed is in it,
//! nor any text of an upstream's authors. The same rules give the same bytes.
//!
//! **Trusts** the upstreams' own documents and the fixtures, for types only.
//!
//! **Must not** take a value out of a fixture.
//!
//! **Called by** `rules`, when a plan is made, and `fieldgate init`.

mod check;
mod document;
mod example;
mod narrow;
mod problems;
mod scaffold;
mod write;

pub use document::Document;
pub use problems::PROBLEMS;

pub(super) use check::check;
pub(super) use example::{Example, examples};
