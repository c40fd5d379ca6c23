//! The nouns of the house: small types that every room may use.
//!
//! **Guarantees.** A name is checked when it is made; a personal value or a secret never shows in
//! `Debug`.
//!
//! **Trusts** nobody. **Must not** import any other room. **Called by** all of them.

mod host;
mod names;
mod subject;
mod units;

pub use host::Host;
pub use names::{
    Basis, ContractorId, Country, CredentialId, InvalidName, Jurisdictions, RequestId, RulesDigest, TaskId,
    TransferMechanism,
};
pub use subject::{
    Admission, Canaries, Hex, KeyEpoch, NamedSubjects, Pseudonymiser, Subject, SubjectKey, SubjectKeys,
    SubjectPseudonym, Subjects, write_hex,
};
pub use units::{ByteSize, InvalidUnit, Rate, parse_duration, parse_period};
