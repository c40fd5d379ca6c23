//! C2SP tlog-proof: a proof, in one text, that a log holds a leaf.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::checkpoint::{self, Checkpoint, CheckpointError, decimal, decode_hash, encode_hash};
use super::merkle::{self, Hash};
use super::note::{MAX_NOTE, Note, Verifier};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The longest way from a leaf to a root with 64-bit sizes.
const MAX_HASHES: usize = 64;
/// The largest proof that is read, in bytes: a note and as much extra data.
const MAX_PROOF: usize = 2 * MAX_NOTE;

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The text has more than 2 MiB.
    #[error("the proof is larger than 2 MiB")]
    TooLarge,
    /// The text is not the lines of a proof.
    #[error("the proof is malformed")]
    Malformed,
    /// There are more than 64 hashes.
    #[error("the proof has more hashes than any tree has levels")]
    TooManyHashes,
    /// The checkpoint is malformed, or it is not one of this log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The leaf does not stand at the index in the tree of the checkpoint.
    #[error("the proof is for another leaf or another tree")]
    Inclusion,
}

/// That a leaf stands at an index in the tree of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Data for the application; nothing authenticates it. Empty data is written as none.
    pub extra: Option<Vec<u8>>,
    /// The index of the leaf.
    pub index: u64,
    /// The inclusion proof, the leaf's sibling first.
    pub hashes: Vec<Hash>,
    /// The checkpoint as a signed note, with the cosignatures there are.
    pub checkpoint: String,
}

