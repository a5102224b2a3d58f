//! What Zipkin's page and clients ask: services, names, traces, dependencies. Times are milliseconds, durations microseconds.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use watchfire_model::logs::Nanos;
use watchfire_model::spans::TraceId;
use watchfire_query::traces::{self, Range, Search};

use super::render;
use crate::app::App;
use crate::prometheus::answer::{ApiError, json as json_response, to_json};
use crate::prometheus::gate::run;
use crate::prometheus::params::Params;

/// How far back a search reaches that does not say so.
const LOOKBACK_MS: i64 = 86_400_000;
/// How many traces come unless it is said, and at most.
const LIMIT: usize = 10;
const LIMIT_MAX: usize = 1_500;

/// Why a request has no answer, as plain text.
pub(super) struct ZipkinRefusal(StatusCode, String);
impl ZipkinRefusal {
    fn bad(message: impl Into<String>) -> ZipkinRefusal {
        ZipkinRefusal(StatusCode::BAD_REQUEST, message.into())
    }
}
impl From<ApiError> for ZipkinRefusal {
    fn from(error: ApiError) -> ZipkinRefusal {
        ZipkinRefusal(error.kind.status(), error.message)
    }
}
impl From<watchfire_model::read::ReadError> for ZipkinRefusal {
    fn from(error: watchfire_model::read::ReadError) -> ZipkinRefusal {
        ApiError::from(error).into()
    }
}
impl IntoResponse for ZipkinRefusal {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

type Answer = Result<Response, ZipkinRefusal>;

fn answer(value: &impl serde::Serialize) -> Response {
    json_response(StatusCode::OK, to_json(value))
}

fn number<T: FromStr>(params: &Params, name: &str) -> Result<Option<T>, ZipkinRefusal> {
    let Some(text) = params.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ZipkinRefusal::bad(format!("{name} must be a whole number, not {text:?}")))
}

fn range(params: &Params, app: &App) -> Result<Range, ZipkinRefusal> {
    let end: i64 = number(params, "endTs")?.unwrap_or_else(|| app.now().millis());
    let back: i64 = number(params, "lookback")?.unwrap_or(LOOKBACK_MS);
    Ok(Range { start: Nanos::from_millis(end.saturating_sub(back)), end: Nanos::from_millis(end.saturating_add(1)) })
}

/// `error and http.method=GET` as pairs; a name alone wants the tag that says so.
fn tags(query: &str) -> Vec<(String, String)> {
    let terms = query.split(" and ").map(str::trim).filter(|term| !term.is_empty());
    terms.map(|term| term.split_once('=').map_or_else(|| (term.to_owned(), "true".to_owned()), |(name, value)| (name.to_owned(), value.to_owned()))).collect()
}

fn search(params: &Params) -> Result<Search, ZipkinRefusal> {
    // Zipkin's page sends `all` where nothing is chosen.
    let chosen = |name: &str| params.get(name).filter(|text| !text.is_empty() && *text != "all").map(str::to_owned);
    let micros = |name: &str| Ok::<_, ZipkinRefusal>(number::<u64>(params, name)?.map(|micros| micros.saturating_mul(1_000)));
    Ok(Search {
        service: chosen("serviceName"),
        operation: chosen("spanName"),
        tags: params.get("annotationQuery").map(tags).unwrap_or_default(),
        min: micros("minDuration")?,
        max: micros("maxDuration")?,
        limit: number(params, "limit")?.unwrap_or(LIMIT).min(LIMIT_MAX),
    })
}

/// `GET /api/v2/services`.
pub(super) async fn services(State(app): State<Arc<App>>) -> Answer {
    run(&app, None, |app, budget| Ok(answer(&traces::services(&*app.rooms.spans, Range::ALL, budget)?))).await
}

/// `GET /api/v2/spans`.
pub(super) async fn names(State(app): State<Arc<App>>, request: Request) -> Answer {
    let params = Params::read(request).await?;
    let service = params.get("serviceName").unwrap_or("").to_owned();
    run(&app, None, move |app, budget| {
        let all = traces::operations(&*app.rooms.spans, &service, None, Range::ALL, budget)?;
        Ok(answer(&all.into_iter().map(|operation| operation.name).collect::<BTreeSet<String>>()))
    })
    .await
}

/// `GET /api/v2/traces`.
pub(super) async fn traces(State(app): State<Arc<App>>, request: Request) -> Answer {
    let params = Params::read(request).await?;
    let (search, range) = (search(&params)?, range(&params, &app)?);
    run(&app, None, move |app, budget| {
        let found = traces::find(&*app.rooms.spans, &search, range, budget)?;
        Ok(answer(&found.iter().map(render::trace).collect::<Vec<_>>()))
    })
    .await
}

/// `GET /api/v2/trace/{id}`.
pub(super) async fn trace(State(app): State<Arc<App>>, Path(text): Path<String>) -> Answer {
    let wrong = || ZipkinRefusal::bad("the id of a trace is up to 32 hexadecimal digits, not all of them zero");
    let id = TraceId::parse(&text).ok_or_else(wrong)?;
    run(&app, None, move |app, budget| match traces::trace(&*app.rooms.spans, id, Range::ALL, budget)? {
        Some(found) => Ok(answer(&render::trace(&found))),
        None => Err(ZipkinRefusal(StatusCode::NOT_FOUND, format!("no trace {id}"))),
    })
    .await
}

/// `GET /api/v2/dependencies`.
pub(super) async fn dependencies(State(app): State<Arc<App>>, request: Request) -> Answer {
    let params = Params::read(request).await?;
    if params.get("endTs").is_none() {
        return Err(ZipkinRefusal::bad("endTs is needed: milliseconds since 1970"));
    }
    let range = range(&params, &app)?;
    run(&app, None, move |app, budget| {
        let all = traces::dependencies(&*app.rooms.spans, range, budget)?;
        Ok(answer(&all.iter().map(|d| json!({"parent": *d.parent, "child": *d.child, "callCount": d.calls})).collect::<Vec<_>>()))
    })
    .await
}
