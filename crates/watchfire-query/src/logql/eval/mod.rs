//! Evaluation: a parsed query, a source and times in; lines or numbers out. It chooses no times and formats nothing.

mod lines;
mod metric;
mod range;
mod window;

use std::time::Duration;

use watchfire_model::logs::{LogSource, Nanos};
use watchfire_model::read::Budget;
use watchfire_model::time::Timestamp;

use super::ast::Metric;
use super::error::LogqlError;
use crate::promql::{self, Answer, Value};
pub use lines::{Direction, Line, LinePipeline, Lines, LinesRequest, Stream};
use window::Grid;

/// The most series of an answer, unless it is set otherwise.
pub const SERIES_MAX: usize = 500;
/// The most entries of an answer, unless it is set otherwise.
pub const ENTRIES_MAX: usize = 5_000;
/// The most steps of a range query, behind the first point of a series.
pub const STEPS_MAX: u64 = 11_000;

/// The limits of evaluation. It holds no data and may be shared.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The most series of an answer.
    pub series_max: usize,
    /// The most entries of an answer.
    pub entries_max: usize,
}
impl Default for Engine {
    fn default() -> Engine {
        Engine { series_max: SERIES_MAX, entries_max: ENTRIES_MAX }
    }
}

impl Engine {
    /// Evaluates a metric query at one time.
    pub fn instant(&self, source: &dyn LogSource, metric: &Metric, time: Nanos, budget: &Budget) -> Result<Answer, LogqlError> {
        let grid = Grid { start: time.0, step: 1, count: 1, now: time };
        let (expr, leaves) = metric::prepared(source, metric, grid, budget)?;
        let answer = metric::engine().instant(&leaves, &expr, Timestamp(time.millis()), budget)?;
        self.counted(answer)
    }

    /// Evaluates a metric query at `start`, `start + step`, … up to `end`.
    pub fn range(&self, source: &dyn LogSource, metric: &Metric, start: Nanos, end: Nanos, step: Duration, budget: &Budget) -> Result<Answer, LogqlError> {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
        if step_ms == 0 {
            return Err(LogqlError::Invalid("zero or negative query resolution step widths are not accepted. Try a positive integer".to_owned()));
        }
        if end < start {
            return Err(LogqlError::Invalid("end timestamp must not be before start time".to_owned()));
        }
        let steps = (end.0.saturating_sub(start.0) / 1_000_000 / step_ms) as u64;
        if steps > STEPS_MAX {
            return Err(LogqlError::Invalid(promql::POINTS_PER_SERIES_MESSAGE.to_owned()));
        }
        let grid = Grid { start: start.0, step: step_ms.saturating_mul(1_000_000), count: steps as usize + 1, now: end };
        let (expr, leaves) = metric::prepared(source, metric, grid, budget)?;
        let first = Timestamp(start.millis());
        let last = Timestamp(first.0.saturating_add(step_ms.saturating_mul(steps as i64)));
        let answer = metric::engine().range(&leaves, &expr, first, last, Duration::from_millis(step_ms as u64), budget)?;
        self.counted(answer)
    }

    fn counted(&self, answer: Answer) -> Result<Answer, LogqlError> {
        let count = match &answer.value {
            Value::Vector(samples) => samples.len(),
            Value::Matrix(series) => series.len(),
            Value::Scalar(_) | Value::String { .. } => 0,
        };
        if count > self.series_max { Err(LogqlError::TooManySeries(self.series_max)) } else { Ok(answer) }
    }
}
