//! Codes of routes: their paths, conditions and what they disclose.

use super::{Code, code};

pub(super) const ALL: &[Code] = &[
    PATH_NOT_UNDERSTOOD,
    TREATED_TWICE,
    TOO_COMPLEX,
    UNKNOWN_UPSTREAM,
    UNKNOWN_PARAMETER,
    RECORDS_FROM_RECORD,
    RECORDS_NESTED,
    SUBJECT_SEVERAL,
    SUBJECT_FROM_BODY,
    ACCEPT_MISSING,
    ACCEPT_WITHOUT_BODY,
    ACCEPT_FROM_RECORD,
    ROUTE_TWICE,
    SCAN_WITHOUT_TEXT,
    WHOLE_AND_TRANSFORM,
    SUBJECT_NEEDED,
    NO_SUBJECT,
    NOTHING_DISCLOSED,
    HOLDS_BODY,
    BUILDS_TREE,
    COUNTS_FROM_END,
];

pub const PATH_NOT_UNDERSTOOD: Code = code(
    "E401",
    "a path or condition is not understood",
    "It is not JSONPath (RFC 9535), or a part of it that is not supported. A path that is not understood is never taken for one that is.",
    r#""@.recipient.[name]""#,
    r#""@.recipient.name""#,
);

pub const TREATED_TWICE: Code = code(
    "E402",
    "two paths treat one value differently",
    "One would disclose what the other hides. Which of them holds must not depend on their order.",
    r#"disclose = ["@.phone", { path = "@['phone']", transform = "last4" }]"#,
    r#"disclose = [{ path = "@.phone", transform = "last4" }]"#,
);

pub const TOO_COMPLEX: Code = code(
    "E403",
    "paths are too many, or lie inside each other",
    "The gateway checks each value as it passes. Paths with many `..` and wildcards would make that slow for everybody.",
    r#"disclose = ["$..*..*..a", "$..*..b"]"#,
    r#"disclose = ["$.order.a", "$.order.b"]"#,
);

pub const UNKNOWN_UPSTREAM: Code = code(
    "E404",
    "an upstream is not known",
    "A route names one of the [upstream] tables of fieldgate.toml.",
    r#"upstream = "oders""#,
    r#"upstream = "orders""#,
);

pub const UNKNOWN_PARAMETER: Code = code(
    "E405",
    "a parameter is not in the path",
    "Its pattern would check nothing.",
    r#"path   = "/orders/{order_id}"
params = { id = "[0-9]+" }"#,
    r#"path   = "/orders/{order_id}"
params = { order_id = "[0-9]+" }"#,
);

pub const RECORDS_FROM_RECORD: Code = code(
    "E406",
    "records are looked for inside a record",
    "`records` says where in the body the records are, so it begins at the body: `$`.",
    r#"records = "@.data[*]""#,
    r#"records = "$.data[*]""#,
);

pub const RECORDS_NESTED: Code = code(
    "E407",
    "one record could be inside another",
    "Each record has one subject and one condition. A record inside another would have two.",
    r#"records = "$..orders[*]""#,
    r#"records = "$.data[*]""#,
);

pub const SUBJECT_SEVERAL: Code = code(
    "E408",
    "a record could have several subjects",
    "The ledger says of each disclosure whom it is about. A path that can select several values leaves that open.",
    r#"subject = "@.customers[*].id""#,
    r#"subject = "@.customer.id""#,
);

pub const SUBJECT_FROM_BODY: Code = code(
    "E409",
    "the subject is not read from the record",
    "With `records`, each record is about its own customer, so its subject begins at the record: `@`.",
    r#"records = "$.data[*]"
subject = "$.customer.id""#,
    r#"records = "$.data[*]"
subject = "@.customer.id""#,
);

pub const ACCEPT_MISSING: Code = code(
    "E410",
    "a route that writes does not say what it accepts",
    "What a contractor may send is listed like what it may get. Anything else in a request is refused.",
    r#"methods = ["POST"]"#,
    r#"methods = ["POST"]
accept  = ["$.comment"]"#,
);

pub const ACCEPT_WITHOUT_BODY: Code = code(
    "E411",
    "a route that only reads says what it accepts",
    "No method of this route sends a body.",
    r#"methods = ["GET"]
accept  = ["$.comment"]"#,
    r#"methods = ["POST"]
accept  = ["$.comment"]"#,
);

pub const ACCEPT_FROM_RECORD: Code = code(
    "E412",
    "a request body has no records",
    "Paths in `accept` begin at the body: `$`.",
    r#"accept = ["@.comment"]"#,
    r#"accept = ["$.comment"]"#,
);

pub const ROUTE_TWICE: Code = code(
    "E413",
    "two routes of one task serve one request",
    "The task would say two things about one request. Merge the routes, or make two tasks.",
    r#"path = "/orders/{id}"
# and in the same task
path = "/orders/{order_id}""#,
    r#"path = "/orders/{order_id}""#,
);

pub const SCAN_WITHOUT_TEXT: Code = code(
    "E414",
    "free text is scanned that does not leave",
    "The transform keeps no text, so that there is nothing to scan. What the author wanted to protect may be elsewhere.",
    r#"{ path = "@.note", transform = "redact", scan = ["pan"] }"#,
    r#"{ path = "@.note", scan = ["pan"] }"#,
);

pub const WHOLE_AND_TRANSFORM: Code = code(
    "E415",
    "a subtree has a transform",
    "A transform changes one value. A subtree has many, and the ones that it does not fit would be unclear.",
    r#"{ path = "@.address", whole = true, transform = "mask" }"#,
    r#"{ path = "@.address.street", transform = "mask" }"#,
);

pub const NO_SUBJECT: Code = code(
    "W401",
    "a route does not say whom it is about",
    "Its disclosures cannot appear in the accounting that a customer may ask for, and neither limits on customers nor planted customers work.",
    r#"path = "/orders/{order_id}""#,
    r#"path    = "/orders/{order_id}"
subject = "@.customer.id""#,
);

pub const NOTHING_DISCLOSED: Code = code(
    "W402",
    "a route discloses nothing",
    "Only what `disclose` lists leaves the gateway.",
    "disclose = []",
    r#"disclose = ["@.order_id"]"#,
);

pub const HOLDS_BODY: Code = code(
    "N401",
    "the whole body is held",
    "Something is asked for by `$` that can stand after the records, so that nothing leaves before the end is read. It costs memory, up to `max_body`.",
    r#"when = "$.region == 'EU'""#,
    r#"when = "@.region == 'EU'""#,
);

pub const BUILDS_TREE: Code = code(
    "N402",
    "a tree is built",
    "The question cannot be answered in one pass over the text. It costs time and memory for each record.",
    r#"disclose = ["@.items[?@.kind == 'parcel'].id"]"#,
    r#"disclose = ["@.items[*].id"]"#,
);

pub const COUNTS_FROM_END: Code = code(
    "N403",
    "a path counts from the end of a list",
    "The list must be read ahead to know its length.",
    r#"disclose = ["@.events[-1].status"]"#,
    r#"disclose = ["@.events[0].status"]"#,
);

pub const SUBJECT_NEEDED: Code = code(
    "E431",
    "a route does not say whom its records are about, and its basis depends on that",
    "On consent, and by a legal grant, it is decided for each customer whether a record leaves. A record that names nobody would never leave.",
    r#"path = "/orders/{order_id}""#,
    r#"path    = "/orders/{order_id}"
subject = "@.customer.id""#,
);
