//! What the gateway shows to upstreams and holds them against: certificates, authorities, bearer tokens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::admin::Figures;
use crate::config::{self, Config, Secret};
use crate::proxy::Gateway;
use crate::transport;

use super::super::upstreams::show_bearer;
use super::look::{Look, Watched};
use super::next_look;

/// One upstream with something in files.
struct Kept {
    name: String,
    upstream: config::Upstream,
    watched: Watched,
    fails: bool,
    /// What changed since the start read it is taken in by the first round, which is no news.
    first: bool,
}

pub async fn keep(
    gateway: Arc<Gateway>,
    config: Config,
    figures: Arc<Figures>,
    mut asked: watch::Receiver<()>,
) {
    let with_files = config.upstreams.into_iter().filter(|(_, upstream)| !files(upstream).is_empty());
    let mut all: Vec<Kept> = with_files.map(|(name, upstream)| Kept::new(name, upstream)).collect();
    loop {
        for kept in &mut all {
            let files = files(&kept.upstream);
            let Ok(look) = tokio::task::spawn_blocking(move || Look::at(files)).await else { return };
            if kept.watched.is_due(look, false, Instant::now()) {
                kept.take_in(&gateway).await;
            }
        }
        figures.set_failed("upstreams", all.iter().any(|kept| kept.fails));
        if next_look(&mut asked).await {
            all.iter_mut().for_each(|kept| kept.watched.forget());
        }
    }
}

impl Kept {
    fn new(name: String, upstream: config::Upstream) -> Self {
        Kept { name, upstream, watched: Watched::default(), fails: false, first: true }
    }

    async fn take_in(&mut self, gateway: &Arc<Gateway>) {
        let (gateway, name, upstream) = (Arc::clone(gateway), self.name.clone(), self.upstream.clone());
        let renewed = tokio::task::spawn_blocking(move || renew(&gateway, &name, &upstream)).await;
        let Ok(renewed) = renewed else { return };
        self.fails = renewed.is_err();
        if renewed.is_ok() && !std::mem::take(&mut self.first) {
            tracing::info!(upstream = self.name, "what is shown to the upstream was read anew");
        }
        let outcome = renewed.map_err(|error| format!("{error:#}"));
        if let Some(error) = self.watched.tried(outcome, Instant::now()) {
            let upstream = &self.name;
            tracing::error!(
                upstream,
                error,
                "what is shown to the upstream cannot be read anew: it stays as before"
            );
        }
    }
}

/// All or nothing: a token is not shown under a certificate that it was not made for.
fn renew(gateway: &Gateway, name: &str, upstream: &config::Upstream) -> anyhow::Result<()> {
    let Some(serving) = gateway.upstream(name) else { return Ok(()) };
    let tls = upstream.tls.as_ref().map(transport::client_config).transpose()?;
    if let Some(secret) = &upstream.bearer {
        show_bearer(serving, secret)?;
    }
    if let Some(tls) = tls {
        serving.endpoints().renew(tls);
    }
    Ok(())
}

fn files(upstream: &config::Upstream) -> Vec<PathBuf> {
    let tls = upstream.tls.iter();
    let shown = tls.clone().flat_map(|tls| &tls.identity).flat_map(|(certificate, key)| [certificate, key]);
    let bearer = match &upstream.bearer {
        Some(Secret::File(path)) => Some(path),
        Some(Secret::Environment(_)) | None => None,
    };
    tls.map(|tls| &tls.ca).chain(shown).chain(bearer).cloned().collect()
}
