//! The one writer: takes drafts from a bounded queue, commits what has gathered as one batch, wakes who
//! waits, and starts the next at once. No timer: while one commit runs, the next batch gathers by itself.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::telemetry::Commits;

use super::archive::{Archive, Head};
use super::entry::{self, Draft, Started};
use super::error::StoreError;
use super::files;
use super::index::Index;
use super::journal::{MAX_ENTRY, Sync};
use super::keeper::Keeper;
use super::known::{Admitted, Known};
use super::lock::WriterLock;
use super::log;
use super::note::Signer;
use super::postgres::{Changes, Committed};
use super::state::State;
use super::store::{Count, Journal, Store};
use super::view::View;

/// Drafts that may wait. More are refused: memory stays bounded, and so does the wait.
const QUEUE: usize = 4096;
/// Most drafts in one batch.
const BATCH: usize = 1024;
/// Bytes in one batch, after which no further draft joins it.
const BATCH_BYTES: usize = 1 << 20;
/// So long it waits at most for those who are likely to come.
const PATIENCE: Duration = Duration::from_micros(100);
/// How often a sick journal is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Proof that an entry is on the disk. Only the writer makes one.
#[derive(Debug)]
pub struct Receipt {
    position: u64,
    subjects: Admitted,
}

impl Receipt {
    /// The entry's number in the ledger.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Distinct subjects that the contractor may still see today.
    pub fn subjects_left(&self) -> u64 {
        self.subjects.left
    }

    /// Subjects of this entry that the contractor had not seen that day.
    pub fn new_subjects(&self) -> u64 {
        self.subjects.new
    }
}

/// Why there is no receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The entry could not be made durable, or not in time. It may exist all the same.
    #[error("the ledger is unavailable")]
    Unavailable,
    #[error("the ledger's queue is full")]
    Overloaded,
    /// Nothing was written.
    #[error("the contractor has seen as many distinct subjects today as it may")]
    SubjectLimit,
    /// A customer has withdrawn since it was decided; nothing was written.
    #[error("it was decided by what customers had said before")]
    Stale,
}

/// The ledger, open for writing. Dropping it waits for what is queued.
pub struct Ledger {
    path: PathBuf,
    queue: Option<SyncSender<Job>>,
    state: Arc<State>,
    deadline: Duration,
    writer: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
}

type Answer = oneshot::Sender<Result<Receipt, RecordError>>;
type Answers = Vec<(Answer, Result<Receipt, RecordError>)>;
/// Up to which entry, and who waits for it.
type Scrub = (u64, oneshot::Sender<bool>);

enum Job {
    Write(Draft, Answer),
    /// Wipe what the archive has out of the journal.
    Scrub(u64, oneshot::Sender<bool>),
}

impl Ledger {
    /// Opens the ledger whose index is at `path`, takes what a crash left in the journal into the archive,
    /// and starts its threads. Heads are signed by `signer`. An entry that is not durable within `deadline`
    /// is given up.
    ///
    /// # Errors
    /// Where a file cannot be used, another gateway uses it, or the ledger is not whole.
    pub fn open(path: &Path, signer: Signer, deadline: Duration) -> Result<Self, StoreError> {
        Ledger::open_on(path, signer, deadline, File::sync_data)
    }

    /// The same for a node of a fleet: entries are durable in its database, archive and index are at `path`. The
    /// archive is made anew from there where it is lost.
    ///
    /// # Errors
    /// As [`open`](Self::open), and where the database is an older copy.
    pub fn open_in_fleet(
        path: &Path,
        signer: Signer,
        deadline: Duration,
        changes: Arc<Changes>,
    ) -> Result<Self, StoreError> {
        Ledger::open_store(path, signer, deadline, Store::Fleet(changes))
    }

    pub(super) fn open_on(
        path: &Path,
        signer: Signer,
        deadline: Duration,
        sync: Sync,
    ) -> Result<Self, StoreError> {
        Ledger::open_store(path, signer, deadline, Store::disk(path, sync))
    }

