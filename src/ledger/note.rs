//! C2SP signed notes with Ed25519 keys: plain signatures (type 0x01, c2sp.org/signed-note) and timestamped
//! cosignatures of checkpoints (type 0x04, c2sp.org/tlog-cosignature).
//!
//! The text of a note says nothing until [`Note::verified_by`] has found a signature by a trusted key.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::{Engine, prelude::BASE64_STANDARD};

use super::merkle::sha256;

/// The largest note that is read or signed, in bytes.
pub const MAX_NOTE: usize = 1 << 20;
/// The most signatures that a note may have.
pub const MAX_SIGNATURES: usize = 100;

const ID_LEN: usize = 4;
const KEY_LEN: usize = 32;
const TIME_LEN: usize = 8;
/// A timestamp must not exceed this (c2sp.org/tlog-cosignature, Format).
const MAX_SECONDS: u64 = i64::MAX as u64;

/// Why a note, a key or a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The note has more than 1 MiB.
    #[error("the note is larger than 1 MiB")]
    TooLarge,
    /// The note has more than 100 signatures.
    #[error("the note has more than 100 signatures")]
    TooManySignatures,
    /// The note is not UTF-8, or holds a control character other than the newline.
    #[error("the note holds bytes that a note must not hold")]
    Characters,
    /// The text does not end in a newline, or no blank line and signature follow it.
    #[error("the note is not a text, a blank line and signatures")]
    Shape,
    /// A line after the text is not a signature line.
    #[error("a signature line of the note is malformed")]
    SignatureLine,
    /// The key name is empty, or holds a space, a plus or a control character.
    #[error("the key name is not one that a note may have")]
    Name,
    /// The verifier key is malformed, of another type, or its id is not that of its name and key.
    #[error("the verifier key is malformed or of an unknown type")]
    VerifierKey,
    /// A cosigner was to sign as a log, or a log to cosign.
    #[error("the key is of another signature type")]
    Type,
    /// A cosignature's time is after 2^63 - 1.
    #[error("the time of the cosignature is out of range")]
    Time,
    /// A signature by a known key does not verify.
    #[error("a signature by a known key does not verify")]
    BadSignature,
    /// The cryptographic library could not sign.
    #[error("the note could not be signed")]
    Signing,
}

/// The signature types of c2sp.org/signed-note that are known here, with their identifier bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Log = 0x01,
    Cosigner = 0x04,
}

/// A public key with its name and signature type. Its text form is the verifier key ("vkey") of
/// c2sp.org/signed-note: `<name>+<hex id>+<base64 of type and key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    kind: Kind,
    key: [u8; KEY_LEN],
    id: [u8; ID_LEN],
}

impl Verifier {
    fn new(name: &str, kind: Kind, key: [u8; KEY_LEN]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Name);
        }
        let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[kind as u8], &key]);
        Ok(Self { name: name.to_owned(), kind, key, id: [a, b, c, d] })
    }

    /// Reads a verifier key.
    ///
    /// # Errors
    /// [`NoteError::Name`] and [`NoteError::VerifierKey`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.split_once('+').ok_or(NoteError::VerifierKey)?;
        let (id, key) = rest.split_once('+').ok_or(NoteError::VerifierKey)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let (kind, key) = match key.split_first() {
            Some((0x01, key)) => (Kind::Log, key),
            Some((0x04, key)) => (Kind::Cosigner, key),
            _ => return Err(NoteError::VerifierKey),
        };
        let key = key.try_into().map_err(|_| NoteError::VerifierKey)?;
        let verifier = Self::new(name, kind, key)?;
        if hex(&verifier.id) != id {
            return Err(NoteError::VerifierKey);
        }
        Ok(verifier)
    }

    /// The key name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is a cosigner's key (type 0x04) and not a log's (type 0x01).
    pub fn is_cosigner(&self) -> bool {
        self.kind == Kind::Cosigner
    }

    /// Verifies what follows the key id in a signature line.
    fn verify(&self, text: &str, signature: &[u8]) -> Option<Verified> {
        let key = UnparsedPublicKey::new(&ED25519, &self.key);
        match self.kind {
            Kind::Log => key.verify(text.as_bytes(), signature).ok().map(|()| Verified { at: None }),
            Kind::Cosigner => {
                let (time, signature) = signature.split_first_chunk::<TIME_LEN>()?;
                let seconds = u64::from_be_bytes(*time);
                let message = cosigned(text, seconds).ok()?;
                key.verify(message.as_bytes(), signature).ok().map(|()| Verified { at: Some(seconds) })
            }
        }
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64_STANDARD.encode([&[self.kind as u8], &self.key[..]].concat());
        write!(out, "{}+{}+{key}", self.name, hex(&self.id))
    }
}

