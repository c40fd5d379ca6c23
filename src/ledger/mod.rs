//! The ledger: the durable list of disclosures and refusals.
//!
//! **Guarantees.** A [`Receipt`] exists only for an entry that is committed with `synchronous=FULL`.
//! Entries are numbered without gaps, over all and for each contractor; the stored bytes are what is
//! hashed (RFC 6962, section 2.1). An entry holds no personal value: paths as the rules write them,
//! counts, and keyed names of subjects.
//!
//! **Trusts** the file system to keep what it acknowledged. After any failure it trusts nothing: the
//! database is opened anew and read back before another entry is taken.
//!
//! **Must not** know of HTTP, rules or the filter.
//!
//! **Called by** `proxy::record` (writes), `app` (opens, closes), the commands (read).

mod entry;
mod keys;
mod query;
mod sqlite;
mod writer;

pub use entry::{
    ActivatedRules, Disclosed, Disclosure, Draft, FieldEntry, MaskedEntry, Parties, RecordCounts, Refused,
    Request, Started, StreamPart,
};
pub use keys::{KeyError, signing_key, subject_key};
pub use query::{Query, Row, read};
pub use sqlite::StoreError;
pub use writer::{Ledger, Receipt, RecordError};
