//! The faces that stand in for exporters and collectors: blackbox, JSON, Redis, PostgreSQL, node, log lines. Each is a row of a table; who answers is one of
//! [`Exporters`]. Nothing is looked at here: a question is passed on with who asks, and what is said is rendered.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{Method, StatusCode};
use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Reply, Said};

use crate::app::App;
use crate::auth::Caller;
use crate::prometheus::status;
use crate::server::{Level, Refusal, Route};

/// Who answers at each face.
#[derive(Clone)]
pub struct Exporters {
    /// Probes.
    pub blackbox: Arc<dyn Exporter>,
    /// Metrics out of JSON.
    pub json: Arc<dyn Exporter>,
    /// Redis.
    pub redis: Arc<dyn Exporter>,
    /// PostgreSQL.
    pub postgres: Arc<dyn Exporter>,
    /// This machine.
    pub node: Arc<dyn Exporter>,
    /// What collects log lines.
    pub collect: Arc<dyn Exporter>,
}

/// One of the faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// Probes, port 9115.
    Blackbox,
    /// Metrics out of JSON, port 7979.
    Json,
    /// Redis, port 9121.
    Redis,
    /// PostgreSQL, port 9187.
    Postgres,
    /// This machine, port 9100.
    Node,
    /// What collects log lines, port 12345.
    Collect,
}

/// Something to ask for: its path, what it is, and its parameters.
struct Page {
    path: &'static str,
    summary: &'static str,
    params: &'static [(&'static str, &'static str)],
}

const TARGET: (&str, &str) = ("target", "What to look at");
const MODULE: (&str, &str) = ("module", "How, by its name in the configuration");

impl Face {
    /// All of them.
    pub const ALL: [Face; 6] = [Face::Blackbox, Face::Json, Face::Redis, Face::Postgres, Face::Node, Face::Collect];

