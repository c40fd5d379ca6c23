//! Six weeks that were: requests over the sample shop, reduced by the real rules and seen by the real detectors, with
//! dates in the past. So that each page of the review side has something true to show.
//!
//! Two things are in it that are worth finding: a night in which somebody tries ticket numbers, one after the other,
//! and an afternoon on which far more customers are looked at than usual. What the detectors have learned is kept for
//! the gateway that comes: what is usual then is usual now.

mod plan;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::Context;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::admin::Store;
use crate::app::upkeep::{activated, changes};
use crate::app::{self, Keys};
use crate::config::Config;
use crate::diagnostic::Source;
use crate::filter::{Outcome as Reduced, Tally};
use crate::ledger::{
    Dated, Disclosure, Draft, Ledger, OwnKind, Parties, Refused, Request, Started, SuspensionAction,
    SuspensionEvent,
};
use crate::model::{KeyEpoch, RequestId, SubjectPseudonym};
use crate::proxy::{Missing, Observer, Refusal, disclosed, signal_entry};
use crate::rules::fixture::Call;
use crate::rules::{Contractor, Plan, Route, Surroundings, compile};
use crate::signals::{Event, Outcome, Signal};

use super::REVIEWER;
use super::shop::Shop;
use plan::{Act, Happening, happenings};

/// Entries that are on their way to the disk together.
const TOGETHER: usize = 256;
/// One answer in so many is looked at for its shape.
const SAMPLED: u64 = 4;
/// Microseconds.
const SECOND: i64 = 1_000_000;

/// Writes the weeks before `now` (microseconds since 1970) into a ledger that has no entry yet; how many entries that
/// are. Nothing where the rules are not those of the demonstration.
///
/// # Errors
/// Where the ledger cannot be written.
pub async fn write(config: &Config, plan: &Plan, keys: &Keys, shop: &Shop, now: i64) -> anyhow::Result<u64> {
    let Some(before) = plan_before(config, plan, keys) else { return Ok(0) };
    let kept = config.admin.as_ref().map(|_| Store::open(&config.ledger.path)).transpose()?;
    let ledger = Arc::new(app::open_ledger(config, None)?);
    let mut past = Past {
        ledger,
        shop,
        plan: &before,
        epoch: keys.subjects.current().clone(),
        observer: Observer::new(keys.pseudonyms.clone()),
        answers: 0,
        released: false,
        seen: HashSet::new(),
        day: 0,
        drafts: Vec::new(),
        written: 0,
        refused: false,
    };
    let happenings = happenings(shop, now);
    let first = happenings.first().map_or(now, |first| first.time) - 60 * SECOND;
    past.begin(&before, None, first, kept.as_ref())?;
    let changed = changes(before.sources.clone(), plan.sources.clone());
    for happening in &happenings {
        if let Act::NewRules = happening.act {
            past.begin(plan, Some((before.digest.as_str(), &changed)), happening.time, kept.as_ref())?;
            past.plan = plan;
        } else {
            past.happen(happening)?;
        }
        if past.drafts.len() >= TOGETHER {
            past.flush().await?;
        }
    }
    past.flush().await?;
    past.observer.keep_beside(&config.ledger.path, now / SECOND)?;
    Ok(past.written)
}

/// The rules as they were at the beginning: the telephone number of a recipient left as it is.
fn plan_before(config: &Config, plan: &Plan, keys: &Keys) -> Option<Plan> {
    const NOW: &str = "{ path = \"@.recipient.phone\", transform = \"last4\",";
    const THEN: &str = "{ path = \"@.recipient.phone\",";
    let is_there = |id: &str| plan.contractors.iter().any(|contractor| contractor.id.as_str() == id);
    let is_ours = is_there("parcelco") && is_there("helpdesk");
    let changed = plan.sources.iter().any(|source| source.text.contains(NOW));
    if !is_ours || !changed {
        return None;
    }
    let sources =
        plan.sources.iter().map(|source| Source::new(source.name.clone(), source.text.replace(NOW, THEN)));
    let surroundings = Surroundings {
        jurisdiction: config.jurisdiction,
        upstreams: config
            .upstreams
            .iter()
            .map(|(name, upstream)| (name.clone(), upstream.urls.clone()))
            .collect(),
        pseudonym_key: keys.pseudonyms.clone(),
        home: config.home.clone(),
        documents: Default::default(),
    };
    compile(sources.collect(), &surroundings).plan
}

struct Past<'p> {
    ledger: Arc<Ledger>,
    shop: &'p Shop,
    plan: &'p Plan,
    epoch: KeyEpoch,
    observer: Observer,
    answers: u64,
    /// The shop sends the field that it did not send before.
    released: bool,
    /// Customers that were seen on the day, by contractor.
    seen: HashSet<(String, SubjectPseudonym)>,
    day: i64,
    drafts: Vec<Draft>,
    written: u64,
    /// Helpdesk is suspended.
    refused: bool,
}

