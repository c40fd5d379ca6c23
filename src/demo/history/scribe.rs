//! Plays what happens by the real rules, and writes what becomes of it.

use std::collections::HashSet;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

use anyhow::Context;
use futures_util::FutureExt;

use crate::app::{self, Keys};
use crate::diagnostic::Source;
use crate::filter::{FieldCount, Reduction, Tally, Verdict};
use crate::ledger::{
    Dated, Draft, Ledger, OwnKind, Parties, Receipt, RecordError, Refused, Started, SuspensionAction,
    SuspensionEvent,
};
use crate::model::{KeyEpoch, RequestId, SubjectPseudonym};
use crate::proxy::{Limited, Missing, Observer, Refusal, Released, signal_entry};
use crate::rules::{Contractor, Plan, RequestPath, Route};
use crate::signals::{Event, Outcome, Signal};

use super::super::shop::Shop;
use super::story::{Happening, Request, Trouble, What};

/// Entries that are on their way at once.
const ON_THEIR_WAY: usize = 1000;
/// One answer in so many is looked at for its shape.
const SAMPLED: u64 = 4;

type Pending<'a> = Pin<Box<dyn Future<Output = Result<Receipt, RecordError>> + Send + 'a>>;

pub struct Scribe<'a> {
    ledger: &'a Ledger,
    shop: &'a Shop,
    epoch: &'a KeyEpoch,
    observer: Observer,
    /// The rules in force, and what they were made from before the change.
    plan: &'a Plan,
    after: &'a Plan,
    suspended: HashSet<&'static str>,
    released: bool,
    /// Customers that a contractor saw on a day.
    seen: HashSet<(i64, &'static str, SubjectPseudonym)>,
    reduction: Reduction,
    answers: u64,
    pending: Vec<Pending<'a>>,
}

/// A request on its way through the rules.
struct Call<'c> {
    time: i64,
    id: RequestId,
    request: &'c Request,
    contractor: &'c Contractor,
    credential: &'c str,
    route: Option<&'c Route>,
    number: Option<u64>,
}

