//! OCSF 1.3.0 (Open Cybersecurity Schema Framework), for a SIEM.

mod schema;

use std::io::Write;

use jiff::Timestamp;

use self::schema::{
    Actor, Api, Call, Class, Endpoint, Event, Field, FindingInfo, HttpRequest, Legal, ManagedEntity,
    Metadata, Policy, Product, Records, RelatedEvent, Request, Response, Service, Stream, Unmapped, Url,
    User,
};
use super::super::view::{self, View};
use super::{ExportError, Row};

/// The oldest version that has all that is used, so that most readers know it.
const VERSION: &str = "1.3.0";
const PRODUCT: &str = "fieldgate";

/// `severity_id` Informational: which refusals matter is for the reader's rules to say.
const INFORMATIONAL: u32 = 1;
const MEDIUM: u32 = 3;
const HIGH: u32 = 4;

/// An activity that its class has no number for; `activity_name` says which.
const OTHER: u32 = 99;

/// Writes one event an entry and a newline, with all attributes that OCSF 1.3.0 requires of its class.
/// Names of subjects are left out; they are in the form of JSON lines.
pub(super) struct Events<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Events<W> {
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    pub fn entry(&mut self, row: &Row) -> Result<(), ExportError> {
        // By way of memory, so that an error of the output stays what it is.
        self.line.clear();
        serde_json::to_writer(&mut self.line, &event(row)).map_err(std::io::Error::from)?;
        self.line.push(b'\n');
        Ok(self.out.write_all(&self.line)?)
    }

    pub fn finish(self) -> W {
        self.out
    }
}

/// One event for `count` entries from number `first` on, whose content was pruned.
pub(super) fn gone(first: u64, count: u64) -> serde_json::Result<Vec<u8>> {
    let row = Row { number: first, entry: None };
    let mut event = event(&row);
    event.count = Some(count);
    event.message = format!("pruned: {count} from entry {first} on");
    event.metadata.uid = Some(format!("pruned.{first}.{count}"));
    serde_json::to_vec(&event)
}

/// What a class is in numbers, and what happened in its terms.
struct Activity<'a> {
    category_uid: u32,
    class_uid: u32,
    class_name: &'static str,
    id: u32,
    name: &'a str,
}

fn event<'a>(row: &'a Row<'a>) -> Event<'a> {
    let activity = activity(row.view());
    let (status_id, status) = status(row.view());
    Event {
        activity_id: activity.id,
        activity_name: activity.name,
        category_uid: activity.category_uid,
        class_uid: activity.class_uid,
        class_name: activity.class_name,
        type_uid: activity.class_uid * 100 + activity.id,
        severity_id: severity(row.view()),
        // The time of a pruned entry is gone, and the attribute required: zero is no time it could be.
        time: row.entry.as_ref().map_or(0, |(time, _)| time.as_millisecond()),
        count: None,
        message: message(row),
        metadata: metadata(row),
        status_id,
        status,
        status_code: row.view().and_then(|view| view.status).map(|status| status.to_string()),
        status_detail: row.outcome(),
        class: row.view().map_or(Class::Base {}, class),
        unmapped: row.view().map_or(Unmapped { kind: "pruned", ..Unmapped::default() }, unmapped),
    }
}

fn activity<'a>(view: Option<&'a View<'a>>) -> Activity<'a> {
    // What happened was pruned: Base Event, with no category and an unknown activity.
    let Some(view) = view else {
        return Activity { category_uid: 0, class_uid: 0, class_name: "Base Event", id: 0, name: "Unknown" };
    };
    let (category_uid, class_uid, class_name, (id, name)) = match view.kind.as_ref() {
        // The gateway itself began to run.
        "started" => (6, 6002, "Application Lifecycle", (3, "Start")),
        // Rules are a policy on what contractors get, and it came into force.
        "rules" => (3, 3004, "Entity Management", (10, "Activate")),
        // What a reviewer should look at.
        "signal" => (2, 2004, "Detection Finding", (1, "Create")),
        "disclosure" | "refusal" => (6, 6003, "API Activity", method(view.method.as_deref())),
        // Someone read the ledger.
        "access" => (6, 6003, "API Activity", (2, "Read")),
        // Content of the ledger was deleted. Datastore Activity fits no better: it wants a database.
        "prune" => (6, 6003, "API Activity", (4, "Delete")),
        // What else is done with the ledger (`key`, `hold`), the rest of a disclosure (`subjects`), and
        // kinds to come: operations that none of the four activities names.
        other => (6, 6003, "API Activity", (OTHER, other)),
    };
    Activity { category_uid, class_uid, class_name, id, name }
}

/// What the method means (RFC 9110, section 9.3, and RFC 5789) as an activity of API Activity.
fn method(method: Option<&str>) -> (u32, &str) {
    match method {
        Some("POST") => (1, "Create"),
        Some("GET" | "HEAD") => (2, "Read"),
        Some("PUT" | "PATCH") => (3, "Update"),
        Some("DELETE") => (4, "Delete"),
        Some(other) => (OTHER, other),
        None => (OTHER, "Other"),
    }
}

/// What is in the ledger was done, but for what was refused. Of a pruned entry it is not known. A finding is
/// new: what becomes of it is not here.
fn status(view: Option<&View>) -> (u32, &'static str) {
    match view.map(|view| view.kind.as_ref()) {
        None => (0, "Unknown"),
        Some("refusal") => (2, "Failure"),
        Some("signal") => (1, "New"),
        Some(_) => (1, "Success"),
    }
}

/// Nobody has a reason to look at a planted customer; the other signals can have one.
fn severity(view: Option<&View>) -> u32 {
    match view.and_then(|view| view.signal.as_deref()) {
        None => INFORMATIONAL,
        Some("canary") => HIGH,
        Some(_) => MEDIUM,
    }
}

