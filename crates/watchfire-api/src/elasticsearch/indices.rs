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
use watchfire_model::text::shortened;
use watchfire_query::documents::{Document, Filter, Scalar, matching};

use super::answer::{EsError, Good, answer};
use super::cats::table;
use crate::app::App;
use crate::prometheus::gate::run;

/// What the place of entries is called that came with no index: by Loki's push, OTLP, syslog.
pub(super) const NAMELESS: &str = watchfire_query::documents::NAMELESS;
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
    let meant = meant(app, expression)?;
    let (excluded, wanted): (Vec<&str>, Vec<&str>) = meant.iter().map(String::as_str).partition(|p| p.starts_with('-'));
    let all = wanted.is_empty() || wanted.iter().any(|w| matches!(*w, "*" | "_all"));
    if !all && !lenient {
        let known = app.rooms.logs.log_label_values(INDEX, &everything(Vec::new()), budget)?;
        // One that an alias means is there, documents or not.
        let of_aliases = app.aliases.indices("*")?;
        if let Some(missing) = wanted
            .iter()
            .find(|w| !w.contains('*') && **w != NAMELESS && !known.iter().any(|k| k == *w) && !app.searches.is_created(w) && !of_aliases.contains(**w))
        {
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

/// The parts of an expression, with the indices of those that are aliases in their stead; patterns mean aliases besides.
fn meant(app: &App, expression: &str) -> Result<Vec<String>, EsError> {
    let mut all = Vec::new();
    for part in expression.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (minus, name) = part.strip_prefix('-').map_or(("", part), |name| ("-", name));
        let indices = if matches!(name, "*" | "_all") { BTreeSet::new() } else { app.aliases.indices(name)? };
        if indices.is_empty() || name.contains('*') {
            all.push(part.to_owned());
        }
        all.extend(indices.into_iter().map(|index| format!("{minus}{index}")));
    }
    Ok(all)
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
    let named = expression.map(|expression| meant(app, expression)).transpose()?.unwrap_or_default();
    let of_aliases = if named.is_empty() { BTreeSet::new() } else { app.aliases.indices("*")? };
    let created = named.into_iter().filter(|name| app.searches.is_created(name) || of_aliases.contains(name));
    Ok(sizes(app, budget, expression)?.into_keys().chain(created).collect())
}

/// All indices that there are, for requests that name many of them.
pub(super) struct Names {
    stored: BTreeSet<String>,
    of_aliases: BTreeSet<String>,
}
impl Names {
    pub(super) fn read(app: &App, budget: &Budget) -> Result<Names, EsError> {
        Ok(Names { stored: sizes(app, budget, None)?.into_keys().collect(), of_aliases: app.aliases.indices("*")? })
    }

    /// Whether there is an index of this name.
    pub(super) fn has(&self, app: &App, name: &str) -> bool {
        self.stored.contains(name) || self.of_aliases.contains(name) || app.searches.is_created(name)
    }

    /// Those that an expression means. A name of none is an error, a pattern of none is not.
    pub(super) fn of(&self, app: &App, expression: &str) -> Result<BTreeSet<String>, EsError> {
        let mut all: BTreeSet<String> = BTreeSet::new();
        for part in meant(app, expression)? {
            if let Some(gone) = part.strip_prefix('-') {
                all.retain(|name| !fits(gone, name));
            } else if part.contains('*') || part == "_all" {
                all.extend(self.stored.iter().filter(|name| part == "_all" || fits(&part, name)).cloned());
            } else if self.has(app, &part) || part == NAMELESS {
                all.insert(part);
            } else {
                return Err(EsError::new(StatusCode::NOT_FOUND, "index_not_found_exception", format!("no such index [{}]", shortened(&part))));
            }
        }
        Ok(all)
    }
}

/// `GET /_cat/indices`, as lines or as JSON.
pub(super) async fn cat(State(app): State<Arc<App>>, index: Option<Path<String>>, request: Request) -> Result<Response, EsError> {
    let query = request.uri().query().unwrap_or("").to_owned();
    run(&app, None, move |app, budget| {
        let columns = ["health", "status", "index", "uuid", "pri", "rep", "docs.count", "docs.deleted", "store.size", "pri.store.size"];
        // A unit behind the number, unless the address says which one it is.
        let unit = if query.split('&').any(|p| p == "bytes=b") { "" } else { "b" };
        let row = |(name, size): (String, Size)| {
            let bytes = format!("{}{unit}", size.bytes);
            ["green", "open", &name, &name, "1", "0", &size.entries.to_string(), "0", &bytes, &bytes].map(str::to_owned).to_vec()
        };
        let rows = sizes(app, budget, index.as_ref().map(|i| i.0.as_str()))?.into_iter().map(row).collect();
        Ok(table(&query, &columns, rows))
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
        let mut aliases = app.aliases.by_index(&|_| true)?;
        let mut about = |name: &String| json!({"aliases": aliases.remove(name).unwrap_or_default(), "mappings": {}, "settings": {}});
        let all: Map<String, Value> = known.into_iter().map(|name| (name.clone(), about(&name))).collect();
        Ok(Good(Value::Object(all)))
    })
    .await
}

/// `GET /_stats` and `/{index}/_stats`: documents and bytes.
pub(super) async fn stats(State(app): State<Arc<App>>, index: Option<Path<String>>) -> Result<Good, EsError> {
    run(&app, None, move |app, budget| {
        let shown = |size: &Size| {
            let about = json!({"docs": {"count": size.entries, "deleted": 0}, "store": {"size_in_bytes": size.bytes}});
            json!({"primaries": about, "total": about})
        };
        let mut all = Size::default();
        let mut indices = Map::new();
        for (name, size) in sizes(app, budget, index.as_ref().map(|i| i.0.as_str()))? {
            all.entries += size.entries;
            all.bytes += size.bytes;
            indices.insert(name, shown(&size));
        }
        Ok(Good(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}, "_all": shown(&all), "indices": indices})))
    })
    .await
}

/// `GET /_settings` and `/{index}/_settings`.
pub(super) async fn settings(State(app): State<Arc<App>>, index: Option<Path<String>>) -> Result<Good, EsError> {
    run(&app, None, move |app, budget| {
        let expression = index.as_ref().map(|index| index.0.as_str());
        let about = |name: String| {
            let own = json!({"settings": {"index": {"number_of_shards": "1", "number_of_replicas": "0", "provided_name": name, "uuid": name}}});
            (name, own)
        };
        // Says so when there is no such index.
        matchers(app, budget, expression, false)?;
        Ok(Good(Value::Object(names_of(app, budget, expression)?.into_iter().map(about).collect())))
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
