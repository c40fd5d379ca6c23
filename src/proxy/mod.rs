//! The life of a request: from a stranger at the door to a recorded disclosure.
//!
//! `Arrival → Caller → Permit → UpstreamRequest → UpstreamResponse → Disclosure → Recorded → Response`
//!
//! **Guarantees.** Each stage takes what only the stage before it can make: a response is built from
//! a `Recorded` or a [`Refusal`] and from nothing else, a `Recorded` holds the ledger's
//! receipt, a `Refusal` has no field that could hold an upstream byte. So that nothing leaves
//! unfiltered or unlogged is checked by the compiler. A request that two servers could understand in two
//! ways is refused before it is asked who sends it.
//!
//! **Trusts** `transport` for who is at the other end, `rules` for what that one may see.
//!
//! **Must not** pass a header, a path or a query on as it came, from either side.
//!
//! **Called by** `app`.

mod admitted;
mod authenticate;
mod authorize;
mod edge;
mod forward;
mod hygiene;
mod limits;
mod memory;
mod meter;
mod observer;
mod own;
mod parts;
mod receipt;
mod record;
mod reduce;
mod refusal;
mod respond;
mod ruling;
mod sample;
mod sighting;
mod suspended;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response, Version};
use hyper::body::Incoming;

pub use edge::edge;
pub use forward::Upstream;
pub use observer::{Observer, signal_entry};
pub use record::disclosed;
pub use refusal::{Missing, Refusal};
pub use respond::Outgoing;
pub use sighting::Watcher;
pub use suspended::Suspended;
pub use watch::{Watch, watch};

use crate::ledger::{Consents, Leases, Ledger};
use crate::model::{Host, KeyEpoch, RequestId};
use crate::rules::Plan;
use crate::telemetry::{Requests, Stage, Tracing};
use crate::transport::Peer;

use admitted::Admitted;
use authenticate::Caller;
use memory::Budget;
use meter::Meter;
use own::OwnResources;
use record::Recorder;
use ruling::Ruling;

/// One request, as it comes from the transport.
pub struct Arrival {
    pub id: RequestId,
    pub peer: Arc<Peer>,
    pub request: Request<Incoming>,
}

/// Everything that serving a request needs.
pub struct Gateway {
    ruling: ArcSwap<Ruling>,
    suspended: Arc<Suspended>,
    consents: Arc<Consents>,
    upstreams: HashMap<String, Upstream>,
    ledger: Arc<Ledger>,
    own: OwnResources,
    epoch: Arc<ArcSwap<KeyEpoch>>,
    watcher: Arc<Watcher>,
    body: BodyLimits,
    memory: Arc<Budget>,
    requests: Arc<Requests>,
    tracing: Arc<Tracing>,
    /// Names that requests may be for; any where there are none.
    hosts: Vec<Host>,
}

/// Rules that were in force.
pub struct Superseded {
    _ruling: Arc<Ruling>,
}

/// The bounds on bodies.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Of a request, in bytes.
    pub size: usize,
    /// From the request's head to its body's last byte.
    pub timeout: Duration,
    /// Bytes that the bodies of all requests and their answers may take together.
    pub memory: usize,
}

impl Gateway {
    pub fn new(
        plan: Plan,
        suspended: Arc<Suspended>,
        upstreams: HashMap<String, Upstream>,
        ledger: Arc<Ledger>,
        epoch: Arc<ArcSwap<KeyEpoch>>,
        watcher: Arc<Watcher>,
        body: BodyLimits,
    ) -> Self {
        let requests = Requests::new(&refusal::CODES);
        let mut upstreams = upstreams;
        for (name, upstream) in &mut upstreams {
            upstream.count_in(requests.upstream(name));
        }
        let ruling = Arc::new(Ruling::new(plan, &requests));
        watcher.rules(&ruling);
        let ruling = ArcSwap::from(ruling);
        let own = OwnResources::new(Arc::clone(&ledger));
        let (memory, hosts) = (Budget::new(body.memory), Vec::new());
        // Until it is known what customers said.
        let consents = Arc::new(Consents::unknown());
        Gateway {
            ruling,
            suspended,
            consents,
            upstreams,
            ledger,
            own,
            epoch,
            watcher,
            body,
            memory,
            requests,
            tracing: Arc::default(),
            hosts,
        }
    }

