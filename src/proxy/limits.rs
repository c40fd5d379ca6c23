//! How much a contractor may ask for, by credential and task. The keys come from the rules, so the
//! number of counters is bounded.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rules::{Contractor, Holder, Limits, Plan, Task};

use super::Refusal;
use super::authenticate::Caller;

type PlainLimiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;
type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Entries about refusals of one credential; a contractor that only makes mistakes stays below.
const REFUSALS_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const REFUSALS_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).unwrap();

/// The counters of all credentials.
pub struct LimitTable {
    contractors: Vec<Vec<Counters>>,
    clock: DefaultClock,
}

/// One credential's counters.
struct Counters {
    tasks: Vec<TaskCounter>,
    refusals: RefusalGate,
}

/// One credential at one task.
struct TaskCounter {
    limiter: Limiter,
    concurrent: Arc<Semaphore>,
    name: String,
    per_second: f64,
    burst: u32,
    policy: HeaderValue,
    purpose: HeaderValue,
}

/// Keeps refusals from filling the ledger: what is over its rates is counted instead of written.
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
    pub rate: RateHeaders,
    pub purpose: HeaderValue,
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Clone, Debug)]
pub struct RateHeaders {
    pub policy: HeaderValue,
    pub state: HeaderValue,
}

impl LimitTable {
    pub fn new(plan: &Plan) -> Self {
        let contractors = plan.contractors.iter();
        LimitTable {
            contractors: contractors.map(|contractor| counters(contractor)).collect(),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one request from the budget.
    ///
    /// # Errors
    /// Where there is no room now.
    pub fn enter(&self, holder: Holder, task: usize) -> Result<Lease, Refusal> {
        let counter = &self.counters(holder).tasks[task];
        let slot = Arc::clone(&counter.concurrent).try_acquire_owned();
        let slot = slot.map_err(|_| Refusal::RateLimited(Duration::from_secs(1)))?;
        match counter.limiter.check() {
            Ok(state) => Ok(Lease {
                slot,
                rate: counter.headers(state.remaining_burst_capacity()),
                purpose: counter.purpose.clone(),
            }),
            Err(not_until) => Err(Refusal::RateLimited(not_until.wait_time_from(self.clock.now()))),
        }
    }

    /// Whether a refusal gets an entry, and how many before it did not.
    pub fn may_write(&self, caller: &Caller, refusal: &Refusal) -> Option<u64> {
        self.counters(caller.holder()).refusals.may_write(refusal)
    }

    fn counters(&self, holder: Holder) -> &Counters {
        &self.contractors[holder.contractor][holder.credential]
    }
}

fn counters(contractor: &Contractor) -> Vec<Counters> {
    let credentials = contractor.credentials.iter();
    let counters = credentials.map(|_| Counters {
        tasks: contractor.tasks.iter().map(TaskCounter::new).collect(),
        refusals: RefusalGate::new(),
    });
    counters.collect()
}

impl TaskCounter {
    fn new(task: &Task) -> Self {
        let Limits { requests, burst, concurrent, .. } = task.limits;
        let per_second = f64::from(requests.count.get()) / requests.per.as_secs_f64();
        let capacity = NonZeroU32::new(burst).unwrap_or(requests.count);
        let quota = Quota::with_period(requests.per / requests.count.get())
            .unwrap_or(Quota::per_second(requests.count));
        let window = (f64::from(burst) / per_second).ceil();
        TaskCounter {
            limiter: RateLimiter::direct(quota.allow_burst(capacity)).with_middleware(),
            concurrent: Arc::new(Semaphore::new(concurrent)),
            name: task.id.to_string(),
            per_second,
            burst,
            policy: header(&format!("\"{}\";q={burst};w={window}", task.id)),
            purpose: header(&purpose(&task.purpose)),
        }
    }

    fn headers(&self, remaining: u32) -> RateHeaders {
        let reset = (f64::from(self.burst.saturating_sub(remaining)) / self.per_second).ceil();
        RateHeaders {
            policy: self.policy.clone(),
            state: header(&format!("\"{}\";r={remaining};t={reset}", self.name)),
        }
    }
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

impl RefusalGate {
    fn new() -> Self {
        RefusalGate {
            limited: RateLimiter::direct(Quota::per_second(NonZeroU32::MIN)),
            other: RateLimiter::direct(Quota::per_second(REFUSALS_PER_SECOND).allow_burst(REFUSALS_AT_ONCE)),
            not_written: AtomicU64::new(0),
        }
    }

    fn may_write(&self, refusal: &Refusal) -> Option<u64> {
        let limiter = if matches!(refusal, Refusal::RateLimited(_)) { &self.limited } else { &self.other };
        if limiter.check().is_ok() {
            return Some(self.not_written.swap(0, Ordering::Relaxed));
        }
        self.not_written.fetch_add(1, Ordering::Relaxed);
        None
    }
}
