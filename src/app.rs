//! The one place that wires everything: configuration and rules in, a running gateway out.
//!
//! **Guarantees.** A gateway that starts has read every rule without an error, holds the ledger's
//! lock, has written what it started with, and listens. When it stops, it ends what is in work
//! first and closes the ledger last.
//!
//! **Trusts** its configuration. **Must not** decide anything about a request. **Called by** the
//! commands `serve` and `demo`.

pub mod control;
pub mod fleet;
pub mod gather;
pub mod live;
pub mod migrate;
mod otlp;
pub mod process;
mod review;
pub mod supervisor;
mod token_keys;
pub mod upkeep;
mod upstreams;
pub mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::admin::{self, Admin, Figures, House};
use crate::config::{self, Config};
use crate::diagnostic::{Diagnostic, Source};
use crate::feed::Feeds;
use crate::ledger::{
    self, Changes, Consents, Draft, KeyError, Ledger, Started, Statements, Suspensions, Witnessed,
};
use crate::model::{RequestId, SubjectKey, SubjectKeys};
use crate::proxy::{self, BodyLimits, Gateway, Suspended};
use crate::rules::openapi::Document;
use crate::rules::{self, Loaded, Plan, Surroundings};
use crate::telemetry;
use crate::transport::{self, Capacity, Doorway, Drain, Listener, Timeouts};
use crate::witness::{self, Follower, Terms};

use control::{Control, Hands};
use upkeep::Upkeep;

/// A gateway that listens and does not serve yet.
pub struct Server {
    listener: Listener,
    gateway: Arc<Gateway>,
    ledger: Arc<Ledger>,
    control: Control,
    upkeep: Upkeep,
    admin: Option<Admin>,
    /// Gathers the entries of other nodes.
    gathering: Option<admin::Routine>,
    /// Tells all that it is time to stop.
    drain: (watch::Sender<bool>, Drain),
    watching: Behind,
    /// Sends traces, where somebody takes them.
    exporting: Option<Behind>,
    /// Submits heads to witnesses, where there are some.
    following: Option<JoinHandle<()>>,
    /// Send entries on.
    feeds: Feeds,
    /// Looks after upstreams.
    tending: JoinSet<()>,
    /// Requests that may be in work at once.
    requests: usize,
}

/// Work behind requests. It stops where this is dropped.
struct Behind {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

/// Done when it is time to stop.
type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The keys that customers are named by.
pub struct Keys {
    /// In the ledger.
    pub subjects: SubjectKeys,
    /// For contractors.
    pub pseudonyms: SubjectKey,
}

/// Reads and compiles the rules that `config` names.
///
/// # Errors
/// Where the directory or a file cannot be read.
pub fn load_rules(config: &Config, pseudonym_key: SubjectKey) -> std::io::Result<Loaded> {
    let (surroundings, faults) = surroundings(config, pseudonym_key)?;
    let mut loaded = rules::load(&config.rules, &surroundings)?;
    // Rules that cannot be held against the document that they should be are not known to be right.
    if !faults.is_empty() {
        loaded.plan = None;
        loaded.diagnostics.splice(0..0, faults);
    }
    let routes =
        loaded.plan.iter().flat_map(|plan| &plan.contractors).flat_map(|contractor| &contractor.routes);
    let holding: BTreeSet<&str> =
        routes.filter(|route| !route.filter.streams()).map(|route| route.upstream.as_str()).collect();
    let large = config.large_bodies.iter().filter(|(name, _)| holding.contains(name.as_str()));
    loaded.diagnostics.extend(large.map(|(_, diagnostic)| diagnostic.clone()));
    Ok(loaded)
}

/// What rules stand in, and what is wrong with the upstreams' documents.
fn surroundings(
    config: &Config,
    pseudonym_key: SubjectKey,
) -> std::io::Result<(Surroundings, Vec<Diagnostic>)> {
    let upstreams: BTreeMap<String, Vec<String>> =
        config.upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.urls.clone())).collect();
    let (documents, faults) = documents(config)?;
    let surroundings = Surroundings {
        jurisdiction: config.jurisdiction,
        upstreams,
        pseudonym_key,
        home: config.home.clone(),
        documents,
    };
    Ok((surroundings, faults))
}

type Documents = BTreeMap<String, Arc<Document>>;

/// The upstreams' own documents, and what is wrong with them.
fn documents(config: &Config) -> std::io::Result<(Documents, Vec<Diagnostic>)> {
    let (mut documents, mut faults) = (BTreeMap::new(), Vec::new());
    for (name, upstream) in &config.upstreams {
        let Some(path) = &upstream.openapi else { continue };
        let text = std::fs::read_to_string(path)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let source = Source::new(path.display().to_string(), text);
        match Document::parse(&source, &format!("upstream.{name}.openapi")) {
            Ok(document) => _ = documents.insert(name.clone(), Arc::new(document)),
            Err(fault) => faults.push(*fault),
        }
    }
    Ok((documents, faults))
}

