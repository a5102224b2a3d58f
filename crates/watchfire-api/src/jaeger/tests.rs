//! Tests of the Jaeger face over the test house: what OTLP brought comes back in Jaeger's forms.

use serde_json::{Value, json};

use crate::testing::{Faces, NOW};

const TRACE: &str = "1234abcd5678ef901234abcd5678ef90";

fn span(id: &str, parent: &str, name: &str, nanos: i64, more: &Value) -> Value {
    let start = NOW.millis() * 1_000_000 - 5_000_000_000;
    let mut span = json!({"traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": 2, "flags": 257,
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + nanos).to_string()});
    for (key, value) in more.as_object().into_iter().flatten() {
        span[key] = value.clone();
    }
    span
}

/// A backend that asks a database.
async fn house() -> Faces {
    let faces = Faces::new();
    let start = NOW.millis() * 1_000_000 - 5_000_000_000;
    let resource =
        |service: &str| json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}, {"key": "process.pid", "value": {"intValue": "7"}}]});
    let detect = span(
        "abcdef1234567890",
        "",
        "detect_objects",
        500_000_000,
        &json!({"attributes": [{"key": "camera_id", "value": {"stringValue": "front_door"}}, {"key": "huge", "value": {"intValue": "9007199254740993"}},
                {"key": "score", "value": {"doubleValue": 0.5}}],
            "events": [{"timeUnixNano": (start + 1_000_000).to_string(), "name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": "KeyError"}}]}],
            "links": [{"traceId": "ffffffffffffffffffffffffffffffff", "spanId": "00000000000000bb"}],
            "status": {"code": 2, "message": "no camera"}}),
    );
    let query = span("abcdef1234567891", "abcdef1234567890", "db.query", 100_000_000, &json!({}));
    let body = json!({"resourceSpans": [
        {"resource": resource("nemotron-backend"), "scopeSpans": [{"scope": {"name": "x"}, "spans": [detect]}]},
        {"resource": resource("database"), "scopeSpans": [{"scope": {"name": "x"}, "spans": [query]}]},
    ]});
    let answer = faces.post("/v1/traces", "application/json", &body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"));
    faces
}

