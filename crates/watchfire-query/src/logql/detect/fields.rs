//! Fields of lines: structured metadata, members of JSON, pairs of logfmt, and what the pipeline of the question sets; with the kind of
//! their values and about how many there are.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogOrder, LogSelection, LogSource, Nanos};
use watchfire_model::read::Budget;

use super::super::ast::LogExpr;
use super::super::error::LogqlError;
use super::super::eval::{Line, LinePipeline};
use super::super::fields::push_name;
use super::super::json::{self, Value};
use super::super::logfmt::{Piece, pieces};
use super::super::pipeline::pushed;
use super::super::units;

/// The most different values of a field that are told apart.
const VALUES_MAX: usize = 10_000;
/// The most fields that are told apart.
const FIELDS_MAX: usize = 1_000;

/// What values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Whole numbers.
    Int,
    /// Numbers.
    Float,
    /// True or false.
    Boolean,
    /// Lengths of time.
    Duration,
    /// Sizes.
    Bytes,
    /// Anything.
    String,
}
impl FieldType {
    /// The name that clients know.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Int => "int",
            FieldType::Float => "float",
            FieldType::Boolean => "boolean",
            FieldType::Duration => "duration",
            FieldType::Bytes => "bytes",
            FieldType::String => "string",
        }
    }

    fn of(value: &str) -> FieldType {
        if value.parse::<i64>().is_ok() {
            FieldType::Int
        } else if units::number(value).is_some() {
            FieldType::Float
        } else if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
            FieldType::Boolean
        } else if units::duration_nanos(value).is_some() {
            FieldType::Duration
        } else if value.starts_with(|c: char| c.is_ascii_digit()) && units::bytes(value).is_some() {
            FieldType::Bytes
        } else {
            FieldType::String
        }
    }
    /// The kind of values of both kinds.
    fn with(self, other: FieldType) -> FieldType {
        match (self, other) {
            (a, b) if a == b => a,
            (FieldType::Int, FieldType::Float) | (FieldType::Float, FieldType::Int) => FieldType::Float,
            _ => FieldType::String,
        }
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectedField {
    /// The label that a parser makes of it.
    pub label: String,
    /// What its values look like.
    pub kind: FieldType,
    /// How many values were seen.
    pub cardinality: usize,
    /// The parsers that find it: `json`, `logfmt`, or none where it is there without.
    pub parsers: Vec<&'static str>,
    /// Where it is in JSON.
    pub json_path: Vec<String>,
}

/// Which lines are looked at.
#[derive(Clone, Debug)]
pub struct FieldsRequest {
    /// First moment, inclusive.
    pub start: Nanos,
    /// Last moment, exclusive.
    pub end: Nanos,
    /// At most so many lines, the newest.
    pub line_limit: usize,
    /// At most so many fields, those with the most values left out last by name.
    pub limit: usize,
}

#[derive(Default)]
struct Seen {
    kind: Option<FieldType>,
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
    path: Vec<String>,
}

/// The fields of the selected lines, ascending by name.
pub fn detected_fields(source: &dyn LogSource, log: &LogExpr, request: &FieldsRequest, budget: &Budget) -> Result<Vec<DetectedField>, LogqlError> {
    let fields = seen(source, log, request, budget)?;
    let field = |(label, seen): (String, Seen)| DetectedField {
        label,
        kind: seen.kind.unwrap_or(FieldType::String),
        cardinality: seen.values.len(),
        parsers: seen.parsers.into_iter().collect(),
        json_path: seen.path,
    };
    Ok(fields.into_iter().take(request.limit).map(field).collect())
}

/// The values of one field, ascending.
pub fn detected_field_values(source: &dyn LogSource, log: &LogExpr, label: &str, request: &FieldsRequest, budget: &Budget) -> Result<Vec<String>, LogqlError> {
    let mut fields = seen(source, log, request, budget)?;
    let values = fields.remove(label).map(|seen| seen.values).unwrap_or_default();
    Ok(values.into_iter().take(request.limit).collect())
}

fn seen(source: &dyn LogSource, log: &LogExpr, request: &FieldsRequest, budget: &Budget) -> Result<BTreeMap<String, Seen>, LogqlError> {
    let mut pipeline = LinePipeline::new(log, request.end)?;
    let pushed = pushed(log);
    let order = LogOrder::Backward;
    let selection = LogSelection { order, contains: pushed.contains, ..LogSelection::new(pushed.matchers, request.start, request.end) };
    let mut fields: BTreeMap<String, Seen> = BTreeMap::new();
    let (mut lines, mut charged) = (0, 0u64);
    let outcome = source.select_logs(&selection, budget, &mut |entry| {
        budget.check()?;
        if lines >= request.line_limit {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(line) = pipeline.line(entry) {
            lines += 1;
            let grown = of_line(&line, entry.labels, &mut fields);
            charged += grown;
            budget.charge_memory(grown)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    budget.release_memory(charged);
    outcome?;
    Ok(fields)
}

/// Notes the fields of a line; gives the bytes that are kept of it.
fn of_line(line: &Line, stream: &Labels, fields: &mut BTreeMap<String, Seen>) -> u64 {
    let mut grown = 0;
    let mut note = |label: &str, value: &str, parser: Option<&'static str>, path: &[Cow<'_, str>]| {
        if value.is_empty() || label.starts_with("__") || (fields.len() >= FIELDS_MAX && !fields.contains_key(label)) {
            return;
        }
        let seen = fields.entry(label.to_owned()).or_default();
        let kind = FieldType::of(value);
        seen.kind = Some(seen.kind.map_or(kind, |known| known.with(kind)));
        if seen.values.len() < VALUES_MAX && !seen.values.contains(value) {
            seen.values.insert(value.to_owned());
            grown += (value.len() + 64) as u64;
        }
        seen.parsers.extend(parser);
        if seen.path.is_empty() {
            seen.path = path.iter().map(|part| part.clone().into_owned()).collect();
        }
    };
    for (name, value) in line.metadata.iter().chain(&line.parsed) {
        note(name, value, None, &[]);
    }
    let mut name = String::new();
    let mut field = |way: &[Cow<'_, str>], value: &str, parser: &'static str| {
        name.clear();
        for part in way {
            if !name.is_empty() {
                name.push('_');
            }
            push_name(&mut name, part);
        }
        if name.is_empty() {
            return;
        }
        if stream.get(&name).is_some() || line.metadata.get(&name).is_some() {
            name.push_str("_extracted");
        }
        note(&name, value, Some(parser), if parser == "json" { way } else { &[] });
    };
    if line.line.trim_start().starts_with('{') {
        // What was read before a mistake in the line counts.
        json::leaves(&line.line, &mut |way, value| {
            if !matches!(value, Value::Array(_) | Value::Null) {
                field(way, &value.into_text(), "json");
            }
        })
        .unwrap_or(());
    } else {
        pieces(&line.line, &mut |piece| {
            if let Piece::Pair(key, Some(value)) = piece {
                field(&[Cow::Borrowed(key)], &value, "logfmt");
            }
            true
        });
    }
    grown
}
