//! Follows the ledger for signals.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::ledger::{Log, Order, Query, Search, StoreError, View};

use super::super::house::House;
use super::super::routine::{Routine, Stop};
use super::super::store::{Raised, Store, now};
use super::kinds::kind;
use super::trouble::Trouble;

/// What is older when the ledger is read for the first time is history: 90 days, in microseconds.
const HISTORY: i64 = 90 * 86_400_000_000;

/// Six hours, in microseconds.
const NEWEST: i64 = 6 * 3_600_000_000;

/// Follows the house's ledger.
///
/// # Errors
/// Where there is no thread.
pub fn follow(house: Arc<House>) -> std::io::Result<Routine> {
    let mut trouble = Trouble::default();
    // What is wrong with the ledger keeps nobody from saying so.
    let look = move |_: &Stop| {
        let looked = trouble.look(&house);
        // What this node itself has noticed waits for nobody.
        if house.gathering.as_ref().is_some_and(|gathering| gathering.trouble().is_some()) {
            take_newest(&house.config.ledger.path, &house.store)?;
        }
        looked.and(take(&house.read, &house.store))
    };
    Routine::begin("alerts", look, |error| tracing::error!(error, "alerts are behind the ledger"))
}

/// Keeps signals of the last hours, and does not move on: ids tell what is known.
fn take_newest(ledger: &Path, store: &Store) -> anyhow::Result<()> {
    let query = Query { kind: Some("signal".to_owned()), since: Some(now() - NEWEST), ..Query::default() };
    let mut found = Vec::new();
    Search::open(ledger)?.each(&query, Order::OldestFirst, |position, leaf| {
        found.extend(View::parse(leaf).ok().map(|entry| raised(position, &entry)));
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    if let Some(known) = store.followed()?.filter(|_| !found.is_empty()) {
        store.raise(&found, known)?;
    }
    Ok(())
}

/// Keeps the signals that are new in the ledger whose index is at `ledger`.
pub(super) fn take(ledger: &Path, store: &Store) -> anyhow::Result<()> {
    // Mutes end by themselves.
    store.count_open()?;
    let known = store.followed()?;
    let size = Log::open(ledger)?.size();
    if known == Some(size) {
        return Ok(());
    }
    // A ledger that is shorter is another one. Ids tell what is known.
    let from = known.filter(|known| *known <= size);
    let search = Search::open(ledger)?;
    let mut found = Vec::new();
    let query = Query {
        kind: Some("signal".to_owned()),
        since: from.is_none().then(|| now() - HISTORY),
        ..Query::default()
    };
    search.each(&query, Order::NewestFirst, |position, leaf| {
        if from.is_some_and(|from| position < from) {
            return Ok(ControlFlow::Break(()));
        }
        found.extend(View::parse(leaf).ok().map(|entry| raised(position, &entry)));
        Ok::<_, StoreError>(ControlFlow::Continue(()))
    })?;
    found.reverse();
    store.raise(&found, search.log().size())?;
    Ok(())
}

fn raised(position: u64, entry: &View) -> Raised {
    let owned = |text: &Option<std::borrow::Cow<str>>| text.as_deref().map(str::to_owned);
    let name = entry.signal.as_deref().unwrap_or("signal");
    Raised {
        id: entry.id.to_string(),
        kind: name.to_owned(),
        severity: kind(name).severity,
        time: entry.time,
        entry: Some(position),
        contractor: owned(&entry.contractor),
        credential: owned(&entry.credential),
        task: owned(&entry.task),
        route: owned(&entry.route),
        details: entry.details.clone().unwrap_or_default(),
        requests: entry.entries.iter().map(|id| id.to_string()).collect(),
    }
}
