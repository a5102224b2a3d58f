//! The Grafana face: the part of its API that tools use which upload, list and fetch dashboards, and all queries of a dashboard at once. What
//! dashboards look like is the page's affair; what queries mean is computed in `watchfire-query`.

mod about;
mod annotations;
mod batch;
mod boards;
#[cfg(test)]
mod client_tests;
mod dashboards;
mod error;
mod folders;
mod frames;
pub mod provisioning;
mod proxy;
mod render;
mod search;
mod sources;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::Limits;

use self::error::GrafanaError;
use crate::app::App;
use crate::prometheus::answer::{json, to_json};
use crate::server::{Content, Level, Route};

pub(crate) use annotations::Annotations;
pub(crate) use boards::number_of;
pub(crate) use error::envelope;
pub use proxy::proxied;
pub(crate) use render::{PictureGate, png};

pub use boards::{Boards, FixedBoard, FixedOrigin, Folder, ProvidedSource, Source, SourceRecord, not_followed};

/// The version that is claimed: clients choose by it what they ask for, and dashboards of its time are understood.
const CLAIMED_VERSION: &str = "10.4.0";
/// The largest body: a dashboard with what stands around it.
const BODY_BYTES_MAX: usize = boards::BOARD_BYTES_MAX * 2;

/// The routes of the face.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let all = reading().into_iter().chain(changing()).chain(pictures()).chain(annotations::routes());
    all.map(|route| route.errors(envelope).body_limits(Limits::both(BODY_BYTES_MAX)).tag("grafana")).collect()
}

fn reading() -> Vec<Route<Arc<App>>> {
    let uid = |route: Route<Arc<App>>, what| route.path_parameter("uid", what);
    vec![
        Route::get("/api/health", Level::Public, about::health).summary("Liveness, as Grafana says it"),
        Route::get("/api/org", Level::Read, about::org).summary("The one organisation"),
        Route::get("/api/orgs", Level::Read, about::orgs).summary("The same as a list"),
        Route::get("/api/user/orgs", Level::Read, about::user_orgs).summary("The organisation with the caller's role in it"),
        Route::get("/api/user", Level::Read, about::user).summary("Who the caller is, as Grafana says it"),
        Route::get("/api/frontend/settings", Level::Read, about::settings).summary("Version and data sources"),
        Route::get("/api/search", Level::Read, search::search)
            .summary("Dashboards and folders")
            .query_parameter("query", "Part of a title")
            .query_parameter("type", "dash-db or dash-folder")
            .query_parameter("tag", "A tag; several are all wanted")
            .query_parameter("folderUIDs", "Folders, `general` for none")
            .query_parameter("dashboardUIDs", "Dashboards")
            .query_parameter("folderIds", "Folders by their numbers, 0 for none")
            .query_parameter("dashboardIds", "Dashboards by their numbers")
            .query_parameter("sort", "alpha-asc or alpha-desc")
            .query_parameter("limit", "How many; 1000 by default, 5000 at most")
            .query_parameter("page", "Which page of so many, from 1"),
        Route::get("/api/dashboards/tags", Level::Read, search::tags).summary("Tags with how often each is used"),
        Route::get("/api/dashboards/home", Level::Read, dashboards::home).summary("The dashboard of the first page"),
        uid(Route::get("/api/dashboards/uid/{uid}", Level::Read, dashboards::get), "The dashboard").summary("A dashboard with what is known about it"),
        uid(Route::get("/api/dashboards/uid/{uid}/versions", Level::Read, dashboards::versions), "The dashboard")
            .summary("The versions that are kept, newest first")
            .query_parameter("limit", "How many")
            .query_parameter("start", "How many are passed over"),
        uid(Route::get("/api/dashboards/uid/{uid}/versions/{version}", Level::Read, dashboards::version), "The dashboard")
            .path_parameter("version", "The version")
            .summary("One version of a dashboard"),
        Route::post("/api/dashboards/query", Level::Read, batch::query)
            .json::<batch::BatchJson>()
            .time_limit(None)
            .summary("Answers all queries of a dashboard at once"),
        Route::get("/api/datasources", Level::Read, sources::list).summary("Data sources: our faces, and those that were added"),
        Route::post("/api/ds/query", Level::Read, frames::query)
            .time_limit(None)
            .takes(Content::Json)
            .summary("Queries as Grafana's page sends them, in data frames"),
        Route::new(&[Method::GET, Method::POST], "/api/datasources/proxy/{*path}", Level::Read, proxy::left_over)
            .path_parameter("path", "The number of a data source or `uid/` and its uid, and what is asked there")
            .summary("What a data source is asked through us: the same as its own route"),
        Route::get("/api/datasources/{id}", Level::Read, sources::by_id).path_parameter("id", "Its number").summary("The data source of a number"),
        uid(Route::get("/api/datasources/uid/{uid}", Level::Read, sources::by_uid), "The data source").summary("One data source"),
        uid(Route::get("/api/datasources/uid/{uid}/health", Level::Read, sources::health), "The data source").summary("Whether it is answered"),
        Route::get("/api/datasources/name/{name}", Level::Read, sources::by_name).path_parameter("name", "Its name").summary("The data source of a name"),
        Route::get("/api/datasources/id/{name}", Level::Read, sources::id_of).path_parameter("name", "Its name").summary("The number of a data source"),
        Route::get("/api/folders", Level::Read, folders::list)
            .summary("Folders of dashboards")
            .query_parameter("limit", "How many; 1000 by default")
            .query_parameter("page", "Which page of so many, from 1"),
        Route::get("/api/folders/id/{id}", Level::Read, folders::by_id).path_parameter("id", "Its number").summary("The folder of a number"),
        uid(Route::get("/api/folders/{uid}", Level::Read, folders::get), "The folder").summary("One folder"),
    ]
}

