//! `watchfire traces`: asks a running server for a trace by its id, which is printed as a tree with a line of time for each span, or for
//! traces that a TraceQL query finds. It only talks HTTP, to Jaeger's and Tempo's interfaces.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use http::Method;
use serde_json::Value;
use watchfire_model::duration::parse_millis;
use watchfire_model::logs::Nanos;
use watchfire_model::spans::TraceId;
use watchfire_model::time::{Clock, SystemClock};

use crate::command_line::TracesFlags;
use crate::remote::{Remote, form_encode, printable};
use crate::settings::Environment;

/// How wide the line of time is, in characters.
const BAR: usize = 30;
/// So many spans of a trace are printed.
const SPANS_MAX: usize = 10_000;
/// So deep are spans indented; what is deeper stands there, too.
const INDENT_MAX: usize = 30;

/// Runs the command.
pub(crate) fn run(flags: &TracesFlags, environment: &Environment) -> Result<()> {
    let remote = Remote::for_queries(&flags.url, environment)?;
    let id = TraceId::parse(&flags.wanted);
    let path = match id {
        Some(id) => format!("/jaeger/api/traces/{id}"),
        None => {
            let back = parse_millis(&flags.since).with_context(|| format!("--since must be a duration such as 30m or 7d, not {:?}", flags.since))?;
            let now = SystemClock::new().now().millis();
            let start = now.saturating_sub_unsigned(back) / 1_000;
            let query = form_encode(if flags.wanted.is_empty() { "{}" } else { &flags.wanted });
            format!("/tempo/api/search?q={query}&limit={}&spss=1&start={start}&end={}", flags.limit, now / 1_000 + 1)
        }
    };
    let answer = remote.ask_json(Method::GET, &path, &[])?;
    if flags.json {
        println!("{answer}");
        return Ok(());
    }
    let shown = if id.is_some() { tree(&answer["data"][0]) } else { found(&answer) };
    for line in shown {
        println!("{line}");
    }
    Ok(())
}

/// One line per trace: id, begin, duration, and where it began.
fn found(answer: &Value) -> Vec<String> {
    let text = |value: &Value| printable(value.as_str().unwrap_or(""));
    let line = |trace: &Value| {
        let start: i64 = trace["startTimeUnixNano"].as_str().and_then(|t| t.parse().ok()).unwrap_or(0);
        let took = duration(trace["durationMs"].as_u64().unwrap_or(0).saturating_mul(1_000));
        format!("{}  {}  {took:>9}  {}: {}", text(&trace["traceID"]), Nanos(start).rfc3339(), text(&trace["rootServiceName"]), text(&trace["rootTraceName"]))
    };
    let lines: Vec<String> = answer["traces"].as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { vec!["no traces".to_owned()] } else { lines }
}

/// A span as it is printed.
struct Shown<'a> {
    id: &'a str,
    start: i64,
    took: u64,
    text: String,
}