    /// Where it is on the main port.
    pub const fn prefix(self) -> &'static str {
        match self {
            Face::Blackbox => "/blackbox",
            Face::Json => "/json",
            Face::Redis => "/redis",
            Face::Postgres => "/postgres",
            Face::Node => "/node",
            Face::Collect => "/collect",
        }
    }

    /// Who answers at it.
    pub fn exporter(self, exporters: &Exporters) -> Arc<dyn Exporter> {
        match self {
            Face::Blackbox => exporters.blackbox.clone(),
            Face::Json => exporters.json.clone(),
            Face::Redis => exporters.redis.clone(),
            Face::Postgres => exporters.postgres.clone(),
            Face::Node => exporters.node.clone(),
            Face::Collect => exporters.collect.clone(),
        }
    }

    fn pages(self) -> &'static [Page] {
        match self {
            Face::Blackbox => &[
                Page {
                    path: "/probe",
                    summary: "Looks at a target and tells how it is",
                    params: &[TARGET, MODULE, ("hostname", "The name to ask for there"), ("debug", "true shows a log; for admins")],
                },
                Page { path: "/metrics", summary: "What is counted of probes", params: &[] },
                Page { path: "/config", summary: "The modules, without secrets", params: &[] },
                Page { path: "/logs", summary: "The log of a probe; for admins", params: &[("id", "The probe, as the page at the root has it")] },
            ],
            Face::Json => &[
                Page { path: "/probe", summary: "Fetches JSON from a target and makes metrics of it", params: &[TARGET, MODULE] },
                Page { path: "/metrics", summary: "What is counted of that", params: &[] },
                Page { path: "/config", summary: "The modules, without secrets", params: &[] },
            ],
            Face::Redis => &[
                Page { path: "/metrics", summary: "Metrics of the configured Redis", params: &[] },
                Page {
                    path: "/scrape",
                    summary: "Metrics of a Redis",
                    params: &[TARGET, ("check-keys", "Keys to measure, patterns allowed"), ("check-single-keys", "Keys to measure, by name")],
                },
            ],
            Face::Postgres => &[
                Page { path: "/metrics", summary: "Metrics of the configured PostgreSQL", params: &[] },
                Page {
                    path: "/probe",
                    summary: "Metrics of a PostgreSQL",
                    params: &[TARGET, ("auth_module", "Name and password, by their name in the configuration")],
                },
            ],
            Face::Node => &[Page { path: "/metrics", summary: "Metrics of this machine", params: &[("collect[]", "A collector; any number of times")] }],
            Face::Collect => &[
                Page { path: "/targets", summary: "Sources of log lines, and how far their files are read", params: &[] },
                Page { path: "/metrics", summary: "What is counted of collecting log lines", params: &[] },
                Page { path: "/ready", summary: "Readiness, as Promtail has it", params: &[] },
                Page { path: "/-/ready", summary: "Readiness, as Alloy has it", params: &[] },
            ],
        }
    }

    /// Whether its configuration is loaded with ours.
    const fn reloads(self) -> bool {
        matches!(self, Face::Blackbox | Face::Json | Face::Collect)
    }

    fn tag(self) -> &'static str {
        match self {
            Face::Blackbox => "blackbox",
            Face::Json => "json_exporter",
            Face::Redis => "redis_exporter",
            Face::Postgres => "postgres_exporter",
            Face::Node => "node_exporter",
            Face::Collect => "log_collector",
        }
    }

    fn table(self, base: &'static str) -> Vec<Route<Arc<App>>> {
        let asked = move |State(app): State<Arc<App>>, caller: Caller, request: Request| async move { ask(self, base, &app, &caller, request).await };
        let mut all = Vec::new();
        for page in self.pages() {
            // What is asked has its own limits: the module's, and the patience of whoever asks.
            let mut route = Route::get(page.path, Level::Read, asked).summary(page.summary).time_limit(None);
            for (name, description) in page.params {
                route = route.query_parameter(name, description);
            }
            all.push(route.answers_with(200, "text/plain", "Metrics, or a text"));
        }
        all.push(Route::get("/", Level::Read, asked).summary("A page for people"));
        all.push(Route::get("/-/healthy", Level::Public, || async { "OK\n" }).summary("Liveness"));
        if self.reloads() {
            all.push(Route::new(&[Method::POST, Method::PUT], "/-/reload", Level::Admin, status::reload).summary("Loads the configuration anew, when enabled"));
            all.push(Route::get("/-/reload", Level::Admin, status::only_post).hidden());
        }
        all.into_iter().map(|route| route.errors(envelope).tag(self.tag())).collect()
    }

    /// The routes of the port that is the face's own.
    pub fn port_routes(self) -> Vec<Route<Arc<App>>> {
        self.table("").into_iter().map(Route::hidden).collect()
    }
}

/// The routes of all faces on the main port.
pub fn routes() -> Vec<Route<Arc<App>>> {
    Face::ALL.iter().flat_map(|face| face.table(face.prefix()).into_iter().map(|route| route.under(face.prefix()))).collect()
}

/// What nobody serves on such a port.
pub async fn fallback() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// Refusals of the server itself: plain text, as exporters have it.
fn envelope(refusal: &Refusal) -> Response {
    (refusal.status, format!("{}\n", refusal.message)).into_response()
}

async fn ask(face: Face, base: &'static str, app: &Arc<App>, caller: &Caller, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let path = parts.uri.path().strip_prefix(base).unwrap_or(parts.uri.path());
    let query = parts.uri.query().unwrap_or("");
    let seconds = header("x-prometheus-scrape-timeout-seconds").and_then(|text| text.parse::<f64>().ok());
    let question = Question {
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        base,
        params: url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect(),
        asker: if caller.may(Level::Admin) { Asker::Admin } else { Asker::Reader },
        patience: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    };
    let format = Format::negotiate(header(ACCEPT.as_str()).unwrap_or(""));
    let reply = face.exporter(&app.rooms.exporters).ask(question).await;
    answer(reply, format)
}

fn answer(reply: Reply, format: Format) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match reply.said {
        Said::Families(families) => (status, [(CONTENT_TYPE, format.content_type()), (VARY, "accept")], render(format, &families)).into_response(),
        Said::Text(text) => (status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response(),
        Said::Json(text) => (status, [(CONTENT_TYPE, "application/json")], text).into_response(),
        Said::Html(text) => (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
    }
}
