//! `_search`, `_count`, `_msearch` and `_doc/{id}`: parameters and bodies in, hits out.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use url::form_urlencoded;
use watchfire_model::logs::{LogSelection, Nanos};
use watchfire_model::read::Budget;
use watchfire_model::text::shortened;
use watchfire_query::documents::{self, Context, Filter, Request as Search, Searched, query as dsl};
use watchfire_query::lucene::{self, Language};

use super::answer::{EsError, Good, answer};
use super::indices::{NAMELESS, matchers};
use super::paging;
use crate::app::App;
use crate::prometheus::gate::run;

/// The largest body of one search.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The most searches of one request.
const SEARCHES_MAX: usize = 100;

/// The parameters of the address.
pub(super) struct Params(Vec<(String, String)>);
impl Params {
    pub(super) fn of(request: &Request) -> Params {
        Params(form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().take(64).collect())
    }
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v != "false")
    }
}

fn context(app: &App, params: &Params) -> Result<Context, EsError> {
    let mut context = Context::new(Nanos::from_millis(app.now().millis()));
    context.default_and = params.get("default_operator").is_some_and(|o| o.eq_ignore_ascii_case("and"));
    context.set_default_fields(params.get("df").map(str::to_owned).into_iter().collect())?;
    Ok(context)
}

pub(super) async fn body(request: Request) -> Result<Bytes, EsError> {
    axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX)
        .await
        .map_err(|_| EsError::bad(format!("the body of a search is larger than {BODY_BYTES_MAX} bytes or broke off")))
}

pub(super) fn parsed(body: &[u8]) -> Result<Value, EsError> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body)
        .map_err(|e| EsError::new(StatusCode::BAD_REQUEST, "parsing_exception", format!("cannot read the body as JSON: {}", shortened(&e.to_string()))))
}

/// What `q` is written in: Lucene unless it is said. Elasticsearch itself knows no other; the page asks in KQL, too.
fn language(params: &Params) -> Result<Language, EsError> {
    match params.get("language") {
        None | Some("lucene") => Ok(Language::Lucene),
        Some("kql" | "kuery") => Ok(Language::Kql),
        Some(other) => Err(EsError::bad(format!("cannot read q as [{other}]: lucene or kql"))),
    }
}

/// The search of a body, with what the address says instead.
fn read(context: &Context, body: &Value, params: &Params) -> Result<Search, EsError> {
    let mut search = Search::read(body, context)?;
    if let Some(q) = params.get("q").filter(|q| !q.trim().is_empty()) {
        search.filter = lucene::parse_as(language(params)?, q, context)?;
    }
    let number =
        |name: &str| params.get(name).map(|t| t.parse::<usize>().map_err(|_| EsError::bad(format!("Failed to parse int parameter [{name}] with value [{t}]"))));
    if let Some(size) = number("size") {
        search.size = size?;
    }
    if let Some(from) = number("from") {
        search.from = from?;
    }
    if let Some(sort) = params.get("sort") {
        let key = |key: &str| match key.rsplit_once(':') {
            Some((field, order)) => json!({ field: {"order": order} }),
            None => json!(key),
        };
        let keys = sort.split(',').filter(|k| !k.is_empty()).map(key).collect();
        search.order(Some(&Value::Array(keys)), body.get("search_after"))?;
    }
    search.source = source(search.source, params);
    search.check()?;
    Ok(search)
}

fn source(body: documents::SourceChoice, params: &Params) -> documents::SourceChoice {
    let names = |name: &str| params.get(name).map(|t| t.split(',').map(str::to_owned).collect::<Vec<_>>());
    let (includes, excludes) = (names("_source_includes"), names("_source_excludes"));
    match params.get("_source") {
        Some("false") => documents::SourceChoice::None,
        Some(fields) if fields != "true" => documents::SourceChoice::Fields { includes: fields.split(',').map(str::to_owned).collect(), excludes: Vec::new() },
        _ if includes.is_some() || excludes.is_some() => {
            documents::SourceChoice::Fields { includes: includes.unwrap_or_default(), excludes: excludes.unwrap_or_default() }
        }
        _ => body,
    }
}