/// The keys that name customers in the ledger, and the one that names them for contractors; made where there
/// is no ledger yet.
///
/// # Errors
/// Where a key cannot be used.
pub fn load_keys(config: &Config) -> Result<Keys, KeyError> {
    let files = &config.ledger;
    let subjects = ledger::subject_keys(&files.subject_key, &files.path)?;
    let pseudonyms = ledger::pseudonym_key(&files.pseudonym_key, &files.subject_key)?;
    Ok(Keys { subjects, pseudonyms })
}

/// The key that names customers for contractors, where there is one.
pub fn known_pseudonym_key(config: &Config) -> Option<SubjectKey> {
    let files = &config.ledger;
    files
        .pseudonym_key
        .exists()
        .then(|| ledger::pseudonym_key(&files.pseudonym_key, &files.subject_key).ok())?
}

/// Opens the ledger for writing; in a fleet, not on a thread that drives others.
///
/// # Errors
/// Where it or its key cannot be used, or a gateway runs with it.
pub fn open_ledger(config: &Config, fleet: Option<Arc<Changes>>) -> anyhow::Result<Ledger> {
    let files = &config.ledger;
    let signer = ledger::signer(&files.signing_key, files.origin.as_deref())?;
    let deadline = config.limits.commit_timeout;
    Ok(match fleet {
        None => Ledger::open(&files.path, signer, deadline)?,
        Some(changes) => Ledger::open_in_fleet(&files.path, signer, deadline, changes)?,
    })
}

