//! `watchfire query`: asks a running server and prints a table, with a sparkline of the last hour behind each series.
//! It only talks HTTP, so it works against any server that answers like Prometheus.

use anyhow::Result;
use http::Method;
use serde_json::Value;
use watchfire_model::order::Order as _;
use watchfire_model::time::{Clock, SystemClock};

use crate::command_line::QueryFlags;
use crate::remote::{Remote, form_encode, printable};
use crate::settings::Environment;

const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARK_POINTS: f64 = 30.0;

/// Runs the command.
pub(crate) fn run(flags: &QueryFlags, environment: &Environment) -> Result<()> {
    let remote = Remote::for_queries(&flags.url, environment)?;
    let get = |path: &str, form: String| remote.ask_json(Method::GET, &format!("{path}?{form}"), &[]);
    let expression = form_encode(&flags.expression);
    let answer = get("/api/v1/query", format!("query={expression}"))?;
    if flags.json {
        println!("{answer}");
        return Ok(());
    }
    let now = SystemClock::new().now().secs_f64();
    let step = 3600.0 / SPARK_POINTS;
    let range = if answer["data"]["resultType"] == "vector" {
        // Some instant expressions have no range form; the table is printed without sparks then.
        get("/api/v1/query_range", format!("query={expression}&start={:.3}&end={now:.3}&step={step}", now - 3600.0)).unwrap_or(Value::Null)
    } else {
        Value::Null
    };
    for line in table(&answer["data"], &range["data"]["result"]) {
        println!("{line}");
    }
    for note in ["warnings", "infos"] {
        for text in answer[note].as_array().into_iter().flatten().filter_map(Value::as_str) {
            eprintln!("{}", printable(text));
        }
    }
    Ok(())
}

/// One line per series: labels, value, spark.
pub(crate) fn table(data: &Value, range: &Value) -> Vec<String> {
    let rows = match data["resultType"].as_str() {
        Some("scalar" | "string") => return vec![data["result"][1].as_str().unwrap_or("").to_owned()],
        _ => data["result"].as_array().cloned().unwrap_or_default(),
    };
    if rows.is_empty() {
        return vec!["no data".to_owned()];
    }
    let shown: Vec<(String, String, String)> = rows.iter().map(|row| (series(&row["metric"]), values(row), spark(range, &row["metric"]))).collect();
    let width = shown.iter().map(|(s, _, _)| s.chars().count()).max().unwrap_or(0).min(100);
    let value_width = shown.iter().map(|(_, v, _)| v.chars().count()).max().unwrap_or(0).min(40);
    shown.into_iter().map(|(s, v, k)| format!("{s:width$}  {v:>value_width$}  {k}").trim_end().to_owned()).collect()
}

/// `name{a="b"}`, without control characters: what comes from a server is not to drive a terminal.
pub(crate) fn series(metric: &Value) -> String {
    let labels = metric.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str().unwrap_or("")));
    printable(&watchfire_model::labels::Labels::from_pairs(labels).to_string())
}

fn values(row: &Value) -> String {
    let all = ["values", "histograms"].iter().filter_map(|key| row[key].as_array()).flatten();
    let mut timed: Vec<(f64, String)> = all.map(|p| (p[0].as_f64().unwrap_or(0.0), format!("{}@{}", sample(&p[1]), p[0]))).collect();
    if timed.is_empty() {
        let key = if row["histogram"].is_null() { "value" } else { "histogram" };
        return sample(&row[key][1]);
    }
    timed.order_by(|a, b| a.0.total_cmp(&b.0));
    timed.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

/// A number, or a native histogram in Prometheus' short form.
fn sample(value: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    if !value.is_object() {
        return text(value);
    }
    let mut shown = format!("{{count:{}, sum:{}", text(&value["count"]), text(&value["sum"]));
    for bucket in value["buckets"].as_array().into_iter().flatten() {
        let rule = bucket[0].as_u64().unwrap_or(0);
        let (open, close) = (if matches!(rule, 1 | 3) { '[' } else { '(' }, if matches!(rule, 0 | 3) { ']' } else { ')' });
        shown.push_str(&format!(", {open}{},{}{close}:{}", text(&bucket[1]), text(&bucket[2]), text(&bucket[3])));
    }
    shown.push('}');
    shown
}

fn spark(range: &Value, metric: &Value) -> String {
    let Some(row) = range.as_array().into_iter().flatten().find(|r| r["metric"] == *metric) else { return String::new() };
    let points: Vec<f64> =
        row["values"].as_array().into_iter().flatten().filter_map(|p| p[1].as_str()?.parse::<f64>().ok()).filter(|v| v.is_finite()).collect();
    let (low, high) = points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let height = |v: f64| if high > low { ((v - low) / (high - low) * 7.0).round() as usize } else { 0 };
    points.iter().map(|v| SPARKS[height(*v).min(7)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables() {
        let data = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a\u{1b}[2J"}, "value": [1, "1"]},
            {"metric": {"__name__": "up", "job": "bb"}, "value": [1, "0"]},
        ]});
        let range = json!([{"metric": {"__name__": "up", "job": "bb"}, "values": [[1, "0"], [2, "1"], [3, "NaN"]]}]);
        let lines = table(&data, &range);
        assert_eq!(lines[1], "up{job=\"bb\"}        0  ▁█");
        assert!(!lines[0].contains('\u{1b}'), "{lines:?}");
        let histogram = json!({"count": "4", "sum": "5", "buckets": [[1, "-2", "-1", "1"], [3, "-0.1", "0.1", "1"], [0, "1", "2", "2"]]});
        let shown = "{count:4, sum:5, [-2,-1):1, [-0.1,0.1]:1, (1,2]:2}";
        let data = json!({"resultType": "vector", "result": [{"metric": {"__name__": "h"}, "histogram": [1, histogram]}]});
        assert_eq!(table(&data, &Value::Null), [format!("h  {shown}")]);
        let data = json!({"resultType": "matrix", "result": [{"metric": {"__name__": "h"}, "values": [[2, "7"]], "histograms": [[1, histogram]]}]});
        assert_eq!(table(&data, &Value::Null), [format!("h  {shown}@1 7@2")]);
        assert_eq!(table(&json!({"resultType": "scalar", "result": [1, "2"]}), &Value::Null), ["2"]);
        assert_eq!(table(&json!({"resultType": "vector", "result": []}), &Value::Null), ["no data"]);
    }
}
