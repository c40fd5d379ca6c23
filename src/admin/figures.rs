//! Figures for Prometheus, in the OpenMetrics text format (version 1.0.0).

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use crate::feed::FeedState;
use crate::rules::Plan;
use crate::telemetry;

use super::house::{House, UpstreamState};

/// What is known of the gateway from outside of requests.
pub struct Figures {
    registry: Registry,
    ends: Family<End, Gauge>,
    end_times: Family<End, Gauge>,
    rules: Gauge,
    digest: Family<Rules, Gauge>,
    failed: Family<Taken, Gauge>,
    suspended: Gauge,
    ledger: Gauge,
    gathers: Gauge,
    gathered: Gauge,
    entries: Gauge,
    agreements: Family<OfContractor, Gauge>,
    credentials: Family<OfCredential, Gauge>,
    subject_limits: Family<OfTask, Gauge>,
    upstreams: Family<OfUpstream, Gauge>,
    endpoints: Family<OfEndpoint, Gauge>,
    log_dropped: Counter,
    alerts: Gauge,
    reviews: Gauge,
    late_reviews: Gauge,
    /// What is looked up for a reader is his alone until he has it.
    reading: Mutex<()>,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfContractor {
    contractor: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCredential {
    contractor: String,
    credential: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTask {
    contractor: String,
    task: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfUpstream {
    upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEndpoint {
    upstream: String,
    endpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
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
        let mut registry = Registry::with_prefix("fieldgate");
        registry.register(
            "build",
            "The version of the gateway",
            Info::new(Build { version: env!("CARGO_PKG_VERSION") }),
        );
        let feeds = FeedFigures::default();
        feeds.register(&mut registry);
        let mut registering = Registering(&mut registry);
        let figures = Figures {
            ends: registering.family(
                "certificate_days_left",
                "Whole days until a certificate or revocation list ends; below zero where it has; looked at once a day",
            ),
            end_times: registering.family(
                "certificate_expiry_timestamp_seconds",
                "When a certificate or revocation list ends, Unix time",
            ),
            rules: registering
                .gauge("rules_activation_timestamp_seconds", "When the rules came into force, Unix time"),
            digest: registering.family("rules", "1 for the rules in force, by their digest"),
            failed: registering.family(
                "reload_failed",
                "1 where rules (`rules`), certificates and lists (`tls`) or what upstreams are shown (`upstreams`) cannot be taken in",
            ),
            suspended: registering.gauge("suspended_contractors", "Contractors that get nothing for now"),
            ledger: registering.gauge("ledger_healthy", "1 where disclosures can be recorded"),
            gathers: registering.gauge(
                "gather_healthy",
                "0 where entries of a fleet's other nodes do not come in, or are not those that were signed",
            ),
            gathered: registering.gauge("gathered_entries", "Entries of all nodes of a fleet that are here"),
            entries: registering.gauge("ledger_entries", "Entries of the ledger that are durable"),
            agreements: registering.family(
                "agreement_expiry_timestamp_seconds",
                "From when on the contractor's agreement is not in force any more, Unix time",
            ),
            credentials: registering.family(
                "credential_expiry_timestamp_seconds",
                "When the certificate ends that a contractor has shown last since the rules came into force, Unix time, to the day",
            ),
            subject_limits: registering.family(
                "subjects_per_day_limit",
                "Distinct customers of one day, of the whole contractor, after which the task gets none that is new",
            ),
            upstreams: registering
                .family("upstream_up", "1 where at least one endpoint of the upstream is in service"),
            endpoints: registering
                .family("upstream_endpoint_up", "1 where the endpoint of the upstream is in service"),
            log_dropped: registering.counter("log_lines_dropped", "Lines of the log that nobody took in time"),
            alerts: registering.gauge("alerts_open", "Alerts that nobody has closed"),
            reviews: registering.gauge("reviews_open", "Reviews that wait for somebody"),
            late_reviews: registering.gauge("reviews_late", "Open reviews whose time is over"),
            reading: Mutex::default(),
            feeds,
            known_ends: ArcSwap::default(),
            registry,
        };
        ["rules", "tls", "upstreams"].iter().for_each(|what| figures.set_failed(what, false));
        figures
    }
}

/// Makes metrics and has them shown.
struct Registering<'a>(&'a mut Registry);

impl Registering<'_> {
    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }

    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register(name, help, counter.clone());
        counter
    }

