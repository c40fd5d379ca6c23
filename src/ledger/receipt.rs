//! What a contractor can have of the ledger: proofs that its own requests are in it.

use std::path::Path;

use super::evidence::{ProveError, prove};
use super::proof::Proof;
use super::query::Search;
use super::view::View;

/// The number of the entry about a contractor's request: of the response's part `part`, from 1, where it left
/// in parts. None where there is no such entry of this contractor.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn own_entry(path: &Path, contractor: &str, id: &str, part: u64) -> Result<Option<u64>, ProveError> {
    let search = Search::open(path)?;
    for position in search.with_id(id)? {
        let Some(leaf) = search.log().entry(position)? else { continue };
        let Ok(entry) = View::parse(&leaf) else { continue };
        // Further entries about the same part list customers only. What a reviewer looks at is not for it.
        let is_part = entry.stream.map_or(1, |stream| stream.part) == part
            && matches!(entry.kind.as_ref(), "disclosure" | "refusal");
        if is_part && entry.contractor.as_deref() == Some(contractor) {
            return Ok(Some(position));
        }
    }
    Ok(None)
}

/// The proof of an entry, without what the entry says: it names customers as no contractor may know them.
///
/// # Errors
/// Where no signed head covers the entry yet, or the ledger cannot be read.
pub fn receipt(path: &Path, position: u64) -> Result<Proof, ProveError> {
    Ok(prove(Search::open(path)?.log(), position)?.without_content())
}
