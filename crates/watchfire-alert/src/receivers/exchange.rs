//! One HTTP exchange with a place that takes notifications: which answers mean "again later", how long the other side asks to
//! wait, and messages without secrets. What is said, and what an answer's body means, the kinds know.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use url::Url;
use watchfire_model::document::Reader;
use watchfire_net::backoff::retry_after;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::client::{HttpOptions, Request, Response, SecretSource, read_secret};
use watchfire_net::inflate::Limits;
use watchfire_net::secret::Secret;

use super::{DELIVERY_TIME_MAX, DeliveryError, Making, Outside};
use crate::manager::notification::Notification;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How much of an answer stands in a message.
const SHOWN_CHARS_MAX: usize = 200;
/// Statuses beside 5xx after which another try may succeed: the other side is busy, or a key, a permission or an address has to be
/// put right there or here, which somebody does within the day. Whatever else is refused is about the message itself.
const LATER: [u16; 5] = [401, 403, 404, 408, 429];
/// Redirects of one request.
const REDIRECTS_MAX: usize = 3;
/// Shorter secrets are not searched for in messages: they would blacken everything.
const HIDDEN_CHARS_MIN: usize = 4;

/// How requests of one integration are made. Redirects are followed here and not by the client: a message and its keys go to the
/// configured host only.
pub(super) struct Http {
    options: Arc<HttpOptions>,
    follow: bool,
    timeout: Duration,
}
impl Http {
    /// Reads `http_config`, and `timeout` where the kind has one.
    pub(super) fn read(reader: &Reader<'_>, making: &Making<'_>, has_timeout: bool) -> Http {
        let options = making.http(reader);
        let follow = options.follow_redirects;
        let timeout = if has_timeout { read_timeout(reader) } else { DELIVERY_TIME_MAX };
        Http { options: Arc::new(HttpOptions { follow_redirects: false, ..(*options).clone() }), follow, timeout }
    }
    /// Requests with given options, whose redirects lead to the same host only.
    pub(super) fn plain(options: Arc<HttpOptions>, timeout: Duration) -> Http {
        Http { options: Arc::new(HttpOptions { follow_redirects: false, ..(*options).clone() }), follow: true, timeout }
    }
    /// The same for an address of somebody else's, who learns nothing of who we are.
    pub(super) fn anonymous(&self) -> Http {
        let options = HttpOptions { authorization: Default::default(), headers: Vec::new(), ..(*self.options).clone() };
        Http { options: Arc::new(options), follow: self.follow, timeout: self.timeout }
    }
    /// Whether requests already say who we are.
    pub(super) fn authorizes(&self) -> bool {
        self.options.authorization != watchfire_net::client::Authorization::None
    }
}

/// Reads `timeout`; nothing and zero mean the longest.
pub(super) fn read_timeout(reader: &Reader<'_>) -> Duration {
    let timeout = reader.duration_ms("timeout").filter(|ms| *ms > 0).map_or(DELIVERY_TIME_MAX, Duration::from_millis);
    if timeout > DELIVERY_TIME_MAX {
        reader.warning_at("timeout", format!("one try takes at most {} s here", DELIVERY_TIME_MAX.as_secs()));
    }
    timeout.min(DELIVERY_TIME_MAX)
}

/// One request.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) body: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(String, String)>,
    pub(super) secret_headers: Vec<(String, Secret)>,
    /// What must not stand in a message about it.
    pub(super) hidden: Vec<Secret>,
}
impl Call {
    /// JSON for an address that is no secret.
    pub(super) fn json(url: impl Into<String>, body: &Json) -> Call {
        Call {
            method: Method::POST,
            url: url.into(),
            body: body.to_string().into_bytes(),
            content_type: "application/json",
            headers: Vec::new(),
            secret_headers: Vec::new(),
            hidden: Vec::new(),
        }
    }
    /// JSON for an address that is the secret itself.
    pub(super) fn secret_json(url: &Secret, body: &Json) -> Call {
        Call { hidden: vec![url.clone()], ..Call::json(url.expose(), body) }
    }
    /// The same with its JSON in a field of a form, and a picture beside it.
    pub(super) fn with_picture(mut self, field: &str, png: &[u8]) -> Call {
        let mut form = Form::default();
        form.field("payload_json", &self.body);
        form.picture(field, png);
        (self.body, self.content_type) = (form.finish(), Form::CONTENT_TYPE);
        self
    }
    /// The same with a header.
    pub(super) fn header(mut self, name: &str, value: &str) -> Call {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
    /// The same with a header that holds a secret.
    pub(super) fn secret_header(mut self, name: &str, value: String, secret: Secret) -> Call {
        self.secret_headers.push((name.to_owned(), Secret::new(value)));
        self.hidden.push(secret);
        self
    }
}

/// A form of several parts. Texts of others stand in it only as JSON, in which no line begins, so none of them ends a part.
#[derive(Default)]
pub(super) struct Form(Vec<u8>);
impl Form {
    pub(super) const CONTENT_TYPE: &'static str = "multipart/form-data; boundary=watchfire-8d1f5c2e7b9a4f60";
    const BOUNDARY: &'static str = "watchfire-8d1f5c2e7b9a4f60";

