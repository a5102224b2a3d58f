//! `/api/annotations`: what people and scripts note at a moment or over a stretch of time, such as deployments. It draws nothing; annotations
//! that a dashboard asks a data source for are the page's affair.

mod kept;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use http::Method;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use self::kept::{Annotation, unknown};
use super::boards::is_uid;
use super::error::GrafanaError;
use super::{Answered, object, with_app};
use crate::app::App;
use crate::auth::Caller;
use crate::server::{Content, Level, Route};

pub(crate) use self::kept::Annotations;

/// How many come unless it is said, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = kept::ANNOTATIONS_MAX;
/// The longest text, and the most and longest tags of one.
const TEXT_BYTES_MAX: usize = 2 << 10;
const TAGS_MAX: usize = 20;
const TAG_BYTES_MAX: usize = 100;
/// What a moment may be: the milliseconds that a number of JSON holds exactly.
const MOMENT_MAX: i64 = 1 << 53;

/// The routes. Who may send telemetry may note something; changing what others noted is for administrators.
pub(super) fn routes() -> Vec<Route<Arc<App>>> {
    let id = |route: Route<Arc<App>>| route.path_parameter("id", "Its number");
    vec![
        Route::get("/api/annotations", Level::Read, list)
            .summary("Annotations, the latest first")
            .query_parameter("from", "Milliseconds")
            .query_parameter("to", "Milliseconds")
            .query_parameter("dashboardUID", "Those of a dashboard")
            .query_parameter("panelId", "Those of a panel")
            .query_parameter("tags", "A tag; several are all wanted")
            .query_parameter("matchAny", "Whether one of the tags is enough")
            .query_parameter("limit", "How many; 100 by default"),
        Route::get("/api/annotations/tags", Level::Read, tags).summary("Tags of annotations with how often each is used"),
        id(Route::get("/api/annotations/{id}", Level::Read, get)).summary("One annotation"),
        Route::post("/api/annotations", Level::Ingest, add).takes(Content::Json).summary("Notes something at a moment or over a stretch of time"),
        Route::post("/api/annotations/graphite", Level::Ingest, add_of_graphite).takes(Content::Json).summary("The same in Graphite's shape"),
        Route::post("/api/annotations/mass-delete", Level::Admin, remove_many).takes(Content::Json).summary("Removes annotations of a panel"),
        id(Route::put("/api/annotations/{id}", Level::Admin, replace)).takes(Content::Json).summary("Says an annotation anew"),
        id(Route::new(&[Method::PATCH], "/api/annotations/{id}", Level::Admin, patch)).takes(Content::Json).summary("Changes parts of an annotation"),
        id(Route::delete("/api/annotations/{id}", Level::Admin, remove)).summary("Removes an annotation"),
    ]
}

fn shown(id: i64, annotation: &Annotation) -> Value {
    let Annotation { board, panel, start_ms, end_ms, text, tags, by, created_ms, updated_ms, .. } = annotation;
    json!({
        "id": id, "alertId": 0, "alertName": "", "dashboardId": 0, "dashboardUID": board, "panelId": panel, "userId": 0, "newState": "", "prevState": "",
        "created": created_ms, "updated": updated_ms, "time": start_ms, "timeEnd": end_ms, "text": text, "tags": tags, "login": by, "email": "",
        "avatarUrl": "", "data": {},
    })
}

/// What is looked for.
#[derive(Default)]
struct Wanted {
    range: [Option<i64>; 2],
    board: Option<String>,
    panel: Option<i64>,
    tags: Vec<String>,
    any_tag: bool,
    alerts: bool,
    limit: usize,
}
impl Wanted {
    fn read(query: &str) -> Result<Wanted, GrafanaError> {
        let mut wanted = Wanted { limit: LIMIT, ..Wanted::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            let number = || value.parse::<i64>().map_err(|_| GrafanaError::bad(format!("{name} must be a whole number, not {value:?}")));
            match &*name {
                "from" => wanted.range[0] = Some(number()?).filter(|n| *n != 0),
                "to" => wanted.range[1] = Some(number()?).filter(|n| *n != 0),
                "dashboardUID" | "dashboardUid" => wanted.board = Some(value.into_owned()),
                "panelId" => wanted.panel = Some(number()?).filter(|n| *n != 0),
                "tags" => wanted.tags.push(value.into_owned()),
                "matchAny" => wanted.any_tag = value == "true",
                "type" => wanted.alerts = value == "alert",
                "limit" => wanted.limit = number().map(|n| usize::try_from(n).ok().filter(|n| *n > 0).unwrap_or(LIMIT).min(LIMIT_MAX))?,
                _ => {}
            }
        }
        Ok(wanted)
    }
    fn wants(&self, annotation: &Annotation) -> bool {
        let has = |tag: &String| annotation.tags.contains(tag);
        !self.alerts
            && self.range[0].is_none_or(|from| annotation.end_ms >= from)
            && self.range[1].is_none_or(|to| annotation.start_ms <= to)
            && self.board.as_ref().is_none_or(|board| annotation.board == *board)
            && self.panel.is_none_or(|panel| annotation.panel == panel)
            && (self.tags.is_empty() || if self.any_tag { self.tags.iter().any(has) } else { self.tags.iter().all(has) })
    }
}

