//! Tests of the Loki face over the test house: push in its forms, every read, the tail, deletions.

use std::io::Write;

use axum::body::Body;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use serde_json::{Value, json};
use watchfire_ingest::loki::config::QueryLimits;
use watchfire_model::labels::Labels;
use watchfire_model::logs::Nanos;
use watchfire_model::write::WriteError;

use crate::auth::Rights;
use crate::server::Level as Access;
use crate::testing::{Answered, Faces, NOW};

const NS: i64 = 1_767_089_700_000_000_000;

async fn post(faces: &Faces, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answered {
    let request = headers.iter().fold(Request::post(path), |r, (n, v)| r.header(*n, *v));
    faces.send(request.body(Body::from(body.into())).unwrap()).await
}

/// Ten lines of a backend, one a second, the newest now.
fn faces_with_lines() -> Faces {
    let faces = Faces::new();
    let logs = faces.house.held().logs.clone();
    for i in 0..10 {
        let labels = Labels::from_pairs([("container", "backend"), ("level", if i % 5 == 0 { "ERROR" } else { "INFO" })]);
        let metadata = Labels::from_pairs([("trace_id", format!("t{i}"))]);
        logs.add_line(&labels, Nanos(NS - i * 1_000_000_000), &format!("level=x camera=front_door needle{i} duration={i}"), &metadata);
    }
    faces
}

fn encoded(query: &str) -> String {
    url::form_urlencoded::byte_serialize(query.as_bytes()).collect()
}

async fn ask(faces: &Faces, path: &str, query: &str) -> Value {
    let joint = if path.contains('?') { '&' } else { '?' };
    let answer = faces.get(&format!("{path}{joint}query={}", encoded(query))).await;
    assert_eq!(answer.status, 200, "{path} {query}: {}", answer.text());
    answer.json()
}

/// The lines of a range query, by stream.
async fn lines(faces: &Faces, more: &str, query: &str) -> Vec<String> {
    let answer = ask(faces, &format!("/loki/api/v1/query_range?{more}"), query).await;
    assert_eq!(answer["data"]["resultType"], "streams");
    let values = answer["data"]["result"].as_array().unwrap().iter().flat_map(|s| s["values"].as_array().unwrap().clone());
    values.map(|v| v[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_is_pushed_in_any_form_can_be_asked_for() {
    let faces = Faces::new();
    let body = |line: &str| json!({"streams": [{"stream": {"app": "api"}, "values": [[NS.to_string(), line, {"trace_id": "x"}]]}]}).to_string();
    let json_type = ("content-type", "application/json");
    let path = "/loki/api/v1/push";
    assert_eq!(post(&faces, path, &[json_type], body("plain")).await.status, 204);
    assert_eq!(post(&faces, "/loki/loki/api/v1/push", &[], body("twice")).await.status, 204);
    assert_eq!(post(&faces, "/api/prom/push", &[json_type], body("legacy path")).await.status, 204);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(body("gzip").as_bytes()).unwrap();
    assert_eq!(post(&faces, path, &[json_type, ("content-encoding", "gzip")], gzip.finish().unwrap()).await.status, 204);
    let snappy = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    assert_eq!(post(&faces, path, &[json_type, ("content-encoding", "snappy")], snappy(body("json in snappy").as_bytes())).await.status, 204);
    // PushRequest { 1: Stream { 1: labels, 2: Entry { 1: Timestamp { 1: seconds }, 2: line } } }
    let framed = |field: u8, bytes: &[u8]| [&[field << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let mut time = vec![8];
    let mut seconds = NS as u64 / 1_000_000_000;
    while seconds >= 0x80 {
        time.push(seconds as u8 | 0x80);
        seconds >>= 7;
    }
    time.push(seconds as u8);
    let protobuf = |line: &str| {
        let entry = [framed(1, &time), framed(2, line.as_bytes())].concat();
        framed(1, &[framed(1, br#"{app="api"}"#), framed(2, &entry)].concat())
    };
    let media = ("content-type", "application/x-protobuf");
    assert_eq!(post(&faces, path, &[media], snappy(&protobuf("snappy"))).await.status, 204);
    assert_eq!(post(&faces, path, &[media, ("content-encoding", "snappy")], snappy(&protobuf("declared"))).await.status, 204);
    assert_eq!(post(&faces, path, &[media], protobuf("bare")).await.status, 204);
    let mut all = lines(&faces, "", r#"{app="api"}"#).await;
    all.sort();
    assert_eq!(all, ["bare", "declared", "gzip", "json in snappy", "legacy path", "plain", "snappy", "twice"]);
    assert_eq!(lines(&faces, "", r#"{app="api"} | trace_id="x" |= "plain""#).await, ["plain"]);
}

#[tokio::test]
async fn refused_pushes_say_why_and_good_entries_stay() {
    let faces = Faces::new();
    let json_type = [("content-type", "application/json")];
    let path = "/loki/api/v1/push";
    let bad = post(&faces, path, &json_type, "{not json").await;
    assert_eq!((bad.status.as_u16(), bad.header("content-type")), (400, "text/plain; charset=utf-8"));
    let far = NS + 86_400_000_000_000;
    let mixed = json!({"streams": [{"stream": {"app": "a"}, "values": [[NS.to_string(), "good"], [far.to_string(), "from tomorrow"]]}]});
    let mixed = post(&faces, path, &json_type, mixed.to_string()).await;
    assert_eq!(mixed.status, 400);
    assert!(
        mixed.text().starts_with("1 of 2 entries were refused (too_far_future: 1); for example too_far_future: an entry has a timestamp too new"),
        "{}",
        mixed.text()
    );
    assert!(!mixed.text().contains("from tomorrow"), "refused lines are not repeated");
    assert_eq!(lines(&faces, "", r#"{app="a"}"#).await, ["good"]);
    let broken = post(&faces, path, &[("content-type", "application/x-protobuf"), ("content-encoding", "snappy")], "x").await;
    assert_eq!(broken.status, 400);
    assert_eq!(post(&faces, path, &[("content-type", "image/png")], "x").await.status, 415);
    assert_eq!(faces.get(path).await.status, 405);
    faces.house.held().write_error = Some(|| WriteError::Busy("x".to_owned()));
    let later = post(&faces, path, &json_type, json!({"streams": [{"stream": {"a": "b"}, "values": [["1", "x"]]}]}).to_string()).await;
    assert_eq!((later.status.as_u16(), later.header("retry-after")), (503, "1"));
    faces.house.held().write_error = Some(|| WriteError::TooFast("Ingestion rate limit exceeded".to_owned()));
    let too_fast = post(&faces, path, &json_type, json!({"streams": [{"stream": {"a": "b"}, "values": [["1", "x"]]}]}).to_string()).await;
    assert_eq!((too_fast.status.as_u16(), too_fast.header("retry-after"), too_fast.text()), (429, "1", "Ingestion rate limit exceeded\n".to_owned()));
    faces.house.held().rights = Some(Rights::of(Access::Read));
    assert_eq!(post(&faces, path, &json_type, "{}").await.status, 403);
}

#[tokio::test]
async fn ranges_of_lines() {
    let faces = faces_with_lines();
    let all = r#"{container="backend"}"#;
    assert_eq!(lines(&faces, "", all).await.len(), 10);
    assert_eq!(lines(&faces, "limit=1", all).await, ["level=x camera=front_door needle0 duration=0"]);
    assert_eq!(lines(&faces, "limit=1&direction=FORWARD", all).await, ["level=x camera=front_door needle9 duration=9"]);
    assert_eq!(lines(&faces, "since=3s", all).await.len(), 4);
    assert_eq!(lines(&faces, &format!("start={}&end={}", NS - 2_000_000_000, NS + 1), all).await.len(), 3);
    assert_eq!(lines(&faces, "start=2025-12-30T10:14:58Z&end=1767089700.5", all).await.len(), 3);
    assert_eq!(lines(&faces, "interval=4s", all).await.len(), 3);
    assert_eq!(lines(&faces, "", r#"{container="backend"} | logfmt | duration > 7"#).await.len(), 2);
    let seed = faces.form("/loki/loki/api/v1/query_range", &format!("query={}&start=2025-12-23T00:00:00Z", encoded(all))).await;
    assert_eq!(seed.json()["data"]["result"][0]["stream"], json!({"container": "backend", "level": "ERROR", "trace_id": "t0"}));
    assert_eq!(seed.json()["data"]["stats"]["summary"]["totalLinesProcessed"], 10);
    assert_eq!(lines(&faces, &format!("end={NS}"), all).await.len(), 9, "the end that is asked for is not part of a range");

    let flags = [("x-loki-response-encoding-flags", "categorize-labels")];
    let query = format!("/loki/api/v1/query_range?limit=1&query={}", encoded(r#"{container="backend"} | logfmt"#));
    let answer = faces.get_with(&query, &flags).await.json();
    assert_eq!(answer["data"]["encodingFlags"], json!(["categorize-labels"]));
    assert_eq!(answer["data"]["result"][0]["stream"]["container"], "backend");
    let last = &answer["data"]["result"][0]["values"][0][2];
    assert_eq!((&last["structuredMetadata"], &last["parsed"]["camera"]), (&json!({"trace_id": "t0"}), &json!("front_door")));
}

#[tokio::test]
async fn numbers() {
    let faces = faces_with_lines();
    let health = faces.get("/loki/api/v1/query?query=vector(1)%2Bvector(1)&time=4000000000").await.json();
    assert_eq!(health["data"]["resultType"], "vector");
    assert_eq!(health["data"]["result"], json!([{"metric": {}, "value": [4_000_000_000_u64, "2"]}]));
    assert!(health["data"]["stats"]["summary"].is_object());
    let by_level = ask(&faces, "/loki/api/v1/query", r#"sum by (level) (count_over_time({container="backend"}[1h]))"#).await;
    let mut values: Vec<String> = by_level["data"]["result"].as_array().unwrap().iter().map(|r| r["value"][1].as_str().unwrap().to_owned()).collect();
    values.sort();
    assert_eq!(values, ["2", "8"]);
    let range = ask(&faces, "/loki/api/v1/query_range?step=15000ms&since=1m", r#"sum(count_over_time({container="backend"}[1m]))"#).await;
    assert_eq!(range["data"]["resultType"], "matrix");
    assert_eq!(range["data"]["result"][0]["values"].as_array().unwrap().last().unwrap()[1], "10");
}

#[tokio::test]
async fn errors_are_text_with_lokis_status() {
    let faces = faces_with_lines();
    let check = async |path: &str, status: u16, words: &str| {
        let answer = faces.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, "text/plain; charset=utf-8"), "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    };
    check("/loki/api/v1/query_range?query=%7B", 400, "parse error at line 1, col 2").await;
    check("/loki/api/v1/query?query=%7Ba%3D%22b%22%7D", 400, "log queries are not supported as an instant query type").await;
    let path = |more: &str| format!("/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&{more}");
    check(&path("limit=0"), 400, "limit must be a positive value").await;
    check(&path("step=0"), 400, "zero or negative query resolution").await;
    check(&path("step=soon"), 400, "could not parse 'step' parameter").await;
    check(&path("limit=-7"), 400, "limit must be a positive value").await;
    check(&path("limit=many"), 400, "limit must be a positive number").await;
    check(&path("limit=5001"), 400, "max entries limit per query exceeded, limit > max_entries_limit (5001 > 5000)").await;
    check(&path("start=x"), 400, "could not parse 'start' parameter").await;
    check(&path("start=20&end=10"), 400, "end timestamp must not be before").await;
    check(&path("direction=sideways"), 400, "invalid direction").await;
    check("/loki/api/v1/query_range?query=count_over_time(%7Ba%3D%22b%22%7D%5B1m%5D)&step=0", 400, "zero or negative query resolution").await;
    check("/loki/api/v1/query_range?query=count_over_time(%7Ba%3D%22b%22%7D%5B1m%5D)&step=1&start=0&end=20000", 400, "11,000 points").await;
    check("/loki/api/v1/tail?query=%7B", 400, "parse error").await;
    check("/loki/api/v1/tail?query=%7Ba%3D%22b%22%7D&delay_for=6", 400, "delay_for can't be greater than 5").await;
    check("/loki/api/v1/tail?query=%7Ba%3D%22b%22%7D&delay_for=x", 400, "delay_for must be a number").await;
    check("/loki/api/v1/rules", 404, "no rule groups found").await;
    faces.house.held().rights = Some(Rights::of(Access::Ingest));
    check("/loki/api/v1/labels", 403, "this needs the level read").await;
    assert_ne!(faces.get("/loki/api/v2alpha/tail").await.status, 400, "Grafana takes that for a tail that cannot be");
}

#[tokio::test]
async fn queries_keep_the_limits_of_lokis_configuration() {
    let faces = faces_with_lines();
    let all = r#"{container="backend"}"#;
    let hours = |n: u64| Some(std::time::Duration::from_secs(n * 3_600));
    faces.app.rooms.loki.set_queries(QueryLimits { entries: Some(3), length: hours(2), lookback: None, series: Some(1) });
    let status = async |more: &str| {
        let answer = faces.get(&format!("/loki/api/v1/query_range?query={}&{more}", encoded(all))).await;
        (answer.status.as_u16(), answer.text())
    };
    assert_eq!(status("limit=3").await.0, 200);
    assert!(status("limit=4").await.1.contains("(4 > 3)"));
    assert!(status("limit=3&since=3h").await.1.contains("the query time range exceeds the limit (query length: 3h, limit: 2h)"));
    let numbers = format!("/loki/api/v1/query?query={}", encoded(r#"sum by (level) (count_over_time({container="backend"}[1h]))"#));
    assert_eq!(faces.get(&numbers).await.status, 400, "two series are more than one");
    faces.app.rooms.loki.set_queries(QueryLimits { lookback: Some(std::time::Duration::from_secs(3)), ..QueryLimits::default() });
    assert_eq!(lines(&faces, "since=1h", all).await.len(), 4);
    assert_eq!(faces.get(&numbers).await.status, 200);
}

#[tokio::test]
async fn labels_series_and_volumes() {
    let faces = faces_with_lines();
    assert_eq!(faces.get("/loki/api/v1/labels").await.json(), json!({"status": "success", "data": ["container", "level"]}));
    assert_eq!(faces.get("/loki/api/v1/label").await.json()["data"], json!(["container", "level"]));
    let nobody = ask(&faces, "/loki/api/v1/labels", r#"{container="x"}"#).await;
    assert_eq!(nobody["data"], json!([]));
    assert_eq!(faces.get("/loki/api/v1/label/container/values").await.json()["data"], json!(["backend"]));
    assert_eq!(faces.form("/loki/api/v1/label/container/values", "since=1h").await.json()["data"], json!(["backend"]));
    assert_eq!(ask(&faces, "/loki/api/v1/label/level/values", r#"{level=~"E.*"} |= "x""#).await["data"], json!(["ERROR"]));
    let series = faces.form("/loki/api/v1/series", &format!("match[]={}", encoded(r#"{level="ERROR"}"#))).await.json();
    assert_eq!(series["data"], json!([{"container": "backend", "level": "ERROR"}]));
    assert_eq!(faces.get("/loki/api/v1/series").await.json()["data"].as_array().unwrap().len(), 2);
    let stats = ask(&faces, "/loki/api/v1/index/stats", r#"{container="backend"}"#).await;
    assert_eq!((stats["streams"].as_u64(), stats["entries"].as_u64()), (Some(2), Some(10)));
    let volume = ask(&faces, "/loki/api/v1/index/volume?targetLabels=level", r#"{container="backend"}"#).await;
    assert_eq!(volume["data"]["result"][0]["metric"], json!({"level": "INFO"}));
    assert_eq!(volume["data"]["result"].as_array().unwrap().len(), 2);
    let by_labels = ask(&faces, "/loki/api/v1/index/volume?aggregateBy=labels", r#"{container=~".+"}"#).await;
    assert_eq!(by_labels["data"]["result"][0]["metric"], json!({"container": ""}));
    let range = ask(&faces, "/loki/api/v1/index/volume_range?since=20s&step=5", r#"{container="backend"}"#).await;
    assert_eq!((range["data"]["resultType"].as_str(), range["data"]["result"][0]["values"].as_array().unwrap().len()), (Some("matrix"), 2));
}

#[tokio::test]
async fn what_is_detected() {
    let faces = faces_with_lines();
    let labels = faces.get("/loki/api/v1/detected_labels").await.json();
    assert_eq!(labels, json!({"detectedLabels": [{"label": "container", "cardinality": 1}, {"label": "level", "cardinality": 2}]}));
    let fields = ask(&faces, "/loki/api/v1/detected_fields", r#"{container="backend"}"#).await;
    let field = |name: &str| fields["fields"].as_array().unwrap().iter().find(|f| f["label"] == name).unwrap().clone();
    assert_eq!(field("duration"), json!({"label": "duration", "type": "int", "cardinality": 10, "parsers": ["logfmt"]}));
    assert_eq!(field("trace_id")["parsers"], Value::Null, "that one is structured metadata");
    for path in ["detected_field", "detected_fields"] {
        let values = ask(&faces, &format!("/loki/api/v1/{path}/camera/values"), r#"{container="backend"}"#).await;
        assert_eq!(values["values"], json!(["front_door"]));
    }
    let patterns = ask(&faces, "/loki/api/v1/patterns?step=1m", r#"{container="backend"}"#).await;
    assert_eq!(patterns["data"][0]["pattern"], "level=x camera=front_door <_> duration=<_>");
    let count: u64 = patterns["data"].as_array().unwrap().iter().flat_map(|p| p["samples"].as_array().unwrap().clone()).map(|s| s[1].as_u64().unwrap()).sum();
    assert_eq!(count, 10);
}

#[tokio::test]
async fn deletions() {
    let faces = faces_with_lines();
    let delete = async |query: &str, more: &str| faces.form("/loki/api/v1/delete", &format!("query={}{more}", encoded(query))).await.status.as_u16();
    assert_eq!(delete(r#"{container="backend"} |= "needle3 ""#, "").await, 204);
    assert_eq!(lines(&faces, &format!("end={}", NS + 1), r#"{container="backend"}"#).await.len(), 9);
    assert_eq!(delete(r#"{level="INFO"}"#, &format!("&start={}", NS - 4_000_000_000)).await, 204);
    assert_eq!(lines(&faces, &format!("end={}", NS + 1), r#"{level="INFO"}"#).await.len(), 4);
    assert_eq!(delete("sum(rate({a=\"b\"}[1m]))", "").await, 400);
    assert_eq!(delete(r#"{a="b"}"#, "&start=20&end=10").await, 400);
    let list = faces.get("/loki/api/v1/delete").await.json();
    assert_eq!((list.as_array().unwrap().len(), &list[1]["status"], &list[1]["deleted_entries"]), (2, &json!("processed"), &json!(3)));
    faces.house.held().rights = Some(Rights::of(Access::Read));
    assert_eq!(delete(r#"{container="backend"}"#, "").await, 403);
}

#[tokio::test]
async fn what_clients_ask_beside() {
    let faces = faces_with_lines();
    assert_eq!(faces.get("/loki/ready").await.text(), "ready\n");
    assert!(faces.get("/loki/api/v1/status/buildinfo").await.json()["version"].as_str().unwrap().starts_with("3."));
    assert_eq!(ask(&faces, "/loki/api/v1/format_query", r#"{a="b"}|="c""#).await, json!({"status": "success", "data": r#"{a="b"} |= "c""#}));
    let config = super::status::config(axum::extract::State(faces.app.clone())).await;
    let config = axum::body::to_bytes(config.into_body(), 10_000).await.unwrap();
    assert!(String::from_utf8_lossy(&config).contains("limits_config:\n  max_entries_limit_per_query: 5000\n"), "{config:?}");
    let wrong = faces.get("/loki/api/v1/format_query?query=%7B").await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["status"].as_str()), (400, Some("invalid-query")));
    assert_eq!(faces.get("/loki/prometheus/api/v1/rules").await.json()["data"]["groups"], json!([]));
    faces.house.held().storage.failure = Some("disk".to_owned());
    assert_eq!(faces.get("/loki/ready").await.status, 503);
}

#[tokio::test]
async fn a_tail_sends_the_newest_lines_and_those_that_come_in() {
    let faces = faces_with_lines();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = faces.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let query = encoded(r#"{container="backend"} |~ "needle[0-2] |new" != "quiet""#);
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/loki/api/v1/tail?query={query}&limit=2")).await.unwrap();
    let mut next = async || {
        loop {
            let message = tokio::time::timeout(std::time::Duration::from_secs(20), socket.next()).await.unwrap().unwrap().unwrap();
            if message.is_text() {
                return serde_json::from_str::<Value>(message.to_text().unwrap()).unwrap();
            }
        }
    };
    let texts = |frame: &Value| {
        let streams = frame["streams"].as_array().unwrap().clone();
        let mut all: Vec<(String, String)> = streams
            .iter()
            .flat_map(|s| s["values"].as_array().unwrap().clone())
            .map(|v| (v[0].as_str().unwrap().to_owned(), v[1].as_str().unwrap().to_owned()))
            .collect();
        all.sort();
        all.into_iter().map(|(_, line)| line.split(' ').nth(2).unwrap_or(&line).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&next().await), ["needle1", "needle0"]);
    let push = async |line: &str| {
        let body = json!({"streams": [{"stream": {"container": "backend"}, "values": [[NS.to_string(), line]]}]}).to_string();
        assert_eq!(post(&faces, "/loki/api/v1/push", &[("content-type", "application/json")], body).await.status, 204);
    };
    push("a b quiet").await;
    push("a b new1").await;
    let frame = next().await;
    assert_eq!((texts(&frame), &frame["dropped_entries"]), (vec!["new1".to_owned()], &Value::Null));
    // Much at once comes in several messages, in order and whole.
    let long: Vec<Value> = (0..12).map(|i| json!([(NS + i).to_string(), format!("a b new{i} {}", "x".repeat(200 << 10))])).collect();
    let body = json!({"streams": [{"stream": {"container": "backend"}, "values": long}]}).to_string();
    assert_eq!(post(&faces, "/loki/api/v1/push", &[("content-type", "application/json")], body).await.status, 204);
    let (mut messages, mut heard) = (0, Vec::new());
    while heard.len() < 12 {
        heard.extend(texts(&next().await));
        messages += 1;
    }
    assert_eq!(heard, (0..12).map(|i| format!("new{i}")).collect::<Vec<_>>());
    assert!(messages >= 3, "{messages}");
    assert_eq!(faces.app.rooms.log_taps.len(), 1);
    socket.close(None).await.unwrap();
    drop(socket.send(tokio_tungstenite::tungstenite::Message::Ping(Vec::new().into())).await);
    while !faces.app.rooms.log_taps.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(faces.app.now(), NOW);
}
