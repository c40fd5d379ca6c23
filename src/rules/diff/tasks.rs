//! Tasks, their limits and their routes, compared.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::diagnostic::table::At;
use crate::filter::Path;

use super::super::access::{Access, Hours};
use super::super::file::{Limits, Route, Task};
use super::{Effect, Log, Side, fields, legal};

/// Between two moments at which hours are compared.
const STEP_SECONDS: i64 = 60;
/// A week of winter and one of summer, as far as clocks change.
const WEEKS: [i64; 2] = [1_768_176_000, 1_783_900_800];
const WEEK_SECONDS: i64 = 604_800;

/// Everything of a contractor that is new.
pub fn added(side: &Side, log: &mut Log) {
    side.1.tasks.iter().for_each(|task| new_task(side, task, log));
}

/// All tasks of a contractor.
pub fn compare(old: &Side, new: &Side, log: &mut Log) {
    for task in &old.1.tasks {
        if !new.1.tasks.iter().any(|known| known.id.value == task.id.value) {
            let mut log = log.at_task(task.id.value.as_str());
            log.note(Effect::Narrows, "the task is gone");
            task.routes
                .iter()
                .for_each(|route| gone(new, route, &mut log.at_route(route.path.value.as_str())));
        }
    }
    for task in &new.1.tasks {
        match old.1.tasks.iter().find(|known| known.id.value == task.id.value) {
            Some(before) => {
                compare_task((old, before), (new, task), &mut log.at_task(task.id.value.as_str()))
            }
            None => new_task(new, task, log),
        }
    }
}

fn new_task(side: &Side, task: &Task, log: &mut Log) {
    let mut log = log.at_task(task.id.value.as_str());
    let what = format!("a new task: {} (basis: {})", task.purpose, task.basis.value.as_str());
    log.note(Effect::Widens, what);
    legal::compare(None, task.legal.as_ref(), &mut log);
    task.routes.iter().for_each(|route| new_route(side, route, &mut log));
}

fn compare_task((old_side, old): (&Side, &Task), (new_side, new): (&Side, &Task), log: &mut Log) {
    if old.purpose != new.purpose {
        let what = format!("the purpose is \"{}\" instead of \"{}\"", new.purpose, old.purpose);
        log.note(Effect::MayWiden, what);
    }
    let asked = |task: &Task| task.consent.as_ref().unwrap_or(&task.id.value).as_str().to_owned();
    if asked(old) != asked(new) {
        let what = format!("consent is asked for {} instead of {}", asked(new), asked(old));
        log.note(Effect::MayWiden, what);
    }
    if old.basis.value != new.basis.value {
        let (before, after) = (old.basis.value.as_str(), new.basis.value.as_str());
        log.note(Effect::MayWiden, format!("the legal basis is {after} instead of {before}"));
    }
    if old.payment != new.payment {
        let what = if new.payment { "card numbers leave as they are" } else { "card numbers are masked" };
        log.note(Effect::of(new.payment), what);
    }
    legal::compare(old.legal.as_ref(), new.legal.as_ref(), log);
    limits(&old.limits, &new.limits, log);
    access(&old.access, &new.access, log);
    routes((old_side, old), (new_side, new), log);
}

fn limits(old: &Limits, new: &Limits, log: &mut Log) {
    if old.requests != new.requests {
        let per_second =
            |limits: &Limits| f64::from(limits.requests.count.get()) / limits.requests.per.as_secs_f64();
        let effect = Effect::of(per_second(new) > per_second(old));
        log.note(effect, format!("{} requests instead of {}", new.requests, old.requests));
    }
    let mut count = |name: &str, old: u64, new: u64| {
        if old != new {
            log.note(Effect::of(new > old), format!("{name}: {new} instead of {old}"));
        }
    };
    count("requests at once after a pause", u64::from(old.burst), u64::from(new.burst));
    count("requests at the same time", old.concurrent as u64, new.concurrent as u64);
    count("distinct customers a day", old.subjects_per_day, new.subjects_per_day);
}