/// `GET /api/annotations`.
async fn list(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answered {
    let wanted = Wanted::read(query.as_deref().unwrap_or(""))?;
    with_app(&app, move |app| Ok(app.annotations.find(wanted.limit, |_, a| wanted.wants(a))?.iter().map(|(id, a)| shown(*id, a)).collect())).await
}

/// `GET /api/annotations/tags`.
async fn tags(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Answered {
    let asked: Vec<(String, String)> = form_urlencoded::parse(query.as_deref().unwrap_or("").as_bytes()).into_owned().collect();
    let of = |name: &str| asked.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone());
    let (word, limit) = (of("tag").unwrap_or_default(), of("limit").and_then(|n| n.parse().ok()).unwrap_or(LIMIT));
    with_app(&app, move |app| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (_, annotation) in app.annotations.find(usize::MAX, |_, _| true)? {
            for tag in annotation.tags.into_iter().filter(|tag| tag.contains(&word)) {
                *counts.entry(tag).or_default() += 1;
            }
        }
        let list: Vec<Value> = counts.into_iter().take(limit).map(|(tag, count)| json!({"tag": tag, "count": count})).collect();
        Ok(json!({"result": {"tags": list}}))
    })
    .await
}

fn number(id: &str) -> Result<i64, GrafanaError> {
    id.parse().map_err(|_| GrafanaError::bad("annotationId is invalid"))
}

/// `GET /api/annotations/{id}`.
async fn get(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    let id = number(&id)?;
    with_app(&app, move |app| app.annotations.find(1, |known, _| known == id)?.first().map(|(id, a)| shown(*id, a)).ok_or_else(unknown)).await
}

fn refused(why: &str) -> GrafanaError {
    GrafanaError::bad(format!("Failed to save annotation: {why}"))
}

