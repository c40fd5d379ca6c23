//! What the pages are about, and what they can have done.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::config::Config;
use crate::diagnostic::Source;
use crate::feed::Board;
use crate::ledger::{
    self, ConsentOrder, Consents, GatherState, Ledger, OwnKind, Search, StoreError, SuspensionEvent,
    Suspensions, Verifier,
};
use crate::rules::Plan;
use crate::transport::Drain;

use super::figures::Figures;
use super::pages::{Prunable, Waiting};
use super::rollup::Reader;
use super::store::{ReviewError, Store, Verified, reviews};
use super::work::Work;

/// What takes its time, and can fail.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

/// What the gateway does for its review side: the same orders that commands give, by the same hands.
pub trait Orders: Send + Sync {
    /// Writes an entry about what somebody does; its number.
    ///
    /// # Errors
    /// Where it is not durable: then it must not be done.
    fn record(&self, kind: OwnKind, event: Value) -> Pending<'_, u64>;

    /// Suspends a contractor, or ends that; the number of the entry.
    ///
    /// # Errors
    /// Where it is not in force, or its entry is not durable. A suspension may be in force all the same.
    fn suspend(&self, event: SuspensionEvent) -> Pending<'_, u64>;

    /// Takes down what customers said; how many statements were news.
    ///
    /// # Errors
    /// Where it is not in force, or its entries are not durable. Withdrawals may be in force all the same.
    fn consent(&self, order: ConsentOrder) -> Pending<'_, usize>;

    /// The rules in force.
    fn plan(&self) -> Arc<Plan>;

    /// What keeps these rule files from coming into force, as `fieldgate check` says it; nothing where they could.
    ///
    /// # Errors
    /// Where an upstream's document cannot be read.
    fn check(&self, sources: Vec<Arc<Source>>) -> std::io::Result<Vec<String>>;

    /// Each upstream with its endpoints, and whether these are in service.
    fn upstreams(&self) -> Vec<UpstreamState>;
}

/// An upstream, as requests find it now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UpstreamState {
    pub name: String,
    pub endpoints: Vec<EndpointState>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EndpointState {
    pub url: String,
    /// Requests go there.
    pub serves: bool,
}

/// The gateway, as the review side sees it.
pub struct House {
    pub config: Config,
    pub ledger: Arc<Ledger>,
    /// The index of the ledger that is read: in a fleet, that of all nodes where they are gathered here.
    pub read: PathBuf,
    /// What is gathered there, and how that goes.
    pub gathering: Option<Arc<GatherState>>,
    pub consents: Arc<Consents>,
    pub figures: Arc<Figures>,
    /// How feeds stand.
    pub feeds: Arc<Board>,
    pub orders: Arc<dyn Orders>,
    pub store: Arc<Store>,
    pub draining: Drain,
    /// Verifies the ledger's heads.
    pub verifier: Verifier,
    pub verification: Work<Verified>,
    pub prunable: Work<Prunable>,
    /// Counts what the ledger takes of the disk.
    pub bytes: Work<u64>,
    /// As they were counted last.
    pub open_reviews: AtomicU64,
    pub late_reviews: AtomicU64,
}

impl House {
    /// The rules in force.
    pub fn plan(&self) -> Arc<Plan> {
        self.orders.plan()
    }

    /// Opens the ledger for searches. It blocks, and so do these.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn search(&self) -> Result<Search, StoreError> {
        Search::open(&self.read)
    }

    /// The same where nothing of other nodes may be missing. It blocks.
    ///
    /// # Errors
    /// As [`search`](Self::search), and where entries of other nodes do not come in.
    pub fn whole(&self) -> anyhow::Result<Search> {
        if self.config.ledger.fleet.is_some() && self.gathering.is_none() {
            anyhow::bail!("entries of other nodes are not gathered here ([ledger.postgres] gather)");
        }
        if let Some(trouble) = self.gathering.as_ref().and_then(|gathering| gathering.trouble()) {
            anyhow::bail!("entries of other nodes do not come in: {trouble}");
        }
        Ok(self.search()?)
    }

    /// Entries of the ledger that is read, under a signed head. It blocks for a moment.
    pub fn signed(&self) -> u64 {
        match &self.gathering {
            Some(_) => ledger::gathered(&self.read).map_or(0, |gathered| gathered.size),
            None => self.ledger.heads().borrow().size,
        }
    }

    /// Counts of what is in the ledger; none as long as nothing is counted. It blocks.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn counts(&self) -> Result<Option<Reader>, ReviewError> {
        Reader::open(&self.read)
    }

    /// Who is suspended, why and since when. It blocks.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub fn suspensions(&self) -> Result<Suspensions, StoreError> {
        Suspensions::load(&self.config.ledger.path)
    }

    /// What waits for somebody, for the list of pages.
    pub fn waiting(&self) -> Waiting {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (reviews, late_reviews) = (load(&self.open_reviews), load(&self.late_reviews));
        Waiting { alerts: self.store.open_alerts(), reviews, late_reviews }
    }

    /// Counts open reviews, where that holds nobody up. What cannot be read, the pages themselves say.
    pub fn count_reviews(&self) {
        let (open, late) = reviews::open(&self.store).unwrap_or_default();
        self.open_reviews.store(open, Ordering::Relaxed);
        self.late_reviews.store(late, Ordering::Relaxed);
    }

    /// Whose customers these are.
    pub fn company(&self) -> &str {
        self.config.company.as_deref().unwrap_or("Fieldgate")
    }
}
