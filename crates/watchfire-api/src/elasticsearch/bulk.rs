//! `_bulk` and `_doc`: each item has its own result, in the order of the request; what is acknowledged can be searched at once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use watchfire_ingest::elasticsearch::{Item, Verb};
use watchfire_model::batch::Origin;
use watchfire_model::logs::LogLine;
use watchfire_model::text::shortened;
use watchfire_model::write::WriteError;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::DECOMPRESSED_BYTES_MAX;
use watchfire_query::documents::Document;

use super::answer::{EsError, answer, bytes};
use crate::app::App;
use crate::prometheus::answer::to_json;

/// `POST|PUT /_bulk`.
pub(super) async fn bulk(State(app): State<Arc<App>>, request: Request) -> Result<Response, EsError> {
    take(app, request, None).await
}

/// `POST|PUT /{index}/_bulk`.
pub(super) async fn bulk_into(State(app): State<Arc<App>>, Path(index): Path<String>, request: Request) -> Result<Response, EsError> {
    take(app, request, Some(index)).await
}

async fn body_of(request: Request) -> Result<Bytes, EsError> {
    axum::body::to_bytes(request.into_body(), DECOMPRESSED_BYTES_MAX).await.map_err(|_| EsError::bad("the body broke off"))
}

fn origin(request: &Request) -> Origin {
    Origin::new(&match crate::prometheus::write::peer(request) {
        Some(ip) => format!("elasticsearch/{ip}"),
        None => "elasticsearch".to_owned(),
    })
}

fn later(error: &WriteError) -> EsError {
    let status = if matches!(error, WriteError::Busy(_) | WriteError::TooFast(_)) { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE };
    EsError::new(status, "es_rejected_execution_exception", error.to_string())
}

fn internal() -> EsError {
    EsError::new(StatusCode::INTERNAL_SERVER_ERROR, "exception", "cannot take the data; the server's log says more")
}

async fn take(app: Arc<App>, request: Request, index: Option<String>) -> Result<Response, EsError> {
    // Senders ask for what they look at; the rest would be most of a large answer.
    let brief = request.uri().query().is_some_and(|q| q.contains("filter_path="));
    let began = app.rooms.clock.monotonic();
    let origin = origin(&request);
    let body = body_of(request).await?;
    let task = spawn_blocking(move || -> Result<_, EsError> {
        let elasticsearch = &app.rooms.elasticsearch;
        let mut items = elasticsearch.read(&body, index.as_deref()).map_err(|e| EsError::bad(e.to_string()))?;
        drop(body);
        items.iter_mut().try_for_each(|item| through_alias(&app, item))?;
        elasticsearch.store(&mut items, origin).map_err(|e| later(&e))?;
        Ok(written(items, brief, app.rooms.clock.monotonic().saturating_sub(began)))
    });
    Ok(bytes(StatusCode::OK, "application/json", task.await.map_err(|_| internal())??))
}

/// What is written to an alias goes to an index of it.
fn through_alias(app: &App, item: &mut Item) -> Result<(), EsError> {
    if let Some(place) = app.aliases.written(&item.index)? {
        item.goes_to(place);
    }
    Ok(())
}

/// The answer to a request that took so long. A result is text as soon as it is there, and its item is gone then: of all of them at once
/// as values of JSON, a large request would take many times its own memory.
fn written(items: Vec<Item>, brief: bool, took: Duration) -> Vec<u8> {
    let errors = items.iter().any(|item| item.entry.is_err());
    let mut out = format!("{{\"errors\":{errors},\"took\":{},\"items\":[", took.as_millis()).into_bytes();
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&to_json(&json!({ item.verb.name(): result(&item, brief) })));
    }
    out.extend_from_slice(b"]}");
    out
}

/// What became of an item.
fn result(item: &Item, brief: bool) -> Value {
    match &item.entry {
        Ok(_) if brief => json!({"status": 201}),
        Ok((labels, entry)) => {
            let line = LogLine { labels, time: entry.time, line: &entry.line, metadata: &entry.metadata };
            json!({
                "_index": item.index, "_id": Document::new(line).id(), "_version": 1, "result": "created",
                "_shards": {"total": 1, "successful": 1, "failed": 0}, "_seq_no": 0, "_primary_term": 1, "status": 201
            })
        }
        Err(refused) => json!({"_index": shortened(&item.index), "status": refused.status, "error": {"type": refused.kind, "reason": refused.message}}),
    }
}

/// `POST /{index}/_doc`.
pub(super) async fn document(State(app): State<Arc<App>>, Path(index): Path<String>, request: Request) -> Result<Response, EsError> {
    single(app, request, index, None).await
}

/// `POST|PUT /{index}/_doc/{id}`.
pub(super) async fn document_called(State(app): State<Arc<App>>, Path((index, id)): Path<(String, String)>, request: Request) -> Result<Response, EsError> {
    single(app, request, index, Some(id)).await
}

async fn single(app: Arc<App>, request: Request, index: String, id: Option<String>) -> Result<Response, EsError> {
    let origin = origin(&request);
    let body = body_of(request).await?;
    let task = spawn_blocking(move || -> Result<_, EsError> {
        let elasticsearch = &app.rooms.elasticsearch;
        let mut items = [Item::single(Verb::Index, &index, id, &body, elasticsearch.now())];
        items.iter_mut().try_for_each(|item| through_alias(&app, item))?;
        elasticsearch.store(&mut items, origin).map_err(|e| later(&e))?;
        Ok(items)
    });
    let [item] = task.await.map_err(|_| internal())??;
    if let Err(refused) = &item.entry {
        let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
        return Ok(EsError::new(status, refused.kind, refused.message.clone()).into_response());
    }
    let mut result = result(&item, false);
    if let Some(object) = result.as_object_mut() {
        object.remove("status");
    }
    Ok(answer(StatusCode::CREATED, &result))
}
