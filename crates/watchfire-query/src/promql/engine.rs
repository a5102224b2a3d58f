//! The front door: a query, a source and a time in; an `Answer` out.
//! It chooses no times and formats nothing: that is the caller's business.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::histogram::Histogram;
use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::read::{Budget, Source};
use watchfire_model::sample::HistogramSample;
use watchfire_model::time::Timestamp;

use super::annotations::Annotations;
use super::ast::{Expr, ValueType};
use super::error::{ParseError, QueryError};
use super::eval::{Column, Columns, Evaluator, Grid, Names, Output};
use super::parser::parse;

/// The most points per series that faces let a range query ask for.
pub const POINTS_PER_SERIES_MAX: u64 = 11_000;
/// What a face says when a range query asks for more than [`POINTS_PER_SERIES_MAX`].
pub const POINTS_PER_SERIES_MESSAGE: &str = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";

/// The settings of evaluation. It holds no data and may be shared.
#[derive(Clone, Debug)]
pub struct Engine {
    /// How far back an instant selector looks for the last sample.
    pub lookback: Duration,
    /// The step of subqueries that name none.
    pub default_step: Duration,
    /// Whether names of metrics that a computation has changed go at the end of the query instead of at once
    /// (`promql-delayed-name-removal` of Prometheus): until then they tell series apart.
    pub delayed_name_removal: bool,
    /// Whether a division by zero gives NaN, as in LogQL, and not what floats give.
    pub zero_division_is_nan: bool,
}
impl Default for Engine {
    /// 5 minutes and 1 minute, and names go at the end.
    fn default() -> Engine {
        Engine { lookback: Duration::from_secs(300), default_step: Duration::from_secs(60), delayed_name_removal: true, zero_division_is_nan: false }
    }
}

/// Something that can be asked: a text or an `Expr` that was parsed earlier.
pub trait Query {
    /// The parsed query.
    fn expr(&self) -> Result<Cow<'_, Expr>, ParseError>;
}
impl Query for str {
    fn expr(&self) -> Result<Cow<'_, Expr>, ParseError> {
        parse(self).map(Cow::Owned)
    }
}
impl Query for String {
    fn expr(&self) -> Result<Cow<'_, Expr>, ParseError> {
        self.as_str().expr()
    }
}
impl Query for Expr {
    fn expr(&self) -> Result<Cow<'_, Expr>, ParseError> {
        Ok(Cow::Borrowed(self))
    }
}
/// What a query gives.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// What is probably wrong.
    pub warnings: Vec<String>,
    /// What may be worth knowing.
    pub infos: Vec<String>,
}

/// The result of a query.
#[derive(Clone, Debug)]
pub enum Value {
    /// One number.
    Scalar(Point),
    /// One text.
    String {
        /// The evaluation time.
        time: Timestamp,
        /// The text.
        text: String,
    },
    /// One sample per series; the order matters after `sort` and `topk`.
    Vector(Vec<Sample>),
    /// Series with their points, ascending by labels for range queries.
    Matrix(Vec<Series>),
}
impl Value {
    /// `scalar`, `string`, `vector` or `matrix`.
    pub fn type_code(&self) -> &'static str {
        match self {
            Value::Scalar(_) => ValueType::Scalar.code(),
            Value::String { .. } => ValueType::String.code(),
            Value::Vector(_) => ValueType::Vector.code(),
            Value::Matrix(_) => ValueType::Matrix.code(),
        }
    }
}

/// A number at a time.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// When.
    pub time: Timestamp,
    /// How much.
    pub value: f64,
}

/// One series' sample of an instant vector.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// The evaluation time.
    pub time: Timestamp,
    /// The value; NaN where there is a histogram instead.
    pub value: f64,
    /// The native histogram, if it is one.
    pub histogram: Option<Arc<Histogram>>,
}

/// One series' points.
#[derive(Clone, Debug)]
pub struct Series {
    /// The series.
    pub labels: Labels,
    /// Its numbers, ascending by time.
    pub points: Vec<Point>,
    /// Its native histograms, ascending by time, at other times than the numbers.
    pub histograms: Vec<HistogramSample>,
}

