//! The rules in force, and the keys that they take tokens by.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;

use crate::admin::{Figures, Store};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::ledger::{ActivatedRules, Draft, Ledger, RuleChange, RulesChange};
use crate::model::{RequestId, SubjectKey};
use crate::proxy::Gateway;
use crate::rules::diff::{self, Change, Effect, Written};
use crate::rules::{self, Plan};
use crate::token::KeyStore;

use super::super::token_keys::{self, KeyWatch};
use super::look::{Look, Watched};
use super::{behind_requests, next_look};

/// Bytes of an entry that a list of changes may take: the more important ones are in it, the others counted.
const LISTED: usize = 40 << 10;

/// After this, no request has the rules before any more, but one that lasts long.
const IN_WORK: Duration = Duration::from_secs(30);

pub struct Keeper {
    pub config: Config,
    pub pseudonym_key: SubjectKey,
    pub gateway: Arc<Gateway>,
    pub ledger: Arc<Ledger>,
    /// Where rules are kept as they were.
    pub kept: Option<Arc<Store>>,
    /// The rules in force, and what they were made of.
    pub digest: String,
    pub sources: Vec<Arc<Source>>,
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
                    self.figures.rules_are_new(&self.digest);
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
        let loaded = behind_requests(load).await??;
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
        let (sources, key_stores) = (plan.sources.clone(), plan.key_stores.clone());
        let (before, after) = (self.sources.clone(), sources.clone());
        let changes = behind_requests(|| changes(before, after)).await?;
        let plan = match self.kept.clone() {
            None => plan,
            Some(kept) => {
                let keep = move || {
                    // New rules can revoke something: they do not wait for what only remembers them.
                    if let Err(error) = kept.keep_rules(&plan) {
                        tracing::error!(%error, "the rules cannot be kept as they are now for the review side");
                    }
                    plan
                };
                behind_requests(keep).await?
            }
        };
        record_rules(&self.ledger, &plan, Some((&self.digest, &changes))).await?;
        let gateway = Arc::clone(&self.gateway);
        // To make the counters and to take the rules before apart is work for many contractors, which no
        // request waits for.
        let before = behind_requests(move || gateway.activate(plan)).await?;
        tokio::spawn(async {
            tokio::time::sleep(IN_WORK).await;
            behind_requests(|| drop(before)).await
        });
        (self.digest, self.sources, self.key_stores) = (digest, sources, key_stores);
        Ok(true)
    }
}

/// In terms of data, what matters most first.
pub fn changes(before: Vec<Arc<Source>>, after: Vec<Arc<Source>>) -> Vec<Change> {
    // Both were compiled, so both can be read.
    let (Ok(before), Ok(after)) = (Written::read(before), Written::read(after)) else { return Vec::new() };
    let mut changes = diff::diff(&before, &after);
    changes.sort_by_key(|change| change.effect);
    changes
}

/// Writes that rules come into force; against which digest before, and what they change, where that is known.
///
/// # Errors
/// Where the entry is not durable: then they do not.
pub async fn record_rules(
    ledger: &Ledger,
    plan: &Plan,
    before: Option<(&str, &[Change])>,
) -> anyhow::Result<()> {
    let draft = Draft::rules(RequestId::new().to_string(), &activated(plan, before));
    ledger.record(draft).await.context("the entry about the rules cannot be written")?;
    Ok(())
}

/// What the entry says.
pub fn activated<'a>(plan: &'a Plan, before: Option<(&'a str, &'a [Change])>) -> ActivatedRules<'a> {
    let contractors = plan.contractors.iter().map(|contractor| contractor.id.as_str()).collect();
    let change = before.map(|(digest, changes)| change(digest, changes));
    ActivatedRules { rules: plan.digest.as_str(), contractors, change }
}

fn change<'a>(before: &'a str, changes: &'a [Change]) -> RulesChange<'a> {
    let count = |effect| changes.iter().filter(|change| change.effect == effect).count();
    let mut room = LISTED;
    let listed = changes.iter().filter(|change| change.effect != Effect::Neutral).take_while(|change| {
        let size = change.what.len() + change.contractor.len();
        let size = size + [&change.task, &change.route].into_iter().flatten().map(String::len).sum::<usize>();
        // Quotes, names, and what must be escaped.
        let fits = 2 * size + 100 <= room;
        room = room.saturating_sub(2 * size + 100);
        fits
    });
    let listed = listed.map(|change| RuleChange {
        effect: change.effect.as_str(),
        contractor: &change.contractor,
        task: change.task.as_deref(),
        route: change.route.as_deref(),
        what: &change.what,
    });
    let listed: Vec<RuleChange> = listed.collect();
    RulesChange {
        before,
        widen: count(Effect::Widens),
        may_widen: count(Effect::MayWiden),
        narrow: count(Effect::Narrows),
        not_listed: changes.len() - listed.len(),
        changes: listed,
    }
}

/// Where the first error is and what it says; not the line, which can hold anything.
fn first_error(found: &[Diagnostic]) -> String {
    let errors: Vec<&Diagnostic> =
        found.iter().filter(|diagnostic| diagnostic.severity() == Severity::Error).collect();
    let Some(first) = errors.first() else { return "the rules have an error".to_owned() };
    let (line, column) = first.position();
    let (file, key, message) = (&first.source.name, &first.key, &first.message);
    format!("{file}:{line}:{column}: `{key}` {message} ({} errors; see: fieldgate check)", errors.len())
}