/// A private key with its name and signature type. Its debug form shows the name only.
pub struct Signer {
    key: Ed25519KeyPair,
    verifier: Verifier,
}

impl Signer {
    fn new(name: &str, kind: Kind, key: Ed25519KeyPair) -> Result<Self, NoteError> {
        let public = key.public_key().as_ref().try_into().map_err(|_| NoteError::Signing)?;
        let verifier = Verifier::new(name, kind, public)?;
        Ok(Self { key, verifier })
    }

    /// A log's key: plain Ed25519 signatures, type 0x01.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn log(name: &str, key: Ed25519KeyPair) -> Result<Self, NoteError> {
        Self::new(name, Kind::Log, key)
    }

    /// A cosigner's key: timestamped Ed25519 cosignatures, type 0x04. The signed message does not hold the
    /// name, so no other cosigner may have this key.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn cosigner(name: &str, key: Ed25519KeyPair) -> Result<Self, NoteError> {
        Self::new(name, Kind::Cosigner, key)
    }

    /// The public half.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The signature line over a message; `prefix` stands between the key id and the signature.
    fn line(&self, message: &str, prefix: &[u8]) -> Result<Signature, NoteError> {
        let signature = self.key.try_sign(message.as_bytes()).map_err(|_| NoteError::Signing)?;
        let bytes = [prefix, signature.as_ref()].concat();
        Ok(Signature { name: self.verifier.name.clone(), id: self.verifier.id, bytes })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signer").field("name", &self.verifier.name).finish_non_exhaustive()
    }
}

/// One signature of a note. Its text form is the signature line without the newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    name: String,
    id: [u8; ID_LEN],
    bytes: Vec<u8>,
}

impl Signature {
    /// Reads a signature line without its newline.
    ///
    /// # Errors
    /// [`NoteError::SignatureLine`].
    pub fn parse(line: &str) -> Result<Self, NoteError> {
        let parts = line.strip_prefix("— ").and_then(|rest| rest.split_once(' '));
        let (name, encoded) = parts.filter(|(name, _)| is_name(name)).ok_or(NoteError::SignatureLine)?;
        let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| NoteError::SignatureLine)?;
        match decoded.split_first_chunk::<ID_LEN>() {
            Some((id, bytes)) if !bytes.is_empty() => {
                Ok(Self { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
            }
            _ => Err(NoteError::SignatureLine),
        }
    }

    /// The name of the key. It proves nothing until the signature is verified.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether name and id are those of this key: only then the signature is by it, or is a forgery.
    pub fn is_by(&self, verifier: &Verifier) -> bool {
        self.name == verifier.name && self.id == verifier.id
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "— {} {}", self.name, BASE64_STANDARD.encode([&self.id[..], &self.bytes].concat()))
    }
}

/// What a verified signature says beside the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The time of a cosignature in POSIX seconds; a log's signature has none.
    pub at: Option<u64>,
}

/// A text with signatures. Its text form is that of c2sp.org/signed-note, which needs a signature to be
/// read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What is signed, with its final newline.
    pub text: String,
    /// The signatures in their order, those by unknown keys too.
    pub signatures: Vec<Signature>,
}

