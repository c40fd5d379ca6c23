//! The document of one contractor.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::model::{Basis, RulesDigest};

use super::super::file::Method;
use super::super::plan::{Contractor, Plan, Route, Scheme, Surroundings};
use super::document::{Document, Lookup, Operation};
use super::narrow::{self, Known};
use super::problems::{self, reference};
use super::{Example, example};

/// What routes are described by.
struct Sources<'a> {
    plan: &'a Plan,
    documents: &'a BTreeMap<String, Arc<Document>>,
    examples: &'a [Example],
}

impl Plan {
    /// Makes each contractor's interface.
    pub(in crate::rules) fn describe(&mut self, surroundings: &Surroundings, examples: &[Example]) {
        let sources = Sources { plan: self, documents: &surroundings.documents, examples };
        let interfaces: Vec<Bytes> =
            self.contractors.iter().map(|contractor| sources.interface(contractor)).collect();
        for (contractor, interface) in self.contractors.iter_mut().zip(interfaces) {
            // The plan was made just now, and nobody else has it yet.
            if let Some(contractor) = Arc::get_mut(contractor) {
                contractor.interface = interface;
            }
        }
    }
}

impl Sources<'_> {
    fn interface(&self, contractor: &Contractor) -> Bytes {
        let paths = self.paths(contractor);
        // It changes with the interface, and with nothing that concerns other contractors.
        let told = Value::from(paths.clone()).to_string();
        let version = RulesDigest::of([(contractor.id.as_str(), told.as_str())]);
        let document = json!({
            "openapi": "3.1.0",
            "info": info(contractor, &version.as_str()[..12]),
            "servers": [{ "url": "/", "description": "The gateway that serves this document" }],
            "security": security(contractor),
            "tags": contractor.tasks.iter().map(|task| json!({
                "name": task.id.as_str(),
                "description": task.purpose,
            })).collect::<Vec<_>>(),
            "paths": paths,
            "components": components(contractor),
        });
        // A tree of strings and numbers always serialises.
        let mut text = serde_json::to_vec_pretty(&document).unwrap_or_default();
        text.push(b'\n');
        text.into()
    }

    fn paths(&self, contractor: &Contractor) -> Map<String, Value> {
        // Templates that the same requests match are one path, whatever their parameters are called.
        let mut groups: Vec<Vec<&Route>> = Vec::new();
        for route in &contractor.routes {
            match groups.iter_mut().find(|group| group[0].template.overlaps(&route.template)) {
                Some(group) => group.push(route),
                None => groups.push(vec![route]),
            }
        }
        let mut paths = Map::new();
        for routes in groups {
            let mut item = Map::new();
            for word in Method::WORDS {
                let fitting: Vec<&Route> = routes
                    .iter()
                    .copied()
                    .filter(|route| route.methods.iter().any(|method| method.as_str() == *word))
                    .collect();
                if let (Some(method), false) = (Method::new(word), fitting.is_empty()) {
                    item.insert(word.to_ascii_lowercase(), self.operation(contractor, method, &fitting));
                }
            }
            paths.insert(routes[0].template.as_str().to_owned(), item.into());
        }
        paths.insert("/.well-known/fieldgate/openapi.json".into(), own_document());
        paths.insert("/.well-known/fieldgate/receipts/{disclosure_id}".into(), receipts());
        paths
    }

    fn operation(&self, contractor: &Contractor, method: Method, routes: &[&Route]) -> Value {
        let tasks: Vec<_> = routes.iter().map(|route| &contractor.tasks[route.task]).collect();
        let ids: Vec<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        let purposes: Vec<&str> = tasks.iter().map(|task| task.purpose.as_str()).collect();
        let has_body = routes.iter().any(|route| route.has_body);
        let mut operation = json!({
            "operationId": operation_id(method, routes[0]),
            "summary": purposes.join("; "),
            "tags": ids,
            "parameters": parameters(routes, &ids),
            "responses": self.responses(method, routes, has_body),
            "x-fieldgate-tasks": tasks.iter().map(|task| json!({
                "task": task.id.as_str(),
                "purpose": task.purpose,
                "basis": basis(task.basis),
            })).collect::<Vec<_>>(),
        });
        if has_body && let Some(members) = operation.as_object_mut() {
            members.insert("requestBody".into(), self.request(method, routes));
        }
        operation
    }

    fn request(&self, method: Method, routes: &[&Route]) -> Value {
        let schemas = routes.iter().filter(|route| route.has_body).map(|route| {
            let operation = self.operation_of(route, method);
            let known = operation
                .map(|(document, operation)| (Known { document, is_example: false }, operation.request()));
            narrow::accepted(&route.accepted, known)
        });
        json!({
            "required": true,
            "description": "Any other member is refused (400 field-not-permitted).",
            "content": { "application/json": { "schema": any_of(schemas.collect()) } },
        })
    }

    fn operation_of(&self, route: &Route, method: Method) -> Option<(&Document, Operation<'_>)> {
        let document = self.documents.get(&route.upstream)?;
        match document.look_up(&route.template, method) {
            Lookup::Operation(operation) => Some((document, operation)),
            Lookup::NoPath(_) | Lookup::NoMethod(_) => None,
        }
    }

    fn responses(&self, method: Method, routes: &[&Route], has_body: bool) -> Map<String, Value> {
        let schema = any_of(routes.iter().map(|route| self.answer(route, method)).collect());
        let known = routes.iter().filter_map(|route| self.operation_of(route, method));
        let mut statuses: Vec<&str> = known.flat_map(|(_, operation)| operation.successes()).collect();
        if statuses.is_empty() {
            statuses.push(if method == Method::Get { "200" } else { "2XX" });
        }
        let headers = [
            "Fieldgate-Disclosure-Id",
            "Fieldgate-Purpose",
            "RateLimit",
            "RateLimit-Policy",
            "Cache-Control",
        ];
        let success = json!({
            "description": "What the task discloses. Members that the customer's record does not have, or \
                            that are not what the rules say, are left out.",
            "headers": headers.map(reference).into_iter().collect::<Map<_, _>>(),
            "content": { "application/json": { "schema": schema } },
        });
        let mut responses: Map<String, Value> =
            statuses.into_iter().map(|status| (status.to_owned(), success.clone())).collect();
        responses.extend(problems::references(has_body));
        responses
    }

    fn answer(&self, route: &Route, method: Method) -> Value {
        if let Some((document, operation)) = self.operation_of(route, method) {
            let known = Known { document, is_example: false };
            return narrow::disclosed(&route.selection, Some((known, operation.answer())));
        }
        let shown = example::shown(self.examples, self.plan, route);
        let known =
            shown.as_deref().map(|document| (Known { document, is_example: true }, document.root_node()));
        narrow::disclosed(&route.selection, known)
    }
}

