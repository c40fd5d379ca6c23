//! The refusals that a contractor may meet, by status. `proxy::Refusal` is what gives them; a test holds both
//! against each other.

use serde_json::{Map, Value, json};

/// Status, codes, and when they come.
pub const PROBLEMS: [(u16, &[&str], &str); 18] = [
    (
        400,
        &["bad-request", "parameter-not-permitted", "field-not-permitted"],
        "The request is malformed, or has a query parameter or a body member that is not listed here.",
    ),
    (401, &["no-credential", "bad-credential"], "No credential, or one that is unknown, expired or revoked."),
    (
        403,
        &["suspended", "agreement-inactive", "no-such-task", "outside-network", "outside-hours"],
        "Access is suspended, the agreement is not in force, the task is not yours, or it may not be used from \
         there or at this time.",
    ),
    (404, &["not-found"], "There is nothing here for you. One answer for all causes."),
    (405, &["method-not-allowed"], "This path has other methods; see Allow."),
    (406, &["not-acceptable"], "Responses are application/json."),
    (408, &["request-timeout"], "The request took too long to arrive."),
    (413, &["content-too-large"], "The request body is too large."),
    (414, &["uri-too-long"], "The request target is too long."),
    (415, &["unsupported-media-type"], "The body is not application/json, or has a content coding."),
    (417, &["expectation-failed"], "The only expectation is 100-continue."),
    (421, &["misdirected-request"], "The request is for another host."),
    (
        429,
        &["rate-limited", "subject-limit"],
        "Too many requests, or too many distinct customers today; see Retry-After.",
    ),
    (431, &["request-header-fields-too-large"], "The request has too many header fields."),
    (500, &["internal-error"], "Something went wrong in the gateway."),
    (
        502,
        &[
            "upstream-not-json",
            "upstream-malformed",
            "upstream-ambiguous",
            "upstream-too-large",
            "upstream-error",
            "upstream-unreachable",
        ],
        "The service behind the gateway failed, or gave an answer that cannot be reduced.",
    ),
    (
        503,
        &["ledger-unavailable", "overloaded"],
        "The disclosure cannot be recorded or served now, so it is not made; see Retry-After.",
    ),
    (504, &["upstream-timeout"], "The service behind the gateway took too long."),
];

/// Those that only a request with a body meets.
const OF_BODIES: [u16; 3] = [408, 413, 415];

/// `components.responses`.
pub fn components(has_body: bool) -> Map<String, Value> {
    let component =
        |(status, codes, when): &(u16, &[&str], &str)| (name(*status), response(*status, codes, when));
    let met = PROBLEMS.iter().filter(|(status, ..)| has_body || !OF_BODIES.contains(status));
    met.map(component).collect()
}

/// References to those of one operation.
pub fn references(has_body: bool) -> impl Iterator<Item = (String, Value)> {
    PROBLEMS
        .iter()
        .map(|(status, ..)| *status)
        .filter(move |status| has_body || !OF_BODIES.contains(status))
        .map(|status| {
            let place = format!("#/components/responses/{}", name(status));
            (status.to_string(), json!({ "$ref": place }))
        })
}

fn name(status: u16) -> String {
    format!("Problem{status}")
}

fn response(status: u16, codes: &[&str], when: &str) -> Value {
    let types: Vec<String> = codes.iter().map(|code| format!("urn:fieldgate:problem:{code}")).collect();
    let mut headers = Map::from_iter([reference("Fieldgate-Disclosure-Id")]);
    let more: &[&str] = match status {
        405 => &["Allow"],
        401 => &["WWW-Authenticate"],
        403 => &["Retry-After"],
        429 => &["Retry-After", "RateLimit", "RateLimit-Policy"],
        503 => &["Retry-After"],
        _ => &[],
    };
    headers.extend(more.iter().map(|name| reference(name)));
    json!({
        "description": when,
        "headers": headers,
        "content": { "application/problem+json": { "schema": {
            "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "properties": { "type": { "enum": types }, "status": { "const": status } } },
            ],
        } } },
    })
}

/// A header among the components.
pub fn reference(name: &str) -> (String, Value) {
    (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
}