/// Panels as pictures. `d-solo` is for one panel, `d` for one or all; the title in the address is for people.
fn pictures() -> Vec<Route<Arc<App>>> {
    let mut all = Vec::new();
    for kind in ["d", "d-solo"] {
        let summary = if kind == "d" { "A dashboard, or a panel of it, as a picture, SVG or PNG" } else { "A panel as a picture, SVG or PNG" };
        let plain = Route::get(&format!("/render/{kind}/{{uid}}"), Level::Read, render::render)
            .path_parameter("uid", "The dashboard, with .svg or .png after it where neither the query nor Accept says the format")
            .summary(summary)
            .query_parameter("panelId", "One panel")
            .query_parameter("from", "Milliseconds, now-1h, now/d or RFC 3339")
            .query_parameter("to", "The same")
            .query_parameter("width", "From 50 to 3000")
            .query_parameter("height", "The same; -1 for all of a dashboard")
            .query_parameter("scale", "Pixels for a point in PNG, from 0.25 to 4")
            .query_parameter("theme", "light or dark")
            .query_parameter("tz", "The time zone of its axes")
            .query_parameter("format", "svg or png")
            .answers_with(200, "image/svg+xml", "The picture");
        let named = Route::get(&format!("/render/{kind}/{{uid}}/{{slug}}"), Level::Read, render::render_named).hidden();
        all.extend([plain, named].map(|route| route.time_limit(None)));
    }
    all
}