impl Note {
    /// A note without signatures yet.
    ///
    /// # Errors
    /// [`NoteError::TooLarge`], [`NoteError::Characters`], and [`NoteError::Shape`] where the text does not
    /// end in a newline.
    pub fn new(text: String) -> Result<Self, NoteError> {
        check_text(&text)?;
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a note. What is read is written back as the very same bytes.
    ///
    /// # Errors
    /// [`NoteError::TooLarge`], [`NoteError::TooManySignatures`], [`NoteError::Characters`],
    /// [`NoteError::Shape`] and [`NoteError::SignatureLine`].
    pub fn parse(note: impl AsRef<[u8]>) -> Result<Self, NoteError> {
        let bytes = note.as_ref();
        if bytes.len() > MAX_NOTE {
            return Err(NoteError::TooLarge);
        }
        let note = str::from_utf8(bytes).map_err(|_| NoteError::Characters)?;
        check_text(note)?;
        let at = note.rfind("\n\n").ok_or(NoteError::Shape)?;
        let (text, rest) = note.split_at_checked(at + 1).ok_or(NoteError::Shape)?;
        let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
        let lines = lines.ok_or(NoteError::Shape)?;
        if lines.split('\n').nth(MAX_SIGNATURES).is_some() {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = lines.split('\n').map(Signature::parse).collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Adds a log's signature over the text.
    ///
    /// # Errors
    /// [`NoteError::Type`] for a cosigner's key, [`NoteError::TooManySignatures`], [`NoteError::Signing`],
    /// and those of [`Note::new`] for the text.
    pub fn sign(&mut self, signer: &Signer) -> Result<(), NoteError> {
        self.check(signer, Kind::Log)?;
        self.signatures.push(signer.line(&self.text, &[])?);
        Ok(())
    }

    /// Adds a cosignature over the text, which the caller knows to be a checkpoint, and gives it back.
    ///
    /// # Errors
    /// [`NoteError::Type`] for a log's key, [`NoteError::Time`], and the others of [`Note::sign`].
    pub fn cosign(&mut self, signer: &Signer, seconds: u64) -> Result<Signature, NoteError> {
        self.check(signer, Kind::Cosigner)?;
        let signature = signer.line(&cosigned(&self.text, seconds)?, &seconds.to_be_bytes())?;
        self.signatures.push(signature.clone());
        Ok(signature)
    }

    fn check(&self, signer: &Signer, kind: Kind) -> Result<(), NoteError> {
        check_text(&self.text)?;
        if signer.verifier.kind != kind {
            return Err(NoteError::Type);
        }
        if self.signatures.len() >= MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures);
        }
        Ok(())
    }

    /// Looks for signatures by this key. With more than one cosignature the latest time is given.
    ///
    /// Gives nothing where the key has not signed. Signatures by other keys are ignored, also where only the
    /// name or only the id is the same.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] where any signature by this key does not verify: then the whole note
    /// should be refused (c2sp.org/signed-note, Signatures).
    pub fn verify(&self, verifier: &Verifier) -> Result<Option<Verified>, NoteError> {
        let mut latest: Option<Verified> = None;
        for signature in self.signatures.iter().filter(|signature| signature.is_by(verifier)) {
            let found = verifier.verify(&self.text, &signature.bytes).ok_or(NoteError::BadSignature)?;
            latest = Some(Verified { at: latest.and_then(|earlier| earlier.at).max(found.at) });
        }
        Ok(latest)
    }

    /// What a signature by this key says, where there is one and none by this key is bad.
    pub fn verified_by(&self, verifier: &Verifier) -> Option<Verified> {
        self.verify(verifier).ok().flatten()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(out, "{signature}"))
    }
}

/// The message of a cosignature (c2sp.org/tlog-cosignature, Ed25519 signed message).
fn cosigned(text: &str, seconds: u64) -> Result<String, NoteError> {
    if seconds > MAX_SECONDS {
        return Err(NoteError::Time);
    }
    Ok(format!("cosignature/v1\ntime {seconds}\n{text}"))
}

fn check_text(text: &str) -> Result<(), NoteError> {
    if text.len() > MAX_NOTE {
        return Err(NoteError::TooLarge);
    }
    if text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteError::Characters);
    }
    if text.ends_with('\n') { Ok(()) } else { Err(NoteError::Shape) }
}

/// Control characters are refused too: a note with such a name could not be read.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|char| char.is_whitespace() || char == '+' || char < ' ')
}