impl<'p> Past<'p> {
    /// A gateway starts, or takes new rules in.
    fn begin(
        &mut self,
        plan: &Plan,
        before: Option<(&str, &[crate::rules::diff::Change])>,
        time: i64,
        kept: Option<&Store>,
    ) -> anyhow::Result<()> {
        if let Some(kept) = kept {
            kept.keep_rules(plan)?;
        }
        if before.is_none() {
            let started = Started { version: env!("CARGO_PKG_VERSION") };
            self.drafts.push(Dated(time).started(RequestId::at(time).to_string(), &started));
        }
        self.drafts.push(Dated(time).rules(RequestId::at(time).to_string(), &activated(plan, before)));
        self.observer.know(plan, time / SECOND);
        Ok(())
    }

    fn happen(&mut self, happening: &Happening) -> anyhow::Result<()> {
        let time = happening.time;
        match &happening.act {
            Act::Call { contractor, method, path, body, source, fault } => {
                self.call(time, contractor, method, path, body, *source, *fault)?;
            }
            Act::Own { kind, event } => self.own(time, *kind, event),
            Act::Suspension { action, by, reason } => {
                self.refused = *action == SuspensionAction::Suspended;
                let (contractor, by, reason) =
                    ("helpdesk".to_owned(), (*by).to_owned(), (*reason).to_owned());
                let event = SuspensionEvent { contractor, action: *action, by, reason };
                self.own(time, OwnKind::Suspension, &serde_json::to_value(&event)?);
            }
            Act::Release => self.released = true,
            Act::NewRules => {}
        }
        Ok(())
    }

    fn own(&mut self, time: i64, kind: OwnKind, event: &Value) {
        self.drafts.push(Dated(time).own(kind, RequestId::at(time).to_string(), event));
    }

