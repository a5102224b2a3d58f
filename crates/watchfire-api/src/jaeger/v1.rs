//! The interface of Jaeger's page: `/api/services`, `/api/traces` and so on.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use serde::Serialize;
use watchfire_model::spans::SpanKind;
use watchfire_query::traces;

use super::answer::{Data, JaegerError};
use super::params::{Params, id};
use super::render::{self, OperationJson, TraceJson};
use crate::app::App;
use crate::prometheus::gate::run;

/// `GET /api/services`.
pub(super) async fn services(State(app): State<Arc<App>>) -> Result<Data<String>, JaegerError> {
    run(&app, None, |app, budget| Ok(Data::counted(traces::services(&*app.rooms.spans, traces::Range::ALL, budget)?))).await
}

/// `GET /api/services/{service}/operations`.
pub(super) async fn operations_of(State(app): State<Arc<App>>, Path(service): Path<String>) -> Result<Data<String>, JaegerError> {
    run(&app, None, move |app, budget| {
        let all = traces::operations(&*app.rooms.spans, &service, None, traces::Range::ALL, budget)?;
        let names: BTreeSet<String> = all.into_iter().map(|operation| operation.name).collect();
        Ok(Data::counted(names.into_iter().collect()))
    })
    .await
}

/// Reads the kind of spans.
pub(super) fn kind(text: Option<&str>) -> Result<Option<SpanKind>, JaegerError> {
    text.map(|text| SpanKind::from_name(text).ok_or_else(|| JaegerError::bad(format!("unknown span kind {text:?}")))).transpose()
}

/// `GET /api/operations`.
pub(super) async fn operations(State(app): State<Arc<App>>, request: Request) -> Result<Data<OperationJson>, JaegerError> {
    let params = Params::read(request).await?;
    let service = params.needed("service")?.to_owned();
    let kind = kind(params.get("spanKind"))?;
    run(&app, None, move |app, budget| {
        let all = traces::operations(&*app.rooms.spans, &service, kind, traces::Range::ALL, budget)?;
        Ok(Data::counted(all.into_iter().map(OperationJson::new).collect()))
    })
    .await
}

/// `GET /api/traces`.
pub(super) async fn traces(State(app): State<Arc<App>>, request: Request) -> Result<Data<TraceJson>, JaegerError> {
    let params = Params::read(request).await?;
    let ids = params.ids()?;
    if !ids.is_empty() {
        let range = params.range_of_trace()?;
        return run(&app, None, move |app, budget| {
            let found = traces::traces(&*app.rooms.spans, &ids, range, budget)?;
            if found.is_empty() { Err(JaegerError::no_trace()) } else { Ok(Data::of(found.iter().map(render::trace).collect())) }
        })
        .await;
    }
    let (search, range) = (params.search()?, params.range(&app)?);
    run(&app, None, move |app, budget| {
        let found = traces::find(&*app.rooms.spans, &search, range, budget)?;
        Ok(Data::of(found.iter().map(render::trace).collect()))
    })
    .await
}

/// `GET /api/traces/{id}`.
pub(super) async fn trace(State(app): State<Arc<App>>, Path(text): Path<String>, request: Request) -> Result<Data<TraceJson>, JaegerError> {
    let id = id(&text)?;
    let range = Params::read(request).await?.range_of_trace()?;
    run(&app, None, move |app, budget| {
        let found = traces::trace(&*app.rooms.spans, id, range, budget)?.ok_or_else(JaegerError::no_trace)?;
        Ok(Data::of(vec![render::trace(&found)]))
    })
    .await
}

/// A call of one service by another.
#[derive(Serialize)]
pub(super) struct DependencyJson {
    parent: Arc<str>,
    child: Arc<str>,
    #[serde(rename = "callCount")]
    calls: u64,
}

/// `GET /api/dependencies`.
pub(super) async fn dependencies(State(app): State<Arc<App>>, request: Request) -> Result<Data<DependencyJson>, JaegerError> {
    let range = Params::read(request).await?.range_back()?;
    run(&app, None, move |app, budget| {
        let all = traces::dependencies(&*app.rooms.spans, range, budget)?;
        Ok(Data::of(all.into_iter().map(|d| DependencyJson { parent: d.parent, child: d.child, calls: d.calls }).collect()))
    })
    .await
}
