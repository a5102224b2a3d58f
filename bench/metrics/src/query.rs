//! The queries that are timed, how they are asked, and how two servers' answers are compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::server::{Kind, Server};
use bench_harness::client::encoded;
use bench_harness::timing::{self, Timed};

const HOUR_S: i64 = 3_600;
/// What is asked.
enum Ask {
    Instant(&'static str),
    /// Hours and step in seconds.
    Range(&'static str, i64, i64),
    Values(&'static str),
    Series(&'static str),
}

pub(crate) struct Query {
    pub(crate) name: &'static str,
    ask: Ask,
}

impl Query {
    /// How many hours of data it wants.
    pub(crate) fn hours(&self) -> i64 {
        if let Ask::Range(_, hours, _) = self.ask { hours } else { 0 }
    }
    pub(crate) fn text(&self) -> String {
        match self.ask {
            Ask::Instant(q) => q.to_owned(),
            Ask::Range(q, hours, step) => format!("{q} over {hours} h, step {step} s"),
            Ask::Values(label) => format!("values of label {label}"),
            Ask::Series(matcher) => format!("series {matcher}"),
        }
    }
    fn path(&self, kind: Kind, end_s: i64) -> String {
        let fresh = if kind == Kind::VictoriaMetrics { "&nocache=1" } else { "" };
        match self.ask {
            Ask::Instant(q) => format!("/api/v1/query?query={}&time={end_s}{fresh}", encoded(q)),
            Ask::Range(q, hours, step) => format!("/api/v1/query_range?query={}&start={}&end={end_s}&step={step}{fresh}", encoded(q), end_s - hours * HOUR_S),
            Ask::Values(label) => format!("/api/v1/label/{label}/values?start={}&end={end_s}", end_s - HOUR_S),
            Ask::Series(matcher) => format!("/api/v1/series?match[]={}&start={}&end={end_s}", encoded(matcher), end_s - HOUR_S),
        }
    }
}

/// All of them: i instant, r range, l labels and series.
pub(crate) fn queries() -> Vec<Query> {
    use Ask::{Instant, Range, Series, Values};
    const BY_MODE: &str = "sum by (mode) (rate(node_cpu_seconds_total[5m]))";
    const P95: &str = "histogram_quantile(0.95, sum by (le, handler) (rate(prometheus_http_request_duration_seconds_bucket[5m])))";
    [
        ("i1_rate_by_mode", Instant(BY_MODE)),
        ("i2_topk", Instant("topk(5, sum by (instance) (rate(node_network_receive_bytes_total[5m])))")),
        ("i3_hist_quantile", Instant(P95)),
        ("i4_regex", Instant("{__name__=~\"node_(memory_MemFree|memory_Cached|load1|load5).*\",instance=~\"host-0000[0-4].*\"}")),
        ("i5_count_by_name", Instant("count by (__name__) ({__name__=~\".+\"})")),
        ("i6_count_node_re", Instant("count({__name__=~\"node_.*\",instance=~\"host-.*\"})")),
        ("i7_join", Instant("node_memory_MemAvailable_bytes * on (instance) group_left (nodename, release) node_uname_info")),
        ("r1_1h_15s_cpu_by_inst", Range("sum by (instance) (rate(node_cpu_seconds_total[5m]))", 1, 15)),
        ("r2_6h_60s_hist_q", Range(P95, 6, 60)),
        ("r3_24h_60s_cpu_by_mode", Range(BY_MODE, 24, 60)),
        ("r4_6h_15s_mem_ratio", Range("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", 6, 15)),
        ("r5_24h_60s_regex_disks", Range("rate(node_disk_written_bytes_total{instance=~\"host-0000[0-4].*\",device=~\"vd[ab]\"}[5m])", 24, 60)),
        ("r6_24h_300s_max1h", Range("max_over_time(node_load1[1h])", 24, 300)),
        ("r7_24h_60s_1series", Range("node_load1{instance=\"host-00000.example.net:9100\"}", 24, 60)),
        ("r8_6h_60s_join", Range("rate(node_context_switches_total[5m]) * on (instance) group_left (release) node_uname_info", 6, 60)),
        ("l1_label_values_instance", Values("instance")),
        ("l2_label_values_name", Values("__name__")),
        ("l3_series_match", Series("{__name__=~\"node_cpu_.*\",mode=\"idle\"}")),
    ]
    .into_iter()
    .map(|(name, ask)| Query { name, ask })
    .collect()
}

/// Per series its points: time in milliseconds and value.
pub(crate) type Rows = BTreeMap<String, Vec<(i64, f64)>>;

/// What a query took, and its answer.
pub(crate) struct Asked {
    pub(crate) took: Timed,
    pub(crate) rows: Rows,
}

/// Asks a query many times.
pub(crate) fn time(query: &Query, server: &Server, end_s: i64) -> Result<Asked> {
    let took =
        timing::time(server.pid(), &server.address, &query.path(server.kind, end_s)).with_context(|| format!("{}: {}", server.kind.name(), query.name))?;
    let rows = rows(&took.body)?;
    Ok(Asked { took, rows })
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|s| s.parse().ok()).unwrap_or(f64::NAN)
}

/// The rows of any answer of the query API.
pub(crate) fn rows(body: &str) -> Result<Rows> {
    let answer: Value = serde_json::from_str(body).context("the answer is not JSON")?;
    ensure!(answer["status"] == "success", "the answer is no success: {answer}");
    let point = |p: &Value| ((p[0].as_f64().unwrap_or(0.0) * 1000.0).round() as i64, number(&p[1]));
    let mut rows = Rows::new();
    let data = &answer["data"];
    for row in data.as_array().or_else(|| data["result"].as_array()).context("an answer without rows")? {
        let labels: BTreeMap<String, Value> = match row.get("metric").unwrap_or(row) {
            Value::Object(labels) => labels.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
            text => [("value".to_owned(), text.clone())].into(),
        };
        let points = match row.get("values").and_then(Value::as_array) {
            Some(values) => values.iter().map(point).collect(),
            None => row.get("value").map(point).into_iter().collect(),
        };
        rows.insert(serde_json::to_string(&labels)?, points);
    }
    Ok(rows)
}

/// The part by which two numbers differ.
fn difference(a: f64, b: f64) -> f64 {
    if a.to_bits() == b.to_bits() || a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() / a.abs().max(b.abs()) }
}

/// Says in a few words how an answer compares with the reference.
pub(crate) fn compare(reference: &Rows, rows: &Rows) -> String {
    /// Sums of floating-point numbers in another order differ by less.
    const TOLERANCE: f64 = 1e-9;
    let missing = reference.keys().filter(|k| !rows.contains_key(*k)).count();
    let more = rows.keys().filter(|k| !reference.contains_key(*k)).count();
    if missing + more > 0 {
        return format!("{} series for {}: {missing} missing, {more} more", rows.len(), reference.len());
    }
    let (mut points, mut off, mut absent, mut largest) = (0, 0, 0, 0.0f64);
    for (series, expected) in reference {
        let found: BTreeMap<i64, f64> = rows[series].iter().copied().collect();
        for (time, value) in expected {
            points += 1;
            match found.get(time) {
                None => absent += 1,
                Some(other) => {
                    let difference = difference(*value, *other);
                    off += usize::from(difference.is_nan() || difference > TOLERANCE);
                    largest = largest.max(difference);
                }
            }
        }
        absent += found.len().saturating_sub(expected.len());
    }
    match (off, absent) {
        (0, 0) => format!("same {} series, {points} points", rows.len()),
        _ => format!("{off} of {points} points differ (at most by {:.2} %), {absent} not in both", largest * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_by_series_and_points() {
        let of = |value: &str| rows(&format!(r#"{{"status":"success","data":{{"result":[{{"metric":{{"a":"1"}},"value":[10.5,"{value}"]}}]}}}}"#)).unwrap();
        assert_eq!(of("1")["{\"a\":\"1\"}"], [(10_500, 1.0)]);
        assert_eq!(compare(&of("1"), &of("1.00000000001")), "same 1 series, 1 points");
        assert_eq!(compare(&of("1"), &of("2")), "1 of 1 points differ (at most by 50.00 %), 0 not in both");
        assert_eq!(compare(&of("NaN"), &of("NaN")), "same 1 series, 1 points");
        assert_eq!(compare(&of("1"), &Rows::new()), "0 series for 1: 1 missing, 0 more");
        let values = rows(r#"{"status":"success","data":["x","y"]}"#).unwrap();
        assert_eq!(values.len(), 2);
        assert!(rows(r#"{"status":"error"}"#).is_err());
    }
}
