//! What the ledger shows to its witnesses, and what it keeps of their answers. The HTTP between them is the
//! caller's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive::{self, BUNDLE, Head};
use super::checkpoint::{self, Checkpoint, decimal};
use super::entry;
use super::error::StoreError;
use super::files;
use super::log;
use super::merkle;
use super::note::{Note, NoteError, Signature, Verifier};
use super::tiles::TileReader;
use super::view::View;
use super::witness::Request;

/// A ledger as its witnesses know it.
#[derive(Debug)]
pub struct Witnessed {
    folder: PathBuf,
    log: Verifier,
}

impl Witnessed {
    /// The ledger whose index is at `index` and whose heads this key signs.
    pub fn new(index: &Path, log: Verifier) -> Self {
        Self { folder: log::folder(index), log }
    }

    /// What shows a witness that has cosigned the first `old` entries how they became those of `head`.
    ///
    /// # Errors
    /// Where a tile cannot be read.
    pub fn request(&self, head: &Head, old: u64) -> Result<Request, StoreError> {
        let tiles = TileReader::new(self.folder.clone(), head.size);
        let proof = merkle::consistency(&tiles, old, head.size)?;
        Ok(Request { old, proof, checkpoint: head.note.clone() })
    }

    /// The last head that was kept with its cosignatures, and its size.
    ///
    /// # Errors
    /// Where its file cannot be read, or is not a checkpoint that this ledger's key has signed.
    pub fn kept(&self) -> Result<Option<(u64, Note)>, StoreError> {
        let path = self.path();
        let note = match std::fs::read_to_string(&path) {
            Ok(note) => note,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::File { path, source }),
        };
        match checkpoint::open(&note, &self.log) {
            Ok((Checkpoint { size, .. }, note)) => Ok(Some((size, note))),
            Err(error) => Err(StoreError::Broken { path, what: error.to_string() }),
        }
    }

    /// Keeps a head with its cosignatures.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self, note: &Note) -> Result<(), StoreError> {
        files::replace(&self.path(), note.to_string().as_bytes())
    }

    /// Refuses a ledger that is shorter than what its witnesses have cosigned.
    ///
    /// # Errors
    /// [`StoreError::Shorter`].
    pub fn check_size(&self, found: u64, known: u64) -> Result<(), StoreError> {
        if found < known {
            return Err(StoreError::Shorter { path: self.folder.clone(), found, known });
        }
        Ok(())
    }

    /// How long ago an archived entry was made; nothing where it cannot be read or its content was pruned.
    pub fn age(&self, position: u64) -> Option<Duration> {
        let bundle = archive::read_bundle(&self.folder, position / BUNDLE, position % BUNDLE + 1).ok()?;
        let leaf = bundle.into_iter().next_back()??;
        let micros = entry::now().saturating_sub(View::parse(&leaf).ok()?.time);
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    fn path(&self) -> PathBuf {
        self.folder.join("checkpoint.witnessed")
    }
}

/// The cosignature in a witness's answer to a head. Others in it are ignored (c2sp.org/tlog-witness).
///
/// # Errors
/// Where the answer is not signature lines, none is by this key, or one by it does not verify.
pub fn cosignature(head: &str, answer: &[u8], key: &Verifier) -> Result<Signature, NoteError> {
    let head = Note::parse(head)?;
    let lines = str::from_utf8(answer).map_err(|_| NoteError::Characters)?;
    let lines = lines.strip_suffix('\n').ok_or(NoteError::SignatureLine)?;
    let signatures = lines.split('\n').map(Signature::parse).collect::<Result<_, _>>()?;
    let note = Note { text: head.text, signatures };
    // A time of zero says that there is none.
    note.verify(key)?.and_then(|verified| verified.at).filter(|at| *at > 0).ok_or(NoteError::BadSignature)?;
    note.signatures.into_iter().rfind(|signature| signature.is_by(key)).ok_or(NoteError::BadSignature)
}

