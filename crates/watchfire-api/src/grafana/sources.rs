//! `/api/datasources`: what data sources there are and which of them are answered.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::boards::{Boards, Source};
use super::error::GrafanaError;
use super::{Answered, object, off_reactor};
use crate::app::App;

pub(super) fn shown(source: &Source) -> Value {
    let Source { record, read_only, not_followed } = source;
    let mut shown = json!({
        "id": record.id, "uid": record.uid, "orgId": 1, "name": record.name, "type": record.kind, "typeName": record.kind, "typeLogoUrl": "",
        "access": record.access, "url": record.url, "user": "", "database": "", "basicAuth": false, "basicAuthUser": "", "withCredentials": false,
        "isDefault": record.is_default, "jsonData": record.json_data, "secureJsonFields": {}, "version": 1, "readOnly": read_only,
    });
    if let Some(reason) = not_followed {
        shown["notFollowed"] = reason.as_str().into();
    }
    shown
}

fn named(boards: &Boards, name: &str) -> Result<Source, GrafanaError> {
    boards.source_list().into_iter().find(|s| s.record.name == name).ok_or_else(|| GrafanaError::not_found("Data source"))
}

/// `GET /api/datasources`.
pub(super) async fn list(State(app): State<Arc<App>>) -> Answered {
    off_reactor(&app, |boards| Ok(boards.source_list().iter().map(shown).collect())).await
}

/// `GET /api/datasources/uid/{uid}`.
pub(super) async fn by_uid(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Answered {
    off_reactor(&app, move |boards| Ok(shown(&boards.source(&uid)?))).await
}

/// `GET /api/datasources/{id}`.
pub(super) async fn by_id(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    let id = number(&id)?;
    off_reactor(&app, move |boards| Ok(shown(&boards.source_by_id(id)?))).await
}

fn number(id: &str) -> Result<i64, GrafanaError> {
    id.parse().map_err(|_| GrafanaError::bad("id is invalid"))
}

fn changed(boards: &Boards, uid: &str, body: &Map<String, Value>) -> Result<Value, GrafanaError> {
    let changed = boards.change_source(uid, body)?;
    let message = match &changed.not_followed {
        None => "Datasource updated".to_owned(),
        Some(reason) => format!("Datasource updated, but not followed: {reason}"),
    };
    Ok(json!({"id": changed.record.id, "name": changed.record.name, "message": message, "datasource": shown(&changed)}))
}

/// `PUT /api/datasources/uid/{uid}`.
pub(super) async fn change(State(app): State<Arc<App>>, Path(uid): Path<String>, request: Request) -> Answered {
    let body = object(request).await?;
    off_reactor(&app, move |boards| changed(boards, &uid, &body)).await
}

/// `PUT /api/datasources/{id}`.
pub(super) async fn change_by_id(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request) -> Answered {
    let (id, body) = (number(&id)?, object(request).await?);
    off_reactor(&app, move |boards| changed(boards, &boards.source_by_id(id)?.record.uid, &body)).await
}

/// `DELETE /api/datasources/{id}`.
pub(super) async fn delete_by_id(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    let id = number(&id)?;
    off_reactor(&app, move |boards| gone(boards, &boards.source_by_id(id)?.record.uid)).await
}

/// `GET /api/datasources/name/{name}`.
pub(super) async fn by_name(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answered {
    off_reactor(&app, move |boards| Ok(shown(&named(boards, &name)?))).await
}

/// `GET /api/datasources/id/{name}`.
pub(super) async fn id_of(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answered {
    off_reactor(&app, move |boards| Ok(json!({"id": named(boards, &name)?.record.id}))).await
}

/// `GET /api/datasources/uid/{uid}/health`.
pub(super) async fn health(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Answered {
    off_reactor(&app, move |boards| match boards.source(&uid)?.not_followed {
        None => Ok(json!({"status": "OK", "message": "Answered by this server."})),
        Some(reason) => Err(GrafanaError::bad(format!("Not followed: {reason}")).word("ERROR")),
    })
    .await
}

/// `POST /api/datasources`.
pub(super) async fn add(State(app): State<Arc<App>>, request: Request) -> Answered {
    let body = object(request).await?;
    off_reactor(&app, move |boards| {
        let added = boards.add_source(&body)?;
        let message = match &added.not_followed {
            None => "Datasource added".to_owned(),
            Some(reason) => format!("Datasource added, but not followed: {reason}"),
        };
        Ok(json!({"id": added.record.id, "name": added.record.name, "message": message, "datasource": shown(&added)}))
    })
    .await
}

fn gone(boards: &Boards, uid: &str) -> Result<Value, GrafanaError> {
    let gone = boards.remove_source(uid)?;
    Ok(json!({"id": gone.id, "message": "Data source deleted"}))
}

/// `DELETE /api/datasources/uid/{uid}`.
pub(super) async fn delete(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Answered {
    off_reactor(&app, move |boards| gone(boards, &uid)).await
}

/// `DELETE /api/datasources/name/{name}`.
pub(super) async fn delete_name(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answered {
    off_reactor(&app, move |boards| {
        let uid = named(boards, &name).map_err(|_| GrafanaError::new(StatusCode::NOT_FOUND, "Data source not found"))?.record.uid;
        gone(boards, &uid)
    })
    .await
}