fn access(old: &Access, new: &Access, log: &mut Log) {
    if old.networks != new.networks {
        let list = |access: &Access| match &access.networks[..] {
            [] => "anywhere".to_owned(),
            networks => networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let within = |network| old.networks.iter().any(|known| known.contains(network));
        let wider = !old.networks.is_empty() && (new.networks.is_empty() || !new.networks.iter().all(within));
        let what = format!("requests come from {} instead of {}", list(new), list(old));
        log.note(Effect::of(wider), what);
    }
    if old.hours != new.hours {
        let (before, after) = (old.hours.as_ref(), new.hours.as_ref());
        let zones = before.zip(after).is_some_and(|(before, after)| !before.is_in_zone_of(after));
        // Two zones that agree in two weeks may differ in a third.
        let effect = if zones { Effect::MayWiden } else { Effect::of(opens_wider(before, after)) };
        log.note(effect, "the hours are others");
    }
}

/// There is a moment at which only the new hours are open.
fn opens_wider(old: Option<&Hours>, new: Option<&Hours>) -> bool {
    let Some(old) = old else { return false };
    let moments =
        WEEKS.iter().flat_map(|begin| (*begin..begin + WEEK_SECONDS).step_by(STEP_SECONDS as usize));
    moments.filter_map(|second| Timestamp::from_second(second).ok()).any(|moment| {
        let is_open = |hours: &Hours| hours.opens_in(moment).is_none();
        !is_open(old) && new.is_none_or(is_open)
    })
}

fn routes((old_side, old): (&Side, &Task), (new_side, new): (&Side, &Task), log: &mut Log) {
    for route in &old.routes {
        if !new.routes.iter().any(|known| is_same(known, route)) {
            gone(new_side, route, &mut log.at_route(route.path.value.as_str()));
        }
    }
    for route in &new.routes {
        match old.routes.iter().find(|known| is_same(known, route)) {
            Some(before) => {
                let mut log = log.at_route(route.path.value.as_str());
                compare_route((old_side, before), (new_side, route), &mut log);
            }
            None => new_route(new_side, route, log),
        }
    }
}

/// Two writings of one route: the same requests, whatever their parameters are called.
fn is_same(one: &Route, other: &Route) -> bool {
    let methods = |route: &Route| {
        route.methods.iter().any(|own| other.methods.iter().any(|known| known.value == own.value))
    };
    one.path.value.overlaps(&other.path.value) && (methods(one) || one.path.value == other.path.value)
}

/// Requests for a route that is gone may be served by a wider one that stood behind it.
fn gone(side: &Side, route: &Route, log: &mut Log) {
    let all = side.1.tasks.iter().flat_map(|task| &task.routes);
    let serves = |other: &&Route| {
        other.methods.iter().any(|own| route.methods.iter().any(|known| known.value == own.value))
    };
    let takes = |other: &&Route| other.path.value.can_take_requests_of(&route.path.value, &other.params);
    match all.filter(serves).find(takes) {
        Some(other) => {
            let what = format!("the route is gone; {} takes its requests now", other.path.value.as_str());
            log.note(Effect::MayWiden, what);
        }
        None => log.note(Effect::Narrows, "the route is gone"),
    }
}

fn new_route(side: &Side, route: &Route, log: &mut Log) {
    let mut log = log.at_route(route.path.value.as_str());
    let when = match text(side, route.when.as_ref()) {
        Some(when) => format!("where {when}"),
        None => "whatever the record says".to_owned(),
    };
    log.note(Effect::Widens, format!("a new route ({}), {when}", methods(route).join(", ")));
    fields::added(route, &mut log);
}

fn compare_route((old_side, old): (&Side, &Route), (new_side, new): (&Side, &Route), log: &mut Log) {
    let (before, after) = (methods(old), methods(new));
    set("the method", &before, &after, log);
    set("the query parameter", &names(&old.query), &names(&new.query), log);
    parameters(old, new, log);
    if old.upstream.value != new.upstream.value {
        let what = format!("it is served by {} instead of {}", new.upstream.value, old.upstream.value);
        log.note(Effect::MayWiden, what);
    }
    if old.records.as_ref().map(|at| &at.value) != new.records.as_ref().map(|at| &at.value) {
        log.note(Effect::MayWiden, "what counts as one record is something else");
    }
    if old.subject.as_ref().map(|at| &at.value) != new.subject.as_ref().map(|at| &at.value) {
        let effect = if old.subject.is_none() { Effect::Narrows } else { Effect::MayWiden };
        log.note(effect, "customers are known by something else");
    }
    let conditions = (text(old_side, old.when.as_ref()), text(new_side, new.when.as_ref()));
    let values = |route: &Route| route.when.as_ref().map(|at| at.value.clone());
    if conditions.0 == conditions.1 && values(old) != values(new) {
        log.note(Effect::MayWiden, "the condition means something else");
    }
    condition(conditions.0, conditions.1, log);
    accepted((old_side, old), (new_side, new), log);
    fields::compare(old, new, log);
}

fn parameters(old: &Route, new: &Route, log: &mut Log) {
    let patterns = |route: &Route| -> BTreeSet<(String, String)> {
        route.params.iter().map(|at| (at.value.0.clone(), at.value.1.as_str().to_owned())).collect()
    };
    if patterns(old) != patterns(new) {
        log.note(Effect::MayWiden, "the parameters of the path are checked by other patterns");
    }
}

/// A condition with one more demand behind `&&` selects less, and the other way round; of others it is not
/// known.
fn condition(old: Option<&str>, new: Option<&str>, log: &mut Log) {
    let adds_to = |base: &str, text: &str| {
        let plain = !base.contains("||") && !text.contains("||");
        let rest = text.strip_prefix(base).and_then(|rest| rest.trim_start().strip_prefix("&&"));
        let before = text.strip_suffix(base).and_then(|rest| rest.trim_end().strip_suffix("&&"));
        plain && (rest.is_some() || before.is_some())
    };
    match (old, new) {
        (None, None) => {}
        (None, Some(new)) => log.note(Effect::Narrows, format!("only where {new}")),
        (Some(old), None) => log.note(Effect::Widens, format!("not only where {old} any more")),
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => {
            let effect = match (adds_to(old, new), adds_to(new, old)) {
                (true, _) => Effect::Narrows,
                (_, true) => Effect::Widens,
                _ => Effect::MayWiden,
            };
            log.note(effect, format!("where {new} instead of {old}"));
        }
    }
}

fn accepted(old: (&Side, &Route), new: (&Side, &Route), log: &mut Log) {
    let texts = |(side, route): (&Side, &Route)| -> Vec<String> {
        let paths = route.accept.iter().flatten();
        paths.filter_map(|at: &At<Path>| text(side, Some(at)).map(str::to_owned)).collect()
    };
    set("the request body's member", &texts(old), &texts(new), log);
}

/// What joined a set widens, what left it narrows.
fn set(what: &str, old: &[String], new: &[String], log: &mut Log) {
    for name in old.iter().filter(|name| !new.contains(name)) {
        log.note(Effect::Narrows, format!("{what} {name} is not taken any more"));
    }
    for name in new.iter().filter(|name| !old.contains(name)) {
        log.note(Effect::Widens, format!("{what} {name} is taken"));
    }
}

fn methods(route: &Route) -> Vec<String> {
    route.methods.iter().map(|method| method.value.as_str().to_owned()).collect()
}

fn names(query: &[String]) -> Vec<String> {
    query.to_vec()
}

/// A value as its file writes it, without its quotes.
fn text<'s, T>(side: &'s Side, at: Option<&At<T>>) -> Option<&'s str> {
    let written = side.0.text.get(at?.span.clone())?;
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    let inner = quotes.iter().find_map(|quote| written.strip_prefix(quote)?.strip_suffix(quote));
    Some(inner.unwrap_or(written).trim())
}