/// Lowercase hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const SIGNED: &str = "This is an example message.\n\n\
        — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

    fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn log() -> Signer {
        Signer::log("log.example/1", key(1)).unwrap()
    }

    fn witness() -> Signer {
        Signer::cosigner("witness.example/w", key(2)).unwrap()
    }

    fn note() -> Note {
        Note::new("log.example/1\n5\nroot\n".to_owned()).unwrap()
    }

    #[test]
    fn the_example_of_the_specification_verifies() {
        let verifier = Verifier::parse(VKEY).unwrap();
        assert_eq!(verifier.to_string(), VKEY);
        assert_eq!((verifier.name(), verifier.is_cosigner()), ("example.com/foo", false));
        let note = Note::parse(SIGNED).unwrap();
        assert_eq!(note.text, "This is an example message.\n");
        assert_eq!(note.verified_by(&verifier), Some(Verified { at: None }));
        assert_eq!(note.to_string(), SIGNED);
    }

    #[test]
    fn a_text_may_hold_empty_lines() {
        let note = Note::parse(POEM).unwrap();
        assert!(note.text.ends_with("sole:\n\ned è subito sera.\n"));
        assert_eq!(note.signatures[0].name(), "quasimodo.example/salvatore");
        assert_eq!(note.to_string(), POEM);
        let mut ends_in_one = Note::new("a\n\n".to_owned()).unwrap();
        ends_in_one.sign(&log()).unwrap();
        assert_eq!(Note::parse(ends_in_one.to_string()), Ok(ends_in_one));
    }

    #[test]
    fn signatures_and_cosignatures_are_read_back_and_verify() {
        let mut note = note();
        note.sign(&log()).unwrap();
        let line = note.cosign(&witness(), 1_679_315_147).unwrap();
        assert_eq!(Signature::parse(&line.to_string()), Ok(line));
        let read = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.verified_by(log().verifier()), Some(Verified { at: None }));
        assert_eq!(read.verified_by(witness().verifier()), Some(Verified { at: Some(1_679_315_147) }));
    }

    #[test]
    fn the_message_of_a_cosignature_is_that_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let mut note = Note::new(text.to_owned()).unwrap();
        let line = note.cosign(&witness(), 1_679_315_147).unwrap();
        let message = format!("cosignature/v1\ntime 1679315147\n{text}");
        let (time, signature) = line.bytes.split_at(8);
        assert_eq!(time, 1_679_315_147u64.to_be_bytes());
        let public = UnparsedPublicKey::new(&ED25519, witness().verifier().key);
        assert!(public.verify(message.as_bytes(), signature).is_ok());
        let id = sha256(&[b"witness.example/w\n\x04", &witness().verifier().key]);
        assert_eq!(line.id, id[..4]);
    }

    #[test]
    fn a_verifier_key_is_read_back() {
        for signer in [log(), witness()] {
            assert_eq!(Verifier::parse(&signer.verifier().to_string()).as_ref(), Ok(signer.verifier()));
        }
        assert_ne!(
            Signer::log("a", key(1)).unwrap().verifier().id,
            Signer::cosigner("a", key(1)).unwrap().verifier().id
        );
    }

    #[test]
    fn a_malformed_verifier_key_is_refused() {
        for text in [
            "",
            "example.com/foo",
            "example.com/foo+530d903a",
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U0",
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k+",
        ] {
            assert_eq!(Verifier::parse(text), Err(NoteError::VerifierKey), "{text}");
        }
        assert_eq!(Verifier::parse(&VKEY.replace("/foo", " foo")), Err(NoteError::Name));
        assert_eq!(Verifier::parse(&VKEY.replace("example.com/foo", "")), Err(NoteError::Name));
    }

    #[test]
    fn a_name_with_spaces_pluses_or_controls_is_refused() {
        for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{1}b"] {
            assert_eq!(Signer::log(name, key(1)).err(), Some(NoteError::Name), "{name:?}");
        }
    }

    #[test]
    fn a_changed_text_does_not_verify() {
        let mut note = note();
        note.sign(&log()).unwrap();
        note.cosign(&witness(), 7).unwrap();
        note.text = note.text.replace('5', "6");
        assert_eq!(note.verify(log().verifier()), Err(NoteError::BadSignature));
        assert_eq!(note.verified_by(log().verifier()), None);
        assert_eq!(note.verified_by(witness().verifier()), None);
    }

    #[test]
    fn a_changed_time_does_not_verify() {
        let mut note = note();
        note.cosign(&witness(), 7).unwrap();
        note.signatures[0].bytes[7] ^= 1;
        assert_eq!(note.verified_by(witness().verifier()), None);
    }

    #[test]
    fn a_signature_by_an_unknown_key_is_ignored() {
        let mut note = note();
        note.sign(&Signer::log("log.example/1", key(9)).unwrap()).unwrap();
        note.sign(&Signer::log("log.example/2", key(1)).unwrap()).unwrap();
        assert_eq!(note.verify(log().verifier()), Ok(None));
        note.sign(&log()).unwrap();
        assert!(note.verified_by(log().verifier()).is_some());
    }

    #[test]
    fn a_bad_signature_beside_a_good_one_is_refused() {
        let mut note = note();
        note.sign(&log()).unwrap();
        let mut bad = note.signatures[0].clone();
        bad.bytes[0] ^= 1;
        note.signatures.push(bad);
        assert_eq!(note.verified_by(log().verifier()), None);
        note.signatures[1].bytes.truncate(3);
        assert_eq!(note.verified_by(log().verifier()), None);
    }

    #[test]
    fn of_two_cosignatures_the_latest_time_counts() {
        let mut note = note();
        for seconds in [5, 9, 7] {
            note.cosign(&witness(), seconds).unwrap();
        }
        assert_eq!(note.verified_by(witness().verifier()), Some(Verified { at: Some(9) }));
    }

    #[test]
    fn a_key_signs_only_as_what_it_is() {
        assert_eq!(note().sign(&witness()), Err(NoteError::Type));
        assert_eq!(note().cosign(&log(), 7), Err(NoteError::Type));
        assert_eq!(note().cosign(&witness(), u64::MAX), Err(NoteError::Time));
        assert!(note().cosign(&witness(), i64::MAX as u64).is_ok());
    }

    #[test]
    fn a_malformed_note_is_refused() {
        let line = SIGNED.split_once("\n\n").unwrap().1;
        for (note, error) in [
            (String::new(), NoteError::Shape),
            ("text\n".to_owned(), NoteError::Shape),
            ("text\n\n".to_owned(), NoteError::Shape),
            (format!("\n{line}"), NoteError::Shape),
            (format!("text\n\n{}", line.trim_end()), NoteError::Shape),
            (format!("te\txt\n\n{line}"), NoteError::Characters),
            (format!("text\r\n\n{line}"), NoteError::Characters),
            (format!("text\n{line}"), NoteError::Shape),
            (format!("text\n\n{line}more\n"), NoteError::SignatureLine),
            (format!("text\n\n{}", line.replace('—', "-")), NoteError::SignatureLine),
            (format!("text\n\n{}", line.replace("foo ", "foo  ")), NoteError::SignatureLine),
            (format!("text\n\n{}", line.replace("foo ", "f+oo ")), NoteError::SignatureLine),
            (format!("text\n\n{}", line.replace("aQM=", "aQN=")), NoteError::SignatureLine),
            ("text\n\n— a AAAAAA==\n".to_owned(), NoteError::SignatureLine),
        ] {
            assert_eq!(Note::parse(&note), Err(error), "{note}");
        }
        assert_eq!(Note::parse([b"text\xff\n\n", line.as_bytes()].concat()), Err(NoteError::Characters));
        assert_eq!(Note::new("no newline".to_owned()), Err(NoteError::Shape));
    }

    #[test]
    fn sizes_are_bounded() {
        let line = SIGNED.split_once("\n\n").unwrap().1;
        assert!(Note::parse(format!("text\n\n{}", line.repeat(100))).is_ok());
        assert_eq!(Note::parse(format!("text\n\n{}", line.repeat(101))), Err(NoteError::TooManySignatures));
        let long = "x".repeat(MAX_NOTE);
        assert_eq!(Note::parse(format!("{long}\n\n{line}")), Err(NoteError::TooLarge));
        let mut full = Note::parse(format!("text\n\n{}", line.repeat(100))).unwrap();
        assert_eq!(full.sign(&log()), Err(NoteError::TooManySignatures));
    }

    #[test]
    fn the_debug_form_of_a_signer_shows_the_name_only() {
        assert_eq!(format!("{:?}", log()), "Signer { name: \"log.example/1\", .. }");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back(text in "[a— +\n]{0,30}\n\n(— a AAAAAAA=\n|\n| ){0,3}") {
            if let Ok(note) = Note::parse(&text) {
                prop_assert_eq!(note.to_string(), text);
            }
        }
    }
}
