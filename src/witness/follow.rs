//! The task that follows the ledger's heads: submits the newest one to the witnesses, keeps what they have
//! cosigned, and tells the ledger how long its entries have waited.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::ledger::{Head, Ledger, Note, Signature, StoreError, Witnessed};

use super::alarm::{Alarm, Level};
use super::client::{Client, Fault};
use super::gather::Gathering;

/// The shortest time from one submission to the next.
const PACE: Duration = Duration::from_secs(1);
/// For an answer of a witness, proofs and connection included.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same at the start, where the gateway waits for it.
const PATIENCE_AT_START: Duration = Duration::from_secs(3);
/// The longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// So many failures in a row are worth a line: one lost answer is not.
const TELL: u32 = 2;

/// What is asked of the witnesses.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many must have cosigned a head for it to count.
    pub quorum: usize,
    /// How old the oldest entry that is not witnessed may become before requests are refused.
    pub max_unwitnessed_age: Option<Duration>,
}

/// Follows a ledger's heads. When it is dropped, and entries must be witnessed, the ledger counts as sick.
pub struct Follower {
    ledger: Arc<Ledger>,
    shown: Arc<Witnessed>,
    heads: watch::Receiver<Head>,
    witnesses: Vec<Remote>,
    quorum: usize,
    gathering: Gathering,
    /// Entries that are witnessed.
    witnessed: u64,
    oldest: Option<Waiting>,
    alarm: Alarm,
    next_round: Instant,
    /// The last failure to keep a head, so that each is logged once.
    trouble: String,
}

/// A witness, and how it goes with it.
struct Remote {
    client: Arc<Client>,
    /// Entries that it has cosigned, as far as is known.
    known: u64,
    /// In a row.
    failures: u32,
    retry_at: Instant,
    /// What the log says of it.
    told: Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Away,
    Contradicts,
}

/// The oldest entry that is not witnessed.
struct Waiting {
    position: u64,
    age: Duration,
    /// When it had this age.
    at: Instant,
}

type Answer = (usize, Result<Signature, Fault>);

impl Follower {
    /// Asks each witness with the ledger's own head.
    ///
    /// # Errors
    /// Where the ledger is shorter than a witness or its own files know it, or has another history.
    pub async fn start(
        ledger: Arc<Ledger>,
        shown: Witnessed,
        witnesses: Vec<Client>,
        terms: Terms,
    ) -> Result<Self, StoreError> {
        let heads = ledger.heads();
        let head = heads.borrow().clone();
        let kept = shown.kept()?;
        let kept_size = kept.as_ref().map_or(0, |(size, _)| *size);
        shown.check_size(head.size, kept_size)?;
        log_kept(kept.as_ref(), &witnesses);
        let has_cosigned =
            |client: &Client| kept.as_ref().is_some_and(|(_, note)| note.verified_by(client.key()).is_some());
        let count = witnesses.iter().filter(|client| has_cosigned(client)).count();
        let known = |client: &Client| if has_cosigned(client) { kept_size } else { 0 };
        let witnesses: Vec<Remote> =
            witnesses.into_iter().map(|client| Remote::new(known(&client), client)).collect();
        let mut follower = Follower {
            ledger,
            shown: Arc::new(shown),
            gathering: Gathering::new(head, witnesses.len()),
            heads,
            witnesses,
            quorum: terms.quorum,
            witnessed: if count >= terms.quorum { kept_size } else { 0 },
            oldest: None,
            alarm: Alarm::new(terms.max_unwitnessed_age),
            next_round: Instant::now(),
            trouble: String::new(),
        };
        match follower.round(PATIENCE_AT_START, 1).await {
            Some(error) => Err(error),
            None => Ok(follower),
        }
    }

    /// Follows until the ledger is closed.
    pub async fn run(mut self) {
        loop {
            let wake = self.wakes_at();
            tokio::select! {
                changed = self.heads.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(wake) => {}
            }
            if self.has_work() && Instant::now() >= self.next_round {
                // What is lost or forked is in the log already; it is not undone by ending here.
                self.round(PATIENCE, TELL).await;
            } else {
                self.look().await;
            }
        }
    }

