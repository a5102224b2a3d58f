//! What clients look up beside searching: several documents by their ids, and what fields can be asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use http::StatusCode;
use serde_json::{Value, json};
use watchfire_model::logs::Nanos;
use watchfire_model::read::Budget;
use watchfire_query::documents::analysis::Glob;
use watchfire_query::documents::{self, Context, Request as Search};

use super::answer::{EsError, Good};
use super::indices::sampled;
use super::search::{Params, body, parsed, selection};
use crate::app::App;
use crate::prometheus::gate::run;

/// The most documents of one `_mget`.
const DOCUMENTS_MAX: usize = 1_000;

/// One document that is wanted.
struct Wanted {
    index: String,
    id: String,
    source: bool,
}

fn wanted(body: &Value, index: Option<&str>) -> Result<Vec<Wanted>, EsError> {
    let invalid = |what: &str| EsError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", format!("Validation Failed: 1: {what};"));
    let one = |document: &Value| -> Result<Wanted, EsError> {
        let (own, id, source) = match document {
            Value::Object(members) => (members.get("_index").and_then(Value::as_str), members.get("_id"), members.get("_source") != Some(&Value::Bool(false))),
            id => (None, Some(id), true),
        };
        let id = match id {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err(invalid("id is missing")),
        };
        Ok(Wanted { index: own.or(index).ok_or_else(|| invalid("index is missing"))?.to_owned(), id, source })
    };
    let lists = [body.get("docs"), body.get("ids")].into_iter().flatten();
    let all: Vec<&Value> = lists.filter_map(Value::as_array).flatten().take(DOCUMENTS_MAX + 1).collect();
    match all.len() {
        0 => Err(invalid("no documents to get")),
        n if n > DOCUMENTS_MAX => Err(EsError::bad(format!("more than {DOCUMENTS_MAX} documents"))),
        _ => all.into_iter().map(one).collect(),
    }
}

/// `GET|POST /_mget`, `/{index}/_mget`.
pub(super) async fn mget(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let wanted = wanted(&parsed(&body(request).await?)?, index.as_ref().map(|index| index.0.as_str()))?;
    run(&app, None, move |app, budget| {
        let mut by_index: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        wanted.iter().for_each(|one| by_index.entry(&one.index).or_default().push(&one.id));
        let mut found: BTreeMap<(&str, String), Value> = BTreeMap::new();
        for (index, ids) in by_index {
            for hit in of_ids(app, budget, index, &ids)? {
                found.entry((index, hit.0)).or_insert(hit.1);
            }
        }
        let documents = wanted.iter().map(|one| match found.get(&(one.index.as_str(), one.id.clone())) {
            Some(source) if one.source => json!({"_index": one.index, "_id": one.id, "_version": 1, "found": true, "_source": source}),
            Some(_) => json!({"_index": one.index, "_id": one.id, "_version": 1, "found": true}),
            None => json!({"_index": one.index, "_id": one.id, "found": false}),
        });
        Ok(Good(json!({"docs": documents.collect::<Vec<_>>()})))
    })
    .await
}

/// Documents of an index by their ids. An index that is not there has none.
fn of_ids(app: &App, budget: &Budget, index: &str, ids: &[&str]) -> Result<Vec<(String, Value)>, EsError> {
    let context = Context::new(Nanos::from_millis(app.now().millis()));
    let search = Search::read(&json!({"query": {"ids": {"values": ids}}, "size": ids.len().min(DOCUMENTS_MAX), "track_total_hits": false}), &context)?;
    let found = documents::search(&*app.rooms.logs, &selection(app, budget, Some(index), true)?, &search, budget)?;
    Ok(found.hits.into_iter().map(|hit| (hit.id, Value::Object(hit.source.unwrap_or_default()))).collect())
}

/// `GET|POST /_field_caps`, `/{index}/_field_caps`: what the newest documents turn out to have.
pub(super) async fn field_caps(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Good, EsError> {
    let params = Params::of(&request);
    let body = parsed(&body(request).await?)?;
    let of_body = || body.get("fields").and_then(Value::as_array).map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    let fields = params.get("fields").map(str::to_owned).or_else(of_body).unwrap_or_else(|| "*".to_owned());
    let lenient = params.is_on("ignore_unavailable") || params.is_on("allow_no_indices");
    run(&app, None, move |app, budget| {
        let globs: Vec<Glob> = fields.split(',').take(100).map(Glob::new).collect();
        let wanted = |name: &str| globs.iter().any(|glob| glob.fits(name, false));
        let by_index = sampled(app, budget, index.as_ref().map(|index| index.0.as_str()), lenient)?;
        let mut all: BTreeMap<String, BTreeMap<&'static str, Value>> = BTreeMap::new();
        let mut add = |name: String, kind: &'static str, aggregatable: bool| {
            if wanted(&name) {
                let capability = json!({"type": kind, "metadata_field": false, "searchable": true, "aggregatable": aggregatable});
                all.entry(name).or_default().entry(kind).or_insert(capability);
            }
        };
        for fields in by_index.values() {
            for (name, kind) in fields {
                add(name.clone(), kind, *kind != "text");
                if *kind == "text" {
                    add(format!("{name}.keyword"), "keyword", true);
                }
            }
        }
        add("@timestamp".to_owned(), "date", true);
        let indices: Vec<&String> = by_index.keys().collect();
        Ok(Good(json!({"indices": indices, "fields": all})))
    })
    .await
}
