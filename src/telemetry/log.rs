//! The log: JSON lines on standard error, whose level changes while the process runs.
//!
//! A process has one log, so what is here is one for the process.

use std::sync::OnceLock;

use tracing::Level;
use tracing_appender::non_blocking::{ErrorCounter, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, reload};

struct Log {
    filter: Handle<EnvFilter, Registry>,
    dropped: ErrorCounter,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Why there is no other log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("\"{0}\" is not a log filter; write \"info\", \"debug\" or \"info,fieldgate::proxy=debug\"")]
    Filter(String),
    #[error("there is a log already")]
    Twice(#[from] TryInitError),
    #[error("this process writes no log")]
    None,
}

/// Begins the log. A thread of its own writes: a reader that hangs costs lines, never requests. The guard writes what
/// is left when it is dropped.
///
/// # Errors
/// Where `filter` is not one, or there is a log already.
pub fn begin(filter: &str) -> Result<WorkerGuard, LogError> {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let dropped = writer.error_counter();
    let (filter, handle) = reload::Layer::new(read(filter)?);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer);
    // What libraries say in detail may hold a path or a header field.
    let own = filter_fn(|told| *told.level() <= Level::INFO || told.target().starts_with("fieldgate"));
    tracing_subscriber::registry().with(filter).with(own).with(lines).try_init()?;
    // It was the first one, as nothing else begins it.
    let _ = LOG.set(Log { filter: handle, dropped });
    Ok(guard)
}

/// Logs by another filter from now on.
///
/// # Errors
/// Where it is not one, or there is no log.
pub fn change(filter: &str) -> Result<(), LogError> {
    let read = read(filter)?;
    LOG.get().ok_or(LogError::None)?.filter.reload(read).map_err(|_| LogError::None)
}

/// Lines that were dropped because nobody took them in time.
pub fn dropped() -> u64 {
    LOG.get().map_or(0, |log| log.dropped.dropped_lines() as u64)
}

/// # Errors
/// Where it is not a filter.
pub fn read(text: &str) -> Result<EnvFilter, LogError> {
    let wrong = |_: ParseError| LogError::Filter(text.to_owned());
    let filter = EnvFilter::builder().parse(text).map_err(wrong)?;
    // Of what a stranger does, the HTTP/2 library says a line for each frame, if it is let; and below info it
    // writes down paths and header fields.
    let quiet = filter.max_level_hint().is_some_and(|level| level <= LevelFilter::INFO);
    // Whoever waits for the gateway must learn that it is ready, whatever else is logged.
    let own = ["fieldgate::ready=info", if quiet { "h2=error" } else { "h2=info" }];
    own.into_iter().try_fold(filter, |filter, own| Ok(filter.add_directive(own.parse().map_err(wrong)?)))
}