    /// Submits the newest head to all witnesses that have not cosigned it and may be asked again. Gives why the
    /// ledger must not be gone on with, where a witness knows.
    async fn round(&mut self, patience: Duration, tell: u32) -> Option<StoreError> {
        let now = Instant::now();
        self.next_round = now + PACE;
        let head = self.heads.borrow_and_update().clone();
        self.gathering.turn_to(&head);
        let due = (0..).zip(&self.witnesses);
        let due = due.filter(|(at, remote)| remote.retry_at <= now && !self.gathering.has(*at, &head));
        let mut answers: FuturesUnordered<_> =
            due.map(|(at, remote)| ask(at, remote, &self.shown, &head, patience)).collect();
        let mut refusal = None;
        self.keep().await;
        self.look().await;
        while let Some((at, result)) = answers.next().await {
            let found = self.take(at, result, tell);
            refusal = refusal.or(found);
            self.keep().await;
            self.look().await;
        }
        refusal
    }

    fn take(&mut self, at: usize, result: Result<Signature, Fault>, tell: u32) -> Option<StoreError> {
        let found = self.gathering.head().size;
        let remote = self.witnesses.get_mut(at)?;
        match result {
            Ok(cosignature) => {
                remote.succeeds(found);
                self.gathering.add(at, cosignature);
                None
            }
            Err(fault) => {
                let witness = remote.client.key().name().to_owned();
                let refusal = match &fault {
                    Fault::Ahead(known) => Some(StoreError::BehindWitness { witness, found, known: *known }),
                    Fault::Forked => Some(StoreError::ForkedFromWitness(witness)),
                    _ => None,
                };
                remote.fails(&fault, tell);
                refusal
            }
        }
    }

    /// Keeps the head that was submitted, once enough witnesses have cosigned it.
    async fn keep(&mut self) {
        let Some(count) = self.gathering.to_keep(self.quorum) else { return };
        let shown = Arc::clone(&self.shown);
        let kept = match self.gathering.note() {
            Ok(note) => tokio::task::spawn_blocking(move || shown.keep(&note)).await,
            // The ledger's own head can always be read.
            Err(_) => return,
        };
        let trouble = match kept {
            Ok(Ok(())) => {
                self.gathering.kept(count);
                self.witnessed = self.gathering.head().size;
                String::new()
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        if trouble != self.trouble && !trouble.is_empty() {
            tracing::error!(error = trouble, "the witnessed head cannot be kept, so that it does not count");
        }
        self.trouble = trouble;
    }

    /// Looks for the oldest entry that is not witnessed, and tells the ledger and the log.
    async fn look(&mut self) {
        let (size, position) = (self.heads.borrow().size, self.witnessed);
        if size <= position {
            self.oldest = None;
        } else if self.oldest.as_ref().is_none_or(|waiting| waiting.position != position) {
            let shown = Arc::clone(&self.shown);
            let age = tokio::task::spawn_blocking(move || shown.age(position)).await;
            let age = age.ok().flatten().unwrap_or_default();
            self.oldest = Some(Waiting { position, age, at: Instant::now() });
        }
        let refuse_after = self.alarm.refuse_after();
        let refused_from = self.oldest.as_ref().zip(refuse_after);
        let refused_from =
            refused_from.map(|(waiting, limit)| waiting.at + limit.saturating_sub(waiting.age));
        self.ledger.refuse_from(refused_from.map(Instant::into_std));
        self.tell(size);
    }

    fn tell(&mut self, size: u64) {
        let age = self.oldest.as_ref().map(Waiting::age_now);
        let (age_seconds, witnessed) = (age.unwrap_or_default().as_secs(), self.witnessed);
        match self.alarm.turn(age) {
            None => {}
            Some(Level::Quiet) => tracing::warn!(size, witnessed, "entries are witnessed again"),
            Some(Level::Warned) => tracing::warn!(
                size,
                witnessed,
                age_seconds,
                refused_after_seconds = self.alarm.refuse_after().map(|limit| limit.as_secs()),
                "entries are not witnessed; see that the witnesses run and can be reached"
            ),
            Some(Level::Refusing) => tracing::error!(
                size,
                witnessed,
                age_seconds,
                "entries are not witnessed for too long: nothing is disclosed until they are"
            ),
        }
    }

    /// There is a cosignature to ask for, or one to keep.
    fn has_work(&self) -> bool {
        let now = Instant::now();
        self.asked_at().is_some_and(|at| at <= now)
    }

    /// When the next witness may be asked, or a head kept.
    fn asked_at(&self) -> Option<Instant> {
        if self.gathering.to_keep(self.quorum).is_some() {
            return Some(self.next_round);
        }
        let head = self.heads.borrow();
        let waiting = (0..).zip(&self.witnesses).filter(|(at, _)| !self.gathering.has(*at, &head));
        waiting.map(|(_, remote)| remote.retry_at).min()
    }

    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        let round = self.asked_at().map(|at| at.max(self.next_round));
        let rises = self.oldest.as_ref().and_then(|waiting| self.alarm.rises_in(waiting.age_now()));
        let rises = rises.map(|time| now + time);
        round.into_iter().chain(rises).min().unwrap_or(now + MAX_PAUSE)
    }
}

impl Drop for Follower {
    /// Also where it panics: nobody may believe that heads are still submitted.
    fn drop(&mut self) {
        if self.alarm.refuse_after().is_some() {
            self.ledger.refuse_from(Some(std::time::Instant::now()));
        }
    }
}

impl Waiting {
    fn age_now(&self) -> Duration {
        self.age + self.at.elapsed()
    }
}

impl Remote {
    fn new(known: u64, client: Client) -> Self {
        let client = Arc::new(client);
        Self { client, known, failures: 0, retry_at: Instant::now(), told: Told::Nothing }
    }