impl<'a> Scribe<'a> {
    /// `plans` are the rules at the beginning and those after the change.
    pub fn new(ledger: &'a Ledger, shop: &'a Shop, keys: &'a Keys, plans: [&'a Plan; 2]) -> Self {
        let [plan, after] = plans;
        Scribe {
            ledger,
            shop,
            epoch: keys.subjects.current(),
            observer: Observer::new(keys.pseudonyms.clone()),
            plan,
            after,
            suspended: HashSet::new(),
            released: false,
            seen: HashSet::new(),
            reduction: Reduction::default(),
            answers: 0,
            pending: Vec::new(),
        }
    }

    /// # Errors
    /// Where the ledger cannot be written.
    pub async fn take(&mut self, happening: &Happening) -> anyhow::Result<()> {
        let time = happening.time;
        let dated = Dated::as_of(time);
        let id = || RequestId::as_of(time).to_string();
        match &happening.what {
            What::Start => {
                let started = Started { version: env!("CARGO_PKG_VERSION") };
                self.write(dated.started(id(), &started));
                self.write(dated.rules(id(), &app::activated(self.plan, None)));
                self.observer.know(self.plan, time / 1_000_000);
            }
            What::Change => {
                let (before, after) = (self.plan, self.after);
                let changes = app::changes(sources(before), sources(after));
                let change = Some((before.digest.as_str(), changes.as_slice()));
                self.write(dated.rules(id(), &app::activated(after, change)));
                self.plan = after;
                self.observer.know(after, time / 1_000_000);
            }
            What::Release => self.released = true,
            What::Suspension { contractor, action, reason } => {
                match action {
                    SuspensionAction::Suspended => self.suspended.insert(contractor),
                    SuspensionAction::Resumed => self.suspended.remove(contractor),
                };
                let (contractor, by, reason) =
                    ((*contractor).to_owned(), super::super::REVIEWER.to_owned(), (*reason).to_owned());
                let event = SuspensionEvent { contractor, action: *action, by, reason };
                self.write(dated.own(OwnKind::Suspension, id(), &event));
            }
            What::Access(event) => self.write(dated.own(OwnKind::Access, id(), event)),
            What::Request(request) => self.request(time, request)?,
        }
        if self.pending.len() >= ON_THEIR_WAY { self.settle().await } else { Ok(()) }
    }

    /// Waits for all entries, and keeps what the detectors have learned for the gateway that comes.
    ///
    /// # Errors
    /// Where they are not durable.
    pub async fn end(mut self, now: i64) -> anyhow::Result<()> {
        self.settle().await?;
        Ok(self.observer.keep_beside(self.ledger.path(), now)?)
    }

    async fn settle(&mut self) -> anyhow::Result<()> {
        for entry in self.pending.drain(..) {
            entry.await.context("the demonstration's history cannot be written")?;
        }
        Ok(())
    }

    /// Puts an entry into the ledger's queue; those before it are there already.
    fn write(&mut self, draft: Draft) {
        let mut entry: Pending<'a> = Box::pin(self.ledger.record(draft));
        match (&mut entry).now_or_never() {
            Some(done) => self.pending.push(Box::pin(std::future::ready(done))),
            None => self.pending.push(entry),
        }
    }

    fn request(&mut self, time: i64, request: &Request) -> anyhow::Result<()> {
        let plan = self.plan;
        let contractor = plan.contractors.iter().find(|known| known.id.as_str() == request.contractor);
        let contractor = contractor.context("the demonstration's contractors are not in its rules")?;
        let path = RequestPath::parse(&request.path).ok();
        let routes = path.iter().flat_map(|path| contractor.routes_for(path));
        let mut routes = routes.map(|route| &contractor.routes[route]);
        let takes = |route: &&Route| route.methods.iter().any(|method| method.as_str() == request.method);
        let route = routes.find(takes).filter(|_| !self.suspended.contains(request.contractor));
        let call = Call {
            time,
            id: RequestId::as_of(time),
            request,
            contractor,
            credential: contractor.credentials[0].as_str(),
            route,
            number: route.zip(path.as_ref()).and_then(|(route, path)| route.template.number(path)),
        };
        match self.answer(&call) {
            Ok((status, body)) => self.disclose(&call, status, &body),
            Err(refusal) => {
                self.refuse(&call, &refusal);
                Ok(())
            }
        }
    }

    /// What the upstream says, where the rules let the request get there.
    fn answer(&self, call: &Call) -> Result<(u16, String), Refusal> {
        let Request { contractor, method, path, query, trouble } = call.request;
        if self.suspended.contains(contractor) {
            return Err(Refusal::Suspended);
        }
        let route = call.route.ok_or(Refusal::NotFound(Missing::Route))?;
        let mut names = query.iter().filter_map(|query| query.split_once('=')).map(|(name, _)| name);
        if !names.all(|name| route.query.iter().any(|known| known == name)) {
            return Err(Refusal::ParameterNotPermitted);
        }
        match trouble {
            Some(Trouble::RateLimit) => {
                let wait = std::time::Duration::from_secs(1);
                return Err(Refusal::RateLimited(Limited { wait, rate: None }));
            }
            Some(Trouble::Timeout) => return Err(Refusal::UpstreamTimeout),
            None => {}
        }
        let reply = self.shop.respond(method, path, *query, br#"{"comment":"We are on it."}"#);
        match reply.status {
            200 | 201 if self.released => Ok((reply.status, reply.body)),
            200 | 201 => Ok((reply.status, without_company(&reply.body))),
            404 => Err(Refusal::NotFound(Missing::Upstream)),
            other => Err(Refusal::UpstreamError(other)),
        }
    }

    fn disclose(&mut self, call: &Call, status: u16, body: &str) -> anyhow::Result<()> {
        let route = call.route.context("a request without a route has an answer")?;
        let mut reduction = std::mem::take(&mut self.reduction);
        let verdict = reduction.reduce(&route.filter, body.as_bytes());
        match verdict {
            Ok(Verdict::Reduced) => {
                self.release(call, route, status, &reduction);
                self.answers += 1;
                if self.answers.is_multiple_of(SAMPLED) {
                    let place = (call.contractor, route);
                    let found = self.observer.learn(call.id, place, body, call.time / 1_000_000);
                    self.raise(call.time, &found);
                }
            }
            Ok(Verdict::Withheld) => self.refuse(call, &Refusal::NotFound(Missing::Condition)),
            Err(fault) => self.refuse(call, &fault.into()),
        }
        self.reduction = reduction;
        Ok(())
    }

    fn release(&mut self, call: &Call, route: &Route, status: u16, reduction: &Reduction) {
        let tally = reduction.tally();
        let released = Released {
            id: call.id,
            contractor: call.contractor,
            credential: call.credential,
            method: call.request.method,
            route,
            rules: self.plan.digest.as_str(),
            status,
            bytes: reduction.body().len() as u64,
            tally: Some(tally),
            part: None,
            decided: None,
            epoch: self.epoch,
        };
        let entry = released.entry();
        let day = call.time.div_euclid(86_400_000_000);
        let new = entry
            .subjects
            .iter()
            .filter(|subject| self.seen.insert((day, call.request.contractor, **subject)));
        let new_subjects = new.count() as u64;
        self.write(Dated::as_of(call.time).disclosure(entry));
        let event = Event {
            outcome: Outcome::Disclosed,
            new_subjects,
            fields: paths(route, tally, |count| count.disclosed > 0),
            met: paths(route, tally, |count| count.disclosed + count.withheld > 0),
            released: tally.records_released > 0,
            ..event(call, Outcome::Disclosed)
        };
        let found = self.observer.see(&event, Some((call.contractor, route)));
        self.raise(call.time, &found);
    }

    fn refuse(&mut self, call: &Call, refusal: &Refusal) {
        let task = call.route.map(|route| call.contractor.tasks[route.task].id.as_str());
        let cause = refusal.cause();
        let refused = Refused {
            task,
            status: refusal.status().as_u16(),
            code: refusal.code(),
            cause: cause.as_deref(),
            not_written: 0,
            after_parts: 0,
        };
        let parties = Parties { contractor: call.request.contractor, credential: call.credential };
        let route = call.route.map(|route| route.template.as_str());
        let request = crate::ledger::Request { method: call.request.method, route };
        let (dated, id) = (Dated::as_of(call.time), call.id.to_string());
        self.write(dated.refusal(id, parties, request, self.plan.digest.as_str(), &refused));
        let is_missing = matches!(refusal, Refusal::NotFound(_));
        let found = self
            .observer
            .see(&event(call, if is_missing { Outcome::NotFound } else { Outcome::Other }), None);
        self.raise(call.time, &found);
    }

    fn raise(&mut self, time: i64, found: &[Signal]) {
        for signal in found {
            let id = RequestId::as_of(time).to_string();
            self.write(Dated::as_of(time).signal(id, &signal_entry(signal)));
        }
    }
}

