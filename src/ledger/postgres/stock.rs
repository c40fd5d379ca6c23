//! Requests that a node may still let in of what it has taken from a bucket of the fleet: an atomic number. A request
//! that finds some takes no lock and allocates nothing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::timeout_at;

/// So long what was taken may be used; the database counts on it for longer.
const LIFE: Duration = Duration::from_secs(1);
/// So long a request waits for the database: where a connection was cut, until there is another one.
const PATIENCE: Duration = Duration::from_millis(500);
/// An empty bucket is not asked again sooner, and again at the latest: another node may have given back.
const PAUSE: Duration = Duration::from_millis(10);
const DOUBT: Duration = Duration::from_secs(1);
/// A batch is meant for so long. One that is used up in half of it was too small; one that lasts for twice, too large.
const BATCH: Duration = Duration::from_millis(100);
/// Bits for tokens; the others are for the time in milliseconds.
const BITS: u32 = 24;
const MOST: u64 = (1 << BITS) - 1;

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The bucket is empty; so long until there is one.
    Empty(Duration),
    /// The database does not answer.
    Silent,
}

/// One bucket's tokens on this node.
#[derive(Debug)]
pub struct Stock {
    pub(super) name: String,
    /// Random: what the database knows the stock by.
    pub(super) holder: i64,
    /// Between two tokens, in nanoseconds.
    pub(super) interval: i64,
    pub(super) burst: i64,
    batch: u32,
    began: Instant,
    /// How many there are, and until when in milliseconds since `began`: both at once.
    tokens: AtomicU64,
    /// What the bucket had behind the last lease.
    left: AtomicU64,
    /// Milliseconds since `began`: when the bucket is asked again, and when it has a token.
    quiet: AtomicU64,
    refilled: AtomicU64,
    /// What the next lease is for, and when the last one came.
    target: AtomicU32,
    leased: AtomicU64,
    waiting: AtomicU32,
    wanted: AtomicBool,
    turn: AtomicI64,
    failures: AtomicU64,
    answered: Notify,
    /// Wakes who asks the database.
    wake: Arc<Notify>,
}

/// What the database is asked for a stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub turn: i64,
    pub wanted: u32,
    /// What is there, and what was there for too long and is given back.
    pub kept: u32,
    pub back: u32,
    /// In milliseconds since the stock began.
    pub asked: u64,
}

/// What it says to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub granted: u32,
    pub remaining: u64,
    /// Until the bucket has a token.
    pub wait: Duration,
}

/// One request that waits, until it is dropped.
struct Waiting<'s>(&'s AtomicU32);

impl<'s> Waiting<'s> {
    fn new(count: &'s AtomicU32) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Stock {
    /// An empty one of the bucket `name`, which gets a token each `interval` and has at most `burst`.
    pub(super) fn new(name: String, interval: Duration, burst: u32, wake: Arc<Notify>) -> Self {
        // Both times stay in 64 bits of nanoseconds, with today's date added.
        const LONGEST: i64 = i64::MAX / 4;
        let interval = i64::try_from(interval.as_nanos()).unwrap_or(LONGEST).clamp(1, LONGEST);
        let burst = i64::from(burst).min(LONGEST / interval).max(1);
        let batch = (BATCH.as_nanos() as i64 / interval).min(burst / 4).clamp(1, 1 << (BITS - 2));
        Stock {
            name,
            // The last bytes of an id are random (RFC 9562, section 5.7).
            holder: uuid::Uuid::now_v7().as_u64_pair().1 as i64,
            interval,
            burst,
            batch: batch as u32,
            began: Instant::now(),
            tokens: AtomicU64::new(0),
            left: AtomicU64::new(0),
            quiet: AtomicU64::new(0),
            refilled: AtomicU64::new(0),
            // Where much is allowed, much may be asked at once.
            target: AtomicU32::new((batch as u32 / 8).max(1)),
            leased: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            wanted: AtomicBool::new(false),
            turn: AtomicI64::new(0),
            failures: AtomicU64::new(0),
            answered: Notify::new(),
            wake,
        }
    }

    /// Takes a token, where there is none after a lease; how many there are beside it, as far as this node knows.
    ///
    /// # Errors
    /// Where there is none for now.
    pub async fn take(&self) -> Result<u64, Denied> {
        if let Some(left) = self.draw() {
            return Ok(left);
        }
        let (_waiting, until) = (Waiting::new(&self.waiting), tokio::time::Instant::now() + PATIENCE);
        let failures = self.failures.load(Ordering::Acquire);
        loop {
            let mut answered = pin!(self.answered.notified());
            // Before it looks: an answer between the two wakes it.
            answered.as_mut().enable();
            if let Some(left) = self.draw() {
                return Ok(left);
            }
            if self.failures.load(Ordering::Acquire) != failures {
                return Err(Denied::Silent);
            }
            let now = self.now();
            if now < self.quiet.load(Ordering::Acquire) {
                let wait = self.refilled.load(Ordering::Acquire).saturating_sub(now);
                return Err(Denied::Empty(Duration::from_millis(wait)));
            }
            self.ask();
            if timeout_at(until, answered).await.is_err() {
                return Err(Denied::Silent);
            }
        }
    }

    /// A token that is here.
    fn draw(&self) -> Option<u64> {
        let now = self.now();
        let valid = |packed: u64| (packed & MOST > 0 && now < packed >> BITS).then(|| packed - 1);
        let before = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, valid).ok()?;
        let rest = (before & MOST) - 1;
        // A stock of one is not filled ahead: the token could be wasted.
        let low = rest < u64::from(self.target.load(Ordering::Relaxed) / 2);
        if low && !self.wanted.load(Ordering::Relaxed) && now >= self.quiet.load(Ordering::Acquire) {
            self.ask();
        }
        Some(self.left.load(Ordering::Relaxed) + rest)
    }