    fn open_store(path: &Path, signer: Signer, deadline: Duration, store: Store) -> Result<Self, StoreError> {
        let lock = WriterLock::take(path)?;
        let index = Index::open(path)?;
        let folder = log::folder(path);
        let archive = Archive::open(&folder, signer)?;
        let state = Arc::new(State::new(index.inode()));
        // What the first version kept comes first: the journal is empty then.
        let mut keeper = Keeper::start(archive, index, path, &store, Arc::clone(&state))?;
        let mut journal = store.open(Arc::clone(&state.archived))?;
        if keeper.last()?.is_some_and(|leaf| is_torn(&leaf)) {
            note_start(&mut journal)?;
        }
        state.committed.store(journal.next(), Ordering::Release);
        let known = keeper.known()?;
        let (queue, jobs) = sync_channel(QUEUE);
        // As long as they have these numbers, the folder is where it was looked for.
        let place = Place {
            index: (path.to_owned(), state.index_file()),
            folder: (folder.clone(), files::inode(&folder)),
        };
        let writer = Writer {
            place,
            store,
            size: journal.next(),
            journal: Some(journal),
            state: Arc::clone(&state),
            known,
            trouble: String::new(),
            withdrawn: 0,
            retry_at: None,
            company: 0,
            patience: Duration::ZERO,
            _lock: lock,
        };
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&jobs));
        let thread = thread.map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let keeper = keeper.spawn().map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let path = path.to_owned();
        Ok(Ledger { path, queue: Some(queue), state, deadline, writer: Some(thread), keeper: Some(keeper) })
    }

    /// Whether the last commit succeeded and no commit hangs. Asked before an upstream is called, so
    /// that a sick ledger costs nothing.
    pub fn is_healthy(&self) -> bool {
        self.state.is_healthy()
    }

    /// Where its index is: by that it is read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its writer does, in figures.
    pub fn commits(&self) -> Arc<Commits> {
        Arc::clone(&self.state.commits)
    }

    /// Entries that are durable.
    pub fn size(&self) -> u64 {
        self.state.committed.load(Ordering::Acquire)
    }

    /// The signed heads, as they are made.
    pub fn heads(&self) -> watch::Receiver<Head> {
        self.state.heads.subscribe()
    }

    /// From when on the ledger counts as sick, because entries are not witnessed; never, for `None`.
    pub fn refuse_from(&self, moment: Option<Instant>) {
        self.state.refuse_from(moment);
    }

    /// Writes an entry and waits until it is durable.
    ///
    /// # Errors
    /// Where it is not; nothing may then be released.
    pub async fn record(&self, draft: Draft) -> Result<Receipt, RecordError> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(RecordError::Unavailable)?;
        // Counted first: the writer may be faster.
        self.state.commits.queued();
        queue.try_send(Job::Write(draft, answer)).map_err(|error| {
            self.state.commits.taken(1);
            match error {
                TrySendError::Full(_) => RecordError::Overloaded,
                TrySendError::Disconnected(_) => RecordError::Unavailable,
            }
        })?;
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }
}

