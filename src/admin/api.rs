//! The interface for programs, described by itself: OpenAPI 3.1.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::guard::{Entrance, Right, See, rights};
use super::pages;

const WHERE: &str = "/api/v1/openapi.json";

pub fn routes() -> Router<Entrance> {
    Router::new().route(WHERE, get(document))
}

/// One thing that programs can ask for.
pub struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    right: Right,
    query: Vec<(&'static str, &'static str)>,
    body: Option<Shape>,
    answer: Answer,
    schemas: Vec<(String, RefOr<Schema>)>,
}

/// The name of a schema.
struct Shape(String);

enum Answer {
    Json(Shape),
    /// A file of this media type.
    File(&'static str),
}

impl Operation {
    pub fn get<A: ToSchema>(path: &'static str, right: Right, summary: &'static str) -> Self {
        Self::new::<A>("get", path, right, summary)
    }

    pub fn post<B: ToSchema, A: ToSchema>(path: &'static str, right: Right, summary: &'static str) -> Self {
        let mut operation = Self::new::<A>("post", path, right, summary);
        operation.body = Some(operation.schema::<B>());
        operation
    }

    /// A POST whose answer is a file.
    pub fn file<B: ToSchema>(
        path: &'static str,
        right: Right,
        summary: &'static str,
        kind: &'static str,
    ) -> Self {
        let mut operation = Self::post::<B, Nothing>(path, right, summary);
        operation.answer = Answer::File(kind);
        operation
    }

    /// A parameter of the query.
    pub fn with(mut self, name: &'static str, what: &'static str) -> Self {
        self.query.push((name, what));
        self
    }

    fn new<A: ToSchema>(
        method: &'static str,
        path: &'static str,
        right: Right,
        summary: &'static str,
    ) -> Self {
        let mut operation = Operation {
            method,
            path,
            summary,
            right,
            query: Vec::new(),
            body: None,
            answer: Answer::File(""),
            schemas: Vec::new(),
        };
        operation.answer = Answer::Json(operation.schema::<A>());
        operation
    }

    fn schema<T: ToSchema>(&mut self) -> Shape {
        T::schemas(&mut self.schemas);
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), <T as PartialSchema>::schema()));
        Shape(name)
    }

    fn value(&self) -> Value {
        let names = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let path = names.map(|name| {
            json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            })
        });
        let query = self.query.iter().map(|(name, what)| {
            json!({
                "name": name, "in": "query", "description": what, "schema": { "type": "string" },
            })
        });
        let answer = match &self.answer {
            Answer::Json(shape) => json!({ "application/json": { "schema": shape.reference() } }),
            Answer::File(kind) => json!({ *kind: { "schema": { "type": "string" } } }),
        };
        let mut value = json!({
            "summary": self.summary,
            "description": format!("Roles: {}.", roles(self.right)),
            "operationId": format!("{} {}", self.method, self.path),
            "parameters": path.chain(query).collect::<Vec<_>>(),
            "responses": {
                "200": { "description": "As asked for", "content": answer },
                "4XX": { "$ref": "#/components/responses/problem" },
                "5XX": { "$ref": "#/components/responses/problem" },
            },
        });
        if let Some(body) = &self.body {
            let content = json!({ "application/json": { "schema": body.reference() } });
            value["requestBody"] = json!({ "required": true, "content": content });
        }
        value
    }
}

impl Shape {
    fn reference(&self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{}", self.0) })
    }
}

/// A body without members: an empty JSON object.
#[derive(serde::Deserialize, ToSchema)]
pub struct Nothing {}

fn roles(right: Right) -> String {
    let may = super::Role::ALL.into_iter().filter(|role| role.may(right)).map(super::Role::as_str);
    may.collect::<Vec<_>>().join(", ")
}

/// The same for everybody who is signed in.
async fn document(_: See<rights::View>) -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| describe(&pages::operations()).to_string());
    ([(CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

fn describe(operations: &[Operation]) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = Map::new();
    for operation in operations {
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), operation.value());
        for (name, schema) in &operation.schemas {
            // Structures of strings and numbers always serialise.
            schemas.insert(name.clone(), serde_json::to_value(schema).unwrap_or_default());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fieldgate, review side",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "What the pages of the review side do. Times are microseconds since 1970-01-01T00:00:00Z \
                            unless they say otherwise. What is looked up, taken out or decided is an entry in the \
                            ledger first; where that cannot be written, the answer is 503.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "problem": {
                "description": "RFC 9457",
                "content": { "application/problem+json": { "schema": {
                    "type": "object",
                    "properties": {
                        "type": { "type": "string" }, "title": { "type": "string" },
                        "status": { "type": "integer" }, "detail": { "type": "string" },
                    },
                } } },
            } },
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "Made on the page of the signed-in account",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-fieldgate",
                    "description": "A browser's; POSTs also need the page's token, as the header X-Form-Token",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn routes_in(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                routes_in(&path, found);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let routes = text.match_indices(".route(").map(|(at, _)| &text[at..]);
            let paths = routes.filter_map(|rest| rest.split('"').nth(1));
            found.extend(paths.filter(|path| path.starts_with("/api/")).map(str::to_owned));
        }
    }

    #[test]
    fn each_route_for_programs_is_described_and_no_other() {
        let mut found = BTreeSet::new();
        routes_in(Path::new("src/admin/pages"), &mut found);
        let document = describe(&pages::operations());
        let described: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(found, described);
        let text = document.to_string();
        let names = text
            .match_indices("#/components/schemas/")
            .map(|(at, prefix)| text[at + prefix.len()..].split('"').next().unwrap().to_owned());
        for name in names {
            assert!(
                document["components"]["schemas"][&name].is_object(),
                "{name} is referred to and not there"
            );
        }
    }
}
