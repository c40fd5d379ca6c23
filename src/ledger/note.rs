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
mod tests;