fn any_of(mut schemas: Vec<Value>) -> Value {
    schemas.dedup();
    match schemas.len() {
        1 => schemas.remove(0),
        _ => json!({ "anyOf": schemas }),
    }
}

fn info(contractor: &Contractor, version: &str) -> Value {
    json!({
        "title": format!("Customer data for {}", contractor.name),
        "version": version,
        "summary": contractor.service,
        "description": format!(
            "What {} may call and will get under agreement {}, from {} until {}. HEAD follows GET. Any query \
             parameter or body member that is not listed is refused. Card numbers in texts are masked unless \
             the task is for payment. Responses may not be stored by caches.",
            contractor.name, contractor.agreement.reference, contractor.agreement.effective,
            contractor.agreement.expires
        ),
    })
}

fn parameters(routes: &[&Route], tasks: &[&str]) -> Vec<Value> {
    let first = routes[0];
    let mut parameters: Vec<Value> = first
        .template
        .parameters()
        .map(|name| {
            let schema = json!({ "type": "string", "pattern": first.parameters.pattern(name) });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    let mut query: Vec<&str> = routes.iter().flat_map(|route| &route.query).map(String::as_str).collect();
    query.sort_unstable();
    query.dedup();
    parameters.extend(query.into_iter().map(
        |name| json!({ "name": name, "in": "query", "required": false, "schema": { "type": "string" } }),
    ));
    if tasks.len() > 1 {
        parameters.push(json!({
            "name": "Fieldgate-Task",
            "in": "header",
            "required": true,
            "description": "Which task the request is for.",
            "schema": { "type": "string", "enum": tasks },
        }));
    }
    parameters
}

fn operation_id(method: Method, route: &Route) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let path: String = route.template.as_str().chars().map(plain).collect();
    let words: Vec<&str> = path.split('_').filter(|word| !word.is_empty()).collect();
    format!("{}_{}", method.as_str().to_ascii_lowercase(), words.join("_"))
}

/// GDPR, Article 6(1), points (a) to (c).
fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Contract => "contract: needed to perform a contract with the customer",
        Basis::Consent => "consent: the customer has agreed, and can withdraw",
        Basis::LegalObligation => "legal obligation: required by law",
    }
}

