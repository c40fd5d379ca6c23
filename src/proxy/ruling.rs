//! The rules in force, and the counters that belong to them.

use std::sync::Arc;

use crate::ledger::Leases;
use crate::rules::Plan;
use crate::telemetry::Requests;

use super::limits::LimitTable;
use super::meter::SeriesTable;

/// A plan and its counters. Immutable: a request keeps those that it began with.
#[derive(Debug)]
pub struct Ruling {
    pub plan: Arc<Plan>,
    pub limits: LimitTable,
    /// Where requests are counted.
    pub series: Arc<SeriesTable>,
}

impl Ruling {
    pub fn new(plan: Plan, requests: &Requests) -> Self {
        let limits = LimitTable::new(&plan, None, None);
        let series = Arc::new(SeriesTable::new(&plan, requests));
        Ruling { plan: Arc::new(plan), limits, series }
    }

    /// The same for a node of a fleet: what is counted here is taken from what all nodes may let in.
    pub fn leased(&self, leases: &Arc<Leases>) -> Self {
        let limits = LimitTable::new(&self.plan, None, Some(leases));
        Ruling { plan: Arc::clone(&self.plan), limits, series: Arc::clone(&self.series) }
    }

    /// What follows when `plan` comes into force: a credential keeps its counters at each task whose limits
    /// stay, so that new rules give nobody a second budget.
    pub fn followed_by(&self, plan: Plan, requests: &Requests) -> Self {
        let limits = LimitTable::new(&plan, Some(self), self.limits.leases());
        let series = Arc::new(SeriesTable::new(&plan, requests));
        Ruling { plan: Arc::new(plan), limits, series }
    }
}
