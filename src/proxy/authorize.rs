//! What the caller may ask for: its task, its route, and whether now is the time.

use http::header::{ACCEPT, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method};
use jiff::Timestamp;

use crate::rules::{self, Contractor, Query, QueryFault, RequestPath, Route, Task};

use super::authenticate::Caller;
use super::limits::{Lease, RateHeaders};
use super::refusal::Missing;
use super::{Refusal, Refused};

/// Longest request target, in bytes.
const MAX_TARGET: usize = 8192;

const TASK: HeaderName = HeaderName::from_static("fieldgate-task");

/// Leave to make one upstream request. Only [`authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    caller: Caller,
    route: usize,
    pub method: Method,
    pub path: RequestPath,
    pub query: Query,
    /// Gone to the response when there is one.
    lease: Option<Lease>,
}

impl Permit {
    pub fn contractor(&self) -> &Contractor {
        self.caller.contractor()
    }

    /// In a fleet, takes the request from what all nodes may let in.
    ///
    /// # Errors
    /// Where there is none left now, or nobody knows.
    pub async fn draw(&mut self) -> Result<(), Refusal> {
        let Some(lease) = &mut self.lease else { return Ok(()) };
        let task = self.caller.contractor().routes[self.route].task;
        self.caller.limits().draw(self.caller.holder(), task, lease).await
    }

    /// The room that the request has, for its response to hold.
    pub fn take_lease(&mut self) -> Option<Lease> {
        self.lease.take()
    }