async fn get(faces: &Faces, path: &str) -> Value {
    let answer = faces.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn trc_18_services_and_their_operations_are_listed_once_they_sent_spans() {
    let faces = Faces::new();
    assert_eq!(get(&faces, "/jaeger/api/services").await, json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": null}));
    let faces = house().await;
    assert_eq!(get(&faces, "/jaeger/api/services").await["data"], json!(["database", "nemotron-backend"]));
    assert_eq!(get(&faces, "/jaeger/api/services/nemotron-backend/operations").await["data"], json!(["detect_objects"]));
    assert_eq!(get(&faces, "/jaeger/api/operations?service=database").await["data"], json!([{"name": "db.query", "spanKind": "server"}]));
    assert_eq!(get(&faces, "/jaeger/api/operations?service=database&spanKind=client").await["data"], json!([]));
    assert_eq!(faces.get("/jaeger/api/operations").await.status, 400);
    assert_eq!(get(&faces, "/jaeger/api/v3/services").await, json!({"services": ["database", "nemotron-backend"]}));
    assert_eq!(get(&faces, "/jaeger/api/v3/operations?service=database").await, json!({"operations": [{"name": "db.query", "spanKind": "server"}]}));
}

#[tokio::test]
async fn a_trace_has_jaegers_form() {
    let faces = house().await;
    let answer = get(&faces, &format!("/jaeger/api/traces/{}", TRACE.to_uppercase())).await;
    assert_eq!((&answer["total"], &answer["errors"]), (&json!(0), &json!(null)));
    let trace = &answer["data"][0];
    let start = NOW.millis() * 1_000 - 5_000_000;
    assert_eq!(trace["traceID"], TRACE);
    assert_eq!(trace["processes"]["p1"], json!({"serviceName": "nemotron-backend", "tags": [{"key": "process.pid", "type": "int64", "value": 7}]}));
    assert_eq!(trace["processes"]["p2"]["serviceName"], "database");
    let tag = |key: &str, kind: &str, value: Value| json!({"key": key, "type": kind, "value": value});
    assert_eq!(
        trace["spans"][0],
        json!({"traceID": TRACE, "spanID": "abcdef1234567890", "flags": 1, "operationName": "detect_objects",
            "references": [{"refType": "FOLLOWS_FROM", "traceID": "ffffffffffffffffffffffffffffffff", "spanID": "00000000000000bb"}],
            "startTime": start, "duration": 500_000,
            "tags": [tag("camera_id", "string", json!("front_door")), tag("huge", "int64", json!("9007199254740993")), tag("score", "float64", json!(0.5)),
                tag("otel.scope.name", "string", json!("x")), tag("span.kind", "string", json!("server")),
                tag("otel.status_code", "string", json!("ERROR")), tag("error", "bool", json!(true)), tag("otel.status_description", "string", json!("no camera"))],
            "logs": [{"timestamp": start + 1_000, "fields": [tag("event", "string", json!("exception")), tag("exception.type", "string", json!("KeyError"))]}],
            "processID": "p1", "warnings": null})
    );
    assert_eq!(trace["spans"][1]["references"], json!([{"refType": "CHILD_OF", "traceID": TRACE, "spanID": "abcdef1234567890"}]));
    assert_eq!(trace["spans"][1]["processID"], "p2");
}

#[tokio::test]
async fn trc_19_a_search_gives_at_most_as_many_traces_as_asked_for() {
    let faces = house().await;
    let count = async |query: &str| get(&faces, &format!("/jaeger/api/traces?{query}")).await["data"].as_array().unwrap().len();
    assert_eq!(count("service=nemotron-backend&limit=20").await, 1);
    assert_eq!(count("service=nemotron-backend&limit=0").await, 0);
    assert_eq!(count("service=nobody").await, 0);
    assert_eq!(count(&format!("service=nemotron-backend&tags={}", encoded(r#"{"camera_id":"front_door","error":true}"#))).await, 1);
    assert_eq!(count("service=nemotron-backend&tag=camera_id:front_door&tag=error:true").await, 1);
    assert_eq!(count("service=nemotron-backend&tag=camera_id:garden").await, 0);
    assert_eq!(count("service=nemotron-backend&operation=db.query").await, 0);
    assert_eq!(count("service=nemotron-backend&minDuration=500ms&maxDuration=1s").await, 1);
    assert_eq!(count("service=nemotron-backend&minDuration=2s").await, 0);
    let micros = NOW.millis() * 1_000;
    assert_eq!(count(&format!("service=database&start={}&end={micros}", micros - 6_000_000)).await, 1);
    assert_eq!(count(&format!("service=database&start={}&end={micros}", micros - 4_000_000)).await, 0);
    assert_eq!(count(&format!("traceID={TRACE}")).await, 1);
    for (wrong, words) in [
        ("", "parameter 'service' is required"),
        ("service=a&minDuration=x", "unable to parse param 'minDuration': \"x\" is no duration"),
        ("service=a&minDuration=2s&maxDuration=1s", "'maxDuration' should be greater than 'minDuration'"),
        ("service=a&limit=x", "unable to parse param 'limit'"),
        ("service=a&start=x", "unable to parse param 'start'"),
        ("service=a&tags=x", "malformed 'tags' parameter"),
        ("service=a&tag=x", "malformed 'tag' parameter"),
        ("traceID=xyz", "cannot parse trace ID \"xyz\""),
    ] {
        let answer = faces.get(&format!("/jaeger/api/traces?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
        let message = answer.json()["errors"][0]["msg"].as_str().unwrap().to_owned();
        assert!(message.starts_with(words), "{wrong}: {message}");
    }
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_an_error_and_no_empty_list() {
    let faces = house().await;
    let answer = faces.get("/jaeger/api/traces/00000000000000000000000000000001").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json(), json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]}));
    assert_eq!(faces.get("/jaeger/api/traces/nonsense").await.status, 400);
    let answer = faces.get("/jaeger/api/v3/traces/1").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (404, json!({"error": {"httpCode": 404, "message": "trace not found"}})));
}

#[tokio::test]
async fn dependencies_say_who_calls_whom() {
    let faces = house().await;
    let ends = NOW.millis();
    let answer = get(&faces, &format!("/jaeger/api/dependencies?endTs={ends}&lookback=60000")).await;
    assert_eq!(answer["data"], json!([{"parent": "nemotron-backend", "child": "database", "callCount": 1}]));
    assert_eq!(get(&faces, &format!("/jaeger/api/dependencies?endTs={ends}&lookback=1000")).await["data"], json!([]));
    assert_eq!(faces.get("/jaeger/api/dependencies").await.status, 400);
}

#[tokio::test]
async fn the_newer_interface_gives_otlp() {
    let faces = house().await;
    let answer = get(&faces, &format!("/jaeger/api/v3/traces/{TRACE}")).await;
    let first = &answer["result"]["resourceSpans"][0];
    assert_eq!(first["resource"]["attributes"][1], json!({"key": "service.name", "value": {"stringValue": "nemotron-backend"}}));
    let span = &first["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["traceId"], &span["spanId"], &span["kind"]), (&json!(TRACE), &json!("abcdef1234567890"), &json!(2)));
    let range = "query.start_time_min=2025-01-01T00:00:00Z&query.startTimeMax=2030-01-01T00:00:00Z";
    let found = async |query: &str| get(&faces, &format!("/jaeger/api/v3/traces?{range}&{query}")).await["result"]["resourceSpans"].as_array().unwrap().len();
    assert_eq!(found("query.service_name=database").await, 2);
    assert_eq!(found("query.serviceName=database&query.durationMin=1s").await, 0);
    let answer = faces.get("/jaeger/api/v3/traces?query.service_name=database").await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("query.start_time_min"));
}
