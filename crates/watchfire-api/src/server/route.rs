//! One row of the route table. A route cannot be made without a level: `Route::new` asks for it and nothing provides a default.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use watchfire_net::inflate::Limits;

use super::doc::{Answer, Described, Doc, Parameter, Place, Shape};
use super::refusal::{Envelope, native_envelope};
use crate::auth::Level;

/// Largest body of a route that does not say otherwise.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a handler may take to begin its answer unless its route says otherwise.
pub const HANDLER_TIME_MAX: Duration = Duration::from_secs(35);

/// What a route takes as a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: a body that comes anyway is read and thrown away, whatever its type.
    Nothing,
    /// JSON. Plain text and forms answer 415, because a foreign page can send those without asking.
    Json,
    /// A URL-encoded form, or nothing.
    Form,
    /// Bytes of any type: the handler looks for itself.
    Any,
    /// Bytes of any type that come as long as they like: the handler reads them as they come, and bounds them itself.
    Stream,
    /// One of these media types.
    Types(&'static [&'static str]),
}

/// What is known about a route without running it.
#[derive(Clone)]
pub struct Spec {
    /// The methods; `GET` answers `HEAD` too.
    pub methods: Vec<Method>,
    /// The path in axum's syntax: `/api/v1/label/{name}/values`.
    pub path: String,
    /// Who may use it.
    pub level: Level,
    /// Whether those who may send may use it, too.
    pub senders_too: bool,
    /// What it takes as a body.
    pub content: Content,
    /// How large the body may be.
    pub body_limits: Limits,
    /// How long the handler may take to begin its answer; `None` for streams.
    pub time_limit: Option<Duration>,
    /// Whether this is a WebSocket.
    pub websocket: bool,
    /// Whether requests make spans.
    pub traced: bool,
    /// The shape of refusals.
    pub envelope: Envelope,
    /// The documentation.
    pub doc: Doc,
}

/// A route of a face: specification and handler.
#[derive(Clone)]
pub struct Route<S> {
    pub(crate) spec: Spec,
    pub(crate) handler: MethodRouter<S>,
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;
type Call<S> = Arc<dyn Fn(Request, S) -> Answering + Send + Sync>;

/// A handler whose type is forgotten: what the router wraps around handlers is compiled once and not for each of hundreds.
#[derive(Clone)]
struct Erased<S>(Call<S>);

impl<S: Clone + Send + Sync + 'static> Handler<(), S> for Erased<S> {
    type Future = Answering;

    fn call(self, request: Request, state: S) -> Answering {
        (self.0)(request, state)
    }
}

