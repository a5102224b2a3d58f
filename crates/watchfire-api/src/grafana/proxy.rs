//! `/api/datasources/proxy/…`: what a tool asks a data source through Grafana. A data source that means ourselves is asked at its own route,
//! under the rights of that route; any other is asked by nobody here. It opens no connection.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use http::{Request, StatusCode, Uri};
use watchfire_net::blocking::spawn_blocking;

use super::boards::{Boards, Source};
use super::error::GrafanaError;
use super::{Answered, off_reactor};
use crate::app::App;

/// What all such addresses begin with.
const PREFIX: &str = "/api/datasources/proxy/";

/// The data source that the rest of an address means, by its uid or its number, and what is asked there.
fn meant(rest: &str) -> (Option<&str>, &str, &str) {
    let (by_uid, rest) = rest.strip_prefix("uid/").map_or((false, rest), |rest| (true, rest));
    let (name, asked) = rest.split_once('/').unwrap_or((rest, ""));
    if by_uid { (Some(name), "", asked) } else { (None, name, asked) }
}

fn find(boards: &Boards, uid: Option<&str>, id: &str) -> Option<Source> {
    match uid {
        Some(uid) => boards.source(uid).ok(),
        None => boards.source_by_id(id.parse().ok()?).ok(),
    }
}

/// Gives a request to a proxy the address of what it asks for; every other request stays as it is. To be called before routes are looked for.
pub async fn proxied(app: &Arc<App>, mut request: Request<Body>) -> Request<Body> {
    let Some(rest) = request.uri().path().strip_prefix(PREFIX).map(str::to_owned) else { return request };
    let boards = app.rooms.boards.clone();
    let to = spawn_blocking(move || {
        let (uid, id, asked) = meant(&rest);
        let source = find(&boards, uid, id).filter(|source| source.not_followed.is_none())?;
        let face = super::boards::path_of(&source.record.kind)?;
        // Loki's own addresses begin with what its face begins with.
        let within = asked.strip_prefix(face.trim_matches('/')).is_some_and(|after| after.starts_with('/'));
        Some(if face == "/" || within { format!("/{asked}") } else { format!("{face}/{asked}") })
    });
    let Ok(Some(path)) = to.await else { return request };
    let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if let Ok(there) = format!("{path}{query}").parse() {
        parts.path_and_query = Some(there);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// What is left of such requests: data sources that are not there, or that nobody asks.
pub(super) async fn left_over(State(app): State<Arc<App>>, Path(rest): Path<String>) -> Answered {
    off_reactor(&app, move |boards| {
        let (uid, id, _) = meant(&rest);
        let source = find(boards, uid, id).ok_or_else(|| GrafanaError::not_found("Data source"))?;
        let reason = source.not_followed.unwrap_or_else(|| "nothing is asked there".to_owned());
        Err(GrafanaError::new(StatusCode::BAD_GATEWAY, format!("Not followed: {reason}")))
    })
    .await
}
