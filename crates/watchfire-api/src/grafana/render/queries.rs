//! What the queries of a panel give: tables of series, buckets, or lines of logs. What is drawn of them is `draw`'s affair.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::order::Order as _;
use watchfire_model::read::Budget;
use watchfire_model::time::Timestamp;
use watchfire_query::logql;
use watchfire_query::promql::{Answer, Value};

use super::draw::Line;
use super::frames::{Cell, Field, Frame, Kind};
use super::logs::Entry;
use super::panel::{Panel, Target};
use super::transform::{CELLS_MAX, Notes};
use super::variables::Variables;
use crate::app::App;
use crate::prometheus::answer::{ApiError, ErrorKind};
use crate::prometheus::promql::engine;

/// Series of one query that are kept: those that are drawn, and some to count.
const SERIES_MAX: usize = 200;
/// The same where each is a bucket, before those of one bound are one.
const BUCKETS_MAX: usize = 2_000;

/// What the queries of a panel give, as tables.
pub(super) fn frames(app: &App, panel: &Panel, variables: &Variables, asked: &Asked<'_>, notes: &mut Notes) -> Result<Vec<Frame>, ApiError> {
    // What is drawn over time is asked for over time, whatever its queries say.
    let is_figures = matches!(panel.kind.as_str(), "table" | "stat" | "singlestat" | "gauge" | "bargauge" | "piechart" | "barchart");
    let mut all = Vec::new();
    for target in &panel.targets {
        let expr = filled_in(app, target, variables)?;
        let answer = asked.answer(app, &expr, variables.is_logs(&target.source), is_figures && target.instant)?;
        let room = SERIES_MAX.saturating_sub(all.len());
        all.extend(frames_of(answer, target, [&variables.words(&target.legend), &expr], room, notes));
        asked.budget.check()?;
    }
    Ok(all)
}

/// What the queries of a heatmap give.
pub(super) fn buckets(app: &App, panel: &Panel, variables: &Variables, asked: &Asked<'_>) -> Result<Vec<Line>, ApiError> {
    let mut all = Vec::new();
    for target in &panel.targets {
        let expr = filled_in(app, target, variables)?;
        let answer = asked.answer(app, &expr, variables.is_logs(&target.source), false)?;
        for (labels, points) in series(answer.value).into_iter().take(BUCKETS_MAX - all.len()) {
            let bound = labels.get("le").filter(|_| target.format == "heatmap").and_then(|le| le.parse().ok()).filter(|le: &f64| !le.is_nan());
            all.push(Line { name: named(&labels, &target.legend, &expr), points, bound, look: panel.look.clone() });
        }
        asked.budget.check()?;
    }
    Ok(all)
}