fn scheme(scheme: Scheme) -> (&'static str, Value) {
    match scheme {
        Scheme::Certificate => (
            "clientCertificate",
            json!({ "type": "mutualTLS", "description": "A client certificate that the gateway knows." }),
        ),
        Scheme::ApiKey => (
            "apiKey",
            json!({ "type": "http", "scheme": "bearer", "description": "An API key, as a bearer token." }),
        ),
        Scheme::Token => (
            "token",
            json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A signed token of your issuer." }),
        ),
    }
}

/// Any one of them.
fn security(contractor: &Contractor) -> Vec<Value> {
    let one = |name: &Scheme| Value::from(Map::from_iter([(scheme(*name).0.to_owned(), json!([]))]));
    contractor.schemes.iter().map(one).collect()
}

fn components(contractor: &Contractor) -> Value {
    let schemes: Map<String, Value> = contractor
        .schemes
        .iter()
        .map(|name| scheme(*name))
        .map(|(name, written)| (name.to_owned(), written))
        .collect();
    json!({
        "securitySchemes": schemes,
        "headers": headers(),
        "responses": problems::components(contractor.routes.iter().any(|route| route.has_body)),
        "schemas": { "Problem": {
            "description": "RFC 9457.",
            "type": "object",
            "required": ["type", "title", "status", "detail", "instance"],
            "properties": {
                "type": { "type": "string", "pattern": "^urn:fieldgate:problem:[a-z-]+$" },
                "title": { "type": "string" },
                "status": { "type": "integer" },
                "detail": { "type": "string" },
                "instance": { "type": "string", "format": "uri", "description": "The request's id." },
            },
        } },
    })
}

fn headers() -> Map<String, Value> {
    let header = |(name, description): (&str, &str)| {
        (name.to_owned(), json!({ "description": description, "schema": { "type": "string" } }))
    };
    [
        ("Allow", "The methods that the path has."),
        ("Cache-Control", "Always no-store."),
        ("Fieldgate-Disclosure-Id", "The entry in the ledger; a receipt can be fetched by it."),
        ("Fieldgate-Purpose", "What the data may be used for, and nothing else."),
        ("RateLimit", "Requests that are left, and distinct customers that are left for the day."),
        ("RateLimit-Policy", "The limits."),
        ("Retry-After", "Seconds to wait."),
        ("WWW-Authenticate", "RFC 6750."),
    ]
    .into_iter()
    .map(header)
    .collect()
}

fn own(operation: Value) -> Value {
    let mut operation = operation;
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        responses.extend(
            problems::references(false)
                .filter(|(status, _)| ["400", "401", "403", "404", "405", "503"].contains(&status.as_str())),
        );
    }
    json!({ "get": operation })
}

fn own_document() -> Value {
    own(json!({
        "operationId": "get_interface",
        "summary": "This document",
        "responses": { "200": {
            "description": "An OpenAPI document. It holds no customer's data.",
            "content": { "application/json": { "schema": { "type": "object" } } },
        } },
    }))
}

fn receipts() -> Value {
    own(json!({
        "operationId": "get_receipt",
        "summary": "The proof that one of your disclosures is in the ledger",
        "parameters": [{
            "name": "disclosure_id",
            "in": "path",
            "required": true,
            "description": "A Fieldgate-Disclosure-Id; for a later part of a response in parts, with its number behind a dot.",
            "schema": { "type": "string" },
        }],
        "responses": { "200": {
            "description": "A C2SP tlog-proof.",
            "content": { "text/plain": { "schema": { "type": "string" } } },
        } },
    }))
}
