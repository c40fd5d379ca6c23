//! What the company's own people are told of one customer, the same by a command and on the review side.
//!
//! **Guarantees.** An account holds what the ledger holds of the customer in that time, but for uses of legal grants
//! that the customer must not be told of yet, by their entries or by today's rules; where these cannot be read, there
//! is no account that lists such a use.
//!
//! **Trusts** its caller that somebody may know, and that an entry says so. **Must not** keep anything.
//!
//! **Called by** `admin`, the commands.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::{Context, bail};

use crate::ledger::{self, Account, Accounting, Order, Query, Recipient, Recipients, Search, View};
use crate::model::SubjectPseudonym;
use crate::rules::{self, Grant, Plan};

/// A stretch of time in microseconds since 1970-01-01T00:00:00Z; open where it is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    pub since: Option<i64>,
    /// Exclusive.
    pub until: Option<i64>,
}

/// What was disclosed of the customer who has these names in the ledger, one for each key epoch.
///
/// # Errors
/// Where the ledger cannot be read, or the account would list a use of a legal grant and there is no `plan`.
pub fn account(
    search: &Search,
    names: Vec<SubjectPseudonym>,
    period: Period,
    plan: Option<&Plan>,
) -> anyhow::Result<Accounting> {
    let query = Query {
        since: period.since,
        until: period.until,
        kind: Some("disclosure".to_owned()),
        subject: Some(names),
        ..Query::default()
    };
    let now = jiff::Timestamp::now().as_microsecond();
    let mut account = Account::new(now).without_cases(held_cases(plan));
    search.each(&query, Order::OldestFirst, |position, leaf| {
        let entry = View::parse(leaf).with_context(|| format!("entry {position} is damaged"))?;
        account.add(position, &entry);
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    })?;
    let accounting = account.finish();
    if plan.is_none() && accounting.groups.iter().any(|group| group.ground.case.is_some()) {
        bail!(
            "the account lists a use of a legal grant, and the rules cannot be read: they may say that the customer \
             must not be told yet; see: fieldgate check"
        );
    }
    Ok(accounting)
}

/// Until when the content of disclosures was deleted.
///
/// # Errors
/// Where the ledger cannot be read.
pub fn deleted_before(search: &Search) -> anyhow::Result<Option<i64>> {
    let query = Query { kind: Some("prune".to_owned()), ..Query::default() };
    let mut last = None;
    search.each(&query, Order::OldestFirst, |_, leaf| {
        let entry: serde_json::Value = serde_json::from_slice(leaf)?;
        let classes = entry["classes"].as_array().into_iter().flatten();
        let disclosures = classes.filter(|class| class["class"] == "disclosures");
        last = disclosures.filter_map(|class| class["until"].as_i64()).chain(last).max();
        Ok::<_, anyhow::Error>(ControlFlow::Continue(()))
    })?;
    Ok(last)
}

/// Cases that today's rules keep from their customers: that day may have been put off since their entries.
fn held_cases(plan: Option<&Plan>) -> BTreeSet<String> {
    let tasks = plan.iter().flat_map(|plan| &plan.contractors).flat_map(|contractor| &contractor.tasks);
    let is_held = |grant: &&Grant| grant.hold.as_ref().is_some_and(|hold| rules::today() < hold.until);
    tasks.filter_map(|task| task.legal.as_ref()).filter(is_held).map(|grant| grant.case.clone()).collect()
}

/// Contractors, as far as today's rules know them.
pub fn recipients(plan: Option<&Plan>) -> Recipients {
    let known = plan.iter().flat_map(|plan| &plan.contractors).map(|contractor| {
        let recipient = Recipient {
            name: contractor.name.clone(),
            service: contractor.service.clone(),
            country: contractor.jurisdictions.to.to_string(),
            contact: Some(contractor.contact.clone()).filter(|contact| !contact.is_empty()),
        };
        (contractor.id.to_string(), recipient)
    });
    ledger::Recipients(known.collect())
}

/// What customers can consent or object to by today's rules: ids, and what the rules write of them.
pub fn purposes(plan: &Plan) -> Vec<(String, String)> {
    let tasks = plan.contractors.iter().flat_map(|contractor| &contractor.tasks);
    let mut purposes: Vec<(String, String)> =
        tasks.map(|task| (task.consent_purpose().to_owned(), task.purpose.clone())).collect();
    // One that several tasks have is described by the first of them.
    purposes.sort_by(|one, other| one.0.cmp(&other.0));
    purposes.dedup_by(|one, other| one.0 == other.0);
    purposes
}