    #[allow(clippy::too_many_arguments, reason = "a request has these parts")]
    fn call(
        &mut self,
        time: i64,
        contractor: &str,
        method: &str,
        path: &str,
        body: &str,
        source: IpAddr,
        fault: Option<(u16, &'static str)>,
    ) -> anyhow::Result<()> {
        let call = Call {
            contractor: contractor.to_owned(),
            path: path.to_owned(),
            method: method.to_owned(),
            task: None,
        };
        let (address, query) = path.split_once('?').unwrap_or((path, ""));
        let (found, route) = call.route(self.plan).context("a request of the history has no route")?;
        let visit = Visit { time, contractor: found, route, method, source, number: number(address) };
        if contractor == "helpdesk" && self.refused {
            self.refuse(&visit, &Refusal::Suspended);
            return Ok(());
        }
        if let Some((status, code)) = fault {
            self.refuse_as(&visit, status, code, None);
            return Ok(());
        }
        let reply = self.shop.respond(method, address, Some(query), body.as_bytes());
        if reply.status == 404 {
            self.refuse(&visit, &Refusal::NotFound(Missing::Upstream));
            return Ok(());
        }
        let sent = if self.released { reply.body } else { without_company(&reply.body) };
        match route.filter.reduce_for(sent.as_bytes(), None) {
            Ok(Reduced::Reduced { body, tally }) => {
                let id = self.disclose(&visit, reply.status, body.len() as u64, &tally);
                self.sample(&visit, id, sent);
            }
            Ok(Reduced::Withheld) => self.refuse(&visit, &Refusal::NotFound(Missing::Condition)),
            Err(fault) => self.refuse(&visit, &fault.into()),
        }
        Ok(())
    }

    /// Now and then, what the shop sent is looked at for its shape.
    fn sample(&mut self, visit: &Visit, id: RequestId, sent: String) {
        self.answers += 1;
        if self.answers.is_multiple_of(SAMPLED) {
            let found = self.observer.learn(id, (visit.contractor, visit.route), sent, visit.time / SECOND);
            self.raise(visit.time, &found);
        }
    }

    fn raise(&mut self, time: i64, found: &[Signal]) {
        let drafts = found
            .iter()
            .map(|signal| Dated(time).signal(RequestId::at(time).to_string(), &signal_entry(signal)));
        self.drafts.extend(drafts);
    }

    fn refuse(&mut self, visit: &Visit, refusal: &Refusal) {
        let cause = refusal.cause();
        self.refuse_as(visit, refusal.status().as_u16(), refusal.code(), cause.as_deref());
    }

    fn refuse_as(&mut self, visit: &Visit, status: u16, code: &str, cause: Option<&str>) {
        let id = RequestId::at(visit.time);
        // A contractor that is suspended is refused before anybody looks at what it asks for.
        let is_looked_at = code != Refusal::Suspended.code();
        let task = is_looked_at.then(|| visit.contractor.tasks[visit.route.task].id.as_str());
        let refused = Refused { task, status, code, cause, not_written: 0, after_parts: 0 };
        let request = match is_looked_at {
            true => visit.request(),
            false => Request { route: None, ..visit.request() },
        };
        let rules = self.plan.digest.as_str();
        let draft = Dated(visit.time).refusal(id.to_string(), visit.parties(), request, rules, &refused);
        self.drafts.push(draft);
        let outcome = if code == "not-found" { Outcome::NotFound } else { Outcome::Other };
        self.see(visit, id, outcome, None);
    }

    fn disclose(&mut self, visit: &Visit, status: u16, bytes: u64, tally: &Tally) -> RequestId {
        let id = RequestId::at(visit.time);
        let planted = visit.contractor.canaries.count(&tally.subjects);
        let disclosed = disclosed(visit.contractor, visit.route, Some(tally), status, bytes);
        let names = self.names(tally);
        let entry = Disclosure {
            id: id.to_string(),
            parties: visit.parties(),
            request: visit.request(),
            rules: self.plan.digest.as_str(),
            disclosed: crate::ledger::Disclosed { canaries: planted, ..disclosed },
            epoch: self.epoch.number,
            subjects: names,
            subjects_per_day: u64::MAX,
            decided: None,
        };
        self.drafts.push(Dated(visit.time).disclosure(entry));
        self.see(visit, id, Outcome::Disclosed, Some(tally));
        id
    }

    /// Shows it to the detectors, and writes what they find.
    fn see(&mut self, visit: &Visit, id: RequestId, outcome: Outcome, tally: Option<&Tally>) {
        let day = visit.time.div_euclid(86_400 * SECOND);
        if self.day != day {
            self.day = day;
            self.seen.clear();
        }
        let contractor = visit.contractor.id.as_str();
        let mut new_subjects = 0;
        for name in tally.map(|tally| self.names(tally)).unwrap_or_default() {
            new_subjects += u64::from(self.seen.insert((contractor.to_owned(), name)));
        }
        let counts = tally.map(|tally| tally.fields.as_slice()).unwrap_or_default();
        let labels = || visit.route.fields.iter().zip(counts);
        let paths = |is: fn(u64, u64) -> bool| {
            let fits = labels().filter(|(_, count)| is(count.disclosed, count.withheld));
            fits.map(|(label, _)| label.path.as_str()).collect()
        };
        let event = Event {
            id,
            time: visit.time / SECOND,
            contractor,
            credential: visit.credential(),
            task: Some(visit.contractor.tasks[visit.route.task].id.as_str()),
            route: Some(visit.route.template.as_str()),
            source: visit.source,
            outcome,
            new_subjects,
            fields: paths(|disclosed, _| disclosed > 0),
            met: paths(|disclosed, withheld| disclosed + withheld > 0),
            released: tally.is_some_and(|tally| tally.records_released > 0),
            number: visit.number,
        };
        let disclosing = tally.map(|_| (visit.contractor, visit.route));
        let found = self.observer.see(&event, disclosing);
        self.raise(visit.time, &found);
    }

    fn names(&self, tally: &Tally) -> Vec<SubjectPseudonym> {
        tally.subjects.iter().map(|subject| self.epoch.key.pseudonym(subject)).collect()
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        let drafts = std::mem::take(&mut self.drafts);
        self.written += drafts.len() as u64;
        // Polled in their order, so that they are queued in it.
        for written in join_all(drafts.into_iter().map(|draft| self.ledger.record(draft))).await {
            written.context("the demonstration's history cannot be written")?;
        }
        Ok(())
    }
}

/// A request that was.
struct Visit<'v> {
    time: i64,
    contractor: &'v Contractor,
    route: &'v Route,
    method: &'v str,
    source: IpAddr,
    number: Option<u64>,
}

impl Visit<'_> {
    fn credential(&self) -> &str {
        self.contractor.credentials.first().map_or("", |credential| credential.as_str())
    }

    fn parties(&self) -> Parties<'_> {
        Parties { contractor: self.contractor.id.as_str(), credential: self.credential() }
    }

    fn request(&self) -> Request<'_> {
        Request { method: self.method, route: Some(self.route.template.as_str()) }
    }
}

/// An answer as the shop gave it before it sent the recipient's company along: the last member of its object.
fn without_company(body: &str) -> String {
    let mut pieces = body.split(",\"company\":");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    pieces.for_each(|piece| text.push_str(&piece[piece.find('}').unwrap_or(0)..]));
    text
}

fn number(path: &str) -> Option<u64> {
    path.split('/').find_map(|part| part.parse().ok())
}

/// What the reviewer did now and then.
fn reviewed(action: &str, more: Value) -> Value {
    let mut event = json!({ "by": REVIEWER, "role": "reviewer", "action": action });
    if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
        event.extend(more);
    }
    event
}
