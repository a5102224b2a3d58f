//! Parameters as Tempo reads them: times in seconds or nanoseconds, ranges with their defaults.

use axum::extract::Request;
use watchfire_model::duration;
use watchfire_model::logs::Nanos;
use watchfire_query::traces::Range;
use watchfire_query::traces::traceql::{Query, parse};

use super::answer::TempoError;
use crate::app::App;
use crate::prometheus::params::Params as Form;

const SECOND: i64 = 1_000_000_000;
/// How far back a question reaches that does not say so.
const BACK: i64 = 86_400 * SECOND;
/// Clocks of senders that are so much ahead count as now.
const AHEAD: i64 = 600 * SECOND;

/// The parameters of one request.
pub(super) struct Params(Form);

impl Params {
    pub(super) async fn read(request: Request) -> Result<Params, TempoError> {
        Ok(Params(Form::read(request).await?))
    }
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }
    /// The query, if there is one.
    pub(super) fn query(&self, app: &App) -> Result<Option<Query>, TempoError> {
        let Some(text) = self.get("q").or_else(|| self.get("query")) else { return Ok(None) };
        let max = app.rooms.limits.text_bytes_max;
        if text.len() > max {
            return Err(TempoError::bad(format!("the query is {} bytes long, more than {max}", text.len())));
        }
        Ok(Some(parse(text)?))
    }
    /// A time, and whether it is told in whole seconds.
    pub(super) fn time(&self, name: &str) -> Result<Option<(Nanos, bool)>, TempoError> {
        self.get(name).map(|text| time(text).ok_or_else(|| TempoError::bad(format!("invalid {name}: {text:?} is no time")))).transpose()
    }
    /// The range of a search; spans of the last second that is named are in it.
    pub(super) fn range(&self, app: &App) -> Result<Range, TempoError> {
        let now = Nanos::from_millis(app.now().millis());
        let end = match self.time("end")? {
            None => Nanos(now.0.saturating_add(AHEAD)),
            Some((end, in_seconds)) => Nanos(end.0.saturating_add(if in_seconds { SECOND } else { 1 })),
        };
        let start = self.time("start")?.map_or(Nanos(now.0.min(end.0).saturating_sub(BACK)), |(start, _)| start);
        if start >= end {
            return Err(TempoError::bad("invalid start and end: the end must come after the start"));
        }
        Ok(Range { start, end })
    }
    /// A duration in nanoseconds: seconds, or with units.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, TempoError> {
        self.get(name).map(|text| nanos(text).ok_or_else(|| TempoError::bad(format!("invalid {name}: {text:?} is no duration")))).transpose()
    }
    /// A number with a default.
    pub(super) fn count(&self, name: &str, default: usize) -> Result<usize, TempoError> {
        self.get(name).map_or(Ok(default), |text| text.parse().map_err(|_| TempoError::bad(format!("invalid {name}: {text:?} is no number"))))
    }
}

fn time(text: &str) -> Option<(Nanos, bool)> {
    if let Ok(number) = text.parse::<i64>() {
        return if text.len() <= 11 { Some((Nanos(number.checked_mul(SECOND)?), true)) } else { Some((Nanos(number), false)) };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.abs() < 9.2e9).then_some((Nanos((seconds * SECOND as f64) as i64), false));
    }
    Nanos::parse_rfc3339(text).map(|time| (time, false))
}

fn nanos(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => (0.0..9.2e9).contains(&seconds).then_some((seconds * SECOND as f64) as i64),
        Err(_) => i64::try_from(duration::parse(text)?.as_nanos()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        for (text, expected) in [
            ("1767089700", Some((1_767_089_700_000_000_000, true))),
            ("1767089700000000001", Some((1_767_089_700_000_000_001, false))),
            ("1767089700.5", Some((1_767_089_700_500_000_000, false))),
            ("2026-01-23T00:00:00Z", Some((1_769_126_400_000_000_000, false))),
            ("99999999999", None),
            ("NaN", None),
            ("yesterday", None),
        ] {
            assert_eq!(time(text).map(|(t, whole)| (t.0, whole)), expected, "{text}");
        }
        assert_eq!([nanos("60"), nanos("1m30s"), nanos("0.5"), nanos("-1"), nanos("x")], [Some(60 * SECOND), Some(90 * SECOND), Some(SECOND / 2), None, None]);
    }
}
