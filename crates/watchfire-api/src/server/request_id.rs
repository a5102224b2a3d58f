//! The id of a request: taken from `x-request-id` when it is sane, made up otherwise, always given back.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

/// Longest id taken from outside.
const LENGTH_MAX: usize = 128;
/// The header's name.
pub(crate) const HEADER: &str = "x-request-id";

/// The id of a request. Handlers take it as an extractor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub Arc<str>);
impl RequestId {
    /// The id that came with the request, or a new one.
    pub(crate) fn of(headers: &HeaderMap) -> RequestId {
        match headers.get(HEADER).and_then(|v| v.to_str().ok()).filter(|t| is_sane(t)) {
            Some(text) => RequestId(text.into()),
            None => RequestId::generate(),
        }
    }
    fn generate() -> RequestId {
        let mut bytes = [0u8; 16];
        // Without randomness an id is merely not unique; that is no reason to refuse a request.
        let known = getrandom::fill(&mut bytes).is_ok();
        let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        RequestId(if known { text.into() } else { "unknown".into() })
    }
}

/// Letters, digits and `-_.:` only, so that an id can stand in logs and headers as it is.
fn is_sane(text: &str) -> bool {
    (1..=LENGTH_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<RequestId, Self::Rejection> {
        Ok(parts.extensions.get::<RequestId>().cloned().unwrap_or_else(|| RequestId("unknown".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken() {
        for (text, taken) in [("abc-1_2.3:4", true), ("", false), ("a b", false), ("a\"b", false), (&*"x".repeat(129), false), (&*"x".repeat(128), true)] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, text.parse().unwrap());
            assert_eq!(&*RequestId::of(&headers).0 == text, taken, "{text}");
        }
        assert_eq!(RequestId::of(&HeaderMap::new()).0.len(), 32);
    }
}
