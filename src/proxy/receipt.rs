//! Receipts: a contractor gets the proof that its own disclosure is in the ledger.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ledger::{self, Ledger, ProveError};

use super::Refusal;
use super::authenticate::Caller;
use super::refusal::Missing;

/// Receipts that are read at once: they read files, and disclosures come first.
const AT_ONCE: usize = 4;

/// So long a receipt waits for a head that covers its entry.
const PATIENCE: Duration = Duration::from_secs(3);

/// A proof for its contractor, a C2SP tlog-proof with the hash of the entry. Only this file makes one.
pub struct Receipt(String);

impl Receipt {
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Gives receipts.
pub struct Receipts {
    ledger: Arc<Ledger>,
    room: Semaphore,
}

impl Receipts {
    pub fn new(ledger: Arc<Ledger>) -> Self {
        Receipts { ledger, room: Semaphore::new(AT_ONCE) }
    }

    /// `name` is the id of the disclosure, and behind a dot the number of its part.
    ///
    /// # Errors
    /// Where there is none for this contractor, or not now.
    pub async fn find(&self, caller: &Caller, name: &str) -> Result<Receipt, Refusal> {
        let missing = || Refusal::NotFound(Missing::Route);
        let (id, part) = match name.split_once('.') {
            Some((id, part)) => (id, part.parse().map_err(|_| missing())?),
            None => (name, 1),
        };
        let id = uuid::Uuid::try_parse(id).map_err(|_| missing())?.to_string();
        let (path, contractor) = (self.ledger.path().to_owned(), caller.contractor().id.as_str().to_owned());
        let entry = self.read(move || ledger::own_entry(&path, &contractor, &id, part)).await?;
        let position = entry.ok_or_else(missing)?;
        let mut heads = self.ledger.heads();
        let covered = heads.wait_for(|head| head.size > position);
        if !matches!(tokio::time::timeout(PATIENCE, covered).await, Ok(Ok(_))) {
            return Err(Refusal::LedgerUnavailable);
        }
        let path = self.ledger.path().to_owned();
        let proof = self.read(move || ledger::receipt(&path, position)).await?;
        Ok(Receipt(proof.to_string()))
    }

    /// Whoever waits for a head holds no place.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, ProveError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _room = self.room.try_acquire().map_err(|_| Refusal::Overloaded)?;
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a receipt cannot be given");
                Err(Refusal::LedgerUnavailable)
            }
            Err(_) => Err(Refusal::Internal),
        }
    }
}
