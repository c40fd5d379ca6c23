//! What a gateway that runs takes in without a restart: rules, certificates, revocation lists. And what it
//! says in time: which certificates end soon.
//!
//! Files are looked at twice a second, by what their folder says of them: that also works where a file is
//! swapped by a link, and on file systems that tell nobody of changes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::admin::Figures;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Severity};
use crate::ledger::{ActivatedRules, Draft, Ledger};
use crate::model::{RequestId, SubjectKey};
use crate::proxy::{Gateway, Suspended};
use crate::rules::{self, Plan};
use crate::token::KeyStore;
use crate::transport::{Doorway, Validity, validities};

use super::token_keys::{self, KeyWatch};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// Between two reports of what ends soon.
const DAY: Duration = Duration::from_secs(86_400);
/// How long ahead the end of a certificate is told.
const SOON_DAYS: i64 = 30;

/// Keeps a gateway up to date.
pub struct Upkeep {
    pub config: Config,
    pub pseudonym_key: SubjectKey,
    pub gateway: Arc<Gateway>,
    pub ledger: Arc<Ledger>,
    pub doorway: Arc<Doorway>,
    /// The rules in force.
    pub digest: String,
    /// The keys that they take tokens by.
    pub key_stores: Vec<Arc<KeyStore>>,
    pub suspended: Arc<Suspended>,
    pub figures: Arc<Figures>,
    /// Asks for a look at once. Without it, changes are still seen.
    pub hangup: Option<Signal>,
}

/// What the folders say of some files; changes when one of them does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look(Vec<(PathBuf, Option<[i64; 5]>)>);

impl Look {
    pub fn at(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let seen = files.into_iter().map(|path| {
            let told = std::fs::metadata(&path).ok().map(|told| {
                [told.dev() as i64, told.ino() as i64, told.size() as i64, told.mtime(), told.mtime_nsec()]
            });
            (path, told)
        });
        Look(seen.collect())
    }
}

impl Upkeep {
    /// Looks until it is dropped. What cannot be taken in leaves what was before in force.
    pub async fn run(mut self) {
        let (mut tls, mut rules) = (self.look_at_tls(), self.look_at_rules());
        let mut taken = rules.clone();
        let mut keys = KeyWatch::new(&self.key_stores);
        let mut report = tokio::time::interval(DAY);
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                () = hung_up(&mut self.hangup) => true,
                _ = report.tick() => {
                    self.report_ends();
                    continue;
                }
            };
            let seen = self.look_at_tls();
            if asked || seen != tls {
                tls = seen;
                self.renew_tls();
            }
            let seen = self.look_at_rules();
            // A folder that is being written is left until it rests.
            if asked || (seen == rules && seen != taken) {
                taken = seen.clone();
                if self.renew_rules().await {
                    keys = KeyWatch::new(&self.key_stores);
                }
            }
            rules = seen;
            keys.look();
            self.figures.set_suspended(self.suspended.count());
        }
    }

    fn look_at_tls(&self) -> Look {
        let files = self.doorway.files();
        let lone = [&files.certificate, &files.key].into_iter().chain(&files.client_ca).chain(&files.crl);
        Look::at(lone.cloned())
    }

    fn look_at_rules(&self) -> Look {
        Look::at(rules::rule_files(&self.config.rules).unwrap_or_default())
    }

    fn renew_tls(&self) {
        let renewed = self.doorway.renew();
        self.figures.set_failed("tls", renewed.is_err());
        match renewed {
            Ok(()) => {
                tracing::info!("certificates and revocation lists were read anew");
                self.report_ends();
            }
            Err(error) => {
                tracing::error!(%error, "certificates cannot be read anew: those before stay in force");
            }
        }
    }

    /// Whether other rules came into force.
    async fn renew_rules(&mut self) -> bool {
        let renewed = self.next_rules().await;
        self.figures.set_failed("rules", renewed.is_err());
        match renewed {
            Ok(false) => false,
            Ok(true) => {
                self.figures.rules_are_new();
                tracing::info!(rules = %self.digest, "rules came into force");
                true
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "rules cannot be read anew: those before stay in force");
                false
            }
        }
    }

    /// Puts the rules of the folder in force, where they are others than before.
    async fn next_rules(&mut self) -> anyhow::Result<bool> {
        let (config, key) = (self.config.clone(), self.pseudonym_key.clone());
        let loaded = tokio::task::spawn_blocking(move || super::load_rules(&config, key)).await??;
        let Some(plan) = loaded.plan else { bail!("{}", first_error(&loaded.diagnostics)) };
        let digest = plan.digest.as_str().to_owned();
        if digest == self.digest {
            return Ok(false);
        }
        token_keys::fill(&plan.key_stores, &self.key_stores).await?;
        record_rules(&self.ledger, &plan).await?;
        self.digest = digest;
        self.key_stores = plan.key_stores.clone();
        self.gateway.activate(plan);
        Ok(true)
    }

    fn report_ends(&self) {
        let files = self.doorway.files();
        let upstreams = self.config.upstreams.values().filter_map(|upstream| upstream.tls.as_ref());
        let shown =
            upstreams.clone().filter_map(|tls| tls.identity.as_ref().map(|(certificate, _)| certificate));
        let trusted = upstreams.map(|tls| &tls.ca);
        let certificates =
            [&files.certificate].into_iter().chain(&files.client_ca).chain(shown).chain(trusted);
        let paths: BTreeSet<&Path> = certificates.chain(&files.crl).map(PathBuf::as_path).collect();
        let all = |path: &Path| validities(path).unwrap_or_default().into_iter();
        let ends =
            paths.into_iter().flat_map(|path| all(path).map(move |end| (path.display().to_string(), end)));
        let ends: Vec<(String, Validity)> = ends.collect();
        for (file, Validity { what, name, days_left }) in &ends {
            match days_left {
                ..0 => tracing::error!(file, what, name, days_left, "has ended"),
                0..=SOON_DAYS => tracing::warn!(file, what, name, days_left, "ends soon"),
                _ => {}
            }
        }
        self.figures.set_ends(ends.into_iter().map(|(file, end)| (file, end.what, end.name, end.days_left)));
    }
}

/// SIGHUP, where it can be caught.
pub fn hangup() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}

async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Writes that rules come into force.
///
/// # Errors
/// Where the entry is not durable: then they do not.
pub async fn record_rules(ledger: &Ledger, plan: &Plan) -> anyhow::Result<()> {
    let contractors = plan.contractors.iter().map(|contractor| contractor.id.as_str()).collect();
    let rules = ActivatedRules { rules: plan.digest.as_str(), contractors };
    let draft = Draft::rules(RequestId::new().to_string(), &rules);
    ledger.record(draft).await.context("the entry about the rules cannot be written")?;
    Ok(())
}

/// Where the first error is and what it says; not the line, which can hold anything.
fn first_error(found: &[Diagnostic]) -> String {
    let errors: Vec<&Diagnostic> =
        found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
    let Some(first) = errors.first() else { return "the rules have an error".to_owned() };
    let (line, column) = first.position();
    let (file, key, message) = (&first.source.name, &first.key, &first.message);
    format!("{file}:{line}:{column}: `{key}` {message} ({} errors; see: fieldgate check)", errors.len())
}
