//! What senders and clients ask before they write: who is there, in which health, with which license. Nothing is kept of templates and
//! policies that they bring.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Value, json};
use watchfire_model::text::shortened;

use super::aliases;
use super::answer::{EsError, Good, answer};
use super::indices::names_of;
use super::search::{body, parsed};
use crate::app::App;
use crate::prometheus::gate::run;

/// The version that is claimed: clients choose by it what they ask.
const VERSION: &str = "8.19.0";
const CLUSTER: &str = "watchfire";

/// `GET /`.
pub(super) async fn root(State(app): State<Arc<App>>) -> Good {
    Good(json!({
        "name": "watchfire", "cluster_name": CLUSTER, "cluster_uuid": CLUSTER,
        "version": {
            "number": VERSION, "build_flavor": "default", "build_type": "tar", "build_hash": app.rooms.build.revision, "build_date": "2026-01-01T00:00:00.000Z",
            "build_snapshot": false, "lucene_version": "9.12.2", "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0"
        },
        "tagline": "You Know, for Search"
    }))
}

/// `GET /_cluster/health`.
pub(super) async fn health(State(app): State<Arc<App>>) -> Good {
    let failed = (app.rooms.storage)().failure.is_some();
    let status = if failed { "red" } else { "green" };
    Good(json!({
        "cluster_name": CLUSTER, "status": status, "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1, "active_primary_shards": 1,
        "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0, "unassigned_shards": 0, "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0, "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0
    }))
}

/// `GET /_cluster/settings`: nobody has set anything.
pub(super) async fn settings() -> Good {
    Good(json!({"persistent": {}, "transient": {}}))
}

/// `GET /_license`.
pub(super) async fn license() -> Good {
    Good(json!({"license": {
        "status": "active", "uid": CLUSTER, "type": "basic", "issue_date": "2026-01-01T00:00:00.000Z", "issue_date_in_millis": 1_767_225_600_000_i64,
        "max_nodes": 1000, "max_resource_units": null, "issued_to": CLUSTER, "issuer": "elasticsearch", "start_date_in_millis": -1
    }}))
}

/// `GET /_xpack`: the features that Beats look for, all of them off but for the life cycle.
pub(super) async fn xpack() -> Good {
    let on = |on: bool| json!({"available": on, "enabled": on});
    Good(json!({
        "build": {"hash": "", "date": ""}, "license": {"uid": CLUSTER, "type": "basic", "mode": "basic", "status": "active"},
        "features": {"ilm": on(true), "data_streams": on(true), "security": on(false), "monitoring": on(false), "ml": on(false)}, "tagline": ""
    }))
}

/// `GET /_nodes`, `/_nodes/{what}`.
pub(super) async fn nodes() -> Good {
    let node = json!({"name": "watchfire", "version": VERSION, "roles": ["data", "ingest", "master"], "http": {"publish_address": "127.0.0.1:9200"}});
    Good(json!({"_nodes": {"total": 1, "successful": 1, "failed": 0}, "cluster_name": CLUSTER, "nodes": {CLUSTER: node}}))
}

/// What is acknowledged can be searched already.
pub(super) async fn refreshed() -> Good {
    Good(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}}))
}

/// `GET|HEAD` of a template, policy, pipeline or data stream: each exists, so nobody needs to bring it.
pub(super) async fn named(uri: Uri, Path(name): Path<String>) -> Good {
    let kind = uri.path().trim_start_matches("/elasticsearch").split('/').nth(1).unwrap_or("");
    Good(match kind {
        "_index_template" => json!({"index_templates": [{"name": name, "index_template": {"index_patterns": [format!("{name}*")], "composed_of": []}}]}),
        "_component_template" => json!({"component_templates": [{"name": name, "component_template": {"template": {}}}]}),
        "_data_stream" => {
            json!({"data_streams": [{"name": name, "timestamp_field": {"name": "@timestamp"}, "indices": [], "generation": 1, "status": "GREEN"}]})
        }
        "_ilm" => json!({ name: {"version": 1, "policy": {"phases": {}}} }),
        _ => json!({ name: {} }),
    })
}

/// `PUT` of the same.
pub(super) async fn acknowledged() -> Good {
    Good(json!({"acknowledged": true}))
}

/// `PUT /{index}`: an index is there with its first document.
pub(super) async fn created(State(app): State<Arc<App>>, Path(index): Path<String>, request: Request) -> Result<Response, EsError> {
    let about = parsed(&body(request).await?)?;
    let name = index.clone();
    run(&app, None, move |app, budget| {
        if app.aliases.has(&name)? {
            let message = format!("Invalid index name [{}], already exists as alias", shortened(&name));
            return Err(EsError::new(StatusCode::BAD_REQUEST, "invalid_index_name_exception", message));
        }
        if names_of(app, budget, Some(&name)).is_ok_and(|all| all.contains(&name)) {
            let message = format!("index [{0}/{0}] already exists", shortened(&name));
            return Err(EsError::new(StatusCode::BAD_REQUEST, "resource_already_exists_exception", message));
        }
        Ok(())
    })
    .await?;
    aliases::of_created(app.clone(), &index, &about).await?;
    app.searches.create(&index);
    let body: Value = json!({"acknowledged": true, "shards_acknowledged": true, "index": index});
    Ok(answer(StatusCode::OK, &body))
}