    fn part(&mut self, headers: &str, content: &[u8]) {
        self.0.extend(format!("--{}\r\n{headers}\r\n\r\n", Form::BOUNDARY).into_bytes());
        self.0.extend(content);
        self.0.extend(b"\r\n");
    }
    pub(super) fn field(&mut self, name: &str, content: &[u8]) {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\""), content);
    }
    pub(super) fn picture(&mut self, name: &str, png: &[u8]) {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\"; filename=\"panel.png\"\r\nContent-Type: image/png"), png);
    }
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend(format!("--{}--\r\n", Form::BOUNDARY).into_bytes());
        self.0
    }
}

/// Makes a request; anything but success is an error that says whether another try makes sense.
pub(super) async fn send(outside: &Outside, http: &Http, call: Call) -> Result<Response, DeliveryError> {
    send_until(outside, http, call, Instant::now() + http.timeout).await
}

/// Sends a message with its picture, or without where there is none. One that is refused with it goes without: the message matters more.
/// Both share the time of one try, in which the picture was painted, too.
pub(super) async fn send_pictured(outside: &Outside, http: &Http, with: Option<Call>, without: Call, until: Instant) -> Result<(), DeliveryError> {
    if let Some(call) = with {
        match send_until(outside, http, call, until).await {
            Err(DeliveryError::Never(reason)) => tracing::warn!(reason, "a message was refused with its picture and goes without"),
            outcome => return outcome.map(drop),
        }
    }
    send_until(outside, http, without, until).await.map(drop)
}

/// Makes a request within what is left of a try, redirects included.
pub(super) async fn send_until(outside: &Outside, http: &Http, call: Call, until: Instant) -> Result<Response, DeliveryError> {
    let until = until.min(Instant::now() + http.timeout);
    let hidden = &call.hidden;
    let mut request = Request::get(&call.url, http.timeout);
    request.method = call.method;
    request.headers.push(("Content-Type".to_owned(), call.content_type.to_owned()));
    request.headers.extend(call.headers);
    request.secret_headers = call.secret_headers;
    request.body = call.body.into();
    request.limits = Limits::both(ANSWER_BYTES_MAX);
    for _ in 0..=REDIRECTS_MAX {
        let here = request.url.clone();
        request.timeout = until.saturating_duration_since(Instant::now());
        let answer = match outside.caller.send(&http.options, request.clone()).await {
            Ok(answer) => answer,
            Err(error) => return Err(DeliveryError::Later { reason: hide(hidden, &error.to_string()), after: None }),
        };
        let status = answer.status;
        if status.is_success() {
            return Ok(answer);
        }
        if status.is_redirection() {
            request.url = next_place(http, &here, &answer).map_err(|reason| DeliveryError::Never(hide(hidden, &reason)))?;
            continue;
        }
        let reason = hide(hidden, format!("it answered {status}: {}", shown(&answer.body)).trim_end_matches([' ', ':']));
        if status.is_server_error() || LATER.contains(&status.as_u16()) {
            let after = answer.header("retry-after").and_then(|value| retry_after(value, outside.clock.now())).or_else(|| after_in_body(&answer.body));
            return Err(DeliveryError::Later { reason, after });
        }
        return Err(DeliveryError::Never(reason));
    }
    Err(DeliveryError::Never(format!("it redirected more than {REDIRECTS_MAX} times")))
}

/// Where a redirect leads, if the message may go there: with the same method, to the same host, and not out of TLS.
fn next_place(http: &Http, here: &str, answer: &Response) -> Result<String, String> {
    let status = answer.status;
    if !http.follow || !matches!(status.as_u16(), 307 | 308) {
        return Err(format!("it answered {status}, which does not take the message along"));
    }
    let location = answer.header("location").ok_or_else(|| format!("it answered {status} without a place"))?;
    let here = Url::parse(here).map_err(|error| format!("it answered {status}: {error}"))?;
    let there = here.join(location).map_err(|_| format!("it answered {status} with a place that is no URL"))?;
    let same = here.host_str() == there.host_str() && (here.port_or_known_default() == there.port_or_known_default() || there.scheme() == "https");
    if !same || there.scheme() != "https" && there.scheme() != here.scheme() {
        return Err(format!("it answered {status} to another host, where the message must not go"));
    }
    Ok(there.to_string())
}

