//! The keys that tokens are verified by: read from files and fetched from servers, before rules come into
//! force and as long as they are.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::token::{KeySet, KeyStore, Source};
use crate::transport::{self, ClientFiles};

use super::upkeep::Look;

/// For a whole fetch.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two fetches that tokens with unknown keys ask for.
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes of a key set.
const MAX_SIZE: usize = 1 << 20;

/// Fills the stores of a plan that is to come into force; `before` are those in force.
///
/// # Errors
/// Where a file cannot be used. A server that does not answer is a warning: its tokens are refused until it
/// does.
pub async fn fill(stores: &[Arc<KeyStore>], before: &[Arc<KeyStore>]) -> anyhow::Result<()> {
    for store in stores {
        let known = before.iter().find(|known| known.source() == store.source());
        match (store.source(), known) {
            (Source::File(path), _) => store.put(read(path)?),
            (Source::Https { .. }, Some(known)) => store.inherit(known),
            (Source::Https { url, ca, .. }, None) => renew(store, url, ca).await,
        }
    }
    Ok(())
}

/// Keeps the stores of the rules in force up to date.
#[derive(Default)]
pub struct KeyWatch(Vec<Watched>);

struct Watched {
    store: Arc<KeyStore>,
    seen: Look,
    fetched: Instant,
    fetching: Option<JoinHandle<()>>,
}

impl KeyWatch {
    /// The stores are filled.
    pub fn new(stores: &[Arc<KeyStore>]) -> Self {
        let watched = stores.iter().map(|store| Watched {
            store: Arc::clone(store),
            seen: look(store.source()),
            fetched: Instant::now(),
            fetching: None,
        });
        KeyWatch(watched.collect())
    }

    /// Renews what has changed, what is due, and what somebody asked for.
    pub fn look(&mut self) {
        self.0.iter_mut().for_each(Watched::look);
    }
}

impl Watched {
    fn look(&mut self) {
        match self.store.source() {
            Source::File(path) => {
                let seen = look(self.store.source());
                if seen == self.seen {
                    return;
                }
                self.seen = seen;
                match read(path) {
                    Ok(keys) => self.store.put(keys),
                    Err(error) => {
                        let error = format!("{error:#}");
                        tracing::error!(error, "token keys cannot be read anew: those before stay in force");
                    }
                }
            }
            Source::Https { url, ca, refresh } => {
                let waited = self.fetched.elapsed();
                let due = waited >= *refresh || (waited >= PAUSE && self.store.was_wanted());
                if !due || self.fetching.as_ref().is_some_and(|task| !task.is_finished()) {
                    return;
                }
                self.fetched = Instant::now();
                let (store, url, ca) = (Arc::clone(&self.store), url.clone(), ca.clone());
                self.fetching = Some(tokio::spawn(async move { renew(&store, &url, &ca).await }));
            }
        }
    }
}

fn look(source: &Source) -> Look {
    match source {
        Source::File(path) => Look::at([path.clone()]),
        Source::Https { .. } => Look::default(),
    }
}

async fn renew(store: &KeyStore, url: &str, ca: &Path) {
    let fetched = match tokio::time::timeout(PATIENCE, fetch(url, ca)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(anyhow::anyhow!("{url} does not answer")),
    };
    match fetched {
        Ok(keys) => {
            let (used, unused) = keys.counts();
            tracing::info!(url, used, unused, "token keys were fetched");
            store.put(keys);
        }
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "token keys cannot be fetched: those before stay in force");
        }
    }
}

fn read(path: &Path) -> anyhow::Result<KeySet> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    KeySet::parse(&text).with_context(|| format!("the key set {}", path.display()))
}

/// Redirects are not followed: the rule says where the keys are.
async fn fetch(url: &str, ca: &Path) -> anyhow::Result<KeySet> {
    let files = ClientFiles { ca: ca.to_owned(), identity: None, server_name: None };
    let client = transport::http_client(Some(transport::client_config(&files)?), PATIENCE);
    let request = Request::get(url).header("accept", "application/jwk-set+json, application/json");
    let response = client.request(request.body(Full::default())?).await.with_context(|| url.to_owned())?;
    if response.status() != StatusCode::OK {
        bail!("{url} answers with status {}", response.status().as_u16());
    }
    let body = Limited::new(response.into_body(), MAX_SIZE).collect().await;
    let body = body.map_err(|_| anyhow::anyhow!("{url} breaks off, or sends more than 1 MiB"))?.to_bytes();
    KeySet::parse(&body).with_context(|| format!("what {url} sends"))
}
