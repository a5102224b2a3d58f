//! Asks a real Prometheus and our engine the same questions over the same data and compares the answers.
//!
//! The reference is whatever `prometheus` is installed (Debian's is 2.42); where 3.x differs, `differs_in_3` says so.
//! Without the programs the test says so and passes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod data;
mod lists;
mod prometheus;
mod queries;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;
use watchfire_model::labels::Labels;
use watchfire_model::read::Budget;
use watchfire_model::time::{SystemClock, Timestamp};
use watchfire_query::promql::{Answer, Engine, QueryError, Value, format_value, parse};
use watchfire_testkit::memory::Memory;

use data::BASE;
use prometheus::Prometheus;

/// Answers in one form: series by labels, each with times and values; the order only where it means something.
#[derive(Debug)]
struct Table {
    kind: String,
    rows: BTreeMap<String, Vec<(i64, f64)>>,
    order: Vec<String>,
    text: String,
}

/// What is known to differ between the installed 2.42 and 3.x, which we follow; such questions are left out.
fn differs_in_3(query: &str) -> Option<&'static str> {
    const CALENDAR: [&str; 8] =
        ["day_of_month(odd", "day_of_week(odd", "day_of_year(odd", "days_in_month(odd", "hour(odd", "minute(odd", "month(odd", "year(odd"];
    if query.contains("atan2") && !query.starts_with("atan2") {
        return Some("3.x drops the metric's name, as after every arithmetic operator");
    }
    if CALENDAR.iter().any(|call| query.starts_with(call)) {
        return Some("numbers that are no time become whatever the processor makes of them");
    }
    if ["stdvar_over_time(odd", "stddev_over_time(odd"].iter().any(|call| query.contains(call)) {
        return Some("where squares overflow 2.42 says NaN, 3.x +Inf");
    }
    match query {
        "requests_total * on (instance) group_left requests_total" | "requests_total + on (instance) requests_total" => {
            Some("which duplicates the message names is chance")
        }
        "bottomk(1, odd)" => Some("2.42 lets a NaN take the place of a NaN"),
        "predict_linear(temperature[10m] @ 1700003607, 600)" => Some("2.42 loses most steps of a range query"),
        "topk(scalar(constant), temperature)" => Some("3.x has its own message for NaN"),
        _ => None,
    }
}

fn key(labels: &Labels) -> String {
    let pairs: BTreeMap<&str, &str> = labels.iter().collect();
    serde_json::to_string(&pairs).unwrap()
}

fn ours(answer: &Answer) -> Table {
    let mut table = Table { kind: answer.value.type_code().to_owned(), rows: BTreeMap::new(), order: Vec::new(), text: String::new() };
    match &answer.value {
        Value::Scalar(point) => {
            table.rows.insert(String::new(), vec![(point.time.0, point.value)]);
        }
        Value::String { text, .. } => table.text = text.clone(),
        Value::Vector(samples) => {
            for sample in samples {
                table.order.push(key(&sample.labels));
                table.rows.insert(key(&sample.labels), vec![(sample.time.0, sample.value)]);
            }
        }
        Value::Matrix(series) => {
            for series in series {
                table.order.push(key(&series.labels));
                table.rows.insert(key(&series.labels), series.points.iter().map(|p| (p.time.0, p.value)).collect());
            }
        }
    }
    table
}

fn theirs(data: &Json) -> Table {
    let kind = data["resultType"].as_str().unwrap().to_owned();
    let mut table = Table { kind, rows: BTreeMap::new(), order: Vec::new(), text: String::new() };
    let point = |pair: &Json| ((pair[0].as_f64().unwrap() * 1000.0).round() as i64, pair[1].as_str().unwrap().parse::<f64>().unwrap());
    match table.kind.as_str() {
        "scalar" => {
            table.rows.insert(String::new(), vec![point(&data["result"])]);
        }
        "string" => table.text = data["result"][1].as_str().unwrap().to_owned(),
        _ => {
            for row in data["result"].as_array().unwrap() {
                let pairs: BTreeMap<&str, &str> = row["metric"].as_object().unwrap().iter().map(|(n, v)| (n.as_str(), v.as_str().unwrap())).collect();
                let key = serde_json::to_string(&pairs).unwrap();
                let points = row.get("values").map_or_else(|| vec![point(&row["value"])], |v| v.as_array().unwrap().iter().map(point).collect());
                table.order.push(key.clone());
                table.rows.insert(key, points);
            }
        }
    }
    table
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= tolerance * a.abs().max(b.abs()) || (a - b).abs() < tolerance * 1e-3
}