fn message(row: &Row) -> String {
    match row.view() {
        Some(view) if view.kind == "signal" => {
            format!("{}: {}", row.outcome(), view.details().unwrap_or_default())
        }
        Some(view) if view.method.is_some() => format!("{}: {}", operation(view), row.outcome()),
        _ => row.outcome().to_owned(),
    }
}

/// `GET /orders/{order_id}`, or the action; the kind where an entry has neither.
fn operation(view: &View) -> String {
    match (view.method.as_deref(), view.route.as_deref()) {
        (Some(method), Some(route)) => format!("{method} {route}"),
        (Some(method), None) => method.to_owned(),
        (None, _) => view.action.as_deref().unwrap_or(&view.kind).to_owned(),
    }
}

fn metadata(row: &Row) -> Metadata {
    let id = row.view().map(|view| view.id.as_ref()).filter(|id| !id.is_empty());
    let original = |(time, _): &(Timestamp, View)| format!("{time:.6}");
    Metadata {
        version: VERSION,
        product: Product { version: Some(env!("CARGO_PKG_VERSION")), ..product() },
        uid: id.map(|id| format!("{id}.{}", row.number)),
        correlation_uid: id.map(str::to_owned),
        sequence: row.number,
        original_time: row.entry.as_ref().map(original),
    }
}

fn product() -> Product {
    Product { name: PRODUCT, vendor_name: PRODUCT, version: None }
}

fn class<'a>(view: &'a View<'a>) -> Class<'a> {
    match view.kind.as_ref() {
        // The version that started is not the one that exports, so it is left out.
        "started" => Class::Lifecycle { app: product() },
        "rules" => {
            let uid = view.rules.as_deref();
            let policy = Policy { name: "rules", uid, is_applied: true };
            let entity = ManagedEntity { kind: "Policy", type_id: 5, name: "rules", uid, policy };
            Class::Entity { actor: actor(view), entity }
        }
        "signal" => {
            let related_events = view.entries.iter().map(|id| RelatedEvent { uid: id }).collect();
            Class::Finding {
                finding_info: FindingInfo { title: view.outcome(), uid: &view.id, related_events },
            }
        }
        _ => Class::Api(Box::new(api(view))),
    }
}

fn api<'a>(view: &'a View<'a>) -> Api<'a> {
    let response = |code| Response { code, error: view.code.as_deref() };
    Api {
        actor: actor(view),
        api: Call {
            operation: operation(view),
            request: Request { uid: &view.id },
            response: view.status.map(response),
            service: view.upstream.as_deref().map(|name| Service { name }),
        },
        // A ledger has no addresses. Who called is known; without a contractor it is the gateway's own.
        src_endpoint: Endpoint { name: view.contractor.as_deref().unwrap_or(PRODUCT) },
        http_request: view.method.as_deref().map(|http_method| HttpRequest {
            http_method,
            url: view.route.as_deref().map(|path| Url { path }),
        }),
    }
}

/// Who did it. The gateway, where the entry names nobody.
fn actor<'a>(view: &'a View<'a>) -> Actor<'a> {
    // `by` comes first: a prune or a hold may name the contractor that it is about.
    let (name, kind) = match (view.by.as_deref(), view.contractor.as_deref()) {
        (Some(by), _) => (by, "Operator"),
        (None, Some(contractor)) => (contractor, "Contractor"),
        (None, None) => return Actor::Gateway { app_name: PRODUCT },
    };
    Actor::User { user: User { name, type_id: OTHER, kind, credential_uid: view.credential.as_deref() } }
}

fn unmapped<'a>(view: &'a View<'a>) -> Unmapped<'a> {
    Unmapped {
        kind: &view.kind,
        contractor_sequence: view.sequence,
        contractor: view.contractor.as_deref(),
        rules: view.rules.as_deref(),
        task: view.task.as_deref(),
        purpose: view.purpose.as_deref(),
        basis: view.basis.as_deref(),
        legal: view.legal.as_ref().map(legal),
        agreement: view.agreement.as_deref(),
        from_country: view.from_country(),
        to_country: view.country(),
        transfer: view.transfer.as_deref(),
        bytes: view.bytes,
        records: view.records.map(records),
        members_withheld: view.members_withheld,
        fields: view.fields.iter().map(field).collect(),
        subjects_total: view.subjects_total,
        stream: view.stream.map(|of| Stream { part: of.part, last: of.last }),
        canary: view.canary,
        // Of other entries, these stand where OCSF has a place for them.
        credential: view.credential.as_deref().filter(|_| view.signal.is_some()),
        route: view.route.as_deref().filter(|_| view.signal.is_some()),
        details: view.details.as_ref(),
        action: view.action.as_deref(),
        reason: view.reason.as_deref(),
    }
}

fn field<'a>(field: &'a view::Field<'a>) -> Field<'a> {
    Field {
        path: &field.path,
        transform: field.transform.as_deref(),
        disclosed: field.disclosed,
        withheld: field.withheld,
        drifted: field.drifted,
    }
}

fn legal<'a>(of: &'a view::Legal<'a>) -> Legal<'a> {
    Legal {
        case: &of.case,
        authority: &of.authority,
        approved_by: of.approved_by.iter().map(|name| &**name).collect(),
        expires: &of.expires,
        hold_until: of.hold_until.as_deref(),
        hold_reference: of.hold_reference.as_deref(),
    }
}

fn records(of: view::Records) -> Records {
    Records { released: of.released, withheld: of.withheld, without_subject: of.without_subject }
}

#[cfg(test)]
mod tests;
