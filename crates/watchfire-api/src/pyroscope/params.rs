//! Parameters of Pyroscope's older interface: times, ranges, how many nodes.

use axum::extract::Request;
use watchfire_ingest::pyroscope::time;
use watchfire_model::logs::Nanos;
use watchfire_query::profiles::{NODES_DEFAULT, NODES_MAX, Question, parse};
use watchfire_query::traces::Range;

use super::answer::PyroscopeError;
use crate::app::App;
use crate::prometheus::params::Params as Form;

const SECOND: i64 = 1_000_000_000;
/// How far back a question reaches that does not say so.
const BACK: i64 = 3_600 * SECOND;
/// A range has about so many steps, which are not shorter than profiles usually are.
const STEPS: i64 = 1_500;
const STEP_MIN: i64 = 15 * SECOND;

/// The parameters of one request.
pub(super) struct Params(Form);

impl Params {
    pub(super) async fn read(request: Request) -> Result<Params, PyroscopeError> {
        Ok(Params(Form::read(request).await?))
    }
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }
    /// A time, if there is one.
    fn time(&self, name: &str, now: Nanos) -> Result<Option<Nanos>, PyroscopeError> {
        let read = |text: &str| time::parse(text, now).ok_or_else(|| PyroscopeError::bad(format!("invalid {name}: {text:?} is no time")));
        self.get(name).map(read).transpose()
    }
    /// The range between two parameters; what began in its last millisecond is in it.
    pub(super) fn range(&self, app: &App, from: &str, until: &str) -> Result<Range, PyroscopeError> {
        let now = Nanos::from_millis(app.now().millis());
        let end = self.time(until, now)?.unwrap_or(now);
        let start = self.time(from, now)?.unwrap_or(Nanos(end.0.saturating_sub(BACK)));
        if start > end {
            return Err(PyroscopeError::bad(format!("invalid {from} and {until}: the end must come after the start")));
        }
        Ok(Range { start, end: Nanos(end.0.saturating_add(1_000_000)) })
    }
    /// The question of one side.
    pub(super) fn question(&self, app: &App, [query, from, until]: [&str; 3]) -> Result<Question, PyroscopeError> {
        let text = self.get(query).ok_or_else(|| PyroscopeError::bad(format!("parameter '{query}' is required")))?;
        Ok(Question::new(parse(text)?, self.range(app, from, until)?))
    }
    /// How many nodes a flame graph may have.
    pub(super) fn nodes_max(&self) -> Result<usize, PyroscopeError> {
        let Some(text) = ["maxNodes", "max-nodes", "max_nodes"].iter().find_map(|name| self.get(name)) else { return Ok(NODES_DEFAULT) };
        let nodes: i64 = text.parse().map_err(|_| PyroscopeError::bad(format!("invalid maxNodes: {text:?} is no number")))?;
        Ok(nodes_of(nodes))
    }
}

/// How many nodes a number asks for; zero asks for as many as are given.
pub(super) fn nodes_of(nodes: i64) -> usize {
    match usize::try_from(nodes) {
        Ok(nodes) if nodes > 0 => nodes.min(NODES_MAX),
        _ => NODES_MAX,
    }
}

/// How long a step of a range is: whole seconds, so that a chart has no more points than pixels.
pub(super) fn step_of(range: Range) -> i64 {
    let wanted = range.end.0.saturating_sub(range.start.0) / STEPS;
    (wanted.div_euclid(SECOND) * SECOND).max(STEP_MIN)
}