impl Server {
    /// Opens the ledger, connects nothing yet, and binds the address where it is handed no `socket`.
    ///
    /// # Errors
    /// Where a file, a key, the ledger or the address cannot be used.
    pub async fn start(
        config: &Config,
        plan: Plan,
        keys: &Keys,
        socket: Option<TcpListener>,
    ) -> anyhow::Result<Server> {
        let doorway = Doorway::open(config.listen.tls.clone())?;
        let (mut upstreams, mut tending) = (HashMap::new(), JoinSet::new());
        for (name, upstream) in &config.upstreams {
            let made = upstreams::upstream(upstream, config).with_context(|| format!("upstream {name}"))?;
            made.endpoints().tend(&mut tending);
            upstreams.insert(name.clone(), made);
        }
        let limits = &config.limits;
        let timeouts = Timeouts {
            handshake: limits.handshake_timeout,
            header: limits.header_timeout,
            idle: limits.idle_timeout,
            drain: limits.drain_timeout,
            header_size: limits.header_size.0,
        };
        let capacity = Capacity {
            connections: limits.connections,
            handshakes: limits.handshakes,
            connections_per_address: limits.connections_per_address,
            handshakes_per_address: limits.handshakes_per_address,
        };
        let socket = listen(config, socket).await?;
        let proxies = config.listen.proxies.clone();
        let listener = Listener::new(socket, Some(Arc::clone(&doorway)), timeouts, capacity, proxies);
        let shared = match &config.ledger.fleet {
            None => None,
            Some(fleet) => Some(Arc::new(fleet::join(&config.ledger, fleet, keys).await?)),
        };
        let changes = shared.as_ref().map(|shared| Arc::clone(&shared.changes));
        let opened = config.clone();
        let ledger = tokio::task::spawn_blocking(move || open_ledger(&opened, changes)).await??;
        let ledger = Arc::new(ledger);
        // Before it grows: what a witness contradicts is not written on.
        let follower = follower(&config.ledger, &ledger).await?;
        token_keys::fill(&plan.key_stores, &[]).await?;
        let feeds = Feeds::begin(&config.feeds, &config.ledger.path, ledger.heads())?;
        // Rules that come into force are kept as they are for who reviews what they let out.
        let kept = match &config.admin {
            None => None,
            Some(_) => match fleet::store(&config.ledger.path, shared.as_deref(), &keys.pseudonyms).await {
                Ok(store) => Some(Arc::new(store)),
                // Contractors are served without it.
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the review side does not start: what it keeps cannot be opened");
                    None
                }
            },
        };
        record_start(&ledger, &plan, kept.as_deref()).await?;
        let body = BodyLimits {
            size: limits.body_size.0,
            timeout: limits.body_timeout,
            memory: limits.body_memory.0,
        };
        let epoch = Arc::new(ArcSwap::from_pointee(keys.subjects.current().clone()));
        let (consents, mut statements) = match &shared {
            None => consents(&config.ledger.path),
            Some(shared) => (Arc::clone(&shared.consents), None),
        };
        if let Some(Err(error)) = match &shared {
            None => None,
            Some(shared) => Some(shared.settle(&ledger).await),
        } {
            tracing::error!(error = format!("{error:#}"), "entries of withdrawals cannot be written");
        }
        if let Some(statements) = &mut statements {
            // They are in force all the same.
            if let Err(error) = control::settle(&ledger, statements).await {
                tracing::error!(error = format!("{error:#}"), "entries of withdrawals cannot be written");
            }
        }
        let suspensions = Suspensions::load(&config.ledger.path)?;
        let suspended = match &shared {
            None => Arc::new(Suspended::new(suspensions.contractors.keys().cloned())),
            Some(shared) => Arc::clone(&shared.suspended),
        };
        let control = Control::new(Hands {
            ledger: Arc::clone(&ledger),
            files: config.ledger.clone(),
            epoch: Arc::clone(&epoch),
            suspended: Arc::clone(&suspended),
            suspensions: Mutex::new(suspensions),
            consents: Arc::clone(&consents),
            statements: Mutex::new(statements),
            turn: Mutex::default(),
            fleet: shared.clone(),
        })?;
        let digest = plan.digest.as_str().to_owned();
        let (key_stores, sources) = (plan.key_stores.clone(), plan.sources.clone());
        let (watcher, watch) = proxy::watch(Arc::clone(&ledger), keys.pseudonyms.clone());
        let gateway =
            Gateway::new(plan, Arc::clone(&suspended), upstreams, Arc::clone(&ledger), epoch, watcher, body);
        let (traces, exporter) = otlp::tracing(&config.telemetry)?;
        let mut gateway =
            gateway.with_hosts(config.listen.hosts.clone()).with_consents(Arc::clone(&consents));
        if let Some(shared) = &shared {
            gateway = gateway.with_leases(&shared.leases);
            tending.spawn(Arc::clone(&shared.leases).run(shared.changes.database().clone()));
        }
        let gateway = Arc::new(gateway.with_tracing(Arc::clone(&traces)));
        let mut figures = Figures::default();
        figures.collect(gateway.requests());
        figures.collect(ledger.commits());
        figures.collect(traces);
        let figures = Arc::new(figures);
        figures.rules_are_new(&digest);
        let drain = watch::channel(false);
        let (mut admin, mut admin_doorway) = (None, None);
        let gather_state = Arc::default();
        let gathering = gather::begin(config, Arc::clone(&gather_state))?;
        if let (Some(terms), Some(store)) = (&config.admin, &kept) {
            admin_doorway = terms.tls.clone().map(Doorway::open).transpose()?;
            let house = House {
                config: config.clone(),
                ledger: Arc::clone(&ledger),
                read: config.gathered().unwrap_or_else(|| config.ledger.path.clone()),
                gathering: gathering.is_some().then_some(gather_state),
                consents,
                figures: Arc::clone(&figures),
                feeds: feeds.board(),
                orders: Arc::new(review::Inside {
                    hands: control.hands(),
                    gateway: Arc::clone(&gateway),
                    config: config.clone(),
                    pseudonym_key: keys.pseudonyms.clone(),
                }),
                store: Arc::clone(store),
                draining: drain.1.clone(),
                verifier: ledger::signer(&config.ledger.signing_key, config.ledger.origin.as_deref())?
                    .verifier()
                    .clone(),
                verification: Default::default(),
                prunable: Default::default(),
                bytes: Default::default(),
                open_reviews: Default::default(),
                late_reviews: Default::default(),
            };
            admin = Some(Admin::bind(terms, admin_doorway.clone(), Arc::new(house)).await?);
        }
        let upkeep = Upkeep {
            config: config.clone(),
            pseudonym_key: keys.pseudonyms.clone(),
            gateway: Arc::clone(&gateway),
            ledger: Arc::clone(&ledger),
            doorway,
            admin_doorway,
            kept,
            digest,
            sources,
            key_stores,
            suspended,
            figures,
            hangup: upkeep::hangup(),
        };
        if let Some(shared) = &shared {
            tending.spawn(Arc::clone(&shared.changes).follow(drain.1.clone()));
            if let Some(store) = &upkeep.kept {
                tending.spawn(Arc::clone(store).follow(drain.1.clone()));
            }
        }
        let following = follower.map(|follower| tokio::spawn(follower.run()));
        let watching = Behind::new(|stop| watch.run(stop));
        let exporting = exporter.map(|exporter| Behind::new(|stop| exporter.run(stop)));
        let requests = limits.requests;
        Ok(Server {
            listener,
            gateway,
            ledger,
            control,
            upkeep,
            admin,
            gathering,
            drain,
            watching,
            exporting,
            following,
            feeds,
            tending,
            requests,
        })
    }

    /// The real address, also where port 0 was asked for.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Where the admin side listens, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.address().ok()
    }

    /// Serves until `stop` is done, then drains.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut upkeep = self.upkeep.begin();
        let (tell, drain) = self.drain;
        let serving = self.listener.serve(proxy::edge(self.gateway, self.requests), drain);
        // It answers as long as anything is served: who asks learns that the gateway drains.
        let (_open, never) = watch::channel(false);
        let admin = async {
            match self.admin {
                Some(admin) => admin.serve(never).await,
                None => std::future::pending().await,
            }
        };
        let stopping = async {
            stop.await;
            tracing::info!("draining");
            let _ = tell.send(true);
            // Dropped only when serving has ended: a vanished sender would look like a stop.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = serving => {}
            () = stopping => {}
            () = self.control.serve() => {}
            () = admin => {}
        }
        drop(self.control);
        upkeep.shutdown().await;
        drop(self.tending);
        if let Some(following) = self.following {
            following.abort();
            let _ = following.await;
        }
        self.watching.end().await;
        if let Some(exporting) = self.exporting {
            // A collector that hangs is not waited for.
            _ = tokio::time::timeout(otlp::LAST, exporting.end()).await;
        }
        self.feeds.end().await;
        drop(self.gathering);
        // The last holder waits for the writer, which writes what is queued.
        drop(self.ledger);
        tracing::info!("stopped");
    }
}