impl<S: Clone + Send + Sync + 'static> Route<S> {
    /// A route for several methods. Methods that HTTP does not define are a bug in the table.
    pub fn new<H, T>(methods: &[Method], path: &str, level: Level, handler: H) -> Route<S>
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let call: Call<S> = Arc::new(move |request, state| Box::pin(handler.clone().call(request, state)));
        Route::of(methods, path, level, Erased(call))
    }
    fn of(methods: &[Method], path: &str, level: Level, handler: Erased<S>) -> Route<S> {
        let filter = methods.iter().filter_map(|m| MethodFilter::try_from(m.clone()).ok()).reduce(MethodFilter::or);
        let Some(filter) = filter else { panic!("BUG: route {path} has no method") };
        let spec = Spec {
            methods: methods.to_vec(),
            path: path.to_owned(),
            level,
            senders_too: false,
            content: Content::Nothing,
            body_limits: Limits::both(BODY_BYTES_MAX),
            time_limit: Some(HANDLER_TIME_MAX),
            websocket: false,
            // What is public is asked for all the time: whether we live, and the files of the page.
            traced: level != Level::Public,
            envelope: native_envelope,
            doc: Doc::default(),
        };
        Route { spec, handler: on(filter, handler) }
    }
    /// A `GET` route (`HEAD` included).
    pub fn get<H: Handler<T, S>, T: 'static>(path: &str, level: Level, handler: H) -> Route<S> {
        Route::new(&[Method::GET], path, level, handler)
    }
    /// A `POST` route.
    pub fn post<H: Handler<T, S>, T: 'static>(path: &str, level: Level, handler: H) -> Route<S> {
        Route::new(&[Method::POST], path, level, handler)
    }
    /// A `PUT` route.
    pub fn put<H: Handler<T, S>, T: 'static>(path: &str, level: Level, handler: H) -> Route<S> {
        Route::new(&[Method::PUT], path, level, handler)
    }
    /// A `DELETE` route.
    pub fn delete<H: Handler<T, S>, T: 'static>(path: &str, level: Level, handler: H) -> Route<S> {
        Route::new(&[Method::DELETE], path, level, handler)
    }
    /// A query of a face that takes `GET` and `POST` with a form, as Prometheus' do. Neither changes state.
    pub fn query<H: Handler<T, S>, T: 'static>(path: &str, level: Level, handler: H) -> Route<S> {
        Route::new(&[Method::GET, Method::POST], path, level, handler).takes(Content::Form)
    }
    /// A WebSocket: `GET` with an upgrade, own Origin enforced, no time limit.
    pub fn websocket<H: Handler<T, S>, T: 'static>(path: &str, level: Level, handler: H) -> Route<S> {
        let mut route = Route::new(&[Method::GET], path, level, handler);
        route.spec.websocket = true;
        route.spec.traced = false;
        route.spec.time_limit = None;
        route
    }

    /// Those who may send may use it, too: it shows nothing of what others sent.
    pub fn senders_too(mut self) -> Route<S> {
        self.spec.senders_too = true;
        self
    }
    /// What the route takes as a body.
    pub fn takes(mut self, content: Content) -> Route<S> {
        self.spec.content = content;
        self
    }
    /// The same as `takes(Content::Json)`, with the body's documented shape.
    pub fn json<T: Described>(mut self) -> Route<S> {
        self.spec.content = Content::Json;
        self.spec.doc.request = Some(Shape::of::<T>());
        self
    }
    /// How large the body may be, before and after decompression.
    pub fn body_limits(mut self, limits: Limits) -> Route<S> {
        self.spec.body_limits = limits;
        self
    }
    /// The body limits of telemetry: 16 MiB compressed, 32 MiB decompressed. Taking telemetry makes none, or two servers that send theirs to each other
    /// would never come to rest.
    pub fn telemetry_body(self) -> Route<S> {
        self.body_limits(Limits::default()).untraced()
    }
    /// Requests make no spans.
    pub fn untraced(mut self) -> Route<S> {
        self.spec.traced = false;
        self
    }
    /// How long the handler may take to begin its answer; `None` for no limit.
    pub fn time_limit(mut self, limit: Option<Duration>) -> Route<S> {
        self.spec.time_limit = limit;
        self
    }
    /// The shape of refusals.
    pub fn errors(mut self, envelope: Envelope) -> Route<S> {
        self.spec.envelope = envelope;
        self
    }
    /// The same route under a prefix: `/loki`.
    pub fn under(mut self, prefix: &str) -> Route<S> {
        let path = if self.spec.path == "/" && !prefix.is_empty() { "" } else { self.spec.path.as_str() };
        self.spec.path = format!("{prefix}{path}");
        self
    }

    /// One line of documentation.
    pub fn summary(mut self, text: &'static str) -> Route<S> {
        self.spec.doc.summary = text;
        self
    }
    /// More documentation.
    pub fn description(mut self, text: &'static str) -> Route<S> {
        self.spec.doc.description = text;
        self
    }
    /// The group in the documentation.
    pub fn tag(mut self, text: &'static str) -> Route<S> {
        self.spec.doc.tag = text;
        self
    }
    /// Documents a parameter.
    pub fn parameter(mut self, parameter: Parameter) -> Route<S> {
        self.spec.doc.parameters.push(parameter);
        self
    }
    /// Documents an optional query parameter of type string.
    pub fn query_parameter(self, name: &'static str, description: &'static str) -> Route<S> {
        self.parameter(Parameter { name, place: Place::Query, required: false, kind: "string", description })
    }
    /// Documents a path parameter.
    pub fn path_parameter(self, name: &'static str, description: &'static str) -> Route<S> {
        self.parameter(Parameter { name, place: Place::Path, required: true, kind: "string", description })
    }
    /// Documents a JSON answer with its shape.
    pub fn answers<T: Described>(mut self, status: u16, description: &'static str) -> Route<S> {
        self.spec.doc.answers.push(Answer { status, description, content_type: "application/json", schema: Some(Shape::of::<T>()) });
        self
    }
    /// Documents an answer of another type.
    pub fn answers_with(mut self, status: u16, content_type: &'static str, description: &'static str) -> Route<S> {
        self.spec.doc.answers.push(Answer { status, description, content_type, schema: None });
        self
    }
    /// Leaves the route out of the OpenAPI document.
    pub fn hidden(mut self) -> Route<S> {
        self.spec.doc.hidden = true;
        self
    }

    /// What is known about the route.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}