/// Over which time a panel asks, and how much it may take.
pub(super) struct Asked<'a> {
    pub(super) range: [i64; 2],
    pub(super) step_ms: i64,
    pub(super) budget: &'a Budget,
}
impl Asked<'_> {
    fn answer(&self, app: &App, expr: &str, of_logs: bool, at_end: bool) -> Result<Answer, ApiError> {
        let (start, end, step) = (Timestamp(self.range[0]), Timestamp(self.range[1]), Duration::from_millis(self.step_ms.unsigned_abs()));
        if of_logs {
            logged(app, expr, if at_end { end } else { start }, end, step, self.budget)
        } else if at_end {
            Ok(engine(app).instant(&*app.rooms.query_source, expr, end, self.budget)?)
        } else {
            Ok(engine(app).range(&*app.rooms.query_source, expr, start, end, step, self.budget)?)
        }
    }
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
pub(super) fn newest(app: &App, panel: &Panel, variables: &Variables, asked: &Asked<'_>, limit: usize) -> Result<Vec<Entry>, ApiError> {
    let failed = |error: &dyn std::fmt::Display| ApiError::new(ErrorKind::Execution, error.to_string());
    let [start, end] = [asked.range[0], asked.range[1].saturating_add(1)].map(Nanos::from_millis);
    let wanted = logql::LinesRequest { start, end, limit, direction: logql::Direction::Backward, interval: Duration::ZERO };
    let mut all = Vec::new();
    for target in &panel.targets {
        let expr = filled_in(app, target, variables)?;
        let logql::Expr::Log(log) = logql::parse(&expr).map_err(|e| failed(&e))? else {
            return Err(ApiError::bad_data("the query gives numbers, and panels of type logs show lines"));
        };
        let found = logql::Engine::default().lines(&*app.rooms.logs, &log, &wanted, asked.budget).map_err(|e| failed(&e))?;
        all.extend(found.list);
        all.order_by(|a, b| b.time.cmp(&a.time));
        all.truncate(limit);
        asked.budget.check()?;
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

/// The series of an answer.
fn series(value: Value) -> Vec<(Labels, Vec<(i64, f64)>)> {
    match value {
        Value::Scalar(point) => vec![(Labels::default(), vec![(point.time.millis(), point.value)])],
        Value::String { .. } => Vec::new(),
        Value::Vector(samples) => samples.into_iter().map(|s| (s.labels, vec![(s.time.millis(), s.value)])).collect(),
        Value::Matrix(series) => series.into_iter().map(|s| (s.labels, s.points.iter().map(|p| (p.time.millis(), p.value)).collect())).collect(),
    }
}

/// An answer as the page's tables: one for each series, or one of all of them.
fn frames_of(answer: Answer, target: &Target, [legend, expr]: [&str; 2], room: usize, notes: &mut Notes) -> Vec<Frame> {
    let ref_id: Arc<str> = target.ref_id.as_str().into();
    let mut all = series(answer.value);
    all.truncate(notes.at_most(all.len(), room, "series"));
    if target.format == "table" && !all.is_empty() {
        return vec![table(&all, &ref_id, notes)];
    }
    let mut frames = Vec::new();
    for (labels, points) in all {
        let mut time = Field::new("Time", Kind::Time, Vec::with_capacity(points.len()), &ref_id);
        let mut value = Field::new(labels.get("__name__").unwrap_or("Value"), Kind::Number, Vec::with_capacity(points.len()), &ref_id);
        for (at, number) in points {
            time.values.push(Cell::Number(at as f64));
            value.values.push(Cell::Number(number));
        }
        value.given = named(&labels, legend, expr);
        value.labels = labels.without("__name__");
        frames.push(vec![time, value]);
    }
    frames
}

/// All series of an answer as one table: a column for each label.
fn table(all: &[(Labels, Vec<(i64, f64)>)], ref_id: &Arc<str>, notes: &mut Notes) -> Frame {
    let names: BTreeSet<&str> = all.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
    let mut frame = vec![Field::new("Time", Kind::Time, Vec::new(), ref_id)];
    for name in names {
        frame.push(Field::new(name, Kind::Text, Vec::new(), ref_id));
    }
    frame.push(Field::new("Value", Kind::Number, Vec::new(), ref_id));
    let rows = all.iter().map(|(_, points)| points.len()).sum();
    let mut room = notes.at_most(rows, CELLS_MAX / frame.len(), "rows");
    for (labels, points) in all {
        let points = points.get(..room).unwrap_or(points);
        room -= points.len();
        for field in &mut frame {
            // A text is held once for all rows of its series.
            let text = Cell::text(labels.get(&field.name).unwrap_or_default());
            for (time, value) in points {
                field.values.push(match field.kind {
                    Kind::Time => Cell::Number(*time as f64),
                    Kind::Number => Cell::Number(*value),
                    Kind::Text => text.clone(),
                });
            }
        }
    }
    frame
}

/// What a series is called in a panel: by its legend and its labels, else by what was asked.
fn named(labels: &Labels, legend: &str, expr: &str) -> String {
    if legend == "__auto" {
        let mut others = labels.iter().filter(|(name, _)| *name != "__name__");
        if let (Some((_, value)), None) = (others.next(), others.next()) {
            return value.to_owned();
        }
    }
    series_name(labels.iter(), legend, |name, value| format!("{name}={value:?}")).unwrap_or_else(|| expr.to_owned())
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
