//! The Prometheus face over a house in memory. Expected bodies were taken from Prometheus 2.42 where it has the endpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;
use watchfire_model::batch::MetricType;
use watchfire_model::histogram::{Histogram, Span};
use watchfire_model::labels;
use watchfire_model::live::{LastScrape, TargetStatus};
use watchfire_model::sample::{HistogramSample, stale_nan};
use watchfire_model::time::Timestamp;
use watchfire_model::write::WriteError;

use crate::testing::{Answered, Faces, NOW, metadata};

fn with_up() -> Faces {
    let faces = Faces::new();
    faces.house.put(labels!("__name__" => "up", "instance" => "a:1", "job" => "node"), &[(30, 1.0), (15, 1.0), (0, 1.0)]);
    faces.house.put(labels!("__name__" => "up", "instance" => "b:1", "job" => "web"), &[(30, 0.0), (15, 0.0), (0, 0.0)]);
    faces.house.put(labels!("__name__" => "go_info", "version" => "go1.19"), &[(0, 1.0)]);
    faces
}

fn escape(query: &str) -> String {
    url::form_urlencoded::byte_serialize(query.as_bytes()).collect()
}

async fn instant(faces: &Faces, query: &str) -> Answered {
    faces.get(&format!("/api/v1/query?query={}&time=1700000000.5", escape(query))).await
}