    /// What the response says of the rate, as long as there is none; `subjects` may still be seen.
    pub fn rate(&self, subjects: u64) -> Option<RateHeaders> {
        self.lease.as_ref().map(|lease| lease.rate(subjects))
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn route(&self) -> &Route {
        &self.contractor().routes[self.route]
    }

    pub fn task(&self) -> &Task {
        &self.contractor().tasks[self.route().task]
    }

    /// Index into the contractor's routes.
    pub fn route_index(&self) -> usize {
        self.route
    }

    /// A number of the path, by which it shows whether somebody asks for one thing after the other.
    pub fn number(&self) -> Option<u64> {
        self.route().template.number(&self.path)
    }

    pub fn refused(&self, refusal: Refusal) -> Refused {
        let number = self.number();
        Refused { refusal, task: Some(self.route().task), route: Some(self.route), number }
    }
}

/// Finds task and route, then checks agreement, place and time, method, query and limits.
///
/// # Errors
/// Where the contractor may not, or not now.
pub fn authorize(caller: &Caller, head: &Parts) -> Result<Permit, Refused> {
    let contractor = caller.contractor();
    if head.uri.path().len() + head.uri.query().map_or(0, str::len) > MAX_TARGET {
        return Err(Refusal::UriTooLong.into());
    }
    let path = RequestPath::parse(head.uri.path()).map_err(|_| {
        Refusal::BadRequest("The path has an empty or dot segment, an encoded slash, or a bad escape.")
    })?;
    let candidates = contractor.routes_for(&path);
    if candidates.is_empty() {
        return Err(Refusal::NotFound(Missing::Route).into());
    }
    let candidates = of_task(contractor, candidates, &head.headers)?;
    let route = of_method(contractor, &candidates, &head.method)?;
    let refused = |refusal| Refused {
        task: Some(contractor.routes[route].task),
        route: Some(route),
        ..Refused::from(refusal)
    };
    check_agreement(contractor).map_err(refused)?;
    check_access(caller, &contractor.tasks[contractor.routes[route].task]).map_err(refused)?;
    if !accepts_json(&head.headers) {
        return Err(refused(Refusal::NotAcceptable));
    }
    let query =
        Query::parse(head.uri.query().unwrap_or(""), &contractor.routes[route].query).map_err(|fault| {
            refused(match fault {
                QueryFault::NotPermitted => Refusal::ParameterNotPermitted,
                QueryFault::Malformed => {
                    Refusal::BadRequest("The query has a bad escape or a parameter that occurs twice.")
                }
            })
        })?;
    let lease = caller.limits().enter(caller.holder(), contractor.routes[route].task).map_err(refused)?;
    Ok(Permit { caller: caller.clone(), route, method: head.method.clone(), path, query, lease: Some(lease) })
}

/// Keeps the routes of the task that the request names.
fn of_task(
    contractor: &Contractor,
    candidates: Vec<usize>,
    headers: &HeaderMap,
) -> Result<Vec<usize>, Refusal> {
    let mut named = headers.get_all(TASK).iter();
    let Some(name) = named.next() else {
        return Ok(candidates);
    };
    if named.next().is_some() {
        return Err(Refusal::BadRequest("Fieldgate-Task occurs twice."));
    }
    let of_task = |route: &usize| {
        contractor.tasks[contractor.routes[*route].task].id.as_str().as_bytes() == name.as_bytes()
    };
    let kept: Vec<usize> = candidates.into_iter().filter(of_task).collect();
    if kept.is_empty() { Err(Refusal::NoSuchTask) } else { Ok(kept) }
}

/// The one route for the method; several tasks on one path must be told apart by the request.
fn of_method(contractor: &Contractor, candidates: &[usize], method: &Method) -> Result<usize, Refusal> {
    // HEAD is GET without the body (RFC 9110, section 9.3.2).
    let wanted = if method == Method::HEAD { "GET" } else { method.as_str() };
    let serves = |route: &&usize| contractor.routes[**route].methods.iter().any(|own| own.as_str() == wanted);
    let mut serving = candidates.iter().filter(serves);
    match (serving.next(), serving.next()) {
        (Some(route), None) => Ok(*route),
        (Some(_), Some(_)) => Err(Refusal::BadRequest(
            "You have several tasks on this path: name one in a Fieldgate-Task header.",
        )),
        (None, _) => {
            let methods = candidates.iter().flat_map(|route| &contractor.routes[*route].methods);
            let mut allow: Vec<&str> = methods.map(|method| method.as_str()).collect();
            if allow.contains(&"GET") {
                allow.push("HEAD");
            }
            allow.sort_unstable();
            allow.dedup();
            Err(Refusal::MethodNotAllowed(allow.join(", ")))
        }
    }
}

/// # Errors
/// Where it is not in force today.
pub fn check_agreement(contractor: &Contractor) -> Result<(), Refusal> {
    let today = rules::today();
    let agreement = &contractor.agreement;
    if today < agreement.effective || today >= agreement.expires {
        return Err(Refusal::AgreementInactive);
    }
    Ok(())
}

/// Where it calls from, and when.
fn check_access(caller: &Caller, task: &Task) -> Result<(), Refusal> {
    if !task.access.takes(caller.address()) {
        return Err(Refusal::OutsideNetwork);
    }
    match task.access.hours.as_ref().and_then(|hours| hours.opens_in(Timestamp::now())) {
        Some(wait) => Err(Refusal::OutsideHours(wait)),
        None => Ok(()),
    }
}

/// Whether an `Accept` header, if there is one, leaves room for JSON or lines of it: the most specific range that fits
/// decides (RFC 9110, section 12.5.1).
fn accepts_json(headers: &HeaderMap) -> bool {
    if !headers.contains_key(ACCEPT) {
        return true;
    }
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).map(weighted).collect();
    let specific_first = ["application/json", "application/x-ndjson", "application/*", "*/*"];
    let weight = specific_first
        .iter()
        .find_map(|json| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(json)));
    weight.is_some_and(|(_, weight)| *weight > 0.0)
}

/// A media range and its weight; one that is not a number counts as not wanted.
fn weighted(range: &str) -> (&str, f32) {
    let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
    let weight = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    (name.trim(), weight.map_or(1.0, |(_, weight)| weight.trim().parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_is_read_as_rfc_9110_says() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, http::HeaderValue::from_static(value));
            accepts_json(&headers)
        };
        for json in [
            "*/*",
            "application/json",
            "text/html, application/*;q=0.1",
            "Application/JSON; charset=utf-8",
            "application/x-ndjson",
        ] {
            assert!(accepts(json), "{json}");
        }
        for other in
            ["text/html", "application/json;q=0", "application/json;Q=0, */*", "application/xml, text/*", ""]
        {
            assert!(!accepts(other), "{other}");
        }
    }
}
