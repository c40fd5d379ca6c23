//! What becomes of requests, and how long each stage of them takes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use super::Histogram;
use super::encode::{counter, gauge, histogram, metric};

/// A stretch of a request's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// From the request's head to the leave to make the upstream request.
    Decide,
    /// To the head of the upstream's answer.
    Upstream,
    /// To the end of the answer, or of its first part, reduced.
    Reduce,
    /// Until the entry is durable.
    Ledger,
}

impl Stage {
    pub const ALL: [Stage; 4] = [Stage::Decide, Stage::Upstream, Stage::Reduce, Stage::Ledger];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Decide => "decide",
            Stage::Upstream => "upstream",
            Stage::Reduce => "reduce",
            Stage::Ledger => "ledger",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Disclosed,
    /// It was for something of the gateway's own: an interface, a receipt.
    Own,
    /// By the code's place in the list of codes.
    Refused(usize),
}

/// All that is counted of requests. Series stay when rules change: what was counted goes on.
#[derive(Debug)]
pub struct Requests {
    codes: &'static [&'static str],
    contractors: Mutex<BTreeMap<String, Arc<OfContractor>>>,
    /// By contractor and task; without a task, of requests that were refused before one was found.
    series: Mutex<BTreeMap<(String, String), Arc<Series>>>,
    upstreams: Mutex<BTreeMap<String, Arc<OfUpstream>>>,
    /// Of requests whose contractor is not known.
    nobody: Arc<Series>,
    stages: [Histogram; Stage::ALL.len()],
    in_work: AtomicI64,
}

#[derive(Debug)]
struct OfContractor {
    time: Histogram,
    /// The day since 1970-01-01 in the upper half, its customers in the lower one; 0 as long as nothing is known.
    subjects: AtomicU64,
}

/// The requests of one contractor for one task.
#[derive(Debug)]
pub struct Series {
    of: Arc<OfContractor>,
    disclosed: AtomicU64,
    own: AtomicU64,
    refused: Box<[AtomicU64]>,
}

/// The requests to one upstream.
#[derive(Debug)]
pub struct OfUpstream {
    time: Histogram,
    failed: AtomicU64,
}

/// A request that is in work until this is dropped.
pub struct InWork<'a>(&'a Requests);

const DAY: u64 = 86_400;

fn today() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / DAY)
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OfContractor {
    fn new() -> Arc<Self> {
        Arc::new(OfContractor { time: Histogram::of_times(), subjects: AtomicU64::new(0) })
    }

    fn subjects_today(&self) -> Option<u64> {
        let known = self.subjects.load(Ordering::Relaxed);
        (known >> 32 == today()).then_some(known & u64::from(u32::MAX))
    }
}

impl Series {
    fn new(of: Arc<OfContractor>, codes: usize) -> Self {
        let refused = (0..codes).map(|_| AtomicU64::new(0)).collect();
        Series { of, disclosed: AtomicU64::new(0), own: AtomicU64::new(0), refused }
    }

