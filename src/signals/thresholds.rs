//! When a signal is raised: all thresholds in one place. The README has the same table. Times are in seconds.

pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Enumeration: requests that are looked at together.
pub const WINDOW: i64 = 10 * MINUTE;

/// Enumeration by sequence: of so many different numbers on one route …
pub const SEQUENTIAL_NUMBERS: usize = 20;
/// … so many per cent follow each other …
pub const SEQUENTIAL_PERCENT: usize = 80;
/// … by one and the same step, up to this one.
pub const SEQUENTIAL_STEP: usize = 10;
/// Numbers that are looked at, for each credential and route: the last ones.
pub const NUMBERS: usize = 64;

/// Enumeration by guessing: of so many requests of one credential …
pub const GUESSED_REQUESTS: u64 = 50;
/// … so many per cent ask for what is not there.
pub const GUESSED_PERCENT: u64 = 50;

/// Harvest: so many customers in an hour …
pub const HARVEST_SUBJECTS: u64 = 100;
/// … and so many times the median of the contractor's own hours.
pub const HARVEST_FACTOR: u64 = 5;
/// The hours that are looked back to, for harvest and off hours.
pub const PAST_HOURS: i64 = 28 * 24;

/// A credential sleeps when it was not used for so long.
pub const DORMANT: i64 = 30 * DAY;

/// From a contractor's first request on, so long its fields and networks are learned.
pub const LEARNING: i64 = 7 * DAY;
/// A network is known for so long after it was seen last.
pub const NETWORK_KNOWN: i64 = 90 * DAY;
/// Networks that are known of a contractor.
pub const NETWORKS: usize = 512;

/// Off hours: a contractor with fewer hours of traffic has no usual ones.
pub const USUAL_HOURS: usize = 20;

/// So long the same signal about the same credential is not raised again.
pub const QUIET: i64 = HOUR;
/// The same for off hours, whatever the credential.
pub const QUIET_OFF_HOURS: i64 = DAY;

/// Requests that a signal names.
pub const REQUESTS: usize = 10;

/// Drift: a route's shape is learned from so many samples at least …
pub const LEARNED_SAMPLES: u64 = 20;
/// … and for so long.
pub const LEARNED_TIME: i64 = DAY;
/// Samples that a new field must be in before it is told.
pub const CONFIRMED: u64 = 3;
/// Between two samples of one route.
pub const SAMPLE_PAUSE: u64 = 1;
/// Bytes of an answer that are looked at.
pub const SAMPLE_BYTES: usize = 64 << 10;
/// Samples that may wait.
pub const SAMPLES: usize = 8;
/// Elements of each list that are looked at.
pub const ELEMENTS: usize = 100;
/// Containers in each other that are looked at.
pub const DEPTH: usize = 16;
/// Paths in one sample.
pub const NODES: usize = 2000;
/// Paths that are known of one route.
pub const PATHS: usize = 2000;
/// An object with more names than this is keyed by values.
pub const SIBLINGS: usize = 64;
/// A longer name, or one with more digits, could be a value.
pub const NAME_LENGTH: usize = 40;
pub const NAME_DIGITS: usize = 2;

/// A disclosed field has vanished when so many answers in a row were without it …
pub const VANISHED: u64 = 20;
/// … and so many times as many as ever before.
pub const GAP_FACTOR: u64 = 5;
/// A disclosed field that nobody got for so long, while the route was used, is not needed.
pub const UNUSED: i64 = 90 * DAY;
