//! How long a request's stages take, and what becomes of it: counted in series that the rules in force have found
//! before.

use std::sync::Arc;
use std::time::Instant;

use crate::rules::{Holder, Plan};
use crate::telemetry::{InWork, Outcome, Requests, Series, Stage};

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
    began: Instant,
    /// When the stage before ended.
    last: Instant,
    _in_work: InWork<'a>,
}

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
    pub fn begin(requests: &'a Requests) -> Self {
        let now = Instant::now();
        Meter { requests, began: now, last: now, _in_work: requests.enter() }
    }

    /// A stage has ended that began where the one before did.
    pub fn stage(&mut self, stage: Stage) {
        let now = Instant::now();
        self.requests.stage(stage, now - self.last);
        self.last = now;
    }

    /// What was done since the last stage belongs to none.
    pub fn skip(&mut self) {
        self.last = Instant::now();
    }

    pub fn disclosed(&self, caller: &Caller, task: usize) {
        self.ended(caller.series(Some(task)), Outcome::Disclosed);
    }

    pub fn own(&self, caller: &Caller) {
        self.ended(caller.series(None), Outcome::Own);
    }

    pub fn refused(&self, caller: Option<&Caller>, task: Option<usize>, refusal: &Refusal) {
        let series = caller.map_or(self.requests.nobody(), |caller| caller.series(task));
        self.ended(series, Outcome::Refused(refusal.number()));
    }

    fn ended(&self, series: &Series, outcome: Outcome) {
        series.ended(outcome, self.began.elapsed());
    }
}
