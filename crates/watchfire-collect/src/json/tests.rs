//! Metrics out of JSON as a whole: modules as their file has them, answers as the original gives them, and refusals.

use std::sync::Arc;
use std::time::Duration;

use watchfire_ingest::exposition::{Format, render};
use watchfire_model::exporter::{Asker, Exporter, Question, Said};
use watchfire_model::meter::Meter;
use watchfire_model::time::SystemClock;
use watchfire_net::client::Caller;
use watchfire_net::policy::Policy;

use super::JsonExporter;
use super::config::{self, Modules};
use super::metrics::number;
use crate::probe::tests::{has, page, serve};
use crate::probe::{Access, Surroundings};

/// The modules of the home security system.
const HSI: &str = include_str!("../../../../packs/hsi/probes/json-exporter.yml");

fn modules(text: &str) -> Modules {
    let (modules, findings) = config::parse("json.yml", text, &|path| path.into());
    modules.unwrap_or_else(|| panic!("{findings:?}"))
}

fn exporter(text: &str) -> JsonExporter {
    let clock = SystemClock::shared();
    let access = Arc::new(Access::new(clock.clone(), Policy::free()));
    JsonExporter::new(Surroundings { caller: Arc::new(Caller::new(clock.clone())), clock, meter: Meter::new(), access }, modules(text))
}

async fn ask(exporter: &JsonExporter, asker: Asker, path: &str, params: &[(&str, &str)]) -> (u16, String) {
    let params = params.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let reply = exporter.ask(Question { path: path.to_owned(), base: "/json", params, asker, patience: Some(Duration::from_secs(10)) }).await;
    match reply.said {
        Said::Families(families) => (reply.status, render(Format::PrometheusText, &families)),
        Said::Text(text) | Said::Json(text) | Said::Html(text) => (reply.status, text),
    }
}

/// What a module makes of a document.
async fn made(config: &str, module: &str, document: &'static str) -> String {
    let address = serve(|_| page("200 OK", "content-type: application/json\r\n", document)).await;
    let (status, text) = ask(&exporter(config), Asker::Configuration, "/probe", &[("module", module), ("target", &format!("http://{address}/"))]).await;
    assert_eq!(status, 200, "{text}");
    text
}

fn lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(has(text, line), "{line} in {text}");
    }
}

const HEALTH: &str = r#"{"status":"degraded","services":{"database":{"status":"healthy"},"redis":{"status":"unhealthy"},"ai":{"status":"degraded"}}}"#;