impl Behind {
    fn new<W: Future<Output = ()> + Send + 'static>(work: impl FnOnce(Stopped) -> W) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped: Stopped = Box::pin(async move { _ = stopped.await });
        Behind { task: tokio::spawn(work(stopped)), stop }
    }

    /// Waits until what was told is done.
    async fn end(self) {
        drop(self.stop);
        _ = self.task.await;
    }
}

/// What customers said, where that is known. Where it is not, the gateway serves what the law asks for, and the log
/// says what to do.
fn consents(path: &std::path::Path) -> (Arc<Consents>, Option<Statements>) {
    match ledger::consents(path) {
        Ok((consents, statements)) => (consents, Some(statements)),
        Err(error) => {
            tracing::error!(%error, "it is not known what customers consent and object to: only what the law asks for is disclosed");
            (Arc::new(Consents::unknown()), None)
        }
    }
}

/// The socket that was handed over, or one of its own.
async fn listen(config: &Config, socket: Option<TcpListener>) -> std::io::Result<tokio::net::TcpListener> {
    let configured = config.listen.address;
    let Some(socket) = socket else { return transport::bind(configured).await };
    let address = socket.local_addr()?;
    tracing::info!(%address, %configured, "the socket was handed over; the configured address is not bound");
    tokio::net::TcpListener::from_std(socket)
}

/// Shows the ledger to its witnesses, where there are some.
async fn follower(config: &config::Ledger, ledger: &Arc<Ledger>) -> anyhow::Result<Option<Follower>> {
    if config.witnesses.is_empty() {
        return Ok(None);
    }
    let client = |witness: &config::Witness| {
        let tls = witness.tls.as_ref().map(transport::client_config).transpose()?;
        anyhow::Ok(witness::Client::new(&witness.url, tls, witness.key.clone())?)
    };
    let named = |witness| client(witness).with_context(|| format!("witness {}", witness.key.name()));
    let witnesses = config.witnesses.iter().map(named).collect::<anyhow::Result<_>>()?;
    let signer = ledger::signer(&config.signing_key, config.origin.as_deref())?;
    let shown = Witnessed::new(&config.path, signer.verifier().clone());
    let terms = Terms { quorum: config.quorum, max_unwitnessed_age: config.max_unwitnessed_age };
    Ok(Some(Follower::start(Arc::clone(ledger), shown, witnesses, terms).await?))
}

async fn record_start(ledger: &Ledger, plan: &Plan, kept: Option<&admin::Store>) -> anyhow::Result<()> {
    // In a fleet it waits for the database.
    let keep = |kept: &admin::Store| tokio::task::block_in_place(|| kept.keep_rules(plan));
    if let Some(Err(error)) = kept.map(keep) {
        tracing::error!(%error, "the rules cannot be kept as they are now for the review side");
    }
    let started = Started { version: env!("CARGO_PKG_VERSION") };
    let draft = Draft::started(RequestId::new().to_string(), &started);
    ledger.record(draft).await.context("the first entry cannot be written")?;
    upkeep::record_rules(ledger, plan, None).await
}

/// JSON lines on standard error. The guard writes what is left when it is dropped.
///
/// # Errors
/// Where `filter` is not one.
pub fn log(filter: &str) -> anyhow::Result<tracing_appender::non_blocking::WorkerGuard> {
    let guard = telemetry::log::begin(filter).context("telemetry.log")?;
    // The message of a panic may hold a value; its place cannot.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
    }));
    Ok(guard)
}

/// Done at SIGTERM or SIGINT.
///
/// # Errors
/// Where the system does not let signals be caught.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
