//! Proofs that the ledger holds an entry, and what such a proof shows to somebody without the ledger.
//!
//! The extra data of a proof is the entry's bytes, or where its content must not be shown (a receipt for a
//! contractor) or is not there any more, the 32 bytes of its leaf hash. Either way the hash follows from it.

use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::error::StoreError;
use super::gathered;
use super::log::Log;
use super::merkle::{self, Hash, Hashes};
use super::note::{Note, NoteError, Verifier};
use super::proof::{Proof, ProofError};
use super::tiles::TileReader;
use super::view::View;

/// Why an entry cannot be proved.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    #[error("there is no entry {position}: the ledger has {size}")]
    Missing { position: u64, size: u64 },
    #[error(
        "entry {position} is durable, and no signed head covers it yet: the gateway signs one within a second; try again while it runs"
    )]
    NotCovered { position: u64 },
    #[error("entry {position} does not fit the signed head: run `fieldgate ledger verify`")]
    Broken { position: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a proof shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("the proof does not hold the entry or its hash: nothing says what it proves")]
    NoContent,
    #[error("the proof is for place {index} of the log, and its entry says that it is entry {says}")]
    OtherPlace { index: u64, says: u64 },
    #[error("the proof is in order, and what it proves is not an entry")]
    NotAnEntry,
    #[error("the witness {0} has not signed the head of this proof")]
    NotWitnessed(String),
    #[error("the signature of the witness {0} is forged or damaged")]
    BadCosignature(String),
    #[error("{0} is not the key of a witness")]
    NotAWitness(String),
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The entry's number.
    pub index: u64,
    /// The entry's bytes, where the proof has them.
    pub entry: Option<Vec<u8>>,
    pub leaf: Hash,
    /// The signed head.
    pub head: Checkpoint,
    /// The witnesses that were asked about; all have signed.
    pub witnesses: Vec<CosignedBy>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignedBy {
    pub name: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    pub at: u64,
}

/// Where the last head that witnesses have signed is.
pub fn witnessed_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint.witnessed")
}

/// Proves an entry, under the last head that witnesses have signed where that covers it. The proof holds
/// the entry's bytes; see [`Proof::without_content`].
///
/// # Errors
/// Where no signed head covers the entry, or the ledger cannot be read.
pub fn prove(log: &Log, position: u64) -> Result<Proof, ProveError> {
    if position >= log.size() {
        return Err(ProveError::Missing { position, size: log.size() });
    }
    let witnessed = std::fs::read_to_string(witnessed_path(log.folder())).ok();
    let mut covers = false;
    for note in [witnessed.as_deref(), log.head()].into_iter().flatten() {
        let Some(head) = Note::parse(note).ok().and_then(|note| Checkpoint::parse(&note).ok()) else {
            continue;
        };
        if position >= head.size || head.size > log.archived() {
            continue;
        }
        covers = true;
        if let Some(proof) = prove_under(log, position, &head, note)? {
            return Ok(proof);
        }
    }
    Err(if covers { ProveError::Broken { position } } else { ProveError::NotCovered { position } })
}

/// The proof under this head; None where the tree is not the one that it signs.
fn prove_under(log: &Log, position: u64, head: &Checkpoint, note: &str) -> Result<Option<Proof>, ProveError> {
    let tiles = TileReader::new(log.folder().to_owned(), log.archived());
    let hashes = merkle::inclusion(&tiles, position, head.size).map_err(StoreError::from)?;
    let extra = match log.entry(position)? {
        Some(entry) => entry,
        // Of what was pruned the hash is left.
        None => tiles.node(0, position).map_err(StoreError::from)?.to_vec(),
    };
    let proof = Proof { extra: Some(extra), index: position, hashes, checkpoint: note.to_owned() };
    let is_in = |leaf: Hash| merkle::verify_inclusion(&leaf, position, head.size, &proof.hashes, &head.root);
    Ok(proof.leaf().is_some_and(is_in).then_some(proof))
}

impl Proof {
    /// The hash that the proof is for, by its extra data.
    pub fn leaf(&self) -> Option<Hash> {
        let extra = self.extra.as_ref()?;
        // An entry is longer.
        Some(Hash::try_from(extra.as_slice()).unwrap_or_else(|_| merkle::leaf_hash(extra)))
    }

    /// The same proof with the hash of the entry in place of its bytes.
    #[must_use]
    pub fn without_content(self) -> Proof {
        Proof { extra: self.leaf().map(|leaf| leaf.to_vec()), ..self }
    }
}

/// Checks a proof against the key of the log and those of witnesses, all of which must have signed.
///
/// # Errors
/// Where the proof shows nothing.
pub fn examine(proof: &Proof, log: &Verifier, witnesses: &[Verifier]) -> Result<Evidence, EvidenceError> {
    let leaf = proof.leaf().ok_or(EvidenceError::NoContent)?;
    let head = proof.verify(&leaf, log)?;
    let note = Note::parse(&proof.checkpoint).map_err(|error| ProofError::Checkpoint(error.into()))?;
    let witnesses = witnesses.iter().map(|witness| witnessed(&note, witness)).collect::<Result<_, _>>()?;
    let entry = proof.extra.clone().filter(|extra| extra.len() != leaf.len());
    if let Some(entry) = &entry {
        let view = View::parse(entry).map_err(|_| EvidenceError::NotAnEntry)?;
        // In a gathered ledger, it has a place among the entries of all nodes.
        if view.index != proof.index && !gathered::is_name(log.name()) {
            return Err(EvidenceError::OtherPlace { index: proof.index, says: view.index });
        }
    }
    Ok(Evidence { index: proof.index, entry, leaf, head, witnesses })
}

