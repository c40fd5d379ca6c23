//! The rules in force, and the counters that belong to them.

use std::sync::Arc;

use crate::rules::Plan;

use super::limits::LimitTable;

/// A plan and its counters. Immutable: a request keeps those that it began with.
#[derive(Debug)]
pub struct Ruling {
    pub plan: Arc<Plan>,
    pub limits: LimitTable,
}

impl Ruling {
    pub fn new(plan: Plan) -> Self {
        let limits = LimitTable::new(&plan, None);
        Ruling { plan: Arc::new(plan), limits }
    }

    /// What follows when `plan` comes into force: a credential keeps its counters at each task whose limits
    /// stay, so that new rules give nobody a second budget.
    pub fn followed_by(&self, plan: Plan) -> Self {
        let limits = LimitTable::new(&plan, Some(self));
        Ruling { plan: Arc::new(plan), limits }
    }
}
