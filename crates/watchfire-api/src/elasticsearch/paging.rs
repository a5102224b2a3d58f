//! Searches that go on over several requests: `scroll`, and points in time for `search_after`. Nothing is frozen: what is written while
//! somebody reads may come, too, where its place is not passed yet; nothing comes twice, and nothing that was there is missed.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use http::StatusCode;
use serde_json::{Value, json};
use watchfire_model::read::Budget;
use watchfire_query::documents::Request as Search;

use super::answer::{EsError, Good};
use super::contexts::{Open, keep};
use super::indices::matchers;
use super::search::{Params, Place, body, parsed, searched};
use crate::app::App;
use crate::prometheus::gate::run;

/// A scroll's search as it stands with nothing read yet.
pub(super) fn scrolling(mut search: Search, body: &Value, params: &Params) -> Result<Search, EsError> {
    if search.from > 0 {
        return Err(EsError::bad("using [from] is not allowed in a scroll context"));
    }
    if search.size == 0 {
        return Err(EsError::bad("[size] cannot be [0] in a scroll context"));
    }
    // What the address says of the order is in the search already, but without what tells equal documents apart.
    let of_address = params.get("sort").map(|sort| Value::Array(sort.split(',').filter(|key| !key.is_empty()).map(Value::from).collect()));
    search.tie(of_address.as_ref().or(body.get("sort")))?;
    Ok(search)
}

/// The first page of a scroll, with its name.
pub(super) fn begin(app: &App, budget: &Budget, place: Place, search: Search, how_long: &str, bytes: usize) -> Result<Value, EsError> {
    let keep = keep(how_long)?;
    let (mut page, found) = searched(app, budget, &place, &search)?;
    let total = found.total.unwrap_or(found.hits.len() as u64);
    let now = app.rooms.clock.monotonic();
    let open = Open { index: place.index, scroll: Some((Box::new(behind(search, &found.hits)), total)), bytes };
    page["_scroll_id"] = app.searches.open(open, keep, now)?.into();
    Ok(page)
}

/// The search that goes on behind these hits.
fn behind(mut search: Search, hits: &[watchfire_query::documents::Hit]) -> Search {
    if let Some(keys) = hits.last().and_then(|hit| hit.sort.as_ref()) {
        search.go_on(keys);
    }
    search
}

/// A name in the address, in its parameters or in the body.
fn name(path: Option<Path<String>>, params: &Params, body: &Value) -> Result<String, EsError> {
    let of_body = || body.get("scroll_id").and_then(Value::as_str).map(str::to_owned);
    let found = path.map(|path| path.0).or_else(|| params.get("scroll_id").map(str::to_owned)).or_else(of_body);
    found.ok_or_else(|| EsError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", "Validation Failed: 1: scrollId is missing;"))
}

/// `GET|POST /_search/scroll`: the next page.
pub(super) async fn next(State(app): State<Arc<App>>, path: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let params = Params::of(&request);
    let body = parsed(&body(request).await?)?;
    let name = name(path, &params, &body)?;
    let how_long = params.get("scroll").or_else(|| body.get("scroll").and_then(Value::as_str)).map(keep).transpose()?;
    let plain_total = params.is_on("rest_total_hits_as_int");
    let open = app.searches.used(&name, how_long, app.rooms.clock.monotonic())?;
    let Some((search, total)) = open.scroll else { return Err(EsError::bad("this is a point in time, not a scroll")) };
    run(&app, None, move |app, budget| {
        let place = Place { index: open.index, lenient: true, plain_total };
        let (mut page, found) = searched(app, budget, &place, &search)?;
        page["hits"]["total"] = if plain_total { json!(total) } else { json!({"value": total, "relation": "eq"}) };
        app.searches.goes_on(&name, Box::new(behind(*search, &found.hits)));
        page["_scroll_id"] = name.into();
        Ok(Good(page))
    })
    .await
}

/// `DELETE /_search/scroll`: ends scrolls.
pub(super) async fn clear(State(app): State<Arc<App>>, path: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let body = parsed(&body(request).await?)?;
    let names: Vec<String> = match (path, body.get("scroll_id")) {
        (Some(path), _) => path.0.split(',').map(str::to_owned).collect(),
        (None, Some(Value::Array(all))) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        (None, Some(Value::String(one))) => one.split(',').map(str::to_owned).collect(),
        (None, _) => vec!["_all".to_owned()],
    };
    ended(&app, &names)
}

fn ended(app: &App, names: &[String]) -> Result<Good, EsError> {
    let freed = app.searches.close(names, app.rooms.clock.monotonic());
    if freed == 0 && !names.iter().any(|name| name == "_all") {
        return Err(EsError::new(StatusCode::NOT_FOUND, "search_context_missing_exception", "none of these is open"));
    }
    Ok(Good(json!({"succeeded": true, "num_freed": freed})))
}

/// `POST /{index}/_pit`.
pub(super) async fn open(State(app): State<Arc<App>>, Path(index): Path<String>, request: Request) -> Result<Good, EsError> {
    let params = Params::of(&request);
    let how_long = params
        .get("keep_alive")
        .ok_or_else(|| EsError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", "Validation Failed: 1: [keep_alive] is not specified;"))?;
    let (keep, lenient) = (keep(how_long)?, params.is_on("ignore_unavailable"));
    run(&app, None, move |app, budget| {
        matchers(app, budget, Some(&index), lenient)?;
        let bytes = index.len() + 128;
        let name = app.searches.open(Open { index: Some(index), scroll: None, bytes }, keep, app.rooms.clock.monotonic())?;
        Ok(Good(json!({"id": name, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}})))
    })
    .await
}

/// `DELETE /_pit`.
pub(super) async fn close(State(app): State<Arc<App>>, request: Request) -> Result<Good, EsError> {
    let body = parsed(&body(request).await?)?;
    let id = body.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| EsError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", "Validation Failed: 1: [id] is missing;"))?;
    ended(&app, &[id.to_owned()])
}

/// The place of a search within a point in time, and its name; `index` is that of the address.
pub(super) fn within(app: &App, body: &Value, index: Option<&str>) -> Result<Option<(Open, String)>, EsError> {
    let Some(pit) = body.get("pit") else { return Ok(None) };
    if index.is_some() {
        return Err(EsError::bad("[index] cannot be used with point in time. Do not specify any index with point in time."));
    }
    let id = pit.get("id").and_then(Value::as_str).ok_or_else(|| EsError::bad("a point in time needs its [id]"))?;
    let how_long = pit.get("keep_alive").and_then(Value::as_str).map(keep).transpose()?;
    Ok(Some((app.searches.used(id, how_long, app.rooms.clock.monotonic())?, id.to_owned())))
}