#[tokio::test]
async fn jsx_01_a_target_becomes_metrics() {
    let text =
        made("modules: {m: {metrics: [{name: cameras, path: '{.count}', labels: {site: home, kind: '{.kind}'}}]}}", "m", r#"{"count":3,"kind":"ip"}"#).await;
    lines(&text, &["# HELP cameras cameras", "# TYPE cameras untyped", "cameras{kind=\"ip\",site=\"home\"} 3"]);
}

#[tokio::test]
async fn jsx_02_the_usual_modules_are_there() {
    let modules = modules(HSI);
    assert_eq!(modules.list.keys().collect::<Vec<_>>(), ["gpu", "health", "stats", "telemetry"]);
    let stats = made(HSI, "stats", r#"{"total_cameras":4,"total_events":120,"total_detections":900,"uptime_seconds":3600}"#).await;
    lines(&stats, &["hsi_total_cameras 4", "hsi_total_events 120", "hsi_total_detections 900", "hsi_uptime_seconds 3600"]);
}

#[tokio::test]
async fn jsx_03_the_state_of_the_whole_is_a_number() {
    for (status, expected) in [("healthy", "1"), ("degraded", "0.5"), ("unhealthy", "0")] {
        let document: &'static str = Box::leak(HEALTH.replacen("degraded", status, 1).into_boxed_str());
        let text = made(HSI, "health", document).await;
        lines(&text, &[&format!("hsi_system_healthy {expected}")]);
        // What the original makes of the same file stays: dashboards ask for it.
        lines(&text, &["hsi_system_healthy_healthy 1", "hsi_system_healthy_degraded 0.5", "hsi_system_healthy_unhealthy 0"]);
    }
}

#[tokio::test]
async fn jsx_04_services_follow_the_health_answer() {
    let text = made(HSI, "health", HEALTH).await;
    lines(&text, &["hsi_database_healthy 1", "hsi_redis_healthy 0", "hsi_ai_healthy 0.5", "hsi_database_healthy_healthy 1"]);
    // The flat form of the answer is understood as well.
    let text = made(HSI, "health", r#"{"status":"healthy","services":{"database":"healthy","redis":"unhealthy","ai":"healthy"}}"#).await;
    lines(&text, &["hsi_database_healthy 1", "hsi_redis_healthy 0", "hsi_ai_healthy 1"]);
}

#[tokio::test]
async fn jsx_05_depths_and_latencies() {
    let document =
        r#"{"queues":{"detection_queue":5,"analysis_queue":2},"latencies":{"detect":{"avg_ms":10.5,"p95_ms":20},"analyze":{"avg_ms":null,"p95_ms":4000}}}"#;
    let text = made(HSI, "telemetry", document).await;
    let expected = ["hsi_detection_queue_depth 5", "hsi_analysis_queue_depth 2", "hsi_detect_latency_avg_ms 10.5", "hsi_detect_latency_p95_ms 20"];
    lines(&text, &expected);
    lines(&text, &["hsi_analyze_latency_avg_ms NaN", "hsi_analyze_latency_p95_ms 4000"]);
}

#[tokio::test]
async fn jsx_06_and_jsx_09_figures_of_a_gpu_and_nulls_that_break_nothing() {
    let document =
        r#"{"gpu_utilization":45,"memory_used":8192,"memory_total":24576,"temperature":62,"inference_fps":3.5,"throttle_reasons":0,"power_limit":230}"#;
    let text = made(HSI, "gpu", document).await;
    let expected =
        ["hsi_gpu_utilization 45", "hsi_gpu_memory_used_mb 8192", "hsi_gpu_memory_total_mb 24576", "hsi_gpu_temperature 62", "hsi_inference_fps 3.5"];
    lines(&text, &expected);
    lines(&text, &["hsi_gpu_throttle_reasons 0", "hsi_gpu_power_limit_watts 230"]);
    let mock = r#"{"gpu_name":"Mock","gpu_utilization":null,"memory_used":null,"memory_total":null,"temperature":null,"power_usage":null}"#;
    let text = made(HSI, "gpu", mock).await;
    lines(&text, &["hsi_gpu_utilization NaN", "hsi_gpu_temperature NaN"]);
    assert!(!text.contains("hsi_inference_fps") && !text.contains("hsi_gpu_power_limit_watts"), "what is not there is left out: {text}");
}

#[tokio::test]
async fn jsx_09_nulls_do_not_break_a_probe() {
    let text = made("modules: {m: {metrics: [{name: a, path: '{.a}'}, {name: b, path: '{.b}'}, {name: c, path: '{.c}'}]}}", "m", r#"{"a":null,"b":1}"#).await;
    lines(&text, &["a NaN", "b 1"]);
    assert!(!text.contains("\nc "), "{text}");
}

#[tokio::test]
async fn jsx_07_a_module_of_the_user_makes_a_new_metric() {
    let config = "modules: {custom: {metrics: [{name: my_custom_metric, path: '{ .some.json.path }', type: value, help: 'Description of the metric'}]}}";
    let text = made(config, "custom", r#"{"some":{"json":{"path":"12.5"}}}"#).await;
    lines(&text, &["# HELP my_custom_metric Description of the metric", "my_custom_metric 12.5"]);
}

#[tokio::test]
async fn jsx_08_the_face_has_metrics_of_its_own() {
    let exporter = exporter("modules: {m: {metrics: [{name: a, path: '{.a}'}]}}");
    let gone = "http://127.0.0.1:1/";
    assert_eq!(ask(&exporter, Asker::Configuration, "/probe", &[("module", "m"), ("target", gone)]).await.0, 503);
    assert_eq!(ask(&exporter, Asker::Configuration, "/probe", &[("module", "none"), ("target", gone)]).await, (400, "Unknown module \"none\"\n".to_owned()));
    assert_eq!(ask(&exporter, Asker::Configuration, "/probe", &[("module", "m")]).await.0, 400);
    assert_eq!(ask(&exporter, Asker::Reader, "/probe", &[("module", "m"), ("target", gone)]).await.0, 403);
    assert_eq!(ask(&exporter, Asker::Admin, "/probe", &[("module", "m"), ("target", "http://169.254.169.254/")]).await.0, 403);
    let (_, text) = ask(&exporter, Asker::Reader, "/metrics", &[]).await;
    lines(&text, &["json_exporter_probes_total{result=\"failure\"} 1"]);
}

#[tokio::test]
async fn objects_give_a_metric_for_each_value() {
    let config = "modules: {m: {metrics: [{name: camera, type: object, path: '{.cameras[*]}', labels: {id: '{.id}', site: home}, valuetype: gauge, values: {up: 1, fps: '{.fps}', on: '{.on}'}}]}}";
    let text = made(config, "m", r#"{"cameras":[{"id":"front","fps":15,"on":true},{"id":"back","on":false},{"id":"back","on":true}]}"#).await;
    lines(&text, &["# TYPE camera_fps gauge", "camera_fps{id=\"front\",site=\"home\"} 15", "camera_up{id=\"back\",site=\"home\"} 1"]);
    lines(&text, &["camera_on{id=\"front\",site=\"home\"} 1", "camera_on{id=\"back\",site=\"home\"} 0"]);
    assert_eq!(text.matches("camera_on{id=\"back\"").count(), 1, "one series has one value: {text}");
}

#[tokio::test]
async fn times_bodies_headers_and_statuses() {
    let config = "modules: {m: {headers: {X-Key: k}, body: {content: 'q={{ .q | first }}', templatize: true}, valid_status_codes: [201], metrics: [{name: a, path: '{.a}', epochTimestamp: '{.t}'}]}}";
    let exporter = exporter(config);
    let address = serve(|asked| {
        let good = asked.starts_with("POST /x ") && asked.to_ascii_lowercase().contains("x-key: k") && asked.contains("\r\ncontent-length: 4");
        page("201 Created", "", &format!("{{\"a\":{},\"t\":1700000000123}}", u8::from(good)))
    })
    .await;
    let target = format!("http://{address}/x");
    let (status, text) = ask(&exporter, Asker::Configuration, "/probe", &[("module", "m"), ("target", &target), ("q", "hi")]).await;
    assert_eq!((status, has(&text, "a 1 1700000000123")), (200, true), "{text}");
    let plain = serve(|_| page("200 OK", "", "{}")).await;
    let (status, text) = ask(&exporter, Asker::Configuration, "/probe", &[("module", "m"), ("target", &format!("http://{plain}/")), ("q", "x")]).await;
    assert!(status == 503 && text.contains("the status is 200 OK"), "{text}");
}

#[test]
fn texts_become_numbers_as_there() {
    for (text, expected) in [
        ("1.5", Some(1.5)),
        ("1e3", Some(1_000.0)),
        ("\"7\"", Some(7.0)),
        ("true", Some(1.0)),
        ("F", Some(0.0)),
        ("healthy", None),
        ("", None),
        (" 1", None),
        ("'7'", Some(7.0)),
        ("\"7\"8\"", None),
        ("\"\\x37\"", Some(7.0)),
        ("\"", None),
        ("1 2", None),
    ] {
        assert_eq!(number(text), expected, "{text:?}");
    }
    assert!(number("<nil>").unwrap().is_nan());
}

#[tokio::test]
async fn what_is_wrong_in_one_metric_leaves_the_others() {
    let config = "modules: {m: {metrics: [{name: a, path: '{.a', labels: {}}, {name: b, path: '{.b}', valuetype: histogram, labels: {x: '{.c', y: '{.q}', z: '{.none}'}}, \
                  {name: o, type: object, path: '{.list[*]}', values: {good: '{.v}', bad: '{.v['}}]}}";
    let text = made(config, "m", r#"{"a":1,"b":"0x1","c":1,"q":"\"say\"","list":[{"v":1}]}"#).await;
    assert!(!text.contains("\na ") && !text.contains("\nb"), "{text}");
    let text = made(config, "m", r#"{"a":1,"b":" 5","list":[{"v":1}]}"#).await;
    lines(&text, &["o_good 1"]);
    let text = made(config, "m", r#"{"a":1,"b":"5","q":"\"say\" and \"do\"","list":[]}"#).await;
    lines(&text, &["# TYPE b untyped", "b{y=\"\\\"say\\\" and \\\"do\\\"\"} 5"]);
}

#[tokio::test]
async fn times_come_with_help_and_only_where_there_are_some() {
    let config = "modules: {m: {metrics: [{name: a, type: object, path: '{.l[*]}', help: \"one\\ntwo\", labels: {id: '{.id}'}, epochTimestamp: '{.t}', values: {v: '{.v}'}}]}}";
    let text = made(config, "m", r#"{"l":[{"id":1,"v":2,"t":"1700000000123"},{"id":2,"v":3,"t":null},{"id":3,"v":4,"t":"5u64"},{"id":4,"v":4}]}"#).await;
    lines(&text, &["# HELP a_v one\\ntwo", "# TYPE a_v untyped", "a_v{id=\"1\"} 2 1700000000123", "a_v{id=\"2\"} 3", "a_v{id=\"3\"} 4 5", "a_v{id=\"4\"} 4"]);
}

#[tokio::test]
async fn a_template_that_fails_is_sent_as_it_stands() {
    let config = "modules: {m: {body: {content: '{{ .q | nothing }}', templatize: true}, metrics: [{name: a, path: '{.a}'}]}}";
    let (modules, findings) = config::parse("json.yml", config, &|path| path.into());
    assert!(modules.is_some() && findings.len() == 1 && findings[0].to_string().contains("it is sent as it stands"), "{findings:?}");
    let address = serve(|asked| {
        page("200 OK", "", &format!("{{\"a\":{}}}", u8::from(asked.starts_with("POST ") && asked.to_ascii_lowercase().contains("content-length: 18\r\n"))))
    })
    .await;
    let (status, text) = ask(&exporter(config), Asker::Configuration, "/probe", &[("module", "m"), ("target", &format!("http://{address}/"))]).await;
    assert!(status == 200 && has(&text, "a 1"), "{text}");
}

#[test]
fn unknown_keys_and_wrong_paths_are_warnings() {
    let said = |text: &str| config::parse("json.yml", text, &|path| path.into()).1.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        said("modules:\n  m:\n    metrics:\n    - {name: a, path: '{.a}', default_value: 0}\n"),
        ["json.yml:4:31: warning: modules.m.metrics[0].default_value is no key of json_exporter and has no effect"]
    );
    assert_eq!(
        said("modules:\n  m:\n    metrics:\n    - {name: a, path: '{.a'}\n"),
        ["json.yml:4:23: warning: modules.m.metrics[0].path: cannot read the JSONPath at byte 3: } is missing; the metric is left out"]
    );
    let words = said("modules:\n  m:\n    metrics:\n    - {name: a, type: object, path: '{.a}', values: {up: 1, down: 0}}\n");
    assert!(words.len() == 1 && words[0].contains("a_up and its like are constant"), "{words:?}");
}
