//! The one writer: takes drafts from a bounded queue, commits what has gathered in one transaction,
//! wakes who waits, and starts the next at once. No timer: while one commit runs, the next batch
//! gathers by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::entry::Draft;
use super::sqlite::{Mark, Sqlite, StoreError, WriterLock, Written};

/// Drafts that may wait. More are refused: memory stays bounded, and so does the wait.
const QUEUE: usize = 4096;
/// Most drafts in one transaction.
const BATCH: usize = 1024;
/// Subjects in one transaction, after which no further draft joins it.
const SUBJECTS: usize = 10_000;
/// A commit that runs for longer than this makes the ledger count as sick.
const SLOW: Duration = Duration::from_secs(1);
/// How often a sick database is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Proof that an entry is on the disk. Only the writer makes one.
#[derive(Debug)]
pub struct Receipt {
    position: u64,
}

impl Receipt {
    /// The entry's number in the ledger.
    pub fn position(&self) -> u64 {
        self.position
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
}

/// The ledger, open for writing. Dropping it waits for what is queued.
pub struct Ledger {
    queue: Option<SyncSender<Job>>,
    state: Arc<State>,
    deadline: Duration,
    writer: Option<JoinHandle<()>>,
}

/// What everybody may know of the writer.
struct State {
    healthy: AtomicBool,
    since: Instant,
    /// Milliseconds after `since` at which the running commit began; 0 while none runs.
    began: AtomicU64,
}

impl State {
    fn new() -> Self {
        State { healthy: AtomicBool::new(true), since: Instant::now(), began: AtomicU64::new(0) }
    }

    fn set(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Release);
    }

    fn begin(&self) {
        self.began.store(self.now().max(1), Ordering::Relaxed);
    }

    fn end(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    fn is_healthy(&self) -> bool {
        let began = self.began.load(Ordering::Relaxed);
        let hangs = began > 0 && self.now().saturating_sub(began) > SLOW.as_millis() as u64;
        self.healthy.load(Ordering::Acquire) && !hangs
    }

    fn now(&self) -> u64 {
        self.since.elapsed().as_millis() as u64
    }
}

type Answer = oneshot::Sender<Result<Receipt, RecordError>>;

struct Job {
    draft: Draft,
    answer: Answer,
}

impl Ledger {
    /// Opens the SQLite ledger at `path` and starts its writer. An entry that is not durable within
    /// `deadline` is given up.
    ///
    /// # Errors
    /// Where the database cannot be used, or another gateway uses it.
    pub fn open(path: &Path, deadline: Duration) -> Result<Self, StoreError> {
        let lock = WriterLock::take(path)?;
        let store = Sqlite::open(path)?;
        let mark = store.mark();
        let state = Arc::new(State::new());
        let (queue, jobs) = sync_channel(QUEUE);
        let writer = Writer {
            path: path.to_owned(),
            store: Some(store),
            state: Arc::clone(&state),
            trouble: String::new(),
            mark,
            retry_at: None,
            _lock: lock,
        };
        let thread = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&jobs));
        let thread = thread.map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        Ok(Ledger { queue: Some(queue), state, deadline, writer: Some(thread) })
    }

    /// Whether the last commit succeeded and no commit hangs. Asked before an upstream is called, so
    /// that a sick ledger costs nothing.
    pub fn is_healthy(&self) -> bool {
        self.state.is_healthy()
    }

    /// Writes an entry and waits until it is durable.
    ///
    /// # Errors
    /// Where it is not; nothing may then be released.
    pub async fn record(&self, draft: Draft) -> Result<Receipt, RecordError> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(RecordError::Unavailable)?;
        queue.try_send(Job { draft, answer }).map_err(|error| match error {
            TrySendError::Full(_) => RecordError::Overloaded,
            TrySendError::Disconnected(_) => RecordError::Unavailable,
        })?;
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(RecordError::Unavailable),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has answered nobody: there is nothing left to save.
            let _ = writer.join();
        }
    }
}

struct Writer {
    path: PathBuf,
    /// `None` while the database is sick.
    store: Option<Sqlite>,
    state: Arc<State>,
    /// The last failure to open it again, so that each is logged once.
    trouble: String,
    /// What the ledger was after the last commit.
    mark: Mark,
    /// When a sick database is tried again.
    retry_at: Option<Instant>,
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
                Ok(job) => self.serve(job, jobs),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // Also where drafts keep coming: they must not put off the recovery.
            if self.retry_at.is_some_and(|at| Instant::now() >= at) {
                self.reopen();
            }
        }
    }

    fn serve(&mut self, first: Job, jobs: &Receiver<Job>) {
        let mut batch = Batch::default();
        batch.push(first);
        batch.gather(jobs);
        let Batch { drafts, answers, .. } = batch;
        self.state.begin();
        let outcome = self.store.as_mut().map(|store| store.commit(&drafts));
        self.state.end();
        match outcome {
            Some(Ok(written)) => {
                self.mark = self.store.as_ref().map_or(self.mark, Sqlite::mark);
                answer_all(answers, written);
            }
            Some(Err(error)) => {
                tracing::error!(%error, lost = drafts.len(), "the ledger cannot be written: nothing is disclosed until it can");
                self.fall_sick(answers);
            }
            None => self.fall_sick(answers),
        }
    }

    /// After a failed commit nothing is known: the database is closed and read back before it is
    /// trusted again.
    fn fall_sick(&mut self, answers: Vec<Answer>) {
        self.state.set(false);
        self.store = None;
        self.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
        for answer in answers {
            let _ = answer.send(Err(RecordError::Unavailable));
        }
    }

    fn reopen(&mut self) {
        match Sqlite::reopen(&self.path, self.mark) {
            Ok(store) => {
                self.store = Some(store);
                self.retry_at = None;
                self.trouble.clear();
                self.state.set(true);
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
}

impl Drop for Writer {
    /// Also where it panics: nobody may believe that it still writes.
    fn drop(&mut self) {
        self.state.set(false);
    }
}

/// Drafts that share a transaction, and who waits for each.
#[derive(Default)]
struct Batch {
    drafts: Vec<Draft>,
    answers: Vec<Answer>,
    subjects: usize,
}

impl Batch {
    fn push(&mut self, job: Job) {
        self.subjects += job.draft.subjects();
        self.drafts.push(job.draft);
        self.answers.push(job.answer);
    }

    /// Takes what waits, as far as there is room.
    fn gather(&mut self, jobs: &Receiver<Job>) {
        while self.drafts.len() < BATCH && self.subjects < SUBJECTS {
            match jobs.try_recv() {
                Ok(job) => self.push(job),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }
}

fn answer_all(answers: Vec<Answer>, written: Vec<Written>) {
    for (answer, written) in answers.into_iter().zip(written) {
        // Who waited may have gone; the entry stays.
        let _ = answer.send(match written {
            Written::At(position) => Ok(Receipt { position }),
            Written::OverSubjectLimit => Err(RecordError::SubjectLimit),
        });
    }
}
