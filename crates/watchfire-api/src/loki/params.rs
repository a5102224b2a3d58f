//! Parameters as Loki reads them: times in nanoseconds, seconds or RFC 3339, ranges with their defaults, steps.

use std::time::Duration;

use axum::extract::Request;
use watchfire_model::duration;
use watchfire_model::logs::Nanos;
use watchfire_query::logql::Direction;

use super::answer::LokiError;
use crate::app::App;
use crate::prometheus::params::Params as Form;

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;
/// How far back a query reaches that does not say so.
const QUERY_BACK: Duration = Duration::from_secs(3_600);
/// How far back questions about labels reach that do not say so.
const LABELS_BACK: Duration = Duration::from_secs(6 * 3_600);
/// How many lines come unless it is said.
const LIMIT: usize = 100;
/// A range without a step has about so many of them.
const STEPS: i64 = 250;

/// The parameters of one request.
pub(crate) struct Params(Form);

/// A range of time: `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
}

impl Params {
    /// Parameters that came otherwise than as those of a request.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Params {
        Params(Form::of(pairs))
    }
    pub(crate) async fn read(request: Request) -> Result<Params, LokiError> {
        Ok(Params(Form::read(request).await?))
    }
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.all(name)
    }
    /// The text of the query, if it is not too long.
    pub(crate) fn query(&self, app: &App) -> Result<String, LokiError> {
        let text = self.get("query").unwrap_or("");
        let max = app.rooms.limits.text_bytes_max;
        if text.len() > max {
            return Err(LokiError::bad(format!("the query is {} bytes long, more than {max}", text.len())));
        }
        Ok(text.to_owned())
    }
    pub(crate) fn time_or(&self, name: &str, default: Nanos) -> Result<Nanos, LokiError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => time(text).ok_or_else(|| LokiError::bad(format!("could not parse '{name}' parameter: {text:?} is no time"))),
        }
    }
    fn duration(&self, name: &str) -> Result<Option<Duration>, LokiError> {
        self.get(name).map(|text| span(text).ok_or_else(|| LokiError::bad(format!("could not parse '{name}' parameter: {text:?} is no duration")))).transpose()
    }
    /// The range of a query whose steps begin at its start.
    pub(crate) fn steps_range(&self, app: &App) -> Result<Range, LokiError> {
        self.range_of(app, QUERY_BACK)
    }
    /// The range of a query for lines.
    pub(crate) fn range(&self, app: &App) -> Result<Range, LokiError> {
        Ok(self.with_now(self.range_of(app, QUERY_BACK)?))
    }
    /// The range of a question about labels.
    pub(crate) fn labels_range(&self, app: &App) -> Result<Range, LokiError> {
        Ok(self.with_now(self.range_of(app, LABELS_BACK)?))
    }
    /// Who does not say where a range ends wants what was written in this millisecond, too.
    fn with_now(&self, range: Range) -> Range {
        if self.get("end").is_some() { range } else { Range { end: Nanos(range.end.0.saturating_add(MILLISECOND)), ..range } }
    }
    fn range_of(&self, app: &App, back: Duration) -> Result<Range, LokiError> {
        let now = Nanos::from_millis(app.now().millis());
        let end = self.time_or("end", now)?;
        let since = self.duration("since")?.unwrap_or(back);
        // The present moment ends a range that reaches into the future, unless it begins there, too.
        let from = if end > now { now } else { end };
        let start = self.time_or("start", Nanos(from.0.saturating_sub(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))))?;
        if end < start {
            return Err(LokiError::bad("end timestamp must not be before or equal to start time"));
        }
        let limits = app.rooms.loki.queries();
        let length = Duration::from_nanos(end.0.saturating_sub(start.0).unsigned_abs());
        if let Some(most) = limits.length.filter(|most| length > *most) {
            let shown = |duration: Duration| duration::format_millis(duration.as_millis() as u64);
            return Err(LokiError::bad(format!("the query time range exceeds the limit (query length: {}, limit: {})", shown(length), shown(most))));
        }
        // What is further back is not there for a query, as in Loki.
        let earliest = limits.lookback.map(|back| Nanos(now.0.saturating_sub(i64::try_from(back.as_nanos()).unwrap_or(i64::MAX))));
        let start = earliest.map_or(start, |earliest| start.max(earliest).min(end));
        Ok(Range { start, end })
    }
    pub(crate) fn step(&self, range: Range) -> Result<Duration, LokiError> {
        let zero = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        let Some(text) = self.get("step") else {
            let seconds = (range.end.0.saturating_sub(range.start.0) / SECOND / STEPS).max(1);
            return Ok(Duration::from_secs(seconds.unsigned_abs()));
        };
        if text.parse::<f64>().is_ok_and(|s| s <= 0.0) {
            return Err(LokiError::bad(zero));
        }
        match self.duration("step")? {
            Some(step) if step.as_millis() > 0 => Ok(step),
            _ => Err(LokiError::bad(zero)),
        }
    }
    pub(crate) fn interval(&self) -> Result<Duration, LokiError> {
        Ok(self.duration("interval")?.unwrap_or(Duration::ZERO))
    }
    pub(crate) fn direction(&self) -> Result<Direction, LokiError> {
        match self.get("direction").map(str::to_ascii_lowercase).as_deref() {
            None | Some("backward") => Ok(Direction::Backward),
            Some("forward") => Ok(Direction::Forward),
            Some(other) => Err(LokiError::bad(format!("invalid direction '{other}'"))),
        }
    }
    /// How many lines are wanted.
    pub(crate) fn limit(&self) -> Result<usize, LokiError> {
        self.count("limit", LIMIT)
    }
    /// A number that may be zero.
    pub(crate) fn count_or_zero(&self, name: &str, default: usize) -> Result<usize, LokiError> {
        let text = self.get(name);
        text.map_or(Ok(default), |text| text.parse().map_err(|_| LokiError::bad(format!("{name} must be a number and not negative, not {text:?}"))))
    }
    pub(crate) fn count(&self, name: &str, default: usize) -> Result<usize, LokiError> {
        match self.get(name).map(str::parse::<i64>) {
            None => Ok(default),
            Some(Ok(count @ 1..)) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
            Some(Ok(_)) => Err(LokiError::bad(format!("{name} must be a positive value"))),
            Some(Err(_)) => Err(LokiError::bad(format!("{name} must be a positive number"))),
        }
    }
}

