//! The embedded page: files, caching, compression, and what is not answered with the page. They hold for the real page
//! and for the placeholder.

use axum::body::Body;
use http::{Method, Request, StatusCode};

use super::{Dist, HASHED};
use crate::testing::Faces;

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml");

#[tokio::test]
async fn the_page_is_served_at_the_root_and_revalidated() {
    let faces = Faces::new();
    let page = faces.get("/").await;
    assert_eq!((page.status, page.header("content-type"), page.header("cache-control")), (StatusCode::OK, "text/html; charset=utf-8", "no-cache"));
    assert!(page.text().to_lowercase().contains("<!doctype html"));
    let etag = page.header("etag").to_owned();
    let again = faces.get_with("/", &[("if-none-match", &format!("\"x\", {etag}"))]).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, etag.as_str()));
    assert_eq!(faces.get_with("/", &[("if-none-match", "W/\"other\"")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn people_get_the_page_everywhere_but_under_program_paths() {
    let faces = Faces::new();
    for path in ["/query", "/login", "/query?g0.expr=up", "/deep/link", "/apiary"] {
        let answer = faces.get_with(path, &[HTML]).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"), "{path}");
    }
    for path in ["/api", "/api/nothing", "/ws/nothing", "/loki/nothing", "/v1/nothing", "/-/nothing", "/metrics/nothing"] {
        let answer = faces.get_with(path, &[HTML]).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")), "{path}");
    }
    assert_eq!(faces.get("/query").await.status, StatusCode::NOT_FOUND, "a program that asks for no HTML");
    let posted = faces.send(Request::builder().method(Method::POST).uri("/query").header(HTML.0, HTML.1).body(Body::empty()).unwrap()).await;
    assert_eq!(posted.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn all_embedded_files_are_served_as_they_are() {
    let faces = Faces::new();
    for name in super::names() {
        let answer = faces.get(&format!("/{name}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let on_disk = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist").join(&*name);
        assert_eq!(answer.body, std::fs::read(on_disk).unwrap(), "{name}");
        assert_eq!(answer.header("cache-control").contains("immutable"), name.starts_with(HASHED), "{name}");
        assert_ne!(answer.header("content-type"), "application/octet-stream", "{name} has no known type");
        if let Some(packed) = Dist::get(&format!("{name}.gz")) {
            let answer = faces.get_with(&format!("/{name}"), &[("accept-encoding", "gzip, br")]).await;
            assert_eq!((answer.header("content-encoding"), &*answer.body), ("gzip", &*packed.data), "{name}");
        }
    }
}