/// `None` when both say the same.
fn difference(ours: &Table, theirs: &Table, ordered: bool, tolerance: f64) -> Option<String> {
    if ours.kind != theirs.kind || ours.text != theirs.text {
        return Some(format!("{} {:?} instead of {} {:?}", ours.kind, ours.text, theirs.kind, theirs.text));
    }
    if ours.rows.keys().ne(theirs.rows.keys()) {
        return Some(format!("series {:?} instead of {:?}", ours.rows.keys().take(4).collect::<Vec<_>>(), theirs.rows.keys().take(4).collect::<Vec<_>>()));
    }
    if ordered && ours.order != theirs.order {
        return Some(format!("order {:?} instead of {:?}", ours.order, theirs.order));
    }
    for (labels, a) in &ours.rows {
        let b = &theirs.rows[labels];
        if let Some(odd) = a.iter().find(|p| !b.iter().any(|q| q.0 == p.0)) {
            return Some(format!("{labels}: {} @ {} is not there", format_value(odd.1), odd.0));
        }
        if a.len() != b.len() {
            return Some(format!("{labels}: {} points instead of {}", a.len(), b.len()));
        }
        for (x, y) in a.iter().zip(b) {
            if x.0 != y.0 || !close(x.1, y.1, tolerance) {
                return Some(format!("{labels}: {} @ {} instead of {} @ {}", format_value(x.1), x.0, format_value(y.1), y.0));
            }
        }
    }
    None
}

fn tolerance(query: &str) -> f64 {
    // 2.42 adds up without compensation, or corrects means step by step.
    if ["avg", "stddev", "stdvar", "deriv", "predict_linear", "sum"].iter().any(|f| query.contains(f)) { 1e-9 } else { 1e-12 }
}

struct Bench {
    reference: Prometheus,
    memory: Memory,
    engine: Engine,
    budget: Budget,
    failures: Vec<String>,
    compared: usize,
    random: bool,
}

impl Bench {
    fn instant(&mut self, query: &str, time: i64) {
        let mine = self.engine.instant(&self.memory, query, Timestamp(time), &self.budget);
        let reference = self.reference.ask("query", &[("query", older(query)), ("time", seconds(time))]);
        self.compare(&format!("{query} @ {time}"), query, mine, &reference);
    }

    fn range(&mut self, query: &str, start: i64, end: i64, step: i64) {
        let mine = self.engine.range(&self.memory, query, Timestamp(start), Timestamp(end), Duration::from_millis(step as u64), &self.budget);
        let reference =
            self.reference.ask("query_range", &[("query", older(query)), ("start", seconds(start)), ("end", seconds(end)), ("step", seconds(step))]);
        self.compare(&format!("{query} @ {start}..{end} step {step}"), query, mine, &reference);
    }

    fn compare(&mut self, what: &str, query: &str, mine: Result<Answer, QueryError>, reference: &Json) {
        self.compared += 1;
        let failure = match (mine, reference["status"].as_str()) {
            (Ok(answer), Some("success")) => {
                let ordered = ["sort", "topk", "bottomk"].iter().any(|p| query.starts_with(p))
                    && !query.contains("by")
                    && !query.contains("without")
                    && !query.contains("odd");
                difference(&ours(&answer), &theirs(&reference["data"]), ordered, tolerance(query))
            }
            (Err(mine), Some("error")) => {
                let theirs = reference["error"].as_str().unwrap();
                // Of several faults at one step it is chance which one is named.
                let chance =
                    self.random && [&mine.to_string(), theirs].iter().all(|e| ["duplicate", "multiple matches", "same labelset"].iter().any(|f| e.contains(f)));
                (!chance && !theirs.ends_with(&mine.to_string())).then(|| format!("error {:?} instead of {theirs:?}", mine.to_string()))
            }
            (Ok(_), _) => Some(format!("no error, but there: {}", reference["error"])),
            // 3.x finds several partners even where the comparison drops them all.
            (Err(e), _) if self.random && e.to_string().starts_with("multiple matches") => None,
            (Err(e), _) => Some(format!("error {e}, but none there")),
        };
        if let Some(failure) = failure {
            self.failures.push(format!("{what}\n    {failure}"));
        }
    }
}

