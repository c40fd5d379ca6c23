//! How long a request's stages take, and what becomes of it: counted in series that the rules in force have found
//! before.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::model::RequestId;
use crate::rules::{Holder, Plan};
use crate::telemetry::{Finished, InWork, Outcome, Requests, Series, Stage, Trace, TraceId, Tracing};

use super::Refusal;
use super::authenticate::Caller;

/// The series of all contractors, at their places in the plan.
#[derive(Debug)]
pub struct SeriesTable(Vec<OfContractor>);

#[derive(Debug)]
struct OfContractor {
    /// Where the task is not known yet.
    no_task: Arc<Series>,
    tasks: Vec<Arc<Series>>,
}

/// One request under the clock.
pub struct Meter<'a> {
    requests: &'a Requests,
    tracing: &'a Tracing,
    trace: Trace,
    began: Instant,
    /// When the stage before ended.
    last: Instant,
    /// From where to where, behind the beginning.
    stages: [Option<(Duration, Duration)>; Stage::ALL.len()],
    _in_work: InWork<'a>,
}

/// A known contractor, and the places of task and route in its rules as far as they are known.
type Known<'a> = (&'a Caller, Option<usize>, Option<usize>);

impl SeriesTable {
    pub fn new(plan: &Plan, requests: &Requests) -> Self {
        let contractors = plan.contractors.iter().map(|contractor| {
            let series = |task: &str| requests.series(contractor.id.as_str(), task);
            OfContractor {
                no_task: series(""),
                tasks: contractor.tasks.iter().map(|task| series(task.id.as_str())).collect(),
            }
        });
        SeriesTable(contractors.collect())
    }

    pub fn of(&self, holder: Holder, task: Option<usize>) -> &Series {
        let contractor = &self.0[holder.contractor];
        task.map_or(&contractor.no_task, |task| &contractor.tasks[task])
    }
}

impl<'a> Meter<'a> {
    pub fn begin(requests: &'a Requests, tracing: &'a Tracing, id: RequestId, headers: &HeaderMap) -> Self {
        let (now, trace) = (Instant::now(), tracing.begin(id, headers));
        let _in_work = requests.enter();
        Meter { requests, tracing, trace, began: now, last: now, stages: Default::default(), _in_work }
    }

    /// What the log calls the trace.
    pub fn trace(&self) -> TraceId {
        self.trace.id
    }

    /// What an upstream is told of the trace.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        self.tracing.header(&self.trace)
    }

    /// A stage has ended that began where the one before did.
    pub fn stage(&mut self, stage: Stage) {
        let now = Instant::now();
        self.requests.stage(stage, now - self.last);
        self.stages[stage as usize] = Some((self.last - self.began, now - self.began));
        self.last = now;
    }

    /// What was done since the last stage belongs to none.
    pub fn skip(&mut self) {
        self.last = Instant::now();
    }

    pub fn disclosed(&self, caller: &Caller, task: usize, route: usize, status: StatusCode) {
        self.ended(Some((caller, Some(task), Some(route))), Outcome::Disclosed, status, None);
    }

    pub fn own(&self, caller: &Caller) {
        self.ended(Some((caller, None, None)), Outcome::Own, StatusCode::OK, None);
    }

    pub fn refused(&self, known: Option<Known<'_>>, refusal: &Refusal) {
        self.ended(known, Outcome::Refused(refusal.number()), refusal.status(), Some(refusal.code()));
    }

    fn ended(
        &self,
        known: Option<Known<'_>>,
        outcome: Outcome,
        status: StatusCode,
        code: Option<&'static str>,
    ) {
        let series = known.map_or(self.requests.nobody(), |(caller, task, _)| caller.series(task));
        let took = self.began.elapsed();
        series.ended(outcome, took);
        if self.trace.sampled {
            self.tracing.ended(Box::new(self.finished(known, took, status, code)));
        }
    }

    fn finished(
        &self,
        known: Option<Known<'_>>,
        took: Duration,
        status: StatusCode,
        code: Option<&'static str>,
    ) -> Finished {
        let contractor = known.map(|(caller, ..)| caller.contractor());
        let task = known.and_then(|(caller, task, _)| Some(&caller.contractor().tasks[task?]));
        let route = known.and_then(|(caller, _, route)| Some(&caller.contractor().routes[route?]));
        Finished {
            trace: self.trace,
            spans: self.tracing.spans(&self.trace),
            began: SystemTime::now() - took,
            took,
            stages: self.stages,
            contractor: contractor.map(|contractor| contractor.id.to_string()),
            task: task.map(|task| task.id.to_string()),
            route: route.map(|route| route.template.as_str().to_owned()),
            upstream: route.map(|route| route.upstream.clone()),
            status: status.as_u16(),
            code,
        }
    }
}