    /// What customers consent and object to. Without it, nothing is disclosed but what the law asks for.
    #[must_use]
    pub fn with_consents(mut self, consents: Arc<Consents>) -> Self {
        self.consents = consents;
        self
    }

    /// In a fleet: what all nodes may let in together, and how this one takes its part.
    #[must_use]
    pub fn with_leases(mut self, leases: &Arc<Leases>) -> Self {
        let ruling = Arc::new(self.ruling.load().leased(leases));
        self.watcher.rules(&ruling);
        self.ruling = ArcSwap::from(ruling);
        self
    }

    /// The gateway's own names: requests for others are misdirected. None by default, which lets all pass.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Vec<Host>) -> Self {
        self.hosts = hosts;
        self
    }

    /// What is traced, and who follows it. Nobody by default.
    #[must_use]
    pub fn with_tracing(mut self, tracing: Arc<Tracing>) -> Self {
        self.tracing = tracing;
        self
    }

    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.get(name)
    }

    pub fn upstreams(&self) -> impl Iterator<Item = (&str, &Upstream)> {
        self.upstreams.iter().map(|(name, upstream)| (name.as_str(), upstream))
    }

    /// What is counted of requests.
    pub fn requests(&self) -> Arc<Requests> {
        Arc::clone(&self.requests)
    }

    /// The rules in force.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.ruling.load().plan)
    }

    /// Puts other rules in force, and gives back those before: requests in work keep what they began with, and
    /// none of them should be the one that takes it apart.
    pub fn activate(&self, plan: Plan) -> Superseded {
        let ruling = Arc::new(self.ruling.load().followed_by(plan, &self.requests));
        self.watcher.rules(&ruling);
        Superseded { _ruling: self.ruling.swap(ruling) }
    }

    /// Whether contractors would be told another interface by `plan`, whose rules are those in force.
    pub fn interfaces_differ(&self, plan: &Plan) -> bool {
        let told = |plan: &Plan| plan.contractors.iter().map(|one| one.interface.clone()).collect::<Vec<_>>();
        told(&self.ruling.load().plan) != told(plan)
    }

    async fn serve(&self, arrival: Arrival) -> Response<Outgoing> {
        let mut meter = Meter::begin(&self.requests, &self.tracing, arrival.id, arrival.request.headers());
        let Arrival { id, peer, request } = arrival;
        let (head, mut body) = request.into_parts();
        let fit = hygiene::check(&head, &self.hosts);
        let caller = authenticate::authenticate(&self.ruling.load_full(), &peer, &head.headers);
        let caller = match (fit, caller) {
            (Ok(()), Ok(caller)) => caller,
            (Ok(()), Err(refusal)) => {
                forward::drain(&head, body, self.body);
                meter.refused(None, &refusal);
                return respond::refuse(refusal, id, meter.trace());
            }
            (Err(unfit), caller) => {
                return self.turn_away(id, &mut meter, caller.ok(), &head, body, unfit).await;
            }
        };
        if self.suspended.contains(&caller.contractor().id) {
            forward::drain(&head, body, self.body);
            return self.refuse(id, &mut meter, &caller, &head, Refusal::Suspended.into()).await;
        }
        if let Some(answer) = self.own.answer(&caller, &head).await {
            forward::drain(&head, body, self.body);
            self.watcher.other(&caller, id);
            return match answer {
                Ok(own) => {
                    meter.own(&caller);
                    respond::give(own)
                }
                Err(refusal) => {
                    meter.refused(Some((&caller, None, None)), &refusal);
                    respond::refuse(refusal, id, meter.trace())
                }
            };
        }
        match self.disclose(id, &mut meter, &caller, &head, &mut body).await {
            Ok(recorded) => respond::release(recorded, meter.trace()),
            Err(refused) => {
                forward::drain(&head, body, self.body);
                self.refuse(id, &mut meter, &caller, &head, refused).await
            }
        }
    }

    /// Refuses a known contractor.
    async fn refuse(
        &self,
        id: RequestId,
        meter: &mut Meter<'_>,
        caller: &Caller,
        head: &http::request::Parts,
        refused: Refused,
    ) -> Response<Outgoing> {
        self.record_refusal(id, caller, head, &refused).await;
        meter.refused(Some((caller, refused.task, refused.route)), &refused.refusal);
        self.watcher.refused(caller, id, &refused);
        respond::refuse(refused.refusal, id, meter.trace())
    }

    /// Refuses a request for its form. What a known contractor tries is written down all the same.
    async fn turn_away(
        &self,
        id: RequestId,
        meter: &mut Meter<'_>,
        caller: Option<Caller>,
        head: &http::request::Parts,
        body: Incoming,
        unfit: hygiene::Unfit,
    ) -> Response<Outgoing> {
        let hygiene::Unfit { refusal, close } = unfit;
        // A body whose end is in doubt is not read.
        if !close {
            forward::drain(head, body, self.body);
        }
        let response = match caller {
            Some(caller) => self.refuse(id, meter, &caller, head, refusal.into()).await,
            None => {
                meter.refused(None, &refusal);
                respond::refuse(refusal, id, meter.trace())
            }
        };
        // The requests of an HTTP/2 connection cannot run into each other.
        if close && head.version < Version::HTTP_2 { respond::and_close(response) } else { response }
    }

    /// The stages after the caller is known.
    async fn disclose(
        &self,
        id: RequestId,
        meter: &mut Meter<'_>,
        caller: &Caller,
        head: &http::request::Parts,
        body: &mut Incoming,
    ) -> Result<record::Recorded, Refused> {
        let mut permit = authorize::authorize(caller, head)?;
        let drawn =
            if self.ledger.is_healthy() { permit.draw().await } else { Err(Refusal::LedgerUnavailable) };
        meter.stage(Stage::Decide);
        drawn.map_err(|refusal| permit.refused(refusal))?;
        let refused = |refusal| permit.refused(refusal);
        let upstream =
            self.upstreams.get(&permit.route().upstream).ok_or_else(|| refused(Refusal::Internal))?;
        let admitted = Admitted::new(&self.consents, &permit).map_err(refused)?;
        let mut share = self.memory.share(caller.limits().memory(caller.holder()));
        let ids = forward::Ids { request: id, trace: meter.traceparent() };
        let request = forward::prepare(&permit, ids, upstream, head, body, self.body, &mut share);
        let request = request.await.map_err(refused)?;
        // The contractor's own body is the contractor's own time.
        meter.skip();
        let response = upstream.call(request).await;
        meter.stage(Stage::Upstream);
        let response = response.map_err(refused)?;
        let sampler = self.watcher.sampler();
        let disclosure = reduce::reduce(&permit, response, admitted, share, sampler).await;
        meter.stage(Stage::Reduce);
        let disclosure = disclosure.map_err(refused)?;
        let recorder = Recorder {
            ledger: Arc::clone(&self.ledger),
            consents: Arc::clone(&self.consents),
            epoch: self.epoch.load_full(),
            suspended: Arc::clone(&self.suspended),
            watcher: Arc::clone(&self.watcher),
            id,
        };
        let (task, route) = (permit.route().task, permit.route_index());
        let recorded = record::record(recorder, permit, disclosure).await;
        meter.stage(Stage::Ledger);
        if let Ok(recorded) = &recorded {
            meter.disclosed(caller, task, route, recorded.status);
        }
        recorded
    }

    async fn record_refusal(
        &self,
        id: RequestId,
        caller: &Caller,
        head: &http::request::Parts,
        refused: &Refused,
    ) {
        // A sick ledger would only make the refusal wait.
        if !self.ledger.is_healthy() {
            return;
        }
        let Some(not_written) = caller.limits().may_write(caller, &refused.refusal) else {
            return;
        };
        if let Err(error) = record::refusal(&self.ledger, id, caller, head, refused, not_written).await {
            tracing::warn!(request = %id, %error, "a refusal could not be recorded");
        }
    }
}

/// A refusal of a known contractor, with what it was about as far as that is known.
pub struct Refused {
    refusal: Refusal,
    /// Indexes into the contractor's tasks and routes.
    task: Option<usize>,
    route: Option<usize>,
    /// A number of the path; for the detectors only.
    number: Option<u64>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Refused { refusal, task: None, route: None, number: None }
    }
}
