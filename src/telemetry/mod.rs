//! What the gateway measures of itself, its log, and traces of requests.
//!
//! **Guarantees.** Measuring takes no lock and no memory: who measures has found the series that it counts in
//! before a request comes. Labels come from rules and configuration, so that the number of series is bounded.
//!
//! **Trusts** nobody: it is told numbers. **Must not** be told a path, a query, a body or a customer.
//!
//! **Called by** `proxy` and `ledger` (measure), `admin` (shows), `app` (the log, traces).

mod commits;
mod encode;
mod histogram;
pub mod log;
mod requests;
mod trace;

pub use commits::Commits;
pub use histogram::Histogram;
pub use requests::{InWork, OfUpstream, Outcome, Requests, Series, Stage};
pub use trace::{Finished, SpanId, TRACEPARENT, Trace, TraceId, Tracing};
