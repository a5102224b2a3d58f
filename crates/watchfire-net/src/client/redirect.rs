//! Where a redirect leads, and what may go along: credentials never leave the host that they were meant for.

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::{ClientError, Credentials, Request};

/// The next request, if the answer is a redirect that is to be followed.
pub(super) fn next(request: &Request, status: StatusCode, headers: &HeaderMap) -> Result<Option<Request>, ClientError> {
    let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let turns_into_get = matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER);
    if !keeps_method && !turns_into_get {
        return Ok(None);
    }
    let Some(location) = headers.get(http::header::LOCATION).and_then(|l| l.to_str().ok()) else { return Ok(None) };
    let here = Url::parse(&request.url).map_err(|e| ClientError::Redirect(e.to_string()))?;
    let there = here.join(location).map_err(|e| ClientError::Redirect(e.to_string()))?;
    if !matches!(there.scheme(), "http" | "https") {
        return Err(ClientError::Redirect(format!("it leads to a {} address", there.scheme())));
    }
    let mut request = Request { url: there.to_string(), ..request.clone() };
    let same_host = here.host_str() == there.host_str() && here.port_or_known_default() == there.port_or_known_default();
    if !same_host || (here.scheme() == "https" && there.scheme() == "http") {
        request.credentials = Credentials::None;
        request.secret_headers.clear();
        request.headers.retain(|(name, _)| !["authorization", "cookie", "proxy-authorization"].contains(&name.to_ascii_lowercase().as_str()));
    }
    if turns_into_get && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = bytes::Bytes::new();
    }
    Ok(Some(request))
}

/// Takes `user:password@` out of a URL, so that it is never part of a message or a `Host` header.
pub(super) fn without_userinfo(text: &str) -> (String, Option<(String, String)>) {
    let Ok(mut url) = Url::parse(text) else { return (text.to_owned(), None) };
    if url.username().is_empty() && url.password().is_none() {
        return (text.to_owned(), None);
    }
    let decoded = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let pair = (decoded(url.username()), decoded(url.password().unwrap_or("")));
    let cleared = url.set_username("").is_ok() && url.set_password(None).is_ok();
    (if cleared { url.to_string() } else { String::new() }, Some(pair))
}
