//! Customers: their identifiers in the upstream, and the keyed names that stand for them elsewhere.

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_lc_rs::hmac;

/// The customer that a record is about, as the upstream names it. Personal: it never leaves the
/// request that it came with, and `Debug` shows its shape only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a>(&'a str);

impl<'a> Subject<'a> {
    pub fn new(id: &'a str) -> Self {
        Subject(id)
    }
}

/// The subjects of one response, in order, one after the other in one piece of memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    text: String,
    ends: Vec<usize>,
}

impl Subjects {
    pub fn push(&mut self, id: &str) {
        self.text.push_str(id);
        self.ends.push(self.text.len());
    }

    pub fn iter(&self) -> impl Iterator<Item = Subject<'_>> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| Subject(&self.text[begin..*end]))
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that were allocated.
    pub fn capacity(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// Keeps what was allocated.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }
}

/// Says which customers a record may be about: those who consented, or whom a court order names. Asked once for
/// each record that would leave.
pub trait Admission: fmt::Debug + Send + Sync {
    /// Whether a record about this customer may leave; `None`: it names nobody.
    fn admits(&self, subject: Option<Subject>) -> bool;
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subjects({})", self.ends.len())
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({} bytes)", self.0.len())
    }
}

/// Customers that do not exist, planted among the others: nobody has a reason to look at one. As personal as
/// any other, and `Debug` shows how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Canaries(HashSet<String>);

impl Canaries {
    /// Adds one, as the upstream names it; false where it is there already.
    pub fn add(&mut self, id: String) -> bool {
        self.0.insert(id)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many of the subjects are planted ones.
    pub fn count(&self, subjects: &Subjects) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        subjects.iter().filter(|subject| self.0.contains(subject.0)).count() as u64
    }
}

impl fmt::Debug for Canaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canaries({})", self.0.len())
    }
}

/// The customers whom a legal grant names: records about others, or about nobody, do not leave. As personal as any
/// other, and `Debug` shows how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NamedSubjects(HashSet<String>);

impl NamedSubjects {
    /// Adds one, as the upstream names it; false where it is there already.
    pub fn add(&mut self, id: String) -> bool {
        self.0.insert(id)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many of these `other` does not name.
    pub fn count_beyond(&self, other: &NamedSubjects) -> usize {
        self.0.difference(&other.0).count()
    }
}

impl Admission for NamedSubjects {
    fn admits(&self, subject: Option<Subject>) -> bool {
        subject.is_some_and(|subject| self.0.contains(subject.0))
    }
}

impl fmt::Debug for NamedSubjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NamedSubjects({})", self.0.len())
    }
}

/// What stands for a subject in the ledger: HMAC-SHA-256 cut to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectPseudonym(pub [u8; 16]);

impl SubjectPseudonym {
    /// None where the text is not 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut name = [0; 16];
        if pairs.len() != name.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in name.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(SubjectPseudonym(name))
    }
}

impl fmt::Display for SubjectPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Hex::of(&self.0))
    }
}

/// 16 bytes as 32 hexadecimal digits in lower case.
#[derive(Clone, Copy)]
pub struct Hex([u8; 32]);

impl Hex {
    pub fn of(bytes: &[u8; 16]) -> Self {
        let mut text = [0; 32];
        write_hex(bytes, &mut text);
        Hex(text)
    }
}

/// Writes two lower-case digits for each byte into a text of twice the length.
pub fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

impl Deref for Hex {
    type Target = str;