fn witnessed(note: &Note, witness: &Verifier) -> Result<CosignedBy, EvidenceError> {
    let name = witness.name().to_owned();
    if !witness.is_cosigner() {
        return Err(EvidenceError::NotAWitness(name));
    }
    match note.verify(witness) {
        Ok(Some(verified)) => Ok(CosignedBy { name, at: verified.at.unwrap_or_default() }),
        Ok(None) => Err(EvidenceError::NotWitnessed(name)),
        Err(NoteError::BadSignature) => Err(EvidenceError::BadCosignature(name)),
        Err(error) => Err(ProofError::Checkpoint(error.into()).into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]
mod tests {
    use super::super::archive::Archive;
    use super::super::note::Signer;
    use super::*;
    use aws_lc_rs::signature::Ed25519KeyPair;
    use tempfile::{TempDir, tempdir};

    fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn signer() -> Signer {
        Signer::log("log.example", key(1)).unwrap()
    }

    fn entry(number: u64) -> Vec<u8> {
        format!(r#"{{"kind":"started","id":"x-{number}","time":1,"index":{number}}}"#).into_bytes()
    }

    fn ledger(sizes: &[u64]) -> (TempDir, PathBuf) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("test.tlog");
        let mut archive = Archive::open(&path, signer()).unwrap();
        for size in sizes {
            (archive.size()..*size).for_each(|number| archive.append(entry(number)));
            archive.seal().unwrap();
        }
        (dir, path)
    }

    #[test]
    fn a_proof_of_each_entry_shows_it() {
        let (_dir, path) = ledger(&[300]);
        let log = Log::open(&path).unwrap();
        for position in (0..300).step_by(23).chain([255, 256, 299]) {
            let proof = Proof::parse(&prove(&log, position).unwrap().to_string()).unwrap();
            let shown = examine(&proof, signer().verifier(), &[]).unwrap();
            assert_eq!((shown.index, shown.entry, shown.head.size), (position, Some(entry(position)), 300));
            let receipt = Proof::parse(&proof.without_content().to_string()).unwrap();
            let shown = examine(&receipt, signer().verifier(), &[]).unwrap();
            assert_eq!((shown.entry, shown.leaf), (None, merkle::leaf_hash(&entry(position))));
        }
        assert!(matches!(prove(&log, 300), Err(ProveError::Missing { position: 300, size: 300 })));
    }

    #[test]
    fn a_proof_of_another_entry_shows_nothing() {
        let (_dir, path) = ledger(&[300]);
        let proof = prove(&Log::open(&path).unwrap(), 7).unwrap();
        let refused = |proof: Proof| examine(&proof, signer().verifier(), &[]).unwrap_err();
        let inclusion = EvidenceError::Proof(ProofError::Inclusion);
        assert_eq!(refused(Proof { extra: Some(entry(8)), ..proof.clone() }), inclusion);
        assert_eq!(refused(Proof { index: 8, ..proof.clone() }), inclusion);
        assert_eq!(refused(Proof { extra: None, ..proof.clone() }), EvidenceError::NoContent);
        let other = Signer::log("log.example", key(2)).unwrap();
        assert!(examine(&proof, other.verifier(), &[]).is_err());
    }

    #[test]
    fn an_entry_in_the_journal_only_is_not_covered() {
        use super::super::journal::Journal;
        let (_dir, path) = ledger(&[5]);
        let archived = std::sync::Arc::new(5.into());
        let mut journal = Journal::open(&path.join("journal"), archived, std::fs::File::sync_data).unwrap();
        journal.stage(&entry(5));
        journal.commit().unwrap();
        let log = Log::open(&path).unwrap();
        assert!(matches!(prove(&log, 5), Err(ProveError::NotCovered { position: 5 })));
        assert!(prove(&log, 4).is_ok());
    }

    #[test]
    fn the_head_of_the_witnesses_is_taken_where_it_covers_the_entry() {
        let (_dir, path) = ledger(&[10]);
        let witness = Signer::cosigner("witness.example", key(3)).unwrap();
        let mut note = Note::parse(Log::open(&path).unwrap().head().unwrap()).unwrap();
        note.cosign(&witness, 1234).unwrap();
        std::fs::write(witnessed_path(&path), note.to_string()).unwrap();
        let mut archive = Archive::open(&path, signer()).unwrap();
        (10..400).for_each(|number| archive.append(entry(number)));
        archive.seal().unwrap();
        let log = Log::open(&path).unwrap();
        let witnesses = [witness.verifier().clone()];
        let shown = examine(&prove(&log, 9).unwrap(), signer().verifier(), &witnesses).unwrap();
        assert_eq!(shown.head.size, 10);
        assert_eq!(shown.witnesses, [CosignedBy { name: "witness.example".into(), at: 1234 }]);
        let later = prove(&log, 10).unwrap();
        let missing = EvidenceError::NotWitnessed("witness.example".into());
        assert_eq!(examine(&later, signer().verifier(), &witnesses), Err(missing));
        let wrong = EvidenceError::NotAWitness("log.example".into());
        assert_eq!(examine(&later, signer().verifier(), &[signer().verifier().clone()]), Err(wrong));
    }
}
