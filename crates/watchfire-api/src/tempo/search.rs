//! `/api/search`: traces that a query finds; and the older form of asking, with tags in logfmt and durations of traces.

use std::sync::Arc;

use axum::extract::{Request, State};
use serde_json::{Value as Json, json};
use watchfire_query::traces::traceql::{Field, Found, FoundSet, FoundSpan, Owner, Query, Val, Wanted, parse, search as find};

use super::answer::{Plain, TempoError, pairs};
use super::params::Params;
use crate::app::App;
use crate::prometheus::gate::run;

/// How many traces come unless it is said.
const LIMIT: usize = 20;
/// The most that can be asked for.
const LIMIT_MAX: usize = 10_000;
/// How many spans of each set come unless it is said.
const SPANS: usize = 3;

/// `GET /api/search`.
pub(super) async fn search(State(app): State<Arc<App>>, request: Request) -> Result<Plain, TempoError> {
    let params = Params::read(request).await?;
    let query = match params.query(&app)? {
        Some(query) => query,
        None => of_tags(&params)?,
    };
    let limit = params.count("limit", LIMIT)?;
    if limit == 0 || limit > LIMIT_MAX {
        return Err(TempoError::bad(format!("invalid limit: it must be from 1 to {LIMIT_MAX}")));
    }
    let spans = match params.count("spss", SPANS)? {
        0 => usize::MAX,
        spans => spans,
    };
    let wanted = Wanted { range: params.range(&app)?, limit, spans };
    run(&app, None, move |app, budget| {
        let found = find(&*app.rooms.spans, &query, &wanted, budget)?;
        let traces: Vec<Json> = found.iter().map(trace).collect();
        Ok(Plain(json!({"traces": traces, "metrics": {"inspectedTraces": found.len(), "completedJobs": 1, "totalJobs": 1}})))
    })
    .await
}

fn trace(found: &Found) -> Json {
    let sets: Vec<Json> = found.sets.iter().map(set).collect();
    let services: serde_json::Map<String, Json> =
        found.services.iter().map(|(name, (spans, failed))| (name.clone(), json!({"spanCount": spans, "errorCount": failed}))).collect();
    json!({
        "traceID": found.id.to_string(),
        "rootServiceName": found.root_service,
        "rootTraceName": found.root_name,
        "startTimeUnixNano": found.start.0.to_string(),
        "durationMs": found.duration / 1_000_000,
        "spanSet": sets.first(),
        "spanSets": sets,
        "serviceStats": services,
    })
}

fn set(set: &FoundSet) -> Json {
    let mut object = json!({"spans": set.spans.iter().map(span).collect::<Vec<_>>(), "matched": set.matched});
    if !set.attributes.is_empty() {
        object["attributes"] = pairs(&set.attributes);
    }
    object
}

fn span(span: &FoundSpan) -> Json {
    json!({
        "spanID": span.id.to_string(),
        "name": span.name,
        "startTimeUnixNano": span.start.0.to_string(),
        "durationNanos": span.duration.to_string(),
        "attributes": pairs(&span.attributes),
    })
}

/// The query that tags and durations stand for.
fn of_tags(params: &Params) -> Result<Query, TempoError> {
    let mut conditions: Vec<String> = logfmt(params.get("tags").unwrap_or(""))?.iter().map(|(name, value)| condition(name, value)).collect();
    for (name, op) in [("minDuration", ">="), ("maxDuration", "<=")] {
        if let Some(nanos) = params.duration(name)? {
            conditions.push(format!("traceDuration {op} {nanos}ns"));
        }
    }
    Ok(parse(&format!("{{ {} }}", conditions.join(" && ")))?)
}

fn condition(name: &str, value: &str) -> String {
    let text = Val::Text(value.into());
    match (name, value) {
        ("service.name", _) => format!("resource.service.name = {text}"),
        ("name", _) => format!("name = {text}"),
        ("error", "true") | ("status.code" | "status", "error") => "status = error".to_owned(),
        ("status.code" | "status", "ok" | "unset") => format!("status = {value}"),
        _ => {
            let field = Field::Attribute(Owner::Any, name.to_owned());
            let more =
                if value.parse::<i64>().is_ok_and(|n| n >= 0) || matches!(value, "true" | "false") { format!(" || {field} = {value}") } else { String::new() };
            format!("({field} = {text}{more})")
        }
    }
}

/// `a=b c="d e"`
fn logfmt(text: &str) -> Result<Vec<(String, String)>, TempoError> {
    let bad = |at: &str| TempoError::bad(format!("invalid tags: cannot read {at:?} as name=value"));
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(|| bad(rest))?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(bad(rest));
        }
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted).ok_or_else(|| bad(rest))?,
            None => {
                let (value, next) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
                (value.to_owned(), next)
            }
        };
        pairs.push((name.to_owned(), value));
        rest = next.trim_start();
    }
    Ok(pairs)
}

/// The text up to the closing quote, its escapes resolved, and what follows.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Some((value, quoted.get(at + 1..)?)),
            c => {
                value.push(c);
                escaped = false;
            }
        }
    }
    None
}