    fn deref(&self) -> &str {
        // Digits are ASCII.
        str::from_utf8(&self.0).unwrap_or_default()
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
    pub fn pseudonym(&self, subject: Subject) -> SubjectPseudonym {
        SubjectPseudonym(self.short(&[b"fieldgate/ledger/subject/v1", subject.0.as_bytes()]))
    }

    /// The name of `subject` in the consent registry.
    pub fn consent_name(&self, subject: Subject) -> [u8; 16] {
        self.short(&[b"fieldgate/consent/subject/v1", subject.0.as_bytes()])
    }

    /// The name of a receipt in the consent registry.
    pub fn receipt_name(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.short(&[&[b"fieldgate/consent/receipt/v1" as &[u8]], parts].concat())
    }

    /// The seal of an entry of the review sides' log: who has the database alone cannot make it.
    pub fn desk_seal(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.short(&[&[b"fieldgate/review/log/v1" as &[u8]], parts].concat())
    }

    fn short(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut name = [0; 16];
        name.copy_from_slice(&self.tag(parts).as_ref()[..16]);
        name
    }

    /// Names for one contractor: another contractor's names for the same customers do not match.
    pub fn for_contractor(&self, contractor: &super::ContractorId) -> Pseudonymiser {
        let tag = self.tag(&[b"fieldgate/contractor/pseudonym/v1", contractor.as_str().as_bytes()]);
        Pseudonymiser(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref())))
    }

    /// What stands for a path in an upstream's answers, which can hold a name that is a value.
    pub fn shape_name(&self, path: &str) -> String {
        let tag = self.tag(&[b"fieldgate/shape/path/v1", path.as_bytes()]);
        let mut name = [0; 16];
        name.copy_from_slice(&tag.as_ref()[..16]);
        Hex::of(&name)[..16].to_owned()
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

/// A subject key, and which one in the order of their use it is: from 1 on.
#[derive(Clone, Debug)]
pub struct KeyEpoch {
    pub number: u32,
    pub key: SubjectKey,
}

/// The subject keys that there are, oldest first; the last one is in use.
#[derive(Clone, Debug)]
pub struct SubjectKeys {
    older: Vec<KeyEpoch>,
    current: KeyEpoch,
}

impl SubjectKeys {
    pub fn new(older: Vec<KeyEpoch>, current: KeyEpoch) -> Self {
        SubjectKeys { older, current }
    }

    /// The one that names subjects from now on.
    pub fn current(&self) -> &KeyEpoch {
        &self.current
    }

    /// The numbers of the epochs whose keys are there.
    pub fn numbers(&self) -> Vec<u32> {
        self.older.iter().chain([&self.current]).map(|epoch| epoch.number).collect()
    }

    /// All names that a subject has in the ledger.
    pub fn pseudonyms(&self, subject: Subject) -> Vec<SubjectPseudonym> {
        self.older.iter().chain([&self.current]).map(|epoch| epoch.key.pseudonym(subject)).collect()
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
    /// Writes the name of `value`: `p_` and 32 hexadecimal digits.
    pub fn write(&self, value: &str, out: &mut Vec<u8>) {
        let tag = hmac::sign(&self.0, value.as_bytes());
        let mut name = [0; 16];
        name.copy_from_slice(&tag.as_ref()[..16]);
        out.extend_from_slice(b"p_");
        out.extend_from_slice(Hex::of(&name).as_bytes());
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
        let name = |contractor: &str| {
            let mut name = Vec::new();
            key.for_contractor(&ContractorId::new(contractor).unwrap()).write("c-1", &mut name);
            String::from_utf8(name).unwrap()
        };
        assert_eq!(name("parcelco"), name("parcelco"));
        assert_ne!(name("parcelco"), name("helpdesk"));
        assert_ne!(name("parcelco")[2..], key.pseudonym(Subject::new("c-1")).to_string());
    }

    #[test]
    fn debug_shows_no_personal_value_and_no_key() {
        let subject = Subject::new("c-10234");
        let mut subjects = Subjects::default();
        subjects.push("c-10234");
        assert_eq!(format!("{subjects:?}"), "Subjects(1)");
        assert_eq!(subjects.iter().collect::<Vec<_>>(), [subject]);
        assert_eq!(format!("{subject:?}"), "Subject(7 bytes)");
        let mut canaries = Canaries::default();
        assert!(canaries.add("c-10234".into()) && !canaries.add("c-10234".into()));
        assert_eq!((format!("{canaries:?}"), canaries.count(&subjects)), ("Canaries(1)".into(), 1));
        let mut named = NamedSubjects::default();
        assert!(named.add("c-10234".into()) && !named.add("c-10234".into()));
        assert_eq!(format!("{named:?}"), "NamedSubjects(1)");
        assert_eq!(format!("{:?}", SubjectKey::new(&[7; 32])), "SubjectKey(secret)");
    }

    #[test]
    fn a_grant_lets_through_whom_it_names_and_nobody_else() {
        let mut named = NamedSubjects::default();
        named.add("c-1".into());
        assert!(named.admits(Some(Subject::new("c-1"))));
        for other in [Some("c-10"), Some("C-1"), Some(" c-1"), Some(""), None] {
            assert!(!named.admits(other.map(Subject::new)), "{other:?}");
        }
    }
}
