//! Requests to cameras and media servers by HTTP: only the host that the configuration names is asked, redirections are followed there
//! only, and name and password are given as it asks for them, as a proof where it can read one. What comes it does not look at.

use std::sync::Arc;
use std::time::Duration;

use url::Url;
use watchfire_net::client::{CallError, Caller, ClientError, HttpOptions, Request, Stream};
use watchfire_net::inflate::Limits;
use watchfire_net::secret::Secret;

use super::rtsp::authenticate::{self, Challenge};

/// Redirections of one request, within the host.
const REDIRECTS_MAX: usize = 3;

/// A place with whoever may read there.
#[derive(Clone, Debug, PartialEq)]
pub struct WebPlace {
    /// Where it is; tokens may stand in it.
    pub url: Secret,
    /// How connections are made; they follow no redirections, which is done here.
    pub options: Arc<HttpOptions>,
    /// Name and password.
    pub credentials: Option<(Secret, Secret)>,
}

/// Why nothing usable came back. Addresses may hold tokens, so they are part of no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebError {
    #[error("cannot get {what}: {reason}")]
    Get { what: &'static str, reason: String, kind: &'static str },
    #[error("cannot get {what}: the server answers {status}")]
    Status { what: &'static str, status: u16 },
    #[error("cannot get {what}: its address is no URL")]
    Address { what: &'static str },
}

impl WebError {
    /// The reason as a label has it.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            WebError::Get { kind, .. } => kind,
            WebError::Status { status: 401 | 403, .. } => "log_in",
            WebError::Status { .. } => "refused",
            WebError::Address { .. } => "description",
        }
    }

    /// What a failed request is.
    pub(super) fn failed(what: &'static str, error: &CallError) -> WebError {
        let (reason, kind) = match error {
            CallError::Client(ClientError::Request { .. }) => ("its address cannot be asked for".to_owned(), "description"),
            CallError::Client(ClientError::Redirect(_)) => ("it is somewhere else".to_owned(), "refused"),
            CallError::Client(ClientError::Timeout(_)) => (error.to_string(), "timeout"),
            CallError::Client(ClientError::Body(_)) => ("it is too large or cannot be read".to_owned(), "protocol"),
            CallError::Client(ClientError::Exchange { .. }) => (error.to_string(), "closed"),
            _ => (error.to_string(), "connect"),
        };
        WebError::Get { what, reason, kind }
    }
}

/// Asks one place again and again.
pub(super) struct Asker<'a> {
    place: &'a WebPlace,
    caller: &'a Caller,
    timeout: Duration,
    /// What the place asked for last, and how often that was answered.
    challenge: Option<(Challenge, u32)>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(place: &'a WebPlace, caller: &'a Caller, timeout: Duration) -> Asker<'a> {
        Asker { place, caller, timeout, challenge: None }
    }

    /// The address of the configuration.
    pub(super) fn root(&self, what: &'static str) -> Result<Url, WebError> {
        Url::parse(self.place.url.expose()).map_err(|_| WebError::Address { what })
    }

    /// An address that the place named, if it is at the same host.
    pub(super) fn within(base: &Url, address: &str) -> Option<Url> {
        let url = base.join(address).ok()?;
        (url.origin() == base.origin() && url.username().is_empty()).then_some(url)
    }

    /// An answer whose body is still to come, with the address at which it was found in the end.
    pub(super) async fn open(&mut self, what: &'static str, url: &Url) -> Result<(Url, Stream), WebError> {
        let mut url = url.clone();
        let mut answer = self.ask(what, &url).await?;
        for _ in 0..REDIRECTS_MAX {
            let Some(next) = answer.header("location").filter(|_| answer.status.is_redirection()).and_then(|to| Self::within(&url, to)) else { break };
            url = next;
            answer = self.ask(what, &url).await?;
        }
        if answer.status.is_success() { Ok((url, answer)) } else { Err(WebError::Status { what, status: answer.status.as_u16() }) }
    }

    /// The same, read whole.
    pub(super) async fn get(&mut self, what: &'static str, url: &Url, bytes_max: usize) -> Result<(Url, bytes::Bytes), WebError> {
        let (url, answer) = self.open(what, url).await?;
        let whole = answer.collect(Limits::both(bytes_max)).await.map_err(|error| WebError::failed(what, &error.into()))?;
        Ok((url, whole.body))
    }

    /// One request; a second one if the place wants to know who asks, or takes the proof for a stale one.
    async fn ask(&mut self, what: &'static str, url: &Url) -> Result<Stream, WebError> {
        let answer = self.send(what, url).await?;
        let asks = matches!(answer.status.as_u16(), 401 | 403) && self.place.credentials.is_some();
        if !asks {
            return Ok(answer);
        }
        let offers = answer.headers.get_all("www-authenticate");
        let offers: Vec<&str> = offers.iter().filter_map(|offer| offer.to_str().ok()).collect();
        let stale = offers.iter().any(|offer| offer.to_ascii_lowercase().contains("stale=true"));
        // A place that refuses without saying how to log in is told the password as most want it.
        let chosen = authenticate::choose(offers.into_iter()).unwrap_or(Challenge::Basic);
        let again = match &self.challenge {
            None => true,
            // A proof is good for as long as the camera says; a password that was refused is not tried again.
            Some((Challenge::Digest { nonce, .. }, count)) => {
                stale || matches!(&chosen, Challenge::Digest { nonce: other, .. } if other != nonce && *count > 1)
            }
            Some((Challenge::Basic, _)) => false,
        };
        if !again {
            self.challenge = None;
            return Ok(answer);
        }
        self.challenge = Some((chosen, 0));
        self.send(what, url).await
    }

    async fn send(&mut self, what: &'static str, url: &Url) -> Result<Stream, WebError> {
        // Pictures do not become smaller, and bytes are counted as they come.
        let mut request = Request::get(url.as_str(), self.timeout).header("accept-encoding", "identity");
        if let (Some((challenge, count)), Some((user, password))) = (&mut self.challenge, &self.place.credentials) {
            *count = count.saturating_add(1);
            let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
            let proof = authenticate::answer(challenge, (user, password), ("GET", &target), *count);
            request.secret_headers.push(("authorization".to_owned(), proof));
        }
        self.caller.stream(&self.place.options, request).await.map_err(|error| WebError::failed(what, &error))
    }
}
