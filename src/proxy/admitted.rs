//! Whose records may leave: who consented, who does not object, whom a legal grant names. Asked live, for each
//! record, so that what a customer says counts also for a response that is in work.

use std::sync::Arc;

use crate::ledger::{ConsentGround, Consents};
use crate::model::{Admission, Basis, Subjects};
use crate::rules::Task;

use super::Refusal;
use super::authorize::Permit;

/// Who decides about the records of a response, and by which generation of the registry.
pub struct Admitted {
    pub admission: Option<Arc<dyn Admission>>,
    pub decided: Decided,
}

/// The generation that what is in work was decided by; an older one than now, if anything.
#[derive(Clone)]
pub struct Decided {
    consents: Option<Arc<Consents>>,
    generation: u64,
}

impl Admitted {
    /// # Errors
    /// Where it is not known what customers said.
    pub fn new(consents: &Arc<Consents>, permit: &Permit) -> Result<Self, Refusal> {
        let task = permit.task();
        let Some(ground) = ground(task) else {
            return Ok(Admitted {
                admission: task.granted(),
                decided: Decided { consents: None, generation: 0 },
            });
        };
        // Before it is asked for anything.
        let decided = Decided { consents: Some(Arc::clone(consents)), generation: consents.generation() };
        let admission = consents.admission(ground, task.consent_purpose(), permit.contractor().id.as_str());
        let admission = admission.map_err(|_| Refusal::LedgerUnavailable)?;
        Ok(Admitted { admission: Some(admission), decided })
    }
}

impl Decided {
    /// For the ledger; `None` where nobody was asked.
    pub fn generation(&self) -> Option<u64> {
        self.consents.as_ref().map(|_| self.generation)
    }

    /// Says that from here on it is decided anew, and gives what went before: something of that may still be
    /// on its way into the next part.
    pub fn turn(&mut self) -> Decided {
        let before = self.clone();
        if let Some(consents) = &self.consents {
            self.generation = consents.generation();
        }
        before
    }
}

/// Decides again about customers of records that were let through before; by which generation, if anybody was asked,
/// where all of them still are.
pub fn again(consents: &Arc<Consents>, permit: &Permit, subjects: Option<&Subjects>) -> Option<Option<u64>> {
    let Admitted { admission, decided } = Admitted::new(consents, permit).ok()?;
    let stays = |admission: &Arc<dyn Admission>| {
        subjects.is_none_or(|subjects| subjects.iter().all(|subject| admission.admits(Some(subject))))
    };
    admission.as_ref().is_none_or(stays).then(|| decided.generation())
}

/// What lets a record leave; `None` where a legal grant does.
fn ground(task: &Task) -> Option<ConsentGround> {
    match task.basis {
        Basis::Contract => Some(ConsentGround::Contract),
        Basis::Consent => Some(ConsentGround::Consent),
        Basis::LegalObligation => None,
    }
}
