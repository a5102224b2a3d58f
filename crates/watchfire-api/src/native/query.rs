//! Query parameters of the native interface. A bad one is answered 422 with its name, never guessed at.

use http::StatusCode;
use url::form_urlencoded;
use watchfire_model::time::Timestamp;

use crate::server::Refusal;

/// The query string of a request.
pub(crate) struct Query(String);
impl Query {
    pub(crate) fn new(raw: Option<String>) -> Query {
        Query(raw.unwrap_or_default())
    }
    /// The first value of a parameter; an empty text counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.0.as_bytes()).find(|(n, _)| n == name).map(|(_, v)| v.into_owned()).filter(|v| !v.is_empty())
    }
    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.text(name).map(|v| v.parse().map_err(|_| invalid(name, &v, "a whole number"))).transpose()
    }
    /// A time: RFC 3339 or seconds since 1970. A `+` of an offset that was not escaped has become a blank: it is put back.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        Timestamp::parse(&text)
            .or_else(|| Timestamp::parse(&text.replace(' ', "+")))
            .map(Some)
            .ok_or_else(|| invalid(name, &text, "an RFC 3339 time or seconds since 1970"))
    }
}

pub(crate) fn invalid(name: &str, value: &str, expected: &str) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", format!("parameter {name:?} must be {expected}, not {value:?}"))
}
