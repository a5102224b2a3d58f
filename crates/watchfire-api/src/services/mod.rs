//! The face of service supervision: `/api/system/services`. It shows what the supervisor knows, and passes on what an administrator
//! asks of a service that the configuration names. Nothing of a request becomes part of a command.

pub(crate) mod shapes;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use http::StatusCode;
#[cfg(test)]
use schemars::JsonSchema;
use serde::Deserialize;
use watchfire_model::duration;
use watchfire_model::time::Timestamp;
use watchfire_pipeline::supervision::Supervisor;
use watchfire_pipeline::supervision::policy::{AUDIT_MAX, EVENTS_MAX, Refused, Who};

use self::shapes::{AuditJson, HistoryJson, MaintenanceJson, RestartJson, ServiceJson, ServicesJson};
use crate::app::App;
use crate::auth::Caller;
use crate::server::{Level, Parameter, Place, Refusal, Route};
use watchfire_net::blocking::spawn_blocking;

/// Events and records of an answer, unless it asks for another number.
const LIMIT: usize = 100;
/// The longest reason for a maintenance, in characters.
const REASON_CHARS_MAX: usize = 200;

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Refusal {
        let message = refused.to_string();
        match refused {
            Refused::NoSuchService => Refusal::not_found(message),
            Refused::NoRestart | Refused::Until => Refusal::unprocessable(message),
            Refused::Busy => Refusal::new(StatusCode::CONFLICT, "restart_in_progress", message),
            Refused::NoMaintenance => Refusal::new(StatusCode::CONFLICT, "no_maintenance", message),
            Refused::TooMany => Refusal::too_many(message, 60),
            Refused::Record(_) => Refusal::unavailable(message, 30),
        }
    }
}

/// Asks the supervisor something that may wait for the disk.
async fn ask<T: Send + 'static>(app: &Arc<App>, work: impl FnOnce(&Supervisor) -> T + Send + 'static) -> Result<T, Refusal> {
    let supervisor = app.rooms.supervisor.clone();
    spawn_blocking(move || work(&supervisor)).await.map_err(|_| Refusal::internal())
}

fn no_record(error: watchfire_model::state::StateError) -> Refusal {
    tracing::error!(%error, "the history of services cannot be read");
    Refusal::unavailable("the records cannot be read now", 30)
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}
impl Limit {
    fn within(&self, max: usize) -> usize {
        self.limit.unwrap_or(LIMIT).clamp(1, max)
    }
}

/// `GET /api/system/services`.
async fn list(State(app): State<Arc<App>>) -> Json<ServicesJson> {
    Json(ServicesJson::new(&app.rooms.supervisor.snapshot(), app.now()))
}