/// The wait that Telegram and Discord write into their answer.
fn after_in_body(body: &[u8]) -> Option<Duration> {
    const DAY_S: f64 = 86_400.0;
    let body: Json = serde_json::from_slice(body).ok()?;
    let seconds = body.get("retry_after").or_else(|| body.pointer("/parameters/retry_after"))?.as_f64()?;
    seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(0.0, DAY_S)))
}

/// The beginning of an answer, on one line.
pub(super) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    super::texts::clean(&text).chars().map(|c| if c == '\n' || c == '\t' { ' ' } else { c }).take(SHOWN_CHARS_MAX).collect()
}

/// A message without secrets. A secret URL may also stand there in parts.
pub(super) fn hide(secrets: &[Secret], message: &str) -> String {
    let mut message = message.to_owned();
    for secret in secrets {
        let text = secret.expose();
        let mut parts = vec![text.to_owned()];
        if let Ok(url) = Url::parse(text)
            && url.has_host()
        {
            parts.push(watchfire_net::client::without_credentials(text));
            parts.extend(url.password().map(str::to_owned));
            parts.extend(url.query().map(str::to_owned));
            parts.push(url.path().to_owned());
        }
        for part in parts.iter().filter(|part| part.chars().count() >= HIDDEN_CHARS_MIN) {
            message = message.replace(part.as_str(), "<secret>");
        }
    }
    message
}

/// Reads a secret; one in a file is read at each use, so that a new one needs no reload.
pub(super) async fn read_secret_text(source: &SecretSource) -> Result<Secret, DeliveryError> {
    let path = match source {
        SecretSource::Inline(secret) => return Ok(secret.clone()),
        SecretSource::File(path) => path.clone(),
    };
    let later = |reason: String| DeliveryError::Later { reason, after: None };
    let read = spawn_blocking(move || Secret::from_file(&path)).await;
    read.map_err(|_| later("BUG: reading a secret panicked".to_owned()))?.map_err(|error| later(error.to_string()))
}

/// An address that is a secret, by its key or its `…_file` twin.
pub(super) fn secret_url(reader: &Reader<'_>, making: &Making<'_>, key: &'static str, file_key: &'static str) -> Option<SecretSource> {
    secret_url_at(reader, making.locate, key, file_key)
}

/// The same where nothing is known of Alertmanager's configuration.
pub(super) fn secret_url_at(reader: &Reader<'_>, locate: &dyn Fn(&str) -> PathBuf, key: &'static str, file_key: &'static str) -> Option<SecretSource> {
    let source = read_secret(reader, key, file_key, locate)?;
    if let SecretSource::Inline(url) = &source
        // What is shown instead of a secret can be read again.
        && !matches!(url.expose(), "<secret>" | "http://<secret>")
    {
        check_url(reader, key, url.expose());
    }
    Some(source)
}

/// An address that is no secret, or a default.
pub(super) fn plain_url(reader: &Reader<'_>, key: &'static str, default: &str) -> String {
    match reader.text(key).filter(|url| !url.is_empty()) {
        Some(url) => {
            check_url(reader, key, &url);
            url
        }
        None => default.to_owned(),
    }
}

/// The text of an address must not stand in a message: it often is the secret.
fn check_url(reader: &Reader<'_>, key: &'static str, url: &str) {
    if url.contains("{{") {
        reader.error_at(key, "must not be a template: destinations are never built from labels");
    } else if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        reader.error_at(key, "must be a URL with http:// or https:// and a host");
    }
}

/// What names a group on the other side, the same for all messages about it.
pub(super) fn group_name(notification: &Notification) -> String {
    Sha256::digest(notification.group_key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Notes that one of some keys must be there.
pub(super) fn missing(reader: &Reader<'_>, message: &str) {
    let node = reader.node();
    let path = reader.path_of("");
    reader.context().error(node.line, node.column, format!("{}: {message}", path.trim_end_matches('.')));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_stand_in_messages() {
        let url = Secret::new("https://u:pw-99@hooks.example.com/services/T0/B0?key=abcd");
        let message = hide(
            &[url, Secret::new("tok3n"), Secret::new("x")],
            "cannot reach https://hooks.example.com/services/T0/B0?key=abcd with tok3n: max /services/T0/B0",
        );
        assert_eq!(message, "cannot reach <secret> with <secret>: max <secret>");
    }

    #[test]
    fn waits_in_bodies() {
        for (body, expected) in [
            (r#"{"retry_after": 1.5}"#, Some(1_500)),
            (r#"{"parameters":{"retry_after":7}}"#, Some(7_000)),
            (r#"{"retry_after": -3}"#, Some(0)),
            (r#"{"retry_after": 1e300}"#, Some(86_400_000)),
            ("[]", None),
            ("<html>", None),
        ] {
            assert_eq!(after_in_body(body.as_bytes()), expected.map(Duration::from_millis), "{body}");
        }
    }
}
