//! Trouble with the ledger itself, which no entry can tell of.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ledger::{Log, Witnessed};

use super::super::house::House;
use super::super::store::{Raised, now};
use super::super::work::Outcome;
use super::kinds::{DAMAGED, UNGATHERED, UNWITNESSED, UNWRITABLE, kind};

/// How long entries may go without witnesses; sooner where disclosures would stop sooner.
const UNWITNESSED_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long entries of other nodes may not come in: a database that is started anew is no trouble.
const UNGATHERED_AFTER: Duration = Duration::from_secs(60);
/// Between two looks at the witnesses' cosignatures.
const PACE: Duration = Duration::from_secs(10);

/// What the store was told.
#[derive(Default)]
pub struct Trouble {
    unwritable: Option<bool>,
    unwitnessed: Option<bool>,
    ungathered: Option<bool>,
    /// Since when other nodes' entries do not come in.
    ungathered_since: Option<Instant>,
    witnesses_at: Option<Instant>,
    /// When the verification ended that was looked at last.
    verified: Option<i64>,
}

impl Trouble {
    /// Looks, and keeps what has changed.
    ///
    /// # Errors
    /// Where it cannot be kept, or the ledger cannot be read.
    pub fn look(&mut self, house: &House) -> anyhow::Result<()> {
        let is_unwritable = !house.ledger.is_healthy();
        turn(house, UNWRITABLE, &mut self.unwritable, is_unwritable.then(|| json!({})))?;
        self.look_at_verification(house)?;
        self.look_at_other_nodes(house)?;
        self.look_at_witnesses(house)
    }

    fn look_at_other_nodes(&mut self, house: &House) -> anyhow::Result<()> {
        let trouble = house.gathering.as_ref().and_then(|gathering| gathering.trouble());
        let since = trouble.as_ref().map(|_| self.ungathered_since.unwrap_or_else(Instant::now));
        self.ungathered_since = since;
        let lasts = since.is_some_and(|since| since.elapsed() >= UNGATHERED_AFTER);
        let details = trouble.filter(|_| lasts).map(|error| json!({ "error": *error }));
        turn(house, UNGATHERED, &mut self.ungathered, details)
    }

    fn look_at_verification(&mut self, house: &House) -> anyhow::Result<()> {
        let Some(done) = house.verification.standing().last else { return Ok(()) };
        let Outcome::Found(found) = done.outcome else { return Ok(()) };
        if self.verified == Some(done.at) {
            return Ok(());
        }
        if found.errors == 0 {
            house.store.no_trouble(DAMAGED)?;
        } else {
            let first: Vec<&String> = found.first.iter().take(3).collect();
            let details = json!({ "errors": found.errors, "size": found.size, "first": first });
            // The same verification is found again after a restart.
            house.store.trouble(&raised(DAMAGED, done.at, details))?;
        }
        self.verified = Some(done.at);
        Ok(())
    }

    fn look_at_witnesses(&mut self, house: &House) -> anyhow::Result<()> {
        let config = &house.config.ledger;
        if config.witnesses.is_empty() || self.witnesses_at.is_some_and(|at| at.elapsed() < PACE) {
            return Ok(());
        }
        self.witnesses_at = Some(Instant::now());
        let shown = Witnessed::new(&config.path, house.verifier.clone());
        let witnessed = shown.kept()?.map_or(0, |(size, _)| size);
        let size = Log::open(&config.path)?.archived();
        let limit =
            config.max_unwitnessed_age.map_or(UNWITNESSED_AFTER, |age| UNWITNESSED_AFTER.min(age / 2));
        let is_behind = witnessed < size && shown.age(witnessed).is_some_and(|age| age >= limit);
        let details = is_behind.then(|| json!({ "size": size, "witnessed": witnessed }));
        turn(house, UNWITNESSED, &mut self.unwitnessed, details)
    }
}

/// Keeps that there is trouble, or no longer, where that has changed.
fn turn(house: &House, kind: &str, known: &mut Option<bool>, details: Option<Value>) -> anyhow::Result<()> {
    if *known == Some(details.is_some()) {
        return Ok(());
    }
    let is_there = details.is_some();
    match details {
        Some(details) => house.store.trouble(&raised(kind, now(), details))?,
        None => house.store.no_trouble(kind)?,
    }
    *known = Some(is_there);
    Ok(())
}

fn raised(name: &str, time: i64, details: Value) -> Raised {
    Raised {
        id: format!("{name}-{time}"),
        kind: name.to_owned(),
        severity: kind(name).severity,
        time,
        entry: None,
        contractor: None,
        credential: None,
        task: None,
        route: None,
        details,
        requests: Vec::new(),
    }
}