    /// A request has ended so after such a time; of a response, its beginning.
    pub fn ended(&self, outcome: Outcome, time: Duration) {
        let count = match outcome {
            Outcome::Disclosed => &self.disclosed,
            Outcome::Own => &self.own,
            Outcome::Refused(code) => &self.refused[code.min(self.refused.len() - 1)],
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.of.time.time(time);
    }

    /// The contractor has seen so many distinct customers today. Days only go on, and so do their counts.
    pub fn subjects(&self, count: u64) {
        let known = today() << 32 | count.min(u32::MAX.into());
        self.of.subjects.fetch_max(known, Ordering::Relaxed);
    }

    fn all(&self) -> u64 {
        let refused: u64 = self.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        self.disclosed.load(Ordering::Relaxed) + self.own.load(Ordering::Relaxed) + refused
    }
}

impl OfUpstream {
    /// An upstream has answered, or has not, after such a time.
    pub fn called(&self, time: Duration, answered: bool) {
        self.time.time(time);
        if !answered {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Requests {
    /// Requests are refused with one of these `codes`; there is one at least.
    pub fn new(codes: &'static [&'static str]) -> Arc<Self> {
        Arc::new(Requests {
            codes,
            contractors: Mutex::default(),
            series: Mutex::default(),
            upstreams: Mutex::default(),
            nobody: Arc::new(Series::new(OfContractor::new(), codes.len())),
            stages: std::array::from_fn(|_| Histogram::of_times()),
            in_work: AtomicI64::new(0),
        })
    }

    /// Where requests of a contractor for a task are counted; an empty task stands for none. It takes a lock: rules
    /// that come into force ask, requests do not.
    pub fn series(&self, contractor: &str, task: &str) -> Arc<Series> {
        let of = Arc::clone(
            locked(&self.contractors).entry(contractor.to_owned()).or_insert_with(OfContractor::new),
        );
        let mut series = locked(&self.series);
        let found = series.entry((contractor.to_owned(), task.to_owned()));
        Arc::clone(found.or_insert_with(|| Arc::new(Series::new(of, self.codes.len()))))
    }

    /// Where requests to an upstream are counted.
    pub fn upstream(&self, name: &str) -> Arc<OfUpstream> {
        let new = || Arc::new(OfUpstream { time: Histogram::of_times(), failed: AtomicU64::new(0) });
        Arc::clone(locked(&self.upstreams).entry(name.to_owned()).or_insert_with(new))
    }

    /// Where requests are counted whose contractor is not known.
    pub fn nobody(&self) -> &Series {
        &self.nobody
    }

    pub fn stage(&self, stage: Stage, time: Duration) {
        self.stages[stage as usize].time(time);
    }

    /// A request has come.
    pub fn enter(&self) -> InWork<'_> {
        self.in_work.fetch_add(1, Ordering::Relaxed);
        InWork(self)
    }

    /// All series, with contractor and task; without a contractor first.
    fn all(&self) -> Vec<(String, String, Arc<Series>)> {
        let nobody = (String::new(), String::new(), Arc::clone(&self.nobody));
        let known = locked(&self.series);
        let known = known
            .iter()
            .map(|((contractor, task), series)| (contractor.clone(), task.clone(), Arc::clone(series)));
        std::iter::once(nobody).chain(known).collect()
    }

    fn encode_outcomes(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let all = self.all();
        let labels = |at: usize| [("contractor", all[at].0.as_str()), ("task", all[at].1.as_str())];
        let help = "Requests, by contractor and task; both are empty as long as they are not known";
        let mut requests = metric(encoder, "requests", help, MetricType::Counter)?;
        for (at, (.., series)) in all.iter().enumerate() {
            counter(&mut requests, &labels(at), series.all())?;
        }
        let help = "Requests that were answered with a recorded disclosure";
        let mut disclosures = metric(encoder, "disclosures", help, MetricType::Counter)?;
        for (at, (_, task, series)) in all.iter().enumerate() {
            if !task.is_empty() {
                counter(&mut disclosures, &labels(at), series.disclosed.load(Ordering::Relaxed))?;
            }
        }
        let help = "Requests that were refused, by the code that the contractor is told";
        let mut refusals = metric(encoder, "refusals", help, MetricType::Counter)?;
        for (at, (.., series)) in all.iter().enumerate() {
            for (code, count) in self.codes.iter().zip(&series.refused) {
                let count = count.load(Ordering::Relaxed);
                // Most codes are never seen.
                if count > 0 {
                    let [contractor, task] = labels(at);
                    counter(&mut refusals, &[contractor, task, ("code", code)], count)?;
                }
            }
        }
        Ok(())
    }

    fn encode_times(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help =
            "Time from a request's head to its response's, by contractor; empty as long as it is not known";
        let mut times = metric(encoder, "request_duration_seconds", help, MetricType::Histogram)?;
        histogram(&mut times, &[("contractor", "")], &self.nobody.of.time)?;
        let contractors = locked(&self.contractors).clone();
        for (contractor, of) in &contractors {
            histogram(&mut times, &[("contractor", contractor)], &of.time)?;
        }
        let help = "Time of a stage of a request: decide, upstream (to the answer's head), reduce, ledger";
        let mut stages = metric(encoder, "stage_duration_seconds", help, MetricType::Histogram)?;
        for stage in Stage::ALL {
            histogram(&mut stages, &[("stage", stage.name())], &self.stages[stage as usize])?;
        }
        let help = "Requests in work, up to the head of the response";
        let mut in_work = metric(encoder, "requests_in_progress", help, MetricType::Gauge)?;
        gauge(&mut in_work, &[], self.in_work.load(Ordering::Relaxed))?;
        let help = "Distinct customers that the contractor has seen today (UTC); nothing before its first disclosure \
                    of the day";
        let mut subjects = metric(encoder, "subjects_today", help, MetricType::Gauge)?;
        for (contractor, of) in &contractors {
            if let Some(count) = of.subjects_today() {
                gauge(&mut subjects, &[("contractor", contractor)], count as i64)?;
            }
        }
        Ok(())
    }

    fn encode_upstreams(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let upstreams = locked(&self.upstreams).clone();
        let help = "Time from a request to an upstream to the head of its answer, failures included";
        let mut times = metric(encoder, "upstream_duration_seconds", help, MetricType::Histogram)?;
        for (upstream, of) in &upstreams {
            histogram(&mut times, &[("upstream", upstream)], &of.time)?;
        }
        let help = "Requests to an upstream that got no answer";
        let mut failures = metric(encoder, "upstream_failures", help, MetricType::Counter)?;
        for (upstream, of) in &upstreams {
            counter(&mut failures, &[("upstream", upstream)], of.failed.load(Ordering::Relaxed))?;
        }
        Ok(())
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        self.encode_outcomes(&mut encoder)?;
        self.encode_times(&mut encoder)?;
        self.encode_upstreams(&mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_stays_when_rules_change() {
        let requests = Requests::new(&["not-found", "internal-error"]);
        requests.series("parcelco", "deliver").ended(Outcome::Refused(0), Duration::ZERO);
        let again = requests.series("parcelco", "deliver");
        again.ended(Outcome::Disclosed, Duration::ZERO);
        again.ended(Outcome::Refused(99), Duration::ZERO);
        assert_eq!(again.all(), 3);
        assert_eq!(again.refused[1].load(Ordering::Relaxed), 1, "an unknown code counts as the last one");
        requests.series("parcelco", "").subjects(7);
        again.subjects(5);
        assert_eq!(again.of.subjects_today(), Some(7), "one of two that end at once is late");
    }
}
