//! The description of our interface: OpenAPI 3.1, made from the route table and from `shapes.json`, which holds what a test made of the
//! types that are really sent. Foreign faces are listed too; their shapes are described by those who invented them.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::server::{Answer, Level, Parameter, Route, Spec};

/// Bodies by operation, and the types that they refer to by name: `shapes.json`,
/// packed when this was built.
const SHAPES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shapes.json.gz"));
const REQUEST: &str = "request";

/// The route of the description itself.
pub fn routes() -> Vec<Route<Arc<App>>> {
    vec![Route::get("/api/openapi.json", Level::Read, serve).summary("This description").tag("system").answers_with(200, "application/json", "OpenAPI 3.1")]
}

/// `GET /api/openapi.json`.
async fn serve(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], app.openapi()).into_response()
}

/// The description of all faces and of other routes as JSON text.
pub(crate) fn document(version: &str, others: &[Spec]) -> String {
    // It is ours, and a test reads it.
    let mut shapes: Map<String, Value> = serde_json::from_reader(flate2::read::GzDecoder::new(SHAPES)).unwrap_or_default();
    let bodies = shapes.remove("bodies").unwrap_or_default();
    let mut paths = Map::new();
    let faces = crate::routes();
    for spec in faces.iter().map(Route::spec).chain(others).filter(|spec| !spec.doc.hidden) {
        describe(spec, &bodies, &mut paths);
    }
    let mut schemas = shapes.remove("schemas").and_then(|s| s.as_object().cloned()).unwrap_or_default();
    schemas.insert("Error".to_owned(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Watchfire",
            "version": version,
            "description": "Monitoring in one process. Levels: public needs nothing; read, ingest and admin need a token, a session or, while authentication is off, a local caller.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "password": { "type": "http", "scheme": "basic" },
            },
        },
    })
    .to_string()
}

fn describe(spec: &Spec, bodies: &Value, paths: &mut Map<String, Value>) {
    let entry = paths.entry(spec.path.clone()).or_insert_with(|| json!({}));
    let Some(entry) = entry.as_object_mut() else { return };
    for method in &spec.methods {
        let mut operation = Map::new();
        let id = operation_id(method.as_str(), &spec.path);
        operation.insert("operationId".to_owned(), id.clone().into());
        operation.insert("summary".to_owned(), spec.doc.summary.into());
        if !spec.doc.description.is_empty() {
            operation.insert("description".to_owned(), spec.doc.description.into());
        }
        operation.insert("tags".to_owned(), json!([spec.doc.tag]));
        operation.insert("x-level".to_owned(), spec.level.word().into());
        let security = if spec.level == Level::Public { json!([]) } else { json!([{ "token": [] }, { "password": [] }]) };
        operation.insert("security".to_owned(), security);
        if !spec.doc.parameters.is_empty() {
            operation.insert("parameters".to_owned(), spec.doc.parameters.iter().map(parameter).collect());
        }
        if spec.doc.request.is_some() {
            let schema = &bodies[key(&id, REQUEST)];
            operation.insert("requestBody".to_owned(), json!({ "required": true, "content": { "application/json": { "schema": schema } } }));
        }
        operation.insert("responses".to_owned(), responses(&spec.doc.answers, &id, bodies));
        entry.insert(method.as_str().to_ascii_lowercase(), Value::Object(operation));
    }
}

/// Where the shape of a body stands among the bodies of `shapes.json`: by its operation, and its status or [`REQUEST`].
fn key(id: &str, which: impl std::fmt::Display) -> String {
    format!("{id} {which}")
}

/// A name for generated clients: `get_api_system_gpu`.
fn operation_id(method: &str, path: &str) -> String {
    let path = path.replace("/-/", "/lifecycle/");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    std::iter::once(method.to_ascii_lowercase()).chain(words.map(str::to_owned)).collect::<Vec<_>>().join("_")
}

fn parameter(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": parameter.place.word(),
        "required": parameter.required,
        "description": parameter.description,
        "schema": { "type": parameter.kind },
    })
}

fn responses(answers: &[Answer], id: &str, bodies: &Value) -> Value {
    let mut all = Map::new();
    for answer in answers {
        let body = if answer.schema.is_some() { json!({ "schema": bodies[key(id, answer.status)] }) } else { json!({}) };
        all.insert(answer.status.to_string(), json!({ "description": answer.description, "content": { answer.content_type: body } }));
    }
    if answers.is_empty() {
        all.insert("200".to_owned(), json!({ "description": "Done", "content": { "application/json": {} } }));
    }
    let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
    all.insert("default".to_owned(), json!({ "description": "Refused", "content": { "application/json": error } }));
    Value::Object(all)
}

/// The shape of every native refusal; its codes are listed in `docs/reference/errors.md`.
fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": { "code": { "type": "string" }, "message": { "type": "string" } },
            },
            "request_id": { "type": "string" },
        },
    })
}
