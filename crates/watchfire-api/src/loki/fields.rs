//! `/loki/api/v1/detected_labels`, `/detected_fields` and their values: what lines turn out to have when their newest are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use serde_json::{Value, json};
use watchfire_model::logs::{LogLine, Nanos};
use watchfire_model::read::Budget;
use watchfire_query::logql::{Direction, Engine, Line, LinePipeline, LinesRequest, LogExpr, parse_log};

use super::answer::{LokiError, Plain};
use super::labels::{matchers, selection};
use super::params::{Params, Range};
use crate::app::App;
use crate::prometheus::gate::run;

/// How many lines are looked at unless it is said.
const LINES: usize = 1_000;
/// How many fields or values come unless it is said.
const LIMIT: usize = 1_000;
/// The most fields that are counted.
const FIELDS_MAX: usize = 10_000;
/// Labels with more values than this identify single things; they are shown last by those who show them.
const VALUES_MAX: usize = 100_000;

/// `GET|POST /loki/api/v1/detected_labels`.
pub(super) async fn labels(State(app): State<Arc<App>>, request: Request) -> Result<Plain<Value>, LokiError> {
    let params = Params::read(request).await?;
    let selection = selection(matchers(&params.query(&app)?)?, params.labels_range(&app)?);
    run(&app, None, move |app, budget| {
        let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for stream in app.rooms.logs.log_volume(&selection, budget)? {
            for (name, value) in &stream.labels {
                let known = values.entry(name.to_owned()).or_default();
                if known.len() < VALUES_MAX {
                    known.insert(value.to_owned());
                }
            }
            budget.check()?;
        }
        let all: Vec<Value> = values.iter().map(|(name, values)| json!({"label": name, "cardinality": values.len()})).collect();
        Ok(Plain(json!({"detectedLabels": all})))
    })
    .await
}

/// One field over all lines.
#[derive(Default)]
struct Field {
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
    json_path: Vec<String>,
}
impl Field {
    fn kind(&self) -> &'static str {
        let all = |fits: fn(&str) -> bool| self.values.iter().all(|v| fits(v));
        if all(|v| v.parse::<i64>().is_ok()) {
            "int"
        } else if all(|v| v.parse::<f64>().is_ok_and(f64::is_finite)) {
            "float"
        } else if all(|v| matches!(v, "true" | "false")) {
            "boolean"
        } else if all(is_duration) {
            "duration"
        } else if all(|v| watchfire_model::duration::parse_bytes(v).is_some() && v.ends_with(['B', 'b'])) {
            "bytes"
        } else {
            "string"
        }
    }
}

/// `1.5s`, `20ms`, `1h2m`.
fn is_duration(text: &str) -> bool {
    let units = ["ns", "us", "µs", "ms", "s", "m", "h", "d", "w"];
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let letters = rest.get(digits..).unwrap_or("");
        let unit = letters.find(|c: char| c.is_ascii_digit()).unwrap_or(letters.len());
        if digits == 0 || !letters.get(..unit).is_some_and(|u| units.contains(&u)) {
            return false;
        }
        rest = letters.get(unit..).unwrap_or("");
    }
    !text.is_empty() && text != "-"
}

/// What is looked at.
struct Asked {
    log: LogExpr,
    range: Range,
    lines: usize,
    limit: usize,
}
impl Asked {
    fn read(app: &App, params: &Params) -> Result<Asked, LokiError> {
        let text = params.query(app)?;
        let log = if text.trim().is_empty() { everything("")? } else { parse_log(&text)? };
        let limit = params.count("limit", params.count("field_limit", LIMIT)?)?.min(FIELDS_MAX);
        Ok(Asked { log, range: params.range(app)?, lines: params.count("line_limit", LINES)?.min(watchfire_query::logql::ENTRIES_MAX), limit })
    }

    fn fields(&self, app: &App, budget: &Budget) -> Result<BTreeMap<String, Field>, LokiError> {
        let Range { start, end } = self.range;
        let request = LinesRequest { start, end, limit: self.lines, direction: Direction::Backward, interval: std::time::Duration::ZERO };
        let lines = Engine::default().lines(&*app.rooms.logs, &self.log, &request, budget)?;
        let mut parsers = Parsers::new(end)?;
        let mut fields = BTreeMap::new();
        for line in &lines.list {
            budget.check()?;
            add(&mut fields, &line.metadata, None);
            add(&mut fields, &line.parsed, None);
            let (parsed, parser) = parsers.parse(line);
            if let Some(parsed) = parsed {
                add(&mut fields, &parsed.parsed, Some(parser));
            }
        }
        Ok(fields)
    }
}