/// Where a search looks.
pub(super) fn selection(app: &App, budget: &Budget, index: Option<&str>, lenient: bool) -> Result<LogSelection, EsError> {
    Ok(LogSelection::new(matchers(app, budget, index, lenient)?, Nanos::MIN, Nanos::MAX))
}

/// Where a search looks, and how its answer is written.
pub(super) struct Place {
    /// The expression of indices.
    pub(super) index: Option<String>,
    /// Whether indices may be missing.
    pub(super) lenient: bool,
    /// Whether the total is a number.
    pub(super) plain_total: bool,
}

/// Carries a search out and writes its answer.
pub(super) fn searched(app: &App, budget: &Budget, place: &Place, search: &Search) -> Result<(Value, Searched), EsError> {
    let began = app.rooms.clock.monotonic();
    let found = documents::search(&*app.rooms.logs, &selection(app, budget, place.index.as_deref(), place.lenient)?, search, budget)?;
    let mut out = found.json(NAMELESS);
    let took = u64::try_from(app.rooms.clock.monotonic().saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
    out.insert("took".into(), took.into());
    out.insert("timed_out".into(), false.into());
    out.insert("_shards".into(), json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0}));
    if place.plain_total
        && let (Some(hits), Some(total)) = (out.get_mut("hits"), found.total)
    {
        hits["total"] = total.into();
    }
    Ok((Value::Object(out), found))
}

/// `GET|POST /_search` and `/{index}/_search`.
pub(super) async fn search(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let params = Params::of(&request);
    let mut text = body(request).await?;
    // Clients that cannot send a body with GET send it as a parameter.
    if text.is_empty()
        && let Some(source) = params.get("source")
    {
        text = Bytes::copy_from_slice(source.as_bytes());
    }
    let body = parsed(&text)?;
    let mut search = read(&context(&app, &params)?, &body, &params)?;
    let point = paging::within(&app, &body, index.as_ref().map(|i| i.0.as_str()))?;
    let (lenient, plain_total) = (params.is_on("ignore_unavailable") || point.is_some(), params.is_on("rest_total_hits_as_int"));
    let (index, point) = match point {
        Some((open, name)) => (open.index, Some(name)),
        None => (index.map(|index| index.0), None),
    };
    let how_long = params.get("scroll").map(str::to_owned);
    if how_long.is_some() {
        search = paging::scrolling(search, &body, &params)?;
    }
    drop(body);
    run(&app, None, move |app, budget| {
        let place = Place { index, lenient, plain_total };
        if let Some(how_long) = how_long {
            return Ok(Good(paging::begin(app, budget, place, search, &how_long, text.len() * 4)?));
        }
        let (mut found, _) = searched(app, budget, &place, &search)?;
        if let Some(name) = point {
            found["pit_id"] = name.into();
        }
        Ok(Good(found))
    })
    .await
}

