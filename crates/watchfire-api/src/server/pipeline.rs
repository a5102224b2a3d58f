//! What every request goes through: request id, Host, Origin, who it is, what they may, body, handler with a time limit.
//! `build` turns the table of routes into one service; nothing is served that does not stand in the table.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::Instrument;
use watchfire_model::live::ViewFuture;
use watchfire_model::meter::Meter;
use watchfire_model::time::SharedClock;
use watchfire_net::listener::Peer;

use super::Refusal;
use super::body::{Bodies, Held};
use super::compression;
use super::hosts::{From, Hosts};
use super::refusal::{Envelope, Refused, native_envelope};
use super::request_id::{self, RequestId};
use super::route::{Route, Spec};
use crate::auth::Caller;

/// How long a body may take to come. The listener asks for a least rate; this bounds how long a large one may use it.
const BODY_TIME_MAX: Duration = Duration::from_secs(120);

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
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for Route { spec, .. } in &routes {
        methods.entry(spec.path.clone()).or_default().extend(spec.methods.iter().cloned());
    }
    let mut router = Router::new();
    for Route { spec, handler } in routes {
        let path = spec.path.clone();
        let methods = methods.get(&path).cloned().unwrap_or_default().into();
        let guard = Guard { spec: Arc::new(spec), methods, doors: doors.clone(), bodies: bodies.clone() };
        router = router.route(&path, handler.with_state(state.clone()).layer(from_fn_with_state(guard, guarded)));
    }
    router.fallback(fallback).layer(from_fn_with_state(doors, everybody))
}

/// Headers that every answer carries.
const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What an answer says that a browser may load for it, in the stead of what all others say: for pages that stand by themselves.
#[derive(Clone)]
pub(crate) struct OwnPolicy(pub(crate) HeaderValue);

/// Marks an answer that its route has counted.
#[derive(Clone, Copy)]
struct Counted;

/// What holds for every request, whether a route exists or not.
async fn everybody(State(doors): State<Doors>, mut request: Request, next: Next) -> Response {
    let began = doors.clock.monotonic();
    let method = request.method().clone();
    let id = RequestId::of(request.headers());
    let peer = request.extensions().get::<Peer>().copied();
    let span = span(&id, request.headers());
    let packed = method != Method::HEAD && compression::accepts(request.headers(), "gzip");
    let mut response = if doors.hosts.allow(request.headers(), peer) && target_agrees(&request) {
        request.extensions_mut().insert(id.clone());
        let answered = catch(&doors.meter, "none", next.run(request)).instrument(span).await;
        finish(answered.unwrap_or_else(IntoResponse::into_response), &id, native_envelope)
    } else {
        let refusal =
            Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", "the Host header names nobody here; add it to server.allowed_hosts if it should");
        finish(refusal.into_response(), &id, native_envelope)
    };
    if response.extensions_mut().remove::<Counted>().is_none() {
        // A path that is no route must not become a label.
        count(&doors, "none", &method, response.status(), doors.clock.monotonic().saturating_sub(began));
    }
    let own = response.extensions_mut().remove::<OwnPolicy>();
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(OwnPolicy(policy)) = own {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    // What is asked for here changes or is nobody else's business; the page's files say for themselves how long they keep.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(HeaderName::from_static(request_id::HEADER), value);
    }
    compression::pack(response, packed).await
}

/// Whether a target in absolute form names the same host as the `Host` header, which is the one that was judged.
fn target_agrees(request: &Request) -> bool {
    let host = request.headers().get(HOST).and_then(|v| v.to_str().ok()).unwrap_or("");
    request.uri().authority().is_none_or(|a| a.as_str().eq_ignore_ascii_case(host))
}

/// Writes a refusal that a handler gave in the route's envelope and with the request's id.
fn finish(mut response: Response, id: &RequestId, envelope: Envelope) -> Response {
    let Some(Refused(mut refusal)) = response.extensions_mut().remove::<Refused>() else { return response };
    refusal.request_id = id.0.to_string();
    let mut again = refusal.into_response_in(envelope);
    for name in [ALLOW, WWW_AUTHENTICATE] {
        if let Some(value) = response.headers_mut().remove(&name) {
            again.headers_mut().insert(name, value);
        }
    }
    again
}

/// Runs a part that may panic: that is this request's trouble only.
async fn catch(meter: &Meter, route: &str, running: impl Future<Output = Response>) -> Result<Response, Refusal> {
    AssertUnwindSafe(running).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        tracing::error!(route, panic = text, "a handler panicked");
        meter.counter("watchfire_http_panics_total", "Requests whose handler panicked.", &[]).inc();
        Refusal::internal()
    })
}

/// Bounds of request durations, in seconds.
const DURATIONS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Anybody may make up methods; only those that HTTP defines become labels.
fn known(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH") => known,
        _ => "other",
    }
}

