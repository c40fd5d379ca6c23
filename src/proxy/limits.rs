//! How much a contractor may ask for, by credential and task. The keys come from the rules, so the
//! number of counters is bounded. In a fleet, what passes here is taken from what all nodes may let in too.

use std::fmt::Write;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ledger::{Denied, Leases, Stock};
use crate::model::ContractorId;
use crate::rules::{Contractor, Holder, Limits, Plan, Task};

use super::Refusal;
use super::authenticate::Caller;
use super::memory::Account;
use super::refusal::Limited;
use super::ruling::Ruling;

type PlainLimiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;
type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Entries about refusals of one credential; a contractor that only makes mistakes stays below.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const REFUSALS_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).unwrap();
/// Bytes that `RateLimit` takes beside the task's name, mostly.
const RATE: usize = 64;

/// The counters of all credentials.
#[derive(Debug)]
pub struct LimitTable {
    contractors: Vec<OfContractor>,
    clock: DefaultClock,
    /// In a fleet.
    leases: Option<Arc<Leases>>,
}

/// What is counted for one contractor.
#[derive(Debug)]
struct OfContractor {
    credentials: Vec<Counters>,
    /// What its bodies have taken.
    memory: Arc<Account>,
}

/// One credential's counters.
#[derive(Debug)]
struct Counters {
    tasks: Vec<Arc<TaskCounter>>,
    refusals: Arc<RefusalGate>,
}

/// One credential at one task.
#[derive(Debug)]
struct TaskCounter {
    limiter: Limiter,
    /// In a fleet: what this node has of the requests that all nodes may let in.
    stock: Option<Arc<Stock>>,
    concurrent: Arc<Semaphore>,
    name: String,
    per_second: f64,
    burst: u32,
    policy: HeaderValue,
    purpose: HeaderValue,
}

/// Keeps refusals from filling the ledger: what is over its rates is counted instead of written.
#[derive(Debug)]
struct RefusalGate {
    /// For requests that were over their own rate.
    limited: PlainLimiter,
    /// For all other refusals.
    other: PlainLimiter,
    not_written: AtomicU64,
}

/// Room for one request, until it is dropped; and what its response says about it.
#[derive(Debug)]
pub struct Lease {
    pub slot: OwnedSemaphorePermit,
    /// Requests that would pass at once.
    remaining: u32,
    counter: Arc<TaskCounter>,
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateHeaders {
    pub policy: HeaderValue,
    pub state: HeaderValue,
}

impl LimitTable {
    /// The counters of `plan`; those of the ruling before it where nothing changed for them. `leases` are those of
    /// a fleet.
    pub fn new(plan: &Plan, before: Option<&Ruling>, leases: Option<&Arc<Leases>>) -> Self {
        let contractors = plan.contractors.iter();
        let counters = contractors.map(|contractor| {
            let before = before.and_then(|before| before.contractor(&contractor.id));
            OfContractor {
                memory: before.map(|(_, before)| Arc::clone(&before.memory)).unwrap_or_default(),
                credentials: counters(
                    contractor,
                    before.map(|(old, before)| (old, &before.credentials[..])),
                    leases,
                ),
            }
        });
        let contractors = counters.collect();
        LimitTable { contractors, clock: DefaultClock::default(), leases: leases.cloned() }
    }

    /// Those of the fleet, in one.
    pub fn leases(&self) -> Option<&Arc<Leases>> {
        self.leases.as_ref()
    }

    /// Takes one request from the budget.
    ///
    /// # Errors
    /// Where there is no room now.
    pub fn enter(&self, holder: Holder, task: usize) -> Result<Lease, Refusal> {
        let counter = &self.counters(holder).tasks[task];
        let slot = Arc::clone(&counter.concurrent).try_acquire_owned();
        let slot = slot.map_err(|_| counter.refusal(Duration::from_secs(1)))?;
        match counter.limiter.check() {
            Ok(state) => {
                Ok(Lease { slot, remaining: state.remaining_burst_capacity(), counter: Arc::clone(counter) })
            }
            Err(not_until) => Err(counter.refusal(not_until.wait_time_from(self.clock.now()))),
        }
    }

    /// In a fleet, takes the request that [`enter`](Self::enter) let pass from what all nodes may let in too.
    ///
    /// # Errors
    /// Where there is none left now, or nobody knows.
    pub async fn draw(&self, holder: Holder, task: usize, lease: &mut Lease) -> Result<(), Refusal> {
        let counter = &self.counters(holder).tasks[task];
        let Some(stock) = &counter.stock else { return Ok(()) };
        match stock.take().await {
            Ok(left) => {
                // What passes here at once is less where this node has been busy.
                lease.remaining = lease.remaining.min(u32::try_from(left).unwrap_or(u32::MAX));
                Ok(())
            }
            Err(Denied::Empty(wait)) => Err(counter.refusal(wait)),
            Err(Denied::Silent) => Err(Refusal::LedgerUnavailable),
        }
    }

    /// Whether a refusal gets an entry, and how many before it did not.
    pub fn may_write(&self, caller: &Caller, refusal: &Refusal) -> Option<u64> {
        self.counters(caller.holder()).refusals.may_write(refusal)
    }

    /// The memory that the contractor shares with others; `None` where there are no others.
    pub fn memory(&self, holder: Holder) -> Option<Arc<Account>> {
        (self.contractors.len() > 1).then(|| Arc::clone(&self.contractors[holder.contractor].memory))
    }

