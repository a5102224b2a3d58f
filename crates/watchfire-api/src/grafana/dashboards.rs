//! `/api/dashboards/*`: reading and saving dashboards and their versions.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::boards::{BOARD_BYTES_MAX, Boards, Found, Save, Saved, Version, classic};
use super::error::GrafanaError;
use super::{Answered, folder_url, moment, object, off_reactor, slug, url};
use crate::app::App;
use crate::auth::{Caller, Level};

/// The dashboard that the first page shows, where its pack is wanted.
const HOME: &str = "watchfire-host-overview";
/// What Grafana says where nothing expires.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// The most inputs of one dashboard: each is looked for in every text.
const INPUTS_MAX: usize = 100;
/// How deep a dashboard is searched for inputs.
const DEPTH_MAX: usize = 64;

/// `GET /api/dashboards/uid/{uid}`.
pub(super) async fn get(State(app): State<Arc<App>>, Path(uid): Path<String>, caller: Caller) -> Answered {
    let admin = caller.may(Level::Admin);
    off_reactor(&app, move |boards| Ok(shown(boards.get(&uid)?, admin))).await
}

/// `GET /api/dashboards/home`: the dashboard of this machine, or an empty one.
pub(super) async fn home(State(app): State<Arc<App>>, caller: Caller) -> Answered {
    let admin = caller.may(Level::Admin);
    off_reactor(&app, move |boards| {
        let mut home = match boards.get(HOME) {
            Ok(found) => shown(found, admin),
            Err(_) => json!({"meta": {"canSave": false, "canEdit": false, "slug": "home", "url": "/"}, "dashboard": {"title": "Home", "schemaVersion": 39, "panels": []}}),
        };
        home["meta"]["isHome"] = true.into();
        Ok(home)
    })
    .await
}

fn shown(found: Found, admin: bool) -> Value {
    let Found { listed, version, created_ms, created_by, updated_ms, updated_by, can_save, file, pack, mut model } = found;
    for (key, value) in [("id", Value::from(listed.id)), ("uid", Value::from(listed.uid.clone())), ("version", Value::from(version))] {
        model.insert(key.to_owned(), value);
    }
    let mut meta = json!({
        "type": "db", "canSave": can_save && admin, "canEdit": admin, "canAdmin": admin, "canStar": false, "canDelete": can_save && admin,
        "slug": slug(&listed.title), "url": url(&listed.uid, &listed.title), "expires": NEVER,
        "created": moment(created_ms), "createdBy": created_by, "updated": moment(updated_ms), "updatedBy": updated_by, "version": version,
        "hasAcl": false, "isFolder": false, "folderId": listed.folder.id, "folderUid": listed.folder.uid,
        "folderTitle": listed.folder.title, "folderUrl": folder_url(&listed.folder),
        "provisioned": file.is_some() || pack.is_some(), "provisionedExternalId": file.unwrap_or_default(),
    });
    if let Some(pack) = pack {
        meta["pack"] = pack.into();
    }
    json!({"meta": meta, "dashboard": model})
}

