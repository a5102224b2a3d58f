//! Parameters as Jaeger reads them: microseconds, durations as Go writes them, tags.

use std::collections::BTreeMap;

use axum::extract::Request;
use watchfire_model::logs::Nanos;
use watchfire_model::spans::TraceId;
use watchfire_query::traces::{Range, Search};

use super::answer::JaegerError;
use crate::app::App;
use crate::prometheus::params::Params as Form;

/// How far back a search reaches that does not say so.
const LOOKBACK_NS: i64 = 2 * 86_400 * 1_000_000_000;
/// How many traces come unless it is said.
const LIMIT: usize = 20;
/// More are not given at once.
const LIMIT_MAX: usize = 1_500;
const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;

/// The parameters of one request.
pub(super) struct Params(Form);

impl Params {
    pub(super) async fn read(request: Request) -> Result<Params, JaegerError> {
        Ok(Params(Form::read(request).await?))
    }
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }
    /// The value of the first of several names that is there.
    pub(super) fn any(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
    pub(super) fn needed(&self, name: &str) -> Result<&str, JaegerError> {
        self.get(name).ok_or_else(|| JaegerError::bad(format!("parameter '{name}' is required")))
    }

    fn whole(&self, name: &str, unit: i64) -> Result<Option<Nanos>, JaegerError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse::<i64>().ok().and_then(|number| number.checked_mul(unit));
        number.map(|nanos| Some(Nanos(nanos))).ok_or_else(|| JaegerError::bad(format!("unable to parse param '{name}': {text:?} is no time")))
    }

    /// The range of a search.
    pub(super) fn range(&self, app: &App) -> Result<Range, JaegerError> {
        let now = Nanos::from_millis(app.now().millis());
        let end = self.whole("end", MICROSECOND)?.unwrap_or(now);
        let back = self.get("lookback").and_then(nanos).unwrap_or(LOOKBACK_NS);
        let start = self.whole("start", MICROSECOND)?.unwrap_or(Nanos(end.0.saturating_sub(back)));
        // What began in the last microsecond, or in this millisecond, is meant, too.
        let beyond = if self.get("end").is_some() { MICROSECOND } else { MILLISECOND };
        Ok(Range { start, end: Nanos(end.0.saturating_add(beyond)) })
    }

    /// The range of one trace; all times unless it is said.
    pub(super) fn range_of_trace(&self) -> Result<Range, JaegerError> {
        let start = self.whole("start", MICROSECOND)?.unwrap_or(Range::ALL.start);
        let end = self.whole("end", MICROSECOND)?.map_or(Range::ALL.end, |end| Nanos(end.0.saturating_add(MICROSECOND)));
        Ok(Range { start, end })
    }

    /// The range of dependencies.
    pub(super) fn range_back(&self) -> Result<Range, JaegerError> {
        const DAY: i64 = 86_400 * 1_000_000_000;
        let end = self.whole("endTs", MILLISECOND)?.ok_or_else(|| JaegerError::bad("parameter 'endTs' is required"))?;
        let back = self.whole("lookback", MILLISECOND)?.map_or(DAY, |back| back.0);
        Ok(Range { start: Nanos(end.0.saturating_sub(back)), end: Nanos(end.0.saturating_add(MILLISECOND)) })
    }

    /// A duration, in nanoseconds.
    pub(super) fn duration(&self, names: &[&str]) -> Result<Option<u64>, JaegerError> {
        let Some(text) = self.any(names) else { return Ok(None) };
        let read = nanos(text).and_then(|nanos| u64::try_from(nanos).ok());
        read.map(Some).ok_or_else(|| JaegerError::bad(format!("unable to parse param '{}': {text:?} is no duration; write 1.2s, 100ms or 500us", names[0])))
    }

    /// How many traces are wanted.
    pub(super) fn limit(&self, names: &[&str]) -> Result<usize, JaegerError> {
        let Some(text) = self.any(names) else { return Ok(LIMIT) };
        let number = text.parse::<usize>().map_err(|_| JaegerError::bad(format!("unable to parse param '{}': {text:?} is no number", names[0])))?;
        Ok(number.min(LIMIT_MAX))
    }

    /// Ids of traces that are asked for.
    pub(super) fn ids(&self) -> Result<Vec<TraceId>, JaegerError> {
        self.0.all("traceID").filter(|text| !text.is_empty()).map(id).collect()
    }

    fn tags(&self) -> Result<Vec<(String, String)>, JaegerError> {
        let mut tags = Vec::new();
        for text in self.0.all("tag").filter(|text| !text.is_empty()) {
            let (name, value) =
                text.split_once(':').ok_or_else(|| JaegerError::bad(format!("malformed 'tag' parameter, expecting key:value, received: {text}")))?;
            tags.push((name.to_owned(), value.to_owned()));
        }
        for text in self.0.all("tags").filter(|text| !text.is_empty()) {
            tags.extend(tag_object("tags", text)?);
        }
        Ok(tags)
    }

    /// What a search wants.
    pub(super) fn search(&self) -> Result<Search, JaegerError> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let search = Search {
            service: Some(self.needed("service")?.to_owned()),
            operation: owned(self.get("operation")),
            tags: self.tags()?,
            min: self.duration(&["minDuration"])?,
            max: self.duration(&["maxDuration"])?,
            limit: self.limit(&["limit"])?,
        };
        match (search.min, search.max) {
            (Some(min), Some(max)) if min > max => Err(JaegerError::bad("'maxDuration' should be greater than 'minDuration'")),
            _ => Ok(search),
        }
    }
}

/// Names and values of a JSON object. Numbers and truth values are what they are as text.
pub(super) fn tag_object(parameter: &str, text: &str) -> Result<Vec<(String, String)>, JaegerError> {
    let wrong = |why: String| JaegerError::bad(format!("malformed '{parameter}' parameter, expecting a JSON object of names and values: {why}"));
    let object: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let value = |name: String, value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok((name, text)),
        serde_json::Value::Number(number) => Ok((name, number.to_string())),
        serde_json::Value::Bool(flag) => Ok((name, flag.to_string())),
        _ => Err(wrong(format!("the value of {name:?} is neither text nor a number"))),
    };
    object.into_iter().map(|(name, found)| value(name, found)).collect()
}

/// The id of a trace.
pub(super) fn id(text: &str) -> Result<TraceId, JaegerError> {
    TraceId::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        JaegerError::bad(format!("cannot parse trace ID {shown:?}: up to 32 hexadecimal digits, not all of them zero"))
    })
}

/// A duration as Go writes it, in nanoseconds: numbers with units, one behind the other.
pub(super) fn nanos(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 9] = [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9), ("d", 86_400e9)];
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * size;
        rest = behind;
    }
    (total < 9.0e18).then_some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, expected) in [
            ("1ms", Some(1_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("100us", Some(100_000)),
            ("100µs", Some(100_000)),
            ("1h2m", Some(3_720_000_000_000)),
            ("2d", Some(172_800_000_000_000)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1x", None),
            ("1e9h", None),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }
}