    fn succeeds(&mut self, size: u64) {
        if self.told != Told::Nothing {
            tracing::warn!(witness = self.client.key().name(), "a witness cosigns again");
        }
        (self.known, self.failures, self.told) = (size, 0, Told::Nothing);
    }

    /// `tell` is the number of failures from which on the log says so.
    fn fails(&mut self, fault: &Fault, tell: u32) {
        self.failures = self.failures.saturating_add(1);
        let pause = PACE.saturating_mul(1 << (self.failures - 1).min(6));
        self.retry_at = Instant::now() + pause.min(MAX_PAUSE);
        let witness = self.client.key().name();
        let contradicts = matches!(fault, Fault::Ahead(_) | Fault::Forked);
        if contradicts && self.told != Told::Contradicts {
            tracing::error!(witness, reason = %fault, "a witness contradicts the ledger: an older copy was put back, or two ledgers use one key");
            self.told = Told::Contradicts;
        } else if self.failures >= tell && self.told == Told::Nothing {
            tracing::warn!(witness, reason = %fault, "a witness does not cosign; it is asked again");
            self.told = Told::Away;
        }
    }
}

/// Nothing of it is borrowed, so that answers are taken while others are still awaited.
fn ask(
    at: usize,
    remote: &Remote,
    shown: &Arc<Witnessed>,
    head: &Head,
    patience: Duration,
) -> impl Future<Output = Answer> + use<> {
    let (client, known) = (Arc::clone(&remote.client), remote.known);
    let (shown, head) = (Arc::clone(shown), head.clone());
    async move {
        let answer = timeout(patience, client.submit(&shown, &head, known)).await;
        (at, answer.unwrap_or(Err(Fault::Timeout)))
    }
}

/// Says how old the last head with cosignatures is.
fn log_kept(kept: Option<&(u64, Note)>, witnesses: &[Client]) {
    let Some((size, note)) = kept else { return };
    let times = witnesses.iter().filter_map(|client| note.verified_by(client.key())?.at);
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let age_seconds = times.max().map(|at| now.saturating_sub(at));
    tracing::info!(size, age_seconds, "the last head with cosignatures");
}
