//! The core of a C2SP tlog-witness: it takes checkpoints of known logs, sees that each goes on from the one
//! before, and cosigns it. The HTTP around it is the caller's.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::checkpoint::{Checkpoint, decimal, decode_hash, encode_hash};
use super::disk;
use super::error::StoreError;
use super::lock::WriterLock;
use super::merkle::{self, Frontier, Hash};
use super::note::{MAX_NOTE, Note, NoteError, Signer, Verifier, hex};

/// The most lines of a consistency proof (c2sp.org/tlog-witness, add-checkpoint).
const MAX_PROOF: usize = 63;
/// The largest request: a note, and the lines before it with room to spare.
pub const MAX_REQUEST: usize = MAX_NOTE + 4096;

/// The body of an `add-checkpoint` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The size of the last checkpoint that the witness cosigned, zero for none.
    pub old: u64,
    /// The consistency proof from the old size to that of the checkpoint.
    pub proof: Vec<Hash>,
    /// The new checkpoint as a signed note.
    pub checkpoint: String,
}

/// The request is not of the form that c2sp.org/tlog-witness gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request is malformed")]
pub struct RequestError;

impl Request {
    /// Reads a request. The checkpoint in it is not looked at.
    ///
    /// # Errors
    /// [`RequestError`], also where it has more than 63 hashes or more than [`MAX_REQUEST`] bytes.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        Self::read(body).ok_or(RequestError)
    }

    fn read(body: &[u8]) -> Option<Self> {
        if body.len() > MAX_REQUEST {
            return None;
        }
        let (head, checkpoint) = str::from_utf8(body).ok()?.split_once("\n\n")?;
        let mut lines = head.split('\n');
        let old = decimal(lines.next()?.strip_prefix("old ")?)?;
        let proof = lines.map(decode_hash).collect::<Option<Vec<_>>>()?;
        let checkpoint = checkpoint.to_owned();
        (proof.len() <= MAX_PROOF).then_some(Self { old, proof, checkpoint })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(out, "{}", encode_hash(hash)))?;
        write!(out, "\n{}", self.checkpoint)
    }
}

/// What to answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type, where the specification asks for one.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: String,
    /// With status 500 why the witness failed. It names files, so it is for the operator and not for the client.
    pub failure: Option<String>,
}

impl Answer {
    fn new(status: u16, body: impl fmt::Display) -> Self {
        Self { status, content_type: None, body: format!("{body}\n"), failure: None }
    }
}

/// Why the witness cannot do its work; it is not the fault of the request.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not a checkpoint of its log", .0.display())]
    Record(PathBuf),
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("the clock stands at zero")]
    Clock,
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self { failure: Some(failure.to_string()), ..Self::new(500, "the witness has failed") }
    }
}

/// A witness, with the latest checkpoint of each log in a file of its folder.
///
/// For one log it never cosigns two checkpoints of which neither goes on from the other, as long as no file
/// of the folder is lost and no other process writes there.
#[derive(Debug)]
pub struct Witness {
    signer: Signer,
    logs: Vec<Verifier>,
    folder: PathBuf,
    /// Held from the look at the latest checkpoint until the new one is on the disk: without it a slow request
    /// could put an older checkpoint in the place of a newer one.
    lock: Mutex<()>,
    /// Held for as long as no other process may write the folder.
    _folder_lock: Option<WriterLock>,
}

