//! Tests of the Tempo face over the test house: what Grafana asks, in the order in which it does.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::auth::Rights;
use crate::server::Level as Access;
use crate::testing::{Answered, Faces, NOW};

const TRACE: &str = "1234abcd5678ef901234abcd5678ef90";
const OTHER: &str = "000000000000000000000000000000aa";

/// Two traces that came in over OTLP: one of two spans, one of a single span of another service.
async fn faces_with_traces() -> Faces {
    let faces = Faces::new();
    let begin = NOW.millis() * 1_000_000 - 5_000_000_000;
    let span = |trace: &str, own: &str, parent: &str, name: &str, ms: i64, more: Value| {
        let mut span = json!({"traceId": trace, "spanId": own, "parentSpanId": parent, "name": name, "kind": 2,
            "startTimeUnixNano": begin.to_string(), "endTimeUnixNano": (begin + ms * 1_000_000).to_string()});
        span.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        span
    };
    let attributes = json!({"attributes": [
        {"key": "camera_id", "value": {"stringValue": "front door"}},
        {"key": "http.status_code", "value": {"intValue": "500"}},
        {"key": "a/b c", "value": {"stringValue": "odd"}}], "status": {"code": 2}});
    let of = |service: &str, spans: Value| json!({"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}, "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}]});
    let body = json!({"resourceSpans": [
        of("backend", json!([
            span(TRACE, "abcdef1234567890", "", "detect", 500, json!({})),
            span(TRACE, "abcdef1234567891", "abcdef1234567890", "db.query", 100, attributes),
        ])),
        of("frontend", json!([span(OTHER, "abcdef1234567892", "", "GET /", 20, json!({}))])),
    ]});
    let sent = faces.post("/v1/traces", "application/json", &body.to_string()).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    faces
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn ask(faces: &Faces, path: &str) -> Value {
    let answer = faces.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn found(faces: &Faces, query: &str) -> Vec<String> {
    let answer = ask(faces, &format!("/tempo/api/search?q={}", encoded(query))).await;
    answer["traces"].as_array().unwrap().iter().map(|trace| trace["traceID"].as_str().unwrap().to_owned()).collect()
}

async fn accepting(faces: &Faces, path: &str, accept: &str) -> Answered {
    faces.send(Request::get(path).header("accept", accept).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_is_asked_before_anything_else() {
    let faces = Faces::new();
    let echo = faces.get("/tempo/api/echo").await;
    assert_eq!((echo.status.as_u16(), echo.text().as_str()), (200, "echo"));
    assert_eq!(faces.get("/tempo/ready").await.text(), "ready\n");
    for path in ["/tempo/api/status/buildinfo", "/tempo/status/buildinfo"] {
        assert_eq!(ask(&faces, path).await["version"], "2.9.0");
    }
    faces.house.held().rights = Some(Rights::NONE);
    assert_eq!(faces.get("/tempo/api/echo").await.status, 200);
    assert_eq!(faces.get("/tempo/api/search").await.status, 401);
    faces.house.held().rights = Some(Rights::of(Access::Read));
    assert_eq!(faces.get("/tempo/api/search").await.status, 200);
}

#[tokio::test]
async fn trc_22_a_trace_by_its_id() {
    let faces = faces_with_traces().await;
    let v1 = ask(&faces, &format!("/tempo/api/traces/{TRACE}")).await;
    let span = &v1["batches"][0]["scopeSpans"][0]["spans"][1];
    assert_eq!((&span["name"], &span["kind"], &span["spanId"]), (&json!("db.query"), &json!("SPAN_KIND_SERVER"), &json!("q83vEjRWeJE=")));
    let v2 = ask(&faces, &format!("/tempo/api/v2/traces/{TRACE}?start=1&end=1767089700")).await;
    assert_eq!(v2["trace"]["resourceSpans"], v1["batches"]);
    assert_eq!(ask(&faces, "/tempo/api/traces/aa").await["batches"][0]["scopeSpans"][0]["spans"][0]["name"], "GET /", "zeros may be left out");
    let long_ago = format!("/tempo/api/traces/{TRACE}?start=1&end=2");
    for path in ["/tempo/api/traces/bb", "/tempo/api/v2/traces/bb", &long_ago] {
        assert_eq!(faces.get(path).await.status, 404, "{path}");
    }
    for path in ["/tempo/api/traces/xyz", "/tempo/api/traces/0", &format!("/tempo/api/traces/{TRACE}?start=x")] {
        assert_eq!(faces.get(path).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_trace_in_protobuf_can_be_taken_in_again() {
    let faces = faces_with_traces().await;
    let v1 = accepting(&faces, &format!("/tempo/api/traces/{TRACE}"), "application/protobuf").await;
    assert_eq!((v1.status.as_u16(), v1.header("content-type")), (200, "application/protobuf"));
    // TraceByIDResponse { 1: Trace }
    let v2 = accepting(&faces, &format!("/tempo/api/v2/traces/{TRACE}"), "application/protobuf, */*").await;
    let mut wrapped = watchfire_ingest::protobuf::Writer::new();
    wrapped.always_bytes(1, &v1.body);
    assert_eq!(v2.body, wrapped.bytes());
    // Trace { 1: ResourceSpans* } is what an export is.
    let other = Faces::new();
    let export = Request::post("/v1/traces").header("content-type", "application/x-protobuf").body(Body::from(v1.body)).unwrap();
    assert_eq!(other.send(export).await.status, 200);
    let path = format!("/tempo/api/traces/{TRACE}");
    assert_eq!(ask(&other, &path).await, ask(&faces, &path).await);
}

#[tokio::test]
async fn traces_that_a_query_finds() {
    let faces = faces_with_traces().await;
    assert_eq!(found(&faces, r#"{ resource.service.name = "backend" && duration > 100ms }"#).await, [TRACE]);
    assert_eq!(found(&faces, r#"{ resource.service.name = "backend" && duration > 9s }"#).await, Vec::<String>::new());
    assert_eq!(found(&faces, "{}").await.len(), 2);
    assert_eq!(found(&faces, r#"{ name = "detect" } >> { status = error }"#).await, [TRACE]);
    let path = format!("/tempo/api/search?q={}&limit=5&spss=1&start=1767089000&end=1767089700", encoded("{ .http.status_code >= 500 }"));
    let answer = ask(&faces, &path).await;
    let begin = (NOW.millis() - 5_000).to_string() + "000000";
    let set = json!({"matched": 1, "spans": [{"spanID": "abcdef1234567891", "name": "db.query", "startTimeUnixNano": begin, "durationNanos": "100000000",
        "attributes": [{"key": "http.status_code", "value": {"intValue": "500"}}]}]});
    assert_eq!(
        answer["traces"],
        json!([{"traceID": TRACE, "rootServiceName": "backend", "rootTraceName": "detect", "startTimeUnixNano": begin, "durationMs": 500,
            "spanSet": set, "spanSets": [set], "serviceStats": {"backend": {"spanCount": 2, "errorCount": 1}}}])
    );
    let grouped = ask(&faces, &format!("/tempo/api/search?q={}", encoded("{} | by(name) | count() > 0 | by(status)"))).await;
    let attributes = &grouped["traces"][1]["spanSets"][0]["attributes"];
    let expected = json!([{"key": "by(name)", "value": {"stringValue": "detect"}}, {"key": "count()", "value": {"intValue": "1"}},
        {"key": "by(status)", "value": {"stringValue": "unset"}}]);
    assert!([&grouped["traces"][0]["spanSets"][0]["attributes"], attributes].contains(&&expected), "{grouped}");
    let later = ask(&faces, "/tempo/api/search?q=%7B%7D&start=1767089699&end=1767089700").await;
    assert_eq!(later["traces"], json!([]));
}

#[tokio::test]
async fn the_older_search_by_tags() {
    let faces = faces_with_traces().await;
    let ids = async |query: &str| -> usize { ask(&faces, &format!("/tempo/api/search?{query}")).await["traces"].as_array().unwrap().len() };
    assert_eq!(ids("").await, 2);
    assert_eq!(ids(&format!("tags={}", encoded("service.name=backend"))).await, 1);
    assert_eq!(ids(&format!("tags={}", encoded(r#"camera_id="front door" http.status_code=500 error=true"#))).await, 1);
    assert_eq!(ids(&format!("tags={}", encoded("a/b=1"))).await, 0);
    assert_eq!(ids(&format!("tags={}", encoded("name=detect camera_id=x"))).await, 0);
    assert_eq!(ids("minDuration=100ms").await, 1);
    assert_eq!(ids("maxDuration=100ms&limit=20").await, 1);
    assert_eq!(ids("minDuration=9s").await, 0);
    for bad in ["tags=x", "tags=%20%3D1", "tags=a%3D%22b", "minDuration=x", "limit=0", "limit=x", "start=2&end=1", "q=%7B"] {
        assert_eq!(faces.get(&format!("/tempo/api/search?{bad}")).await.status, 400, "{bad}");
    }
    let text = faces.get("/tempo/api/search?q=%7B%20foo%20%7D").await.text();
    assert!(text.starts_with("invalid TraceQL query: parse error at line 1, col 3: "), "{text}");
}

#[tokio::test]
async fn names_and_values() {
    let faces = faces_with_traces().await;
    let v1 = ask(&faces, "/tempo/api/search/tags").await;
    assert_eq!(v1, json!({"tagNames": ["a/b c", "camera_id", "http.status_code", "service.name"]}));
    let v2 = ask(&faces, "/tempo/api/v2/search/tags").await;
    let scopes: Vec<&str> = v2["scopes"].as_array().unwrap().iter().map(|scope| scope["name"].as_str().unwrap()).collect();
    assert_eq!(scopes, ["resource", "span", "intrinsic"]);
    assert_eq!(v2["scopes"][0]["tags"], json!(["service.name"]));
    let only = ask(&faces, "/tempo/api/v2/search/tags?scope=span&limit=1").await;
    assert_eq!(only, json!({"scopes": [{"name": "span", "tags": ["a/b c"]}]}));
    assert_eq!(ask(&faces, "/tempo/api/v2/search/tags?scope=intrinsic").await["scopes"].as_array().unwrap().len(), 1);
    assert_eq!(faces.get("/tempo/api/v2/search/tags?scope=x").await.status, 400);

    assert_eq!(ask(&faces, "/tempo/api/search/tag/service.name/values").await, json!({"tagValues": ["backend", "frontend"]}));
    let typed = async |tag: &str, more: &str| ask(&faces, &format!("/tempo/api/v2/search/tag/{tag}/values{more}")).await["tagValues"].clone();
    assert_eq!(typed("resource.service.name", "").await, json!([{"type": "string", "value": "backend"}, {"type": "string", "value": "frontend"}]));
    assert_eq!(typed("span.http.status_code", "").await, json!([{"type": "int", "value": "500"}]));
    assert_eq!(typed("status", "").await[0], json!({"type": "keyword", "value": "error"}));
    assert_eq!(typed("span.%2522a%252Fb%2520c%2522", "").await, json!([{"type": "string", "value": "odd"}]), "encoded twice");
    let filter = format!("?q={}", encoded("{ status = error }"));
    assert_eq!(typed("resource.service.name", &filter).await, json!([{"type": "string", "value": "backend"}]));
    assert_eq!(typed("name", &format!("?q={}&limit=1", encoded("{ .half = "))).await.as_array().unwrap().len(), 1, "a half query does not filter");
}

#[tokio::test]
async fn numbers_over_time() {
    let faces = faces_with_traces().await;
    let path = |query: &str, more: &str| format!("/tempo/api/metrics/query_range?q={}&start=1767089400&end=1767089700{more}", encoded(query));
    let rate = ask(&faces, &path("{} | rate() by(resource.service.name)", "&step=60s")).await;
    let series = rate["series"].as_array().unwrap();
    assert_eq!(series.len(), 2);
    assert_eq!(series[0]["labels"], json!([{"key": "resource.service.name", "value": {"stringValue": "backend"}}]));
    assert_eq!(series[0]["promLabels"], r#"{"resource.service.name"="backend"}"#);
    let samples = series[0]["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 5);
    assert_eq!(samples[4], json!({"timestampMs": "1767089700000", "value": 2.0 / 60.0}));
    let count = ask(&faces, &path("{} | count_over_time()", "")).await;
    assert_eq!(count["series"][0]["promLabels"], r#"{__name__="count_over_time"}"#);
    assert_eq!(count["series"][0]["samples"].as_array().unwrap().len(), 60);
    let instant = format!("/tempo/api/metrics/query?q={}", encoded("{ status = error } | count_over_time()"));
    assert_eq!(ask(&faces, &instant).await["series"][0]["value"], 1.0);
    for bad in ["?q=%7B%7D", "", "?q=%7B%7D%7Crate()&step=0", "?q=%7B%7D%7Crate()&start=5&end=4", "?q=%7B%7D%7Crate()&step=1ms"] {
        assert_eq!(faces.get(&format!("/tempo/api/metrics/query_range{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn tempos_own_port_has_nothing_else() {
    let paths: Vec<String> = super::port_routes().iter().map(|route| route.spec().path.clone()).collect();
    assert!(paths.contains(&"/api/echo".to_owned()) && paths.contains(&"/ready".to_owned()));
    let missing = super::fallback(Request::get("/nothing").body(Body::empty()).unwrap()).await;
    assert_eq!(missing.status(), 404);
}
