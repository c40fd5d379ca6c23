//! Figures for Prometheus, in the OpenMetrics text format (version 1.0.0).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::feed::FeedState;

/// What is known of the gateway from outside of requests.
pub struct Figures {
    registry: Registry,
    ends: Family<End, Gauge>,
    rules: Gauge,
    digest: Family<Rules, Gauge>,
    failed: Family<Taken, Gauge>,
    suspended: Gauge,
    ledger: Gauge,
    feeds: FeedFigures,
    /// What ends, as the pages show it.
    known_ends: ArcSwap<Vec<Ending>>,
}

/// A certificate or a revocation list, and when it ends.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ending {
    pub file: String,
    pub what: String,
    pub name: String,
    /// Whole days; below zero where it has ended.
    pub days_left: i64,
}

/// Something that ends on a day: a certificate or a revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    file: String,
    what: String,
    name: String,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rules {
    digest: String,
}

/// What changes without a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Taken {
    what: &'static str,
}

/// How far entries are sent on.
#[derive(Default)]
struct FeedFigures {
    lag_entries: Family<Fed, Gauge>,
    lag_seconds: Family<Fed, Gauge>,
    delivered: Family<Fed, Counter>,
    failures: Family<Fed, Counter>,
    gone: Family<Fed, Gauge>,
    contradicts: Family<Fed, Gauge>,
}

/// A feed, by its name in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fed {
    feed: String,
}

impl FeedFigures {
    fn register(&self, registry: &mut Registry) {
        let gauges = [
            (
                "feed_lag_entries",
                "Entries under the signed head that a feed has not delivered",
                &self.lag_entries,
            ),
            ("feed_lag_seconds", "Seconds since the oldest of them was written", &self.lag_seconds),
            (
                "feed_pruned_entries",
                "Entries whose content was pruned before it could be delivered",
                &self.gone,
            ),
            (
                "feed_contradicts",
                "1 where a feed's place is not in this ledger: it stands still",
                &self.contradicts,
            ),
        ];
        gauges.into_iter().for_each(|(name, help, family)| registry.register(name, help, family.clone()));
        registry.register(
            "feed_delivered",
            "Events that a feed's receiver has taken",
            self.delivered.clone(),
        );
        registry.register("feed_failures", "Attempts of a feed that failed", self.failures.clone());
    }

    fn set(&self, state: &FeedState) {
        let fed = Fed { feed: state.name.clone() };
        let gauge = |family: &Family<Fed, Gauge>, value: u64| {
            family.get_or_create(&fed).set(value.try_into().unwrap_or(i64::MAX));
        };
        gauge(&self.lag_entries, state.lag_entries);
        gauge(&self.lag_seconds, state.lag_seconds);
        gauge(&self.gone, state.gone);
        gauge(&self.contradicts, state.contradicts.into());
        // They are counted elsewhere.
        self.delivered.get_or_create(&fed).inner().store(state.delivered, Ordering::Relaxed);
        self.failures.get_or_create(&fed).inner().store(state.failures, Ordering::Relaxed);
    }
}

impl Default for Figures {
    fn default() -> Self {
        let (ends, rules) = (Family::<End, Gauge>::default(), Gauge::default());
        let (digest, failed) = (Family::<Rules, Gauge>::default(), Family::<Taken, Gauge>::default());
        let (suspended, ledger) = (Gauge::default(), Gauge::default());
        let mut registry = Registry::with_prefix("fieldgate");
        registry.register(
            "certificate_days_left",
            "Whole days until a certificate or revocation list ends; below zero where it has",
            ends.clone(),
        );
        registry.register(
            "rules_active_since_seconds",
            "When the rules came into force, Unix time",
            rules.clone(),
        );
        registry.register("rules", "1 for the rules in force, by their digest", digest.clone());
        registry.register(
            "reload_failed",
            "1 where rules (`rules`), certificates and lists (`tls`) or what upstreams are shown (`upstreams`) cannot be taken in",
            failed.clone(),
        );
        registry.register("suspended_contractors", "Contractors that get nothing for now", suspended.clone());
        registry.register("ledger_healthy", "1 where disclosures can be recorded", ledger.clone());
        let feeds = FeedFigures::default();
        feeds.register(&mut registry);
        let figures = Figures {
            registry,
            ends,
            rules,
            digest,
            failed,
            suspended,
            ledger,
            feeds,
            known_ends: ArcSwap::default(),
        };
        ["rules", "tls", "upstreams"].iter().for_each(|what| figures.set_failed(what, false));
        figures
    }
}

impl Figures {
    /// Puts what ends in the place of what was known: file, kind, name, days.
    pub fn set_ends(&self, ends: impl IntoIterator<Item = (String, &'static str, String, i64)>) {
        self.ends.clear();
        let mut known = Vec::new();
        for (file, what, name, days_left) in ends {
            let what = what.to_owned();
            known.push(Ending { file: file.clone(), what: what.clone(), name: name.clone(), days_left });
            self.ends.get_or_create(&End { file, what, name }).set(days_left);
        }
        self.known_ends.store(Arc::new(known));
    }

    /// What ends, as it was last looked at.
    pub fn ends(&self) -> Arc<Vec<Ending>> {
        self.known_ends.load_full()
    }

    /// Rules have come into force.
    pub fn rules_are_new(&self, digest: &str) {
        self.digest.clear();
        self.digest.get_or_create(&Rules { digest: digest.to_owned() }).set(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.rules.set(now as i64);
    }

    /// The last attempt to take changes in.
    pub fn set_failed(&self, what: &'static str, failed: bool) {
        self.failed.get_or_create(&Taken { what }).set(failed.into());
    }

    /// Whether the last attempt failed.
    pub fn has_failed(&self, what: &'static str) -> bool {
        self.failed.get_or_create(&Taken { what }).get() != 0
    }

    pub fn set_suspended(&self, contractors: usize) {
        self.suspended.set(contractors as i64);
    }

    pub fn set_ledger(&self, healthy: bool) {
        self.ledger.set(healthy.into());
    }

    pub fn set_feeds(&self, states: &[FeedState]) {
        states.iter().for_each(|state| self.feeds.set(state));
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_openmetrics_and_old_ends_go() {
        let figures = Figures::default();
        figures.set_ends([("a.pem".into(), "certificate", "CN=\"x\"\n".into(), 3)]);
        figures.set_ends([("b.pem".into(), "certificate", "CN=\"y\"\n".into(), -1)]);
        figures.set_suspended(2);
        let text = figures.text();
        let line = r#"fieldgate_certificate_days_left{file="b.pem",what="certificate",name="CN=\"y\"\n"} -1"#;
        assert!(text.contains(line) && !text.contains("a.pem"), "{text}");
        assert!(text.contains("fieldgate_suspended_contractors 2\n") && text.ends_with("# EOF\n"), "{text}");
    }
}
