//! What a rule computes, in the language of its file: PromQL over metrics or LogQL over logs.

use std::fmt;

use watchfire_query::logql::{self, Metric};
use watchfire_query::promql::{self, Expr};

/// The language of the rules of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Language {
    /// PromQL, over metrics.
    #[default]
    Metrics,
    /// LogQL, over logs.
    Logs,
}

/// A parsed expression.
#[derive(Clone, Debug)]
pub enum RuleExpr {
    /// PromQL.
    Metrics(Expr),
    /// LogQL that gives numbers.
    Logs(LogQuery),
}

/// LogQL that gives numbers.
#[derive(Clone, Debug)]
pub struct LogQuery {
    text: String,
    metric: Metric,
}
impl LogQuery {
    /// The tree.
    pub fn metric(&self) -> &Metric {
        &self.metric
    }
}

/// Why a text is no expression of a rule: what to say, and the place in the text, from 1, where it is known.
pub(super) struct NotAnExpression {
    pub(super) message: String,
    pub(super) at: Option<(usize, usize)>,
}

impl RuleExpr {
    /// Reads a text.
    pub(super) fn parse(language: Language, text: &str) -> Result<RuleExpr, NotAnExpression> {
        if language == Language::Metrics {
            return promql::parse(text).map(RuleExpr::Metrics).map_err(|error| NotAnExpression { message: error.to_string(), at: None });
        }
        match logql::parse(text) {
            Ok(logql::Expr::Metric(metric)) => Ok(RuleExpr::Logs(LogQuery { text: text.to_owned(), metric })),
            Ok(logql::Expr::Log(_)) => {
                let message = "it selects lines and gives no numbers; count them, for example with sum(count_over_time(… [5m])) > 0".to_owned();
                Err(NotAnExpression { message, at: None })
            }
            Err(error) => Err(NotAnExpression { at: Some((error.line, error.column)), message: error.to_string() }),
        }
    }
    /// The text as it was written.
    pub fn text(&self) -> &str {
        match self {
            RuleExpr::Metrics(expr) => expr.text(),
            RuleExpr::Logs(query) => &query.text,
        }
    }
    /// The language.
    pub fn language(&self) -> Language {
        match self {
            RuleExpr::Metrics(_) => Language::Metrics,
            RuleExpr::Logs(_) => Language::Logs,
        }
    }
    /// What it is where it asks for metrics.
    pub fn metrics(&self) -> Option<&Expr> {
        match self {
            RuleExpr::Metrics(expr) => Some(expr),
            RuleExpr::Logs(_) => None,
        }
    }
}

impl fmt::Display for RuleExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RuleExpr::Metrics(expr) => expr.fmt(f),
            RuleExpr::Logs(query) => query.metric.fmt(f),
        }
    }
}