/// `GET|POST /_count` and `/{index}/_count`.
pub(super) async fn count(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let params = Params::of(&request);
    let body = parsed(&body(request).await?)?;
    let filter = filter(&context(&app, &params)?, &body, &params)?;
    let lenient = params.is_on("ignore_unavailable");
    run(&app, None, move |app, budget| {
        let selection = selection(app, budget, index.as_ref().map(|i| i.0.as_str()), lenient)?;
        let count = documents::count(&*app.rooms.logs, &selection, &filter, budget)?;
        Ok(Good(json!({"count": count, "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}})))
    })
    .await
}

/// The condition of a body that holds nothing else.
fn filter(context: &Context, body: &Value, params: &Params) -> Result<Filter, EsError> {
    if let Some(q) = params.get("q").filter(|q| !q.trim().is_empty()) {
        return Ok(lucene::parse_as(language(params)?, q, context)?);
    }
    match body {
        Value::Null => Ok(Filter::All),
        Value::Object(members) => match members.iter().find(|(name, _)| *name != "query") {
            Some((name, _)) => Err(EsError::new(StatusCode::BAD_REQUEST, "parsing_exception", format!("request does not support [{name}]"))),
            None => members.get("query").map_or(Ok(Filter::All), |query| Ok(dsl(query, context)?)),
        },
        _ => Err(EsError::new(StatusCode::BAD_REQUEST, "parsing_exception", "expected the body to be an object")),
    }
}

/// The condition of a request that must have one.
pub(super) fn demanded(app: &App, body: &Value) -> Result<Filter, EsError> {
    match body.get("query") {
        Some(query) => Ok(dsl(query, &Context::new(Nanos::from_millis(app.now().millis())))?),
        None => Err(EsError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", "Validation Failed: 1: query is missing;")),
    }
}

/// `GET|POST /_msearch`: pairs of lines, a header and a search. One that fails fails alone.
pub(super) async fn msearch(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let params = Params::of(&request);
    let began = app.rooms.clock.monotonic();
    let body = body(request).await?;
    let mut lines = body.trim_ascii_end().split(|b| *b == b'\n');
    let mut asked: Vec<(Value, Value)> = Vec::new();
    while let Some(header) = lines.next() {
        let search = lines.next().ok_or_else(|| EsError::bad("a header has no search behind it"))?;
        if asked.len() >= SEARCHES_MAX {
            return Err(EsError::bad(format!("more than {SEARCHES_MAX} searches")));
        }
        asked.push((parsed(header)?, parsed(search)?));
    }
    if asked.is_empty() {
        return Err(EsError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", "Validation Failed: 1: no requests added;"));
    }
    run(&app, None, move |app, budget| {
        let mut responses = Vec::new();
        for (header, body) in &asked {
            budget.check()?;
            let index = match header.get("index") {
                Some(Value::String(one)) => Some(one.clone()),
                Some(Value::Array(several)) => Some(several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
                _ => index.as_ref().map(|i| i.0.clone()),
            };
            let lenient = header.get("ignore_unavailable").is_some_and(|v| v == true || v == "true");
            let place = Place { index, lenient, plain_total: params.is_on("rest_total_hits_as_int") };
            let one =
                context(app, &params).and_then(|context| read(&context, body, &Params(Vec::new()))).and_then(|search| searched(app, budget, &place, &search));
            responses.push(match one {
                Ok((mut found, _)) => {
                    found["status"] = 200.into();
                    found
                }
                Err(error) => error.json(),
            });
        }
        let took = u64::try_from(app.rooms.clock.monotonic().saturating_sub(began).as_millis()).unwrap_or(u64::MAX);
        Ok(Good(json!({"took": took, "responses": responses})))
    })
    .await
}

/// The document of an id, if there is one, as far as the address wants it.
fn called(app: &App, budget: &Budget, index: &str, id: &str, params: &Params) -> Result<Option<documents::Hit>, EsError> {
    let context = Context::new(Nanos::from_millis(app.now().millis()));
    let mut search = Search::read(&json!({"query": {"ids": {"values": [id]}}, "size": 1}), &context)?;
    search.source = source(search.source, params);
    let found = documents::search(&*app.rooms.logs, &selection(app, budget, Some(index), false)?, &search, budget)?;
    Ok(found.hits.into_iter().next())
}

/// `GET /{index}/_source/{id}`.
pub(super) async fn source_of(State(app): State<Arc<App>>, Path((index, id)): Path<(String, String)>, request: Request) -> Result<Response, EsError> {
    let params = Params::of(&request);
    run(&app, None, move |app, budget| match called(app, budget, &index, &id, &params)? {
        Some(hit) => Ok(answer(StatusCode::OK, &hit.source.unwrap_or_default())),
        None => {
            let message = format!("Document not found [{}]/[{}]", shortened(&index), shortened(&id));
            Err(EsError::new(StatusCode::NOT_FOUND, "resource_not_found_exception", message))
        }
    })
    .await
}

/// `GET /{index}/_doc/{id}`.
pub(super) async fn document(State(app): State<Arc<App>>, Path((index, id)): Path<(String, String)>, request: Request) -> Result<Response, EsError> {
    let params = Params::of(&request);
    run(&app, None, move |app, budget| {
        Ok(match called(app, budget, &index, &id, &params)? {
            Some(hit) => {
                let source = hit.source.clone().unwrap_or_default();
                answer(StatusCode::OK, &json!({"_index": index, "_id": id, "_version": 1, "found": true, "_source": source}))
            }
            None => answer(StatusCode::NOT_FOUND, &json!({"_index": index, "_id": id, "found": false})),
        })
    })
    .await
}
