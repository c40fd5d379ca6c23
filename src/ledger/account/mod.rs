//! The accounting of disclosures: what one customer is told of what was disclosed about them (GDPR,
//! Article 15(1)(c); 45 CFR 164.528).
//!
//! **Guarantees.** It says only what the entries say and what the [`Frame`] adds. Each disclosure is
//! counted once. It never says how many others a response was about, nor who they are, nor whether there is one
//! that a legal grant keeps out of it until a day. The page is one
//! file that loads nothing and runs nothing; every text in it is escaped.
//!
//! **Trusts** its caller that the entries are about this customer, and that all of them are there.
//!
//! **Must not** read the ledger or the rules.

mod countries;
mod dates;
mod gather;
mod page;
mod path;
mod report;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

pub use gather::{Account, Accounting, Field, Ground, Group};
pub use page::html;
pub use report::json;

/// A contractor as today's rules describe it.
#[derive(Clone, Debug, Serialize)]
pub struct Recipient {
    pub name: String,
    /// What it does for the company.
    pub service: String,
    /// ISO 3166-1, alpha-2.
    pub country: String,
    pub contact: Option<String>,
}

/// Contractors by id. One that is not here any more is shown by its id.
#[derive(Clone, Debug, Default)]
pub struct Recipients(pub BTreeMap<String, Recipient>);

/// What an accounting is about besides its entries. Times are microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Who gives the account.
    pub company: &'a str,
    /// The customer, as the customer is known.
    pub subject: &'a str,
    pub prepared: i64,
    /// The period; open where it is `None`.
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// Entries in the ledger when the account was prepared, and the root of its tree in base64.
    pub tree_size: u64,
    pub root: &'a str,
    /// The content of older entries is deleted.
    pub pruned_before: Option<i64>,
    /// Key epochs whose key is destroyed: their entries cannot be linked to anyone.
    pub not_readable_epochs: u32,
}

/// A field in plain words: `Recipient phone (last four characters only)`.
pub fn field_words(field: &Field) -> String {
    plain_field(&field.path, field.transform.as_deref())
}

/// The same, of a path and a transform as a rule writes them.
pub fn plain_field(path: &str, transform: Option<&str>) -> String {
    let name = words::field(path);
    match transform {
        None => name,
        Some(transform) => format!("{name} ({})", words::transform(transform)),
    }
}

/// A country by its English name; the code itself where there is none.
pub fn country_name(code: &str) -> &str {
    words::country(code)
}

/// What allows a transfer abroad, in plain words: `Standard contractual clauses`.
pub fn transfer_words(word: &str) -> &str {
    words::transfer(word)
}

/// On what ground, in plain words: `Required by law: case 2026/1234, District Court of Amsterdam`.
pub fn basis_words(ground: &Ground) -> String {
    match (&ground.case, &ground.authority) {
        (Some(case), Some(authority)) => format!("Required by law: case {case}, {authority}"),
        _ => words::basis(ground.basis.as_deref().unwrap_or_default()).to_owned(),
    }
}

impl Frame<'_> {
    /// The time before which content is deleted, where that touches the period.
    fn deleted_before(&self) -> Option<i64> {
        self.pruned_before.filter(|before| self.since.is_none_or(|since| since < *before))
    }

    /// Something in the period can be missing.
    fn is_limited(&self) -> bool {
        self.deleted_before().is_some() || self.not_readable_epochs > 0
    }
}