/// The size in the body of an answer with status 409: how many entries the witness has cosigned.
pub fn known_size(answer: &[u8]) -> Option<u64> {
    decimal(str::from_utf8(answer).ok()?.strip_suffix('\n')?)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::Ed25519KeyPair;
    use tempfile::TempDir;

    use super::super::merkle::Leaves;
    use super::super::note::Signer;
    use super::super::tiles::Tiles;
    use super::super::witness::Witness;
    use super::*;

    fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn log() -> Signer {
        Signer::log("log.example", key(1)).unwrap()
    }

    fn cosigner(seed: u8) -> Signer {
        Signer::cosigner("witness.example/w", key(seed)).unwrap()
    }

    fn head(size: u64) -> Head {
        let root = Leaves::numbers(size).root(size);
        let mut note = Checkpoint { origin: "log.example".to_owned(), size, root }.to_note().unwrap();
        note.sign(&log()).unwrap();
        Head { size, root, note: note.to_string() }
    }

    /// A ledger of so many entries, without their content.
    fn ledger(folder: &TempDir, size: u64) -> Witnessed {
        let index = folder.path().join("l.db");
        let tlog = log::folder(&index);
        files::make_folder(&tlog).unwrap();
        let mut tiles = Tiles::open(tlog, 0).unwrap();
        Leaves::numbers(size).0.into_iter().for_each(|leaf| tiles.append(leaf));
        tiles.write().unwrap();
        Witnessed::new(&index, log().verifier().clone())
    }

    #[test]
    fn a_witness_takes_the_proofs_from_the_tiles() {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let logs = vec![log().verifier().clone()];
        let witness = Witness::new(cosigner(2), logs, state.path().to_owned()).unwrap();
        let mut old = 0;
        for size in [1, 3, 255, 256, 300, 700] {
            let ledger = ledger(&folder, 700);
            let request = ledger.request(&head(size), old).unwrap();
            let answer = witness.add_checkpoint(request.to_string().as_bytes(), 7);
            assert_eq!(answer.status, 200, "{old} to {size}: {}", answer.body);
            let cosigned = cosignature(&head(size).note, answer.body.as_bytes(), cosigner(2).verifier());
            let mut note = Note::parse(head(size).note).unwrap();
            note.signatures.push(cosigned.unwrap());
            ledger.keep(&note).unwrap();
            assert_eq!(ledger.kept().unwrap(), Some((size, note)));
            old = size;
        }
    }

    #[test]
    fn an_answer_counts_only_with_a_good_signature_by_the_witness_and_its_time() {
        let cosign = |signer: &Signer, time: u64| {
            let mut note = Note::parse(head(5).note).unwrap();
            format!("{}\n", note.cosign(signer, time).unwrap())
        };
        let (good, other) = (cosign(&cosigner(2), 7), cosign(&cosigner(3), 7));
        let read = |answer: &str| cosignature(&head(5).note, answer.as_bytes(), cosigner(2).verifier());
        assert_eq!(format!("{}\n", read(&good).unwrap()), good);
        assert_eq!(format!("{}\n", read(&(other.clone() + &good)).unwrap()), good);
        for bad in [
            String::new(),
            "\n".to_owned(),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("\n{good}"),
            other.clone(),
            cosign(&cosigner(2), 0),
            good.replace("witness.example", "witness.example.org"),
        ] {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            cosignature(&head(6).note, good.as_bytes(), cosigner(2).verifier()),
            Err(NoteError::BadSignature)
        );
    }

    #[test]
    fn a_size_is_a_plain_number_and_a_newline() {
        assert_eq!(known_size(b"0\n"), Some(0));
        assert_eq!(known_size(b"20852163\n"), Some(20_852_163));
        for bad in
            [&b""[..], b"7", b"07\n", b"-7\n", b" 7\n", b"7\n\n", b"<html>\n", b"99999999999999999999\n"]
        {
            assert_eq!(known_size(bad), None);
        }
    }

    #[test]
    fn what_was_kept_and_is_damaged_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder, 3);
        assert_eq!(ledger.kept().unwrap(), None);
        std::fs::write(ledger.path(), "garbage").unwrap();
        assert!(matches!(ledger.kept(), Err(StoreError::Broken { .. })));
    }
}