/// Why a witness cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key is not a cosigner's.
    #[error(transparent)]
    Key(#[from] NoteError),
    /// Another process holds the folder's lock.
    #[error("another witness uses the folder {}: stop it, or give each witness a key and a folder of its own", .0.display())]
    InUse(PathBuf),
    /// The folder or its lock cannot be made.
    #[error("{}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

impl Witness {
    /// A witness that signs with a cosigner's key, knows these logs, and keeps its files in this folder, which
    /// must be there. The name of a log's key is its origin; a log may have more than one key.
    ///
    /// # Errors
    /// [`NoteError::Type`] where the key is not a cosigner's.
    pub fn new(signer: Signer, logs: Vec<Verifier>, folder: PathBuf) -> Result<Self, NoteError> {
        if !signer.verifier().is_cosigner() {
            return Err(NoteError::Type);
        }
        Ok(Self { signer, logs, folder, lock: Mutex::new(()), _folder_lock: None })
    }

    /// As [`Witness::new`]; makes the folder with mode 0700 where it is missing, and keeps other processes from
    /// opening it.
    ///
    /// # Errors
    /// Every [`OpenError`].
    pub fn open(signer: Signer, logs: Vec<Verifier>, folder: PathBuf) -> Result<Self, OpenError> {
        let io = |source| OpenError::Folder { path: folder.clone(), source };
        disk::create_folder(&folder).map_err(io)?;
        let lock = WriterLock::take(&folder.join("witness")).map_err(|error| match error {
            StoreError::File { source, .. } => io(source),
            _ => OpenError::InUse(folder.clone()),
        })?;
        Ok(Self { _folder_lock: Some(lock), ..Self::new(signer, logs, folder)? })
    }

    /// The key that its cosignatures are verified by.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// Answers an `add-checkpoint` request.
    ///
    /// - 200 with the cosignature line, once the checkpoint is on the disk;
    /// - 400 where the request or the checkpoint is malformed, or the old size is above that of the checkpoint;
    /// - 404 for an unknown origin;
    /// - 403 where no key of the log has signed, or a signature by one is bad;
    /// - 409 with the size of the latest checkpoint where the old size is another;
    /// - 422 where the proof does not verify, or the root of an empty or an equally large tree is another;
    /// - 500 where the witness could not read or write its files, or its clock stands at zero.
    pub fn add_checkpoint(&self, body: &[u8], now_seconds: u64) -> Answer {
        self.answer(body, now_seconds).unwrap_or_else(|answer| answer)
    }

    fn answer(&self, body: &[u8], now_seconds: u64) -> Result<Answer, Answer> {
        let malformed = |_| Answer::new(400, "the request is malformed");
        let request = Request::parse(body).map_err(malformed)?;
        let malformed = || Answer::new(400, "the checkpoint is malformed");
        let note = Note::parse(&request.checkpoint).map_err(|_| malformed())?;
        let new = Checkpoint::parse(&note).map_err(|_| malformed())?;
        let note = self.signed_by_log(note, &new.origin)?;
        if request.old > new.size {
            return Err(Answer::new(400, "the old size is larger than the checkpoint"));
        }
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(&new.origin);
        let latest = read_latest(path.clone(), &new.origin)?;
        check(&request, &new, latest.as_ref())?;
        Ok(self.cosign(path, note, now_seconds)?)
    }

    /// The note with one signature by each of the log's keys that signed, at least one, of which none is bad.
    fn signed_by_log(&self, mut note: Note, origin: &str) -> Result<Note, Answer> {
        let keys: Vec<&Verifier> = self.logs.iter().filter(|log| log.name() == origin).collect();
        if keys.is_empty() {
            return Err(Answer::new(404, "the log is unknown"));
        }
        for key in &keys {
            note.verify(key).map_err(|_| Answer::new(403, "a signature by the log does not verify"))?;
        }
        let by = |key: &&Verifier| note.signatures.iter().find(|signature| signature.is_by(key)).cloned();
        note.signatures = keys.iter().filter_map(by).collect();
        if note.signatures.is_empty() {
            return Err(Answer::new(403, "the log has not signed the checkpoint"));
        }
        Ok(note)
    }

    /// Cosigns the checkpoint and keeps it as the latest of its log, and only then gives the cosignature away.
    fn cosign(&self, path: PathBuf, mut note: Note, now_seconds: u64) -> Result<Answer, Failure> {
        if now_seconds == 0 {
            return Err(Failure::Clock);
        }
        let line = note.cosign(&self.signer, now_seconds)?;
        disk::replace(&path, note.to_string().as_bytes())
            .and_then(|()| disk::sync_folder(&self.folder))
            .map_err(|source| Failure::Io { path, source })?;
        Ok(Answer::new(200, line))
    }

    /// Answers a request for `<origin hash>/checkpoint` (c2sp.org/tlog-witness, Monitor Retrieval Mechanism):
    /// 200 with the latest checkpoint, signed by the log and cosigned; 404 where there is none.
    pub fn checkpoint(&self, origin_hash: &str) -> Answer {
        let named = |log: &&Verifier| hex(&merkle::sha256(&[log.name().as_bytes()])) == origin_hash;
        let Some(log) = self.logs.iter().find(named) else { return Answer::new(404, "the log is unknown") };
        match read_latest(self.path(log.name()), log.name()) {
            Ok(Some((_, note))) => Answer {
                content_type: Some("text/plain; charset=utf-8"),
                body: note.to_string(),
                ..Answer::new(200, "")
            },
            Ok(None) => Answer::new(404, "there is no checkpoint of the log yet"),
            Err(failure) => failure.into(),
        }
    }

    fn path(&self, origin: &str) -> PathBuf {
        self.folder.join(hex(&merkle::sha256(&[origin.as_bytes()])))
    }
}

/// The checkpoint that was last kept at this path, or nothing where there was none.
fn read_latest(path: PathBuf, origin: &str) -> Result<Option<(Checkpoint, Note)>, Failure> {
    let bytes = match disk::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(source) => return Err(Failure::Io { path, source }),
    };
    let note = Note::parse(bytes).ok();
    // What cannot be read must not be taken for nothing: the witness would begin anew and go back.
    let latest = note.and_then(|note| Some((Checkpoint::parse(&note).ok()?, note)));
    latest.filter(|(latest, _)| latest.origin == origin).ok_or(Failure::Record(path)).map(Some)
}

/// Whether the new checkpoint goes on from the latest, in the order of the checks in c2sp.org/tlog-witness.
fn check(request: &Request, new: &Checkpoint, latest: Option<&(Checkpoint, Note)>) -> Result<(), Answer> {
    let empty = Frontier::new().root();
    let (size, root) = latest.map_or((0, empty), |(latest, _)| (latest.size, latest.root));
    if request.old != size {
        return Err(Answer { content_type: Some("text/x.tlog.size"), ..Answer::new(409, size) });
    }
    if new.size == 0 && new.root != empty {
        return Err(Answer::new(422, "the root is not that of an empty tree"));
    }
    if !merkle::verify_consistency(size, &root, new.size, &new.root, &request.proof) {
        return Err(Answer::new(422, "the proof does not show that the log only grew"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