/// The name that 2.42 knows.
fn older(query: &str) -> String {
    query.replace("double_exponential_smoothing", "holt_winters")
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// A number from the environment: how many random questions, and which, can be chosen for a longer run.
#[expect(clippy::disallowed_methods, reason = "a test is asked for more by its environment")]
fn on_demand(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(usual)
}

#[test]
fn answers_equal_those_of_prometheus() {
    if !prometheus::installed() {
        eprintln!("SKIPPED: prometheus and promtool are not installed, nothing to compare with");
        return;
    }
    let (memory, text) = data::make();
    let budget = Budget::unlimited(SystemClock::shared());
    let mut bench = Bench {
        reference: Prometheus::start(&text),
        memory,
        engine: Engine { delayed_name_removal: false, ..Engine::default() },
        budget,
        failures: Vec::new(),
        compared: 0,
        random: false,
    };
    // Seven seconds past every minute: no subquery step ever falls on the border of its window.
    let late = BASE + 3_607_000;
    for query in queries::all().into_iter().filter(|q| differs_in_3(q).is_none()) {
        bench.instant(&query, late);
        if parse(&query).is_ok_and(|e| matches!(e.value_type().code(), "scalar" | "vector")) {
            bench.range(&query, BASE - 593_000, BASE + 7_807_000, 240_000);
        }
    }
    for query in ["requests_total", "rate(requests_total[1m])", "sum(temperature) by (zone)", "sparse", "temperature > limit"] {
        bench.range(query, BASE + 7_000, BASE + 7_200_000, 7_000);
    }
    bench.random = true;
    let (count, seed) = (on_demand("WATCHFIRE_DIFFERENTIAL_QUERIES", 4_000), on_demand("WATCHFIRE_DIFFERENTIAL_SEED", 0));
    for query in queries::random(count as usize, seed).into_iter().filter(|q| !q.contains("_over_time(odd") || differs_in_3(q).is_none()) {
        bench.instant(&query, late);
        bench.range(&query, BASE - 593_000, BASE + 7_807_000, 480_000);
    }
    assert!(bench.compared > 8_000, "only {} comparisons", bench.compared);
    assert!(bench.failures.is_empty(), "{} of {} differ:\n{}", bench.failures.len(), bench.compared, bench.failures.join("\n"));
}

#[test]
fn newer_errors() {
    for (text, message) in lists::ERRORS_OF_3 {
        assert_eq!(parse(text).map_or_else(|e| e.to_string(), |_| "no error".to_owned()), *message, "{text:?}");
    }
}

#[test]
fn errors_equal_those_of_prometheus() {
    if !prometheus::installed() {
        eprintln!("SKIPPED: prometheus and promtool are not installed, nothing to compare with");
        return;
    }
    let reference = Prometheus::start("constant 1 1700000000\n# EOF\n");
    let mut failures = Vec::new();
    for text in lists::ERRORS {
        let answer = reference.ask("query", &[("query", (*text).to_owned()), ("time", "1".to_owned())]);
        let theirs = answer["error"].as_str().unwrap_or("no error").trim_start_matches("invalid parameter \"query\": ").to_owned();
        let mine = parse(text).map_or_else(|e| e.to_string(), |_| "no error".to_owned());
        if mine != theirs {
            failures.push(format!("{text:?}\n    ours:   {mine}\n    theirs: {theirs}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} differ:\n{}", failures.len(), lists::ERRORS.len(), failures.join("\n"));
}
