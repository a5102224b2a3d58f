//! What Grafana says of itself and of the caller: enough for tools that look before they upload.

use std::sync::Arc;

use axum::extract::State;
use serde_json::{Value, json};

use super::sources::shown;
use super::{Answer, Answered, CLAIMED_VERSION, off_reactor};
use crate::app::App;
use crate::auth::{Caller, Level};

/// `GET /api/health`. Strangers learn only that we live.
pub(super) async fn health(State(app): State<Arc<App>>, caller: Caller) -> Answer {
    let mut body = json!({"database": "ok"});
    if caller.may(Level::Read) {
        body["version"] = Value::from(CLAIMED_VERSION);
        body["commit"] = Value::from(app.rooms.build.revision.clone());
        body["watchfire"] = Value::from(app.rooms.build.version.clone());
    }
    Answer(body)
}

/// `GET /api/org`.
pub(super) async fn org() -> Answer {
    Answer(json!({"id": 1, "name": "Main Org.", "address": {"address1": "", "address2": "", "city": "", "zipCode": "", "state": "", "country": ""}}))
}

/// `GET /api/orgs`.
pub(super) async fn orgs() -> Answer {
    Answer(json!([{"id": 1, "name": "Main Org."}]))
}

/// `GET /api/user/orgs`.
pub(super) async fn user_orgs(caller: Caller) -> Answer {
    Answer(json!([{"orgId": 1, "name": "Main Org.", "role": if caller.may(Level::Admin) { "Admin" } else { "Viewer" }}]))
}

/// `GET /api/user`.
pub(super) async fn user(caller: Caller) -> Answer {
    let admin = caller.may(Level::Admin);
    Answer(json!({
        "id": 1, "uid": &*caller.name, "login": &*caller.name, "name": &*caller.name, "email": "", "theme": "", "orgId": 1,
        "isGrafanaAdmin": admin, "isDisabled": false, "isExternal": false, "authLabels": [],
    }))
}

/// `GET /api/frontend/settings`.
pub(super) async fn settings(State(app): State<Arc<App>>) -> Answered {
    let revision = app.rooms.build.revision.clone();
    off_reactor(&app, move |boards| {
        let sources = boards.source_list();
        let default = sources.iter().find(|s| s.record.is_default).map(|s| s.record.name.clone());
        let all: serde_json::Map<String, Value> = sources.iter().map(|s| (s.record.name.clone(), shown(s))).collect();
        Ok(json!({
            "appSubUrl": "", "defaultDatasource": default, "datasources": all,
            "buildInfo": {"version": CLAIMED_VERSION, "commit": revision, "edition": "Open Source", "env": "production"},
            "unifiedAlertingEnabled": false, "featureToggles": {},
        }))
    })
    .await
}