#[tokio::test]
async fn instant_answers_look_like_the_originals() {
    let faces = Faces::new();
    for (query, expected) in [
        ("1+1", r#"{"resultType":"scalar","result":[1700000000.5,"2"]}"#),
        ("vector(1e21)", r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000.500,"1e+21"]}]}"#),
        ("vector(1e20)", r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000.500,"100000000000000000000"]}]}"#),
        ("vector(1e-7)", r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000.500,"1e-07"]}]}"#),
        ("vector(0/0)", r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000.500,"NaN"]}]}"#),
        ("vector(-1/0)", r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000.500,"-Inf"]}]}"#),
        ("1e21", r#"{"resultType":"scalar","result":[1700000000.5,"1000000000000000000000"]}"#),
        ("1e-7", r#"{"resultType":"scalar","result":[1700000000.5,"0.0000001"]}"#),
        (r#""hi""#, r#"{"resultType":"string","result":[1700000000.5,"hi"]}"#),
        ("foo[5m]", r#"{"resultType":"matrix","result":[]}"#),
        ("vector(0.1+0.2)", r#"{"resultType":"vector","result":[{"metric":{},"value":[1700000000.500,"0.30000000000000004"]}]}"#),
    ] {
        let answer = instant(&faces, query).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"), "{query}");
        assert_eq!(answer.text(), format!(r#"{{"status":"success","data":{expected}}}"#), "{query}");
    }
}

#[tokio::test]
async fn bad_parameters_are_answered_in_the_original_words() {
    let faces = Faces::new();
    for (path, error) in [
        ("query?query=", r#"invalid parameter "query": 1:1: parse error: no expression found in input"#),
        ("query?query=sum(", r#"invalid parameter "query": 1:5: parse error: unclosed left parenthesis"#),
        ("query?query=1&time=x", r#"invalid parameter "time": Invalid time value for 'time': cannot parse "x" to a valid timestamp"#),
        ("query?query=1&timeout=x", r#"invalid parameter "timeout": cannot parse "x" to a valid duration"#),
        ("query_range?query=1&start=1&end=0&step=1", r#"invalid parameter "end": end timestamp must not be before start time"#),
        (
            "query_range?query=1&start=1&end=20000&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range?query=1&start=1&end=2&step=0",
            r#"invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer"#,
        ),
        ("query_range?query=1&end=4.5&step=x", r#"invalid parameter "start": cannot parse "" to a valid timestamp"#),
        ("query_range?query=1&start=1&step=x", r#"invalid parameter "end": cannot parse "" to a valid timestamp"#),
        // As 3.x says it; 2.42 leaves out which parameter.
        (
            "query_range?query=up[5m]&start=1&end=2&step=1",
            "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        ("series", "no match[] parameter provided"),
        ("series?match[]=up{", r#"invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces"#),
        ("label/job/values?start=x", r#"invalid parameter "start": Invalid time value for 'start': cannot parse "x" to a valid timestamp"#),
        ("metadata?limit=x", "limit must be a number"),
        ("rules?type=x", r#"invalid parameter "type": not supported value "x""#),
        ("format_query?query=sum(", r#"invalid parameter "query": 1:5: parse error: unclosed left parenthesis"#),
        ("query_exemplars?query=up{&start=1&end=2", "1:4: parse error: unexpected end of input inside braces"),
    ] {
        let answer = faces.get(&format!("/api/v1/{}", path.replace('{', "%7B"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
        assert_eq!(answer.json(), json!({ "status": "error", "errorType": "bad_data", "error": error }), "{path}");
    }
}

#[tokio::test]
async fn execution_errors_are_422() {
    let faces = with_up();
    let answer = faces.get(&format!("/api/v1/query?query={}", escape("up*on()up"))).await;
    assert_eq!((answer.status, &answer.json()["errorType"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("execution")), "{}", answer.text());
}

#[tokio::test]
async fn ranges_have_points_with_three_digits() {
    let faces = Faces::new();
    let answer = faces.get("/api/v1/query_range?query=1&start=1&end=4.5&step=1.5").await;
    assert_eq!(answer.text(), r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2.500,"1"],[4,"1"]]}]}}"#);
}

#[tokio::test]
async fn stored_series_are_found_by_get_and_by_form() {
    let faces = with_up();
    let expected = json!([{ "metric": { "__name__": "up", "instance": "a:1", "job": "node" }, "value": [NOW.millis() / 1000, "1"] }]);
    let query = escape(r#"up{job="node"}"#);
    let by_get = faces.get(&format!("/api/v1/query?query={query}")).await.json();
    let by_form = faces.form("/api/v1/query", &format!("query={query}&time={}", NOW.secs_f64())).await.json();
    assert_eq!(by_get["data"]["result"], expected);
    assert_eq!(by_get, by_form);
    let grafana = faces.form("/api/v1/query", "query=1%2B1&time=4").await;
    assert_eq!(grafana.json()["data"]["result"], json!([4, "2"]), "Grafana's health check");
}

#[tokio::test]
async fn series_labels_and_values() {
    let faces = with_up();
    let data = async |path: &str| faces.get(&format!("/api/v1/{path}")).await.json()["data"].clone();
    let ups = json!([{ "__name__": "up", "instance": "a:1", "job": "node" }, { "__name__": "up", "instance": "b:1", "job": "web" }]);
    assert_eq!(data("series?match[]=up").await, ups);
    assert_eq!(data("series?match[]=up&match[]=up").await, ups, "each once");
    assert_eq!(data("series?match[]=nope").await, json!([]));
    assert_eq!(data("labels").await, json!(["__name__", "instance", "job", "version"]));
    assert_eq!(data("labels?match[]=go_info").await, json!(["__name__", "version"]));
    assert_eq!(data("labels?start=100&end=50").await, json!([]));
    assert_eq!(data("label/job/values").await, json!(["node", "web"]));
    assert_eq!(data("label/__name__/values?match[]=up&match[]=go_info").await, json!(["go_info", "up"]));
    assert_eq!(data("label/U__version/values").await, json!(["go1.19"]), "escaped names");
    assert_eq!(data("label/nolabel/values").await, json!([]));
    assert_eq!(faces.form("/api/v1/series", "match[]=up").await.json()["data"], ups);
}

#[tokio::test]
async fn limits_cut_and_say_so() {
    let faces = with_up();
    for path in ["labels?limit=1", "label/job/values?limit=1", "series?match[]=up&limit=1", "query?query=up&limit=1"] {
        let answer = faces.get(&format!("/api/v1/{path}")).await.json();
        assert_eq!(answer["warnings"], json!(["results truncated due to limit"]), "{path}");
        let list = answer["data"].as_array().or_else(|| answer["data"]["result"].as_array()).unwrap();
        assert_eq!(list.len(), 1, "{path}");
    }
    let uncut = faces.get("/api/v1/labels?limit=40000").await.json();
    assert_eq!(uncut.get("warnings"), None);
}

#[tokio::test]
async fn metadata_by_family() {
    let faces = Faces::new();
    faces.house.held().metadata = vec![metadata("a_total", MetricType::Counter, "A."), metadata("b", MetricType::Gauge, "B.")];
    let data = async |path: &str| faces.get(&format!("/api/v1/metadata{path}")).await.json()["data"].clone();
    assert_eq!(data("?metric=a_total").await, json!({ "a_total": [{ "type": "counter", "help": "A.", "unit": "" }] }));
    assert_eq!(data("?limit=1").await.as_object().unwrap().len(), 1);
    assert_eq!(data("?limit=0").await, json!({}));
    assert_eq!(data("?metric=nope").await, json!({}));
    assert_eq!(data("").await.as_object().unwrap().len(), 2);
}

fn target(pool: &str, last: Option<LastScrape>, dropped: bool) -> TargetStatus {
    TargetStatus {
        scrape_pool: pool.to_owned(),
        scrape_url: format!("http://{pool}:1/metrics"),
        discovered_labels: labels!("__address__" => "x:1", "job" => pool),
        labels: if dropped { labels!() } else { labels!("instance" => "a:1", "job" => pool) },
        interval_ms: 15_000,
        timeout_ms: 10_000,
        dropped,
        last,
        alias_of: (pool == "json").then(|| "json-exporter".to_owned()),
    }
}

#[tokio::test]
async fn targets_have_the_original_shape() {
    let faces = with_up();
    let good = LastScrape { at: NOW, duration_s: 0.25, error: String::new() };
    let bad = LastScrape { at: NOW, duration_s: 0.1, error: "connection refused".to_owned() };
    faces.house.held().targets =
        vec![target("node", Some(good), false), target("json", None, false), target("dead", Some(bad), false), target("gone", None, true)];
    faces.house.held().metadata = vec![metadata("up", MetricType::Gauge, "U."), metadata("other", MetricType::Gauge, "O.")];
    let data = async |path: &str| faces.get(&format!("/api/v1/{path}")).await.json()["data"].clone();
    let all = data("targets").await;
    let active = all["activeTargets"].as_array().unwrap();
    let health: Vec<_> =
        active.iter().map(|t| (t["scrapePool"].as_str().unwrap(), t["health"].as_str().unwrap(), t["labels"]["job"].as_str().unwrap())).collect();
    assert_eq!(health, [("dead", "down", "dead"), ("json", "unknown", "json"), ("node", "up", "node")]);
    assert_eq!(
        active[2],
        json!({
            "discoveredLabels": { "__address__": "x:1", "job": "node" }, "labels": { "instance": "a:1", "job": "node" }, "scrapePool": "node",
            "scrapeUrl": "http://node:1/metrics", "globalUrl": "http://node:1/metrics", "lastError": "", "lastScrape": "2025-12-30T10:15:00.000Z",
            "lastScrapeDuration": 0.25, "health": "up", "scrapeInterval": "15s", "scrapeTimeout": "10s",
        })
    );
    assert_eq!(
        (&active[0]["lastError"], &active[1]["lastScrape"], &active[1]["aliasOf"]),
        (&json!("connection refused"), &json!("0001-01-01T00:00:00Z"), &json!("json-exporter"))
    );
    assert_eq!(all["droppedTargets"][0]["discoveredLabels"]["job"], "gone");
    assert_eq!(data("targets?state=dropped").await["activeTargets"], json!([]));
    assert_eq!(data("targets?state=active").await["droppedTargets"], json!([]));
    assert_eq!(data("targets?scrapePool=node").await["activeTargets"].as_array().unwrap().len(), 1);
    assert_eq!(data("scrape_pools").await, json!({ "scrapePools": ["dead", "gone", "idle", "json", "node"] }));
    let known = json!([{ "target": { "instance": "a:1", "job": "node" }, "metric": "up", "type": "gauge", "help": "U.", "unit": "" }]);
    assert_eq!(data(&format!("targets/metadata?match_target={}", escape(r#"{job="node"}"#))).await, known);
    assert_eq!(faces.get("/api/v1/targets/metadata?metric=other").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn lists_that_are_empty_have_the_right_shape() {
    let faces = Faces::new();
    for (path, data) in [
        ("rules", json!({ "groups": [] })),
        ("rules?type=alert", json!({ "groups": [] })),
        ("alerts", json!({ "alerts": [] })),
        ("alertmanagers", json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] })),
        ("query_exemplars?query=up&start=1&end=2", json!([])),
        ("status/walreplay", json!({ "min": 0, "max": 0, "current": 0 })),
        ("status/config", json!({ "yaml": "global: {}\n" })),
        ("status/flags", json!({ "query.timeout": "30s" })),
        ("format_query?query=sum(up)by(job)", json!("sum by (job) (up)")),
    ] {
        let answer = faces.get(&format!("/api/v1/{path}")).await;
        assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({ "status": "success", "data": data })), "{path}");
    }
}

#[tokio::test]
async fn buildinfo_and_runtimeinfo() {
    let faces = Faces::new();
    let build = faces.get("/api/v1/status/buildinfo").await.json();
    assert!(build["data"]["version"].as_str().unwrap().starts_with("3."));
    assert_eq!(build["data"].get("features"), None, "with features Grafana takes us for Mimir");
    let runtime = faces.get("/api/v1/status/runtimeinfo").await.json();
    assert_eq!(
        (&runtime["data"]["storageRetention"], &runtime["data"]["startTime"], &runtime["data"]["reloadConfigSuccess"]),
        (&json!("15d"), &json!("2025-12-30T10:15:00Z"), &json!(true))
    );
}

#[tokio::test]
async fn tsdb_counts_cardinality() {
    let faces = with_up();
    let data = faces.get("/api/v1/status/tsdb?limit=1").await.json()["data"].clone();
    assert_eq!((&data["headStats"]["numSeries"], &data["headStats"]["numLabelPairs"]), (&json!(3), &json!(7)));
    assert_eq!(data["seriesCountByMetricName"], json!([{ "name": "up", "value": 2 }]));
    assert_eq!(data["seriesCountByLabelValuePair"], json!([{ "name": "__name__=up", "value": 2 }]));
    assert_eq!(faces.get("/api/v1/status/tsdb?limit=0").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn life_cycle_is_off_unless_enabled() {
    let send = async |faces: &Faces, method: Method, path: &str| faces.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
    let faces = Faces::new();
    for path in ["/-/reload", "/-/quit"] {
        let off = send(&faces, Method::POST, path).await;
        assert_eq!((off.status, off.text().as_str()), (StatusCode::FORBIDDEN, "Lifecycle API is not enabled."), "{path}");
        assert_eq!(send(&faces, Method::GET, path).await.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(send(&faces, Method::GET, path).await.status, StatusCode::OK);
        let head = send(&faces, Method::HEAD, path).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    }
    let on = Faces::with(|rooms| rooms.reload = Some(Arc::new(|| Err("line 3: bad".to_owned()))));
    let answer = send(&on, Method::POST, "/-/reload").await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::INTERNAL_SERVER_ERROR, "failed to reload config: line 3: bad\n"));
}

#[tokio::test]
async fn federation_gives_the_newest_values() {
    let faces = with_up();
    faces.house.put(labels!("__name__" => "gone"), &[(10, 1.0), (0, stale_nan())]);
    faces.house.put(labels!("__name__" => "old"), &[(301, 1.0)]);
    faces.house.put(labels!("__name__" => "bytes", "path" => "a\"b\\c\nd"), &[(0, 20_049_360.0)]);
    let answer = faces.get(&format!("/federate?match[]={}", escape(r#"{__name__=~".+"}"#))).await;
    let at = NOW.millis();
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(
        answer.text(),
        format!(
            "# TYPE bytes untyped\nbytes{{path=\"a\\\"b\\\\c\\nd\",instance=\"\",site=\"home\"}} 2.004936e+07 {at}\n\
             # TYPE go_info untyped\ngo_info{{version=\"go1.19\",instance=\"\",site=\"home\"}} 1 {at}\n\
             # TYPE up untyped\nup{{instance=\"a:1\",job=\"node\",site=\"home\"}} 1 {at}\nup{{instance=\"b:1\",job=\"web\",site=\"home\"}} 0 {at}\n"
        )
    );
    assert_eq!(faces.get("/federate").await.text(), "");
    assert_eq!(faces.get("/federate?match[]=up%7B").await.status, StatusCode::BAD_REQUEST);
}

async fn remote_write(faces: &Faces, content_type: &str, body: &str) -> Answered {
    faces.post("/api/v1/write", content_type, body).await
}

#[tokio::test]
async fn remote_write_answers_decide_about_retries() {
    const PROTO: &str = "application/x-protobuf";
    let faces = Faces::new();
    assert_eq!(remote_write(&faces, PROTO, "a 1\nb 2").await.status, StatusCode::NO_CONTENT);
    assert_eq!(faces.house.held().series.len(), 2);
    let partial = remote_write(&faces, PROTO, "c 1\nd -1").await;
    assert_eq!((partial.status, partial.text().as_str()), (StatusCode::BAD_REQUEST, "1 of 2 samples were refused (out_of_order: 1); for example d\n"));
    assert_eq!(faces.house.held().series.len(), 3, "the good ones are stored");
    let packed = snap::raw::Encoder::new().compress_vec(b"e 1").unwrap();
    let request = Request::post("/api/v1/write").header("content-type", PROTO).header("content-encoding", "snappy").body(Body::from(packed)).unwrap();
    assert_eq!(faces.send(request).await.status, StatusCode::NO_CONTENT);
    assert_eq!(faces.house.held().series.len(), 4, "compressed as Prometheus sends it");
    let bomb = [vec![0x80, 0x80, 0x80, 0x80, 0x08], vec![0; 64]].concat();
    let request = Request::post("/api/v1/write").header("content-type", PROTO).body(Body::from(bomb)).unwrap();
    assert!(faces.send(request).await.status.is_client_error(), "2 GiB declared");
    assert_eq!(remote_write(&faces, PROTO, "broken").await.status, StatusCode::BAD_REQUEST);
    for unknown in ["application/x-protobuf;proto=io.prometheus.write.v3.Request", "application/json", "application/x-protobuf;proto", "text/plain"] {
        assert_eq!(remote_write(&faces, unknown, "a 1").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{unknown}");
    }
    for version_1 in ["application/x-protobuf;proto=prometheus.WriteRequest", "application/x-protobuf; charset=x; proto=prometheus.WriteRequest"] {
        let answer = remote_write(&faces, version_1, "a 1").await;
        assert_eq!((answer.status, answer.header("x-prometheus-remote-write-samples-written")), (StatusCode::NO_CONTENT, ""));
    }
    let encoded = |encoding: &str, body: &[u8]| {
        let request = Request::post("/api/v1/write").header("content-encoding", encoding).body(Body::from(body.to_vec())).unwrap();
        faces.send(request)
    };
    assert_eq!(encoded("Snappy", &snap::raw::Encoder::new().compress_vec(b"f 1").unwrap()).await.status, StatusCode::NO_CONTENT, "no content type");
    assert_eq!(encoded("snappy", b"a 1").await.status, StatusCode::BAD_REQUEST, "it says snappy and is not");
    assert_eq!(encoded("lz4", b"a 1").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let later: [fn() -> WriteError; 2] = [|| WriteError::Busy("queue".to_owned()), || WriteError::Full("disk".to_owned())];
    for (error, wait) in later.into_iter().zip(["1", "30"]) {
        faces.house.held().write_error = Some(error);
        let answer = remote_write(&faces, PROTO, "a 1").await;
        assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, wait));
    }
}

#[tokio::test]
async fn senders_of_remote_write_2_are_told_how_much_was_written() {
    const PROTO: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    let faces = Faces::new();
    let check = async |body: &str, status: StatusCode, written: [&str; 3]| {
        let answer = remote_write(&faces, PROTO, body).await;
        let found = ["samples", "histograms", "exemplars"].map(|w| answer.header(&format!("x-prometheus-remote-write-{w}-written")));
        assert_eq!((answer.status, found), (status, written), "{body}: {}", answer.text());
    };
    check("a 1\nb 2\nh:c 0\ne:c 0\ne:c 1\ne:c 2", StatusCode::NO_CONTENT, ["2", "1", "3"]).await;
    check("a 1\nd -1\nh:c 0", StatusCode::BAD_REQUEST, ["1", "1", "0"]).await;
    check("", StatusCode::NO_CONTENT, ["0", "0", "0"]).await;
    check("broken", StatusCode::BAD_REQUEST, ["0", "0", "0"]).await;
    faces.house.held().write_error = Some(|| WriteError::Busy("queue".to_owned()));
    check("a 1", StatusCode::SERVICE_UNAVAILABLE, ["0", "0", "0"]).await;
}

#[tokio::test]
async fn unknown_paths_say_page_not_found() {
    let faces = Faces::new();
    let answer = faces.get("/api/v1/nosuch").await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NOT_FOUND, "404 page not found\n"));
    assert_eq!(faces.get("/graph?g0.expr=up").await.header("location"), "/query?g0.expr=up");
    assert_eq!(faces.get("/graph").await.status, StatusCode::FOUND);
}

#[tokio::test]
async fn long_texts_and_large_answers_are_refused() {
    let faces = Faces::with(|rooms| rooms.limits.samples_max = 2);
    let long = faces.form("/api/v1/query", &format!("query={}", "1%2B".repeat(9000))).await;
    assert_eq!(long.status, StatusCode::BAD_REQUEST);
    assert!(long.json()["error"].as_str().unwrap().contains("more than 16384"), "{}", long.text());
    faces.house.put(labels!("__name__" => "up"), &[(3, 1.0), (2, 1.0), (1, 1.0)]);
    let large = faces.get("/api/v1/query?query=up[5m]").await;
    assert_eq!((large.status, &large.json()["errorType"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("execution")), "{}", large.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_a_lost_asker_frees_its_place() {
    let faces = Faces::with(|rooms| {
        rooms.limits.parallel = 1;
        rooms.limits.queue = 1;
        rooms.clock = watchfire_model::time::SystemClock::shared();
    });
    faces.house.held().stuck = true;
    let ask = |faces: &Faces| {
        let request = Request::get("/api/v1/query?query=up").header("host", "localhost").body(Body::empty()).unwrap();
        tokio::spawn(faces.router().oneshot(request))
    };
    let count = |name: &str, reason: &str| {
        let families = faces.app.rooms.meter.gather();
        families
            .iter()
            .flat_map(|f| &f.points)
            .filter(|(l, _)| l.metric_name() == name && l.get("reason").unwrap_or("") == reason)
            .map(|(_, v)| *v)
            .sum::<f64>()
    };
    let running = ask(&faces);
    while count("watchfire_queries_running", "") < 1.0 {
        tokio::task::yield_now().await;
    }
    let waiting = ask(&faces);
    while faces.app.queries.waiting() < 1 {
        tokio::task::yield_now().await;
    }
    let refused = ask(&faces).await.unwrap().unwrap();
    assert_eq!((refused.status(), refused.headers().get("retry-after").is_some()), (StatusCode::TOO_MANY_REQUESTS, true));
    assert_eq!(count("watchfire_queries_refused_total", "queue_full"), 1.0);
    // The asker goes away: its query is cancelled, and the one that waits runs.
    running.abort();
    let freed = async {
        while faces.app.queries.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), freed).await.expect("a cancelled query frees its place");
    faces.house.held().stuck = false;
    let answer: Value = serde_json::from_slice(&axum::body::to_bytes(waiting.await.unwrap().unwrap().into_body(), 1 << 20).await.unwrap()).unwrap();
    assert_eq!(answer["status"], "success");
}

#[tokio::test]
async fn a_late_query_is_503_timeout() {
    let faces = Faces::with(|rooms| rooms.clock = watchfire_model::time::SystemClock::shared());
    faces.house.held().stuck = true;
    let answer = faces.get("/api/v1/query?query=up&timeout=20ms").await;
    assert_eq!((answer.status, &answer.json()["errorType"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("timeout")), "{}", answer.text());
}

#[tokio::test]
async fn native_histograms_are_answered_as_the_original_does() {
    let faces = Faces::new();
    let histogram = |n: f64| Histogram {
        count: 4.0 * n,
        sum: 5.5 * n,
        zero_count: n,
        zero_threshold: 0.25,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![n, 2.0 * n],
        ..Histogram::default()
    };
    let labels = labels!("__name__" => "h", "job" => "node");
    faces.house.put(labels.clone(), &[(60, 1.0)]);
    let sample = |ago: i64, n: f64| HistogramSample { time: Timestamp(NOW.millis() - ago * 1000), value: Arc::new(histogram(n)) };
    faces.house.held().histograms.insert(labels, vec![sample(30, 1.0), sample(0, 2.0)]);
    let now = NOW.millis() / 1000;
    let shown = |n: i64| {
        json!({"count": (4 * n).to_string(), "sum": (5.5 * n as f64).to_string(), "buckets": [
            [3, "-0.25", "0.25", n.to_string()], [0, "0.5", "1", n.to_string()], [0, "1", "2", (2 * n).to_string()]
        ]})
    };
    let ask = async |path: &str| faces.get(path).await.json()["data"].clone();
    let metric = json!({"__name__": "h", "job": "node"});
    let data = ask(&format!("/api/v1/query?query=h&time={now}")).await;
    assert_eq!(data, json!({"resultType": "vector", "result": [{"metric": metric, "histogram": [now, shown(2)]}]}));
    let data = ask(&format!("/api/v1/query?query=h%5B2m%5D&time={now}")).await;
    let both = json!({"metric": metric, "values": [[now - 60, "1"]], "histograms": [[now - 30, shown(1)], [now, shown(2)]]});
    assert_eq!(data, json!({"resultType": "matrix", "result": [both]}));
    let data = ask(&format!("/api/v1/query_range?query=h&start={}&end={now}&step=30", now - 60)).await;
    assert_eq!(data, json!({"resultType": "matrix", "result": [both]}));
    let data = ask(&format!("/api/v1/query_range?query=histogram_count(h)&start={}&end={now}&step=30", now - 60)).await;
    assert_eq!(data, json!({"resultType": "matrix", "result": [{"metric": {"job": "node"}, "values": [[now - 30, "4"], [now, "8"]]}]}));
    let answer = faces.get(&format!("/api/v1/query?query=h%2B1&time={now}")).await.json();
    assert_eq!(answer["data"]["result"], json!([]));
    assert_eq!(answer["infos"], json!(["PromQL info: incompatible sample types encountered for binary operator \"+\": histogram + float (1:1)"]));
}

/// What the original's own tool makes of our answers.
#[tokio::test]
async fn promtool_reads_our_answers() {
    let faces = with_up();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = faces.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (before, at) = ((NOW.millis() / 1000 - 15).to_string(), (NOW.millis() / 1000).to_string());
    let cases: [(&[&str], &str); 4] = [
        (&["query", "instant", "--time", &at, &url, "up"], "up{instance=\"a:1\", job=\"node\"} => 1 @[1767089700]"),
        (&["query", "range", "--start", &before, "--end", &at, "--step", "15s", &url, "up"], "1 @[1767089700]"),
        (&["query", "series", "--match", "up", "--start", "0", "--end", &at, &url], "{__name__=\"up\", instance=\"a:1\", job=\"node\"}"),
        (&["query", "labels", "--start", "0", "--end", &at, &url, "job"], "node\nweb"),
    ];
    for (arguments, expected) in cases {
        let Ok(output) = tokio::process::Command::new("promtool").args(arguments).output().await else {
            eprintln!("SKIPPED: promtool is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_ends_its_query() {
    use tokio::io::AsyncWriteExt;
    let faces = Faces::with(|rooms| rooms.clock = watchfire_model::time::SystemClock::shared());
    faces.house.held().stuck = true;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = faces.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let running = || faces.app.rooms.meter.gauge("watchfire_queries_running", "", &[]).get();
    let wait_for = async |wanted: f64| {
        let reached = async {
            while running() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), reached).await.unwrap_or_else(|_| panic!("{wanted} queries are not running"));
    };
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET /api/v1/query?query=up HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    wait_for(1.0).await;
    drop(socket);
    wait_for(0.0).await;
}

#[tokio::test]
async fn snappy_is_decompressed_on_the_budget_of_bodies() {
    let faces = Faces::new();
    let packed = snap::raw::Encoder::new().compress_vec(format!("{}a 1", "#".repeat(100)).replace('#', "a 1\n").as_bytes()).unwrap();
    for path in ["/api/v1/write", "/api/v1/read", "/loki/api/v1/push"] {
        let ask = async |budget: usize| {
            let mut request = Request::post(path).header("content-encoding", "snappy").body(Body::from(packed.clone())).unwrap();
            request.extensions_mut().insert(crate::server::Held::of_budget(budget));
            let app = axum::extract::State(faces.app.clone());
            let answer = match path {
                "/api/v1/write" => super::write::write(app, request).await,
                "/api/v1/read" => super::read::read(app, request).await,
                _ => crate::loki::push::push(app, request).await.unwrap_or_else(axum::response::IntoResponse::into_response),
            };
            answer.status()
        };
        assert_ne!(ask(1 << 20).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(ask(0).await, StatusCode::SERVICE_UNAVAILABLE, "{path}: what is too much now may come again");
    }
}