/// What the detectors are told of a request that got nothing.
fn event<'c>(call: &Call<'c>, outcome: Outcome) -> Event<'c> {
    Event {
        id: call.id,
        time: call.time / 1_000_000,
        contractor: call.contractor.id.as_str(),
        credential: call.credential,
        task: call.route.map(|route| call.contractor.tasks[route.task].id.as_str()),
        route: call.route.map(|route| route.template.as_str()),
        // The sample contractors call from this machine, then as now.
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        outcome,
        new_subjects: 0,
        fields: Vec::new(),
        met: Vec::new(),
        released: false,
        number: call.number,
    }
}

fn paths<'r>(route: &'r Route, tally: &Tally, is_in: impl Fn(&FieldCount) -> bool) -> Vec<&'r str> {
    let fields = route.fields.iter().zip(&tally.fields).filter(|(_, count)| is_in(count));
    fields.map(|(label, _)| label.path.as_str()).collect()
}

fn sources(plan: &Plan) -> Vec<std::sync::Arc<Source>> {
    plan.sources.clone()
}

/// An answer as the shop gave it before it sent the recipient's company along.
fn without_company(body: &str) -> String {
    let mut pieces = body.split(",\"company\":");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    // It is the last member of its object.
    pieces.for_each(|piece| text.push_str(&piece[piece.find('}').unwrap_or(0)..]));
    text
}