    fn counters(&self, holder: Holder) -> &Counters {
        &self.contractors[holder.contractor].credentials[holder.credential]
    }
}

fn counters(
    contractor: &Contractor,
    before: Option<(&Contractor, &[Counters])>,
    leases: Option<&Arc<Leases>>,
) -> Vec<Counters> {
    let counters = contractor.credentials.iter().map(|credential| {
        let before = before.and_then(|(old, counters)| {
            let index = old.credentials.iter().position(|known| known == credential)?;
            Some((old, &counters[index]))
        });
        let tasks = contractor.tasks.iter().map(|task| {
            let kept = before.and_then(|(old, counters)| {
                let index = old.tasks.iter().position(|known| is_counted_alike(known, task))?;
                Some(Arc::clone(&counters.tasks[index]))
            });
            kept.unwrap_or_else(|| {
                let stock = leases.map(|leases| {
                    let name = format!("{}/{}/{}", contractor.id, credential, task.id);
                    let (requests, burst) = (task.limits.requests, task.limits.burst);
                    // Rounded up: never more than the rate.
                    let interval = requests.per.as_nanos().div_ceil(requests.count.get().into());
                    leases.stock(name, Duration::from_nanos(interval as u64), burst)
                });
                Arc::new(TaskCounter::new(task, stock))
            })
        });
        let refusals = before.map(|(_, counters)| Arc::clone(&counters.refusals)).unwrap_or_default();
        Counters { tasks: tasks.collect(), refusals }
    });
    counters.collect()
}

impl Ruling {
    /// A contractor and the counters of its credentials.
    fn contractor(&self, id: &ContractorId) -> Option<(&Contractor, &OfContractor)> {
        let index = self.plan.contractors.iter().position(|known| known.id == *id)?;
        Some((&self.plan.contractors[index], &self.limits.contractors[index]))
    }
}

/// What is counted for one task, and said about it, goes for the other.
fn is_counted_alike(one: &Task, other: &Task) -> bool {
    one.id == other.id && one.purpose == other.purpose && one.limits == other.limits
}

impl TaskCounter {
    fn new(task: &Task, stock: Option<Arc<Stock>>) -> Self {
        let Limits { requests, burst, concurrent, subjects_per_day } = task.limits;
        let per_second = f64::from(requests.count.get()) / requests.per.as_secs_f64();
        let capacity = NonZeroU32::new(burst).unwrap_or(requests.count);
        let quota = Quota::with_period(requests.per / requests.count.get())
            .unwrap_or(Quota::per_second(requests.count));
        let window = (f64::from(burst) / per_second).ceil();
        TaskCounter {
            limiter: RateLimiter::direct(quota.allow_burst(capacity)).with_middleware(),
            stock,
            concurrent: Arc::new(Semaphore::new(concurrent)),
            name: task.id.to_string(),
            per_second,
            burst,
            policy: header(&format!(
                "\"{}\";q={burst};w={window}, \"subjects\";q={subjects_per_day};w=86400;qu=\"subjects\"",
                task.id
            )),
            purpose: header(&purpose(&task.purpose)),
        }
    }

    /// Nothing is left for so long.
    fn refusal(&self, wait: Duration) -> Refusal {
        let state = header(&format!("\"{}\";r=0;t={}", self.name, wait.as_secs() + 1));
        let rate = RateHeaders { policy: self.policy.clone(), state };
        Refusal::RateLimited(Limited { wait, rate: Some(Box::new(rate)) })
    }
}

impl Lease {
    pub fn purpose(&self) -> HeaderValue {
        self.counter.purpose.clone()
    }

    /// What is left now, and of distinct customers for today.
    pub fn rate(&self, subjects: u64) -> RateHeaders {
        let TaskCounter { name, burst, per_second, policy, .. } = &*self.counter;
        let remaining = self.remaining;
        let reset = (f64::from(burst.saturating_sub(remaining)) / per_second).ceil() as u64;
        let tomorrow = until_tomorrow().as_secs();
        let mut state = String::with_capacity(name.len() + RATE);
        // Memory takes whatever is written.
        _ = write!(state, "\"{name}\";r={remaining};t={reset}, \"subjects\";r={subjects};t={tomorrow}");
        RateHeaders { policy: policy.clone(), state: header(&state) }
    }
}

/// Days end in UTC.
pub fn until_tomorrow() -> Duration {
    const DAY: u64 = 86_400;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Duration::from_secs(DAY - since % DAY)
}

/// Header values are ASCII here: what is not is percent-encoded (RFC 8187, section 3.2.1).
fn purpose(text: &str) -> String {
    const UNSAFE: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%');
    percent_encoding::utf8_percent_encode(text, UNSAFE).to_string()
}

fn header(text: &str) -> HeaderValue {
    // Identifiers, numbers and percent-encoded text are always valid.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Default for RefusalGate {
    fn default() -> Self {
        RefusalGate {
            limited: RateLimiter::direct(Quota::per_second(NonZeroU32::MIN)),
            other: RateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND).allow_burst(REFUSALS_AT_ONCE)),
            not_written: AtomicU64::new(0),
        }
    }
}

impl RefusalGate {
    fn may_write(&self, refusal: &Refusal) -> Option<u64> {
        let limiter = if matches!(refusal, Refusal::RateLimited(_)) { &self.limited } else { &self.other };
        if limiter.check().is_ok() {
            return Some(self.not_written.swap(0, Ordering::Relaxed));
        }
        self.not_written.fetch_add(1, Ordering::Relaxed);
        None
    }
}
