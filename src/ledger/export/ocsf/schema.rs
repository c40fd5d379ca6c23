//! The parts of OCSF 1.3.0 that the export uses. Later 1.x versions keep their names and meaning.
//!
//! Attributes and requirements: <https://schema.ocsf.io/1.3.0>. What is not known is left out.

use serde::Serialize;

/// An event of a class that `Class` names.
#[derive(Serialize)]
pub(super) struct Event<'a> {
    pub activity_id: u32,
    pub activity_name: &'a str,
    pub category_uid: u32,
    pub class_uid: u32,
    pub class_name: &'static str,
    /// `class_uid` times 100, and `activity_id`.
    pub type_uid: u32,
    pub severity_id: u32,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// How many events of one kind this one stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    pub message: String,
    pub metadata: Metadata,
    pub status_id: u32,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<String>,
    pub status_detail: &'a str,
    #[serde(flatten)]
    pub class: Class<'a>,
    pub unmapped: Unmapped<'a>,
}

/// The attributes of a class beside those that all have.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Class<'a> {
    Api(Box<Api<'a>>),
    Lifecycle { app: Product },
    Entity { actor: Actor<'a>, entity: ManagedEntity<'a> },
    Finding { finding_info: FindingInfo<'a> },
    Base {},
}

/// API Activity: `actor`, `api` and `src_endpoint` are required.
#[derive(Serialize)]
pub(super) struct Api<'a> {
    pub actor: Actor<'a>,
    pub api: Call<'a>,
    pub src_endpoint: Endpoint<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_request: Option<HttpRequest<'a>>,
}

/// Detection Finding: `title` and `uid` are required, and of a related event its `uid`.
#[derive(Serialize)]
pub(super) struct FindingInfo<'a> {
    pub title: &'a str,
    pub uid: &'a str,
    pub related_events: Vec<RelatedEvent<'a>>,
}

/// `uid` is the id that API Activity has as `metadata.correlation_uid`.
#[derive(Serialize)]
pub(super) struct RelatedEvent<'a> {
    pub uid: &'a str,
}

#[derive(Serialize)]
pub(super) struct Metadata {
    pub version: &'static str,
    pub product: Product,
    /// Unique among all events: entries of one request have the same id, but not the same number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The id: the same in all entries of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_uid: Option<String>,
    /// The entry's number.
    pub sequence: u64,
    /// RFC 3339 with microseconds, which `time` cannot hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_time: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Product {
    pub name: &'static str,
    pub vendor_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<&'static str>,
}

/// At least one attribute is required.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Actor<'a> {
    User { user: User<'a> },
    Gateway { app_name: &'static str },
}

#[derive(Serialize)]
pub(super) struct User<'a> {
    pub name: &'a str,
    pub type_id: u32,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_uid: Option<&'a str>,
}

/// The object `api`.
#[derive(Serialize)]
pub(super) struct Call<'a> {
    pub operation: String,
    pub request: Request<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service<'a>>,
}

#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub uid: &'a str,
}

#[derive(Serialize)]
pub(super) struct Response<'a> {
    pub code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Service<'a> {
    pub name: &'a str,
}

#[derive(Serialize)]
pub(super) struct Endpoint<'a> {
    pub name: &'a str,
}

#[derive(Serialize)]
pub(super) struct HttpRequest<'a> {
    pub http_method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url<'a>>,
}

#[derive(Serialize)]
pub(super) struct Url<'a> {
    /// The template of the path: a ledger has no raw paths.
    pub path: &'a str,
}

#[derive(Serialize)]
pub(super) struct ManagedEntity<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub type_id: u32,
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    pub policy: Policy<'a>,
}

#[derive(Serialize)]
pub(super) struct Policy<'a> {
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    pub is_applied: bool,
}

/// The ledger's own attributes, by the names that they have in an entry.
#[derive(Default, Serialize)]
pub(super) struct Unmapped<'a> {
    pub kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contractor_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contractor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal: Option<Legal<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members_withheld: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects_total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<&'a serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

/// A legal grant that the disclosure was a use of.
#[derive(Serialize)]
pub(super) struct Legal<'a> {
    pub case: &'a str,
    pub authority: &'a str,
    pub approved_by: Vec<&'a str>,
    pub expires: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_reference: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Records {
    pub released: u64,
    pub withheld: u64,
    pub without_subject: u64,
}

#[derive(Serialize)]
pub(super) struct Field<'a> {
    pub path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transform: Option<&'a str>,
    pub disclosed: u64,
    pub withheld: u64,
    pub drifted: u64,
}

#[derive(Serialize)]
pub(super) struct Stream {
    pub part: u64,
    pub last: bool,
}