/// The spans of a trace below their parents, each with its line of time.
fn tree(trace: &Value) -> Vec<String> {
    let empty = Vec::new();
    let spans = trace["spans"].as_array().unwrap_or(&empty);
    let ids: HashSet<&str> = spans.iter().filter_map(|span| span["spanID"].as_str()).collect();
    let mut children: HashMap<&str, Vec<Shown<'_>>> = HashMap::new();
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for span in spans.iter().take(SPANS_MAX) {
        let id = span["spanID"].as_str().unwrap_or("");
        let parents = span["references"].as_array().into_iter().flatten().filter(|r| r["refType"] == "CHILD_OF");
        let parent = parents.filter_map(|r| r["spanID"].as_str()).find(|parent| ids.contains(parent) && *parent != id).unwrap_or("");
        let (start, took) = (span["startTime"].as_i64().unwrap_or(0), span["duration"].as_u64().unwrap_or(0));
        (first, last) = (first.min(start), last.max(start.saturating_add_unsigned(took)));
        let process = span["processID"].as_str().unwrap_or("");
        let service = trace["processes"][process]["serviceName"].as_str().unwrap_or("");
        let failed = span["tags"].as_array().into_iter().flatten().any(|tag| tag["key"] == "error" && (tag["value"] == true || tag["value"] == "true"));
        let text = printable(&format!("{service}: {}{}", span["operationName"].as_str().unwrap_or(""), if failed { "  ERROR" } else { "" }));
        children.entry(parent).or_default().push(Shown { id, start, took, text });
    }
    children.values_mut().for_each(|spans| spans.sort_by_key(|span| span.start));
    let mut lines = Vec::new();
    // Spans that are each other's ancestors are nobody's children here; they stand at the end.
    let mut roots = vec![""];
    while let Some(root) = roots.pop() {
        let mut todo: Vec<(usize, Shown<'_>)> = children.remove(root).into_iter().flatten().rev().map(|span| (0, span)).collect();
        while let Some((depth, span)) = todo.pop() {
            let indent = "  ".repeat(depth.min(INDENT_MAX));
            lines.push(format!("{}  {:>9}  {indent}{}", bar(&span, first, last), duration(span.took), span.text));
            todo.extend(children.remove(span.id).into_iter().flatten().rev().map(|child| (depth + 1, child)));
        }
        roots.extend(children.keys().min().copied());
    }
    if spans.len() > SPANS_MAX {
        lines.push(format!("and {} spans more", spans.len() - SPANS_MAX));
    }
    lines
}

/// Where a span lies within its trace.
fn bar(span: &Shown<'_>, first: i64, last: i64) -> String {
    let whole = last.saturating_sub(first).max(1) as f64;
    let at = |time: i64| ((time.saturating_sub(first) as f64 / whole) * BAR as f64).clamp(0.0, BAR as f64);
    let begin = (at(span.start).floor() as usize).min(BAR - 1);
    let end = (at(span.start.saturating_add_unsigned(span.took)).ceil() as usize).clamp(begin + 1, BAR);
    format!("{}{}{}", "·".repeat(begin), "━".repeat(end - begin), "·".repeat(BAR - end))
}

/// Microseconds with a unit that people read.
fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..1_000_000 => format!("{:.1}ms", micros as f64 / 1e3),
        _ => format!("{:.2}s", micros as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn span(id: &str, parent: &str, start: i64, took: u64, more: &Value) -> Value {
        let references = if parent.is_empty() { json!([]) } else { json!([{"refType": "CHILD_OF", "traceID": "t", "spanID": parent}]) };
        json!({"spanID": id, "references": references, "startTime": start, "duration": took, "operationName": format!("op {id}"), "processID": "p1", "tags": more})
    }

    #[test]
    fn a_trace_is_a_tree_with_lines_of_time() {
        let trace = json!({"processes": {"p1": {"serviceName": "api\u{1b}[2J"}}, "spans": [
            span("b", "a", 500, 500, &json!([{"key": "error", "type": "bool", "value": true}])),
            span("a", "", 0, 1_000, &json!([])),
            span("c", "b", 600, 100, &json!([])),
            span("d", "gone", 0, 300_000_000, &json!([])),
        ]});
        let lines = tree(&json!({"processes": trace["processes"], "spans": trace["spans"].as_array().unwrap()[..3]}));
        assert_eq!(
            lines,
            [
                "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━      1.0ms  api\u{fffd}[2J: op a",
                "···············━━━━━━━━━━━━━━━      500µs    api\u{fffd}[2J: op b  ERROR",
                "··················━━━·········      100µs      api\u{fffd}[2J: op c",
            ]
        );
        assert_eq!(tree(&trace).iter().filter(|line| line.contains("300.00s  api")).count(), 1, "one without its parent begins anew");
    }

    #[test]
    fn rings_of_parents_end() {
        let ring = json!({"processes": {}, "spans": [span("a", "b", 0, 1, &json!([])), span("b", "a", 0, 1, &json!([])), span("c", "c", 0, 1, &json!([]))]});
        assert_eq!(tree(&ring).len(), 3);
    }

    #[test]
    fn what_a_query_finds() {
        let answer =
            json!({"traces": [{"traceID": "ab", "startTimeUnixNano": "2000000000", "durationMs": 1500, "rootServiceName": "api", "rootTraceName": "GET /"}]});
        assert_eq!(found(&answer), ["ab  1970-01-01T00:00:02Z      1.50s  api: GET /"]);
        assert_eq!(found(&json!({"traces": []})), ["no traces"]);
    }
}
