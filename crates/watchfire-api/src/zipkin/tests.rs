//! Tests of the Zipkin face over the test house: what is posted comes back, here and in Jaeger's form; errors are told.

use serde_json::{Value, json};

use crate::testing::{Faces, NOW};

fn spans() -> Value {
    let start = NOW.millis() * 1_000 - 5_000_000;
    json!([
        {"traceId": "1234abcd5678ef90", "id": "a1", "name": "get /", "kind": "SERVER", "timestamp": start, "duration": 500_000,
         "localEndpoint": {"serviceName": "front", "ipv4": "10.0.0.1", "port": 80}, "tags": {"http.method": "GET"}},
        {"traceId": "1234abcd5678ef90", "id": "a2", "parentId": "a1", "name": "select", "kind": "CLIENT", "timestamp": start + 10, "duration": 100,
         "localEndpoint": {"serviceName": "front"}, "remoteEndpoint": {"serviceName": "postgres", "ipv6": "::1", "port": 5432},
         "annotations": [{"timestamp": start + 20, "value": "row"}], "tags": {"error": "no table"}},
    ])
}

async fn get(faces: &Faces, path: &str) -> Value {
    let answer = faces.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn what_is_posted_comes_back_here_and_in_jaegers_form() {
    let faces = Faces::new();
    for path in ["/api/v2/spans", "/zipkin/api/v2/spans"] {
        // The second time they are there already.
        let answer = faces.post(path, "application/json", &spans().to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, ""));
    }
    assert_eq!(get(&faces, "/zipkin/api/v2/services").await, json!(["front"]));
    assert_eq!(get(&faces, "/zipkin/api/v2/spans?serviceName=front").await, json!(["get /", "select"]));
    let start = NOW.millis() * 1_000 - 5_000_000;
    let trace = "00000000000000001234abcd5678ef90";
    let expected = json!([
        {"traceId": trace, "id": "00000000000000a1", "name": "get /", "kind": "SERVER", "timestamp": start, "duration": 500_000,
         "localEndpoint": {"serviceName": "front", "ipv4": "10.0.0.1", "port": 80}, "tags": {"http.method": "GET"}},
        {"traceId": trace, "id": "00000000000000a2", "parentId": "00000000000000a1", "name": "select", "kind": "CLIENT", "timestamp": start + 10, "duration": 100,
         "localEndpoint": {"serviceName": "front"}, "remoteEndpoint": {"serviceName": "postgres", "ipv6": "::1", "port": 5432},
         "annotations": [{"timestamp": start + 20, "value": "row"}], "tags": {"error": "no table"}},
    ]);
    assert_eq!(get(&faces, "/zipkin/api/v2/trace/1234abcd5678ef90").await, expected);
    assert_eq!(get(&faces, "/zipkin/api/v2/traces?serviceName=front&annotationQuery=http.method%3DGET%20and%20http.method").await, json!([]));
    assert_eq!(get(&faces, "/zipkin/api/v2/traces?serviceName=all&annotationQuery=error&minDuration=50").await, json!([expected]));
    assert_eq!(get(&faces, "/zipkin/api/v2/traces?minDuration=500001").await, json!([]));
    let jaeger = get(&faces, &format!("/jaeger/api/traces/{trace}")).await;
    assert_eq!(jaeger["data"][0]["spans"].as_array().unwrap().len(), 2);
    let end = NOW.millis();
    assert_eq!(get(&faces, &format!("/zipkin/api/v2/dependencies?endTs={end}")).await, json!([]));
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let faces = Faces::new();
    for (body, words) in [
        ("garbage", "cannot read the spans as Zipkin's JSON, version 2"),
        (r#"[{"traceId":"no","id":"1","timestamp":1}]"#, "traceId must be up to 32 hexadecimal digits"),
    ] {
        let answer = faces.post("/api/v2/spans", "application/json", body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    for (path, status, words) in [
        ("/zipkin/api/v2/trace/xyz", 400, "32 hexadecimal digits"),
        ("/zipkin/api/v2/trace/abc", 404, "no trace 00000000000000000000000000000abc"),
        ("/zipkin/api/v2/traces?limit=many", 400, "limit must be a whole number, not \"many\""),
        ("/zipkin/api/v2/dependencies", 400, "endTs is needed"),
    ] {
        let answer = faces.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
}
