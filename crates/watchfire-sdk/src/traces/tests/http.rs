//! Requests that come in through axum's middleware and go out through reqwest's.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{Program, hex};
use crate::axum::observe_with;
use crate::traces::Protocol;
use crate::traces::tests::collector::attribute;
use crate::{MetricsService, trace_span};

const TRACE: &str = "1234abcd5678ef901234abcd5678ef90";
const PARENT: &str = "abcdef1234567890";

/// Serves on a free port of this machine, on this thread.
async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// A service that answers with the headers that it got, or fails.
async fn echo() -> String {
    let echo = |headers: HeaderMap| async move {
        let pairs = headers.iter().map(|(k, v)| (k.to_string(), Value::from(v.to_str().unwrap())));
        Json(pairs.collect::<serde_json::Map<String, Value>>())
    };
    serve(Router::new().route("/echo", get(echo)).route("/broken", get(|| async { StatusCode::BAD_GATEWAY }))).await
}

/// A backend with the middleware: it asks the database, the cache and the service, and tells what the service saw.
async fn backend(metrics: Arc<MetricsService>, service: String) -> String {
    let ask = move || {
        let service = service.clone();
        async move {
            trace_span("SELECT cameras").client().with("db.system.name", "postgresql").in_scope(|| ());
            trace_span("GET").client().with("db.system.name", "redis").in_scope(|| ());
            let client = crate::reqwest::client(reqwest::Client::new());
            let seen = client.get(format!("{service}/echo?token=secret")).send().await.unwrap().text().await.unwrap();
            assert_eq!(client.get(format!("{service}/broken")).send().await.unwrap().status(), 502);
            tracing::info!(camera_id = "front_door", "Detection complete");
            Json(serde_json::from_str::<Value>(&seen).unwrap())
        }
    };
    let app = Router::new().route("/cameras/{id}", get(ask)).route("/fails", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    serve(app.layer(from_fn_with_state(metrics, observe_with))).await
}

/// A metrics service, and what it sends when it ends.
fn metrics() -> (Arc<MetricsService>, std::sync::mpsc::Receiver<Value>) {
    let (settings, requests) = crate::report::tests::server(vec![Some((200, "{}"))]);
    (Arc::new(MetricsService::start(settings).unwrap()), requests)
}

#[tokio::test]
async fn trc_02_and_trc_03_one_trace_from_the_caller_to_the_services() {
    let program = Program::start(Protocol::Grpc, 1.0);
    let guard = tracing::dispatcher::set_default(&program.dispatch);
    let (service, (metrics, recorded)) = (echo().await, metrics());
    let url = backend(metrics.clone(), service).await;
    let asked = reqwest::Client::new()
        .get(format!("{url}/cameras/7"))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=value")
        .header("x-correlation-id", "req-abc123");
    let answer = asked.send().await.unwrap();
    let answered = answer.headers().clone();
    let seen: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    drop(guard);
    tokio::task::spawn_blocking(move || {
        program.flush();
        let server = program.spans.named("GET /cameras/{id}");
        assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id), server.kind), (TRACE.to_owned(), PARENT.to_owned(), 2));
        assert_eq!(attribute(&server.attributes, "http.response.status_code").as_deref(), Some("200"));
        assert_eq!(attribute(&server.attributes, "url.path").as_deref(), Some("/cameras/7"));
        let all = program.spans.all();
        let below: Vec<_> = all.iter().map(|(_, span)| span).filter(|span| span.parent_span_id == server.span_id).collect();
        let mut systems: Vec<_> = below.iter().filter(|span| span.kind == 3).filter_map(|span| attribute(&span.attributes, "db.system.name")).collect();
        systems.sort();
        assert_eq!(systems, ["postgresql", "redis"]);
        let calls: Vec<_> = below.iter().filter_map(|span| Some((attribute(&span.attributes, "url.full")?, *span))).collect();
        assert_eq!(calls.len(), 2);
        let call = calls.iter().find(|(url, _)| url.ends_with("/echo")).expect("the query may hold secrets").1;
        assert_eq!(seen["traceparent"], format!("00-{TRACE}-{}-01", hex(&call.span_id)));
        assert_eq!((&seen["tracestate"], &seen["x-correlation-id"]), (&json!("vendor=value"), &json!("req-abc123")));
        let broken = calls.iter().find(|(url, _)| url.ends_with("/broken")).unwrap().1;
        assert_eq!(broken.status.clone().unwrap().code, 2, "an error");
        let line = &program.lines.all()[0];
        assert_eq!((&line["trace_id"], &line["correlation_id"]), (&json!(TRACE), &json!("req-abc123")));
        assert_eq!(line["request_id"], answered["x-request-id"].to_str().unwrap());
        assert!(metrics.flush(Duration::from_secs(20)));
        let items = crate::report::tests::sorted(&recorded.recv().unwrap());
        let counted = r#"{"name":"http_requests_total","labels":{"method":"GET","endpoint":"/cameras/{id}","status":"200"},"value":1.0}"#;
        assert!(items.iter().any(|item| item == counted), "{items:?}");
        assert!(items.iter().any(|item| item.starts_with(r#"{"name":"http_request_duration_seconds","labels":{"method":"GET","endpoint":"/cameras/{id}"}"#)));
    })
    .await
    .unwrap();
}

/// Ids of the request and of what belongs together, as an answer tells them.
async fn ids_of(client: &reqwest::Client, url: &str, given: &[(&str, &str)]) -> (String, String) {
    let request = given.iter().fold(client.get(url), |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    let id = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    (id("x-request-id"), id("x-correlation-id"))
}

#[tokio::test]
async fn log_04_every_request_has_an_id_that_no_other_has() {
    let (metrics, _recorded) = metrics();
    let url = backend(metrics, "http://127.0.0.1:9".to_owned()).await;
    let mut ids = std::collections::BTreeSet::new();
    let client = reqwest::Client::new();
    for given in [vec![], vec![("x-correlation-id", "req-abc123")], vec![("x-request-id", "mine")], vec![("x-request-id", "mine")]] {
        for path in ["/fails", "/nowhere"] {
            let (id, _) = ids_of(&client, &format!("{url}{path}"), &given).await;
            assert!(ids.insert(id.clone()), "seen before: {id}");
        }
    }
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn log_05_the_correlation_id_is_the_callers_or_a_new_one() {
    let (metrics, _recorded) = metrics();
    let url = backend(metrics, "http://127.0.0.1:9".to_owned()).await;
    let client = reqwest::Client::new();
    for (given, told) in [
        (vec![], None),
        (vec![("x-correlation-id", "req-abc123")], Some("req-abc123")),
        (vec![("x-request-id", "mine")], Some("mine")),
        (vec![("x-request-id", "mine"), ("x-correlation-id", "req-abc123")], Some("req-abc123")),
        (vec![("x-correlation-id", "two words")], None),
    ] {
        for path in ["/fails", "/nowhere"] {
            let (_, id) = ids_of(&client, &format!("{url}{path}"), &given).await;
            match told {
                Some(told) => assert_eq!(id, told),
                None => assert_eq!(id.len(), 32),
            }
        }
    }
}
