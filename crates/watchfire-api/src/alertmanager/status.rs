//! What runs, whom it can tell, and what it could not tell.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::Uri;
use watchfire_model::time::Timestamp;

use super::shapes::{Cluster, DeadLetter, DeadLetters, Named, Original, Status, Version};
use super::{Query, blocking};
use crate::app::App;
use crate::server::Refusal;

/// The version of the API that we speak, as its tools compare it with their own.
const SPOKEN: &str = "0.34.0";
/// Dead letters that are listed unless the caller says how many.
const LETTERS: usize = 100;
/// The most that are listed at once.
const LETTERS_MAX: usize = 1_000;

pub(super) async fn status(State(app): State<Arc<App>>) -> Result<Json<Status>, Refusal> {
    blocking(move || {
        let build = &app.rooms.build;
        Json(Status {
            cluster: Cluster { name: String::new(), peers: Vec::new(), status: "disabled" },
            config: Original { original: app.rooms.alertmanager.config().shown.clone() },
            uptime: app.rooms.started_at.rfc3339_millis(),
            version_info: Version {
                branch: "HEAD".to_owned(),
                build_date: String::new(),
                build_user: format!("watchfire {}", build.version),
                go_version: build.compiler.clone(),
                revision: build.revision.clone(),
                version: SPOKEN.to_owned(),
            },
        })
    })
    .await
}

pub(super) async fn receivers(State(app): State<Arc<App>>) -> Result<Json<Vec<Named>>, Refusal> {
    blocking(move || Json(app.rooms.alertmanager.config().receivers.iter().map(|r| Named { name: r.name.clone() }).collect())).await
}

pub(super) async fn dead_letters(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<DeadLetters>, Refusal> {
    let limit = match Query::of(&uri).first("limit").map(str::parse::<usize>) {
        None => LETTERS,
        Some(Ok(limit)) => limit.min(LETTERS_MAX),
        Some(Err(_)) => return Err(Refusal::bad_request("limit must be a whole number")),
    };
    blocking(move || {
        let all = app.rooms.alertmanager.dead_letters();
        let total = all.len();
        let items = all.into_iter().take(limit).map(|letter| DeadLetter {
            id: letter.id,
            receiver: letter.lane.receiver,
            integration: letter.lane.kind,
            index: letter.lane.index,
            group_key: letter.lane.group,
            reason: letter.reason,
            first_at: Timestamp(letter.first_ms).rfc3339_millis(),
            last_at: Timestamp(letter.last_ms).rfc3339_millis(),
            times: letter.times,
            attempts: letter.attempts,
            alerts_count: letter.alerts_count,
            alerts: letter.alerts,
        });
        Json(DeadLetters { total, items: items.collect() })
    })
    .await
}
