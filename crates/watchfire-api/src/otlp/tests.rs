//! Both faces of OTLP over the real pipeline: formats, encodings, statuses, what is refused and how.

use std::io::Write;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use watchfire_model::write::WriteError;

use super::*;
use crate::auth::{Level as Access, Rights};
use crate::server::Held;
use crate::testing::{Answered, Faces, NOW};

const METHOD: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// A gauge `g` with the values given; a negative one is what the test's store refuses.
fn json_of(values: &[i32]) -> String {
    let points: Vec<Value> = values
        .iter()
        .map(|v| json!({"timeUnixNano": (NOW.millis() * 1_000_000).to_string(), "asInt": v, "attributes": [{"key": "n", "value": {"intValue": v}}]}))
        .collect();
    json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "g", "gauge": {"dataPoints": points}}]}]}]}).to_string()
}

/// The same in protobuf: lengths are small enough for one byte.
fn protobuf_of(value: u8) -> Vec<u8> {
    let field = |number: u8, inner: &[u8]| [&[number << 3 | 2, inner.len() as u8][..], inner].concat();
    let mut point = vec![3 << 3 | 1];
    point.extend_from_slice(&(NOW.millis() as u64 * 1_000_000).to_le_bytes());
    point.push(6 << 3 | 1);
    point.extend_from_slice(&u64::from(value).to_le_bytes());
    let metric = [field(1, b"g"), field(5, &field(1, &point))].concat();
    field(1, &field(2, &field(2, &metric)))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

async fn post(faces: &Faces, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answered {
    let request = headers.iter().fold(Request::post(path), |r, (n, v)| r.header(*n, *v));
    faces.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn http_in_each_format_and_encoding() {
    let check = async |path: &str, headers: &[(&str, &str)], body: Vec<u8>| {
        let faces = Faces::new();
        let answer = post(&faces, path, headers, body).await;
        assert_eq!(answer.status, 200, "{headers:?}: {}", answer.text());
        assert_eq!(answer.header("content-type"), headers[0].1.split(';').next().unwrap());
        assert_eq!(faces.house.held().series.len(), 1, "{headers:?}");
        answer
    };
    let protobuf = ("content-type", "application/x-protobuf");
    assert!(check("/v1/metrics", &[protobuf], protobuf_of(5)).await.body.is_empty());
    check("/api/v1/otlp/v1/metrics", &[protobuf], protobuf_of(5)).await;
    check("/v1/metrics", &[protobuf, ("content-encoding", "gzip")], gzip(&protobuf_of(5))).await;
    check("/v1/metrics", &[protobuf, ("content-encoding", "zstd")], zstd::encode_all(&*protobuf_of(5), 1).unwrap()).await;
    let answer = check("/v1/metrics", &[("content-type", "application/json; charset=utf-8")], json_of(&[5]).into_bytes()).await;
    assert_eq!(answer.text(), "{}");
}

#[tokio::test]
async fn http_refusals() {
    let faces = Faces::new();
    let json = [("content-type", "application/json")];
    let partial = post(&faces, "/v1/metrics", &json, json_of(&[1, -1, 2]).into_bytes()).await;
    assert_eq!(partial.status, 200);
    assert_eq!(partial.json()["partialSuccess"]["rejectedDataPoints"], "1");
    assert!(partial.json()["partialSuccess"]["errorMessage"].as_str().unwrap().contains("out_of_order"), "{}", partial.text());
    assert_eq!(faces.house.held().series.len(), 2, "the good points are kept");

    let garbage = post(&faces, "/v1/metrics", &json, b"{\"resourceMetrics\":3}".to_vec()).await;
    assert_eq!((garbage.status.as_u16(), garbage.json()["code"].as_u64()), (400, Some(3)));
    let garbage = post(&faces, "/v1/metrics", &[("content-type", "application/x-protobuf")], vec![0x0a, 9]).await;
    assert_eq!((garbage.status.as_u16(), garbage.body[..2].to_vec()), (400, vec![8, 3]), "a Status in protobuf");
    let text = post(&faces, "/v1/metrics", &[("content-type", "text/plain")], Vec::new()).await;
    assert_eq!(text.status, 415);
    assert_eq!(faces.get("/v1/metrics").await.status, 405);

    for (error, seconds) in [((|| WriteError::Busy("x".to_owned())) as fn() -> WriteError, "1"), (|| WriteError::Full("x".to_owned()), "30")] {
        faces.house.held().write_error = Some(error);
        let later = post(&faces, "/v1/metrics", &json, json_of(&[1]).into_bytes()).await;
        assert_eq!((later.status.as_u16(), later.header("retry-after")), (503, seconds));
        assert_eq!(later.json()["code"], 14);
    }
    faces.house.held().rights = Some(Rights::of(Access::Read));
    assert_eq!(post(&faces, "/v1/metrics", &json, json_of(&[1]).into_bytes()).await.status, 403);
    faces.house.held().rights = Some(Rights::NONE);
    assert_eq!(post(&faces, "/v1/metrics", &json, json_of(&[1]).into_bytes()).await.status, 401);
}

/// Sends a call and gives status, message and what came in frames.
async fn call(faces: &Faces, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let request = Request::post(path).header("content-type", "application/grpc").header("host", "localhost:4317");
    let request = headers.iter().fold(request, |r, (n, v)| r.header(*n, *v));
    let response: Response = grpc::serve(faces.router(), request.body(Body::from(body)).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let (parts, body) = response.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let get = |name: &str| parts.headers.get(name).or(trailers.get(name)).map_or("", |v| v.to_str().unwrap()).to_owned();
    (get("grpc-status").parse().unwrap(), get("grpc-message"), collected.to_bytes().to_vec())
}

fn framed(message: &[u8], compressed: bool) -> Vec<u8> {
    let mut frame = frame::framed(message).to_vec();
    frame[0] = compressed.into();
    frame
}

#[tokio::test]
async fn grpc_calls() {
    let faces = Faces::new();
    assert_eq!(call(&faces, METHOD, &[], framed(&protobuf_of(5), false)).await, (0, String::new(), vec![0; 5]));
    let zipped = framed(&gzip(&protobuf_of(6)), true);
    assert_eq!(call(&faces, METHOD, &[("grpc-encoding", "gzip")], zipped.clone()).await.0, 0);
    assert_eq!(faces.house.held().series.len(), 1);

    let check = async |path: &str, headers: &[(&str, &str)], body: Vec<u8>, code: u16, words: &str| {
        let (status, message, _) = call(&faces, path, headers, body).await;
        assert_eq!(status, code, "{message}");
        assert!(message.contains(words), "{message}");
    };
    check("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", &[], Vec::new(), 12, "unknown method").await;
    check("/api/v1/write", &[], Vec::new(), 12, "unknown method").await;
    check(METHOD, &[("grpc-encoding", "br")], zipped, 12, "grpc-encoding").await;
    check(METHOD, &[], vec![0, 0], 3, "no message").await;
    check(METHOD, &[], framed(&[0x0a, 9], false), 3, "cannot read the export request").await;
    check(METHOD, &[("content-encoding", "gzip, gzip")], framed(&[], false), 3, "compressed more than once").await;
    check(METHOD, &[("host", "evil.example")], framed(&[], false), 7, "the Host header names nobody here").await;
    faces.house.held().write_error = Some(|| WriteError::Busy("die Größe: 100%".to_owned()));
    check(METHOD, &[], framed(&protobuf_of(5), false), 14, "die Gr%C3%B6%C3%9Fe: 100%25").await;
    faces.house.held().rights = Some(Rights::NONE);
    check(METHOD, &[], framed(&protobuf_of(5), false), 16, "needs the level ingest").await;
    faces.house.held().rights = Some(Rights::of(Access::Read));
    check(METHOD, &[], framed(&protobuf_of(5), false), 7, "needs the level ingest").await;
}

#[tokio::test]
async fn grpc_messages_are_decompressed_within_their_limits_and_the_budget_of_bodies() {
    let faces = Faces::new();
    let encoded = [("grpc-encoding", "gzip")];
    assert_eq!(call(&faces, METHOD, &encoded, framed(&gzip(&vec![0; 33 << 20]), true)).await.0, 8, "larger than a message may be");
    let (status, message, _) = call(&faces, METHOD, &encoded, framed(b"no gzip", true)).await;
    assert_eq!((status, message.starts_with("cannot decompress a gzip body")), (3, true), "{message}");
    let export = async |budget: usize| {
        let mut request = Request::post(METHOD).header("grpc-encoding", "gzip").body(Body::from(framed(&gzip(&protobuf_of(5)), true))).unwrap();
        request.extensions_mut().insert(Held::of_budget(budget));
        let response = grpc::export(faces.app.clone(), request, &SIGNALS[0]).await;
        response.headers().get("grpc-status").map_or("0".to_owned(), |v| v.to_str().unwrap().to_owned())
    };
    assert_eq!((export(1).await, export(0).await), ("0".to_owned(), "14".to_owned()), "what is too much now may come again");
}

#[tokio::test]
async fn a_port_of_grpc_says_so() {
    let faces = Faces::new();
    for request in [Request::get("/metrics"), Request::post(METHOD).header("content-type", "application/json")] {
        let request = request.header("host", "localhost").body(Body::empty()).unwrap();
        assert_eq!(grpc::serve(faces.router(), request).await.status(), 415);
    }
}

#[tokio::test]
async fn logs_by_both_ways_can_be_asked_for() {
    let faces = Faces::new();
    let time = crate::testing::NOW.millis() * 1_000_000;
    let body = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeLogs":[{{"logRecords":[
            {{"timeUnixNano":"{time}","severityNumber":17,"body":{{"stringValue":"over http"}},"traceId":"0af7651916cd43dd8448eb211c80319c"}}]}}]}}]}}"#
    );
    for path in ["/v1/logs", "/otlp/v1/logs"] {
        let answer = post(&faces, path, &[("content-type", "application/json")], body.clone().into_bytes()).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}".to_owned()));
    }
    // ResourceLogs { 2: ScopeLogs { 2: LogRecord { 5: body { 1: text } } } }
    let nested =
        [5u8, 2, 2, 1].iter().fold([&[0x0a, 9][..], b"over grpc"].concat(), |inner, field| [&[field << 3 | 2, inner.len() as u8], &inner[..]].concat());
    let method = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    assert_eq!(call(&faces, method, &[], framed(&nested, false)).await, (0, String::new(), vec![0; 5]));
    let asked = async |query: &str| {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        faces.get(&format!("/loki/api/v1/query_range?query={query}")).await.json()["data"]["result"].clone()
    };
    let found = asked(r#"{service_name="shop"} | detected_level="error" | trace_id="0af7651916cd43dd8448eb211c80319c""#).await;
    assert_eq!(found[0]["values"][0][1], "over http");
    assert_eq!(asked(r#"{service_name="unknown_service"}"#).await[0]["values"][0][1], "over grpc");
}
