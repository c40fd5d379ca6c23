//! Customers: their identifiers in the upstream, and the keyed names that stand for them elsewhere.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// The customer that a record is about, as the upstream names it. Personal: it never leaves the
/// request that it came with, and `Debug` shows its shape only.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    pub fn new(id: String) -> Self {
        Subject(id)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({} bytes)", self.0.len())
    }
}

/// What stands for a subject in the ledger: HMAC-SHA-256 cut to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectPseudonym(pub [u8; 16]);

impl fmt::Display for SubjectPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The key under which subjects are named. Whoever holds it can tell which customer an entry is
/// about, by trying; so it is a file of its own with mode 0600.
#[derive(Clone)]
pub struct SubjectKey(hmac::Key);

impl SubjectKey {
    /// Length of the key, in bytes.
    pub const LENGTH: usize = 32;

    pub fn new(bytes: &[u8; Self::LENGTH]) -> Self {
        SubjectKey(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The name of `subject` in the ledger, the same for every contractor.
    pub fn pseudonym(&self, subject: &Subject) -> SubjectPseudonym {
        let tag = self.tag(&[b"fieldgate/ledger/subject/v1", subject.0.as_bytes()]);
        let mut name = [0; 16];
        name.copy_from_slice(&tag.as_ref()[..16]);
        SubjectPseudonym(name)
    }

    /// Names for one contractor: another contractor's names for the same customers do not match.
    pub fn for_contractor(&self, contractor: &super::ContractorId) -> Pseudonymiser {
        let tag = self.tag(&[b"fieldgate/contractor/pseudonym/v1", contractor.as_str().as_bytes()]);
        Pseudonymiser(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref())))
    }

    /// Parts are written with their lengths, so that no two lists of parts give the same input.
    fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(secret)")
    }
}

/// Gives values the names that one contractor knows them by.
#[derive(Clone)]
pub struct Pseudonymiser(Arc<hmac::Key>);

impl Pseudonymiser {
    /// `p_` and 32 hexadecimal digits.
    pub fn pseudonym(&self, value: &str) -> String {
        let tag = hmac::sign(&self.0, value.as_bytes());
        let mut name = String::with_capacity(34);
        name.push_str("p_");
        for byte in &tag.as_ref()[..16] {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }
}

impl fmt::Debug for Pseudonymiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonymiser(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ContractorId;

    #[test]
    fn two_contractors_know_one_customer_by_different_names() {
        let key = SubjectKey::new(&[7; 32]);
        let name =
            |contractor: &str| key.for_contractor(&ContractorId::new(contractor).unwrap()).pseudonym("c-1");
        assert_eq!(name("parcelco"), name("parcelco"));
        assert_ne!(name("parcelco"), name("helpdesk"));
        assert_ne!(name("parcelco")[2..], key.pseudonym(&Subject::new("c-1".into())).to_string());
    }

    #[test]
    fn debug_shows_no_personal_value_and_no_key() {
        let subject = Subject::new("c-10234".into());
        assert_eq!(format!("{subject:?}"), "Subject(7 bytes)");
        assert_eq!(format!("{:?}", SubjectKey::new(&[7; 32])), "SubjectKey(secret)");
    }
}
