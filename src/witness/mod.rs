//! Witnesses (C2SP tlog-witness): the gateway's heads go to them and their cosignatures come back; and the
//! witness itself, which another team runs.
//!
//! **Guarantees.** A head counts as witnessed when as many witnesses as the quorum says have cosigned this very
//! head and their cosignatures are on the disk. No request waits for a witness: what waits is one task, every
//! wait of it has an end, and of heads it knows the newest only. A gateway whose ledger is shorter than a
//! witness knows it, or has another history, does not start.
//!
//! **Trusts** a witness's cosignature, once it is verified, and nothing else that it says: the size that it
//! claims to know can keep a gateway from starting, but never makes an entry count as witnessed.
//!
//! **Must not** read entries, or change the ledger.
//!
//! **Called by** `app` (submits), the command `witness` (serves).

mod alarm;
mod client;
mod follow;
mod gather;
mod serve;

pub use client::{Client, Fault};
pub use follow::{Follower, Terms};
pub use serve::Server;