/// Seconds with a fraction; whole numbers of more than ten digits are nanoseconds, shorter ones seconds; RFC 3339.
fn time(text: &str) -> Option<Nanos> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(Nanos(if text.len() <= 10 { number.checked_mul(SECOND)? } else { number }));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        let nanos = seconds.trunc() * SECOND as f64 + (seconds.fract() * SECOND as f64).round();
        return (nanos.is_finite() && nanos.abs() < 9.2e18).then_some(Nanos(nanos as i64));
    }
    Nanos::parse_rfc3339(text)
}

/// Seconds with a fraction, or Prometheus' notation.
fn span(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && (0.0..9.2e9).contains(&seconds) => Some(Duration::from_nanos((seconds * 1e9).round() as u64)),
        Ok(_) => None,
        Err(_) => duration::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_loki_reads_them() {
        for (text, expected) in [
            ("4000000000", Some(4_000_000_000_000_000_000)),
            ("1767089700", Some(1_767_089_700_000_000_000)),
            ("1767089700000000001", Some(1_767_089_700_000_000_001)),
            ("1767089700.5", Some(1_767_089_700_500_000_000)),
            ("0", Some(0)),
            ("2026-01-23T00:00:00Z", Some(1_769_126_400_000_000_000)),
            ("2026-01-23T00:00:00.000000001+01:00", Some(1_769_122_800_000_000_001)),
            ("9999999999", None),
            ("yesterday", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(time(text).map(|t| t.0), expected, "{text}");
        }
        assert_eq!(span("15000ms"), Some(Duration::from_secs(15)));
        assert_eq!(span("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(span("x"), None);
    }
}
