//! What holds for every route of every face: levels, foreign pages, foreign hosts.

use axum::body::Body;
use http::{Method, Request, StatusCode};

use crate::auth::Rights;
use crate::server::Level;
use crate::testing::Faces;

/// A request that a route would take, with something in place of path parameters.
fn request(method: &Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path.replace("{name}", "job")).header("content-type", "application/json")
}

#[tokio::test]
async fn every_route_demands_its_level() {
    let faces = Faces::new();
    for rights in [Rights::NONE, Rights::of(Level::Read), Rights::of(Level::Ingest)] {
        faces.house.held().rights = Some(rights);
        for route in crate::routes() {
            let spec = route.spec();
            for method in &spec.methods {
                let answer = faces.send(request(method, &spec.path).body(Body::empty()).unwrap()).await;
                let refused = matches!(answer.status, StatusCode::UNAUTHORIZED)
                    || (answer.status == StatusCode::FORBIDDEN && answer.text() != "Lifecycle API is not enabled.");
                let allowed = rights.allow(spec.level) || spec.senders_too && rights.allow(Level::Ingest);
                assert_eq!(refused, !allowed, "{method} {} with {:?}: {} {}", spec.path, rights.words(), answer.status, answer.text());
            }
        }
    }
}

#[test]
fn only_these_routes_that_are_read_are_for_senders_too() {
    let paths: Vec<String> = crate::routes().iter().filter(|r| r.spec().senders_too).map(|r| r.spec().path.clone()).collect();
    assert_eq!(paths, ["/api/llm/budget", "/api/llm/count"]);
}

#[tokio::test]
async fn only_these_routes_are_public() {
    let mut public: Vec<String> =
        crate::routes().iter().filter(|r| r.spec().level == Level::Public && !r.spec().doc.hidden).map(|r| r.spec().path.clone()).collect();
    public.sort();
    let expected = [
        "/-/healthy",
        "/-/ready",
        "/api/health",
        "/api/system/health/live",
        "/blackbox/-/healthy",
        "/collect/-/healthy",
        "/elasticsearch",
        "/elasticsearch/_cluster/health",
        "/health",
        "/json/-/healthy",
        "/loki/ready",
        "/node/-/healthy",
        "/postgres/-/healthy",
        "/pyroscope/ready",
        "/ready",
        "/redis/-/healthy",
        "/tempo/api/echo",
        "/tempo/ready",
    ];
    assert_eq!(public, expected);
}

#[tokio::test]
async fn refusals_speak_the_language_of_their_face() {
    let faces = Faces::new();
    faces.house.held().rights = Some(Rights::NONE);
    let native = faces.get("/api/system/gpu").await;
    assert_eq!((native.status, native.json()["error"]["code"].as_str()), (StatusCode::UNAUTHORIZED, Some("unauthorized")));
    let prometheus = faces.get("/api/v1/query?query=up").await;
    assert_eq!((prometheus.status, prometheus.json()["status"].as_str()), (StatusCode::UNAUTHORIZED, Some("error")));
}

#[tokio::test]
async fn foreign_pages_and_foreign_hosts_are_refused() {
    let faces = Faces::new();
    let record = |origin: &str| {
        let request = request(&Method::POST, "/api/metrics/record").header("origin", origin);
        request.body(Body::from(r#"[{"name":"known_total","value":1}]"#)).unwrap()
    };
    assert_eq!(faces.send(record("http://evil.example")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(faces.send(record("http://localhost:8000")).await.status, StatusCode::OK);
    let socket = faces.get_with("/ws/system", &[("origin", "http://evil.example"), ("upgrade", "websocket"), ("connection", "upgrade")]).await;
    assert_eq!(socket.status, StatusCode::FORBIDDEN);
    assert_eq!(faces.get_with("/api/system/gpu", &[("host", "evil.example")]).await.status, StatusCode::MISDIRECTED_REQUEST);
    let plain = faces.post("/api/metrics/record", "text/plain", "[]").await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "what a foreign form could send");
}