/// `POST /api/dashboards/db`.
pub(super) async fn save(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Answered {
    let mut body = object(request).await?;
    let Some(Value::Object(model)) = body.remove("dashboard") else {
        return Err(GrafanaError::bad("bad request data: the body needs an object \"dashboard\""));
    };
    let wanted = wanted(&body, model, &caller)?;
    off_reactor(&app, move |boards| Ok(saved(&boards.save(wanted)?))).await
}

/// What the body of a request wants to be done with a dashboard.
fn wanted(body: &Map<String, Value>, model: Map<String, Value>, caller: &Caller) -> Result<Save, GrafanaError> {
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    if body.get("isFolder").and_then(Value::as_bool) == Some(true) {
        return Err(GrafanaError::bad("Use folders endpoint for saving folders."));
    }
    let message = text("message").unwrap_or_default().chars().take(500).collect();
    let overwrite = body.get("overwrite").and_then(Value::as_bool).unwrap_or(false);
    let folder_id = body.get("folderId").and_then(Value::as_i64).unwrap_or(0);
    Ok(Save { model, folder: text("folderUid"), folder_id, overwrite, message, by: caller.name.to_string(), restored_from: 0 })
}

fn saved(saved: &Saved) -> Value {
    let Saved { id, uid, title, version, folder } = saved;
    json!({"id": id, "uid": uid, "url": url(uid, title), "status": "success", "version": version, "slug": slug(title), "folderUid": folder})
}

/// `POST /api/dashboards/import`: the same with `${NAME}` of the dashboard's inputs replaced by what the request says.
pub(super) async fn import(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Answered {
    let mut body = object(request).await?;
    let Some(Value::Object(mut model)) = body.remove("dashboard") else {
        return Err(GrafanaError::bad("bad request data: the body needs an object \"dashboard\""));
    };
    let inputs = body.get("inputs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if inputs.len() > INPUTS_MAX {
        return Err(GrafanaError::bad(format!("bad request data: more than {INPUTS_MAX} inputs")));
    }
    let text = |input: &Value, key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let values: Vec<(String, String)> = inputs.iter().map(|i| (format!("${{{}}}", text(i, "name")), text(i, "value"))).filter(|(n, _)| n != "${}").collect();
    model = classic(model);
    for key in ["__inputs", "__requires", "__elements"] {
        model.remove(key);
    }
    let mut model = Value::Object(model);
    let mut room = BOARD_BYTES_MAX;
    if !fill_in(&mut model, &values, 0, &mut room) {
        return Err(GrafanaError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("with its inputs filled in the dashboard has more than {BOARD_BYTES_MAX} bytes")));
    }
    let Value::Object(model) = model else { return Err(GrafanaError::bad("bad request data")) };
    let wanted = wanted(&body, model, &caller)?;
    off_reactor(&app, move |boards| {
        let Saved { id, uid, title, version, folder } = boards.save(wanted)?;
        Ok(json!({
            "uid": uid, "pluginId": "", "title": title, "imported": true, "importedUrl": url(&uid, &title), "importedUri": format!("db/{}", slug(&title)),
            "slug": slug(&title), "dashboardId": id, "folderUid": folder, "importedRevision": version, "revision": version, "description": "", "path": "", "removed": false,
        }))
    })
    .await
}

/// Puts the values of inputs in; false when it grows by more than there is room for.
fn fill_in(value: &mut Value, values: &[(String, String)], depth: usize, room: &mut usize) -> bool {
    match value {
        _ if depth > DEPTH_MAX => true,
        Value::String(text) => values.iter().all(|(name, replacement)| {
            let growth = text.matches(name.as_str()).count().saturating_mul(replacement.len());
            let Some(left) = room.checked_sub(growth) else { return false };
            if growth > 0 || text.contains(name.as_str()) {
                *text = text.replace(name.as_str(), replacement);
            }
            *room = left;
            true
        }),
        Value::Array(list) => list.iter_mut().all(|v| fill_in(v, values, depth + 1, room)),
        Value::Object(map) => map.values_mut().all(|v| fill_in(v, values, depth + 1, room)),
        _ => true,
    }
}

/// `DELETE /api/dashboards/uid/{uid}`.
pub(super) async fn delete(State(app): State<Arc<App>>, Path(uid): Path<String>, caller: Caller) -> Answered {
    off_reactor(&app, move |boards| {
        let (id, title) = boards.remove(&uid)?;
        tracing::info!(uid, title, by = &*caller.name, "dashboard deleted");
        Ok(json!({"id": id, "title": title, "message": format!("Dashboard {title} deleted")}))
    })
    .await
}

/// `GET /api/dashboards/uid/{uid}/versions`.
pub(super) async fn versions(State(app): State<Arc<App>>, Path(uid): Path<String>, RawQuery(query): RawQuery) -> Answered {
    let number = |name: &str| {
        let value = form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes()).find(|(n, _)| n == name);
        value.and_then(|(_, v)| v.parse::<usize>().ok()).unwrap_or(0)
    };
    let (start, limit) = (number("start"), number("limit"));
    off_reactor(&app, move |boards| {
        let limit = if limit == 0 { usize::MAX } else { limit };
        Ok(known_versions(boards, &uid)?.iter().skip(start).take(limit).map(|v| shown_version(&uid, v)).collect())
    })
    .await
}

/// The versions of a dashboard. One that nobody saved has none yet.
fn known_versions(boards: &Boards, uid: &str) -> Result<Vec<Version>, GrafanaError> {
    boards.versions(uid).or_else(|error| boards.get(uid).map(|_| Vec::new()).map_err(|_| error))
}

fn shown_version(uid: &str, version: &Version) -> Value {
    let Version { board_id, version, parent, restored_from, saved_ms, by, message } = version;
    json!({
        "id": version, "dashboardId": board_id, "dashboardUID": uid, "uid": uid, "parentVersion": parent, "restoredFrom": restored_from,
        "version": version, "created": moment(*saved_ms), "createdBy": by, "message": message,
    })
}

/// `GET /api/dashboards/uid/{uid}/versions/{version}`.
pub(super) async fn version(State(app): State<Arc<App>>, Path((uid, version)): Path<(String, String)>) -> Answered {
    let version = version.parse().map_err(|_| GrafanaError::bad("version must be a number"))?;
    off_reactor(&app, move |boards| {
        let (version, model) = boards.version(&uid, version)?;
        let mut shown = shown_version(&uid, &version);
        shown["data"] = Value::Object(model);
        Ok(shown)
    })
    .await
}

/// `POST /api/dashboards/uid/{uid}/restore`.
pub(super) async fn restore(State(app): State<Arc<App>>, Path(uid): Path<String>, caller: Caller, request: Request) -> Answered {
    let body = object(request).await?;
    let version = body.get("version").and_then(Value::as_u64).ok_or_else(|| GrafanaError::bad("bad request data: version must be a number"))?;
    off_reactor(&app, move |boards| Ok(saved(&boards.restore(&uid, version, &caller.name)?))).await
}
