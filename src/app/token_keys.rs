//! The keys that tokens are verified by: read from files and fetched from servers, before rules come into
//! force and as long as they are.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::token::{KeySet, KeyStore, Source};
use crate::transport::{self, ClientFiles};

use super::upkeep::{Look, Watched};

/// For a whole fetch.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two fetches, whoever asks for one.
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes of a key set.
const MAX_SIZE: usize = 1 << 20;

/// Fills the stores of a plan that is to come into force; `before` are those in force.
///
/// # Errors
/// Where a file cannot be used. A server that does not answer is a warning: its tokens are refused until it
/// does.
pub async fn fill(stores: &[Arc<KeyStore>], before: &[Arc<KeyStore>]) -> anyhow::Result<()> {
    let mut fetches = Vec::new();
    for store in stores {
        let known = before.iter().find(|known| known.source() == store.source());
        match (store.source(), known) {
            (Source::File(path), _) => {
                let keys = read(path.clone()).await;
                put(store, keys.with_context(|| format!("the token keys of {}", store.rule_file()))?);
            }
            (Source::Https { .. }, Some(known)) => store.inherit(known),
            (Source::Https { url, ca }, None) => fetches.push(renew(store, url, ca)),
        }
    }
    for fault in futures_util::future::join_all(fetches).await.into_iter().filter_map(Result::err) {
        tracing::warn!(fault, "token keys cannot be fetched: their tokens are refused until they are");
    }
    Ok(())
}

/// Keeps the stores of the rules in force up to date.
#[derive(Default)]
pub struct KeyWatch(Vec<Kept>);

struct Kept {
    store: Arc<KeyStore>,
    file: Watched,
    tried: Instant,
    fetching: Option<JoinHandle<Result<(), String>>>,
    /// What was told of a server last.
    fault: Option<String>,
}

impl KeyWatch {
    /// The stores are filled. What changed since then is taken in by the first look.
    pub fn new(stores: &[Arc<KeyStore>]) -> Self {
        let kept = stores.iter().map(|store| Kept {
            store: Arc::clone(store),
            file: Watched::default(),
            tried: Instant::now(),
            fetching: None,
            fault: None,
        });
        KeyWatch(kept.collect())
    }

    /// Renews what has changed, what is due, and what somebody asked for.
    pub async fn look(&mut self) {
        for kept in &mut self.0 {
            kept.look().await;
        }
    }
}

impl Kept {
    async fn look(&mut self) {
        match self.store.source().clone() {
            Source::File(path) => {
                let looked = path.clone();
                let Ok(look) = tokio::task::spawn_blocking(move || Look::at([looked])).await else { return };
                if !self.file.is_due(look, false, std::time::Instant::now()) {
                    return;
                }
                let outcome = read(path).await.map(|keys| put(&self.store, keys));
                if let Some(error) =
                    self.file.tried(outcome.map_err(|error| format!("{error:#}")), std::time::Instant::now())
                {
                    tracing::error!(error, "token keys cannot be read anew: those before stay in force");
                }
            }
            Source::Https { url, ca } => {
                self.hear().await;
                let waited = self.tried.elapsed() >= PAUSE;
                let old = self.store.age().is_none_or(|age| age >= self.store.refresh());
                if self.fetching.is_some() || !waited || !(old || self.store.was_wanted()) {
                    return;
                }
                self.tried = Instant::now();
                let store = Arc::clone(&self.store);
                self.fetching = Some(tokio::spawn(async move { renew(&store, &url, &ca).await }));
            }
        }
    }

    /// Says what came of a fetch that has ended, where it is news.
    async fn hear(&mut self) {
        let Some(task) = self.fetching.take_if(|task| task.is_finished()) else { return };
        let fault = task.await.unwrap_or_else(|_| Err("the fetch broke off".to_owned())).err();
        if let Some(fault) = fault.as_ref().filter(|fault| self.fault.as_ref() != Some(fault)) {
            tracing::warn!(fault, "token keys cannot be fetched: those before stay in force for a day");
        }
        self.fault = fault;
    }
}

async fn renew(store: &KeyStore, url: &str, ca: &Path) -> Result<(), String> {
    let fetched = match tokio::time::timeout(PATIENCE, fetch(url, ca)).await {
        Ok(fetched) => fetched.map_err(|error| format!("{error:#}"))?,
        Err(_) => return Err(format!("{url} does not answer")),
    };
    tracing::debug!(url, "token keys were fetched");
    put(store, fetched);
    Ok(())
}

/// Puts keys in force, and says where some are none that tokens can be verified by, unless it was said of the
/// set before.
fn put(store: &KeyStore, keys: KeySet) {
    let (used, unused) = keys.counts();
    let before = store.keys().map(|before| before.counts());
    if unused > 0 && before != Some((used, unused)) {
        let source = store.source().to_string();
        tracing::warn!(
            source,
            used,
            unused,
            "a set of token keys has some that are not used: symmetric, private, weak, for encryption, or unknown"
        );
    }
    store.put(keys);
}

async fn read(path: PathBuf) -> anyhow::Result<KeySet> {
    let named = path.clone();
    let text = tokio::task::spawn_blocking(move || read_bounded(&path)).await?;
    let text = text.with_context(|| named.display().to_string())?;
    KeySet::parse(&text).with_context(|| format!("the key set {}", named.display()))
}

/// So much of a file that one too large shows.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_SIZE as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
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
