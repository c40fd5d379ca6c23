//! How much a contractor may ask for, by credential and task. The keys come from the rules, so the
//! number of counters is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::HeaderValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rules::{Contractor, Holder, Limits, Plan, Task};

use super::Refusal;
use super::authenticate::Caller;

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Equal refusals of one credential are written once in this time; the others are counted.
const FLOOD_INTERVAL: Duration = Duration::from_secs(1);

/// The counters of all credentials.
pub struct LimitTable {
    contractors: Vec<Vec<Counters>>,
    clock: DefaultClock,
}

/// One credential's counters.
struct Counters {
    tasks: Vec<TaskCounter>,
    flood: Flood,
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

/// Keeps rate-limited requests from filling the ledger.
struct Flood {
    began: Instant,
    /// Milliseconds after `began` at which an entry may be written again.
    next: AtomicU64,
    not_written: AtomicU64,
}

/// Room for one request, until it is dropped; and what its response says about it.
#[derive(Debug)]
pub struct Lease {
    _slot: OwnedSemaphorePermit,
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
                _slot: slot,
                rate: counter.headers(state.remaining_burst_capacity()),
                purpose: counter.purpose.clone(),
            }),
            Err(not_until) => Err(Refusal::RateLimited(not_until.wait_time_from(self.clock.now()))),
        }
    }

    /// Whether a refusal gets an entry, and how many before it did not.
    pub fn may_write(&self, caller: &Caller, refusal: &Refusal) -> Option<u64> {
        match refusal {
            Refusal::RateLimited(_) => self.counters(caller.holder()).flood.may_write(),
            _ => Some(0),
        }
    }

    fn counters(&self, holder: Holder) -> &Counters {
        &self.contractors[holder.contractor][holder.credential]
    }
}

fn counters(contractor: &Contractor) -> Vec<Counters> {
    let credentials = contractor.credentials.iter();
    let counters = credentials.map(|_| Counters {
        tasks: contractor.tasks.iter().map(TaskCounter::new).collect(),
        flood: Flood::new(),
    });
    counters.collect()
}

impl TaskCounter {
    fn new(task: &Task) -> Self {
        let Limits { requests, burst, concurrent, .. } = task.limits;
        let per_second = f64::from(requests.count.get()) / requests.per.as_secs_f64();
        let capacity = std::num::NonZeroU32::new(burst).unwrap_or(requests.count);
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

impl Flood {
    fn new() -> Self {
        Flood { began: Instant::now(), next: AtomicU64::new(0), not_written: AtomicU64::new(0) }
    }

    fn may_write(&self) -> Option<u64> {
        let now = self.began.elapsed().as_millis() as u64;
        let next = self.next.load(Ordering::Relaxed);
        let later = now + FLOOD_INTERVAL.as_millis() as u64;
        let turn = now >= next
            && self.next.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if turn {
            return Some(self.not_written.swap(0, Ordering::Relaxed));
        }
        self.not_written.fetch_add(1, Ordering::Relaxed);
        None
    }
}