    fn ask(&self) {
        if !self.wanted.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Milliseconds since it began.
    fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// What the database is to be asked now, if anything.
    pub(super) fn gather(&self) -> Option<Ask> {
        let wanted = self.wanted.swap(false, Ordering::AcqRel);
        let now = self.now();
        // Whoever drew the last one of them meanwhile had it in time.
        let stale = |packed: u64| (packed & MOST > 0 && now >= packed >> BITS).then_some(0);
        let stale = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, stale);
        let back = stale.map_or(0, |packed| packed & MOST);
        if !wanted && back == 0 {
            return None;
        }
        let kept = self.tokens.load(Ordering::Acquire) & MOST;
        let mut goal = 0;
        if wanted && now >= self.quiet.load(Ordering::Acquire) {
            goal = self.aim(now).max(self.waiting.load(Ordering::Acquire)).min(1 << (BITS - 1));
        }
        let wanted = u64::from(goal).saturating_sub(kept) as u32;
        let ask = Ask { turn: self.turn(), wanted, kept: kept as u32, back: back as u32, asked: now };
        (wanted > 0 || back > 0).then_some(ask)
    }

    /// The number of the next question.
    pub(super) fn turn(&self) -> i64 {
        self.turn.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// How many it should have: what is used while a batch is meant to last.
    fn aim(&self, now: u64) -> u32 {
        let (target, batch) = (self.target.load(Ordering::Relaxed), BATCH.as_millis() as u64);
        let lasted = now.saturating_sub(self.leased.load(Ordering::Relaxed));
        let target = match lasted {
            _ if lasted < batch / 2 => target.saturating_mul(2).min(self.batch),
            _ if lasted > batch * 2 => (target / 2).max(1),
            _ => target,
        };
        self.target.store(target, Ordering::Relaxed);
        target
    }

    /// What the database said.
    pub(super) fn settle(&self, ask: Ask, grant: Grant) {
        let now = self.now();
        self.left.store(grant.remaining, Ordering::Relaxed);
        if ask.wanted > 0 {
            let wait = grant.wait.as_nanos().div_ceil(1_000_000) as u64;
            let pause =
                PAUSE.as_millis().min(self.interval.unsigned_abs() as u128 * self.burst as u128 / 4_000_000);
            let quiet = wait.max(pause as u64).min(DOUBT.as_millis() as u64);
            let short = grant.granted < ask.wanted;
            self.refilled.store(now + wait, Ordering::Release);
            self.quiet.store(if short { now + quiet } else { 0 }, Ordering::Release);
        }
        if grant.granted > 0 {
            self.leased.store(now, Ordering::Relaxed);
            // From when it was asked: the database counts from later on.
            let until = ask.asked + LIFE.as_millis() as u64;
            let granted = u64::from(grant.granted);
            let add = |packed: u64| {
                let rest = if now < packed >> BITS { packed & MOST } else { 0 };
                Some(until << BITS | (rest + granted).min(MOST))
            };
            _ = self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        }
        self.answered.notify_waiters();
    }

    /// The database did not answer.
    pub(super) fn fail(&self) {
        self.failures.fetch_add(1, Ordering::AcqRel);
        self.answered.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(interval: Duration, burst: u32) -> Arc<Stock> {
        Arc::new(Stock::new("parcelco/key/task".into(), interval, burst, Arc::default()))
    }

    fn grant(granted: u32) -> Grant {
        Grant { granted, remaining: 7, wait: Duration::ZERO }
    }

    #[tokio::test]
    async fn a_stock_gives_what_was_granted_and_says_what_it_lacks() {
        let stock = stock(Duration::from_millis(20), 100);
        assert_eq!((stock.gather(), stock.draw()), (None, None));
        stock.ask();
        let ask = stock.gather().unwrap();
        assert_eq!((ask.turn, ask.wanted, ask.kept, ask.back), (1, 2, 0, 0));
        stock.settle(ask, grant(2));
        assert_eq!((stock.draw(), stock.gather()), (Some(8), None));
        assert_eq!(stock.draw(), Some(7));
        // It was used up at once, so the next one is larger, and never more than a tenth of a second's.
        let ask = stock.gather().unwrap();
        assert_eq!((ask.turn, ask.wanted), (2, 4));
        stock.settle(ask, grant(4));
        for left in [10, 9, 8] {
            assert_eq!(stock.draw(), Some(left));
        }
        let ask = stock.gather().unwrap();
        assert_eq!((ask.wanted, ask.kept), (4, 1));
    }

    #[tokio::test]
    async fn what_was_held_for_too_long_is_given_back() {
        let stock = stock(Duration::from_millis(20), 100);
        stock.ask();
        let ask = stock.gather().unwrap();
        stock.settle(ask, grant(2));
        tokio::time::sleep(LIFE).await;
        assert_eq!(stock.draw(), None);
        let ask = stock.gather().unwrap();
        assert_eq!((ask.wanted, ask.kept, ask.back), (0, 0, 2));
        assert_eq!(stock.gather(), None);
    }

    #[tokio::test]
    async fn who_waits_gets_what_comes_and_is_refused_where_nothing_does() {
        let stock = stock(Duration::from_secs(3600), 1);
        let take = |stock: &Arc<Stock>| {
            let stock = Arc::clone(stock);
            tokio::spawn(async move { stock.take().await })
        };
        let (first, second) = (take(&stock), take(&stock));
        while stock.waiting.load(Ordering::Acquire) < 2 {
            tokio::task::yield_now().await;
        }
        let ask = stock.gather().unwrap();
        assert_eq!(ask.wanted, 2);
        let wait = Duration::from_secs(3600);
        stock.settle(ask, Grant { granted: 1, remaining: 0, wait });
        let mut answers = [first.await.unwrap(), second.await.unwrap()];
        answers.sort_by_key(Result::is_err);
        assert_eq!(answers[0], Ok(0));
        assert!(matches!(answers[1], Err(Denied::Empty(left)) if left > wait - DOUBT), "{answers:?}");
        // The database is not asked for each of them.
        assert!(matches!(stock.take().await, Err(Denied::Empty(_))));
        assert_eq!(stock.gather(), None);
        tokio::time::sleep(DOUBT).await;
        let began = Instant::now();
        assert_eq!(stock.take().await, Err(Denied::Silent));
        assert!(began.elapsed() >= PATIENCE);
        let third = take(&stock);
        while stock.waiting.load(Ordering::Acquire) < 1 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        stock.fail();
        assert_eq!(third.await.unwrap(), Err(Denied::Silent));
    }

    #[test]
    fn no_token_is_given_twice() {
        let stock = stock(Duration::from_micros(10), 100_000);
        stock.settle(Ask { turn: 1, wanted: 10_000, kept: 0, back: 0, asked: 0 }, grant(10_000));
        let count =
            |stock: Arc<Stock>| std::thread::spawn(move || std::iter::from_fn(|| stock.draw()).count());
        let threads: Vec<_> = (0..4).map(|_| count(Arc::clone(&stock))).collect();
        let drawn: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(drawn, 10_000);
    }

    #[test]
    fn a_request_that_finds_a_token_allocates_nothing() {
        let stock = stock(Duration::from_micros(10), 100_000);
        stock.settle(Ask { turn: 1, wanted: 1000, kept: 0, back: 0, asked: 0 }, grant(1000));
        let used = allocation_counter::measure(|| {
            for _ in 0..1000 {
                let mut taking = pin!(stock.take());
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(taking.as_mut().poll(&mut context).is_ready());
            }
        });
        assert_eq!((used.count_total, stock.draw()), (0, None));
    }

    #[test]
    fn the_longest_interval_and_the_largest_burst_stay_in_bounds() {
        for (interval, burst) in [(Duration::MAX, u32::MAX), (Duration::ZERO, u32::MAX), (Duration::ZERO, 0)]
        {
            let stock = stock(interval, burst);
            assert!(stock.interval.checked_mul(stock.burst).is_some_and(|all| all <= i64::MAX / 4));
            assert!(u64::from(stock.batch) <= MOST / 2 && stock.burst > 0);
        }
    }
}
