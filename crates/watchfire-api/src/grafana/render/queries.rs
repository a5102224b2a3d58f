//! What the queries of a panel give: series with their names, or lines of logs. What is drawn of them is `draw`'s affair.

use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::order::Order as _;
use watchfire_model::read::Budget;
use watchfire_model::time::Timestamp;
use watchfire_query::logql;
use watchfire_query::promql::{Answer, Value};

use super::draw::Line;
use super::logs::Entry;
use super::panel::{Panel, Target};
use super::variables::Variables;
use crate::app::App;
use crate::prometheus::answer::{ApiError, ErrorKind};
use crate::prometheus::promql::engine;

/// Series of one query that are kept: those that are drawn, and some to count.
const SERIES_MAX: usize = 200;
/// The same where each is a bucket, before those of one bound are one.
const BUCKETS_MAX: usize = 2_000;

/// What the queries of a panel give.
pub(super) fn lines(app: &App, panel: &Panel, variables: &Variables, range: [i64; 2], step_ms: i64, budget: &Budget) -> Result<Vec<Line>, ApiError> {
    let at_end = matches!(panel.kind.as_str(), "table" | "bargauge" | "piechart" | "barchart");
    let most = if panel.kind == "heatmap" { BUCKETS_MAX } else { SERIES_MAX };
    let mut all = Vec::new();
    for target in &panel.targets {
        let expr = filled_in(app, target, variables)?;
        let (start, end, step) = (Timestamp(range[0]), Timestamp(range[1]), Duration::from_millis(step_ms.unsigned_abs()));
        let answer = if variables.is_logs(&target.source) {
            logged(app, &expr, start, end, step, budget)?
        } else if at_end {
            engine(app).instant(&*app.rooms.query_source, &expr, end, budget)?
        } else {
            engine(app).range(&*app.rooms.query_source, &expr, start, end, step, budget)?
        };
        all.extend(lines_of(answer, target, most));
        all.truncate(most);
        budget.check()?;
    }
    Ok(all)
}

/// The query of a target with variables filled in.
fn filled_in(app: &App, target: &Target, variables: &Variables) -> Result<String, ApiError> {
    let expr = variables.replace(&target.expr);
    if expr.len() > app.rooms.limits.text_bytes_max {
        return Err(ApiError::bad_data(format!("the query is {} bytes long", expr.len())));
    }
    Ok(expr)
}

/// The newest lines that the queries of a panel find, the newest first.
pub(super) fn newest(app: &App, panel: &Panel, variables: &Variables, range: [i64; 2], limit: usize, budget: &Budget) -> Result<Vec<Entry>, ApiError> {
    let failed = |error: &dyn std::fmt::Display| ApiError::new(ErrorKind::Execution, error.to_string());
    let [start, end] = [range[0], range[1].saturating_add(1)].map(Nanos::from_millis);
    let wanted = logql::LinesRequest { start, end, limit, direction: logql::Direction::Backward, interval: Duration::ZERO };
    let mut all = Vec::new();
    for target in &panel.targets {
        let expr = filled_in(app, target, variables)?;
        let logql::Expr::Log(log) = logql::parse(&expr).map_err(|e| failed(&e))? else {
            return Err(ApiError::bad_data("the query gives numbers, and panels of type logs show lines"));
        };
        let found = logql::Engine::default().lines(&*app.rooms.logs, &log, &wanted, budget).map_err(|e| failed(&e))?;
        all.extend(found.list);
        all.order_by(|a, b| b.time.cmp(&a.time));
        all.truncate(limit);
        budget.check()?;
    }
    Ok(all.into_iter().map(|line| Entry { time: line.time.millis(), line: line.line }).collect())
}

fn logged(app: &App, expr: &str, start: Timestamp, end: Timestamp, step: Duration, budget: &Budget) -> Result<Answer, ApiError> {
    let failed = |error: &dyn std::fmt::Display| ApiError::new(ErrorKind::Execution, error.to_string());
    match logql::parse(expr).map_err(|e| failed(&e))? {
        logql::Expr::Metric(metric) => {
            let (start, end) = (Nanos::from_millis(start.millis()), Nanos::from_millis(end.millis()));
            logql::Engine::default().range(&*app.rooms.logs, &metric, start, end, step, budget).map_err(|e| failed(&e))
        }
        logql::Expr::Log(_) => Err(ApiError::bad_data("lines of logs are drawn in panels of type logs only")),
    }
}

fn lines_of(answer: Answer, target: &Target, most: usize) -> Vec<Line> {
    let line = |labels: &Labels, points: Vec<(i64, f64)>| {
        let bound = labels.get("le").filter(|_| target.of_buckets).and_then(|le| le.parse().ok()).filter(|le: &f64| !le.is_nan());
        Line { name: named(labels, target), points, bound }
    };
    match answer.value {
        Value::Scalar(point) => vec![line(&Labels::default(), vec![(point.time.millis(), point.value)])],
        Value::String { .. } => Vec::new(),
        Value::Vector(samples) => samples.into_iter().take(most).map(|s| line(&s.labels, vec![(s.time.millis(), s.value)])).collect(),
        Value::Matrix(series) => {
            series.into_iter().take(most).map(|s| line(&s.labels, s.points.iter().map(|p| (p.time.millis(), p.value)).collect())).collect()
        }
    }
}

/// What a series is called in a panel: by its legend and its labels, else by what was asked.
fn named(labels: &Labels, target: &Target) -> String {
    series_name(labels.iter(), &target.legend, |name, value| format!("{name}={value}")).unwrap_or_else(|| target.expr.clone())
}

/// The legend of a series with its labels filled in; without a legend its labels, each as `pair` writes it, and nothing where it has none.
pub(in super::super) fn series_name<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, legend: &str, pair: impl Fn(&str, &str) -> String) -> Option<String> {
    let labels: Vec<(&str, &str)> = labels.collect();
    let of = |name: &str| labels.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
    if legend.is_empty() || legend == "__auto" {
        let shown: Vec<String> = labels.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| pair(name, value)).collect();
        return match (of("__name__"), shown.is_empty()) {
            ("", true) => None,
            (metric, true) => Some(metric.to_owned()),
            (metric, false) => Some(format!("{metric}{{{}}}", shown.join(", "))),
        };
    }
    let mut out = String::new();
    let mut rest = legend;
    while let Some((before, from)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = from.split_once("}}") else { break };
        out.push_str(of(name.trim()));
        rest = after;
    }
    Some(out + rest)
}
