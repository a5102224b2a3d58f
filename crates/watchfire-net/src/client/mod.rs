//! The HTTP client of the house: HTTP/1.1 over TCP or TLS with a deadline, a limit for the answer, careful redirects and
//! credentials that never follow to another host, directly or through a proxy. It reads no configuration and retries nothing.

mod caller;
mod config;
mod grpc;
pub mod oauth2;
mod options;
mod pass;
mod proxy;
mod redirect;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderName, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::ServerName;
use tracing::Instrument;

pub use self::caller::{CallError, Caller, Prepared, read_client_tls, read_identity};
pub use self::config::{Locate, read_http_options, read_secret, read_tls_options};
pub use self::grpc::{GrpcAnswer, GrpcClient, GrpcError};
pub use self::options::{Authorization, HttpOptions, Oauth2Options, ProxyOptions, SecretSource, TlsOptions};
use self::pass::Within;
pub use self::pass::{Passed, Phases, Pooling, Relayed, RelayedBody};
pub(crate) use self::proxy::connector::Connector;
pub use self::proxy::{Proxies, ProxyError};
pub use self::stream::Stream;
use crate::inflate::{InflateError, Limits};
use crate::secret::Secret;
use crate::tls::{ClientTls, client_config};
use crate::trace;

/// What we call ourselves.
pub const AGENT: &str = concat!("Watchfire/", env!("CARGO_PKG_VERSION"));
/// The most hops that a request follows.
pub const REDIRECTS_MAX: usize = 10;