impl Proof {
    /// Reads a proof. It verifies nothing.
    ///
    /// # Errors
    /// Every [`ProofError`] but [`ProofError::Inclusion`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        if text.len() > MAX_PROOF {
            return Err(ProofError::TooLarge);
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofError::Malformed)?;
        let proof = Self::read(head, checkpoint).ok_or(ProofError::Malformed)?;
        if proof.hashes.len() > MAX_HASHES {
            return Err(ProofError::TooManyHashes);
        }
        let note = Note::parse(checkpoint).map_err(CheckpointError::from)?;
        Checkpoint::parse(&note)?;
        Ok(proof)
    }

    fn read(head: &str, checkpoint: &str) -> Option<Self> {
        let rest = head.strip_prefix(HEADER)?.strip_prefix('\n')?;
        let (extra, rest) = match rest.strip_prefix("extra ") {
            Some(rest) => {
                let (extra, rest) = rest.split_once('\n')?;
                // Without extra data the line must be omitted.
                let extra = BASE64_STANDARD.decode(extra).ok().filter(|extra| !extra.is_empty())?;
                (Some(extra), rest)
            }
            None => (None, rest),
        };
        let mut lines = rest.split('\n');
        let index = decimal(lines.next()?.strip_prefix("index ")?)?;
        let hashes = lines.map(decode_hash).collect::<Option<_>>()?;
        Some(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Verifies the log's signature on the checkpoint, and that the leaf with this hash stands at the index in
    /// the tree of the checkpoint, which it gives.
    ///
    /// Cosignatures are not looked at: how many of which witnesses are needed is for the caller to say.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`] and [`ProofError::Inclusion`].
    pub fn verify(&self, leaf: &Hash, log: &Verifier) -> Result<Checkpoint, ProofError> {
        let (checkpoint, _) = checkpoint::open(&self.checkpoint, log)?;
        if merkle::verify_inclusion(leaf, self.index, checkpoint.size, &self.hashes, &checkpoint.root) {
            Ok(checkpoint)
        } else {
            Err(ProofError::Inclusion)
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{HEADER}")?;
        if let Some(extra) = self.extra.as_ref().filter(|extra| !extra.is_empty()) {
            writeln!(out, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(out, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(out, "{}", encode_hash(hash)))?;
        write!(out, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::merkle::Leaves;
    use super::super::note::{NoteError, Signer};
    use super::*;
    use aws_lc_rs::signature::Ed25519KeyPair;

    const ORIGIN: &str = "example.com/fancylog";

    fn log() -> Signer {
        Signer::log(ORIGIN, Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()).unwrap()
    }

    fn proof(index: u64, size: u64) -> (Proof, Hash) {
        let leaves = Leaves::numbers(size);
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: leaves.root(size) };
        let mut note = checkpoint.to_note().unwrap();
        note.sign(&log()).unwrap();
        let hashes = merkle::inclusion(&leaves, index, size).unwrap();
        let proof = Proof { extra: None, index, hashes, checkpoint: note.to_string() };
        (proof, leaves.0[index as usize])
    }

    #[test]
    fn a_proof_is_read_back_and_verifies() {
        for (index, size) in [(0, 1), (4, 7), (6, 7), (99, 100)] {
            for extra in [None, Some(b"more".to_vec())] {
                let (made, leaf) = proof(index, size);
                let read = Proof::parse(&Proof { extra: extra.clone(), ..made.clone() }.to_string()).unwrap();
                assert_eq!(read, Proof { extra, ..made });
                assert_eq!(read.verify(&leaf, log().verifier()).unwrap().size, size);
            }
        }
    }

    #[test]
    fn the_text_is_that_of_the_specification() {
        let (made, _) = proof(1, 2);
        let text = Proof { extra: Some(b"x".to_vec()), ..made.clone() }.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra eA==", "index 1"]);
        assert_eq!((lines[3].len(), lines[4], lines[5]), (44, "", ORIGIN));
        assert!(text.ends_with(&made.checkpoint));
    }

    #[test]
    fn a_proof_for_another_leaf_is_refused() {
        let (proof, leaf) = proof(4, 7);
        let refused = |proof: &Proof, leaf: &Hash| proof.verify(leaf, log().verifier()).err();
        assert_eq!(refused(&proof, &[7; 32]), Some(ProofError::Inclusion));
        assert_eq!(refused(&Proof { index: 5, ..proof.clone() }, &leaf), Some(ProofError::Inclusion));
        assert_eq!(refused(&Proof { hashes: vec![], ..proof }, &leaf), Some(ProofError::Inclusion));
    }

    #[test]
    fn a_proof_from_another_log_is_refused() {
        let (proof, leaf) = proof(4, 7);
        let key = |seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let imposter = Signer::log(ORIGIN, key(2)).unwrap();
        let unsigned = ProofError::Checkpoint(CheckpointError::Unsigned);
        assert_eq!(proof.verify(&leaf, imposter.verifier()), Err(unsigned));
        let other = Signer::log("example.com/other", key(1)).unwrap();
        let origin = ProofError::Checkpoint(CheckpointError::Origin);
        assert_eq!(proof.verify(&leaf, other.verifier()), Err(origin));
        let changed = Proof { checkpoint: proof.checkpoint.replace("\n7\n", "\n8\n"), ..proof };
        let bad = ProofError::Checkpoint(CheckpointError::Note(NoteError::BadSignature));
        assert_eq!(changed.verify(&leaf, log().verifier()), Err(bad));
    }

    #[test]
    fn a_malformed_proof_is_refused() {
        let (made, _) = proof(4, 7);
        let text = made.to_string();
        let hash = text.lines().nth(2).unwrap();
        for (from, to) in [
            ("@v1", "@v2"),
            ("index 4", "index 04"),
            ("index 4", "index +4"),
            ("index 4", "index  4"),
            ("index 4", "index 4 "),
            ("index 4", "index"),
            ("index 4", "extra \nindex 4"),
            ("index 4", "extra eA\nindex 4"),
            ("index 4", "extra eA==\nextra eA==\nindex 4"),
            ("index 4", "index 4\nindex 4"),
            ("index 4\n", ""),
            ("index 4\n", "index 4\r\n"),
            (hash, &hash[1..]),
            (hash, &format!("{hash} ")),
        ] {
            assert_eq!(Proof::parse(&text.replace(from, to)), Err(ProofError::Malformed), "{to}");
        }
        assert_eq!(Proof::parse(""), Err(ProofError::Malformed));
        let many = Proof { hashes: vec![[0; 32]; 65], ..made.clone() };
        assert_eq!(Proof::parse(&many.to_string()), Err(ProofError::TooManyHashes));
        let big = Proof { extra: Some(vec![0; MAX_PROOF]), ..made.clone() };
        assert_eq!(Proof::parse(&big.to_string()), Err(ProofError::TooLarge));
        for checkpoint in ["", "one\ntwo\n", "no\n\n— a AAAAAAA=\n"] {
            let bad = Proof { checkpoint: checkpoint.to_owned(), ..made.clone() };
            assert!(matches!(Proof::parse(&bad.to_string()), Err(ProofError::Checkpoint(_))), "{checkpoint}");
        }
    }
}