fn changing() -> Vec<Route<Arc<App>>> {
    let uid = |route: Route<Arc<App>>, what| route.path_parameter("uid", what);
    vec![
        Route::post("/api/dashboards/db", Level::Admin, dashboards::save).takes(Content::Json).summary("Saves a dashboard as its next version"),
        Route::post("/api/dashboards/import", Level::Admin, dashboards::import).takes(Content::Json).summary("Saves a dashboard with its inputs filled in"),
        uid(Route::delete("/api/dashboards/uid/{uid}", Level::Admin, dashboards::delete), "The dashboard").summary("Deletes a dashboard with its versions"),
        uid(Route::post("/api/dashboards/uid/{uid}/restore", Level::Admin, dashboards::restore), "The dashboard")
            .takes(Content::Json)
            .summary("Brings a version back"),
        Route::post("/api/datasources", Level::Admin, sources::add).takes(Content::Json).summary("Adds a data source"),
        uid(Route::put("/api/datasources/uid/{uid}", Level::Admin, sources::change), "The data source")
            .takes(Content::Json)
            .summary("Says an added data source anew"),
        Route::put("/api/datasources/{id}", Level::Admin, sources::change_by_id)
            .path_parameter("id", "Its number")
            .takes(Content::Json)
            .summary("The same by its number"),
        Route::delete("/api/datasources/{id}", Level::Admin, sources::delete_by_id)
            .path_parameter("id", "Its number")
            .summary("Removes the added data source of a number"),
        uid(Route::delete("/api/datasources/uid/{uid}", Level::Admin, sources::delete), "The data source").summary("Removes an added data source"),
        Route::delete("/api/datasources/name/{name}", Level::Admin, sources::delete_name)
            .path_parameter("name", "Its name")
            .summary("Removes the added data source of a name"),
        Route::post("/api/folders", Level::Admin, folders::make).takes(Content::Json).summary("Makes a folder"),
        uid(Route::new(&[Method::PUT], "/api/folders/{uid}", Level::Admin, folders::rename), "The folder")
            .takes(Content::Json)
            .summary("Gives a folder another title"),
        uid(Route::delete("/api/folders/{uid}", Level::Admin, folders::delete), "The folder").summary("Deletes a folder with its dashboards"),
    ]
}

/// A JSON answer.
struct Answer(Value);
impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        json(StatusCode::OK, to_json(&self.0))
    }
}

type Answered = Result<Answer, GrafanaError>;

/// Work on what is kept, its type forgotten: what carries it to a thread is compiled once and not for each of dozens.
type Work = Box<dyn FnOnce(&App) -> Result<Value, GrafanaError> + Send>;

/// Work on dashboards, on a thread that may wait for the disk.
fn off_reactor(app: &Arc<App>, work: impl FnOnce(&Boards) -> Result<Value, GrafanaError> + Send + 'static) -> impl Future<Output = Answered> + Send {
    carried(app.clone(), Box::new(move |app| work(&app.rooms.boards)))
}

/// Work on anything that is kept, likewise.
fn with_app(app: &Arc<App>, work: impl FnOnce(&App) -> Result<Value, GrafanaError> + Send + 'static) -> impl Future<Output = Answered> + Send {
    carried(app.clone(), Box::new(work))
}

async fn carried(app: Arc<App>, work: Work) -> Answered {
    match spawn_blocking(move || work(&app)).await {
        Ok(outcome) => outcome.map(Answer),
        Err(error) => {
            tracing::error!(%error, "work for Grafana's interface ended in a panic");
            Err(GrafanaError::new(StatusCode::INTERNAL_SERVER_ERROR, "it failed inside; the server's log says more"))
        }
    }
}

/// The object that a request brings.
async fn object(request: Request) -> Result<Map<String, Value>, GrafanaError> {
    let bytes = error::body(request, BODY_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| GrafanaError::bad(format!("bad request data: {error}")))
}

/// A title in an address.
fn slug(title: &str) -> String {
    let mut out = String::with_capacity(title.len());
    for c in title.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_alphanumeric() => out.push(c),
            _ if out.ends_with('-') || out.is_empty() => {}
            _ => out.push('-'),
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    if out.is_empty() { "-".to_owned() } else { out }
}

/// Where the page shows a dashboard.
fn url(uid: &str, title: &str) -> String {
    format!("/d/{uid}/{}", slug(title))
}

/// Where the page shows a folder; nothing for none.
fn folder_url(folder: &Folder) -> String {
    if folder.uid.is_empty() { String::new() } else { format!("/dashboards/f/{}/{}", folder.uid, slug(&folder.title)) }
}

/// A moment in an answer.
fn moment(ms: i64) -> String {
    watchfire_model::time::Timestamp(ms).rfc3339()
}
