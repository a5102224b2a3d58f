//! Indices: which streams a name or a pattern means, what there is, and which fields documents turn out to have.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};
use watchfire_ingest::elasticsearch::INDEX;
use watchfire_model::logs::{LogOrder, LogSelection, Nanos};
use watchfire_model::matcher::{MatchOp, Matcher};
use watchfire_model::read::Budget;
use watchfire_query::documents::{Document, Filter, Scalar, matching};

use super::answer::{EsError, Good, answer, text};
use crate::app::App;
use crate::prometheus::gate::run;

/// What the place of entries is called that came with no index: by Loki's push, OTLP, syslog.
pub(super) const NAMELESS: &str = "logs";
/// The longest expression of indices.
const EXPRESSION_BYTES_MAX: usize = 4_096;
/// How many of the newest documents are looked at for their fields.
const SAMPLED: usize = 500;
/// The most fields that are shown.
const FIELDS_MAX: usize = 2_000;

fn everything(matchers: Vec<Matcher>) -> LogSelection {
    LogSelection::new(matchers, Nanos::MIN, Nanos::MAX)
}

/// The conditions on streams that an expression like `a,b-*,-b-1` means.
pub(super) fn matchers(app: &App, budget: &Budget, expression: Option<&str>, lenient: bool) -> Result<Vec<Matcher>, EsError> {
    let expression = expression.unwrap_or("*");
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(EsError::bad(format!("the names of indices are longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    let parts: Vec<&str> = expression.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
    let (excluded, wanted): (Vec<&str>, Vec<&str>) = parts.into_iter().partition(|p| p.starts_with('-'));
    let all = wanted.is_empty() || wanted.iter().any(|w| matches!(*w, "*" | "_all"));
    if !all && !lenient {
        let known = app.rooms.logs.log_label_values(INDEX, &everything(Vec::new()), budget)?;
        if let Some(missing) = wanted.iter().find(|w| !w.contains('*') && **w != NAMELESS && !known.iter().any(|k| k == *w) && !app.searches.is_created(w)) {
            return Err(EsError::new(StatusCode::NOT_FOUND, "index_not_found_exception", format!("no such index [{missing}]")));
        }
    }
    let pattern = |parts: Vec<&str>| {
        let one = |part: &str| {
            let mut pattern = part.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
            if fits(part, NAMELESS) {
                pattern.push('|');
            }
            pattern
        };
        parts.into_iter().map(one).collect::<Vec<_>>().join("|")
    };
    let matcher = |op, pattern: &str| Matcher::new(INDEX, op, pattern).map_err(|e| EsError::bad(e.to_string()));
    let mut matchers = Vec::new();
    if !all {
        matchers.push(matcher(MatchOp::Regex, &pattern(wanted))?);
    }
    if !excluded.is_empty() {
        matchers.push(matcher(MatchOp::NotRegex, &pattern(excluded.into_iter().map(|e| e.trim_start_matches('-')).collect()))?);
    }
    Ok(matchers)
}

/// Whether a name fits a pattern of stars.
fn fits(pattern: &str, name: &str) -> bool {
    watchfire_query::documents::analysis::Glob::new(pattern).fits(name, false)
}

#[derive(Default)]
struct Size {
    entries: u64,
    bytes: u64,
}

/// The indices that an expression means, with their sizes.
fn sizes(app: &App, budget: &Budget, expression: Option<&str>) -> Result<BTreeMap<String, Size>, EsError> {
    let mut all: BTreeMap<String, Size> = BTreeMap::new();
    for stream in app.rooms.logs.log_volume(&everything(matchers(app, budget, expression, false)?), budget)? {
        let size = all.entry(stream.labels.get(INDEX).unwrap_or(NAMELESS).to_owned()).or_default();
        size.entries += stream.entries;
        size.bytes += stream.bytes;
    }
    Ok(all)
}

/// The names of the indices that an expression means, of one that was created and has no document yet, too.
pub(super) fn names_of(app: &App, budget: &Budget, expression: Option<&str>) -> Result<BTreeSet<String>, EsError> {
    let created = expression.filter(|name| app.searches.is_created(name)).map(str::to_owned);
    Ok(sizes(app, budget, expression)?.into_keys().chain(created).collect())
}

/// `GET /_cat/indices`, as lines or as JSON.
pub(super) async fn cat(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Response, EsError> {
    let query = request.uri().query().unwrap_or("").to_owned();
    run(&app, None, move |app, budget| {
        let sizes = sizes(app, budget, index.as_ref().map(|i| i.0.as_str()))?;
        if query.contains("format=json") {
            let rows: Vec<Value> = sizes
                .iter()
                .map(|(name, size)| {
                    json!({"health": "green", "status": "open", "index": name, "uuid": name, "pri": "1", "rep": "0", "docs.count": size.entries.to_string(),
                        "docs.deleted": "0", "store.size": format!("{}b", size.bytes), "pri.store.size": format!("{}b", size.bytes)})
                })
                .collect();
            return Ok(answer(StatusCode::OK, &rows));
        }
        let head = query
            .split('&')
            .any(|p| p == "v" || p == "v=true")
            .then_some("health status index uuid pri rep docs.count docs.deleted store.size pri.store.size\n");
        let rows = sizes.iter().map(|(name, size)| format!("green open {name} {name} 1 0 {} 0 {1}b {1}b\n", size.entries, size.bytes));
        Ok(text(head.map(str::to_owned).into_iter().chain(rows).collect()))
    })
    .await
}

/// `GET|HEAD /{index}`.
pub(super) async fn index(State(app): State<Arc<App>>, Path(index): Path<String>) -> Result<Good, EsError> {
    run(&app, None, move |app, budget| {
        let known = names_of(app, budget, Some(&index))?;
        if known.is_empty() && !index.contains('*') {
            return Err(EsError::new(StatusCode::NOT_FOUND, "index_not_found_exception", format!("no such index [{index}]")));
        }
        let all: Map<String, Value> = known.into_iter().map(|name| (name, json!({"aliases": {}, "mappings": {}, "settings": {}}))).collect();
        Ok(Good(Value::Object(all)))
    })
    .await
}

/// `GET /_mapping` and `/{index}/_mapping`.
pub(super) async fn mapping(State(app): State<Arc<App>>, index: Option<Path<String>>) -> Result<Response, EsError> {
    run(&app, None, move |app, budget| {
        let fields = sampled(app, budget, index.as_ref().map(|i| i.0.as_str()), false)?;
        let all: Map<String, Value> = fields.into_iter().map(|(index, fields)| (index, json!({"mappings": {"properties": properties(&fields)}}))).collect();
        Ok(answer(StatusCode::OK, &all).into_response())
    })
    .await
}

/// The fields of the newest documents of each index, with their types.
pub(super) fn sampled(
    app: &App,
    budget: &Budget,
    expression: Option<&str>,
    lenient: bool,
) -> Result<BTreeMap<String, BTreeMap<String, &'static str>>, EsError> {
    let mut selection = everything(matchers(app, budget, expression, lenient)?);
    selection.order = LogOrder::Backward;
    let mut fields: BTreeMap<String, BTreeMap<String, &'static str>> = BTreeMap::new();
    let mut seen = 0;
    matching(&*app.rooms.logs, &selection, &Filter::All, budget, &mut |document: &Document<'_>| {
        let of_index = fields.entry(document.index().unwrap_or(NAMELESS).to_owned()).or_default();
        document.each_field(&mut |name, value| {
            if !name.starts_with('_') && of_index.len() < FIELDS_MAX {
                of_index.entry(name.to_owned()).or_insert(kind(value));
            }
        });
        seen += 1;
        Ok(if seen >= SAMPLED { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(fields)
}

fn kind(value: &Scalar<'_>) -> &'static str {
    match value {
        Scalar::Text(_) => "text",
        Scalar::Number(_, text) if text.parse::<i64>().is_ok() => "long",
        Scalar::Number(..) => "double",
        Scalar::Bool(_) => "boolean",
        Scalar::Time(_) => "date",
    }
}

/// Dotted names as objects within objects.
fn properties(fields: &BTreeMap<String, &'static str>) -> Value {
    let mut root = Map::new();
    root.insert("@timestamp".into(), json!({"type": "date"}));
    for (name, kind) in fields {
        let leaf = match *kind {
            "text" => json!({"type": "text", "fields": {"keyword": {"type": "keyword"}}}),
            kind => json!({ "type": kind }),
        };
        let mut at = &mut root;
        let mut parts = name.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                at.entry(part).or_insert_with(|| leaf.clone());
                break;
            }
            let object = at.entry(part).or_insert_with(|| json!({"properties": {}}));
            // A name that is a value in one document and an object in another is shown as what came first.
            match object.get_mut("properties").and_then(Value::as_object_mut) {
                Some(inner) => at = inner,
                None => break,
            }
        }
    }
    Value::Object(root)
}