fn add(fields: &mut BTreeMap<String, Field>, labels: &watchfire_model::labels::Labels, parser: Option<&'static str>) {
    for (name, value) in labels {
        // Names that begin so are about the parsing, not of the line.
        if name.starts_with("__") || (fields.len() >= FIELDS_MAX && !fields.contains_key(name)) {
            continue;
        }
        let field = fields.entry(name.to_owned()).or_default();
        field.values.insert(value.to_owned());
        if let Some(parser) = parser {
            field.parsers.insert(parser);
            if parser == "json" && field.json_path.is_empty() {
                field.json_path = vec![name.to_owned()];
            }
        }
    }
}

/// A pipeline over all streams. The language has no selector for them, so one is taken away.
fn everything(pipeline: &str) -> Result<LogExpr, LokiError> {
    let mut log = parse_log(&format!("{{all=\"all\"}} {pipeline}"))?;
    log.matchers.clear();
    Ok(log)
}

/// The parsers that are tried on a line.
struct Parsers {
    json: LinePipeline,
    logfmt: LinePipeline,
}
impl Parsers {
    fn new(now: Nanos) -> Result<Parsers, LokiError> {
        Ok(Parsers { json: LinePipeline::new(&everything("| json")?, now)?, logfmt: LinePipeline::new(&everything("| logfmt")?, now)? })
    }
    fn parse(&mut self, line: &Line) -> (Option<Line>, &'static str) {
        let empty = watchfire_model::labels::Labels::empty();
        let entry = LogLine { labels: &empty, time: line.time, line: &line.line, metadata: &empty };
        if line.line.trim_start().starts_with('{') {
            (self.json.line(entry).filter(|l| l.parsed.get("__error__").is_none()), "json")
        } else if line.line.contains('=') {
            (self.logfmt.line(entry).filter(|l| l.parsed.get("__error__").is_none()), "logfmt")
        } else {
            (None, "")
        }
    }
}

/// `GET|POST /loki/api/v1/detected_fields`.
pub(super) async fn fields(State(app): State<Arc<App>>, request: Request) -> Result<Plain<Value>, LokiError> {
    let params = Params::read(request).await?;
    let asked = Asked::read(&app, &params)?;
    run(&app, None, move |app, budget| {
        let all: Vec<Value> = asked.fields(app, budget)?.iter().take(asked.limit).map(|(name, field)| shown(name, field)).collect();
        Ok(Plain(json!({"fields": all, "limit": asked.limit})))
    })
    .await
}

fn shown(name: &str, field: &Field) -> Value {
    let parsers = if field.parsers.is_empty() { Value::Null } else { json!(field.parsers) };
    let mut out = json!({"label": name, "type": field.kind(), "cardinality": field.values.len(), "parsers": parsers});
    if !field.json_path.is_empty() {
        out["jsonPath"] = json!(field.json_path);
    }
    out
}

/// `GET|POST /loki/api/v1/detected_field/{name}/values`.
pub(super) async fn values(State(app): State<Arc<App>>, Path(name): Path<String>, request: Request) -> Result<Plain<Value>, LokiError> {
    let params = Params::read(request).await?;
    let asked = Asked::read(&app, &params)?;
    run(&app, None, move |app, budget| {
        let mut fields = asked.fields(app, budget)?;
        let values: Vec<String> = fields.remove(&name).unwrap_or_default().values.into_iter().take(asked.limit).collect();
        Ok(Plain(json!({"values": values, "limit": asked.limit})))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_values() {
        let check = |values: &[&str], kind: &str| {
            let field = Field { values: values.iter().map(|v| (*v).to_owned()).collect(), ..Field::default() };
            assert_eq!(field.kind(), kind, "{values:?}");
        };
        check(&["1", "-20"], "int");
        check(&["1", "2.5"], "float");
        check(&["true", "false"], "boolean");
        check(&["20ms", "1h2m", "1.5s"], "duration");
        check(&["20KB", "1MB"], "bytes");
        check(&["20ms", "x"], "string");
        check(&["s"], "string");
    }
}
