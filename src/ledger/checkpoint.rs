//! C2SP tlog-checkpoint: the origin, size and root of a log as the text of a signed note.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::merkle::Hash;
use super::note::{Note, NoteError, Verifier};

/// Why a checkpoint is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The signed note is malformed, or a signature by the log's key is bad.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The text is not an origin, a size, a root and non-empty lines.
    #[error("the checkpoint is malformed")]
    Malformed,
    /// The origin is not the name of the log's key.
    #[error("the checkpoint is of another log")]
    Origin,
    /// The log's key has not signed it.
    #[error("the checkpoint is not signed by the log")]
    Unsigned,
}

/// The state of a log at one size.
///
/// Its text form is the note text without extension lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the Merkle tree over these leaves.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note, whose signatures it does not verify. Extension lines are not kept.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse(note: &Note) -> Result<Self, CheckpointError> {
        Self::parse_text(&note.text)
    }

    /// Reads the text of a checkpoint, with its final newline. Extension lines are not kept.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`].
    pub fn parse_text(text: &str) -> Result<Self, CheckpointError> {
        Self::read(text).ok_or(CheckpointError::Malformed)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
        let size = decimal(lines.next()?)?;
        let root = decode_hash(lines.next()?)?;
        lines.all(|extension| !extension.is_empty()).then_some(Self { origin, size, root })
    }

    /// The note that says this, without signatures yet.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] where the origin is empty or holds a newline, and [`CheckpointError::Note`]
    /// where a note cannot hold it.
    pub fn to_note(&self) -> Result<Note, CheckpointError> {
        if self.origin.is_empty() || self.origin.contains('\n') {
            return Err(CheckpointError::Origin);
        }
        Ok(Note::new(self.to_string())?)
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n{}\n{}", self.origin, self.size, encode_hash(&self.root))
    }
}

/// Reads a signed checkpoint of the log that has this key.
///
/// What it gives is signed by the log, and the origin is the name of the log's key.
///
/// # Errors
/// Every [`CheckpointError`].
pub fn open(note: &str, verifier: &Verifier) -> Result<(Checkpoint, Note), CheckpointError> {
    let note = Note::parse(note)?;
    let checkpoint = Checkpoint::parse(&note)?;
    if checkpoint.origin != verifier.name() {
        return Err(CheckpointError::Origin);
    }
    note.verify(verifier)?.ok_or(CheckpointError::Unsigned)?;
    Ok((checkpoint, note))
}

/// A decimal number without a sign and without leading zeros.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// A hash in base64, RFC 4648 section 4, with padding and no stray bits.
pub(super) fn decode_hash(text: &str) -> Option<Hash> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// The text that [`decode_hash`] reads.
pub(super) fn encode_hash(hash: &Hash) -> String {
    BASE64_STANDARD.encode(hash)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::note::Signer;
    use super::*;
    use aws_lc_rs::signature::Ed25519KeyPair;

    const ORIGIN: &str = "example.com/behind-the-sofa";
    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    const SIGNATURES: &str = "\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    fn signer(name: &str, seed: u8) -> Signer {
        Signer::log(name, Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()).unwrap()
    }

    fn signed(signer: &Signer) -> String {
        let mut note = Checkpoint::parse_text(TEXT).unwrap().to_note().unwrap();
        note.sign(signer).unwrap();
        note.to_string()
    }

    #[test]
    fn the_example_of_the_specification_is_read_and_written_back() {
        let note = Note::parse(format!("{TEXT}{SIGNATURES}")).unwrap();
        assert_eq!(note.signatures.len(), 2);
        let checkpoint = Checkpoint::parse(&note).unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size), (ORIGIN, 20_852_163));
        assert_eq!(checkpoint.to_string(), TEXT);
        assert_eq!(checkpoint.to_note().unwrap().text, TEXT);
    }

    #[test]
    fn extension_lines_are_ignored() {
        let with = Checkpoint::parse_text(&format!("{TEXT}one\ntwo\n"));
        assert_eq!(with, Checkpoint::parse_text(TEXT));
    }

    #[test]
    fn a_malformed_text_is_refused() {
        for text in [
            "".to_owned(),
            "\n".to_owned(),
            TEXT.trim_end().to_owned(),
            TEXT.replace(ORIGIN, ""),
            TEXT.replace("20852163", ""),
            TEXT.replace("20852163", "020852163"),
            TEXT.replace("20852163", "00"),
            TEXT.replace("20852163", "+20852163"),
            TEXT.replace("20852163", "-1"),
            TEXT.replace("20852163", " 1"),
            TEXT.replace("20852163", "18446744073709551616"),
            TEXT.replace("q2I=", "q2I"),
            TEXT.replace("q2I=", "q2J="),
            TEXT.replace("CsUY", ""),
            TEXT.replace("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n", ""),
            format!("{TEXT}\n"),
            format!("{TEXT}one\n\ntwo\n"),
        ] {
            assert_eq!(Checkpoint::parse_text(&text), Err(CheckpointError::Malformed), "{text:?}");
        }
        assert!(Checkpoint::parse_text(&TEXT.replace("20852163", "0")).is_ok());
    }

    #[test]
    fn a_checkpoint_signed_by_its_log_is_opened() {
        let log = signer(ORIGIN, 1);
        let (checkpoint, note) = open(&signed(&log), log.verifier()).unwrap();
        assert_eq!(checkpoint.to_string(), TEXT);
        assert!(note.verified_by(log.verifier()).is_some());
    }

    #[test]
    fn a_checkpoint_that_its_log_did_not_sign_is_refused() {
        let log = signer(ORIGIN, 1);
        let open = |note: &str| open(note, log.verifier()).err();
        assert_eq!(open(&signed(&signer(ORIGIN, 2))), Some(CheckpointError::Unsigned));
        assert_eq!(open(TEXT), Some(CheckpointError::Note(NoteError::Shape)));
        let changed = signed(&log).replace("20852163", "20852164");
        assert_eq!(open(&changed), Some(CheckpointError::Note(NoteError::BadSignature)));
    }

    #[test]
    fn a_checkpoint_of_another_origin_is_refused() {
        let other = signer("example.com/other", 1);
        assert_eq!(open(&signed(&other), other.verifier()).err(), Some(CheckpointError::Origin));
    }

    #[test]
    fn an_origin_that_is_not_one_line_makes_no_note() {
        for origin in ["", "a\nb"] {
            let checkpoint = Checkpoint { origin: origin.to_owned(), size: 0, root: [0; 32] };
            assert_eq!(checkpoint.to_note(), Err(CheckpointError::Origin));
        }
        let control = Checkpoint { origin: "a\tb".to_owned(), size: 0, root: [0; 32] };
        assert_eq!(control.to_note(), Err(CheckpointError::Note(NoteError::Characters)));
    }
}