    fn family<S>(&mut self, name: &str, help: &str) -> Family<S, Gauge>
    where
        S: EncodeLabelSet + Clone + std::fmt::Debug + std::hash::Hash + Eq + Send + Sync + 'static,
    {
        let family = Family::<S, Gauge>::default();
        self.0.register(name, help, family.clone());
        family
    }
}

impl Figures {
    /// Also shows what `collector` knows.
    pub fn collect(&mut self, collector: impl Collector) {
        self.registry.register_collector(Box::new(collector));
    }

    /// Puts what ends in the place of what was known: file, kind, name, days, and Unix time.
    pub fn set_ends(&self, ends: impl IntoIterator<Item = (String, &'static str, String, i64, i64)>) {
        let _turn = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.ends.clear();
        self.end_times.clear();
        let mut known = Vec::new();
        for (file, what, name, days_left, at) in ends {
            let what = what.to_owned();
            known.push(Ending { file: file.clone(), what: what.clone(), name: name.clone(), days_left });
            let end = End { file, what, name };
            self.end_times.get_or_create(&end).set(at);
            self.ends.get_or_create(&end).set(days_left);
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

    /// All figures, as they are now.
    pub fn text(&self, house: &House) -> String {
        let _turn = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.ledger.set(house.ledger.is_healthy().into());
        self.entries.set(house.ledger.size() as i64);
        let gathering = house.gathering.as_ref();
        self.gathers.set(gathering.is_none_or(|gathering| gathering.trouble().is_none()).into());
        self.gathered.set(gathering.map_or(0, |_| house.signed()) as i64);
        // Nobody else reads meanwhile.
        self.log_dropped.inc_by(telemetry::log::dropped().saturating_sub(self.log_dropped.get()));
        self.alerts.set(house.store.open_alerts() as i64);
        let (reviews, late) = (&house.open_reviews, &house.late_reviews);
        self.reviews.set(reviews.load(Ordering::Relaxed) as i64);
        self.late_reviews.set(late.load(Ordering::Relaxed) as i64);
        self.look_at_plan(&house.plan());
        self.look_at_upstreams(house.orders.upstreams());
        self.written()
    }

    pub fn set_feeds(&self, states: &[FeedState]) {
        states.iter().for_each(|state| self.feeds.set(state));
    }

    fn look_at_plan(&self, plan: &Plan) {
        self.agreements.clear();
        self.credentials.clear();
        self.subject_limits.clear();
        for one in &plan.contractors {
            let contractor = one.id.to_string();
            for (at, credential) in one.credentials.iter().enumerate() {
                if let Some(end) = one.certificate_end(at) {
                    let (contractor, credential) = (contractor.clone(), credential.to_string());
                    self.credentials.get_or_create(&OfCredential { contractor, credential }).set(end);
                }
            }
            for task in &one.tasks {
                let limit = i64::try_from(task.limits.subjects_per_day).unwrap_or(i64::MAX);
                let (contractor, task) = (contractor.clone(), task.id.to_string());
                self.subject_limits.get_or_create(&OfTask { contractor, task }).set(limit);
            }
            // Days begin in UTC.
            if let Ok(end) = TimeZone::UTC.to_timestamp(one.agreement.expires.at(0, 0, 0, 0)) {
                let end = end.as_second();
                self.agreements.get_or_create(&OfContractor { contractor }).set(end);
            }
        }
    }

    fn look_at_upstreams(&self, states: Vec<UpstreamState>) {
        self.upstreams.clear();
        self.endpoints.clear();
        for UpstreamState { name, endpoints } in states {
            let serves = endpoints.iter().any(|endpoint| endpoint.serves);
            self.upstreams.get_or_create(&OfUpstream { upstream: name.clone() }).set(serves.into());
            for endpoint in endpoints {
                let of = OfEndpoint { upstream: name.clone(), endpoint: endpoint.url };
                self.endpoints.get_or_create(&of).set(endpoint.serves.into());
            }
        }
    }

    fn written(&self) -> String {
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
        figures.set_ends([("a.pem".into(), "certificate", "CN=\"x\"\n".into(), 3, 259_300)]);
        figures.set_ends([("b.pem".into(), "certificate", "CN=\"y\"\n".into(), -1, 5)]);
        figures.set_suspended(2);
        let text = figures.written();
        let line = r#"fieldgate_certificate_days_left{file="b.pem",what="certificate",name="CN=\"y\"\n"} -1"#;
        assert!(text.contains(line) && !text.contains("a.pem"), "{text}");
        assert!(text.contains("fieldgate_suspended_contractors 2\n") && text.ends_with("# EOF\n"), "{text}");
    }
}
