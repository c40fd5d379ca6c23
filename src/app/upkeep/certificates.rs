//! The listener's certificate, authorities and revocation lists, and what of all certificates ends soon.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::admin::Figures;
use crate::config::Config;
use crate::transport::{Doorway, Validity, validities};

use super::look::{Look, Watched};
use super::next_look;

/// Between two reports of what ends soon.
const DAY: Duration = Duration::from_secs(86_400);
/// How long ahead the end of a certificate is told.
const SOON_DAYS: i64 = 30;

pub async fn keep(
    doorway: Arc<Doorway>,
    config: Config,
    figures: Arc<Figures>,
    mut asked: watch::Receiver<()>,
) {
    let mut watched = Watched::default();
    // What changed since the start read it is taken in by the first round, which is no news.
    let (mut first, mut reported) = (true, None::<Instant>);
    loop {
        let files = files(&doorway);
        let Ok(look) = tokio::task::spawn_blocking(move || Look::at(files)).await else { return };
        if watched.is_due(look, false, std::time::Instant::now()) {
            let renewing = Arc::clone(&doorway);
            let Ok(renewed) = tokio::task::spawn_blocking(move || renewing.renew()).await else { return };
            figures.set_failed("tls", renewed.is_err());
            if renewed.is_ok() {
                if !first {
                    tracing::info!("certificates and revocation lists were read anew");
                }
                reported = None;
            }
            if let Some(error) =
                watched.tried(renewed.map_err(|error| error.to_string()), std::time::Instant::now())
            {
                tracing::error!(error, "certificates cannot be read anew: those before stay in force");
            }
            first = false;
        }
        if reported.is_none_or(|at| at.elapsed() >= DAY) {
            report_ends(&doorway, &config, &figures).await;
            reported = Some(Instant::now());
        }
        if next_look(&mut asked).await {
            watched.forget();
        }
    }
}

/// Keeps the door of the admin side as its files are.
pub async fn keep_door(doorway: Arc<Doorway>, mut asked: watch::Receiver<()>) {
    let mut watched = Watched::default();
    loop {
        let files = files(&doorway);
        let Ok(look) = tokio::task::spawn_blocking(move || Look::at(files)).await else { return };
        if watched.is_due(look, false, std::time::Instant::now()) {
            let renewing = Arc::clone(&doorway);
            let Ok(renewed) = tokio::task::spawn_blocking(move || renewing.renew()).await else { return };
            let renewed = renewed.map_err(|error| error.to_string());
            if let Some(error) = watched.tried(renewed, std::time::Instant::now()) {
                tracing::error!(
                    error,
                    "the admin side's certificates cannot be read anew: those before stay in force"
                );
            }
        }
        if next_look(&mut asked).await {
            watched.forget();
        }
    }
}

fn files(doorway: &Doorway) -> Vec<PathBuf> {
    let files = doorway.files();
    let lone = [&files.certificate, &files.key].into_iter().chain(&files.client_ca).chain(&files.crl);
    lone.cloned().collect()
}

async fn report_ends(doorway: &Doorway, config: &Config, figures: &Figures) {
    let files = doorway.files();
    let upstreams = config.upstreams.values().filter_map(|upstream| upstream.tls.as_ref());
    let shown = upstreams.clone().filter_map(|tls| tls.identity.as_ref().map(|(certificate, _)| certificate));
    let trusted = upstreams.map(|tls| &tls.ca);
    let own = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
    let own = own.into_iter().flat_map(|tls| [&tls.certificate].into_iter().chain(&tls.client_ca));
    let certificates =
        [&files.certificate].into_iter().chain(&files.client_ca).chain(shown).chain(trusted).chain(own);
    let paths: BTreeSet<PathBuf> = certificates.chain(&files.crl).cloned().collect();
    let read = move || {
        let all = paths.iter().map(|path| (path.display().to_string(), validities(path).unwrap_or_default()));
        let ends = all.flat_map(|(file, ends)| ends.into_iter().map(move |end| (file.clone(), end)));
        ends.collect::<Vec<(String, Validity)>>()
    };
    let Ok(ends) = tokio::task::spawn_blocking(read).await else { return };
    for (file, Validity { what, name, days_left, .. }) in &ends {
        match days_left {
            ..0 => tracing::error!(file, what, name, days_left, "has ended"),
            0..=SOON_DAYS => tracing::warn!(file, what, name, days_left, "ends soon"),
            _ => {}
        }
    }
    figures.set_ends(ends.into_iter().map(|(file, end)| (file, end.what, end.name, end.days_left, end.ends)));
}
