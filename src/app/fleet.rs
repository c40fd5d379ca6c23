//! This gateway as one of several that share a database: what is said to one of them counts for all.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use tokio_postgres::config::SslMode;

use crate::admin::Store;
use crate::config;
use crate::ledger::{
    self, Change, Changes, ConsentOrder, Consents, Database, Desk, Draft, Leases, Ledger, News, OwnKind,
    Saying, Suspension, SuspensionAction, SuspensionEvent, Suspensions,
};
use crate::model::{RequestId, SubjectKey};
use crate::proxy::Suspended;
use crate::transport;

use super::Keys;

/// What the nodes share, as this one knows it.
pub struct Shared {
    pub changes: Arc<Changes>,
    pub consents: Arc<Consents>,
    pub suspended: Arc<Suspended>,
    /// Of requests that all nodes may let in, this node's part.
    pub leases: Arc<Leases>,
    /// Orders come one after the other.
    turn: tokio::sync::Mutex<()>,
}

/// The database as `config` names it.
///
/// # Errors
/// Where a certificate cannot be used.
pub fn database(fleet: &config::Fleet) -> anyhow::Result<Database> {
    let tls = fleet.tls.as_ref().map(transport::client_config).transpose()?;
    let mut config = fleet.database.clone();
    config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
    Ok(Database { config, password_file: fleet.password_file.clone(), tls: tls.map(Arc::new) })
}

/// Joins the fleet: what other nodes were told is in force when this returns.
///
/// # Errors
/// Where the database cannot be used, or this node does not belong to it.
pub async fn join(files: &config::Ledger, fleet: &config::Fleet, keys: &Keys) -> anyhow::Result<Shared> {
    let database = database(fleet)?;
    let verifier = ledger::signer(&files.signing_key, files.origin.as_deref())?.verifier().to_string();
    ledger::make_ledger_folder(&files.path)?;
    let (consents, consent_seal) = ledger::shared_consents(&files.path)?;
    let seal = |key: &crate::model::SubjectKey| key.receipt_name(&[b"seal"]);
    let seals = [
        ("subject key", seal(&keys.subjects.current().key)),
        ("pseudonym key", seal(&keys.pseudonyms)),
        ("consent key", consent_seal),
    ];
    let suspended = Arc::new(Suspended::default());
    // The file is for the commands; the database says what counts.
    let mut suspensions = Suspensions::load(&files.path).unwrap_or_default();
    suspensions.contractors.clear();
    let take = taking(Arc::clone(&consents), Arc::clone(&suspended), suspensions);
    let memory = ledger::fleet_memory(&files.path);
    let place = database.place();
    let changes =
        Changes::join(database, &fleet.node, &verifier, &seals, memory, take).await.context(place)?;
    let (leases, turn) = (Arc::default(), tokio::sync::Mutex::default());
    Ok(Shared { changes, consents, suspended, leases, turn })
}

/// What customers said, for a command: out of the files, or in a fleet out of the database.
///
/// # Errors
/// Where it cannot be known.
pub fn known_consents(config: &config::Config) -> anyhow::Result<Arc<Consents>> {
    let files = &config.ledger;
    let Some(fleet) = &files.fleet else { return Ok(ledger::consents(&files.path)?.0) };
    let keys = super::load_keys(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(join(files, fleet, &keys))?.consents)
}

/// What the review side keeps beside the ledger whose index is at `path`: with the other nodes, where there are some.
///
/// # Errors
/// Where it cannot be opened, or is not what the other nodes have.
pub async fn store(path: &Path, shared: Option<&Shared>, key: &SubjectKey) -> anyhow::Result<Store> {
    let path = path.to_owned();
    let desk = shared.map(|Shared { changes, .. }| {
        Desk::new(changes.database().clone(), changes.node(), changes.name(), key.clone())
    });
    let desk = desk.transpose()?;
    let open = move || match desk {
        None => Store::open(&path),
        Some(desk) => Store::open_in_fleet(&path, desk),
    };
    Ok(tokio::task::spawn_blocking(open).await??)
}

/// The same for a command, also beside a gateway that runs.
///
/// # Errors
/// As [`store`].
pub fn known_store(config: &config::Config) -> anyhow::Result<Store> {
    let files = &config.ledger;
    let Some(fleet) = &files.fleet else { return Ok(Store::open(&files.path)?) };
    let keys = super::load_keys(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let shared = join(files, fleet, &keys).await?;
        store(&files.path, Some(&shared), &keys.pseudonyms).await
    })
}