/// `GET /api/system/services/{name}`.
async fn one(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<ServiceJson>, Refusal> {
    let snapshot = app.rooms.supervisor.snapshot();
    let found = snapshot.services.iter().find(|s| s.view.rules.name == name).ok_or_else(|| Refusal::from(Refused::NoSuchService))?;
    Ok(Json(ServiceJson::new(found)))
}

/// `GET /api/system/services/{name}/history`.
async fn history(State(app): State<Arc<App>>, Path(name): Path<String>, Query(limit): Query<Limit>) -> Result<Json<HistoryJson>, Refusal> {
    let limit = limit.within(EVENTS_MAX);
    let service = name.clone();
    let events = ask(&app, move |supervisor| supervisor.history(&name, limit)).await?.map_err(no_record)?;
    Ok(Json(HistoryJson::new(service, &events.ok_or_else(|| Refusal::from(Refused::NoSuchService))?)))
}

/// `GET /api/system/services/audit`.
async fn audit(State(app): State<Arc<App>>, Query(limit): Query<Limit>) -> Result<Json<AuditJson>, Refusal> {
    let limit = limit.within(AUDIT_MAX);
    Ok(Json(AuditJson::new(ask(&app, move |supervisor| supervisor.audit(limit)).await?.map_err(no_record)?)))
}

/// `POST /api/system/services/{name}/restart`.
async fn restart(State(app): State<Arc<App>>, Path(name): Path<String>, caller: Caller) -> Result<(StatusCode, Json<RestartJson>), Refusal> {
    let service = name.clone();
    ask(&app, move |supervisor| supervisor.restart(&name, Who { name: &caller.name, via: caller.via.word() })).await??;
    Ok((StatusCode::ACCEPTED, Json(RestartJson { service, status: "restarting" })))
}

/// What to do with a service for a while.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
struct MaintenanceAsked {
    /// How long, such as `1h30m`.
    duration: Option<String>,
    /// Until when instead, RFC 3339 or seconds since 1970.
    until: Option<String>,
    /// Why, for people.
    #[serde(default)]
    reason: String,
}

/// `POST /api/system/services/{name}/maintenance`.
async fn begin_maintenance(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    caller: Caller,
    Json(asked): Json<MaintenanceAsked>,
) -> Result<Json<MaintenanceJson>, Refusal> {
    let until = match (&asked.duration, &asked.until) {
        (Some(text), None) => duration::parse(text).map(|d: Duration| app.now().plus_ms(i64::try_from(d.as_millis()).unwrap_or(i64::MAX))),
        (None, Some(text)) => Timestamp::parse(text),
        _ => None,
    };
    let until = until.ok_or_else(|| Refusal::unprocessable("give a duration such as \"1h\", or a time in \"until\""))?;
    if asked.reason.chars().count() > REASON_CHARS_MAX || asked.reason.chars().any(char::is_control) {
        return Err(Refusal::unprocessable(format!("a reason is one line of at most {REASON_CHARS_MAX} characters")));
    }
    let answer = MaintenanceJson { kind: "one_off", until: until.rfc3339(), reason: Some(asked.reason.clone()), by: Some(caller.name.to_string()) };
    ask(&app, move |supervisor| supervisor.begin_maintenance(&name, until, &asked.reason, Who { name: &caller.name, via: caller.via.word() })).await??;
    Ok(Json(answer))
}

/// `DELETE /api/system/services/{name}/maintenance`.
async fn end_maintenance(State(app): State<Arc<App>>, Path(name): Path<String>, caller: Caller) -> Result<StatusCode, Refusal> {
    ask(&app, move |supervisor| supervisor.end_maintenance(&name, Who { name: &caller.name, via: caller.via.word() })).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    const NAME: &str = "The service, as the configuration names it";
    let limit = |description| Parameter { name: "limit", place: Place::Query, required: false, kind: "integer", description };
    let all = vec![
        Route::get("/api/system/services", Level::Read, list).summary("Supervised services and how they are").answers::<ServicesJson>(200, "The services"),
        Route::get("/api/system/services/audit", Level::Admin, audit)
            .summary("Who had services restarted or put into maintenance, newest first")
            .parameter(limit("At most so many, 1 to 1000; default 100"))
            .answers::<AuditJson>(200, "The records"),
        Route::get("/api/system/services/{name}", Level::Read, one)
            .summary("One supervised service")
            .path_parameter("name", NAME)
            .answers::<ServiceJson>(200, "The service"),
        Route::get("/api/system/services/{name}/history", Level::Read, history)
            .summary("What happened to a service, newest first")
            .path_parameter("name", NAME)
            .parameter(limit("At most so many, 1 to 500; default 100"))
            .answers::<HistoryJson>(200, "The changes of its status"),
        Route::post("/api/system/services/{name}/restart", Level::Admin, restart)
            .summary("Restarts a service in the way that the configuration names")
            .description("Recorded before it is done. The answer comes when the restart is decided; how it goes is told like every change.")
            .path_parameter("name", NAME)
            .answers::<RestartJson>(202, "The restart begins"),
        Route::post("/api/system/services/{name}/maintenance", Level::Admin, begin_maintenance)
            .summary("Keeps a service from being restarted for at most seven days")
            .path_parameter("name", NAME)
            .json::<MaintenanceAsked>()
            .answers::<MaintenanceJson>(200, "The maintenance"),
        Route::delete("/api/system/services/{name}/maintenance", Level::Admin, end_maintenance)
            .summary("Ends maintenance that was asked for")
            .path_parameter("name", NAME)
            .answers_with(204, "application/json", "It has ended"),
    ];
    all.into_iter().map(|route| route.tag("services")).collect()
}