impl Engine {
    /// Evaluates a query at one time.
    pub fn instant<Q: Query + ?Sized>(&self, source: &dyn Source, query: &Q, time: Timestamp, budget: &Budget) -> Result<Answer, QueryError> {
        let expr = query.expr()?;
        let grid = Grid { start: time.0, step: 1, count: 1 };
        let mut evaluator = self.evaluator(source, budget, expr.text(), (time, time), 0);
        let value = if expr.value_type() == ValueType::Matrix {
            Value::Matrix(evaluator.range_vector(expr.root().unwrapped(), grid)?)
        } else {
            match evaluator.eval(expr.root(), grid)? {
                Output::Scalar(numbers) => Value::Scalar(Point { time, value: numbers.at(0) }),
                Output::String(text) => Value::String { time, text },
                Output::Vector(columns) => Value::Vector(samples(&columns.finished()?, time)),
            }
        };
        Ok(answer(value, evaluator.notes, budget))
    }

    /// Evaluates a query at `start`, `start + step`, … up to `end`.
    pub fn range<Q: Query + ?Sized>(
        &self,
        source: &dyn Source,
        query: &Q,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        budget: &Budget,
    ) -> Result<Answer, QueryError> {
        let expr = query.expr()?;
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        if step_ms == 0 {
            return Err(QueryError::Invalid("zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned()));
        }
        let type_ = expr.value_type();
        if !matches!(type_, ValueType::Scalar | ValueType::Vector) {
            return Err(QueryError::Invalid(format!("invalid expression type \"{}\" for range query, must be Scalar or instant Vector", type_.name())));
        }
        let grid = Grid::between(start.0, end.0, step_ms)?;
        let mut evaluator = self.evaluator(source, budget, expr.text(), (start, end), step_ms);
        let mut series = match evaluator.eval(expr.root(), grid)? {
            Output::Vector(columns) => series(&columns.finished()?, grid),
            Output::Scalar(numbers) if grid.count > 0 => {
                let points = (0..grid.count).map(|i| Point { time: Timestamp(grid.time(i)), value: numbers.at(i) }).collect();
                vec![Series { labels: Labels::empty(), points, histograms: Vec::new() }]
            }
            Output::Scalar(_) | Output::String(_) => Vec::new(),
        };
        series.order_by(|a, b| a.labels.cmp(&b.labels));
        Ok(answer(Value::Matrix(series), evaluator.notes, budget))
    }

    fn evaluator<'a>(&self, source: &'a dyn Source, budget: &'a Budget, text: &str, span: (Timestamp, Timestamp), step: i64) -> Evaluator<'a> {
        let millis = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX).max(1);
        Evaluator {
            source,
            budget,
            kept: OnceCell::new(),
            notes: Annotations::new(text),
            names: if self.delayed_name_removal { Names::DroppedAtEnd } else { Names::DroppedAtOnce },
            zero_division_is_nan: self.zero_division_is_nan,
            lookback: millis(self.lookback),
            default_step: millis(self.default_step),
            query_start: span.0.0,
            query_end: span.1.0,
            query_step: step,
        }
    }
}

fn answer(value: Value, notes: Annotations, budget: &Budget) -> Answer {
    let (mut warnings, infos) = notes.into_texts();
    // What the sources could not do comes first.
    warnings.splice(0..0, budget.warnings());
    Answer { value, warnings, infos }
}

fn samples(columns: &Columns, time: Timestamp) -> Vec<Sample> {
    let sample = |c: &Column| {
        let histogram = c.histogram(0).cloned();
        let value = c.at(0).or(histogram.as_ref().map(|_| f64::NAN))?;
        Some(Sample { labels: c.labels.clone(), time, value, histogram })
    };
    columns.list.iter().filter_map(sample).collect()
}

fn series(columns: &Columns, grid: Grid) -> Vec<Series> {
    let points = |column: &Column| (0..grid.count).filter_map(|i| column.at(i).map(|value| Point { time: Timestamp(grid.time(i)), value })).collect::<Vec<_>>();
    let histograms = |column: &Column| {
        let present = (0..grid.count).filter_map(|i| Some((i, column.histogram(i)?)));
        present.map(|(i, h)| HistogramSample { time: Timestamp(grid.time(i)), value: Arc::clone(h) }).collect::<Vec<_>>()
    };
    let of = |c: &Column| Series { labels: c.labels.clone(), points: points(c), histograms: histograms(c) };
    columns.list.iter().map(of).filter(|s| !s.points.is_empty() || !s.histograms.is_empty()).collect()
}
