//! The newer interface, `/api/v3`: the same questions under other names, traces as OTLP.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use watchfire_model::logs::Nanos;
use watchfire_model::read::Budget;
use watchfire_query::traces::{self, Range, Search, Trace};

use super::answer::JaegerError;
use super::params::{Params, id, tag_object};
use super::render::OperationJson;
use super::v1::kind;
use crate::app::App;
use crate::prometheus::answer::{json as json_response, to_json};
use crate::prometheus::gate::run;
use crate::traces::otlp::{self, Form};

fn answered(result: Result<Vec<u8>, JaegerError>) -> Response {
    match result {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(error) => error.newer().into_response(),
    }
}

/// `GET /api/v3/services`.
pub(super) async fn services(State(app): State<Arc<App>>) -> Response {
    answered(run(&app, None, |app, budget| Ok(to_json(&json!({"services": traces::services(&*app.rooms.spans, Range::ALL, budget)?})))).await)
}

/// `GET /api/v3/operations`.
pub(super) async fn operations(State(app): State<Arc<App>>, request: Request) -> Response {
    let asked = async {
        let params = Params::read(request).await?;
        let service = params.needed("service")?.to_owned();
        let kind = kind(params.any(&["span_kind", "spanKind"]))?;
        run(&app, None, move |app, budget| {
            let all = traces::operations(&*app.rooms.spans, &service, kind, Range::ALL, budget)?;
            let all: Vec<OperationJson> = all.into_iter().map(OperationJson::new).collect();
            Ok(to_json(&json!({"operations": all})))
        })
        .await
    };
    answered(asked.await)
}

/// `{"result": {"resourceSpans": […]}}`
fn result_of(found: &[Trace], budget: &Budget) -> Result<Vec<u8>, JaegerError> {
    let mut body = br#"{"result":{"resourceSpans":"#.to_vec();
    body.extend(otlp::json(found.iter().flat_map(|trace| &trace.spans).map(traces::Span::row), Form::Otlp, budget)?);
    body.extend_from_slice(b"}}");
    Ok(body)
}

/// A time that has to be there, under one of two names.
fn time(params: &Params, names: [&str; 2]) -> Result<Nanos, JaegerError> {
    let text = params.any(&names).ok_or_else(|| JaegerError::bad(format!("malformed parameter {}: it is required", names[0])))?;
    Nanos::parse_rfc3339(text).ok_or_else(|| JaegerError::bad(format!("malformed parameter {}: {text:?} is no time of RFC 3339", names[0])))
}

fn search(params: &Params) -> Result<(Search, Range), JaegerError> {
    let owned = |names: &[&str]| params.any(names).map(str::to_owned);
    let attributes = match params.any(&["query.attributes", "query.tags"]) {
        Some(text) => tag_object("query.attributes", text)?,
        None => Vec::new(),
    };
    let search = Search {
        service: owned(&["query.service_name", "query.serviceName"]),
        operation: owned(&["query.operation_name", "query.operationName"]),
        tags: attributes,
        min: params.duration(&["query.duration_min", "query.durationMin"])?,
        max: params.duration(&["query.duration_max", "query.durationMax"])?,
        limit: params.limit(&["query.search_depth", "query.searchDepth", "query.num_traces", "query.numTraces"])?,
    };
    let range = Range {
        start: time(params, ["query.start_time_min", "query.startTimeMin"])?,
        end: Nanos(time(params, ["query.start_time_max", "query.startTimeMax"])?.0.saturating_add(1)),
    };
    Ok((search, range))
}

/// `GET /api/v3/traces`.
pub(super) async fn traces(State(app): State<Arc<App>>, request: Request) -> Response {
    let asked = async {
        let (search, range) = search(&Params::read(request).await?)?;
        run(&app, None, move |app, budget| result_of(&traces::find(&*app.rooms.spans, &search, range, budget)?, budget)).await
    };
    answered(asked.await)
}

/// `GET /api/v3/traces/{id}`.
pub(super) async fn trace(State(app): State<Arc<App>>, Path(text): Path<String>) -> Response {
    let asked = async {
        let id = id(&text)?;
        run(&app, None, move |app, budget| {
            let found = traces::trace(&*app.rooms.spans, id, Range::ALL, budget)?.ok_or_else(JaegerError::no_trace)?;
            result_of(std::slice::from_ref(&found), budget)
        })
        .await
    };
    answered(asked.await)
}
