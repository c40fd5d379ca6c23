//! Alerts: what somebody should look at, out of the ledger's signals and of trouble with the ledger itself.
//!
//! **Guarantees.** Each signal of the ledger becomes one alert, also over restarts: up to where the ledger was read is
//! in the same transaction as what was found. An alert holds what its entry holds, so no personal value. One that is
//! critical cannot be muted.
//!
//! **How.** `kinds` are the words for each kind. `follow` reads the ledger on a thread that has the processor after
//! those that serve; `trouble` is what it watches beside the entries. The alerts are rows of the store.
//!
//! **Trusts** the ledger's entries. **Must not** be waited for by a request.
//!
//! **Called by** `Admin` (follows), the pages (read, acknowledge, mute).

mod follow;
mod kinds;
mod told;
mod trouble;

pub use follow::follow;
pub use kinds::{can_be_muted, kind, sentence};
pub use told::Told;
