//! A request that is passed on for somebody else, and its answer piece by piece as it comes: nothing is decompressed, followed or
//! collected, and every phase has a limit of its own. Which headers may pass is for whoever passes on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tower::Service;

use super::{Client, ClientError, Credentials, chain, redirect};
use crate::inflate::InflateError;
use crate::secret::Secret;

/// How connections are made and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// How long a connection may take to come about, name and TLS included; `None` leaves it to the request's deadline.
    pub connect: Option<Duration>,
    /// How long an idle connection is kept.
    pub idle: Duration,
    /// How many idle connections are kept per host.
    pub idle_per_host: usize,
}
impl Default for Pooling {
    fn default() -> Pooling {
        Pooling { connect: None, idle: Duration::from_secs(90), idle_per_host: 2 }
    }
}

/// How long each phase of a passed request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// From the request to the head of its answer.
    pub head: Duration,
    /// Between two pieces of the answer's body.
    pub idle: Duration,
    /// All of it.
    pub total: Duration,
}

/// A request as it is passed on. User agent and encodings are not added: what is not in `headers` is not sent.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The method.
    pub method: Method,
    /// The whole URL, `http` or `https`.
    pub url: String,
    /// The headers.
    pub headers: HeaderMap,
    /// Who we say we are.
    pub credentials: Credentials,
    /// Headers that hold secrets.
    pub secret_headers: Vec<(String, Secret)>,
    /// The body.
    pub body: Bytes,
    /// How long it may take.
    pub phases: Phases,
}

/// The answer: head, and a body to come.
pub struct Relayed {
    /// The status.
    pub status: StatusCode,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// The body, as it comes.
    pub body: RelayedBody,
}

impl Client {
    /// Passes a request on. Nothing is tried again: [`ClientError::Connect`] says that not a byte of it was sent.
    pub async fn pass(&self, passed: Passed) -> Result<Relayed, ClientError> {
        let Phases { head, idle, total } = passed.phases;
        let end = Instant::now() + total;
        let message = message(passed)?;
        let patience = head.min(total);
        let answer = tokio::time::timeout(patience, self.exchange_message(message)).await.unwrap_or(Err(ClientError::Timeout(patience)))?;
        let (parts, inner) = answer.into_parts();
        let timer = Box::pin(tokio::time::sleep_until(end.min(Instant::now() + idle)));
        let body = RelayedBody { inner, timer, waiting: false, idle, end, total };
        Ok(Relayed { status: parts.status, headers: parts.headers, body })
    }
}

fn message(passed: Passed) -> Result<http::Request<Full<Bytes>>, ClientError> {
    let (url, userinfo) = redirect::without_userinfo(&passed.url);
    let bad = |reason: String| ClientError::Request { url: url.clone(), reason };
    let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| bad(e.to_string()))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(bad("it must begin with http:// or https:// and a host".to_owned()));
    }
    let mut message = http::Request::builder().method(passed.method).uri(uri).body(Full::new(passed.body)).map_err(|e| bad(e.to_string()))?;
    *message.headers_mut() = passed.headers;
    let mut put = |name: &str, secret: &Secret| -> Result<(), ClientError> {
        let name = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("{name:?} is no header name")))?;
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| bad(format!("the value of {name} holds bytes that no header can")))?;
        value.set_sensitive(true);
        message.headers_mut().insert(name, value);
        Ok(())
    };
    for (name, secret) in &passed.secret_headers {
        put(name, secret)?;
    }
    if let Some(value) = super::authorization_or(&passed.credentials, userinfo) {
        put(AUTHORIZATION.as_str(), &value)?;
    }
    Ok(message)
}

/// The body of an answer, frame by frame. Dropping it ends the exchange: the connection is closed, which tells the other side.
pub struct RelayedBody {
    inner: Incoming,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer runs for the frame that is waited for.
    waiting: bool,
    idle: Duration,
    end: Instant,
    total: Duration,
}

impl Body for RelayedBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.waiting = false;
            let broken = |e: hyper::Error| ClientError::Body(InflateError::Transfer(chain(&e)));
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        if !self.waiting {
            self.waiting = true;
            let deadline = self.end.min(Instant::now() + self.idle);
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(cx));
        let broken = if Instant::now() >= self.end { self.total } else { self.idle };
        Poll::Ready(Some(Err(ClientError::Timeout(broken))))
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A connector whose connections must come about within a time.
#[derive(Clone)]
pub(super) struct Within<C> {
    pub(super) inner: C,
    pub(super) limit: Option<Duration>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri>,
    C::Error: Into<Failure>,
    C::Future: Send + 'static,
    C::Response: Send + 'static,
{
    type Response = C::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(target), self.limit);
        Box::pin(async move {
            let Some(limit) = limit else { return connecting.await.map_err(Into::into) };
            let late = |_| Failure::from(format!("no connection within {limit:?}"));
            tokio::time::timeout(limit, connecting).await.map_err(late)?.map_err(Into::into)
        })
    }
}
