//! The rules in force, and the keys that they take tokens by.

use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::sync::watch;

use crate::admin::Figures;
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Severity};
use crate::ledger::{ActivatedRules, Draft, Ledger};
use crate::model::{RequestId, SubjectKey};
use crate::proxy::Gateway;
use crate::rules::{self, Plan};
use crate::token::KeyStore;

use super::super::token_keys::{self, KeyWatch};
use super::look::{Look, Watched};
use super::next_look;

pub struct Keeper {
    pub config: Config,
    pub pseudonym_key: SubjectKey,
    pub gateway: Arc<Gateway>,
    pub ledger: Arc<Ledger>,
    /// The rules in force.
    pub digest: String,
    pub key_stores: Vec<Arc<KeyStore>>,
    pub figures: Arc<Figures>,
}

impl Keeper {
    pub async fn keep(mut self, mut asked: watch::Receiver<()>) {
        let mut watched = Watched::default();
        let mut keys = KeyWatch::new(&self.key_stores);
        loop {
            let folder = self.config.rules.clone();
            let documents: Vec<_> =
                self.config.upstreams.values().filter_map(|upstream| upstream.openapi.clone()).collect();
            let look = move || {
                let files = rules::rule_files(&folder).unwrap_or_default();
                Look::at(files.into_iter().chain(rules::fixture_files(&folder)).chain(documents))
            };
            let Ok(look) = tokio::task::spawn_blocking(look).await else { return };
            // A folder that is being written is left until it rests.
            if watched.is_due(look, true, std::time::Instant::now()) {
                let renewed = self.next_rules().await;
                self.figures.set_failed("rules", renewed.is_err());
                if matches!(renewed, Ok(true)) {
                    self.figures.rules_are_new();
                    tracing::info!(rules = %self.digest, "rules came into force");
                    keys = KeyWatch::new(&self.key_stores);
                }
                let outcome = renewed.map(|_| ()).map_err(|error| format!("{error:#}"));
                if let Some(error) = watched.tried(outcome, std::time::Instant::now()) {
                    tracing::error!(error, "rules cannot be read anew: those before stay in force");
                }
            }
            keys.look().await;
            if next_look(&mut asked).await {
                watched.forget();
            }
        }
    }

    /// Puts the rules of the folder in force; false where they are those in force already.
    async fn next_rules(&mut self) -> anyhow::Result<bool> {
        let (config, key) = (self.config.clone(), self.pseudonym_key.clone());
        let load = move || super::super::load_rules(&config, key);
        let loaded = tokio::task::spawn_blocking(load).await??;
        let Some(plan) = loaded.plan else { bail!("{}", first_error(&loaded.diagnostics)) };
        let digest = plan.digest.as_str().to_owned();
        if digest == self.digest {
            // The same rules: only what contractors are told of them can be new.
            if self.gateway.interfaces_differ(&plan) {
                token_keys::fill(&plan.key_stores, &self.key_stores).await?;
                self.key_stores = plan.key_stores.clone();
                self.gateway.activate(plan);
                return Ok(true);
            }
            return Ok(false);
        }
        token_keys::fill(&plan.key_stores, &self.key_stores).await?;
        record_rules(&self.ledger, &plan).await?;
        self.digest = digest;
        self.key_stores = plan.key_stores.clone();
        self.gateway.activate(plan);
        Ok(true)
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
