//! The consent registry: what customers let us disclose, and to what they object.
//!
//! **Guarantees.** A withdrawal is in force before the command that asked for it comes back, over a restart and
//! `kill -9`, and no disclosure that was decided before it has an entry behind its entry: the writer of the ledger
//! sends such a one back to be decided anew. A grant is in force only when its entry is durable. Older news never
//! undoes newer, however often it is told. Where it cannot be known what was said, nobody consents.
//!
//! **How.** `statement` says what undoes what. `registry` holds the statements in memory, by a keyed name of the
//! customer, 32 bytes each; requests read it without a lock. `store` keeps them on the disk and takes new ones;
//! `shared` takes them from the database of a fleet.
//! `question` asks the ledger whether something left after a withdrawal.
//!
//! **Trusts** who gives orders: that the customer said it. **Must not** keep a customer's id, in memory or on the
//! disk, nor know of HTTP or rules.
//!
//! **Called by** `proxy` (asks), `app` (opens, takes orders), the commands.

mod question;
mod registry;
mod shared;
mod statement;
mod store;
#[cfg(test)]
mod tests;

pub use question::{AfterWithdrawal, after_withdrawal};
pub use registry::{Consents, NotKnown};
pub use shared::{News, shared_consents};
pub use statement::{Ground, Scope};
pub use store::{ConsentError, ConsentOrder, Known, Prepared, Saying, Statements, consents};
