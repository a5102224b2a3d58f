//! OAuth 2.0 client credentials (RFC 6749, 4.4): gets a token for a client's own name, keeps it until shortly before it
//! ends, and shares it among all who ask. No other grant, no refresh tokens, no user.

mod answer;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;
use watchfire_model::order::Order as _;
use watchfire_model::time::SharedClock;

use self::answer::{Token, token};
use super::{Client, ClientError, Credentials, Request};
use crate::inflate::Limits;
use crate::secret::Secret;

/// The largest answer of a token endpoint.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;
/// A token counts as ended so long before its end.
pub const EARLY: Duration = Duration::from_secs(10);
/// A token that is refused is replaced at most so often: whoever may not come in should not flood the token endpoint.
pub const RENEWAL_MIN: Duration = Duration::from_secs(10);

/// What a token is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where tokens come from.
    pub token_url: String,
    /// The client's name.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scopes: Vec<String>,
    /// Further parameters; `grant_type` may be replaced, nothing else.
    pub params: Vec<(String, String)>,
}

/// Why there is no token. The client's secret and the token are never part of it.
#[derive(Debug, thiserror::Error)]
pub enum OauthError {
    /// The token endpoint cannot be asked.
    #[error("cannot get an OAuth2 token: {0}")]
    Ask(#[source] ClientError),
    /// It answered with something else than a token.
    #[error("cannot get an OAuth2 token: the token endpoint answered {status}{detail}")]
    Refused {
        /// The status.
        status: http::StatusCode,
        /// What it said about it, or nothing.
        detail: String,
    },
    /// A parameter is set twice.
    #[error("cannot get an OAuth2 token: the parameter {0:?} must not be set by hand")]
    Parameter(String),
}

/// How the client proves who it is.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// By HTTP basic authentication, as the standard wants.
    Header,
    /// In the form, as some servers want.
    Form,
}

/// The tokens of one client. Share it by reference: while one caller asks, the others wait for the same token.
pub struct Tokens {
    clock: SharedClock,
    known: tokio::sync::Mutex<Known>,
}
#[derive(Default)]
struct Known {
    /// What the rest belongs to: a changed secret makes all of it void.
    grant: Option<Grant>,
    style: Option<Style>,
    token: Option<Held>,
}
struct Held {
    credentials: Arc<Credentials>,
    since: Duration,
    until: Option<Duration>,
}

impl Tokens {
    /// No token yet.
    pub fn new(clock: SharedClock) -> Tokens {
        Tokens { clock, known: tokio::sync::Mutex::default() }
    }

    /// The credentials to go with a request: those that are known while they last, else new ones.
    pub async fn credentials(&self, client: &Client, grant: &Grant, timeout: Duration) -> Result<Arc<Credentials>, OauthError> {
        let mut known = self.known.lock().await;
        if known.grant.as_ref() != Some(grant) {
            *known = Known { grant: Some(grant.clone()), ..Known::default() };
        }
        let now = self.clock.monotonic();
        match &known.token {
            Some(held) if held.until.is_none_or(|until| now < until) => Ok(held.credentials.clone()),
            _ => self.ask(&mut known, client, grant, timeout).await,
        }
    }

    /// Other credentials than those that were refused; `None` when they are too new to be replaced.
    pub async fn renewed(&self, client: &Client, grant: &Grant, refused: &Arc<Credentials>, timeout: Duration) -> Result<Option<Arc<Credentials>>, OauthError> {
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        match &known.token {
            Some(held) if !Arc::ptr_eq(&held.credentials, refused) => Ok(Some(held.credentials.clone())),
            Some(held) if now.saturating_sub(held.since) < RENEWAL_MIN => Ok(None),
            _ => self.ask(&mut known, client, grant, timeout).await.map(Some),
        }
    }

    /// Asks for a token, in both styles while it is not known which one the server takes.
    async fn ask(&self, known: &mut Known, client: &Client, grant: &Grant, timeout: Duration) -> Result<Arc<Credentials>, OauthError> {
        known.token = None;
        let (style, token) = match known.style {
            Some(style) => (style, fetch(client, grant, style, timeout).await?),
            None => match fetch(client, grant, Style::Header, timeout).await {
                Err(OauthError::Refused { .. }) => (Style::Form, fetch(client, grant, Style::Form, timeout).await?),
                other => (Style::Header, other?),
            },
        };
        known.style = Some(style);
        let since = self.clock.monotonic();
        let credentials = Arc::new(Credentials::Header { scheme: token.scheme, value: token.value });
        let until = token.lasts.map(|lasts| since.saturating_add(lasts.saturating_sub(EARLY)));
        known.token = Some(Held { credentials: credentials.clone(), since, until });
        Ok(credentials)
    }
}

async fn fetch(client: &Client, grant: &Grant, style: Style, timeout: Duration) -> Result<Token, OauthError> {
    let encoded = |text: &str| Secret::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    let credentials = match style {
        Style::Header => Credentials::Basic { user: encoded(&grant.client_id), password: encoded(grant.client_secret.expose()) },
        Style::Form => Credentials::None,
    };
    let request = Request {
        method: Method::POST,
        credentials,
        body: form(grant, style)?,
        limits: Limits::both(ANSWER_BYTES_MAX),
        // The form may hold the secret; it goes to nobody but the configured address.
        follow_redirects: false,
        ..Request::get(grant.token_url.clone(), timeout)
    };
    let request = request.header(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded").header("accept", "application/json");
    let response = client.send(request).await.map_err(OauthError::Ask)?;
    let content_type = response.header("content-type").unwrap_or("").to_owned();
    token(response.status, &content_type, &response.body, &grant.client_secret)
}

/// The form, its parameters sorted by name.
fn form(grant: &Grant, style: Style) -> Result<Bytes, OauthError> {
    let mut pairs = vec![("grant_type", "client_credentials".to_owned())];
    if !grant.scopes.is_empty() {
        pairs.push(("scope", grant.scopes.join(" ")));
    }
    for (name, value) in &grant.params {
        match pairs.iter_mut().find(|(known, _)| known == name) {
            Some((known, old)) if *known == "grant_type" => old.clone_from(value),
            Some(_) => return Err(OauthError::Parameter(name.clone())),
            None => pairs.push((name, value.clone())),
        }
    }
    if style == Style::Form {
        pairs.retain(|(name, _)| !matches!(*name, "client_id" | "client_secret"));
        pairs.push(("client_id", grant.client_id.clone()));
        pairs.push(("client_secret", grant.client_secret.expose().to_owned()));
    }
    pairs.order_by(|a, b| a.0.cmp(b.0));
    Ok(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into())
}
