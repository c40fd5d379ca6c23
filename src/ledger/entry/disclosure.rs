//! What an entry says of a response that leaves. Each of these waits for its entry, so it is written straight: the same
//! bytes as serde would write, at a sixth of the instructions.

use crate::model::{Hex, Jurisdictions, SubjectPseudonym};

use super::legal::Legal;
use super::salt::Salt;
use super::text::{Object, member};
use super::{NAME, Parties, Request, USUAL, VERSION};

/// Bytes that one more field takes mostly.
const FIELD: usize = 96;

/// A response that leaves.
#[derive(Debug)]
pub struct Disclosure<'a> {
    pub id: String,
    pub parties: Parties<'a>,
    pub request: Request<'a>,
    pub rules: &'a str,
    pub disclosed: Disclosed<'a>,
    /// The key epoch of the subjects' names.
    pub epoch: u32,
    pub subjects: Vec<SubjectPseudonym>,
    /// Most distinct subjects that the contractor may see in a day.
    pub subjects_per_day: u64,
    /// The generation of the consent registry that it was decided by, where that was asked.
    pub decided: Option<u64>,
}

/// On what ground and how much.
#[derive(Debug)]
pub struct Disclosed<'a> {
    pub task: &'a str,
    pub purpose: &'a str,
    /// What consent is asked for, where it has another name than the task.
    pub consent_purpose: Option<&'a str>,
    pub basis: &'a str,
    /// There for a use of a legal grant, and for nothing else.
    pub legal: Option<Legal<'a>>,
    pub agreement: &'a str,
    pub jurisdictions: Jurisdictions,
    pub transfer: Option<&'a str>,
    pub upstream: &'a str,
    pub status: u16,
    /// Size of the reduced body.
    pub bytes: u64,
    pub records: RecordCounts,
    /// Members and elements beside allowed ones that were left out.
    pub members_withheld: u64,
    /// Records about planted customers; that there are some is written, not how many.
    pub canaries: u64,
    pub fields: Vec<FieldEntry<'a>>,
    /// Where the response is released in parts: which one this is.
    pub stream: Option<StreamPart>,
}

/// One part of a response; each has an entry of its own with the same id.
#[derive(Clone, Copy, Debug)]
pub struct StreamPart {
    /// From 1.
    pub part: u64,
    /// The response is whole with it.
    pub last: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct RecordCounts {
    pub released: u64,
    pub withheld: u64,
    /// Of those, the ones whose customer is not let through: no consent, an objection, not named by the grant.
    pub not_admitted: u64,
    pub without_subject: u64,
}

/// One field of the rule; fields that were not met are left out.
#[derive(Clone, Copy, Debug)]
pub struct FieldEntry<'a> {
    pub path: &'a str,
    pub transform: Option<&'a str>,
    pub disclosed: u64,
    pub withheld: u64,
    /// Of the withheld ones, those that are not what the rule says that the field is.
    pub drifted: u64,
    /// What was masked in the values that left.
    pub masked: MaskedEntry,
}

/// What was found in text and masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaskedEntry {
    pub pan: u64,
    pub iban: u64,
    pub email: u64,
    pub phone: u64,
}

impl Disclosure<'_> {
    /// A JSON object without its closing brace, about the `first` of its customers; there are entries for the rest.
    pub(super) fn open(&self, first: &[SubjectPseudonym], entries: usize, time: i64) -> Vec<u8> {
        let Disclosed { records, .. } = &self.disclosed;
        let room = USUAL + self.disclosed.fields.len() * FIELD + first.len() * NAME;
        let mut entry = Object::with_room(room);
        entry.number("{\"v\":", VERSION);
        entry.text(member!("kind"), "disclosure");
        entry.text(member!("id"), &self.id);
        entry.number(member!("time"), time);
        entry.hex(member!("salt"), &Salt::new().0);
        entry.text(member!("contractor"), self.parties.contractor);
        entry.text(member!("credential"), self.parties.credential);
        entry.text(member!("method"), self.request.method);
        entry.text_or_null(member!("route"), self.request.route);
        entry.text(member!("rules"), self.rules);
        self.disclosed.ground(&mut entry);
        entry.text(member!("upstream"), self.disclosed.upstream);
        entry.number(member!("status"), self.disclosed.status);
        entry.number(member!("bytes"), self.disclosed.bytes);
        entry.number(",\"records\":{\"released\":", records.released);
        entry.number(member!("withheld"), records.withheld);
        entry.number_if_any(member!("not_admitted"), records.not_admitted);
        entry.number(member!("without_subject"), records.without_subject);
        entry.number(concat!("}", member!("members_withheld")), self.disclosed.members_withheld);
        if self.disclosed.canaries > 0 {
            entry.put(concat!(member!("canary"), "true"));
        }
        entry.list(member!("fields"), &self.disclosed.fields, |entry, field| field.put(entry));
        if let Some(stream) = self.disclosed.stream {
            entry.number(",\"stream\":{\"part\":", stream.part);
            entry.put(if stream.last { ",\"last\":true}" } else { ",\"last\":false}" });
        }
        entry.number(member!("subjects_total"), self.subjects.len());
        entry.number(member!("parts"), entries);
        entry.number(member!("epoch"), self.epoch);
        entry.list(member!("subjects"), first, |entry, subject| entry.plain(&Hex::of(&subject.0)));
        entry.open()
    }
}

impl Disclosed<'_> {
    fn ground(&self, entry: &mut Object) {
        entry.text(member!("task"), self.task);
        entry.text(member!("purpose"), self.purpose);
        entry.text_if_any(member!("consent_purpose"), self.consent_purpose);
        entry.text(member!("basis"), self.basis);
        if let Some(legal) = &self.legal {
            entry.value(member!("legal"), legal);
        }
        entry.text(member!("agreement"), self.agreement);
        let Jurisdictions { from, to } = self.jurisdictions;
        entry.text(member!("jurisdictions"), &[from.as_str(), " to ", to.as_str()].concat());
        entry.text_or_null(member!("transfer"), self.transfer);
    }
}

impl FieldEntry<'_> {
    fn put(&self, entry: &mut Object) {
        entry.text("{\"path\":", self.path);
        entry.text_if_any(member!("transform"), self.transform);
        entry.number(member!("disclosed"), self.disclosed);
        entry.number(member!("withheld"), self.withheld);
        entry.number_if_any(member!("drifted"), self.drifted);
        let MaskedEntry { pan, iban, email, phone } = self.masked;
        if self.masked != MaskedEntry::default() {
            let found =
                [("\"pan\":", pan), ("\"iban\":", iban), ("\"email\":", email), ("\"phone\":", phone)];
            entry.put(concat!(member!("masked"), "{"));
            let mut begun = false;
            for (name, count) in found.into_iter().filter(|(_, count)| *count > 0) {
                if std::mem::replace(&mut begun, true) {
                    entry.put(",");
                }
                entry.number(name, count);
            }
            entry.put("}");
        }
        entry.put("}");
    }
}
