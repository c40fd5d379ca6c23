//! Six weeks that never were, so that every page has something true to show: the real rules over the sample shop's
//! real answers, seen by the real detectors, written by the real ledger, with dates in the past.
//!
//! **Guarantees.** It is written where the ledger is new and the rules are the demonstration's own, and nowhere else.
//! The same day gives the same history, but for ids and salts. Two stories in it are worth finding: a night in
//! which somebody tries ticket numbers one after the other, and an afternoon in which somebody takes all orders,
//! a planted one too.
//!
//! **Trusts** the demonstration's files. **Must not** write with a date of today's clock what did not happen.
//! **Called by** the demonstration, before the gateway opens the ledger.

mod scribe;
mod story;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::Context;

use crate::admin::Store;
use crate::app::{self, Keys};
use crate::config::Config;
use crate::diagnostic::Source;
use crate::rules::Plan;

use super::FILES;
use super::shop::Shop;
use scribe::Scribe;

/// What ParcelCo's rule said of the telephone number until the middle of the month, and what it says since.
const WIDER: &str = "{ path = \"@.recipient.phone\", category";
const NARROWER: &str = "{ path = \"@.recipient.phone\", transform = \"last4\", category";

/// What is needed to make it up.
pub struct History<'a> {
    pub config: &'a Config,
    pub keys: &'a Keys,
    /// The rules in force.
    pub plan: &'a Plan,
    pub shop: &'a Shop,
}

impl History<'_> {
    /// Writes it, up to `now` in seconds since 1970-01-01T00:00:00Z; how many requests it tells of.
    ///
    /// # Errors
    /// Where the ledger cannot be written.
    pub async fn write(&self, now: i64) -> anyhow::Result<usize> {
        let wider = self.wider()?;
        if self.config.admin.is_some() {
            Store::open(&self.config.ledger.path)?.keep_rules(&wider)?;
        }
        let ledger = app::open_ledger(self.config)?;
        let happenings = story::tell(self.shop, now);
        let mut scribe = Scribe::new(&ledger, self.shop, self.keys, [&wider, self.plan]);
        for happening in &happenings {
            scribe.take(happening).await?;
        }
        scribe.end(now).await?;
        // The last holder waits for what is queued, and for the index.
        tokio::task::spawn_blocking(move || drop(ledger)).await?;
        Ok(happenings.len())
    }

    /// The rules as they were before the middle of the month.
    fn wider(&self) -> anyhow::Result<Plan> {
        let wider =
            |source: &Arc<Source>| Source::new(source.name.clone(), source.text.replacen(NARROWER, WIDER, 1));
        let sources = self.plan.sources.iter().map(wider).collect();
        let plan = app::compile_rules(self.config, self.keys.pseudonyms.clone(), sources)?;
        plan.context("the rules of the demonstration's past have an error")
    }
}

/// The rules are the demonstration's own, to the letter.
pub fn is_of(plan: &Plan) -> bool {
    let own = |source: &Arc<Source>| FILES.iter().any(|(_, text)| *text == source.text);
    plan.sources.len() == FILES.len() - 1 && plan.sources.iter().all(own)
}
