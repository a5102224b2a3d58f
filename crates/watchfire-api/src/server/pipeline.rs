//! What every request goes through: request id, Host, Origin, who it is, what they may, body, handler with a time limit.
//! `build` turns the table of routes into one service; nothing is served that does not stand in the table.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::Instrument;
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_net::listener::Peer;

use super::Refusal;
use super::body::{Bodies, Held};
use super::hosts::{From, Hosts, origin};
use super::request_id::{self, RequestId};
use super::route::{Route, Spec};
use crate::auth::Caller;

/// Finds out who sent a request. A refusal is a proof that is wrong (401) or tried too often (429).
pub trait Identify: Send + Sync {
    /// Judges what the head of a request proves. `foreign` says that it comes from somebody else's page.
    fn identify<'a>(&'a self, headers: &'a HeaderMap, peer: Option<Peer>, foreign: bool) -> ViewFuture<'a, Result<Caller, Refusal>>;
    /// What `WWW-Authenticate` offers to a caller without rights; `None` when nothing would help.
    fn challenge(&self) -> Option<&'static str>;
}

/// What the pipeline needs from outside.
#[derive(Clone)]
pub struct Doors {
    /// The names that we answer to.
    pub hosts: Hosts,
    /// Who callers are.
    pub identify: Arc<dyn Identify>,
    /// Where requests are counted.
    pub meter: Meter,
    /// The time.
    pub clock: SharedClock,
}

/// One service out of the table of routes; what nobody serves goes to `fallback`.
pub fn build<S, F, T>(routes: Vec<Route<S>>, state: S, fallback: F, doors: Doors) -> Router
where
    S: Clone + Send + Sync + 'static,
    F: Handler<T, ()>,
    T: 'static,
{
    let bodies = Bodies::default();
    let mut router = Router::new();
    for Route { spec, handler } in routes {
        let path = spec.path.clone();
        let guard = Guard { spec: Arc::new(spec), doors: doors.clone(), bodies: bodies.clone() };
        router = router.route(&path, handler.with_state(state.clone()).layer(from_fn_with_state(guard, guarded)));
    }
    router.fallback(fallback).layer(from_fn_with_state(doors, everybody))
}

/// What holds for every request, whether a route exists or not.
async fn everybody(State(doors): State<Doors>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    let peer = request.extensions().get::<Peer>().copied();
    let span = span(&id, request.headers());
    let mut response = if doors.hosts.allow(request.headers(), peer) {
        request.extensions_mut().insert(id.clone());
        next.run(request).instrument(span).await
    } else {
        refuse(
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", "the Host header names nobody here; add it to server.allowed_hosts if it should"),
            &id,
        )
    };
    let headers = response.headers_mut();
    let set = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        (
            "content-security-policy",
            "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(HeaderName::from_static(request_id::HEADER), value);
    }
    response
}

/// The ids that log lines of this request carry. Trace context is taken over when it is well-formed.
fn span(id: &RequestId, headers: &HeaderMap) -> tracing::Span {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let correlation = text("x-correlation-id").filter(|t| t.len() <= 128 && t.bytes().all(|b| b.is_ascii_graphic())).unwrap_or(&id.0);
    let span =
        tracing::info_span!("request", request_id = &*id.0, correlation_id = correlation, trace_id = tracing::field::Empty, span_id = tracing::field::Empty);
    let hex = |part: &str, len: usize| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = text("traceparent").unwrap_or("").split('-').collect();
    if let [version, trace, parent, flags] = parts[..]
        && hex(version, 2)
        && hex(trace, 32)
        && hex(parent, 16)
        && hex(flags, 2)
    {
        span.record("trace_id", trace);
        span.record("span_id", parent);
    }
    span
}

fn refuse(mut refusal: Refusal, id: &RequestId) -> Response {
    refusal.request_id = id.0.to_string();
    refusal.into_response()
}

/// One route with what its requests meet first.
#[derive(Clone)]
struct Guard {
    spec: Arc<Spec>,
    doors: Doors,
    bodies: Bodies,
}

async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let began = guard.doors.clock.monotonic();
    let method = request.method().clone();
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId::of(&HeaderMap::new()));
    let response = match guard.admit(request).await {
        // What the body holds of the budget is given back when the answer is there.
        Ok((request, _held)) => guard.handle(request, next).await,
        Err(refusal) => Err(refusal),
    };
    let response = response.unwrap_or_else(|mut refusal| {
        refusal.request_id = id.0.to_string();
        let challenge = (refusal.status == StatusCode::UNAUTHORIZED).then(|| guard.doors.identify.challenge()).flatten();
        let mut response = refusal.into_response_in(guard.spec.envelope);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    });
    guard.count(&method, response.status(), guard.doors.clock.monotonic().saturating_sub(began));
    response
}

/// Bounds of request durations, in seconds.
const DURATIONS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

impl Guard {
    fn count(&self, method: &Method, status: StatusCode, took: Duration) {
        let (meter, route) = (&self.doors.meter, self.spec.path.as_str());
        let labels = [("code", status.as_str()), ("method", method.as_str()), ("route", route)];
        meter.counter("watchfire_http_requests_total", "Requests by route, method and status.", &labels).inc();
        meter.histogram("watchfire_http_request_duration_seconds", "Time until an answer began.", &DURATIONS, &[("route", route)]).observe(took.as_secs_f64());
    }

    /// Everything that is decided before the handler.
    async fn admit(&self, mut request: Request) -> Result<(Request, Held), Refusal> {
        let peer = request.extensions().get::<Peer>().copied();
        let from = origin(request.headers(), peer.is_some_and(|p| p.tls));
        let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && !self.spec.websocket;
        if from == From::ForeignPage && !safe {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "foreign_origin", "requests from other pages may not change anything here"));
        }
        let caller = match self.doors.identify.identify(request.headers(), peer, from == From::ForeignPage).await {
            Ok(caller) => caller,
            // A public route does not care what a wrong proof claims.
            Err(_) if self.spec.level == crate::auth::Level::Public => Caller::anonymous(),
            Err(refusal) => return Err(refusal),
        };
        if !caller.may(self.spec.level) {
            let level = self.spec.level;
            return Err(match self.doors.identify.challenge() {
                Some(_) if caller == Caller::anonymous() => {
                    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", format!("this needs the level {level}; send a token or log in"))
                }
                _ => Refusal::new(StatusCode::FORBIDDEN, "forbidden", format!("this needs the level {level}")),
            });
        }
        request.extensions_mut().insert(caller);
        if matches!(*request.method(), Method::GET | Method::HEAD) || self.spec.websocket {
            return Ok((request, Held::default()));
        }
        self.bodies.read(&self.spec, request).await
    }

    /// Runs the handler: a panic or too long a wait is this request's trouble only.
    async fn handle(&self, request: Request, next: Next) -> Result<Response, Refusal> {
        let running = AssertUnwindSafe(next.run(request)).catch_unwind();
        let outcome = match self.spec.time_limit {
            Some(limit) => tokio::time::timeout(limit, running).await.map_err(|_| Refusal::unavailable(format!("no answer within {limit:?}"), 5))?,
            None => running.await,
        };
        outcome.map_err(|panic| {
            let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
            tracing::error!(route = self.spec.path, panic = text, "a handler panicked");
            self.doors.meter.counter("watchfire_http_panics_total", "Requests whose handler panicked.", &[]).inc();
            Refusal::internal()
        })
    }
}
