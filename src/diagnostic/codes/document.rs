//! Codes of upstreams' own OpenAPI documents, and of rules that do not fit them.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    PATH_NOT_IN_DOCUMENT,
    METHOD_NOT_IN_DOCUMENT,
    MEMBER_NOT_IN_DOCUMENT,
    DOCUMENT_UNREADABLE,
    QUERY_NOT_IN_DOCUMENT,
];

pub const PATH_NOT_IN_DOCUMENT: Code = code(
    "E441",
    "a route's path is not in the upstream's document",
    "The upstream says what it serves in its OpenAPI document. A path that is not there is a slip, or the document is old.",
    r#"path = "/order/{order_id}""#,
    r#"path = "/orders/{order_id}""#,
);

pub const METHOD_NOT_IN_DOCUMENT: Code = code(
    "E442",
    "a route's method is not in the upstream's document",
    "The upstream does not serve this method on this path, as its OpenAPI document says.",
    r#"methods = ["PUT"]"#,
    r#"methods = ["POST"]"#,
);

pub const MEMBER_NOT_IN_DOCUMENT: Code = code(
    "E443",
    "a path names a member that the upstream's document does not know",
    "Nothing would ever be disclosed by it, a condition by it would never hold, or a member of another name would leave one day.",
    r#""@.recipient.nam""#,
    r#""@.recipient.name""#,
);

pub const DOCUMENT_UNREADABLE: Code = code(
    "E641",
    "an upstream's OpenAPI document cannot be read",
    "Rules are held against it, so it must be there and be one: JSON, OpenAPI 3.0 or 3.1.",
    r#"openapi = "orders.yaml""#,
    r#"openapi = "orders.json""#,
);

pub const QUERY_NOT_IN_DOCUMENT: Code = code(
    "W441",
    "a route permits a query parameter that the upstream's document does not know",
    "The upstream ignores it, or does something with it that nobody wrote down.",
    r#"query = ["cursor", "lmit"]"#,
    r#"query = ["cursor", "limit"]"#,
);
