//! Names: of contractors, tasks, credentials, countries, requests, rule sets.

use std::fmt;
use std::sync::Arc;

/// Text that is not a valid name of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

/// Lower-case letters, digits and hyphens: safe in headers, logs, file names and addresses.
fn identifier(text: &str) -> Result<Arc<str>, InvalidName> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > 64 || !text.bytes().all(plain) || text.starts_with('-') {
        return Err(InvalidName(
            "an identifier is 1 to 64 lower-case letters, digits and hyphens, and begins with a letter or digit",
        ));
    }
    Ok(text.into())
}

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// # Errors
            /// Where `text` is not 1 to 64 lower-case letters, digits and hyphens.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                identifier(text).map($name)
            }

            /// In the place of one that is not known. No text that an author writes is equal to it.
            pub fn stand_in() -> Self {
                $name("?".into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

identifiers! {
    /// An outside company, as its rule file names it.
    ContractorId;
    /// A job of a contractor.
    TaskId;
    /// One way by which a contractor proves who it is.
    CredentialId;
}

/// A country, ISO 3166-1 alpha-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// A code that ISO 3166-1 leaves to its users, in the place of one that is not known.
    pub const UNKNOWN: Country = Country(*b"ZZ");

    /// # Errors
    /// Where `text` is not two upper-case letters.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        match text.as_bytes() {
            [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] => Ok(Country([*a, *b])),
            _ => Err(InvalidName("a country is two upper-case letters (ISO 3166-1 alpha-2), such as \"NL\"")),
        }
    }

    pub fn as_str(&self) -> &str {
        // Two ASCII letters, by construction.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The European Economic Area: the 27 member states of the European Union (consolidated Treaty on European Union,
/// Article 52, without the United Kingdom since 1 February 2020), and Iceland, Liechtenstein and Norway (EEA Joint
/// Committee Decision 154/2018 takes the GDPR into the Agreement on the EEA).
const EEA: [&[u8; 2]; 30] = [
    b"AT", b"BE", b"BG", b"CY", b"CZ", b"DE", b"DK", b"EE", b"ES", b"FI", b"FR", b"GR", b"HR", b"HU", b"IE",
    b"IS", b"IT", b"LI", b"LT", b"LU", b"LV", b"MT", b"NL", b"NO", b"PL", b"PT", b"RO", b"SE", b"SI", b"SK",
];

/// From where to where data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jurisdictions {
    pub from: Country,
    pub to: Country,
}

impl Jurisdictions {
    /// Whether something must allow the transfer: another country, unless both are in the European Economic Area,
    /// inside which data moves freely (GDPR, Articles 1(3) and 44).
    pub fn need_mechanism(self) -> bool {
        let in_eea = |country: Country| EEA.contains(&&country.0);
        self.from != self.to && !(in_eea(self.from) && in_eea(self.to))
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($variant,)+ }

        impl $name {
            /// All words, as rule files write them.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            pub fn new(text: &str) -> Option<Self> {
                match text { $($word => Some($name::$variant),)+ _ => None }
            }

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }
        }
    )+};
}

words! {
    /// The ground on which a task may see data (GDPR, Article 6(1)).
    Basis {
        Contract = "contract",
        Consent = "consent",
        LegalObligation = "legal-obligation",
    }
    /// What allows data to cross a border (GDPR, Articles 45 to 49).
    TransferMechanism {
        Adequacy = "adequacy",
        StandardContractualClauses = "scc",
        BindingCorporateRules = "bcr",
        Derogation = "derogation",
    }
}

/// One request; the same text is its disclosure's id. UUID version 7 (RFC 9562), so ids sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(uuid::Uuid);

impl RequestId {
    pub fn new() -> Self {
        RequestId(uuid::Uuid::now_v7())
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// Its text (RFC 9562, section 4), written into `text`.
    pub fn encode(self, text: &mut [u8; 36]) -> &str {
        self.0.hyphenated().encode_lower(text)
    }

    /// One of a time that has passed, in microseconds since 1970-01-01T00:00:00Z: for histories that are made up.
    pub fn at(time: i64) -> Self {
        let (seconds, micros) = (time.div_euclid(1_000_000) as u64, time.rem_euclid(1_000_000) as u32);
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, micros * 1000);
        RequestId(uuid::Uuid::new_v7(time))
    }
}

impl Default for RequestId {
    fn default() -> Self {
        RequestId::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// SHA-256 over the rule files in force: an entry says by which rules it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesDigest(Arc<str>);

impl RulesDigest {
    /// Over names and contents, in the order given.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for part in files.into_iter().flat_map(|(name, content)| [name, content]) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let hex: String = context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
        RulesDigest(hex.into())
    }

    /// 64 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_room_for_injection_are_refused() {
        for bad in ["", "Parcel", "a b", "a/b", "a\n", "-a", "é", &"a".repeat(65)] {
            assert!(ContractorId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ContractorId::new("parcelco-2").unwrap().as_str(), "parcelco-2");
    }

    #[test]
    fn countries_are_two_upper_case_letters() {
        assert_eq!(Country::new("NL").unwrap().as_str(), "NL");
        for bad in ["nl", "NLD", "N1", ""] {
            assert!(Country::new(bad).is_err());
        }
    }

    #[test]
    fn a_transfer_needs_a_mechanism_unless_it_stays_in_the_country_or_in_the_economic_area() {
        let country = |text| Country::new(text).unwrap();
        let need = |from, to| Jurisdictions { from: country(from), to: country(to) }.need_mechanism();
        for (from, to) in [("US", "US"), ("GB", "GB"), ("DE", "NL"), ("NO", "IE"), ("FR", "LI")] {
            assert!(!need(from, to), "{from} to {to}");
        }
        // Not members: the United Kingdom, Switzerland, and territories with a code of their own.
        for (from, to) in [("US", "NL"), ("NL", "US"), ("DE", "GB"), ("DE", "CH"), ("FR", "NC"), ("DK", "FO")]
        {
            assert!(need(from, to), "{from} to {to}");
        }
        assert!(EEA.is_sorted());
    }
}
