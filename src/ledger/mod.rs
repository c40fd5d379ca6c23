//! The ledger: the durable, tamper-evident list of disclosures and refusals.
//!
//! **Guarantees.** A [`Receipt`] exists only for an entry that is on the disk. Entries are numbered without
//! gaps, over all and for each contractor; the stored bytes are what is hashed (RFC 6962, section 2.1), and
//! the head of the tree over them is signed at least every second while entries come. An entry holds no
//! personal value: paths as the rules write them, counts, and keyed names of subjects. What the law asked for is
//! on basis `legal-obligation` and has its grant; the customer's account has it when that is allowed.
//!
//! **How.** `writer` numbers entries and commits them to the `journal`, one sync for a batch. Behind it
//! `keeper` takes them into the `archive` (C2SP tlog-tiles, a signed checkpoint) and into the `index`, a
//! SQLite database that can be made anew. `log` and `query` read all three, beside the gateway or without it.
//! `cosigned` is what witnesses are shown of it and what is kept of their answers; `witness` is the core of one.
//!
//! In a fleet, `postgres` takes the place of the journal: see there. `store` is what the two have in common. `gathered`
//! is one ledger of the entries of all nodes.
//!
//! `verify` checks it from its files and the public key alone, `evidence` proves single entries, and `drill`
//! shows that what somebody does to the files is found.
//!
//! **Trusts** the file system to keep what it acknowledged. After a failed write it trusts nothing: the
//! journal is opened anew and read back before another entry is taken. After a failed sync it stops.
//!
//! **Must not** know of HTTP, rules or the filter.
//!
//! **Called by** `proxy::record` (writes), `app` (opens, closes), the room `witness` (shows heads, asks the core),
//! `feed` (follows) and the commands (read).

mod account;
mod archive;
mod checkpoint;
mod consent;
mod cosigned;
mod disk;
mod drill;
mod entry;
mod error;
mod evidence;
mod export;
mod files;
mod gathered;
mod holds;
mod index;
mod journal;
mod keeper;
mod keys;
mod known;
mod lock;
mod log;
mod merkle;
mod note;
mod postgres;
mod postings;
mod proof;
mod prune;
mod query;
mod receipt;
mod space;
mod state;
mod state_file;
mod store;
mod suspensions;
mod takeover;
#[cfg(test)]
mod tests;
mod tiles;
mod verify;
mod view;
pub mod witness;
mod writer;

pub use account::{
    Account, Accounting, Field, Frame, Ground, Group, Recipient, Recipients, basis_words, country_name,
    field_words, html, json, plain_field, transfer_words,
};
pub use archive::Head;
pub use consent::{
    AfterWithdrawal, ConsentError, ConsentOrder, Consents, Ground as ConsentGround, Known as KnownConsent,
    News, NotKnown, Prepared, Saying, Scope, Statements, after_withdrawal, consents, shared_consents,
};
pub use cosigned::{Witnessed, cosignature, known_size};
pub use drill::{Attempt, Drill, DrillError, drill};
pub use entry::{
    ActivatedRules, Dated, Disclosed, Disclosure, Draft, FieldEntry, Legal, LegalHold, MaskedEntry, OwnKind,
    Parties, RecordCounts, Refused, Request, RuleChange, RulesChange, Signal, Started, StreamPart,
};
pub use error::StoreError;
pub use evidence::{CosignedBy, Evidence, EvidenceError, ProveError, examine, prove};
pub use export::{ExportError, Exporter, Form, Hashing, Manifest, ocsf_event, ocsf_gone};
pub use gathered::{
    GatherState, Gathered, GatheredNode, Gathering, Origin, Origins, gathered, is_name as gathered_is_name,
    name as gathered_name, place as gathered_place,
};
pub use holds::{Hold, HoldAction, HoldFilter, holds};
pub use keys::{
    KeyError, begin_epoch, cosigner, destroy_epoch, destroyed_epochs, pseudonym_key, signer,
    subject_key_files, subject_keys,
};
pub use log::{Log, control_socket, folder as ledger_folder};
pub use note::{Note, NoteError, Signature, Signer, Verified, Verifier};
pub use postgres::{
    Change, Changes, Database, DatabaseError, Denied, Desk, DeskEntry, DeskMark, FleetRetention, Leases,
    Migrated, NodeState, NotTaken, Said, Stock, Take, follow_desk, migrate, nodes,
};
pub use proof::{Proof, ProofError};
pub use prune::{Class, Pruned, Pruning, RetentionLock, Tally, plan};
pub use query::{Order, Page, Query, Row, Search};
pub use receipt::{own_entry, receipt};
pub use state_file::StateFile;
pub use store::{make_folder as make_ledger_folder, memory as fleet_memory};
pub use suspensions::{Suspension, SuspensionAction, SuspensionEvent, Suspensions};
pub use takeover::take_over;
pub use verify::{Check, Finding, Findings, Report, Severity, verify};
pub use view::View;
pub use writer::{Ledger, Receipt, RecordError};
