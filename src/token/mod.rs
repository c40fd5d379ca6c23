//! Signed tokens: JWT (RFC 7519) as access tokens (RFC 9068), held against what a rule says and against the
//! keys of their issuer.
//!
//! **Guarantees.** A token passes only with a signature by a key of the rule's own source, under an algorithm
//! that the rule lists and that fits the key. Nothing in a token is followed: no address, no embedded key. A
//! name that occurs twice, a critical extension, a claim of another type refuses it. Errors are fixed words;
//! no part of a token shows in one, or in `Debug`.
//!
//! **Trusts** the key sets that it is given. **Must not** know of HTTP or files.
//!
//! **Called by** `rules` (what a rule says), `proxy` (verifies), `app` (fills the key sets).

mod json;
mod jws;
mod keys;
mod rule;
mod store;

pub use jws::{Token, TokenError};
pub use keys::{KeySet, KeySetError};
pub use rule::{Algorithms, Source, TokenRule};
pub use store::KeyStore;

#[cfg(test)]
mod tests;
