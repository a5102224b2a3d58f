//! Parameters of the Prometheus face: from the query string and, for POST, from a form; times, durations, limits.

use std::time::Duration;

use axum::extract::Request;
use http::Method;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;
use watchfire_model::duration;
use watchfire_model::time::Timestamp;

use super::answer::ApiError;

/// The largest form body, in bytes: a query text and many `match[]`.
const FORM_BYTES_MAX: usize = 256 << 10;
/// The most parameters that are looked at.
const PARAMS_MAX: usize = 1024;

/// The parameters of one request; those of the body come first, as in Go's `FormValue`.
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Parameters that came otherwise than as those of a request.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Params {
        Params(pairs)
    }
    /// Reads all parameters of a request.
    pub(crate) async fn read(request: Request) -> Result<Params, ApiError> {
        let (parts, body) = request.into_parts();
        let mut pairs = Vec::new();
        let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if matches!(parts.method, Method::POST | Method::PUT) && is_form {
            let body = axum::body::to_bytes(body, FORM_BYTES_MAX)
                .await
                .map_err(|_| ApiError::bad_data(format!("error parsing form values: the body is larger than {FORM_BYTES_MAX} bytes or broke off")))?;
            collect(&mut pairs, &body);
        }
        collect(&mut pairs, parts.uri.query().unwrap_or("").as_bytes());
        Ok(Params(pairs))
    }
    /// The first value of a parameter; an empty text counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }
    /// All values of a repeatable parameter.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }
    /// A time that must be there.
    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        let text = self.get(name).unwrap_or("");
        parse_time(text).ok_or_else(|| ApiError::parameter(name, format!("cannot parse {text:?} to a valid timestamp")))
    }
    /// A time with a default.
    pub(crate) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_time(text)
                .ok_or_else(|| ApiError::parameter(name, format!("Invalid time value for '{name}': cannot parse {text:?} to a valid timestamp"))),
        }
    }
    /// A duration, in seconds or in Prometheus' notation.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        self.get(name).map(|text| parse_duration(text).ok_or_else(|| bad_duration(name, text))).transpose()
    }
    /// The step of a range query, in milliseconds.
    pub(crate) fn step_ms(&self) -> Result<i64, ApiError> {
        let text = self.get("step").unwrap_or("");
        let zero = || ApiError::parameter("step", "zero or negative query resolution step widths are not accepted. Try a positive integer");
        if text.parse::<f64>().is_ok_and(|s| s <= 0.0) {
            return Err(zero());
        }
        let step = parse_duration(text).ok_or_else(|| bad_duration("step", text))?;
        match i64::try_from(step.as_millis()) {
            Ok(0) => Err(zero()),
            Ok(ms) => Ok(ms),
            Err(_) => Err(bad_duration("step", text)),
        }
    }
    /// A `limit`; absent and zero mean none.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(None) };
        let limit: usize = text.parse().map_err(|_| ApiError::parameter("limit", format!("limit must be a non-negative number, not {text:?}")))?;
        Ok((limit > 0).then_some(limit))
    }
}

fn collect(pairs: &mut Vec<(String, String)>, encoded: &[u8]) {
    let room = PARAMS_MAX.saturating_sub(pairs.len());
    pairs.extend(form_urlencoded::parse(encoded).take(room).map(|(n, v)| (n.into_owned(), v.into_owned())));
}

fn bad_duration(name: &str, text: &str) -> ApiError {
    ApiError::parameter(name, format!("cannot parse {text:?} to a valid duration"))
}

fn parse_duration(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(secs) if secs.is_finite() && (0.0..9.2e9).contains(&secs) => Some(Duration::from_millis((secs * 1000.0).round() as u64)),
        Ok(_) => None,
        Err(_) => duration::parse(text),
    }
}

/// Seconds with a fraction, or RFC 3339; the extremes that Prometheus' clients write mean "from the first" and "to the last".
fn parse_time(text: &str) -> Option<Timestamp> {
    match text {
        "-292273086-05-16T16:47:06Z" => Some(Timestamp::MIN),
        "292277025-08-18T07:12:54.999999999Z" => Some(Timestamp::MAX),
        _ => Timestamp::parse(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let mut pairs = Vec::new();
        collect(&mut pairs, query.as_bytes());
        Params(pairs)
    }

    #[test]
    fn steps_and_durations() {
        let check = |query: &str, expected: Result<i64, &str>| {
            let got = params(query).step_ms();
            assert_eq!(got.as_ref().map_err(|e| e.message.as_str()).copied(), expected, "{query}");
        };
        check("step=15", Ok(15_000));
        check("step=0.5", Ok(500));
        check("step=1m", Ok(60_000));
        let zero = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer";
        check("step=0", Err(zero));
        check("step=-1", Err(zero));
        check("step=0.0001", Err(zero));
        check("step=x", Err("invalid parameter \"step\": cannot parse \"x\" to a valid duration"));
        check("step=NaN", Err("invalid parameter \"step\": cannot parse \"NaN\" to a valid duration"));
        check("step=1e300", Err("invalid parameter \"step\": cannot parse \"1e300\" to a valid duration"));
    }

    #[test]
    fn limits() {
        assert_eq!(params("limit=0").limit().unwrap(), None);
        assert_eq!(params("limit=7").limit().unwrap(), Some(7));
        assert!(params("limit=-1").limit().is_err());
        assert!(params("limit=9223372036854775808000").limit().is_err());
    }
}
