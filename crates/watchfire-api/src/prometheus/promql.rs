//! Where the faces meet the query language: selectors, the mapping of its errors, and single numbers for other faces.

use watchfire_model::matcher::Matcher;
use watchfire_model::read::Budget;
use watchfire_query::promql::{Engine, QueryError, Value, parse_selector};

use super::answer::{ApiError, ErrorKind};
use crate::app::App;

/// The most selectors in one request.
const SELECTORS_MAX: usize = 256;

/// The engine with the configured look-back.
pub(crate) fn engine(app: &App) -> Engine {
    Engine { lookback: app.rooms.limits.lookback, ..Engine::default() }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        match error {
            QueryError::Parse(error) => ApiError::parameter("query", error),
            QueryError::Invalid(message) => ApiError::parameter("query", message),
            QueryError::Execution(message) => ApiError::new(ErrorKind::Execution, message),
            QueryError::Read(error) => error.into(),
        }
    }
}

/// Parses the values of `match[]`. Each must exclude something, or it would select everything that there is.
pub(crate) fn selectors<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Vec<Matcher>>, ApiError> {
    let mut all = Vec::new();
    for text in texts {
        if all.len() >= SELECTORS_MAX {
            return Err(ApiError::parameter("match[]", format!("more than {SELECTORS_MAX} selectors")));
        }
        let matchers = parse_selector(text).map_err(|error| ApiError::parameter("match[]", error))?;
        if matchers.iter().all(Matcher::matches_empty) {
            return Err(ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher"));
        }
        all.push(matchers);
    }
    Ok(all)
}

/// The present value of a query that gives one number, if it gives one.
pub(crate) fn number(app: &App, budget: &Budget, query: &str) -> Result<Option<f64>, ApiError> {
    let answer = engine(app).instant(&*app.rooms.query_source, query, app.now(), budget)?;
    let value = match answer.value {
        Value::Scalar(point) => Some(point.value),
        // A native histogram is no number: its value is NaN.
        Value::Vector(samples) => samples.first().map(|s| s.value),
        Value::String { .. } | Value::Matrix(_) => None,
    };
    Ok(value.filter(|v| !v.is_nan()))
}
