//! The face of the gateway before language models: OpenAI's interface (with llama.cpp's and Ollama's) under `/llm` on the main port and
//! at the root of ports of its own, and `/api/llm/cost`. What happens to a request is the gateway's; here are paths, levels and the
//! shape of refusals.

mod cost;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use watchfire_net::inflate::Limits;
use watchfire_pipeline::gateway::{Endpoint, Failure, Incoming, Question};

use crate::app::App;
use crate::auth::{Caller, Via};
use crate::server::{Level, Refusal, Route};

/// The largest request: a long prompt with some pictures.
pub const BODY_BYTES_MAX: usize = 32 << 20;
/// The prefix on the main port.
const PREFIX: &str = "/llm";

/// The routes on the main port. An upstream may be named in the path.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let mut all = cost::routes();
    all.extend(gateway_routes(None).into_iter().map(|route| route.under(PREFIX)));
    all.extend(named_routes().into_iter().map(|route| route.under(&format!("{PREFIX}/{{name}}"))));
    all
}

/// The routes at the root of a port of the gateway's own, which may belong to one upstream.
pub fn port_routes(upstream: Option<&str>) -> Vec<Route<Arc<App>>> {
    gateway_routes(upstream)
}

/// What a port of the gateway's own answers to other paths.
pub async fn fallback() -> Response {
    openai_envelope(&Refusal::not_found("the gateway has no such path"))
}

/// OpenAI's clients take messages of errors from this shape.
pub(crate) fn openai_envelope(refusal: &Refusal) -> Response {
    let kind = match refusal.status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    let body = json!({"error": {"message": refusal.message, "type": kind, "param": null, "code": refusal.code}});
    (refusal.status, axum::Json(body)).into_response()
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        Refusal { retry_after_secs: failure.retry_after_secs, ..Refusal::new(failure.status, failure.code, failure.message) }
    }
}

fn shaped(route: Route<Arc<App>>) -> Route<Arc<App>> {
    route.tag("gateway").errors(openai_envelope)
}

/// A route whose answer is the upstream's. It has limits of its own for every phase, as answers may take minutes.
fn exchange(route: Route<Arc<App>>, summary: &'static str) -> Route<Arc<App>> {
    let route = shaped(route).body_limits(Limits::both(BODY_BYTES_MAX)).time_limit(None).summary(summary);
    route.json::<AskedJson>().answers_with(200, "application/json", "The upstream's answer, byte for byte; an event stream where one was asked for")
}

fn summary(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "Passes a chat on to a language model",
        Endpoint::Completions => "Passes a prompt on to a language model",
        Endpoint::Embeddings => "Passes texts on to be embedded",
        Endpoint::Responses => "Passes a request for a response on to a language model",
        Endpoint::LlamaCompletion => "Passes a prompt on to llama.cpp",
        Endpoint::OllamaChat => "Passes a chat on to Ollama",
        Endpoint::OllamaGenerate => "Passes a prompt on to Ollama",
        Endpoint::OllamaEmbed => "Passes texts on to Ollama to be embedded",
    }
}

fn gateway_routes(upstream: Option<&str>) -> Vec<Route<Arc<App>>> {
    let upstream: Option<Arc<str>> = upstream.map(Into::into);
    let mut all = Vec::new();
    for endpoint in Endpoint::ALL {
        let named = upstream.clone();
        let handler =
            move |State(app): State<Arc<App>>, caller: Caller, request: Request| relay(app, endpoint, named.as_deref().map(str::to_owned), caller, request);
        all.push(exchange(Route::post(endpoint.path(), Level::Ingest, handler), summary(endpoint)));
    }
    let named = upstream.clone();
    let models = move |State(app): State<Arc<App>>, headers: HeaderMap| async move { ask(&app, &headers, Question::Models, named.as_deref()).await };
    let named = upstream.clone();
    let model = move |State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap| async move {
        ask(&app, &headers, Question::Model(id), named.as_deref()).await
    };
    let health = move |State(app): State<Arc<App>>, headers: HeaderMap| async move { ask(&app, &headers, Question::Health, upstream.as_deref()).await };
    all.push(shaped(Route::get("/v1/models", Level::Ingest, models)).summary("The models of the upstreams"));
    all.push(shaped(Route::get("/v1/models/{*id}", Level::Ingest, model)).summary("One model").path_parameter("id", "The model"));
    all.push(shaped(Route::get("/health", Level::Ingest, health)).summary("How the inference server of the first upstream is"));
    all
}

/// The same, where the path names the upstream.
fn named_routes() -> Vec<Route<Arc<App>>> {
    let mut all = Vec::new();
    for endpoint in Endpoint::ALL {
        let handler =
            move |State(app): State<Arc<App>>, Path(name): Path<String>, caller: Caller, request: Request| relay(app, endpoint, Some(name), caller, request);
        all.push(exchange(Route::post(endpoint.path(), Level::Ingest, handler), summary(endpoint)));
    }
    let models =
        |State(app): State<Arc<App>>, Path(name): Path<String>, headers: HeaderMap| async move { ask(&app, &headers, Question::Models, Some(&name)).await };
    let model = |State(app): State<Arc<App>>, Path((name, id)): Path<(String, String)>, headers: HeaderMap| async move {
        ask(&app, &headers, Question::Model(id), Some(&name)).await
    };
    let health =
        |State(app): State<Arc<App>>, Path(name): Path<String>, headers: HeaderMap| async move { ask(&app, &headers, Question::Health, Some(&name)).await };
    all.push(shaped(Route::get("/v1/models", Level::Ingest, models)).summary("The models of one upstream"));
    all.push(shaped(Route::get("/v1/models/{*id}", Level::Ingest, model)).summary("One model of one upstream").path_parameter("id", "The model"));
    all.push(shaped(Route::get("/health", Level::Ingest, health)).summary("How the inference server of one upstream is"));
    all.into_iter().map(|route| route.path_parameter("name", "The upstream")).collect()
}

/// What is read of a request; everything else passes as it is.
#[derive(serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmRequest"))]
#[expect(dead_code, reason = "documents the body; the gateway reads it")]
struct AskedJson {
    /// The model; it decides to which upstream the request goes.
    model: Option<String>,
    /// Whether the answer comes in pieces.
    stream: Option<bool>,
}

async fn relay(app: Arc<App>, endpoint: Endpoint, upstream: Option<String>, caller: Caller, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Refusal::bad_request("the body broke off"))?;
    let named = matches!(caller.via, Via::Token | Via::Password | Via::Session);
    let incoming = Incoming { endpoint, upstream, headers: parts.headers, body, caller: named.then(|| caller.name.to_string()) };
    Ok(app.rooms.gateway.relay(incoming).await?.map(Body::new))
}

async fn ask(app: &App, headers: &HeaderMap, question: Question, upstream: Option<&str>) -> Result<Response, Refusal> {
    Ok(app.rooms.gateway.ask(headers, &question, upstream).await?.map(Body::new))
}
