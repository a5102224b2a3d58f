//! `/api/traces/{id}` and `/api/v2/traces/{id}`: a trace as OTLP, in JSON or in protobuf, as the asker accepts it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use watchfire_ingest::protobuf::Writer;
use watchfire_model::logs::Nanos;
use watchfire_model::read::Budget;
use watchfire_model::spans::TraceId;
use watchfire_query::traces::{self, Range, Span, Trace};

use super::answer::TempoError;
use super::params::Params;
use crate::app::App;
use crate::prometheus::answer::json;
use crate::prometheus::gate::run;
use crate::traces::otlp::{self, Form};

const PROTOBUF: &str = "application/protobuf";

/// Which of the two answers is wanted.
#[derive(Clone, Copy)]
enum Version {
    /// The trace.
    V1,
    /// The trace in a message of its own.
    V2,
}

/// `GET /api/traces/{id}`.
pub(super) async fn trace(state: State<Arc<App>>, id: Path<String>, request: Request) -> Result<Response, TempoError> {
    answered(state, id, request, Version::V1).await
}

/// `GET /api/v2/traces/{id}`.
pub(super) async fn trace_v2(state: State<Arc<App>>, id: Path<String>, request: Request) -> Result<Response, TempoError> {
    answered(state, id, request, Version::V2).await
}

async fn answered(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request, version: Version) -> Result<Response, TempoError> {
    let protobuf = request.headers().get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains(PROTOBUF)));
    let id = TraceId::parse(id.trim()).ok_or_else(|| TempoError::bad(format!("invalid trace id {id:?}: 32 hexadecimal digits are needed, or fewer")))?;
    let params = Params::read(request).await?;
    // Only who names a range wants less than everything. The ends are those of traces, of which spans may begin before.
    let start = params.time("start")?.map_or(Nanos::MIN, |(start, _)| Nanos(start.0.saturating_sub(AROUND_NS)));
    let end = params.time("end")?.map_or(Nanos::MAX, |(end, _)| Nanos(end.0.saturating_add(AROUND_NS)));
    run(&app, None, move |app, budget| {
        let Some(trace) = traces::trace(&*app.rooms.spans, id, Range { start, end }, budget)? else {
            return Err(TempoError::new(StatusCode::NOT_FOUND, format!("trace {id} not found")));
        };
        if protobuf { as_protobuf(&trace, version, budget) } else { as_json(&trace, version, budget) }
    })
    .await
}

/// Spans of a trace may begin so long before and after what its asker knows of it.
const AROUND_NS: i64 = 3_600 * 1_000_000_000;

fn as_json(trace: &Trace, version: Version, budget: &Budget) -> Result<Response, TempoError> {
    let spans = otlp::json(trace.spans.iter().map(Span::row), Form::Protojson, budget)?;
    let (before, after): (&[u8], &[u8]) = match version {
        Version::V1 => (b"{\"batches\":", b"}"),
        Version::V2 => (b"{\"trace\":{\"resourceSpans\":", b"},\"metrics\":{}}"),
    };
    Ok(json(StatusCode::OK, [before, &spans, after].concat()))
}

/// Trace { 1: ResourceSpans* }; TraceByIDResponse { 1: Trace, 2: metrics, 3: status, 4: message }, of which 0 says that it is complete.
fn as_protobuf(trace: &Trace, version: Version, budget: &Budget) -> Result<Response, TempoError> {
    let bytes = trace.spans.iter().map(|span| span.row().bytes() as u64).sum();
    budget.charge_memory(bytes)?;
    let rows = trace.spans.iter().map(Span::row);
    let mut out = Writer::new();
    match version {
        Version::V1 => otlp::protobuf(&mut out, 1, rows),
        Version::V2 => out.message(1, |out| otlp::protobuf(out, 1, rows)),
    }
    let mut response = out.into_bytes().into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    Ok(response)
}
