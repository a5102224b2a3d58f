//! Queries of rules: an expression and a moment in, samples out, within the limits that all queries have.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogSource, Nanos};
use watchfire_model::read::{Budget, MemoryPool, Source};
use watchfire_model::time::{SharedClock, Timestamp};
use watchfire_query::logql::{self, LogqlError, Metric};
use watchfire_query::promql::{Engine, Expr, QueryError, Sample, Value};

use super::file::{Language, RuleExpr};
use super::{Ask, AskedSample};

/// What one evaluation of a rule may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// All its queries together.
    pub timeout: Duration,
    /// Samples held at once.
    pub samples_max: u64,
    /// Bytes held at once.
    pub memory_max: u64,
}

/// Why a rule has no result.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The query over logs failed.
    #[error(transparent)]
    Logs(#[from] LogqlError),
    /// It asks for logs, and there is nobody to ask.
    #[error("cannot ask for logs: there are none here")]
    NoLogs,
    /// It gives a text or ranges.
    #[error("rule result is not a vector or scalar")]
    Shape,
}

/// Asks a source.
#[derive(Clone)]
pub struct Asker {
    /// Where data are read.
    pub source: Arc<dyn Source>,
    /// Where logs are read, if there are any.
    pub logs: Option<Arc<dyn LogSource>>,
    /// How they are computed.
    pub engine: Engine,
    /// What all queries share.
    pub pool: Option<MemoryPool>,
    /// The limits of one rule.
    pub limits: Limits,
    /// The time.
    pub clock: SharedClock,
}

impl Asker {
    /// The moment at which a rule that begins now must be done.
    pub fn deadline(&self) -> Duration {
        self.clock.monotonic().saturating_add(self.limits.timeout)
    }

    /// What may still be spent before a deadline.
    pub fn budget(&self, deadline: Duration) -> Budget {
        let left = deadline.saturating_sub(self.clock.monotonic());
        Budget::within(self.pool.clone(), self.clock.clone(), left, self.limits.samples_max, self.limits.memory_max)
    }

    /// The samples of an expression at a moment. A scalar is a sample without labels.
    pub fn ask(&self, expr: &RuleExpr, at: Timestamp, deadline: Duration) -> Result<Vec<Sample>, AskError> {
        match expr {
            RuleExpr::Metrics(expr) => self.ask_metrics(expr, at, deadline),
            RuleExpr::Logs(query) => self.ask_logs(query.metric(), at, deadline),
        }
    }

    /// The same of PromQL.
    pub fn ask_metrics(&self, expr: &Expr, at: Timestamp, deadline: Duration) -> Result<Vec<Sample>, AskError> {
        samples(self.engine.instant(&*self.source, expr, at, &self.budget(deadline))?.value)
    }

    fn ask_logs(&self, metric: &Metric, at: Timestamp, deadline: Duration) -> Result<Vec<Sample>, AskError> {
        let logs = self.logs.as_ref().ok_or(AskError::NoLogs)?;
        let answer = logql::Engine::default().instant(&**logs, metric, Nanos::from_millis(at.millis()), &self.budget(deadline))?;
        samples(answer.value)
    }

    /// What answers queries in texts at a moment: they are of the language of the rule.
    pub fn for_texts(&self, language: Language, at: Timestamp, deadline: Duration) -> Ask {
        let asker = self.clone();
        Arc::new(move |text| {
            let found = match language {
                Language::Metrics => {
                    asker.engine.instant(&*asker.source, text, at, &asker.budget(deadline)).map_err(AskError::Query).and_then(|a| samples(a.value))
                }
                Language::Logs => match logql::parse(text).map_err(|e| e.to_string())? {
                    logql::Expr::Metric(metric) => asker.ask_logs(&metric, at, deadline),
                    logql::Expr::Log(_) => Err(AskError::Shape),
                },
            };
            let found = found.map_err(|e| e.to_string())?;
            Ok(found.into_iter().map(|s| AskedSample { labels: s.labels, value: s.value }).collect())
        })
    }
}

fn samples(value: Value) -> Result<Vec<Sample>, AskError> {
    match value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar(point) => Ok(vec![Sample { labels: Labels::empty(), time: point.time, value: point.value, histogram: None }]),
        Value::String { .. } | Value::Matrix(_) => Err(AskError::Shape),
    }
}