/// Who we say we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody.
    #[default]
    None,
    /// HTTP basic authentication.
    Basic {
        /// The name.
        user: Secret,
        /// The password.
        password: Secret,
    },
    /// A scheme such as `Bearer`, and what follows it.
    Header {
        /// The scheme.
        scheme: String,
        /// The credentials.
        value: Secret,
    },
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL, `http` or `https`.
    pub url: String,
    /// Headers; those that hold secrets belong into `secret_headers`.
    pub headers: Vec<(String, String)>,
    /// Headers that are sent to this host only.
    pub secret_headers: Vec<(String, Secret)>,
    /// Who we say we are, to this host only.
    pub credentials: Credentials,
    /// The body.
    pub body: Bytes,
    /// How long all of it may take, the answer's body included.
    pub timeout: Duration,
    /// How large the answer's body may be, before and after decompression.
    pub limits: Limits,
    /// Whether redirects are followed.
    pub follow_redirects: bool,
    /// How long to wait after the first piece of an answer, so that the rest comes in few pieces; see [`inflate::collect_settled`].
    pub settle: Duration,
}
impl Request {
    /// A GET with a deadline.
    pub fn get(url: impl Into<String>, timeout: Duration) -> Request {
        Request {
            method: Method::GET,
            url: url.into(),
            headers: Vec::new(),
            secret_headers: Vec::new(),
            credentials: Credentials::None,
            body: Bytes::new(),
            timeout,
            limits: Limits::default(),
            follow_redirects: true,
            settle: Duration::ZERO,
        }
    }
    /// The same with one more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// What came back, whatever the status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decompressed.
    pub body: Bytes,
}
impl Response {
    /// The text of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why nothing usable came back.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL or a header cannot be sent.
    #[error("cannot make a request for {url}: {reason}")]
    Request {
        /// The URL, without credentials.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answers there: no such name, refused, unreachable, no TLS.
    #[error("cannot connect to {host}: {reason}")]
    Connect {
        /// Host and port.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// It took too long.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// The body broke a limit or cannot be decompressed.
    #[error("cannot read the answer")]
    Body(#[from] InflateError),
    /// More than [`REDIRECTS_MAX`] hops, or one that leads nowhere.
    #[error("cannot follow a redirect: {0}")]
    Redirect(String),
    /// The connection broke or does not speak HTTP.
    #[error("cannot complete the exchange with {host}: {reason}")]
    Exchange {
        /// Host and port.
        host: String,
        /// What went wrong.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

type Body = Full<Bytes>;

/// A client with one set of TLS options and one pool of connections. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);
struct Inner {
    tls: ClientTls,
    proxies: Proxies,
    pooling: Pooling,
    plain: Pool<Within<Connector>, Body>,
    /// Made at the first `https` URL, because the system's authorities cost memory.
    secure: OnceLock<Pool<Within<HttpsConnector<Connector>>, Body>>,
}

impl Client {
    /// A client that connects directly.
    pub fn new(tls: ClientTls) -> Client {
        Client::with_proxies(tls, Proxies::default())
    }

    /// A client that goes through proxies.
    pub fn with_proxies(tls: ClientTls, proxies: Proxies) -> Client {
        Client::with_pooling(tls, proxies, Pooling::default())
    }

    /// A client that makes and keeps connections in its own way.
    pub fn with_pooling(tls: ClientTls, proxies: Proxies, pooling: Pooling) -> Client {
        let plain = pool(pooling, Connector::new(&proxies, &tls));
        Client(Arc::new(Inner { tls, proxies, pooling, plain, secure: OnceLock::new() }))
    }

    fn secure(&self) -> Result<&Pool<Within<HttpsConnector<Connector>>, Body>, ClientError> {
        if let Some(pool) = self.0.secure.get() {
            return Ok(pool);
        }
        let config = client_config(&self.0.tls).map_err(|e| ClientError::Tls(e.to_string()))?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
        let builder = match &self.0.tls.server_name {
            Some(name) => {
                let name = ServerName::try_from(name.clone()).map_err(|e| ClientError::Tls(format!("server_name: {e}")))?;
                builder.with_server_name_resolver(FixedServerNameResolver::new(name))
            }
            None => builder,
        };
        let connector = builder.enable_http1().wrap_connector(Connector::new(&self.0.proxies, &self.0.tls));
        let pool = pool(self.0.pooling, connector);
        Ok(self.0.secure.get_or_init(|| pool))
    }

    /// Makes one request, redirects included.
    pub async fn send(&self, request: Request) -> Result<Response, ClientError> {
        let limits = request.limits;
        self.stream(request).await?.collect(limits).await
    }

    /// Makes one request, redirects included; the answer's body is read by who asked, before the request's deadline.
    pub async fn stream(&self, request: Request) -> Result<Stream, ClientError> {
        let (timeout, settle) = (request.timeout, request.settle);
        let deadline = tokio::time::Instant::now() + timeout;
        let answer = tokio::time::timeout_at(deadline, self.follow(request)).await.unwrap_or(Err(ClientError::Timeout(timeout)))?;
        Ok(Stream::new(answer, deadline, timeout, settle))
    }

    async fn follow(&self, mut request: Request) -> Result<http::Response<Incoming>, ClientError> {
        for _ in 0..=REDIRECTS_MAX {
            let response = self.exchange(&request).await?;
            if !request.follow_redirects {
                return Ok(response);
            }
            match redirect::next(&request, response.status(), response.headers())? {
                Some(next) => request = next,
                None => return Ok(response),
            }
        }
        Err(ClientError::Redirect(format!("stopped after {REDIRECTS_MAX} redirects")))
    }

    async fn exchange(&self, request: &Request) -> Result<http::Response<Incoming>, ClientError> {
        self.exchange_message(message(request)?).await
    }

    async fn exchange_message(&self, mut message: http::Request<Body>) -> Result<http::Response<Incoming>, ClientError> {
        let span = trace::call(message.method(), message.uri());
        span.in_scope(|| trace::inject(message.headers_mut()));
        let answered = self.exchange_untold(message).instrument(span.clone()).await;
        trace::answered(&span, answered.as_ref().map(http::Response::status));
        answered
    }

    async fn exchange_untold(&self, mut message: http::Request<Body>) -> Result<http::Response<Incoming>, ClientError> {
        if let Some(authorization) = self.0.proxies.authorization(message.uri()) {
            let refused = |_| ClientError::Request { url: message.uri().to_string(), reason: "the proxy's credentials cannot be sent".to_owned() };
            let mut value = HeaderValue::from_str(authorization.expose()).map_err(refused)?;
            value.set_sensitive(true);
            message.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let host = message.uri().authority().map(ToString::to_string).unwrap_or_default();
        let secure = message.uri().scheme_str() == Some("https");
        let sent = if secure { self.secure()?.request(message).await } else { self.0.plain.request(message).await };
        sent.map_err(|e| {
            let reason = chain(&e);
            if e.is_connect() { ClientError::Connect { host, reason } } else { ClientError::Exchange { host, reason } }
        })
    }
}

/// A pool of connections.
fn pool<C>(pooling: Pooling, connector: C) -> Pool<Within<C>, Body>
where
    Within<C>: hyper_util::client::legacy::connect::Connect + Clone,
{
    let mut builder = Pool::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(pooling.idle).pool_max_idle_per_host(pooling.idle_per_host);
    builder.build(Within { inner: connector, limit: pooling.connect })
}

/// The value of the header `Authorization` for credentials.
pub fn authorization(credentials: &Credentials) -> Option<Secret> {
    authorization_or(credentials, None)
}

/// Name and password that stand in a URL.
pub fn credentials_of(url: &str) -> Option<(Secret, Secret)> {
    redirect::without_userinfo(url).1.map(|(user, password)| (Secret::new(user), Secret::new(password)))
}

/// The same, or that of a URL.
fn authorization_or(credentials: &Credentials, userinfo: Option<(String, String)>) -> Option<Secret> {
    let basic = |user: &str, password: &str| {
        use base64::Engine;
        Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))))
    };
    match (credentials, userinfo) {
        (Credentials::Basic { user, password }, _) => Some(basic(user.expose(), password.expose())),
        (Credentials::Header { scheme, value }, _) => Some(Secret::new(format!("{scheme} {}", value.expose()))),
        (Credentials::None, Some((user, password))) => Some(basic(&user, &password)),
        (Credentials::None, None) => None,
    }
}

/// A URL as it may be shown: without user name and password.
pub fn without_credentials(url: &str) -> String {
    redirect::without_userinfo(url).0
}

/// All messages of an error and its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

/// Turns a request into hyper's form.
fn message(request: &Request) -> Result<http::Request<Body>, ClientError> {
    let (url, userinfo) = redirect::without_userinfo(&request.url);
    let bad = |reason: String| ClientError::Request { url: url.clone(), reason };
    let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| bad(e.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(bad("it must begin with http:// or https:// and a host".to_owned()));
    }
    let mut message = http::Request::builder().method(request.method.clone()).uri(uri).body(Full::new(request.body.clone())).map_err(|e| bad(e.to_string()))?;
    let headers = message.headers_mut();
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let mut put = |name: &str, value: &str, secret: bool| -> Result<(), ClientError> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("{name:?} is no header name")))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| bad(format!("the value of {name} holds bytes that no header can")))?;
        value.set_sensitive(secret);
        headers.insert(name, value);
        Ok(())
    };
    for (name, value) in &request.headers {
        put(name, value, false)?;
    }
    for (name, value) in &request.secret_headers {
        put(name, value.expose(), true)?;
    }
    if let Some(value) = authorization_or(&request.credentials, userinfo) {
        put(AUTHORIZATION.as_str(), value.expose(), true)?;
    }
    Ok(message)
}
