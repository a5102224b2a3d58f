//! `/api/folders`: folders of dashboards.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::boards::FolderFound;
use super::error::GrafanaError;
use super::{Answered, folder_url, moment, object, off_reactor};
use crate::app::App;
use crate::auth::Caller;

fn shown(found: &FolderFound) -> Value {
    let FolderFound { folder, version, created_ms, created_by, can_save } = found;
    json!({
        "id": folder.id, "uid": folder.uid, "title": folder.title, "url": folder_url(folder), "hasAcl": false,
        "canSave": can_save, "canEdit": can_save, "canAdmin": can_save, "canDelete": can_save,
        "created": moment(*created_ms), "createdBy": created_by, "updated": moment(*created_ms), "updatedBy": created_by, "version": version,
    })
}

fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    body.get(key).and_then(Value::as_str)
}

/// How many come unless it is said.
const LIMIT: usize = 1_000;

/// `GET /api/folders`. Folders have no folders in them, so those of another one are none.
pub(super) async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answered {
    let (mut limit, mut page, mut inside) = (LIMIT, 1, false);
    for (name, value) in form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes()).filter(|(_, value)| !value.is_empty()) {
        let number = || value.parse::<usize>().map_err(|_| GrafanaError::bad(format!("{name} must be a number, not {value:?}")));
        match &*name {
            "limit" => limit = Some(number()?).filter(|n| *n > 0).unwrap_or(LIMIT),
            "page" => page = number()?.max(1),
            "parentUid" => inside = true,
            _ => {}
        }
    }
    let entry = |f: &FolderFound| json!({"id": f.folder.id, "uid": f.folder.uid, "title": f.folder.title});
    off_reactor(&app, move |boards| {
        let all = if inside { Vec::new() } else { boards.folders() };
        Ok(all.iter().skip((page - 1).saturating_mul(limit)).take(limit).map(entry).collect())
    })
    .await
}

/// `GET /api/folders/id/{id}`.
pub(super) async fn by_id(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    let id: i64 = id.parse().map_err(|_| GrafanaError::bad("id is invalid"))?;
    off_reactor(&app, move |boards| {
        let found = boards.folders().into_iter().find(|f| f.folder.id == id);
        Ok(shown(&found.ok_or_else(super::boards::no_folder)?))
    })
    .await
}

/// `GET /api/folders/{uid}`.
pub(super) async fn get(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Answered {
    off_reactor(&app, move |boards| Ok(shown(&boards.folder(&uid)?))).await
}

/// `POST /api/folders`.
pub(super) async fn make(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Answered {
    let body = object(request).await?;
    if text(&body, "parentUid").is_some_and(|parent| !parent.is_empty()) {
        return Err(GrafanaError::bad("folders have no folders in them here: leave parentUid out"));
    }
    off_reactor(&app, move |boards| Ok(shown(&boards.make_folder(text(&body, "uid"), text(&body, "title").unwrap_or_default(), &caller.name)?))).await
}

/// `PUT /api/folders/{uid}`.
pub(super) async fn rename(State(app): State<Arc<App>>, Path(uid): Path<String>, request: Request) -> Answered {
    let body = object(request).await?;
    let overwrite = body.get("overwrite").and_then(Value::as_bool).unwrap_or(false);
    let version = body.get("version").and_then(Value::as_u64);
    off_reactor(&app, move |boards| Ok(shown(&boards.rename_folder(&uid, text(&body, "title").unwrap_or_default(), version, overwrite)?))).await
}

/// `DELETE /api/folders/{uid}`.
pub(super) async fn delete(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Answered {
    off_reactor(&app, move |boards| {
        let gone = boards.remove_folder(&uid)?;
        Ok(json!({"id": gone.id, "title": gone.title, "message": format!("Folder {} deleted", gone.title)}))
    })
    .await
}