fn taking(consents: Arc<Consents>, suspended: Arc<Suspended>, suspensions: Suspensions) -> ledger::Take {
    let suspensions = Mutex::new(suspensions);
    Box::new(move |changes| {
        let mut suspensions = suspensions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut suspends = false;
        for change in changes {
            let Change::Suspension { contractor, suspension } = change else { continue };
            suspends = true;
            match suspension {
                Some(suspension) => {
                    _ = suspensions.contractors.insert(contractor.clone(), suspension.clone())
                }
                None => _ = suspensions.contractors.remove(contractor),
            }
        }
        if suspends {
            suspended.replace(suspensions.contractors.keys().cloned());
            if let Err(error) = suspensions.store() {
                tracing::warn!(%error, "suspensions are in force, and commands do not see them all");
            }
        }
        let said = changes.iter().flat_map(|change| match change {
            Change::Consent(said) => said.as_slice(),
            Change::Suspension { .. } => &[],
        });
        consents.take_in(said)
    })
}

/// Entries about what customers said, in words of the order.
pub type Events<'e> = &'e (dyn Fn(&[Saying], &[(usize, i64)], u64) -> Vec<String> + Sync);

impl Shared {
    /// A suspension is in force on all nodes before its entry is written, its end after that.
    ///
    /// # Errors
    /// Where it is not certain that it is in force, or its entry could not be written.
    pub async fn suspend(&self, ledger: &Ledger, event: SuspensionEvent) -> anyhow::Result<u64> {
        let _turn = self.turn.lock().await;
        let draft = Draft::own(OwnKind::Suspension, RequestId::new().to_string(), &event);
        let contractor = event.contractor;
        let receipt = match event.action {
            SuspensionAction::Suspended => {
                let since = jiff::Timestamp::now().as_microsecond();
                let suspension = Suspension { since, by: event.by, reason: event.reason };
                let change = Change::Suspension { contractor, suspension: Some(suspension) };
                self.changes.tell(&change, &[], &[]).await?;
                ledger.record(draft).await.context("in force, and its entry could not be written")?
            }
            SuspensionAction::Resumed => {
                let receipt = ledger.record(draft).await?;
                self.changes.tell(&Change::Suspension { contractor, suspension: None }, &[], &[]).await?;
                receipt
            }
        };
        Ok(receipt.position())
    }

    /// Withdrawals are in force on all nodes before their entries are written, grants after that.
    ///
    /// # Errors
    /// Where that is not certain; it can be said again.
    pub async fn consent(
        &self,
        ledger: &Ledger,
        order: &ConsentOrder,
        events: Events<'_>,
    ) -> anyhow::Result<usize> {
        let _turn = self.turn.lock().await;
        // A withdrawal is to be later than all that was said anywhere.
        self.changes.catch_up().await?;
        let now = jiff::Timestamp::now().as_microsecond();
        let (granted, withdrawn): (Vec<Saying>, Vec<Saying>) =
            order.said.iter().cloned().partition(|saying| saying.granted);
        let (withdrawn, found) = self.news(withdrawn, now).await?;
        let mut taken = found.news.len();
        if !found.news.is_empty() {
            let events = events(&withdrawn, &found.news, self.consents.generation() + 1);
            self.tell(found, &events).await?;
        }
        self.settle(ledger)
            .await
            .context("withdrawals are in force, and their entries could not be written")?;
        let (granted, found) = self.news(granted, now).await?;
        taken += found.news.len();
        if !found.news.is_empty() {
            let events = events(&granted, &found.news, self.consents.generation());
            super::control::write(ledger, &events, false).await?;
            self.tell(found, &[]).await?;
        }
        Ok(taken)
    }

    /// Without what was taken before.
    async fn news(&self, mut said: Vec<Saying>, now: i64) -> anyhow::Result<(Vec<Saying>, News)> {
        let receipts: Vec<_> = said.iter().filter_map(|saying| self.consents.receipt(saying)).collect();
        let taken = if receipts.is_empty() { Vec::new() } else { self.changes.taken(&receipts).await? };
        said.retain(|saying| self.consents.receipt(saying).is_none_or(|name| !taken.contains(&name)));
        let news = self.consents.news(&said, now)?;
        Ok((said, news))
    }

    async fn tell(&self, news: News, events: &[String]) -> anyhow::Result<()> {
        if !self.changes.tell(&Change::Consent(news.said), &news.receipts, events).await? {
            bail!("another node was told the same at the same time; say it again");
        }
        Ok(())
    }

    /// Writes the entries of withdrawals that are in force.
    ///
    /// # Errors
    /// Where they are not durable; they are kept for the next attempt.
    pub async fn settle(&self, ledger: &Ledger) -> anyhow::Result<()> {
        let (last, events) = self.changes.pending().await?;
        if !events.is_empty() {
            super::control::write(ledger, &events, false).await?;
            self.changes.settled(last).await?;
        }
        Ok(())
    }
}