fn count(doors: &Doors, route: &str, method: &Method, status: StatusCode, took: Duration) {
    let method = known(method);
    let labels = [("code", status.as_str()), ("method", method), ("route", route)];
    doors.meter.counter("watchfire_http_requests_total", "Requests by route, method and status.", &labels).inc();
    let durations = doors.meter.histogram("watchfire_http_request_duration_seconds", "Time until an answer began.", &DURATIONS, &[("route", route)]);
    durations.observe(took.as_secs_f64());
    let (code, ms) = (status.as_u16(), took.as_secs_f64() * 1000.0);
    if status.is_server_error() {
        tracing::warn!(route, method, code, ms, "request failed");
    } else {
        tracing::debug!(route, method, code, ms, "request answered");
    }
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

/// The span of a request whose route is known, below its caller's.
fn server_span(route: &str, request: &Request) -> tracing::Span {
    let method = known(request.method());
    let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = format!("{method} {route}"),
        otel.parent = text("traceparent"),
        otel.state = text("tracestate"),
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        url.path = request.uri().path(),
    )
}

/// One route with what its requests meet first.
#[derive(Clone)]
struct Guard {
    spec: Arc<Spec>,
    /// The methods of all routes at this path.
    methods: Arc<[Method]>,
    doors: Doors,
    bodies: Bodies,
}

async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let began = guard.doors.clock.monotonic();
    let method = request.method().clone();
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId::of(&HeaderMap::new()));
    let span = if guard.spec.traced { server_span(&guard.spec.path, &request) } else { tracing::Span::none() };
    let response = if guard.serves(&method) { guard.answer(request, next).instrument(span.clone()).await } else { guard.wrong_method() };
    let mut response = finish(response, &id, guard.spec.envelope);
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    let took = guard.doors.clock.monotonic().saturating_sub(began);
    span.in_scope(|| count(&guard.doors, &guard.spec.path, &method, response.status(), took));
    response.extensions_mut().insert(Counted);
    response
}

impl Guard {
    fn serves(&self, method: &Method) -> bool {
        self.methods.contains(method) || (*method == Method::HEAD && self.methods.contains(&Method::GET) && !self.spec.websocket)
    }

    /// Nothing is dispatched, so nobody needs to be known.
    fn wrong_method(&self) -> Response {
        let mut words: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        if words.contains(&"GET") && !self.spec.websocket {
            words.push("HEAD");
        }
        let allowed = words.join(", ");
        let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("this path takes {allowed}")).into_response();
        if let Ok(value) = HeaderValue::from_str(&allowed) {
            response.headers_mut().insert(ALLOW, value);
        }
        response
    }

    async fn answer(&self, request: Request, next: Next) -> Response {
        let outcome = match self.admit(request).await {
            // What the body holds of the budget is given back when the answer is there.
            Ok((request, _held)) => self.handle(request, next).await,
            Err(refusal) => Err(refusal),
        };
        outcome.unwrap_or_else(|refusal| {
            let challenge = (refusal.status == StatusCode::UNAUTHORIZED).then(|| self.doors.identify.challenge()).flatten();
            let mut response = refusal.into_response();
            if let Some(challenge) = challenge {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            response
        })
    }

    /// Everything that is decided before the handler.
    async fn admit(&self, mut request: Request) -> Result<(Request, Option<Held>), Refusal> {
        let peer = request.extensions().get::<Peer>().copied();
        let from = self.doors.hosts.origin(request.headers(), peer.is_some_and(|p| p.tls));
        let safe = matches!(*request.method(), Method::GET | Method::HEAD) && !self.spec.websocket;
        if from == From::ForeignPage && !safe {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "foreign_origin", "requests from other pages may not change anything here"));
        }
        let caller = match self.doors.identify.identify(request.headers(), peer, from == From::ForeignPage).await {
            Ok(caller) => caller,
            // A public route does not care what a wrong proof claims.
            Err(_) if self.spec.level == crate::auth::Level::Public => Caller::anonymous(),
            Err(refusal) => return Err(refusal),
        };
        let sends = self.spec.senders_too && caller.may(crate::auth::Level::Ingest);
        if !sends && !caller.may(self.spec.level) {
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
            return Ok((request, None));
        }
        let read = tokio::time::timeout(BODY_TIME_MAX, self.bodies.read(&self.spec, request));
        let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", format!("the body was not complete within {BODY_TIME_MAX:?}"));
        let (request, held) = read.await.map_err(late)??;
        Ok((request, Some(held)))
    }

    /// Runs the handler within its time limit.
    async fn handle(&self, request: Request, next: Next) -> Result<Response, Refusal> {
        let running = catch(&self.doors.meter, &self.spec.path, next.run(request));
        match self.spec.time_limit {
            Some(limit) => tokio::time::timeout(limit, running).await.map_err(|_| Refusal::unavailable(format!("no answer within {limit:?}"), 5))?,
            None => running.await,
        }
    }
}
