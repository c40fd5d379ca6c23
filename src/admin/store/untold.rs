//! Trouble that a node of a fleet cannot tell the others, since their database is away: most often just that. It waits in
//! memory, and goes out all the same.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::alerts::{Alert, AlertState, Raised, Severity};
use super::{ReviewError, Store};

/// What waits, at most one of a kind.
#[derive(Default)]
pub struct Untold(Mutex<Vec<Waiting>>);

struct Waiting {
    raised: Raised,
    /// Outlets that have sent it.
    sent: HashSet<&'static str>,
}

impl Untold {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, raised: &Raised) {
        let mut waiting = self.lock();
        if waiting.iter().all(|known| known.raised.kind != raised.kind) {
            waiting.push(Waiting { raised: raised.clone(), sent: HashSet::new() });
        }
    }
}

impl Store {
    /// What waits for the database, and this outlet has not sent: so severe, and without a number.
    pub fn untold_for(&self, outlet: &str, least: Severity) -> Option<Alert> {
        let fleet = self.fleet.as_ref()?;
        let waiting = fleet.untold.lock();
        let fits = |one: &&Waiting| one.raised.severity >= least && !one.sent.contains(outlet);
        let raised = waiting.iter().find(fits)?.raised.clone();
        let (node, state) = (Some(fleet.node.clone()), AlertState::Open);
        Some(Alert { number: 0, raised, node, state, over: None, acknowledged: None })
    }

    /// An outlet has sent it.
    pub fn untold_was_sent(&self, outlet: &'static str, id: &str) {
        let Some(fleet) = &self.fleet else { return };
        for one in fleet.untold.lock().iter_mut().filter(|one| one.raised.id == id) {
            one.sent.insert(outlet);
        }
    }

    /// Tells the other nodes what waits.
    ///
    /// # Errors
    /// Where the database cannot be asked; then it goes on waiting.
    pub(super) fn tell_untold(&self) -> Result<(), ReviewError> {
        self.telling(|| Ok(()))
    }

    /// The same, and then `work`, before more is told.
    ///
    /// # Errors
    /// Where the database cannot be asked, and what `work` says.
    pub(super) fn telling<T>(&self, work: impl FnOnce() -> Result<T, ReviewError>) -> Result<T, ReviewError> {
        let Some(fleet) = &self.fleet else { return work() };
        let _telling = fleet.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let first = || fleet.untold.lock().first().map(|one| one.raised.clone());
        while let Some(raised) = first() {
            self.keep_trouble(&raised)?;
            fleet.untold.lock().retain(|one| one.raised.id != raised.id);
        }
        work()
    }
}