/// A text, its tags, its times: what stands in a body replaces what was there.
fn take(body: &Map<String, Value>, annotation: &mut Annotation) -> Result<(), GrafanaError> {
    if let Some(text) = body.get("text").filter(|t| !t.is_null()) {
        annotation.text = text.as_str().ok_or_else(|| refused("text must be a text"))?.to_owned();
    }
    if let Some(tags) = body.get("tags").filter(|t| !t.is_null()) {
        let list = tags.as_array().ok_or_else(|| refused("tags must be a list"))?;
        annotation.tags =
            list.iter().map(|tag| tag.as_str().map(|t| t.trim().to_owned()).ok_or_else(|| refused("tags must be texts"))).collect::<Result<_, _>>()?;
        annotation.tags.retain(|tag| !tag.is_empty());
    }
    let moment = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let ms = value.as_i64().or_else(|| value.as_f64().map(|ms| ms as i64)).filter(|ms| ms.abs() < MOMENT_MAX);
            ms.map(|ms| Some(ms).filter(|ms| *ms != 0)).ok_or_else(|| refused(&format!("{key} must be milliseconds")))
        }
    };
    match (moment("time")?, moment("timeEnd")?) {
        (None, None) => {}
        (Some(start), None) => (annotation.start_ms, annotation.end_ms) = (start, start),
        (start, Some(end)) => {
            let start = start.unwrap_or(annotation.start_ms);
            (annotation.start_ms, annotation.end_ms) = (start.min(end), start.max(end));
        }
    }
    if annotation.text.trim().is_empty() {
        return Err(refused("text field should not be empty"));
    }
    if annotation.text.len() > TEXT_BYTES_MAX {
        return Err(refused(&format!("the text is longer than {TEXT_BYTES_MAX} bytes")));
    }
    if annotation.tags.len() > TAGS_MAX || annotation.tags.iter().any(|tag| tag.len() > TAG_BYTES_MAX) {
        return Err(refused(&format!("there may be {TAGS_MAX} tags of {TAG_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// `POST /api/annotations`.
async fn add(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Answered {
    let body = object(request).await?;
    let mut annotation = Annotation::empty(&caller.name, app.now().millis());
    let board = body.get("dashboardUID").or_else(|| body.get("dashboardUid")).and_then(Value::as_str).unwrap_or_default();
    if !board.is_empty() && !is_uid(board) {
        return Err(refused("dashboardUID is no uid"));
    }
    annotation.board = board.to_owned();
    annotation.panel = body.get("panelId").and_then(Value::as_i64).unwrap_or(0);
    let number = body.get("dashboardId").and_then(Value::as_i64).filter(|n| *n > 0 && board.is_empty());
    take(&body, &mut annotation)?;
    with_app(&app, move |app| {
        if let Some(number) = number {
            let known = app.rooms.boards.list().into_iter().find(|listed| listed.id == number);
            annotation.board = known.ok_or_else(|| GrafanaError::bad("Dashboard not found"))?.uid;
        }
        Ok(json!({"id": app.annotations.add(annotation)?, "message": "Annotation added"}))
    })
    .await
}

/// `POST /api/annotations/graphite`: `what`, `data` as more of the text, `when` in seconds, `tags` as a list or with blanks between them.
async fn add_of_graphite(State(app): State<Arc<App>>, caller: Caller, request: Request) -> Answered {
    let body = object(request).await?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("what").is_empty() {
        return Err(GrafanaError::bad("Failed to save Graphite annotation: what field should not be empty"));
    }
    let mut said = Map::new();
    let data = if text("data").is_empty() { String::new() } else { format!("\n{}", text("data")) };
    said.insert("text".to_owned(), format!("{}{data}", text("what")).into());
    if let Some(when) = body.get("when").and_then(Value::as_i64) {
        said.insert("time".to_owned(), when.saturating_mul(1_000).into());
    }
    let tags = match body.get("tags") {
        Some(Value::String(words)) => words.split_whitespace().map(Value::from).collect(),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    said.insert("tags".to_owned(), tags);
    let mut annotation = Annotation::empty(&caller.name, app.now().millis());
    take(&said, &mut annotation)?;
    with_app(&app, move |app| Ok(json!({"id": app.annotations.add(annotation)?, "message": "Graphite annotation added"}))).await
}

/// `PUT /api/annotations/{id}`: what is not said is gone, times excepted.
async fn replace(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request) -> Answered {
    let (id, body, now) = (number(&id)?, object(request).await?, app.now().millis());
    with_app(&app, move |app| {
        app.annotations.change(id, |annotation| {
            (annotation.text, annotation.tags, annotation.updated_ms) = (String::new(), Vec::new(), now);
            take(&body, annotation)
        })?;
        Ok(json!({"message": "Annotation updated"}))
    })
    .await
}

/// `PATCH /api/annotations/{id}`.
async fn patch(State(app): State<Arc<App>>, Path(id): Path<String>, request: Request) -> Answered {
    let (id, body, now) = (number(&id)?, object(request).await?, app.now().millis());
    with_app(&app, move |app| {
        app.annotations.change(id, |annotation| {
            annotation.updated_ms = now;
            take(&body, annotation)
        })?;
        Ok(json!({"message": "Annotation patched"}))
    })
    .await
}

/// `DELETE /api/annotations/{id}`.
async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Answered {
    let id = number(&id)?;
    with_app(&app, move |app| match app.annotations.remove(|known, _| known == id)? {
        0 => Err(unknown()),
        _ => Ok(json!({"message": "Annotation deleted"})),
    })
    .await
}

/// `POST /api/annotations/mass-delete`: those of a panel, or one by its number.
async fn remove_many(State(app): State<Arc<App>>, request: Request) -> Answered {
    let body = object(request).await?;
    let number = |key: &str| body.get(key).and_then(Value::as_i64).filter(|n| *n != 0);
    let (id, panel) = (number("annotationId"), number("panelId"));
    let board = body.get("dashboardUID").and_then(Value::as_str).unwrap_or_default().to_owned();
    // An answer without bounds would be all annotations.
    if id.is_none() && (panel.is_none() || board.is_empty()) {
        return Err(GrafanaError::bad("bad request data: annotationId, or dashboardUID and panelId, are needed"));
    }
    with_app(&app, move |app| {
        app.annotations.remove(|known, a| id.map_or_else(|| a.board == board && Some(a.panel) == panel, |id| id == known))?;
        Ok(json!({"message": "Annotations deleted"}))
    })
    .await
}