impl Ledger {
    /// Wipes entries before number `upto` out of the journal; false where the archive does not have them all
    /// yet, and it can be tried again.
    pub async fn scrub(&self, upto: u64) -> bool {
        let (answer, answered) = oneshot::channel();
        let asked = self.queue.as_ref().is_some_and(|queue| queue.try_send(Job::Scrub(upto, answer)).is_ok());
        asked && answered.await.unwrap_or(false)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue = None;
        // A thread that panicked has answered nobody: there is nothing left to save.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.state.stop();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// The ledger's folder and index, and their numbers in the file system.
struct Place {
    folder: (PathBuf, u64),
    index: (PathBuf, u64),
}

struct Writer {
    place: Place,
    store: Store,
    /// `None` while it is sick.
    journal: Option<Journal>,
    /// Entries that are durable.
    size: u64,
    state: Arc<State>,
    known: Known,
    /// The last failure to open it again, so that each is logged once.
    trouble: String,
    /// What was decided by an earlier generation of the consent registry is stale.
    withdrawn: u64,
    /// When a sick journal is tried again; never, after a failed sync.
    retry_at: Option<Instant>,
    /// Drafts in the last batch, and how long the next one may wait for so many: an eighth of a sync.
    company: usize,
    patience: Duration,
    _lock: WriterLock,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let next = match self.retry_at {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => jobs.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match next {
                Ok(Job::Write(draft, answer)) => self.serve((draft, answer), jobs),
                Ok(Job::Scrub(upto, answer)) => self.scrub(upto, answer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Also where drafts keep coming: they must not put off the recovery.
            if self.retry_at.is_some_and(|at| Instant::now() >= at) {
                self.reopen();
            }
        }
    }

    fn scrub(&mut self, upto: u64, answer: oneshot::Sender<bool>) {
        let scrubbed = match &mut self.journal {
            Some(journal) => journal.scrub(upto),
            None => Ok(false),
        };
        if let Err(error) = &scrubbed {
            tracing::error!(%error, "the journal cannot be wiped");
            self.fall_sick(error);
        }
        let _ = answer.send(scrubbed.unwrap_or(false));
    }

    fn serve(&mut self, first: (Draft, Answer), jobs: &Receiver<Job>) {
        if self.journal.is_none() {
            self.state.commits.taken(1);
            return answer_all(vec![(first.1, Err(RecordError::Unavailable))]);
        }
        let (batch, scrub) = self.gather(first, jobs);
        self.state.commits.taken(batch.len());
        self.known.turn_to(entry::now());
        self.company = batch.len();
        let began = Instant::now();
        self.state.begin();
        let outcome = self.write(batch);
        self.state.end();
        let time = began.elapsed();
        self.state.commits.tried(time, self.company, outcome.is_ok());
        self.patience = (time / 8).min(PATIENCE);
        match outcome {
            Ok(answers) => {
                self.state.commit(self.size);
                answer_all(answers);
            }
            Err((error, answers)) => {
                tracing::error!(%error, lost = answers.len(), "the ledger cannot be written: nothing is disclosed until it can");
                self.fall_sick(&error);
                let lost = answers.into_iter().map(|answer| (answer, Err(RecordError::Unavailable)));
                answer_all(lost.collect());
            }
        }
        if let Some((upto, answer)) = scrub {
            self.scrub(upto, answer);
        }
    }

    /// What waits, and those who are likely to come.
    fn gather(&self, first: (Draft, Answer), jobs: &Receiver<Job>) -> (Vec<(Draft, Answer)>, Option<Scrub>) {
        let until = Instant::now() + self.patience;
        let (mut batch, mut bytes, mut scrub) = (Vec::new(), 0, None);
        let mut next = Some(first);
        while let Some((draft, answer)) = next {
            bytes += draft.parts.iter().map(|part| part.size()).sum::<usize>();
            batch.push((draft, answer));
            let room = batch.len() < BATCH && bytes < BATCH_BYTES;
            next = match if room { gather(jobs, batch.len() < self.company, until) } else { None } {
                Some(Job::Write(draft, answer)) => Some((draft, answer)),
                Some(Job::Scrub(upto, answer)) => {
                    scrub = Some((upto, answer));
                    None
                }
                None => None,
            };
        }
        (batch, scrub)
    }

    /// Makes the batch durable; what to answer to each.
    fn write(&mut self, mut batch: Vec<(Draft, Answer)>) -> Result<Answers, (StoreError, Vec<Answer>)> {
        let mut answers = Vec::with_capacity(batch.len());
        loop {
            let mut staged = Vec::with_capacity(batch.len());
            let outcome = self.try_write(&batch, &mut staged);
            match outcome {
                Ok(Committed::Whole) => {
                    answers.extend(batch.into_iter().map(|(_, answer)| answer).zip(staged));
                    return Ok(answers);
                }
                // What others were told meanwhile may be about these customers or contractors.
                Ok(Committed::Overtaken) => {
                    let (stale, rest): (Vec<_>, _) =
                        batch.into_iter().partition(|(draft, _)| draft.discloses);
                    answers.extend(stale.into_iter().map(|(_, answer)| (answer, Err(RecordError::Stale))));
                    batch = rest;
                }
                Err(error) => {
                    let waiting = batch.into_iter().map(|(_, answer)| answer);
                    return Err((
                        error,
                        answers.into_iter().map(|(answer, _)| answer).chain(waiting).collect(),
                    ));
                }
            }
        }
    }

    fn try_write(
        &mut self,
        batch: &[(Draft, Answer)],
        staged: &mut Vec<Result<Receipt, RecordError>>,
    ) -> Result<Committed, StoreError> {
        // It was there when the batch was begun.
        let Some(journal) = &mut self.journal else { return Ok(Committed::Overtaken) };
        self.withdrawn = self.withdrawn.max(journal.begin());
        let mut fit = Vec::with_capacity(batch.len());
        for (draft, _) in batch {
            let fresh =
                draft.decided.is_none_or(|decided| decided >= self.withdrawn) && !journal.withholds(draft);
            fit.push(if fresh { fits(draft).map(|()| draft) } else { Err(RecordError::Stale) });
            // Also where the entry is then lost: the withdrawal is in force.
            self.withdrawn = self.withdrawn.max(draft.withdrawn.unwrap_or(0));
        }
        let drafts: Vec<&Draft> = fit.iter().filter_map(|draft| draft.ok()).collect();
        let mut counts = journal.count(&self.known, &drafts)?.into_iter();
        for draft in fit {
            let known = &mut self.known;
            staged.push(draft.and_then(|draft| {
                let count = counts.next().unwrap_or(Count::All(None));
                stage(journal, known, draft, count).ok_or(RecordError::SubjectLimit)
            }));
        }
        let committed = journal.commit()?;
        self.place.check()?;
        match committed {
            Committed::Whole => {
                self.known.keep();
                self.size = journal.next();
            }
            Committed::Overtaken => self.known.take_back(),
        }
        Ok(committed)
    }

    /// After a failed commit nothing is known: the journal is closed and read back before it is trusted
    /// again. After a failed sync, not even then.
    fn fall_sick(&mut self, error: &StoreError) {
        self.state.set_writes(false);
        self.journal = None;
        self.known.take_back();
        self.retry_at = (!matches!(error, StoreError::Sync { .. })).then(|| Instant::now() + RETRY);
    }

    fn reopen(&mut self) {
        match self.try_reopen() {
            Ok(()) => {
                self.retry_at = None;
                self.trouble.clear();
                self.state.set_writes(true);
                tracing::warn!("the ledger can be written again");
            }
            Err(error) => {
                self.retry_at = Some(Instant::now() + RETRY);
                let trouble = error.to_string();
                if trouble != self.trouble {
                    tracing::error!(%error, "the ledger still cannot be written");
                    self.trouble = trouble;
                }
            }
        }
    }

    fn try_reopen(&mut self) -> Result<(), StoreError> {
        self.place.check()?;
        let mut journal = self.store.open(Arc::clone(&self.state.archived))?;
        let found = journal.next();
        if found < self.size {
            return Err(self.store.shorter(found, self.size));
        }
        // Some of the batch that failed may be there: these entries exist.
        let (known, mut torn) = (&mut self.known, false);
        self.store.tail(self.size)?.read(found, |leaf| {
            if let Ok(entry) = View::parse(leaf) {
                known.note(&entry);
            }
            torn = is_torn(leaf);
        })?;
        if torn {
            note_start(&mut journal)?;
        }
        self.size = journal.next();
        self.journal = Some(journal);
        self.state.commit(self.size);
        Ok(())
    }
}

impl Drop for Writer {
    /// Also where it panics: nobody may believe that it still writes.
    fn drop(&mut self) {
        self.state.set_writes(false);
    }
}

impl Place {
    fn check(&self) -> Result<(), StoreError> {
        for (path, inode) in [&self.index, &self.folder] {
            if files::inode(path) != *inode {
                return Err(StoreError::Replaced(path.clone()));
            }
        }
        Ok(())
    }
}

/// More entries about the same response should follow, and a failure or a crash came between.
fn is_torn(leaf: &[u8]) -> bool {
    View::parse(leaf).is_ok_and(|entry| entry.parts.unwrap_or(1) > entry.part.unwrap_or(1))
}

/// Writes that entries begin anew here: whoever verifies the ledger knows why the ones before are not whole.
fn note_start(journal: &mut Journal) -> Result<(), StoreError> {
    let event = Started { version: env!("CARGO_PKG_VERSION") };
    let draft = Draft::started(uuid::Uuid::now_v7().to_string(), &event);
    // Where changes of others come in between, it is written again.
    loop {
        journal.begin();
        for part in &draft.parts {
            journal.stage(part, None, draft.time);
        }
        if journal.commit()? == Committed::Whole {
            return Ok(());
        }
    }
}

/// The next draft that waits. Those whose entries the last batch made durable are likely to come back at
/// once: where there were `more` of them, it gives way to them until a moment, so that they do not come just
/// behind a sync that takes one.
fn gather(jobs: &Receiver<Job>, more: bool, until: Instant) -> Option<Job> {
    loop {
        match jobs.try_recv() {
            Ok(job) => return Some(job),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if !more || Instant::now() >= until => return None,
            Err(TryRecvError::Empty) => std::thread::yield_now(),
        }
    }
}

fn fits(draft: &Draft) -> Result<(), RecordError> {
    if draft.parts.iter().any(|part| part.size() > MAX_ENTRY) {
        tracing::error!("an entry is too large for the ledger");
        return Err(RecordError::Unavailable);
    }
    Ok(())
}

/// Adds a draft to the batch; nothing where its customers would be too many.
fn stage(journal: &mut Journal, known: &mut Known, draft: &Draft, count: Count) -> Option<Receipt> {
    let subjects = journal.admit(known, draft, count)?;
    let position = journal.next();
    for part in &draft.parts {
        let sequence = draft.contractor.as_deref().map(|contractor| known.next_sequence(contractor));
        journal.stage(part, sequence, draft.time);
    }
    Some(Receipt { position, subjects })
}

fn answer_all(answers: Answers) {
    for (answer, result) in answers {
        // Who waited may have gone; the entry stays.
        let _ = answer.send(result);
    }
}
